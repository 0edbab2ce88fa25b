package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rtbench/rtbench/client"
)

const (
	// DefaultHorizon is how long the longest probes stay away where a Horizon doesn't say.
	DefaultHorizon = time.Minute
	// DefaultHorizonConnections is how many connections a Horizon has open at a time where it doesn't say.
	DefaultHorizonConnections = maxReferences + 16

	maxReferences = 2
	stagger       = time.Second            // between the references, so that a limit on age doesn't cut both at once
	seam          = 100 * time.Millisecond // after a stream was opened: what is published later is live
	grace         = time.Second            // after a probe is live: duplicates and what overtook may still come
	leastPatience = 10 * time.Second       // for a live event
	leastAway     = 250                    // the shortest time away is the limit through that, unless events are rarer
	recent        = 100                    // events, for the rate at which they come now
	undescribed   = 3                      // events without an id, of each reference, before the search gives up
)

// A Horizon searches for how long a client may be away, and how many events it may miss, before resuming loses something.
//
//	references → record ← probes: subscribe, leave, come back → Probe, … → bracket → the next round
//
// References stay connected and say which events there were. In each round probes subscribe, leave after a live event, are
// away for different times and resume from the last event they had; what they then get is held against the record. The first
// round covers everything up to the limit, the others divide what is left between the longest time that was complete and the
// shortest that wasn't. Ids are opaque.
type Horizon struct {
	// Dial gives the dialer of a connection; the references come first.
	Dial        func(conn int) (client.Dialer, error)
	Limit       time.Duration // the longest time away; 0 for DefaultHorizon
	Events      uint64        // a probe comes back, too, when it has missed so many; 0 for no limit
	Connections int           // open at a time, at least 2; 0 for DefaultHorizonConnections
	// Show is told how the search goes on, one call at a time; it must not block. nil for nobody.
	Show func(HorizonStep)

	size int // of the record; 0 for recordSize
}

// A HorizonStep is a round that begins, with Plan, or a probe that has been judged, with Back.
type HorizonStep struct {
	At     time.Duration // since the search began
	Round  int           // from 1
	Rounds int           // at most
	Plan   []time.Duration
	Back   *Probe
}

// An Outcome is what a probe showed.
type Outcome string

const (
	Complete   Outcome = "complete"   // nothing was lost
	Incomplete Outcome = "incomplete" // something was lost, or the server refused to go on
	Idle       Outcome = "idle"       // nothing was published while it was away
	Unjudged   Outcome = "unjudged"   // nobody can say; Why says so
)

// A Probe is a client that was away once.
type Probe struct {
	Round   int
	Planned time.Duration
	Outcome Outcome
	Why     string        // it is unjudged, or why it was refused; may quote the server
	Away    time.Duration // from when it left to when it asked to go on
	Age     time.Duration // of the oldest event that it had missed by then
	Missed  uint64        // events published while it was away

	Replayed uint64 // of those, what it got all the same
	Lost     uint64 // events between its last one and a live one that never came
	Again    uint64 // events that came twice
	Resent   uint64 // events up to its last one that came once more
	Swapped  uint64 // events that came after a later one
	Foreign  uint64 // events that no reference had
}

// A HorizonVerdict says what a search came to.
type HorizonVerdict string

const (
	HorizonFound       HorizonVerdict = "found"            // there is an edge: see Complete and Incomplete
	HorizonBeyond      HorizonVerdict = "nothing-lost"     // nothing was lost by any probe
	HorizonNone        HorizonVerdict = "nothing-replayed" // nothing was replayed to any probe
	HorizonUndecidable HorizonVerdict = "undecidable"      // nobody can say
)

// A HorizonResult is what a search came to.
type HorizonResult struct {
	Verdict HorizonVerdict
	Why     string // it is undecidable, or ended early; "" otherwise

	// By the time away, unless LimitedBy says by what else.
	Complete       *Probe    // the last that was complete, before Incomplete if there is that; nil for none
	Incomplete     *Probe    // the first that wasn't; nil for none
	LimitedBy      LimitKind // what the server limits its replay by; "" unless there is an edge
	Contradictions []Probe   // complete though beyond Incomplete

	Limit       time.Duration
	MaxEvents   uint64 // 0 for no limit
	References  int
	Rounds      int // that were begun
	Planned     int // rounds, at most
	Probes      []Probe
	Recorded    uint64        // events
	Anonymous   uint64        // events without an id, which nobody can judge
	Interval    time.Duration // mean, between two events; 0 where there were fewer
	Longest     time.Duration // between two events
	Elapsed     time.Duration
	Interrupted bool // it was stopped before its end
}

// A Cost is what a search takes, at most but for waiting for events that are rare.
type Cost struct {
	References, Probes, Rounds int // Probes are those of a round
	Time                       time.Duration
}

// Cost says what the search takes, at most.
func (h *Horizon) Cost() Cost {
	connections := max(cmp.Or(h.Connections, DefaultHorizonConnections), 2)
	c := Cost{References: maxReferences, Probes: connections - maxReferences}
	if c.Probes < 1 {
		c.References, c.Probes = 1, 1
	}
	limit := h.limit()
	c.Rounds = rounds(limit/leastAway, limit, c.Probes)
	c.Time = stagger + time.Duration(c.Rounds)*(limit+grace+seam)
	return c
}

func (h *Horizon) limit() time.Duration { return cmp.Or(h.Limit, DefaultHorizon) }

// errLeft ends the search for all when it is over.
var errLeft = errors.New("the search is over")

// Find makes the search. When ctx ends it returns what is known by then. Its error is why nothing could be opened at all.
func (h *Horizon) Find(ctx context.Context) (*HorizonResult, error) {
	cost := h.Cost()
	s := &hunt{
		Horizon: h, cost: cost, start: time.Now(), record: newRecord(cmp.Or(h.size, recordSize)),
		opened: make(chan struct{}), ready: make(chan struct{}), anonymous: make([]uint64, cost.References),
	}
	searching, over := context.WithCancelCause(ctx)
	s.over = over
	var all sync.WaitGroup
	defer all.Wait()
	defer over(errLeft)
	err := s.follow(searching, &all)
	switch e, failed := errors.AsType[*unopened](err); {
	case failed && ctx.Err() == nil:
		return nil, e.error
	case err == nil:
		s.rounds(searching)
		err = context.Cause(searching)
	}
	return s.result(ctx.Err() != nil, err), nil
}

// An unopened is why the first connection wasn't opened.
type unopened struct{ error }

// A hunt is a Horizon being searched.
type hunt struct {
	*Horizon
	cost  Cost
	start time.Time
	over  context.CancelCauseFunc

	showing sync.Mutex // one call of Show at a time

	mu     sync.Mutex
	record *record
	active []*probing
	done   []Probe
	round  int

	alive      int           // references that are open
	ended      int           // references that aren't opened again
	everOpened bool          // the first reference was
	opened     chan struct{} // closed then
	ready      chan struct{} // closed once the references are known to have the same events
	isReady    bool
	agreed     bool
	anonymous  []uint64 // events without an id, by reference
}

func (s *hunt) now() time.Duration { return time.Since(s.start) }

// patience is how long a live event is waited for, where some come seldom. The mutex must be held.
func (s *hunt) patience() time.Duration { return max(leastPatience, 3*s.record.longest) }

// follow has the references connected, and waits until they are known to have the same events.
func (s *hunt) follow(ctx context.Context, all *sync.WaitGroup) error {
	for n := range s.cost.References {
		dialer, err := s.Dial(n)
		if err != nil {
			return &unopened{err}
		}
		session := &client.Session{
			Dialer: dialer, Observer: &reference{s, n}, Seed: uint64(n),
			Backoff: client.Backoff{Policy: client.Exponential, Base: 100 * time.Millisecond, Max: 5 * time.Second},
		}
		all.Go(func() {
			err := session.Run(ctx)
			s.left(ctx, err)
		})
		if n > 0 {
			continue
		}
		select {
		case <-s.opened:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !sleep(ctx, stagger) {
			return context.Cause(ctx)
		}
	}
	patience := time.NewTimer(max(leastPatience, s.limit()))
	defer patience.Stop()
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-patience.C:
		return s.unfit()
	}
}

// sleep waits for d; false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// An unfit says why a stream can't be searched.
type unfit string

func (u unfit) Error() string { return string(u) }

// unfit says why the references never were ready.
func (s *hunt) unfit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := max(leastPatience, s.limit())
	switch {
	case s.record.last == 0 && slices.Max(s.anonymous) > 0:
		return unfit("the events carry no id")
	case s.record.last < 2:
		return unfit(fmt.Sprintf("fewer than two events came in %s", took))
	}
	return unfit("the subscriptions don't share their events: no id came to both references at the same time")
}

// left notes that a reference isn't opened again.
func (s *hunt) left(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended++; ctx.Err() != nil {
		return
	}
	switch {
	case !s.everOpened:
		s.over(&unopened{err})
	case s.ended == s.cost.References:
		s.over(unfit("no reference could stay connected: " + client.Classify(err).Error()))
	}
}

// A reference is a subscription that stays connected. It is its session's Observer.
type reference struct {
	s *hunt
	n int
}

func (r *reference) Opened(client.Opened) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive++
	if !s.everOpened {
		s.everOpened = true
		close(s.opened)
	}
}

func (r *reference) Closed(c client.Closed) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.everOpened {
		s.over(&unopened{c.Err})
	}
	if !c.Opened {
		return
	}
	if s.alive--; s.alive == 0 {
		s.record.epoch++
	}
}

func (r *reference) Received(ev *client.Event) {
	s := r.s
	if ev.Type != client.Message {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ev.OwnID || len(ev.ID) == 0 {
		if s.anonymous[r.n]++; !s.isReady && s.record.last == 0 && slices.Min(s.anonymous) >= undescribed {
			s.over(unfit("the events carry no id"))
		}
		return
	}
	id, at := s.record.hash(ev.ID), ev.Arrival.User.Sub(s.start)
	if _, before, known := s.record.find(id); known {
		s.agreed = s.agreed || before.by != uint32(r.n) && at-before.at < stagger/2
	} else {
		n := s.record.add(recorded{id: id, at: at, by: uint32(r.n)})
		for _, p := range s.active {
			p.recorded(n, id, at)
		}
	}
	if !s.isReady && s.record.last >= 2 && (s.agreed || s.cost.References == 1) {
		s.isReady = true
		close(s.ready)
	}
}

// rounds makes the rounds.
func (s *hunt) rounds(ctx context.Context) {
	dialers := make([]client.Dialer, s.cost.Probes)
	for i := range dialers {
		dialer, err := s.Dial(s.cost.References + i)
		if err != nil {
			s.over(unfit(err.Error()))
			return
		}
		dialers[i] = dialer
	}
	for ctx.Err() == nil {
		plan := s.plan()
		if len(plan) == 0 {
			return
		}
		s.show(HorizonStep{Plan: plan})
		var round sync.WaitGroup
		for i, away := range plan {
			p := &probing{s: s, dialer: dialers[i], Probe: Probe{Round: s.round, Planned: away}, enough: make(chan struct{})}
			round.Go(func() { p.run(ctx) })
		}
		round.Wait()
	}
}

// plan gives the times away of the next round; none where nothing more can be found.
func (s *hunt) plan() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.round == s.cost.Rounds {
		return nil
	}
	shortest := max(s.limit()/leastAway, min(2*s.record.interval(recent), s.limit()/2))
	if s.round == 0 {
		s.round = 1
		return series(shortest, s.limit(), s.cost.Probes)
	}
	kind := limitKind(s.done)
	low, high := bracket(s.done, kind.measure())
	if high == nil || nothingReplayed(s.done) || kind == LimitNone {
		return nil
	}
	from, to := min(shortest, high.Planned/2), high.Planned
	now := func(p *Probe) time.Duration { return time.Duration(p.Missed) * s.record.interval(recent) } // what it missed takes now
	switch count, near := narrowCount(low, high), narrowTime(low, high); {
	case count && (near || low == nil || kind == LimitByCount || high.Missed <= low.Missed+1):
		return nil
	case kind == LimitByCount && low != nil:
		from, to = max(now(low), shortest), min(now(high), s.limit())
		from = min(from, to/2)
	case near: // but one missed many more: the rate has changed
		from = min(max(from, now(low)), to/2)
	case low != nil && low.Planned < to:
		from = low.Planned
	}
	s.round++
	return between(from, to, s.cost.Probes)
}

// nothingReplayed reports whether there are probes that show something, and none of them got anything of what it had missed.
func nothingReplayed(probes []Probe) bool {
	list := judged(probes, byTime)
	return len(list) > 0 && !slices.ContainsFunc(list, func(p Probe) bool { return p.Outcome == Complete || p.Replayed > 0 })
}

// show tells how the search goes on.
func (s *hunt) show(step HorizonStep) {
	if s.Show == nil {
		return
	}
	s.mu.Lock()
	step.At, step.Round, step.Rounds = s.now(), s.round, s.cost.Rounds
	s.mu.Unlock()
	s.showing.Lock()
	defer s.showing.Unlock()
	s.Show(step)
}

// result is what is known, and why there is no more.
func (s *hunt) result(interrupted bool, cause error) *HorizonResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.done, func(a, b Probe) int {
		return cmp.Or(cmp.Compare(a.Round, b.Round), cmp.Compare(a.Planned, b.Planned))
	})
	r := &HorizonResult{
		Limit: s.limit(), MaxEvents: s.Events, References: s.cost.References, Rounds: s.round, Planned: s.cost.Rounds,
		Probes: s.done, Recorded: s.record.last, Interval: s.record.interval(s.record.size), Longest: s.record.longest,
		Anonymous: slices.Max(s.anonymous), Elapsed: s.now(), Interrupted: interrupted,
	}
	kind := limitKind(s.done)
	r.Complete, r.Incomplete = bracket(s.done, kind.measure())
	r.Contradictions = contradictions(s.done, kind.measure())
	if why, early := errors.AsType[unfit](cause); early {
		r.Why = string(why)
	}
	switch {
	case nothingReplayed(s.done):
		r.Verdict = HorizonNone
	case r.Incomplete != nil:
		r.Verdict, r.LimitedBy = HorizonFound, kind
	case r.Complete != nil:
		r.Verdict = HorizonBeyond
	default:
		r.Verdict, r.Why = HorizonUndecidable, cmp.Or(r.Why, s.unjudged(interrupted))
	}
	return r
}

// unjudged says why no probe shows anything. The mutex must be held.
func (s *hunt) unjudged(interrupted bool) string {
	if interrupted {
		return "it was stopped before any probe was back"
	}
	counts := make(map[string]int)
	why := "no probe was made"
	for _, p := range s.done {
		reason := cmp.Or(p.Why, "nothing was published while the probes were away")
		if counts[reason]++; counts[reason] > counts[why] {
			why = reason
		}
	}
	return why
}
