package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// doubts are the reasons why there is no verdict, those first that another plan can mend.
func (r *run) doubts(result *Result) (list []Warning) {
	doubt := func(advice, format string, args ...any) {
		list = append(list, Warning{Text: fmt.Sprintf(format, args...), Advice: advice})
	}
	sending := r.sendingDoubts(result)
	if stalled := result.Health.Stalled; stalled > 0 && len(sending) > 0 && r.unsentShare(result) <= min(.5, share(uint64(stalled), uint64(result.End-result.Begin))+rateLimit) {
		// which is why; but a load that keeps the tester from all else is the other way round
		doubt(stoppedAdvice, stoppedText, stalled.Round(time.Millisecond))
	}
	r.clockDoubts(result, doubt)
	list = append(list, sending...)
	if why := r.unpublished(); why != "" {
		doubt("the errors and warnings below say more; --debug shows what an event looks like", "%s", why)
	}
	if r.own != nil && r.own.own.blurred() {
		doubt("the errors of publishing say why they failed", blurredText)
	}
	if why := r.mistaken(result); why != "" {
		doubt("have {{.Stamp}} in the message: by that each is known", "%s", why)
	}
	if r.silence > 0 {
		doubt(r.silentAdvice(),
			"nobody received anything in the last %v of the window: the timings describe what came before", r.silence.Round(time.Millisecond))
	}
	if r.renumbered() {
		doubt("was the server restarted? Let it go on counting, or measure until then",
			renumberedText+": the timings leave those out, and loss can't be told")
	}
	result.Health.doubts(doubt)
	return list
}

// mistaken says why echoes that are known by their content may have been taken for others; "" where that isn't so.
func (r *run) mistaken(result *Result) string {
	switch {
	case !r.plan.Send.Unstamped || result.Histogram(RoundTrip) == nil:
	case result.Count(Duplicate) > 0:
		return "more came back than was sent, twice or from other connections: which of it was the answer can't be told by the text alone"
	case r.alike.Load() && r.lostEchoes > 0:
		return "messages with the same text were under way, and some never came back: which of them did can't be told"
	}
	return ""
}

// silentAdvice says what to make of it where nobody received anything as the window ended.
func (r *run) silentAdvice() string {
	switch {
	case r.deafAtEnd > 0:
		return "the run itself had made black holes of connections: with --idle-timeout clients notice, and come back"
	case r.openAtEnd == 0:
		return "no connection was open when it ended; the errors below say why"
	case r.plan.NoteEnds:
		return "was it the faults? With --idle-timeout clients notice that a connection is silent, and come back. Else, did the server hang?"
	}
	return "did the server hang? What it did not send can't be counted, but max(inter_arrival) shows the gap"
}

// What is said of a tester that did nothing for a while.
const (
	stoppedText   = "the tester did nothing for %v in all"
	stoppedAdvice = "was it stopped, or the whole machine? Measure again"
)

// highRate is how many messages a second are no trifle for a tester that has a processor.
const highRate = 1000

// SentLate is how the doubt begins that messages were sent later than they were due.
const SentLate = "the tester sent late"

// sendingDoubts are those about the messages of the schedule: that they weren't all sent, or were sent late.
func (r *run) sendingDoubts(result *Result) (list []Warning) {
	doubt := func(advice, format string, args ...any) {
		list = append(list, Warning{Text: fmt.Sprintf(format, args...), Advice: advice})
	}
	rate := r.times.sends.Rate(r.times.begin)
	if r.unsentShare(result) > rateLimit {
		advice := "use more connections or a faster machine"
		if rate >= highRate {
			advice = "lower --rate, or " + advice
		}
		if len(r.posts) > 0 {
			advice = "the errors of publishing say why; else lower --rate, or use more publishers"
		}
		doubt(advice,
			"only %d of the %d messages due were sent: the load was not the one asked for", result.Count(Sent), max(result.Count(Due), r.wantedSends(result.End)))
	}
	advice := "give the tester a processor of its own (taskset), or a machine that does nothing else"
	if rate >= highRate {
		advice = "lower --rate, or " + advice
	}
	headline, ok := result.Headline()
	if lateness, timing := result.Histogram(PublishLateness), result.Histogram(headline); ok && lateness != nil && (headline == RoundTrip || headline == Delivery || headline == StreamTotal) {
		for _, q := range []float64{.99, .9, .5} {
			if n := SamplesFor(q); timing.TotalCount() < n || lateness.TotalCount() < n {
				continue
			}
			late := lateness.ValueAtQuantile(100 * q)
			if value, atLeast := r.distribution(headline, timing).at(q); !atLeast && float64(late) > latenessLimit*float64(value) {
				doubt(advice, SentLate+": p%.0f %v, which is %.0f %% of the p%.0f reported",
					100*q, time.Duration(late).Round(10*time.Microsecond), 100*float64(late)/float64(value), 100*q)
			}
			break
		}
	}
	return list
}

// unsentShare is which share of the messages that the schedule wanted was not sent.
func (r *run) unsentShare(result *Result) float64 {
	wanted := r.wantedSends(result.End)
	if wanted == 0 || r.stop == StopEvents {
		return 0
	}
	return 1 - float64(result.Count(Sent))/float64(wanted)
}

func p99(h *hdrhistogram.Histogram) int64 { return h.ValueAtQuantile(99) }

// aboveBestPath reports whether deliveries are between two clocks whose offset is known from one side only.
func (r *run) aboveBestPath(result *Result) bool {
	return r.stampedByAnother() && result.Histogram(Delivery) != nil && result.Clock == nil
}

// clockDoubts are those about the server's clock, where deliveries are by it.
func (r *run) clockDoubts(result *Result, doubt func(advice, format string, args ...any)) {
	const clockless = "use lag_behind_first, which needs no server clock, or publish with --publish"
	steps := len(r.clocks.offset.steps())
	if result.Clock != nil && steps > 0 {
		doubt("let the server's clock settle, or slew it, while you measure", "the server's clock was set during the run, %d times", steps)
	}
	if why := r.tally.leads.apart(false); why != "" && result.Histogram(Delivery) != nil {
		doubt(askClock, "%s, which was taken for the same", why)
	}
	if !r.aboveBestPath(result) {
		return
	}
	const only = "delivery is above the best path only"
	switch why := r.clocks.unanswered(); {
	case why != "":
		doubt("check --clock and --clock-field; or "+clockless, "%s; %s", why, only)
	case steps > 0 && r.plan.Clock == nil:
		doubt("a proxy's Date is by another clock: name a URL that tells the time of what stamps the events with --clock, then no Date header is used; or "+clockless,
			"the Date headers that streams were opened with contradict the events' stamps, or each other; %s", only)
	case len(r.clocks.answers.steps()) > 0:
		doubt("let the clock settle, or slew it, while you measure, and let one server answer; or drop --clock, and "+clockless,
			"the clock's answers contradict each other: it was set during the run, or they are of several clocks; %s", only)
	case r.plan.Clock != nil && r.clocks.failures > 0 && steps == 0:
		doubt("the errors below say why; or "+clockless,
			"the clock didn't answer %d questions, and is not known throughout the window; %s", r.clocks.failures, only)
	case r.plan.Clock != nil:
		doubt("drop this --clock: name the one that stamps the events, with --clock-field where the answer's body has its time; or "+clockless,
			"the clock's answers contradict the events' stamps, which are by another clock; %s", only)
	default:
		doubt("name a URL that tells the server's time with --clock, or "+clockless,
			"delivery compares the clocks of two hosts, whose offset is not known: it is above the best path only")
	}
}
