package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// A Gate says whether a figure got worse by more than is allowed.
type Gate string

const (
	Pass         Gate = "PASS"
	Regress      Gate = "REGRESS"
	Inconclusive Gate = "INCONCLUSIVE"
)

// confidence is that of the intervals.
const confidence = .95

// EnoughResults is how many results of each side it takes to compare them by how they scatter.
const EnoughResults = 4

// apart is by which factor an interval is widened where the sides weren't measured in turns: nobody knows what else changed.
const apart = 1.05

// Differences compares stored results of two sides, base and head, that weren't made in pairs. A figure regresses where head is
// surely worse by more than margin, as a share, and passes where it surely isn't. alpha is as for Contrasts.
func Differences(base, head []*bench.Result, alpha, margin float64) []Contrast {
	if len(base) == 0 || len(head) == 0 {
		return nil
	}
	headline := commonHeadline(base[0], head[0])
	widen := 1.0
	if !InTurns(base, head) {
		widen = apart
	}
	outside := 0
	if len(base) >= EnoughResults && len(head) >= EnoughResults {
		outside = shiftRank(len(base), len(head), 1-confidence)
	}
	var list []Contrast
	for _, kind := range figureKinds(headline) {
		c := Contrast{Name: kind.name, Unit: kind.unit, Alpha: alpha, Adjusted: math.NaN()} // it is the interval that tells
		bases, whyBase := figuresOf(base, kind)
		heads, whyHead := figuresOf(head, kind)
		if c.Unknown = cmp.Or(whyBase, whyHead); c.Unknown == "" {
			c.A, c.B = median(bases), median(heads)
			if outside == 0 && kind.rough != nil { // else it is their scatter that tells
				c.Rough = [2]bool{slices.ContainsFunc(base, kind.rough), slices.ContainsFunc(head, kind.rough)}
			}
			c.differ(bases, heads, kind, base, head, outside)
			if kind.tested {
				c.Low, c.High = c.Low/widen, c.High*widen
			}
		}
		c.gate(margin, whyBase == "" && kind.tested)
		list = append(list, c)
	}
	return append(list, losses(base, head, alpha))
}

// figuresOf gives one figure of every result, or why one of them hasn't it.
func figuresOf(results []*bench.Result, kind figureKind) (values []float64, why string) {
	for _, r := range results {
		value, unknown := kind.of(r)
		if unknown != "" {
			return nil, unknown
		}
		values = append(values, value)
	}
	return values, ""
}

// InTurns reports whether the sides were measured in turns, more or less.
func InTurns(a, b []*bench.Result) bool {
	type made struct {
		at   time.Time
		head bool
	}
	var all []made
	for _, r := range a {
		all = append(all, made{r.Start, false})
	}
	for _, r := range b {
		all = append(all, made{r.Start, true})
	}
	slices.SortStableFunc(all, func(x, y made) int { return x.at.Compare(y.at) })
	changes := 0
	for i := range all[1:] {
		if all[i].head != all[i+1].head {
			changes++
		}
	}
	least := min(len(a), len(b))
	return least > 1 && changes >= least
}

// differ fills in the ratio and its interval: by how the results scatter, where there are enough; else by what each result knows
// of its own quantile.
// outside is how many of the sorted ratios lie outside the interval at either end, 0 where there are too few results for that.
func (c *Contrast) differ(a, b []float64, kind figureKind, base, head []*bench.Result, outside int) {
	c.Pairs = min(len(a), len(b))
	c.P, c.Low, c.High = math.NaN(), 0, math.Inf(1)
	var logs []float64
	for _, x := range a {
		for _, y := range b {
			if x == 0 && y == 0 {
				logs = append(logs, 0)
				continue
			}
			logs = append(logs, math.Log(y/x))
		}
	}
	slices.Sort(logs)
	if i := slices.IndexFunc(logs, func(x float64) bool { return math.IsInf(x, 0) || math.IsNaN(x) }); i >= 0 {
		c.Unknown = "it is nothing on one of the sides, so that there is no ratio"
		return
	}
	n := len(logs)
	c.Ratio = math.Exp((logs[(n-1)/2] + logs[n/2]) / 2)
	switch {
	case !kind.tested:
		c.Low, c.High = math.Exp(logs[0]), math.Exp(logs[n-1])
	case outside > 0:
		c.Low, c.High = math.Exp(logs[outside-1]), math.Exp(logs[n-outside])
	case kind.within != nil:
		lowA, highA, okA := withinAll(base, kind)
		lowB, highB, okB := withinAll(head, kind)
		if okA && okB {
			c.Low, c.High = lowB/highA, highB/lowA
		}
	}
}

// withinAll is the interval in which every result knows a figure to lie.
func withinAll(results []*bench.Result, kind figureKind) (low, high float64, ok bool) {
	low = math.Inf(1)
	for _, r := range results {
		from, to, known := kind.within(r)
		if !known {
			return 0, 0, false
		}
		low, high = min(low, from), max(high, to)
	}
	return low, high, low > 0
}

// gate holds the interval against a margin. known says that base has the figure: where head hasn't it, nobody can tell.
func (c *Contrast) gate(margin float64, known bool) {
	switch {
	case c.Unknown != "" && known:
		c.Gate = Inconclusive
	case c.Unknown != "":
	case c.Low > 1+margin:
		c.Gate = Regress
	case c.High < 1+margin:
		c.Gate = Pass
	default:
		c.Gate = Inconclusive
	}
}

// losses compares what was lost, as a share of what was expected. More than before is a regression, however little.
func losses(base, head []*bench.Result, alpha float64) Contrast {
	c := Contrast{Name: "lost", Unit: bench.Fraction, Alpha: alpha, Adjusted: math.NaN(), Paired: Paired{Ratio: math.NaN(), High: math.Inf(1), P: math.NaN()}}
	share := func(results []*bench.Result) float64 {
		var lost, expected uint64
		for _, r := range results {
			if why, unmeasured := r.Unmeasured[bench.Lost]; unmeasured {
				c.Unknown = "loss is not measurable: " + why
			}
			lost, expected = lost+r.Count(bench.Lost), expected+r.Count(bench.Expected)
		}
		return float64(lost) / float64(max(1, expected))
	}
	c.A, c.B = share(base), share(head)
	switch {
	case c.Unknown != "":
		c.Gate = Inconclusive
	case c.B > c.A:
		c.Gate, c.Ratio, c.Low, c.High = Regress, c.B/c.A, c.B/c.A, c.B/c.A
	default:
		c.Gate, c.Ratio, c.Low, c.High = Pass, 1, 1, 1
		if c.A > 0 {
			c.Ratio, c.Low, c.High = c.B/c.A, c.B/c.A, c.B/c.A
		}
	}
	return c
}

// uDistribution is the distribution of Mann and Whitney's U of two samples of the same population: how often an order of them has
// so many pairs the one way round (Mann and Whitney 1947).
func uDistribution(m, n int) []float64 {
	// ways[i][u]: of i and j values, by the recurrence on the largest one.
	ways := make([][]float64, m+1)
	for i := range ways {
		ways[i] = []float64{1}
	}
	for j := 1; j <= n; j++ {
		next := [][]float64{{1}}
		for i := 1; i <= m; i++ {
			sum := make([]float64, i*j+1)
			for u, w := range next[i-1] { // the largest is of the first sample: above all j
				sum[u+j] += w
			}
			for u, w := range ways[i] {
				sum[u] += w
			}
			next = append(next, sum)
		}
		ways = next
	}
	total := 0.0
	for _, w := range ways[m] {
		total += w
	}
	for u := range ways[m] {
		ways[m][u] /= total
	}
	return ways[m]
}

// shiftRank is how many of the sorted differences of two samples lie outside their interval with confidence 1-alpha, at either end
// (Moses 1953); 0 where there are too few for one.
func shiftRank(m, n int, alpha float64) int {
	tail := 0.0
	for k, weight := range uDistribution(m, n) {
		if tail += weight; tail > alpha/2 {
			return k
		}
	}
	return 0
}
