package proxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// grain is how finely a bandwidth is kept.
const grain = 20 * time.Millisecond

// A lane passes bytes in one direction of a connection.
type lane struct {
	conn     *conn
	way      direction
	from, to net.Conn
	random   *rand.Rand // of its latencies
	size     int        // of a read, in bytes

	latency   Fault      // kind "" for none
	rate      float64    // bytes a second; 0 for no limit
	requests  *requests  // of a lane up that looks at what passes
	responses *responses // of a lane down that does

	queue *queue    // what is delayed; nil without a latency
	due   time.Time // of what was read last
	free  time.Time // when the rate allows the next byte
	told  bool      // that events can't be counted
}

// slow takes a latency or a bandwidth, if it is for this direction.
func (l *lane) slow(f Fault) {
	switch {
	case !f.way.covers(l.way):
	case f.kind == KindLatency:
		l.latency = f
	default:
		l.rate = f.rate
	}
}

// run passes what comes until there is no more. Behind a fault that has closed the connections it goes on reading, to
// nobody's use, until the other end has closed its own.
func (l *lane) run() {
	var delivery sync.WaitGroup
	defer delivery.Wait()
	if l.latency.kind != "" {
		l.queue = newQueue()
		delivery.Go(l.deliver)
	}
	buf := make([]byte, l.size)
	for {
		n, err := l.from.Read(buf)
		p := buf[:n]
		if l.requests != nil {
			p = l.requests.take(p)
			if err != nil {
				p = append(p, l.requests.rest()...)
			}
		}
		if l.queue == nil {
			l.pass(p, err)
		} else {
			l.delay(p, err)
		}
		if err != nil {
			return
		}
	}
}

// delay has p passed later, and not before what came before it. It waits where too much is under way.
func (l *lane) delay(p []byte, err error) {
	if due := time.Now().Add(l.latency.delay(l.random)); due.After(l.due) {
		l.due = due
	}
	l.queue.push(parcel{append([]byte(nil), p...), err, l.due}, l.conn.ended)
}

// deliver passes what is delayed.
func (l *lane) deliver() {
	for {
		x, ok := l.queue.pop(l.conn.ended)
		if !ok || !l.until(x.due) {
			return
		}
		l.pass(x.data, x.err)
		if x.err != nil {
			return
		}
	}
}

// until waits; false where the connection is over before.
func (l *lane) until(t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.conn.ended:
		return false
	}
}

// pass sends p on, with what strikes on the way, and then the end, where err says that it has come.
func (l *lane) pass(p []byte, err error) {
	for len(p) > 0 {
		if l.conn.gate() != passing {
			return
		}
		x := step{n: len(p)}
		if l.way == downward {
			x = l.step(p)
		}
		if !l.write(p[:x.n]) {
			return
		}
		p = p[x.n:]
		if x.event {
			l.conn.events.Add(1)
		}
		for _, f := range x.due {
			l.conn.strike(f)
		}
	}
	if err == nil || l.conn.gate() != passing {
		return
	}
	if errors.Is(err, io.EOF) {
		finish(l.to)
		return
	}
	abort(l.to) // as the other end was
	l.conn.close()
}

// write sends p at the rate that is allowed; false where it can't be sent, or not all of it.
func (l *lane) write(p []byte) bool {
	for len(p) > 0 {
		piece := p
		if l.rate > 0 {
			piece = p[:min(len(p), max(1, int(l.rate*grain.Seconds())))]
			if !l.until(l.free) || l.conn.gate() != passing {
				return false
			}
			if now := time.Now(); now.Sub(l.free) > grain { // else a timer was late, which is made good
				l.free = now
			}
			l.free = l.free.Add(time.Duration(float64(len(piece)) / l.rate * float64(time.Second)))
		}
		n, err := l.to.Write(piece)
		if l.way == downward {
			l.conn.bytes.Add(uint64(n))
		}
		if err != nil {
			if l.conn.gate() == passing { // that end is gone
				l.conn.close()
			}
			return false
		}
		p = p[n:]
	}
	return true
}

// A step is what passes before something strikes.
type step struct {
	n     int
	event bool // an event ends with it
	due   []Fault
}

// step says how much of p may pass before something strikes, or up to the end of an event.
func (l *lane) step(p []byte) (x step) {
	c := l.conn
	passed := c.bytes.Load()
	for _, f := range c.placed {
		if f.at.unit == inBytes && f.at.count > passed {
			p = p[:min(uint64(len(p)), f.at.count-passed)]
		}
	}
	x.n = len(p)
	number := c.events.Load()
	if l.responses != nil {
		found := l.responses.next(p)
		l.noteBlind()
		x.n, x.event = found.n, found.event
		if x.event {
			number++
			for _, f := range c.placed {
				if f.kind == KindTruncate && f.at.count == number {
					return step{n: found.start + (found.end-found.start)/2, due: []Fault{f}}
				}
			}
		}
	}
	for _, f := range c.placed {
		if f.at.unit == inBytes && f.at.count == passed+uint64(x.n) || f.at.unit == inEvents && x.event && f.at.count == number {
			x.due = append(x.due, f)
		}
	}
	return x
}

// noteBlind says once that events were to be counted and can't be.
func (l *lane) noteBlind() {
	if l.told || l.responses.blind == nil {
		return
	}
	l.told = true
	l.conn.blind.Store(true)
	for _, f := range l.conn.placed {
		if f.ByEvent() {
			l.conn.proxy.options.Failed(l.conn.number, l.conn.client.RemoteAddr(), &BlindError{f, l.responses.blind})
			return
		}
	}
}

// A BlindError says that a fault can't strike, because the events of a connection can't be counted.
type BlindError struct {
	Fault Fault
	Err   error
}

func (e *BlindError) Error() string {
	return "events can't be counted, and \"" + e.Fault.String() + "\" doesn't strike: " + e.Err.Error()
}

func (e *BlindError) Unwrap() error { return e.Err }
