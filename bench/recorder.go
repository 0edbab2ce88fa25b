package bench

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range and precision of every histogram: values in ns from a microsecond to an hour, three digits. A lowest
// value of 1000 keeps .hlog files readable by other tools.
const (
	lowest  = 1000
	highest = int64(time.Hour)
	digits  = 3
)

// NewHistogram makes a histogram of the kind that every timing uses.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// A measured window, in ns after the start. Its end moves when a run ends early.
type measured struct {
	begin int64
	end   atomic.Int64
}

// holds reports whether a time lies in the window.
func (m *measured) holds(at int64) bool { return at >= m.begin && at < m.end.Load() }

// A cell is what one shard has recorded since it was last collected. The shard's mutex guards it.
type cell struct {
	window   *measured
	counts   [numCounts]uint64
	inWindow Window
	timings  [numTimings]*hdrhistogram.Histogram
	used     [numTimings]bool
}

func (c *cell) add(m Metric, n uint64) { c.counts[m-numTimings] += n }

// time records one duration in ns.
func (c *cell) time(m Metric, ns int64) {
	h := c.timings[m]
	if h == nil {
		h = NewHistogram()
		c.timings[m] = h
	}
	if ns < 0 || h.RecordValue(ns) != nil {
		c.add(OutOfRange, 1)
		return
	}
	c.used[m] = true
}

// A shard takes the recordings of some of the connections.
type shard struct {
	mu    sync.Mutex
	cell  *cell
	spare *cell
	_     [64]byte // keep two shards' locks on different cache lines
}

// A recorder takes what connections record: one shard for each CPU, and not one for each connection, since a
// histogram is 190 KB.
type recorder struct {
	shards []shard
	next   atomic.Uint32
}

func newRecorder(window *measured) *recorder {
	r := &recorder{shards: make([]shard, runtime.GOMAXPROCS(0))}
	for i := range r.shards {
		r.shards[i].cell, r.shards[i].spare = &cell{window: window}, &cell{window: window}
	}
	return r
}

// shard gives connections theirs in turn.
func (r *recorder) shard() *shard {
	return &r.shards[int(r.next.Add(1))%len(r.shards)]
}

// record runs f on some shard's cell, for what belongs to no connection.
func (r *recorder) record(f func(*cell)) {
	s := &r.shards[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.cell)
}

// A tally is what the collector has gathered from all shards. Only the collector touches it.
type tally struct {
	counts   [numCounts]uint64
	inWindow Window
	timings  [numTimings]*hdrhistogram.Histogram
	step     stepTally
}

// stepTally is the part that belongs to the current step of the series.
type stepTally struct {
	metric Metric // the headline so far
	timing *hdrhistogram.Histogram
}

// collect swaps every shard's cell for its spare and adds what was in it to the tally. A connection waits for the
// swap of two pointers at most.
func (r *recorder) collect(t *tally) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.cell, s.spare = s.spare, s.cell
		full := s.spare
		s.mu.Unlock()
		t.take(full)
	}
}

func (t *tally) take(c *cell) {
	for i, n := range c.counts {
		t.counts[i] += n
	}
	t.inWindow.Received += c.inWindow.Received
	t.inWindow.Bytes += c.inWindow.Bytes
	for m := range numTimings {
		if !c.used[m] {
			continue
		}
		if t.timings[m] == nil {
			t.timings[m] = NewHistogram()
		}
		t.timings[m].Merge(c.timings[m])
		if metric, ok := t.headline(); ok && metric == m {
			t.step.add(m, c.timings[m])
		}
		c.timings[m].Reset()
		c.used[m] = false
	}
	c.counts = [numCounts]uint64{}
	c.inWindow = Window{}
}

// headline is the timing that the run is about, as far as is known.
func (t *tally) headline() (Metric, bool) {
	for _, m := range headlines {
		if t.timings[m] != nil {
			return m, true
		}
	}
	return 0, false
}

func (s *stepTally) add(m Metric, h *hdrhistogram.Histogram) {
	if s.timing == nil {
		s.timing = NewHistogram()
	}
	if s.metric != m {
		s.timing.Reset()
		s.metric = m
	}
	s.timing.Merge(h)
}

// take gives the step's quantiles and starts the next one.
func (s *stepTally) take() (Metric, Quantiles) {
	if s.timing == nil || s.timing.TotalCount() == 0 {
		return s.metric, Quantiles{}
	}
	q := quantiles(s.timing)
	s.timing.Reset()
	return s.metric, q
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	at := h.ValueAtPercentiles([]float64{50, 99})
	return Quantiles{Samples: h.TotalCount(), P50: at[50], P99: at[99], Max: h.Max()}
}

// maxBuckets bounds the series: a longer run has longer steps.
const maxBuckets = 3600

// A series is the run over time, in steps of equal length.
type series struct {
	step    time.Duration
	buckets []Bucket
	metrics []Metric // what each bucket's Headline is of
	last    [numCounts]uint64
}

// add ends the step that began at at.
func (s *series) add(at time.Duration, open int, t *tally) {
	metric, headline := t.step.take()
	delta := func(m Metric) uint64 { return t.counts[m-numTimings] - s.last[m-numTimings] }
	s.buckets = append(s.buckets, Bucket{
		At: at, Open: open, Received: delta(Received), Bytes: delta(Bytes), Sent: delta(Sent),
		Errors: delta(ConnectErrors) + delta(Drops), Reconnects: delta(Reconnects), Headline: headline,
	})
	s.metrics = append(s.metrics, metric)
	s.last = t.counts
	if len(s.buckets) >= maxBuckets {
		s.halve()
	}
}

// halve joins the steps in pairs. Quantiles can't be averaged, so of two the worse one stands.
func (s *series) halve() {
	half := len(s.buckets) / 2
	for i := range half {
		a, b := s.buckets[2*i], s.buckets[2*i+1]
		a.Open = b.Open
		a.Received, a.Bytes, a.Sent = a.Received+b.Received, a.Bytes+b.Bytes, a.Sent+b.Sent
		a.Errors, a.Reconnects = a.Errors+b.Errors, a.Reconnects+b.Reconnects
		if s.metrics[2*i] != s.metrics[2*i+1] {
			a.Headline = Quantiles{}
		}
		a.Headline.Samples += b.Headline.Samples
		a.Headline.P50 = max(a.Headline.P50, b.Headline.P50)
		a.Headline.P99 = max(a.Headline.P99, b.Headline.P99)
		a.Headline.Max = max(a.Headline.Max, b.Headline.Max)
		s.buckets[i], s.metrics[i] = a, s.metrics[2*i+1]
	}
	s.buckets, s.metrics = s.buckets[:half], s.metrics[:half]
	s.step *= 2
}

// of gives the buckets, with the headline only where it is of metric m.
func (s *series) of(m Metric) []Bucket {
	for i := range s.buckets {
		if s.metrics[i] != m {
			s.buckets[i].Headline = Quantiles{}
		}
	}
	return s.buckets
}

const never = int64(math.MaxInt64)
