package check

import (
	"context"
	"slices"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A phase says where a probe stands.
type phase uint8

const (
	joining phase = iota // it waits for a live event, to leave after it
	away
	back // it has asked to go on, and is held against the record
	over
)

const (
	maxUnknown = 256 // of the latest events of a probe that joins, those that no reference has had yet
	attempts   = 3   // at coming back, where an error may pass
	retryAfter = 500 * time.Millisecond
)

// A probing is a probe under way. What isn't its own goroutine's is guarded by the hunt's mutex.
type probing struct {
	Probe
	s      *hunt
	dialer client.Dialer
	enough chan struct{} // closed when it has missed as many events as it may
	cursor client.Cursor // the last event dispatched

	phase    phase
	last     uint64                 // hash of the id of the last event dispatched
	seen     []uint64               // hashes: of what no reference has had yet while it joins, of what came when it is back
	dialed   time.Duration          // when its stream was asked for
	opened   time.Duration          // when its stream was open
	left     time.Duration          // when it went away
	missing  uint64                 // events published since then
	live     uint64                 // the first event that was published well after it was back; 0 before there is one
	met      bool                   // it got that, or a later one
	close    func() error           // its stream
	finish   func(in time.Duration) // ends its stream
	finished bool                   // its stream was ended by us
	flooded  bool                   // more came than a record holds
}

// run makes the probe from subscribing to being judged.
func (p *probing) run(ctx context.Context) {
	s := p.s
	s.mu.Lock()
	s.active = append(s.active, p)
	s.mu.Unlock()
	p.visit(ctx)
	s.mu.Lock()
	p.phase = over
	s.active = slices.DeleteFunc(s.active, func(other *probing) bool { return other == p })
	s.done = append(s.done, p.Probe)
	s.mu.Unlock()
	s.show(HorizonStep{Back: &p.Probe})
}

// visit is a probe's life, up to its outcome.
func (p *probing) visit(ctx context.Context) {
	_, err := p.read(ctx, nil)
	p.left = p.s.now()
	if p.turn(joining, over) { // else it has left
		p.unjudged(ctx, err, "it got no live event to leave after")
		return
	}
	if !p.stayAway(ctx) {
		p.unjudged(ctx, nil, "")
		return
	}
	p.turn(away, back)
	var resumed bool
	for n := 1; ; n++ {
		resumed, err = p.read(ctx, p.cursor)
		if err == nil || p.opened > 0 || n == attempts || !client.Classify(err).Temporary() || !sleep(ctx, time.Duration(n)*retryAfter) {
			break
		}
	}
	refused := p.opened == 0 && ctx.Err() == nil && !client.Classify(err).Temporary() && p.welcome(ctx)
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.judge(ctx, resumed, refused, err)
}

// welcome reports whether a stream is opened that asks for nothing of before, so that what was refused is the position.
func (p *probing) welcome(ctx context.Context) bool {
	stream, err := p.dialer.Dial(ctx, nil)
	if err != nil {
		return false
	}
	stream.Close()
	return true
}

// turn goes from one phase to another, if it is in that.
func (p *probing) turn(from, to phase) bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.phase != from {
		return false
	}
	p.phase, p.seen, p.opened = to, nil, 0
	return true
}

// unjudged says that the probe shows nothing, and why.
func (p *probing) unjudged(ctx context.Context, err error, why string) {
	p.Outcome, p.Why = Unjudged, why
	switch {
	case ctx.Err() != nil:
		p.Why = "the search was stopped"
	case err != nil:
		p.Why = client.Classify(err).Error()
	}
}

// stayAway waits for as long as planned, or until enough was missed; false if the search was stopped.
func (p *probing) stayAway(ctx context.Context) bool {
	timer := time.NewTimer(p.Planned)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.enough:
	case <-ctx.Done():
		return false
	}
	return true
}

// read opens a stream and takes what comes, until it was ended by us, or by itself, and then says why. resumed says that the
// server was told where to go on.
func (p *probing) read(ctx context.Context, from client.Cursor) (resumed bool, err error) {
	s := p.s
	began := s.now()
	stream, err := p.dialer.Dial(ctx, from)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		p.dialed, p.opened = began, 0
		return false, err
	}
	info := stream.Info()
	s.mu.Lock()
	p.dialed, p.opened = began, s.now()
	for _, phase := range [...]time.Duration{info.Phases.DNS, info.Phases.TCP, info.Phases.TLS} {
		p.dialed += max(0, phase) // so not after the request
	}
	ended := time.AfterFunc(s.patience(), func() {
		s.mu.Lock()
		p.finished = true
		s.mu.Unlock()
		stream.Close()
	})
	p.close, p.finished, p.finish = stream.Close, false, func(in time.Duration) { ended.Reset(in) }
	s.mu.Unlock()
	stopped := context.AfterFunc(ctx, func() { stream.Close() })
	defer stopped()
	defer ended.Stop()
	defer stream.Close()
	for ev, failed := range stream.Events() {
		if failed != nil {
			err = failed
			break
		}
		if !p.take(ev) {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.finished {
		err = nil
	}
	return info.Resumed, err
}

// take takes an event of the probe's stream. It reports whether more is wanted.
func (p *probing) take(ev client.Event) (more bool) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	identified := ev.Type == client.Message && ev.OwnID && len(ev.ID) > 0
	switch id := s.record.hash(ev.ID); {
	case p.phase == away: // it was on its way when a reference showed that the probe is live
		return false
	case !identified:
	case p.phase == joining:
		p.last, p.cursor = id, append(p.cursor[:0], ev.ID...)
		_, before, known := s.record.find(id)
		if known && before.at >= p.dialed {
			p.phase = away
			return false
		}
		if !known {
			p.seen = append(p.seen[:min(len(p.seen), maxUnknown-1)], id)
		}
	case len(p.seen) >= s.record.size:
		p.flooded, p.finished = true, true
		return false
	default:
		p.seen = append(p.seen, id)
		n, _, known := s.record.find(id)
		p.meet(known && p.live > 0 && n >= p.live)
	}
	return true
}

// meet has the stream end soon where the probe is live, and else when nothing has come for a while: a replay may be long.
func (p *probing) meet(live bool) {
	switch {
	case p.met:
	case live:
		p.met = true
		p.finish(grace)
	default:
		p.finish(p.s.patience())
	}
}

// recorded is told a new event of the record. The mutex is held.
func (p *probing) recorded(n, id uint64, at time.Duration) {
	switch p.phase {
	case joining:
		if slices.Contains(p.seen, id) {
			p.phase, p.finished = away, true
			p.close()
		}
	case away:
		if p.missing++; p.missing == p.s.Events {
			close(p.enough)
		}
	case back:
		if p.opened == 0 || at < p.opened+seam {
			return
		}
		if p.live == 0 {
			p.live = n
		}
		if slices.Contains(p.seen[max(0, len(p.seen)-maxUnknown):], id) {
			p.meet(true)
		}
	}
}

// judge holds what came after the probe was back against the record; refused says that its position was. The mutex must be held.
func (p *probing) judge(ctx context.Context, resumed, refused bool, err error) {
	s := p.s
	p.Away = p.dialed - p.left
	last, before, known := s.record.find(p.last)
	switch {
	case !known && s.record.last > uint64(s.record.size):
		p.unjudged(ctx, nil, "more events came meanwhile than are kept")
		return
	case !known:
		p.unjudged(ctx, nil, "no reference had the last event before it left")
		return
	}
	if p.Missed = s.record.before(last, p.dialed); p.Missed > 0 {
		p.Age = p.dialed - s.record.get(last+1).at
	}
	switch {
	case refused:
		p.Outcome, p.Why, p.Lost = Incomplete, client.Classify(err).Error(), p.Missed
		return
	case p.opened == 0:
		p.unjudged(ctx, err, "")
		return
	case !resumed:
		p.unjudged(ctx, nil, "no position was sent: nothing says how to")
		return
	case p.flooded:
		p.unjudged(ctx, nil, "it got more events than are kept")
		return
	case p.live == 0:
		p.unjudged(ctx, err, "no event was published after it was back")
		return
	case s.record.get(p.live).epoch != before.epoch:
		p.unjudged(ctx, nil, "no reference was connected for a while")
		return
	}
	p.compare(last, p.live)
	switch {
	case err != nil && p.Lost > 0: // it might still have come
		p.unjudged(ctx, err, "")
	case p.Missed == 0:
		p.Outcome = Idle
	case p.Lost > 0:
		p.Outcome = Incomplete
	default:
		p.Outcome = Complete
	}
}

// compare counts what came of the events after last, up to a live one, and what else did.
func (p *probing) compare(last, upto uint64) {
	r := p.s.record
	came := make([]bool, upto-last)
	var highest, strange uint64 // strange ones may be of after the record, until one comes that isn't
	for _, id := range p.seen {
		n, _, known := r.find(id)
		if !known {
			strange++
			continue
		}
		p.Foreign, strange = p.Foreign+strange, 0
		switch {
		case n <= last:
			p.Resent++
		case n > upto:
		case came[n-last-1]:
			p.Again++
		default:
			came[n-last-1] = true
			if n <= last+p.Missed {
				p.Replayed++
			}
			if n < highest {
				p.Swapped++
			}
		}
		highest = max(highest, n)
	}
	for _, c := range came {
		if !c {
			p.Lost++
		}
	}
}
