package bench

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/client"
)

// A Clock asks the server for its time. Ask is called by one goroutine at a time.
type Clock interface {
	Ask(ctx context.Context) (Reading, error)
}

// A Reading is what the server's clock said, and between which of our times: it was asked at Sent and the answer was
// there at Received. The clock then stood between Stamp and Stamp + Grain, in ns since the epoch.
type Reading struct {
	Sent, Received time.Time
	Stamp, Grain   int64
}

const (
	clockPeriod = 200 * time.Millisecond // between two questions
	// dateGrain is how much later than its Date header a server's clock may be: it is cut to a second, and many servers
	// make it anew but once a second.
	dateGrain = 2 * time.Second
	// guessMargin is how far above the best path so far a guess is, so that a better one doesn't make a delivery negative.
	guessMargin = int64(10 * time.Millisecond)
	maxBounds   = 1 << 12 // readings between two looks; more are dropped, which only widens the bounds
)

// clocks bounds how far the server's clock is ahead of ours, where they are two. Deliveries are recorded by a guess of
// that, near the best path and so much above that none is negative, and corrected at the end.
type clocks struct {
	run *run

	mu       sync.Mutex
	readings []Reading

	// Below, only the collector, and whoever comes after the schedules have stopped.
	offset   clockOffset
	answers  clockOffset // the same by the readings alone
	oneWay   clockOffset // the same by the one-way stamps alone: bounds from below, which nothing contradicts
	newest   int64       // stamp; 0 before there is one
	guesses  []guess
	asked    bool // for the time, and it was told
	tight    bool // the offset is bounded, and the guess in use is an upper end of it
	failures int  // questions without an answer that could be used
	failure  error
}

// A guess of the offset, in ns, was used for what was recorded from a time after the start on.
type guess struct {
	from   time.Duration
	offset int64
}

// read notes a reading of the server's clock. Safe for concurrent use.
func (k *clocks) read(r Reading) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.readings) < maxBounds {
		k.readings = append(k.readings, r)
	}
}

// fail notes that a question had no answer that could be used. Safe for concurrent use.
func (k *clocks) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures++
	k.failure = err
}

// unanswered says why the clock that was named told nothing; "" where it did, or where none was named.
func (k *clocks) unanswered() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.run.plan.Clock == nil || k.asked:
		return ""
	case k.failure == nil:
		return "no question of --clock was answered"
	}
	return fmt.Sprintf("none of the %d questions of --clock could be used: %v", k.failures, k.failure)
}

// ask asks for the server's time until the run's schedules stop.
func (k *clocks) ask(clock Clock) {
	ctx, cancel := context.WithCancel(k.run.ctx)
	defer cancel()
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		ticker := time.NewTicker(clockPeriod)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if r, err := clock.Ask(ctx); err == nil {
				k.read(r)
			} else if ctx.Err() == nil {
				k.run.errors.add(k.run.now(), client.Classify(err), askingForTime)
				k.fail(err)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}()
	<-k.run.quit
	cancel()
	<-asking
}

// gather takes what was read since the last time, and one-way stamps, into the bounds, and makes a new guess.
func (k *clocks) gather(now time.Duration, heard []oneWay) {
	k.mu.Lock()
	readings := k.readings
	k.readings = nil
	k.mu.Unlock()
	for _, r := range readings {
		k.asked = true
		sent, stamp, received := k.run.at(r.Sent), r.Stamp-k.run.wall, k.run.at(r.Received)
		k.offset.exchange(sent, stamp, received, r.Grain)
		k.answers.exchange(sent, stamp, received, r.Grain)
	}
	newest := int64(math.MinInt64)
	for _, h := range heard {
		k.offset.received(h.stamp, h.at)
		k.oneWay.received(h.stamp, h.at)
		newest = max(newest, h.stamp)
	}
	if newest == math.MinInt64 {
		return
	}
	k.newest = newest
	if first := k.run.ahead.Load(); len(k.guesses) == 0 && first != never {
		k.guesses = append(k.guesses, guess{0, first})
	}
	k.guessAnew(now)
}

// guessAnew makes another guess where that is worth it: what is timed by several of them is known the less for it.
func (k *clocks) guessAnew(now time.Duration) {
	low, ok := k.offset.atLeast(k.newest)
	if !ok { // the readings contradict the stamps
		if low, ok = k.oneWay.atLeast(k.newest); !ok {
			return
		}
	}
	offset, room, tight := low+guessMargin, guessMargin/2, false
	if _, high, ok := k.offset.at(k.newest); ok && high <= offset {
		offset, room, tight = high, (high-low)/4, true
	}
	last := len(k.guesses) - 1
	if last < 0 || now-k.guesses[last].from >= time.Second && (k.guesses[last].offset < low || max(offset, k.guesses[last].offset)-min(offset, k.guesses[last].offset) > room) {
		k.guesses = append(k.guesses, guess{now, offset})
		k.run.ahead.Store(offset)
		last++
	}
	k.tight = tight && k.guesses[last].offset-offset <= room
}

// guessed gives the least and the greatest of the guesses that were in use between two times.
func (k *clocks) guessed(from, to time.Duration) (least, most int64) {
	least, most = math.MaxInt64, math.MinInt64
	for i, g := range k.guesses {
		ended := i+1 < len(k.guesses) && k.guesses[i+1].from < from-tick // shards are gathered a little later
		if !ended && g.from <= to {
			least, most = min(least, g.offset), max(most, g.offset)
		}
	}
	if most == math.MinInt64 { // before the first one
		return 0, 0
	}
	return least, most
}

// A oneWay is when something with a stamp arrived, the stamp less our wall clock at the start; both in ns.
type oneWay struct{ stamp, at int64 }

// hear keeps, of a tick's stamps, the one that says most: that which came soonest by the server's clock.
func (c *cell) hear(stamp, at int64) {
	if !c.heard || stamp-at > c.soonest.stamp-c.soonest.at {
		c.heard, c.soonest = true, oneWay{stamp, at}
	}
}

// A ClockBound says how far the server's clock is ahead of this host's: between Low and High over the whole window, in
// ns.
type ClockBound struct{ Low, High int64 }

// aboveBestPath is a timing between two clocks whose offset isn't bounded from above: what it took longer than the
// quickest delivery, by the lower hull of all one-way stamps. The quickest ones of all took 0.
func (k *clocks) aboveBestPath(b *batches, slot, from int, until time.Duration) (h *hdrhistogram.Histogram, ok bool) {
	h = NewHistogram()
	for batch := from; batch < len(b.begins); batch++ {
		part := b.slots[slot].part(batch)
		if part.empty() {
			continue
		}
		begin, end := b.span(batch, until)
		_, guess := k.guessed(begin, end)
		low, known := k.oneWay.atLeastNear(min(int64(begin+(end-begin)/2)+guess, k.newest))
		if !known || !part.into(h, low-guess) {
			return nil, false
		}
	}
	return h, h.TotalCount() > 0
}

// between is a timing between two clocks by the ends of what is known of it.
type between struct {
	// fastest is by the lower ends of the bounds on the offset and of the arrivals, slowest by the upper ends of both,
	// and sooner by the upper ends of the bounds and the lower ones of the arrivals.
	fastest, slowest, sooner *hdrhistogram.Histogram
	bound                    ClockBound
}

// corrected is a timing between two clocks. It isn't ok where the offset isn't bounded throughout.
func (k *clocks) corrected(b *batches, m Metric, from int, most int64, until time.Duration) (ends between, ok bool) {
	ends = between{NewHistogram(), NewHistogram(), NewHistogram(), ClockBound{math.MaxInt64, math.MinInt64}}
	lower, _ := lowerSlot(m)
	for batch := from; batch < len(b.begins); batch++ {
		part := b.slots[m].part(batch)
		if part.empty() {
			continue
		}
		begin, end := b.span(batch, until)
		least, greatest := k.guessed(begin, end)
		// What arrived in the batch was stamped up to the longest delivery before, and by the guess was due in the window.
		to := min(int64(end), k.run.window.end.Load())
		from := min(to, max(int64(begin)-most, int64(b.begins[0])))
		down, up, known := k.offset.over(from+least, to+greatest, func(int64) int64 { return 0 })
		if !known {
			return between{}, false
		}
		ends.bound.Low, ends.bound.High = min(ends.bound.Low, down), max(ends.bound.High, up)
		soonest := b.slots[lower].part(batch)
		if !part.into(ends.slowest, up-least) || !soonest.into(ends.sooner, up-least) || !soonest.into(ends.fastest, down-greatest) {
			return between{}, false // over an hour
		}
	}
	return ends, ends.slowest.TotalCount() > 0
}

// shiftSeries corrects the steps of a series of deliveries, that were recorded by a guess: to the upper ends where the
// offset is bounded, else to above the best path. What that isn't known of goes.
func (k *clocks) shiftSeries(result *Result, bounded bool) {
	if headline, _ := result.Headline(); headline != Delivery {
		return
	}
	for i := range result.Series {
		from, q := result.Series[i].At, &result.Series[i].Headline
		if q.Samples == 0 {
			continue
		}
		to := min(from+result.SeriesStep, result.End)
		from = min(to, max(from, result.Begin))
		least, most := k.guessed(from, to)
		var by int64
		var ok bool
		if bounded {
			_, by, ok = k.offset.over(int64(from)+least, int64(to)+most, func(int64) int64 { return 0 })
			by -= least
		} else {
			by, ok = k.oneWay.atLeastNear(min(int64(from+(to-from)/2)+most, k.newest))
			by -= most
		}
		if !ok {
			*q = Quantiles{}
			continue
		}
		q.P50, q.P99, q.Max = max(0, q.P50+by), max(0, q.P99+by), max(0, q.Max+by)
	}
}

// span is when a batch began and ended, after the start. The last one has all that came until then.
func (b *batches) span(batch int, until time.Duration) (begin, end time.Duration) {
	if batch+1 < b.ticks/b.perBatch {
		return b.begins[batch], b.begins[batch+1]
	}
	return b.begins[batch], max(until, b.begins[batch])
}

// twoClocks reports whether the server's stamps are by another clock than ours.
func (r *run) twoClocks() bool { return r.plan.Clock != nil || r.elsewhere.Load() }

// stampedByAnother reports whether deliveries are by another clock than ours.
func (r *run) stampedByAnother() bool {
	return r.twoClocks() && r.own == nil && !r.broadcast.Load()
}

// stampedAt is when something was stamped by the server, ns since the epoch, by our clock after the start. Between two
// clocks it is by the guess of their offset.
func (s *subscriber) stampedAt(c *cell, stamp int64, a arrival) int64 {
	at := stamp - s.run.wall
	if !s.run.twoClocks() {
		if stamp >= noClock {
			c.leads.stamp(at - a.at)
		}
		return at
	}
	c.hear(at, a.at)
	s.run.ahead.CompareAndSwap(never, at-a.at+guessMargin) // nothing else has been heard: the first guess
	return at - s.run.ahead.Load()
}

// betweenClocks corrects the deliveries of a result, from a batch on, where they were stamped by another clock.
func (r *run) betweenClocks(result *Result, from int) {
	h := result.Histogram(Delivery)
	if h == nil || !r.stampedByAnother() {
		return
	}
	r.shifted = true
	ends, ok := r.clocks.corrected(r.tally.batches, Delivery, from, Most(h), time.Duration(r.drainedAt))
	if !ok {
		if h, ok := r.clocks.aboveBestPath(r.tally.batches, int(Delivery), from, time.Duration(r.drainedAt)); ok {
			result.Histograms[Delivery] = h
		}
		r.clocks.shiftSeries(result, false)
		return
	}
	r.clocks.shiftSeries(result, true)
	result.Clock, r.ends = &ends.bound, ends
	result.Histograms[Delivery] = ends.slowest
}

// widen gives an estimate the ends that the clocks leave it. It was made from the upper ends, and is the upper end; but
// what never came is later than the lower end alone.
func (r *run) widen(e *Estimate, d distribution) {
	low := d
	low.histogram = r.ends.fastest
	e.Low, _ = low.at(e.Q)
	e.High = e.Value
	if e.AtLeast {
		e.Value, e.High = e.Low, e.Low
	}
	if e.Verdict == Trusted {
		e.Verdict = Bounded
	}
	if e.Verdict == Bounded && !e.AtLeast && float64(e.High-e.Low) > boundedLimit*float64(e.High) {
		e.Verdict = UpperBound
	}
}

// leads are how far a server's stamps were ahead of when they arrived, by what is taken to be one clock: they can't be.
type leads struct {
	stamps, ahead uint64 // all, and those that were
	most          int64  // ns: of any; negative where all had taken that long at least
}

const (
	leadLimit   = int64(time.Millisecond) // a stamp may be rounded to a millisecond
	leadShare   = 1000                    // one in so many must be ahead
	noClock     = int64(1e17)             // ns since the epoch: before 1973 no server tells its time
	behindLimit = int64(time.Minute)      // nothing but a clock makes all deliveries take that long
)

// stamp takes one stamp, that was so far ahead.
func (l *leads) stamp(lead int64) {
	if l.stamps == 0 || lead > l.most {
		l.most = lead
	}
	l.stamps++
	if lead > leadLimit {
		l.ahead++
	}
}

func (l *leads) add(more leads) {
	if l.stamps == 0 || more.stamps > 0 && more.most > l.most {
		l.most = more.most
	}
	l.stamps += more.stamps
	l.ahead += more.ahead
}

// askClock is what to do about a server's clock that isn't ours.
const askClock = "name a URL that tells its time with --clock"

// apart says how far the server's stamps are from this host's clock, though it was taken for the same; "" where nothing
// speaks against that. Where nothing could be timed by them, a second behind is enough.
func (l *leads) apart(untimed bool) string {
	switch {
	case l.stamps == 0:
	case l.ahead*leadShare > l.stamps:
		return fmt.Sprintf("the server's stamps are about %s ahead of this host's clock", about(l.most))
	case l.most < -behindLimit, untimed && l.most < -clockSecond:
		return fmt.Sprintf("the server's stamps are about %s behind this host's clock, or what it sends is that old", about(-l.most))
	}
	return ""
}

// about is a length of time to two digits or three.
func about(ns int64) string {
	switch d := time.Duration(ns); {
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 48*time.Hour:
		return d.Round(time.Second).String()
	default:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	}
}
