// Package proxy stands between clients and a server and harms their connections on a script: it delays, throttles,
// stalls, cuts, resets, truncates and swallows what passes, and says of every harm when it was done and to whom.
//
//	Listener → connection: requests ↑ → faults → target
//	                       client ← faults ← events found ← responses ↓ → Injected
//
// Where nothing harms a connection its bytes pass as they are, in order and with back-pressure, but for the Host header
// of requests, where that is asked for. To strike at the n-th event it follows what the target sends, event streams and
// WebSockets over HTTP/1.1, and keeps nothing of it. It measures nothing, doesn't retry, and decrypts nothing.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Options say what a Proxy does. They aren't changed once it has them.
type Options struct {
	// Dial opens a connection to the target. It is called from many goroutines at once.
	Dial func(ctx context.Context) (net.Conn, error)
	// Host is put into the Host header of requests; "" leaves it as it is.
	Host string
	// Raw passes bytes without looking at them, which any protocol can have. Events aren't counted then.
	Raw    bool
	Faults []Fault
	Seed   uint64 // of shares and latencies

	// Injected is told of every fault when it has struck; nil for nobody. It is called from many goroutines at once, and
	// holds up the connection.
	Injected func(Injected)
	// Failed is told, likewise, what went wrong with a connection besides: the target can't be reached, or events were to
	// be counted and can't be.
	Failed func(connection uint64, client net.Addr, err error)
}

// Injected is one fault that struck one connection.
type Injected struct {
	At         int64   `json:"at_ns"`      // when it took effect, ns since the epoch by the wall clock
	Connection uint64  `json:"connection"` // in the order in which they were accepted, from 1
	Client     string  `json:"client"`     // IP:PORT
	Kind       Kind    `json:"kind"`
	Fault      string  `json:"fault"` // as ParseFault reads it
	Byte       uint64  `json:"byte"`  // how many bytes of the target's the client had been given
	Event      *uint64 `json:"event"` // how many events; nil where they can't be counted
}

const (
	dialTimeout = 10 * time.Second
	// lingering is how long a connection that a fault closes waits for its ends to close it as well; or, where it is refused,
	// for its client to say something.
	lingering = 2 * time.Second
	// maxPause bounds how long it waits to accept again where the system has no descriptor to spare.
	maxPause = time.Second
)

// A Proxy is what New makes. Serve it once.
type Proxy struct {
	options Options
	conns   sync.WaitGroup
}

// New checks the options.
func New(o Options) (*Proxy, error) {
	if o.Dial == nil {
		return nil, errors.New("the proxy has no target")
	}
	if err := check(o.Faults); err != nil {
		return nil, err
	}
	for _, f := range o.Faults {
		if o.Raw && f.ByEvent() {
			return nil, errors.New("the fault \"" + f.String() + "\" counts events, which can't be seen in bytes that are passed as they are")
		}
	}
	if o.Injected == nil {
		o.Injected = func(Injected) {}
	}
	if o.Failed == nil {
		o.Failed = func(uint64, net.Addr, error) {}
	}
	return &Proxy{options: o}, nil
}

// Serve accepts connections until ctx ends, which closes all of them, and returns when every goroutine has ended. It
// closes ln.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer p.conns.Wait()
	defer cancel()
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	pause := time.Duration(0)
	for accepted := uint64(0); ; {
		client, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				client.Close()
			}
			return nil
		case err == nil:
			pause = 0
			accepted++
			number := accepted
			p.conns.Go(func() { p.serve(ctx, client, number) })
		case errors.Is(err, net.ErrClosed):
			return err
		default: // no descriptor to spare, or a client that left before it was accepted
			pause = min(maxPause, max(5*time.Millisecond, 2*pause))
			p.options.Failed(0, nil, err)
			if !wait(ctx, pause) {
				return nil
			}
		}
	}
}

// wait is false where ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve has one connection from its first byte to its last.
func (p *Proxy) serve(ctx context.Context, client net.Conn, number uint64) {
	c := &conn{proxy: p, number: number, opened: time.Now(), client: client, ended: make(chan struct{})}
	c.blind.Store(p.options.Raw)
	c.choose()
	if c.refused.kind != "" {
		c.refuse(ctx)
		return
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	target, err := p.options.Dial(dialing)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			p.options.Failed(number, client.RemoteAddr(), err)
		}
		abort(client) // as a server that can't be reached
		return
	}
	c.target = target
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	c.run()
}

// refuse resets the connection as soon as the client has said something, so that it doesn't fail now in connecting and
// now behind that.
func (c *conn) refuse(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { c.client.Close() })
	defer stop()
	if c.client.SetReadDeadline(time.Now().Add(lingering)) == nil {
		_, _ = c.client.Read(make([]byte, 1)) // whatever comes of it
	}
	if ctx.Err() != nil {
		return
	}
	at := time.Now()
	abort(c.client)
	c.tell(c.refused, at)
}

// choose draws which faults befall the connection. Every share draws once, so that one doesn't shift the others.
func (c *conn) choose() {
	o := &c.proxy.options
	c.random = [2]*rand.Rand{rand.New(rand.NewPCG(o.Seed, 2*c.number)), rand.New(rand.NewPCG(o.Seed, 2*c.number+1))}
	for _, f := range o.Faults {
		if c.random[0].Float64()*100 >= f.percent {
			continue
		}
		switch f.kind {
		case KindRefuse:
			c.refused = f
		case KindLatency, KindBandwidth:
			c.slow = append(c.slow, f)
		default:
			if f.at.unit == inTime {
				c.timed = append(c.timed, f)
			} else {
				c.placed = append(c.placed, f)
			}
		}
	}
}

// abort resets a connection, where it can be, or closes it. It doesn't wait for a last word of TLS.
func abort(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // it is closed in any case
	}
	c.Close()
}
