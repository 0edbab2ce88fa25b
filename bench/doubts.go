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
