package bench

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/client"
)

func repeated(n int64, value time.Duration) *hdrhistogram.Histogram {
	h := NewHistogram()
	if err := h.RecordValues(int64(value), n); err != nil {
		panic(err)
	}
	return h
}

// TestVerdicts holds the rules of trust against one piece of evidence after the other.
func TestVerdicts(t *testing.T) {
	const value = 10 * time.Millisecond
	clean := judge{health: Health{Shared: 0.0009, Unstamped: 0}, window: 10 * time.Second, lag: repeated(1000, 20*time.Microsecond)}
	slow := repeated(1000, 3*time.Millisecond) // client_lag of a tester that can't follow
	for _, row := range []struct {
		name     string
		metric   Metric
		q        float64
		change   func(j *judge, d *distribution)
		want     Verdict
		from, to time.Duration
	}{
		{"hardly a shared read", Delivery, .99, func(*judge, *distribution) {}, Trusted, value, value},
		{"few shared reads, which move the median all the same", Delivery, .5, func(j *judge, d *distribution) {
			d.earliest = repeated(5000, 9900*time.Microsecond)
		}, Bounded, 9900 * time.Microsecond, value},
		{"few shared reads, by nothing worth a word", Delivery, .5, func(j *judge, d *distribution) {
			d.earliest = repeated(5000, 9970*time.Microsecond)
		}, Trusted, value, value},
		{"too many of them for p99.9", Delivery, .999, func(j *judge, _ *distribution) { j.lag = slow }, Saturated, value, value},
		{"both ends nearly the same", Delivery, .999, func(j *judge, d *distribution) {
			j.lag, d.earliest = slow, repeated(5000, 9600*time.Microsecond)
		}, Bounded, 9600 * time.Microsecond, value},
		{"both ends not so near", Delivery, .999, func(j *judge, d *distribution) {
			j.lag, d.earliest = slow, repeated(5000, 9*time.Millisecond)
		}, Saturated, value, value},
		{"the server batches, and the tester waits for it", Delivery, .999, func(_ *judge, d *distribution) {
			d.earliest = repeated(5000, 9*time.Millisecond)
		}, UpperBound, value, value},
		{"no lower ends to go by", LagBehindFirst, .999, func(j *judge, _ *distribution) { j.lag = slow }, Saturated, value, value},
		{"no kernel stamps", Delivery, .99, func(j *judge, _ *distribution) { j.health.Unstamped = 1 }, UpperBound, value, value},
		{"the tester stood still for half a second", Delivery, .99, func(j *judge, _ *distribution) { j.health.Stalled = 500 * time.Millisecond }, Saturated, value, value},
		{"that is a twentieth, which the median can bear no more", Delivery, .5, func(j *judge, _ *distribution) { j.health.Stalled = 501 * time.Millisecond }, Saturated, value, value},
		{"a tenth of a second it can", Delivery, .5, func(j *judge, _ *distribution) { j.health.Stalled = 100 * time.Millisecond }, Trusted, value, value},
		{"a doubt about the whole run", Delivery, .99, func(j *judge, _ *distribution) { j.refused = true }, NoVerdict, value, value},
		{"a host that is off, whatever it times", Connect, .99, func(j *judge, _ *distribution) { j.host = true }, NoVerdict, value, value},
		{"but how late the tester was is its own", PublishLateness, .99, func(j *judge, _ *distribution) { j.host, j.health.Stalled = true, second }, "", value, value},
		{"the tester stood still while a publisher waited", PublishReply, .99, func(j *judge, _ *distribution) { j.health.Stalled = 500 * time.Millisecond }, Saturated, value, value},
		{"when all connections were open", TLS, .99, func(j *judge, _ *distribution) {
			j.health.Stalled, j.opening = 500*time.Millisecond, stretch{length: 20 * time.Millisecond}
		}, "", value, value},
		{"while they were being opened", TLS, .99, func(j *judge, _ *distribution) {
			j.opening = stretch{2 * time.Second, 500 * time.Millisecond}
		}, Saturated, value, value},
		{"while they were, which first_event begins with", FirstEvent, .99, func(j *judge, _ *distribution) {
			j.opening = stretch{2 * time.Second, 500 * time.Millisecond}
		}, Saturated, value, value},
		{"nothing arrives in that time", Connect, .99, func(j *judge, _ *distribution) { j.refused = true }, "", value, value},
	} {
		j, d := clean, distribution{histogram: repeated(5000, value)}
		row.change(&j, &d)
		e := j.estimate(row.metric, d, row.q)
		near := func(ns int64, want time.Duration) bool {
			return ns > int64(want)*998/1000 && ns < int64(want)*1002/1000
		}
		if e.Verdict != row.want || !near(e.Low, row.from) || !near(e.High, row.to) || !near(e.Value, value) {
			t.Errorf("%s: %s %v, %v…%v", row.name, e.Verdict, time.Duration(e.Value), time.Duration(e.Low), time.Duration(e.High))
		}
	}
}

// TestAbsent: what never came is later than anything that did.
func TestAbsent(t *testing.T) {
	h := NewHistogram()
	for ms := range int64(990) {
		if err := h.RecordValue((ms + 1) * 1e6); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		q       float64
		absent  uint64
		waited  time.Duration
		ms      int64
		atLeast bool
	}{
		{.99, 0, 0, 980, false},
		{.5, 10, 0, 500, false},
		{.98, 10, 0, 980, false},
		{.99, 10, 0, 990, false},
		{.991, 10, 5 * time.Second, 5000, true},
		{.991, 10, time.Millisecond, 990, true},
		{.5, 2000, 0, 990, true},
		{.25, 1010, 0, 500, false},
	} {
		d := distribution{histogram: h, absent: row.absent, waited: int64(row.waited)}
		got, atLeast := d.at(row.q)
		if diff := got/1e6 - row.ms; diff < -1 || diff > 1 || atLeast != row.atLeast {
			t.Errorf("p%g with %d absent: %v, at least: %v", 100*row.q, row.absent, time.Duration(got), atLeast)
		}
	}
}

// kernelStamped is an event that reached the host at one time, and user space when the line says.
func (f *fakeServer) kernelStamped(ev client.Event, arrived, earliest time.Duration) client.Event {
	ev.Arrival = client.Arrival{Kernel: f.epoch(arrived), Earliest: f.epoch(earliest), Shared: arrived != earliest}
	return ev
}

// TestKernelStamps: deliveries end when the kernel had the event; what user space was late is client_lag.
func TestKernelStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(100*millisecond, 3*second, 30*millisecond, func(n int, due time.Duration) client.Event {
				return f.kernelStamped(f.stamped(n, due), due+2*millisecond, due+2*millisecond)
			})}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 2950 * millisecond, Warmup: -1, Thresholds: thresholds(t, "p50(delivery) < 3ms")})
		checkTiming(t, result, Delivery, samples{2 * millisecond: 2 * 29})
		checkTiming(t, result, ClientLag, samples{28 * millisecond: 2 * 29})
		if result.Verdict != Trusted || result.Environment.Arrivals != "the kernel" || result.Window.Stamped != 58 {
			t.Errorf("%s, %s, %+v", result.Verdict, result.Environment.Arrivals, result.Window)
		}
		if j := result.Judgements[0]; !j.Passed || j.Verdict != Trusted {
			t.Errorf("%+v", j)
		}
	})
}

// TestSharedReads: a tester that is late for its reads gets no clean figure, and one whose lower ends hardly differ gets
// bounds.
func TestSharedReads(t *testing.T) {
	for _, row := range []struct {
		earliest time.Duration // of the lower ends, before the upper ones
		lag      time.Duration
		want     Verdict
	}{{80 * millisecond, 50 * millisecond, Saturated}, {4 * millisecond, 50 * millisecond, Bounded}, {80 * millisecond, millisecond, UpperBound}} {
		t.Run(fmt.Sprint(row.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(nil)
				f.dial = func(attempt) (*fakeStream, error) {
					return &fakeStream{lines: ticker(100*millisecond, 5*second, 90*millisecond+row.lag, func(n int, due time.Duration) client.Event {
						return f.kernelStamped(f.stamped(n, due), due+90*millisecond, due+90*millisecond-row.earliest)
					})}, nil
				}
				result := f.run(t, Plan{Stages: []Stage{{0, 10}}, Duration: 4 * second, Warmup: -1})
				for _, m := range []Metric{Delivery, LagBehindFirst} {
					want := row.want
					if m == LagBehindFirst && want == Bounded {
						want = Saturated
					}
					if e := result.Estimate(m, .5); m == Delivery && e.Verdict != want || e.Verdict == Trusted {
						t.Errorf("%s: %+v", m, e)
					}
				}
				batched := false
				for _, w := range result.Warnings {
					batched = batched || strings.HasPrefix(w.Text, "batched delivery")
				}
				if batched != (row.want == UpperBound) || result.Verdict != row.want {
					t.Errorf("%s: %v", result.Verdict, result.Warnings)
				}
			})
		})
	}
}

// TestSomeUnstamped: where a part of the arrivals has no kernel stamp, the two kinds don't mix.
func TestSomeUnstamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(100*millisecond, 5*second, millisecond, func(n int, due time.Duration) client.Event {
				if n%10 == 0 {
					return f.stamped(n, due)
				}
				return f.kernelStamped(f.stamped(n, due), due+millisecond, due+millisecond)
			})}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: 5 * second, Warmup: -1})
		if !doubted(result, "the kernel did not stamp 8") {
			t.Errorf("%s: %v", result.Verdict, result.Doubts)
		}
	})
}

// TestWatchStalls: a tick that comes much too late means that the tester stood still; one that is a little late doesn't.
func TestWatchStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(time.Now(), 0, unknownHost)
		now := time.Duration(0)
		for _, gap := range []time.Duration{0, tick, tick + 90*millisecond, tick, tick + 500*millisecond, tick, tick + 101*millisecond, tick} {
			now += gap
			w.tick(now)
		}
		w.stop(now + 300*millisecond)
		h := w.health(Window{Received: 1000, Shared: 5, Stamped: 998})
		if h.Stalled != 801*millisecond || h.ClockStep != 0 || h.Shared != .005 || h.Unstamped != .002 {
			t.Errorf("%+v", h)
		}
	})
	if h := new(watch).health(Window{}); h.Shared >= 0 || h.Unstamped >= 0 {
		t.Errorf("of nothing: %+v", h)
	}
}

// TestWatchClock: by so little as two readings of the clocks differ, neither was set.
func TestWatchClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for step, want := range map[time.Duration]time.Duration{8: 0, -999: 0, 1001: 1001, -millisecond: -millisecond} {
			w := newWatch(time.Now(), 0, unknownHost)
			w.wall -= int64(step)
			w.compareClocks()
			if got := w.health(Window{}).ClockStep; got != want {
				t.Errorf("of %v it tells %v", step, got)
			}
		}
	})
}

// TestWatchRamp: a stop counts up to when the last connection was opened, be it before the window or across its begin.
func TestWatchRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const begin = 900 * millisecond
		w := newWatch(time.Now(), begin, unknownHost)
		w.ramp(100 * millisecond)
		w.ramp(500 * millisecond) // stood still from 200 ms on
		w.ramp(600 * millisecond)
		w.tick(1200 * millisecond) // and from 700 ms on
		w.stop(1300 * millisecond)
		for until, want := range map[time.Duration]time.Duration{150 * millisecond: 0, 300 * millisecond: 100 * millisecond, 650 * millisecond: 300 * millisecond, 2 * second: 800 * millisecond} {
			if got := w.stood(until); got != want {
				t.Errorf("up to %v: %v, want %v", until, got, want)
			}
		}
		if w.stalled != 200*millisecond {
			t.Errorf("%v in the window", w.stalled)
		}
	})
}

// TestHostWatch: what the system counts is taken from the begin of the window to its end, and what it doesn't say stays
// unknown.
func TestHostWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readings := []hostSample{
			{stolen: 10, ticks: 1000, throttled: second, waited: 2 * second},
			{stolen: 14, ticks: 1200, throttled: second + 3*millisecond, waited: 2*second + 250*millisecond},
		}
		w := newWatch(time.Now(), 0, func() (s hostSample) {
			s, readings = readings[0], readings[1:]
			return s
		})
		w.tick(0)
		<-time.After(second)
		w.stop(second)
		if h := w.health(Window{}); h.Steal != .02 || h.Throttled != 3*millisecond || h.Pressure != .25 {
			t.Errorf("%+v", h)
		}
		w = newWatch(time.Now(), 0, unknownHost)
		w.tick(0)
		w.stop(second)
		if h := w.health(Window{}); h.Steal >= 0 || h.Throttled >= 0 || h.Pressure >= 0 {
			t.Errorf("of a system that says nothing: %+v", h)
		}
	})
}

// TestHostDoubts: each of the limits that spoil a whole run, and what is still within them.
func TestHostDoubts(t *testing.T) {
	fine := Health{Steal: .01, Throttled: 0, ClockStep: -100 * time.Microsecond, Unstamped: .001, Stalled: time.Second}
	unknown := Health{Steal: -1, Throttled: -1, Pressure: -1, Unstamped: -1}
	userSpace := Health{Unstamped: 1}
	for _, row := range []struct {
		health Health
		want   string
	}{
		{fine, ""}, {unknown, ""}, {userSpace, ""},
		{Health{Steal: .02}, "the hypervisor took 2 % of the processor time from this host"},
		{Health{Throttled: time.Millisecond}, "the tester's control group was kept from running for 1ms"},
		{Health{ClockStep: -101 * time.Microsecond}, "this host's clock was set by -101µs during the run, and arrivals are stamped by it"},
		{Health{Unstamped: .0011}, "the kernel did not stamp 0.11 % of the arrivals"},
	} {
		var got string
		row.health.doubts(func(advice, format string, args ...any) {
			if got += fmt.Sprintf(format, args...); advice == "" {
				t.Errorf("%q without advice", got)
			}
		})
		if got != row.want {
			t.Errorf("%+v: %q, want %q", row.health, got, row.want)
		}
	}
}

// TestLostIsInfinite: what was lost is in the quantiles, and in the thresholds on them.
func TestLostIsInfinite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			lines := ticker(100*millisecond, 10*second, millisecond, f.stamped)
			if a.conn == 0 { // loses every second event: a quarter of all
				kept := lines[:0]
				for i, l := range lines {
					if i%2 == 0 {
						kept = append(kept, l)
					}
				}
				lines = kept
			}
			return &fakeStream{lines: lines}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 9 * second, Warmup: -1,
			Thresholds: thresholds(t, "p80(delivery) < 1h", "p50(delivery) < 2ms", "max(delivery) < 1h", "mean(delivery) < 1h", "p90(delivery) > 1s")})
		lost := result.Count(Lost)
		if lost != 45 && lost != 44 || result.Absent[Delivery] != lost || result.Absent[LagBehindFirst] != lost {
			t.Errorf("%d lost, absent %v", lost, result.Absent)
		}
		for i, want := range []bool{false, true, false, false, true} {
			if j := result.Judgements[i]; j.Passed != want || j.AtLeast == (i == 1) {
				t.Errorf("%s: %+v", j.Threshold.Text, j)
			}
		}
		// Half of the events never reached both.
		if e := result.Estimate(Reach100, .9); !e.AtLeast || result.Absent[Reach100] != lost {
			t.Errorf("reach_100: %+v, absent %v", e, result.Absent)
		}
		if e := result.Estimate(Reach50, .9); e.AtLeast || e.Unknown != "" {
			t.Errorf("reach_50: %+v", e)
		}
	})
}

// TestOneClockOfTwo: a server whose clock is 37 ms ahead and 20 ppm too fast, on a path that takes 20 ms there and
// 5 ms back: what is said of its offset, and of the deliveries, holds the truth.
func TestOneClockOfTwo(t *testing.T) {
	const offset, ppm, there, back = 37 * millisecond, 20, 5 * millisecond, 20 * millisecond
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		server := func(at time.Duration) time.Duration { return at + offset + at*ppm/1e6 }
		f.dial = func(attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(20*millisecond, 16*second, back, func(n int, due time.Duration) client.Event {
				return f.kernelStamped(f.stamped(n, server(due)), due+back, due+back)
			})}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 15 * second, Warmup: -1, Clock: fakeClock{f, server, there, back, 0},
			Thresholds: thresholds(t, "p90(delivery) < 50ms", "p90(delivery) < 21ms", "p90(delivery) < 5ms")})
		if result.Clock == nil || len(result.Doubts) > 0 {
			t.Fatalf("%v, %v", result.Clock, result.Doubts)
		}
		if low, high := time.Duration(result.Clock.Low), time.Duration(result.Clock.High); low > offset || high < server(15*second)-15*second || high-low > there+back+2*millisecond {
			t.Errorf("the offset is %v to %v", low, high)
		}
		for _, q := range []float64{.5, .99} {
			e := result.Estimate(Delivery, q)
			if e.Low > int64(back) || e.High < int64(back) || e.Value != e.High || e.Verdict != UpperBound || e.High-e.Low > int64(there+back+2*millisecond) {
				t.Errorf("p%g: %v, %v to %v, %s", 100*q, time.Duration(e.Value), time.Duration(e.Low), time.Duration(e.High), e.Verdict)
			}
		}
		// A bound within the interval is neither kept nor broken for sure.
		for i, want := range []bool{true, false, false} {
			if j := result.Judgements[i]; j.Passed != want {
				t.Errorf("%s: %+v", j.Threshold.Text, j)
			}
		}
	})
}

// TestDatedClock: a clock that tells no more than the second leaves wide bounds, which hold the truth, and no delivery
// falls out of a short window for it.
func TestDatedClock(t *testing.T) {
	const offset, back = -90 * time.Minute, 20 * millisecond
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(10*millisecond, 5*second, back, func(n int, due time.Duration) client.Event {
				return f.kernelStamped(f.stamped(n, due+offset), due+back, due+back)
			})}, nil
		}
		dated := fakeClock{f, func(at time.Duration) time.Duration { return at + offset }, 5 * millisecond, back, dateGrain}
		result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 3 * second, Warmup: second, Clock: dated})
		e := result.Estimate(Delivery, .5)
		if result.Clock == nil || result.Clock.Low > int64(offset) || result.Clock.High < int64(offset) || e.Low > int64(back) || e.High < int64(back) {
			t.Errorf("%+v, %+v", result.Clock, e)
		}
		if n := result.Histogram(Delivery).TotalCount(); n < 3*290 {
			t.Errorf("%d deliveries", n)
		}
		if at := result.Histogram(Delivery).ValueAtQuantile(50); e.Verdict != UpperBound || result.Verdict != UpperBound || e.Value != e.High || at != e.Value {
			t.Errorf("%s %v, by the histogram %v: %+v", result.Verdict, e.Value, at, e)
		}
	})
}

// TestNarrowClock: bounds of an offset that leave a quantile to within a twentieth bound it; where the lower ends of
// shared reads leave more, they count as well, and its lower end holds them.
func TestNarrowClock(t *testing.T) {
	const offset, back, late = -time.Second, 400 * millisecond, 100 * millisecond
	for shared, want := range map[bool]Verdict{false: Bounded, true: UpperBound} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(nil)
			f.dial = func(attempt) (*fakeStream, error) {
				return &fakeStream{lines: ticker(10*millisecond, 5*second, back, func(n int, due time.Duration) client.Event {
					earliest := due + back
					if shared && n%4 > 0 {
						earliest -= late
					}
					return f.kernelStamped(f.stamped(n, due+offset), due+back, earliest)
				})}, nil
			}
			exact := fakeClock{f, func(at time.Duration) time.Duration { return at + offset }, 5 * millisecond, 5 * millisecond, 0}
			e := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 3 * second, Warmup: second, Clock: exact}).Estimate(Delivery, .5)
			least := int64(back)
			if shared {
				least -= int64(late)
			}
			if e.Verdict != want || e.Value != e.High || e.Value < int64(back) || e.Low > least || e.Low < least-int64(15*millisecond) {
				t.Errorf("shared: %v: %+v", shared, e)
			}
		})
	}
}

// A fakeClock answers as the server of a test does, cut to its grain.
type fakeClock struct {
	f           *fakeServer
	server      func(time.Duration) time.Duration
	there, back time.Duration
	grain       time.Duration
}

func (c fakeClock) Ask(ctx context.Context) (Reading, error) {
	sent := time.Now()
	select {
	case <-time.After(c.there + c.back):
	case <-ctx.Done():
		return Reading{}, ctx.Err()
	}
	stamp := c.f.epoch(c.server(sent.Sub(c.f.start) + c.there))
	if c.grain > 0 {
		stamp -= stamp % int64(time.Second)
	}
	return Reading{Sent: sent, Received: time.Now(), Stamp: stamp, Grain: int64(c.grain)}, nil
}

// TestReachedByNewcomers: a connection that opens while an event is on its way isn't one that the event should reach.
func TestReachedByNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) { // the last ones are open after the window has begun
			return &fakeStream{latency: 75 * millisecond, lines: since(a.at, ticker(50*millisecond, 2*second, 30*millisecond, f.stamped))}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 20}}, ConnectRate: 100, Duration: 1500 * millisecond, Warmup: 20 * millisecond})
		if result.Absent[Reach100] != 0 || result.Count(Lost) != 0 {
			t.Errorf("absent %v, %d lost", result.Absent, result.Count(Lost))
		}
	})
}
