package bench

import (
	"math"
	"slices"
)

// Where connections subscribe to topics of their own, such as rooms or users, whose events have ids that don't tell of which
// topic they are, what isn't for a connection looks like what it lost. Two that lose events by chance have some of those in
// common that are left; two of different topics none.

const (
	// apartLoss is which share of the events must be missing for that to be looked into.
	apartLoss = 0.02
	// apartViews bounds the connections that are compared.
	apartViews = 64
	// apartEvidence is how many events those connections that have none in common should have in common by chance, in all, at
	// least, and apartTimes how many times as many as are to be expected of so many pairs.
	apartEvidence, apartTimes = 16, 2
)

// common compares what two Trackers know of the events that both can have, of which there are n: how many each and both have
// seen, and how often what one of them alone has seen is followed by what the other one alone has.
func common(a, b *Tracker) (n, ofA, ofB, both, turns int) {
	side := 0
	for i := max(1, less(max(a.next, b.next), window)); i < min(a.next, b.next); i++ {
		x, y := a.has(i), b.has(i)
		n++
		if x {
			ofA++
		}
		if y {
			ofB++
		}
		if x && y {
			both++
		}
		if x != y {
			now := 1
			if y {
				now = 2
			}
			if side != 0 && now != side {
				turns++
			}
			side = now
		}
	}
	return n, ofA, ofB, both, turns
}

// disjoint reports whether some of the connections see other events than the others: they have nothing in common, though they
// should by chance, and take turns, as stretches of loss don't; and nobody has nearly all that there was.
func disjoint(views []Tracker) bool {
	var union Tracker
	for i := range views {
		union.next = max(union.next, views[i].next)
	}
	for n := less(union.next, window); n < union.next; n++ {
		for i := range views {
			if v := &views[i]; n < v.next && v.next-n <= window && v.has(n) {
				union.mark(n)
			}
		}
	}
	found, chance := 0.0, 0.0
	for i := range views {
		if n, ofA, all, _, _ := common(&views[i], &union); n > window/2 && ofA*10 >= all*9 {
			return false
		}
		for j := range views[:i] {
			n, ofA, ofB, both, turns := common(&views[i], &views[j])
			if n == 0 {
				continue
			}
			mean := float64(ofA) * float64(ofB) / float64(n)
			chance += mean * math.Exp(-mean)
			if both == 0 && turns*4 >= min(ofA, ofB) {
				found += mean
			}
		}
	}
	return found >= apartEvidence+apartTimes*chance
}

// settled is how many events a connection must have been there for to be compared.
const settled = 32

// enoughStrays is how many events a connection must have brought at least, and then most of all its events, for more than the
// race, that nobody had seen before others had later ones: it has numbers of its own. Who lags, or catches up, brings what others
// have seen.
const enoughStrays = 3

// noteApart finds the feeds whose connections see different events.
func (r *run) noteApart() {
	all := r.everybody()
	for _, f := range r.allFeeds() {
		switch {
		case f.own != nil:
		case f.declared: // by numbers, of which each user may have its own
			f.apart.Store(slices.ContainsFunc(all, func(s *subscriber) bool { return s.straysFrom(f) }))
		default:
			f.apart.Store(disjoint(r.views(f)))
		}
	}
}

// strayed takes when somebody first saw an event that the connection has received.
func (t *tracked) strayed(from origin, at int64) {
	switch {
	case from == inTurn:
		t.strays = 0
		return
	case from == forgotten:
		return
	case t.strays == 0:
		t.strayedAt = at
	}
	t.strays++
	t.strayedTo = at
}

// straysFrom reports whether the connection has numbers of its own in a feed.
func (s *subscriber) straysFrom(f *feed) bool {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	t := s.placeIn(f)
	return t != nil && t.strays >= enoughStrays && t.strays*2 > t.tracker.unique && t.strayedTo-t.strayedAt > int64(race)
}

// views are what some of the connections have seen of a feed.
func (r *run) views(f *feed) (views []Tracker) {
	all := r.everybody()
	for i := 0; i < len(all) && len(views) < apartViews; i += max(1, len(all)/apartViews) {
		if t, ok := all[i].view(f); ok {
			views = append(views, t)
		}
	}
	return views
}

// view is what the connection has seen of a feed; not ok where that is too little.
func (s *subscriber) view(f *feed) (view Tracker, ok bool) {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if t := s.placeIn(f); t != nil && t.tracker.next-t.tracker.base >= settled {
		return t.tracker, true
	}
	return view, false
}

// placeIn is the subscriber's place in a feed; nil where it has none. The shard's mutex must be held.
func (s *subscriber) placeIn(f *feed) *tracked {
	for i := range s.tracked {
		if s.tracked[i].feed == f {
			return &s.tracked[i]
		}
	}
	return nil
}

// apart reports whether connections of some feed see different events.
func (r *run) apart() bool {
	return slices.ContainsFunc(r.allFeeds(), func(f *feed) bool { return f.apart.Load() })
}
