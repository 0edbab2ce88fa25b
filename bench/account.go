package bench

import (
	"slices"
	"time"
)

// account adds up what is delivered and lost, from what every connection has seen. While the run goes on only what
// can't come any more is lost; afterwards everything that didn't come.
func (r *run) account() {
	var delivered, lost uint64
	over := r.phase == PhaseFinish
	feeds := len(r.allFeeds())
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		for i := range s.tracked {
			t := &s.tracked[i]
			if !r.trusts(t.feed) || t.assumed(feeds) {
				continue
			}
			unique, gone := t.tracker.unique, t.tracker.lost
			if over {
				unique, gone = t.tracker.Totals(s.lastExpected(t.feed))
			}
			delivered, lost = delivered+unique, lost+gone
		}
		if r.echoes() {
			unique, gone := s.echo.unique, s.echo.lost
			if over && s.sent > 0 {
				s.echo.Expect(1)
				unique, gone = s.echo.Totals(s.sent)
			}
			delivered, lost = delivered+unique, lost+gone
		}
		s.shard.mu.Unlock()
	}
	r.set(Delivered, delivered)
	r.set(Lost, lost)
	r.set(Expected, delivered+lost)
}

func (r *run) set(m Metric, n uint64) { r.tally.counts[m-numTimings] = n }

// lastExpected is the last ordinal of a feed that the connection should have seen: the last one that anybody saw, where
// events are known to be the same for all and the connection wasn't ended on purpose; else its own last.
func (s *subscriber) lastExpected(f *feed) uint64 {
	if s.retired || !f.shared() {
		return 0
	}
	return f.line.Load() - 1
}

// assumed reports whether nothing but there having been no other feed said that the connection subscribes to this one,
// and now there is.
func (t *tracked) assumed(feeds int) bool { return t.tracker.unique == 0 && feeds > 1 }

// joinSilent finds the connections that should have received something by now, and have not.
func (r *run) joinSilent() {
	feeds := r.allFeeds()
	if len(feeds) != 1 {
		return
	}
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		s.join(feeds[0], r.now())
		s.shard.mu.Unlock()
	}
}

// trusts reports whether gaps in a feed's ordinals mean loss: the numbers are consecutive by declaration, and were not
// used twice, or several connections saw the same ids, and one of them was always there to see them.
func (r *run) trusts(f *feed) bool {
	if f.renumbered() {
		return false
	}
	return f.declared || f.shared() && !r.blackout.Load()
}

// echoes reports whether the server echoes what the connections send: at least one message has come back.
func (r *run) echoes() bool { return r.tally.timings[RoundTrip] != nil }

// silent is how long a gap must be at least to be a silence; and it must be three times the longest one before.
const silent = int64(time.Second)

// noteSilence records the gaps that are still open at the end of the window, where they are longer than any before: a
// server that hangs until then would leave no trace in the timings.
func (r *run) noteSilence(end int64) {
	gaps := r.tally.timings[InterArrival]
	if r.plan.Streams || gaps == nil {
		return
	}
	limit := max(silent, 3*gaps.Max())
	latest := int64(0)
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		latest = max(latest, s.latest)
		if s.last != never && s.last >= r.window.begin && s.dropped == never && !s.ended {
			if gap := end - s.last; gap > limit {
				s.shard.cell.time(InterArrival, gap)
			}
		}
		s.shard.mu.Unlock()
	}
	if gap := end - latest; gap > limit {
		r.silence = time.Duration(gap)
	}
}

// drained reports whether everything that can be expected has arrived.
func (r *run) drained() bool {
	echoes := r.echoes() || r.plan.Send.Unstamped && r.tally.counts[Sent-numTimings] > 0
	feeds := len(r.allFeeds())
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		waiting := !s.ended && !s.retired && s.waits(echoes, feeds)
		s.shard.mu.Unlock()
		if waiting {
			return false
		}
	}
	if r.plan.Streams {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.idle) == len(r.all)
	}
	return true
}

// waits reports whether something that the connection should have seen may still be under way. The shard's mutex
// must be held.
func (s *subscriber) waits(echoes bool, feeds int) bool {
	for i := range s.tracked {
		t := &s.tracked[i]
		if t.past || !s.run.trusts(t.feed) || t.assumed(feeds) {
			continue
		}
		if _, lost := t.tracker.Totals(s.lastExpected(t.feed)); lost > t.tracker.lost {
			return true
		}
	}
	return echoes && s.sent > 0 && s.echo.unique < s.sent || len(s.outbox) > 0
}

// unmeasured says which metrics this run can't know, and why.
func (r *run) unmeasured() map[Metric]string {
	why := make(map[Metric]string)
	tracked, distrusted := r.tracked()
	if !tracked && !r.echoes() {
		reason := "the events carry no id, sequence or stamp (--seq names one)"
		if r.plan.Sequence != (Sequence{}) {
			reason = "no event had a number where --seq says"
		}
		switch {
		case r.plan.Streams:
			reason = "request streams have no events in common"
		case distrusted && r.renumbered():
			reason = "numbers were used again for other events: was the server restarted, and does it count anew?"
		case distrusted && r.blackout.Load():
			reason = "every connection was down at once, and nobody saw what was published then (--seq id, if the ids are consecutive)"
		case distrusted:
			reason = "the ids are not known to be consecutive, and no two connections saw the same events (--seq id, or more connections)"
		case r.broadcast.Load():
			reason = "messages between the connections of a run are timed, not counted"
		case r.tally.counts[Received-numTimings] == 0:
			reason = "nothing was received"
		}
		for _, m := range []Metric{Expected, Delivered, Lost, Reach} {
			why[m] = reason
		}
		why[Reordered] = reason
		if !distrusted {
			for _, m := range []Metric{Duplicate, Ancient, Boundary} {
				why[m] = reason
			}
		}
	}
	why[ClientLag] = "arrivals carry no kernel stamp"
	switch {
	case r.tally.timings[Delivery] != nil || r.tally.counts[Received-numTimings] == 0:
	case r.stamped.Load():
		why[Delivery] = "no stamp is of a time in the measured window; are the clocks in step?"
	case !r.plan.Stamp.IsZero():
		why[Delivery] = "no event had a time at " + r.plan.Stamp.String()
	default:
		why[Delivery] = "no event carried a time stamp (--stamp names one)"
	}
	if r.tally.timings[LagBehindFirst] != nil && !slices.ContainsFunc(r.allFeeds(), (*feed).shared) {
		reason := "the connections did not see the same events, or each at its own time"
		why[LagBehindFirst], why[FanoutSpread] = reason, reason
	}
	return why
}

// renumbered reports whether any feed's numbers were used again.
func (r *run) renumbered() bool { return slices.ContainsFunc(r.allFeeds(), (*feed).renumbered) }

// tracked reports whether there is a sequence that loss can be told from, and whether there is only such that it
// can't.
func (r *run) tracked() (tracked, distrusted bool) {
	for _, f := range r.allFeeds() {
		if r.trusts(f) {
			return true, false
		}
		distrusted = true
	}
	return false, distrusted
}
