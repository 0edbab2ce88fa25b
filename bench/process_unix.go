//go:build unix

package bench

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU is the processor time this process has used, 0 where it isn't known.
func processCPU() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// processPeakMemory is the most memory this process had resident, in bytes, since that was forgotten; 0 where it isn't known.
func processPeakMemory() uint64 {
	if peak := peakMemorySince(); peak > 0 {
		return peak
	}
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return uint64(usage.Maxrss) // bytes there, KiB elsewhere
	}
	return uint64(usage.Maxrss) << 10
}

// openFileLimit is how many descriptors this process may have open; 0 where it isn't known.
func openFileLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur)
}

func kernelVersion() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
