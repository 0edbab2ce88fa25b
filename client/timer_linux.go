package client

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An ExactTimer is one of the kernel's high-resolution timers, which Go's poller waits for: on an idle machine it is late
// by tens of microseconds, where Go's own are by hundreds, and by milliseconds in a process with one processor. A thread
// that slept for it would have to be woken, and to be given a processor, each time.
//
// Set may be called from any goroutine, Wait from one at a time.
type ExactTimer struct {
	file *os.File
	raw  syscall.RawConn
	arm  func(fd uintptr)      // with value; made once, as what follows, so that a wait allocates nothing
	read func(fd uintptr) bool // into fired

	mu     sync.Mutex // guards value and failed
	value  unix.ItimerSpec
	failed error

	fired [8]byte
}

// NewExactTimer makes one, which is to be closed. It takes a file descriptor, and fails where there is none left, and with
// errors.ErrUnsupported where the system has no such timer.
func NewExactTimer() (*ExactTimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "timerfd")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	if err := file.SetReadDeadline(time.Time{}); err != nil { // Go's poller couldn't take it: nothing would wait for it
		file.Close()
		return nil, err
	}
	t := &ExactTimer{file: file, raw: raw}
	t.arm = func(fd uintptr) { t.failed = unix.TimerfdSettime(int(fd), 0, &t.value, nil) }
	t.read = func(fd uintptr) bool {
		// RawSyscall, since it doesn't wait: told of each call, Go's scheduler wakes other threads.
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&t.fired)), unsafe.Sizeof(t.fired))
		return errno != unix.EAGAIN && errno != unix.EINTR
	}
	return t, nil
}

// Set has the timer fire once after d, at once where that isn't positive, instead of when it was set for before.
func (t *ExactTimer) Set(d time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value.Value = unix.NsecToTimespec(int64(max(d, 1))) // 0 would disarm it
	if err := t.raw.Control(t.arm); err != nil {
		return err
	}
	return os.NewSyscallError("timerfd_settime", t.failed)
}

// Wait waits until the timer has fired since the last Wait. It fails once the timer is closed.
func (t *ExactTimer) Wait() error { return t.raw.Read(t.read) }

// Close ends the Wait under way.
func (t *ExactTimer) Close() { t.file.Close() }
