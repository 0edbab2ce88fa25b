package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/client"
)

// A world is everything that happens in one run: what was published, and what became of every event on its way to
// every subscriber. It is played to the pipeline, and added up by hand from its raw log.
type world struct {
	kind    feedKind
	period  time.Duration // event n, counted from 1, is due at n·period
	window  time.Duration // when the measured window ends
	end     time.Duration // when everything has arrived that will
	members []member
	log     []happening // in the order of time
}

// A member is one subscriber.
type member struct {
	opened  time.Duration
	retires time.Duration // when the plan ends it; 0 for never
}

type happening struct {
	at     time.Duration
	what   string
	member int
	n      int // the event
}

// drawWorld draws faults for each pair of event and subscriber: drops, duplicates, reorderings, copies from long
// before; a history to greet with; and outages, with and without a replay, for good, or planned.
func drawWorld(t *rapid.T) *world {
	w := &world{
		kind:   rapid.SampledFrom([]feedKind{byStamp, byNumber, byOpaqueID}).Draw(t, "kind"),
		period: time.Duration(rapid.IntRange(12, 100).Draw(t, "period")) * millisecond,
		window: time.Duration(rapid.IntRange(2000, 4000).Draw(t, "window")) * millisecond,
	}
	w.end = w.window + 3*second
	percent := func(name string, most int) int {
		return rapid.SampledFrom([]int{0, 0, 1, most}).Draw(t, name)
	}
	drop, twice, reorder, old := percent("drop %", 30), percent("duplicate %", 30), percent("reorder %", 30), percent("old %", 5)
	silent := rapid.Bool().Draw(t, "one is silent")
	history := time.Duration(rapid.SampledFrom([]int{0, 0, 3, 40}).Draw(t, "history")) * w.period
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	upTo := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d)) + 1) }
	for i := range rapid.IntRange(1, 5).Draw(t, "subscribers") {
		m := member{opened: time.Duration(rapid.IntRange(0, 2500).Draw(t, "opened")) * millisecond}
		w.happens(m.opened, "opens", i, 0)
		outages := w.drawOutages(t, i, &m)
		w.members = append(w.members, m)
		for n := 1; time.Duration(n)*w.period < w.window+2*second; n++ {
			due := time.Duration(n) * w.period
			if due < m.opened-history || random.IntN(100) < drop || silent && i == 0 {
				continue
			}
			arrivals := []time.Duration{due + upTo(20*millisecond)}
			if due < m.opened { // the server greets with the last events
				arrivals[0] = m.opened + time.Duration(n)*time.Microsecond
			}
			if random.IntN(100) < reorder {
				arrivals[0] += upTo(300 * millisecond)
			}
			if random.IntN(100) < twice {
				arrivals = append(arrivals, arrivals[0]+upTo(400*millisecond))
			}
			if random.IntN(100) < old && w.kind != byOpaqueID {
				arrivals = append(arrivals, arrivals[0]+250*w.period+upTo(20*w.period))
			}
			for _, at := range arrivals {
				if at = m.through(outages, at, n); at > 0 && at < w.end {
					w.happens(at, "gets", i, n)
				}
			}
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "collections") {
		w.happens(upTo(w.window), "collects", 0, 0)
	}
	w.happens(w.window, "closes", 0, 0)
	slices.SortStableFunc(w.log, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
	return w
}

func (w *world) happens(at time.Duration, what string, member, n int) {
	w.log = append(w.log, happening{at, what, member, n})
}

// An outage is when a subscriber is away. to is 0 where it doesn't come back.
type outage struct {
	from, to time.Duration
	replay   bool
}

func (w *world) drawOutages(t *rapid.T, i int, m *member) (list []outage) {
	at := m.opened
	for range rapid.IntRange(0, 2).Draw(t, "outages") {
		at += time.Duration(rapid.IntRange(1, 2000).Draw(t, "up for")) * millisecond
		o := outage{at, at + time.Duration(rapid.IntRange(1, 2000).Draw(t, "down for"))*millisecond, rapid.Bool().Draw(t, "replay")}
		w.happens(o.from, "drops", i, 0)
		w.happens(o.to, "opens", i, 0)
		list, at = append(list, o), o.to
	}
	at += time.Duration(rapid.IntRange(1, 2000).Draw(t, "up for")) * millisecond
	switch rapid.SampledFrom([]string{"stays", "stays", "ends", "retires"}).Draw(t, "in the end") {
	case "ends":
		w.happens(at, "ends", i, 0)
		list = append(list, outage{from: at})
	case "retires":
		m.retires = at
		w.happens(at, "retires", i, 0)
		list = append(list, outage{from: at + 50*millisecond}) // what was under way still comes
	}
	return list
}

// through says when an event arrives that would at that time, 0 for never.
func (m member) through(outages []outage, at time.Duration, n int) time.Duration {
	for _, o := range outages {
		switch {
		case at < o.from:
			return at
		case o.to == 0 || at < o.to && !o.replay:
			return 0
		case at < o.to:
			return o.to + time.Duration(n)*time.Microsecond
		}
	}
	return at
}

// An account is what a run comes to.
type account struct {
	measured                                bool // loss is
	expected, delivered, lost               uint64
	received, duplicate, reordered, ancient uint64
	reach                                   float64
	delivery                                []int64
}

func (a *account) String() string {
	return fmt.Sprintf("measured %v, expected %d, delivered %d, lost %d, received %d, duplicate %d, reordered %d, ancient %d, reach %v, %d deliveries",
		a.measured, a.expected, a.delivered, a.lost, a.received, a.duplicate, a.reordered, a.ancient, a.reach, len(a.delivery))
}

// play lets the pipeline observe the world, in fake time, and gives its result.
func (w *world) play(t *testing.T) *Result {
	plan := Plan{Stages: []Stage{{0, len(w.members)}}, Duration: time.Hour, Sequence: Sequence{ID: w.kind == byNumber}}
	r := newRun(&Runner{Plan: plan, Dialer: func(int) (client.Dialer, error) { return noDialer{}, nil }})
	defer r.cancel()
	r.window.begin = 0
	r.recorder.shards = r.recorder.shards[:1] // merging is most of the time that this takes
	all := make([]*subscriber, len(w.members))
	for i := range all {
		all[i] = r.newSubscriber(i, client.Backoff{})
	}
	for _, h := range w.log {
		if wait := h.at - time.Since(r.start); wait > 0 {
			<-time.After(wait)
		}
		s, now := all[h.member], time.Now()
		switch h.what {
		case "opens":
			s.Opened(client.Opened{At: now, Info: client.Info{Started: now}})
		case "drops", "ends":
			s.Closed(client.Closed{At: now, Opened: true, Err: io.EOF, Final: h.what == "ends"})
			if h.what == "ends" {
				s.ended = true
				s.leave()
			}
		case "retires":
			s.retired = true
			s.leave()
		case "gets":
			ev := w.event(r, h.n, now)
			s.Received(&ev)
		case "collects":
			r.collect()
		case "closes":
			r.close(StopDuration, "")
		}
	}
	r.phase = PhaseFinish
	return r.result()
}

func (w *world) event(r *run, n int, now time.Time) client.Event {
	ev := client.Event{Arrival: client.Arrival{User: now}, Retry: -1, Data: fmt.Appendf(nil, "event %d", n)}
	switch w.kind {
	case byStamp:
		due := r.wall + int64(n)*int64(w.period)
		ev.Data = client.AppendStamp(ev.Data, client.Stamp{Run: r.id ^ 1, Source: 5, Seq: uint64(n), Due: due, Sent: due})
	case byNumber:
		ev.ID, ev.OwnID = fmt.Appendf(nil, "%d", n), true
	case byOpaqueID:
		ev.ID, ev.OwnID = fmt.Appendf(nil, "%x", n*7919), true
	}
	return ev
}

// count adds the world up from its log. The definitions leave room for choices; they are:
//
//   - The order of events is the publisher's where they carry numbers. Of opaque ids it is the one in which anybody
//     first saw them, as far as whoever was first with the later one had seen the earlier one, or something that whoever was
//     first with had seen after it: only then an event that comes after a later one is reordered. So a connection that is
//     the first to see two events the wrong way round makes the others reordered. What anybody sees one after the other
//     counts for that. And a member misses an event only where that holds of it and something that the member has seen: which
//     is decided when 256 events have followed, or in the end.
//   - The line is the last event that anybody had seen when the window ended. What is beyond it doesn't count, and says
//     nothing of the order.
//   - A subscriber expects everything from its first event up to the line, except that one that the plan ended
//     expects nothing after its own last event; and so do all where it isn't known that they see the same events.
//   - Before its first event it expects, going back, what others had seen by then, as long as that was after it was
//     open, down to the last event that was a second or more after that. Where an event's due time isn't known, it was
//     open when the event first arrived anywhere, and a second before what had arrived anywhere before that, apart by
//     50 ms from the first that came with the event. One that has seen nothing yet takes this look back at every
//     collection, too, until it finds something.
//   - 256 events behind the newest is the limit beyond which an arrival is neither a duplicate nor late but ancient,
//     and its event, if it was missing, lost; but where a member has had such events and lacks some, nobody knows whether
//     they are those, and loss isn't measured at all. It isn't either where nobody is there in its last second, or has been told anything, of those
//     that the plan hasn't ended.
//   - A delivery is timed for the first arrival of a pair, if the event was due after the subscription was open.
func (w *world) count() *account {
	b := &books{
		world: w, first: make(map[uint64]time.Duration), after: make(map[uint64]time.Duration), together: []time.Duration{0},
		ordinals: make(map[int]uint64), before: make(map[uint64]map[uint64]bool), pages: make([]page, len(w.members)),
	}
	for i := range b.pages {
		p := &b.pages[i]
		p.seen, p.own, p.knows, p.spared = make(map[uint64]bool), make(map[uint64]bool), make(map[uint64]bool), make(map[uint64]bool)
	}
	for _, h := range w.log {
		switch h.what {
		case "opens":
			b.open++
			b.pages[h.member].opened, b.pages[h.member].fresh = h.at, true
		case "drops", "ends":
			b.open--
			p := &b.pages[h.member]
			if b.open == 0 && b.line == 0 {
				b.blackout = true
				if !p.fresh || h.at-p.opened >= race {
					b.blindSince = h.at
				}
			}
		case "gets":
			b.pages[h.member].fresh = false
			b.arrives(h)
		case "collects":
			b.lookBack(h.at)
		case "retires":
			b.retired++
		case "closes":
			b.line = b.highest + 1
			b.unseen = b.open == 0 && b.retired < len(w.members) && w.window-b.blindSince >= race
		}
	}
	b.lookBack(w.end)
	return b.balance()
}

// books are what count keeps while it reads the log.
type books struct {
	*world
	sum           account
	first         map[uint64]time.Duration   // when an event that counts was, by ordinal: due, or seen by anybody
	after         map[uint64]time.Duration   // it was published then or later
	together      []time.Duration            // first arrivals of the last events that came together, or the start
	apart         time.Duration              // the last one before those
	waits         []time.Duration            // of members for their first event, where it isn't known when that was due
	before        map[uint64]map[uint64]bool // of opaque ids, by ordinal: what is before it
	ordinals      map[int]uint64
	highest, line uint64
	repeats       int
	open, retired int
	blindSince    time.Duration
	unseen        bool   // and so they were when the window ended, since a second or more, though the plan wanted some
	blackout      bool   // everybody was away at once: nobody can say what was published under an opaque id
	pages         []page // by member
}

type page struct {
	base, newest uint64          // 0 before there is one
	knows        map[uint64]bool // what it has seen, and what is before that
	own          map[uint64]bool // what it has seen, whether that counts or not
	decided      uint64          // up to where it is decided what it missed
	spared       map[uint64]bool // what it didn't see, and didn't miss
	seen         map[uint64]bool
	level        bool
	behind       int
	ancient      int // of those that it expects
	opened       time.Duration
	fresh        bool // it has received nothing since
}

// sawID enters that a member saw an opaque id.
func (b *books) sawID(p *page, ordinal uint64, first bool) {
	had := maps.Clone(p.knows)
	if first {
		b.before[ordinal] = maps.Clone(had)
	}
	if !p.own[ordinal] {
		maps.Copy(p.knows, b.before[ordinal])
		maps.Copy(b.before[ordinal], had)
	}
	p.own[ordinal], p.knows[ordinal] = true, true
}

// follows reports whether an event is known to be after an earlier one.
func (b *books) follows(later, earlier uint64) bool {
	return b.kind != byOpaqueID || b.before[later][earlier]
}

// decide says which of the events up to an ordinal a member hasn't missed, though it hasn't seen them.
func (b *books) decide(p *page, last uint64) {
	if b.kind != byOpaqueID || p.base == 0 {
		return
	}
	for n := max(p.base, p.decided+1); n <= last; n++ {
		p.decided = n
		if p.seen[n] || b.before[n] == nil {
			continue
		}
		started := false
		for m := p.base; m < n; m++ {
			started = started || p.own[m] && b.before[n][m]
		}
		if !started {
			p.spared[n] = true
		}
	}
}

func (b *books) arrives(h happening) {
	b.sum.received++
	m, p := b.members[h.member], &b.pages[h.member]
	ordinal := uint64(h.n)
	if b.kind == byNumber {
		ordinal++ // they may begin with 0
	}
	if b.kind == byOpaqueID {
		first := b.ordinals[h.n] == 0
		if first {
			b.ordinals[h.n] = uint64(len(b.ordinals) + 1)
		}
		ordinal = b.ordinals[h.n]
		if b.line == 0 || ordinal < b.line {
			b.sawID(p, ordinal, first)
		}
	}
	due := time.Duration(h.n) * b.period
	fresh := true
	switch {
	case b.line > 0 && ordinal >= b.line:
	case p.newest > 0 && ordinal+window <= p.newest:
		b.sum.ancient++
		if ordinal >= p.base {
			p.ancient++
		}
		fresh = false
	case p.seen[ordinal]:
		b.sum.duplicate++
		fresh = false
	default:
		if len(p.seen) == 0 {
			if b.kind != byStamp {
				b.waits = append(b.waits, h.at-m.opened)
			}
			p.base = min(cmp.Or(p.base, ordinal), b.back(m, ordinal))
		}
		if ordinal < p.base {
			break
		}
		for later := ordinal + 1; later <= p.newest; later++ {
			if p.seen[later] && b.follows(later, ordinal) {
				b.sum.reordered++
				break
			}
		}
		if ordinal > p.newest && ordinal >= window {
			b.decide(p, ordinal-window)
		}
		p.seen[ordinal] = true
		p.newest = max(p.newest, ordinal)
		b.sees(p, ordinal, h.at, due)
	}
	if fresh && b.kind == byStamp && due >= m.opened && due < b.world.window {
		b.sum.delivery = append(b.sum.delivery, int64(h.at-due))
	}
}

// sees enters an event that a member has seen for the first time.
func (b *books) sees(p *page, ordinal uint64, at, due time.Duration) {
	first, repeat := b.first[ordinal]
	if !repeat {
		if at > b.together[0]+50*time.Millisecond {
			b.apart = slices.Max(b.together)
			b.together = nil
		}
		b.together = append(b.together, at)
		b.first[ordinal], b.after[ordinal] = at, b.apart
		if b.kind == byStamp {
			b.first[ordinal], b.after[ordinal] = due, due
		}
		b.highest = max(b.highest, ordinal)
	} else {
		b.repeats++
	}
	if repeat && b.kind != byStamp && at-first > race {
		p.behind++
	} else {
		p.level = true
	}
}

// back is the first event that a member expects whose first one is that.
func (b *books) back(m member, ordinal uint64) uint64 {
	expect, end := ordinal, m.opened+race
	if len(b.waits) > 0 {
		end += slices.Min(b.waits)
	}
	for n := ordinal - 1; n > 0; n-- {
		when, seen := b.first[n]
		if seen && when <= m.opened {
			break
		}
		if seen && b.after[n] >= end {
			expect = n
		}
	}
	return expect
}

func (b *books) lookBack(now time.Duration) {
	for i, m := range b.members {
		if p := &b.pages[i]; b.highest > 0 && p.base == 0 && m.opened+race < now {
			if expect := b.back(m, b.highest+1); expect <= b.highest {
				p.base = expect
			}
		}
	}
}

func (b *books) balance() *account {
	behind := 0
	for i := range b.pages {
		if !b.pages[i].level {
			behind += b.pages[i].behind
		}
	}
	shared := b.repeats > 0 && behind*100 <= b.repeats
	sum := &b.sum
	sum.measured = shared && !b.blackout || b.kind != byOpaqueID && sum.received > 0
	unsure := false
	for i, m := range b.members {
		p := &b.pages[i]
		last := b.line - 1
		if m.retires > 0 || !shared {
			last = p.newest
		}
		if !sum.measured || p.base == 0 {
			continue
		}
		before := sum.lost
		b.decide(p, last)
		for n := p.base; n <= last; n++ {
			if p.spared[n] {
				continue
			}
			sum.expected++
			if !p.seen[n] {
				sum.lost++
			}
		}
		unsure = unsure || p.ancient > 0 && sum.lost > before
		sum.delivered += uint64(len(p.seen))
	}
	if unsure || b.unseen {
		sum.measured, sum.expected, sum.delivered, sum.lost = false, 0, 0, 0
	}
	if sum.expected > 0 {
		sum.reach = float64(sum.delivered) / float64(sum.expected)
	}
	return sum
}

// TestAccountingAgainstRawLog: whatever goes wrong on the way, the figures are those of the raw log.
func TestAccountingAgainstRawLog(t *testing.T) {
	checked := make(map[feedKind]int)
	fewerUnderRace(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		want := w.count()
		var result *Result
		synctest.Test(t, func(t *testing.T) { result = w.play(t) })
		count := result.Count
		got := &account{
			received: count(Received), duplicate: count(Duplicate), reordered: count(Reordered), ancient: count(Ancient),
			measured: result.Unmeasured[Lost] == "", delivery: want.delivery,
		}
		if got.measured {
			got.expected, got.delivered, got.lost = count(Expected), count(Delivered), count(Lost)
			got.reach = result.Figure(Threshold{Metric: Reach}).Value
		}
		if got.String() != want.String() {
			rt.Fatalf("%+v, kind %d\ngot  %v\nwant %v", w.members, w.kind, got, want)
		}
		if !equalTiming(result.Histogram(Delivery), want.delivery) {
			rt.Fatalf("delivery %s\nwant %v", show(result.Histogram(Delivery)), want.delivery)
		}
		if got.measured && want.lost > 0 {
			checked[w.kind]++
		}
	})
	t.Logf("runs with loss that was measured, by kind: %v", checked)
}
