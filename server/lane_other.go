//go:build !linux

package server

import (
	"net"
	"syscall"
)

// promptConn gives what conn can be written to with, without waiting; nil if that isn't possible.
func promptConn(net.Conn) syscall.RawConn { return nil }

// sendNow isn't called where promptConn gives nothing.
func (l *lane) sendNow(uintptr) {}
