package bench

import (
	"math"
	"slices"
	"sync"
	"time"
)

// openings are when connections were first open, ns after the start. Safe for concurrent use.
type openings struct {
	mu    sync.Mutex
	times []int64 // sorted
}

func (o *openings) add(at int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := slices.BinarySearch(o.times, at)
	o.times = slices.Insert(o.times, i, at)
}

// before counts those up to a time.
func (o *openings) before(at int64) int {
	if o == nil {
		return math.MaxInt
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := slices.BinarySearch(o.times, at+1)
	return i
}

// wave is how long what a server sends at once may take to arrive.
const wave = int64(50 * time.Millisecond)

// waves are the arrivals of new events, together where they are close: a server that looks for news now and then sends all
// of it at once, and when it was published isn't known but that it was after the wave before. Safe for concurrent use.
type waves struct {
	mu          sync.Mutex
	begin, last int64 // of this one; ns after the start
	before      int64 // the last arrival of the one before
}

// add takes the arrival of a new event, and says after which time it was published.
func (w *waves) add(at int64) (after int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at-w.begin > wave {
		w.begin, w.before = at, w.last
	}
	w.last = max(w.last, at)
	return w.before
}

// A front is how far anybody had come in a feed a while ago. Safe for concurrent use.
type front struct {
	mu    sync.Mutex
	since int64  // ns after the start
	past  uint64 // the highest ordinal then
}

// passed takes an event that nobody had seen before, with the highest that somebody had, and reports whether that was a later
// one more than the race before.
func (x *front) passed(ordinal, highest uint64, at int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if at-x.since > int64(race) {
		x.since, x.past = at, highest
	}
	return ordinal < x.past
}

// waited takes how long a connection has waited for its first event, where it isn't known when that was due. That is less than
// nothing where the kernel had the event before user space had the connection.
func (f *feed) waited(ns int64) {
	ns = max(0, ns)
	for least := f.soonest.Load(); ns < least && !f.soonest.CompareAndSwap(least, ns); least = f.soonest.Load() {
	}
}

// raceTime is how long after a subscription others may be told of what was published before it: the race, and what every
// connection has waited for its first event, which is long where events queue before they are sent.
func (f *feed) raceTime() int64 {
	if least := f.soonest.Load(); least != never {
		return int64(race) + least
	}
	return int64(race)
}

// head finds which events before its first one a connection should have seen, that was open since opened (ns after the start):
// those that were surely published race after that at the earliest. boundary is how many fell into the race of subscribing, or
// may have.
func (f *feed) head(first uint64, opened int64) (expect, boundary uint64) {
	end := opened + f.raceTime()
	if f.own != nil {
		begin, end := f.own.after(opened), f.own.after(end)
		return min(first, end), min(first, end) - min(first, begin)
	}
	expect = first
	for n := first - 1; n > 0 && first-n < uint64(len(f.slots)); n-- {
		s := f.slot(n)
		s.mu.Lock()
		ordinal, when, after := s.ordinal, s.when, s.after
		s.mu.Unlock()
		switch {
		case ordinal < n: // nobody has seen it
		case ordinal > n || when <= opened:
			return expect, boundary
		case after >= end:
			expect, boundary = n, 0
		default:
			boundary++
		}
	}
	return expect, boundary
}

// join makes a connection that has received nothing, long after it was opened, a subscriber of a feed. It reports whether
// there is nothing more to do for that.
func (s *subscriber) join(f *feed, now int64) (done bool) {
	if s.slow {
		return true
	}
	if s.opened == never || now-int64(race) <= s.opened {
		return false
	}
	t := s.track(f.key)
	if t == nil || t.tracker.base != 0 {
		return true
	}
	next := f.highest.Load() + 1
	first, boundary := f.head(next, s.opened)
	if first == next {
		return false
	}
	t.begin(first, boundary, s.shard.cell)
	return true
}

// begin sets the first event that the subscriber should see, as long as it has seen none, and how many before it are
// left out; of several the lowest.
func (t *tracked) begin(first, boundary uint64, c *cell) {
	if t.tracker.base == 0 || first < t.tracker.base {
		t.tracker.Expect(first)
		c.add(Boundary, boundary-t.skipped) // modulo 2⁶⁴: some that were left out may not be after all
		t.skipped = boundary
	}
}
