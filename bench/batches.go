package bench

import (
	"iter"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	maxBatches = 64 // of the window: between half of them and all once the run has that many ticks
	minBatches = 10 // fewer say nothing about how the samples depend on each other
)

// batches keeps what each stretch of the measured window recorded, sparsely, for each of several histograms: its
// slots. A stretch, a batch, is a number of ticks; all have the same, the last may be unfinished. When there are 64,
// they are joined in pairs. Only the collector touches it.
type batches struct {
	slots    []history
	begins   []time.Duration // of each batch, and of the one that follows
	ticks    int             // that have ended
	perBatch int             // ticks
}

// A history is what one slot recorded.
type history struct {
	tick    counts                 // what belongs to the tick that has not ended
	fresh   counts                 // what belongs to the latest batch, and not to its part yet
	batch   int                    // that batch
	parts   []packed               // one for each batch; empty, or missing at the end, where nothing was recorded
	others  [maxBatches / 2]packed // what some batches recorded besides, since they were joined
	sum     *counts                // to join them in; of all slots
	medians trace
}

// newBatches has its first tick begin at begin, after the start of the run.
func newBatches(slots int, begin time.Duration) *batches {
	b := &batches{slots: make([]history, slots), begins: []time.Duration{begin}, perBatch: 1}
	sum := new(counts)
	for i := range b.slots {
		b.slots[i].medians.span, b.slots[i].sum = 1, sum
	}
	return b
}

// add puts values into the tick that has not ended. It does not keep them.
func (b *batches) add(slot int, values *counts) { b.slots[slot].tick.merge(values) }

// take is add, which may leave nothing of the values.
func (b *batches) take(slot int, values *counts) { b.slots[slot].tick.take(values) }

// next ends the tick, at so long after the start of the run. Nothing is seen of a tick until it ends.
func (b *batches) next(at time.Duration) {
	batch := b.ticks / b.perBatch
	for i := range b.slots {
		b.slots[i].next(batch)
		b.slots[i].join(b.ticks % (maxBatches / 2)) // one a tick: all at once would take long
	}
	b.ticks++
	if b.ticks%b.perBatch != 0 {
		return
	}
	b.begins = append(b.begins, at)
	for i := range b.slots {
		b.slots[i].pack()
	}
	if batch+1 == maxBatches {
		b.halve()
	}
}

func (s *history) next(batch int) {
	if s.tick.empty() {
		s.medians.add(math.NaN())
		return
	}
	s.medians.add(float64(s.tick.median()))
	s.fresh.take(&s.tick)
	s.batch = batch
	s.tick.clear()
}

// pack adds what is fresh to its part.
func (s *history) pack() {
	if s.fresh.empty() {
		return
	}
	for len(s.parts) <= s.batch {
		s.parts = append(s.parts, packed{})
	}
	s.fresh.unpack(s.parts[s.batch])
	s.parts[s.batch] = s.fresh.packed()
	s.fresh.clear()
}

// part is what one batch recorded.
func (s *history) part(batch int) packed {
	if s.pack(); batch >= len(s.parts) {
		return packed{}
	}
	s.join(batch)
	return s.parts[batch]
}

// join ends the joining of two batches to one.
func (s *history) join(batch int) {
	if batch >= len(s.others) || s.others[batch].empty() {
		return
	}
	s.sum.unpack(s.parts[batch])
	s.sum.unpack(s.others[batch])
	s.parts[batch], s.others[batch] = s.sum.packed(), packed{}
	s.sum.clear()
}

// halve joins the batches in pairs.
func (b *batches) halve() {
	for i := range b.slots {
		s := &b.slots[i]
		half := (len(s.parts) + 1) / 2
		for j := range half {
			first, second := s.part(2*j), s.part(2*j+1)
			s.parts[j], s.others[j] = first, second
		}
		clear(s.parts[half:])
		s.parts = s.parts[:half]
	}
	for i := range maxBatches/2 + 1 {
		b.begins[i] = b.begins[2*i]
	}
	b.begins = b.begins[:maxBatches/2+1]
	b.perBatch *= 2
}

// warmup gives the first batch to keep of a slot, by MSER-5 on its tick medians, as far as those are off from what comes
// after: a warm-up is there from the first tick on, and what happens later, such as an outage, is no part of it. A batch
// that is partly warm-up goes as a whole; all that goes is at most a quarter of the ticks.
func (b *batches) warmup(slot int) (from int) {
	trace := &b.slots[slot].medians
	most := b.ticks / 4 / b.perBatch * b.perBatch
	cut := trace.span * transient(trace.values, mser(trace.values, most/trace.span))
	return (cut + b.perBatch - 1) / b.perBatch
}

// began says how long after the start of the run a batch began.
func (b *batches) began(from int) time.Duration { return b.begins[from] }

// last is the latest batch in which a slot recorded something; 0 where there is none.
func (b *batches) last(slot int) int {
	for i := len(b.begins) - 1; i > 0; i-- {
		if !b.slots[slot].part(i).empty() {
			return i
		}
	}
	return 0
}

// merged is what a slot recorded from a batch on; nil where that is nothing.
func (b *batches) merged(slot, from int) *hdrhistogram.Histogram {
	var h *hdrhistogram.Histogram
	for part := range b.slots[slot].from(from) {
		if h == nil {
			h = NewHistogram()
		}
		part.into(h, 0)
	}
	return h
}

// from yields the batches that have recorded something.
func (s *history) from(batch int) iter.Seq[packed] {
	return func(yield func(packed) bool) {
		s.pack()
		for i := batch; i < len(s.parts); i++ {
			if part := s.part(i); !part.empty() && !yield(part) {
				return
			}
		}
	}
}

// independent says how many independent samples would know quantile q (0 to 1) as well as the slot's samples from a
// batch on do, h being those (merged), and by how many batches it goes. It is at most their number. It is by batch means:
// whether a sample lies above the quantile has a mean in each batch, and how those scatter is the true variance, which
// for independent samples is p(1-p)/n. The bucket of the quantile may hold many samples, so it is done for "above" and
// for "at or above", and the lower figure stands.
//
// With fewer than ten batches to go by, each counts as one sample. Where all samples are in one bucket they depend on
// nothing, and count in full. Dependence over longer than a batch, 1/32 to 1/64 of the window, is not seen.
func (b *batches) independent(slot, from int, h *hdrhistogram.Histogram, q float64) (n float64, groups int) {
	at := h.ValueAtPercentile(100 * q)
	var above, orAt means
	for part := range b.slots[slot].from(from) {
		var over, same, last int64 // same is of the last bucket up to at, which need not be the one that holds it
		for v, count := range part.all {
			if v > at {
				over += count
			} else {
				last, same = v, count
			}
		}
		if !h.ValuesAreEquivalent(last, at) {
			same = 0
		}
		above.add(over, part.total())
		orAt.add(over+same, part.total())
	}
	if groups = len(above.of); groups < minBatches {
		return float64(groups), groups
	}
	return min(above.effective(), orAt.effective()), groups
}

// means are those of an indicator in each of several batches.
type means struct {
	hits, of       []float64
	allHits, allOf float64
}

func (m *means) add(hits, of int64) {
	m.hits, m.of = append(m.hits, float64(hits)), append(m.of, float64(of))
	m.allHits += float64(hits)
	m.allOf += float64(of)
}

// effective takes the variance of the whole mean as that of a ratio, since batches differ in size.
func (m *means) effective() float64 {
	p, sum := m.allHits/m.allOf, 0.0
	for i, hits := range m.hits {
		d := hits - p*m.of[i]
		sum += d * d
	}
	k := float64(len(m.of))
	variance := k / (k - 1) * sum / (m.allOf * m.allOf)
	if variance == 0 {
		return m.allOf
	}
	return min(p*(1-p)/variance, m.allOf)
}

// orderStatistics is the within-run 95 % interval of quantile q (above 0, below 1) of what h holds, which is worth n
// samples by so many batches, in ns and to the resolution of a histogram. How many of the n lie below the true quantile is
// binomial, so the order statistics at the ends of that are the interval's. high is never where the
// samples are too few to bound it, about as many as there must be to print the quantile at all.
func orderStatistics(h *hdrhistogram.Histogram, n float64, groups int, q float64) (low, high int64) {
	// The binomial's ends, by the normal approximation with its skew; the variance is itself estimated.
	spread := studentT975(groups-1) * math.Sqrt(n*q*(1-q))
	skew := (1 - 2*q) * (1.96*1.96 - 1) / 6
	low = h.ValueAtPercentile(max(0, 100*(n*q-spread+skew-0.5)/n))
	if upper := (n*q + spread + skew + 0.5) / n; upper < 1 {
		return low, h.ValueAtPercentile(100 * upper)
	}
	return low, never
}

// drift measures the change of quantile q over the batches from one on, where at least ten have ended and recorded
// something. It goes by batches and not by ticks: ticks depend on each other.
func (b *batches) drift(slot, from int, q float64) (drift, bool) {
	var at, values []float64
	for i := from; i < b.ticks/b.perBatch; i++ {
		if part := b.slots[slot].part(i); !part.empty() {
			at, values = append(at, float64(i)), append(values, float64(part.quantile(q)))
		}
	}
	if len(values) < minBatches {
		return drift{}, false
	}
	return driftOf(at, values), true
}
