package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestDriftFalseAlarms: a stationary run is seldom said to drift, even if each tick is much like the one before it: in
// 0.8 to 2.2 % of 6,000 runs, and in 4.7 and 7.5 % where a tenth of the run is alike. These are fewer runs, so three
// standard errors more are allowed.
func TestDriftFalseAlarms(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for _, phi := range []float64{0, 0.5, 0.9, 0.95} {
		for _, ticks := range []int{100, 600} {
			if underRace && ticks > 100 { // it is arithmetic, and takes long
				continue
			}
			trials := underRaceFewer(400, 200)
			unlikely, alarms := 0, 0
			for range trials {
				b := newBatches(1, 0)
				next := ar1(random, phi)
				play(b, ticks, func(int) []float64 { return []float64{lognormal(next())} })
				d, ok := b.drift(0, 0, 0.5)
				if !ok {
					t.Fatal("no drift measured")
				}
				if d.p < 0.01 {
					unlikely++
				}
				if d.nonStationary() {
					alarms++
				}
			}
			share := func(n int) float64 { return float64(n) / float64(trials) }
			t.Logf("φ %v, %d ticks: p < .01 in %.3f, alarms %.3f", phi, ticks, share(unlikely), share(alarms))
			most := 0.045
			if ticks == 100 && phi >= 0.9 {
				most = 0.12
			}
			if share(unlikely) > most {
				t.Errorf("φ %v, %d ticks: p < .01 in %.3f of the runs", phi, ticks, share(unlikely))
			}
		}
	}
}

// TestDriftFound: a run that changes is found out, whichever way it does, in noise of 20 % a tick; a change of 3 % is
// not worth an alarm.
func TestDriftFound(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	line := func(change float64) func(float64) float64 {
		return func(x float64) float64 { return 1 + change*x }
	}
	for _, c := range []struct {
		name        string
		of          func(x float64) float64 // x is from 0 to 1
		low, high   float64                 // what the share may be: of a curve, no more than its direction says
		least, most float64                 // of the runs
	}{
		{"a rise of 30 %", line(0.3), 0.27, 0.33, 0.95, 1},
		{"a fall of 30 %", line(-0.3), -0.33, -0.27, 0.95, 1},
		{"a rise of 3 %", line(0.03), 0, 0.06, 0, 0.07},
		{"a step", func(x float64) float64 { return 1 + math.Floor(2*x) }, 0.3, 2, 0.9, 1},
		{"two steps", func(x float64) float64 { return 1 + math.Floor(3*x) }, 0.3, 3, 0.9, 1},
		{"a rise ever faster", func(x float64) float64 { return math.Exp(3 * x) }, 0.3, 20, 0.95, 1},
		{"a long decay", func(x float64) float64 { return 1 + 5*math.Exp(-6*x) }, -1, -0.3, 0.95, 1},
	} {
		const trials = 50
		found, share := 0, 0.0
		for range trials {
			b := newBatches(1, 0)
			play(b, 600, func(tick int) []float64 {
				return []float64{lognormal(random.NormFloat64()) * c.of(float64(tick)/600)}
			})
			d, ok := b.drift(0, 0, 0.5)
			if ok && d.nonStationary() {
				found++
			}
			share += d.share / trials
		}
		t.Logf("%s: measured %.3f, found in %.3f", c.name, share, float64(found)/trials)
		if f := float64(found) / trials; f < c.least || f > c.most || share < c.low || share > c.high {
			t.Errorf("%s: measured %.3f, found in %.3f of the runs", c.name, share, f)
		}
	}
	b := newBatches(1, 0)
	play(b, 9, func(tick int) []float64 { return []float64{float64(tick+1) * 1e6} })
	if _, ok := b.drift(0, 0, 0.5); ok {
		t.Error("nine batches said something about drift")
	}
}

// TestSpearman: p agrees with how often a random order is at least as far from chance, ties or not.
func TestSpearman(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	for _, n := range []int{10, 12, 20, 40} {
		if underRace && n == 40 {
			continue
		}
		for _, ties := range []bool{false, true} {
			for _, trend := range []float64{0, 0.1, 0.25} {
				x, y := make([]float64, n), make([]float64, n)
				for i := range x {
					x[i], y[i] = float64(i), trend*float64(i)+random.NormFloat64()
					if ties {
						y[i] = math.Round(y[i])
					}
				}
				observed := math.Abs(rankCorrelation(x, y))
				const orders = 5_000
				as := 0
				other := slices.Clone(y)
				for range orders {
					random.Shuffle(n, func(i, j int) { other[i], other[j] = other[j], other[i] })
					if math.Abs(rankCorrelation(x, other)) >= observed-1e-12 {
						as++
					}
				}
				want, got := float64(as)/orders, spearmanP(correlation(ranks(x), ranks(y)), float64(n))
				if math.Abs(got-want) > 0.015+0.03*want {
					t.Errorf("n %d, ties %v, trend %v: p %.4f, by permutation %.4f", n, ties, trend, got, want)
				}
			}
		}
	}
	if p := spearmanP(correlation([]float64{0, 1, 2}, ranks([]float64{5, 5, 5})), 3); p != 1 {
		t.Errorf("a constant has p %v", p)
	}
	if p := spearmanP(1, 10); p != 0 {
		t.Errorf("a perfect order has p %v", p)
	}
}

func TestOffMonotone(t *testing.T) {
	series := func(logs ...float64) []float64 {
		for i, v := range logs {
			logs[i] = math.Exp(v)
		}
		return logs
	}
	for _, c := range []struct {
		rising       bool
		values, want []float64
	}{
		{true, series(1, 2, 2, 5), []float64{0, 0, 0, 0}},
		{true, series(1, 4, 2, 3, 9), []float64{0, 1, -1, 0, 0}},
		{true, series(3, 2, 1), []float64{1, 0, -1}},
		{false, series(9, 3, 2, 4, 1), []float64{0, 0, -1, 1, 0}},
		{false, series(1, 2, 6), []float64{-2, -1, 3}},
	} {
		got := offMonotone(c.values, c.rising)
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-9 {
				t.Errorf("rising %v: %v, want %v", c.rising, got, c.want)
				break
			}
		}
	}
}

// rankCorrelation is Spearman's by the definition: each rank counted, no sorting.
func rankCorrelation(x, y []float64) float64 {
	rank := func(v []float64, i int) (r float64) {
		for j := range v {
			switch {
			case v[j] < v[i]:
				r++
			case v[j] == v[i]:
				r += 0.5
			}
		}
		return r
	}
	var xx, yy, xy float64
	center := float64(len(x)) / 2
	for i := range x {
		dx, dy := rank(x, i)-center, rank(y, i)-center
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
	}
	return xy / math.Sqrt(xx*yy)
}

// TestStudent: the tables have these.
func TestStudent(t *testing.T) {
	for _, c := range []struct{ t, df, p float64 }{
		{12.7062, 1, 0.05}, {4.3027, 2, 0.05}, {2.2622, 9, 0.05}, {3.2498, 9, 0.01}, {2.7045, 40, 0.01}, {4.5869, 10, 0.001}, {0, 7, 1},
	} {
		for _, sign := range []float64{-1, 1} {
			if p := studentP(sign*c.t, c.df); math.Abs(p-c.p) > 0.001*c.p {
				t.Errorf("t %v with df %v: p %v, want %v", sign*c.t, c.df, p, c.p)
			}
		}
	}
	for df, want := range map[int]float64{5: 2.5706, 9: 2.2622, 30: 2.0423, 63: 1.9983} {
		if got := studentT975(df); math.Abs(got-want) > 0.002*want {
			t.Errorf("df %d: %v, want %v", df, got, want)
		}
	}
	if !math.IsInf(studentT975(0), 1) {
		t.Error("one batch knows its variance")
	}
}

func TestTheilSen(t *testing.T) {
	x, y := []float64{0, 1, 2, 4, 5, 6, 8}, []float64{1, 3, 5, 900, 11, 13, 17}
	if slope := theilSen(x, y); slope != 2 {
		t.Errorf("slope %v, want 2", slope)
	}
}

func TestMSER(t *testing.T) {
	nan := float32(math.NaN())
	steps := func(high, low int) (v []float32) {
		return append(slices.Repeat([]float32{10}, high), slices.Repeat([]float32{1}, low)...)
	}
	for _, c := range []struct {
		name   string
		values []float32
		most   int
		want   int
	}{
		{"nothing", nil, 0, 0},
		{"no group", steps(2, 2), 4, 0},
		{"constant: the earliest of equals", steps(0, 100), 25, 0},
		{"a step", steps(10, 90), 25, 10},
		{"a step inside a group", steps(12, 88), 25, 15},
		{"a step beyond the cap", steps(40, 60), 25, 25},
		{"no groups left by the cap", steps(10, 90), 4, 0},
		{"ticks without samples", append(slices.Repeat([]float32{nan}, 3), steps(10, 87)...), 25, 13},
		{"no samples", slices.Repeat([]float32{nan}, 50), 12, 0},
	} {
		if got := mser(c.values, c.most); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestTrace: a full trace is joined in pairs, and goes on in ticks of twice the length.
func TestTrace(t *testing.T) {
	trace := trace{span: 1}
	for i := range maxTrace + 5 {
		v := float64(i)
		if i < 4 && i != 2 {
			v = math.NaN()
		}
		trace.add(v)
	}
	if trace.span != 2 || len(trace.values) != maxTrace/2+2 {
		t.Fatalf("%d entries of %d ticks", len(trace.values), trace.span)
	}
	if v := trace.values; v[0] == v[0] || v[1] != 2 || v[2] != 4.5 || v[maxTrace/2] != maxTrace+0.5 {
		t.Errorf("begins %v, goes on with %v", v[:3], v[maxTrace/2:])
	}
}

// TestDriftChange: what rose from next to nothing is told by no figure.
func TestDriftChange(t *testing.T) {
	for share, want := range map[float64]string{-.31: "fell by 31 %", .125: "rose by 12 %", 9.99: "rose by 999 %", 6e6: "rose more than 10 times"} {
		if got := (&Drift{Share: share}).Change(); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
}
