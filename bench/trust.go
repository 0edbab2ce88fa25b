package bench

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Verdict says how far a quantile of a timing can be trusted.
type Verdict string

const (
	// Trusted: the kernel stamped the arrivals, and hardly any of them shared a read with another.
	Trusted Verdict = "TRUSTED"
	// Bounded: arrivals shared reads, but both ends of what they can have been give nearly the same quantile.
	Bounded Verdict = "BOUNDED"
	// UpperBound: what the tester did late is in the figure, so the truth is no worse.
	UpperBound Verdict = "UPPER BOUND"
	// Saturated: the tester itself was too slow to tell.
	Saturated Verdict = "CLIENT-SATURATED"
	// NoVerdict: the tester, its host or the clocks were off, so the figures don't describe the target.
	NoVerdict Verdict = "NO VERDICT"
)

// Refused reports whether the verdict says that the figure is not to be used.
func (v Verdict) Refused() bool { return v == Saturated || v == NoVerdict }

// An Estimate is one quantile of a timing, in ns, and what it is worth.
type Estimate struct {
	Q       float64 // 0…1
	Unknown string  // why there is no value, or none to rely on; "" if there is one
	Value   int64
	// Indicative says that there is a Value all the same: there are samples enough, but they depend on each other, as when
	// one outage delays a thousand of them.
	Indicative bool
	AtLeast    bool    // the quantile lies among what never came: it is Value or more
	Verdict    Verdict // "" for timings that don't end with an arrival, where nothing speaks against them
	// Low and High are the ends between which the value lies, where arrivals or the offset of two clocks are known only
	// between two times; else both are Value.
	Low, High int64
	// Effective is how many independent samples the quantile is worth; From and To its 95 % interval within this run,
	// To 0 where nothing bounds it. They are 0 where they aren't known.
	Effective float64
	From, To  int64
}

// The limits of trust.
const (
	sharedLimit      = 0.1                          // of the share of messages above the quantile
	exactLimit       = int64(20 * time.Microsecond) // within which both ends of a quantile are the same, or
	exactShare       = 0.005                        // this share of it
	boundedLimit     = 0.05                         // of the quantile: how far its two ends may be apart, and how late an idle tester may be
	rateLimit        = 0.01                         // by which the rate of sending may be off
	latenessLimit    = 0.10                         // of the p99 reported
	stealLimit       = 0.01                         // of the processor time
	stepLimit        = 100 * time.Microsecond
	unstampedLimit   = 0.001
	userStampedShare = 0.999 // beyond it, the kernel isn't stamping at all
)

// stamped are the timings that end with the arrival of something, and so are worth what its stamp is worth.
func (m Metric) stamped() bool {
	switch m {
	case Delivery, RoundTrip, LagBehindFirst, FanoutSpread, InterArrival, FirstEvent, StreamTotal, Outage:
		return true
	}
	return m >= Reach50 && m <= Reach100
}

// A distribution is what an Estimate is made from.
type distribution struct {
	histogram *hdrhistogram.Histogram // the upper ends
	earliest  *hdrhistogram.Histogram // the lower ends; nil where they are equal
	absent    uint64                  // what never came
	waited    int64                   // for which at least that was waited, ns
}

// at gives a quantile. A sample that never came is later than any that did.
func (s distribution) at(q float64) (value int64, atLeast bool) {
	n := s.histogram.TotalCount()
	if s.absent == 0 {
		return s.histogram.ValueAtQuantile(q * 100), false
	}
	rank := int64(math.Ceil(q * float64(uint64(n)+s.absent)))
	if rank > n {
		return max(Most(s.histogram), s.waited), true
	}
	return s.histogram.ValueAtQuantile(100 * float64(rank) / float64(n)), false
}

// tooFew says why there are not enough samples for a quantile, "" where there are.
func (s distribution) tooFew(q float64) string {
	have, need := uint64(s.histogram.TotalCount())+s.absent, uint64(SamplesFor(q))
	if have < need {
		return fmt.Sprintf("too few samples: %d of the %d that this quantile needs", have, need)
	}
	return ""
}

// A judge gives quantiles their verdicts.
type judge struct {
	health  Health
	window  time.Duration
	lag     *hdrhistogram.Histogram // client_lag; nil where it isn't known
	opening stretch                 // in which connections were opened
	host    bool                    // this host was off, and so is whatever it timed
	refused bool                    // there is a doubt about the whole run
}

// A stretch is a part of the run from its start on, and how long of it the tester stood still.
type stretch struct{ length, stalled time.Duration }

// opening is the stretch in which connections were opened, from the first to the last.
func (r *run) opening() stretch {
	until := time.Duration(r.lastOpened.Load())
	return stretch{until, r.watch.stood(until)}
}

// opens are the timings of opening a connection.
func (m Metric) opens() bool { return m >= Connect && m <= FirstEvent }

// stopped reports whether the tester stood still for too long for a quantile of a timing.
func (j *judge) stopped(m Metric, q float64) bool {
	limit := func(s stretch) bool { return s.stalled.Seconds() > sharedLimit*(1-q)*s.length.Seconds() }
	return m.opens() && limit(j.opening) || (!m.opens() || m == FirstEvent) && limit(stretch{j.window, j.health.Stalled})
}

// unstamped is the verdict on a timing that doesn't end with an arrival: none, but where the tester's own stop may be in
// it, or its host was off. What measures the tester itself has none.
func (j *judge) unstamped(m Metric, q float64) Verdict {
	switch {
	case m == PublishLateness || m == ClientLag:
		return ""
	case j.host:
		return NoVerdict
	case j.stopped(m, q):
		return Saturated
	}
	return ""
}

// estimate gives a quantile of a timing with its verdict.
func (j *judge) estimate(m Metric, s distribution, q float64) Estimate {
	e := Estimate{Q: q, Unknown: s.tooFew(q)}
	e.Value, e.AtLeast = s.at(q)
	e.Low, e.High = e.Value, e.Value
	if !m.stamped() {
		e.Verdict = j.unstamped(m, q)
		return e
	}
	switch {
	case j.refused:
		e.Verdict = NoVerdict
	case j.stopped(m, q):
		e.Verdict = Saturated
	case j.health.Unstamped < 0 || j.health.Unstamped > userStampedShare:
		e.Verdict = UpperBound
	case j.health.Shared <= sharedLimit*(1-q) && s.exact(e):
		e.Verdict = Trusted
	default:
		e.Verdict = s.shared(&e, j.lag)
	}
	return e
}

// exact reports whether the lower ends of the arrivals, where they are kept, give as good as the same quantile. However
// small the share of those with two ends: where a distribution is flat they all move a low quantile to one side.
func (s distribution) exact(e Estimate) bool {
	if s.earliest == nil || e.AtLeast {
		return true
	}
	lower := s
	lower.histogram = s.earliest
	low, _ := lower.at(e.Q)
	return e.Value-low <= max(exactLimit, int64(exactShare*float64(e.Value)))
}

// shared judges a quantile where many arrivals are known only between two times.
func (s distribution) shared(e *Estimate, lag *hdrhistogram.Histogram) Verdict {
	if s.earliest != nil && !e.AtLeast {
		low := s
		low.histogram = s.earliest
		e.Low, _ = low.at(e.Q)
		if float64(e.Value-e.Low) <= boundedLimit*float64(e.Value) {
			return Bounded
		}
		e.Low = e.Value
	}
	if s.idle(e.Value, lag) {
		return UpperBound
	}
	return Saturated
}

// idle reports whether the tester was always there soon enough for what it didn't see to be small beside the figure: it
// is the server, or something on the way, that sends several events at once.
func (s distribution) idle(value int64, lag *hdrhistogram.Histogram) bool {
	return lag != nil && float64(p99(lag)) <= boundedLimit*float64(value)
}

// doubts are the reasons why the figures of the whole run are refused.
func (h *Health) doubts(doubt func(advice, format string, args ...any)) {
	if h.ClockStep.Abs() > stepLimit {
		doubt("let the clock settle, or slew it (chronyd and ntpd do), while you measure",
			"this host's clock was set by %v during the run, and arrivals are stamped by it", h.ClockStep.Round(time.Microsecond))
	}
	if h.Unstamped > unstampedLimit && h.Unstamped <= userStampedShare {
		doubt("a warm-up of a second or two leaves out the packets that the kernel doesn't stamp yet",
			"the kernel did not stamp %s of the arrivals", percentText(h.Unstamped))
	}
	if h.Steal > stealLimit {
		doubt("measure on a machine whose processors are its own", "the hypervisor took %s of the processor time from this host", percentText(h.Steal))
	}
	if h.Throttled > 0 {
		doubt("raise the CPU limit of the container or unit", "the tester's control group was kept from running for %v", h.Throttled.Round(time.Microsecond))
	}
}

// spoilt reports whether the host itself was off, so that whatever was timed on it may be.
func (h *Health) spoilt() bool {
	return h.ClockStep.Abs() > stepLimit || h.Steal > stealLimit || h.Throttled > 0
}

func percentText(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }
