package server

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// promptConn gives what conn can be written to with, without waiting; nil if that isn't possible.
func promptConn(conn net.Conn) syscall.RawConn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// sendNow sends what the system takes of l.message, which isn't empty, at once.
func (l *lane) sendNow(fd uintptr) {
	// RawSyscall, since it doesn't wait: told of each call, Go's scheduler wakes other threads.
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&l.message[0])), uintptr(len(l.message)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno == 0 {
		l.taken = int(n)
	}
}
