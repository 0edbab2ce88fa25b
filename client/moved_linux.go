package client

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// moved is what a socket has once a loop reads it.
type moved struct {
	loop   *eventLoop // nil until then
	owner  *conn
	reader reader
	fd     int

	// Whoever reads has these.
	hung   bool  // the peer won't send any more: it is read until that is told
	empty  bool  // all that had come was read, since the system told of something last
	before int64 // when that was not so yet, ns since the epoch

	mu      sync.Mutex
	users   int  // of the descriptor
	busy    bool // somebody reads
	again   bool // more came meanwhile
	hangs   bool // which was the end
	over    bool // nobody reads any more
	closed  bool
	waiting bool // somebody waits until it can be written

	// The loop's mutex guards these, and is taken before the socket's.
	place      int       // in the loop; -1 for none
	rank       int       // in the heap of those that are watched for silence, from 1; 0 for none
	quietUntil time.Time // at the earliest, as far as was looked at

	began                       time.Time
	patient                     net.Conn // the same connection as one of net's, for what has to wait; nil where nothing had to
	readDeadline, writeDeadline time.Time
}

// push has a loop read the connection from now on, for r. It reports false where that can't be; then nothing has
// changed. Nobody may read or write meanwhile.
func (c *conn) push(loops *eventLoops, r reader) bool {
	s := &c.socket
	if s.tcp == nil || !s.move(loops.loop(), c, r) {
		return false
	}
	go s.begin()
	return true
}

// turn is how often a socket is read before the others of its loop have their turn, and Close is looked for: a peer may
// send as fast as it is read.
const turn = 16

// takeReady reads what has come, and hands it on. over says that reading has ended, and err why, as for reader.end; more
// that there may be more to read at once.
func (c *conn) takeReady(x *reading, r reader) (more, over bool, err error) {
	for range turn {
		n, err := c.readReady(x.buf)
		if n > 0 {
			c.given += n
			c.filled = n == len(x.buf)
			c.noteRead(time.Now())
			if !r.take(x.buf[:n]) {
				return false, true, nil
			}
			x.clock = c.lastRead.UnixNano()
		}
		switch err {
		case nil:
		case os.ErrDeadlineExceeded:
			return false, false, nil
		default:
			return false, true, err
		}
	}
	return true, false, nil
}

// readReady reads what has come, without waiting.
func (c *conn) readReady(p []byte) (n int, err error) {
	if c.secure != nil {
		return c.secure.Read(p)
	}
	if n, err = c.socket.readMoved(p); n > 0 {
		c.in.Add(uint64(n))
		c.given = 0
	}
	return n, err
}

func (s *socket) move(loop *eventLoop, owner *conn, r reader) bool {
	fd := -1
	err := s.raw.Control(func(was uintptr) { fd, _ = unix.FcntlInt(was, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || fd < 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = unix.Close(fd)
		return false
	}
	_ = s.tcp.Close() // with this descriptor the socket leaves Go's poller, which would be told of all that comes as well
	s.tcp, s.raw, s.attempt, s.scratch = nil, nil, nil, nil
	s.loop, s.owner, s.reader, s.fd, s.place, s.began = loop, owner, r, fd, -1, time.Now()
	s.waited = false
	s.users++
	s.busy = true
	return true
}

// begin reads what has come by now, and has the loop watch for more.
func (s *socket) begin() {
	if !s.owner.takePending(s.reader) {
		s.ended(nil)
		return
	}
	if err := s.loop.add(s); err != nil {
		s.ended(err)
		return
	}
	s.serveAlone()
}

// ready reads what has come, of which the loop was told. It reports whether serve has to go on.
func (s *socket) ready(x *reading, events uint32) (more bool) {
	hangs := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	s.mu.Lock()
	switch {
	case s.over, s.closed:
		s.mu.Unlock()
		return false
	case s.busy:
		s.again, s.hangs = true, s.hangs || hangs
		s.mu.Unlock()
		return false
	}
	s.busy = true
	s.users++
	waiting := s.waiting
	s.mu.Unlock()
	s.empty, s.hung = false, s.hung || hangs
	if waiting && s.owner.secure != nil { // reading TLS may write, which would wait, too
		go s.serveAlone()
		return false
	}
	return s.serve(x)
}

// serveAlone reads without the loop.
func (s *socket) serveAlone() {
	x := readings.Get().(*reading)
	defer readings.Put(x)
	x.clock = time.Now().UnixNano()
	for s.serve(x) {
	}
}

// serve reads what has come, as long as more does, but for a turn. It reports whether it has to be called again.
func (s *socket) serve(x *reading) (more bool) {
	for {
		s.scratch = &x.scratch
		more, over, err := s.owner.takeReady(x, s.reader)
		s.scratch = nil
		s.mu.Lock()
		switch {
		case !over && s.closed:
			over, err = true, s.opError("read", net.ErrClosed)
		case more:
			s.mu.Unlock()
			return true
		case !over && s.again:
			s.empty, s.hung = false, s.hung || s.hangs
			s.again = false
			s.mu.Unlock()
			continue
		case !over:
			s.busy = false
			s.letGo()
			s.mu.Unlock()
			return false
		}
		s.mu.Unlock()
		s.ended(err)
		return false
	}
}

// ended tells the reader that reading has ended, where whoever has ended it is a user of the descriptor.
func (s *socket) ended(err error) {
	s.loop.remove(s)
	s.mu.Lock()
	s.over, s.busy = true, false
	s.letGo()
	s.mu.Unlock()
	go s.reader.end(err)
}

// silent reports whether nothing has come for too long, and else until when that is not so. Where it is, nobody reads
// any more, and the caller is a user of the descriptor.
func (s *socket) silent(now time.Time) (until time.Time, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.closed || s.busy {
		return now.Add(s.owner.idle), false
	}
	if until = s.due(); until.After(now) {
		return until, false
	}
	s.over = true
	s.users++
	return until, true
}

// due is when the socket will have been quiet for too long, unless it is read before. Whoever reads may ask.
func (s *socket) due() time.Time {
	since := s.began
	if s.owner.lastRead.After(since) {
		since = s.owner.lastRead
	}
	return since.Add(s.owner.idle)
}

// use reports whether the descriptor may be used, until letGo.
func (s *socket) use() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.users++
	return true
}

// letGo ends that, and closes it for whoever wanted it closed. The mutex must be held.
func (s *socket) letGo() {
	if s.users--; s.users == 0 && s.closed && s.loop != nil {
		_ = unix.Close(s.fd)
	}
}

func (s *socket) leave() {
	s.mu.Lock()
	s.letGo()
	s.mu.Unlock()
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.mu.Lock()
	if s.loop == nil {
		s.closed = true
		tcp := s.tcp
		s.mu.Unlock()
		return tcp.Close()
	}
	if s.closed {
		s.mu.Unlock()
		return s.opError("close", net.ErrClosed)
	}
	s.closed = true
	patient, ends := s.patient, !s.busy && !s.over
	s.over = s.over || ends
	s.users++
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

// readMoved reads what has come, with the error of a deadline where that is nothing, after which crypto/tls can go on.
// Once nobody reads for the loop any more it waits.
func (s *socket) readMoved(p []byte) (int, error) {
	if s.scratch == nil {
		patient, err := s.wait()
		if err != nil {
			return 0, err
		}
		return patient.Read(p)
	}
	if s.empty && !s.hung {
		s.receipt.seen, s.waited = s.before, true // it was empty after that
		return 0, os.ErrDeadlineExceeded
	}
	before := s.scratch.clock
	s.into(p)
	some := s.recv(uintptr(s.fd))
	s.scratch.vector.Base = nil
	if !some {
		s.empty, s.before = true, s.receipt.seen
		return 0, os.ErrDeadlineExceeded
	}
	if err := s.outcome(nil); err != nil {
		return 0, err
	}
	s.received(len(p))
	s.waited, s.empty, s.before = false, s.scratch.left == 0, before
	return s.scratch.n, nil
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
		_ = tcp.SetKeepAlive(false) // which net turns on, but not for the connection that was dialed
	}
	_ = patient.SetReadDeadline(s.readDeadline) // fails only when closed
	_ = patient.SetWriteDeadline(s.writeDeadline)
	s.patient = patient
	return patient, nil
}

// Write implements net.Conn. Whoever reads for a loop may write only what there is room for.
func (s *socket) Write(p []byte) (n int, err error) {
	if s.loop == nil {
		return s.tcp.Write(p)
	}
	if !s.use() {
		return 0, s.opError("write", net.ErrClosed)
	}
	defer s.leave()
	for n < len(p) {
		m, err := unix.Write(s.fd, p[n:])
		switch err {
		case nil:
			n += m
		case unix.EINTR:
		case unix.EAGAIN:
			m, err := s.writeWaiting(p[n:])
			return n + m, err
		default:
			return n, s.opError("write", os.NewSyscallError("write", err))
		}
	}
	return n, nil
}

func (s *socket) writeWaiting(p []byte) (n int, err error) {
	patient, err := s.wait()
	if err != nil {
		return 0, err
	}
	waits := func(waiting bool) {
		s.mu.Lock()
		s.waiting = waiting
		s.mu.Unlock()
	}
	waits(true)
	defer waits(false)
	return patient.Write(p)
}

// pushed reports whether a loop reads the connection.
func (c *conn) pushed() bool { return c.socket.loop != nil }

// room reports whether a few bytes can be written by whoever reads without waiting, or whether that may wait.
func (c *conn) room() bool {
	if !c.pushed() {
		return true
	}
	s := &c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.waiting {
		return false
	}
	ask := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(ask, 0)
	return n == 1 && err == nil
}

// CloseWrite shuts down the writing side.
func (s *socket) CloseWrite() error {
	if s.loop == nil {
		if half, ok := s.tcp.(interface{ CloseWrite() error }); ok {
			return half.CloseWrite()
		}
		return net.ErrClosed
	}
	if !s.use() {
		return s.opError("close", net.ErrClosed)
	}
	defer s.leave()
	if err := unix.Shutdown(s.fd, unix.SHUT_WR); err != nil {
		return s.opError("close", os.NewSyscallError("shutdown", err))
	}
	return nil
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
	if s.loop == nil {
		return s.tcp.SetReadDeadline(t)
	}
	return s.setDeadline(&s.readDeadline, t, net.Conn.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if s.loop == nil {
		return s.tcp.SetWriteDeadline(t)
	}
	return s.setDeadline(&s.writeDeadline, t, net.Conn.SetWriteDeadline)
}

func (s *socket) setDeadline(which *time.Time, t time.Time, set func(net.Conn, time.Time) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return &net.OpError{Op: "set", Net: s.local.Network(), Addr: s.local, Err: net.ErrClosed}
	}
	*which = t
	if s.patient == nil {
		return nil
	}
	return set(s.patient, t)
}

// control gives the descriptor to f, while it is open.
func (s *socket) control(f func(fd uintptr)) error {
	s.mu.Lock()
	raw := s.raw
	s.mu.Unlock()
	if raw != nil {
		return raw.Control(f)
	}
	if !s.use() {
		return net.ErrClosed
	}
	defer s.leave()
	f(uintptr(s.fd))
	return nil
}

// withFD gives the descriptor below c to f, while it is open.
func withFD(c net.Conn, f func(fd uintptr)) error {
	if s, ok := c.(*socket); ok {
		return s.control(f)
	}
	if raw := rawConn(c); raw != nil {
		return raw.Control(f)
	}
	return net.ErrClosed
}
