package server

import (
	"slices"
	"sync"
	"time"
)

// Bounds of what a subscriber takes at once.
const (
	batchEvents = 64
	batchBytes  = 64 << 10
	// promptEvents is up to how many new events a shard writes to a subscriber itself: more are cheaper in a batch.
	promptEvents = 8
)

// A sink writes to one client.
type sink interface {
	// write writes deliveries in order and says how many the system has taken in full. Of the rest, those of a
	// failed write may or may not have reached the client if unsure is true.
	write(batch []delivery) (n int, unsure bool, err error)
	// beat writes a sign of life.
	beat() error
	// interrupt makes a write that is under way fail. Called from other goroutines, maybe more than once.
	interrupt()
}

// A subscriber is one client's place in the log. Its own goroutine, in serve, takes events from the log and writes
// them. While it is parked, because there are none, its shard does both with the next ones, or wakes it: for what the
// system doesn't take at once, and where a fault, or what carries the events, asks for more than that. A subscriber that
// lags is cut.
type subscriber struct {
	hub    *hub
	shard  *shard
	topics []*topic
	mute   bool // leaves out what it published itself
	rec    *record
	wake   chan struct{} // it is worth looking at the log again
	stop   chan struct{} // closed once reason is set

	// Of the pumping goroutine, and of the shard while that is parked.
	script  *script
	replay  *replay // nil where it isn't spoilt, and once it is over
	out     sink
	prompt  promptSink // what the shard may write to; nil for nothing
	taken   uint64     // everything up to here was taken from the log
	prev    uint64     // the event taken last
	pending []delivery // taken and not yet written
	hangup  Fault

	mu       sync.Mutex
	replayed uint64 // the newest event when the subscription began
	done     uint64 // everything up to here was dealt with
	parked   bool   // waits for wake, with nothing pending; its place and its sink are the shard's
	reason   Reason
	writing  bool
	watchdog *time.Timer
}

// announce tells s that first is the first of some events for it and last the newest of all.
func (s *subscriber) announce(first, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked {
		// Whatever came since it parked wasn't for it, or it would have been told: it can skip that.
		s.taken = max(s.taken, first-1)
		s.done = s.taken
		if s.deliver(last) {
			return
		}
		s.parked = false
		select {
		case s.wake <- struct{}{}:
		default: // was told before
		}
		return
	}
	if last > max(s.done, s.replayed)+uint64(s.hub.opts.Queue) {
		s.cut(ReasonSlow)
	}
}

// deliver makes the deliveries up to event last, and says whether that was possible without waiting. s is parked and s.mu
// is held.
func (s *subscriber) deliver(last uint64) bool {
	if s.prompt == nil || s.replay != nil || last > s.taken+promptEvents {
		return false
	}
	for s.taken < last {
		e := s.hub.log.get(s.taken + 1)
		if e == nil {
			return false
		}
		if s.wants(e) {
			d := delivery{ev: e, prev: s.prev}
			p := s.rec.attempt(&s.hub.count, s.prompt, d)
			if p == none {
				return false
			}
			s.prev = e.id
			if p == part {
				s.taken = e.id
				d.begun = true
				s.pending = append(s.pending, d)
				s.watch()
				return false
			}
		}
		s.taken = e.id
		s.done = e.id
	}
	return true
}

// wants says whether e is for s.
func (s *subscriber) wants(e *event) bool {
	return slices.Contains(s.topics, e.topic) && !(s.mute && e.sender == s.rec.sub.N)
}

// cut makes serve return, even out of a write. s.mu is held.
func (s *subscriber) cut(reason Reason) {
	s.end(reason)
	if s.writing {
		s.out.interrupt()
	}
}

// end makes serve return reason, unless there was one before, after the write under way. s.mu is held.
func (s *subscriber) end(reason Reason) {
	if s.reason == "" {
		s.reason = reason
		close(s.stop)
	}
}

// expire ends s if it is still writing when its watchdog fires.
func (s *subscriber) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing {
		s.cut(ReasonTimeout)
	}
}

// shutdown ends s because the server stops: after the write under way, or out of it if hurry.
func (s *subscriber) shutdown(hurry bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hurry {
		s.cut(ReasonShutdown)
	} else {
		s.end(ReasonShutdown)
	}
}

// serve writes to out what open writes, if it isn't nil, and then what is published, until the client is gone, the
// server stops, a fault hangs up, or s is cut. It ends between two events unless a write failed.
func (s *subscriber) serve(out sink, gone <-chan struct{}, open func() error) Reason {
	s.out = out
	s.watchdog = time.AfterFunc(time.Hour, s.expire)
	s.watchdog.Stop()
	for _, f := range s.hub.opts.Faults {
		if f.kind == faultHangup {
			s.hangup = f
		}
	}
	if s.script == nil && s.hangup.kind == 0 {
		s.prompt, _ = out.(promptSink)
	}
	if open != nil && s.guard(open) != nil {
		return s.failure()
	}
	return s.pump(gone)
}

func (s *subscriber) pump(gone <-chan struct{}) Reason {
	var beat <-chan time.Time
	if s.hub.opts.Heartbeat > 0 {
		ticker := time.NewTicker(s.hub.opts.Heartbeat)
		defer ticker.Stop()
		beat = ticker.C
	}
	for written := uint64(0); ; {
		select {
		case <-gone:
			return ReasonClient
		case <-s.stop:
			return s.reason
		case <-beat:
			if s.guard(s.out.beat) != nil {
				return s.failure()
			}
		default:
		}
		if !s.fill() {
			return ReasonSlow
		}
		batch, wait := s.due(written)
		if len(batch) == 0 {
			if (wait > 0 || s.park()) && s.idle(wait, gone, beat) != nil {
				return s.failure()
			}
			continue
		}
		n, err := s.write(batch)
		written += n
		if err != nil {
			return s.failure()
		}
		if s.hangup.count > 0 && written >= s.hangup.count {
			return ReasonHangup
		}
	}
}

// failure says why a write failed.
func (s *subscriber) failure() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" {
		return s.reason
	}
	return ReasonError
}

// idle waits until there may be something to do: at most wait, if that isn't 0.
func (s *subscriber) idle(wait time.Duration, gone <-chan struct{}, beat <-chan time.Time) error {
	var ready <-chan time.Time
	var exact <-chan struct{}
	if wait > 0 {
		var forget func()
		if exact, forget = s.hub.opts.Alarms.At(time.Now().Add(wait)); forget != nil {
			defer forget()
		} else {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			ready = timer.C
		}
	}
	beating := false
	select {
	case <-s.wake:
	case <-ready:
	case <-exact:
	case <-gone:
	case <-s.stop:
	case <-beat:
		beating = true
	}
	s.unpark()
	if len(s.pending) > 0 && s.pending[0].begun {
		if _, err := s.write(s.pending[:1]); err != nil {
			return err
		}
	}
	if beating {
		return s.guard(s.out.beat)
	}
	return nil
}

// park gets ready to wait for wake, unless there are events to take. Nothing is pending.
func (s *subscriber) park() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked = s.hub.log.last.Load() == s.taken
	s.done = s.taken
	return s.parked
}

// unpark ends park, whatever woke s.
func (s *subscriber) unpark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked = false
}

// fill takes from the log until pending is a batch. It gives false when the log has forgotten what comes next.
func (s *subscriber) fill() bool {
	log := s.hub.log
	for last := log.last.Load(); len(s.pending) < batchEvents && s.taken < last; {
		e := log.get(s.taken + 1)
		if e == nil {
			return false
		}
		s.taken++
		if !s.wants(e) {
			continue
		}
		d := delivery{ev: e, prev: s.prev}
		s.prev = e.id
		if s.replay == nil {
			s.enqueue(d)
			continue
		}
		spoilt, over := s.replay.apply(nil, d)
		for _, d := range spoilt {
			s.enqueue(d)
		}
		if over {
			s.replay = nil
		}
	}
	return true
}

// enqueue makes a delivery pending, or what faults make of it.
func (s *subscriber) enqueue(d delivery) {
	if s.script != nil {
		s.pending = s.script.apply(s.pending, d)
	} else {
		s.pending = append(s.pending, d)
	}
}

// due gives the pending deliveries to write now or, if there are none, how long to wait for the first.
func (s *subscriber) due(written uint64) (batch []delivery, wait time.Duration) {
	var now time.Time
	bytes := 0
	for i, d := range s.pending {
		if !d.ready.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			if wait = d.ready.Sub(now); wait > 0 {
				return s.pending[:i], wait
			}
		}
		if bytes += len(d.ev.data); i > 0 && bytes > batchBytes {
			return s.pending[:i], 0
		}
		if !d.dropped {
			if written++; s.hangup.count > 0 && written == s.hangup.count {
				return s.pending[:i+1], 0
			}
		}
	}
	return s.pending, 0
}

// write writes a batch from the front of pending and says how many deliveries it made.
func (s *subscriber) write(batch []delivery) (made uint64, err error) {
	if !s.begin() {
		return 0, errStopped
	}
	s.rec.begin()
	n, unsure, err := s.out.write(batch)
	s.finish()
	var lost []delivery
	if unsure {
		lost = batch[n:]
	}
	made = s.rec.commit(&s.hub.count, batch[:n], lost)
	if err != nil {
		return made, err
	}
	rest := copy(s.pending, s.pending[n:])
	clear(s.pending[rest:]) // lets go of the events
	s.pending = s.pending[:rest]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = s.taken
	if rest > 0 {
		s.done = s.pending[0].ev.id - 1
	}
	return made, nil
}

// guard does a write of something other than events.
func (s *subscriber) guard(write func() error) error {
	if !s.begin() {
		return errStopped
	}
	defer s.finish()
	return write()
}

// begin starts a write that can be interrupted, unless s was ended.
func (s *subscriber) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing { // since the shard began it
		return true
	}
	if s.reason != "" {
		return false
	}
	s.watch()
	return true
}

// watch starts to bound a write. s.mu is held.
func (s *subscriber) watch() {
	s.writing = true
	s.watchdog.Reset(s.hub.opts.WriteTimeout)
}

func (s *subscriber) finish() {
	s.watchdog.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
}
