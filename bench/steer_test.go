package bench

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// steered makes a run to which somebody does things at times after its start.
func (f *fakeServer) steered(t *testing.T, plan Plan, hands map[time.Duration]func(*Runner) error) *Result {
	t.Helper()
	r := f.runner(plan)
	for at, hand := range hands {
		time.AfterFunc(at, func() {
			if err := hand(r); err != nil {
				t.Errorf("at %v: %v", at, err)
			}
		})
	}
	result, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, late := range []error{r.End(), r.Speed(1), r.Resize(3), r.Drop(client.BreakFIN, 1)} {
		if late == nil {
			t.Error("a run that is over was steered")
		}
	}
	return result
}

// TestSpeed: the schedule goes on from where it is, faster, slower, or not at all, and what was due counts by that.
func TestSpeed(t *testing.T) {
	speed := func(x float64) func(*Runner) error { return func(r *Runner) error { return r.Speed(x) } }
	for _, row := range []struct {
		name  string
		rate  float64
		hands map[time.Duration]func(*Runner) error
		due   uint64
	}{
		{"as planned", 10, nil, 80},
		{"faster", 10, map[time.Duration]func(*Runner) error{5 * second: speed(3)}, 40 + 120},
		{"slower", 10, map[time.Duration]func(*Runner) error{5 * second: speed(.5)}, 40 + 20},
		{"paused", 10, map[time.Duration]func(*Runner) error{3 * second: speed(0), 7 * second: speed(1)}, 20 + 20},
		{"paused to the end", 10, map[time.Duration]func(*Runner) error{4 * second: speed(0)}, 30},
		{"paused, and twice as fast", 10, map[time.Duration]func(*Runner) error{3 * second: speed(0), 4 * second: speed(2), 8 * second: speed(1)}, 20 + 80 + 10},
		{"after the plan's last one", .2, map[time.Duration]func(*Runner) error{8 * second: speed(10)}, 4},
		{"while the next one is far away", .4, map[time.Duration]func(*Runner) error{2 * second: speed(10)}, 1 + 28},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(echo(millisecond, nil))
				result := f.steered(t, Plan{Stages: []Stage{{0, 2}}, Duration: 8 * second, Warmup: -1, Send: Sending{Rate: row.rate}}, row.hands)
				if got := result.Count(Due); got+1 < row.due || got > row.due+1 { // where a change falls on an arrival, it may be on either side
					t.Errorf("%d were due, want %d", got, row.due)
				}
				if len(result.Doubts) > 0 || result.Count(Unsent) > 0 || result.Stop != StopDuration {
					t.Errorf("%v, %d unsent, %v", result.Doubts, result.Count(Unsent), result.Stop)
				}
				if h := result.Histogram(PublishLateness); h.Max() > int64(time.Microsecond) {
					t.Errorf("sent late by %v", time.Duration(h.Max()))
				}
				if len(result.Annotations) != len(row.hands) || warned(result, "the run was steered by hand") != (len(row.hands) > 0) {
					t.Errorf("%v, %v", result.Annotations, result.Warnings)
				}
			})
		})
	}
}

// TestWarp: a change of speed is from the first arrival on, and what was due before it stays due when it was.
func TestWarp(t *testing.T) {
	w := &newSteering(Segments{{second, 0, 0}, {9 * second, 10, 10}}).warp
	due := func(n uint64) time.Duration {
		at, _, ok := w.due(n)
		if !ok {
			return -1
		}
		return at.Round(millisecond)
	}
	dues := func(want ...time.Duration) {
		t.Helper()
		for i, n := range []uint64{0, 1, 10, 50, 100} {
			if got := due(n); got != want[i] {
				t.Errorf("%d is due at %v, want %v", n, got, want[i])
			}
		}
	}
	dues(second, 1100*millisecond, 2*second, 6*second, -1)
	w.set(second/2, 2) // before the first one
	dues(second, 1050*millisecond, 1500*millisecond, 3500*millisecond, 6*second)
	w.set(3*second, 0)
	dues(second, 1050*millisecond, 1500*millisecond, Forever, Forever)
	w.set(5*second, 1)
	dues(second, 1050*millisecond, 1500*millisecond, 6*second, 11*second)
	for until, want := range map[time.Duration]float64{0: 0, 2 * second: 20, 3 * second: 40, 4 * second: 40, 6 * second: 50} {
		if got := w.arrivals(until); math.Abs(got-want) > .01 {
			t.Errorf("%v were due until %v, want %v", got, until, want)
		}
	}
	w.set(6*second, maxSpeed)
	if got := w.arrivals(longest); !(got > 1e6) {
		t.Errorf("%v in a year", got)
	}
	for range 3 * maxPieces {
		w.set(7*second, 1)
	}
	if len(w.pieces) > 5 {
		t.Errorf("%d pieces for as many times", len(w.pieces))
	}
}

// TestSpeedWhileConnecting: nothing is sent before connections are open, and nothing late.
func TestSpeedWhileConnecting(t *testing.T) {
	for _, x := range []float64{2, .5} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(echo(millisecond, nil))
			result := f.steered(t, Plan{Stages: []Stage{{0, 10}}, ConnectRate: 2, Duration: 10 * second, Warmup: -1, Send: Sending{Rate: 10}},
				map[time.Duration]func(*Runner) error{second: func(r *Runner) error { return r.Speed(x) }})
			if got, want := float64(result.Count(Due)), 100*x; math.Abs(got-want) > 1 || len(result.Doubts) > 0 || result.Histogram(PublishLateness).Max() > int64(time.Microsecond) {
				t.Errorf("%v times: %v were due, %v", x, got, result.Doubts)
			}
		})
	}
}

// TestResizeChat: those that send are every so many-th of those that are open, whoever has come and gone.
func TestResizeChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(echo(millisecond, nil))
		size := func(n int) func(*Runner) error { return func(r *Runner) error { return r.Resize(n) } }
		result := f.steered(t, Plan{Stages: []Stage{{0, 10}}, Duration: 10 * second, Warmup: -1, Send: Sending{Rate: 50, Every: 2}},
			map[time.Duration]func(*Runner) error{3 * second: size(5), 5 * second: size(11)})
		if result.Count(Unsent) > 0 {
			t.Errorf("%d of %d unsent", result.Count(Unsent), result.Count(Due))
		}
	})
}

// TestResize: connections are opened at the pace of the plan, and the youngest closed; a newer wish replaces one that is not
// yet fulfilled.
func TestResize(t *testing.T) {
	size := func(n int) func(*Runner) error { return func(r *Runner) error { return r.Resize(n) } }
	for _, row := range []struct {
		name      string
		hands     map[time.Duration]func(*Runner) error
		peak, end int
		opened    uint64
	}{
		{"more", map[time.Duration]func(*Runner) error{5 * second: size(7)}, 7, 7, 7},
		{"fewer", map[time.Duration]func(*Runner) error{5 * second: size(1)}, 4, 1, 4},
		{"more, then fewer", map[time.Duration]func(*Runner) error{5 * second: size(6), 8 * second: size(2)}, 6, 2, 6},
		{"fewer, then more", map[time.Duration]func(*Runner) error{5 * second: size(2), 6 * second: size(5)}, 5, 5, 7},
		{"not yet fulfilled", map[time.Duration]func(*Runner) error{5 * second: size(1000), 5*second + 1600*millisecond: size(5)}, 7, 5, 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(func(a attempt) (*fakeStream, error) {
					return &fakeStream{lines: since(a.at, ticker(100*millisecond, 13*second, millisecond, f0(a)))}, nil
				})
				result := f.steered(t, Plan{Stages: []Stage{{0, 4}}, ConnectRate: 2, Duration: 10 * second, Warmup: -1}, row.hands)
				if result.Peak != row.peak || result.OpenAtEnd != row.end || result.Count(Opened) != row.opened || result.Count(Drops) != 0 {
					t.Errorf("peak %d, %d at the end, %d opened, %d dropped", result.Peak, result.OpenAtEnd, result.Count(Opened), result.Count(Drops))
				}
				if result.Count(Lost) != 0 {
					t.Errorf("%d lost", result.Count(Lost))
				}
			})
		})
	}
}

// f0 numbers events from the start of the server.
func f0(attempt) func(int, time.Duration) client.Event {
	return func(n int, _ time.Duration) client.Event { return numbered(fmt.Sprint(n), "x") }
}

// TestDropByHand: a share of the connections is broken off at once, and told like any other storm.
func TestDropByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, 9*second, millisecond, f0(a)))}, nil
		})
		result := f.steered(t, Plan{Stages: []Stage{{0, 10}}, Duration: 8 * second, Warmup: -1, Backoff: fixed, Sequence: Sequence{ID: true}},
			map[time.Duration]func(*Runner) error{3 * second: func(r *Runner) error { return r.Drop(client.BreakRST, .5) }})
		if result.Count(Broken) != 5 || result.Count(Reconnects) != 5 || len(result.Storms) != 1 || result.Storms[0].How != client.BreakRST {
			t.Errorf("%d broken, %d reconnects, %+v", result.Count(Broken), result.Count(Reconnects), result.Storms)
		}
		if a := result.Annotations; len(a) != 1 || a[0].At != 3*second || !strings.Contains(a[0].Text, "50 %") {
			t.Errorf("%v", a)
		}
	})
}

// TestEndByHand: the window ends now, and what is under way still arrives.
func TestEndByHand(t *testing.T) {
	for _, at := range []time.Duration{10 * millisecond, 4 * second} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(echo(700*millisecond, nil))
			end := func(r *Runner) error { return errors.Join(r.End(), r.End()) }
			result := f.steered(t, Plan{Stages: []Stage{{0, 2}}, Duration: time.Hour, Warmup: -1, Send: Sending{Rate: 10}}, map[time.Duration]func(*Runner) error{at: end})
			if result.Stop != StopFinished || result.End > at+200*millisecond || result.Count(Lost) != 0 || result.Count(Sent) != result.Count(Received) {
				t.Errorf("%v at %v: %d sent, %d received", result.Stop, result.End, result.Count(Sent), result.Count(Received))
			}
			if !warned(result, "the run was ended by hand") {
				t.Errorf("%v", result.Warnings)
			}
		})
	}
}

// TestSteeringRefused: what there is nothing of can't be steered.
func TestSteeringRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(attempt) (*fakeStream, error) { return &fakeStream{}, nil })
		refused := func(do func(*Runner) error) func(*Runner) error {
			return func(r *Runner) error {
				if do(r) == nil {
					return fmt.Errorf("not refused")
				}
				return nil
			}
		}
		result := f.steered(t, Plan{Stages: []Stage{{0, 4}}, ConnectRate: 2, Duration: 8 * second, Warmup: -1}, map[time.Duration]func(*Runner) error{
			millisecond * 500: refused(func(r *Runner) error { return r.Resize(5) }), // still connecting
			3 * second:        refused(func(r *Runner) error { return r.Speed(2) }),
			4 * second:        refused(func(r *Runner) error { return r.Drop("shout", .5) }),
			5 * second:        refused(func(r *Runner) error { return r.Drop(client.BreakFIN, 1.5) }),
			6 * second:        refused(func(r *Runner) error { return r.Resize(0) }),
		})
		if len(result.Annotations) != 0 {
			t.Errorf("%v", result.Annotations)
		}
	})
}

// TestSpeedBounds: what is sent can be paused, and sent as much faster as is allowed, and no more.
func TestSpeedBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(echo(millisecond, nil))
		hands := map[time.Duration]func(*Runner) error{}
		for i, row := range []struct {
			times float64
			ok    bool
		}{{maxSpeed, true}, {1, true}, {math.Nextafter(maxSpeed, 2*maxSpeed), false}, {math.Inf(1), false}, {math.NaN(), false}, {-math.SmallestNonzeroFloat64, false}, {-1, false}, {0, true}} {
			hands[second+time.Duration(i)*100*time.Microsecond] = func(r *Runner) error {
				if err := r.Speed(row.times); (err == nil) != row.ok {
					return fmt.Errorf("%v times: %v", row.times, err)
				}
				return nil
			}
		}
		result := f.steered(t, Plan{Stages: []Stage{{0, 2}}, Duration: 2 * second, Warmup: -1, Send: Sending{Rate: 10}}, hands)
		if len(result.Annotations) != 3 {
			t.Errorf("%v", result.Annotations)
		}
	})
}
