package server

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

func faults(t testing.TB, texts ...string) (list []Fault) {
	t.Helper()
	for _, text := range texts {
		f, err := ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

func TestParseFault(t *testing.T) {
	for in, want := range map[string]string{
		"drop=0.1%":                    "",
		"drop=100%":                    "",
		"duplicate=0.05%":              "",
		"reorder=0.5%":                 "",
		"delay=20ms":                   "",
		"delay=5ms..20ms@10%":          "",
		"delay=5ms..5ms@100%":          "delay=5ms",
		"delay=0s..1h":                 "delay=0s..1h0m0s",
		"delay=lognormal:2ms:0.8":      "",
		"delay=lognormal:2ms:0.80@5%":  "delay=lognormal:2ms:0.8@5%",
		"stall=2s@5s":                  "",
		"stall=2s@0":                   "stall=2s@0s",
		"hangup@100":                   "",
		"hangup@100:rst":               "",
		"refuse=429":                   "",
		"refuse=204":                   "",
		"refuse=503@10%":               "",
		"refuse=503x3":                 "",
		"refuse=503x3:retry-after=2":   "",
		"refuse=503@1%:retry-after=60": "",
		"reject=500":                   "",
		"reject=503x3:retry-after=2":   "",
		"reject=503@10%":               "",
		"resume=gap-head":              "",
		"resume=restart-from-zero":     "",
	} {
		if want == "" {
			want = in
		}
		f, err := ParseFault(in)
		if err != nil || f.String() != want {
			t.Errorf("%s: %v, %v", in, f, err)
		}
	}
	for in, want := range map[string]string{
		"resume=":                      `unknown way "": want one of gap-head, gap-seam, dup-seam, overlap`,
		"resume=horizon":               `horizon is what a short replay does: set that, as in resume=gap-head`,
		"":                             `unknown kind "": want one of drop, duplicate`,
		"dorp=1%":                      `unknown kind "dorp"`,
		"drop":                         `drop needs "=" and a value, as in drop=0.1%`,
		"drop@5":                       `drop needs "="`,
		"drop=5":                       `"5" needs a percent sign, as in drop=0.1%`,
		"drop=0%":                      `bad share "0%"`,
		"drop=NaN%":                    `bad share "NaN%"`,
		"drop=101%":                    `bad share "101%"`,
		"delay=20":                     `bad duration "20"`,
		"delay=-5ms":                   `bad duration "-5ms"`,
		"delay=2h":                     `bad duration "2h"`,
		"delay=5ms..2ms":               `the range 5ms..2ms runs backwards`,
		"delay=5ms@":                   `"" needs a percent sign, as in delay=20ms`,
		"delay=lognormal:2ms":          `needs a median and a sigma, as in delay=20ms`,
		"delay=lognormal:2:1":          `bad duration "2"`,
		"delay=lognormal:0s:1":         `the median of a lognormal delay is more than 0`,
		"delay=lognormal:2ms:0":        `bad sigma "0": want more than 0 and at most 10`,
		"delay=lognormal:2ms:NaN":      `bad sigma "NaN"`,
		"delay=lognormal:2ms:11":       `bad sigma "11"`,
		"delay=lognormal:1ms..2ms:1":   `bad duration "1ms..2ms"`,
		"delay=lognormal:1ms:1:1":      `bad sigma "1:1"`,
		"delay=1ms..lognormal:2ms:1":   `bad duration "lognormal:2ms:1"`,
		"stall=2s":                     `needs the time it begins at, as in stall=2s@5s`,
		"stall=0s@1s":                  `no length`,
		"hangup=5":                     `hangup needs "@" and a value`,
		"hangup@0":                     `bad count "0"`,
		"hangup@5:fin":                 `unknown option "fin"`,
		"refuse=200":                   `bad status "200": want 204 or 400 to 599`,
		"refuse=503x":                  `bad count ""`,
		"refuse=503@5%x3":              `a share and a count`,
		"refuse=503:retry":             `unknown option "retry"`,
		"refuse=503:retry-after=x":     `bad number of seconds "x"`,
		"refuse=503:retry-after=99999": `bad number of seconds`,
		"reject=204":                   `bad status "204": want 400 to 599, as in reject=503`,
	} {
		if _, err := ParseFault(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, s := range []string{"drop=0.1%", "delay=5ms..20ms@10%", "stall=2s@5s", "hangup@100:rst", "refuse=503x3:retry-after=2", "refuse=429@1e-3%",
		"delay=lognormal:2ms:0.8@10%", "delay=lognormal:1h:10", "reject=503@10%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fault, err := ParseFault(s)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 1500 {
				t.Errorf("error is no clear line: %q", err)
			}
			return
		}
		again, err := ParseFault(fault.String())
		if err != nil || again != fault {
			t.Errorf("%q reads as %q, and that as %q, %v", s, fault, again, err)
		}
		if err := checkFaults([]Fault{fault}); err != nil {
			t.Error(err)
		}
	})
}

func TestFaultsThatDontGoTogether(t *testing.T) {
	if _, err := New(Options{Faults: faults(t, "drop=1%", "drop=2%")}); err == nil {
		t.Error("two drop faults were accepted")
	}
	if _, err := New(Options{Faults: []Fault{{}}}); err == nil {
		t.Error("an empty fault was accepted")
	}
	if _, err := New(Options{Faults: faults(t, "stall=1s@1s", "stall=1s@3s", "refuse=503x1", "refuse=429x2")}); err != nil {
		t.Error(err)
	}
}

// What faults do is written down exactly, the same again for the same seed and name, and different for another.
func TestFaultsAreDeterministicAndTrue(t *testing.T) {
	play := func(seed uint64, name string) (got []uint64, sub TruthSubscriber) {
		synctest.Test(t, func(t *testing.T) {
			e := run(t, Options{Seed: seed, Faults: faults(t, "drop=10%", "duplicate=10%", "reorder=10%", "delay=1ms..5ms@20%")})
			sink := new(memSink)
			s := e.subscribe(name, "", sink)
			for range 500 {
				e.publish("default", "x")
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			e.close()
			got, sub = sink.got, s.rec.snapshot(t.Context())
			if e.hub.count.sent.Load() != uint64(len(got)) {
				t.Errorf("%d sent in total, want %d", e.hub.count.sent.Load(), len(got))
			}
		})
		return got, sub
	}
	got, sub := play(1, "ann")
	var written []uint64
	for _, r := range sub.Ranges {
		for id := r[0]; id <= r[1]; id++ {
			if !slices.Contains(sub.Faults.Dropped, id) {
				written = append(written, id)
			}
		}
	}
	if !slices.Equal(got, written) {
		t.Errorf("got %v\ntruth %v", got, written)
	}
	// Undone, the faults leave 1 to 500, but for one that is still held back.
	seen := make(map[uint64]int)
	for _, id := range got {
		seen[id]++
	}
	swaps := 0
	for i, id := range got {
		if i > 0 && id < got[i-1] {
			swaps++
		}
	}
	if swaps != len(sub.Faults.Reordered) || swaps == 0 {
		t.Errorf("%d swaps, truth says %v", swaps, sub.Faults.Reordered)
	}
	missing := 0
	for id := uint64(1); id <= 500; id++ {
		want := 1
		if slices.Contains(sub.Faults.Dropped, id) {
			want = 0
		} else if slices.Contains(sub.Faults.Duplicated, id) {
			want = 2
		} else if seen[id] == 0 {
			missing++
			continue
		}
		if seen[id] != want {
			t.Errorf("event %d came %d times, want %d", id, seen[id], want)
		}
	}
	if missing > 1 || len(sub.Faults.Dropped) == 0 || len(sub.Faults.Duplicated) == 0 || sub.Faults.Delayed == 0 {
		t.Errorf("%d missing, faults %+v", missing, sub.Faults)
	}
	if again, _ := play(1, "ann"); !slices.Equal(got, again) {
		t.Error("the same seed and name gave other faults")
	}
	if other, _ := play(1, "ben"); slices.Equal(got, other) {
		t.Error("another name gave the same faults")
	}
	if other, _ := play(2, "ann"); slices.Equal(got, other) {
		t.Error("another seed gave the same faults")
	}
}

// A delay counts from when an event was due: a stall that is longer has used it up.
func TestDelayCountsFromDueAndKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Rate: 100, Faults: faults(t, "delay=25ms", "stall=200ms@305ms")})
		sink := new(memSink)
		e.subscribe("", "", sink)
		time.Sleep(time.Second + 30*time.Millisecond)
		synctest.Wait()
		e.close()
		if len(sink.got) != 100 {
			t.Fatalf("%d events, want 100", len(sink.got))
		}
		stallEnd := e.hub.start.Add(505 * time.Millisecond)
		for i, at := range sink.at {
			due := e.hub.start.Add(time.Duration(i+1) * 10 * time.Millisecond)
			want := due.Add(25 * time.Millisecond)
			if i+1 > 30 && want.Before(stallEnd) {
				want = stallEnd
			}
			if !at.Equal(want) {
				t.Fatalf("event %d came at %v, want %v", i+1, at, want)
			}
		}
	})
}

// What publishers say is due is due for delays, unless that would hold an event back for longer than the delay.
func TestDelayOfWhatPublishersStamp(t *testing.T) {
	for name, c := range map[string]struct {
		due  func(now int64) int64
		wait time.Duration // after publishing
	}{
		"now":            {func(now int64) int64 { return now }, time.Second},
		"a little ago":   {func(now int64) int64 { return now - 300e6 }, 700 * time.Millisecond},
		"long ago":       {func(now int64) int64 { return now - 2e9 }, 0},
		"before history": {func(int64) int64 { return math.MinInt64 }, 0},
		"later":          {func(now int64) int64 { return now + 60e9 }, time.Second},
		"never":          {func(int64) int64 { return math.MaxInt64 }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := run(t, Options{Faults: faults(t, "delay=1s")})
				defer e.close()
				sink := new(memSink)
				e.subscribe("", "", sink)
				posted := time.Now()
				e.publish("default", string(client.AppendStamp(nil, client.Stamp{Due: c.due(posted.UnixNano())})))
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if len(sink.at) != 1 || sink.at[0].Sub(posted) != c.wait {
					t.Errorf("came %v, want one after %v", sink.at, c.wait)
				}
			})
		})
	}
}

// The quantiles of a lognormal delay are those of its formula, median·exp(sigma·z).
func TestLognormalDelay(t *testing.T) {
	const n = 100_000
	f := faults(t, "delay=lognormal:2ms:0.8")[0]
	rng := rand.New(rand.NewPCG(7, 7))
	waits := make([]time.Duration, n)
	for i := range waits {
		waits[i] = f.wait(rng)
	}
	slices.Sort(waits)
	for q, z := range map[float64]float64{.01: -2.326348, .5: 0, .9: 1.281552, .99: 2.326348} {
		got, want := waits[int(q*n)].Seconds(), .002*math.Exp(.8*z)
		if math.Abs(got/want-1) > .02 {
			t.Errorf("quantile %v is %v s, want %v", q, got, want)
		}
	}
	wide := faults(t, "delay=lognormal:1h:10")[0]
	for range 1000 {
		if d := wide.wait(rng); d < 0 || d > maxFaultTime {
			t.Fatalf("a delay of %v", d)
		}
	}
}

func TestDoorman(t *testing.T) {
	count := func(o Options, n int) (refused int, statuses []int) {
		d := newDoorman(o, faultRefuse, drawRefuse)
		for range n {
			f, ok := d.refuse()
			if ok {
				refused++
			}
			statuses = append(statuses, f.status)
		}
		return refused, statuses
	}
	if _, got := count(Options{Faults: faults(t, "refuse=503x2", "refuse=429x3")}, 5); !slices.Equal(got, []int{503, 503, 429, 0, 0}) {
		t.Error(got)
	}
	n, got := count(Options{Seed: 3, Faults: faults(t, "refuse=503@10%")}, 1000)
	if n < 50 || n > 200 {
		t.Errorf("%d of 1,000 refused, want about 100", n)
	}
	if _, again := count(Options{Seed: 3, Faults: faults(t, "refuse=503@10%")}, 1000); !slices.Equal(got, again) {
		t.Error("the same seed refused others")
	}
}
