package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/rtbench/rtbench/bench"
)

// A Contrast is one figure of two sides, A and B, over paired trials of both.
type Contrast struct {
	Name     string // such as "delivery p99"
	Unit     bench.Unit
	A, B     float64      // the median of each side's trials
	Rough    [2]bool      // A, and B, is an indication only
	Trials   [][2]float64 // A's and B's figure, of each pair of trials that both have it
	Paired                // of B to A
	Adjusted float64      // P, given that several figures were looked at (Holm 1979); NaN where the figure isn't tested
	Alpha    float64      // below which Adjusted there is a difference
	Tested   bool         // what trials don't differ in, as bytes, needs no test
	Unknown  string       // why there is no comparison; "" where there is
	Gate     Gate         // whether B is worse than is allowed; "" where nobody asked
}

// texts are the figures of both sides.
func (c *Contrast) texts() (a, b string) {
	return indication(c.Rough[0]) + Scale(c.A, c.Unit), indication(c.Rough[1]) + Scale(c.B, c.Unit)
}

// Different reports whether the sides differ.
func (c *Contrast) Different() bool {
	switch {
	case c.Unknown != "":
		return false
	case !c.Tested:
		return c.Low > 1 || c.High < 1
	}
	return c.Adjusted < c.Alpha
}

// Smallest is the smallest difference that would have shown, as a share: half the width of the interval. ok is false where
// there is none.
func (c *Contrast) Smallest() (share float64, ok bool) {
	half := math.Exp((math.Log(c.High)-math.Log(c.Low))/2) - 1
	return half, c.Unknown == "" && c.Low > 0 && !math.IsInf(half, 0) && !math.IsNaN(half)
}

// FewestPairs is how many pairs it takes: the least p-value of as many is 2⁻⁷, which six figures that are looked at leave below
// five in a hundred.
const FewestPairs = 8

// mostLeftOut is which share of the pairs a figure may be missing in.
const mostLeftOut = .25

// moot is why a figure is none of a trial's that sends nothing: where no trial has it, it isn't told at all.
const moot = "nothing was sent"

// A figureKind is one figure that sides are compared by.
type figureKind struct {
	name   string
	unit   bench.Unit
	tested bool
	of     func(*bench.Result) (float64, string)
	within func(*bench.Result) (low, high float64, ok bool) // between which one result knows it to be; nil where none does
	rough  func(*bench.Result) bool                         // one result has but an indication of it; nil where none has
}

// figureKinds are those of trials whose headline is a timing.
func figureKinds(headline bench.Metric) []figureKind {
	quantile := func(m bench.Metric, q float64) figureKind {
		return figureKind{m.String() + " " + quantileName(q), bench.Nanoseconds, true, func(r *bench.Result) (float64, string) { return trialQuantile(r, m, q) },
			func(r *bench.Result) (low, high float64, ok bool) {
				e := r.Estimate(m, q)
				return float64(e.From), float64(e.To), e.From > 0 && e.To > 0
			}, func(r *bench.Result) bool { return r.Estimate(m, q).Unknown != "" }}
	}
	each := func(name string, bytes func(*bench.Result) float64) figureKind {
		return figureKind{name: name, unit: bench.ByteCount, of: func(r *bench.Result) (float64, string) {
			if r.Count(bench.Received) == 0 {
				return 0, "nothing was received"
			}
			return bytes(r), ""
		}}
	}
	perOpened := func(name string, m bench.Metric) figureKind {
		return figureKind{name: name, unit: bench.ByteCount, of: func(r *bench.Result) (float64, string) {
			if r.Count(bench.Opened) == 0 {
				return 0, "nothing was opened"
			}
			return float64(r.Count(m)) / float64(r.Count(bench.Opened)), ""
		}}
	}
	return []figureKind{
		quantile(headline, .5), quantile(headline, .99), quantile(bench.Connect, .5),
		{name: "client CPU an event", unit: bench.Nanoseconds, tested: true, of: func(r *bench.Result) (float64, string) {
			each, ok := r.CPUPerEvent()
			if !ok {
				return 0, "the system does not tell"
			}
			return each, ""
		}},
		{name: "server CPU an event", unit: bench.Nanoseconds, tested: true, of: func(r *bench.Result) (float64, string) {
			each, ok := r.Target.PerEvent(r.Window, r.End-r.Begin)
			return float64(each), unless(ok, r.Target, "too little of it to tell")
		}},
		{name: "server memory a connection", unit: bench.ByteCount, tested: true, of: func(r *bench.Result) (float64, string) {
			bytes, ok := r.Target.PerConnection(r.Peak)
			return float64(bytes), unless(ok, r.Target, "it did not grow: a server that keeps what it had shows nothing")
		}},
		each("bytes in an event", WireAnEvent), each("bytes out an event", wireOutAnEvent),
		{name: "bytes for a message sent", unit: bench.ByteCount, of: func(r *bench.Result) (float64, string) {
			bytes, ok := WireAMessage(r)
			if !ok {
				return 0, moot
			}
			return bytes, ""
		}},
		perOpened("handshake bytes in", bench.HandshakeIn), perOpened("handshake bytes out", bench.HandshakeOut),
	}
}

// less is a count without what another one counts of it.
func less(r *bench.Result, from, part bench.Metric) uint64 {
	return r.Count(from) - min(r.Count(from), r.Count(part))
}

// anEvent is bytes for each event that was received.
func anEvent(r *bench.Result, bytes uint64) float64 {
	return float64(bytes) / float64(max(1, r.Count(bench.Received)))
}

// WireAnEvent is how many bytes came in for each event, without those of handshakes.
func WireAnEvent(r *bench.Result) float64 {
	return anEvent(r, less(r, bench.WireIn, bench.HandshakeIn))
}

// wireOutAnEvent is how many went out, with what publishing took.
func wireOutAnEvent(r *bench.Result) float64 {
	return anEvent(r, less(r, bench.WireOut, bench.HandshakeOut)+r.Count(bench.PublishOut))
}

// WireAMessage is how many bytes it takes to send a message, without those of handshakes: a frame, or a request and its reply.
// ok is false where nothing was sent.
func WireAMessage(r *bench.Result) (bytes float64, ok bool) {
	frames := less(r, bench.WireOut, bench.HandshakeOut)
	return float64(frames+r.Count(bench.PublishOut)+r.Count(bench.PublishIn)) / float64(max(1, r.Count(bench.Sent))), r.Count(bench.Sent) > 0
}

// unless says why a figure of the target isn't known.
func unless(ok bool, target *bench.TargetUse, why string) string {
	switch {
	case ok:
		return ""
	case target == nil:
		return "nobody asked the target (--target-pid, --target-metrics)"
	}
	return cmp.Or(target.Why, why)
}

// trialQuantile is a quantile of one trial, which is one sample of it however much its own events depend on each other.
func trialQuantile(r *bench.Result, m bench.Metric, q float64) (float64, string) {
	if why, unmeasured := r.Unmeasured[m]; unmeasured {
		return 0, "not measurable: " + why
	}
	e := r.Estimate(m, q)
	switch {
	case e.AtLeast:
		return 0, "so many events never came that it lies among them"
	case e.Unknown != "" && !e.Indicative:
		return 0, e.Unknown
	}
	return float64(e.Value), ""
}

// Unfit says why a trial is worth nothing for a comparison of its timings; "" where it is.
func Unfit(r *bench.Result) string {
	if why := Failed(r); why != "" {
		return why
	}
	if why, refused := Distrust(r); refused && !OnlySentLate(r) {
		return string(r.Verdict) + ": " + why.Text
	}
	switch {
	case r.Stop == bench.StopInterrupted || r.Stop == bench.StopAborted || r.Stop == bench.StopFinished:
		return "it was not made to its end"
	case len(r.Annotations) > 0:
		return "it was steered by hand"
	case r.Drift != nil:
		return fmt.Sprintf("NON-STATIONARY: %s %s over the trial", r.Drift.Metric, r.Drift.Change())
	case r.Unmeasured[bench.Lost] == "" && r.Count(bench.Lost) > 0:
		return fmt.Sprintf("%d events were lost, which nothing explains", r.Count(bench.Lost))
	case r.Count(bench.Drops) > 0:
		return fmt.Sprintf("%d connections dropped", r.Count(bench.Drops))
	}
	return ""
}

// OnlySentLate reports whether nothing else speaks against a result than that the tester sent late. Both sides of a comparison
// have that in their figures.
func OnlySentLate(r *bench.Result) bool {
	return len(r.Doubts) > 0 && !slices.ContainsFunc(r.Doubts, func(w bench.Warning) bool { return !strings.HasPrefix(w.Text, bench.SentLate) })
}

// Failed says why a trial is worth nothing at all, not even for what it counts; "" where it is.
func Failed(r *bench.Result) string {
	switch {
	case r.Failure != "":
		return r.Failure
	case r.Peak < r.Planned:
		return fmt.Sprintf("only %d of %d connections were ever open", r.Peak, r.Planned)
	}
	return ""
}

// Contrasts compares two sides by as many trials of each, of which those of the same number were made close to each other.
// alpha is how often a difference may be found in any of the figures where there is none.
func Contrasts(a, b []*bench.Result, alpha float64) []Contrast {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	headline, ok := a[0].Headline()
	if other, also := b[0].Headline(); !ok || !also || other != headline {
		headline = commonHeadline(a[0], b[0])
	}
	var list []Contrast
	for _, kind := range figureKinds(headline) {
		c := Contrast{Name: kind.name, Unit: kind.unit, Tested: kind.tested, Alpha: alpha, Adjusted: math.NaN()}
		var as, bs []float64
		for i := range min(len(a), len(b)) {
			x, whyA := kind.of(a[i])
			y, whyB := kind.of(b[i])
			if why := cmp.Or(whyA, whyB); why != "" {
				c.Unknown = cmp.Or(c.Unknown, why)
				continue
			}
			as, bs = append(as, x), append(bs, y)
			c.Trials = append(c.Trials, [2]float64{x, y})
		}
		if len(as) == 0 && c.Unknown == moot {
			continue
		}
		if len(as) > 0 {
			c.A, c.B = median(as), median(bs)
		}
		if n := min(len(a), len(b)); float64(n-len(as)) > mostLeftOut*float64(n) { // those that have it may not be like the others
			c.Unknown = fmt.Sprintf("%d of %d pairs have it: %s", len(as), n, c.Unknown)
		} else {
			c.compare(as, bs)
		}
		list = append(list, c)
	}
	holm(list)
	return list
}

// compare fills in what the trials say of which both figures are known.
func (c *Contrast) compare(a, b []float64) {
	switch {
	case len(a) < FewestPairs && c.Unknown == "":
		c.Unknown = fmt.Sprintf("there are too few pairs of trials, %d of the %d that it takes", len(a), FewestPairs)
		return
	case len(a) < FewestPairs:
		return
	}
	c.Unknown = ""
	if c.A == 0 && c.B == 0 && !c.Tested { // nothing on either side
		c.Paired = Paired{Pairs: len(a), Ratio: 1, Low: 1, High: 1, P: 1}
		return
	}
	if c.Paired = ComparePairs(a, b); math.IsNaN(c.Ratio) {
		c.Unknown = "it is nothing on one of the sides, so that there is no ratio"
		return
	}
	if !c.Tested { // all of them, or there is no difference
		c.Low, c.High = math.Inf(1), 0
		for i := range a {
			c.Low, c.High = min(c.Low, b[i]/a[i]), max(c.High, b[i]/a[i])
		}
	}
}

// holm adjusts the p-values of those that are tested for there being several.
func holm(list []Contrast) {
	var tested []*Contrast
	for i := range list {
		if c := &list[i]; c.Tested && c.Unknown == "" {
			tested = append(tested, c)
		}
	}
	slices.SortStableFunc(tested, func(x, y *Contrast) int { return cmp.Compare(x.P, y.P) })
	least := 0.0
	for i, c := range tested {
		least = max(least, min(1, c.P*float64(len(tested)-i)))
		c.Adjusted = least
	}
}

// commonHeadline is the first timing that two results have in common, of those that a run can be about.
func commonHeadline(a, b *bench.Result) bench.Metric {
	for _, m := range []bench.Metric{bench.Delivery, bench.RoundTrip, bench.LagBehindFirst, bench.InterArrival} {
		if a.Histogram(m) != nil && b.Histogram(m) != nil {
			return m
		}
	}
	return bench.Delivery
}

// median is that of some values.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
