package bench

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// TestReceivedBeforeOpen: a kernel that had the first event of one connection long before user space had the connection says
// nothing of how long the others wait for theirs.
func TestReceivedBeforeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{}
			for n := 1; n <= 2000; n++ {
				at := time.Duration(n) * 5 * millisecond
				if at < a.at+900*millisecond { // it isn't in the server's list yet
					continue
				}
				kernel := at
				if a.conn == 0 && len(s.lines) == 0 {
					kernel = a.at - 4*second
				}
				ev := numbered(fmt.Sprint(n), fmt.Sprint(n))
				ev.Arrival = client.Arrival{Kernel: f.epoch(kernel), Earliest: f.epoch(kernel)}
				s.lines = append(s.lines, line{at, ev})
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{8 * second, 10}}, Duration: 10 * second, Warmup: -1, Sequence: Sequence{ID: true}})
		if result.Count(Lost) != 0 || result.Count(Boundary) == 0 {
			t.Errorf("%d lost, %d left out", result.Count(Lost), result.Count(Boundary))
		}
	})
}

// TestLeftEmpty: a connection that receives nothing is told of, also where what others received may have been published before
// it subscribed.
func TestLeftEmpty(t *testing.T) {
	for _, row := range []struct {
		period time.Duration
		lost   uint64
	}{{6 * second, 0}, {2 * second, 4}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(func(a attempt) (*fakeStream, error) {
				s := &fakeStream{}
				for n := 1; a.conn != 1 && time.Duration(n)*row.period < 14*second; n++ {
					s.lines = append(s.lines, line{time.Duration(n) * row.period, numbered(fmt.Sprint(n), fmt.Sprint(n))})
				}
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 14 * second, Warmup: -1, Sequence: Sequence{ID: true}})
			if result.Count(Lost) != row.lost {
				t.Errorf("%d lost, want %d", result.Count(Lost), row.lost)
			}
			checkTexts(t, "warnings", result.Warnings, "1 connection received nothing, though others did")
		})
	}
}

// TestFloodAfterTheEnd: what was lost at the end of the window stays so, however much is published while the run waits for what
// is under way.
func TestFloodAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{deaf: true}
			for n := 1; n < 9000; n++ {
				if a.conn != 1 || n <= 2900 || n > 2950 {
					s.lines = append(s.lines, line{time.Duration(n) * millisecond, numbered(fmt.Sprint("x", n), fmt.Sprint(n))})
				}
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 3 * second, Drain: 3 * second, Warmup: -1})
		if lost := result.Count(Lost); lost != 50 {
			t.Errorf("%d lost of 50", lost)
		}
	})
}
