package report

import (
	"math"
	"slices"
)

// Paired compares two sides by paired trials: each value is one trial's figure, and trials i of both sides were made
// close to each other in time. The unit is the trial, not the message: messages of one trial depend on each other.
type Paired struct {
	Pairs     int
	Ratio     float64 // of b to a: the Hodges-Lehmann estimate
	Low, High float64 // its 95 % confidence interval; 0 and +Inf where there are too few pairs for one
	P         float64 // of there being no difference: exact Wilcoxon signed-rank test, two-sided
}

// ComparePairs compares positive figures of as many trials of both sides. Where one isn't positive, there is no ratio of
// its pair, and so none of the sides (NaN), and nothing speaks for a difference.
func ComparePairs(a, b []float64) Paired {
	d := make([]float64, min(len(a), len(b)))
	for i := range d {
		if d[i] = math.Log(b[i] / a[i]); math.IsNaN(d[i]) || math.IsInf(d[i], 0) {
			return Paired{Pairs: len(d), Ratio: math.NaN(), High: math.Inf(1), P: 1}
		}
	}
	middle, low, high := hodgesLehmann(d, .05)
	return Paired{Pairs: len(d), Ratio: math.Exp(middle), Low: math.Exp(low), High: math.Exp(high), P: signedRank(d)}
}

// signedRank is the exact two-sided p-value of Wilcoxon's signed-rank test. Zeros say nothing of the direction and are
// left out; equal sizes share their ranks (Wilcoxon 1945; Pratt and Gibbons, "Concepts of Nonparametric Theory", 1981).
func signedRank(d []float64) float64 {
	d = slices.DeleteFunc(slices.Clone(d), func(x float64) bool { return x == 0 })
	slices.SortFunc(d, func(x, y float64) int {
		switch x, y := math.Abs(x), math.Abs(y); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	ranks := make([]int, len(d)) // twice the rank, so that a shared one is whole
	for i := 0; i < len(d); {
		j := i
		for j < len(d) && math.Abs(d[j]) == math.Abs(d[i]) {
			j++
		}
		for k := i; k < j; k++ {
			ranks[k] = i + 1 + j
		}
		i = j
	}
	positive := 0
	for i, x := range d {
		if x > 0 {
			positive += ranks[i]
		}
	}
	weights := rankSums(ranks)
	below, above := 0.0, 0.0
	for sum, w := range weights {
		if sum <= positive {
			below += w
		}
		if sum >= positive {
			above += w
		}
	}
	return min(1, 2*min(below, above))
}

// rankSums is the distribution of the sum of the ranks that are positive, where each is by the toss of a coin.
func rankSums(ranks []int) []float64 {
	weights := []float64{1}
	for _, r := range ranks {
		next := make([]float64, len(weights)+r)
		for sum, w := range weights {
			next[sum] += w / 2
			next[sum+r] += w / 2
		}
		weights = next
	}
	return weights
}

// hodgesLehmann is the median of the means of all pairs of values, each value with itself too, and the interval of
// those means that holds the true centre with confidence 1-alpha. The interval is unbounded where there are too few
// values for one.
func hodgesLehmann(d []float64, alpha float64) (middle, low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	if len(d) == 0 {
		return math.NaN(), low, high
	}
	var means []float64
	ranks := make([]int, len(d))
	for i, x := range d {
		ranks[i] = i + 1
		for _, y := range d[i:] {
			means = append(means, (x+y)/2)
		}
	}
	slices.Sort(means)
	n := len(means)
	middle = (means[(n-1)/2] + means[n/2]) / 2
	tail, k := 0.0, 0 // so many means on either side lie outside
	for sum, w := range rankSums(ranks) {
		if tail += w; tail > alpha/2 {
			k = sum
			break
		}
	}
	if k > 0 {
		low, high = means[k-1], means[n-k]
	}
	return middle, low, high
}
