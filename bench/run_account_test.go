package bench

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
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

// twoListeners is a world in which two connections receive what a run publishes for two seconds, and that run.
func twoListeners() (*publishWorld, *Runner) {
	w := &publishWorld{posted: make(map[uint64]*posted), places: []*place{{}, {}}, end: 4 * second}
	w.lives, w.replays, w.retires = make([][]time.Duration, 2), make([][]bool, 2), make([]time.Duration, 2)
	w.plan = Plan{Stages: []Stage{{0, 2}}, Duration: 2 * second, Warmup: -1, Send: Sending{Rate: 100, Publishers: []Publisher{worldPublisher{w, 0}}}}
	w.server = newFakeServer(w.dial)
	w.start = w.server.start
	return w, &Runner{Plan: w.plan, fakable: true, Dialer: func(conn int) (client.Dialer, error) {
		return worldDialer{w, &fakeDialer{w.server, conn}}, nil
	}}
}

// TestOthersAmongOwn: where the run itself publishes, another run's messages on the same streams, stamped by another
// clock and due by another schedule, are no deliveries of it.
func TestOthersAmongOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := twoListeners()
		w.server.dial = func(a attempt) (*fakeStream, error) {
			s, err := w.dial(a)
			s.remote = "203.0.113.5:80"
			s.lines = ticker(10*millisecond, 3*second, millisecond, func(n int, due time.Duration) client.Event {
				stamp := client.Stamp{Run: 7, Seq: uint64(n) | forAllMark, Due: w.server.epoch(due - 5*second), Sent: w.server.epoch(due)}
				return event(string(client.AppendStamp(nil, stamp)))
			})
			return s, err
		}
		result, err := r.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := result.Histogram(Delivery).TotalCount(); n != int64(result.Count(Delivered)) || n == 0 {
			t.Errorf("%d deliveries of %d delivered", n, result.Count(Delivered))
		}
	})
}

// TestBlurredIsDoubted: where more publications failed, here and there, than can be told from losses, nobody knows how
// many never came, and no quantile has a verdict.
func TestBlurredIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := twoListeners()
		run := newRun(r)
		run.publish()
		run.own.own.dense = true
		run.startAll()
		run.collectUntilEnd(t.Context())
		run.stopSending()
		run.drain(t.Context())
		run.finish()
		result := run.result()
		if result.Unmeasured[Lost] == "" || result.Verdict != NoVerdict {
			t.Errorf("%v, %s", result.Unmeasured, result.Verdict)
		}
	})
}

// TestSentAtTheEnd: a message that a busy host sends only after the window has ended, and before the schedules are told
// so, is one of those that count.
func TestSentAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := twoListeners()
		run := newRun(r)
		run.publish()
		run.startAll()
		run.collectUntilEnd(t.Context())
		synctest.Wait()
		if n := uint64(len(w.posted)); !run.dispatch(n, time.Duration(run.window.end.Load()-1)) {
			t.Fatal("it was not sent")
		}
		run.stopSending()
		run.drain(t.Context())
		run.finish()
		result := run.result()
		pairs := 2*uint64(len(w.posted)) - result.Count(Boundary) // what raced with a subscription is no pair
		if got := result.Count(Expected); got != pairs || result.Count(Delivered) != pairs {
			t.Errorf("%d expected and %d delivered of %d pairs", got, result.Count(Delivered), pairs)
		}
	})
}

// slowProbe takes long to say what a target uses.
type slowProbe struct{ scriptedProbe }

func (p *slowProbe) Use(ctx context.Context) (Use, error) {
	<-time.After(1900 * millisecond)
	return p.scriptedProbe.Use(ctx)
}

// TestEndedBesideASlowProbe: a stream that ends after the window, with all that was published, is no drop, though the target
// still says what it uses.
func TestEndedBesideASlowProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := twoListeners()
		w.lives[0], w.replays[0] = []time.Duration{3020 * millisecond}, []bool{false}
		r.Plan.Target = &slowProbe{scriptedProbe{uses: []*Use{{second, 100}}}}
		result, err := r.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if result.Count(Drops) != 0 || len(result.Errors) > 0 || result.End > 3020*millisecond {
			t.Errorf("%d drops until %v: %+v", result.Count(Drops), result.End, result.Errors)
		}
	})
}

// TestInterruptedUnderWay: what is still under way when the user stops the run isn't lost.
func TestInterruptedUnderWay(t *testing.T) {
	for name, delay := range map[string]time.Duration{"a little late": 300 * millisecond, "very late": 3 * second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(nil)
				f.dial = func(a attempt) (*fakeStream, error) {
					lines := ticker(10*millisecond, 15*second, []time.Duration{delay, millisecond}[a.conn], f.stamped)
					if a.conn == 0 {
						lines = slices.Delete(lines, 150, 153)
					}
					return &fakeStream{lines: lines}, nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*second)
				defer cancel()
				result, err := f.runner(Plan{Stages: []Stage{{0, 2}}, Duration: time.Hour, Warmup: second}).Run(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if result.Count(Lost) != 3 || result.Absent[Delivery] != 3 || result.Absent[Reach100] > 3 || result.Count(Expected) != result.Count(Delivered)+3 {
					t.Errorf("%d lost, absent %v, expected %d, after %v", result.Count(Lost), result.Absent, result.Count(Expected), result.Elapsed)
				}
			})
		})
	}
}

// TestTwoClocksOfAShortRun: deliveries that take longer than the ramp were none the less stamped in the window, and what
// comes in the drain was too: the offset needs to be known for no more than that.
func TestTwoClocksOfAShortRun(t *testing.T) {
	const back = 200 * millisecond
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		server := func(at time.Duration) time.Duration { return at + 300*millisecond }
		f.dial = func(attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(100*millisecond, 62*second, back, func(n int, due time.Duration) client.Event {
				return f.kernelStamped(f.stamped(n, server(due)), due+back, due+back)
			})}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 59500 * millisecond, Warmup: millisecond, Clock: fakeClock{f, server, millisecond, millisecond, 0}})
		if result.Clock == nil || len(result.Doubts) > 0 {
			t.Fatalf("%v, %v", result.Clock, result.Doubts)
		}
		if e := result.Estimate(Delivery, .5); e.Low > int64(back) || e.High < int64(back) {
			t.Errorf("%+v", e)
		}
	})
}
