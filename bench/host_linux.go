package bench

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sampleHost reads /proc and the control group's files (proc_stat(5), cgroups(7), PSI).
func sampleHost() hostSample {
	s := unknownHost()
	if line, ok := firstLine("/proc/stat", "cpu "); ok {
		s.stolen, s.ticks = 0, 0
		const steal, guest = 7, 8 // guest time is in user time already
		for i, field := range strings.Fields(line) {
			n, err := strconv.ParseFloat(field, 64)
			if err != nil || i >= guest {
				break
			}
			s.ticks += n
			if i == steal {
				s.stolen = n
			}
		}
	}
	if line, ok := firstLine("/proc/pressure/cpu", "some "); ok {
		if _, total, ok := strings.Cut(line, "total="); ok {
			if us, err := strconv.ParseInt(total, 10, 64); err == nil {
				s.waited = time.Duration(us) * time.Microsecond
			}
		}
	}
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		s.throttled = throttled(b, "/sys/fs/cgroup")
	}
	return s
}

// throttled sums for how long a control group, and those around it, were kept from running. groups is what
// /proc/self/cgroup says, and root where the hierarchy is mounted. It is negative where no group has a limit.
func throttled(groups []byte, root string) time.Duration {
	sum := time.Duration(-1)
	add := func(dir, path, key string, unit time.Duration) {
		for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
			if text, ok := firstLine(filepath.Join(root, dir, path, "cpu.stat"), key+" "); ok {
				if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
					sum = max(sum, 0) + time.Duration(n)*unit
				}
			}
			if path == "/" {
				return
			}
		}
	}
	for line := range bytes.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch controllers := strings.Split(fields[1], ","); {
		case fields[0] == "0":
			add("", fields[2], "throttled_usec", time.Microsecond)
		case slices.Contains(controllers, "cpu"):
			add(fields[1], fields[2], "throttled_time", time.Nanosecond)
		}
	}
	return sum
}

// firstLine gives what follows prefix on the first line of a file that begins with it.
func firstLine(path, prefix string) (rest string, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// forgetPeakMemory has peakMemorySince tell of what comes from now on (proc_pid_clear_refs(5)), and reports whether it does.
func forgetPeakMemory() bool {
	file, err := os.OpenFile("/proc/self/clear_refs", os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	_, err = file.WriteString("5")
	return err == nil && file.Close() == nil && peakMemorySince() > 0
}

// peakMemorySince is the most memory this process had resident since it was forgotten, in bytes; 0 where it isn't known.
func peakMemorySince() uint64 {
	text, _ := firstLine("/proc/self/status", "VmHWM:")
	kib, err := strconv.ParseUint(strings.TrimSuffix(text, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
