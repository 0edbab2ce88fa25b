package bench

import (
	"cmp"
	"math"
	"slices"
)

// maxTrace bounds a trace: an hour of ticks.
const maxTrace = 36_000

// A trace is one figure of each tick; NaN where a tick has none. When it is full, its entries are joined in pairs, to
// the mean of the two or the one that there is, and from then an entry is of twice as many ticks. Those means serve
// MSER-5, which takes means of five, and nothing else.
type trace struct {
	values []float32
	span   int     // ticks in an entry
	ticks  int     // in the entry that is not complete
	sum    float64 // of those that have a figure
	n      int     // of those
}

func (t *trace) add(v float64) {
	if !math.IsNaN(v) {
		t.sum += v
		t.n++
	}
	if t.ticks++; t.ticks < t.span {
		return
	}
	t.values = append(t.values, float32(t.sum/float64(t.n)))
	t.ticks, t.sum, t.n = 0, 0, 0
	if len(t.values) == maxTrace {
		t.halve()
	}
}

func (t *trace) halve() {
	for i := range maxTrace / 2 {
		a, b := t.values[2*i], t.values[2*i+1]
		switch {
		case a != a:
			a = b
		case b == b:
			a += (b - a) / 2
		}
		t.values[i] = a
	}
	t.values = t.values[:maxTrace/2]
	t.span *= 2
}

// mser gives how many of the first values belong to the warm-up, at most most, by the rule MSER-5 (K. P. White, "An
// effective truncation heuristic for bias reduction in simulation output", 1997; in fives: White, Cobb, Spratt, 2000):
// over the means of five consecutive values, the cut that leaves the lowest standard error of the mean. The earliest
// of equals wins. Values that are NaN are passed over.
func mser(values []float32, most int) int {
	var groups []float64
	var starts []int // the index of the first value of each
	sum, n := 0.0, 0
	for i, v := range values {
		if v != v {
			continue
		}
		if n == 0 {
			starts = append(starts, i)
		}
		sum += float64(v)
		if n++; n == 5 {
			groups = append(groups, sum/5)
			sum, n = 0, 0
		}
	}
	best, cut := math.Inf(1), 0
	mean, squares := 0.0, 0.0 // of the groups from d on, built from the end
	for d, v := range slices.Backward(groups) {
		k := float64(len(groups) - d)
		delta := v - mean
		mean += delta / k
		squares += delta * (v - mean)
		if starts[d] > most {
			continue
		}
		if statistic := squares / (k * k); statistic <= best {
			best, cut = statistic, d
		}
	}
	if cut == 0 {
		return 0
	}
	return starts[cut]
}

// transient is the part of the first cut values that differs from what comes after without a break: by more than a tenth
// of its median, all to the same side, in means of five.
func transient(values []float32, cut int) (n int) {
	var rest []float64
	for _, v := range values[cut:] {
		if v == v {
			rest = append(rest, float64(v))
		}
	}
	if len(rest) == 0 {
		return 0
	}
	level := median(rest)
	side := 0.0
	for n < cut {
		sum, k, end := 0.0, 0.0, min(n+5, cut)
		for _, v := range values[n:end] {
			if v == v {
				sum, k = sum+float64(v), k+1
			}
		}
		if k > 0 {
			off := sum/k/level - 1
			if math.Abs(off) <= 0.1 || off*side < 0 {
				break
			}
			side = off
		}
		n = end
	}
	return n
}

// A drift is how a figure changed over a run, and how likely a series that does not change looks like that.
type drift struct {
	share float64 // of what it was at the begin; negative where the figure fell
	p     float64 // two-sided, of Spearman's rank correlation with time
}

// nonStationary reports a change that is both large and no accident: more than 10 %, with p < .01.
func (d drift) nonStationary() bool { return math.Abs(d.share) > 0.10 && d.p < 0.01 }

// driftOf measures the change of a series of ten or more positive values at ascending times, evenly spaced but for
// those that are missing. The share is by the Theil-Sen slope.
//
// Values that are like the ones before them, in a wander that is not a trend, would pass for one too often. So the
// test goes by n(1-r)/(1+r) values, where r > 0 is the correlation of neighbours in what a monotone curve leaves of
// the series: a straight line would leave much of a step or a decay, and hide them. The curve also follows some of the
// wander, and r is corrected for it, as found by simulation. A wander that takes a tenth of the run and more still
// passes for a trend in up to 8 % of the runs, others in 2 %.
func driftOf(at, values []float64) drift {
	rho := correlation(ranks(at), ranks(values))
	rest := ranks(offMonotone(values, rho > 0))
	n := float64(len(values))
	r := correlation(rest[:len(rest)-1], rest[1:])
	r = min(1, max(0, (n*r+4)/(n-8)))
	rise, middle, least := theilSen(at, values)*(at[len(at)-1]-at[0]+1), median(slices.Clone(values)), slices.Min(values)
	share := max(least, middle+rise/2)/max(least, middle-rise/2) - 1
	return drift{share: share, p: spearmanP(rho, max(3, n*(1-r)/(1+r)))}
}

// offMonotone gives what the rising or falling curve nearest to the logarithms of a series leaves of them, by pooling
// adjacent violators.
func offMonotone(values []float64, rising bool) []float64 {
	type level struct{ mean, n float64 }
	var levels []level
	rest := make([]float64, len(values))
	for i, v := range values {
		rest[i] = math.Log(v)
		next := level{rest[i], 1}
		for k := len(levels) - 1; k >= 0 && (levels[k].mean >= next.mean) == rising; k-- {
			last := levels[k]
			next = level{(last.mean*last.n + next.mean*next.n) / (last.n + next.n), last.n + next.n}
			levels = levels[:k]
		}
		levels = append(levels, next)
	}
	i := 0
	for _, l := range levels {
		for range int(l.n) {
			rest[i] -= l.mean
			i++
		}
	}
	return rest
}

// theilSen is the median of the slopes between all pairs: outliers don't move it.
func theilSen(x, y []float64) float64 {
	slopes := make([]float64, 0, len(x)*(len(x)-1)/2)
	for i := range x {
		for j := range i {
			slopes = append(slopes, (y[i]-y[j])/(x[i]-x[j]))
		}
	}
	return median(slopes)
}

// median sorts its argument.
func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// spearmanP is the two-sided p of rank correlation rho over n values, by Student's t.
func spearmanP(rho, n float64) float64 {
	if rho*rho >= 1 {
		return 0
	}
	return studentP(rho*math.Sqrt((n-2)/(1-rho*rho)), n-2)
}

// ranks gives each value its rank, and equal values the mean of theirs.
func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(v[a], v[b]) })
	ranks := make([]float64, len(v))
	for first := 0; first < len(order); {
		last := first
		for last+1 < len(order) && v[order[last+1]] == v[order[first]] {
			last++
		}
		for _, i := range order[first : last+1] {
			ranks[i] = float64(first+last) / 2
		}
		first = last + 1
	}
	return ranks
}

// correlation is Pearson's; 0 where a side is constant.
func correlation(x, y []float64) float64 {
	n := float64(len(x))
	var meanX, meanY float64
	for i := range x {
		meanX += x[i] / n
		meanY += y[i] / n
	}
	var xx, yy, xy float64
	for i := range x {
		dx, dy := x[i]-meanX, y[i]-meanY
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

// studentP is the chance that Student's t with df ≥ 1 degrees of freedom is at least so far from 0. With t =
// √df·tan θ its density is cos^(df-1) θ, which Simpson's rule integrates.
func studentP(t, df float64) float64 {
	area := func(from float64) float64 {
		const steps = 512
		width := (math.Pi/2 - from) / steps
		sum := 0.0
		for i := range steps + 1 {
			weight := 2 + 2*float64(i%2)
			if i == 0 || i == steps {
				weight = 1
			}
			sum += weight * math.Pow(max(0, math.Cos(from+float64(i)*width)), df-1)
		}
		return sum * width / 3
	}
	return min(1, area(math.Atan(math.Abs(t)/math.Sqrt(df)))/area(0))
}

// studentT975 is what Student's t with df degrees of freedom exceeds 2.5 % of the time, by the expansion about the
// normal (Abramowitz and Stegun 26.7.5): 0.7 % too low at df 3, within
// 0.2 % from 5 on. With none it is infinite.
func studentT975(df int) float64 {
	const z = 1.959964
	v := float64(df)
	if df < 1 {
		return math.Inf(1)
	}
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v) +
		(3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*v*v*v)
}
