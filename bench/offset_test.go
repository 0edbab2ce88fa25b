package bench

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// offsetPlan is a run of three connections to a server on another host, or with a clock that is named.
func offsetPlan(clock Clock) Plan {
	return Plan{Stages: []Stage{{0, 3}}, Duration: 3 * second, Warmup: -1, Clock: clock}
}

// stampedElsewhere is a server on another host, whose clock is ahead: events take jitter and 20 ms.
func stampedElsewhere(offset time.Duration, date string) *fakeServer {
	f := newFakeServer(nil)
	f.dial = func(attempt) (*fakeStream, error) {
		lines := ticker(10*millisecond, 5*second, 0, func(n int, due time.Duration) client.Event { return f.stamped(n, due+offset) })
		for i := range lines {
			lines[i].at += 20*millisecond + time.Duration(i%7)*100*time.Microsecond
			lines[i].ev = f.kernelStamped(lines[i].ev, lines[i].at, lines[i].at)
		}
		s := &fakeStream{lines: lines, remote: "192.0.2.1:80"}
		if date != "" {
			s.info.Header = http.Header{"Date": {date}}
		}
		return s, nil
	}
	return f
}

// A brokenClock has no time to tell.
type brokenClock struct{}

func (brokenClock) Ask(context.Context) (Reading, error) {
	return Reading{}, &client.Error{Class: client.ClassStatus, Code: 404}
}

// TestUnansweredClock: that a clock that was named told nothing is said first, as a doubt and as a warning, with the error.
func TestUnansweredClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := stampedElsewhere(time.Hour, "").run(t, offsetPlan(brokenClock{}))
		for what, list := range map[string][]Warning{"doubts": result.Doubts, "warnings": result.Warnings} {
			if len(list) == 0 || !strings.HasPrefix(list[0].Text, "none of the ") || !strings.Contains(list[0].Text, "404") || !strings.Contains(list[0].Advice, "--clock-field") {
				t.Errorf("%s: %v", what, list)
			}
		}
	})
}

// TestClockBesideAProxy: the Date that a proxy adds to the handshake, an hour off, says nothing of a clock that is named.
func TestClockBesideAProxy(t *testing.T) {
	const offset = 3 * second
	synctest.Test(t, func(t *testing.T) {
		f := stampedElsewhere(offset, "Sat, 01 Jan 2000 01:00:00 GMT")
		result := f.run(t, offsetPlan(fakeClock{f, func(at time.Duration) time.Duration { return at + offset }, millisecond, millisecond, 0}))
		if result.Clock == nil || len(result.Doubts) > 0 || result.Clock.Low > int64(offset) || result.Clock.High < int64(offset) {
			t.Errorf("%+v, %v", result.Clock, result.Doubts)
		}
	})
}

// TestClockOfAnother: a clock that doesn't stamp the events contradicts them, or itself, and the doubt says which to drop.
func TestClockOfAnother(t *testing.T) {
	behind := func(at time.Duration) time.Duration { return at - time.Minute }
	torn := func(at time.Duration) time.Duration { return at + at/(500*millisecond)%2*second }
	for _, row := range []struct {
		clock                func(time.Duration) time.Duration
		date, text, advising string
	}{
		{behind, "", "the clock's answers contradict the events' stamps", "drop this --clock"},
		{torn, "", "the clock's answers contradict each other", "drop --clock"},
		{nil, "Sat, 01 Jan 2000 00:00:10 GMT", "the Date headers that streams were opened with contradict", "no Date header is used"},
		{nil, "", "delivery compares the clocks of two hosts", "name a URL"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := stampedElsewhere(30*second, row.date)
			var clock Clock
			if row.clock != nil {
				clock = fakeClock{f, row.clock, millisecond, millisecond, 0}
			}
			result := f.run(t, offsetPlan(clock))
			if len(result.Doubts) == 0 || !strings.HasPrefix(result.Doubts[0].Text, row.text) || !strings.Contains(result.Doubts[0].Advice, row.advising) {
				t.Errorf("%q: %v", row.text, result.Doubts)
			}
		})
	}
}

// TestAboveBestPath: the quickest delivery is 0 above the best path, wherever the minutes of the server's clock begin, and
// whatever a clock that isn't the server's says.
func TestAboveBestPath(t *testing.T) {
	for _, offset := range []time.Duration{0, -200 * time.Microsecond, 57 * second, 56990 * millisecond, 58500 * millisecond, -59 * second, 5 * time.Hour} {
		for _, contradicted := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				f := stampedElsewhere(offset, "")
				var clock Clock
				if contradicted {
					clock = fakeClock{f, func(at time.Duration) time.Duration { return at + offset - time.Minute }, millisecond, millisecond, 0}
				}
				result := f.run(t, offsetPlan(clock))
				h := result.Histogram(Delivery)
				if h == nil || h.Min() > micro*20 || h.Max() < 550*micro || h.Max() > 2*milli || result.Verdict != NoVerdict {
					t.Errorf("%v, contradicted %v: %s, %s", offset, contradicted, result.Verdict, show(h))
				}
			})
		}
	}
}

// TestGuessIsNotShown: while the offset isn't known, a delivery by a guess of it is neither shown nor judged, and the
// series of the result has none.
func TestGuessIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := stampedElsewhere(time.Hour, "")
		plan := offsetPlan(nil)
		plan.Abort, plan.Thresholds = true, thresholds(t, "p50(delivery) < 5ms")
		runner := f.runner(plan)
		done := make(chan *Result)
		go func() {
			result, err := runner.Run(t.Context())
			if err != nil {
				t.Error(err)
			}
			done <- result
		}()
		<-time.After(2 * second)
		s := runner.Snapshot()
		if s.Headline == Delivery || s.Quantiles.Samples == 0 || s.Judgements[0].Unknown == "" {
			t.Errorf("%v: %+v, %+v", s.Headline, s.Quantiles, s.Judgements)
		}
		result := <-done
		if result.Stop != StopDuration {
			t.Errorf("stopped by %s: %s", result.Stop, result.StopText)
		}
		for _, b := range result.Series {
			if b.Headline.Samples > 0 && (b.Headline.P50 > milli || b.Headline.Max > 2*milli) {
				t.Errorf("%+v", b)
			}
		}
	})
}

// TestOneClockThatIsTwo: a server on this host whose stamps can't be by this host's clock, and what is said of that.
func TestOneClockThatIsTwo(t *testing.T) {
	for offset, want := range map[time.Duration]string{
		5 * second:               "the server's stamps are about 5.0 s ahead of this host's clock",
		-20 * second:             "the server's stamps are about 20.0 s behind this host's clock, or what it sends is that old",
		20300 * time.Microsecond: "the server's stamps are about 300µs ahead", // within the rounding to a millisecond
		24 * millisecond:         "the server's stamps are about 4ms ahead of this host's clock",
		-50 * time.Microsecond:   "",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(nil)
			f.dial = func(attempt) (*fakeStream, error) {
				return &fakeStream{lines: ticker(10*millisecond, 5*second, 20*millisecond, func(n int, due time.Duration) client.Event {
					if offset == 24*millisecond && n%2 == 0 {
						return f.stamped(n, due)
					}
					return f.stamped(n, due+offset)
				})}, nil
			}
			result := f.run(t, offsetPlan(nil))
			switch why := result.Unmeasured[Delivery]; {
			case offset == 24*millisecond:
				if len(result.Doubts) == 0 || !strings.HasPrefix(result.Doubts[0].Text, want) || !strings.Contains(result.Doubts[0].Advice, "--clock") {
					t.Errorf("%v: %v", offset, result.Doubts)
				}
			case offset == -50*time.Microsecond:
				if why != "" || len(result.Doubts)+len(result.Warnings) > 0 {
					t.Errorf("%v: %q, %v, %v", offset, why, result.Doubts, result.Warnings)
				}
			case offset == 20300*time.Microsecond:
				if !strings.HasPrefix(why, "no stamp is of a time") {
					t.Errorf("%v: %q", offset, why)
				}
			default:
				if why != want+": name a URL that tells its time with --clock" || len(result.Warnings) == 0 || !strings.HasPrefix(result.Warnings[0].Text, want) {
					t.Errorf("%v: %q, %v", offset, why, result.Warnings)
				}
			}
		})
	}
}
