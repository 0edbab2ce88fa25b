package server

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// A delivery is one event on its way to one subscriber, with what faults do to it.
type delivery struct {
	ev      *event
	prev    uint64 // id of the event before this one in the subscription; 0 for the first
	ready   time.Time
	dropped bool // isn't made
	again   bool // is a duplicate
	swapped bool // changed places with the one that was after it
	delayed bool
	alien   bool // is of another stream
	begun   bool // the system has taken a part of it
}

// A script decides what befalls the deliveries of one subscriber. Its decisions follow from the server's seed, the
// subscriber's name (or number, if it has none) and the position of the event in the subscription alone.
type script struct {
	rng       *rand.Rand
	drop      float64 // shares, in percent
	duplicate float64
	reorder   float64
	delay     Fault
	held      []delivery // waits for the next delivery to overtake it
	ready     time.Time  // of the latest delivery: none overtakes a delayed one
}

// newScript gives nil when no fault concerns deliveries.
func newScript(o Options, key string) *script {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(key)) // a hash doesn't fail
	s := &script{rng: rand.New(rand.NewPCG(o.Seed, sum.Sum64()))}
	used := false
	for _, f := range o.Faults {
		switch f.kind {
		case faultDrop:
			s.drop, used = f.percent, true
		case faultDuplicate:
			s.duplicate, used = f.percent, true
		case faultReorder:
			s.reorder, used = f.percent, true
		case faultDelay:
			s.delay, used = f, true
		}
	}
	if !used {
		return nil
	}
	return s
}

// apply appends what becomes of d to out. Every fault draws once an event, so that one doesn't shift the others.
func (s *script) apply(out []delivery, d delivery) []delivery {
	dropped, again, swap := s.draw(s.drop), s.draw(s.duplicate), s.draw(s.reorder)
	s.postpone(&d)
	if dropped {
		d.dropped = true
		return append(out, d)
	}
	held := s.held
	if swap && len(held) == 0 {
		s.held = append(s.held, d)
		if again {
			s.held = append(s.held, duplicate(d))
		}
		return out
	}
	out = append(out, d)
	if again {
		out = append(out, duplicate(d))
	}
	for _, h := range held {
		h.ready, h.swapped = d.ready, !h.again
		out = append(out, h)
	}
	s.held = held[:0]
	return out
}

func duplicate(d delivery) delivery {
	d.again, d.delayed = true, false
	return d
}

// postpone sets when d may be made.
func (s *script) postpone(d *delivery) {
	if s.delay.kind == 0 {
		return
	}
	if s.draw(s.delay.percent) {
		if at := d.ev.wanted().Add(s.delay.wait(s.rng)); at.After(s.ready) {
			s.ready = at
		}
		d.delayed = true
	}
	d.ready = s.ready
}

func (s *script) draw(percent float64) bool {
	return percent > 0 && s.rng.Float64()*100 < percent
}

// Numbers of the generators that the seed gives, beside those of the subscribers, which hash to theirs.
const (
	drawPayload = iota
	drawRefuse
	drawReject
	drawTime
)

// A doorman decides which requests are refused, or rejected. The shares follow from the seed and the order of
// requests. Safe for use by several goroutines.
type doorman struct {
	mu     sync.Mutex
	rng    *rand.Rand
	faults []Fault
	seen   uint64
}

func newDoorman(o Options, kind faultKind, generator uint64) *doorman {
	d := &doorman{rng: rand.New(rand.NewPCG(o.Seed, generator))}
	for _, f := range o.Faults {
		if f.kind == kind {
			d.faults = append(d.faults, f)
		}
	}
	return d
}

// refuse gives the fault that befalls the next request, if one does.
func (d *doorman) refuse() (Fault, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen++
	for _, f := range d.faults {
		if f.count > 0 && d.seen > f.count {
			continue
		}
		if d.rng.Float64()*100 < f.percent {
			return f, true
		}
	}
	return Fault{}, false
}
