package bench

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// TestDropMadeByTheRun: half of four connections are broken off one second into the window. What comes of it, by how they
// are, is known to the nanosecond in fake time.
func TestDropMadeByTheRun(t *testing.T) {
	const delay = 5 * millisecond
	for _, test := range []struct {
		how                         client.Break
		idle                        time.Duration // after which a black hole is noticed
		detect, outage, catchUp     time.Duration
		dropped, returned, openings int
	}{
		{how: client.BreakFIN, detect: 95 * millisecond, outage: 700 * millisecond, catchUp: 98 * millisecond, dropped: 2, returned: 2},
		{how: client.BreakRST, detect: 95 * millisecond, outage: 700 * millisecond, catchUp: 98 * millisecond, dropped: 2, returned: 2},
		{how: client.BreakHalfClose, detect: 95 * millisecond, outage: 700 * millisecond, catchUp: 98 * millisecond, dropped: 2, returned: 2},
		{how: client.BreakBlackhole, idle: 800 * millisecond, detect: 800 * millisecond, outage: 1400 * millisecond, catchUp: 93 * millisecond, dropped: 2, returned: 2},
		{how: client.BreakBlackhole},
	} {
		t.Run(string(test.how), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f *fakeServer
				f = newFakeServer(func(a attempt) (*fakeStream, error) {
					all := ticker(100*millisecond, time.Minute, delay, f.stamped)
					return &fakeStream{lines: since(a.at, all), latency: 7 * millisecond, idle: test.idle}, nil
				})
				result := f.run(t, Plan{
					Stages: []Stage{{0, 4}}, Duration: 4 * second, Warmup: second, Backoff: fixed,
					Breakages: []Breakage{{How: test.how, Share: .5, At: second}},
				})
				if n := result.Count(Broken); n != 2 {
					t.Errorf("%d broken off", n)
				}
				if result.Count(Drops) != 0 || len(result.Errors) != 0 || result.Failure != "" {
					t.Errorf("%d drops, %v, %q", result.Count(Drops), result.Errors, result.Failure)
				}
				if test.dropped == 0 {
					if len(result.Storms) != 0 || result.Histogram(Outage) != nil {
						t.Errorf("nobody noticed, but there are %v", result.Storms)
					}
					return
				}
				n := int64(test.dropped)
				checkTiming(t, result, Detect, samples{test.detect: n})
				checkTiming(t, result, Wait, samples{500 * millisecond: n})
				checkTiming(t, result, Reconnect, samples{7 * millisecond: n})
				checkTiming(t, result, CatchUp, samples{test.catchUp: n})
				checkTiming(t, result, Outage, samples{test.detect + 507*millisecond + test.catchUp: n})
				if test.detect+507*millisecond+test.catchUp != test.outage {
					t.Errorf("the parts are %v", test.detect+507*millisecond+test.catchUp)
				}
				if len(result.Storms) != 0 { // two are no storm
					t.Errorf("%+v", result.Storms)
				}
			})
		})
	}
}

// TestStorm: all of 40 connections are reset at once. Their server refuses the first 30 attempts; two policies take turns.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused atomic.Int32
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			if a.n > 0 && refused.Add(1) <= 30 {
				return nil, &client.Error{Class: client.ClassStatus, Code: 503}
			}
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped)), latency: 10 * millisecond}, nil
		})
		result := f.run(t, Plan{
			Stages: []Stage{{0, 40}}, Duration: 6 * second, Warmup: second, Backoff: fixed,
			Rivals:    []client.Backoff{{Policy: client.Exponential, Base: second}},
			Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: second}},
		})
		if len(result.Storms) != 1 {
			t.Fatalf("%d storms", len(result.Storms))
		}
		s := result.Storms[0]
		// Of the 20 that come back after 0.5 s all are refused, and at 1 s with them the first ten of the others.
		if s.At != 2*second || s.How != client.BreakRST || s.Made != 40 || s.Open != 40 || s.Dropped != 40 || s.Returned != 40 || s.Attempts != 70 || s.Failed != 30 {
			t.Errorf("%+v", s)
		}
		if len(s.Policies) != 2 || s.Policies[0].Policy != "fixed" || s.Policies[1].Policy != "exponential" {
			t.Fatalf("%+v", s.Policies)
		}
		for i, p := range s.Policies {
			if p.Dropped != 20 || p.Returned != 20 || p.Back[2] < 0 {
				t.Errorf("%d: %+v", i, p)
			}
		}
		if last := s.Curve[len(s.Curve)-1]; last.Returned != 40 || last.At < s.Back[2] {
			t.Errorf("the curve ends with %+v", last)
		}
		attempts, failed := 0, 0
		for _, step := range s.Curve {
			attempts, failed = attempts+step.Attempts, failed+step.Failed
		}
		if attempts != 70 || failed != 30 {
			t.Errorf("the curve has %d attempts, of which %d failed", attempts, failed)
		}
		if result.Count(ConnectErrors) != 30 || result.Count(Broken) != 40 || result.Count(Drops) != 0 {
			t.Errorf("%d connect errors, %d broken off, %d drops", result.Count(ConnectErrors), result.Count(Broken), result.Count(Drops))
		}
	})
}

// TestStormThatNeverEnds: who doesn't come back has no time at which it did, and counts in outage as longer than any.
func TestStormThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			if a.n > 0 && a.conn >= 6 {
				return nil, errors.New("no")
			}
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 10}}, Duration: 5 * second, Warmup: second, Backoff: fixed,
			Breakages: []Breakage{{How: client.BreakFIN, Share: 1, At: second}}})
		if len(result.Storms) != 1 {
			t.Fatalf("%d storms", len(result.Storms))
		}
		s := result.Storms[0]
		if s.Dropped != 10 || s.Returned != 6 || s.Back != [3]time.Duration{500 * millisecond, -1, -1} {
			t.Errorf("%+v", s)
		}
		if n := len(s.Curve); s.Curve[n-1].At < 3500*millisecond || s.Curve[n-1].Attempts > 8 { // the last ones, half a second apart
			t.Errorf("the curve ends with %+v", s.Curve[n-1])
		}
		if result.Absent[Outage] != 4 || !result.Estimate(Outage, .99).AtLeast {
			t.Errorf("%d absent, %+v", result.Absent[Outage], result.Estimate(Outage, .99))
		}
	})
}

// TestLeftOut: who is open again, but receives nothing that the others do, is in an outage that hasn't ended; who has come
// back only just now needn't be.
func TestLeftOut(t *testing.T) {
	for _, test := range []struct {
		at   time.Duration
		left uint64
	}{{second, 2}, {3400 * millisecond, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var f *fakeServer
			f = newFakeServer(func(a attempt) (*fakeStream, error) {
				s := &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}
				if a.n > 0 {
					s.lines = nil
				}
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 4 * second, Warmup: second, Drain: 1, Backoff: fixed,
				Breakages: []Breakage{{How: client.BreakFIN, Share: .5, At: test.at}}})
			if result.Absent[Outage] != 0 { // without a sample there are no estimates
				t.Errorf("%v: %d absent", test.at, result.Absent[Outage])
			}
			left, quiet := uint64(0), 0
			for _, w := range result.Warnings {
				if strings.Contains(w.Text, "though others had") {
					_, _ = fmt.Sscan(w.Text, &left)
				}
				if strings.Contains(w.Text, "outage leaves them out") {
					_, _ = fmt.Sscan(w.Text, &quiet)
				}
			}
			if left != test.left || uint64(quiet) != 2-test.left {
				t.Errorf("%v: %d left out, %d quiet", test.at, left, quiet)
			}
		})
	}
}

// TestDropsBeforeLive: a connection that drops again before it was live has one outage, whose parts add up all the same.
func TestDropsBeforeLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped)), latency: 20 * millisecond}
			switch a.n {
			case 0:
				s.end = 2*second + 50*millisecond
			case 1:
				s.lines, s.end = nil, a.at+250*millisecond
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 5 * second, Warmup: second, Backoff: fixed})
		checkTiming(t, result, Outage, samples{1400 * millisecond: 2})
		checkTiming(t, result, Detect, samples{49 * millisecond: 2})
		checkTiming(t, result, Wait, samples{500 * millisecond: 4})
		checkTiming(t, result, Reconnect, samples{20 * millisecond: 4})
		checkTiming(t, result, CatchUp, samples{311 * millisecond: 2})
	})
}

// TestStormsApart: a black hole that is noticed late belongs to the storm that it was made in, whatever came since.
func TestStormsApart(t *testing.T) {
	var x storms
	at := func(s float64) int64 { return int64(s * float64(time.Second)) }
	for i := range 5 {
		x.drop(dropped{conn: i, at: at(10) + int64(i), open: 20})
	}
	for i := range 4 {
		in, number := x.drop(dropped{conn: i, at: at(1) + int64(i), open: 20, how: client.BreakBlackhole})
		x.redial(in, redial{at: at(12)})
		x.returned(in, number, at(13)+int64(i))
	}
	for i := range 2 { // too few
		x.drop(dropped{conn: i, at: at(50) + int64(i), open: 20})
	}
	list := x.all(never, []string{"fixed"})
	if len(list) != 2 || list[0].At != time.Second || list[0].Dropped != 4 || list[0].Returned != 4 || list[0].Attempts != 4 || list[0].How != client.BreakBlackhole ||
		list[1].At != 10*time.Second || list[1].Dropped != 5 || list[1].Returned != 0 || list[1].Attempts != 0 {
		t.Errorf("%+v", list)
	}
}

// TestStormOfEachOnce: every connection drops again after 0.9 s, again and again. Each wave is a storm of its own, in which each
// connection is once.
func TestStormOfEachOnce(t *testing.T) {
	var x storms
	for wave := range 8 {
		for i := range 20 {
			at := int64(wave)*900_000_000 + int64(i)
			in, number := x.drop(dropped{conn: i, at: at, open: 20})
			x.returned(in, number, at+100_000_000)
		}
	}
	list := x.all(never, nil)
	if len(list) != 8 {
		t.Fatalf("%d storms", len(list))
	}
	for _, s := range list {
		if s.Open != 20 || s.Dropped != 20 || s.Returned != 20 || s.Back[2] > 101*millisecond {
			t.Errorf("%+v", s)
		}
	}
}

// TestStormsAreBounded: of many storms the largest are told.
func TestStormsAreBounded(t *testing.T) {
	var x storms
	for n := range 3 * maxStorms {
		for i := range fewDrops + n%7 {
			x.drop(dropped{conn: i, at: int64(n)*10*int64(time.Second) + int64(i), open: 10})
		}
	}
	list := x.all(never, nil)
	if len(list) != maxStorms {
		t.Fatalf("%d storms", len(list))
	}
	for i, s := range list {
		if i > 0 && s.At <= list[i-1].At {
			t.Error("they aren't in order")
		}
		if s.Dropped < fewDrops+4 { // of 60, 20 are larger than that
			t.Errorf("one of %d", s.Dropped)
		}
	}
}

// TestChurn: connections are broken off evenly, all through the window, and none of them twice at the same moment.
func TestChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 20}}, Duration: 10 * second, Warmup: second, Backoff: fixed,
			Breakages: []Breakage{{How: client.BreakFIN, Share: .1, Churn: true}}}) // two a second of twenty
		if n := result.Count(Broken); n != 19 { // two a second, and none as the window ends
			t.Errorf("%d broken off", n)
		}
		if len(result.Storms) != 0 { // however many there are
			t.Errorf("%+v", result.Storms)
		}
		if n := result.Histogram(Outage).TotalCount(); n < 15 { // the last have no time to end, and one that meets a connection again in time goes on
			t.Errorf("%d outages", n)
		}
	})
}

func TestPlanRefusesBreakages(t *testing.T) {
	for _, b := range []Breakage{
		{How: "axe", Share: 1}, {How: client.BreakFIN}, {How: client.BreakFIN, Share: 1.1}, {How: client.BreakFIN, Share: -1},
		{How: client.BreakFIN, Share: 1, At: -1}, {How: client.BreakFIN, Share: 1e9, Churn: true},
	} {
		if (&Plan{Stages: []Stage{{0, 1}}, Duration: second, Breakages: []Breakage{b}}).validate() == nil {
			t.Errorf("%+v is allowed", b)
		}
	}
}

// TestRetriesKept: the server asks for 300 ms before a reconnect, and, of those that it refuses, for 2 s. The policy of
// browsers keeps to both; one that waits for 100 ms keeps to the second alone, which no policy may shorten.
func TestRetriesKept(t *testing.T) {
	for _, test := range []struct {
		backoff     client.Backoff
		asked, kept uint64
	}{
		{client.Backoff{Policy: client.EventSource}, 4, 4},
		{client.Backoff{Policy: client.Fixed, Base: 100 * millisecond}, 4, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(func(a attempt) (*fakeStream, error) {
				if a.n == 1 {
					return nil, &client.Error{Class: client.ClassStatus, Code: 503, RetryAfter: 2 * second}
				}
				ask := event("x")
				ask.Retry = 300 * millisecond
				return &fakeStream{lines: []line{{a.at + millisecond, ask}}}, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 6 * second, Warmup: second, Backoff: test.backoff,
				Breakages: []Breakage{{How: client.BreakFIN, Share: 1, At: second}}})
			if asked, kept := result.Count(RetriesAsked), result.Count(RetriesKept); asked != test.asked || kept != test.kept {
				t.Errorf("%v: asked %d, kept %d", test.backoff, asked, kept)
			}
			// The wait is that of the drop, and the one that the refusal asked for.
			want := samples{2*second + 300*millisecond: 2}
			if test.backoff.Policy == client.Fixed {
				want = samples{2*second + 100*millisecond: 2}
			}
			checkTiming(t, result, Wait, want)
		})
	}
}

// TestTwoBreakages: a connection that is a black hole, which nobody has noticed, isn't broken off again, and its storm is
// of when it was made one.
func TestTwoBreakages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped)), idle: 1500 * millisecond}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 8}}, Duration: 6 * second, Warmup: 2 * second, Backoff: fixed,
			Breakages: []Breakage{{How: client.BreakBlackhole, Share: 1, At: second}, {How: client.BreakRST, Share: 1, At: 2 * second}}})
		if len(result.Storms) != 1 || result.Storms[0].At != 3*second || result.Storms[0].How != client.BreakBlackhole {
			t.Errorf("%+v", result.Storms)
		}
	})
}

// TestRareChurn: so little of it that none is ever due.
func TestRareChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: second, Warmup: second, Backoff: fixed,
			Breakages: []Breakage{{How: client.BreakFIN, Share: 1e-12, Churn: true}}})
		if n := result.Count(Broken); n != 0 {
			t.Errorf("%d broken off", n)
		}
	})
}

// TestAbortWhileDown: whoever is down while the run goes on may come back in time.
func TestAbortWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: since(a.at, ticker(50*millisecond, time.Minute, millisecond, f.stamped))}
			if a.n == 0 {
				s.end = 2*second + time.Duration(a.conn)*20*millisecond
			}
			return s, nil
		})
		limit, err := ParseThreshold("p50(outage) < 5s")
		if err != nil {
			t.Fatal(err)
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 100}}, Duration: 8 * second, Warmup: second, Backoff: client.Backoff{Policy: client.Fixed, Base: 2 * second},
			Abort: true, Thresholds: []Threshold{limit}})
		if result.Stop != StopDuration || !result.Judgements[0].Passed {
			t.Errorf("%s (%s), %+v", result.Stop, result.StopText, result.Judgements[0])
		}
	})
}
