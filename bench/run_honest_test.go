package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// doubted reports whether a result has no verdict for a reason that begins like this.
func doubted(result *Result, reason string) bool {
	for _, d := range result.Doubts {
		if strings.HasPrefix(d.Text, reason) {
			return result.Verdict == NoVerdict
		}
	}
	return false
}

// TestHangUntilTheEnd: a server that stops sending leaves no timing behind, but for the gap that is still open.
func TestHangUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(100*millisecond, 2*second, millisecond, f.stamped)}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 6 * second, Warmup: -1})
		if !doubted(result, "nobody received anything in the last 4.10") {
			t.Errorf("%s: %v", result.Verdict, result.Doubts)
		}
		if longest := time.Duration(result.Histogram(InterArrival).Max()); longest < 4*second {
			t.Errorf("the longest gap is %v", longest)
		}
	})
}

// TestCountingAnew: a server that was restarted begins its numbers anew. The other events under old numbers are no
// duplicates of those, whether their content or their time shows it, and loss can't be told any more.
func TestCountingAnew(t *testing.T) {
	const restart = 3 * second
	for name, make := range map[string]func(f *fakeServer, n int, due time.Duration) client.Event{
		"by content": func(_ *fakeServer, n int, due time.Duration) client.Event {
			return numbered(strconv.Itoa(n), fmt.Sprint(due))
		},
		"by stamp": func(f *fakeServer, n int, due time.Duration) client.Event { return f.stamped(n, due) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(nil)
				f.dial = func(a attempt) (*fakeStream, error) {
					if a.n == 0 {
						return &fakeStream{end: restart, lines: ticker(100*millisecond, restart, millisecond, func(n int, due time.Duration) client.Event { return make(f, n, due) })}, nil
					}
					s := &fakeStream{lines: since(a.at, ticker(100*millisecond, 6*second, restart, func(n int, due time.Duration) client.Event {
						return make(f, n, restart+due)
					}))}
					s.info.Resumed = true
					return s, nil
				}
				result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 6 * second, Warmup: -1, Drain: 1, Backoff: fixed, Sequence: Sequence{ID: name == "by content"}})
				if !strings.HasPrefix(result.Unmeasured[Lost], "numbers were used again") || !doubted(result, "numbers were used again") {
					t.Errorf("lost %d, %q; %s: %v", result.Count(Lost), result.Unmeasured[Lost], result.Verdict, result.Doubts)
				}
				if result.Unmeasured[Duplicate] == "" {
					t.Errorf("%d duplicates", result.Count(Duplicate))
				}
				if r := result.Resumption; r == nil || r.Verdict != Undecidable || !strings.HasPrefix(r.Why, "numbers were used again") || r.Judged != 0 || r.Faults != [numResumeFaults]uint64{} {
					t.Errorf("%+v", r)
				}
				for _, w := range result.Warnings {
					if strings.Contains(w.Advice, "--seq") {
						t.Errorf("%q, which was done or helps nothing", w.Advice)
					}
				}
			})
		})
	}
}

// TestRefusedBeforeIsNotDead: that the target refused connections at the start says nothing of one that drops them at
// the end, before the first of them is dialed again.
func TestRefusedBeforeIsNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			if a.n == 0 {
				return nil, &client.Error{Class: client.ClassStatus, Code: 503}
			}
			return &fakeStream{end: 5900 * millisecond, lines: ticker(100*millisecond, time.Hour, 0, f.stamped)}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 6 * second, Warmup: -1, Backoff: fixed})
		if result.OpenAtEnd != 0 || result.Count(Drops) != 3 || result.Failure != "" {
			t.Errorf("%d open, %d drops, %q", result.OpenAtEnd, result.Count(Drops), result.Failure)
		}
	})
}

// TestDropsWhileDraining: a server that hangs up while the tester only waits for echoes is right to.
func TestDropsWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(attempt) (*fakeStream, error) {
			return &fakeStream{end: 5 * second, answer: func(p []byte, at time.Duration) ([]line, error) {
				if at > 2*second {
					return nil, nil // lost
				}
				return []line{{at + millisecond, event(string(p))}}, nil
			}}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 2 * second, Warmup: -1, Backoff: fixed, Send: Sending{Rate: 10}})
		if result.Count(Drops) != 0 || result.Count(Reconnects) != 0 || len(result.Errors) != 0 || result.Count(Lost) == 0 {
			t.Errorf("drops %d, reconnects %d, lost %d, errors %v", result.Count(Drops), result.Count(Reconnects), result.Count(Lost), result.Errors)
		}
	})
}

// TestDropAtTheEnd: a drop at the very end of the window, before the line is drawn, doesn't keep a connection from
// fetching what it has missed.
func TestDropAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(&Runner{Plan: Plan{Stages: []Stage{{0, 1}}, Duration: second}, Dialer: func(int) (client.Dialer, error) { return nil, nil }})
		defer r.cancel()
		s := r.newSubscriber(0, client.Backoff{})
		f := r.feed(feedKey{kind: byStamp})
		s.tracked = []tracked{{feed: f}}
		s.tracked[0].tracker.Observe(1)
		f.raise(2)
		if s.level() {
			t.Error("level before the line is drawn")
		}
		f.stop()
		if s.level() {
			t.Error("level without event 2")
		}
		s.tracked[0].tracker.Observe(2)
		if !s.level() {
			t.Error("not level with both events")
		}
	})
}

// TestOthersPublications: what another rtbench publishes for its own subscribers is timed, but says nothing of loss: its
// numbers count over all its publishers, and over what failed.
func TestOthersPublications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(100*millisecond, 5*second, millisecond, func(n int, due time.Duration) client.Event {
				stamp := client.Stamp{Run: 7, Source: uint32(n % 3), Seq: uint64(n) | forAllMark, Due: f.epoch(due), Sent: f.epoch(due)}
				return event(string(client.AppendStamp(nil, stamp)))
			})}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 4 * second, Warmup: -1})
		if result.Unmeasured[Lost] == "" || result.Histogram(Delivery) == nil {
			t.Errorf("%d lost, %v", result.Count(Lost), result.Unmeasured)
		}
	})
}

// A brokenPublisher refuses everything.
type brokenPublisher struct{}

func (brokenPublisher) Publish(context.Context, []byte) (time.Time, error) {
	return time.Now(), &client.Error{Class: client.ClassStatus, Code: 404}
}

// TestNothingPublished: where nothing could be published nothing can be lost, and no gate passes for that.
func TestNothingPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(attempt) (*fakeStream, error) { return &fakeStream{}, nil })
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 2 * second, Warmup: -1, Thresholds: thresholds(t, "lost == 0", "late == 0"),
			Send: Sending{Rate: 10, Publishers: []Publisher{brokenPublisher{}}}})
		if result.Unmeasured[Lost] != "nothing was published" || !doubted(result, "nothing was published") {
			t.Errorf("%v, %s: %v", result.Unmeasured, result.Verdict, result.Doubts)
		}
		for _, j := range result.Judgements {
			if j.Passed {
				t.Errorf("%s passed", j.Threshold.Text)
			}
		}
	})
}

// TestTooLateToTell: a connection that lacks an event, and has one that came too late to be told from it, can't tell what
// it has lost; one that lacks nothing can, whatever comes again.
func TestTooLateToTell(t *testing.T) {
	for _, row := range []struct {
		name     string
		missing  []int // by number
		later    []int // sent at the end
		measured bool
	}{
		{"late or again", []int{20, 21}, []int{30}, false},
		{"late indeed", []int{20}, []int{20}, false},
		{"again", nil, []int{30, 31}, true},
		{"lost", []int{20}, nil, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(nil)
			f.dial = func(a attempt) (*fakeStream, error) {
				lines := ticker(10*millisecond, 5*second, 0, f.stamped)
				if a.conn > 0 {
					return &fakeStream{lines: lines}, nil
				}
				var late []line
				for _, n := range row.later {
					late = append(late, line{4900 * millisecond, lines[n-1].ev})
				}
				lines = slices.DeleteFunc(lines, func(l line) bool { return slices.Contains(row.missing, int(l.at/(10*millisecond))) })
				lines = append(lines, late...)
				slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
				return &fakeStream{lines: lines}, nil
			}
			result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 5 * second, Warmup: 0, Thresholds: thresholds(t, "lost < 1000")})
			why, unmeasured := result.Unmeasured[Lost]
			if unmeasured == row.measured || unmeasured != strings.Contains(why, "more than 256 behind") || result.Judgements[0].Passed != row.measured || result.Count(Ancient) != uint64(len(row.later)) {
				t.Errorf("%s: %q, %d ancient, %+v", row.name, why, result.Count(Ancient), result.Judgements)
			}
		})
	}
}

// TestWarmupLeavesSamples: a warm-up takes no timing away as a whole.
func TestWarmupLeavesSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(attempt) (*fakeStream, error) {
			lines := ticker(10*millisecond, 9*second, 10*millisecond, f.stamped)
			for i := range lines {
				if lines[i].at < 1500*millisecond {
					lines[i].at += 100 * millisecond // later ones overtake the last of these
				}
				if lines[i].at < second {
					lines[i].ev = f.kernelStamped(lines[i].ev, lines[i].at, lines[i].at)
				}
			}
			slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
			return &fakeStream{lines: lines}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 8 * second, Warmup: -1})
		if result.Trimmed == 0 || result.Trimmed > second || result.Histogram(ClientLag) == nil {
			t.Errorf("%v of the warm-up gone, client_lag %v", result.Trimmed, result.Histogram(ClientLag) != nil)
		}
	})
}

// TestOutageOfAll: connections that dropped at once tell of one outage.
func TestOutageOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: since(a.at, ticker(100*millisecond, 8*second, millisecond, f.stamped))}
			if a.n == 0 {
				s.end = 3050 * millisecond
			}
			return s, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 20}}, Duration: 8 * second, Warmup: -1, Backoff: fixed})
		for _, m := range []Metric{Outage, Wait} {
			if e := result.Estimate(m, .5); e.Effective != 1 || e.Unknown != "" || result.Histogram(m).TotalCount() != 20 {
				t.Errorf("%s: %+v", m, e)
			}
		}
	})
}
