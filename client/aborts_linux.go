package client

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An abortWatch tells connections that they were reset. Who waits for a socket to be ready without having seen that it is
// empty isn't told of a reset that came with the last bytes: Go's poller has told of both at once.
//
// The zero value is ready; it runs as long as it watches something. Safe for concurrent use.
type abortWatch struct {
	mu    sync.Mutex
	file  *os.File // of the epoll instance; nil while nothing is watched
	epoll int      // its descriptor
	conns map[int32]*stampedConn
}

// add begins to watch a connection. It reports whether it can be.
func (w *abortWatch) add(fd int32, c *stampedConn) bool {
	defer w.stopUnused()
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.closed || w.file == nil && !w.start() {
		return false
	}
	// No event is asked for: errors and hang-ups are told in any case.
	event := unix.EpollEvent{Events: unix.EPOLLET & 0xFFFFFFFF, Fd: fd}
	if unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, int(fd), &event) != nil {
		return false
	}
	w.conns[fd] = c
	return true
}

// remove ends that for good, before the descriptor is closed.
func (w *abortWatch) remove(fd int32, c *stampedConn) {
	defer w.stopUnused()
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.closed = true; w.conns[fd] == c {
		delete(w.conns, fd)
	}
}

func (w *abortWatch) start() bool {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	_ = unix.SetNonblock(fd, true) // so that Go's poller takes it
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return false
	}
	w.file, w.epoll, w.conns = file, fd, make(map[int32]*stampedConn)
	go w.run(raw)
	return true
}

// stopUnused ends run where nothing is watched any more.
func (w *abortWatch) stopUnused() {
	w.mu.Lock()
	file := w.file
	if len(w.conns) > 0 || file == nil {
		w.mu.Unlock()
		return
	}
	w.file = nil
	w.mu.Unlock()
	file.Close() // it waits for run, which takes the mutex
}

// run wakes who is told, until the file is closed.
func (w *abortWatch) run(raw syscall.RawConn) {
	var events [64]unix.EpollEvent
	_ = raw.Read(func(epoll uintptr) bool {
		for {
			n, err := unix.EpollWait(int(epoll), events[:], 0)
			switch {
			case err == unix.EINTR:
				continue
			case err != nil:
				return true
			case n == 0:
				return false
			}
			w.mu.Lock()
			for _, event := range events[:n] {
				if c := w.conns[event.Fd]; c != nil {
					c.aborted.Store(true)
					_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // wakes who waits
				}
			}
			w.mu.Unlock()
		}
	})
}
