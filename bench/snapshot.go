package bench

import (
	"sync/atomic"
	"time"
)

// A Phase is where a run stands.
type Phase string

const (
	PhaseRamp    Phase = "connecting"
	PhaseMeasure Phase = "measuring"
	PhaseDrain   Phase = "draining"
	PhaseFinish  Phase = "closing"
)

// A Snapshot is a run at one moment. It is immutable, and may be kept.
type Snapshot struct {
	Phase      Phase
	At         time.Duration // after the start
	Begin, End time.Duration // of the measured window, as planned
	Open       int           // connections open now
	Planned    int           // connections the plan has at its peak
	Counts     [numCounts]uint64
	Rate       float64 // events received a second, since the snapshot before
	Headline   Metric
	Quantiles  Quantiles // of the headline; no samples where there is none yet
	Judgements []Judgement
	LastError  string // of the most frequent kind; "" if there was none; may quote the server
}

// Count gives one of the counters.
func (s *Snapshot) Count(m Metric) uint64 { return s.Counts[m-numTimings] }

// liveView is what the screen, the exporters and the thresholds look at: they load a pointer, and nothing they do can
// slow a measurement.
type liveView struct{ pointer atomic.Pointer[Snapshot] }

func (v *liveView) set(s *Snapshot) { v.pointer.Store(s) }
func (v *liveView) get() *Snapshot  { return v.pointer.Load() }

// collect gathers what the shards have, adds to the series and publishes a snapshot.
func (r *run) collect() {
	now := time.Duration(r.now())
	if r.phase == PhaseRamp && now >= r.times.begin {
		r.phase = PhaseMeasure
	}
	r.joinSilent()
	r.recorder.collect(&r.tally)
	if now-r.stepFrom >= r.series.step {
		r.series.add(r.stepFrom, r.open(), &r.tally)
		r.stepFrom = now.Truncate(r.series.step)
	}
	r.account()
	r.runner.live.set(r.snapshot(r.phase))
}

// enter goes on to another phase, and shows it.
func (r *run) enter(phase Phase) {
	r.phase = phase
	r.collect()
}

// snapshot describes the run as collected last.
func (r *run) snapshot(phase Phase) *Snapshot {
	s := &Snapshot{
		Phase: phase, At: time.Duration(r.now()), Begin: r.times.begin, End: r.times.end,
		Open: r.open(), Planned: peak(r.plan.Stages), Counts: r.tally.counts,
	}
	if before := r.runner.live.get(); before != nil && s.At > before.At {
		s.Rate = float64(s.Count(Received)-before.Count(Received)) / (s.At - before.At).Seconds()
	}
	if metric, ok := r.tally.headline(); ok {
		s.Headline, s.Quantiles = metric, quantiles(r.tally.timings[metric])
	}
	if errors := r.errors.all(); len(errors) > 0 {
		s.LastError = errors[0].Text
	}
	figures := r.figures()
	for _, t := range r.plan.Thresholds {
		s.Judgements = append(s.Judgements, t.Judge(figures))
	}
	return s
}

func (r *run) figures() figures {
	end := min(r.now(), r.window.end.Load())
	return figures{
		counts: &r.tally.counts, histograms: &r.tally.timings, unmeasured: r.unmeasured(),
		window: time.Duration(end - r.window.begin), received: r.tally.inWindow.Received,
	}
}
