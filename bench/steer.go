package bench

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rtbench/rtbench/client"
)

// An Annotation is what somebody did to a run while it went on.
type Annotation struct {
	At   time.Duration // after the start
	Text string
}

// maxAnnotations bounds how many are kept.
const maxAnnotations = 1000

// Steering is refused where there is nothing to be steered.
var (
	errNotRunning = errors.New("the run is not measuring, nor connecting")
	errNoSending  = errors.New("this run sends nothing that could be sent faster or slower")
	errStreams    = errors.New("request streams come and go by themselves: the rate is what can be changed")
)

// steering is what was done to a run by hand. Safe for concurrent use.
type steering struct {
	mu     sync.Mutex
	notes  []Annotation
	warp   warp
	ended  chan struct{} // closed when the run was ended
	resize chan int      // how many connections are wanted now
	wanted atomic.Int64  // the same, as wished last; 0 where nobody has
}

func newSteering(plan Segments) *steering {
	return &steering{warp: warp{plan: plan, changed: make(chan struct{})}, ended: make(chan struct{}), resize: make(chan int, 1)}
}

func (s *steering) note(at time.Duration, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.notes) < maxAnnotations {
		s.notes = append(s.notes, Annotation{at, fmt.Sprintf(format, args...)})
	}
}

// all gives what was done so far, which is not changed any more.
func (s *steering) all() []Annotation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes[:len(s.notes):len(s.notes)]
}

// A warp has a schedule run faster or slower than time does, or stand still. What was due before a change stays due when it
// was. Safe for concurrent use.
type warp struct {
	mu      sync.Mutex
	plan    Segments
	pieces  []piece       // oldest first; none before the speed is changed
	changed chan struct{} // closed when it is
}

// A piece is how the schedule goes from a time on.
type piece struct {
	since   time.Duration // after the start
	reached time.Duration // up to where the schedule had come then
	speed   float64
}

// maxPieces bounds how many are kept.
const maxPieces = 1000

// set changes the speed, now, or from the first arrival on.
func (w *warp) set(now time.Duration, speed float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if first, ok := w.plan.At(0); ok {
		now = max(now, first)
	}
	if last := len(w.plan) - 1; len(w.pieces) == 0 && last >= 0 && w.plan[last].From == w.plan[last].To {
		w.plan = append(w.plan[:last:last], Segment{Forever, w.plan[last].From, w.plan[last].To}) // what is sent at the end goes on
	}
	next := piece{now, w.at(now), speed}
	switch last := len(w.pieces) - 1; {
	case last >= 0 && w.pieces[last].since == now:
		w.pieces[last] = next
	case len(w.pieces) == maxPieces:
		w.pieces = append(w.pieces[1:], next)
	default:
		w.pieces = append(w.pieces, next)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// touched reports whether the speed was ever changed.
func (w *warp) touched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pieces) > 0
}

// at is how far the schedule has come at a time after the start.
func (w *warp) at(t time.Duration) time.Duration {
	for i := len(w.pieces) - 1; i >= 0; i-- {
		if p := w.pieces[i]; p.since <= t {
			return time.Duration(min(float64(p.reached)+float64(t-p.since)*p.speed, float64(longest)))
		}
	}
	return t
}

// due says when arrival n is due; Forever where the schedule stands still before, until changed is closed. ok is false where
// there is no such arrival.
func (w *warp) due(n uint64) (due time.Duration, changed <-chan struct{}, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	planned, ok := w.plan.At(n)
	for i := len(w.pieces) - 1; ok && i >= 0; i-- {
		p := w.pieces[i]
		switch ahead := float64(planned - p.reached); {
		case ahead < 0: // it was due in a piece before
			continue
		case ahead > p.speed*float64(longest):
			return Forever, w.changed, true
		case ahead > 0:
			return p.since + time.Duration(ahead/p.speed), w.changed, true
		}
		return p.since, w.changed, true
	}
	return planned, w.changed, ok
}

// arrivals is how many were due until a time after the start.
func (w *warp) arrivals(until time.Duration) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plan.until(w.at(until))
}

// until waits for arrival n of what is sent, and says when that was due; false where there is none, or the run stopped before.
func (r *run) until(pace *pacer, n uint64) (due time.Duration, ok bool) {
	for {
		due, changed, ok := r.steering.warp.due(n)
		if ok && pace.untilOr(due, changed) {
			return due, true
		}
		if !ok { // unless there is to be more
			select {
			case <-changed:
				continue
			case <-r.quit:
			}
		}
		select {
		case <-r.quit:
			return 0, false
		default: // it is due at another time
		}
	}
}

// steer does something to the run that goes on, if there is one.
func (r *Runner) steer(do func(*run) error) error {
	running := r.running.Load()
	if running == nil {
		return errNotRunning
	}
	running.mu.Lock()
	closed := running.closed
	running.mu.Unlock()
	if closed {
		return errNotRunning
	}
	return do(running)
}

// Drop breaks a share of the connections that are open off, now. Any goroutine may call it, as all that steers a run; the
// result says what was done and when.
func (r *Runner) Drop(how client.Break, share float64) error {
	return r.steer(func(run *run) error {
		b := Breakage{How: how, Share: share}
		if err := b.validate(); err != nil {
			return err
		}
		if run.plan.Streams {
			return errStreams
		}
		n := int(math.Ceil(share * float64(run.open())))
		run.steering.note(time.Duration(run.now()), "%.3g %% of the connections broken off (%s)", 100*share, how)
		run.breakSome(b, rand.New(rand.NewPCG(run.plan.Seed, uint64(run.now()))), n)
		return nil
	})
}

// maxSpeed bounds how much faster than planned things are sent.
const maxSpeed = 1000

// Speed has messages be sent, or request streams started, so many times as fast as planned from now on; 0 pauses that.
func (r *Runner) Speed(times float64) error {
	return r.steer(func(run *run) error {
		switch {
		case run.times.sends == nil:
			return errNoSending
		case !(times >= 0 && times <= maxSpeed):
			return fmt.Errorf("the rate can be changed to between 0 and %d times the plan's", maxSpeed)
		}
		now := time.Duration(run.now())
		if times == 0 {
			run.steering.note(now, "sending paused")
		} else {
			run.steering.note(now, "sending at %.3g times the rate of the plan", times)
		}
		run.steering.warp.set(now, times)
		return nil
	})
}

// Resize opens connections, or closes the youngest, until there are so many.
func (r *Runner) Resize(connections int) error {
	return r.steer(func(run *run) error {
		switch {
		case run.plan.Streams:
			return errStreams
		case connections < 1:
			return errors.New("a run has one connection at least")
		case !run.allStarted.Load():
			return errors.New("connections are still being opened as planned")
		}
		run.steering.note(time.Duration(run.now()), "%s wanted", quantity(uint64(connections), "connection", "connections"))
		run.steering.wanted.Store(int64(connections))
		select { // only the last wish counts
		case <-run.steering.resize:
		default:
		}
		select {
		case run.steering.resize <- connections:
		default:
		}
		return nil
	})
}

// End ends the measured window now, and lets what is under way arrive.
func (r *Runner) End() error {
	return r.steer(func(run *run) error {
		run.steering.mu.Lock()
		defer run.steering.mu.Unlock()
		select {
		case <-run.steering.ended:
		default:
			close(run.steering.ended)
		}
		return nil
	})
}

// keepSize opens and closes connections as it is wished by hand, once the plan's are open.
func (r *run) keepSize() {
	pace := r.pacer()
	defer pace.close()
	wanted, from, n := -1, time.Duration(0), 0 // from when on how many were opened
	for {
		if wanted < 0 {
			select {
			case <-r.quit:
				return
			case wanted = <-r.steering.resize:
				from, n = time.Duration(r.now()), 0
				r.forgetEnded()
			}
		}
		r.mu.Lock()
		have := len(r.active)
		r.mu.Unlock()
		if have < wanted {
			n++
			if !pace.until(from + time.Duration(float64(n)/r.plan.pace()*float64(time.Second))) {
				return
			}
		}
		select {
		case wanted = <-r.steering.resize: // a newer wish counts
			continue
		default:
		}
		switch {
		case have == wanted:
			wanted = -1
		case have > wanted:
			r.retireYoungest()
		default:
			r.openConnection(r.dialed)
			r.dialed++
		}
	}
}

// times is a number of times for people.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// forgetEnded takes those that have ended for good out of the connections that there are.
func (r *run) forgetEnded() {
	r.mu.Lock()
	all := slices.Clone(r.active)
	r.mu.Unlock()
	ended := make(map[*subscriber]bool)
	for _, s := range all {
		s.shard.mu.Lock()
		if s.ended {
			ended[s] = true
		}
		s.shard.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = slices.DeleteFunc(r.active, func(s *subscriber) bool { return ended[s] })
}
