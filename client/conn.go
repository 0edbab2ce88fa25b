package client

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// A conn is the socket of one stream: it counts bytes, notes when the last read returned, hands out first what was
// read together with the response head, and gives up after idle time without a byte.
//
// One goroutine reads; Write and Close may be called from any.
type conn struct {
	raw     net.Conn // the TCP connection, counted
	secure  *tls.Conn
	idle    time.Duration // 0 for no limit
	pending []byte        // read beyond the head, not yet handed out

	frames    *frameScanner // of a WebSocket; nil for none
	interrupt func() error  // asked before the socket is read between two messages; nil for none
	broken    error         // the rule of framing that was broken
	ended     bool          // a read of the socket failed

	lastRead  time.Time // when the last read with bytes returned
	firstByte time.Time // when the first byte after the head was there
	in, out   atomic.Uint64
	headIn    uint64 // in, once the head was read
}

// countingConn is the raw connection below TLS, so that what is counted is what is on the wire.
type countingConn struct {
	net.Conn
	c *conn
}

func (k countingConn) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	k.c.in.Add(uint64(n))
	return n, err
}

func (k countingConn) Write(p []byte) (int, error) {
	n, err := k.Conn.Write(p)
	k.c.out.Add(uint64(n))
	return n, err
}

func newConn(tcp net.Conn) *conn {
	c := &conn{}
	c.raw = countingConn{tcp, c}
	return c
}

// handshake starts TLS on the connection.
func (c *conn) handshake(ctx context.Context, config *tls.Config) error {
	secure := tls.Client(c.raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	c.secure = secure
	return nil
}

func (c *conn) top() net.Conn {
	if c.secure != nil {
		return c.secure
	}
	return c.raw
}

// Read implements io.Reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.frames == nil {
		return c.read(p)
	}
	if c.broken != nil {
		return 0, c.broken
	}
	if c.interrupt != nil && c.frames.Between() {
		if err := c.interrupt(); err != nil {
			return 0, err
		}
	}
	n, err := c.read(p)
	if n == 0 {
		c.ended = err != nil
		return 0, err
	}
	if n, c.broken = c.frames.Scan(p[:n]); n == 0 {
		return 0, c.broken
	}
	return n, nil // an error that came with bytes comes again
}

func (c *conn) read(p []byte) (int, error) {
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		if c.pending = c.pending[n:]; len(c.pending) == 0 {
			c.pending = nil
		}
		return n, nil
	}
	if c.idle > 0 {
		if err := c.raw.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
			return 0, err
		}
	}
	n, err := c.top().Read(p)
	if n > 0 {
		c.noteRead(time.Now())
	}
	if c.idle > 0 && isTimeout(err) {
		err = &Error{Class: ClassIdle, Detail: c.idle.String()}
	}
	return n, err
}

func (c *conn) noteRead(at time.Time) {
	c.lastRead = at
	if c.firstByte.IsZero() {
		c.firstByte = at
	}
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
	if half, ok := c.raw.(countingConn).Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// Close implements io.Closer. It doesn't wait for a TLS alert to be sent: a peer that reads nothing must not hold it.
func (c *conn) Close() error { return c.raw.Close() }
