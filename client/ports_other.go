//go:build !linux

package client

import "syscall"

// shareLocalPorts does nothing where the system has no such option.
func shareLocalPorts(syscall.RawConn) error { return nil }
