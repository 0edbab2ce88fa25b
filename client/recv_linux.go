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
	control [32]byte // room for a control message; first, so that it is aligned
	message unix.Msghdr
	vector  unix.Iovec
	clock   int64 // ns since the epoch, read last before the read

	n     int
	errno syscall.Errno
	stamp int64
	left  int // bytes that stayed in the queue
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

// askStamps asks for them.
func askStamps(fd int) error {
	if setOption(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) == nil {
		return nil
	}
	return setOption(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) // before Linux 5.1
}

// recv tries to read once. It reports false where the queue is empty. A read that isn't full has emptied it, but before
// urgent data, at which the system stops.
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
			x.stamp = parseStamp(x.control[:min(uint64(x.message.Controllen), uint64(len(x.control)))])
			if x.left = 0; x.n == len(p) || s.hung {
				x.left = queued(s.fd)
			}
		}
		return true
	}
}

// outcome is that of a recv, which it takes the receipt of.
func (s *socket) outcome(x *scratch) (int, error) {
	switch {
	case x.errno != 0:
		return 0, s.opError("read", os.NewSyscallError("read", x.errno))
	case x.n == 0:
		return 0, io.EOF
	}
	s.receipt = s.receipt.next(x.stamp, s.waited, x.left)
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

// queued is how many bytes wait to be read, many if the system doesn't say.
func queued(fd int) int {
	var n int32
	if _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCINQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return math.MaxInt32
	}
	return int(n)
}

// parseStamp reads the control messages of a recvmsg: 0 if none is a stamp.
func parseStamp(b []byte) int64 {
	for len(b) >= unix.SizeofCmsghdr {
		head, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		if head.Level == unix.SOL_SOCKET && (head.Type == unix.SO_TIMESTAMPNS_NEW || head.Type == unix.SO_TIMESTAMPNS) {
			return parseTimespec(data)
		}
		b = rest
	}
	return 0
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
