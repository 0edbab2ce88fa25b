package check

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

const (
	// DefaultIdle is how long a Silence looks where it doesn't say.
	DefaultIdle = 5 * time.Minute
	// DefaultIdleConnections is how many connections a Silence opens where it doesn't say.
	DefaultIdleConnections = 3

	maxNames      = 8           // kinds of events that are told from each other
	farewell      = time.Second // before the end of a stream: what comes then may be of the end itself
	farewellBytes = 256         // that the end itself may have: a last chunk, a Close frame, an alert of TLS
	sameTime      = time.Second // within which connections that were cut were cut at once
	tolerance     = .01         // by how much two times that are the same may differ
)

// A Silence searches for when connections are cut on which the client says nothing, and for the heartbeats that come
// meanwhile. It opens a few, one after the other, since a limit on how long nothing is said and one on how old a connection
// gets can only be told from each other where connections differ; and opens none again.
type Silence struct {
	Dial        func(conn int) (client.Dialer, error)
	Limit       time.Duration // how long it looks; 0 for DefaultIdle
	Connections int           // 0 for DefaultIdleConnections
	// Show is told when a connection was opened or has ended, one call at a time; it must not block. nil for nobody.
	Show func(SilenceStep)
}

// A SilenceStep is a connection that was opened, wasn't, or has ended.
type SilenceStep struct {
	At   time.Duration // since the search began
	Held Held
}

// A Held is a connection that was held open.
type Held struct {
	Conn    int
	Opened  time.Duration // since the search began
	Ended   bool          // it has ended, or was never opened
	Age     time.Duration // from being opened to its end, or to that of the search
	Silence time.Duration // at its end, since the last byte
	Longest time.Duration // silence after which it still was there
	Failure *client.Error // why it wasn't opened; nil if it was
	Cut     *client.Error // how it was cut; nil if it wasn't
	Events  uint64
	Beats   uint64 // heartbeats: SSE comments, WebSocket pings
	Unread  uint64 // bytes that were neither event nor heartbeat, nor of the end; when they came is known for the last only
}

// A Beat is how often something came.
type Beat struct {
	Kind  Kind
	Name  string // of an event, where it has one; as the server wrote it
	Count uint64 // on all connections

	// Between two on one connection; Gaps is 0 where none had two.
	Gaps                      uint64
	Shortest, Median, Longest time.Duration
}

// A CutKind says what connections are cut for.
type CutKind string

const (
	CutNone    CutKind = ""        // none was cut
	CutSilence CutKind = "silence" // nothing was said for so long
	CutAge     CutKind = "age"     // the connection was so old
	CutEither  CutKind = "either"  // both fit
	CutNeither CutKind = "neither" // neither fits all of them
)

// A SilenceResult is what a search came to.
type SilenceResult struct {
	Limit       time.Duration
	Held        []Held
	Beats       []Beat        // heartbeats first
	Longest     time.Duration // silence that was survived, on any connection
	CutFor      CutKind
	AtOnce      bool // several were cut, all at the same moment though of different ages: a restart looks so
	Elapsed     time.Duration
	Interrupted bool
}

func (x *Silence) limit() time.Duration { return cmp.Or(x.Limit, DefaultIdle) }

// stagger is how long after each other connections are opened.
func (x *Silence) stagger() time.Duration {
	return min(max(x.limit()/100, 100*time.Millisecond), 5*time.Second)
}

// Find makes the search. When ctx ends it returns what is known by then. Its error is why nothing could be opened at all.
func (x *Silence) Find(ctx context.Context) (*SilenceResult, error) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, x.limit())
	defer cancel()
	w := &watch{Silence: x, start: time.Now(), stop: cancel, held: make([]Held, cmp.Or(x.Connections, DefaultIdleConnections))}
	var all sync.WaitGroup
	for i := range w.held {
		w.held[i].Conn = i
		dialer, err := x.Dial(i)
		if err != nil {
			dialer = failing{err}
		}
		all.Go(func() { w.hold(ctx, dialer, &w.held[i]) })
	}
	all.Wait()
	if first := w.held[0].Failure; first != nil && parent.Err() == nil {
		return nil, first
	}
	return w.result(parent.Err() != nil), nil
}

// A watch is a Silence being searched.
type watch struct {
	*Silence
	start time.Time
	stop  func()
	held  []Held // each is its connection's own until that has ended

	showing sync.Mutex
	mu      sync.Mutex
	beats   []*beats
}

// beats are the times between things of one kind.
type beats struct {
	Beat
	gaps *hdrhistogram.Histogram
}

// A failing is a dialer that wasn't to be had.
type failing struct{ err error }

func (f failing) Dial(context.Context, client.Cursor) (client.Stream, error) { return nil, f.err }

// errNotTried is why a connection wasn't opened when the search was over before.
var errNotTried = errors.New("the search was over before it was tried")

// hold opens a connection and listens until it is cut or ctx ends.
func (w *watch) hold(ctx context.Context, dialer client.Dialer, h *Held) {
	var stream client.Stream
	err := errNotTried
	if sleep(ctx, time.Duration(h.Conn)*w.stagger()) {
		stream, err = dialer.Dial(ctx, nil)
	}
	if err != nil {
		h.Ended, h.Failure = true, client.Classify(err)
		if err != errNotTried {
			w.show(*h)
		}
		if h.Conn == 0 { // the others would fare the same
			w.stop()
		}
		return
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	opened := time.Now()
	h.Opened = opened.Sub(w.start)
	w.show(*h)
	seen := seen{at: make(map[*beats]time.Time)}
	last, wire := opened, stream.Info().HeadIn
	err = nil
	for ev, failed := range stream.Events() {
		if failed != nil {
			err = failed
			break
		}
		now := ev.Arrival.User
		h.Longest = max(h.Longest, now.Sub(last))
		last, wire = later(last, now), wire+uint64(ev.Wire)
		if ev.Type == client.Comment {
			h.Beats++
		} else {
			h.Events++
		}
		w.note(&ev, seen)
	}
	ended := time.Now()
	info := stream.Info()
	h.Unread = info.WireIn - min(info.WireIn, wire)
	switch atEnd := ctx.Err() == nil && ended.Sub(info.LastByte) <= farewell; {
	case atEnd && h.Unread <= farewellBytes:
		h.Unread = 0
	case !atEnd && info.LastByte.After(last):
		h.Longest = max(h.Longest, info.LastByte.Sub(last))
		last = info.LastByte
	}
	h.Ended, h.Age, h.Silence = true, ended.Sub(opened), ended.Sub(last)
	if ctx.Err() != nil {
		h.Longest = max(h.Longest, h.Silence)
		return
	}
	h.Cut = client.Classify(err)
	w.show(*h)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// seen is when something of a kind came last on a connection.
type seen struct{ at map[*beats]time.Time }

// note counts what came, by its kind.
func (w *watch) note(ev *client.Event, before seen) {
	kind, name := Event, ev.Kind
	switch ev.Type {
	case client.Comment:
		kind, name = Comment, ""
	case client.Hint:
		kind, name = Hint, ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.beat(kind, name)
	b.Count++
	now := ev.Arrival.User
	if last, ok := before.at[b]; ok {
		gap := max(0, now.Sub(last))
		if b.Gaps++; b.Gaps == 1 {
			b.Shortest = gap
		}
		b.Shortest, b.Longest = min(b.Shortest, gap), max(b.Longest, gap)
		_ = b.gaps.RecordValue(min(max(int64(gap), b.gaps.LowestTrackableValue()), b.gaps.HighestTrackableValue())) // so it is in range
	}
	before.at[b] = now
}

// beat gives what has a kind and a name. Names are a server's own, so only some are told from each other.
func (w *watch) beat(kind Kind, name string) *beats {
	for _, b := range w.beats {
		if b.Kind == kind && b.Name == name {
			return b
		}
	}
	if kind == Event && name != "" && len(w.beats) >= maxNames {
		return w.beat(kind, "")
	}
	b := &beats{Beat: Beat{Kind: kind, Name: name}, gaps: bench.NewHistogram()}
	w.beats = append(w.beats, b)
	return b
}

func (w *watch) show(h Held) {
	if w.Show == nil {
		return
	}
	w.showing.Lock()
	defer w.showing.Unlock()
	w.Show(SilenceStep{At: time.Since(w.start), Held: h})
}

// result is what is known.
func (w *watch) result(interrupted bool) *SilenceResult {
	r := &SilenceResult{Limit: w.limit(), Held: w.held, Elapsed: time.Since(w.start), Interrupted: interrupted}
	for _, b := range w.beats {
		if b.Gaps > 0 { // exact where all are the same
			b.Median = min(max(time.Duration(b.gaps.ValueAtQuantile(50)), b.Shortest), b.Longest)
		}
		r.Beats = append(r.Beats, b.Beat)
	}
	order := map[Kind]int{Comment: 0, Event: 1, Hint: 2}
	slices.SortStableFunc(r.Beats, func(a, b Beat) int {
		return cmp.Or(cmp.Compare(order[a.Kind], order[b.Kind]), cmp.Compare(a.Name, b.Name))
	})
	for _, h := range w.held {
		r.Longest = max(r.Longest, h.Longest)
	}
	r.CutFor, r.AtOnce = cutFor(w.held, w.stagger())
	return r
}

// cutFor says what fits how connections were cut that were opened so long after each other, and whether all were cut at one
// moment though their ages differ. What a limit is on is the same for all that it cut, and no connection was ever beyond it.
func cutFor(held []Held, stagger time.Duration) (kind CutKind, atOnce bool) {
	var ages, silences, moments []time.Duration
	var oldest, longest time.Duration // that were survived
	for _, h := range held {
		longest = max(longest, h.Longest)
		if h.Cut == nil {
			oldest = max(oldest, h.Age)
			continue
		}
		ages, silences, moments = append(ages, h.Age), append(silences, h.Silence), append(moments, h.Opened+h.Age)
	}
	if len(ages) == 0 {
		return CutNone, false
	}
	atOnce = len(ages) > 1 && spread(moments) < sameTime && spread(ages) > stagger/2
	switch silence, age := same(silences, longest, stagger), same(ages, oldest, stagger); {
	case silence && age:
		return CutEither, atOnce
	case silence:
		return CutSilence, atOnce
	case age:
		return CutAge, atOnce
	}
	return CutNeither, atOnce
}

// same reports whether times differ no more than the connections do that they are of, and none was survived that is longer.
func same(times []time.Duration, survived, stagger time.Duration) bool {
	least := slices.Min(times)
	slack := max(time.Duration(tolerance*float64(least)), stagger/2)
	return spread(times) <= slack && survived <= least+slack
}

func spread(times []time.Duration) time.Duration { return slices.Max(times) - slices.Min(times) }
