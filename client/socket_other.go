//go:build !linux

package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"
)

// A socket is of no use where the system isn't Linux: Go's poller watches connections, and whoever reads waits.
type socket struct{ net.Conn }

// eventLoops are of no use either.
type eventLoops struct{}

// dialSystem opens a connection from a source, if that isn't the zero Addr. The system stamps nothing that arrives.
func (n *Net) dialSystem(ctx context.Context, to netip.AddrPort, source netip.Addr, _ bool) (*conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	if source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	c, err := dialer.DialContext(ctx, "tcp", to.String())
	if op, ok := errors.AsType[*net.OpError](err); ok { // "dial tcp" and the address say nothing more
		err = op.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	if tcp, ok := c.(*net.TCPConn); ok && n.Throttle != nil {
		_ = tcp.SetReadBuffer(throttledBuffer) // else it has the default
	}
	return newConn(c, n.Throttle), nil
}

// push reports that whoever reads the connection has to wait for it.
func (c *conn) push(reader, unsafe.Pointer, uintptr, Sink) bool { return false }

// pushed reports whether a loop reads the connection.
func (c *conn) pushed() bool { return false }

// room reports whether a few bytes can be written by whoever reads: who may wait.
func (c *conn) room() bool { return true }

// segments gives -1, unknown, where the system doesn't say.
func segments(net.Conn) (resent, outOfOrder int64) { return -1, -1 }
