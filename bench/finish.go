package bench

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	goruntime "runtime/metrics"
	"slices"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// result describes the whole run, after every connection has ended.
func (r *run) result() *Result {
	r.recorder.record(func(c *cell) {
		for _, f := range r.allFeeds() {
			f.settleAll(c, r.cutoff)
		}
	})
	r.joinSilent()
	r.recorder.collect(&r.tally)
	r.tally.batches.next(time.Duration(r.window.end.Load())) // what came in the drain belongs to the end of the window
	if now := time.Duration(r.now()); now > r.stepFrom {
		r.series.add(r.stepFrom, r.open(), &r.tally)
	}
	apart := r.apart()
	if r.account(); r.apart() != apart { // which changes what it comes to
		r.account()
	}
	r.publish()
	result := &Result{
		Start: time.Unix(0, r.wall), Elapsed: time.Duration(r.now()),
		Begin: min(r.times.begin, time.Duration(r.window.end.Load())), End: time.Duration(r.window.end.Load()),
		Stop: r.stop, StopText: r.stopText,
		Planned: r.plan.Peak(), Peak: int(r.openPeak.Load()), OpenAtEnd: r.openAtEnd,
		Counts: r.tally.counts, Histograms: r.tally.timings,
		Unmeasured: r.unmeasured(), Window: r.tally.inWindow,
		SeriesStep: r.series.step, Errors: r.errors.all(), Environment: r.environment(),
	}
	result.Annotations = r.steering.all()
	result.Noted, result.NotNoted = r.endings.all()
	result.Target = r.target.result()
	result.Storms = r.storms.all(r.window.end.Load(), r.plan.policies())
	result.Resumption = r.resumption(result.Unmeasured)
	for _, f := range r.allFeeds() {
		result.DistinctIDs += f.distinct.Load()
	}
	for m := range result.Unmeasured {
		if m.IsTiming() {
			result.Histograms[m] = nil
		}
	}
	result.Failure = r.failure(result)
	headline, _ := result.Headline()
	result.Series = r.series.of(headline)
	result.Health = r.watch.health(r.tally.inWindow)
	from := r.trim(result, headline)
	r.betweenClocks(result, from)
	result.Sources = r.sources(result)
	result.Doubts = r.doubts(result)
	r.appraise(result, from)
	for _, t := range r.plan.Thresholds {
		result.Judgements = append(result.Judgements, r.judgement(t, result))
	}
	result.Warnings = r.warnings(result)
	return result
}

// appraise gives every quantile that is reported its verdict and its worth, and the run the
// verdict of its headline.
func (r *run) appraise(result *Result, from int) {
	result.Verdict = UpperBound // as what is timed in user space is
	if len(result.Doubts) > 0 {
		result.Verdict = NoVerdict
	}
	headline, ok := result.Headline()
	if !ok {
		return
	}
	judge := r.judge(result)
	result.Waited = r.waited()
	result.Estimates, result.Absent = make(map[Metric][]Estimate), make(map[Metric]uint64)
	quantiles := r.quantiles()
	for _, m := range Timings() {
		h := result.Histogram(m)
		if h == nil || h.TotalCount() == 0 {
			continue
		}
		if n := r.absent(m); n > 0 {
			result.Absent[m] = n
		}
		d := r.distribution(m, h)
		if m == Delivery && r.shifted { // the tally's lower ends are by the guess of the offset
			d.earliest = r.ends.sooner
		}
		if slot, ok := lowerSlot(m); ok && from > 0 && d.earliest != nil && !(m == Delivery && r.shifted) {
			d.earliest = r.tally.batches.merged(slot, from)
		}
		for _, q := range quantiles {
			e := judge.estimate(m, d, q)
			if m == Delivery && r.shifted {
				if result.Clock != nil {
					r.widen(&e, d)
				}
				r.tally.batches.weigh(&e, int(m), from, r.tally.batches.merged(int(m), from), d.absent)
				e.From, e.To = 0, 0 // by the guess of the offset
			} else if m.windowed() {
				r.tally.batches.weigh(&e, int(m), from, h, d.absent)
			} else if m.ofOutage() { // what dropped at once depends on each other
				e.Effective = float64(min(r.dropMoments, h.TotalCount()))
			}
			result.Estimates[m] = append(result.Estimates[m], e)
		}
	}
	result.Verdict = cmp.Or(verdictOf(result.Estimates[headline]), result.Verdict)
	for _, q := range []float64{.5, .99} {
		if d, ok := r.tally.batches.drift(int(headline), from, q); ok && d.nonStationary() && result.Drift == nil && headline.windowed() {
			result.Drift = &Drift{headline, q, d.share, d.p}
		}
	}
}

// shortest is the window below which no warm-up can be told from chance.
const shortest = 5 * time.Second

// quantiles are those that are estimated: the usual ones and those of the thresholds.
func (r *run) quantiles() []float64 {
	list := Percentiles()
	for _, t := range r.plan.Thresholds {
		if t.Aggregate == Quantile && !slices.Contains(list, t.Q) {
			list = append(list, t.Q)
		}
	}
	slices.Sort(list)
	return list
}

// trim takes the warm-up that is left in the window off its timings, unless the user has said how long that is. It gives
// the first batch that counts.
func (r *run) trim(result *Result, headline Metric) (from int) {
	if r.plan.Warmup >= 0 || r.plan.Events > 0 || !headline.windowed() || result.End-result.Begin < shortest {
		return 0
	}
	if from = r.tally.batches.warmup(int(headline)); from == 0 {
		return 0
	}
	if r.absent(headline) > 0 { // some of it may be of the part that would go
		return 0
	}
	for _, m := range Timings() { // none is to go as a whole
		if m.windowed() && result.Histograms[m] != nil {
			from = min(from, r.tally.batches.last(int(m)))
		}
	}
	if from == 0 {
		return 0
	}
	result.Trimmed = r.tally.batches.began(from) - r.times.begin
	for _, m := range Timings() {
		if m.windowed() && result.Histograms[m] != nil {
			result.Histograms[m] = r.tally.batches.merged(int(m), from)
		}
	}
	return from
}

// weigh says how many independent samples a quantile of a slot is worth, h being what was recorded from a batch on, and
// absent how many never came.
func (b *batches) weigh(e *Estimate, slot, from int, h *hdrhistogram.Histogram, absent uint64) {
	q := e.Q * float64(uint64(h.TotalCount())+absent) / float64(h.TotalCount()) // among what came
	if q >= 1 {
		return
	}
	n, groups := b.independent(slot, from, h, q)
	e.Effective = n
	if need := SamplesFor(e.Q); e.Unknown == "" && e.Effective < float64(need) {
		e.Indicative = true
		e.Unknown = fmt.Sprintf("too few independent samples: the %d are worth %.0f of the %d that this quantile needs; measure %s times as long",
			h.TotalCount(), e.Effective, need, strconv.FormatFloat(math.Ceil(10*float64(need)/max(1, e.Effective))/10, 'g', 2, 64))
		return
	}
	if e.From, e.To = orderStatistics(h, n, groups, q); e.To == never {
		e.To = 0
	}
}

// judge is of the quantiles of a result whose doubts are known.
func (r *run) judge(result *Result) judge {
	return judge{
		health: result.Health, window: result.End - result.Begin, lag: result.Histogram(ClientLag),
		opening: r.opening(), host: result.Health.spoilt(), refused: len(result.Doubts) > 0,
	}
}

// verdictOf is the verdict of p99, or of the highest quantile below it that has a value.
func verdictOf(estimates []Estimate) (v Verdict) {
	for _, e := range estimates {
		if e.Q <= .99 && (e.Unknown == "" || v == "") {
			v = e.Verdict
		}
	}
	return v
}

// distribution is what a timing's quantiles are made from.
func (r *run) distribution(m Metric, h *hdrhistogram.Histogram) distribution {
	s := distribution{histogram: h, absent: r.absent(m), waited: int64(r.waited())}
	if i := slices.Index(bounded[:], m); i >= 0 {
		s.earliest = r.tally.earliest[i]
	}
	return s
}

// waited is how long at least what never came was waited for.
func (r *run) waited() time.Duration {
	return max(0, time.Duration(r.drainedAt-r.window.end.Load()))
}

// absent is how many of a timing's samples of the window never came.
func (r *run) absent(m Metric) (n uint64) {
	switch m {
	case Delivery, LagBehindFirst:
		return r.lostPairs - min(r.lostPairs, r.lostBefore.pairs)
	case RoundTrip:
		return r.lostEchoes - min(r.lostEchoes, r.lostBefore.echoes)
	case Outage:
		if r.phase != PhaseFinish { // whoever is down may still come back
			return 0
		}
		down, left, _ := r.unrecovered()
		return down + left + r.deafAtEnd
	}
	for i, reach := range reaches {
		if reach.metric == m {
			for _, f := range r.allFeeds() {
				if f.shared() {
					n += f.short[i].Load()
				}
			}
		}
	}
	return n
}

// failure says why the run as a whole is worth nothing, "" if it is worth something.
func (r *run) failure(result *Result) string {
	switch e := r.dialError.Load(); {
	case !r.everOpened.Load() && e != nil:
		return "nothing ever connected: " + e.Error()
	case !r.everOpened.Load() && len(result.Errors) > 0:
		return "nothing ever connected: " + result.Errors[0].Text
	case !r.everOpened.Load():
		return "nothing ever connected"
	case !r.plan.Streams && result.OpenAtEnd == 0 && result.Count(Drops) > 0 && r.refusals.Load() > 0 && (result.Stop != StopEnded || r.exhausted.Load()):
		return "the target died: no connection was open at the end, and none could be opened again"
	}
	return ""
}

// sources says for each timing what its other end was.
func (r *run) sources(result *Result) map[Metric]string {
	sources := make(map[Metric]string)
	if r.tally.timings[Delivery] != nil {
		clock := "one clock: the server is on this host"
		switch {
		case result.Clock != nil:
			clock = fmt.Sprintf("two clocks: the server's is ahead by %v to %v", time.Duration(result.Clock.Low).Round(time.Microsecond), time.Duration(result.Clock.High).Round(time.Microsecond))
		case r.twoClocks():
			clock = "two clocks: the server's and this host's, above the best path"
		}
		switch field := r.plan.Stamp; {
		case r.broadcast.Load(), r.own != nil:
			sources[Delivery] = "rtbench's own messages, from when they were due; one clock"
		case !field.IsZero():
			sources[Delivery] = "the server's stamp " + field.String() + "; " + clock
		default:
			sources[Delivery] = "rtbench's stamp, from when the event was due; " + clock
		}
	}
	if r.tally.timings[RoundTrip] != nil {
		sources[RoundTrip] = "from when the message was due; one clock"
	}
	return sources
}

func (r *run) environment() Environment {
	env := Environment{
		GoVersion: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: kernelVersion(),
		CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), OpenFiles: openFileLimit(),
		Arrivals: r.tally.inWindow.arrivals(),
	}
	if cpu := processCPU(); cpu > 0 {
		env.CPU = cpu - r.cpu
	}
	env.WindowCPU = r.windowCPU
	if r.ownPeak {
		env.MaxRSS = processPeakMemory()
	}
	settings := []goruntime.Sample{{Name: "/gc/gogc:percent"}, {Name: "/gc/gomemlimit:bytes"}}
	goruntime.Read(settings)
	env.GOGC, env.GOMEMLIMIT = int(int64(settings[0].Value.Uint64())), settings[1].Value.Uint64()
	return env
}

// wantedSends is how many messages the schedule has until end.
func (r *run) wantedSends(end time.Duration) uint64 {
	if r.times.sends == nil || r.stop == StopUnreachable {
		return 0
	}
	return uint64(r.steering.warp.arrivals(end))
}
