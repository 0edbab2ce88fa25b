package bench

import (
	"os"
	"runtime/debug"
	"testing"
)

// A run's peak of memory is its own, and unknown where that can't be told from an earlier run's.
func TestPeakMemory(t *testing.T) {
	const much = 256 << 20
	held := make([]byte, much)
	for i := 0; i < much; i += os.Getpagesize() {
		held[i] = 1
	}
	before := processPeakMemory()
	if before < much {
		t.Fatalf("a peak of %d bytes, with %d of them held", before, len(held))
	}
	held = nil
	debug.FreeOSMemory()
	for _, runner := range []*Runner{{fakable: true}, {fakable: true}} {
		if r := newRun(runner); r.ownPeak && processPeakMemory() > before-much/2 {
			t.Errorf("a peak of %d bytes, as before the run, when it was %d", processPeakMemory(), before)
		}
	}
	if !ranBefore.Load() {
		t.Error("nothing knows of the run")
	}
}
