package bench

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
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
	r.account()
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
	result.Resumption = r.resumes.resumption(result.Unmeasured[Lost])
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
		result.Judgements = append(result.Judgements, t.Judge(result))
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
	judge := judge{result.Health, result.End - result.Begin, result.Histogram(ClientLag), len(result.Doubts) > 0}
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
		if m == Delivery && r.shifted { // the lower ends are by the guess of the offset
			d.earliest = nil
		}
		if slot, ok := lowerSlot(m); ok && from > 0 && d.earliest != nil {
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
	env.MaxRSS = processPeakMemory()
	return env
}

// warnings is what the reader of a result must know.
func (r *run) warnings(result *Result) (list []Warning) {
	warn := func(advice, format string, args ...any) {
		list = append(list, Warning{Text: fmt.Sprintf(format, args...), Advice: advice})
	}
	count := result.Count
	if result.Peak < result.Planned && result.Peak > 0 && !r.plan.Streams {
		warn("the errors below say why; a longer ramp (--connect-rate, --stage) may help",
			"only %d of %d connections were ever open at once", result.Peak, result.Planned)
	}
	if count(Received) == 0 && count(Opened) > 0 {
		advice := "does the server send without being asked? --debug shows one connection"
		if r.own != nil {
			advice = "does what is published reach these connections? The errors of publishing say if it was refused"
		}
		warn(advice, "connections opened, but nothing was received")
	}
	if stalled := result.Health.Stalled; stalled > 0 && result.Verdict == NoVerdict {
		warn("was it stopped, or the whole machine? Measure again", "the tester did nothing for %v in all", stalled.Round(time.Millisecond))
	}
	if r.cutoff > 0 {
		warn("a run that ends by itself waits for them", "the run was stopped while something was still under way: what was due in the last %v of it, and had not come, is left out",
			time.Duration(r.drainedAt-r.cutoff).Round(time.Millisecond))
	}
	if n := count(Unstamped); n > 0 {
		warn("compare --stamp with one event as --debug shows it", "%d of %d events had no stamp at %s", n, count(Received), r.plan.Stamp)
	}
	if n := count(Unsent); n > 0 {
		what := "messages"
		advice := "use more connections, a lower --rate, or look at the errors: a message is not sent while its connection is down"
		switch {
		case r.plan.Streams:
			what, advice = "streams", "allow more of them at a time with --connections"
		case len(r.posts) > 0:
			advice = "use more publishers, a lower --rate, or look at the errors: a publisher has at most 256 messages under way"
		}
		warn(advice, "%d of %d %s that were due could not be sent", n, count(Due), what)
	}
	if n := count(OutOfRange); n > 0 {
		warn("are the clocks of server and client in step, and is --stamp the time of sending?",
			"%d timings were negative or over an hour and are left out", n)
	}
	if n := count(StreamsStarted) - count(StreamsDone) - count(StreamsFailed); n > 0 {
		warn("a longer --drain waits for more of them", "%d streams had not ended when the run did; they count neither as done nor as failed", n)
	}
	if d := result.Drift; d != nil {
		direction := "rose"
		if d.Share < 0 {
			direction = "fell"
		}
		warn("measure for longer after a longer --warmup, or find what changes: the figures depend on how long the run was",
			"NON-STATIONARY: p%g of %s %s by %.0f %% over the window (p = %.2g)", 100*d.Q, d.Metric, direction, 100*math.Abs(d.Share), d.P)
	}
	if result.Verdict == Saturated {
		warn(r.relief(), "CLIENT-SATURATED: the tester was too slow to tell when events arrived: %s of them shared a read, client_lag p99 is %v, and it stood still for %v",
			percentText(max(0, result.Health.Shared)), lagText(result.Histogram(ClientLag)), result.Health.Stalled.Round(time.Millisecond))
	}
	if r.batched(result) {
		warn("does the server, or a proxy on the way, gather events before it sends them? each is timed by the last byte of its read",
			"batched delivery: %s of the events arrived together with others, though the tester was there in time", percentText(result.Health.Shared))
	}
	if n := r.unrecovered(); n > 0 {
		warn("the errors below say why; a longer run may see the end of it", "%d connections had not recovered from a drop when the run ended; outage leaves them out", n)
	}
	if n := r.unheld(); n > 0 && result.Histogram(LagBehindFirst) != nil {
		warn("use fewer connections, or a lower rate of events", "%d arrivals came too late to be held against the first one; lag_behind_first leaves them out", n)
	}
	if r.crowded.Load() {
		warn("subscribe each connection to fewer topics", "there were more than %d sequences; loss in the others is not counted", maxFeeds)
	}
	if r.tally.timings[RoundTrip] == nil && count(Sent) > 0 && !r.plan.Streams && !r.broadcast.Load() && r.own == nil {
		warn("an echo is known by {{.Stamp}} in the message, or by coming back unchanged", "no message that was sent came back")
	}
	if r.own != nil && count(Received) > 0 && count(Sent) > count(PublishErrors) && r.own.distinct.Load() == 0 {
		warn("does what is published reach these connections, with {{.Stamp}} in it? --debug shows an event, --token says where its stamp is",
			"nothing that was published was recognised in what was received")
	}
	return list
}

// relief is what a tester that can't follow is to be spared.
func (r *run) relief() string {
	advice := fmt.Sprintf("use fewer connections than %d", r.plan.Peak())
	if r.plan.Send.Rate > 0 {
		advice += fmt.Sprintf(", a lower rate than %.4g/s", r.times.sends.Rate(r.times.begin))
	}
	return advice + ", or give the tester processors of its own (taskset, another machine)"
}

func lagText(lag *hdrhistogram.Histogram) string {
	if lag == nil {
		return "not known"
	}
	return time.Duration(p99(lag)).Round(time.Microsecond).String()
}

// batched reports whether events came several at a time to a tester that wasn't late for them.
func (r *run) batched(result *Result) bool {
	lag, m := result.Histogram(ClientLag), result.Verdict
	return m == UpperBound && lag != nil && result.Health.Shared > sharedLimit*(1-.99) && result.Health.Unstamped <= unstampedLimit
}

// unrecovered counts the connections that dropped and have not received anything live since.
func (r *run) unrecovered() (n int) {
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		if s.dropped != never && !s.retired {
			n++
		}
		s.shard.mu.Unlock()
	}
	return n
}

// unheld counts the arrivals of which it isn't known any more when the first connection had them.
func (r *run) unheld() (n uint64) {
	for _, f := range r.allFeeds() {
		n += f.unheld.Load()
	}
	return n
}

// doubts are the reasons why there is no verdict, those first that another plan can mend.
func (r *run) doubts(result *Result) (list []Warning) {
	doubt := func(advice, format string, args ...any) {
		list = append(list, Warning{Text: fmt.Sprintf(format, args...), Advice: advice})
	}
	due, sent := result.Count(Due), result.Count(Sent)
	wanted := r.wantedSends(result.End)
	if wanted > 0 && r.stop != StopEvents && float64(sent) < float64(wanted)*(1-rateLimit) {
		advice := "lower --rate, or use more connections or a faster machine"
		if len(r.posts) > 0 {
			advice = "the errors of publishing say why; else lower --rate, or use more publishers"
		}
		doubt(advice,
			"only %d of the %d messages due were sent: the load was not the one asked for", sent, max(due, wanted))
	}
	if why := r.unpublished(); why != "" {
		doubt("the errors and warnings below say more; --debug shows what an event looks like", "%s", why)
	}
	if r.own != nil && r.own.own.blurred() {
		doubt("the errors of publishing say why they failed", blurredText)
	}
	headline, ok := result.Headline()
	if lateness, timing := result.Histogram(PublishLateness), result.Histogram(headline); ok && lateness != nil && (headline == RoundTrip || headline == Delivery || headline == StreamTotal) {
		for _, q := range []float64{.99, .9, .5} {
			if n := SamplesFor(q); timing.TotalCount() < n || lateness.TotalCount() < n {
				continue
			}
			late := lateness.ValueAtQuantile(100 * q)
			if value, atLeast := r.distribution(headline, timing).at(q); !atLeast && float64(late) > latenessLimit*float64(value) {
				doubt("lower --rate, or give the tester a processor of its own", "the tester sent late: p%.0f %v, which is %.0f %% of the p%.0f reported",
					100*q, time.Duration(late).Round(10*time.Microsecond), 100*float64(late)/float64(value), 100*q)
			}
			break
		}
	}
	if steps := r.clocks.offset.steps(); result.Clock != nil && len(steps) > 0 {
		doubt("let the server's clock settle, or slew it, while you measure", "the server's clock was set during the run, %d times", len(steps))
	}
	if r.silence > 0 {
		doubt("did the server hang? What it did not send can't be counted, but max(inter_arrival) shows the gap",
			"nobody received anything in the last %v of the window: the timings describe what came before", r.silence.Round(time.Millisecond))
	}
	if r.renumbered() {
		doubt("was the server restarted? Let it go on counting, or measure until then",
			"numbers were used again for other events: the timings leave those out, and loss can't be told")
	}
	if r.aboveBestPath(result) {
		doubt("name a URL that tells the server's time with --clock, use lag_behind_first, which needs no server clock, or publish with --publish",
			"delivery compares the clocks of two hosts, whose offset is not known: it is above the best path only")
	}
	result.Health.doubts(doubt)
	return list
}

func p99(h *hdrhistogram.Histogram) int64 { return h.ValueAtQuantile(99) }

// aboveBestPath reports whether deliveries are between two clocks whose offset is known from one side only.
func (r *run) aboveBestPath(result *Result) bool {
	return r.twoClocks() && result.Histogram(Delivery) != nil && result.Clock == nil && r.own == nil && !r.broadcast.Load()
}

// wantedSends is how many messages the schedule has until end.
func (r *run) wantedSends(end time.Duration) uint64 {
	if r.times.sends == nil || r.stop == StopUnreachable {
		return 0
	}
	total := 0.0
	var start time.Duration
	for _, segment := range r.times.sends {
		length := min(segment.Length, max(0, end-start))
		total += segment.arrivals(length)
		start += segment.Length
	}
	return uint64(total)
}
