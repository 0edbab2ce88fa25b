package bench

import (
	"fmt"
	"slices"
	"time"
)

// account adds up what is delivered and lost, from what every connection has seen. While the run goes on only what
// can't come any more is lost; afterwards everything that didn't come.
func (r *run) account() {
	var all, inferred, echoes pairs
	r.lostBefore.pairs, r.unsure, r.missing, r.states = 0, 0, 0, states{}
	r.accounted = r.now()
	over := r.phase == PhaseFinish
	feeds := len(r.allFeeds())
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		r.latest = max(r.latest, s.latest)
		r.states.count(s)
		for i := range s.tracked {
			t := &s.tracked[i]
			if !r.trusts(t.feed) || t.assumed(feeds) {
				continue
			}
			gone, last := t.tracker.lost, s.lastOf(t)
			if over {
				gone, last = s.gaps(t)
			}
			lost := s.unexcused(t, gone, last)
			if !over {
				r.missing += less(s.missingSoFar(t), lost)
			}
			all.add(t.tracker.unique, lost)
			if !t.feed.declared && t.feed.own == nil {
				inferred.add(t.tracker.unique, lost)
			}
			r.unsure += min(t.ancient, lost)
			r.lostBefore.pairs += s.missingBefore(t)
		}
		if r.echoes() && !s.slow { // whose echoes aren't told from what else it reads
			unique, gone := s.echo.unique, s.echo.lost
			switch {
			case over && s.sent > 0:
				s.echo.Expect(1)
				unique, gone = s.echo.Totals(s.sent)
			case !over && s.hears():
				r.missing += less(s.echo.missing(), gone)
			case !over: // what was under way on a stream that is gone
				r.missing += less(s.sent, unique+gone)
			}
			echoes.add(unique, gone)
			r.unsure += min(s.ancient, gone)
		}
		s.shard.mu.Unlock()
	}
	if missing := all.lost + r.missing; float64(missing) > apartLoss*float64(all.delivered+missing) || r.apart() {
		r.noteApart() // which this account doesn't know yet
	}
	r.lostPairs, r.lostEchoes, r.inferred = all.lost, echoes.lost, inferred
	judged, faulty := r.resumes.counts()
	r.set(Resumes, judged)
	r.set(ResumesFaulty, faulty)
	r.set(Delivered, all.delivered+echoes.delivered)
	r.set(Lost, all.lost+echoes.lost)
	r.set(Expected, all.delivered+echoes.delivered+all.lost+echoes.lost)
}

// markBegin notes, as the window begins, what is missing of what was due before it. What comes after all is taken off
// again, as it comes: it was under way, and isn't to be set against what is lost in the window.
func (r *run) markBegin() {
	for _, f := range r.allFeeds() {
		f.before.Store(f.dueBefore(r.window.begin))
	}
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		for i := range s.tracked {
			t := &s.tracked[i]
			if before := t.feed.before.Load(); before > 0 {
				t.owed = t.gaps(before)
			}
		}
		r.lostBefore.echoes += s.echo.lost
		s.shard.mu.Unlock()
	}
}

// pairs counts (event, subscriber) pairs.
type pairs struct{ delivered, lost uint64 }

func (p *pairs) add(delivered, lost uint64) {
	p.delivered += delivered
	p.lost += lost
}

// missing is how many of a subscriber's gaps in a feed are losses: not those where the run itself failed to publish, nor
// its own messages where the server gives nobody theirs. The shard's mutex must be held.
func (s *subscriber) missing(t *tracked, gaps uint64) uint64 {
	return s.unexcused(t, gaps, s.lastOf(t))
}

// missingSoFar is how many events of a feed the subscriber hasn't seen, and may yet: those before the latest that it has and, while
// it has no stream that brings something, what others have seen since. Its shard's mutex must be held.
func (s *subscriber) missingSoFar(t *tracked) uint64 {
	gaps, last := t.tracker.missing(), t.tracker.next-1
	if t.teller != nil {
		gaps -= t.teller.spared
	}
	if seen := s.lastOf(t); (s.fresh || !s.hears()) && t.feed.shared() && seen > last {
		gaps, last = gaps+seen-last, seen
	}
	return s.unexcused(t, gaps, last)
}

// hears reports whether the server reaches the subscriber, as far as the run knows. Its shard's mutex must be held.
func (s *subscriber) hears() bool { return s.isOpen && !s.deaf }

// less is the difference of two counts; none where the second is the larger one.
func less(n, by uint64) uint64 { return n - min(n, by) }

// missingBefore is how many events that were due before the window the subscriber has lost. Its shard's mutex must be
// held.
func (s *subscriber) missingBefore(t *tracked) uint64 {
	last, owed := t.feed.before.Load(), t.owed
	if s.retired && t.tracker.next <= last { // what it didn't stay for is no loss
		owed = less(owed, last+1-t.tracker.next)
	}
	return s.unexcused(t, owed, last)
}

// unexcused takes off a subscriber's gaps, up to a last ordinal, those that are no losses.
func (s *subscriber) unexcused(t *tracked, gaps, last uint64) uint64 {
	if t.feed.own == nil || gaps == 0 {
		return gaps
	}
	base := t.tracker.base
	excused := t.feed.own.voided(base, last)
	if t.feed.others.Load() {
		excused += s.spoken + t.feed.own.partedFrom(uint32(s.index), base)
		for _, ordinal := range s.early {
			if ordinal >= base {
				excused++
			}
		}
	}
	return less(gaps, excused)
}

// spoke notes that the connection has published an event. Whether it is one of its account isn't known before that has
// begun. The shard's mutex must be held.
func (s *subscriber) spoke(ordinal uint64) {
	own := s.run.own
	if own == nil || s.slow || !own.counts(ordinal) {
		return
	}
	switch t := s.track(own.key); {
	case t == nil:
	case t.tracker.base == 0:
		s.early = append(s.early, ordinal)
	case ordinal >= t.tracker.base:
		s.spoken++
	}
}

// lastOf is the last ordinal of a feed that counts: of a connection that was ended on purpose, the last that it has seen.
func (s *subscriber) lastOf(t *tracked) uint64 {
	switch line := t.feed.line.Load(); {
	case s.retired:
		return t.tracker.next - 1
	case line > 0:
		return line - 1
	}
	return t.feed.highest.Load()
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

// gaps is how many of the events that the connection should have seen at the end of the run it has not, and up to which
// ordinal.
func (s *subscriber) gaps(t *tracked) (gone, last uint64) {
	expected := s.lastExpected(t.feed)
	if cutoff := s.run.cutoff; cutoff > 0 && expected > 0 {
		if expected = min(expected, t.feed.dueBy(cutoff)); expected < t.tracker.base {
			return 0, expected
		}
		return t.gaps(expected), expected
	}
	return t.gaps(expected), s.lastOf(t)
}

// assumed reports whether nothing but there having been no other feed said that the connection subscribes to this one,
// and now there is.
func (t *tracked) assumed(feeds int) bool {
	return t.tracker.unique == 0 && feeds > 1 && t.feed.own == nil
}

// joinSilent finds the connections that should have received something by now, and have not.
func (r *run) joinSilent() {
	only := r.own // what the run publishes for all is for everybody
	if feeds := r.allFeeds(); only == nil && len(feeds) == 1 {
		only = feeds[0]
	}
	if only == nil {
		return
	}
	all := r.everybody()
	r.unjoined = append(r.unjoined, all[r.newest:]...)
	r.newest = len(all)
	now := r.now()
	r.unjoined = slices.DeleteFunc(r.unjoined, func(s *subscriber) bool {
		s.shard.mu.Lock()
		defer s.shard.mu.Unlock()
		return s.join(only, now)
	})
}

// trusts reports whether gaps in a feed's ordinals mean loss: the numbers are consecutive by declaration, and were not
// used twice, or several connections saw the same ids, and one of them was always there to see them.
func (r *run) trusts(f *feed) bool {
	if !f.met.Load() && f.own == nil || f.renumbered() || f.own != nil && f.own.blurred() {
		return false
	}
	return f.declared || f.shared() && !r.blackout.Load()
}

// echoes reports whether the server echoes what the connections send: at least one message has come back.
func (r *run) echoes() bool { return r.tally.timings[RoundTrip] != nil }

// unechoedText is what is said of that.
const unechoedText = "no message that was sent came back"

// unechoed reports whether none of what connections sent has come back to them, nor to others.
func (r *run) unechoed() bool {
	return r.own == nil && !r.plan.Streams && r.tally.counts[Sent-numTimings] > 0 && !r.echoes() && !r.broadcast.Load()
}

// silent is how long a gap must be at least to be a silence; and it must be three times the longest one before.
const silent = int64(time.Second)

// silenceLimit is how long a gap must be to be a silence; never where there is none.
func (r *run) silenceLimit() int64 {
	gaps := r.tally.timings[InterArrival]
	if r.plan.Streams || gaps == nil || r.times.sends != nil && r.steering.warp.touched() {
		return never
	}
	return max(silent, 3*Most(gaps))
}

// noteSilence records the gaps that are still open at the end of the window, where they are longer than any before: a
// server that hangs until then would leave no trace in the timings.
func (r *run) noteSilence(end int64) {
	r.silence = 0
	limit, latest := r.silenceLimit(), int64(0)
	if limit == never {
		return
	}
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		latest = max(latest, s.latest)
		if !s.fresh && s.latest >= r.window.begin && s.dropped == never && !s.ended && !s.deaf {
			if gap := end - s.latest; gap > limit {
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
	if r.posting.Load() > 0 {
		return false
	}
	if r.unseen != "" && r.plan.Unnoticed { // they are black holes for good
		return true
	}
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		waiting := !s.ended && !s.retired && !(s.deaf && r.plan.Unnoticed) && s.waits(echoes, feeds)
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
		if gaps := t.gaps(s.lastExpected(t.feed)); s.missing(t, gaps) > s.missing(t, t.tracker.lost) {
			return true
		}
	}
	return echoes && !s.slow && s.sent > 0 && s.echo.unique < s.sent || s.outbox != nil && s.outbox.behind.Load() > 0
}

// unmeasured says which metrics this run can't know, and why.
func (r *run) unmeasured() map[Metric]string {
	why := make(map[Metric]string)
	tracked, distrusted := r.tracked()
	if reason := r.unpublished(); reason != "" {
		for _, m := range []Metric{Expected, Delivered, Lost, Late, Reach, Duplicate, Reordered} {
			why[m] = reason
		}
	} else if reason := r.tooOld(); reason != "" {
		for _, m := range []Metric{Expected, Delivered, Lost, Late, Reach, Duplicate, Reordered} {
			why[m] = reason
		}
	} else if tracked && r.unseen != "" {
		for _, m := range []Metric{Expected, Delivered, Lost, Late, Reach} {
			why[m] = r.unseen
		}
	} else if !tracked && !r.echoes() {
		reason := "the events carry no id, sequence or stamp (--seq names one)"
		if r.plan.Sequence != (Sequence{}) {
			reason = "no event had a number where --seq says"
		}
		switch {
		case r.plan.Streams:
			reason = "request streams have no events in common"
		case distrusted && r.own != nil && r.own.own.blurred():
			reason = blurredText
		case distrusted && r.renumbered():
			reason = renumberedText + ": was the server restarted, and does it count anew?"
		case distrusted && r.apart():
			reason = "the connections see different events, such as those of rooms or users of their own: what isn't for one can't be told from what it lost (measure one room at a time)"
		case distrusted && r.blackout.Load():
			reason = "every connection was down at once, and nobody saw what was published then (--seq id, if the ids are consecutive)"
		case distrusted:
			reason = "the ids are not known to be consecutive, and no two connections saw the same events, or not within a second of each other (--seq id, or more connections)"
		case r.broadcast.Load():
			reason = "the connections received each other's messages, which are timed but not counted (--chat, if all are to receive them)"
		case r.tally.counts[Received-numTimings] == 0:
			reason = "nothing was received"
		}
		for _, m := range []Metric{Expected, Delivered, Late, Lost, Reach, Reordered} {
			why[m] = reason
		}
		if !distrusted {
			for _, m := range []Metric{Duplicate, Ancient, Boundary} {
				why[m] = reason
			}
		}
	}
	switch resumption := r.resumption(why); {
	case resumption == nil:
		why[ResumesFaulty] = "no stream was opened again after a drop"
	case resumption.Verdict == Undecidable:
		why[ResumesFaulty] = resumption.Why
	}
	if r.renumbered() {
		why[Duplicate] = renumberedText
	}
	if !r.segments.Load() {
		why[Resent] = "the system does not tell what became of TCP segments (TCP_INFO)"
		why[OutOfOrder] = why[Resent]
	}
	if r.tally.timings[ClientLag] == nil {
		why[ClientLag] = "arrivals carry no kernel stamp"
	}
	switch {
	case r.tally.timings[Delivery] != nil || r.tally.counts[Received-numTimings] == 0:
	case r.tally.leads.apart(true) != "":
		why[Delivery] = r.tally.leads.apart(true) + ": " + askClock
	case r.stamped.Load():
		why[Delivery] = "no stamp is of a time in the measured window; are the clocks in step?"
	case !r.plan.Stamp.IsZero():
		why[Delivery] = "no event had a time at " + r.plan.Stamp.String()
	default:
		why[Delivery] = "no event carried a time stamp (--stamp names one)"
	}
	if r.unechoed() {
		why[RoundTrip] = unechoedText
	}
	if r.tally.counts[SlowReceived-numTimings] > 0 && r.tally.timings[SlowDelivery] == nil {
		why[SlowDelivery] = "no event that was read slowly carried a time stamp by this host's clock"
	}
	recorded := func(m Metric) bool { return r.tally.timings[m] != nil }
	if common := compared(); slices.ContainsFunc(common, recorded) && !slices.ContainsFunc(r.allFeeds(), (*feed).shared) {
		for _, m := range common {
			why[m] = "the connections did not see the same events, or each at its own time"
		}
	}
	return why
}

// endNow has the snapshots say, while the run goes on, what the result would if it ended now: that nobody is there, or receives
// anything.
func (r *run) endNow() {
	if r.stop != "" {
		return
	}
	r.openAtEnd, r.blind, r.silence = r.open(), r.blindEnd(), 0
	if gap := r.accounted - r.latest; gap > r.silenceLimit() {
		r.silence = time.Duration(gap)
	}
	r.unseen = r.unseenEnd()
}

// blindEnd is for how long nobody was there to see what the server published as the window ended.
func (r *run) blindEnd() time.Duration {
	if r.plan.Streams || r.own != nil || r.stop == StopEnded || r.stop == StopUnreachable || r.hearing() > 0 || !r.wanted() {
		return 0
	}
	return max(0, time.Duration(min(r.now(), r.window.end.Load())-r.blindSince.Load()))
}

// unseenEnd says why nobody can know what the server published as the window ended; "" where it may only have been little.
func (r *run) unseenEnd() string {
	switch {
	case r.plan.NoteEnds && r.own == nil && r.silence > 0:
		return "nobody received anything in the end, as behind a black hole, and nobody saw what was published then (--idle-timeout has clients notice)"
	case r.blind == 0 || r.blind < race && r.deaf.Load() == 0: // who has dropped may still tell in the drain
		return ""
	case r.deaf.Load() > 0:
		return "the run itself had made black holes of all connections, and nobody saw what was published then (--idle-timeout has clients notice)"
	case r.stop == "":
		return "no connection is open, and nobody sees what is published meanwhile"
	}
	return "no connection was open when the window ended, and nobody saw what was published then"
}

// wanted reports whether there are connections that the plan hasn't ended.
func (r *run) wanted() bool {
	return slices.ContainsFunc(r.everybody(), func(s *subscriber) bool {
		s.shard.mu.Lock()
		defer s.shard.mu.Unlock()
		return !s.retired
	})
}

// resumption is what resuming streams comes to; nil where none was resumed.
func (r *run) resumption(unmeasured map[Metric]string) *Resumption {
	distrust := unmeasured[Lost]
	if distrust == r.unseen { // that nobody knows what came in the end says nothing of the resumes before
		distrust = ""
	}
	return r.resumes.resumption(distrust, r.renumbered())
}

// compared are the timings that compare when several connections had the same event.
func compared() []Metric {
	list := []Metric{LagBehindFirst, FanoutSpread}
	for _, reach := range reaches {
		list = append(list, reach.metric)
	}
	return list
}

const renumberedText = "numbers were used again for other events"

const blurredText = "more messages failed to be published, here and there, than can be told from those that were lost"

// unpublished says why the run can't account for what it was to publish for all; "" if it can, or was to publish nothing.
func (r *run) unpublished() string {
	count := func(m Metric) uint64 { return r.tally.counts[m-numTimings] }
	switch {
	case r.own == nil:
		return ""
	case count(Due) > 0 && count(Due) <= count(Unsent)+count(PublishErrors) && r.own.distinct.Load() == 0:
		return "nothing was published"
	case !r.everOpened.Load():
		return "nothing has connected"
	case count(Received) > 0 && count(Sent) > 0 && r.own.distinct.Load() == 0:
		return "nothing of what was published was recognised in what was received" + r.tokenHint()
	case r.unsure*10 > count(Lost):
		return r.tooOld()
	}
	return ""
}

// tooOld says why loss can't be told where a subscriber that lacks events has received some so late that nobody knows
// whether they are those; "" where there is none.
func (r *run) tooOld() string {
	if r.unsure == 0 {
		return ""
	}
	return fmt.Sprintf("%d events came more than %d behind the newest, where late can't be told from again, nor from lost", r.tally.counts[Ancient-numTimings], window)
}

func (r *run) tokenHint() string {
	if r.plan.Token.IsZero() {
		return " (--token says where an event has its stamp)"
	}
	return ": there is no stamp at " + r.plan.Token.String()
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
