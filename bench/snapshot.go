package bench

import "time"

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
	Open       int           // connections that are open
	Down       int           // that were started and are not open: they connect, or wait before they do
	Ended      int           // that ended for good
	Planned    int           // connections the plan has at its peak, or that were wished by hand
	Counts     [numCounts]uint64
	Missing    uint64  // events, besides those that are lost, that connections have not received by now: they may still come
	Rate       float64 // events received a second, over the last second
	Headline   Metric
	Quantiles  Quantiles         // of the headline; no samples where there is none yet
	Unmeasured map[Metric]string // what can't be measured, and why
	Judgements []Judgement
	LastError  string // the last one of the most frequent kind; "" if there was none for a while; may quote the server

	Annotations []Annotation // what was done to the run by hand so far
	Detail      *Detail      // nil unless somebody looks
}

// Count gives one of the counters.
func (s *Snapshot) Count(m Metric) uint64 { return s.Counts[m-numTimings] }

// gather takes what the shards have.
func (r *run) gather() {
	now := time.Duration(r.now())
	r.recorder.collect(&r.tally)
	if drops := r.tally.counts[Drops-numTimings]; drops > r.drops {
		r.drops = drops
		r.dropMoments++
	}
	if r.twoClocks() {
		r.clocks.gather(now, r.tally.heard)
		r.tally.heard = r.tally.heard[:0]
	}
	if r.phase == PhaseRamp && now >= r.times.begin {
		r.phase = PhaseMeasure
		r.markBegin()
		r.nextAccount = 0 // what was lost before is told from what is lost from now on
	}
	if r.phase == PhaseRamp {
		r.watch.ramp(now)
	}
	if r.phase == PhaseMeasure {
		r.watch.tick(now)
		r.tally.batches.next(now)
	}
}

// collect takes stock of what was gathered, adds to the series and publishes a snapshot.
func (r *run) collect() {
	now := time.Duration(r.now())
	r.joinSilent()
	if now-r.stepFrom >= r.series.step {
		r.series.add(r.stepFrom, r.open(), &r.tally)
		r.stepFrom = now.Truncate(r.series.step)
	}
	if began := time.Duration(r.now()); began >= r.nextAccount {
		r.account()
		r.nextAccount = began + apart(time.Duration(r.now())-began)
	}
	r.endNow()
	r.publish()
}

// accountShare is what part of the time goes into accounts at most, as long as that doesn't make them rarer than one a
// second. Of many connections none is in a cache by then, and each takes as long as the host's memory does.
const accountShare = 0.02

// apart is how far accounts are to be apart that take so long; 0 where each look may have one.
func apart(took time.Duration) time.Duration {
	if apart := time.Duration(float64(took) / accountShare); apart > looks*tick {
		return min(apart, time.Second)
	}
	return 0
}

// enter goes on to another phase, and shows it.
func (r *run) enter(phase Phase) {
	r.phase = phase
	r.nextAccount = 0
	r.gather()
	r.collect()
}

// publish shows the run as collected last to whoever looks at it: they load a pointer, and nothing they do can slow a
// measurement.
func (r *run) publish() { r.runner.live.Store(r.snapshot()) }

func (r *run) snapshot() *Snapshot {
	s := &Snapshot{
		Phase: r.phase, At: time.Duration(r.now()), Begin: r.times.begin, End: r.times.end,
		Open: r.states.open, Down: r.states.down, Ended: r.states.ended, Planned: r.plan.Peak(), Counts: r.tally.counts, Missing: r.missing,
	}
	if wanted := r.steering.wanted.Load(); wanted > 0 {
		s.Planned = int(wanted)
	}
	if before := r.before(s.At); s.At > before.at {
		s.Rate = float64(s.Count(Received)-before.received) / (s.At - before.at).Seconds()
	}
	r.past = append(r.past, moment{s.At, s.Count(Received)})
	figures := r.figures()
	s.Unmeasured = figures.unmeasured
	if metric, ok := r.liveHeadline(figures.unmeasured); ok {
		s.Headline, s.Quantiles = metric, quantiles(r.tally.timings[metric])
	}
	if errors := r.errors.all(); len(errors) > 0 && errors[0].Last > s.At-recent {
		s.LastError = errors[0].Text
	}
	s.Annotations = r.steering.all()
	if r.runner.looked.Load() {
		r.look(s, &figures)
	}
	for _, t := range r.plan.Thresholds {
		s.Judgements = append(s.Judgements, r.judgeNow(t, figures))
	}
	return s
}

// judgeNow holds a threshold against the figures of the moment. What is missing then may turn out to be lost.
func (r *run) judgeNow(t Threshold, now figures) Judgement {
	j := t.Judge(now)
	if r.missing == 0 || !j.Passed {
		return j
	}
	counts := *now.counts
	counts[Lost-numTimings] += r.missing
	counts[Expected-numTimings] += r.missing
	now.counts = &counts
	if !t.Judge(now).Passed {
		j.Missing = r.missing
	}
	return j
}

// liveHeadline is the headline as far as it is known while the run goes on: deliveries that are timed by a guess of the
// offset of two clocks aren't, and what can't be measured is none.
func (r *run) liveHeadline(unmeasured map[Metric]string) (Metric, bool) {
	for _, m := range headlines {
		if _, not := unmeasured[m]; not && !(m == Delivery && r.stampedByAnother()) {
			continue
		}
		if r.tally.timings[m] != nil && !(m == Delivery && r.stampedByAnother() && !r.clocks.tight) {
			return m, true
		}
	}
	return 0, false
}

// A moment is how much had been received when.
type moment struct {
	at       time.Duration
	received uint64
}

const (
	ratePeriod = time.Second     // what Snapshot.Rate is taken over, or the run so far
	recent     = 5 * time.Second // how long an error is shown
)

// before gives the last moment that is a rate's period ago, and forgets those before it.
func (r *run) before(now time.Duration) moment {
	for len(r.past) > 1 && r.past[1].at <= now-ratePeriod {
		r.past = r.past[1:]
	}
	if len(r.past) == 0 {
		return moment{}
	}
	return r.past[0]
}

func (r *run) figures() figures {
	end := min(r.now(), r.window.end.Load())
	judge := judge{health: r.watch.health(r.tally.inWindow), window: time.Duration(end - r.window.begin), lag: r.tally.timings[ClientLag], opening: r.opening()}
	unmeasured := r.unmeasured()
	if r.tally.timings[Delivery] != nil && r.stampedByAnother() {
		unmeasured[Delivery] = "it is between two clocks, whose offset is known at the end"
	}
	return figures{
		estimate: func(m Metric, q float64) Estimate { return judge.estimate(m, r.distribution(m, r.tally.timings[m]), q) },
		counts:   &r.tally.counts, histograms: &r.tally.timings, unmeasured: unmeasured,
		window: time.Duration(end - r.window.begin), received: r.tally.inWindow.Received,
	}
}
