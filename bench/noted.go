package bench

import (
	"net/netip"
	"sync"
	"time"
)

// maxNoted bounds how many ends of connections are noted.
const maxNoted = 1 << 20

// A NotedEnd is the end of one connection that nobody had asked for, as the client noticed it.
type NotedEnd struct {
	At     int64          // ns since the epoch, by the wall clock
	Local  netip.AddrPort // the client's address; zero where none was known
	Key    string         // of the error
	Opened bool           // a stream was open; else opening one has failed
}

// Endings notes how connections ended. Safe for concurrent use.
type endings struct {
	mu   sync.Mutex
	list []NotedEnd
	more uint64 // that aren't in it
}

func (e *endings) add(x NotedEnd) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) >= maxNoted {
		e.more++
		return
	}
	e.list = append(e.list, x)
}

// all gives what was noted, and how many ends weren't.
func (e *endings) all() ([]NotedEnd, uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list, e.more
}

// Injected says what became of faults that something between the clients and the target did to connections on purpose:
// whether the clients noticed, how and how soon.
type Injected struct {
	Faults []FaultEffect // in the order in which they were given
	// Unexplained are the ends of connections that none of the faults explains, by the key of the error.
	Unexplained []Cause
}

// A FaultEffect is what became of one kind of fault.
type FaultEffect struct {
	Fault   string        // in its plainest form, such as cut@20:rst
	Struck  uint64        // connections that it was done to
	Slows   bool          // it makes a connection slow and ends none, so that nothing was to be noticed
	Noticed uint64        // of Struck, those whose client noticed that the connection had ended
	Keys    []Cause       // of these, by the key of the error
	P50     time.Duration // from the fault to when the client noticed; negative where there are too few for it
	Max     time.Duration // negative where none was noticed
}
