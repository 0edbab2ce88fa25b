//go:build unix

package client

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// withFD gives the descriptor below c to f, while it is open. known is false where there is none.
func withFD(c net.Conn, f func(fd uintptr)) (known bool, err error) {
	if s, ok := c.(interface{ control(func(fd uintptr)) error }); ok {
		return true, s.control(f)
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true, err
	}
	return true, raw.Control(f)
}

// quiet reports whether nothing has happened on a connection that waits to be used again: the server has neither
// closed it nor sent anything, but for what TLS says by itself, such as a ticket behind the handshake.
func (c *conn) quiet() bool {
	var b [1]byte
	var err error
	if c.secure == nil {
		_, err = c.receive(b[:], unix.MSG_PEEK)
	} else {
		c.atOnce = func(p []byte) (int, error) { return c.receive(p, 0) }
		defer func() { c.atOnce = nil }()
		_, err = c.secure.Read(b[:])
	}
	return err == os.ErrDeadlineExceeded
}

// receive reads what is there. Where that is nothing its error is that of a deadline, after which crypto/tls can go on.
func (c *conn) receive(p []byte, flags int) (n int, err error) {
	known, gone := withFD(c.tcp, func(fd uintptr) { n, _, err = unix.Recvfrom(int(fd), p, flags|unix.MSG_DONTWAIT) })
	switch {
	case gone != nil:
		return 0, gone
	case !known, err == unix.EAGAIN: // where there is no descriptor it is a test's connection
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
