package client

import (
	"encoding/binary"
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket is a TCP connection that keeps the receipt of what was read last. It begins as one of net's, for opening a
// stream with; where the stream is pushed, an eventLoop takes its descriptor over.
//
// One goroutine reads, as below TLS; Write, Close and the deadlines may be called from any.
type socket struct {
	receipt receipt
	scratch *scratch // of the read under way; nil between two reads of the loop
	waited  bool     // it found the queue empty first

	moved // to a loop

	// Until then.
	tcp     net.Conn
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // s.recv, made once: a method value costs an allocation

	local, remote net.Addr
}

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

// stampReads makes the socket of c, and asks the kernel for a stamp on all that arrives on it from now on. It reports
// false where c isn't TCP, or the kernel can't. since is when nothing had arrived yet, in ns since the epoch.
func (s *socket) stampReads(c net.Conn, since int64) bool {
	raw := rawConn(c)
	if raw == nil {
		return false
	}
	var optErr error
	if err := raw.Control(func(fd uintptr) { optErr = askStamps(int(fd)) }); err != nil || optErr != nil {
		return false
	}
	s.tcp, s.raw, s.local, s.remote = c, raw, c.LocalAddr(), c.RemoteAddr()
	s.scratch, s.attempt, s.receipt.drained = new(scratch), s.recv, since
	s.scratch.init()
	return true
}

// askStamps sets the options. Only TCP knows TCP_INQ, which is younger than recvmsg as a call of its own.
func askStamps(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_INQ, 1); err != nil {
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) // before Linux 5.1
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// Read implements net.Conn, with the errors of net.TCPConn. What an eventLoop reads doesn't wait.
func (s *socket) Read(p []byte) (int, error) {
	if s.loop != nil {
		return s.readMoved(p)
	}
	if len(p) == 0 {
		return s.tcp.Read(p)
	}
	s.waited = false
	s.into(p)
	err := s.raw.Read(s.attempt)
	s.scratch.vector.Base = nil
	if err = s.outcome(err); err != nil {
		return 0, err
	}
	s.received(len(p))
	return s.scratch.n, nil
}

// into says where the next recv puts what it reads.
func (s *socket) into(p []byte) {
	s.scratch.vector.Base = &p[0]
	s.scratch.vector.SetLen(len(p))
}

// outcome is the error of the read that is over; err is that of waiting for it.
func (s *socket) outcome(err error) error {
	switch {
	case err != nil: // a deadline, or Close
		if op, ok := err.(*net.OpError); ok {
			op.Op = "read"
		}
		return err
	case s.scratch.errno != 0:
		return s.opError("read", os.NewSyscallError("read", s.scratch.errno))
	case s.scratch.n == 0:
		return io.EOF
	}
	return nil
}

func (s *socket) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: s.local.Network(), Source: s.local, Addr: s.remote, Err: err}
}

// received notes the receipt of a read into so many bytes.
func (s *socket) received(size int) {
	left := 0 // what came after a read that wasn't full has stamps of its own
	if s.scratch.n == size {
		left = s.scratch.left
	}
	s.receipt = s.receipt.next(s.scratch.stamp, s.waited, left)
}

// recv tries to read once. It reports false where the queue is empty, to be called again when it isn't.
func (s *socket) recv(fd uintptr) bool {
	x := s.scratch
	for {
		x.message.SetControllen(len(x.control))
		// RawSyscall, since it doesn't wait: told of each call, Go's scheduler wakes other threads.
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&x.message)), unix.MSG_DONTWAIT)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.waited = true
			return false
		}
		if x.errno = errno; errno == 0 {
			x.n = int(n)
			x.stamp, x.left = parseControls(x.control[:min(uint64(x.message.Controllen), uint64(len(x.control)))])
		}
		return true
	}
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
	err := withFD(c, func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil || errno != 0 {
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
