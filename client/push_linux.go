package client

import (
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// push has a loop read the connection from now on, for r, which has in so many bytes from hot on what it needs for each
// event, and hands that to a sink. It reports false where that can't be, as where reading is to wait; then nothing has
// changed. Nobody may read or write meanwhile.
func (c *conn) push(r reader, hot unsafe.Pointer, bytes uintptr, to Sink) bool {
	s := &c.socket
	if c.tcp != s || c.throttle != nil {
		return false
	}
	s.loop.foresee(s, nearOf(c, hot, bytes, to))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.reader, s.began, s.stirred = r, time.Now(), nil
	s.waited, s.hung = false, s.hangs
	s.users++
	s.busy = true
	go s.begin()
	return true
}

// pushed reports whether a loop reads the connection.
func (c *conn) pushed() bool { return c.socket.reader != nil }

// begin reads what has come by now, and leaves the rest to the loop.
func (s *socket) begin() {
	if !s.owner.takePending(s.reader, new(Event)) {
		s.ended(nil)
		return
	}
	if s.owner.silence != nil {
		s.loop.watchSilence(s)
	}
	s.serveAlone()
}

// turn is how often a socket is read before the others of its loop have their turn, and Close is looked for: a peer may
// send as fast as it is read.
const turn = 16

// takeReady reads what has come, and hands it on. over says that reading has ended, and err why, as for reader.end; more
// that there may be more to read at once.
func (c *conn) takeReady(x *reading, r reader) (more, over bool, err error) {
	for range turn {
		if c.deaf.Load() {
			return false, false, nil
		}
		n, err := c.readReady(x)
		if n > 0 {
			c.given += n
			c.filled = n == len(x.buf)
			c.noteRead(time.Now())
			if !r.take(x.buf[:n], &x.event) {
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
func (c *conn) readReady(x *reading) (n int, err error) {
	if c.secure != nil {
		c.socket.scratch = &x.scratch
		n, err = c.secure.Read(x.buf)
		c.socket.scratch = nil
		return n, err
	}
	if n, err = c.socket.readReady(&x.scratch, x.buf); n > 0 {
		c.in += uint64(n)
		c.given = 0
	}
	return n, err
}

// ready takes what the system has told of, and reads what has come. It reports whether serve has to go on.
func (s *socket) ready(x *reading, events uint32) (more bool) {
	hangs := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLPRI) != 0
	if !hangs && !s.owner.deaf.Load() && s.hold.CompareAndSwap(holdFree, holdTaken) {
		s.empty = false
		return s.serve(x)
	}
	s.lock()
	s.hangs = s.hangs || hangs
	switch {
	case s.closed, s.owner.deaf.Load():
		s.mu.Unlock()
		return false
	case s.reader == nil, s.over: // somebody may wait
		s.input.came = s.input.came || hangs || events&unix.EPOLLIN != 0
		s.output.came = s.output.came || hangs || events&unix.EPOLLOUT != 0
		s.stirLocked()
		s.mu.Unlock()
		return false
	case s.busy:
		s.again = true
		s.mu.Unlock()
		return false
	}
	s.busy = true
	s.users++
	writing := s.writing
	s.mu.Unlock()
	s.empty, s.hung = false, s.hung || hangs
	if writing && s.owner.secure != nil { // reading TLS may write, which would wait, too
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
		more, over, err := s.owner.takeReady(x, s.reader)
		if !over && (more && s.hold.Load() == holdTaken || s.hold.CompareAndSwap(holdTaken, holdFree)) {
			return more
		}
		s.lock()
		switch {
		case !over && s.closed:
			over, err = true, s.opError("read", net.ErrClosed)
		case more:
			s.mu.Unlock()
			return true
		case !over && s.again:
			s.empty, s.hung = false, s.hangs
			s.again = false
			s.mu.Unlock()
			continue
		case !over:
			s.busy = false
			s.users--
			if s.owner.secure == nil { // else somebody may have to wait until TLS can be written
				s.hold.Store(holdFree)
			}
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
	s.loop.ignoreSilence(s)
	s.lock()
	s.over, s.busy = true, false
	s.mu.Unlock()
	s.leave()
	go s.reader.end(err)
}

// silent reports whether nothing has come for too long, and else until when that is not so. Where it is, nobody reads
// any more, and the caller is a user of the descriptor.
func (s *socket) silent(now time.Time) (until time.Time, over bool) {
	s.lock()
	defer s.mu.Unlock()
	if s.over || s.closed || s.busy {
		return now.Add(max(silenceLook, s.owner.silence.limit())), false
	}
	since := s.quietSince()
	if !s.owner.silence.over(since, now) {
		until, _ = s.owner.silence.next(since, now)
		return until, false
	}
	s.over = true
	s.users++
	return since.Add(s.owner.silence.limit()), true
}

// quietSince is when the socket was read last, or began to be. Whoever reads may ask.
func (s *socket) quietSince() time.Time {
	if s.owner.lastRead.After(s.began) {
		return s.owner.lastRead
	}
	return s.began
}
