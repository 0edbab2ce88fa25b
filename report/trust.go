package report

import (
	"slices"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// reason says why a quantile is saturated, or bounded from above only, and what to do.
func reason(r *bench.Result, v bench.Verdict) (why bench.Warning, ok bool) {
	h := r.Health
	switch {
	case v == bench.NoVerdict && len(r.Doubts) > 0:
		return r.Doubts[0], true
	case v == bench.Saturated:
		var what []string
		if h.Stalled > 0 {
			what = append(what, "it stood still for "+Scale(float64(h.Stalled), bench.Nanoseconds)+" in all")
		}
		if h.Shared > 0 {
			what = append(what, percent(h.Shared)+" of the events shared a read with others")
		}
		text := "the tester was too slow to tell when events arrived"
		if len(what) > 0 {
			text += ": " + strings.Join(what, ", and ")
		}
		advice := relief(r)
		if h.Stalled <= 0 {
			advice = "does the server, or a proxy on the way, send several at once? Else " + advice
		}
		return bench.Warning{Text: text, Advice: advice}, true
	case v == bench.UpperBound && userStamped(h):
		return bench.Warning{Text: "arrivals are stamped in user space, so the tester's own queue is in the figures",
			Advice: "the kernel stamps what arrives over HTTP/1.1, with TLS or without, where the tester runs on Linux"}, true
	case v == bench.UpperBound && r.Clock != nil:
		return bench.Warning{Text: "the server's clock is known to " + Scale(float64(r.Clock.High-r.Clock.Low), bench.Nanoseconds) + " only, and what is given is the upper end",
			Advice: "a --clock that answers sooner and more precisely narrows it; --publish, round_trip and lag_behind_first need no second clock"}, true
	}
	return why, false
}

// worth is the verdict on a figure. What has no value, or none to rely on, can be refused, but nothing else be said of it.
func worth(v bench.Verdict, unknown string) bench.Verdict {
	if unknown != "" && !v.Refused() {
		return ""
	}
	return v
}

// runWorth is the verdict on a run, which is that on its headline.
func runWorth(r *bench.Result) bench.Verdict {
	unknown := "no timing has any samples"
	if t, ok := headline(r); ok {
		if e, ok := headlineEstimate(t); ok {
			unknown = e.Unknown
		}
	}
	return worth(r.Verdict, unknown)
}

// indicationOnly stands for the verdict on what depends too much on each other.
var indicationOnly = span{"indication only", dim}

// userStamped reports whether the kernel stamped next to nothing, so that it isn't stamping at all.
func userStamped(h bench.Health) bool { return h.Unstamped < 0 || h.Unstamped > .5 }

// relief says what would let the tester keep up, by what the run was asked to do.
func relief(r *bench.Result) string {
	var ways []string
	if r.Peak > 1 {
		ways = append(ways, "use fewer connections than "+count(uint64(r.Peak)))
	}
	if r.Count(bench.Due) > 0 {
		ways = append(ways, "use a lower --rate")
	}
	return strings.Join(append(ways, "give the tester processors (taskset) or a machine of its own"), ", or ")
}

// Distrust gives the first reason not to use a result, with what to do about it: the verdict on its headline, or that
// on a figure that a threshold was judged by, is a refusal. It is false where there is none.
func Distrust(r *bench.Result) (bench.Warning, bool) {
	if r.Verdict.Refused() {
		return refusal(r, r.Verdict), true
	}
	for _, j := range r.Judgements {
		if j.Unknown == "" && j.Verdict.Refused() {
			why := refusal(r, j.Verdict)
			why.Text = j.Threshold.Text + ": " + why.Text
			return why, true
		}
	}
	return bench.Warning{}, false
}

func refusal(r *bench.Result, v bench.Verdict) bench.Warning {
	if why, ok := reason(r, v); ok {
		return why
	}
	return bench.Warning{Text: string(v)}
}

// trust says for each quantile of the headline what it is worth, and what speaks for that.
func (s *sheet) trust(r *bench.Result) {
	t, ok := headline(r)
	if !ok || len(r.Estimates[t.metric]) == 0 {
		return
	}
	s.title("Trust in " + t.metric.String())
	s.verdicts(t)
	for _, v := range []bench.Verdict{bench.Saturated, bench.UpperBound} {
		has := func(q float64) bool { e := t.estimate(q); return e.Verdict == v && e.Unknown == "" }
		why, ok := reason(r, v)
		if told := v == bench.Saturated && r.Verdict == v; ok && !told && slices.ContainsFunc(shownQuantiles, has) { // a warning has told it
			s.list([]bench.Warning{why}, verdictStyle(v))
		}
	}
	s.evidence(r)
}

// verdicts is the table of the shown quantiles.
func (s *sheet) verdicts(t timing) {
	const effective, within = "n_eff", "within-run 95 %"
	rows := [][]span{{{}, {"verdict", dim}, {"range", dim}, {within, dim}, {effective, dim}}}
	unranged, unbounded, uncounted := true, true, true
	verdictWidth := 0
	for _, q := range shownQuantiles {
		e := t.estimate(q)
		verdict := span{string(e.Verdict), verdictStyle(e.Verdict)}
		value, interval, n := "", "", ""
		switch {
		case e.Indicative && e.Verdict.Refused():
		case e.Indicative:
			verdict = indicationOnly
		case e.Unknown != "":
			verdict = span{"too few samples", dim}
		default:
			switch {
			case e.AtLeast:
				value, unranged = quantileText(e), false
			case ranged(e):
				value, unranged = rangeText(e.Low, e.High), false
			}
			if e.From != 0 || e.To != 0 {
				interval, unbounded = rangeText(e.From, e.To), false
			}
		}
		if e.Effective > 0 {
			n, uncounted = count(uint64(e.Effective)), false
		}
		verdictWidth = max(verdictWidth, widest(verdict.text))
		rows = append(rows, []span{{"  " + quantileName(q), normal}, verdict, {s.own(value), normal}, {s.own(interval), normal}, {n, normal}})
	}
	for i := range rows {
		rows[i][1].text = pad(rows[i][1].text, verdictWidth)
	}
	for column, empty := range map[string]bool{"range": unranged, within: unbounded, effective: uncounted} {
		if empty {
			rows = without(rows, column)
		}
	}
	s.table(rows, []string{effective, within})
}

// evidence is what the tester knows of itself: what is told first decides, the rest explains.
func (s *sheet) evidence(r *bench.Result) {
	h := r.Health
	var facts, explanation []fact
	s.title("Evidence")
	share := func(to *[]fact, name string, v float64) {
		if v >= 0 {
			*to = append(*to, fact{name, Scale(v, bench.Fraction), "", normal})
		}
	}
	length := func(to *[]fact, name string, d time.Duration) {
		if d >= 0 {
			*to = append(*to, fact{name, Scale(float64(d), bench.Nanoseconds), "", normal})
		}
	}
	share(&facts, "shared", h.Shared)
	share(&facts, "not_by_kernel", h.Unstamped)
	length(&facts, "stalled", h.Stalled)
	length(&facts, "clock_step", h.ClockStep.Abs())
	share(&facts, "steal", h.Steal)
	length(&facts, "throttled", h.Throttled)
	for _, m := range evidenceCounts {
		if _, unmeasured := r.Unmeasured[m]; !unmeasured {
			facts = append(facts, fact{m.String(), count(r.Count(m)), "", normal})
		}
	}
	s.grid(facts)
	share(&explanation, "pressure", h.Pressure)
	length(&explanation, "scheduler_p99", h.SchedulerP99)
	length(&explanation, "collector_max", h.CollectorMax)
	if len(explanation) > 0 {
		s.line(span{"  as explanation only", dim})
		s.grid(explanation)
	}
}

// evidenceCounts are the counters that stand among the evidence.
var evidenceCounts = []bench.Metric{bench.Resent, bench.OutOfOrder}

// trend says in a line that the run changed; a warning says what that means.
func (s *sheet) trend(r *bench.Result) {
	if d := r.Drift; d != nil {
		s.line(span{"  NON-STATIONARY", yellow}, span{" (" + quantileName(d.Q) + " of " + d.Metric.String() + " " + d.Change() + ")", normal})
	}
}

// ranged reports whether a quantile is known between two ends only, or was judged by them.
func ranged(e bench.Estimate) bool { return e.Low != e.High || e.Verdict == bench.Bounded }

// quantileText is a quantile that is known: with its range where there is one, with ≥ where some never came.
func quantileText(e bench.Estimate) string {
	value := Scale(float64(e.Value), bench.Nanoseconds)
	switch {
	case e.AtLeast:
		return "≥ " + value
	case e.Low < e.Value && e.Value < e.High: // as between two clocks
		return value + " (" + rangeText(e.Low, e.High) + ")"
	case ranged(e):
		return rangeText(e.Low, e.High)
	}
	return value
}

// figureText is a quantile as quantileText has it, of which there may be an indication only.
func figureText(e bench.Estimate) string { return indication(e.Unknown != "") + quantileText(e) }

// indication is the mark in front of a figure that is no more than one.
func indication(only bool) string {
	if only {
		return "~"
	}
	return ""
}

// rangeText is a range of times in ns, its unit once where both ends have the same: 4.20–4.31 ms. Where high is 0
// nothing bounds it.
func rangeText(low, high int64) string {
	from, to := Scale(float64(low), bench.Nanoseconds), Scale(float64(high), bench.Nanoseconds)
	number, unit, _ := strings.Cut(from, " ")
	switch {
	case high == 0:
		return "≥ " + from
	case from == to:
		return to
	case unit != "" && strings.HasSuffix(to, " "+unit):
		return number + "–" + to
	}
	return from + "–" + to
}

// legend explains the marks in the cells of the tables, where there are any.
func (s *sheet) legend(rows [][]span) {
	has := func(mark string) bool {
		return slices.ContainsFunc(rows, func(row []span) bool {
			return len(row) > 1 && slices.ContainsFunc(row[1:], func(c span) bool { return strings.Contains(c.text, s.own(mark)) })
		})
	}
	if has("≥") {
		s.paragraph(span{"  ≥ ", dim}, "some never came, and count as later than any that did: the figure is that or more", dim)
	}
	if has("~") {
		s.paragraph(span{"  ~ ", dim}, "an indication: there are samples enough, but they depend on each other too much", dim)
	}
	if has("?") {
		s.paragraph(span{"  ? ", dim}, "refused: this may be the tester or its host, and not the target", dim)
	}
}
