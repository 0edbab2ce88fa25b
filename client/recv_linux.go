package client

import (
	"encoding/binary"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A scratch is what a read needs, and what comes of it. It has its message header, since that of unix.Recvmsg costs an
// allocation.
type scratch struct {
	control [64]byte // room for both control messages; first, so that it is aligned
	message unix.Msghdr
	vector  unix.Iovec
	clock   int64 // ns since the epoch, read last before the read

	n     int
	errno syscall.Errno
	stamp int64
	left  int // bytes in the queue after it
}

func (x *scratch) init() {
	x.message.Iov = &x.vector
	x.message.SetIovlen(1)
	x.message.Control = &x.control[0]
}

// scratches are for reads that may wait.
var scratches = sync.Pool{New: func() any {
	x := new(scratch)
	x.init()
	return x
}}

// askStamps sets the options. Only TCP knows TCP_INQ, which is younger than recvmsg as a call of its own.
func askStamps(fd int) error {
	if err := setOption(fd, unix.IPPROTO_TCP, unix.TCP_INQ, 1); err != nil {
		return err
	}
	if setOption(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) == nil {
		return nil
	}
	return setOption(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) // before Linux 5.1
}

// recv tries to read once. It reports false where the queue is empty.
func (s *socket) recv(x *scratch, p []byte) bool {
	x.vector.Base = &p[0]
	x.vector.SetLen(len(p))
	for {
		x.message.SetControllen(len(x.control))
		// RawSyscall, since it doesn't wait: told of each call, Go's scheduler wakes other threads.
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&x.message)), unix.MSG_DONTWAIT)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			x.vector.Base = nil
			return false
		}
		x.vector.Base = nil
		if x.errno = errno; errno == 0 {
			x.n = int(n)
			x.stamp, x.left = parseControls(x.control[:min(uint64(x.message.Controllen), uint64(len(x.control)))])
		}
		return true
	}
}

// outcome is that of a recv into so many bytes, which it takes the receipt of.
func (s *socket) outcome(x *scratch, size int) (int, error) {
	switch {
	case x.errno != 0:
		return 0, s.opError("read", os.NewSyscallError("read", x.errno))
	case x.n == 0:
		return 0, io.EOF
	}
	left := 0 // what came after a read that wasn't full has stamps of its own
	if x.n == size {
		left = x.left
	}
	s.receipt = s.receipt.next(x.stamp, s.waited, left)
	return x.n, nil
}

// next is the receipt of the read after r's. waited says that the queue was seen empty before its bytes came.
func (r receipt) next(stamp int64, waited bool, left int) receipt {
	n := receipt{stamp: stamp, drained: r.drained, left: left}
	switch {
	case waited && r.seen != 0:
		n.drained = r.seen
	case r.left == 0 && r.stamp != 0: // all that had come by then was read
		n.drained = r.stamp
	}
	return n
}

// parseControls reads the control messages of a recvmsg: the stamp, 0 if there is none, and how many bytes are left in
// the queue, many if that isn't said.
func parseControls(b []byte) (stamp int64, left int) {
	left = math.MaxInt32
	for len(b) >= unix.SizeofCmsghdr {
		head, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		switch {
		case head.Level == unix.SOL_SOCKET && (head.Type == unix.SO_TIMESTAMPNS_NEW || head.Type == unix.SO_TIMESTAMPNS):
			stamp = parseTimespec(data)
		case head.Level == unix.IPPROTO_TCP && head.Type == unix.TCP_CM_INQ && len(data) >= 4:
			left = int(int32(binary.NativeEndian.Uint32(data)))
		}
		b = rest
	}
	return stamp, left
}

// parseTimespec reads seconds and nanoseconds, of 64 bits each, or of 32 from before Linux 5.1 on a 32-bit system.
func parseTimespec(b []byte) int64 {
	const second = 1e9
	switch {
	case len(b) >= 16:
		return int64(binary.NativeEndian.Uint64(b))*second + int64(binary.NativeEndian.Uint64(b[8:]))
	case len(b) >= 8:
		return int64(int32(binary.NativeEndian.Uint32(b)))*second + int64(int32(binary.NativeEndian.Uint32(b[4:])))
	}
	return 0
}

// segments asks TCP_INFO how many segments this host has sent again on c, and how many arrived out of order; -1 where
// the kernel doesn't say, and once c was closed here.
func segments(c net.Conn) (resent, outOfOrder int64) {
	resent, outOfOrder = -1, -1
	var info unix.TCPInfo
	size := uint32(unix.SizeofTCPInfo)
	var errno syscall.Errno
	known, err := withFD(c, func(fd uintptr) {
		_, _, errno = unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if !known || err != nil || errno != 0 {
		return resent, outOfOrder
	}
	// An older kernel fills in less.
	if uintptr(size) >= unsafe.Offsetof(info.Total_retrans)+unsafe.Sizeof(info.Total_retrans) {
		resent = int64(info.Total_retrans)
	}
	if uintptr(size) >= unsafe.Offsetof(info.Rcv_ooopack)+unsafe.Sizeof(info.Rcv_ooopack) {
		outOfOrder = int64(info.Rcv_ooopack)
	}
	return resent, outOfOrder
}
