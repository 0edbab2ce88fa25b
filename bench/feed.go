package bench

import (
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rtbench/rtbench/client"
)

// A feed is one sequence of events that several connections subscribe to. It knows events again across
// connections: that gives ids that are no numbers their ordinals, says which events a connection should have seen,
// and yields lag_behind_first and fanout_spread without any clock but our own.
//
// Safe for concurrent use.
type feed struct {
	key      feedKey
	openings *openings   // of all connections; nil where that isn't known
	own      *ledger     // of what this run publishes for everybody; nil for a feed of the server's
	others   atomic.Bool // as far as is known, what a connection has published goes only to the others
	apart    atomic.Bool // connections see different events of it
	met      atomic.Bool // a stream that was not being resumed has brought something of it
	declared bool        // the numbers are consecutive, by the stamp or by the user's word
	ids      identity
	slots    []slot
	spare    spares
	highest  atomic.Uint64               // ordinal
	guard    sync.Mutex                  // of what is below up to dawn
	watchers int                         // connections that see what is published as it is
	dusk     *pace                       // when the last one of them was gone, the last time; nil before that
	dawn     uint64                      // the ordinal from which there was one again
	line     atomic.Uint64               // the first ordinal that doesn't count any more; 0 while the run goes on
	before   atomic.Uint64               // the last ordinal that was due before the window; 0 while it has not begun
	front    front                       // how far anybody had come a while ago
	waves    waves                       // where it isn't known when events were due
	soonest  atomic.Int64                // likewise: the shortest time that a connection has waited for its first event, in ns
	distinct atomic.Uint64               // different events
	repeats  atomic.Uint64               // times an event was seen by a further connection
	foreign  atomic.Uint64               // of them, with another content: then it isn't the same event
	behind   atomic.Int64                // of them, by connections that never were level with the others
	anew     atomic.Uint64               // events with a number that another event had before
	unheld   atomic.Uint64               // arrivals that came too late to be held against the first one
	short    [len(reaches)]atomic.Uint64 // events of the window that never reached that share of the subscribers
}

// reaches are the shares of the subscribers that an event's way to them is timed by.
var reaches = [...]struct {
	metric Metric
	share  float64
}{{Reach50, .5}, {Reach95, .95}, {Reach99, .99}, {Reach100, 1}}

// A slot holds what is known of one event, until a newer one takes its place.
type slot struct {
	mu       sync.Mutex
	ordinal  uint64
	content  uint64
	when     int64   // due, or the earliest arrival; ns after the start
	after    int64   // it was published after that, as far as is known; ns after the start
	due      bool    // when is due, by our clock
	origin   int64   // the arrival recorded first, which may not be the earliest; ns after the start
	lags     []int64 // arrivals relative to that one, until it is settled
	arrivals int     // how many there are or were
	audience int     // how many connections had been opened when it was due
	wanted   int     // how many subscribers should have it, the one that published it included
	stray    bool    // others had seen later ones for long when somebody saw it first
	seen     bool    // somebody has received it
	void     bool    // it failed to be published, as far as is known
	first    int64   // the earliest arrival, relative to origin; where held
	held     bool    // all who could have received it had: lags are recorded
	settled  bool    // all who should have had: the spread and the times of reaching them are
}

const (
	// lagBudget bounds the arrivals that all slots of a feed hold.
	lagBudget = 2 << 20
	minSlots  = 64
	maxSlots  = 4096
)

func newFeed(key feedKey, connections int, own *ledger) *feed {
	n := minSlots
	for n < maxSlots && 2*n*connections <= lagBudget {
		n *= 2
	}
	f := &feed{key: key, own: own, declared: key.kind != byOpaqueID, slots: make([]slot, n)}
	f.ids.seed, f.ids.end = maphash.MakeSeed(), math.MaxUint64
	f.soonest.Store(never)
	return f
}

// A sighted is one event as one connection saw it.
type sighted struct {
	ordinal uint64
	content uint64 // by which it is recognised, besides its number; see feed.content
	at      int64  // arrival, ns after the start
	due     int64  // ns after the start; used where known
	sent    int64  // when it was published, as far as the server says, else due
	known   bool   // due is
	exact   bool   // it is by our clock
	since   int64  // when the connection was first open, ns after the start
}

// see takes an event that a connection saw for the first time, and says how far that was behind the first connection
// that saw it, in ns. open is how many connections could have received it by now, and subscribed how many should at
// some time: those that are down now may catch up.
func (f *feed) see(ev *sighted, open, subscribed int, c *cell) (behind int64, from origin) {
	s := f.slot(ev.ordinal)
	s.mu.Lock()
	behind = f.seeIn(s, ev, open, subscribed, c)
	switch {
	case s.ordinal != ev.ordinal:
		from = forgotten
	case s.stray:
		from = afterOthers
	}
	s.mu.Unlock()
	return behind, from
}

// An origin says when somebody first saw an event.
type origin uint8

const (
	inTurn      origin = iota
	afterOthers        // when they had seen later ones for long
	forgotten          // too long ago to be known
)

// seeIn is see, with the event's slot, whose mutex must be held.
func (f *feed) seeIn(s *slot, ev *sighted, open, subscribed int, c *cell) (behind int64) {
	switch {
	case s.ordinal < ev.ordinal:
		s.settle(f, c)
		s.renew(ev.ordinal, ev.at)
		s.content = ev.content
		if ev.known {
			s.when, s.due, s.after = ev.due, ev.exact, ev.due
		} else {
			s.after = f.waves.add(ev.at)
		}
		s.audience = f.openings.before(s.when)
		f.distinct.Add(1)
		s.stray = f.front.passed(ev.ordinal, f.highest.Load(), ev.at)
		f.raise(ev.ordinal)
	case s.ordinal > ev.ordinal: // too old to have a slot
		f.repeats.Add(1)
		f.unheld.Add(1)
		if f.own != nil {
			f.own.see(ev.ordinal)
		}
		if !ev.known {
			behind = never
		}
		return behind
	case f.own != nil:
		if !f.received(s) {
			f.repeats.Add(1)
		}
	case s.content != ev.content:
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
	if s.when < ev.since { // it is from the time before the subscription
		return behind
	}
	if f.own == nil { // else it was announced to those who were there
		s.wanted = max(s.wanted, min(subscribed, s.audience))
	}
	s.arrived(f, ev.at, open, c)
	if !s.settled && s.arrivals >= max(2, f.wants(s)) {
		s.settle(f, c)
	}
	return behind
}

// received takes an event of the run's own that somebody has received; false where another one had before. The slot's
// mutex must be held.
func (f *feed) received(s *slot) (first bool) {
	if s.seen {
		return false
	}
	s.seen, s.void = true, false
	f.distinct.Add(1)
	f.own.see(s.ordinal)
	return true
}

// leftOut takes an event of the run's own that is in no account of whoever has received it.
func (f *feed) leftOut(ordinal uint64) {
	s := f.slot(ordinal)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ordinal == ordinal {
		f.received(s)
	} else {
		f.own.see(ordinal)
	}
}

// wants is how many subscribers an event should reach. The slot's mutex must be held.
func (f *feed) wants(s *slot) int {
	if f.others.Load() {
		return s.wanted - 1
	}
	return s.wanted
}

func (f *feed) slot(ordinal uint64) *slot { return &f.slots[ordinal%uint64(len(f.slots))] }

// content is what an event is recognised by, besides its number: its payload, or what its stamp, where it has one, says
// of when it was published. What the run itself has published carries its token.
func (f *feed) content(data []byte, stamp *client.Stamp) uint64 {
	switch {
	case f.own != nil:
		return 0
	case f.key.kind == byStamp:
		return uint64(stamp.Due) ^ bits.RotateLeft64(uint64(stamp.Sent), 32)
	}
	return maphash.Bytes(f.ids.seed, data)
}

// announce enters an event that the run is about to publish for so many subscribers, so that it counts whether anybody
// receives it or not.
func (f *feed) announce(ordinal uint64, due int64, subscribed int, c *cell) {
	s := f.slot(ordinal)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(f, c)
	s.renew(ordinal, due)
	s.when, s.due, s.content, s.wanted = due, true, 0, subscribed
	f.raise(ordinal)
}

// withdraw takes an announcement back, unless somebody has received the event all the same.
func (f *feed) withdraw(ordinal uint64) {
	s := f.slot(ordinal)
	s.mu.Lock() // from before the ledger is told, so that it can't be settled as missed in between
	defer s.mu.Unlock()
	voided, short := f.own.void(ordinal)
	if !voided {
		return
	}
	if short {
		for i := range f.short {
			f.short[i].Add(^uint64(0))
		}
	}
	if s.ordinal == ordinal && !s.seen {
		s.void = true
	}
}

// renew gives the slot to another event.
func (s *slot) renew(ordinal uint64, at int64) {
	s.ordinal, s.when, s.after, s.due, s.origin, s.lags, s.arrivals, s.wanted = ordinal, at, at, false, at, s.lags[:0], 0, 0
	s.stray, s.seen, s.void, s.first, s.held, s.settled = false, false, false, 0, false, false
}

// arrived notes one arrival.
func (s *slot) arrived(f *feed, at int64, open int, c *cell) {
	if s.arrivals == 0 {
		s.origin = at
	}
	lag := at - s.origin
	if s.held { // and yet, by a stream that was being opened then, it may have come before
		s.first = min(s.first, lag)
	}
	if s.settled {
		s.record(LagBehindFirst, lag-s.first, c)
		return
	}
	if s.lags == nil {
		s.lags = f.spare.take()
	}
	s.lags = append(s.lags, lag)
	s.arrivals++
	if s.held {
		s.record(LagBehindFirst, lag-s.first, c)
	} else if s.arrivals >= open {
		s.hold(c)
	}
}

// spares are the arrays of slots that are settled: far fewer slots than there are hold arrivals at a time. Safe for
// concurrent use.
type spares struct {
	mu   sync.Mutex
	list [][]int64
}

func (x *spares) take() []int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	last := len(x.list) - 1
	if last < 0 {
		return nil
	}
	spare := x.list[last]
	x.list = x.list[:last]
	return spare
}

func (x *spares) give(lags []int64) {
	if lags == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.list = append(x.list, lags[:0])
}

// published says between which times an event was published: not before it was due, and before somebody had it, or its
// server or publisher says so. Of an event beyond newest, the latest that anybody had seen, nothing is known but that.
func (f *feed) published(ev *sighted, newest uint64) (from, until int64) {
	switch s := f.slot(ev.ordinal); {
	case f.own != nil:
		return ev.due, f.own.acceptedAt(ev.ordinal)
	case ev.known:
		return ev.due, ev.sent
	case ev.ordinal > newest:
		return never, never
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ordinal == ev.ordinal {
			return s.when, s.when
		}
		return math.MinInt64, math.MinInt64 // too long ago to be remembered
	}
}

// differs reports whether an event has another content than others saw under the same number, as far as it is remembered.
func (f *feed) differs(ordinal, content uint64) bool {
	s := f.slot(ordinal)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ordinal == ordinal && s.content != content
}

// alone reports whether one connection alone has had an event, as far as it is remembered.
func (f *feed) alone(ordinal uint64) bool {
	s := f.slot(ordinal)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ordinal == ordinal && s.arrivals < 2
}

// stray takes an event, and reports whether only streams that were being resumed have ever brought anything of the feed:
// then it is none of what was subscribed to. The mutex of the subscriber's shard must be held.
func (f *feed) stray(s *subscriber) bool {
	if f.met.Load() {
		return false
	}
	if s.resumes() {
		return true
	}
	f.met.Store(true)
	return false
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
	s.first = slices.Min(s.lags)
	if c.window.holds(s.origin + s.first) {
		for _, lag := range s.lags {
			c.time(LagBehindFirst, lag-s.first)
		}
	}
}

// settle records the spread, and how long it took to reach the subscribers. What arrives after that doesn't change it.
func (s *slot) settle(f *feed, c *cell) {
	if s.settled || s.ordinal == 0 {
		return
	}
	s.settled = true
	s.measure(f, c)
	f.spare.give(s.lags)
	s.lags = nil
}

func (s *slot) measure(f *feed, c *cell) {
	s.hold(c)
	if s.held {
		s.record(FanoutSpread, slices.Max(s.lags)-s.first, c)
	}
	from := s.origin + s.first
	if s.due {
		from = s.when
	}
	wanted := f.wants(s)
	if s.void || wanted < 2 || !c.window.holds(from) {
		return
	}
	if f.own != nil && !s.seen {
		f.own.missed(s.ordinal)
	}
	below := 0 // what is before that is lower than the rest
	for i, reach := range reaches {
		n := int(math.Ceil(reach.share * float64(wanted)))
		if n > len(s.lags) {
			f.short[i].Add(1)
			continue
		}
		nth(s.lags[below:], n-1-below)
		below = n - 1
		c.time(reach.metric, s.origin+s.lags[below]-from)
	}
}

// nth has the n-th lowest of several values, counted from 0, in its place, what is lower before it and what is higher
// behind it (C. A. R. Hoare, "Find", 1961).
func nth(values []int64, n int) {
	for low, high := 0, len(values)-1; low < high; {
		pivot := values[low+(high-low)/2]
		i, j := low, high
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case n <= j:
			high = j
		case n >= i:
			low = i
		default:
			return
		}
	}
}

// record takes a timing of an event that first arrived within the window.
func (s *slot) record(m Metric, ns int64, c *cell) {
	if c.window.holds(s.origin + s.first) {
		c.time(m, ns)
	}
}

// settleAll ends the feed: what hasn't been seen by everybody won't be. What is younger than cutoff, where there is one,
// may only not have had its time.
func (f *feed) settleAll(c *cell, cutoff int64) {
	for i := range f.slots {
		s := &f.slots[i]
		s.mu.Lock()
		s.void = s.void || cutoff > 0 && s.when >= cutoff
		s.settle(f, c)
		s.mu.Unlock()
	}
}

// newest is when the latest event that somebody has received was due, or first came; math.MinInt64 where there is none.
func (f *feed) newest() int64 {
	highest := f.highest.Load()
	for n := highest; n > 0 && highest-n < uint64(len(f.slots)); n-- {
		s := f.slot(n)
		s.mu.Lock()
		ordinal, when, seen := s.ordinal, s.when, s.seen
		s.mu.Unlock()
		if ordinal == n && (f.own == nil || seen) {
			return when
		}
	}
	return math.MinInt64
}

// dueBefore is the last event that was due, or first came, before a time; 0 if none did, as far as is remembered.
func (f *feed) dueBefore(at int64) (last uint64) {
	for i := range f.slots {
		s := &f.slots[i]
		s.mu.Lock()
		if s.ordinal > last && s.when < at {
			last = s.ordinal
		}
		s.mu.Unlock()
	}
	return last
}

// dueBy is the last event that surely was due, or first came, before a time; 0 where it isn't known that any was.
func (f *feed) dueBy(at int64) uint64 {
	if f.own != nil {
		return f.own.after(at-1) - 1
	}
	if last := f.dueBefore(at); last > 0 {
		return last
	}
	return f.highest.Load() - min(f.highest.Load(), uint64(len(f.slots)))
}

// stop draws the line: events that nobody has seen by now don't count.
func (f *feed) stop() {
	f.line.Store(f.highest.Load() + 1)
	f.ids.stop()
}

// counts reports whether an ordinal is on this side of the line.
func (f *feed) counts(ordinal uint64) bool {
	line := f.line.Load()
	return line == 0 || ordinal < line
}

// shared reports whether connections saw the same events. They didn't where more than one in a hundred of those with
// the same number or id had another content, or came to a connection long after another one all the time: a server
// that counts for each connection gives everybody event 5, but each at its own time. Nor did they where some saw nothing of
// what others saw.
func (f *feed) shared() bool {
	if f.own != nil {
		return true
	}
	repeats := f.repeats.Load()
	return !f.apart.Load() && repeats > 0 && (f.foreign.Load()+uint64(max(0, f.behind.Load())))*100 <= repeats
}
