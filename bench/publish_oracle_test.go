package bench

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// A publishAccount is what a run that publishes comes to.
type publishAccount struct {
	due, sent, unsent, errors       uint64
	expected, delivered, lost, late uint64
	received, duplicate, reordered  uint64
	boundary, distinct              uint64
	delivery, reply, lags, spreads  []int64
	reach                           [4][]int64 // in 50, 95, 99 and 100 % of the subscribers
	short                           [4]uint64  // how many never reached those
	failures                        int        // publications that failed by what was said of them
}

func (a *publishAccount) String() string {
	return fmt.Sprintf("due %d, sent %d, unsent %d, publish_errors %d, expected %d, delivered %d, lost %d, late %d, "+
		"received %d, duplicate %d, reordered %d, boundary %d, distinct %d, short %v, %d deliveries, %d replies, %d lags, %d spreads, reached %d %d %d %d",
		a.due, a.sent, a.unsent, a.errors, a.expected, a.delivered, a.lost, a.late, a.received, a.duplicate, a.reordered, a.boundary, a.distinct,
		a.short, len(a.delivery), len(a.reply), len(a.lags), len(a.spreads), len(a.reach[0]), len(a.reach[1]), len(a.reach[2]), len(a.reach[3]))
}

// count adds the world up from its log. The definitions leave room for choices; they are:
//
//   - A connection's account begins with the first event that it receives, or with the first one that was due more than
//     a second after it was open, whichever comes first in the order of publishing. It ends with the last event of the
//     window; that of a connection that the plan ends, with the latest event it received.
//   - What was due while it was open, but before its account begins, is boundary, whether it arrives later or not, and
//     so is every arrival of what was due before it was open. A connection that has received nothing has an account,
//     and a boundary, only where there is an event that it surely should have seen.
//   - An event that was not sent, or refused, or had no reply, is nobody's loss, except where somebody received it.
//   - An event was to come before another one where it had been accepted before the other one's publishing began; in a
//     chat, where the same connection sent both.
//   - A message of a chat isn't expected by its sender, except where any sender ever got one back.
//   - The subscribers that an event is to reach are the connections that had been open when it was due, and that the plan
//     had not ended; of a chat without its sender, until one has got one back. What comes after all of those have it
//     is no part of its spread.
//   - A connection's first copy of an event counts for what is timed, where the event was due after it was open.
func (w *publishWorld) count() *publishAccount {
	b := &publishBooks{publishWorld: w, ordered: slices.Sorted(maps.Keys(w.posted)), arrivals: make(map[uint64][]time.Duration)}
	b.schedule()
	b.heard = never64
	for _, r := range w.receipts {
		if w.plan.Send.Every > 0 && w.posted[r.n].source == r.conn {
			b.heard = min(b.heard, r.at)
		}
	}
	for conn := range w.places {
		b.connection(conn)
	}
	b.sum.lost = b.sum.expected - b.sum.delivered
	b.sum.received = uint64(len(w.receipts))
	distinct := make(map[uint64]bool)
	for _, r := range w.receipts {
		distinct[r.n] = true
	}
	b.sum.distinct = uint64(len(distinct))
	for n := uint64(1); n <= b.last; n++ {
		b.reaches(n)
	}
	return &b.sum
}

const never64 = time.Duration(never)

// publishBooks are what count keeps.
type publishBooks struct {
	*publishWorld
	sum      publishAccount
	ordered  []uint64
	last     uint64                     // the last event of the window
	skipped  uint64                     // messages at the start that nobody was there to send
	arrivals map[uint64][]time.Duration // of first copies, by event
	heard    time.Duration              // when a sender first got a message back
}

// schedule counts what was due and what came of it.
func (b *publishBooks) schedule() {
	rate := uint64(b.plan.Send.Rate)
	for n := uint64(0); time.Duration(n)*time.Second < b.end*time.Duration(rate); n++ {
		b.sum.due++
	}
	for n, p := range b.posted {
		b.skipped = uint64((p.due*time.Duration(rate) + time.Second/2) / time.Second)
		b.skipped -= n - 1
		if p.left {
			b.sum.sent++
		}
		if p.failed {
			b.sum.failures++
			if b.plan.Send.Every == 0 && (p.left || !p.over) {
				b.sum.errors++
			}
		} else if p.accepted > 0 {
			b.sum.reply = append(b.sum.reply, int64(p.accepted-p.due))
		}
	}
	b.sum.unsent = b.sum.due - b.sum.sent
	b.last = b.sum.due - b.skipped
}

// dueAt is when an event was due.
func (b *publishBooks) dueAt(n uint64) time.Duration {
	if p := b.posted[n]; p != nil {
		return p.due
	}
	return time.Duration(float64(n-1+b.skipped) / b.plan.Send.Rate * 1e9)
}

// failed reports whether nobody was to receive an event.
func (b *publishBooks) failed(n uint64) bool {
	if p := b.posted[n]; p != nil && !p.failed {
		return false
	}
	return !slices.ContainsFunc(b.receipts, func(r receipt) bool { return r.n == n })
}

// before reports whether an event was to come before another.
func (b *publishBooks) before(earlier, later uint64) bool {
	x, y := b.posted[earlier], b.posted[later]
	if b.plan.Send.Every > 0 {
		return x.source == y.source
	}
	return x.accepted > 0 && x.accepted < y.begun
}

// connection adds up one connection's account.
func (b *publishBooks) connection(conn int) {
	opened, retired := b.places[conn].opened, b.retires[conn]
	if opened == 0 {
		return
	}
	var sure, base uint64
	for sure = 1; sure <= b.last && b.dueAt(sure) <= opened+time.Second; sure++ {
	}
	base = sure
	seen := make(map[uint64]bool)
	for _, r := range b.receipts {
		if r.conn != conn {
			continue
		}
		if len(seen) == 0 {
			base = min(base, r.n)
		}
		switch due := b.dueAt(r.n); {
		case r.n < base:
			if due <= opened {
				b.sum.boundary++
			}
		case seen[r.n]:
			b.sum.duplicate++
		default:
			b.fresh(r, seen)
			if due > opened {
				b.sum.delivery = append(b.sum.delivery, int64(r.at-due))
				b.arrivals[r.n] = append(b.arrivals[r.n], r.at)
			}
		}
	}
	if base > b.last {
		return
	}
	last := b.last
	if retired > 0 {
		last = 0
		for n := range seen {
			last = max(last, n)
		}
	}
	for n := uint64(1); n < base; n++ {
		if b.dueAt(n) > opened {
			b.sum.boundary++
		}
	}
	for n := base; n <= last; n++ {
		own := b.plan.Send.Every > 0 && b.posted[n] != nil && b.posted[n].source == conn && b.heard == never64
		if !own && !b.failed(n) {
			b.sum.expected++
		}
	}
	b.sum.delivered += uint64(len(seen))
}

// fresh takes a connection's first copy of an event.
func (b *publishBooks) fresh(r receipt, seen map[uint64]bool) {
	for n := range seen {
		if n > r.n && b.before(r.n, n) {
			b.sum.reordered++
			break
		}
	}
	if r.at >= b.end {
		b.sum.late++
	}
	seen[r.n] = true
}

// reaches adds up an event's way to its subscribers.
func (b *publishBooks) reaches(n uint64) {
	due := b.dueAt(n)
	if b.failed(n) {
		return
	}
	subscribed := 0
	for conn, p := range b.places {
		if p.opened > 0 && p.opened < due && (b.retires[conn] == 0 || b.retires[conn] > due) {
			subscribed++
		}
	}
	wanted := func(at time.Duration) int {
		if b.plan.Send.Every > 0 && at < b.heard {
			return subscribed - 1
		}
		return subscribed
	}
	arrivals := slices.Sorted(slices.Values(b.arrivals[n]))
	if len(arrivals) >= 2 && arrivals[0] < b.end {
		for _, at := range arrivals {
			b.sum.lags = append(b.sum.lags, int64(at-arrivals[0]))
		}
	}
	want := wanted(never64 - 1)
	for i, at := range arrivals {
		if i+1 >= max(2, wanted(at)) {
			arrivals, want = arrivals[:i+1], wanted(at)
			break
		}
	}
	if len(arrivals) >= 2 && arrivals[0] < b.end {
		b.sum.spreads = append(b.sum.spreads, int64(arrivals[len(arrivals)-1]-arrivals[0]))
	}
	if want < 2 {
		return
	}
	for i, percent := range []int{50, 95, 99, 100} {
		if need := (want*percent + 99) / 100; need <= len(arrivals) {
			b.sum.reach[i] = append(b.sum.reach[i], int64(arrivals[need-1]-due))
		} else {
			b.sum.short[i]++
		}
	}
}

// reported is the account that a run gave of itself.
func reported(result *Result) *publishAccount {
	count := result.Count
	a := &publishAccount{
		due: count(Due), sent: count(Sent), unsent: count(Unsent), errors: count(PublishErrors),
		expected: count(Expected), delivered: count(Delivered), lost: count(Lost), late: count(Late),
		received: count(Received), duplicate: count(Duplicate), reordered: count(Reordered),
		boundary: count(Boundary), distinct: result.DistinctIDs,
	}
	for i, m := range []Metric{Reach50, Reach95, Reach99, Reach100} {
		a.short[i] = result.Absent[m]
	}
	return a
}

// checkPublished holds a run against its world's log.
func checkPublished(t *rapid.T, result *Result, want *publishAccount) {
	got := reported(result)
	for i, m := range []Metric{Reach50, Reach95, Reach99, Reach100} {
		if result.Histogram(m) == nil { // without a sample there is no distribution that any is absent from
			got.short[i] = want.short[i]
		}
	}
	timings := []struct {
		metric Metric
		want   []int64
	}{
		{Delivery, want.delivery}, {PublishReply, want.reply}, {LagBehindFirst, want.lags}, {FanoutSpread, want.spreads},
		{Reach50, want.reach[0]}, {Reach95, want.reach[1]}, {Reach99, want.reach[2]}, {Reach100, want.reach[3]},
	}
	texts := *want
	texts.delivery, texts.reply, texts.lags, texts.spreads, texts.reach = nil, nil, nil, nil, [4][]int64{}
	if got.String() != texts.String() {
		t.Fatalf("got  %v\nwant %v", got, &texts)
	}
	for _, timing := range timings {
		if h := result.Histogram(timing.metric); !equalTiming(h, timing.want) {
			t.Fatalf("%s: %s\nwant %s", timing.metric, showTiming(h), showTiming(histogramOf(timing.want)))
		}
	}
}

func histogramOf(values []int64) *hdrhistogram.Histogram {
	h := NewHistogram()
	for _, v := range values {
		if h.RecordValue(v) != nil {
			panic(v)
		}
	}
	return h
}

func showTiming(h *hdrhistogram.Histogram) string {
	if h == nil {
		return "none"
	}
	return show(h)
}

// TestPublishingAgainstRawLog: whatever publishers are told, and whatever the server does with what they publish, the
// figures are those of the raw log.
func TestPublishingAgainstRawLog(t *testing.T) { checkWorlds(t, false) }

// TestChatAgainstRawLog is the same for messages that connections send to each other.
func TestChatAgainstRawLog(t *testing.T) { checkWorlds(t, true) }

func checkWorlds(t *testing.T, chat bool) {
	var worlds publishAccount
	beyond := 0
	threshold, err := ParseThreshold("p99(delivery) < 1h")
	if err != nil {
		t.Fatal(err)
	}
	fewerUnderRace(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := drawPublishWorld(rt, chat)
		w.plan.Thresholds = []Threshold{threshold}
		var result *Result
		synctest.Test(t, func(t *testing.T) {
			var err error
			if result, err = w.play(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		want := w.count()
		if why := result.Unmeasured[Lost]; why != "" {
			if why != "nothing was published" || want.delivered > 0 {
				rt.Fatalf("loss is unmeasured: %s", why)
			}
			return
		}
		checkPublished(rt, result, want)
		if w.checkCensored(rt, result, want) {
			beyond++
		}
		worlds.lost += want.lost
		worlds.late += want.late
		worlds.reordered += want.reordered
		worlds.boundary += want.boundary
		worlds.failures += want.failures
	})
	t.Logf("in all: lost %d, late %d, reordered %d, boundary %d, publications that failed %d, runs whose p99 never came %d",
		worlds.lost, worlds.late, worlds.reordered, worlds.boundary, worlds.failures, beyond)
}
