//go:build !unix

package bench

import "time"

// What isn't known on this system is 0 or empty.
func processCPU() time.Duration { return 0 }
func processPeakMemory() uint64 { return 0 }
func openFileLimit() uint64     { return 0 }
func kernelVersion() string     { return "" }
