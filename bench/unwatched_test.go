package bench

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A paced server replays at a pace: the first event so long after the stream is open, and after pauseAt of them a pause.
type paced struct {
	period, first, step, pause time.Duration
	pauseAt                    int
	replay                     func(last int, kept []int) []int
	event                      func(n int) client.Event
}

func (x paced) server() *fakeServer {
	if x.event == nil {
		x.event = func(n int) client.Event { return numbered(fmt.Sprint(n), fmt.Sprintf("event %d", n)) }
	}
	at := func(n int) time.Duration { return time.Duration(n)*x.period + millisecond }
	return newFakeServer(func(a attempt) (*fakeStream, error) {
		s, n, end := &fakeStream{}, 1, a.at+1
		s.info.Resumed = len(a.from) > 0
		var kept []int
		for ; at(n) < end; n++ {
			kept = append(kept, n)
		}
		if s.info.Resumed {
			t := end + x.first
			for i, n := range x.replay(lastOf(a.from), kept) {
				if i > 0 {
					t += x.step
				}
				if x.pauseAt > 0 && i == x.pauseAt {
					t += x.pause
				}
				s.lines, end = append(s.lines, line{t, x.event(n)}), t
			}
		}
		for ; at(n) < 30*second; n++ { // what is published during the replay comes after it
			s.lines = append(s.lines, line{max(at(n), end), x.event(n)})
		}
		return s, nil
	})
}

var after = map[string]func(last int, kept []int) []int{
	"correct":     func(last int, kept []int) []int { return kept[min(last, len(kept)):] },
	"stops early": func(last int, kept []int) []int { k := kept[min(last, len(kept)):]; return k[:max(0, len(k)-2)] },
	"keeps ten":   func(last int, kept []int) []int { return kept[max(last, len(kept)-10):] },
}

var faultOf = map[string]ResumeFault{"correct": numResumeFaults, "stops early": GapSeam, "keeps ten": Horizon}

func judgeResumes(t *testing.T, name, server string, r *Resumption, resumes uint64) {
	if r == nil || r.Judged != resumes {
		t.Errorf("%s, %s: %+v", name, server, r)
		return
	}
	for _, f := range ResumeFaults() {
		want := uint64(0)
		if f == faultOf[server] {
			want = resumes
		}
		if r.Faults[f] != want {
			t.Errorf("%s, %s: %s: %d, want %d (%s, %d correct)", name, server, f, r.Faults[f], want, r.Verdict, r.Correct)
		}
	}
}

// TestReplayShapes: a replay is one however late it begins and however it pauses, and is judged to its end.
func TestReplayShapes(t *testing.T) {
	for name, x := range map[string]paced{
		"begins 15 ms after the head": {period: 20 * millisecond, first: 15 * millisecond},
		"15 ms pause within it":       {period: 20 * millisecond, first: millisecond, pauseAt: 5, pause: 15 * millisecond},
		"a pause near its end":        {period: 20 * millisecond, first: millisecond, pauseAt: 40, pause: 15 * millisecond},
		"500/s, begins 1 ms after":    {period: 2 * millisecond, first: millisecond, step: 100 * time.Microsecond},
		"begins 600 ms after":         {period: 20 * millisecond, first: 600 * millisecond},
	} {
		for server := range after {
			if underRace && server != "stops early" { // the one that needs the most
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				x.replay = after[server]
				result := x.server().run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 8 * second, Drain: second, Warmup: 500 * millisecond,
					Backoff: client.Backoff{Policy: client.Fixed, Base: second}, Sequence: Sequence{ID: true},
					Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: 3*second + 3*millisecond}}})
				judgeResumes(t, name, server, result.Resumption, 6)
			})
		}
	}
}

// TestSoonAfterOpen: an event comes every two seconds, and by chance one of them a little after the streams are open again. It
// was just due, and is live.
func TestSoonAfterOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := paced{period: 2 * second, first: millisecond, replay: after["correct"]}.server().run(t, Plan{
			Stages: []Stage{{0, 4}}, Duration: 26 * second, Warmup: second, Drain: second, Backoff: fixed, Sequence: Sequence{ID: true},
			Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: 12350 * millisecond}}})
		checkTiming(t, result, Outage, samples{2 * second: 4})
		checkTiming(t, result, CatchUp, samples{151 * millisecond: 4})
		if r := result.Resumption; r == nil || r.Idle != 4 || r.Judged != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestOneReplayed: what was missed is one event, which is overdue and comes as soon as the stream is open.
func TestOneReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := paced{period: second, first: millisecond, replay: after["correct"]}.server().run(t, Plan{
			Stages: []Stage{{0, 4}}, Duration: 20 * second, Warmup: second, Drain: second, Backoff: client.Backoff{Policy: client.Fixed, Base: 1300 * millisecond}, Sequence: Sequence{ID: true},
			Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: 9500 * millisecond}}})
		if r := result.Resumption; r == nil || r.Correct != 4 || r.Judged != 4 || r.Replayed != 4 {
			t.Errorf("%+v", r)
		}
	})
}

// TestBatches: ten events come at once every second. A replay is told from a batch by its length.
func TestBatches(t *testing.T) {
	for _, test := range []struct {
		server   string
		verdict  ResumeVerdict
		replayed uint64
	}{{"correct", ExactlyOnce, 80}, {"nothing", Lossy, 0}} {
		synctest.Test(t, func(t *testing.T) {
			at := func(n int) time.Duration { return time.Duration((n+9)/10)*second + millisecond }
			f := newFakeServer(func(a attempt) (*fakeStream, error) {
				s := &fakeStream{}
				s.info.Resumed = len(a.from) > 0
				last := 0
				if s.info.Resumed {
					last = lastOf(a.from)
				}
				for n := 1; at(n) < time.Minute; n++ {
					ev := numbered(fmt.Sprint(n), fmt.Sprintf("event %d", n))
					switch {
					case at(n) > a.at:
						s.lines = append(s.lines, line{at(n), ev})
					case s.info.Resumed && n > last && test.server == "correct":
						s.lines = append(s.lines, line{a.at + millisecond, ev})
					}
				}
				return s, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 20 * second, Warmup: second, Drain: second, Sequence: Sequence{ID: true},
				Backoff:   client.Backoff{Policy: client.Fixed, Base: 2200 * millisecond},
				Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: 9500 * millisecond}}})
			if r := result.Resumption; r == nil || r.Verdict != test.verdict || r.Replayed != test.replayed || r.Judged != 4 {
				t.Errorf("%s: %+v", test.server, r)
			}
			checkTiming(t, result, CatchUp, samples{301 * millisecond: 4})
		})
	}
}

// TestReplayAfterStaggeredDrops: connections don't drop at once, but each before the first is back; the replay takes 0.5 ms an event.
func TestReplayAfterStaggeredDrops(t *testing.T) {
	for server := range after {
		synctest.Test(t, func(t *testing.T) {
			f := paced{period: 20 * millisecond, first: 500 * time.Microsecond, step: 500 * time.Microsecond, replay: after[server]}.server()
			dial := f.dial
			f.dial = func(a attempt) (*fakeStream, error) {
				s, err := dial(a)
				if a.n == 0 {
					s.end = 3*second + time.Duration(a.conn)*300*millisecond + 3*millisecond
				}
				return s, err
			}
			result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 8 * second, Drain: second, Warmup: 500 * millisecond,
				Backoff: client.Backoff{Policy: client.Fixed, Base: 2 * second}, Sequence: Sequence{ID: true}})
			judgeResumes(t, "staggered", server, result.Resumption, 4)
		})
	}
}

// TestReplayInTurns: one connection is back before the others, whose heads take longer: what it has had by a replay meanwhile
// they have by one, too. Nobody saw it published.
func TestReplayInTurns(t *testing.T) {
	for _, server := range []string{"correct", "stops early"} {
		if underRace && server != "correct" {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			f := paced{period: 2 * millisecond, first: 300 * time.Microsecond, step: 10 * time.Microsecond, replay: after[server]}.server()
			dial := f.dial
			f.dial = func(a attempt) (*fakeStream, error) {
				s, err := dial(a)
				if a.n == 0 {
					s.end = 3*second + 300*time.Microsecond
				} else if a.conn > 0 {
					s.latency = 15 * millisecond
				}
				return s, err
			}
			result := f.run(t, Plan{Stages: []Stage{{0, 8}}, Duration: 6 * second, Drain: second, Warmup: 500 * millisecond, Backoff: fixed, Sequence: Sequence{ID: true}})
			judgeResumes(t, "in turns", server, result.Resumption, 8)
		})
	}
}

// TestBlindSinceTheBreak: all are black holes 3 s before the end, and notice 0.5 s before it.
func TestBlindSinceTheBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) { // replays nothing
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped)), idle: 2500 * millisecond}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 6 * second, Warmup: second, Backoff: client.Backoff{Policy: client.Fixed, Base: second},
			Breakages: []Breakage{{How: client.BreakBlackhole, Share: 1, At: 3 * second}}, Thresholds: thresholds(t, "lost == 0")})
		if result.Judgements[0].Passed {
			t.Errorf("lost == 0 holds, though nobody saw the last 3 s: %v", result.Warnings)
		}
	})
}

// TestSlowBlackHole: of two slow and two others, one or two slow ones are made black holes.
func TestSlowBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 4 * second, Warmup: second, Backoff: fixed, Seed: 7,
			Slow: Slowness{Share: .5, Begin: func() {}}, Breakages: []Breakage{{How: client.BreakBlackhole, Share: .5, At: second}}})
		if why := result.Unmeasured[Lost]; why != "" || result.Count(Expected) != 98 {
			t.Errorf("expected %d, lost %q", result.Count(Expected), why)
		}
	})
}

// TestLeftOutByOneself: an event comes every 4 s; all are back after 1 s, and have received the live event of 1.3 s later.
func TestLeftOutByOneself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := paced{period: 4 * second, first: millisecond, replay: after["correct"]}.server().run(t, Plan{
			Stages: []Stage{{0, 4}}, Duration: 26 * second, Warmup: second, Drain: second, Backoff: client.Backoff{Policy: client.Fixed, Base: second}, Sequence: Sequence{ID: true},
			Breakages: []Breakage{{How: client.BreakRST, Share: .25, At: 5 * second}, {How: client.BreakRST, Share: 1, At: 20700 * millisecond}}})
		if n := result.Absent[Outage]; n != 0 {
			t.Errorf("%d outages that never ended: %v", n, result.Warnings)
		}
	})
}

// TestAbsentOnce: reset, back, and a black hole before the next event: one outage of one connection.
func TestAbsentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: since(a.at, ticker(second, time.Minute, millisecond, f.stamped))}
			s.lines = append([]line{{a.at + millisecond, client.Event{Type: client.Comment, Retry: -1}}}, s.lines...)
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 10}}, Duration: 8 * second, Warmup: second, Backoff: fixed, Breakages: []Breakage{
			{How: client.BreakRST, Share: .1, At: 100 * millisecond}, {How: client.BreakRST, Share: 1, At: 3100 * millisecond}, {How: client.BreakBlackhole, Share: .6, At: 3800 * millisecond}}})
		if n := result.Absent[Outage]; n != 6 {
			t.Errorf("%d outages that never ended, of 6 black holes among 10 connections", n)
		}
	})
}

// TestBlindSinceRetired: one connection is down for the last 1.5 s, the other is retired by the plan 0.2 s before the end.
func TestBlindSinceRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}
			if a.conn == 0 && a.n > 0 {
				return nil, &client.Error{Class: client.ClassRefused}
			} else if a.conn == 0 {
				s.end = 4500 * millisecond
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}, {5800 * millisecond, 2}, {1, 1}, {200 * millisecond, 1}}, Backoff: fixed})
		if why := result.Unmeasured[Lost]; why != "" || result.Count(Lost) == 0 {
			t.Errorf("lost %d, %q", result.Count(Lost), why)
		}
	})
}

// TestSilentWatchers: one of four is reset; the way of the others goes dead at the same moment, which they notice 2.5 s later.
func TestSilentWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := identified[2] // opaque ids
		x := paced{period: 20 * millisecond, first: millisecond, replay: after["correct"], event: func(n int) client.Event { return by.event(nil, n, 0) }}
		f := x.server()
		dial := f.dial
		f.dial = func(a attempt) (*fakeStream, error) {
			s, err := dial(a)
			if a.n > 0 {
				return s, err
			}
			s.lines = s.lines[:149] // up to 3 s
			if s.end = 3*second + 3*millisecond; a.conn > 0 {
				s.end, s.err = 5500*millisecond, &client.Error{Class: client.ClassIdle}
			}
			return s, err
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 4}}, Duration: 8 * second, Drain: second, Warmup: 500 * millisecond, Backoff: client.Backoff{Policy: client.Fixed, Base: second}})
		judgeResumes(t, "silent watchers", "correct", result.Resumption, 4)
	})
}

// TestCountingAnewAlike: a server that was restarted counts anew, and its events are all alike. Those under old numbers come as live
// ones do, and so they are: nothing was sent again.
func TestCountingAnewAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const restart = 5 * second
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			event := func(n int, _ time.Duration) client.Event { return numbered(fmt.Sprint(n), "tick") }
			if a.at < restart {
				return &fakeStream{end: restart, lines: ticker(50*millisecond, restart, millisecond, event)}, nil
			}
			s := &fakeStream{lines: since(a.at, ticker(50*millisecond, 20*second, restart, event))}
			s.info.Resumed = true
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 12 * second, Warmup: -1, Drain: 1, Backoff: fixed, Sequence: Sequence{ID: true}})
		if r := result.Resumption; r == nil || r.Verdict != Undecidable || r.Judged != 0 || result.Unmeasured[Lost] == "" {
			t.Errorf("%+v, lost %q", r, result.Unmeasured[Lost])
		}
		if h := result.Histogram(Outage); h == nil || h.TotalCount() != 6 || h.Max() > int64(750*millisecond) {
			t.Errorf("outages: %v", show(h))
		}
	})
}
