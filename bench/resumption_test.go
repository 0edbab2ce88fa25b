package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// replays are servers by what they replay: of the events that are kept, numbered from 1, those after the last one that the
// client has seen, or what they take for that. The live ones follow.
var replays = []struct {
	name    string
	fault   ResumeFault // numResumeFaults for none
	verdict ResumeVerdict
	replay  func(last int, kept []int) (replayed []int, twice int) // twice comes again with the live ones, if it isn't 0
}{
	{"correct", numResumeFaults, ExactlyOnce, func(last int, kept []int) ([]int, int) { return kept[last:], 0 }},
	{"one too far", GapHead, Lossy, func(last int, kept []int) ([]int, int) { return kept[last+1:], 0 }},
	{"three too far", GapHead, Lossy, func(last int, kept []int) ([]int, int) { return kept[last+3:], 0 }},
	{"stops early", GapSeam, Lossy, func(last int, kept []int) ([]int, int) { return kept[last : len(kept)-2], 0 }},
	{"keeps ten", Horizon, Lossy, func(last int, kept []int) ([]int, int) { return kept[max(last, len(kept)-10):], 0 }},
	{"sends the newest twice", DupSeam, AtLeastOnce, func(last int, kept []int) ([]int, int) { return kept[last:], len(kept) }},
	{"from the last one on", Overlap, AtLeastOnce, func(last int, kept []int) ([]int, int) { return kept[last-1:], 0 }},
	{"from four before", Overlap, AtLeastOnce, func(last int, kept []int) ([]int, int) { return kept[max(0, last-4):], 0 }},
	{"from the first on", RestartFromZero, AtLeastOnce, func(last int, kept []int) ([]int, int) { return kept, 0 }},
	{"forgets", Ignored, Lossy, func(last int, kept []int) ([]int, int) { return nil, 0 }},
	{"swaps two", OutOfSequence, ExactlyOnce, func(last int, kept []int) ([]int, int) {
		list := slices.Clone(kept[last:])
		list[1], list[2] = list[2], list[1]
		return list, 0
	}},
	{"newest first", OutOfSequence, ExactlyOnce, func(last int, kept []int) ([]int, int) {
		list := slices.Clone(kept[last:])
		slices.Reverse(list)
		return list, 0
	}},
	{"of another stream", ForeignID, Undecidable, func(last int, kept []int) ([]int, int) {
		return slices.Insert(slices.Clone(kept[last:]), 0, -1-last), 0
	}},
}

// identities are the ways by which events are known again.
var identified = []struct {
	name  string
	seq   Sequence
	event func(f *fakeServer, n int, due time.Duration) client.Event
}{
	{"by stamp", Sequence{}, func(f *fakeServer, n int, due time.Duration) client.Event {
		if n < 0 {
			return numbered(strconv.Itoa(n), string(client.AppendStamp(nil, client.Stamp{Run: 8, Source: 1, Seq: uint64(-n), Due: f.epoch(due)})))
		}
		return f.stamped(n, due)
	}},
	{"by number", Sequence{ID: true}, func(_ *fakeServer, n int, _ time.Duration) client.Event {
		return numbered(strconv.Itoa(n), fmt.Sprintf("event %d", n))
	}},
	{"by opaque id", Sequence{}, func(_ *fakeServer, n int, _ time.Duration) client.Event {
		return numbered("ä"+strconv.Itoa(n*n%1009)+"/"+strconv.Itoa(n), "same")
	}},
}

// lastOf reads the number out of an id.
func lastOf(from client.Cursor) int {
	s := string(from)
	n, _ := strconv.Atoi(s[strings.LastIndex(s, "/")+1:])
	return n
}

// dropping is a server whose connection 0 is never down, while the other ones drop again and again, for longer the later
// they are.
func dropping(event func(f *fakeServer, n int, due time.Duration) client.Event, replay func(int, []int) ([]int, int)) *fakeServer {
	return resumingServer(event, replay, 0, true, 0)
}

// resumingServer is such a server that ends streams itself, or one that doesn't, and replays so long after a stream was opened;
// idle is after what time its clients notice that one is silent.
func resumingServer(event func(f *fakeServer, n int, due time.Duration) client.Event, replay func(int, []int) ([]int, int), late time.Duration, ends bool, idle time.Duration) *fakeServer {
	const period, delay = 20 * millisecond, millisecond
	var f *fakeServer
	f = newFakeServer(func(a attempt) (*fakeStream, error) {
		make := func(n int, due time.Duration) client.Event { return event(f, n, due) }
		live := ticker(period, 16*second, delay, make)
		s := &fakeStream{lines: since(a.at, live), idle: idle}
		s.info.Resumed = len(a.from) > 0
		if a.conn == 0 && ends {
			return s, nil
		}
		if ends {
			s.end = a.at + 1230*millisecond + time.Duration(a.conn)*170*millisecond
		}
		if len(a.from) == 0 {
			return s, nil
		}
		s.latency = time.Duration(a.conn) * 70 * millisecond
		s.info.Phases.TCP = s.latency - 10*millisecond
		opened := a.at + s.latency + 1
		if ends {
			s.end += s.latency
		}
		kept := []int{}
		for n := 1; time.Duration(n)*period+delay < opened; n++ {
			kept = append(kept, n)
		}
		replayed, twice := replay(lastOf(a.from), kept)
		s.lines = nil
		for _, n := range replayed {
			s.lines = append(s.lines, line{opened + late + millisecond, make(n, time.Duration(max(n, -n))*period)})
		}
		s.lines = append(s.lines, since(opened, live)...)
		if twice > 0 {
			s.lines = append(s.lines, line{s.lines[len(replayed)].at, make(twice, time.Duration(twice)*period)})
		}
		slices.SortStableFunc(s.lines, func(a, b line) int { return int(a.at - b.at) })
		return s, nil
	})
	return f
}

// TestResumption: what each server does about what a client has missed is told from its events, by whatever they are
// known, and it is all that is told.
func TestResumption(t *testing.T) {
	for i, server := range replays {
		for j, by := range identified {
			if underRace && (i+j)%len(identified) > 0 { // each in one way, and each way
				continue
			}
			t.Run(server.name+" "+by.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := dropping(by.event, server.replay)
					result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 4 * second, Drain: second, Warmup: -1, Backoff: fixed, Sequence: by.seq})
					r := result.Resumption
					if r == nil {
						t.Fatal("nothing was resumed")
					}
					if r.Verdict != server.verdict {
						t.Errorf("%s: %s", r.Verdict, r.Why)
					}
					if r.Judged < 5 || r.Unasked+r.Unknown+r.Idle > 0 {
						t.Errorf("%d judged, %d not asked for, %d not known, %d idle", r.Judged, r.Unasked, r.Unknown, r.Idle)
					}
					for _, fault := range ResumeFaults() {
						want := uint64(0)
						if fault == server.fault {
							want = r.Judged
						}
						if r.Faults[fault] != want {
							t.Errorf("%s: %d of %d, want %d", fault, r.Faults[fault], r.Judged, want)
						}
					}
					if correct := server.fault == numResumeFaults; correct != (r.Correct == r.Judged) || !correct && r.Correct > 0 {
						t.Errorf("%d of %d are correct", r.Correct, r.Judged)
					}
				})
			})
		}
	}
}

// TestResumptionLate: what is replayed seconds after the first live event has been replayed, out of sequence.
func TestResumptionLate(t *testing.T) {
	for _, by := range identified {
		synctest.Test(t, func(t *testing.T) {
			f := resumingServer(by.event, func(last int, kept []int) ([]int, int) { return kept[last:], 0 }, 2*second, false, 0)
			result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 8 * second, Drain: second, Warmup: 500 * millisecond, Backoff: fixed, Sequence: by.seq,
				Breakages: []Breakage{{How: client.BreakRST, Share: .5, At: second}}})
			r := result.Resumption
			if r == nil || r.Verdict != ExactlyOnce || r.Judged < 2 || r.Missing > 0 || r.Faults[OutOfSequence] != r.Judged || r.Faults[Ignored] > 0 || result.Count(Lost) > 0 {
				t.Errorf("%s: %+v, %d lost", by.name, r, result.Count(Lost))
			}
		})
	}
}

// TestResumptionAfterOwnDrops: the same where the run breaks connections off itself, in each way, for different lengths of
// time and whichever connections chance gives: thirty runs each. A black hole has swallowed what came until it was noticed.
func TestResumptionAfterOwnDrops(t *testing.T) {
	runs := uint64(30)
	if underRace {
		runs = 1
	}
	for _, how := range []client.Break{client.BreakFIN, client.BreakRST, client.BreakBlackhole} {
		seen := map[ResumeFault]bool{}
		for i, server := range replays {
			if seen[server.fault] { // in another shape
				continue
			}
			seen[server.fault] = true
			by := identified[i%len(identified)]
			t.Run(string(how)+", "+server.name+" "+by.name, func(t *testing.T) {
				for seed := range runs {
					synctest.Test(t, func(t *testing.T) { resumeAfterOwnDrop(t, how, seed, server.fault, server.replay, by.seq, by.event) })
				}
			})
		}
	}
}

func resumeAfterOwnDrop(t *testing.T, how client.Break, seed uint64, want ResumeFault, replay func(int, []int) ([]int, int), seq Sequence, event func(*fakeServer, int, time.Duration) client.Event) {
	f := resumingServer(event, replay, 0, false, 300*millisecond)
	result := f.run(t, Plan{
		Stages: []Stage{{0, 6}}, Duration: 6 * second, Drain: second, Warmup: 500 * millisecond, Backoff: fixed, Sequence: seq, Seed: seed,
		Breakages: []Breakage{{How: how, Share: .5, At: second + time.Duration(3+8*seed)*millisecond}, {How: how, Share: .5, At: 3*second + time.Duration(3+12*seed)*millisecond}},
	})
	r := result.Resumption
	if r == nil || r.Judged != 6 || result.Count(Broken) != 6 || result.Count(Drops) != 0 {
		t.Fatalf("seed %d: %d broken off, %+v", seed, result.Count(Broken), r)
	}
	for _, fault := range ResumeFaults() {
		if n := r.Faults[fault]; fault == want && n != r.Judged || fault != want && n != 0 {
			t.Errorf("seed %d: %s: %d of %d", seed, fault, n, r.Judged)
		}
	}
	if want == numResumeFaults && r.Correct != r.Judged {
		t.Errorf("seed %d: %d of %d are correct", seed, r.Correct, r.Judged)
	}
}

// TestResumptionBeforeHistory: a server starts again from events that are older than all that this run has seen, and whose
// ids say nothing of their order. They are neither loss of the others nor of another stream.
func TestResumptionBeforeHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := dropping(func(_ *fakeServer, n int, _ time.Duration) client.Event {
			return numbered(fmt.Sprintf("id/%d", n), "same")
		},
			func(last int, kept []int) (list []int, twice int) {
				for n := -500; n < 0; n++ {
					list = append(list, n)
				}
				return append(list, kept...), 0
			})
		result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 10 * second, Warmup: -1, Backoff: fixed})
		r := result.Resumption
		if r.Verdict != AtLeastOnce || r.Faults[RestartFromZero] != r.Judged || r.Judged < 10 || r.Missing > 0 {
			t.Errorf("%+v", r)
		}
		if lost := result.Count(Lost); lost > 0 {
			t.Errorf("%d lost", lost)
		}
	})
}

// TestResumptionUndecided: where nothing can be said, that is what is said, and a threshold fails.
func TestResumptionUndecided(t *testing.T) {
	byStamp := identified[0].event
	for _, row := range []struct {
		name  string
		event func(f *fakeServer, n int, due time.Duration) client.Event
		dial  func(attempt, *fakeStream)
		want  string
	}{
		{"no ids", func(*fakeServer, int, time.Duration) client.Event { return event("x") }, nil, "no position was sent"},
		{"no position", byStamp, func(_ attempt, s *fakeStream) { s.info.Resumed = false }, "no position was sent"},
		{"cut", byStamp, func(a attempt, s *fakeStream) {
			if a.n > 0 {
				s.lines = nil
			}
		}, "no stream that was opened again got as far as a live event"},
		{"all down at once", identified[2].event, func(a attempt, s *fakeStream) {
			if a.n == 0 {
				s.end = 3 * second
			} else {
				s.end = 0
			}
		}, "every connection was down at once"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := dropping(row.event, replays[0].replay)
				dial := f.dial
				f.dial = func(a attempt) (*fakeStream, error) {
					s, err := dial(a)
					if row.dial != nil {
						row.dial(a, s)
					}
					return s, err
				}
				result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 6 * second, Warmup: -1, Backoff: fixed,
					Thresholds: thresholds(t, "resumes_faulty == 0")})
				if r := result.Resumption; r != nil && (r.Verdict != Undecidable || r.Why == "") {
					t.Errorf("%+v", r)
				}
				if j := result.Judgements[0]; j.Passed || !strings.Contains(j.Unknown, row.want) {
					t.Errorf("%+v", j)
				}
			})
		})
	}
}

// TestResumptionOfWildNumbers: however far apart a server's numbers are, judging what it resumes takes no longer, and says
// nothing where too much is unknown.
func TestResumptionOfWildNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{end: a.at + second}
			s.info.Resumed = len(a.from) > 0
			for i, n := range []uint64{1, 1 << 60, 5, 1<<62 + 1} {
				if i < 3 || a.n > 0 {
					s.lines = append(s.lines, line{a.at + time.Duration(i+1)*millisecond, numbered(strconv.FormatUint(n, 10), "x")})
				}
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 5 * second, Warmup: -1, Backoff: fixed, Sequence: Sequence{ID: true}})
		if r := result.Resumption; r == nil || r.Unknown < 2 || r.Judged > 0 || r.Missing > 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestResumptionAheadOfAll: a stream that was opened again is live a second and a half before the other one has the same
// events. They are live, however long nobody else knows them, and each resume is judged once.
func TestResumptionAheadOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period, lag = 50 * millisecond, 1500 * millisecond
		byID := identified[2].event
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			make := func(n int, due time.Duration) client.Event { return byID(f, n, due) }
			if a.conn == 0 {
				return &fakeStream{lines: ticker(period, 16*second, lag, make)}, nil
			}
			s := &fakeStream{lines: since(a.at, ticker(period, 16*second, millisecond, make))} // nothing is replayed
			s.info.Resumed = len(a.from) > 0
			if a.n == 0 {
				s.end = 3 * second
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 10 * second, Warmup: -1, Backoff: client.Backoff{Policy: client.Fixed, Base: 3 * second}})
		if r := result.Resumption; r == nil || r.Judged != 1 || r.Faults[Ignored] != 1 || r.Faults[ForeignID] > 0 {
			t.Errorf("%+v", r)
		}
		if lost := result.Count(Lost); lost != 60 {
			t.Errorf("%d lost, of the 60 that were published while it was down", lost)
		}
	})
}

// TestResumptionOfAllAtOnce: the same where every connection is broken off at once, so that nobody is there to see what is
// published meanwhile, and no event says when it was. A replay is known by how it comes.
func TestResumptionOfAllAtOnce(t *testing.T) {
	runs := uint64(10)
	if underRace {
		runs = 1
	}
	for i, server := range replays {
		for j, how := range []client.Break{client.BreakRST, client.BreakBlackhole} {
			if underRace && (i+j)%2 > 0 { // each in one way
				continue
			}
			t.Run(string(how)+", "+server.name, func(t *testing.T) {
				for seed := range runs {
					synctest.Test(t, func(t *testing.T) { resumeAllAtOnce(t, how, seed, server.fault, server.replay) })
				}
			})
		}
	}
}

// TestResumptionUnseen: where nobody knows what was published while all were down, it isn't said that there was nothing to replay.
func TestResumptionUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := identified[2]
		f := resumingServer(by.event, func(int, []int) ([]int, int) { return nil, 0 }, 0, false, 300*millisecond)
		result := f.run(t, Plan{Stages: []Stage{{0, 6}}, Duration: 4 * second, Drain: second, Warmup: -1, Backoff: fixed, Sequence: by.seq,
			Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: second}}})
		r := result.Resumption
		if r == nil || r.Verdict != Undecidable || r.Idle != 0 || r.Unknown != 6 || result.Unmeasured[Lost] == "" {
			t.Errorf("%+v, %s", r, result.Unmeasured[Lost])
		}
	})
}

func resumeAllAtOnce(t *testing.T, how client.Break, seed uint64, want ResumeFault, replay func(int, []int) ([]int, int)) {
	const connections, times = 6, 2
	by := identified[1]
	f := resumingServer(by.event, replay, 0, false, 300*millisecond)
	slow := f.dial
	f.dial = func(a attempt) (*fakeStream, error) {
		a.conn = a.n // as slow for all
		s, err := slow(a)
		s.info.Phases.TCP = 0
		return s, err
	}
	result := f.run(t, Plan{
		Stages: []Stage{{0, connections}}, Duration: 6 * second, Drain: second, Warmup: 500 * millisecond, Backoff: fixed, Sequence: by.seq, Seed: seed,
		Breakages: []Breakage{{How: how, Share: 1, At: second + time.Duration(3+2*seed)*millisecond}, {How: how, Share: 1, At: 3*second + time.Duration(5+2*seed)*millisecond}},
	})
	r := result.Resumption
	if r == nil || r.Judged != connections*times || result.Count(Broken) != connections*times {
		t.Fatalf("seed %d: %d broken off, %+v", seed, result.Count(Broken), r)
	}
	for _, fault := range ResumeFaults() {
		if n := r.Faults[fault]; fault == want && n != r.Judged || fault != want && n != 0 {
			t.Errorf("seed %d: %s: %d of %d", seed, fault, n, r.Judged)
		}
	}
	if want == numResumeFaults && r.Correct != r.Judged {
		t.Errorf("seed %d: %d of %d are correct", seed, r.Correct, r.Judged)
	}
	if n := result.Count(OutOfRange); n > 0 {
		t.Errorf("seed %d: %d out of range", seed, n)
	}
	// What comes after the replay comes every 20 ms.
	h := result.Histogram(CatchUp)
	if h == nil || h.TotalCount() != connections*times || h.Max() > int64(41*millisecond) || h.Min() < int64(millisecond) {
		t.Errorf("seed %d: catch_up: %d from %d to %d ns", seed, h.TotalCount(), h.Min(), h.Max())
	}
}
