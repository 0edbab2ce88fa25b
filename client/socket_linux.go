package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket is a TCP connection that an eventLoop watches, from connecting on; Go's poller doesn't know it. While a stream
// is opened on it a goroutine reads, and waits for what comes; once it is pushed, the loop reads. Its errors are those of
// net.TCPConn.
//
// One goroutine reads, as below TLS; Write, Close and the deadlines may be called from any.
//
// It has first what each read touches, since that is seldom in a cache where there are many sockets.
type socket struct {
	// Whoever reads has these.
	receipt receipt
	before  int64 // when not all that had come was read yet, ns since the epoch
	owner   *conn
	reader  reader   // what it is pushed to; nil until then
	waited  bool     // the read found the queue empty first
	hung    bool     // the peer won't send any more, or has sent urgent data: it is read until that is told
	empty   bool     // all that had come was read, since the system told of something last
	scratch *scratch // of the read under way of a connection with TLS, where that doesn't wait; nil elsewhere
	fd      int
	hold    atomic.Int32

	// The mutex guards these, where hold says so.
	busy    bool // somebody reads what is pushed
	again   bool // more came meanwhile
	hangs   bool // the peer has sent its end, or urgent data
	over    bool // nobody reads any more what was pushed
	closed  bool
	writing bool // somebody waits until it can be written
	mu      sync.Mutex
	users   int32 // of the descriptor

	loop          *eventLoop
	input, output side
	stirred       *sync.Cond // for whoever waits for a side; nil while nobody does
	patient       net.Conn   // the same connection as one of net's, for a Write that has to wait; nil where none had to

	// The loop's mutex guards these, and is taken before the socket's.
	place      int       // in the loop; -1 for none
	rank       int       // in the heap of those that are watched for silence, from 1; 0 for none
	quietUntil time.Time // at the earliest, as far as was looked at

	began         time.Time // to be pushed
	stamped       bool      // the kernel says when what is read arrived
	local, remote netip.AddrPort
}

// A socket's hold says who reads what is pushed, as long as nobody else wants anything of it: so its loop does without the
// mutex, and without waiting twice an event for all memory that was written before.
const (
	holdLocked int32 = iota // what the mutex guards says it
	holdFree                // nobody does, and its loop may
	holdTaken               // its loop, which is busy and a user of the descriptor
)

// lock locks the mutex, and sees to it that what is below it says who reads.
func (s *socket) lock() {
	s.mu.Lock()
	if s.hold.Swap(holdLocked) == holdTaken {
		s.busy = true
		s.users++
	}
}

// A side is input or output, for whoever waits for it.
type side struct {
	came     bool // the system has told of it since it was awaited last
	deadline time.Time
}

// dialSystem opens a connection from a source, if that isn't the zero Addr, with the kernel's stamps on what arrives where
// they are wanted and to be had.
func (n *Net) dialSystem(ctx context.Context, to netip.AddrPort, source netip.Addr, stamps bool) (*conn, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		c := newConn(nil, n.Throttle)
		s := &c.socket
		c.tcp = s
		began := time.Now()
		if err := s.dial(ctx, n.loops.loop(), c, to, source, stamps); err != nil {
			return nil, fmt.Errorf("%s: %w", to, err)
		}
		if s.local == s.remote && attempt < attempts { // where nobody listens it may have got the port that it dials (RFC 9293, 3.5)
			c.Close()
			continue
		}
		if s.stamped {
			s.receipt.drained = began.UnixNano()
			c.receipt = &s.receipt
		}
		return c, nil
	}
}

// dial connects the socket, and has the loop watch it. It fails with the errors of system calls, or of ctx.
func (s *socket) dial(ctx context.Context, loop *eventLoop, owner *conn, to netip.AddrPort, source netip.Addr, stamps bool) (err error) {
	s.remote, s.owner, s.place = to, owner, -1
	if s.fd, err = openSocket(to.Addr(), source); err != nil {
		return err
	}
	s.stamped = stamps && askStamps(s.fd) == nil
	if owner.throttle != nil {
		_ = setOption(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, throttledBuffer) // else it has the default
	}
	s.users = 1
	defer s.leave()
	if err = s.connect(ctx, loop); err == nil {
		s.local, err = localAddr(s.fd)
	}
	if err != nil {
		_ = s.Close() // by ctx before
	}
	return err
}

// connect waits until the socket is connected.
func (s *socket) connect(ctx context.Context, loop *eventLoop) error {
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	name := newSockaddr(s.remote)
	for attempt := 0; ; attempt++ {
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&name.raw)), name.size)
		switch errno {
		case 0, unix.EISCONN:
			if s.loop == nil {
				return s.watch(loop, unix.EPOLLIN)
			}
			return nil
		case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		default:
			return os.NewSyscallError("connect", errno)
		}
		switch attempt {
		case 0: // a server on this host has answered by now, which the next attempt tells
			continue
		case 1:
			if err := s.watch(loop, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
				return err
			}
			defer context.AfterFunc(ctx, func() { s.Close() })()
		}
		if err := s.await(&s.output); err != nil {
			return stopped(ctx)
		}
	}
}

// stopped is the error of what ctx has ended.
func stopped(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return ctx.Err()
}

func (s *socket) watch(loop *eventLoop, events uint32) error {
	s.mu.Lock()
	s.loop = loop
	s.mu.Unlock()
	return loop.add(s, events)
}

// await waits until the system tells of a side, which it may have done since it was awaited last. It fails once the
// deadline is over or the socket closed. The caller is a user of the descriptor.
func (s *socket) await(on *side) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !on.came {
		if err := s.usable(on); err != nil {
			return err
		}
		if s.stirred == nil {
			s.stirred = sync.NewCond(&s.mu)
		}
		if on.deadline.IsZero() {
			s.stirred.Wait()
			continue
		}
		alarm := time.AfterFunc(time.Until(on.deadline), s.stir)
		s.stirred.Wait()
		alarm.Stop()
	}
	on.came = false
	return nil
}

// usable says why nobody may wait for a side. The mutex must be held.
func (s *socket) usable(on *side) error {
	switch {
	case s.closed:
		return net.ErrClosed
	case !on.deadline.IsZero() && !time.Now().Before(on.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// stir has those that wait look again.
func (s *socket) stir() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stirLocked()
}

func (s *socket) stirLocked() {
	if s.stirred != nil {
		s.stirred.Broadcast()
	}
}

// use reports whether the descriptor may be used, until leave.
func (s *socket) use() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.users++
	return true
}

// leave ends that, and closes it for whoever wanted it closed.
func (s *socket) leave() {
	s.mu.Lock()
	s.users--
	last := s.users == 0 && s.closed
	s.mu.Unlock()
	if last {
		s.release()
	}
}

// release closes the descriptor, which nobody uses any more.
func (s *socket) release() {
	if s.loop != nil {
		s.loop.remove(s)
	}
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(s.fd), 0, 0)
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.lock()
	if s.closed {
		s.mu.Unlock()
		return s.opError("close", net.ErrClosed)
	}
	s.closed = true
	patient := s.patient
	ends := s.reader != nil && !s.busy && !s.over
	s.over = s.over || ends
	s.users++
	s.stirLocked()
	s.mu.Unlock()
	if patient != nil {
		_ = patient.Close()
	}
	if ends {
		s.ended(s.opError("read", net.ErrClosed))
		return nil
	}
	s.leave()
	return nil
}

// Read implements net.Conn. Whoever reads for a loop reads what has come, with the error of a deadline where that is
// nothing, after which crypto/tls can go on.
func (s *socket) Read(p []byte) (int, error) {
	if s.scratch != nil {
		return s.readReady(s.scratch, p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	if err := s.usable(&s.input); err != nil {
		s.mu.Unlock()
		return 0, s.opError("read", err)
	}
	s.users++
	s.mu.Unlock()
	defer s.leave()
	x := scratches.Get().(*scratch)
	defer scratches.Put(x)
	for s.waited = false; !s.recv(x, p); s.waited = true {
		if err := s.await(&s.input); err != nil {
			return 0, s.opError("read", err)
		}
	}
	return s.outcome(x)
}

// readReady reads what has come, without waiting.
func (s *socket) readReady(x *scratch, p []byte) (int, error) {
	if s.empty && !s.hung {
		s.receipt.seen, s.waited = s.before, true // it was empty after that
		return 0, os.ErrDeadlineExceeded
	}
	before := x.clock
	if !s.recv(x, p) {
		s.empty, s.waited, s.before = true, true, s.receipt.seen
		return 0, os.ErrDeadlineExceeded
	}
	n, err := s.outcome(x)
	if err == nil {
		s.waited, s.empty, s.before = false, x.left == 0, before
	}
	return n, err
}

// Write implements net.Conn. Whoever reads for a loop may write only what there is room for.
func (s *socket) Write(p []byte) (n int, err error) {
	if !s.use() {
		return 0, s.opError("write", net.ErrClosed)
	}
	defer s.leave()
	for n < len(p) {
		rest := p[n:]
		m, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&rest[0])), uintptr(len(rest)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			n += int(m)
		case unix.EINTR:
		case unix.EAGAIN:
			m, err := s.writeWaiting(rest)
			return n + m, err
		default:
			return n, s.opError("write", os.NewSyscallError("write", errno))
		}
	}
	return n, nil
}

// writeWaiting is Write through Go's poller: whoever holds the loop up may need what is written here.
func (s *socket) writeWaiting(p []byte) (n int, err error) {
	patient, err := s.wait()
	if err != nil {
		return 0, err
	}
	waits := func(writing bool) {
		s.mu.Lock()
		s.writing = writing
		s.mu.Unlock()
	}
	waits(true)
	defer waits(false)
	return patient.Write(p)
}

// wait gives the connection as one of net's, which can wait.
func (s *socket) wait() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, s.opError("write", net.ErrClosed)
	}
	if s.patient != nil {
		return s.patient, nil
	}
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, s.opError("write", os.NewSyscallError("fcntl", err))
	}
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	patient, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	if tcp, ok := patient.(*net.TCPConn); ok {
		_ = tcp.SetKeepAlive(false) // which net turns on, but dialing doesn't
	}
	_ = patient.SetWriteDeadline(s.output.deadline) // fails only when closed
	s.patient = patient
	return patient, nil
}

// room reports whether a few bytes can be written by whoever reads without waiting, or whether that may wait.
func (c *conn) room() bool {
	if !c.pushed() {
		return true
	}
	s := &c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.writing {
		return false
	}
	ask := unix.PollFd{Fd: int32(s.fd), Events: unix.POLLOUT}
	var atOnce unix.Timespec
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&ask)), 1, uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0)
	return n == 1 && errno == 0
}

// CloseWrite shuts down the writing side.
func (s *socket) CloseWrite() error {
	if !s.use() {
		return s.opError("close", net.ErrClosed)
	}
	defer s.leave()
	if err := unix.Shutdown(s.fd, unix.SHUT_WR); err != nil {
		return s.opError("close", os.NewSyscallError("shutdown", err))
	}
	return nil
}

// SetLinger has Close reset the connection where sec is 0, as net.TCPConn's does.
func (s *socket) SetLinger(sec int) (err error) {
	linger := unix.Linger{Onoff: 1, Linger: int32(sec)}
	if gone := s.control(func(fd uintptr) { err = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &linger) }); gone != nil {
		return gone
	}
	return err
}

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn. What a loop reads knows none.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.deadlineError()
	}
	s.input.deadline = t
	s.stirLocked()
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.deadlineError()
	}
	s.output.deadline = t
	if s.patient == nil {
		return nil
	}
	return s.patient.SetWriteDeadline(t)
}

func (s *socket) deadlineError() error {
	return &net.OpError{Op: "set", Net: network, Addr: s.LocalAddr(), Err: net.ErrClosed}
}

// network is the name of what sockets are for.
const network = "tcp"

func (s *socket) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// control gives the descriptor to f, while it is open.
func (s *socket) control(f func(fd uintptr)) error {
	if !s.use() {
		return net.ErrClosed
	}
	defer s.leave()
	f(uintptr(s.fd))
	return nil
}
