package bench

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/client"
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

// Least is what a histogram's own Min gives, in a fraction of the time; 0 where there is no sample.
func Least(h *hdrhistogram.Histogram) int64 { return h.ValueAtQuantile(0) }

// Most is what a histogram's own Max gives, in a fraction of the time; 0 where there is no sample.
func Most(h *hdrhistogram.Histogram) int64 { return h.ValueAtQuantile(100) }

// A measured window, in ns after the start. Its end moves when a run ends early.
type measured struct {
	begin int64
	end   atomic.Int64
}

// holds reports whether a time lies in the window.
func (m *measured) holds(at int64) bool { return at >= m.begin && at < m.end.Load() }

// A slot is one histogram of a cell: a timing, or one end of a bounded timing's arrivals that are known only between
// two times. Those are kept apart from the others, so that both distributions can be put together.
type slotIndex int

const numSlots = slotIndex(numTimings) + 2*slotIndex(len(bounded))

// bounded are the timings of which both ends are kept: those from a known moment to one arrival.
var bounded = [...]Metric{Delivery, RoundTrip}

// ends gives the slots of the upper and the lower ends of a bounded timing.
func ends(i int) (upper, lower slotIndex) {
	upper = slotIndex(numTimings) + 2*slotIndex(i)
	return upper, upper + 1
}

// An arrival is when an event's last byte came, in ns after the start. earliest is the lower end where one read held
// several events.
type arrival struct {
	at, earliest int64
	shared       bool
}

// A cell is what one shard has recorded since it was last collected. The shard's mutex guards it.
type cell struct {
	window   *measured
	counts   [numCounts]uint64
	inWindow Window
	timings  [numSlots]counts
	nameless uint64 // messages with nothing that they can be known again by
	heard    bool   // a stamp of another clock
	soonest  oneWay
	leads    leads
}

func (c *cell) add(m Metric, n uint64) { c.counts[m-numTimings] += n }

// time records one duration in ns.
func (c *cell) time(m Metric, ns int64) { c.put(slotIndex(m), ns) }

// arrived counts an event of the window.
func (c *cell) arrived(ev *client.Event) {
	c.inWindow.Received++
	c.inWindow.Bytes += uint64(len(ev.Data))
	if ev.Arrival.Shared {
		c.inWindow.Shared++
	}
	if stamp := ev.Arrival.Kernel; stamp != 0 {
		c.inWindow.Stamped++
		c.time(ClientLag, max(0, ev.Arrival.User.UnixNano()-stamp))
	}
}

// since records the duration from a moment to an arrival, with both its ends where it has two. The timing must be a
// bounded one.
func (c *cell) since(m Metric, from int64, a arrival) {
	if !a.shared {
		c.time(m, a.at-from)
		return
	}
	upper, lower := ends(slices.Index(bounded[:], m))
	if c.put(upper, a.at-from) {
		c.put(lower, max(0, a.earliest-from))
	}
}

// put records one value; false if it is out of range.
func (c *cell) put(slot slotIndex, ns int64) bool {
	if !c.timings[slot].put(ns) {
		c.add(OutOfRange, 1)
		return false
	}
	return true
}

// merge adds what another cell has, but for what it has heard.
func (c *cell) merge(more *cell) {
	for i, n := range more.counts {
		c.counts[i] += n
	}
	c.inWindow.add(more.inWindow)
	c.leads.add(more.leads)
	c.nameless += more.nameless
	for i := range more.timings {
		if !more.timings[i].empty() {
			c.timings[i].merge(&more.timings[i])
		}
	}
}

// clear empties the cell.
func (c *cell) clear() {
	for i := range c.timings {
		c.timings[i].clear()
	}
	c.counts, c.inWindow, c.leads, c.nameless, c.heard = [numCounts]uint64{}, Window{}, leads{}, 0, false
}

// A shard takes the recordings of some of the connections.
type shard struct {
	mu    sync.Mutex
	cell  *cell
	spare *cell
	stamp lastStamp
	grain grain
	kinds kindTable // while somebody looks
	_     [64]byte  // keep two shards' locks on different cache lines
}

// A lastStamp is the stamp that was read last, and what it was read from: the same event comes to many connections.
type lastStamp struct {
	client.Stamp
	text  [client.StampLen]byte
	known bool // there is one
}

// A grain is to which unit (ns) a server's stamps are cut, as the first of them show.
type grain struct {
	looked int
	unit   int64
}

// enoughStamps is how many are looked at: among so many of a finer clock, one shows it.
const enoughStamps = 100

// look takes a stamp, in ns.
func (g *grain) look(stamp int64) {
	if g.looked == enoughStamps {
		return
	}
	unit := client.UnitOf(stamp)
	if g.looked == 0 || unit < g.unit {
		g.unit = unit
	}
	g.looked++
}

// find is Stamp.Find.
func (l *lastStamp) find(data []byte, hint int) (pos int, ok bool) {
	if end := hint + client.StampLen; l.known && end <= len(data) && string(data[hint:end]) == string(l.text[:]) {
		return hint, true
	}
	if pos, ok = l.Stamp.Find(data, hint); ok {
		l.known = true
		copy(l.text[:], data[pos:])
	}
	return pos, ok
}

// A recorder takes what connections record: one shard for each CPU, and not one for each connection, since a cell takes
// tens of KB.
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
	earliest [len(bounded)]*hdrhistogram.Histogram // the same by the lower ends; nil where all ends are equal
	batches  *batches                              // of the timings of the window; nil where nobody asks for them
	heard    []oneWay                              // stamps of another clock since they were taken last
	nameless uint64                                // messages with nothing that they can be known again by
	leads    leads                                 // of the server's stamps, where one clock is taken to be both sides'
	step     stepTally
	sum      cell // of all shards, while it is taken
}

// windowed reports whether a timing takes only what belongs to the measured window.
func (m Metric) windowed() bool {
	switch m {
	case Delivery, RoundTrip, LagBehindFirst, FanoutSpread, Reach50, Reach95, Reach99, Reach100, InterArrival, StreamTotal,
		PublishReply, BeforeSlow, BesideSlow, SlowDelivery, ClientLag:
		return true
	}
	return false
}

// ofOutage reports whether a timing is an outage, or a part of one.
func (m Metric) ofOutage() bool { return m >= Outage && m <= CatchUp }

// The batches have a slot for each timing, and behind those one for the lower ends of each bounded one.
const numBatchSlots = int(numTimings) + len(bounded)

// lowerSlot is that of the lower ends; ok is false where a timing has none.
func lowerSlot(m Metric) (slot int, ok bool) {
	i := slices.Index(bounded[:], m)
	return int(numTimings) + i, i >= 0
}

// batch adds values of a timing to the batches, and to the lower ends what those are. It may leave nothing of the values.
func (t *tally) batch(m Metric, values, lower *counts) {
	if t.batches == nil || !m.windowed() {
		return
	}
	if slot, ok := lowerSlot(m); ok {
		t.batches.add(slot, lower)
	}
	t.batches.take(int(m), values)
}

// stepTally is the part that belongs to the current step of the series.
type stepTally struct {
	metric Metric // the headline so far
	timing counts
}

// collect swaps every shard's cell for its spare and adds what was in them to the tally. A connection waits for the
// swap of two pointers at most.
func (r *recorder) collect(t *tally) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.cell, s.spare = s.spare, s.cell
		full := s.spare
		s.mu.Unlock()
		if full.heard {
			t.heard = append(t.heard, full.soonest)
		}
		if len(r.shards) == 1 {
			t.take(full)
		} else {
			t.sum.merge(full)
		}
		full.clear()
	}
	if len(r.shards) > 1 {
		t.take(&t.sum)
		t.sum.clear()
	}
}

// take adds what is in a cell, which may leave nothing of it.
func (t *tally) take(c *cell) {
	for i, n := range c.counts {
		t.counts[i] += n
	}
	t.inWindow.add(c.inWindow)
	t.leads.add(c.leads)
	t.nameless += c.nameless
	for m := range numTimings {
		if values := &c.timings[m]; !values.empty() {
			t.latest(m, values)
		}
	}
	for i, m := range bounded {
		t.takeEnds(i, m, c)
	}
	for m := range numTimings {
		if values := &c.timings[m]; !values.empty() {
			t.batch(m, values, values)
		}
	}
}

// takeEnds adds what one of the bounded timings has apart from its other values.
func (t *tally) takeEnds(i int, m Metric, c *cell) {
	upper, lower := ends(i)
	values, uppers, lowers := &c.timings[m], &c.timings[upper], &c.timings[lower]
	earliest := &t.earliest[i]
	if *earliest != nil {
		values.into(*earliest)
	}
	if uppers.empty() {
		return
	}
	if *earliest == nil { // up to now both ends were equal
		*earliest = NewHistogram()
		if t.timings[m] != nil {
			(*earliest).Merge(t.timings[m])
		}
	}
	t.latest(m, uppers)
	t.batch(m, uppers, lowers)
	lowers.into(*earliest)
}

// latest adds values of a timing, or the upper ends of such.
func (t *tally) latest(m Metric, values *counts) {
	if t.timings[m] == nil {
		t.timings[m] = NewHistogram()
	}
	values.into(t.timings[m])
	if metric, ok := t.headline(); ok && metric == m {
		t.step.add(m, values)
	}
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

func (s *stepTally) add(m Metric, values *counts) {
	if s.metric != m {
		s.timing.clear()
		s.metric = m
	}
	s.timing.merge(values)
}

// take gives the step's figures and starts the next one.
func (s *stepTally) take() (Metric, Quantiles, Spread) {
	if s.timing.empty() {
		return s.metric, Quantiles{}, Spread{}
	}
	q, spread := s.timing.quantiles(), spreadOf(s.timing.all)
	s.timing.clear()
	return s.metric, q, spread
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	at := h.ValueAtPercentilesSlice([]float64{50, 99, 100})
	return Quantiles{Samples: h.TotalCount(), P50: at[0], P99: at[1], Max: at[2]}
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
	metric, headline, spread := t.step.take()
	delta := func(m Metric) uint64 { return t.counts[m-numTimings] - s.last[m-numTimings] }
	s.buckets = append(s.buckets, Bucket{
		At: at, Open: open, Received: delta(Received), Bytes: delta(Bytes), Sent: delta(Sent),
		Errors: delta(ConnectErrors) + delta(Drops), Reconnects: delta(Reconnects), Headline: headline, Spread: spread,
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
			a.Headline, a.Spread = Quantiles{}, Spread{}
		}
		a.Spread = a.Spread.join(b.Spread)
		a.Headline.Samples += b.Headline.Samples
		a.Headline.P50 = max(a.Headline.P50, b.Headline.P50)
		a.Headline.P99 = max(a.Headline.P99, b.Headline.P99)
		a.Headline.Max = max(a.Headline.Max, b.Headline.Max)
		s.buckets[i], s.metrics[i] = a, s.metrics[2*i+1]
	}
	s.buckets, s.metrics = s.buckets[:half], s.metrics[:half]
	s.step *= 2
}

// shown is a copy of the buckets, with the headline only where it is of metric m.
func (s *series) shown(m Metric) []Bucket {
	copied := series{buckets: slices.Clone(s.buckets), metrics: s.metrics}
	return copied.of(m)
}

// of gives the buckets, with the headline only where it is of metric m.
func (s *series) of(m Metric) []Bucket {
	for i := range s.buckets {
		if s.metrics[i] != m {
			s.buckets[i].Headline, s.buckets[i].Spread = Quantiles{}, Spread{}
		}
	}
	return s.buckets
}

const never = int64(math.MaxInt64)
