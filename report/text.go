package report

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/rtbench/rtbench/bench"
)

// The timings, as Text groups them.
var timingGroups = []struct {
	title   string
	metrics []bench.Metric
}{
	{"Latency", []bench.Metric{bench.Delivery, bench.RoundTrip, bench.LagBehindFirst, bench.FanoutSpread,
		bench.Reach50, bench.Reach95, bench.Reach99, bench.Reach100, bench.InterArrival, bench.FirstEvent, bench.StreamTotal,
		bench.Outage, bench.Detect, bench.Wait, bench.Reconnect, bench.CatchUp, bench.PublishReply,
		bench.BeforeSlow, bench.BesideSlow, bench.SlowDelivery}},
	{"Connecting", []bench.Metric{bench.Connect, bench.DNS, bench.TCP, bench.TLS, bench.Upgrade, bench.FirstByte}},
	{"The tester's own error", []bench.Metric{bench.PublishLateness, bench.ClientLag}},
}

// The counts and ratios, as Text groups them. A group appears where one of the counts in when isn't 0.
var countGroups = []struct {
	title   string
	when    []bench.Metric
	metrics []bench.Metric
}{
	{"Connections", nil, []bench.Metric{bench.Attempts, bench.Opened, bench.ConnectErrors, bench.Drops, bench.Broken, bench.Reconnects,
		bench.RetriesAsked, bench.RetriesKept}},
	{"Delivery", []bench.Metric{bench.Received, bench.Expected}, []bench.Metric{bench.Expected, bench.Delivered, bench.Late, bench.Lost, bench.Reach,
		bench.Duplicate, bench.Reordered, bench.Ancient, bench.Boundary, bench.Unstamped, bench.OutOfRange}},
	{"Publishing", []bench.Metric{bench.Due}, []bench.Metric{bench.Due, bench.Sent, bench.Unsent, bench.PublishErrors, bench.PublishOut, bench.PublishIn}},
	{"Streams", []bench.Metric{bench.StreamsStarted}, []bench.Metric{bench.StreamsStarted, bench.StreamsDone, bench.StreamsFailed}},
	{"Traffic", []bench.Metric{bench.Opened}, []bench.Metric{bench.Received, bench.Throughput, bench.Bytes, bench.Heartbeats, bench.WireIn, bench.WireOut, bench.HandshakeIn, bench.HandshakeOut}},
	{"Slow readers", []bench.Metric{bench.SlowReceived, bench.SlowDrops}, []bench.Metric{bench.SlowReceived, bench.SlowDrops}},
	{"Resumption", []bench.Metric{bench.Reconnects}, []bench.Metric{bench.Resumes, bench.ResumesFaulty}},
}

// onlyIfAny are the counts that say nothing where they are 0.
var onlyIfAny = []bench.Metric{bench.Ancient, bench.Boundary, bench.Unstamped, bench.OutOfRange, bench.Heartbeats, bench.Reconnects,
	bench.Broken, bench.RetriesAsked, bench.RetriesKept, bench.Late, bench.PublishErrors}

// shownQuantiles are the quantiles that there is room for.
var shownQuantiles = []float64{.5, .9, .99, .999}

func writeText(w io.Writer, run Run, opts TextOptions) error {
	if err := run.check(); err != nil {
		return err
	}
	s := &sheet{options: opts}
	s.headline(run)
	s.remarks("Why there is no verdict", run.Result.Doubts, red)
	s.latency(run.Result)
	s.trust(run.Result)
	if t, ok := headline(run.Result); ok {
		s.plot(t)
	}
	s.counts(run.Result)
	s.resumption(run.Result)
	s.storms(run.Result)
	s.steered(run.Result)
	s.injected(run.Result)
	s.targetUse(run.Result)
	s.remarks("Warnings", run.Result.Warnings, yellow)
	s.errors(run.Result)
	s.thresholds(run.Result)
	s.footer(run)
	_, err := io.WriteString(w, s.b.String())
	return err
}

// headline says what was run, what came out, and how far that can be trusted.
func (s *sheet) headline(run Run) {
	r := run.Result
	s.paragraph(span{}, strings.TrimSpace(Plain(run.Config.Command)+"  "+Plain(run.Config.Target)), bold)
	measured := "nothing measured in " + Scale(float64(r.Elapsed), bench.Nanoseconds)
	if r.End > r.Begin {
		measured = Scale(float64(r.End-r.Begin), bench.Nanoseconds) + " measured of " + Scale(float64(r.Elapsed), bench.Nanoseconds)
	}
	why := cmp.Or(Plain(r.StopText), stops[r.Stop])
	if !strings.HasPrefix(r.Failure, why) {
		measured += " · " + why
	}
	if r.Trimmed > 0 {
		measured += " · " + Scale(float64(r.Trimmed), bench.Nanoseconds) + " left out as warm-up"
	}
	s.paragraph(span{}, s.own(measured), dim)
	s.line()
	if r.Failure != "" {
		s.paragraph(span{"  FAILED  ", red}, Plain(r.Failure), normal)
	}
	t, ok := headline(r)
	switch {
	case !ok && r.Failure == "":
		s.line(span{"  no timing has any samples", normal})
		return
	case !ok:
		return
	case r.Failure != "":
		s.line()
	}
	name, figure, remark := headlineFigure(r, t)
	spans := []span{{"  " + t.metric.String() + " " + name + "  ", normal}, {s.own(figure), bold}}
	if verdict := headlineWorth(r, t); verdict.text != "" {
		if widest(spans[0].text+spans[1].text+"   "+verdict.text) > s.options.width() {
			s.line(spans...)
			spans = []span{{text: "  "}}
		} else {
			spans = append(spans, span{text: "   "})
		}
		spans = append(spans, verdict)
	}
	s.line(spans...)
	if remark != "" {
		s.paragraph(span{text: "  "}, Plain(remark), dim)
	}
	if t.source != "" {
		s.paragraph(span{text: "  "}, "source: "+Plain(t.source), dim)
	}
	s.trend(r)
}

// verdictSpan is a verdict with its meaning.
func verdictSpan(r *bench.Result, v bench.Verdict) span {
	if v == "" {
		return span{}
	}
	return span{string(v) + " (" + meaning(r, v) + ")", verdictStyle(v)}
}

func verdictStyle(v bench.Verdict) style {
	switch {
	case v.Refused():
		return red
	case v == bench.UpperBound:
		return yellow
	case v == "":
		return normal
	}
	return green
}

// headlineWorth is the verdict on the headline's figure; what the whole run is doubted for holds for it too.
func headlineWorth(r *bench.Result, t timing) span {
	e, ok := headlineEstimate(t)
	switch v := cmp.Or(e.Verdict, r.Verdict); {
	case v.Refused() || ok && e.Unknown == "":
		return verdictSpan(r, v)
	case ok:
		return indicationOnly
	}
	return span{} // the maximum of too few samples
}

// headlineEstimate is p99, or the highest quantile below it that can be relied on; where none can, the highest that is an
// indication. ok is false where there is none either.
func headlineEstimate(t timing) (e bench.Estimate, ok bool) {
	for _, q := range slices.Backward(quantiles[:]) {
		switch next := t.estimate(q.q); {
		case q.q > .99:
		case next.Unknown == "":
			return next, true
		case next.Indicative && !ok:
			e, ok = next, true
		}
	}
	return e, ok
}

// headlineFigure is the figure that the run is about, with a remark on what is missing.
func headlineFigure(r *bench.Result, t timing) (name, figure, remark string) {
	missing := r.Absent[t.metric]
	if why := t.estimate(.99).Unknown; why != "" {
		remark = "p99: " + why
	}
	e, ok := headlineEstimate(t)
	switch {
	case ok && e.Unknown != "":
		return quantileName(e.Q), figureText(e), remark
	case ok && e.AtLeast:
		return quantileName(e.Q), quantileText(e), count(missing) + " never came, and count as later than any that did"
	case ok:
		return quantileName(e.Q), quantileText(e), remark
	}
	return "max", atLeast(missing > 0) + Scale(latest(r, t), bench.Nanoseconds), remark
}

// latest is the maximum of a timing, ns. What never came was waited for.
func latest(r *bench.Result, t timing) float64 {
	if r.Absent[t.metric] > 0 {
		return float64(max(bench.Most(t.histogram), int64(r.Waited)))
	}
	return float64(bench.Most(t.histogram))
}

// atLeast is the mark in front of a figure that may be more.
func atLeast(more bool) string {
	if more {
		return "≥ "
	}
	return ""
}

// latency is one table of all timings, so that their columns stand below each other.
func (s *sheet) latency(r *bench.Result) {
	all := timings(r)
	if len(all) == 0 {
		return
	}
	var rows [][]span
	for _, g := range timingGroups {
		heading := []span{{g.title, bold}}
		var below [][]span
		for _, t := range all {
			if slices.Contains(g.metrics, t.metric) {
				below = append(below, s.timing(r, t))
			}
		}
		below = append(below, s.unmeasured(r, g.metrics)...)
		switch {
		case len(below) == 0:
			continue
		case len(rows) > 0:
			rows = append(rows, []span{{}})
		default:
			for _, column := range []string{"count", "min", "mean"} {
				heading = append(heading, span{column, dim})
			}
			for _, q := range shownQuantiles {
				heading = append(heading, span{quantileName(q), dim})
			}
			heading = append(heading, span{"max", dim})
		}
		rows = append(append(rows, heading), below...)
	}
	s.line()
	s.table(rows, []string{"mean", "min", "p90", "p99.9"})
	s.legend(rows)
}

func (s *sheet) timing(r *bench.Result, t timing) []span {
	h, some := t.histogram, r.Absent[t.metric] > 0
	cell := func(ns float64, more bool) span {
		return span{s.own(strings.ReplaceAll(atLeast(more)+Scale(ns, bench.Nanoseconds), " ", "")), normal}
	}
	row := []span{{"  " + t.metric.String(), normal}, {shortCount(h.TotalCount()), normal}, cell(float64(bench.Least(h)), false), cell(h.Mean(), some)}
	for _, q := range shownQuantiles {
		e := t.estimate(q)
		c := cell(float64(e.Value), e.AtLeast)
		if e.Unknown != "" {
			c = span{indication(true) + c.text, dim}
		}
		switch {
		case e.Unknown != "" && !e.Indicative:
			c = span{s.own("–"), dim}
		case e.Verdict.Refused():
			c = span{c.text + "?", dim}
		}
		row = append(row, c)
	}
	return append(row, cell(latest(r, t), some))
}

// unmeasured says of those metrics that could not be measured why, once for each reason, a row a line.
func (s *sheet) unmeasured(r *bench.Result, metrics []bench.Metric) (rows [][]span) {
	var reasons []string
	names := map[string][]string{}
	for _, m := range metrics {
		if why, ok := r.Unmeasured[m]; ok {
			if names[why] == nil {
				reasons = append(reasons, why)
			}
			names[why] = append(names[why], m.String())
		}
	}
	for _, why := range reasons {
		for _, line := range s.wrap(strings.Join(names[why], ", "), 2) {
			rows = append(rows, []span{{line, normal}})
		}
		for _, line := range s.wrap("not measurable: "+Plain(why), 4) {
			rows = append(rows, []span{{line, dim}})
		}
	}
	return rows
}

// counts writes the groups of counts and ratios.
func (s *sheet) counts(r *bench.Result) {
	for _, g := range countGroups {
		if g.when != nil && !slices.ContainsFunc(g.when, func(m bench.Metric) bool { return r.Count(m) > 0 }) {
			continue
		}
		var facts []fact
		if g.when == nil {
			facts = []fact{{"planned", count(uint64(r.Planned)), "", normal}, {"peak", count(uint64(r.Peak)), "", normal},
				{"open_at_end", count(uint64(r.OpenAtEnd)), "", normal}}
		}
		for _, m := range g.metrics {
			if f, ok := factOf(r, m); ok {
				facts = append(facts, f)
			}
		}
		s.title(g.title)
		s.grid(facts)
		for _, row := range s.unmeasured(r, g.metrics) {
			s.line(row...)
		}
	}
}

// factOf is what there is to say of a count or ratio; ok is false where that is nothing.
func factOf(r *bench.Result, m bench.Metric) (f fact, ok bool) {
	f.name = m.String()
	if _, unmeasured := r.Unmeasured[m]; unmeasured {
		return f, false
	}
	if !m.IsCount() {
		v, unknown := ratio(r, m)
		f.value = Scale(v, m.Unit())
		return f, unknown == ""
	}
	n := r.Count(m)
	f.value = Scale(float64(n), m.Unit())
	part, shared := share(r, m)
	if shared && n > 0 && m.LowerIsBetter() {
		f.note, f.style = Scale(part, bench.Fraction), yellow
	}
	_, partial := m.Of()
	return f, n > 0 || !slices.Contains(onlyIfAny, m) && (shared || !partial)
}

// remarks writes warnings or doubts, each with its advice.
func (s *sheet) remarks(title string, remarks []bench.Warning, st style) {
	if len(remarks) == 0 {
		return
	}
	s.title(title)
	s.list(remarks, st)
}

func (s *sheet) list(remarks []bench.Warning, st style) {
	for _, w := range remarks {
		s.paragraph(span{"  ! ", st}, Plain(w.Text), normal)
		if w.Advice != "" {
			s.paragraph(span{"    → ", dim}, Plain(w.Advice), dim)
		}
	}
}

func (s *sheet) errors(r *bench.Result) {
	if len(r.Errors) == 0 {
		return
	}
	s.title("Errors")
	numbers := make([]string, len(r.Errors))
	for i, e := range r.Errors {
		numbers[i] = count(e.Count)
	}
	w := widest(numbers...)
	indent := strings.Repeat(" ", w+4)
	for i, e := range r.Errors {
		first, last := Scale(float64(e.First), bench.Nanoseconds), Scale(float64(e.Last), bench.Nanoseconds)
		when := "at " + first
		if first != last {
			when = "from " + first + " to " + last
		}
		s.line(span{"  " + pad(numbers[i], -w) + "  ", yellow}, span{Plain(e.Key), bold}, span{s.own("  " + when), dim})
		s.paragraph(span{text: indent}, Plain(e.Text), normal)
		if hint := e.Hint(); hint != "" {
			s.paragraph(span{indent + "→ ", dim}, hint, dim)
		}
	}
}

func (s *sheet) thresholds(r *bench.Result) {
	if len(r.Judgements) == 0 {
		return
	}
	s.title("Thresholds")
	var texts, values []string
	for _, j := range r.Judgements {
		value := atLeast(j.AtLeast) + Scale(j.Value, j.Threshold.Unit())
		if between(j) {
			value = rangeText(int64(j.Low), int64(j.High))
		}
		if j.Unknown != "" {
			value = ""
		}
		texts, values = append(texts, Plain(j.Threshold.Text)), append(values, s.own(value))
	}
	text, value := widest(texts...), widest(values...)
	passed, failed := s.own("✓"), s.own("✗")
	for i, j := range r.Judgements {
		mark := span{"  " + pad(failed, widest(passed, failed)) + " ", red}
		if j.Passed {
			mark = span{"  " + pad(passed, widest(passed, failed)) + " ", green}
		}
		if j.Unknown != "" {
			s.line(mark, span{texts[i], normal})
			s.paragraph(span{text: "      "}, Plain(j.Unknown), dim)
			continue
		}
		figures, margin := span{pad(texts[i], text) + "  " + pad(values[i], -value) + "  ", normal}, s.own(margin(j))
		if widest(mark.text+figures.text+margin) > s.options.width() {
			s.line(mark, figures)
			s.paragraph(span{text: "      "}, margin, dim)
		} else {
			s.line(mark, figures, span{margin, dim})
		}
		if verdict := verdictSpan(r, j.Verdict); verdict.style == red || verdict.style == yellow {
			s.paragraph(span{text: "      "}, verdict.text, verdict.style)
		}
	}
}

// between reports whether the value that a threshold was judged by is known between two ends only. What some never came
// to has no upper one.
func between(j bench.Judgement) bool { return j.Low < j.High && !j.AtLeast && j.Unknown == "" }

// worse is the value that a threshold was judged by: of one known between two ends, that which is less likely to pass.
func worse(j bench.Judgement) float64 {
	switch {
	case !between(j):
		return j.Value
	case strings.HasPrefix(j.Threshold.Op, ">"):
		return j.Low
	}
	return j.High
}

// margin says how far a value is from its bound, as a share of the bound where it can be one.
func margin(j bench.Judgement) string {
	unit := j.Threshold.Unit()
	distance := worse(j) - j.Threshold.Bound
	where := " above"
	if distance < 0 {
		where, distance = " below", -distance
	}
	switch {
	case j.AtLeast:
		return "some never came"
	case distance == 0:
		return "at the bound"
	case unit == bench.Fraction:
		return strconv.FormatFloat(distance*100, 'g', 3, 64) + " points" + where
	case unit == bench.Nanoseconds && j.Threshold.Bound > 0:
		return Scale(distance/j.Threshold.Bound, bench.Fraction) + where
	}
	return Scale(distance, unit) + where
}

// footer says how and where the run was made.
func (s *sheet) footer(run Run) {
	s.line()
	env := run.Result.Environment
	var parts []string
	if each, ok := run.Result.CPUPerEvent(); ok {
		parts = append(parts, Scale(each, bench.Nanoseconds)+" of CPU time an event")
	}
	s.environment(env, run.Config.Entries, parts...)
}

// environment says by what, where and with which settings something was measured, and more of that.
func (s *sheet) environment(env bench.Environment, entries []Entry, more ...string) {
	parts := []string{strings.TrimSpace("rtbench " + Plain(env.Version))}
	add := func(known bool, part string) {
		if known {
			parts = append(parts, s.own(Plain(part)))
		}
	}
	add(env.GoVersion != "", env.GoVersion)
	add(env.OS != "", env.OS+"/"+env.Arch+" "+env.Kernel)
	add(env.CPUs > 0, strconv.Itoa(env.GOMAXPROCS)+" of "+strconv.Itoa(env.CPUs)+" CPUs")
	add(env.Arrivals != "", "arrivals stamped in "+env.Arrivals)
	add(env.CPU > 0, Scale(float64(env.CPU), bench.Nanoseconds)+" CPU time")
	for _, part := range more {
		add(true, part)
	}
	add(env.MaxRSS > 0, Scale(float64(env.MaxRSS), bench.ByteCount)+" memory")
	s.flow(parts, s.own(" · "), dim)

	settings := make([]string, len(entries))
	for i, e := range entries {
		settings[i] = Plain(e.Name) + "=" + Plain(e.Value)
	}
	s.flow(settings, "  ", dim)
}
