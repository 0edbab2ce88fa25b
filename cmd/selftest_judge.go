package cmd

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/server"
)

// An outcome is what a figure of the self-test came to.
type outcome string

const (
	passed  outcome = "PASSED"
	refused outcome = "REFUSED" // rtbench itself says that the figure is not to be used
	wrong   outcome = "FAILED"  // it says nothing of the kind, and the figure is wrong
	// unfinished is what all of it came to that was stopped before its end.
	unfinished outcome = "INTERRUPTED"
)

// A span is from the lowest to the highest that something can have been, in its base unit.
type span struct {
	Low  int64 `json:"low"`
	High int64 `json:"high"`
}

func exactly(v int64) span { return span{v, v} }

// beyond is how far a span lies above another one, negative for below; 0 where they meet.
func (s span) beyond(other span) int64 {
	return max(0, s.Low-other.High) + min(0, s.High-other.Low)
}

// A figure is what was injected, beside what the run made of it.
type figure struct {
	name      string
	unit      bench.Unit
	injected  span
	recovered span
	tolerance int64
	outcome   outcome
	reason    string // why it didn't pass
	advice    string // what to change, where it was refused
	excused   bool   // no host of this kind can do better
}

// difference is by how much the recovered figure misses what was injected, before any tolerance.
func (f *figure) difference() int64 { return f.recovered.beyond(f.injected) }

// judge compares the two.
func (f *figure) judge() {
	if f.outcome = passed; max(f.difference(), -f.difference()) > f.tolerance {
		f.outcome, f.reason = wrong, "the figure is wrong, and nothing says so"
	}
}

func (f *figure) refuse(why bench.Warning) {
	f.outcome, f.reason, f.advice = refused, why.Text, why.Advice
}

// counted is a figure that has to be exact.
func (e *evidence) counted(m bench.Metric, injected uint64) figure {
	f := figure{name: m.String(), unit: m.Unit(), injected: exactly(int64(injected)), recovered: exactly(int64(e.result.Count(m)))}
	switch why, unmeasured := e.result.Unmeasured[m]; {
	case e.unfit != nil:
		f.refuse(*e.unfit)
	case unmeasured:
		f.refuse(bench.Warning{Text: "not measurable: " + why})
	default:
		f.judge()
	}
	return f
}

// timed is a quantile of delivery, which has to be within the tolerance wherever its verdict lets it be used.
func (e *evidence) timed(q float64, injected span, tolerance int64) figure {
	estimate := e.result.Estimate(bench.Delivery, q)
	f := figure{name: quantileName(q), unit: bench.Nanoseconds, injected: injected, recovered: exactly(estimate.Value), tolerance: tolerance}
	if !e.usable(&f, estimate) {
		return f
	}
	f.judge()
	switch within := (span{estimate.Low, estimate.High}); {
	case f.outcome == passed && injected.High-injected.Low > tolerance: // it could be off by more, and still lie there
		f.refuse(bench.Warning{Text: "the server's own record knows the truth no better than to " +
			report.Scale(float64(injected.High-injected.Low), bench.Nanoseconds) + ", which is more than the tolerance", Advice: calm})
	case f.outcome == passed:
	case estimate.Verdict == bench.UpperBound && f.difference() > 0:
		f.refuse(onlyAbove)
	case estimate.Verdict == bench.Bounded && max(within.beyond(injected), -within.beyond(injected)) <= tolerance:
		f.recovered = within
		f.refuse(bench.Warning{Text: "BOUNDED: the truth is between the two ends, which are further apart than the tolerance", Advice: calm})
	default:
		f.reason = fmt.Sprintf("the figure is wrong, and its verdict is %s", cmp.Or(estimate.Verdict, "not given"))
	}
	return f
}

// onlyAbove is why a figure that is too high, and has the verdict that allows it, isn't wrong.
var onlyAbove = bench.Warning{Text: "UPPER BOUND: it says only that the truth is no worse", Advice: "the kernel stamps what arrives where the tester runs on Linux"}

// enclosed is a quantile of delivery between two clocks, of which both ends are known: the truth has to lie between them.
func (e *evidence) enclosed(q float64, injected span) figure {
	estimate := e.result.Estimate(bench.Delivery, q)
	f := figure{name: quantileName(q), unit: bench.Nanoseconds, injected: injected, recovered: span{estimate.Low, estimate.High}}
	if !e.usable(&f, estimate) {
		return f
	}
	if f.judge(); f.outcome == wrong && estimate.Verdict == bench.UpperBound && f.difference() > 0 {
		f.refuse(onlyAbove)
	}
	return f
}

// calm is what lets a tester keep up.
const calm = "end other programs, or give the tester more processors"

// usable refuses a figure of a run that went wrong, or that has a verdict to refuse it or too few samples.
func (e *evidence) usable(f *figure, estimate bench.Estimate) bool {
	samples := int64(0)
	if h := e.result.Histogram(bench.Delivery); h != nil {
		samples = h.TotalCount()
	}
	switch need := bench.SamplesFor(estimate.Q); {
	case e.unfit != nil:
		f.refuse(*e.unfit)
	case samples < need:
		f.refuse(bench.Warning{Text: fmt.Sprintf("%d samples, of the %d that it needs", samples, need),
			Advice: "allow this process more open files (ulimit -n): more connections receive more"})
	case estimate.Verdict.Refused():
		alone := *e.result // so that it is this verdict that is explained
		alone.Verdict, alone.Judgements = estimate.Verdict, nil
		why, _ := report.Distrust(&alone)
		why.Text = string(estimate.Verdict) + ": " + why.Text
		f.refuse(why)
	default:
		return true
	}
	return false
}

func quantileName(q float64) string { return fmt.Sprintf("p%.6g", q*100) }

// The tolerance of MEASUREMENT's promise: 20 µs or half a per cent, whichever is more.
func closely(truth span) int64 { return max(int64(20*time.Microsecond), truth.Low/200) }

// judgeDelivery holds the quantiles against the writes of the very same deliveries. The truth is between the quantile of
// when the system calls began and that of when they were done.
func judgeDelivery(e *evidence) []figure {
	pairs := figure{name: "pairs", unit: bench.Number, injected: exactly(int64(len(e.before)))}
	if h := e.result.Histogram(bench.Delivery); h != nil {
		pairs.recovered = exactly(h.TotalCount())
	}
	if pairs.judge(); e.unfit != nil {
		pairs.refuse(*e.unfit)
	}
	list := []figure{pairs}
	for _, q := range [...]float64{.5, .99, .999} {
		truth := e.written(q)
		list = append(list, e.timed(q, truth, closely(truth)))
	}
	return list
}

// judgeStall holds p99 against when the server wrote, and that against arithmetic: in a window of w, the events of the last
// 1 % of w before a stall ended had waited for less, and all others that it held back for more. A server that takes long to
// catch up writes later than that.
func judgeStall(e *evidence) []figure {
	window := e.result.End - e.result.Begin
	truth := int64(e.stall - window/100)
	written, tolerance := e.written(.99), truth/50
	f := e.timed(.99, written, tolerance)
	if f.outcome == passed && written.High < truth-tolerance {
		f.outcome, f.reason = wrong, "the reference server stalled for less than it was to"
	}
	return []figure{f}
}

// judgeLoss holds the counts against what was written to each subscriber, counted by brute force.
func judgeLoss(e *evidence) []figure {
	var all accounts
	last := uint64(0)
	for _, s := range e.truth.Subscribers {
		for _, r := range s.Ranges {
			last = max(last, r[1])
		}
	}
	for _, s := range e.truth.Subscribers {
		all.add(s.Ranges, last)
	}
	return []figure{
		e.counted(bench.Expected, all.expected), e.counted(bench.Lost, all.lost),
		e.counted(bench.Duplicate, all.duplicate), e.counted(bench.Reordered, all.reordered),
	}
}

// accounts count what became of the (event, subscriber) pairs.
type accounts struct{ expected, lost, duplicate, reordered uint64 }

// add takes one subscriber: the runs of ids that were written to it, in that order, and the last id of all. It is
// subscribed from the first event that it gets.
func (a *accounts) add(ranges [][2]uint64, last uint64) {
	if len(ranges) == 0 {
		return
	}
	first, newest := ranges[0][0], uint64(0)
	seen := make(map[uint64]bool)
	for _, r := range ranges {
		for id := r[0]; id <= r[1]; id++ {
			switch {
			case id < first: // from before its subscription, as far as it can know
				continue
			case seen[id]:
				a.duplicate++
			case id < newest:
				a.reordered++
			}
			seen[id] = true
			newest = max(newest, id)
		}
	}
	a.expected += last - first + 1
	a.lost += last - first + 1 - uint64(len(seen))
}

// judgePublish holds the counts against what the server accepted, and what it then left out.
func judgePublish(e *evidence) []figure {
	expected := e.truth.Totals.Published * uint64(e.result.Planned)
	return []figure{
		e.counted(bench.Expected, expected), e.counted(bench.Lost, expected-min(expected, e.truth.Totals.Sent)),
		e.counted(bench.PublishErrors, e.truth.Totals.Rejected),
	}
}

// judgeReconnect holds the waits before a reconnect against the time that the server asked for. A host that is late to
// wake the tester makes it wait for longer; that is no wrong figure where the server saw the same, and where a bare timer or
// Go's scheduler was late, too, or it is a single wait that is.
func judgeReconnect(e *evidence) []figure {
	h := e.result.Histogram(bench.Wait)
	gaps := absences(e.truth.Subscribers)
	asked := int64(e.retry)
	tolerance := max(int64(2*time.Millisecond), asked/100)
	list := []figure{{name: "median"}, {name: "max"}}
	for i := range list {
		f := &list[i]
		f.unit, f.injected, f.tolerance = bench.Nanoseconds, exactly(asked), tolerance
		if h == nil || h.TotalCount() == 0 || len(gaps) == 0 {
			f.refuse(bench.Warning{Text: "no connection came back", Advice: calm})
			continue
		}
		q := .5
		f.recovered = exactly(h.ValueAtQuantile(50))
		if i > 0 {
			q = 1
			f.recovered = exactly(bench.Most(h))
		}
		late := max(int64(e.result.Health.SchedulerP99), at(e.late, q)) > tolerance
		if i > 0 { // one wait can be late alone, where most are not, and is where the host is late for all
			late = list[0].outcome != wrong
		}
		f.judge()
		seen := at(gaps, q)
		switch {
		case e.unfit != nil:
			f.refuse(*e.unfit)
		case f.outcome == wrong && late && f.difference() > 0 && f.recovered.Low <= seen+tolerance:
			f.refuse(bench.Warning{Text: fmt.Sprintf("this host woke the tester late: the server, too, saw it gone for %s", report.Scale(float64(seen), bench.Nanoseconds)), Advice: calm})
		}
	}
	return list
}

// absences gives for how long clients were gone, from the end of one subscription to the next, sorted, in ns.
func absences(subscribers []server.TruthSubscriber) (gaps []int64) {
	left := make(map[string]int64)
	sorted := slices.SortedFunc(slices.Values(subscribers), func(a, b server.TruthSubscriber) int { return cmp.Compare(a.N, b.N) })
	for _, s := range sorted {
		if closed := left[s.Client]; closed > 0 {
			gaps = append(gaps, s.Opened-closed)
		}
		left[s.Client] = s.Closed
	}
	slices.Sort(gaps)
	return gaps
}

// judgeClock holds the bounds against how far the server's clock really was ahead, at both ends of the window, and
// against how long the deliveries really took.
func judgeClock(e *evidence) []figure {
	var list []figure
	clock := e.truth.Clock
	for _, end := range [...]struct {
		name string
		at   time.Duration
	}{{"begin", e.result.Begin}, {"end", e.result.End}} {
		since := e.result.Start.Add(end.at).UnixNano() - clock.Since
		f := figure{name: end.name, unit: bench.Nanoseconds, injected: exactly(clock.Offset + int64(clock.Drift/1e6*float64(since)))}
		if e.result.Clock == nil {
			f.refuse(bench.Warning{Text: "the server's clock could not be bounded", Advice: calm})
		} else {
			f.recovered = span{e.result.Clock.Low, e.result.Clock.High}
			f.judge()
		}
		if e.unfit != nil {
			f.refuse(*e.unfit)
		}
		list = append(list, f)
	}
	for _, q := range [...]float64{.5, .99} {
		list = append(list, e.enclosed(q, e.written(q)))
	}
	return list
}

// judgeStopped takes every quantile from the 99th on that depends on when something arrived: none may be called clean.
func judgeStopped(e *evidence) []figure {
	clean := figure{name: "clean p99s", unit: bench.Number}
	for _, m := range bench.Timings() {
		for _, estimate := range e.result.Estimates[m] {
			if estimate.Q == .99 && (estimate.Verdict == bench.Trusted || estimate.Verdict == bench.Bounded) {
				clean.recovered.Low++
				clean.recovered.High++
			}
		}
	}
	clean.judge()
	switch doubts := e.result.Doubts; {
	case e.unfit != nil:
		clean.refuse(*e.unfit)
	case clean.outcome == passed && len(doubts) > 0: // that it was stopped has decided nothing
		clean.refuse(doubts[0])
	}
	return []figure{clean}
}

// at gives the value of rank ⌈q·n⌉ of a sorted list; 0 of an empty one.
func at(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
