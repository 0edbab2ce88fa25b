//go:build unix

package client

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawConn gives access to the descriptor below c; nil if there is none.
func rawConn(c net.Conn) syscall.RawConn {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// quiet reports whether nothing has happened on a connection that waits to be used again: the server has neither
// closed it nor sent anything, but for what TLS says by itself, such as a ticket behind the handshake.
func (c *conn) quiet() bool {
	raw := rawConn(c.tcp)
	if raw == nil {
		return true // a test's connection
	}
	var b [1]byte
	if c.secure == nil {
		_, err := receive(raw, b[:], unix.MSG_PEEK)
		return err == os.ErrDeadlineExceeded
	}
	c.atOnce = func(p []byte) (int, error) { return receive(raw, p, 0) }
	defer func() { c.atOnce = nil }()
	_, err := c.secure.Read(b[:])
	return err == os.ErrDeadlineExceeded
}

// receive reads what is there. Where that is nothing its error is that of a deadline, after which crypto/tls can go on.
func receive(raw syscall.RawConn, p []byte, flags int) (n int, err error) {
	gone := raw.Control(func(fd uintptr) { n, _, err = unix.Recvfrom(int(fd), p, flags|unix.MSG_DONTWAIT) })
	switch {
	case gone != nil:
		return 0, gone
	case err == unix.EAGAIN:
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
