package report

import (
	"cmp"
	"fmt"
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
	{"Latency", []bench.Metric{bench.Delivery, bench.RoundTrip, bench.LagBehindFirst, bench.FanoutSpread, bench.InterArrival,
		bench.FirstEvent, bench.StreamTotal, bench.Outage}},
	{"Connecting", []bench.Metric{bench.Connect, bench.DNS, bench.TCP, bench.TLS, bench.Upgrade, bench.FirstByte}},
	{"The tester's own error", []bench.Metric{bench.PublishLateness, bench.ClientLag}},
}

// The counts and ratios, as Text groups them. A group appears where one of the counts in when isn't 0.
var countGroups = []struct {
	title   string
	when    []bench.Metric
	metrics []bench.Metric
}{
	{"Connections", nil, []bench.Metric{bench.Attempts, bench.Opened, bench.ConnectErrors, bench.Drops, bench.Reconnects}},
	{"Delivery", []bench.Metric{bench.Received, bench.Expected}, []bench.Metric{bench.Expected, bench.Delivered, bench.Lost, bench.Reach,
		bench.Duplicate, bench.Reordered, bench.Ancient, bench.Boundary, bench.Unstamped, bench.OutOfRange}},
	{"Publishing", []bench.Metric{bench.Due}, []bench.Metric{bench.Due, bench.Sent, bench.Unsent}},
	{"Streams", []bench.Metric{bench.StreamsStarted}, []bench.Metric{bench.StreamsStarted, bench.StreamsDone, bench.StreamsFailed}},
	{"Traffic", []bench.Metric{bench.Opened}, []bench.Metric{bench.Received, bench.Throughput, bench.Bytes, bench.Heartbeats, bench.WireIn, bench.WireOut}},
}

// onlyIfAny are the counts that say nothing where they are 0.
var onlyIfAny = []bench.Metric{bench.Ancient, bench.Boundary, bench.Unstamped, bench.OutOfRange, bench.Heartbeats, bench.Reconnects}

// shownQuantiles are the quantiles that there is room for.
var shownQuantiles = []string{"p50", "p90", "p99", "p99.9"}

func writeText(w io.Writer, run Run, opts TextOptions) error {
	if err := run.check(); err != nil {
		return err
	}
	s := &sheet{options: opts}
	s.headline(run)
	s.remarks("Why there is no verdict", run.Result.Doubts, red)
	s.latency(run.Result)
	if t, ok := headline(run.Result); ok {
		s.plot(t)
	}
	s.counts(run.Result)
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
	name, figure, remark := headlineFigure(t)
	spans := []span{{"  " + t.metric.String() + " " + name + "  ", normal}, {s.own(figure), bold}}
	if verdict := verdictSpan(r.Verdict); verdict.text != "" {
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
		s.paragraph(span{text: "  "}, remark, dim)
	}
	if t.source != "" {
		s.paragraph(span{text: "  "}, "source: "+Plain(t.source), dim)
	}
}

func verdictSpan(v bench.Verdict) span {
	switch v {
	case "":
		return span{}
	case bench.NoVerdict:
		return span{string(v) + " (" + verdicts[v] + ")", red}
	}
	return span{string(v) + " (" + verdicts[v] + ")", yellow}
}

// headlineFigure is p99, or the highest quantile below it that there are samples for, with a remark on those missing.
func headlineFigure(t timing) (name, figure, remark string) {
	if n, need := t.histogram.TotalCount(), bench.SamplesFor(.99); n < need {
		remark = fmt.Sprintf("p99 needs %d samples, there are %d", need, n)
	}
	for _, name := range []string{"p99", "p90", "p50"} {
		if ns, ok := t.named(name); ok {
			return name, Scale(float64(ns), bench.Nanoseconds), remark
		}
	}
	return "max", Scale(float64(t.histogram.Max()), bench.Nanoseconds), remark
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
				below = append(below, s.timing(t))
			}
		}
		below = append(below, s.unmeasured(r, g.metrics)...)
		switch {
		case len(below) == 0:
			continue
		case len(rows) > 0:
			rows = append(rows, []span{{}})
		default:
			for _, column := range slices.Concat([]string{"count", "min", "mean"}, shownQuantiles, []string{"max"}) {
				heading = append(heading, span{column, dim})
			}
		}
		rows = append(append(rows, heading), below...)
	}
	s.line()
	s.table(rows, []string{"mean", "min", "p90", "p99.9"})
}

func (s *sheet) timing(t timing) []span {
	h := t.histogram
	cell := func(ns float64) span {
		return span{s.own(strings.Replace(Scale(ns, bench.Nanoseconds), " ", "", 1)), normal}
	}
	row := []span{{"  " + t.metric.String(), normal}, {shortCount(h.TotalCount()), normal}, cell(float64(h.Min())), cell(h.Mean())}
	for _, name := range shownQuantiles {
		if ns, ok := t.named(name); ok {
			row = append(row, cell(float64(ns)))
		} else {
			row = append(row, span{s.own("–"), dim})
		}
	}
	return append(row, cell(float64(h.Max())))
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
		if hint := e.Class.Hint(e.Code); hint != "" {
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
		value := Scale(j.Value, j.Threshold.Unit())
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
		s.line(mark, span{pad(texts[i], text) + "  " + pad(values[i], -value) + "  ", normal}, span{s.own(margin(j)), dim})
	}
}

// margin says how far a value is from its bound, as a share of the bound where it can be one.
func margin(j bench.Judgement) string {
	unit := j.Threshold.Unit()
	distance := j.Value - j.Threshold.Bound
	where := " above"
	if distance < 0 {
		where, distance = " below", -distance
	}
	switch {
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
	add(env.MaxRSS > 0, Scale(float64(env.MaxRSS), bench.ByteCount)+" memory")
	s.flow(parts, s.own(" · "), dim)

	settings := make([]string, len(run.Config.Entries))
	for i, e := range run.Config.Entries {
		settings[i] = Plain(e.Name) + "=" + Plain(e.Value)
	}
	s.flow(settings, "  ", dim)
}
