package bench

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnderWayAtTheBegin: what was under way when the window began, and came after all, makes up for nothing that was
// lost in the window.
func TestUnderWayAtTheBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			delay := []time.Duration{2 * second, millisecond}[a.conn]
			lines := ticker(10*millisecond, 15*second, delay, f.stamped)
			if a.conn == 0 { // loses 7 that are due before the window, and 50 in it
				lines = slices.Delete(lines, 800, 850)
				lines = slices.Delete(lines, 400, 407)
			}
			return &fakeStream{lines: lines}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 7 * second, Warmup: 5 * second})
		if result.Count(Lost) != 57 || result.Absent[Delivery] != 50 {
			t.Errorf("%d lost, of the window %d", result.Count(Lost), result.Absent[Delivery])
		}
		if e := result.Estimate(Delivery, .99); !e.AtLeast {
			t.Errorf("p99: %+v", e)
		}
	})
}
