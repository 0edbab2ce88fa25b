package client

import (
	"encoding/binary"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A stampedConn is a TCP connection that keeps the receipt of what was read last. One goroutine reads, as below TLS;
// the rest is the connection's own.
type stampedConn struct {
	control [64]byte // room for both control messages; first, so that it is aligned
	net.Conn
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // c.recv, made once: a method value costs an allocation

	// Of the Read under way. The message header is kept since that of unix.Recvmsg costs an allocation.
	message unix.Msghdr
	vector  unix.Iovec
	n       int
	errno   syscall.Errno
	stamp   int64
	left    int  // bytes in the queue after it
	waited  bool // it found the queue empty first

	receipt receipt

	aborts  *abortWatch
	watched bool        // by it
	closed  bool        // guarded by its mutex
	aborted atomic.Bool // it has woken who waits
}

// stampReads asks the kernel for a stamp on all that arrives on c from now on, and gives the connection to read from
// and where to find the receipt of each read. Where c isn't TCP, or the kernel can't, that is c itself and nil. since
// is when nothing had arrived yet, in ns since the epoch.
func stampReads(c net.Conn, since int64, aborts *abortWatch) (net.Conn, *receipt) {
	raw := rawConn(c)
	if raw == nil {
		return c, nil
	}
	var optErr error
	if err := raw.Control(func(fd uintptr) { optErr = askStamps(int(fd)) }); err != nil || optErr != nil {
		return c, nil
	}
	s := &stampedConn{Conn: c, raw: raw, aborts: aborts, receipt: receipt{drained: since}}
	s.attempt = s.recv
	s.message.Iov = &s.vector
	s.message.SetIovlen(1)
	s.message.Control = &s.control[0]
	return s, &s.receipt
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

// Read implements net.Conn, with the errors of net.TCPConn.
func (c *stampedConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.waited = false
	c.into(p)
	err := c.raw.Read(c.attempt)
	c.vector.Base = nil
	if err = c.outcome(err); err != nil {
		return 0, err
	}
	c.received(len(p))
	return c.n, nil
}

// each implements readyReader. Where the kernel says that a read has taken all there was, the next one waits first: that
// saves the call that finds nothing.
func (c *stampedConn) each(take func(p []byte, filled bool) (more bool)) error {
	var buf *[readSize]byte
	left := false
	release := func() {
		readBuffers.Put(buf)
		buf, c.vector.Base = nil, nil
	}
	c.waited = false
	err := c.raw.Read(func(fd uintptr) bool {
		if !c.watched {
			c.watched = c.aborts.add(int32(fd), c)
		}
		for {
			if buf == nil {
				buf = readBuffers.Get().(*[readSize]byte)
				c.into(buf[:])
			}
			before := time.Now()
			if !c.recv(fd) {
				release()
				return false
			}
			if c.errno != 0 || c.n == 0 {
				release()
				return true
			}
			c.received(len(buf))
			filled := c.n == len(buf)
			if left = !take(buf[:c.n], filled); left {
				release()
				return true
			}
			if c.waited = false; c.left == 0 && c.watched {
				c.receipt.seen, c.waited = before.UnixNano(), true // the queue was empty after that
				release()
				return false
			}
		}
	})
	if left {
		return nil
	}
	return c.outcome(err)
}

// woken implements readyReader.
func (c *stampedConn) woken() bool { return c.aborted.Swap(false) }

// Close implements net.Conn.
func (c *stampedConn) Close() error {
	_ = c.raw.Control(func(fd uintptr) { c.aborts.remove(int32(fd), c) }) // which fails where it is closed
	return c.Conn.Close()
}

// into says where the next recv puts what it reads.
func (c *stampedConn) into(p []byte) {
	c.vector.Base = &p[0]
	c.vector.SetLen(len(p))
}

// outcome is the error of the read that is over; err is that of waiting for it.
func (c *stampedConn) outcome(err error) error {
	switch {
	case err != nil: // a deadline, or Close
		if op, ok := err.(*net.OpError); ok {
			op.Op = "read"
		}
		return err
	case c.errno != 0:
		local := c.LocalAddr()
		return &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", c.errno)}
	case c.n == 0:
		return io.EOF
	}
	return nil
}

// received notes the receipt of a read into so many bytes.
func (c *stampedConn) received(size int) {
	left := 0 // what came after a read that wasn't full has stamps of its own
	if c.n == size {
		left = c.left
	}
	c.receipt = c.receipt.next(c.stamp, c.waited, left)
}

// recv tries to read once. It reports false where the queue is empty, to be called again when it isn't.
func (c *stampedConn) recv(fd uintptr) bool {
	for {
		c.message.SetControllen(len(c.control))
		// It doesn't wait for bytes, but may for the socket's lock, and be preempted with it: RawSyscall, which would
		// hold up the other goroutines meanwhile, saved nothing that could be measured.
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&c.message)), unix.MSG_DONTWAIT)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			c.waited = true
			return false
		}
		if c.errno = errno; errno == 0 {
			c.n = int(n)
			c.stamp, c.left = parseControls(c.control[:min(uint64(c.message.Controllen), uint64(len(c.control)))])
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

// CloseWrite shuts down the writing side.
func (c *stampedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// SyscallConn implements syscall.Conn.
func (c *stampedConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// segments asks TCP_INFO how many segments this host has sent again on c, and how many arrived out of order; -1 where
// the kernel doesn't say, and once c was closed here.
func segments(c net.Conn) (resent, outOfOrder int64) {
	resent, outOfOrder = -1, -1
	raw := rawConn(c)
	if raw == nil {
		return resent, outOfOrder
	}
	var info unix.TCPInfo
	size := uint32(unix.SizeofTCPInfo)
	var errno syscall.Errno
	err := raw.Control(func(fd uintptr) {
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
