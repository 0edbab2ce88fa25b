package bench

import (
	"math"
	"slices"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A pace is how the events of a feed came, up to one of them. Times are ns after the start.
type pace struct {
	last  uint64  // ordinal
	when  int64   // it came, or was due
	every float64 // ns from one event to the next, on average; 0 where that isn't known
	lull  float64 // the longest time between two, but for a few exceptions; 0 where that isn't known
	batch int     // how many usually come at once
}

// paceOf is how many events a pace is taken from.
const paceOf = 64

// pace gives how the events up to one came, as far as they are remembered.
func (f *feed) pace(last uint64) pace {
	p := pace{last: last, when: math.MinInt64, batch: 1}
	var gaps []int64
	next, newest, oldest := last, uint64(0), int64(0)
	for n := last; n > 0 && last-n < min(paceOf, uint64(len(f.slots))); n-- {
		s := f.slot(n)
		s.mu.Lock()
		ordinal, when := s.ordinal, s.when
		s.mu.Unlock()
		switch {
		case ordinal != n: // nobody has seen it
			continue
		case newest == 0:
			newest, p.when = n, when
		default:
			gaps = append(gaps, max(0, (oldest-when)/int64(next-n)))
			p.every = max(0, float64(p.when-when)/float64(newest-n))
		}
		next, oldest = n, when
	}
	if len(gaps) > 0 {
		p.batch = batchOf(gaps, p.every/10)
		slices.Sort(gaps)
		p.lull = max(p.every, float64(gaps[len(gaps)-1-len(gaps)/20]))
	}
	return p
}

// batchOf is how many of some events come at once, as most of them do: each less than a moment after the one before.
func batchOf(gaps []int64, moment float64) int {
	var sizes []int // for each event, of its batch
	size := 1
	end := func() {
		for range size {
			sizes = append(sizes, size)
		}
		size = 1
	}
	for _, gap := range gaps {
		if float64(gap) < moment {
			size++
			continue
		}
		end()
	}
	end()
	slices.Sort(sizes)
	return sizes[len(sizes)/2]
}

// watch notes that one more connection sees what is published, from an event on.
func (f *feed) watch(ordinal uint64) {
	f.guard.Lock()
	defer f.guard.Unlock()
	if f.watchers++; f.watchers == 1 {
		f.dawn = ordinal
	}
}

// unwatch notes that a connection sees it no more; after the last one nobody knows what is published.
func (f *feed) unwatch() {
	f.guard.Lock()
	defer f.guard.Unlock()
	if f.watchers--; f.watchers == 0 {
		p := f.pace(f.highest.Load())
		f.dusk = &p
	}
}

// blind takes that the stream of a connection brings nothing any more. The shard's mutex must be held.
func (s *subscriber) blind() {
	for i := range s.tracked {
		if t := &s.tracked[i]; t.watches {
			t.watches = false
			t.feed.unwatch()
		}
	}
}

// A burst tells what a replay has brought from what is live, where nobody was there to see it published, by how it comes:
// a replay comes as fast as the way allows, one event upon the other from the opening of the stream on or at
// least two more than usually come at once, and is over when there is a lull as between two live events and no such chain
// follows. Times
// are ns after the start.
type burst struct {
	before   pace   // as it was when the last connection dropped
	dawn     uint64 // from this event on others saw what was published
	declared bool   // the numbers are consecutive
	missed   int64  // for how long nobody had seen what was published when the stream was asked for
	asked    int64
	opened   int64
	settled  int64  // not before this a lull means that the replay is over: its first bytes come in flights, a round trip apart
	late     int64  // from then on whatever comes is taken as live, but for a chain
	previous int64  // when the event before came, or the stream was opened
	gap      int64  // from that to the event that came last
	came     int    // events
	chain    int    // how many came upon each other, with the opening
	pending  uint64 // since the last chain: whether it was a replay that brought them isn't known
	lulled   bool   // so there was a lull
	since    int64  // when the first event came after the last chain; never before there is one
}

const (
	// chained is by how many, with the opening, a chain is at least longer than what usually comes at once.
	chained = 2
	// flights are the round trips after which a replay has come up to speed, whose first flight is of ten segments.
	flights = 8
	// longReplay is how long a replay may take at least, however often events come.
	longReplay = 500 * time.Millisecond
	// quietLulls is for how many lulls a feed must have been silent for those who watch it to be told nothing.
	quietLulls = 4
)

// unwatched makes a burst for a stream of a feed that was opened, and asked for, some time ago, and goes on after the event
// last; nil where another connection had been there to see all that was published since.
func (f *feed) unwatched(last uint64, asked, opened int64, info *client.Info) *burst {
	f.guard.Lock()
	watchers, dusk, begun := f.watchers, f.dusk, f.dawn
	f.guard.Unlock()
	dawn := uint64(math.MaxUint64)
	if watchers > 0 {
		dawn = begun // what came before that others have had by a replay as well
		p := f.pace(f.highest.Load())
		switch silent := p.every > 0 && float64(asked-p.when) > max(quietLulls*p.lull, float64(seamTime)); {
		case silent: // they hear nothing either: they may be dead, and not have noticed
			dusk, dawn = &p, math.MaxUint64
		case last >= dawn:
			return nil
		}
	}
	if dusk == nil {
		return nil
	}
	b := &burst{before: *dusk, dawn: dawn, declared: f.declared, missed: max(0, asked-dusk.when), asked: asked, opened: opened, previous: opened, chain: 1, since: never}
	if b.before.every == 0 {
		b.before.every, b.before.lull, b.before.batch = float64(seamTime), float64(seamTime), 1
	}
	b.settled = opened + flights*max(0, int64(info.Phases.TCP))
	b.late = b.settled + max(int64(longReplay), int64(2*b.before.lull))
	return b
}

// note notes that an event came, whichever it is.
func (b *burst) note(ordinal uint64, at int64) {
	b.gap, b.previous = at-b.previous, max(b.previous, at)
	if b.came++; b.came == 1 {
		b.late += max(0, b.gap) // looking the replay up is no part of it
	}
	switch {
	case float64(b.gap) >= b.before.every/10, b.came == 1 && b.declared && b.expected(ordinal) > float64(b.opened): // it is just due
		b.chain = 1
	default:
		b.chain++
	}
}

// expected is when an event was due, if they came as before.
func (b *burst) expected(ordinal uint64) float64 {
	return float64(b.before.when) + (float64(ordinal)-float64(b.before.last))*b.before.every
}

// lively reports whether the event that came last did so as live ones do.
func (b *burst) lively(at int64) bool {
	return b.chain == 1 && at >= b.settled && float64(b.gap) >= b.before.lull/2
}

// take takes an event after the last one before the drop that wasn't seen before; it may be known that a replay has brought
// it. more is how many others only a replay can have brought, as far as that wasn't said before; live that it was surely
// published after the stream was open.
func (b *burst) take(ordinal uint64, at int64, replayed bool) (more uint64, live bool) {
	switch {
	case replayed:
		b.lulled, b.since = false, never
		return 0, false
	case b.came == 1 && b.chain == 2 && b.declared && b.expected(ordinal) < float64(b.opened): // with the opening, and overdue
		return 1, false
	case ordinal <= b.most():
		b.pending++
	}
	if b.chain >= b.before.batch+chained {
		more, b.pending, b.lulled, b.since = b.pending, 0, false, never
	}
	if b.chain > 1 {
		return more, at >= b.late && ordinal > b.most()
	}
	live = b.lulled || at >= b.late
	b.since = min(b.since, at)
	b.lulled = b.lulled || b.lively(at)
	return 0, live
}

// surely is how many of some events that came up to a time, the first live one, only a replay can have brought: more of them
// than can have been published since the stream was asked for.
func (b *burst) surely(came uint64, liveAt int64) uint64 {
	fresh := uint64(1.5*float64(liveAt-b.asked)/b.before.every) + uint64(b.before.batch) + 1
	return came - min(came, fresh)
}

// most is the last event that can have been published before the stream was asked for, with half as many again as is
// usual.
func (b *burst) most() uint64 {
	return b.before.last + uint64(math.Ceil(1.5*float64(b.missed)/b.before.every))
}
