package bench

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A ResumeFault is one way in which a stream that was resumed did not go on exactly after the last event that was
// dispatched before the drop, with every event once and in order, up to the first live one.
type ResumeFault uint8

const (
	GapHead ResumeFault = iota
	GapSeam
	Horizon
	DupSeam
	Overlap
	RestartFromZero
	Ignored
	OutOfSequence
	ForeignID
	numResumeFaults
)

// resumeFaults is the one table of them.
var resumeFaults = [numResumeFaults]struct {
	name     string
	gap      bool // something was lost
	twice    bool // something came twice
	sentence string
}{
	GapHead:         {"gap-head", true, false, "the replay began later than after the last event, by as much whatever was missed; where all missed about as many, it may also be a limit of the server's buffer"},
	GapSeam:         {"gap-seam", true, false, "events were missing between the replay and the live ones"},
	Horizon:         {"horizon", true, false, "the replay went back no further than a limit: the server's buffer was trimmed"},
	DupSeam:         {"dup-seam", false, true, "events that came after the last one came twice, by the replay and live"},
	Overlap:         {"overlap", false, true, "events up to the last one were sent again"},
	RestartFromZero: {"restart-from-zero", false, true, "all events were sent again, from the first on"},
	Ignored:         {"ignored", true, false, "nothing was replayed; where opening a stream takes long, it may also be that the replay was shorter than that"},
	OutOfSequence:   {"reordered", false, false, "events came in another order"},
	ForeignID:       {"foreign-id", false, false, "events came that are not of this stream"},
}

// ResumeFaults lists them.
func ResumeFaults() []ResumeFault {
	list := make([]ResumeFault, numResumeFaults)
	for i := range list {
		list[i] = ResumeFault(i)
	}
	return list
}

// String is the fault's name everywhere.
func (f ResumeFault) String() string { return resumeFaults[f].name }

// Sentence says what it means.
func (f ResumeFault) Sentence() string { return resumeFaults[f].sentence }

// A ResumeVerdict says what resuming a stream comes to.
type ResumeVerdict string

const (
	ExactlyOnce ResumeVerdict = "exactly-once"  // nothing was lost and nothing came twice
	AtLeastOnce ResumeVerdict = "at-least-once" // nothing was lost, but some came twice
	Lossy       ResumeVerdict = "lossy"         // something was lost
	Undecidable ResumeVerdict = "undecidable"   // nobody can say
)

// A Resumption is what became of the streams that were opened again after a drop.
type Resumption struct {
	Verdict ResumeVerdict
	Why     string // it is undecidable; "" otherwise

	Judged  uint64                  // resumes after which there was something to replay, or that went wrong
	Correct uint64                  // of these, those that went on as they should
	Faults  [numResumeFaults]uint64 // of these, those with each fault; one can have several

	Idle    uint64 // nothing had been published meanwhile, so that they show nothing
	Cut     uint64 // the stream dropped again, or the run ended, before a live event
	Unasked uint64 // no position was sent, as where events carry no id
	Unknown uint64 // what came can't be told from what didn't

	Replayed uint64 // events that only a replay can have brought
	Deepest  uint64 // the most of them after one drop
	Missing  uint64 // events that were lost over the drops
	Resent   uint64 // events that came again over the drops
}

// AtMost is the share of resumes that go wrong, at most, with 95 % confidence where none of those judged did (the rule of
// three); ok is false where one did, or there was none.
func (r *Resumption) AtMost() (share float64, ok bool) {
	if r.Judged == 0 || r.Correct < r.Judged {
		return 0, false
	}
	return min(1, 3/float64(r.Judged)), true
}

// A resuming is a stream of a feed that was opened again, until it is live for a while. Ordinals are the feed's, times
// ns after the start.
//
// Nobody can say of an event that was published while the stream was being opened whether a replay brought it: it is
// neither a sign of one nor the first live event.
type resuming struct {
	last     uint64 // of the last event dispatched before the drop
	top      uint64 // the highest seen by then: later than last where events came out of order
	known    uint64 // the highest that anybody had seen when the stream was open
	asked    int64  // when the request was sent, or before
	opened   int64
	max      uint64 // the highest up to live; last, as long as there is none
	first    uint64 // the first after last; 0 before there is one
	live     uint64 // the first that was published after the stream was open; 0 before there is one
	liveAt   int64
	lowest   uint64 // of those sent again
	suspect  uint64 // nobody else had seen it, when it should have been known; 0 for none
	replayed uint64 // published before that was asked for
	resent   uint64 // up to last
	again    uint64 // after last, and not for the first time
	swapped  uint64 // after last, and after a later one
	head     uint64 // missing before first
	seam     uint64 // missing between first and live
	foreign  bool
	others   int  // events that are others than those that had their numbers before
	between  bool // there was one after last, published while the stream was being opened: whether a replay brought it nobody can say
	blurred  bool // one came too late to be told from a duplicate

	since int64  // when the first live event came, at the latest
	burst *burst // nil where others saw all that was published

	odd  []oddity // what nobody else has seen, where the next to come should be known; see number
	odds int      // how many there were
}

// An oddity is an event of which it isn't known yet what it is.
type oddity struct {
	id   uint64 // hash
	seen sighted
}

// maxOddities are kept; of more it is only known how many there were.
const maxOddities = 64

// seamTime is how long after a stream was opened an event may have been published that a replay brings as well.
const seamTime = 100 * time.Millisecond

// enoughOthers is how many events that aren't what their numbers say make a stream another one.
const enoughOthers = 3

// unclear reports whether nobody can say what of a stream is live.
func (p *resuming) unclear() bool { return p.blurred || p.others >= enoughOthers }

// goesOn reports whether a stream brings what is published as it is, as far as can be said. nil is for one that wasn't
// opened again.
func (p *resuming) goesOn() bool { return p == nil || p.live != 0 || p.unclear() }

// resume begins to watch a stream that was opened again after a drop. The shard's mutex must be held.
func (s *subscriber) resume(info client.Info) {
	known := len(s.tracked) == 0 && s.latest > 0 // as far as events without any identity are
	asked := s.started                           // not after the request: whatever the server had published by then, only a replay can bring
	for _, phase := range [...]time.Duration{info.Phases.DNS, info.Phases.TCP, info.Phases.TLS} {
		asked += max(0, int64(phase))
	}
	for i := range s.tracked {
		t := &s.tracked[i]
		if t.tracker.unique == 0 || !t.feed.met.Load() && t.feed.own == nil {
			continue
		}
		known = true
		if !info.Resumed {
			continue
		}
		opened := s.reopened
		t.resuming = &resuming{
			burst: t.feed.unwatched(t.last, asked, opened, &info),
			last:  t.last, top: t.tracker.next - 1, max: t.last, lowest: math.MaxUint64,
			known: t.feed.highest.Load(), asked: asked, opened: opened,
			blurred: t.tracker.sight(t.last) == TooOld, // and so is what came between
		}
	}
	if known && (!info.Resumed || len(s.tracked) == 0) {
		s.run.resumes.unasked()
	}
}

// resumes reports whether the stream was opened again and isn't live yet.
func (s *subscriber) resumes() bool {
	for i := range s.tracked {
		if p := s.tracked[i].resuming; p != nil && p.live == 0 {
			return true
		}
	}
	return false
}

// stray notes that a stream that isn't live again yet has brought an event that isn't of the subscription.
func (s *subscriber) stray() {
	for i := range s.tracked {
		if p := s.tracked[i].resuming; p != nil && p.live == 0 {
			p.foreign = true
		}
	}
}

// resumed takes an event of a stream that was opened again, before the tracker does. The shard's mutex must be held.
func (t *tracked) resumed(s *subscriber, c *cell, seen *sighted) {
	p, n := t.resuming, seen.ordinal
	if p.live != 0 && seen.at >= p.liveAt+int64(race) && !t.lacks(seen.at) {
		t.conclude(s, c)
		return
	}
	if p.burst != nil {
		p.burst.note(n, seen.at)
	}
	if p.blurred {
		return
	}
	if t.feed.differs(n, seen.content) {
		p.foreign = true
		p.another(seen.at)
		return
	}
	from, until := t.feed.published(seen, p.known)
	switch how := t.tracker.sight(n); {
	case n <= p.last:
		if how != Overdue { // else it was missing before the drop
			p.resent++
			p.lowest = min(p.lowest, n)
			if b := p.burst; b != nil && b.lively(seen.at) { // at the pace of live ones
				p.another(seen.at)
				t.feed.anew.Add(1)
			}
		}
	case how == TooOld:
		p.blurred = true
	case how != Again:
		p.take(seen, from, until, t)
	case n > p.top && (p.live == 0 || n <= p.live || from < p.opened+int64(seamTime)):
		p.again++
	}
}

// lateReplay is how long after the first live event what should have been replayed may still come.
const lateReplay = 5 * time.Second

// lacks reports whether something that the stream should have replayed is missing, and could still be told from what had come
// before. The stream must be live.
func (t *tracked) lacks(at int64) bool {
	p := t.resuming
	return p.head+p.seam > 0 && !p.unclear() && at < p.liveAt+int64(lateReplay) && t.tracker.next-p.last <= window
}

// another notes an event that is another one than that which had its number before.
func (p *resuming) another(at int64) {
	if p.others++; p.since == 0 {
		p.since = at
	}
}

// number gives an event with an opaque id its ordinal. It can't where a stream that was opened again brings an event that
// nobody has seen, though one that others have seen should come next: a live event, after nothing or not all was
// replayed; one from before all that is known; or one of another stream. Which, is known later.
func (t *tracked) number(s *subscriber, c *cell, id uint64, seen *sighted) (ordinal uint64, ok bool) {
	p := t.resuming
	if p == nil || p.live != 0 || p.max >= p.known || seen.known && seen.due >= p.opened {
		return t.feed.ids.ordinal(id, t.teller), true
	}
	if ordinal, ok = t.feed.ids.find(id, t.teller); ok {
		t.explain(s, c, ordinal)
		return ordinal, true
	}
	if t.explain(s, c, 0); p.live != 0 { // those before it are
		return t.feed.ids.ordinal(id, t.teller), true
	}
	if p.odds++; len(p.odd) < maxOddities {
		p.odd = append(p.odd, oddity{id, *seen})
	}
	return 0, false
}

// explain finds out what the odd events are, given the ordinal of one that came after them; 0 where that isn't known.
func (t *tracked) explain(s *subscriber, c *cell, next uint64) {
	p := t.resuming
	switch {
	case p.odds == 0:
		return
	case next > 0 && next <= p.last:
		p.resent += uint64(p.odds)
		p.lowest, p.odd, p.odds = 0, nil, 0
		return
	case next > 0 && next <= p.known:
		p.foreign, p.odd, p.odds = true, nil, 0
		return
	}
	for len(p.odd) > 0 {
		o := p.odd[0]
		if p.live != 0 { // and so is what came after the first live one
			o.seen.ordinal = t.feed.ids.ordinal(o.id, t.teller)
		} else if o.seen.ordinal, _ = t.feed.ids.find(o.id, t.teller); o.seen.ordinal == 0 {
			break
		}
		p.odd = p.odd[1:]
		p.odds--
		s.observe(c, t, &o.seen)
	}
	if next > 0 && p.odds > 0 {
		p.foreign, p.odd, p.odds = true, nil, 0
	}
}

// take takes an event after the last one, which hasn't been seen before. It was published between two times.
func (p *resuming) take(seen *sighted, from, until int64, t *tracked) {
	n := seen.ordinal
	replayed, live := until < p.asked, from >= p.opened
	if replayed {
		p.replayed++
	}
	since := seen.at
	if b := p.burst; b != nil && n > b.before.last && n < b.dawn && !seen.known && t.feed.own == nil && p.live == 0 {
		var more uint64
		more, live = b.take(n, seen.at, replayed)
		p.replayed += more
		since = min(since, b.since)
	}
	if p.burst == nil && p.suspect == 0 && !t.feed.declared && n > p.known && p.live == 0 && (from == never || until < p.asked) {
		p.suspect = n
	}
	switch {
	case p.live != 0 && n > p.live:
	case n < p.max:
		if t.feed.ordered(p.max, n) {
			p.swapped++
		}
		if n < p.first {
			p.head -= min(p.head, 1)
		} else {
			p.seam -= min(p.seam, 1)
		}
	default:
		missing := n - p.max - 1
		for before := p.max + 1; before <= min(p.top, n-1); before++ { // seen before the drop
			if t.tracker.sight(before) == Again {
				missing--
			}
		}
		if p.first == 0 {
			p.head = missing
		} else {
			p.seam += missing
		}
	}
	if p.live == 0 && !live && !replayed && from < p.opened {
		p.between = true
	}
	if p.first == 0 {
		p.first = n
	}
	if p.live == 0 && live {
		p.live, p.liveAt, p.since = n, seen.at, since
	}
	if p.live == 0 || n <= p.live {
		p.max = max(p.max, n)
	}
}

// conclude judges a stream that was opened again: it is live since a while, or it has ended. The shard's mutex must be
// held.
func (t *tracked) conclude(s *subscriber, c *cell) {
	p := t.resuming
	if p == nil {
		return
	}
	if t.explain(s, c, math.MaxUint64); t.resuming == nil { // one of those was late enough to conclude it
		return
	}
	t.resuming = nil
	if own := t.feed.own; own != nil && p.first != 0 { // what failed to be published is nobody's loss
		p.head -= min(p.head, own.voided(p.last+1, p.first-1))
		p.seam -= min(p.seam, own.voided(p.first+1, p.max))
	}
	if b := p.burst; b != nil && b.declared && p.live != 0 && !p.blurred {
		p.replayed = max(p.replayed, b.surely(p.live-p.last-1-min(p.live-p.last-1, p.head+p.seam), p.liveAt))
	}
	if p.suspect != 0 && s.run.openPeak.Load() > 1 && !s.run.blackout.Load() && t.feed.alone(p.suspect) {
		p.foreign = true
	}
	unclear := p.blurred || t.feed.others.Load() && s.sends() && p.head+p.seam > 0 // its own messages may not be for it
	s.run.resumes.add(p, unclear, t.tracker.base)
	if s.run.runner.looked.Load() {
		s.happened(s.run.now(), p.outcome(unclear))
	}
}

// faulty reports whether anything went wrong, as far as is known.
func (p *resuming) faulty() bool {
	return p.head+p.seam+p.resent+p.again+p.swapped > 0 || p.foreign
}

// ignored reports whether nothing was replayed that should have been. sure is false where some of what came may have been:
// it was published while the stream was being opened.
func (p *resuming) ignored() (is, sure bool) {
	return p.head > 0 && p.replayed == 0 && p.resent == 0, !p.between
}

// A resumeTally adds up what became of the resumes of all connections. Safe for concurrent use.
type resumeTally struct {
	mu     sync.Mutex
	sum    Resumption
	heads  heads
	either heads                         // of which nobody can say by themselves whether anything was replayed
	reach  struct{ begin, short uint64 } // streams that sent again what had come before, back to the first event or not
}

// heads are the resumes whose replay began late. By one alone nobody can tell a server that forgets the first event from
// one that has forgotten all before a limit; by several, that see what is the same.
type heads struct {
	n                 uint64
	least, most       uint64 // missing
	shortest, longest uint64 // of what was to be replayed
	complete          uint64 // the most that a replay which began in time brought
}

func (h *heads) add(p *resuming) {
	wanted := p.head + p.replayed // not what was published while the stream was being opened, which takes now this and now that long
	if h.n++; h.n == 1 {
		h.least, h.shortest = p.head, wanted
	}
	h.least, h.most = min(h.least, p.head), max(h.most, p.head)
	h.shortest, h.longest = min(h.shortest, wanted), max(h.longest, wanted)
}

// join adds others.
func (h *heads) join(o heads) {
	switch {
	case o.n == 0:
		return
	case h.n == 0:
		h.least, h.shortest = o.least, o.shortest
	}
	h.n += o.n
	h.least, h.most = min(h.least, o.least), max(h.most, o.most)
	h.shortest, h.longest = min(h.shortest, o.shortest), max(h.longest, o.longest)
}

const (
	fewMissing = 2 // as by counting one too far
	alike      = 2 // by how many events what was wanted may differ, for those that come while a stream is being opened
)

// fault says which of the two it is.
func (h *heads) fault() ResumeFault {
	switch {
	case h.complete >= h.longest, h.least == h.most && h.longest-h.shortest > alike, h.most <= fewMissing && h.longest-h.shortest <= alike:
		return GapHead
	}
	return Horizon
}

func (r *resumeTally) unasked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Unasked++
}

// late takes one that began after the window.
func (r *resumeTally) late() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Cut++
}

// add takes one resume, of a subscription whose first event was base.
func (r *resumeTally) add(p *resuming, unclear bool, base uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := &r.sum
	switch {
	case unclear:
		sum.Unknown++
		return
	case p.live == 0 && !p.faulty():
		sum.Cut++
		return
	case p.replayed == 0 && !p.faulty():
		sum.Idle++
		return
	}
	sum.Judged++
	sum.Replayed += p.replayed
	sum.Deepest = max(sum.Deepest, p.replayed)
	sum.Missing += p.head + p.seam
	sum.Resent += p.resent + p.again
	count := func(f ResumeFault, is bool) {
		if is {
			sum.Faults[f]++
		}
	}
	ignored, sure := p.ignored()
	count(Ignored, ignored && sure)
	count(GapSeam, p.seam > 0)
	count(DupSeam, p.again > 0)
	count(OutOfSequence, p.swapped > 0)
	count(ForeignID, p.foreign)
	switch {
	case ignored && sure:
	case ignored:
		r.either.add(p)
	case p.head > 0:
		r.heads.add(p)
	case p.head == 0:
		r.heads.complete = max(r.heads.complete, p.replayed)
	}
	switch {
	case p.resent == 0:
	case p.lowest <= base:
		r.reach.begin++
	default:
		r.reach.short++
	}
	if !p.faulty() {
		sum.Correct++
	}
}

// counts gives how many resumes were judged, and of them how many were faulty.
func (r *resumeTally) counts() (judged, faulty uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sum.Judged, r.sum.Judged - r.sum.Correct
}

// resumption is what it all comes to; nil where no stream was resumed. distrust says why loss can't be told, "" where it
// can; renumbered that other events had the same numbers, so that nothing can be told by those.
func (r *resumeTally) resumption(distrust string, renumbered bool) *Resumption {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := &r.sum; (renumbered || distrust != "") && s.Judged+s.Idle > 0 { // nothing that numbers say of them is so, nor that there was nothing
		return &Resumption{Verdict: Undecidable, Why: cmp.Or(distrust, renumberedText), Cut: s.Cut, Unasked: s.Unasked, Unknown: s.Unknown + s.Judged + s.Idle}
	}
	sum := r.sum
	switch heads := r.heads; {
	case heads.n == 0: // no replay brought anything for sure, to any
		sum.Faults[Ignored] += r.either.n
	default:
		heads.join(r.either)
		sum.Faults[heads.fault()] += heads.n
	}
	if r.reach.short > 0 {
		sum.Faults[Overlap] = r.reach.begin + r.reach.short
	} else {
		sum.Faults[RestartFromZero] = r.reach.begin
	}
	others := sum.Idle + sum.Cut + sum.Unasked + sum.Unknown
	switch gap, twice := sum.any(); {
	case sum.Judged+others == 0:
		return nil
	case sum.Judged == 0:
		sum.Verdict, sum.Why = Undecidable, sum.idle()
	case gap:
		sum.Verdict = Lossy
	case sum.Faults[ForeignID] > 0:
		sum.Verdict, sum.Why = Undecidable, "there were events that are not of the stream"
	case twice:
		sum.Verdict = AtLeastOnce
	default:
		sum.Verdict = ExactlyOnce
	}
	return &sum
}

// any reports whether there was a fault by which events are lost, and one by which they come twice.
func (r *Resumption) any() (gap, twice bool) {
	for f, n := range r.Faults {
		gap = gap || n > 0 && resumeFaults[f].gap
		twice = twice || n > 0 && resumeFaults[f].twice
	}
	return gap, twice
}

// idle says why none of the resumes could be judged.
func (r *Resumption) idle() string {
	switch most := max(r.Idle, r.Cut, r.Unasked, r.Unknown); most {
	case r.Unasked:
		return "no position was sent: the events carry no id, or nothing says how to send it (--id, --resume)"
	case r.Idle:
		return "nothing was published while a connection was down"
	case r.Cut:
		return "no stream that was opened again got as far as a live event"
	}
	return fmt.Sprintf("events came more than %d behind the newest, or those that the connections sent themselves may not be for them", window)
}
