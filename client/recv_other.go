//go:build !linux

package client

import "net"

// A socket is of no use where the system doesn't stamp what arrives.
type socket struct {
	net.Conn
	receipt receipt
}

func (s *socket) stampReads(net.Conn, int64) bool { return false }

// segments gives -1, unknown, where the system doesn't say.
func segments(net.Conn) (resent, outOfOrder int64) { return -1, -1 }
