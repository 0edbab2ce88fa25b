//go:build unix

package client

import (
	"net"
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
// closed it nor sent anything. Below TLS a ticket can't be told from the notice that it is closed.
func (c *conn) quiet() bool {
	raw := rawConn(c.raw.(countingConn).Conn)
	if raw == nil {
		return true // a test's connection
	}
	quiet := false
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = err == unix.EAGAIN
	})
	return err == nil && quiet
}
