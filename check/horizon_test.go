package check

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// edge is a probe for people.
func edge(p *Probe) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprintf("%v and %d", p.Away.Round(time.Millisecond), p.Missed)
}

// summary is a result in a line, without what has no place in it.
func summary(r *HorizonResult) string {
	s := fmt.Sprintf("%s in %d rounds: complete %s, incomplete %s", r.Verdict, r.Rounds, edge(r.Complete), edge(r.Incomplete))
	if r.Why != "" {
		s += ", " + r.Why
	}
	if r.LimitedBy != "" {
		s += ", by " + string(r.LimitedBy)
	}
	if len(r.Contradictions) > 0 {
		s += fmt.Sprintf(", against it %s", edge(&r.Contradictions[0]))
	}
	return s
}

// opaque is an id that says nothing of its event's number.
func opaque(n int) string { return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, n)))[:20] }

// bursts publishes an event a second for the first time, and then ten.
func bursts(slow time.Duration) func(n int) time.Duration {
	first := int(slow / time.Second)
	return func(n int) time.Duration {
		if n <= first {
			return time.Duration(n) * time.Second
		}
		return slow + time.Duration(n-first)*100*time.Millisecond
	}
}

func TestHorizon(t *testing.T) {
	const interval = 100 * time.Millisecond
	for _, test := range []struct {
		name string
		hub  func(h *hub)
		h    Horizon
		want string
	}{
		{
			name: "a ring of 50 events",
			hub:  func(h *hub) { h.replay = ring(50) },
			want: "found in 2 rounds: complete 5.001s and 50, incomplete 5.118s and 51, by unknown",
		},
		{
			name: "a ring of 50 events whose ids say nothing",
			hub:  func(h *hub) { h.replay, h.id = ring(50), opaque },
			want: "found in 2 rounds: complete 5.001s and 50, incomplete 5.118s and 51, by unknown",
		},
		{
			name: "events of 5 s",
			hub:  func(h *hub) { h.replay = h.kept(5 * time.Second) },
			want: "found in 2 rounds: complete 5.001s and 50, incomplete 5.118s and 51, by unknown",
		},
		{
			name: "a ring of 15 events, that come slowly first and then fast",
			hub:  func(h *hub) { h.at, h.replay = bursts(70*time.Second), ring(15) },
			want: "found in 4 rounds: complete 1.559s and 15, incomplete 1.628s and 16, by count",
		},
		{
			name: "events of 12 s, that come slowly first and then fast",
			hub:  func(h *hub) { h.at, h.replay = bursts(70*time.Second), h.kept(12*time.Second) },
			want: "found in 2 rounds: complete 12.985s and 93, incomplete 13.17s and 95, by age",
		},
		{
			name: "few probes take more rounds",
			hub:  func(h *hub) { h.replay = ring(50) },
			h:    Horizon{Connections: 5},
			want: "found in 4 rounds: complete 4.656s and 46, incomplete 5.157s and 51, by unknown",
		},
		{
			name: "a single probe",
			hub:  func(h *hub) { h.replay = ring(50) },
			h:    Horizon{Connections: 2},
			want: "found in 7 rounds: complete 4.916s and 49, incomplete 5.359s and 53, by unknown",
		},
		{
			name: "everything is kept",
			hub:  func(h *hub) { h.replay = ring(1 << 30) },
			want: "nothing-lost in 1 rounds: complete 1m0s and 600, incomplete none",
		},
		{
			name: "nothing is replayed",
			hub:  func(*hub) {},
			want: "nothing-replayed in 1 rounds: complete none, incomplete 240ms and 2",
		},
		{
			name: "the last two events are replayed",
			hub:  func(h *hub) { h.replay = ring(2) },
			want: "found in 1 rounds: complete 240ms and 2, incomplete 347ms and 3, by unknown",
		},
		{
			name: "a replay that begins one too late",
			hub: func(h *hub) {
				h.replay = func(last, newest int, _ time.Duration) []int { return after(last+1, newest) }
			},
			want: "found in 1 rounds: complete none, incomplete 240ms and 2, by none",
		},
		{
			name: "a replay with a hole",
			hub: func(h *hub) {
				h.replay = func(last, newest int, _ time.Duration) []int {
					list := after(last, newest)
					if last < 150 && newest > 120 { // they are gone for good
						list = append(after(last, 120), after(150, newest)...)
					}
					return list
				}
			},
			want: "found in 2 rounds: complete 13.45s and 134, incomplete 13.763s and 137, by unknown, against it 13.763s and 137",
		},
		{
			name: "no more than so many events at a time",
			hub:  func(h *hub) { h.replay = ring(1 << 30) },
			h:    Horizon{Events: 100},
			want: "nothing-lost in 1 rounds: complete 10s and 100, incomplete none",
		},
		{
			name: "everything is sent to whom comes for the first time",
			hub:  func(h *hub) { h.greet, h.replay = func(newest int) []int { return after(0, newest) }, ring(50) },
			want: "found in 2 rounds: complete 5.001s and 50, incomplete 5.118s and 51, by unknown",
		},
		{
			name: "connections are cut when they are 40 s old",
			hub: func(h *hub) {
				h.replay = ring(100)
				h.cut = func(_ int, opened time.Duration) time.Duration { return opened + 40*time.Second }
			},
			want: "found in 2 rounds: complete 9.973s and 99, incomplete 10.205s and 102, by unknown",
		},
		{
			name: "connections are cut too soon for any probe",
			hub: func(h *hub) {
				h.replay = ring(100)
				h.cut = func(conn int, opened time.Duration) time.Duration {
					if conn < maxReferences {
						return 0
					}
					return opened + 20*time.Millisecond
				}
			},
			want: "undecidable in 1 rounds: complete none, incomplete none, the stream ended",
		},
		{
			name: "the reference is cut again and again",
			hub: func(h *hub) {
				h.replay = ring(100)
				h.cut = func(conn int, opened time.Duration) time.Duration {
					if conn > 0 {
						return 0
					}
					return opened + 2*time.Second
				}
			},
			h:    Horizon{Connections: 2},
			want: "undecidable in 1 rounds: complete none, incomplete none, no reference was connected for a while",
		},
		{
			name: "a position that is too old is refused",
			hub: func(h *hub) {
				h.replay = ring(1 << 30)
				h.refuse = func(last int, now time.Duration) error {
					if last > 0 && now-h.at(last) > 20*time.Second {
						return &client.Error{Class: client.ClassStatus, Code: 410, Detail: "Gone"}
					}
					return nil
				}
			},
			want: "found in 2 rounds: complete 19.887s and 198, incomplete 20.35s and 203, by unknown",
		},
		{
			name: "no id",
			hub:  func(h *hub) { h.id = func(int) string { return "" } },
			want: "undecidable in 0 rounds: complete none, incomplete none, the events carry no id",
		},
		{
			name: "no event",
			hub:  func(h *hub) { h.at = func(n int) time.Duration { return time.Duration(n) * time.Hour } },
			want: "undecidable in 0 rounds: complete none, incomplete none, fewer than two events came in 1m0s",
		},
		{
			name: "each connection has events of its own",
			hub:  func(h *hub) { h.own = true },
			want: "undecidable in 0 rounds: complete none, incomplete none, the subscriptions don't share their events: no id came to both references at the same time",
		},
		{
			name: "nothing says where to go on",
			hub:  func(h *hub) { h.deaf = true },
			want: "undecidable in 1 rounds: complete none, incomplete none, no position was sent: nothing says how to",
		},
		{
			name: "more events than are kept",
			hub:  func(h *hub) { h.replay = ring(1 << 30) },
			h:    Horizon{size: 40},
			want: "nothing-lost in 1 rounds: complete 2.185s and 21, incomplete none",
		},
		{
			name: "events that are rare",
			hub: func(h *hub) {
				h.at, h.replay = func(n int) time.Duration { return time.Duration(n) * 7 * time.Second }, ring(4)
			},
			want: "found in 1 rounds: complete 33.523s and 4, incomplete 36.938s and 5, by unknown",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHub(interval)
				test.hub(h)
				test.h.Dial = h.dial
				r, err := test.h.Find(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				expect(t, []string{summary(r)}, test.want)
			})
		})
	}
}

// TestHorizonCounts holds what is said of the longest probe, which misses 20 events, against what its replay does.
func TestHorizonCounts(t *testing.T) {
	for _, test := range []struct {
		name   string
		replay func(last, newest int) []int
		want   Probe
	}{
		{"right", after, Probe{Outcome: Complete, Replayed: 20}},
		{"the first is missing", func(last, newest int) []int { return after(last+1, newest) }, Probe{Outcome: Incomplete, Replayed: 19, Lost: 1}},
		{"the last one is missing", func(last, newest int) []int { return after(last, newest-1) }, Probe{Outcome: Incomplete, Replayed: 19, Lost: 1}},
		{"two are sent again", func(last, newest int) []int { return after(last-2, newest) }, Probe{Outcome: Complete, Replayed: 20, Resent: 2}},
		{"the seam comes twice", func(last, newest int) []int { return append(after(last, newest), newest, newest+1) }, Probe{Outcome: Complete, Replayed: 20, Again: 2}},
		{"two are swapped", func(last, newest int) []int { return append([]int{last + 2, last + 1}, after(last+2, newest)...) }, Probe{Outcome: Complete, Replayed: 20, Swapped: 1}},
		{"one is of another stream", func(last, newest int) []int { return append([]int{-1}, after(last, newest)...) }, Probe{Outcome: Complete, Replayed: 20, Foreign: 1}},
		{"all comes backwards", func(last, newest int) []int {
			list := after(last, newest)
			slices.Reverse(list)
			return list
		}, Probe{Outcome: Complete, Replayed: 20, Swapped: 19}},
		{"nothing", func(int, int) []int { return nil }, Probe{Outcome: Incomplete, Lost: 20}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHub(100 * time.Millisecond)
				h.replay = func(last, newest int, _ time.Duration) []int { return test.replay(last, newest) }
				r, err := (&Horizon{Dial: h.dial, Limit: 2 * time.Second, Connections: 3}).Find(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got := r.Probes[0]
				test.want.Round, test.want.Planned, test.want.Away, test.want.Age, test.want.Missed = 1, r.Limit, r.Limit, 1900*time.Millisecond, 20
				if got != test.want {
					t.Errorf("got %+v\nwant %+v", got, test.want)
				}
			})
		})
	}
}

// TestHorizonStops holds what is said of a search that the user stops against what was known by then.
func TestHorizonStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(100 * time.Millisecond)
		h.replay = ring(50)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		defer time.AfterFunc(12*time.Second, stop).Stop()
		r, err := (&Horizon{Dial: h.dial}).Find(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stopped := 0
		for _, p := range r.Probes {
			if p.Outcome == Unjudged && p.Why == "the search was stopped" {
				stopped++
			}
		}
		expect(t, []string{summary(r), fmt.Sprint(len(r.Probes), stopped, r.Interrupted, r.Elapsed)},
			"found in 1 rounds: complete 4.562s and 45, incomplete 6.591s and 65, by unknown", "16 5 true 12s")
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHub(time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		defer time.AfterFunc(5*time.Second, stop).Stop()
		r, err := (&Horizon{Dial: h.dial}).Find(ctx)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, []string{summary(r)}, "undecidable in 0 rounds: complete none, incomplete none, it was stopped before any probe was back")
	})
}

// TestHorizonOpensNothing holds how a search ends that never was connected, and one that no longer is.
func TestHorizonOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := &client.Error{Class: client.ClassRefused}
		h := newHub(time.Second)
		h.refuse = func(int, time.Duration) error { return refused }
		if r, err := (&Horizon{Dial: h.dial}).Find(t.Context()); r != nil || err != refused || time.Since(h.start) != 0 {
			t.Errorf("%v, %v after %v", r, err, time.Since(h.start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHub(time.Second)
		h.replay = ring(50)
		h.cut = func(_ int, opened time.Duration) time.Duration { return opened + 10*time.Second }
		h.refuse = func(_ int, now time.Duration) error {
			if now > 5*time.Second {
				return &client.Error{Class: client.ClassStatus, Code: 404, Detail: "Not Found"}
			}
			return nil
		}
		r, err := (&Horizon{Dial: h.dial}).Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		expect(t, []string{summary(r)}, "nothing-lost in 1 rounds: complete 2s and 2, incomplete none, no reference could stay connected: HTTP status 404: Not Found")
	})
}

// TestHorizonSteps holds what is told while a search goes on, and what it was said to take, against what it took.
func TestHorizonSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(100 * time.Millisecond)
		h.replay = ring(50)
		var got []string
		search := Horizon{Dial: h.dial, Limit: 10 * time.Second, Connections: 5, Show: func(s HorizonStep) {
			line := fmt.Sprintf("%v %d/%d", s.At.Round(time.Millisecond), s.Round, s.Rounds)
			for _, away := range s.Plan {
				line += fmt.Sprintf(" %v", away.Round(time.Millisecond))
			}
			if s.Back != nil {
				line += fmt.Sprintf(" %s and %d: %s", s.Back.Away.Round(time.Millisecond), s.Back.Missed, s.Back.Outcome)
			}
			got = append(got, line)
		}}
		r, err := search.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cost := search.Cost()
		got = append(got, fmt.Sprintf("%+v, and took %v", cost, r.Elapsed))
		expect(t, got,
			"1.1s 1/6 200ms 1.414s 10s",
			"2.5s 1/6 200ms and 2: complete",
			"3.8s 1/6 1.414s and 14: complete",
			"12.3s 1/6 10s and 100: incomplete",
			"12.3s 2/6 2.714s 5.21s 10s",
			"16.3s 2/6 2.714s and 27: complete",
			"18.8s 2/6 5.21s and 52: incomplete",
			"23.5s 2/6 10s and 100: incomplete",
			"23.5s 3/6 3.373s 4.192s 5.21s",
			"28.1s 3/6 3.373s and 33: complete",
			"28.9s 3/6 4.192s and 41: complete",
			"30s 3/6 5.21s and 52: incomplete",
			"30s 4/6 4.507s 4.846s 5.21s",
			"35.8s 4/6 4.507s and 45: complete",
			"36.1s 4/6 4.846s and 48: complete",
			"36.5s 4/6 5.21s and 52: incomplete",
			"{References:2 Probes:3 Rounds:6 Time:1m7.6s}, and took 36.5s")
	})
}

func TestSeries(t *testing.T) {
	for _, test := range []struct {
		got  []time.Duration
		want string
	}{
		{series(time.Second, 8*time.Second, 4), "[1s 2s 4s 8s]"},
		{series(time.Second, 8*time.Second, 1), "[8s]"},
		{between(time.Second, 16*time.Second, 4), "[2s 4s 8s 16s]"},
		{between(time.Second, 4*time.Second, 1), "[2s]"},
	} {
		for i := range test.got {
			test.got[i] = test.got[i].Round(time.Microsecond)
		}
		if got := fmt.Sprint(test.got); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
	if a, b, c := rounds(time.Second, 250*time.Second, 16), rounds(time.Second, 250*time.Second, 3), rounds(time.Second, 250*time.Second, 1); a != 4 || b != 6 || c != 9 {
		t.Errorf("rounds: %d, %d, %d", a, b, c)
	}
}
