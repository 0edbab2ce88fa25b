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

// A view is what one connection has seen of the last events of a feed.
type view struct {
	next uint64 // one past the latest
	seen [window / 64]uint64
}

// common compares two views where both can have events, of which there are n: how many each and both have seen, and how often
// what one of them alone has seen is followed by what the other one alone has.
func (a view) common(b view) (n, ofA, ofB, both, turns int) {
	last := min(a.next, b.next)
	first := max(a.next, b.next) - min(max(a.next, b.next), window)
	side := 0
	for i := max(1, first); i < last; i++ {
		x, y := a.seen[i%window/64]>>(i%64)&1 != 0, b.seen[i%window/64]>>(i%64)&1 != 0
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

// disjoint reports whether some of the views are of other events than the others: they have nothing in common, though they
// should by chance, and take turns, as stretches of loss don't; and nobody has nearly all that there was.
func disjoint(views []view) bool {
	var union view
	for _, v := range views {
		union.next = max(union.next, v.next)
	}
	for i := union.next - min(union.next, window); i < union.next; i++ {
		for _, v := range views {
			if i < v.next && v.next-i <= window {
				union.seen[i%window/64] |= v.seen[i%window/64] & (1 << (i % 64))
			}
		}
	}
	found, chance := 0.0, 0.0
	for i, a := range views {
		if n, ofA, all, _, _ := a.common(union); n > window/2 && ofA*10 >= all*9 {
			return false
		}
		for _, b := range views[:i] {
			n, ofA, ofB, both, turns := a.common(b)
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

// noteApart finds the feeds whose connections see different events.
func (r *run) noteApart() {
	for _, f := range r.allFeeds() {
		if f.declared || f.own != nil {
			continue
		}
		var views []view
		all := r.everybody()
		for i := 0; i < len(all) && len(views) < apartViews; i += max(1, len(all)/apartViews) {
			s := all[i]
			s.shard.mu.Lock()
			for j := range s.tracked {
				if t := &s.tracked[j]; t.feed == f && t.tracker.next-t.tracker.base >= settled {
					views = append(views, view{t.tracker.next, t.tracker.seen})
				}
			}
			s.shard.mu.Unlock()
		}
		f.apart.Store(disjoint(views))
	}
}

// apart reports whether connections of some feed see different events.
func (r *run) apart() bool {
	return slices.ContainsFunc(r.allFeeds(), func(f *feed) bool { return f.apart.Load() })
}
