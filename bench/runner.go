// Package bench makes one run: it opens many connections on a schedule, records what every one of them receives, and
// says what that means and how far it can be trusted.
//
// The pipeline: a [Plan] gives [Segments], which say when connections are opened and messages are due; a [Runner] keeps
// them and waits for nothing that happens; a session tells its subscriber about every event, which asks a [Tracker]
// what to make of it and records into the shard of the connection; a collector merges the shards ten times a second
// into a [Snapshot]; and the run ends in a [Result], against which every [Threshold] is judged.
//
//	Plan → Schedule → client.Session → subscriber → Tracker, feed → recorder → Snapshot → Result
//
// The package knows what a metric is and nothing of protocols or screens. It never prints, never lets a reader slow a
// measurement, never averages percentiles, never takes what it could not measure for zero, and keeps no event.
package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A Runner makes one run: it opens the plan's connections, sends what is due, records what arrives and says what came
// of it. Set Plan and Dialer, then call Run once; Snapshot may be called at any time from any goroutine.
type Runner struct {
	Plan Plan
	// Dialer gives the dialer of one connection, counted from 0. It is called once for each.
	Dialer func(connection int) (client.Dialer, error)

	live     atomic.Pointer[Snapshot]
	running  atomic.Pointer[run]
	followed atomic.Pointer[following]
	looked   atomic.Bool // by somebody who wants details
	fakable  bool        // run on Go's timers alone and don't look at the host, so that a test's fake world rules
}

const (
	tick        = 100 * time.Millisecond // between two looks at what was recorded
	looks       = 2                      // of them for one snapshot
	drainTick   = 20 * time.Millisecond  // between two looks at whether all has arrived
	seriesStep  = time.Second
	hurry       = 800 * time.Millisecond // how long to drain once the user has stopped the run
	finishWait  = time.Second            // how long servers have to end one more of their streams
	finishLimit = 30 * time.Second       // and all of them
)

// Run makes the run and returns its result. It returns early, with a full result, when ctx ends. It has joined every
// goroutine it started. An error means that the plan could not be started; what goes wrong later is in the result.
func (r *Runner) Run(ctx context.Context) (*Result, error) {
	if err := r.Plan.validate(); err != nil {
		return nil, err
	}
	if r.Dialer == nil {
		return nil, errors.New("a run needs a dialer")
	}
	var target observed
	target.before(ctx, r.Plan.Target)
	run := newRun(r)
	run.target = target
	run.publish()
	r.running.Store(run)
	defer r.running.Store(nil)
	run.startAll()
	run.collectUntilEnd(ctx)
	run.stopSending()
	run.drain(ctx)
	run.finish()
	return run.result(), nil
}

// Snapshot gives the run as it was at the last collection, at most a fifth of a second ago; nil before Run. It is
// immutable. What takes a look at each connection, which are Open, Down, Ended, Missing and what is lost, may be of a second
// before where they are many.
func (r *Runner) Snapshot() *Snapshot { return r.live.Load() }

// collectUntilEnd gathers what was recorded, until something ends the run.
func (r *run) collectUntilEnd(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	begin := time.NewTimer(r.times.begin - time.Since(r.start))
	defer begin.Stop()
	end := time.NewTimer(r.times.end - time.Since(r.start))
	defer end.Stop()
	ticks := 0
	for {
		select {
		case <-ticker.C:
			ticks++
			if r.gather(); ticks%looks > 0 {
				continue
			}
			if r.collect(); r.stopEarly() {
				return
			}
		case <-begin.C:
			r.windowCPU = processCPU()
		case <-end.C:
			r.close(StopDuration, "")
			return
		case <-r.enough:
			r.close(StopEvents, "")
			return
		case <-r.giveUp:
			r.close(StopUnreachable, r.dialError.Load().Error())
			return
		case <-r.steering.ended:
			r.close(StopFinished, "")
			return
		case <-ctx.Done():
			r.close(StopInterrupted, "")
			return
		}
	}
}

// stopEarly decides after each collection whether going on makes sense.
func (r *run) stopEarly() bool {
	snapshot := r.runner.live.Load()
	for _, j := range snapshot.Judgements {
		if r.plan.Abort && snapshot.Phase == PhaseMeasure && !j.Passed && !j.canRecover() && r.stands(j.Threshold) {
			r.decisive = j
			r.close(StopAborted, "threshold failed: "+j.Threshold.Text)
			return true
		}
	}
	if r.allEnded() {
		r.close(StopEnded, "every connection had ended for good")
		return true
	}
	return false
}

// stands reports whether there is enough for a judgement to stand if the run ended now: at the end a quantile needs
// independent samples.
func (r *run) stands(t Threshold) bool {
	if t.Aggregate != Quantile || !t.Metric.windowed() {
		return true
	}
	e := Estimate{Q: t.Q}
	r.tally.batches.weigh(&e, int(t.Metric), 0, r.tally.timings[t.Metric], r.absent(t.Metric))
	return e.Unknown == ""
}

// judgement is how a threshold came out. That it ended the run stays true where what came in the drain, or a warm-up that
// is left out, says otherwise.
func (r *run) judgement(t Threshold, result *Result) Judgement {
	j := t.Judge(result)
	if t == r.decisive.Threshold && (j.Passed || j.Unknown != "") {
		return r.decisive
	}
	return j
}

// close ends the measured window.
func (r *run) close(stop Stop, why string) {
	r.stop, r.stopText = stop, why
	if now := r.now(); now < r.window.end.Load() {
		r.window.end.Store(now)
	}
	r.openAtEnd = r.open()
	r.blind = r.blindEnd()
	if r.windowCPU > 0 {
		r.windowCPU = processCPU() - r.windowCPU
	}
	r.watch.stop(time.Duration(r.window.end.Load()))
	r.noteSilence(r.window.end.Load())
	r.unseen = r.unseenEnd()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, f := range r.feeds {
		if f.own == nil {
			f.stop()
		}
	}
}

// stopSending ends the schedules, and lets the connections and publishers send what they still have. All that was begun
// by then counts: a message that was due in the window may be sent only after its end.
func (r *run) stopSending() {
	close(r.quit)
	r.schedule.Wait()
	if r.own != nil { // before the others are waited for, who may take long: until then nobody is known to have it all
		r.own.stop()
	}
	r.pacers.Wait()
	for _, p := range r.posts {
		close(p.inbox)
	}
}

// drain waits for what is under way, as long as there is something, and as long as is allowed: not for long once the
// user has stopped the run, and no longer where that is while it drains. What then hasn't had its time is left out.
func (r *run) drain(ctx context.Context) {
	if r.stop == StopUnreachable {
		return
	}
	r.enter(PhaseDrain)
	r.noteApart() // nobody is waited for who sees other events
	allowed := r.drainLimit()
	wait, stopped := allowed, ctx.Done()
	if r.stop == StopInterrupted {
		wait, stopped = min(hurry, allowed), nil
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	ticker := time.NewTicker(drainTick)
	defer ticker.Stop()
	for n := 1; !r.drained(); n++ {
		select {
		case <-ticker.C:
			if n%int(looks*tick/drainTick) == 0 {
				r.gather()
				r.collect()
			}
			continue
		case <-limit.C:
		case <-stopped:
		}
		if ctx.Err() != nil {
			r.cutoff = max(1, r.now()-int64(allowed))
		}
		return
	}
}

func (r *run) drainLimit() time.Duration {
	limit := r.plan.Drain
	if limit == 0 {
		limit = DefaultDrain
	}
	if metric, ok := r.tally.headline(); ok && metric != InterArrival && metric != Connect {
		// Nothing is later than the run is long, except by a clock that is wrong.
		late := min(r.now(), r.tally.timings[metric].ValueAtQuantile(99.9))
		limit = max(limit, 3*time.Duration(late))
	}
	return limit
}

// finish asks every server to end its streams, waits a little for it and then closes what is left.
func (r *run) finish() {
	r.drainedAt = r.now()
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		if s.deaf && s.dropped == never {
			r.deafAtEnd++
		}
		s.shard.mu.Unlock()
	}
	r.enter(PhaseFinish)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.sessions.Wait()
	}()
	r.endSlow()              // they would take long to read the end
	var asked sync.WaitGroup // each on its own, since one may have to wait for a peer that reads nothing
	for _, s := range r.everybody() {
		asked.Go(s.session.Finish)
	}
	r.waitForEnds(ended)
	r.cancel()
	asked.Wait()
	<-ended
	r.senders.Wait()
	r.alarms.Close()
}

// waitForEnds waits until every session has ended, or none has for a while: a busy host needs longer than one whose
// server doesn't listen.
func (r *run) waitForEnds(ended <-chan struct{}) {
	limit := time.NewTimer(finishLimit)
	defer limit.Stop()
	ticker := time.NewTicker(finishWait)
	defer ticker.Stop()
	for before := r.openNow.Load(); ; {
		select {
		case <-ended:
			return
		case <-limit.C:
			return
		case <-ticker.C:
			open := r.openNow.Load()
			if open == before {
				return
			}
			before = open
		}
	}
}
