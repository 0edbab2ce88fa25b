package bench

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const batchTick = 100 * time.Millisecond

// play is a run of so many ticks, each with the values that of gives.
func play(b *batches, ticks int, of func(tick int) []float64) {
	for i := range ticks {
		for _, v := range of(i) {
			if !b.slots[0].tick.put(int64(v)) {
				panic("out of range")
			}
		}
		b.next(time.Duration(i+1) * batchTick)
	}
}

// An ar1 is a stationary series of standard normal values, each correlated with the one before it by phi.
func ar1(random *rand.Rand, phi float64) func() float64 {
	x := random.NormFloat64()
	return func() float64 {
		v := x
		x = phi*x + math.Sqrt(1-phi*phi)*random.NormFloat64()
		return v
	}
}

// lognormal has a median of 2 ms.
func lognormal(z float64) float64 { return 2e6 * math.Exp(0.2*z) }

// perTick gives so many lognormal values for each tick.
func perTick(n int, next func() float64) func(int) []float64 {
	values := make([]float64, n)
	return func(int) []float64 {
		for i := range values {
			values[i] = lognormal(next())
		}
		return values
	}
}

// TestBatchesKeep: whatever was added is kept once, in the batch of its tick, and batches begin where ticks do.
func TestBatchesKeep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 3).Draw(t, "slots")
		ticks := rapid.IntRange(0, 700).Draw(t, "ticks")
		density := rapid.Float64Range(0, 1).Draw(t, "density")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		begin := 3 * time.Second
		b := newBatches(slots, begin)
		type added struct{ tick, slot, value int64 }
		var all []added
		var one counts
		for i := range ticks {
			for slot := range slots {
				for random.Float64() < density/2 {
					v := random.Int64N(int64(time.Second))
					all = append(all, added{int64(i), int64(slot), v})
					one.clear()
					one.put(v)
					b.add(slot, &one)
				}
			}
			b.next(begin + time.Duration(i+1)*batchTick)
		}
		count := len(b.begins) - 1
		if count >= maxBatches || ticks >= maxBatches && count < maxBatches/2 || len(b.begins) != ticks/b.perBatch+1 {
			t.Fatalf("%d batches of %d ticks, of %d ticks", count, b.perBatch, ticks)
		}
		for from := 0; from <= count; from += 1 + count/4 {
			first := from * b.perBatch
			if b.began(from) != begin+time.Duration(first)*batchTick {
				t.Fatalf("batch %d began at %v", from, b.began(from))
			}
			for slot := range slots {
				want := NewHistogram()
				for _, a := range all {
					if a.slot == int64(slot) && a.tick >= int64(first) {
						if err := want.RecordValue(a.value); err != nil {
							t.Fatal(err)
						}
					}
				}
				got := b.merged(slot, from)
				if got == nil && want.TotalCount() != 0 || got != nil && !got.Equals(want) {
					t.Fatalf("slot %d from batch %d: want %d samples", slot, from, want.TotalCount())
				}
			}
		}
	})
}

func TestEffective(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	burst := make([]float64, 1000)
	bursts := func(every int) func(int) []float64 {
		return func(tick int) []float64 {
			if tick%every != 0 {
				return nil
			}
			v := lognormal(random.NormFloat64())
			for i := range burst {
				burst[i] = v
			}
			return burst
		}
	}
	// Of an AR(1), whether a value lies above the median correlates by 2/π·asin(φ^k) over a distance of k.
	inflation := 1.0
	for k := 1.0; k < 200; k++ {
		inflation += 2 * 2 / math.Pi * math.Asin(math.Pow(0.9, k))
	}
	for _, c := range []struct {
		name  string
		q     float64
		ticks int
		of    func() func(int) []float64
		want  float64
	}{
		{"independent", 0.5, 600, func() func(int) []float64 { return perTick(50, random.NormFloat64) }, 30_000},
		{"independent", 0.99, 600, func() func(int) []float64 { return perTick(50, random.NormFloat64) }, 30_000},
		{"independent", 0.999, 600, func() func(int) []float64 { return perTick(50, random.NormFloat64) }, 30_000},
		{"correlated", 0.5, 600, func() func(int) []float64 { return perTick(50, ar1(random, 0.9)) }, 30_000 / inflation},
		{"a burst a tick", 0.5, 600, func() func(int) []float64 { return bursts(1) }, 600},
		{"a burst a tick", 0.9, 600, func() func(int) []float64 { return bursts(1) }, 600},
		{"a burst in ten ticks", 0.5, 600, func() func(int) []float64 { return bursts(10) }, 60},
		{"a burst in ten ticks", 0.99, 600, func() func(int) []float64 { return bursts(10) }, 60},
	} {
		if underRace && c.q == 0.99 && c.want == 30_000 {
			continue
		}
		const trials = 12
		mean := 0.0
		for range trials {
			b := newBatches(1, 0)
			play(b, c.ticks, c.of())
			n := b.effective(0, 0, c.q)
			if all := float64(b.merged(0, 0).TotalCount()); n <= 0 || n > all {
				t.Fatalf("%s, q %v: %v of %v samples", c.name, c.q, n, all)
			}
			mean += n / trials
		}
		t.Logf("%s, q %v: %.0f, want %.0f", c.name, c.q, mean, c.want)
		if ratio := mean / c.want; ratio < 0.75 || ratio > 1.25 {
			t.Errorf("%s, q %v: %.0f effective samples, want about %.0f", c.name, c.q, mean, c.want)
		}
	}
}

// TestEffectiveAtTheEdges: what batch means can't tell.
func TestEffectiveAtTheEdges(t *testing.T) {
	same := func(int) []float64 { return []float64{5e6, 5e6, 5e6} }
	for _, c := range []struct {
		name  string
		ticks int
		of    func(int) []float64
		want  float64
	}{
		{"nothing", 100, func(int) []float64 { return nil }, 0},
		{"one value", 100, same, 300},
		{"few batches", 9, same, 9},
		{"few batches hold anything", 600, func(tick int) []float64 {
			if tick < 500 {
				return nil
			}
			return same(tick)
		}, 7},
	} {
		b := newBatches(1, 0)
		play(b, c.ticks, c.of)
		if n := b.effective(0, 0, 0.99); n != c.want {
			t.Errorf("%s: %v effective samples, want %v", c.name, n, c.want)
		}
	}
}

// TestIntervalCovers: the interval holds the true quantile in 95 of 100 runs.
func TestIntervalCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	for _, c := range []struct {
		name  string
		phi   float64
		q, z  float64
		ticks int
	}{
		{"independent", 0, 0.5, 0, 300},
		{"independent", 0, 0.99, 2.326348, 300},
		{"correlated", 0.9, 0.5, 0, 300},
		{"correlated", 0.9, 0.99, 2.326348, 300},
		{"short and correlated", 0.9, 0.5, 0, 12},
	} {
		if underRace && c.phi > 0 && c.ticks > 12 { // it is arithmetic, and takes long
			continue
		}
		trials := underRaceFewer(200, 100)
		covered := 0
		for range trials {
			b := newBatches(1, 0)
			play(b, c.ticks, perTick(20, ar1(random, c.phi)))
			low, high, ok := b.interval(0, 0, c.q)
			if truth := lognormal(c.z); ok && float64(low) <= truth && truth <= float64(high) {
				covered++
			}
		}
		share := float64(covered) / float64(trials)
		t.Logf("%s, q %v: covered %.3f", c.name, c.q, share)
		if share < 0.92 {
			t.Errorf("%s, q %v: covered %.3f, want .95", c.name, c.q, share)
		}
	}
}

// TestIntervalBounds: high is bounded from about as many samples on as it takes to print the quantile.
func TestIntervalBounds(t *testing.T) {
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		need := math.Log(.025) / math.Log(q)
		bounded := func(n int) bool {
			b := newBatches(1, 0)
			// 60 batches that are alike: every sample counts.
			play(b, 60, func(tick int) (values []float64) {
				for i := range n/60 + 1 {
					if i*60+tick < n {
						values = append(values, 1e6)
					}
				}
				return values
			})
			low, high, ok := b.interval(0, 0, q)
			return ok && low <= high && high != never
		}
		if many := int(1.2*need) + 3; !bounded(many) {
			t.Errorf("q %v is unbounded with %d samples", q, many)
		}
		if few := int(0.8 * need); bounded(few) {
			t.Errorf("q %v is bounded with %d samples", q, few)
		}
	}
	b := newBatches(1, 0)
	if _, _, ok := b.interval(0, 0, 0.5); ok {
		t.Error("an interval of nothing")
	}
	play(b, 20, func(int) []float64 { return []float64{1e6} })
	for _, q := range []float64{0, 1, 1.1, math.NaN()} {
		if _, _, ok := b.interval(0, 0, q); ok {
			t.Errorf("an interval of quantile %v", q)
		}
	}
	if low, high, _ := b.interval(0, 19, 0.5); low > 1e6 || high != never {
		t.Errorf("one batch bounds the median between %d and %d", low, high)
	}
}

// TestWarmup: what the first batch to keep is, for the run and its cap.
func TestWarmup(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	mean, trials := 0.0, 50
	for range trials {
		b := newBatches(1, 0)
		play(b, 600, perTick(20, random.NormFloat64))
		mean += float64(b.warmup(0)*b.perBatch) / 600 / float64(trials)
	}
	t.Logf("a stationary run loses %.3f", mean)
	if mean > 0.08 {
		t.Errorf("a stationary run loses %.3f of its ticks", mean)
	}
	for _, decay := range []float64{5, 20, 30} {
		b := newBatches(1, 0)
		play(b, 600, func(tick int) []float64 {
			values := perTick(20, random.NormFloat64)(tick)
			for i := range values {
				values[i] *= 1 + 5*math.Exp(-float64(tick)/decay)
			}
			return values
		})
		cut := b.warmup(0) * b.perBatch
		t.Logf("decay of %v ticks: %d cut", decay, cut)
		if left := 5 * math.Exp(-float64(cut)/decay); left > 0.15 || cut > 150 {
			t.Errorf("a decay over %v ticks: %d cut", decay, cut)
		}
	}
	for _, ticks := range []int{0, 1, 19, 20, 63, 64, 100, 127, 600, 1001} {
		b := newBatches(1, 0)
		play(b, ticks, func(tick int) []float64 { return []float64{1e9 / float64(tick+1)} })
		if cut := b.warmup(0) * b.perBatch; cut > ticks/4 || ticks >= 100 && cut < ticks/5 {
			t.Errorf("%d of %d ticks cut", cut, ticks)
		}
	}
}

// TestAddCheap: a tick allocates nothing once its like has been seen.
func TestAddCheap(t *testing.T) {
	b := newBatches(1, 0)
	h := sample(rand.New(rand.NewPCG(4, 0)), 1000)
	if allocs := testing.AllocsPerRun(100, func() {
		b.slots[0].tick.clear()
		b.add(0, h)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func sample(random *rand.Rand, n int) *counts {
	c := new(counts)
	for range n {
		c.put(int64(lognormal(random.NormFloat64())))
	}
	return c
}

// BenchmarkTick is a tick of ten slots of a thousand samples each, and what they occupy after a minute.
func BenchmarkTick(b *testing.B) {
	random := rand.New(rand.NewPCG(5, 0))
	var ticks [16]*counts
	for i := range ticks {
		ticks[i] = sample(random, 1000)
	}
	kept := newBatches(10, 0)
	tick := func(i int) {
		for slot := range kept.slots {
			kept.add(slot, ticks[i%len(ticks)])
		}
		kept.next(time.Duration(i) * batchTick)
	}
	for i := range 600 {
		tick(i)
	}
	size := 0
	for i := range kept.slots {
		s := &kept.slots[i]
		size += 4 * (cap(s.tick.held) + cap(s.fresh.held) + cap(s.medians.values))
		for part := range kept.slots[i].from(0) {
			size += 2*cap(part.buckets) + 4*cap(part.counts)
		}
	}
	i := 600
	for b.Loop() {
		tick(i)
		i++
	}
	b.ReportMetric(float64(size)/1024, "KB/minute")
}

// BenchmarkQuantile is what one quantile of one slot costs.
func BenchmarkQuantile(b *testing.B) {
	random := rand.New(rand.NewPCG(6, 0))
	kept := newBatches(1, 0)
	play(kept, 600, perTick(1000, random.NormFloat64))
	for b.Loop() {
		kept.interval(0, 0, 0.99)
	}
}

// effective is independent without the number of batches.
func (b *batches) effective(slot, from int, q float64) float64 {
	h := b.merged(slot, from)
	if h == nil {
		return 0
	}
	n, _ := b.independent(slot, from, h, q)
	return n
}

// interval is orderStatistics of a slot from a batch on; false where nothing was recorded, or q is no quantile.
func (b *batches) interval(slot, from int, q float64) (low, high int64, ok bool) {
	h := b.merged(slot, from)
	if h == nil || !(q > 0 && q < 1) {
		return 0, 0, false
	}
	n, groups := b.independent(slot, from, h, q)
	low, high = orderStatistics(h, n, groups, q)
	return low, high, true
}
