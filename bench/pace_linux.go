package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// exactSleep blocks the thread in the kernel's high-resolution timer: on an idle machine it is late by tens of
// microseconds, where Go's timers are by hundreds.
func exactSleep(d time.Duration) {
	request := unix.NsecToTimespec(int64(d))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &request, &request) == unix.EINTR {
	}
}
