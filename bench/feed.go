package bench

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A feed is one sequence of events that several connections subscribe to. It knows events again across
// connections: that gives ids that are no numbers their ordinals, says which events a connection should have seen,
// and yields lag_behind_first and fanout_spread without any clock but our own.
//
// Safe for concurrent use.
type feed struct {
	key      feedKey
	declared bool // the numbers are consecutive, by the stamp or by the user's word
	ids      identity
	slots    []slot
	highest  atomic.Uint64 // ordinal
	line     atomic.Uint64 // the first ordinal that doesn't count any more; 0 while the run goes on
	distinct atomic.Uint64 // different events
	repeats  atomic.Uint64 // times an event was seen by a further connection
	foreign  atomic.Uint64 // of them, with another content: then it isn't the same event
	behind   atomic.Int64  // of them, by connections that never were level with the others
	anew     atomic.Uint64 // events with a number that another event had before
	unheld   atomic.Uint64 // arrivals that came too late to be held against the first one
}

// A slot holds what is known of one event, until a newer one takes its place.
type slot struct {
	mu      sync.Mutex
	ordinal uint64
	content uint64
	when    int64   // due, or the earliest arrival; ns after the start
	origin  int64   // the arrival recorded first, which may not be the earliest; ns after the start
	lags    []int64 // arrivals relative to that one, until they are held against the earliest
	pairs   int     // arrivals in all
	first   int64   // the earliest arrival, relative to origin; where held
	last    int64   // the latest
	held    bool    // all who could have received it had: lags are recorded
	settled bool    // all who should have had: the spread is
}

const (
	// lagBudget bounds the arrivals that all slots of a feed hold.
	lagBudget = 2 << 20
	minSlots  = 64
	maxSlots  = 4096
)

func newFeed(key feedKey, connections int) *feed {
	n := minSlots
	for n < maxSlots && 2*n*connections <= lagBudget {
		n *= 2
	}
	f := &feed{key: key, declared: key.kind != byOpaqueID, slots: make([]slot, n)}
	f.ids.seed = maphash.MakeSeed()
	return f
}

// A sighted is one event as one connection saw it.
type sighted struct {
	ordinal uint64
	content []byte
	at      int64 // arrival, ns after the start
	due     int64 // ns after the start; used where known
	known   bool  // due is
	since   int64 // when the connection was first open, ns after the start
}

// see takes an event that a connection saw for the first time, and says how far that was behind the first connection
// that saw it, in ns. open is how many connections could have received it by now, and subscribed how many should at
// some time: those that are down now may catch up.
func (f *feed) see(ev sighted, open, subscribed int, c *cell) (behind int64) {
	s := &f.slots[ev.ordinal%uint64(len(f.slots))]
	content := maphash.Bytes(f.ids.seed, ev.content)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ordinal < ev.ordinal:
		s.settle(c)
		s.ordinal, s.content, s.held, s.settled = ev.ordinal, content, false, false
		s.when, s.origin, s.lags, s.pairs = ev.at, ev.at, s.lags[:0], 0
		if ev.known {
			s.when = ev.due
		}
		f.distinct.Add(1)
		f.raise(ev.ordinal)
	case s.ordinal > ev.ordinal: // too old to have a slot
		f.repeats.Add(1)
		f.unheld.Add(1)
		if !ev.known {
			behind = never
		}
		return behind
	case s.content != content:
		f.repeats.Add(1)
		f.foreign.Add(1)
		return 0
	default:
		f.repeats.Add(1)
		if !ev.known {
			behind = ev.at - s.when
			s.when = min(s.when, ev.at)
		}
	}
	if s.when >= ev.since { // else it is from the time before the subscription
		s.arrived(ev.at, open, c)
		if s.pairs >= subscribed {
			s.settle(c)
		}
	}
	return behind
}

// arrived notes one arrival.
func (s *slot) arrived(at int64, open int, c *cell) {
	lag := at - s.origin
	s.pairs++
	if s.held {
		s.last = max(s.last, lag)
		s.record(LagBehindFirst, lag-s.first, c)
		return
	}
	s.lags = append(s.lags, lag)
	if len(s.lags) >= open {
		s.hold(c)
	}
}

// again takes an event that is no news, and notes whether it is another one under the same number, as far as its
// content is remembered.
func (f *feed) again(ordinal uint64, content []byte) {
	s := &f.slots[ordinal%uint64(len(f.slots))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ordinal == ordinal && s.content != maphash.Bytes(f.ids.seed, content) {
		f.anew.Add(1)
	}
}

// renumbered reports whether numbers were used again for other events, as by a server that was restarted: more than
// one in a hundred of those seen.
func (f *feed) renumbered() bool {
	return f.anew.Load()*100 > f.distinct.Load()+f.repeats.Load()
}

func (f *feed) raise(ordinal uint64) {
	for {
		highest := f.highest.Load()
		if ordinal <= highest || f.highest.CompareAndSwap(highest, ordinal) {
			return
		}
	}
}

// hold records how far the arrivals are behind the earliest. It takes two.
func (s *slot) hold(c *cell) {
	if s.held || len(s.lags) < 2 {
		return
	}
	s.held = true
	s.first, s.last = slices.Min(s.lags), slices.Max(s.lags)
	for _, lag := range s.lags {
		s.record(LagBehindFirst, lag-s.first, c)
	}
}

// settle records the spread. What arrives after that doesn't change it.
func (s *slot) settle(c *cell) {
	s.hold(c)
	if s.held && !s.settled {
		s.settled = true
		s.record(FanoutSpread, s.last-s.first, c)
	}
}

// record takes a timing of an event that first arrived within the window.
func (s *slot) record(m Metric, ns int64, c *cell) {
	if c.window.holds(s.origin + s.first) {
		c.time(m, ns)
	}
}

// settleAll ends the feed: what hasn't been seen by everybody won't be.
func (f *feed) settleAll(c *cell) {
	for i := range f.slots {
		s := &f.slots[i]
		s.mu.Lock()
		s.settle(c)
		s.mu.Unlock()
	}
}

// head finds which events before its first one a connection should have seen, that was open since opened (ns after
// the start): those of race after that at the earliest. boundary is how many fell into the race of subscribing.
func (f *feed) head(first uint64, opened int64, race time.Duration) (expect, boundary uint64) {
	expect = first
	for n := first - 1; n > 0 && first-n < uint64(len(f.slots)); n-- {
		s := &f.slots[n%uint64(len(f.slots))]
		s.mu.Lock()
		ordinal, when := s.ordinal, s.when
		s.mu.Unlock()
		switch {
		case ordinal < n: // nobody has seen it
		case ordinal > n || when <= opened:
			return expect, boundary
		case when > opened+int64(race):
			expect, boundary = n, 0
		default:
			boundary++
		}
	}
	return expect, boundary
}

// stop draws the line: events that nobody has seen by now don't count.
func (f *feed) stop() { f.line.Store(f.highest.Load() + 1) }

// counts reports whether an ordinal is on this side of the line.
func (f *feed) counts(ordinal uint64) bool {
	line := f.line.Load()
	return line == 0 || ordinal < line
}

// shared reports whether connections saw the same events. They didn't where more than one in a hundred of those with
// the same number or id had another content, or came to a connection long after another one all the time: a server
// that counts for each connection gives everybody event 5, but each at its own time.
func (f *feed) shared() bool {
	repeats := f.repeats.Load()
	return repeats > 0 && (f.foreign.Load()+uint64(max(0, f.behind.Load())))*100 <= repeats
}

// identities is how many ids a feed knows again.
const identities = 1 << 16

// identity gives opaque ids ordinals in the order in which anybody first saw them. That is the order of the stream:
// whoever sees an event has seen, and so numbered, what came before it on the same connection.
type identity struct {
	seed  maphash.Seed
	mu    sync.Mutex
	known map[uint64]uint64 // hash of the id → ordinal
	ring  []uint64          // hashes by ordinal, to forget the oldest
	last  uint64
}

// ordinal numbers an id. It keeps 64 bits of each: two of 65,536 are the same by chance once in 10¹⁰ runs.
func (x *identity) ordinal(id []byte) uint64 {
	h := maphash.Bytes(x.seed, id)
	x.mu.Lock()
	defer x.mu.Unlock()
	if n, ok := x.known[h]; ok {
		return n
	}
	if x.known == nil {
		x.known = make(map[uint64]uint64, identities)
		x.ring = make([]uint64, identities)
	}
	x.last++
	place := &x.ring[x.last%identities]
	if x.last > identities {
		delete(x.known, *place)
	}
	*place = h
	x.known[h] = x.last
	return x.last
}
