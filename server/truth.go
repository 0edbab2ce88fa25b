package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Bounds of what is remembered of one subscriber.
const (
	maxRanges   = 1024
	maxFaultIDs = 1024
	// settleTime bounds how long /truth waits for writes that are under way.
	settleTime = time.Second
)

// A Reason says why a subscription ended.
type Reason string

// The reasons.
const (
	ReasonClient   Reason = "client"   // the client closed its side
	ReasonHangup   Reason = "hangup"   // a fault
	ReasonSlow     Reason = "slow"     // cut, because it lagged by more than the queue
	ReasonTimeout  Reason = "timeout"  // cut, because one write took too long
	ReasonError    Reason = "error"    // a write failed: the connection broke
	ReasonShutdown Reason = "shutdown" // the server stopped
)

// Truth is what /truth answers: what the server published, and what it wrote to whom. All times are ns since the
// Unix epoch, on the true clock.
type Truth struct {
	Run         string            `json:"run"` // run number of the server's stamps, 8 hexadecimal digits
	Now         int64             `json:"now"`
	Clock       TruthClock        `json:"clock"`
	Totals      TruthTotals       `json:"totals"`
	Events      []TruthEvent      `json:"events"`      // the latest, oldest first
	Subscribers []TruthSubscriber `json:"subscribers"` // ended ones in the order they ended, then open ones by number
}

// TruthClock says how wrong the server's clock is: at true time t it shows t + Offset + Drift·(t - Since)/1e6.
type TruthClock struct {
	Offset int64   `json:"offset"`    // ns
	Drift  float64 `json:"drift_ppm"` // parts per million
	Since  int64   `json:"since"`     // true time, ns since the Unix epoch
}

// TruthTotals count since the server was made.
type TruthTotals struct {
	Published        uint64 `json:"published"`        // events
	Sent             uint64 `json:"sent"`             // deliveries written, duplicates included
	Duplicated       uint64 `json:"duplicated"`       // of them, duplicates on purpose
	Dropped          uint64 `json:"dropped"`          // deliveries left out on purpose
	Delayed          uint64 `json:"delayed"`          // deliveries delayed on purpose
	Reordered        uint64 `json:"reordered"`        // deliveries overtaken on purpose
	Cut              uint64 `json:"cut"`              // subscribers cut because they were slow
	Refused          uint64 `json:"refused"`          // subscribers refused, by a fault or the limit
	Rejected         uint64 `json:"rejected"`         // posted messages that a fault answered and that weren't published
	Writes           uint64 `json:"writes"`           // deliveries noted for /truth/writes
	WritesForgotten  uint64 `json:"writes_forgotten"` // of them, those it has no room for any more
	SubscribersOpen  int64  `json:"subscribers_open"`
	SubscribersTotal uint64 `json:"subscribers_total"`
}

// A TruthEvent is one event that was published.
type TruthEvent struct {
	ID    uint64 `json:"id"`
	Topic string `json:"topic"`
	Seq   uint64 `json:"seq"`
	Due   int64  `json:"due"`  // of the schedule, or of the stamp in a published message
	Sent  int64  `json:"sent"` // when the hub published it
	// Sender is the number of the subscriber whose message it is; 0 if it was scheduled or published otherwise.
	Sender uint64 `json:"sender,omitempty"`
}

// A TruthSubscriber is what one subscriber got. What the server calls sent is what the operating system has taken in
// full, so a client that reads up to a clean end of the connection has received exactly that.
type TruthSubscriber struct {
	N           uint64   `json:"n"`      // from 1, in order of subscription
	Client      string   `json:"client"` // the name it gave
	Protocol    string   `json:"protocol"`
	Topics      []string `json:"topics"`
	Mute        bool     `json:"mute,omitempty"` // what it sent itself is not of its subscription
	Remote      string   `json:"remote"`
	Opened      int64    `json:"opened"`
	Closed      int64    `json:"closed"` // 0 while open, and for a moment after a client's Close was answered
	Reason      Reason   `json:"reason"`
	ResumedFrom string   `json:"resumed_from"` // the id it asked to resume from
	Horizon     bool     `json:"horizon"`      // some of what it asked for was forgotten already
	Sent        uint64   `json:"sent"`         // deliveries
	// Ranges are the runs of deliveries in the order written. [first, last] stands for every event of the
	// subscription from id first to id last, once and in order; with one topic, and not mute, these are consecutive ids.
	Ranges      [][2]uint64 `json:"ranges"`
	Truncated   bool        `json:"truncated"`             // there were more ranges than are remembered
	Unconfirmed []uint64    `json:"unconfirmed,omitempty"` // events of a write that failed: they may have arrived
	Faults      TruthFaults `json:"faults"`
}

// TruthFaults are the deliveries that faults changed, by event id.
type TruthFaults struct {
	Dropped    []uint64 `json:"dropped,omitempty"`
	Duplicated []uint64 `json:"duplicated,omitempty"`
	Reordered  []uint64 `json:"reordered,omitempty"` // overtaken by the next one
	Delayed    uint64   `json:"delayed,omitempty"`   // how many
	Foreign    uint64   `json:"foreign,omitempty"`   // how many events of another stream
	Truncated  bool     `json:"truncated,omitempty"` // there were more ids than are remembered
}

// A record gathers what becomes a TruthSubscriber.
type record struct {
	mu      sync.Mutex
	sub     TruthSubscriber
	writing bool
	settled chan struct{} // if not nil, closed when the write under way is committed
}

func (r *record) resumed(horizon bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sub.Horizon = horizon
}

// begin notes that a write is under way: what it writes may arrive before commit is called.
func (r *record) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = true
}

// attempt makes a delivery without waiting. Where it is begun, the write that makes the rest of it ends with a commit.
func (r *record) attempt(total *counters, out promptSink, d delivery) progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := out.attempt(d)
	switch p {
	case part:
		r.writing = true
	case whole:
		r.extend(d.prev, d.ev.id)
		r.sub.Sent++
		total.sent.Add(1)
	}
	return p
}

// commit notes the deliveries that were written and those of which nobody knows, and says how many were made.
func (r *record) commit(total *counters, written, unsure []delivery) (made uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	faults := &r.sub.Faults
	for _, d := range written {
		id := d.ev.id
		if d.dropped {
			faults.note(&faults.Dropped, id)
			total.dropped.Add(1)
			continue
		}
		made++
		if d.alien {
			faults.Foreign++
			continue
		}
		r.extend(d.prev, id)
		if d.again {
			faults.note(&faults.Duplicated, id)
			total.duplicated.Add(1)
		}
		if d.swapped {
			faults.note(&faults.Reordered, id)
			total.reordered.Add(1)
		}
		if d.delayed {
			faults.Delayed++
			total.delayed.Add(1)
		}
	}
	for _, d := range unsure {
		if !d.dropped {
			r.sub.Unconfirmed = append(r.sub.Unconfirmed, d.ev.id)
		}
	}
	r.sub.Sent += made
	total.sent.Add(made)
	r.writing = false
	if r.settled != nil {
		close(r.settled)
		r.settled = nil
	}
	return made
}

// extend adds the delivery of id, which follows prev in the subscription, to the ranges.
func (r *record) extend(prev, id uint64) {
	ranges := r.sub.Ranges
	switch n := len(ranges); {
	case r.sub.Truncated:
	case n > 0 && ranges[n-1][1] == prev:
		ranges[n-1][1] = id
	case n == maxRanges:
		r.sub.Truncated = true
	default:
		r.sub.Ranges = append(ranges, [2]uint64{id, id})
	}
}

func (f *TruthFaults) note(ids *[]uint64, id uint64) {
	if len(*ids) == maxFaultIDs {
		f.Truncated = true
		return
	}
	*ids = append(*ids, id)
}

// settle waits until the write under way is committed or ctx is done. r.mu is held, but not while it waits.
func (r *record) settle(ctx context.Context) {
	if !r.writing {
		return
	}
	if r.settled == nil {
		r.settled = make(chan struct{})
	}
	settled := r.settled
	r.mu.Unlock()
	defer r.mu.Lock()
	select {
	case <-settled:
	case <-ctx.Done():
	}
}

// snapshot copies what is known, once the write under way is committed or ctx is done.
func (r *record) snapshot(ctx context.Context) TruthSubscriber {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle(ctx)
	s := r.sub
	s.Ranges = append([][2]uint64{}, s.Ranges...)
	s.Unconfirmed = append([]uint64(nil), s.Unconfirmed...)
	s.Faults.Dropped = append([]uint64(nil), s.Faults.Dropped...)
	s.Faults.Duplicated = append([]uint64(nil), s.Faults.Duplicated...)
	s.Faults.Reordered = append([]uint64(nil), s.Faults.Reordered...)
	return s
}

// A ring keeps the latest values, up to its length. It grows as it is used.
type ring[T any] struct {
	values []T
	most   int
	next   int // where the next value goes, once values is full
}

func (r *ring[T]) add(v T) {
	if len(r.values) < r.most {
		r.values = append(r.values, v)
		return
	}
	r.values[r.next] = v
	r.next = (r.next + 1) % r.most
}

// latest copies the n latest values that keep wants, oldest first.
func (r *ring[T]) latest(n int, keep func(T) bool) []T {
	out := []T{}
	for i := len(r.values) - 1; i >= 0 && len(out) < n; i-- {
		if v := r.values[(r.next+i)%len(r.values)]; keep(v) {
			out = append(out, v)
		}
	}
	slices.Reverse(out)
	return out
}

// A registry is the memory of what was published and of who subscribed.
type registry struct {
	mu     sync.Mutex
	events ring[TruthEvent]
	ended  ring[*record]
	open   map[uint64]*record
}

func newRegistry(events, subscribers int) *registry {
	return &registry{
		events: ring[TruthEvent]{most: events},
		ended:  ring[*record]{most: subscribers},
		open:   make(map[uint64]*record),
	}
}

func (t *registry) published(e *event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events.add(TruthEvent{ID: e.id, Topic: e.topic.name, Seq: e.seq, Due: e.due, Sent: e.sent, Sender: e.sender})
}

func (t *registry) opened(n uint64, r *request, protocol string) *record {
	rec := &record{sub: TruthSubscriber{
		N: n, Client: r.client, Mute: r.mute, Protocol: protocol, Remote: r.remote, ResumedFrom: r.from,
		Topics: make([]string, 0, len(r.topics)), Opened: time.Now().UnixNano(),
	}}
	for _, topic := range r.topics {
		rec.sub.Topics = append(rec.sub.Topics, topic.name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[n] = rec
	return rec
}

func (t *registry) closed(r *record, reason Reason) {
	r.mu.Lock()
	r.sub.Closed, r.sub.Reason = time.Now().UnixNano(), reason
	n := r.sub.N
	r.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, n)
	t.ended.add(r)
}

// A truthQuery bounds what /truth answers.
type truthQuery struct {
	events, subscribers int
	client              string
	named               bool
}

func parseTruthQuery(q url.Values) (truthQuery, error) {
	query := truthQuery{events: maxTruth, subscribers: 2 * maxTruth, client: q.Get("client"), named: q.Has("client")}
	for name, n := range map[string]*int{"events": &query.events, "subscribers": &query.subscribers} {
		if !q.Has(name) {
			continue
		}
		v, err := strconv.ParseUint(q.Get(name), 10, 31)
		if err != nil {
			return query, fmt.Errorf("%s=%.40q: want a number, 0 or more", name, q.Get(name))
		}
		*n = int(v)
	}
	return query, nil
}

// report gathers the truth. The parts of one subscriber agree with one another.
func (h *hub) report(ctx context.Context, q truthQuery) Truth {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	events, records := h.truth.find(q)
	subscribers := make([]TruthSubscriber, len(records))
	for i, r := range records {
		subscribers[i] = r.snapshot(ctx)
	}
	c := &h.count
	writes, forgotten := h.writes.counts()
	return Truth{
		Run:   fmt.Sprintf("%08x", h.run),
		Now:   time.Now().UnixNano(),
		Clock: TruthClock{int64(h.clock.offset), h.clock.drift, h.clock.since},
		Totals: TruthTotals{
			Published: c.published.Load(), Sent: c.sent.Load(), Duplicated: c.duplicated.Load(),
			Dropped: c.dropped.Load(), Delayed: c.delayed.Load(), Reordered: c.reordered.Load(),
			Cut: c.cut.Load(), Refused: c.refused.Load(), Rejected: c.rejected.Load(),
			Writes: writes, WritesForgotten: forgotten,
			SubscribersOpen: c.open.Load(), SubscribersTotal: c.total.Load(),
		},
		Events:      events,
		Subscribers: subscribers,
	}
}

// find gives the events and the records that q asks for.
func (t *registry) find(q truthQuery) ([]TruthEvent, []*record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keep := func(r *record) bool { return !q.named || r.sub.Client == q.client } // the name never changes
	var open []*record
	for _, r := range t.open {
		if keep(r) {
			open = append(open, r)
		}
	}
	slices.SortFunc(open, func(a, b *record) int { return cmp.Compare(a.sub.N, b.sub.N) })
	open = open[max(0, len(open)-q.subscribers):]
	ended := t.ended.latest(q.subscribers-len(open), keep)
	return t.events.latest(q.events, func(TruthEvent) bool { return true }), append(ended, open...)
}

func (s *Server) serveTruth(w http.ResponseWriter, r *http.Request) {
	q, err := parseTruthQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s.hub.report(r.Context(), q)) // a client that went away needs no answer
}
