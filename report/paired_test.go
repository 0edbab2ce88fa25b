package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSignedRankExactly holds the p-value against going through all signs.
func TestSignedRankExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(-6, 6).Draw(t, "d")) }), 0, 11).Draw(t, "differences")
		if got, want := signedRank(d), bruteSignedRank(d); math.Abs(got-want) > 1e-12 {
			t.Fatalf("%v: %v, want %v", d, got, want)
		}
	})
}

func bruteSignedRank(d []float64) float64 {
	var sizes []float64
	observed := 0.0
	for _, x := range d {
		if x != 0 {
			sizes = append(sizes, math.Abs(x))
		}
	}
	rank := func(x float64) (r float64) { // one more than those below, and half of those like it
		r = 0.5
		for _, y := range sizes {
			if y < x {
				r++
			} else if y == x {
				r += 0.5
			}
		}
		return r
	}
	for _, x := range d {
		if x > 0 {
			observed += rank(x)
		}
	}
	below, above, all := 0, 0, 1<<len(sizes)
	for signs := range all {
		sum := 0.0
		for i, x := range sizes {
			if signs>>i&1 == 1 {
				sum += rank(x)
			}
		}
		if sum <= observed+1e-9 {
			below++
		}
		if sum >= observed-1e-9 {
			above++
		}
	}
	return min(1, 2*float64(min(below, above))/float64(all))
}

// TestComparePairs: known values. Six pairs that all point the same way are the fewest that mean anything.
func TestComparePairs(t *testing.T) {
	a := []float64{10, 11, 9, 10, 12, 10}
	b := []float64{12, 13, 11, 12, 15, 12.5}
	got := ComparePairs(a, b)
	if got.Pairs != 6 || got.P != 2.0/64 || got.Ratio < 1.19 || got.Ratio > 1.24 || got.Low < 1.1 || got.High > 1.26 {
		t.Errorf("%+v", got)
	}
	if few := ComparePairs(a[:5], b[:5]); few.P != 2.0/32 || few.Low != 0 || !math.IsInf(few.High, 1) {
		t.Errorf("five pairs: %+v", few)
	}
	if none := ComparePairs(a, a); none.P != 1 || none.Ratio != 1 {
		t.Errorf("no difference: %+v", none)
	}
	for _, bad := range [][2]float64{{0, 0}, {0, 1}, {1, 0}, {-1, 1}, {math.NaN(), 1}, {math.Inf(1), math.Inf(1)}} {
		x, y := append([]float64{bad[0]}, a...), append([]float64{bad[1]}, b...)
		if got := ComparePairs(x, y); got.Pairs != 7 || !math.IsNaN(got.Ratio) || got.Low != 0 || !math.IsInf(got.High, 1) || got.P != 1 {
			t.Errorf("%v: %+v", bad, got)
		}
	}
	// The published table for n = 12: the 2.5 % point of the smaller sum is 13.
	twelve := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	for _, row := range []struct {
		negative []int // ranks
		small    bool
	}{{[]int{1, 12}, true}, {[]int{2, 12}, false}} {
		d := slices.Clone(twelve)
		for _, r := range row.negative {
			d[r-1] = -d[r-1]
		}
		if p := signedRank(d); (p <= .05) != row.small {
			t.Errorf("negative ranks %v: p = %v", row.negative, p)
		}
	}
}

// TestPairedErrors: on noise alone the test is wrong as often as it says, the interval holds the truth, and a tenth more
// is found among noise as large.
func TestPairedErrors(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const runs, pairs = 4000, 12
	trial := func(ratio float64) ([]float64, []float64) {
		a, b := make([]float64, pairs), make([]float64, pairs)
		for i := range pairs {
			level := math.Exp(random.NormFloat64()) // what both trials of a pair have in common
			a[i], b[i] = level, level*ratio*math.Exp(.1*random.NormFloat64())
		}
		return a, b
	}
	wrong, held, found := 0, 0, 0
	for range runs {
		if same := ComparePairs(trial(1)); same.P < .05 {
			wrong++
		}
		more := ComparePairs(trial(1.1))
		if more.P < .05 {
			found++
		}
		if more.Low <= 1.1 && more.High >= 1.1 {
			held++
		}
	}
	if share := float64(wrong) / runs; share > .06 {
		t.Errorf("%v of the comparisons of equals were significant", share)
	}
	if share := float64(held) / runs; share < .94 {
		t.Errorf("%v of the intervals held the truth", share)
	}
	if share := float64(found) / runs; share < .8 {
		t.Errorf("%v of the differences were found", share)
	}
}
