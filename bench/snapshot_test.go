package bench

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// snapshots makes a run, somebody looking closer, and gives what it shows at some times after its start.
func snapshots(t *testing.T, f *fakeServer, plan Plan, at ...time.Duration) (*Result, []*Snapshot) {
	t.Helper()
	r := f.runner(plan)
	r.Look(true)
	seen := make([]*Snapshot, len(at))
	for i := range at {
		time.AfterFunc(at[i]-time.Since(f.start), func() { seen[i] = r.Snapshot() })
	}
	result, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result, seen
}

// gate is a condition of a test.
func gate(t *testing.T, text string) Threshold {
	t.Helper()
	threshold, err := ParseThreshold(text)
	if err != nil {
		t.Fatal(err)
	}
	return threshold
}

// TestSnapshotWhileDown: while nobody is there to see what is published, a snapshot says of loss and of the headline what the result
// would if the run ended now, and no longer than that.
func TestSnapshotWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := 8 * second
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			if a.n > 0 && a.at < back {
				return nil, &client.Error{Class: client.ClassRefused}
			}
			s := &fakeStream{lines: since(a.at, ticker(20*millisecond, 15*second, millisecond, f.stamped))}
			if a.n == 0 {
				s.end = 4*second + 5*millisecond
			}
			return s, nil
		}
		plan := Plan{Stages: []Stage{{0, 3}}, Duration: 12 * second, Warmup: -1, Backoff: fixed, Sequence: Sequence{ID: true}, Thresholds: []Threshold{gate(t, "lost == 0"), gate(t, "drops < 1")}}
		_, seen := snapshots(t, f, plan, 3900*millisecond, 4700*millisecond, 6500*millisecond, 11900*millisecond)
		for i, want := range []string{"", "", "not measurable: no connection is open, and nobody sees what is published meanwhile", ""} {
			s := seen[i]
			if got := s.Judgements[0]; got.Unknown != want || got.Passed != (i < 2) {
				t.Errorf("at %v: %+v", s.At, got)
			}
			if got := s.Judgements[1]; got.Unknown != "" || got.Passed != (i == 0) {
				t.Errorf("at %v: %+v", s.At, got)
			}
			silent := len(s.Detail.Doubts) > 0 && strings.HasPrefix(s.Detail.Doubts[0].Text, "nobody received anything in the last ")
			if silent != (i == 2) || s.Detail.Estimates[0].Verdict.Refused() != silent {
				t.Errorf("at %v: %+v, %+v", s.At, s.Detail.Doubts, s.Detail.Estimates[0])
			}
		}
		back = time.Hour
		f.start, f.attempts = time.Now(), make(map[int]int)
		plan.Duration = 7 * second
		result, seen := snapshots(t, f, plan, 6900*millisecond)
		if _, unmeasured := result.Unmeasured[Lost]; !unmeasured || result.Verdict != NoVerdict || result.Judgements[0].Unknown == "" {
			t.Errorf("%v, %s, %+v", result.Unmeasured, result.Verdict, result.Judgements)
		}
		if _, unmeasured := seen[0].Unmeasured[Lost]; !unmeasured {
			t.Errorf("%v", seen[0].Unmeasured)
		}
	})
}

// TestSnapshotFits: what a snapshot says of the connections fits together, whenever it was made.
func TestSnapshotFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: since(a.at, ticker(20*millisecond, 15*second, millisecond, f.stamped)), end: a.at + time.Duration(1+a.conn%7)*130*millisecond}, nil
		}
		var at []time.Duration
		for i := range 25 {
			at = append(at, second+time.Duration(i)*200*millisecond)
		}
		_, seen := snapshots(t, f, Plan{Stages: []Stage{{0, 10}}, Duration: 7 * second, Warmup: -1, Backoff: fixed}, at...)
		differ := make(map[int]bool)
		for _, s := range seen {
			if differ[s.Down] = true; s.Open+s.Down+s.Ended != 10 {
				t.Errorf("at %v: %d open, %d down, %d ended", s.At, s.Open, s.Down, s.Ended)
			}
		}
		if len(differ) < 3 {
			t.Errorf("%v", differ)
		}
	})
}

// TestSnapshotMissing: as long as events are missing that may be lost, a snapshot says so, and how many, and no condition on loss
// holds for sure; once they have come, or are lost, it is decided.
func TestSnapshotMissing(t *testing.T) {
	for name, row := range map[string]struct {
		replay  bool
		missing [5]uint64 // before the drop, down, open again, soon and long after
		lost    uint64
	}{
		"no replay": {false, [5]uint64{0, 20, 60, 60, 0}, 60},
		"replay":    {true, [5]uint64{0, 20, 60, 0, 0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(nil)
				f.dial = func(a attempt) (*fakeStream, error) {
					all := ticker(20*millisecond, 15*second, millisecond, f.stamped)
					s := &fakeStream{lines: since(a.at, all)}
					switch {
					case a.conn == 1 && a.n == 0:
						s.end = 3*second + 5*millisecond
					case a.conn == 1 && a.at < 4*second:
						return nil, &client.Error{Class: client.ClassRefused}
					case a.conn == 1: // nothing comes before the snapshot
						s.lines = since(4310*millisecond, all)
						if row.replay {
							for i, l := range all[150:215] {
								all[150+i].at = max(l.at, 4305*millisecond)
							}
							s.lines = all[150:]
						}
					}
					return s, nil
				}
				back := client.Backoff{Policy: client.Fixed, Base: 400 * millisecond}
				gates := []Threshold{gate(t, "lost == 0"), gate(t, "rate(lost) < 1%"), gate(t, "reach >= 99%"), gate(t, "lost < 100")}
				plan := Plan{Stages: []Stage{{0, 3}}, Duration: 13 * second, Warmup: -1, Backoff: back, Sequence: Sequence{ID: true}, Thresholds: gates}
				result, seen := snapshots(t, f, plan, 2900*millisecond, 3500*millisecond, 4300*millisecond, 4500*millisecond, 12*second)
				for i, s := range seen {
					about := row.missing[i]
					if s.Missing > about+6 || s.Missing+6 < about {
						t.Errorf("at %v: %d are missing", s.At, s.Missing)
					}
					for _, j := range s.Judgements[:3] {
						if fails := i == 4 && row.lost > 0; j.Passed == fails || j.Unknown != "" || (j.Missing > 0) != (s.Missing > 0) {
							t.Errorf("at %v: %+v", s.At, j)
						}
					}
					if j := s.Judgements[3]; !j.Passed || j.Missing > 0 {
						t.Errorf("at %v: %+v", s.At, j)
					}
				}
				if got := result.Count(Lost); got > row.lost+6 || got+6 < row.lost || result.Judgements[0].Missing > 0 {
					t.Errorf("%d lost, %+v", got, result.Judgements)
				}
			})
		})
	}
}

// lacking is a run of many connections that all lack events, of streams that are down or have come back.
func lacking(connections int) *run {
	r := newRun(&Runner{Plan: Plan{Stages: []Stage{{0, connections}}, Duration: time.Hour, Sequence: Sequence{ID: true}}, fakable: true})
	f := r.feed(feedKey{kind: byNumber})
	f.met.Store(true)
	f.declared = true
	f.highest.Store(200)
	f.repeats.Store(1000)
	for i := range connections {
		s := &subscriber{run: r, shard: r.recorder.shard(), index: i, isOpen: i%2 > 0, fresh: i%4 > 2, opened: 1, dropped: never}
		s.tracked = append(s.place[:0], tracked{key: f.key, feed: f})
		for n := range uint64(100) {
			s.tracked[0].tracker.Observe(1 + n*(1+n%2))
		}
		r.all = append(r.all, s)
	}
	return r
}

// TestAccountAllocates: accounting takes no more memory the more connections there are.
func TestAccountAllocates(t *testing.T) {
	few, many := lacking(10), lacking(2000)
	if a, b := testing.AllocsPerRun(10, few.account), testing.AllocsPerRun(10, many.account); b > a || many.missing == 0 {
		t.Errorf("%v allocations for 10 connections, %v for 2,000, which lack %d", a, b, many.missing)
	}
}

func BenchmarkAccount(b *testing.B) {
	r := lacking(19_000)
	for b.Loop() {
		r.account()
	}
}

// An account of many connections takes long, and is made the more seldom; not where a phase ends, nor as the window begins,
// which decides what is lost in it. What it would say of the moment isn't said of another.
func TestAccountsTakeAShare(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{0: 0, 4 * time.Millisecond: 0, 5 * time.Millisecond: 250 * time.Millisecond, time.Minute: time.Second} {
		if got := apart(took); got != want {
			t.Errorf("after %v they are %v apart, want %v", took, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r, s := newTestSubscriber(t, Plan{Stages: []Stage{{0, 1}}, Warmup: 5 * time.Second, Duration: time.Hour})
		accounts := func(what string, want bool, collect func()) {
			t.Helper()
			r.states = states{ended: 7}
			collect()
			if got := r.states.ended != 7; got != want {
				t.Errorf("%s: %v", what, got)
			}
		}
		accounts("at first", true, r.collect)
		r.nextAccount = time.Duration(r.now()) + 250*time.Millisecond
		accounts("too early", false, r.collect)
		time.Sleep(200 * time.Millisecond)
		accounts("still too early", false, r.collect)
		time.Sleep(50 * time.Millisecond)
		accounts("in time", true, r.collect)
		r.nextAccount = time.Hour
		accounts("in a new phase", true, func() { r.enter(PhaseRamp) })
		r.nextAccount = time.Hour
		time.Sleep(5 * time.Second)
		accounts("as the window begins", true, func() { r.gather(); r.collect() })
		for range 3 {
			s.Received(&client.Event{Arrival: client.Arrival{User: time.Now()}, Retry: -1})
			time.Sleep(100 * time.Millisecond)
		}
		r.gather()
		r.nextAccount = 0
		r.collect()
		r.nextAccount = time.Hour
		time.Sleep(10 * time.Second)
		if r.collect(); r.silence != 0 {
			t.Errorf("silent for %v, which no account has seen", r.silence)
		}
		r.nextAccount = 0
		if r.collect(); r.silence < 10*time.Second {
			t.Errorf("silent for %v", r.silence)
		}
	})
}
