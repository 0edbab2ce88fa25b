package bench

import (
	"errors"
	"hash/maphash"
	"time"

	"github.com/rtbench/rtbench/client"
)

// race is how long after a subscription is open it may still miss an event: the server has answered, but may not
// have entered the subscriber in its list yet. Such events are left out, visibly.
const race = time.Second

// maxFeeds bounds how many sequences one connection is tracked in.
const maxFeeds = 16

// A subscriber is one logical subscription: the Observer of its session. The shard's mutex guards what is below it. What
// each event needs stands together, since a run has many subscribers, and each of them its turn.
type subscriber struct {
	run     *run
	shard   *shard
	tracked []tracked
	opened  int64 // when it was first open, ns after the start; never before that
	dropped int64 // last byte before the drop it is recovering from; never if none
	latest  int64 // arrival of the latest event on any stream; 0 if none
	wireIn  uint64
	hint    int32      // where a stamp was found last
	fresh   bool       // no event yet on the stream in use
	ended   bool       // the session has ended
	retired bool       // the plan ended it
	listed  bool       // it counts among run.subscribed
	slow    bool       // it reads slowly
	place   [1]tracked // of tracked, where there is but one
	index   int
	at      int  // its place among those that the plan wants open
	gaveUp  bool // its first attempts failed
	session client.Session

	outbox *outbox // what it is to send; nil where it sends nothing
	due    int64   // of a request stream: when it was due to start, ns after the start

	reopened int64      // when the stream in use was opened
	started  int64      // when that was dialed
	failedAt int64      // when the stream, or the attempt to open one, failed last
	waited   int64      // of the outage, since a stream was open: between attempts
	tried    int64      // by those that failed
	parts    int64      // of the outage, what is in detect, wait and reconnect
	churned  bool       // the run breaks it off as one after the other
	deaf     bool       // the run has made a black hole of its stream
	storm    *gathering // where the drop is kept that it is recovering from, as which; nil for nowhere
	inStorm  int
	policy   uint8 // back-off
	isOpen   bool  // a stream is
	drops    uint64
	longest  int64       // delivery, ns, while somebody looks
	history  []Happening // likewise
	wireOut  uint64
	echo     Tracker  // of its own messages
	sent     uint64   // of these
	spoken   uint64   // of these, those for all that its account holds
	early    []uint64 // those of which that isn't known yet
	pending  echoes   // of these, where they carry no stamp
	ancient  uint64   // of these, those that came back too late to be told from others
}

// tracked is a subscriber's place in one feed.
type tracked struct {
	key       feedKey
	feed      *feed
	tracker   Tracker
	last      uint64    // ordinal of the event dispatched last
	newest    int64     // latest due time of its events, ns after the start
	resuming  *resuming // what the stream in use brings, where it is one that was opened again; nil once that is judged
	owed      uint64    // what was due before the window, and missing when it began, and has not come since
	level     bool      // it has received an event when others did
	watches   bool      // the stream in use brings what is published as it is
	past      bool      // it has received what comes after the end of the window
	skipped   uint64    // what was left out before the first event that it expects
	behind    int64     // events that others had seen long before, while it never was level
	strays    uint64    // events that nobody had seen before others had later ones, since the last one that somebody had
	strayedAt int64     // when the first of those came, ns after the start
	strayedTo int64     // and the last one
	ancient   uint64    // those of its account that came too late to be told from others
	teller    *teller   // of the order of events; nil where their numbers say it
}

// again takes an event whose number is no news. It is another one all the same if it was due later than all before, or has
// another content.
func (t *tracked) again(ordinal uint64, seen *sighted) {
	if seen.known && seen.due > t.newest || t.feed.differs(ordinal, seen.content) {
		t.feed.anew.Add(1)
	}
}

// Opened implements client.Observer.
func (s *subscriber) Opened(o client.Opened) {
	at := s.run.at(o.At)
	s.run.nowOpen(1)
	for last := s.run.lastOpened.Load(); at > last && !s.run.lastOpened.CompareAndSwap(last, at); last = s.run.lastOpened.Load() {
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	c := s.shard.cell
	c.add(Attempts, 1)
	c.add(Opened, 1)
	s.isOpen = true
	if s.dropped != never {
		c.add(Reconnects, 1)
		if s.run.runner.looked.Load() {
			s.happened(at, "open again")
		}
	}
	if s.opened == never {
		s.opened = at
		if !s.slow {
			s.listed = true
			s.run.subscribed.Add(1)
			s.run.openings.add(at)
		}
	}
	if s.slow {
		s.run.slowOpen.Add(1)
	}
	s.reopened, s.started, s.fresh = at, s.run.at(o.Info.Started), true
	if s.dropped != never {
		s.reconnected(c, at)
	}
	switch {
	case s.dropped == never:
	case at < c.window.end.Load():
		s.resume(o.Info)
	case o.Info.Resumed:
		s.run.resumes.late()
	}
	s.wireIn, s.wireOut = 0, o.Info.WireOut
	c.add(WireOut, o.Info.WireOut)
	c.add(HandshakeOut, o.Info.WireOut)
	c.add(HandshakeIn, o.Info.HeadIn)
	phases := [...]struct {
		metric Metric
		took   time.Duration
	}{{Connect, o.Info.Phases.Total}, {DNS, o.Info.Phases.DNS}, {TCP, o.Info.Phases.TCP}, {TLS, o.Info.Phases.TLS}, {Upgrade, o.Info.Phases.Upgrade}}
	for _, phase := range phases {
		if phase.took >= 0 {
			c.time(phase.metric, int64(phase.took))
		}
	}
	s.run.noteRemote(o.Info)
	s.run.noteDate(o)
}

// Received implements client.Observer.
func (s *subscriber) Received(ev *client.Event) {
	s.shard.mu.Lock()
	if s.slow {
		s.slowly(s.shard.cell, ev)
	} else {
		s.received(s.shard.cell, ev, s.run.arrival(&ev.Arrival))
	}
	s.shard.mu.Unlock() // without defer, which takes longer
}

// received takes an event. The shard's mutex must be held.
func (s *subscriber) received(c *cell, ev *client.Event, a arrival) {
	at := a.at
	c.add(WireIn, uint64(ev.Wire))
	s.wireIn += uint64(ev.Wire)
	if ev.Type != client.Message {
		if ev.Type == client.Comment {
			c.add(Heartbeats, 1)
		}
		return
	}
	c.add(Received, 1)
	c.add(Bytes, uint64(len(ev.Data)))
	if c.window.holds(at) {
		c.arrived(ev)
		if !s.fresh && s.latest >= c.window.begin {
			c.time(InterArrival, max(0, at-s.latest)) // the one before may be stamped by user space, and later than it came
		}
		s.run.countdown(at)
	}
	s.latest = at
	if s.fresh {
		s.first(c, at)
	}
	due, known := s.timing(c, ev, a)
	if s.run.runner.looked.Load() {
		s.glance(ev, at, due, known)
	}
	if s.dropped == never {
		return
	}
	if since, ok := s.live(at, due, known); ok {
		c.time(Outage, since-s.dropped)
		c.time(CatchUp, max(0, since-s.dropped-s.parts)) // the kernel's stamp may be of before user space had the stream
		s.dropped = never
	}
}

// first takes the first event of a stream.
func (s *subscriber) first(c *cell, at int64) {
	s.fresh = false
	from := s.started
	if s.run.plan.Streams {
		from = s.due
	}
	c.time(FirstEvent, at-from)
}

// timing finds out which event this is and when it was due (ns after the start), and records what follows from that.
func (s *subscriber) timing(c *cell, ev *client.Event, a arrival) (due int64, known bool) {
	r := s.run
	stamp, stamped := s.token(ev.Data)
	own := stamped && stamp.Run == r.id
	if own && r.own == nil {
		return s.own(c, stamp, a), true
	}
	if r.plan.Send.Unstamped {
		sent, how := s.pending.match(maphash.Bytes(r.seed, ev.Data))
		switch how {
		case oldestOf:
			r.alike.Store(true)
			fallthrough
		case onlyMatch:
			s.echoed(c, sent.number, sent.due, a)
			return sent.due, true
		case onceTooOften:
			c.add(Duplicate, 1)
			return 0, false
		}
	}
	field := &r.plan.Stamp
	switch {
	case own:
		due, known = stamp.Due-r.wall, true
		if r.plan.Send.Every > 0 && stamp.Source == uint32(s.index) {
			r.own.others.Store(false)
		}
	case r.own != nil: // another's message, by another schedule and maybe another clock
	case !field.IsZero():
		var ns int64
		if ns, known = field.Time(ev.Data); known {
			s.shard.grain.look(ns)
			due = s.stampedAt(c, ns, a)
		} else {
			c.add(Unstamped, 1)
		}
	case stamped:
		due, known = s.stampedAt(c, stamp.Due, a), true
	}
	if known && !r.stamped.Load() {
		r.stamped.Store(true)
	}
	var seen sighted // set field by field: it would be made elsewhere and copied otherwise
	seen.at, seen.due, seen.sent, seen.since = a.at, due, due, s.opened
	seen.known, seen.exact = known, known && (own || !r.twoClocks())
	if stamped && field.IsZero() {
		seen.sent += max(0, stamp.Sent-stamp.Due)
	}
	fresh := r.plan.Streams || s.order(c, ev, stamp, stamped, &seen)
	if fresh && known && due >= s.opened && c.window.holds(due) {
		c.since(Delivery, due, a)
		s.beside(c, due, a)
	}
	return due, known
}

// token finds rtbench's own stamp in a payload. It is valid until the shard's next one.
func (s *subscriber) token(data []byte) (stamp *client.Stamp, ok bool) {
	if field := &s.run.plan.Token; !field.IsZero() {
		if data, ok = field.Text(data); !ok {
			return nil, false
		}
	}
	pos, ok := s.shard.stamp.find(data, int(s.hint))
	s.hint = int32(pos)
	return &s.shard.stamp.Stamp, ok
}

// own takes a message of this very run: an echo, or what another of its connections sent. One clock measures both.
func (s *subscriber) own(c *cell, stamp *client.Stamp, a arrival) (due int64) {
	due = stamp.Due - s.run.wall
	if stamp.Source != uint32(s.index) {
		s.run.broadcast.Store(true)
		if c.window.holds(due) {
			c.since(Delivery, due, a)
		}
		return due
	}
	s.echoed(c, stamp.Seq, due, a)
	return due
}

func (s *subscriber) echoed(c *cell, number uint64, due int64, a arrival) {
	s.echo.Expect(1)
	switch sighting, _ := s.echo.Observe(number + 1); sighting {
	case Again:
		c.add(Duplicate, 1)
		return
	case TooOld:
		c.add(Ancient, 1)
		s.ancient++
		return
	case Overdue:
		c.add(Reordered, 1)
	}
	if a.at >= c.window.end.Load() {
		c.add(Late, 1)
	}
	if c.window.holds(due) {
		c.since(RoundTrip, due, a)
	}
}

// order asks the tracker what to make of the event, where it can be told from others. It isn't fresh if it is known, or
// may be, to have come before.
func (s *subscriber) order(c *cell, ev *client.Event, stamp *client.Stamp, stamped bool, seen *sighted) (fresh bool) {
	key, ordinal, ok := s.run.identify(ev, stamp, stamped)
	if !ok {
		c.nameless++
		if s.run.plan.Sequence.ID && ev.OwnID {
			s.stray()
		}
		return true
	}
	t := s.track(key)
	if t == nil || t.feed.own != nil && ordinal > t.feed.highest.Load() { // which nobody has published
		return true
	}
	if t.feed.stray(s) {
		s.stray()
		return false
	}
	seen.content = t.feed.content(ev.Data, stamp)
	if key.kind == byOpaqueID {
		if ordinal, ok = t.number(s, c, t.feed.ids.hash(ev.ID), seen); !ok {
			return false
		}
	}
	seen.ordinal = ordinal
	return s.observe(c, t, seen)
}

// observe asks the tracker of a feed what to make of an event whose ordinal is known. It isn't fresh if it is known, or
// may be, to have come before.
func (s *subscriber) observe(c *cell, t *tracked, seen *sighted) (fresh bool) {
	if t.resuming != nil {
		t.resumed(s, c, seen)
	}
	if !t.watches && !s.deaf && t.resuming.goesOn() {
		t.watches = true
		t.feed.watch(seen.ordinal)
	}
	ordinal := seen.ordinal
	t.last = ordinal
	if !t.feed.counts(ordinal) {
		t.past = true
		c.add(Boundary, 1)
		return true
	}
	if t.tracker.unique == 0 {
		if !seen.known {
			t.feed.waited(seen.at - s.opened)
		}
		first, boundary := t.feed.head(ordinal, s.opened)
		t.begin(first, boundary, c)
	}
	if spared := t.leaving(ordinal); spared > 0 {
		t.tracker.lost -= spared // which observing it adds
		t.teller.spared += spared
		c.add(Boundary, spared)
	}
	switch sighting, _ := t.tracker.Observe(ordinal); sighting {
	case Again:
		c.add(Duplicate, 1)
		t.again(ordinal, seen)
		return false
	case TooOld:
		c.add(Ancient, 1)
		if ordinal >= t.tracker.base {
			t.ancient++
		}
		t.again(ordinal, seen)
		return false
	case beforeAll:
		if t.feed.own == nil || seen.due <= s.opened {
			c.add(Boundary, 1)
		}
		if t.feed.own != nil {
			t.feed.leftOut(ordinal)
		}
		return t.feed.own == nil
	case Overdue:
		if t.overtaken(ordinal, s.run.plan.Send.Every > 0) {
			c.add(Reordered, 1)
		}
	}
	if seen.at >= c.window.end.Load() {
		c.add(Late, 1)
	}
	if t.owed > 0 && ordinal <= t.feed.before.Load() {
		t.owed--
	}
	t.newest = max(t.newest, seen.due)
	open, subscribed := s.run.open()-int(s.run.slowOpen.Load()), int(s.run.subscribed.Load())
	if t.feed.others.Load() {
		open = min(open, subscribed-1)
	}
	behind, from := t.feed.see(seen, open, subscribed, c)
	t.compare(behind)
	t.strayed(from, seen.at)
	return true
}

// sends reports whether the connection is one of those that send.
func (s *subscriber) sends() bool { return s.at%max(1, s.run.plan.Send.Every) == 0 }

// level reports whether the subscriber has received all that it should have by the end of the window. The shard's
// mutex must be held.
func (s *subscriber) level() bool {
	for i := range s.tracked {
		t := &s.tracked[i]
		if line := t.feed.line.Load(); line == 0 || !t.past && t.tracker.next < line { // 0: not drawn yet
			return false
		}
	}
	return true
}

// compare notes how far behind the first connection the subscriber was with an event. Until it is level with the
// others once, it may be catching up, or on a sequence of its own.
func (t *tracked) compare(behind int64) {
	switch {
	case t.level:
	case behind > int64(race):
		t.behind++
		t.feed.behind.Add(1)
	default:
		t.level = true
		t.feed.behind.Add(-t.behind)
	}
}

// leave ends the subscription: it isn't to see any further event. The shard's mutex must be held.
func (s *subscriber) leave() {
	if s.listed {
		s.listed = false
		s.run.subscribed.Add(-1)
	}
}

// track gives the subscriber's place in a feed; nil where it has too many.
func (s *subscriber) track(key feedKey) *tracked {
	for i := range s.tracked {
		if s.tracked[i].key == key {
			return &s.tracked[i]
		}
	}
	feed := s.run.feed(key)
	if feed == nil || len(s.tracked) >= maxFeeds {
		s.run.crowded.Store(true)
		return nil
	}
	s.tracked = append(s.tracked, tracked{key: key, feed: feed})
	t := &s.tracked[len(s.tracked)-1]
	if key.kind == byOpaqueID {
		t.teller = new(teller)
	}
	return t
}

// Closed implements client.Observer.
func (s *subscriber) Closed(closed client.Closed) {
	at := s.run.at(closed.At)
	open := 0
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	c := s.shard.cell
	heard := !s.deaf && !s.slow && !(s.fresh && at-s.reopened < int64(race)) // by as much as the server would have told it
	if closed.Opened {
		s.isOpen = false
		s.pending.clear()
		s.deafen(false)
		open = s.run.nowOpen(-1)
		if s.slow {
			s.run.slowOpen.Add(-1)
		}
		if heard && closed.Asked && s.run.hearing() <= 0 && at < c.window.end.Load() {
			s.run.blindSince.Store(at)
		}
		for i := range s.tracked {
			s.tracked[i].conclude(s, c)
		}
		s.blind()
		c.add(WireIn, closed.Info.WireIn-s.wireIn)
		c.add(WireOut, closed.Info.WireOut-s.wireOut)
		if info := closed.Info; info.Resent >= 0 && info.OutOfOrder >= 0 {
			s.run.segments.Store(true)
			c.add(Resent, uint64(info.Resent))
			c.add(OutOfOrder, uint64(info.OutOfOrder))
		}
		if !closed.Info.FirstByte.IsZero() {
			c.time(FirstByte, int64(closed.Info.FirstByte.Sub(closed.Info.Started)))
		}
	}
	done := errors.Is(closed.Err, client.ErrDone)
	if s.run.plan.Streams {
		s.streamClosed(c, closed, done)
	}
	if closed.Asked || done {
		return
	}
	e := client.Classify(closed.Err)
	if closed.Opened {
		s.drops++
	}
	if s.run.runner.looked.Load() {
		s.happened(at, ending(&closed, e))
	}
	if s.run.plan.NoteEnds && closed.Broken == "" {
		s.note(&closed, e)
	}
	if s.slow && closed.Opened {
		s.slowDrop(c, at, &closed)
		return
	}
	if !closed.Opened && s.dropped != never {
		started := s.run.at(closed.Started)
		s.waited += started - s.failedAt
		s.tried += at - started
		s.run.storms.redial(s.storm, redial{at: started, policy: s.policy, failed: true, key: e.Key()})
	}
	s.failedAt = at
	s.retry(c, &closed, e)
	if closed.Opened && !s.run.plan.Streams && at >= c.window.end.Load() && s.level() {
		s.session.Finish() // it has what it should have: whether it ends a little before the run is nobody's concern
		return
	}
	if closed.Broken == "" {
		s.run.errors.add(at, e, "")
	}
	if !closed.Opened {
		s.run.refusals.Add(1)
		c.add(Attempts, 1)
		c.add(ConnectErrors, 1)
		if closed.Final && e.Temporary() && s.session.Backoff.Policy != client.NoReconnect {
			s.run.exhausted.Store(true)
		}
		s.run.noteFailed(s, e, closed.Final)
		return
	}
	if s.run.plan.Streams {
		return
	}
	s.drop(c, at, open+1, heard, &closed, e)
}

// streamClosed takes the end of a request stream.
func (s *subscriber) streamClosed(c *cell, closed client.Closed, done bool) {
	switch {
	case done:
		c.add(StreamsDone, 1)
		if c.window.holds(s.due) {
			c.time(StreamTotal, s.run.at(closed.Info.LastByte)-s.due)
		}
	case !closed.Asked:
		c.add(StreamsFailed, 1)
	}
}
