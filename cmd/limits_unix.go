//go:build unix

package cmd

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"syscall"
)

// openFiles is how many descriptors this process may open; 0 for no limit that is known.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}

// localPorts is how many ports the system has for outgoing connections from one address to one server.
func localPorts() int {
	const standard = 65535 - 49152 + 1 // RFC 6335
	if runtime.GOOS != "linux" {
		return standard
	}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return standard
	}
	var first, last int
	if _, err := fmt.Sscan(string(b), &first, &last); err != nil || last <= first {
		return standard
	}
	return last - first + 1
}
