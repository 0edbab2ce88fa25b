package client

import (
	"container/heap"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventLoops watch all sockets, which take turns to join one. The zero value is ready. Safe
// for concurrent use.
type eventLoops struct {
	once  sync.Once
	loops []eventLoop
	next  atomic.Uint32
}

// loop gives the loop for one more socket.
func (s *eventLoops) loop() *eventLoop {
	s.once.Do(func() { s.loops = make([]eventLoop, runtime.GOMAXPROCS(0)) })
	return &s.loops[int(s.next.Add(1))%len(s.loops)]
}

// An eventLoop waits for many sockets at once, on one goroutine that lasts as long as it has any, and has each read what
// has come. It is told of what happens once (EPOLLET), so that a socket which is told to be ready is read until it is
// empty.
//
// The zero value is ready. Safe for concurrent use.
type eventLoop struct {
	mu     sync.Mutex
	file   *os.File // of the epoll instance; nil while it has no socket
	epoll  int      // its descriptor
	places []place
	free   []int // places without a socket
	count  int   // sockets
	quiet  timeHeap[*socket]
}

// A place is where an event finds its socket.
type place struct {
	socket *socket
	uses   int32 // by which an event of its former socket is told
	near   near  // what reading it touches; zero until it is pushed
}

// batch is how many sockets are looked at between two questions to the system.
const batch = 256

// readSize is how much a loop reads at a time, in bytes. It holds one buffer for all its sockets.
const readSize = 64 << 10

// A reading is what a socket is read with.
type reading struct {
	scratch
	buf   []byte
	event Event
}

func newReading() *reading {
	x := &reading{buf: make([]byte, readSize)}
	x.init()
	return x
}

// readings are for sockets that are read outside of their loop.
var readings = sync.Pool{New: func() any { return newReading() }}

// add begins to watch a socket for events. What has come before is told of, too.
func (l *eventLoop) add(s *socket, events uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		if err := l.start(); err != nil {
			return err
		}
	}
	var at int
	if last := len(l.free) - 1; last >= 0 {
		at, l.free = l.free[last], l.free[:last]
	} else {
		at = len(l.places)
		l.places = append(l.places, place{})
	}
	event := unix.EpollEvent{Events: events | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET&0xFFFFFFFF, Fd: int32(at), Pad: l.places[at].uses}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(l.epoll), unix.EPOLL_CTL_ADD, uintptr(s.fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	l.count++
	if errno != 0 {
		l.vacate(at)
		return os.NewSyscallError("epoll_ctl", errno)
	}
	l.places[at].socket, s.place = s, at
	return nil
}

// remove ends that, for a socket that is about to be closed, with which the system forgets it.
func (l *eventLoop) remove(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.place < 0 {
		return
	}
	l.ignore(s)
	l.vacate(s.place)
	s.place = -1
}

// vacate leaves a place to another socket. The mutex must be held.
func (l *eventLoop) vacate(at int) {
	place := &l.places[at]
	place.socket, place.near = nil, near{}
	place.uses++
	l.free = append(l.free, at)
	if l.count--; l.count == 0 {
		l.alarm()
	}
}

// watchSilence has the socket end once it has been quiet for too long.
func (l *eventLoop) watchSilence(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.quietUntil, _ = s.owner.silence.next(s.quietSince(), time.Now())
	heap.Push(&l.quiet, s)
	if l.quiet[0] == s {
		l.alarm()
	}
}

// ignoreSilence ends that.
func (l *eventLoop) ignoreSilence(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ignore(s)
}

func (l *eventLoop) ignore(s *socket) {
	if s.rank > 0 {
		heap.Remove(&l.quiet, s.rank-1)
	}
}

func (l *eventLoop) start() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(fd, true) // so that Go's poller takes it
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return err
	}
	l.file, l.epoll = file, fd
	go l.run(raw)
	return nil
}

// run reads what has come, until the file is closed.
func (l *eventLoop) run(raw syscall.RawConn) {
	var events [batch]unix.EpollEvent
	var ready [batch]*socket
	var nears [batch]near // of these
	var unread []*socket  // those that had their turn and are to be read again
	broken := false
	x := newReading()
	look := func(epoll uintptr) bool {
		for {
			// RawSyscall, since it doesn't wait: told of each call, Go's scheduler wakes other threads.
			n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
			switch {
			case errno == unix.EINTR:
				continue
			case errno != 0:
				broken = true
				return true
			case n == 0 && len(unread) == 0:
				return false
			}
			x.clock = time.Now().UnixNano()
			unread = slices.DeleteFunc(unread, func(s *socket) bool { return !s.serve(x) })
			l.find(events[:n], ready[:], nears[:])
			for i, s := range ready[:n] {
				if next := i + 1; next < int(n) {
					nears[next].fetch()
				}
				if s != nil && s.ready(x, events[i].Events) {
					unread = append(unread, s)
				}
				ready[i] = nil
			}
			if len(unread) > 0 { // it goes on, but for what is due
				return true
			}
			if n < batch { // whatever has come meanwhile wakes it again
				return false
			}
		}
	}
	for {
		switch err := raw.Read(look); {
		case err == nil && !broken:
		case !errors.Is(err, os.ErrDeadlineExceeded) || l.stop():
			return
		default:
			l.expire()
		}
	}
}

// stop ends a loop that has no sockets. It reports whether it did.
func (l *eventLoop) stop() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count > 0 {
		return false
	}
	l.file.Close()
	l.file, l.places, l.free = nil, nil, nil
	return true
}

// foresee notes what reading a socket touches.
func (l *eventLoop) foresee(s *socket, near near) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.place >= 0 {
		l.places[s.place].near = near
	}
}

// find gives the sockets of events, nil for one that has gone, and what reading each of them touches.
func (l *eventLoop) find(events []unix.EpollEvent, ready []*socket, nears []near) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, event := range events {
		if at := int(event.Fd); at < len(l.places) && l.places[at].uses == event.Pad {
			ready[i], nears[i] = l.places[at].socket, l.places[at].near
		}
	}
}

// alarm has the loop look for sockets that have been quiet for too long, when the first of them will have been, and at
// once whether it is still of use where it has none.
func (l *eventLoop) alarm() {
	var at time.Time
	switch {
	case l.count == 0:
		at = time.Unix(1, 0)
	case len(l.quiet) > 0:
		at = l.quiet[0].quietUntil
	}
	_ = l.file.SetReadDeadline(at)
}

// expire ends the streams whose sockets have been quiet for too long.
func (l *eventLoop) expire() {
	now := time.Now()
	var over []*socket
	l.mu.Lock()
	for len(l.quiet) > 0 && !l.quiet[0].quietUntil.After(now) {
		s := l.quiet[0]
		until, ended := s.silent(now)
		if ended {
			heap.Pop(&l.quiet)
			over = append(over, s)
			continue
		}
		s.quietUntil = until
		heap.Fix(&l.quiet, 0)
	}
	if l.file != nil {
		l.alarm()
	}
	l.mu.Unlock()
	for _, s := range over {
		s.ended(s.owner.idleError())
	}
}

// dueAt is when the socket will have been quiet for too long, as far as was known when that was looked at last: what is read
// moves no timer.
func (s *socket) dueAt() time.Time { return s.quietUntil }
func (s *socket) rankAt() *int     { return &s.rank }
