package proxy

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is one connection of a client, and the one to the target that belongs to it.
type conn struct {
	proxy  *Proxy
	number uint64
	opened time.Time
	client net.Conn
	target net.Conn

	refused Fault         // kind "" where it isn't
	slow    []Fault       // latencies and bandwidths
	timed   []Fault       // that strike after a time
	placed  []Fault       // that strike at a byte or an event
	random  [2]*rand.Rand // of each direction

	bytes  atomic.Uint64 // given to the client
	events atomic.Uint64 // in them
	blind  atomic.Bool   // they can't be counted

	closing sync.Once
	clocks  sync.WaitGroup // timers that are set
	ended   chan struct{}  // closed when nothing is to pass any more

	mu      sync.Mutex
	state   state
	stalls  int           // that are on
	changed chan struct{} // closed when state or stalls change; nil where nobody waits for it
	timers  []*time.Timer
}

// A state is what becomes of bytes that are read. It only rises.
type state uint8

const (
	passing   state = iota // they pass, unless there is a stall
	swallowed              // they wait for ever: a black hole
	cut                    // they are thrown away: a fault has closed both connections for writing
	closed                 // there are none any more
)

// run passes bytes until both connections are closed.
func (c *conn) run() {
	defer c.clocks.Wait()
	defer c.close()
	up := &lane{conn: c, way: upward, from: c.client, to: c.target, random: c.random[0], size: 4 << 10}
	down := &lane{conn: c, way: downward, from: c.target, to: c.client, random: c.random[1], size: 16 << 10}
	if o := &c.proxy.options; !o.Raw {
		talk := &dialogue{}
		up.requests = &requests{dialogue: talk, host: o.Host}
		down.responses = &responses{dialogue: talk}
	}
	for _, f := range c.slow {
		up.slow(f)
		down.slow(f)
		c.tell(f, time.Now())
	}
	for _, f := range c.timed {
		c.after(time.Until(c.opened.Add(f.at.after)), func() { c.strike(f) })
	}
	var lanes sync.WaitGroup
	lanes.Go(up.run)
	lanes.Go(down.run)
	lanes.Wait()
}

// after calls f after a time, unless both connections are closed before.
func (c *conn) after(d time.Duration, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed {
		return
	}
	c.clocks.Add(1)
	c.timers = append(c.timers, time.AfterFunc(d, func() {
		defer c.clocks.Done()
		f()
	}))
}

// strike has a fault take effect, unless there is nothing left that it could be done to.
func (c *conn) strike(f Fault) {
	at := time.Now()
	switch f.kind {
	case KindStall:
		if !c.enter(passing, 1) {
			return
		}
		c.after(f.low, func() { c.enter(passing, -1) })
	case KindBlackhole:
		if !c.enter(swallowed, 0) {
			return
		}
	default:
		if !c.enter(cut, 0) {
			return
		}
		c.hangUp(f.reset || f.kind == KindReset)
	}
	c.tell(f, at)
}

// enter changes the state, and how many stalls are on, and reports whether it could. A black hole can't be stalled, and
// what is closed is beyond harm.
func (c *conn) enter(next state, stalls int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next < c.state || next == c.state && stalls == 0 {
		return false
	}
	if next >= cut && c.state < cut {
		close(c.ended)
	}
	c.state = next
	c.stalls += stalls
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	return true
}

// gate waits until bytes may pass, or never may.
func (c *conn) gate() state {
	for {
		c.mu.Lock()
		waits := c.state == swallowed || c.state == passing && c.stalls > 0
		if !waits {
			defer c.mu.Unlock()
			return c.state
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		<-changed
	}
}

// hangUp closes both connections, so that the ends get what was passed, or resets them.
func (c *conn) hangUp(rst bool) {
	if rst {
		abort(c.client)
		abort(c.target)
		c.close()
		return
	}
	c.after(lingering, c.close)
	finish(c.client)
	finish(c.target)
}

// finish says that nothing more will be sent. What the other end still sends has to be read, or the system would reset
// the connection. Where that can't be said the connection is closed.
func finish(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		return
	}
	c.Close()
}

// close closes both connections, which ends everything that goes on with them.
func (c *conn) close() {
	c.closing.Do(func() {
		c.enter(closed, 0)
		c.mu.Lock()
		timers := c.timers
		c.mu.Unlock()
		for _, t := range timers {
			if t.Stop() {
				c.clocks.Done()
			}
		}
		c.client.Close()
		c.target.Close()
	})
}

// tell says that a fault has struck.
func (c *conn) tell(f Fault, at time.Time) {
	x := Injected{
		At: at.UnixNano(), Connection: c.number, Client: c.client.RemoteAddr().String(), Kind: f.kind, Fault: f.String(),
		Byte: c.bytes.Load(),
	}
	if events := c.events.Load(); !c.blind.Load() {
		x.Event = &events
	}
	c.proxy.options.Injected(x)
}
