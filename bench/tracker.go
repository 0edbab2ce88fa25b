package bench

import "math/bits"

// window is how many ordinals back a Tracker knows exactly.
const window = 256

// A Tracker tells one subscriber's new events from late, duplicate and missing ones, by their ordinals: consecutive
// numbers from 1. It takes 64 bytes and is exact as long as an event is at most 256 behind the newest.
//
// The zero value is ready. Not safe for concurrent use.
type Tracker struct {
	base   uint64 // the first ordinal expected; 0 before there is one
	next   uint64 // one past the highest seen
	unique uint64 // different ordinals seen
	lost   uint64 // ordinals that have left the window unseen
	seen   [window / 64]uint64
}

// A Sighting is what a Tracker makes of one event.
type Sighting uint8

const (
	New       Sighting = iota // the next one, or one further on
	Overdue                   // missing so far: it arrived after a later one
	Again                     // seen before
	TooOld                    // behind the window: late or again, that can't be told
	beforeAll                 // older than the first one expected
)

func (t *Tracker) bit(n uint64) (word *uint64, mask uint64) {
	return &t.seen[n%window/64], 1 << (n % 64)
}

// Expect sets the first ordinal that the subscriber should see, as long as it has seen none; of several the lowest.
func (t *Tracker) Expect(first uint64) {
	if t.base == 0 || t.unique == 0 && first < t.base {
		t.base, t.next = first, first
	}
}

// Observe takes the ordinal of an event. gone is how many ordinals it pushed out of the window unseen.
func (t *Tracker) Observe(n uint64) (s Sighting, gone uint64) {
	t.Expect(n)
	switch s = t.sight(n); s {
	case New:
		gone = t.advance(n)
		t.mark(n)
	case Overdue:
		t.mark(n)
	}
	return s, gone
}

// sight is what Observe would say.
func (t *Tracker) sight(n uint64) Sighting {
	switch {
	case t.base == 0 || n >= t.next:
		return New
	case t.next-n > window:
		return TooOld
	case n < t.base:
		return beforeAll
	case t.has(n):
		return Again
	}
	return Overdue
}

// has reports whether an ordinal within the window was seen.
func (t *Tracker) has(n uint64) bool {
	word, mask := t.bit(n)
	return *word&mask != 0
}

func (t *Tracker) mark(n uint64) {
	word, mask := t.bit(n)
	*word |= mask
	t.unique++
}

// advance moves the window on so that n is its newest, and counts what leaves it unseen.
func (t *Tracker) advance(n uint64) (gone uint64) {
	if skip := n - t.next; skip >= window {
		// Everything in the window leaves it, and what was jumped over never was in it.
		gone = t.holes(t.next) + (n + 1 - window - t.next)
		t.seen = [window / 64]uint64{}
	} else {
		for i := t.next; i <= n; i++ {
			word, mask := t.bit(i)
			if *word&mask == 0 && i >= window && i-window >= t.base {
				gone++
			}
			*word &^= mask
		}
	}
	t.next = n + 1
	t.lost += gone
	return gone
}

// holes counts the ordinals in the window, below end, that are expected and unseen.
func (t *Tracker) holes(end uint64) (n uint64) {
	from := t.base
	if t.next > window {
		from = max(from, t.next-window)
	}
	if end <= from {
		return 0
	}
	if end == t.next && end-from == window { // the whole window: count words
		for _, word := range t.seen {
			n += uint64(bits.OnesCount64(^word))
		}
		return n
	}
	for i := from; i < end; i++ {
		if word, mask := t.bit(i); *word&mask == 0 {
			n++
		}
	}
	return n
}

// missing is how many ordinals below the highest seen are unseen: those that are lost, and those that may still come.
func (t *Tracker) missing() uint64 { return t.next - t.base - t.unique }

// Totals gives what the subscriber has seen and what it has lost, where everything up to and including ordinal last
// has had its time to arrive. last 0 means up to the highest seen.
func (t *Tracker) Totals(last uint64) (unique, lost uint64) {
	if t.base == 0 {
		return 0, 0
	}
	if last == 0 {
		last = t.next - 1
	}
	lost = t.lost + t.holes(min(t.next, last+1))
	if last+1 > t.next {
		lost += last + 1 - t.next
	}
	return t.unique, lost
}
