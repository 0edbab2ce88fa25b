package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is the socket of one stream: it counts bytes, notes when the last read returned, hands out first what was
// read together with the response head, and gives up after idle time without a byte.
//
// One goroutine reads; Write and Close may be called from any.
//
// It has first what each read touches, since that is seldom in a cache where there are many connections.
type conn struct {
	in       uint64      // bytes read of tcp
	lastRead time.Time   // when the last read with bytes returned
	given    int         // bytes of data handed out since tcp was read
	filled   bool        // the last read of data filled its buffer
	begun    bool        // firstByte is set
	deaf     atomic.Bool // nothing is read or sent any more
	receipt  *receipt    // of the last read of tcp; nil where the kernel stamps nothing
	secure   *tls.Conn
	silence  *silence // nil for no limit
	pending  []byte   // read beyond the head, not yet handed out
	socket   socket   // what tcp is, where the system is Linux

	records   *recordScanner // of TLS; nil for none
	tcp       net.Conn       // the TCP connection itself
	raw       net.Conn       // the same, counted
	firstByte time.Time      // when the first byte after the head was there
	silent    time.Duration  // the longest so far; where silence is to be learned
	beaten    time.Time      // when the last heartbeat was read, likewise
	overhead  int            // the least that TLS adds to the data of a record
	out       atomic.Uint64
	headIn    uint64 // in, once the head was read

	atOnce func([]byte) (int, error) // reads tcp without waiting, while quiet looks; nil otherwise

	throttle *Throttle // nil for none
	gone     gone

	told wire // of a caller: what was counted already

	closing            sync.Once // takes the last sample, while the kernel still knows
	resent, outOfOrder int64     // segments, at that time
}

// countingConn is the raw connection below TLS, so that what is counted is what is on the wire.
type countingConn struct{ c *conn }

// Read implements net.Conn.
func (k countingConn) Read(p []byte) (n int, err error) {
	if k.c.atOnce != nil {
		n, err = k.c.atOnce(p)
	} else {
		n, err = k.c.tcp.Read(p)
	}
	if n > 0 {
		k.c.in += uint64(n)
		k.c.given = 0
		if k.c.records != nil {
			k.c.records.Scan(p[:n])
		}
	}
	return n, err
}

// Write implements net.Conn.
func (k countingConn) Write(p []byte) (int, error) {
	if k.c.deaf.Load() {
		return len(p), nil
	}
	n, err := k.c.tcp.Write(p)
	k.c.out.Add(uint64(n))
	return n, err
}

// Close implements net.Conn.
func (k countingConn) Close() error { return k.c.tcp.Close() }

// LocalAddr implements net.Conn.
func (k countingConn) LocalAddr() net.Addr { return k.c.tcp.LocalAddr() }

// RemoteAddr implements net.Conn.
func (k countingConn) RemoteAddr() net.Addr { return k.c.tcp.RemoteAddr() }

// SetDeadline implements net.Conn.
func (k countingConn) SetDeadline(t time.Time) error { return k.c.tcp.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (k countingConn) SetReadDeadline(t time.Time) error { return k.c.tcp.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (k countingConn) SetWriteDeadline(t time.Time) error { return k.c.tcp.SetWriteDeadline(t) }

// newConn takes a new connection over. A throttle is nil for none.
func newConn(tcp net.Conn, throttle *Throttle) *conn {
	c := &conn{tcp: tcp, throttle: throttle}
	c.raw = countingConn{c}
	return c
}

// handshake starts TLS on the connection.
func (c *conn) handshake(ctx context.Context, config *tls.Config) error {
	c.records = &recordScanner{}
	secure := tls.Client(c.raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	c.secure = secure
	c.overhead = recordOverhead(secure.ConnectionState())
	return nil
}

// recordOverhead is the least that a record is longer than the data in it.
func recordOverhead(state tls.ConnectionState) int {
	const tag, innerType, nonce = 16, 1, 8
	switch {
	case state.Version >= tls.VersionTLS13: // RFC 8446, 5.2
		return tag + innerType
	case strings.Contains(tls.CipherSuiteName(state.CipherSuite), "_GCM_"): // RFC 5288, 3
		return tag + nonce
	}
	return tag
}

func (c *conn) top() net.Conn {
	if c.secure != nil {
		return c.secure
	}
	return c.raw
}

// A reader is what reads a stream.
type reader interface {
	// take takes what was read, which is valid while it runs, and says whether it wants more. It puts each event where ev
	// is. It must not wait.
	take(p []byte, ev *Event) (more bool)
	// end is told why reading has ended, nil where take wanted no more. It may wait.
	end(err error)
}

// pumpSize is how much pump reads at a time, in bytes.
const pumpSize = 4 << 10

// pump reads for r until that wants no more, or reading ends.
func (c *conn) pump(r reader) {
	ev := new(Event)
	if !c.takePending(r, ev) {
		r.end(nil)
		return
	}
	buf := make([]byte, pumpSize)
	for {
		n, err := c.Read(buf[:c.throttle.piece(len(buf))])
		switch {
		case n > 0 && !r.take(buf[:n], ev):
			r.end(nil)
			return
		case err != nil:
			r.end(err)
			return
		}
		if c.throttle != nil {
			c.throttle.wait(n, c.gone.wait())
		}
	}
}

// takePending has r take what was read with the head, be that nothing: a body may have no bytes.
func (c *conn) takePending(r reader, ev *Event) (more bool) {
	p := c.pending
	c.pending = nil
	return r.take(p, ev)
}

func (c *conn) idleError() error {
	return &Error{Class: ClassIdle, Detail: c.silence.limit().Round(time.Millisecond).String()}
}

// unread has what was read, but not taken, read once more.
func (c *conn) unread(p []byte) {
	if len(p) > 0 {
		c.pending = append(bytes.Clone(p), c.pending...)
	}
}

// Read implements io.Reader.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		if c.pending = c.pending[n:]; len(c.pending) == 0 {
			c.pending = nil
		}
		return n, nil
	}
	began := time.Now()
	for {
		look, limited := c.silence.next(began, time.Now())
		if limited {
			if err := c.raw.SetReadDeadline(look); err != nil {
				return 0, err
			}
		}
		n, err := c.top().Read(p)
		switch {
		case c.deaf.Load() && !errors.Is(err, net.ErrClosed) && (c.silence != nil || !isTimeout(err)): // of one that is failing, the deadline holds
			return 0, c.unheard()
		case n > 0:
			c.given += n
			c.filled = n == len(p)
			c.noteRead(time.Now())
		case limited && isTimeout(err) && !c.silence.over(began, time.Now()):
			continue
		case limited && isTimeout(err):
			err = c.idleError()
		}
		return n, err
	}
}

func (c *conn) noteRead(at time.Time) {
	if c.silence != nil && c.silence.learns && !c.lastRead.IsZero() {
		c.silent = max(c.silent, at.Sub(c.lastRead))
	}
	c.lastRead = at
	if !c.begun {
		c.begun, c.firstByte = true, at
	}
	if c.receipt != nil {
		c.receipt.seen = at.UnixNano()
	}
}

// arrived sets the arrival of an event which ended in the bytes handed out last. shared says that the read of the socket
// that brought its end held more.
func (c *conn) arrived(a *Arrival, shared bool) {
	a.User, a.Kernel, a.Earliest, a.Shared = c.lastRead, 0, 0, shared
	if c.receipt == nil {
		return
	}
	a.Kernel, a.Earliest = c.receipt.stamp, c.receipt.stamp
	if shared {
		a.Earliest = c.receipt.earliest()
	}
}

// more reports whether the last read of the socket held, or might have held, more than was handed out so far and the
// tail bytes of framing that are still to come.
func (c *conn) more(tail int) bool {
	if len(c.pending) > tail {
		return true
	}
	if c.secure == nil {
		return c.receipt != nil && c.receipt.left > tail
	}
	return c.records.Shared() || c.receipt != nil && c.receipt.left > 0 || c.filled && c.given+tail < c.records.size-c.overhead
}

func isTimeout(err error) bool {
	if err == nil {
		return false
	}
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// Write implements io.Writer.
func (c *conn) Write(p []byte) (int, error) { return c.top().Write(p) }

// CloseWrite tells the peer that nothing more will be written, and leaves reading open.
func (c *conn) CloseWrite() error {
	if c.secure != nil {
		return c.secure.CloseWrite()
	}
	return c.closeWriteTCP()
}

// Close implements io.Closer. It doesn't wait for a TLS alert to be sent: a peer that reads nothing must not hold it.
func (c *conn) Close() error {
	c.closing.Do(c.sample)
	c.gone.leave()
	return c.raw.Close()
}

// gone says that a connection was closed here. Safe for concurrent use. The zero value is of one that wasn't.
type gone struct {
	mu      sync.Mutex
	closed  bool
	waiting chan struct{} // nil as long as nobody waits
}

// wait gives what is closed when the connection is, or already.
func (g *gone) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == nil {
		g.waiting = make(chan struct{})
		if g.closed {
			close(g.waiting)
		}
	}
	return g.waiting
}

// leave takes that the connection is closed. Any further call does nothing.
func (g *gone) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed && g.waiting != nil {
		close(g.waiting)
	}
	g.closed = true
}

func (c *conn) sample() { c.resent, c.outOfOrder = segments(c.tcp) }

// segments gives how many segments were sent again and how many arrived out of order, so far or until the connection
// was closed here; -1 where that is unknown.
func (c *conn) segments() (resent, outOfOrder int64) {
	if resent, outOfOrder = segments(c.tcp); resent >= 0 {
		return resent, outOfOrder
	}
	c.closing.Do(c.sample) // waits for a Close under way
	return c.resent, c.outOfOrder
}
