package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// openCell is a cell whose window is from 0 to end.
func openCell(end int64) *cell {
	window := &measured{}
	window.end.Store(end)
	return &cell{window: window}
}

// values lists what was recorded, rebuilt from histograms by recording what is expected into new ones.
func equalTiming(got *hdrhistogram.Histogram, want []int64) bool {
	expected := NewHistogram()
	for _, v := range want {
		if expected.RecordValue(v) != nil {
			return false
		}
	}
	if got == nil {
		got = NewHistogram()
	}
	return got.Equals(expected)
}

// TestFeedLags holds lag_behind_first and fanout_spread against brute force. Each connection records its events in
// order, but which connection records next has nothing to do with when they arrived.
func TestFeedLags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const end = int64(1e9)
		subscribers, events := rapid.IntRange(2, 6).Draw(t, "subscribers"), rapid.IntRange(1, 30).Draw(t, "events")
		f, c := newFeed(feedKey{}, subscribers, nil), openCell(end)
		arrived := make([][]int64, events) // by event
		next := make([]int, subscribers)   // event, by connection
		at := make([]int64, subscribers)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for left := subscribers; left > 0; {
			conn := random.IntN(subscribers)
			if next[conn] == events {
				continue
			}
			n := next[conn]
			at[conn] += random.Int64N(5e7)
			if random.IntN(5) > 0 { // else it is lost
				f.see(&sighted{ordinal: uint64(n + 1), content: uint64(n), at: at[conn]}, subscribers, subscribers, c)
				arrived[n] = append(arrived[n], at[conn])
			}
			if next[conn]++; next[conn] == events {
				left--
			}
		}
		f.settleAll(c, 0)
		var lags, spreads []int64
		for _, all := range arrived {
			if len(all) < 2 || slices.Min(all) >= end {
				continue
			}
			for _, a := range all {
				lags = append(lags, a-slices.Min(all))
			}
			spreads = append(spreads, slices.Max(all)-slices.Min(all))
		}
		if !equalTiming(held(c, LagBehindFirst), lags) || !equalTiming(held(c, FanoutSpread), spreads) {
			t.Fatalf("arrivals %v: want lags %v, spreads %v", arrived, lags, spreads)
		}
		if f.unheld.Load() != 0 {
			t.Fatalf("%d arrivals weren't held against the first", f.unheld.Load())
		}
	})
}

// TestFeedForgets: an event whose place a newer one has taken is settled with what there was, and what comes after
// that is counted and not measured.
func TestFeedForgets(t *testing.T) {
	f, c := newFeed(feedKey{kind: byNumber}, 1<<20, nil), openCell(never)
	if len(f.slots) != minSlots {
		t.Fatalf("%d slots", len(f.slots))
	}
	see := func(n uint64, at int64) { f.see(&sighted{ordinal: n, content: uint64(n), at: at}, 3, 3, c) }
	see(1, 1000)
	see(1, 501_000)
	if held(c, FanoutSpread) != nil {
		t.Error("settled before all have it")
	}
	see(1+minSlots, 9000)
	see(1, 1_000_000)
	see(2, 2000)
	see(2+minSlots, 9000) // only one connection had number 2: nothing is known of its spread
	see(2+minSlots, 9000)
	see(2+minSlots, 9000)
	see(2+minSlots, 9000) // a fourth one, of three
	if !equalTiming(held(c, LagBehindFirst), []int64{0, 500_000, 0, 0, 0, 0}) || !equalTiming(held(c, FanoutSpread), []int64{500_000, 0}) {
		t.Errorf("lags %s, spreads %s", show(held(c, LagBehindFirst)), show(held(c, FanoutSpread)))
	}
	if f.unheld.Load() != 1 || f.distinct.Load() != 4 || f.highest.Load() != 2+minSlots {
		t.Errorf("%d not held against the first, %d distinct, highest %d", f.unheld.Load(), f.distinct.Load(), f.highest.Load())
	}
	for connections, slots := range map[int]int{1: maxSlots, 256: maxSlots, 1000: 2048, 10_000: 128, 100_000: minSlots} {
		if got := len(newFeed(feedKey{}, connections, nil).slots); got != slots {
			t.Errorf("%d connections: %d slots, want %d", connections, got, slots)
		}
	}
}

// TestFeedCatchesUp: while a connection is down, what the others received is measured at once; what it receives later
// is added to that.
func TestFeedCatchesUp(t *testing.T) {
	f, c := newFeed(feedKey{kind: byNumber}, 3, nil), openCell(never)
	see := func(n uint64, at int64, open int) {
		f.see(&sighted{ordinal: n, content: uint64(n), at: at}, open, 3, c)
	}
	see(1, 2_000_000, 2)
	see(1, 1_000_000, 2)
	if !equalTiming(held(c, LagBehindFirst), []int64{0, 1_000_000}) || held(c, FanoutSpread) != nil {
		t.Errorf("while it is down: %s", show(held(c, LagBehindFirst)))
	}
	see(2, 3_000_000, 1) // two are down: one arrival has nothing to be held against
	see(1, 9_000_000, 3)
	see(2, 9_000_000, 3)
	see(2, 4_000_000, 3)
	if !equalTiming(held(c, LagBehindFirst), []int64{0, 1_000_000, 8_000_000, 0, 6_000_000, 1_000_000}) ||
		!equalTiming(held(c, FanoutSpread), []int64{8_000_000, 6_000_000}) {
		t.Errorf("in the end: %s, %s", show(held(c, LagBehindFirst)), show(held(c, FanoutSpread)))
	}
}

// TestFeedEarlierThanFirst: a stream that was still being opened when all others had an event may have it from before
// them. Then it was the first, and nothing is negative.
func TestFeedEarlierThanFirst(t *testing.T) {
	f, c := newFeed(feedKey{}, 3, nil), openCell(1e9)
	for _, at := range []int64{500, 510, 480, 530} {
		f.see(&sighted{ordinal: 1, at: at}, 2, 4, c)
	}
	f.settleAll(c, 0)
	if n := c.counts[OutOfRange-numTimings]; n != 0 {
		t.Errorf("%d out of range", n)
	}
	if !equalTiming(held(c, LagBehindFirst), []int64{0, 10, 0, 50}) || !equalTiming(held(c, FanoutSpread), []int64{50}) {
		t.Error("the lags are wrong")
	}
}

func TestFeedHead(t *testing.T) {
	const second = int64(1e9)
	f, c := newFeed(feedKey{kind: byNumber}, 1, nil), openCell(never)
	for n := int64(1); n <= 5000; n++ { // one every 0.1 s; 4500 and 4980 to 4984 nobody sees
		if n != 4500 && n/5 != 996 {
			f.see(&sighted{ordinal: uint64(n), at: n * second / 10}, 2, 2, c)
		}
	}
	for _, row := range []struct {
		name             string
		first            uint64
		opened           int64
		expect, boundary uint64
	}{
		{"nothing came since", 5000, 4999 * second / 10, 5000, 0},
		{"only in the race", 5000, 4990 * second / 10, 5000, 9},
		{"the last moment of the race", 5000, 4989 * second / 10, 5000, 10},
		{"one after it", 5001, 4989 * second / 10, 5000, 10},
		{"several", 5001, 4900 * second / 10, 4911, 10},
		{"nobody saw those that were due in the race", 5001, 4976 * second / 10, 4987, 5},
		{"nobody saw the first after the race, and the next may be from within it", 5001, 4970 * second / 10, 4986, 10},
		{"more than is remembered", 5001, 0, 5001 - maxSlots + 1, 0},
		{"the very first", 1, 0, 1, 0},
		{"the very first, and nobody has seen it", 1, second * 1000, 1, 0},
	} {
		if expect, boundary := f.head(row.first, row.opened); expect != row.expect || boundary != row.boundary {
			t.Errorf("%s: expect %d, boundary %d; want %d, %d", row.name, expect, boundary, row.expect, row.boundary)
		}
	}
}

// TestFeedHeadOfBatches: a server that looks for news every two seconds, for each connection since that was opened, sends
// what was published before a subscription long after it, to those who were there. That isn't what the new one should see;
// what comes in a later batch is.
func TestFeedHeadOfBatches(t *testing.T) {
	const ms, period = int64(1e6), int64(2e9)
	f, c := newFeed(feedKey{kind: byNumber}, 40, nil), openCell(never)
	opened := func(conn int64) int64 { return conn * 5 * ms }
	published := func(ordinal uint64) int64 { return int64(ordinal) * 50 * ms }
	for poll := int64(1); poll <= 3; poll++ {
		for conn := range int64(40) {
			at := opened(conn) + poll*period
			for n := uint64(1); published(n) <= at; n++ {
				if since := at - period; published(n) > since {
					f.see(&sighted{ordinal: n, at: at + int64(n)*ms/10, since: opened(conn)}, 40, 40, c) // some segments
				}
			}
		}
	}
	for conn := range int64(40) {
		first := uint64(opened(conn)/(50*ms)) + 1
		if expect, _ := f.head(first, opened(conn)); expect != first {
			t.Errorf("of connection %d, open since %d ms, %d is expected, though it was to see nothing before %d", conn, opened(conn)/ms, expect, first)
		}
	}
	// One that has its first event in the third batch was to have all of the second, but not what it shares with the first.
	if expect, _ := f.head(90, 0); expect < 41 || expect > 45 {
		t.Errorf("from %d on is expected of one that has missed the second batch, which begins with 41", expect)
	}
}

func TestFeedLine(t *testing.T) {
	f, c := newFeed(feedKey{kind: byNumber}, 1, nil), openCell(never)
	if !f.counts(1) || !f.counts(1e18) {
		t.Error("something doesn't count while the run goes on")
	}
	f.see(&sighted{ordinal: 17}, 1, 1, c)
	f.see(&sighted{ordinal: 12}, 1, 1, c)
	f.stop()
	if !f.counts(17) || !f.counts(5) || f.counts(18) {
		t.Errorf("the line is at %d", f.line.Load())
	}
	nothing := newFeed(feedKey{}, 1, nil)
	if nothing.stop(); nothing.counts(1) {
		t.Error("an event counts that came after the line")
	}
}

// TestFeedShared is the verdict whether connections see the same events.
func TestFeedShared(t *testing.T) {
	for _, row := range []struct {
		name                    string
		repeats, foreign, level int // seen by a second connection; of them with other content, and by one that never was level
		want                    bool
	}{
		{"one connection", 0, 0, 0, false},
		{"a broadcast", 500, 0, 0, true},
		{"one in a hundred differs", 500, 5, 0, true},
		{"more differ", 500, 6, 0, false},
		{"one is behind all the time", 500, 0, 6, false},
		{"both", 500, 3, 3, false},
		{"one repeat", 1, 0, 0, true},
		{"it is another event", 1, 1, 0, false},
	} {
		f, c := newFeed(feedKey{}, 2, nil), openCell(never)
		lag := &tracked{feed: f}
		for n := range row.repeats {
			f.see(&sighted{ordinal: uint64(n + 1), content: 1, at: 1e6}, 2, 2, c)
			again := &sighted{ordinal: uint64(n + 1), content: 1, at: 2e6}
			switch {
			case n < row.foreign:
				again.content = 2
				f.see(again, 2, 2, c)
			case n < row.foreign+row.level:
				again.at += int64(2 * race)
				behind, _ := f.see(again, 2, 2, c)
				lag.compare(behind)
			default:
				f.see(again, 2, 2, c)
			}
		}
		if got := f.shared(); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
		if lag.compare(0); row.level > 0 && row.foreign == 0 && !f.shared() {
			t.Errorf("%s: not forgiven once it is level", row.name)
		}
	}
}

func TestIdentity(t *testing.T) {
	f := newFeed(feedKey{kind: byOpaqueID}, 1, nil)
	x := &f.ids
	id := func(n int) []byte { return []byte("id-" + strconv.Itoa(n)) }
	for n := 1; n <= identities; n++ {
		if got := x.ordinal(x.hash(id(n)), new(teller)); got != uint64(n) {
			t.Fatalf("id %d is ordinal %d", n, got)
		}
	}
	for _, n := range []int{1, 77, identities} {
		if got := x.ordinal(x.hash(id(n)), new(teller)); got != uint64(n) {
			t.Errorf("id %d is ordinal %d the second time", n, got)
		}
	}
	// The next one pushes out the first, which then is as good as new, and pushes out the second.
	if got := x.ordinal(x.hash(id(identities+1)), new(teller)); got != identities+1 {
		t.Errorf("ordinal %d", got)
	}
	if got := x.ordinal(x.hash(id(1)), new(teller)); got != identities+2 {
		t.Errorf("id 1 is ordinal %d after it was forgotten", got)
	}
	if got := x.ordinal(x.hash(id(3)), new(teller)); got != 3 {
		t.Errorf("id 3 is ordinal %d", got)
	}
	for n := range 3 * identities {
		x.ordinal(x.hash(id(n+1e6)), new(teller))
	}
	if len(x.known) != identities || len(x.ring) != identities {
		t.Errorf("%d ids are known, in a ring of %d", len(x.known), len(x.ring))
	}
}

// TestFeedConcurrently lets many connections see the same events at once: every pair is recorded once, whoever does it.
func TestFeedConcurrently(t *testing.T) {
	const connections, events = 8, 2000
	f := newFeed(feedKey{kind: byOpaqueID}, connections, nil)
	cells := make([]*cell, connections)
	var group sync.WaitGroup
	for conn := range connections {
		cells[conn] = openCell(never)
		group.Go(func() {
			var tracker Tracker
			var by teller
			for n := range events {
				id := fmt.Appendf(nil, "event %d", n)
				ordinal := f.ids.ordinal(f.ids.hash(id), &by)
				tracker.Observe(ordinal)
				f.see(&sighted{ordinal: ordinal, content: f.ids.hash(id), at: int64(n*1000 + conn)}, connections, connections, cells[conn])
				if n%100 == 0 {
					f.head(ordinal, 0)
					f.shared()
				}
			}
			if unique, lost := tracker.Totals(0); unique != events || lost != 0 {
				t.Errorf("connection %d: %d seen, %d lost", conn, unique, lost)
			}
		})
	}
	group.Wait()
	last := openCell(never)
	f.settleAll(last, 0)
	lags, spreads := int64(0), int64(0)
	for _, c := range append(cells, last) {
		if h := held(c, LagBehindFirst); h != nil {
			lags += h.TotalCount()
			spreads += held(c, FanoutSpread).TotalCount()
		}
	}
	if lags != connections*events || spreads != events || f.repeats.Load() != (connections-1)*events || f.distinct.Load() != events || !f.shared() {
		t.Errorf("%d lags, %d spreads, %d repeats, %d distinct", lags, spreads, f.repeats.Load(), f.distinct.Load())
	}
}

// TestWithdrawWhileSettled: what failed is no event that reached nobody, whether a newer one takes its place just
// before that is known, or just after.
func TestWithdrawWhileSettled(t *testing.T) {
	l := newLedger()
	f := newFeed(feedKey{}, lagBudget, l)
	first, other := openCell(1e9), openCell(1e9)
	announce := func(c *cell) (ordinal uint64) {
		for range f.slots {
			ordinal = l.add(0, 0)
		}
		f.announce(ordinal, 0, 10, c)
		return ordinal
	}
	last := announce(first)
	for range underRaceFewer(40_000, 10_000) {
		withdrawn := last
		var both sync.WaitGroup
		both.Go(func() { f.withdraw(withdrawn) })
		both.Go(func() { last = announce(other) })
		both.Wait()
		f.withdraw(last)
		last = announce(first)
	}
	for i := range f.short {
		if n := f.short[i].Load(); n != 0 {
			t.Errorf("%d that failed count as never having reached %v", n, reaches[i].metric)
		}
	}
}
