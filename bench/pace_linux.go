package bench

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A kernelTimer is one of the kernel's high-resolution timers, which Go's poller waits for: on an idle machine it is late
// by tens of microseconds, where Go's own are by hundreds. A thread that slept for it would have to be woken, and to be
// given a processor, each time.
type kernelTimer struct {
	file *os.File
	raw  syscall.RawConn
}

// newExactTimer gives Go's own timer where there is no better one.
func newExactTimer() exactTimer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return goTimer{}
	}
	file := os.NewFile(uintptr(fd), "timerfd")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return goTimer{}
	}
	return &kernelTimer{file, raw}
}

func (t *kernelTimer) sleep(d time.Duration) {
	value := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	var failed error
	err := t.raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &value, nil) })
	if err != nil || failed != nil {
		goTimer{}.sleep(d)
		return
	}
	var fired [8]byte
	_ = t.raw.Read(func(fd uintptr) bool { // it fails only when closed
		// RawSyscall, since it doesn't wait: told of each call, Go's scheduler wakes other threads.
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&fired)), unsafe.Sizeof(fired))
		return errno != unix.EAGAIN && errno != unix.EINTR
	})
}

func (t *kernelTimer) close() { t.file.Close() }
