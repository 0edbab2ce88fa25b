package server

import (
	"math/bits"
	"strconv"
	"sync/atomic"
)

// An eventLog holds the latest events. One goroutine at a time appends; any number reads at their own position,
// without locks. It is both the queue of every subscriber and what is replayed, so there is no seam between the two.
type eventLog struct {
	slots []atomic.Pointer[event] // by id modulo the length, a power of two
	last  atomic.Uint64           // id of the newest event; 0 before the first
	first atomic.Uint64           // id of the oldest event kept
	cost  int                     // sum over the events kept; of the appender
	most  int                     // bound of cost
}

func newEventLog(events, bytes int) *eventLog {
	l := &eventLog{slots: make([]atomic.Pointer[event], 1<<bits.Len(uint(events))), most: bytes}
	l.first.Store(1)
	return l
}

// append adds e, whose id must be the next one, and forgets the oldest events until it fits.
func (l *eventLog) append(e *event) {
	for e.id-l.first.Load() >= uint64(len(l.slots)) || l.cost+e.cost() > l.most && l.first.Load() < e.id {
		old := l.first.Load()
		l.first.Store(old + 1)
		l.cost -= l.slot(old).Swap(nil).cost()
	}
	l.cost += e.cost()
	l.slot(e.id).Store(e)
	l.last.Store(e.id)
}

func (l *eventLog) slot(id uint64) *atomic.Pointer[event] { return &l.slots[id&uint64(len(l.slots)-1)] }

// get gives event id, or nil if it is forgotten.
func (l *eventLog) get(id uint64) *event {
	if e := l.slot(id).Load(); e != nil && e.id == id {
		return e
	}
	return nil
}

// resume finds where a subscriber that has seen id starts: after the event it gives back. At most depth events are
// replayed; horizon says that some are missing. An empty id or one that was never given starts with the next event.
func (l *eventLog) resume(id string, depth int) (after uint64, horizon bool) {
	last := l.last.Load()
	seen, err := strconv.ParseUint(id, 10, 64)
	if err != nil || seen > last {
		return last, false
	}
	after = max(seen, l.first.Load()-1)
	if last-after > uint64(depth) {
		after = last - uint64(depth)
	}
	return after, after > seen
}
