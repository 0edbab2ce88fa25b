package bench

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

// A standing says where an event stands: what connections have seen before it, and what they had seen before that.
type standing struct {
	ordinal uint64
	before  past
}

// A teller is what one connection tells of the order of events.
type teller struct {
	own    past   // what it has seen
	seen   past   // that, and what is before that
	spared uint64 // events that left the Tracker's window unseen, and may have been before its first one
}

// standings are those of the last events of a feed. The mutex of the identity guards them.
type standings struct{ stood []standing } // by ordinal

// first takes an event that a connection is the first to see.
func (x *standings) first(ordinal uint64, by *teller) {
	if x.stood == nil {
		x.stood = make([]standing, horizon)
	}
	x.stood[ordinal%horizon] = standing{ordinal, by.seen}
	by.saw(ordinal)
}

// again takes an event that somebody had seen before.
func (x *standings) again(ordinal uint64, by *teller) {
	if by.own.has(ordinal) {
		return
	}
	if stood := x.of(ordinal); stood != nil {
		had := by.seen
		by.seen.join(&stood.before)
		stood.before.join(&had)
	}
	by.saw(ordinal)
}

func (t *teller) saw(ordinal uint64) {
	t.own.add(ordinal)
	t.seen.add(ordinal)
}

// of is where an event stands; nil where that is known no more.
func (x *standings) of(ordinal uint64) *standing {
	if len(x.stood) == 0 || x.stood[ordinal%horizon].ordinal != ordinal {
		return nil
	}
	return &x.stood[ordinal%horizon]
}

// follows reports whether an event is known to be after an earlier one, as its ordinal says.
func (x *identity) follows(later, earlier uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	stood := x.of(later)
	return stood != nil && stood.before.has(earlier)
}

// spares reports whether a connection that never saw an event, but others since base, isn't taken to have lost it: of what it
// has seen, nobody is known to have seen anything before that event, so that it may be from before the subscription.
func (x *identity) spares(by *teller, base, ordinal uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	stood := x.of(ordinal)
	if stood == nil {
		return false
	}
	for n := ordinal - 1; n >= base && ordinal-n < horizon; n-- {
		if by.own.has(n) && stood.before.has(n) {
			return false
		}
	}
	return true
}

// leaving is how many ordinals that leave the Tracker's window unseen, once it has observed another one, are no losses. They
// are owed no more.
func (t *tracked) leaving(observed uint64) (spared uint64) {
	k := &t.tracker
	if t.teller == nil || k.base == 0 || observed < k.next || observed < window {
		return 0
	}
	from, last := less(k.next, window), observed-window
	if spared = t.spared(from, last); spared > 0 && t.owed > 0 {
		t.owed = less(t.owed, t.spared(from, min(last, t.feed.before.Load())))
	}
	return spared
}

// spared is how many ordinals from one up to and including last, of those in the Tracker's window or beyond it, are unseen
// and no losses. It looks no further back than it is known where events stand.
func (t *tracked) spared(from, last uint64) (n uint64) {
	k := &t.tracker
	for m := max(k.base, from, less(last, horizon)); m <= last; m++ {
		if (m >= k.next || !k.has(m)) && t.feed.ids.spares(t.teller, k.base, m) {
			n++
		}
	}
	return n
}

// gaps is how many events up to and including last, or where that is 0 to the latest that it has seen, the connection has
// missed that it should have seen.
func (t *tracked) gaps(last uint64) uint64 {
	_, gone := t.tracker.Totals(last)
	if t.teller == nil || gone == 0 {
		return gone
	}
	if last == 0 {
		last = t.tracker.next - 1
	}
	return less(gone, t.spared(less(t.tracker.next, window), last))
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
