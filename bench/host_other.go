//go:build !linux

package bench

// sampleHost knows nothing of other systems.
func sampleHost() hostSample { return unknownHost() }

// forgetPeakMemory can't on other systems: the peak is the process's, whenever it was.
func forgetPeakMemory() bool { return false }

func peakMemorySince() uint64 { return 0 }
