package client

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// shareLocalPorts lets the kernel choose the local port at connect(2), when the other end is known: bound earlier,
// a port of a source address serves one destination only.
func shareLocalPorts(raw syscall.RawConn) error {
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}); err != nil {
		return err
	}
	return optErr
}
