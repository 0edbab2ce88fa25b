package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// TestUDistribution holds the exact distribution against all orders of two small samples.
func TestUDistribution(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {2, 3}, {4, 4}, {3, 5}} {
		m, n := size[0], size[1]
		counts, total := make([]float64, m*n+1), 0.0
		for mask := range 1 << (m + n) { // which places are of the first sample
			u, seen, ones := 0, 0, 0
			for i := range m + n {
				if mask>>i&1 == 1 {
					ones++
					u += n - seen
				} else {
					seen++
				}
			}
			if ones == m {
				counts[u]++
				total++
			}
		}
		for u, got := range uDistribution(m, n) {
			if math.Abs(got-counts[u]/total) > 1e-12 {
				t.Errorf("%d and %d: U = %d: %v, want %v", m, n, u, got, counts[u]/total)
			}
		}
	}
	if k := shiftRank(3, 3, .05); k != 0 {
		t.Errorf("three each have an interval: %d", k)
	}
}

// results are some of one side, of which deliveries take about so long.
func results(n int, delay time.Duration, spread float64, random *rand.Rand, from int) (list []*bench.Result) {
	for i := range n {
		r := trialOf(delay, spread*random.NormFloat64())
		r.Start = time.Unix(int64(from+2*i), 0)
		list = append(list, r)
	}
	return list
}

// TestDifferences: what is worse by much regresses, what isn't passes, and what can't be told is said so.
func TestDifferences(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	ms := time.Millisecond
	for _, test := range []struct {
		name       string
		base, head []*bench.Result
		want       Gate
	}{
		{"a half worse", results(6, 20*ms, .02, random, 0), results(6, 30*ms, .02, random, 1), Regress},
		{"the same", results(6, 20*ms, .02, random, 0), results(6, 20*ms, .02, random, 1), Pass},
		{"better", results(6, 20*ms, .02, random, 0), results(6, 10*ms, .02, random, 1), Pass},
		{"by the margin, among noise", results(4, 20*ms, .1, random, 0), results(4, 22*ms, .1, random, 1), Inconclusive},
		{"too few to know", results(1, 20*ms, 0, random, 0), results(1, 30*ms, 0, random, 1), Inconclusive},
	} {
		c := contrastOf(t, Differences(test.base, test.head, .05, .1), "delivery p50")
		if c.Gate != test.want || c.Unknown != "" {
			t.Errorf("%s: %s, %+v", test.name, c.Gate, c)
		}
	}
}

// TestDifferencesApart: sides that weren't measured in turns have a wider interval.
func TestDifferencesApart(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	base, head := results(6, 20*time.Millisecond, .02, random, 0), results(6, 20*time.Millisecond, .02, random, 1)
	turns := contrastOf(t, Differences(base, head, .05, .1), "delivery p50")
	for _, r := range head {
		r.Start = r.Start.Add(time.Hour)
	}
	later := contrastOf(t, Differences(base, head, .05, .1), "delivery p50")
	if math.Abs(later.High/turns.High-apart) > 1e-9 || math.Abs(turns.Low/later.Low-apart) > 1e-9 {
		t.Errorf("%v–%v in turns, %v–%v apart", turns.Low, turns.High, later.Low, later.High)
	}
}

// TestDifferencesOfLoss: any loss that wasn't there before is a regression.
func TestDifferencesOfLoss(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	base, head := results(2, time.Millisecond, 0, random, 0), results(2, time.Millisecond, 0, random, 1)
	at := func(m bench.Metric) int { return int(m - bench.Counts()[0]) }
	for _, r := range slices.Concat(base, head) {
		r.Counts[at(bench.Expected)] = 1000
	}
	if c := contrastOf(t, Differences(base, head, .05, .1), "lost"); c.Gate != Pass {
		t.Errorf("%+v", c)
	}
	head[0].Counts[at(bench.Lost)] = 1
	if c := contrastOf(t, Differences(base, head, .05, .1), "lost"); c.Gate != Regress || c.B != 1.0/2000 {
		t.Errorf("%+v", c)
	}
	head[1].Unmeasured = map[bench.Metric]string{bench.Lost: "no ids"}
	if c := contrastOf(t, Differences(base, head, .05, .1), "lost"); c.Gate != Inconclusive || c.Unknown == "" {
		t.Errorf("%+v", c)
	}
}

// TestInTurns: one late result doesn't make turns.
func TestInTurns(t *testing.T) {
	at := func(seconds ...int64) (list []*bench.Result) {
		for _, s := range seconds {
			list = append(list, &bench.Result{Start: time.Unix(s, 0)})
		}
		return list
	}
	for _, test := range []struct {
		base, head []*bench.Result
		want       bool
	}{
		{at(0, 2, 4, 6), at(1, 3, 5, 7), true}, {at(0, 3, 4, 7), at(1, 2, 5, 6), true}, {at(0, 1, 2, 8), at(3, 4, 5, 6), false}, {at(0, 1), at(2, 3), false}, {at(0), at(1), false},
	} {
		if got := InTurns(test.base, test.head); got != test.want {
			t.Errorf("%v and %v: %v", test.base, test.head, got)
		}
	}
}

// TestDifferencesOfIndications: what is an indication in a report is one where it is compared, but where the scatter of results tells.
func TestDifferencesOfIndications(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sides := func(n int) (base, head []*bench.Result) {
		base, head = results(n, 3*time.Millisecond, 0, random, 0), results(n, 4*time.Millisecond, 0, random, 1)
		base[0].Estimates[bench.Delivery] = []bench.Estimate{{Q: .99, Value: 3_560_000, Indicative: true, Unknown: "too few independent samples"}}
		return base, head
	}
	base, head := sides(1)
	c := &Comparison{Sides: [2]Side{{Name: "base"}, {Name: "head"}}, Contrasts: Differences(base, head, .05, .1)}
	for format, want := range map[Format][]string{
		Text: {"delivery p99               ~3.56 ms", "~ an indication"}, Markdown: {`| delivery p99 | \~3.56 ms | 4.`}, HTML: {"~3.56 ms"}, JUnit: {"against ~3.56 ms"},
	} {
		var b strings.Builder
		if err := WriteComparison(&b, format, c, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(b.String(), text) {
				t.Errorf("%s: no %q in\n%s", format, text, b.String())
			}
		}
	}
	base, head = sides(EnoughResults)
	if c := contrastOf(t, Differences(base, head, .05, .1), "delivery p99"); c.Rough != [2]bool{} {
		t.Errorf("%+v", c)
	}
}

// TestDifferencesOfNothing: a figure that head hasn't is no pass.
func TestDifferencesOfNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	base, head := results(4, time.Millisecond, 0, random, 0), results(4, time.Millisecond, 0, random, 1)
	for _, r := range head {
		r.Absent = map[bench.Metric]uint64{bench.Delivery: 10_000}
	}
	if c := contrastOf(t, Differences(base, head, .05, .1), "delivery p50"); c.Gate != Inconclusive {
		t.Errorf("%+v", c)
	}
}
