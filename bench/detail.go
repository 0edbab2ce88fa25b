package bench

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rtbench/rtbench/client"
)

// A Detail is what a snapshot tells for those who look closer. It is made anew every second, and only while somebody does
// (Runner.Look).
type Detail struct {
	At         time.Duration // after the start
	Timings    [numTimings]Quantiles
	Estimates  []Estimate // of the headline: its percentiles, and how far each could be trusted if the run ended now
	Doubts     []Warning  // that there would be then about the whole run
	Spread     Spread     // of the headline, over the run
	Series     []Bucket
	SeriesStep time.Duration
	Errors     []ErrorGroup // the most frequent first
	Health     Health       // what the host says is known only at the end
	Target     *TargetUse   // nil where nobody asked
	Resumption *Resumption  // nil where no stream was opened again
	Worst      []Connection // those that fared worst, the worst first
	Kinds      []KindFigures
	Followed   *Followed // nil where none is
}

// A Connection is how one connection has fared.
type Connection struct {
	Index   int
	State   ConnectionState
	Drops   uint64
	Missing uint64 // events that it should have by now, before the latest that it has
	Longest int64  // the longest delivery to it, ns; 0 where none is known
	Quiet   int64  // for how long it has received nothing, ns; negative where it never has
}

// A ConnectionState is where a connection stands.
type ConnectionState string

const (
	StateOpen  ConnectionState = "open"
	StateDown  ConnectionState = "down"  // it connects, or waits before it does
	StateEnded ConnectionState = "ended" // for good
)

// KindFigures are of the events of one kind, since somebody looks.
type KindFigures struct {
	Kind    string // "" for events without a name
	Count   uint64
	Timed   uint64 // of these, those of which the delivery is known
	P50     int64  // of the deliveries, ns, rounded up to a level of a Spread
	P99     int64
	Longest int64
}

// Followed is what is told of a connection that somebody follows.
type Followed struct {
	Connection int    // -1 for all of them
	Holding    string // what those events hold that are told; "" for all
	History    []Happening
	Events     []SeenEvent // the latest last
	Skipped    uint64      // events that came too fast to be told
}

// A Happening is something in the life of a connection.
type Happening struct {
	At   time.Duration // after the start
	Text string        // may quote the server
}

// A SeenEvent is an event as it was decoded.
type SeenEvent struct {
	N          uint64        // counts up from 1, from when it was asked for what is followed
	At         time.Duration // of its arrival, after the start
	Connection int
	Copies     int // in a row of the same event, to as many connections, of which only the first is told
	Kind, ID   string
	Data       string // its beginning; what was cut is told by Size
	Size       int    // of its payload, bytes
	Binary     bool
	Raw        bool  // it is binary, and no text: Data are bytes
	Delivery   int64 // ns; negative where it isn't known
}

const (
	detailPace  = time.Second
	mostWorst   = 50
	mostHistory = 16      // that are kept of each connection
	mostSeen    = 256     // events that are kept
	seenPerTick = 20      // that are taken between two snapshots
	seenText    = 512     // bytes of an id, and of a kind
	seenData    = 8 << 10 // bytes of a payload
)

// Look says whether somebody looks closer: from then on snapshots have their Detail. Any goroutine may call it.
func (r *Runner) Look(on bool) { r.looked.Store(on) }

// Follow has snapshots tell what one connection receives, or all where connection is -1, of events that hold a text in their
// payload or their kind; "01 ff" and "hex 01 ff" stand also for bytes of a raw payload. Any goroutine may call it.
func (r *Runner) Follow(connection int, holding string) {
	r.followed.Store(newFollowing(connection, holding))
}

// Unfollow ends that.
func (r *Runner) Unfollow() { r.followed.Store(nil) }

// A following is what is told of followed connections. Its mutex guards what is below it.
type following struct {
	connection int
	holding    string
	bytes      []byte // the same
	raw        []byte // what it is as bytes
	isRaw      bool   // it can be bytes

	mu      sync.Mutex
	taken   uint64
	left    int // events that may be taken before the next snapshot
	skipped uint64
	events  []SeenEvent
}

func newFollowing(connection int, holding string) *following {
	f := &following{connection: connection, holding: holding, bytes: []byte(holding)}
	f.raw, f.isRaw = rawBytes(holding)
	return f
}

// rawBytes reads bytes that are written as numbers of two digits each, maybe behind "hex", which alone is in all that are.
func rawBytes(text string) (raw []byte, ok bool) {
	for i, field := range strings.Fields(text) {
		if i == 0 && field == "hex" {
			continue
		}
		part, err := hex.DecodeString(field)
		if err != nil {
			return nil, false
		}
		raw = append(raw, part...)
	}
	return raw, true
}

// isRaw reports whether a payload is binary, and no text: that is UTF-8, without control characters but those between words.
func isRaw(ev *client.Event) bool {
	return ev.Binary && (!utf8.Valid(ev.Data) || bytes.ContainsFunc(ev.Data, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }))
}

// looksFor reports whether an event is one of those that are looked for.
func (f *following) looksFor(ev *client.Event) bool {
	return f.holding == "" || strings.Contains(ev.Kind, f.holding) || bytes.Contains(ev.Data, f.bytes) || f.isRaw && bytes.Contains(ev.Data, f.raw) && isRaw(ev)
}

// take notes an event, if it is one of those that are looked for.
func (f *following) take(s *subscriber, ev *client.Event, at, due int64, known bool) {
	if f.connection >= 0 && f.connection != s.index || !f.looksFor(ev) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.events) - 1; f.connection < 0 && last >= 0 && f.events[last].is(ev) {
		f.events[last].Copies++
		return
	}
	if f.left--; f.left < 0 {
		f.skipped++
		return
	}
	f.taken++
	seen := SeenEvent{
		N: f.taken, At: time.Duration(at), Connection: s.index, Copies: 1, Kind: beginning(ev.Kind, seenText), ID: beginning(string(ev.ID), seenText), Data: beginning(string(ev.Data), seenData),
		Size: len(ev.Data), Binary: ev.Binary, Raw: isRaw(ev), Delivery: -1,
	}
	if seen.Raw {
		seen.Data = string(ev.Data[:min(len(ev.Data), seenData)])
	}
	if known {
		seen.Delivery = max(0, at-due)
	}
	if len(f.events) >= mostSeen {
		f.events = slices.Delete(f.events, 0, len(f.events)-mostSeen+1)
	}
	f.events = append(f.events, seen)
}

// is reports whether an event is, by all that is kept of it, the same.
func (e *SeenEvent) is(ev *client.Event) bool {
	kept := e.Data
	if len(ev.Data) > seenData {
		kept = strings.TrimSuffix(kept, cutMark)
	}
	return e.Size == len(ev.Data) && e.Kind == ev.Kind && e.ID == string(ev.ID) && len(ev.Data) >= len(kept) && string(ev.Data[:len(kept)]) == kept
}

// cutMark ends what was cut.
const cutMark = "…"

// beginning is as much of a text as is kept, at most that many bytes and a mark.
func beginning(s string, most int) string {
	if len(s) <= most {
		return strings.Clone(s)
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMark
}

// all gives what was noted, and how much wasn't.
func (f *following) all() (list []SeenEvent, skipped uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.events), f.skipped
}

// refill lets more events be taken.
func (f *following) refill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = seenPerTick
}

// A kindTable is of the kinds of events that a shard's connections receive. The shard's mutex guards it.
type kindTable struct {
	rows []kindRow
	last int // the row that was used last: an event comes to many connections
}

type kindRow struct {
	kind    string
	count   uint64
	timed   uint64
	longest int64
	levels  [maxLevels]uint64 // as in a Spread
}

const (
	maxKinds  = 64 // what comes after that is counted as others
	maxLevels = 80 // beyond those of an hour
	otherKind = "(others)"
)

func (t *kindTable) note(kind string, took int64, timed bool) {
	if t.last >= len(t.rows) || t.rows[t.last].kind != kind {
		t.last = slices.IndexFunc(t.rows, func(r kindRow) bool { return r.kind == kind })
		switch {
		case t.last >= 0:
		case len(t.rows) < maxKinds:
			t.last = len(t.rows)
			t.rows = append(t.rows, kindRow{kind: beginning(kind, seenText)})
		default:
			t.last = maxKinds - 1
			t.rows[t.last].kind = otherKind
		}
	}
	row := &t.rows[t.last]
	row.count++
	if timed {
		row.timed++
		row.longest = max(row.longest, took)
		row.levels[min(LevelOf(max(0, took)), maxLevels-1)]++
	}
}

// join adds the rows of another table.
func (t *kindTable) join(more *kindTable) {
	for i := range more.rows {
		from := &more.rows[i]
		at := slices.IndexFunc(t.rows, func(r kindRow) bool { return r.kind == from.kind })
		if at < 0 {
			at = len(t.rows)
			t.rows = append(t.rows, kindRow{kind: from.kind})
		}
		to := &t.rows[at]
		to.count, to.timed, to.longest = to.count+from.count, to.timed+from.timed, max(to.longest, from.longest)
		for l, n := range from.levels {
			to.levels[l] += n
		}
	}
}

// at is a quantile of the deliveries of a kind, rounded up to a level.
func (r *kindRow) at(q float64) int64 {
	rank := uint64(q*float64(r.timed) + .999999)
	seen := uint64(0)
	for level, n := range r.levels {
		if seen += n; seen >= max(1, rank) {
			return min(r.longest, int64(LevelFrom(level+1)))
		}
	}
	return r.longest
}

// figures are what is told of all kinds, the slowest first.
func (t *kindTable) figures() (list []KindFigures) {
	for i := range t.rows {
		row := &t.rows[i]
		f := KindFigures{Kind: row.kind, Count: row.count, Timed: row.timed, Longest: row.longest}
		if row.timed > 0 {
			f.P50, f.P99 = row.at(.5), row.at(.99)
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b KindFigures) int {
		return cmp.Or(cmp.Compare(b.P99, a.P99), cmp.Compare(b.Longest, a.Longest), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind))
	})
	return list
}

// look adds to a snapshot what somebody who looks closer wants to see. figures are those of the moment.
func (r *run) look(s *Snapshot, figures *figures) {
	if f := r.runner.followed.Load(); f != nil {
		f.refill()
	}
	if r.detail == nil || s.At-r.detail.At >= detailPace {
		r.detail = r.describe(s, figures)
	}
	s.Detail = r.detail
}

// soFar gives the quantiles of the headline, by what would be said of them if the run ended now, and the doubts that there would
// be.
func (r *run) soFar(s *Snapshot) (estimates []Estimate, doubts []Warning) {
	end := min(s.At, time.Duration(r.window.end.Load()))
	if s.Phase == PhaseRamp || end <= r.times.begin {
		return nil, nil
	}
	result := &Result{Begin: r.times.begin, End: end, Counts: r.tally.counts, Histograms: r.tally.timings, Health: r.watch.health(r.tally.inWindow), Window: r.tally.inWindow}
	result.Doubts = r.doubts(result)
	h := r.tally.timings[s.Headline]
	if s.Quantiles.Samples == 0 || h == nil {
		return nil, result.Doubts
	}
	judge := r.judge(result)
	d := r.distribution(s.Headline, h)
	for _, q := range Percentiles() {
		e := judge.estimate(s.Headline, d, q)
		if s.Headline.windowed() {
			r.tally.batches.weigh(&e, int(s.Headline), 0, h, d.absent)
		}
		estimates = append(estimates, e)
	}
	return estimates, result.Doubts
}

// describe makes a Detail.
func (r *run) describe(s *Snapshot, figures *figures) *Detail {
	d := &Detail{
		At: s.At, SeriesStep: r.series.step, Errors: r.errors.all(),
		Health: r.watch.health(r.tally.inWindow), Resumption: r.resumption(figures.unmeasured), Target: r.targetNow.Load(),
	}
	for m, h := range r.tally.timings {
		if h != nil && h.TotalCount() > 0 && Metric(m) < numTimings {
			d.Timings[m] = quantiles(h)
		}
	}
	if h := r.tally.timings[s.Headline]; s.Quantiles.Samples > 0 && h != nil {
		d.Spread = spreadOf(samplesOf(h))
	}
	d.Series = r.series.shown(s.Headline)
	d.Estimates, d.Doubts = r.soFar(s)
	for _, c := range r.everybody() {
		d.Worst = worst(d.Worst, c.describe(time.Duration(r.now())))
		if f := r.runner.followed.Load(); f != nil && f.connection == c.index {
			d.Followed = &Followed{History: c.life()}
		}
	}
	var kinds kindTable
	for i := range r.recorder.shards {
		shard := &r.recorder.shards[i]
		shard.mu.Lock()
		kinds.join(&shard.kinds)
		shard.mu.Unlock()
	}
	d.Kinds = kinds.figures()
	if f := r.runner.followed.Load(); f != nil {
		if d.Followed == nil {
			d.Followed = &Followed{}
		}
		d.Followed.Connection, d.Followed.Holding = f.connection, f.holding
		d.Followed.Events, d.Followed.Skipped = f.all()
	}
	return d
}

// worst enters a connection in a list of the worst, the worst first.
func worst(list []Connection, c Connection) []Connection {
	at, _ := slices.BinarySearchFunc(list, c, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(b.Missing, a.Missing), cmp.Compare(b.Drops, a.Drops), cmp.Compare(b.Longest, a.Longest), cmp.Compare(a.Index, b.Index))
	})
	switch {
	case at == mostWorst:
		return list
	case len(list) == mostWorst:
		list = list[:mostWorst-1]
	}
	return slices.Insert(list, at, c)
}

// describe says how a connection has fared, now after the start.
func (s *subscriber) describe(now time.Duration) Connection {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	c := Connection{Index: s.index, State: s.state(), Drops: s.drops, Longest: s.longest, Quiet: -1}
	if s.latest > 0 {
		c.Quiet = max(0, int64(now)-s.latest)
	}
	for i := range s.tracked {
		c.Missing += s.tracked[i].gaps(0)
	}
	return c
}

// state is where the connection stands. The shard's mutex must be held.
func (s *subscriber) state() ConnectionState {
	switch {
	case s.ended:
		return StateEnded
	case s.isOpen:
		return StateOpen
	}
	return StateDown
}

// states is how many connections stand where, all counted at once, so that they fit together.
type states struct{ open, down, ended int }

func (n *states) count(s *subscriber) {
	switch s.state() {
	case StateOpen:
		n.open++
	case StateEnded:
		n.ended++
	default:
		if !s.run.plan.Streams { // whose places may be free
			n.down++
		}
	}
}

// life is what happened to a connection.
func (s *subscriber) life() []Happening {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	history := slices.Clone(s.history)
	if s.opened != never {
		history = slices.Insert(history, 0, Happening{time.Duration(s.opened), "opened"})
	}
	return history
}

// glance notes what somebody who looks closer wants to know of an event that came at at and was due at due, where that is
// known. The shard's mutex must be held.
func (s *subscriber) glance(ev *client.Event, at, due int64, known bool) {
	known = known && (s.run.times.sends != nil || !s.run.twoClocks()) // by a guess of the offset it isn't
	if known {
		s.longest = max(s.longest, at-due)
	}
	s.shard.kinds.note(ev.Kind, at-due, known)
	if f := s.run.runner.followed.Load(); f != nil {
		f.take(s, ev, at, due, known)
	}
}

// happened notes something of the life of a connection. The shard's mutex must be held.
func (s *subscriber) happened(at int64, text string) {
	if len(s.history) == mostHistory { // the first and the latest are of use
		s.history = slices.Delete(s.history, mostHistory/2, mostHistory/2+1)
	}
	s.history = append(s.history, Happening{time.Duration(at), text})
}

// ending says how a stream ended, or why none was opened, by the kind of error: thousands of connections may keep it.
func ending(closed *client.Closed, e *client.Error) string {
	switch {
	case closed.Broken != "":
		return fmt.Sprintf("broken off by the run (%s)", closed.Broken)
	case !closed.Opened:
		return "not opened: " + e.Key()
	}
	return "dropped: " + e.Key()
}

// outcome says what became of a resume.
func (p *resuming) outcome(unclear bool) string {
	switch missing, twice := p.head+p.seam, p.resent+p.again; {
	case unclear:
		return "resumed: what came can't be told from other events"
	case p.live == 0 && !p.faulty():
		return "resumed, and cut off before a live event"
	case missing+twice > 0:
		return fmt.Sprintf("resumed: %d replayed, %d missing, %d came again", p.replayed, missing, twice)
	default:
		return fmt.Sprintf("resumed: %d replayed, none missing", p.replayed)
	}
}
