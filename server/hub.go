package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/rtbench/rtbench/client"
)

var (
	errStopped   = errors.New("the server is shutting down")
	errTopicsMax = fmt.Errorf("too many topics: at most %d are possible", maxTopics)
)

// A topic is a name that events are published under.
type topic struct {
	name   string
	n      uint32 // tells it from the others
	source uint32 // of its stamps
	head   string // how its scheduled payloads begin
	seq    uint64 // of its latest event; guarded by hub.mu
}

// A hub numbers events, keeps the latest and has them written to the subscribers they are for.
type hub struct {
	opts    Options
	run     uint32 // tells this server's stamps from others
	payload *payload
	log     *eventLog
	shards  []*shard
	truth   *registry
	writes  *writeLog // nil if they aren't noted
	count   counters
	clock   clock
	closing context.Context // done once the server stops
	close   context.CancelFunc

	table   timetable
	start   time.Time     // when the schedule began; valid once started is closed
	started chan struct{} // closed by Run

	mu     sync.Mutex // orders what is published
	topics map[string]*topic
}

// counters are the totals of /truth.
type counters struct {
	published, sent, duplicated, dropped, delayed, reordered, cut, refused, rejected, total atomic.Uint64
	open                                                                                    atomic.Int64
}

func newHub(o Options) (*hub, error) {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("run id: %w", err)
	}
	h := &hub{
		opts:    o,
		run:     binary.BigEndian.Uint32(id[:]),
		log:     newEventLog(max(o.Queue+o.Replay, minLog), maxLog),
		truth:   newRegistry(o.TruthEvents, o.TruthSubscribers),
		writes:  newWriteLog(o.TruthWrites),
		clock:   newClock(o),
		started: make(chan struct{}),
		topics:  make(map[string]*topic),
		table:   timetable{rate: o.Rate},
	}
	for _, f := range o.Faults {
		if f.kind == faultStall {
			h.table.stalls = append(h.table.stalls, f)
		}
	}
	h.payload = newPayload(o, h.run)
	h.closing, h.close = context.WithCancel(context.Background())
	for range runtime.GOMAXPROCS(0) {
		h.shards = append(h.shards, newShard(h))
	}
	if _, err := h.lookup(o.Topics); err != nil {
		return nil, err
	}
	return h, nil
}

// lookup finds or makes the topics of these names.
func (h *hub) lookup(names []string) ([]*topic, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	topics := make([]*topic, 0, len(names))
	for _, name := range names {
		t := h.topics[name]
		if t == nil {
			if err := checkTopic(name); err != nil {
				return nil, err
			}
			if len(h.topics) == maxTopics {
				return nil, errTopicsMax
			}
			t = &topic{name: name, n: uint32(len(h.topics)), source: client.HashSource(name), head: jsonHead(name)}
			h.topics[name] = t
		}
		if !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	return topics, nil
}

// topicNumber gives the number of the topic of that name, if there is one.
func (h *hub) topicNumber(name string) (n uint32, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.topics[name]
	if !ok {
		return 0, false
	}
	return t.n, true
}

// scheduled gives the topics that the schedule publishes to.
func (h *hub) scheduled() []*topic {
	topics, _ := h.lookup(h.opts.Topics) // made by newHub
	return topics
}

func (h *hub) publishScheduled(t *topic, due int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	sent := now.UnixNano()
	h.append(t, &event{at: now, sent: sent, due: due, binary: h.opts.Binary,
		data: h.payload.build(t, t.seq+1, h.clock.read(due), h.clock.read(sent))})
}

// A message is what somebody publishes.
type message struct {
	data   []byte
	binary bool
	sender uint64 // number of the subscriber it is from; 0 for nobody
}

// publish makes one event of m, whose data it keeps. It waits for the schedule to have started and for the end of a
// stall. The due time is that of a stamp in the data, if there is one.
func (h *hub) publish(ctx context.Context, t *topic, m message) (*event, error) {
	select {
	case <-h.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.closing.Done():
		return nil, errStopped
	}
	if err := h.released(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	e := &event{at: now, sent: now.UnixNano(), data: m.data, binary: m.binary || !utf8.Valid(m.data), sender: m.sender}
	e.due = e.sent
	if stamp, _, ok := client.FindStamp(m.data, 0); ok {
		e.due = stamp.Due
	}
	h.append(t, e)
	return e, nil
}

// released waits for the end of a stall, if there is one, and says why it gave up.
func (h *hub) released(ctx context.Context) error {
	now := time.Since(h.start)
	if wait := h.table.release(now) - now; wait > 0 {
		either, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(h.closing, cancel)()
		sleep(either, wait) // what it was woken by is asked below
	}
	if h.closing.Err() != nil {
		return errStopped
	}
	return ctx.Err()
}

// append numbers e, stores it and tells the shards. h.mu is held.
func (h *hub) append(t *topic, e *event) {
	t.seq++
	e.topic, e.seq, e.id = t, t.seq, h.log.last.Load()+1
	h.truth.published(e)
	h.count.published.Add(1)
	h.log.append(e)
	for _, s := range h.shards {
		s.notify()
	}
}

// admit counts a subscriber in, unless that would be more than the limit; leave counts it out.
func (h *hub) admit() bool {
	n := h.count.open.Add(1)
	if h.opts.Limit > 0 && n > int64(h.opts.Limit) {
		h.count.open.Add(-1)
		return false
	}
	return true
}

func (h *hub) leave() { h.count.open.Add(-1) }

// subscribe starts a subscription: whatever is published from now on is for it, and before that what resuming gives.
func (h *hub) subscribe(r *request, protocol string) *subscriber {
	s := &subscriber{
		hub:    h,
		topics: r.topics,
		mute:   r.mute,
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
	}
	n := h.count.total.Add(1)
	s.shard = h.shards[n%uint64(len(h.shards))]
	s.rec = h.truth.opened(n, r, protocol)
	key := r.client
	if key == "" {
		key = strconv.FormatUint(n, 10)
	}
	s.script = newScript(h.opts, key)
	s.shard.add(s, r.from)
	return s
}

// spoil has faults befall a subscription that resumes.
func (s *subscriber) spoil() {
	for _, f := range s.hub.opts.Faults {
		if f.kind == faultResume {
			s.taken = f.resume.from(s.taken, s.hub.log)
			s.replay = &replay{fault: f.resume, until: s.replayed, foreign: s.hub.foreign}
		}
	}
}

// foreign makes an event like another one, of a stream that there isn't.
func (h *hub) foreign(like *event) *event {
	e := &event{id: ^like.id, seq: like.seq, topic: like.topic, due: like.due, sent: like.sent, at: like.at, binary: h.opts.Binary}
	p := *h.payload
	p.run = ^h.run
	e.data = p.build(like.topic, like.seq, h.clock.read(e.due), h.clock.read(e.sent))
	return e
}

// unsubscribe ends what subscribe started.
func (h *hub) unsubscribe(s *subscriber, reason Reason) {
	s.shard.remove(s)
	if reason == ReasonSlow || reason == ReasonTimeout {
		h.count.cut.Add(1)
	}
	h.truth.closed(s.rec, reason)
}

// shutdown ends all subscribers, and those to come: after the write under way, or out of it if hurry.
func (h *hub) shutdown(hurry bool) {
	for _, s := range h.shards {
		s.mu.Lock()
		s.stopped = true
		for _, subs := range s.subs {
			for _, sub := range subs {
				sub.shutdown(hurry)
			}
		}
		s.mu.Unlock()
	}
}

// A shard is a part of the subscribers and the goroutine that writes to them or wakes them.
type shard struct {
	hub    *hub
	signal chan struct{}

	mu      sync.Mutex
	subs    map[*topic][]*subscriber // lists that only grow, or are replaced: they are read without mu
	seen    uint64                   // id of the latest event whose subscribers were told
	stopped bool

	// Scratch of tell, and its alone: the first new event of each topic, oldest first.
	news  []news
	known map[*topic]bool
}

type news struct {
	subs  []*subscriber
	first uint64
}

func newShard(h *hub) *shard {
	return &shard{
		hub:    h,
		signal: make(chan struct{}, 1),
		subs:   make(map[*topic][]*subscriber),
		known:  make(map[*topic]bool),
	}
}

// notify says that there are new events. It never blocks.
func (s *shard) notify() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// run tells subscribers until done.
func (s *shard) run(done <-chan struct{}) {
	for {
		select {
		case <-s.signal:
			s.tell()
		case <-done:
			return
		}
	}
}

// tell has the subscribers of everything published since the last time get it, each of them once.
func (s *shard) tell() {
	last := s.look()
	for _, n := range s.news {
		for _, sub := range n.subs {
			sub.announce(n.first, last)
		}
	}
	clear(s.news)
	s.news = s.news[:0]
	clear(s.known)
}

// look notes who is to be told of what. Writing to all of them takes long, and who comes meanwhile begins after last.
func (s *shard) look() (last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last = s.hub.log.last.Load()
	for id := s.seen + 1; id <= last; id++ {
		e := s.hub.log.get(id)
		if e == nil { // forgotten already: who waited for it will find that out
			for t := range s.subs {
				s.note(t, id)
			}
			continue
		}
		s.note(e.topic, id)
	}
	s.seen = last
	return last
}

func (s *shard) note(t *topic, id uint64) {
	if !s.known[t] {
		s.known[t] = true
		s.news = append(s.news, news{s.subs[t], id})
	}
}

// add makes sub a member. Its position and its membership begin at once, so that no event falls between them.
func (s *shard) add(sub *subscriber, from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.taken = s.hub.log.last.Load()
	sub.replayed = sub.taken
	if from != "" {
		var horizon bool
		sub.taken, horizon = s.hub.log.resume(from, s.hub.opts.Replay)
		sub.rec.resumed(horizon)
		sub.spoil()
	}
	sub.done = sub.taken
	for _, t := range sub.topics {
		s.subs[t] = append(s.subs[t], sub)
	}
	if s.stopped {
		sub.shutdown(false)
	}
}

func (s *shard) remove(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range sub.topics {
		subs := s.subs[t]
		i := slices.Index(subs, sub)
		subs = slices.Concat(subs[:i], subs[i+1:])
		s.subs[t] = subs
		if len(subs) == 0 {
			delete(s.subs, t)
		}
	}
}
