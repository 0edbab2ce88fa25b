package bench

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rtbench/rtbench/client"
)

// outboxSize is how many messages a connection may be behind before more of them count as unsent.
const outboxSize = 64

// maxPosts is how many messages a publisher may have under way before more of them count as unsent.
const maxPosts = 256

// preparing is how long before the first message publishers open their connections.
const preparing = 300 * time.Millisecond

// A parcel is a message that is due.
type parcel struct {
	due     time.Duration // after the start
	ordinal uint64        // among what is for all; 0 for what a connection sends for itself
}

// send keeps the schedule: it hands every message that is due to whoever is to send it, and waits for nobody.
func (r *run) send() {
	pace := r.pacer()
	defer pace.close()
	if first, ok := r.times.sends.At(0); !ok || !pace.until(first-preparing) {
		return
	}
	r.prepare()
	for n := uint64(0); ; n++ {
		due, ok := r.until(pace, n)
		if !ok {
			return
		}
		taken := r.dispatch(n, due)
		r.recorder.record(func(c *cell) {
			c.add(Due, 1)
			if !taken {
				c.add(Unsent, 1)
			}
		})
	}
}

// prepare opens a connection for each publisher, so that the first messages aren't late for that. Where it can't be
// opened, they will tell.
func (r *run) prepare() {
	ctx, cancel := context.WithTimeout(r.ctx, preparing)
	defer cancel()
	var opening sync.WaitGroup
	for _, p := range r.posts {
		if quick, ok := p.publisher.(quickPublisher); ok {
			opening.Go(func() { _ = quick.Prepare(ctx) })
		}
	}
	opening.Wait()
}

// dispatch hands on message n of the schedule; false where nobody can take it.
func (r *run) dispatch(n uint64, due time.Duration) bool {
	p := parcel{due: due}
	if r.own == nil {
		s := r.pick(n)
		return s != nil && s.enqueue(p)
	}
	var taken bool
	if len(r.posts) > 0 {
		source := n % uint64(len(r.posts))
		p.ordinal = r.announce(due, uint32(source))
		taken = r.posts[source].enqueue(r, p)
	} else if s := r.pick(n); s != nil {
		p.ordinal = r.announce(due, uint32(s.index))
		taken = s.enqueue(p)
	} else {
		return false
	}
	if !taken {
		r.own.withdraw(p.ordinal)
	}
	return taken
}

// announce enters a message for all in the ledger and in the feed of such, before anybody can have received it.
func (r *run) announce(due time.Duration, source uint32) (ordinal uint64) {
	ordinal = r.own.own.add(int64(due), source)
	audience := min(int(r.subscribed.Load()), r.openings.before(int64(due)))
	r.recorder.record(func(c *cell) { r.own.announce(ordinal, int64(due), audience, c) })
	return ordinal
}

// stamp makes the token of a message that is sent now.
func (r *run) stamp(dst []byte, source uint32, seq uint64, due time.Duration) (token []byte, now int64) {
	now = r.now()
	if r.own != nil {
		seq |= forAllMark
	}
	return client.AppendStamp(dst, client.Stamp{
		Run: r.id, Source: source, Seq: seq, Due: r.wall + int64(due), Sent: r.wall + now,
	}), now
}

// A post is one publisher and what it has under way.
type post struct {
	index     uint32
	publisher Publisher
	inbox     chan parcel // taken by whoever is free
	workers   int
	under     atomic.Int64 // messages under way

	mu      sync.Mutex
	in, out uint64 // bytes on the wire that were counted
}

// wire counts what publishing has taken on the wire since it was counted last.
func (p *post) wire(r *run) {
	counting, ok := p.publisher.(countingPublisher)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	in, out := counting.Wire()
	r.recorder.record(func(c *cell) {
		c.add(PublishIn, in-p.in)
		c.add(PublishOut, out-p.out)
	})
	p.in, p.out = in, out
}

// enqueue hands over a message; false where too many are under way. Called by the sending goroutine only, which sends it
// itself where that takes no waiting: another goroutine would have to be woken first.
func (p *post) enqueue(r *run, m parcel) bool {
	if p.under.Load() >= maxPosts {
		return false
	}
	p.under.Add(1)
	r.posting.Add(1)
	if p.quick(r, m) {
		return true
	}
	select {
	case p.inbox <- m:
		return true
	default:
	}
	p.workers++
	r.senders.Go(func() { p.work(r, m) })
	return true
}

// quick sends a message at once, if it can be.
func (p *post) quick(r *run, m parcel) bool {
	publisher, ok := p.publisher.(quickPublisher)
	if !ok {
		return false
	}
	reply, sent, ok := publisher.Post(p.message(r, m))
	if !ok {
		return false
	}
	r.senders.Go(func() { p.published(r, m, sent, reply(r.ctx)) })
	return true
}

// work publishes one message after the other, until there are no more to come.
func (p *post) work(r *run, m parcel) {
	for ok := true; ok; m, ok = <-p.inbox {
		sent, err := p.publisher.Publish(r.ctx, p.message(r, m))
		p.published(r, m, sent, err)
	}
}

func (p *post) message(r *run, m parcel) []byte {
	token, now := r.stamp(nil, p.index, m.ordinal, m.due)
	r.own.own.began(m.ordinal, now)
	return r.plan.Send.message(nil, token, int(p.index), m.ordinal-1)
}

// published notes what came of a message, now.
func (p *post) published(r *run, m parcel, sent time.Time, err error) {
	defer r.posting.Add(-1)
	defer p.under.Add(-1)
	accepted := r.now()
	p.wire(r)
	if err != nil {
		r.refused(m, sent, err)
		return
	}
	left := r.at(sent)
	r.own.own.accept(m.ordinal, accepted)
	r.recorder.record(func(c *cell) {
		c.add(Sent, 1)
		c.time(PublishLateness, max(0, left-int64(m.due)))
		if c.window.holds(int64(m.due)) {
			c.time(PublishReply, accepted-int64(m.due))
		}
	})
}

// refused takes a message that was not accepted, or of which that isn't known.
func (r *run) refused(m parcel, sent time.Time, err error) {
	r.own.withdraw(m.ordinal)
	over := r.ctx.Err() != nil
	r.recorder.record(func(c *cell) {
		if sent.IsZero() {
			c.add(Unsent, 1)
		} else {
			c.add(Sent, 1)
			c.time(PublishLateness, max(0, r.at(sent)-int64(m.due)))
		}
		if !over || !sent.IsZero() {
			c.add(PublishErrors, 1)
		}
	})
	switch {
	case !over:
		r.errors.add(r.now(), client.Classify(err), publishing)
	case !sent.IsZero():
		r.errors.add(r.now(), &client.Error{Class: client.ClassTimeout, Detail: "no reply by the end of the run"}, publishing)
	}
}

// message appends one message to dst.
func (s *Sending) message(dst, token []byte, source int, number uint64) []byte {
	if s.Message == nil {
		return append(dst, token...)
	}
	return s.Message(dst, Outgoing{Connection: source, Number: number, Stamp: token})
}

// An outbox is what a connection sends. The goroutine of the schedule sends it, as long as that needs no waiting: to wake
// another one takes longer. Otherwise it waits here for one of its own, which lasts until there is no more.
type outbox struct {
	waiting     chan parcel
	behind      atomic.Int32 // how many wait, the one that is being sent included
	number      uint64       // of the next message
	token, body []byte
}

// enqueue sends a message that is due, or has it sent. It fails where the connection is too far behind. Only whoever keeps
// the schedule calls it.
func (s *subscriber) enqueue(p parcel) bool {
	box := s.outbox
	if box.behind.Load() == 0 && s.deliver(p, s.session.TrySend) {
		return true
	}
	select {
	case box.waiting <- p:
	default:
		return false
	}
	if box.behind.Add(1) == 1 {
		s.run.senders.Go(s.deliverWaiting)
	}
	return true
}

// deliverWaiting sends what waits.
func (s *subscriber) deliverWaiting() {
	send := func(p []byte) (bool, error) { return true, s.session.Send(s.run.ctx, p) }
	for more := true; more; more = s.outbox.behind.Add(-1) > 0 {
		s.deliver(<-s.outbox.waiting, send)
	}
}

// deliver sends a message; false where that has not been tried.
func (s *subscriber) deliver(p parcel, send func([]byte) (tried bool, err error)) bool {
	box, plan := s.outbox, &s.run.plan.Send
	seq := box.number
	if p.ordinal > 0 {
		seq = p.ordinal
	}
	var now int64
	box.token, now = s.run.stamp(box.token[:0], uint32(s.index), seq, p.due)
	box.body = plan.message(box.body[:0], box.token, s.index, box.number)
	if plan.Unstamped {
		s.pending.add(awaited{maphash.Bytes(s.run.seed, box.body), int64(p.due), box.number})
	}
	tried, err := send(box.body)
	switch {
	case err == nil && !tried:
		if plan.Unstamped {
			s.pending.drop(box.number)
		}
		return false
	case err == nil:
		box.number++
	}
	s.delivered(p, box.number, now, err)
	return true
}

// delivered notes what came of a message that was to be sent at now, the number-th.
func (s *subscriber) delivered(p parcel, number uint64, now int64, err error) {
	switch {
	case err != nil && p.ordinal > 0:
		s.run.own.withdraw(p.ordinal)
	case err != nil && s.run.plan.Send.Unstamped:
		s.pending.drop(number)
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if err != nil {
		s.shard.cell.add(Unsent, 1)
		return
	}
	s.sent = number
	s.spoke(p.ordinal)
	s.shard.cell.add(Sent, 1)
	s.shard.cell.time(PublishLateness, now-int64(p.due))
}

// echoes holds what a connection has sent without a stamp and not yet seen again on its stream, oldest first.
type echoes struct {
	mu   sync.Mutex
	list []awaited
	came [lately]uint64 // contents of those that were seen again last
	next int            // in came
}

// awaited is one of them.
type awaited struct {
	content uint64 // hash
	due     int64  // ns after the start
	number  uint64
}

const (
	// maxPending bounds how many echoes a connection waits for; the oldest is given up first.
	maxPending = 1024
	// lately is after how many further echoes one that comes twice isn't known any more.
	lately = 32
)

func (e *echoes) add(a awaited) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) >= maxPending {
		e.list = slices.Delete(e.list, 0, 1)
	}
	e.list = append(e.list, a)
}

func (e *echoes) drop(number uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = slices.DeleteFunc(e.list, func(a awaited) bool { return a.number == number })
}

// clear gives up what was sent on a stream that is gone: no other one brings it.
func (e *echoes) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list, e.came, e.next = e.list[:0], [lately]uint64{}, 0
}

// A match is what is made of an event by its content.
type match uint8

const (
	noMatch      match = iota
	onlyMatch          // it is the echo of a message
	oldestOf           // likewise, or of a later one with the same content
	onceTooOften       // one more than were sent
)

// match finds the oldest message that was sent with the same content.
func (e *echoes) match(content uint64) (awaited, match) {
	e.mu.Lock()
	defer e.mu.Unlock()
	same := func(a awaited) bool { return a.content == content }
	i := slices.IndexFunc(e.list, same)
	switch {
	case i < 0 && slices.Contains(e.came[:], content):
		return awaited{}, onceTooOften
	case i < 0:
		return awaited{}, noMatch
	}
	a := e.list[i]
	e.list = slices.Delete(e.list, i, i+1)
	e.came[e.next%lately] = content
	e.next++
	if slices.ContainsFunc(e.list[i:], same) {
		return a, oldestOf
	}
	return a, onlyMatch
}
