package bench

import (
	"context"
	"time"
)

// A Probe tells what the target uses. Use may take a while and may fail; it is called by one goroutine at a time.
type Probe interface {
	Use(ctx context.Context) (Use, error)
	String() string // where that is known from, for people
}

// Use is what a target has used up to a moment.
type Use struct {
	CPU    time.Duration // processor time, user and system
	Memory uint64        // resident at that moment, bytes
}

// TargetUse is what a target used in a run.
type TargetUse struct {
	Source string        // where that is known from
	CPU    time.Duration // within Length
	Length time.Duration // about the measured window
	Before uint64        // memory before the first connection was dialed, bytes
	Most   uint64        // the most memory seen in the window, bytes
	Why    string        // it isn't known; "" where it is
}

// PerEvent is the processor time that the target took for each event that arrived in a window of a length; ok is false
// where that isn't known.
func (t *TargetUse) PerEvent(w Window, length time.Duration) (each time.Duration, ok bool) {
	if t == nil || t.Why != "" || t.Length <= 0 || length <= 0 || w.Received == 0 {
		return 0, false
	}
	ns := float64(t.CPU) * float64(length) / float64(t.Length) / float64(w.Received)
	return time.Duration(ns), ns < float64(24*time.Hour) // else it is no processor time
}

// PerConnection is by how much its memory grew for each of so many connections, bytes; ok is false where that isn't known, or
// it didn't grow.
func (t *TargetUse) PerConnection(connections int) (bytes uint64, ok bool) {
	if t == nil || t.Why != "" || connections == 0 || t.Most <= t.Before || t.Before == 0 {
		return 0, false
	}
	return (t.Most - t.Before) / uint64(connections), true
}

const (
	// probeEvery is how often a target is asked what it uses, and probeLimit how long that may take.
	probeEvery = 250 * time.Millisecond
	probeLimit = 2 * time.Second
)

// observed is what is known of a target while the run goes on. One goroutine uses it at a time.
type observed struct {
	use    TargetUse
	first  Use // of the window
	from   int64
	failed error // why the target said nothing the last time; nil where it did
}

// ask asks the target once; false where it doesn't say.
func (o *observed) ask(ctx context.Context, target Probe) (use Use, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	use, o.failed = target.Use(ctx)
	return use, o.failed == nil
}

// before asks the target before there is any load.
func (o *observed) before(ctx context.Context, target Probe) {
	if target == nil {
		return
	}
	o.use.Source = target.String()
	if use, ok := o.ask(ctx, target); ok {
		o.use.Before = use.Memory
	}
}

// observeTarget asks the target what it uses, throughout the window.
func (r *run) observeTarget() {
	pace := r.pacer()
	defer pace.close()
	t := &r.target
	more := pace.until(r.times.begin)
	for at := r.times.begin + probeEvery; ; at += probeEvery {
		if use, ok := t.ask(r.ctx, r.plan.Target); ok {
			now := r.now()
			if t.from == 0 {
				t.first, t.from = use, now
			}
			t.use.CPU, t.use.Length = use.CPU-t.first.CPU, time.Duration(now-t.from)
			t.use.Most = max(t.use.Most, use.Memory)
			more = more && now < int64(r.times.end) // what it says after the window isn't of it
		}
		r.targetNow.Store(t.result())
		if !more || t.failed != nil && t.from == 0 { // one that never says anything isn't asked again
			return
		}
		more = pace.until(min(at, r.times.end)) && at < r.times.end
	}
}

// result says what the target used; nil where nobody asked.
func (o *observed) result() *TargetUse {
	use := o.use
	switch {
	case use.Source == "":
		return nil
	case o.failed != nil:
		use.Why = o.failed.Error()
	case use.CPU < 0:
		use.Why = "its processor time went back: was it restarted, or do several answer?"
	case use.Length <= 0:
		use.Why = "the measured window was too short, or it answered too late"
	}
	return &use
}
