package client

import (
	"net"
	"time"
)

// A Break is a way to break a stream off from this side as a client that dies or a network does it: without the words
// that the protocol has for it.
type Break string

const (
	// BreakFIN closes the connection.
	BreakFIN Break = "fin"
	// BreakRST resets it, and throws away what wasn't read or sent yet.
	BreakRST Break = "rst"
	// BreakBlackhole neither reads nor sends anything any more, and tells the peer nothing, for as long as the session
	// lasts. What is sent seems to have left.
	BreakBlackhole Break = "blackhole"
	// BreakHalfClose says that nothing more will be sent, and goes on reading: the peer may end the stream, or not.
	BreakHalfClose Break = "half-close"
)

// Breaks lists every way.
func Breaks() []Break { return []Break{BreakFIN, BreakRST, BreakBlackhole, BreakHalfClose} }

// ParseBreak reads the name of a way to break a stream off.
func ParseBreak(s string) (Break, error) {
	return parseName(s, "way to break a connection off", Breaks())
}

// A Breaker is a Stream that can be broken off.
type Breaker interface {
	// Break breaks the stream off. It doesn't wait, and may be called from any goroutine.
	Break(how Break) error
}

// Break implements Breaker.
func (x *exchange) Break(how Break) error { return x.conn.sever(how) }

// sever breaks the TCP connection, whatever is above it.
func (c *conn) sever(how Break) error {
	switch how {
	case BreakBlackhole:
		c.deaf.Store(true)
		return nil
	case BreakHalfClose:
		return c.closeWriteTCP()
	case BreakRST:
		if tcp, ok := c.tcp.(interface{ SetLinger(sec int) error }); ok {
			if err := tcp.SetLinger(0); err != nil {
				return err
			}
		}
	}
	return c.Close()
}

// closeWriteTCP is CloseWrite below TLS.
func (c *conn) closeWriteTCP() error {
	if half, ok := c.tcp.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// unheard waits on a connection that is a black hole for whoever reads it, until it is closed or was silent for too long.
func (c *conn) unheard() error {
	since := c.lastRead
	if since.IsZero() {
		since = time.Now()
	}
	for !c.silence.over(since, time.Now()) {
		var silent <-chan time.Time
		if look, limited := c.silence.next(since, time.Now()); limited {
			silent = time.After(time.Until(look))
		}
		select {
		case <-c.gone.wait():
			return net.ErrClosed
		case <-silent:
		}
	}
	return c.idleError()
}
