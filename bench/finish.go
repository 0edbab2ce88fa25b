package bench

import (
	"fmt"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// result describes the whole run, after every connection has ended.
func (r *run) result() *Result {
	r.recorder.record(func(c *cell) {
		for _, f := range r.allFeeds() {
			f.settleAll(c)
		}
	})
	r.joinSilent()
	r.recorder.collect(&r.tally)
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
		Sources: r.sources(), Unmeasured: r.unmeasured(), Window: r.tally.inWindow,
		SeriesStep: r.series.step, Errors: r.errors.all(), Environment: r.environment(),
	}
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
	for _, t := range r.plan.Thresholds {
		result.Judgements = append(result.Judgements, t.Judge(result))
	}
	result.Warnings = r.warnings(result)
	result.Doubts = r.doubts(result)
	result.Verdict = UpperBound
	if len(result.Doubts) > 0 {
		result.Verdict = NoVerdict
	}
	return result
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
func (r *run) sources() map[Metric]string {
	sources := make(map[Metric]string)
	if r.tally.timings[Delivery] != nil {
		clock := "one clock: the server is on this host"
		if r.elsewhere.Load() {
			clock = "two clocks: the server's and this host's, offset unknown"
		}
		switch field := r.plan.Stamp; {
		case r.broadcast.Load():
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
		Arrivals: "user space",
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
		warn("does the server send without being asked? --subscribe sends a message first, and --debug shows one connection",
			"connections opened, but nothing was received")
	}
	if n := count(Unstamped); n > 0 {
		warn("compare --stamp with one event as --debug shows it", "%d of %d events had no stamp at %s", n, count(Received), r.plan.Stamp)
	}
	if n := count(Unsent); n > 0 {
		what := "messages"
		advice := "use more connections, a lower --rate, or look at the errors: a message is not sent while its connection is down"
		if r.plan.Streams {
			what, advice = "streams", "allow more of them at a time with --connections"
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
	if n := r.unrecovered(); n > 0 {
		warn("the errors below say why; a longer run may see the end of it", "%d connections had not recovered from a drop when the run ended; outage leaves them out", n)
	}
	if n := r.unheld(); n > 0 && result.Histogram(LagBehindFirst) != nil {
		warn("use fewer connections, or a lower rate of events", "%d arrivals came too late to be held against the first one; lag_behind_first leaves them out", n)
	}
	if r.crowded.Load() {
		warn("subscribe each connection to fewer topics", "there were more than %d sequences; loss in the others is not counted", maxFeeds)
	}
	if r.tally.timings[RoundTrip] == nil && count(Sent) > 0 && !r.plan.Streams && !r.broadcast.Load() {
		warn("an echo is known by {{.Stamp}} in the message, or by coming back unchanged", "no message that was sent came back")
	}
	return list
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

// The limits beyond which the tester's own errors spoil a result.
const (
	rateTolerance     = 0.01
	latenessTolerance = 0.10
)

// doubts are the reasons why there is no verdict.
func (r *run) doubts(result *Result) (list []Warning) {
	doubt := func(advice, format string, args ...any) {
		list = append(list, Warning{Text: fmt.Sprintf(format, args...), Advice: advice})
	}
	due, sent := result.Count(Due), result.Count(Sent)
	wanted := r.wantedSends(result.End)
	if wanted > 0 && float64(sent) < float64(wanted)*(1-rateTolerance) {
		doubt("lower --rate, or use more connections or a faster machine",
			"only %d of the %d messages due were sent: the load was not the one asked for", sent, max(due, wanted))
	}
	headline, ok := result.Headline()
	if lateness, timing := result.Histogram(PublishLateness), result.Histogram(headline); ok && lateness != nil && (headline == RoundTrip || headline == Delivery) {
		late, p99 := p99(lateness), p99(timing)
		if timing.TotalCount() >= SamplesFor(.99) && float64(late) > latenessTolerance*float64(p99) {
			doubt("lower --rate, or give the tester a processor of its own", "the tester sent late: p99 %v, which is %.0f %% of the p99 reported",
				time.Duration(late).Round(time.Microsecond), 100*float64(late)/float64(p99))
		}
	}
	if r.silence > 0 {
		doubt("did the server hang? What it did not send can't be counted, but max(inter_arrival) shows the gap",
			"nobody received anything in the last %v of the window: the timings describe what came before", r.silence.Round(time.Millisecond))
	}
	if r.renumbered() {
		doubt("was the server restarted? Let it go on counting, or measure until then",
			"numbers were used again for other events: the timings leave those out, and loss can't be told")
	}
	if r.elsewhere.Load() && result.Histogram(Delivery) != nil && !r.broadcast.Load() {
		doubt("use lag_behind_first or inter_arrival, which need no server clock, or run on the server's host",
			"delivery compares the clocks of two hosts, whose offset is not known")
	}
	return list
}

func p99(h *hdrhistogram.Histogram) int64 { return h.ValueAtQuantile(99) }

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
