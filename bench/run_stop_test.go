package bench

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// everyTenth is a server that publishes ten stamped events a second, a millisecond late, to everybody.
func everyTenth() *fakeServer {
	var f *fakeServer
	f = newFakeServer(func(a attempt) (*fakeStream, error) {
		return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}, nil
	})
	return f
}

func TestStopAfterEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := everyTenth()
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: time.Hour, Warmup: second, Events: 20})
		// Number 10 is due when the window begins, and arrives in it; 29 is the twentieth in it.
		if result.Stop != StopEvents || result.Begin != second || result.End.Truncate(millisecond) != 2901*millisecond {
			t.Errorf("%s, from %v to %v", result.Stop, result.Begin, result.End)
		}
		if result.Window.Received != 20 || result.Count(Received) != 29 || result.Elapsed > 3*second {
			t.Errorf("%d in the window of %d received, after %v", result.Window.Received, result.Count(Received), result.Elapsed)
		}
	})
}

func TestStopByInterrupt(t *testing.T) {
	for name, at := range map[string]time.Duration{"while measuring": 2050 * millisecond, "while connecting": 50 * millisecond, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), at)
				defer cancel()
				result, err := everyTenth().runner(Plan{
					Stages: []Stage{{0, 10}}, ConnectRate: 10, Duration: time.Hour, Warmup: -1,
					Thresholds: thresholds(t, "throughput > 1"),
				}).Run(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if result.Stop != StopInterrupted || result.Elapsed > at+second || result.End != at || result.Begin != min(at, second) {
					t.Errorf("%s after %v, from %v to %v", result.Stop, result.Elapsed, result.Begin, result.End)
				}
				if j := result.Judgements[0]; j.Passed != (at > second) || at <= second && j.Unknown != "there was no measured window" {
					t.Errorf("%+v", j)
				}
			})
		})
	}
}

func TestStopByAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(attempt) (*fakeStream, error) { return &fakeStream{end: 1650 * millisecond}, nil })
		plan := Plan{Stages: []Stage{{0, 1}}, Duration: time.Minute, Warmup: second, Backoff: fixed, Abort: true,
			Thresholds: thresholds(t, "received > 10", "drops == 0", "p99(delivery) < 1ms")}
		result := f.run(t, plan)
		if result.Stop != StopAborted || result.StopText != "threshold failed: drops == 0" || result.End != 1800*millisecond {
			t.Errorf("%s: %s at %v", result.Stop, result.StopText, result.End)
		}
		plan.Abort, plan.Duration = false, 2100*millisecond
		if result := f.run(t, plan); result.Stop != StopDuration || result.Judgements[1].Passed {
			t.Errorf("%s, %+v", result.Stop, result.Judgements)
		}
	})
}

// TestAbortStands: a run that a quantile ends says what that is, and doesn't end before that can be said.
func TestAbortStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: since(a.at, ticker(20*millisecond, time.Minute, millisecond, f.stamped))}, nil
		})
		plan := Plan{Stages: []Stage{{0, 3}}, Duration: time.Minute, Warmup: second, Backoff: fixed, Abort: true, Thresholds: thresholds(t, "p50(delivery) < 1ns")}
		result := f.run(t, plan)
		if j := result.Judgements[0]; result.Stop != StopAborted || j.Passed || j.Unknown != "" || j.Value < float64(millisecond) {
			t.Errorf("%s at %v: %+v", result.Stop, result.End, j)
		}
	})
	limit := thresholds(t, "p50(delivery) < 1ms", "lost == 0")
	r := run{decisive: Judgement{Threshold: limit[0], Figure: Figure{Value: 2e6}}}
	if j := r.judgement(limit[0], &Result{}); j != r.decisive {
		t.Errorf("it is %+v now, though %+v ended the run", j, r.decisive)
	}
	if j := r.judgement(limit[1], &Result{}); !j.Passed {
		t.Errorf("%+v", j)
	}
}

var refused = &client.Error{Class: client.ClassRefused}

func TestStopUnreachable(t *testing.T) {
	const failure = "nothing ever connected: nothing listens at that address"
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(attempt) (*fakeStream, error) { return nil, refused })
		result := f.run(t, Plan{Stages: []Stage{{0, 1000}}, Duration: time.Minute, Warmup: -1})
		if result.Stop != StopUnreachable || result.StopText != refused.Error() || result.Failure != failure {
			t.Errorf("%s, %q, %q", result.Stop, result.StopText, result.Failure)
		}
		// The tenth connection, at 9 ms, is the last one that is tried.
		if result.Elapsed > 15*millisecond || len(f.dialed) > 11 || result.Count(ConnectErrors) < enoughFailures {
			t.Errorf("%d attempts, %d failed, in %v", len(f.dialed), result.Count(ConnectErrors), result.Elapsed)
		}
	})
	t.Run("overloaded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // which waiting may mend
			busy := &client.Error{Class: client.ClassStatus, Code: 503}
			f := newFakeServer(func(attempt) (*fakeStream, error) { return nil, busy })
			result := f.run(t, Plan{Stages: []Stage{{0, 20}}, Duration: 2 * second, Warmup: -1, Backoff: fixed})
			if result.Stop != StopDuration || result.Failure != "nothing ever connected: HTTP status 503" || len(result.Errors) != 1 || result.Errors[0].Key != "status 503" {
				t.Errorf("%s, %q, %+v", result.Stop, result.Failure, result.Errors)
			}
			f = newFakeServer(f.dial)
			result = f.run(t, Plan{Stages: []Stage{{0, 20}}, Duration: time.Minute, Warmup: -1, Backoff: client.Backoff{Policy: client.NoReconnect}})
			if result.Stop != StopUnreachable || len(f.dialed) > 11 {
				t.Errorf("without reconnects: %s after %d attempts", result.Stop, len(f.dialed))
			}
		})
	})
	t.Run("no dialer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			runner := &Runner{fakable: true, Plan: Plan{Stages: []Stage{{0, 5}}, Duration: time.Minute, Warmup: -1},
				Dialer: func(int) (client.Dialer, error) { return nil, errors.New("row 1 has no column \"token\"") }}
			result, err := runner.Run(t.Context())
			if err != nil || result.Stop != StopUnreachable || result.Failure != `nothing ever connected: another error: row 1 has no column "token"` {
				t.Errorf("%v, %s, %q", err, result.Stop, result.Failure)
			}
		})
	})
}

func TestStopWhenAllEnded(t *testing.T) {
	once := client.Backoff{Policy: client.NoReconnect}
	for _, row := range []struct {
		name    string
		plan    Plan
		dial    func(a attempt) (*fakeStream, error)
		at      time.Duration
		failure string
	}{
		{"every stream has one end", Plan{Stages: []Stage{{0, 3}}, Duration: time.Minute, Warmup: -1, Backoff: once},
			func(a attempt) (*fakeStream, error) { return &fakeStream{end: time.Duration(a.conn+1) * second}, nil }, 3 * second, ""},
		{"the server is gone, and the attempts are used up", Plan{Stages: []Stage{{0, 3}}, Duration: time.Minute, Warmup: -1,
			Backoff: client.Backoff{Policy: client.Fixed, Base: second, Attempts: 2}},
			func(a attempt) (*fakeStream, error) {
				if a.n == 0 {
					return &fakeStream{end: second}, nil
				}
				return nil, refused
			}, 3 * second, "the target died: no connection was open at the end, and none could be opened again"},
		// The youngest of three ends by itself and is then the one that the plan ends; one is left.
		{"one that the plan ends had ended", Plan{Stages: []Stage{{second, 3}, {second, 2}, {10 * second, 2}}, Warmup: -1, Backoff: once},
			func(a attempt) (*fakeStream, error) {
				return &fakeStream{end: []time.Duration{6500, 5500, 1500}[a.conn] * millisecond}, nil
			}, 6500 * millisecond, ""},
		{"more are to be opened", Plan{Stages: []Stage{{2 * second, 2}, {10 * second, 2}}, Warmup: -1, Backoff: once},
			func(a attempt) (*fakeStream, error) { return &fakeStream{end: a.at + second/2}, nil }, 1500 * millisecond, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result := newFakeServer(row.dial).run(t, row.plan)
				if result.Stop != StopEnded || result.End < row.at || result.End > row.at+looks*tick || result.Failure != row.failure {
					t.Errorf("%s at %v, %q", result.Stop, result.End, result.Failure)
				}
				if result.OpenAtEnd != 0 || result.StopText == "" {
					t.Errorf("%d open at the end, %q", result.OpenAtEnd, result.StopText)
				}
			})
		})
	}
}

func TestTargetDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			if a.at > second {
				return nil, refused
			}
			return &fakeStream{end: second, err: &client.Error{Class: client.ClassReset}}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 3 * second, Warmup: -1, Backoff: fixed})
		if result.Stop != StopDuration || result.Failure != "the target died: no connection was open at the end, and none could be opened again" {
			t.Errorf("%s, %q", result.Stop, result.Failure)
		}
		checkCounts(t, result, without(map[Metric]uint64{Drops: 2, ConnectErrors: 8, Attempts: 10, Opened: 2}, result, WireIn, WireOut, HandshakeIn, HandshakeOut))
		checkTexts(t, "warnings", result.Warnings, "connections opened, but nothing was received",
			"2 connections had dropped and were not open again when the run ended; in outage they count as longer than any that ended")
	})
}

// TestDrain: two connections; number 20 reaches the second one only after the window has ended.
func TestDrain(t *testing.T) {
	for _, row := range []struct {
		name      string
		late      time.Duration // when number 20 comes; 0 for never
		drain     time.Duration
		interrupt time.Duration
		elapsed   time.Duration // of the run, rounded up to drainTick
		want      map[Metric]uint64
	}{
		{"waits for what is late", 3500 * millisecond, 0, 0, 3500 * millisecond, map[Metric]uint64{Received: 40, Expected: 40, Delivered: 40, Late: 1}},
		{"gives up after its time", 3500 * millisecond, second, 0, 3050 * millisecond, map[Metric]uint64{Received: 39, Expected: 40, Delivered: 39, Lost: 1}},
		{"gives up after 5 s", 0, 0, 0, 7050 * millisecond, map[Metric]uint64{Received: 39, Expected: 40, Delivered: 39, Lost: 1}},
		{"ends at once when interrupted", 3500 * millisecond, 0, 2500 * millisecond, 2500 * millisecond, map[Metric]uint64{Received: 39, Expected: 39, Delivered: 39}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f *fakeServer
				f = newFakeServer(func(a attempt) (*fakeStream, error) {
					s := &fakeStream{lines: ticker(100*millisecond, 2050*millisecond, millisecond, f.stamped)}
					if a.conn == 1 {
						s.lines[19].at = row.late
						if row.late == 0 {
							s.lines = s.lines[:19]
						}
					}
					return s, nil
				})
				ctx := t.Context()
				if row.interrupt > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, row.interrupt)
					defer cancel()
				}
				result, err := f.runner(Plan{Stages: []Stage{{0, 2}}, Duration: 2048 * millisecond, Warmup: -1, Drain: row.drain}).Run(ctx)
				if err != nil {
					t.Fatal(err)
				}
				checkCounts(t, result, without(row.want, result, transport...))
				if result.Elapsed < row.elapsed || result.Elapsed > row.elapsed+drainTick || result.End != 2050*millisecond {
					t.Errorf("ended after %v, the window at %v", result.Elapsed, result.End)
				}
			})
		})
	}
}

// TestDrainIsBounded: a server clock that is hours off makes deliveries look hours late, which must not be waited for.
func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: ticker(100*millisecond, 2*second, 40*time.Minute, f.stamped)}
			for i := range s.lines { // due from 10 s on, "received" 40 minutes later
				s.lines[i].ev = f.stamped(i+1, 10*second)
				s.lines[i].at = 12*second + time.Duration(i)
			}
			if a.conn == 1 {
				s.lines = s.lines[:5]
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 13 * second, Warmup: -1})
		if result.Elapsed > 13*second+3*13*second {
			t.Errorf("ended after %v", result.Elapsed)
		}
	})
}

// TestFinish: what a server still sends when it is asked to end the streams is received; one that doesn't listen is
// cut off; one that can't even be asked keeps nobody waiting.
func TestFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: ticker(100*millisecond, 950*millisecond, millisecond, f.stamped)}
			switch a.conn {
			case 0:
				s.lines = s.lines[:8]
				s.tail = []line{{300 * millisecond, f.stamped(9, 900*millisecond)}, {310 * millisecond, f.stamped(10, second)}}
			case 1:
				s.deaf = true
			case 2:
				s.stuck = true
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: second, Warmup: -1, Drain: 50 * millisecond})
		checkCounts(t, result, without(map[Metric]uint64{Received: 4*9 + 1, Expected: 36, Delivered: 36, Late: 1, Boundary: 1}, result, transport...))
		// Two streams end soon, and after one interval of nothing the others are closed.
		if result.Elapsed < 2*finishWait || result.Elapsed > 2*finishWait+1100*millisecond || len(result.Errors) != 0 {
			t.Errorf("ended after %v, errors %v", result.Elapsed, result.Errors)
		}
		if result.OpenAtEnd != 4 {
			t.Errorf("%d open at the end", result.OpenAtEnd)
		}
	})
}

// TestStuckRetirement: a connection that can't be asked to end, since its peer reads nothing, holds up neither the
// others that the plan ends nor the run.
func TestStuckRetirement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) { return &fakeStream{stuck: a.conn == 4}, nil })
		result := f.run(t, Plan{Stages: []Stage{{second, 5}, {second, 1}, {second, 1}}, Warmup: -1})
		if result.Stop != StopDuration || result.OpenAtEnd != 2 || result.Elapsed > 3*second+2*finishWait {
			t.Errorf("%s, %d open at the end, after %v", result.Stop, result.OpenAtEnd, result.Elapsed)
		}
	})
}

// TestSnapshot follows a run through its phases.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := everyTenth()
		everything := f.dial
		f.dial = func(a attempt) (*fakeStream, error) {
			s, err := everything(a)
			if a.conn == 1 { // number 38 is waited for
				s.lines = slices.DeleteFunc(s.lines, func(l line) bool { return l.at == 3801*millisecond })
			}
			return s, err
		}
		runner := f.runner(Plan{Stages: []Stage{{0, 2}}, ConnectRate: 2, Duration: 3 * second, Warmup: -1, Thresholds: thresholds(t, "received > 25")})
		if runner.Snapshot() != nil {
			t.Error("there is a snapshot before the run")
		}
		var phases []Phase
		seen := make(map[*Snapshot]Snapshot)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = runner.Run(t.Context())
		}()
		ticker := time.NewTicker(10 * millisecond)
		defer ticker.Stop()
	watch:
		for {
			select {
			case <-ticker.C:
			case <-done:
				break watch
			}
			s := runner.Snapshot()
			if _, ok := seen[s]; ok {
				continue
			}
			seen[s] = *s
			if len(phases) == 0 || phases[len(phases)-1] != s.Phase {
				phases = append(phases, s.Phase)
			}
			if time.Since(f.start)-s.At > 10*millisecond || s.Begin != second || s.End != 4*second || s.Planned != 2 {
				t.Errorf("at %v: %+v", time.Since(f.start), s)
			}
			if s.Phase == PhaseMeasure && s.At == 2*second {
				// Number 20 has just been due. Both have been open for more than a second: 5 in each quarter of one.
				if s.Open != 2 || s.Rate < 15 || s.Rate > 25 || s.Headline != Delivery || s.Quantiles.Samples != 2*10 || s.LastError != "" {
					t.Errorf("at 2 s: %+v", s)
				}
			}
			if got := s.Judgements[0]; got.Passed != (s.Count(Received) > 25) {
				t.Errorf("%+v with %d received", got, s.Count(Received))
			}
		}
		last := runner.Snapshot()
		phases = slices.Compact(append(phases, last.Phase))
		if !slices.Equal(phases, []Phase{PhaseRamp, PhaseMeasure, PhaseDrain, PhaseFinish}) {
			t.Errorf("phases %v", phases)
		}
		if last.Open != 0 || last.Count(Lost) != 1 || last.Count(Delivered)+1 != last.Count(Expected) {
			t.Errorf("at the end: %+v", last)
		}
		for s, before := range seen {
			if !reflect.DeepEqual(*s, before) {
				t.Errorf("a snapshot changed from %+v to %+v", before, *s)
			}
		}
		if len(seen) < 16 {
			t.Errorf("%d snapshots in 4 s", len(seen))
		}
	})
}

func TestRunRefuses(t *testing.T) {
	for want, runner := range map[string]*Runner{
		"the plan opens no connection": {},
		"a run needs a dialer":         {Plan: Plan{Stages: []Stage{{second, 1}}}},
	} {
		if result, err := runner.Run(t.Context()); result != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
