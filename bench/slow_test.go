package bench

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// TestSlow: one of four connections reads slowly from one second into the window on, which makes its server late with the
// others, too. No figure but its own has what it reads, and theirs are told apart by when it began.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Duration(-1)
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			var lines []line
			for _, l := range ticker(100*millisecond, time.Minute, 0, f.stamped) {
				switch due := l.at; {
				case a.conn == 3:
					l.at += 400 * millisecond
				case due >= 2*second:
					l.at += 30 * millisecond
				default:
					l.at += 10 * millisecond
				}
				lines = append(lines, l)
			}
			s := &fakeStream{lines: since(a.at, lines)}
			if a.conn == 3 && a.n == 0 {
				s.end = 3 * second
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 3 * second, Warmup: second, Backoff: fixed,
			Slow: Slowness{Share: .25, At: second, Begin: func() { began = time.Since(f.start) }}})
		if began != 2*second {
			t.Errorf("it began after %v", began)
		}
		checkTiming(t, result, Delivery, samples{10 * millisecond: 30, 30 * millisecond: 60})
		checkTiming(t, result, BeforeSlow, samples{10 * millisecond: 30})
		checkTiming(t, result, BesideSlow, samples{30 * millisecond: 60})
		if h := result.Histogram(SlowDelivery); h == nil || h.Min() < int64(399*millisecond) {
			t.Errorf("slow deliveries: %v", h)
		}
		if lost, drops, slow := result.Count(Lost), result.Count(Drops), result.Count(SlowDrops); lost != 0 || drops != 0 || slow != 1 {
			t.Errorf("lost %d, %d drops, %d of slow ones", lost, drops, slow)
		}
		if reach := result.Histogram(Reach100); reach == nil || reach.Max() > int64(31*millisecond) {
			t.Error("who reads slowly counts among those who are to be reached")
		}
		if len(result.Errors) != 1 || result.Errors[0].Key != "slow eof" {
			t.Errorf("%+v", result.Errors)
		}
	})
}

func TestSlownessIsSpread(t *testing.T) {
	for _, share := range []float64{0, .01, .05, .25, .5, .9} {
		n := 0
		for i := range 1000 {
			if (Slowness{Share: share}).Is(i) {
				n++
			}
		}
		if n < int(1000*share)-1 || n > int(1000*share) {
			t.Errorf("%v: %d of 1000", share, n)
		}
	}
}

// TestSlowEcho: what a connection that reads slowly has sent isn't lost, since nobody looks whether it came back.
func TestSlowEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(echo(30*millisecond, nil))
		result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 2 * second, Send: Sending{Rate: 40},
			Slow: Slowness{Share: .25, At: second, Begin: func() {}}})
		if result.Count(Lost) != 0 || result.Absent[RoundTrip] != 0 || result.Count(Sent) == 0 || result.Waited > second {
			t.Errorf("%d sent, %d lost, %d absent, waited %v", result.Count(Sent), result.Count(Lost), result.Absent[RoundTrip], result.Waited)
		}
	})
}

// TestSlowByField: slow deliveries are timed by whatever stamp there is, and where there is none it is said so.
func TestSlowByField(t *testing.T) {
	for _, test := range []struct{ stamp, why string }{
		{"json:at", ""},
		{"", "no event that was read slowly carried a time stamp by this host's clock"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var f *fakeServer
			f = newFakeServer(func(a attempt) (*fakeStream, error) {
				return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, 20*millisecond, func(n int, due time.Duration) client.Event {
					return client.Event{Data: fmt.Appendf(nil, `{"at":%d}`, f.epoch(due)/1e6)}
				}))}, nil
			})
			plan := Plan{Stages: []Stage{{0, 4}}, Duration: 2 * second, Slow: Slowness{Share: .25, Begin: func() {}}}
			if test.stamp != "" {
				plan.Stamp = field(test.stamp)
			}
			result := f.run(t, plan)
			h, why := result.Histogram(SlowDelivery), result.Unmeasured[SlowDelivery]
			if why != test.why || (h == nil) != (why != "") || h != nil && (h.Min() < int64(19*millisecond) || h.Max() > int64(22*millisecond)) {
				t.Errorf("%q: %v, %q", test.stamp, h, why)
			}
			if result.Elapsed > 2*second+finishWait {
				t.Errorf("it took %v", result.Elapsed)
			}
		})
	}
}
