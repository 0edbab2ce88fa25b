package bench

import "slices"

// Opaque ids are numbered in the order in which anybody first sees them. That is the order of the stream where one
// connection sees one event after the other. But one that lags behind, or was told more of what was before, may be the first
// to see an event that is older than what others have seen already: then its number is too high, and what comes after what is
// only what connections have seen one after the other.

// horizon is how many ordinals back a past reaches: twice what a Tracker knows.
const horizon = 2 * window

// A past is a set of ordinals, of the last ones up to a top.
type past struct {
	top  uint64
	bits [horizon / 64]uint64
}

func (p *past) bit(n uint64) (word *uint64, mask uint64) {
	return &p.bits[n%horizon/64], 1 << (n % 64)
}

// has reports whether an ordinal is in it, as far as it reaches.
func (p *past) has(n uint64) bool {
	word, mask := p.bit(n)
	return n <= p.top && p.top-n < horizon && *word&mask != 0
}

// rise moves the top on.
func (p *past) rise(top uint64) {
	if top > p.top && top-p.top >= horizon {
		p.top, p.bits = top, [horizon / 64]uint64{}
	}
	for p.top < top {
		p.top++
		word, mask := p.bit(p.top)
		*word &^= mask
	}
}

func (p *past) add(n uint64) {
	if p.rise(n); p.top-n < horizon {
		word, mask := p.bit(n)
		*word |= mask
	}
}

// join adds another one.
func (p *past) join(q *past) {
	p.rise(q.top)
	if p.top-q.top >= horizon {
		return
	}
	rest := past{q.top, q.bits}
	rest.rise(p.top) // without what p doesn't reach back to
	for i, word := range rest.bits {
		p.bits[i] |= word
	}
}

// lacks reports whether one of the ordinals that a Tracker would know, when the next one is n, isn't in it.
func (p *past) lacks(n uint64) bool {
	if p.top+1 == n && p.bits == [horizon / 64]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)} {
		return false
	}
	for before := n - 1; before > 0 && n-before <= window; before-- {
		if !p.has(before) {
			return true
		}
	}
	return false
}

// A standing says where an event stands: what is before it, by the connection that was the first to see it, and those that
// were the first to see what that one had seen.
type standing struct {
	ordinal uint64
	before  past
}

const (
	// ripe is how far a feed must have gone on for an event that may be older than its ordinal says not to come any more.
	ripe = window / 2
	// maxLoose bounds those.
	maxLoose = 1 << 12
)

// A teller is what one connection tells of the order of events.
type teller struct {
	seen    past   // what it has seen, and what is before that
	spared  past   // what it may have missed since it was before its first event
	excused uint64 // how much that was
}

// standings are those of the last events of a feed. The mutex of the identity guards them.
type standings struct {
	stood []standing // by ordinal
	loose []uint64   // those of which it isn't known that they are after all others that have lower ordinals; ascending
}

// first takes an event that a connection is the first to see.
func (x *standings) first(ordinal uint64, by *teller) {
	if x.stood == nil {
		x.stood = make([]standing, horizon)
	}
	x.stood[ordinal%horizon] = standing{ordinal, by.seen}
	if len(x.loose) < maxLoose && by.seen.lacks(ordinal) {
		x.loose = append(x.loose, ordinal)
	}
	by.seen.add(ordinal)
}

// again takes an event that somebody had seen before.
func (x *standings) again(ordinal uint64, by *teller) {
	if by.seen.has(ordinal) {
		return
	}
	if stood := x.of(ordinal); stood != nil {
		by.seen.join(&stood.before)
	}
	by.seen.add(ordinal)
}

// of is where an event stands; nil where that is known no more.
func (x *standings) of(ordinal uint64) *standing {
	if len(x.stood) == 0 || x.stood[ordinal%horizon].ordinal != ordinal {
		return nil
	}
	return &x.stood[ordinal%horizon]
}

// follows reports whether an event is after an earlier one, as its ordinal says, as far as that is known.
func (x *identity) follows(later, earlier uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	stood := x.of(later)
	return stood == nil || later-earlier >= horizon || stood.before.has(earlier)
}

// takeLoose gives where the events stand that aren't sure, up to an ordinal.
func (x *identity) takeLoose(last uint64) (loose []standing) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, _ := slices.BinarySearch(x.loose, last+1)
	for _, ordinal := range x.loose[:n] {
		if stood := x.of(ordinal); stood != nil {
			loose = append(loose, *stood)
		}
	}
	x.loose = slices.Delete(x.loose, 0, n)
	return loose
}

// excuse has connections that never saw an event not miss it, where it may have been before the first one that they saw: of
// what they have seen nobody had seen anything before it. Of the events that the feed has gone on from for a while, or of all.
func (r *run) excuse(all bool) {
	for _, f := range r.allFeeds() {
		if f.key.kind != byOpaqueID {
			continue
		}
		last := f.highest.Load()
		if !all {
			last -= min(last, ripe)
		}
		loose := f.ids.takeLoose(last)
		if len(loose) == 0 {
			continue
		}
		for _, s := range r.everybody() {
			s.shard.mu.Lock()
			for i := range s.tracked {
				if t := &s.tracked[i]; t.feed == f {
					t.excuse(loose, s.shard.cell)
				}
			}
			s.shard.mu.Unlock()
		}
	}
}

func (t *tracked) excuse(loose []standing, c *cell) {
	for i := range loose {
		n := loose[i].ordinal
		if base := t.tracker.base; base == 0 || n <= base || !t.feed.counts(n) || t.knows(&loose[i]) {
			continue
		}
		switch how := t.tracker.sight(n); {
		case how == Overdue:
			t.tracker.excuse(n)
			t.teller.spared.add(n)
			t.teller.excused++
			c.add(Boundary, 1)
		case how == TooOld && t.tracker.lost > 0: // and may be among those
			t.ancient++
		}
	}
}

// knows reports whether the connection has seen something that is before an event.
func (t *tracked) knows(stood *standing) bool {
	for n := stood.ordinal - 1; n >= t.tracker.base && t.tracker.next-n <= window; n-- {
		if t.tracker.has(n) && stood.before.has(n) && !t.teller.spared.has(n) {
			return true
		}
	}
	return false
}

// ordered reports whether an event is after an earlier one, as their ordinals say.
func (f *feed) ordered(later, earlier uint64) bool {
	return f.key.kind != byOpaqueID || f.ids.follows(later, earlier)
}

// overtaken reports whether an event that comes late was to come before any of those that came before it. That holds for all
// of them, but where the run publishes by several ways at once, and where the ids are opaque.
func (t *tracked) overtaken(ordinal uint64, inTurn bool) bool {
	if t.feed.own == nil && t.teller == nil {
		return true
	}
	for later := ordinal + 1; later < t.tracker.next; later++ {
		switch {
		case !t.tracker.has(later):
		case t.feed.own == nil && t.feed.ordered(later, ordinal), t.feed.own != nil && t.feed.own.ordered(ordinal, later, inTurn):
			return true
		}
	}
	return false
}
