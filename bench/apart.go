package bench

import (
	"math"
	"math/bits"
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

// A view is what one connection has seen of the last events of a feed.
type view struct {
	next uint64 // one past the latest
	seen [window / 64]uint64
}

// common counts the events that two have seen, each and both, of those that both can have; n is how many these are.
func (a view) common(b view) (n, ofA, ofB, both int) {
	if a.next > b.next {
		a, b = b, a
	}
	newer := b.next - a.next
	if newer >= window {
		return 0, 0, 0, 0
	}
	var old [window / 64]uint64 // where b has what a hasn't got to, a has what b doesn't reach back to
	for i := a.next; i < b.next; i++ {
		old[i%window/64] |= 1 << (i % 64)
	}
	for i := range a.seen {
		x, y := a.seen[i]&^old[i], b.seen[i]&^old[i]
		ofA, ofB, both = ofA+bits.OnesCount64(x), ofB+bits.OnesCount64(y), both+bits.OnesCount64(x&y)
	}
	return window - int(newer), ofA, ofB, both
}

// view gives what the connection has seen, without what it was spared. The shard's mutex must be held.
func (t *tracked) view() view {
	v := view{t.tracker.next, t.tracker.seen}
	if t.teller != nil && t.teller.excused > 0 {
		for n := v.next - min(v.next, window); n < v.next; n++ {
			if t.teller.spared.has(n) {
				v.seen[n%window/64] &^= 1 << (n % 64)
			}
		}
	}
	return v
}

// disjoint reports whether some of the views are of other events than the others.
func disjoint(views []view) bool {
	found, chance := 0.0, 0.0
	for i, a := range views {
		for _, b := range views[:i] {
			n, ofA, ofB, both := a.common(b)
			if n == 0 {
				continue
			}
			mean := float64(ofA) * float64(ofB) / float64(n)
			chance += mean * math.Exp(-mean)
			if both == 0 {
				found += mean
			}
		}
	}
	return found >= apartEvidence+apartTimes*chance
}

// noteApart finds the feeds whose connections see different events.
func (r *run) noteApart() {
	for _, f := range r.allFeeds() {
		if f.declared || f.own != nil || f.apart.Load() {
			continue
		}
		var views []view
		all := r.everybody()
		for i := 0; i < len(all) && len(views) < apartViews; i += max(1, len(all)/apartViews) {
			s := all[i]
			s.shard.mu.Lock()
			for j := range s.tracked {
				if t := &s.tracked[j]; t.feed == f && t.tracker.unique > 0 {
					views = append(views, t.view())
				}
			}
			s.shard.mu.Unlock()
		}
		if disjoint(views) {
			f.apart.Store(true)
		}
	}
}

// apart reports whether connections of some feed see different events.
func (r *run) apart() bool {
	return slices.ContainsFunc(r.allFeeds(), func(f *feed) bool { return f.apart.Load() })
}
