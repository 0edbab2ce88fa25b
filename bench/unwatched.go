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
}

// paceOf is how many events a pace is taken from.
const paceOf = 64

// pace gives how the events up to one came, as far as they are remembered.
func (f *feed) pace(last uint64) pace {
	p := pace{last: last, when: math.MinInt64}
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
		slices.Sort(gaps)
		p.lull = max(p.every, float64(gaps[len(gaps)-1-len(gaps)/20]))
	}
	return p
}

// watch notes that one more connection sees what is published.
func (f *feed) watch() { f.watchers.Add(1) }

// unwatch notes that a connection sees it no more; after the last one nobody knows what is published.
func (f *feed) unwatch() {
	if f.watchers.Add(-1) == 0 {
		p := f.pace(f.highest.Load())
		f.dusk.Store(&p)
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
// a replay comes as fast as the way allows, one event upon the other from the opening of the stream on or at least in
// threes, and is over when there is a lull as between two live events. Times are ns after the start.
//
// It takes the events after the last one before the drop, in the order in which they came.
type burst struct {
	before   pace  // as it was when the last connection dropped
	missed   int64 // for how long nobody had seen what was published when the stream was asked for
	settled  int64 // not before this a lull means that the replay is over: its first bytes come in flights, a round trip apart
	late     int64 // from then on whatever comes is taken as live
	previous int64 // when the event before came, or the stream was opened
	chain    int   // how many came upon each other, with the opening
	pending  uint64
	since    int64 // when the first event came after the last burst; never before there is one
}

const (
	// chained is the least length of a chain that is no chance.
	chained = 3
	// flights are the round trips after which a replay has come up to speed, whose first flight is of ten segments.
	flights = 8
	// longReplay is how long a replay may take at least, however often events come.
	longReplay = 500 * time.Millisecond
)

// unwatched makes a burst for a stream of a feed that was opened, and asked for, some time ago; nil where another
// connection had been there to see all that was published.
func (f *feed) unwatched(asked, opened int64, info *client.Info) *burst {
	if f.watchers.Load() > 0 {
		return nil
	}
	dusk := f.dusk.Load()
	if dusk == nil {
		return nil
	}
	b := &burst{before: *dusk, missed: max(0, asked-dusk.when), previous: opened, chain: 1, since: never}
	if b.before.every == 0 {
		b.before.every, b.before.lull = float64(seamTime), float64(seamTime)
	}
	b.settled = opened + flights*max(0, int64(info.Phases.TCP))
	b.late = b.settled + max(int64(longReplay), int64(2*b.before.lull))
	return b
}

// take takes an event, of which it may be known that a replay has brought it. more is how many of the others only a replay
// can have brought, as far as that wasn't said before; live that it was surely published after the stream was open.
func (b *burst) take(ordinal uint64, at int64, replayed bool) (more uint64, live bool) {
	gap := float64(at - b.previous)
	b.previous = max(b.previous, at)
	if !replayed && ordinal <= b.most() {
		b.pending++
	}
	if gap < b.before.every/10 {
		if b.chain++; b.chain >= chained {
			more, b.pending, b.since = b.pending, 0, never
		}
		return more, at >= b.late
	}
	b.chain = 1
	b.since = min(b.since, at)
	return 0, at >= b.late || at >= b.settled && gap >= b.before.lull/2
}

// most is the last event that can have been published before the stream was asked for, with half as many again as is
// usual.
func (b *burst) most() uint64 {
	return b.before.last + uint64(math.Ceil(1.5*float64(b.missed)/b.before.every))
}
