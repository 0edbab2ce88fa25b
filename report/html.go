package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
)

//go:embed page.html
var pageText string

// page writes everything that it is given as text: nothing that a server or a user wrote is markup.
var page = template.Must(template.New("page").Parse(pageText))

// A pageData is what a page shows. Every string has gone through Plain.
type pageData struct {
	Title      string
	Under      []string
	Failure    string
	Headline   *pageHeadline
	Doubts     []bench.Warning
	Thresholds []pageThreshold
	Advice     []string
	Warnings   []bench.Warning
	SideA      string
	SideB      string
	Gated      bool
	Contrasts  []pageContrast
	Claims     []pageClaim
	Figures    []figure
	Timings    []pageTiming
	Groups     []pageGroup
	Errors     []pageError
	Made       string
	Config     []Entry
	Commands   []Entry // each side's
}

type (
	pageHeadline  struct{ Figure, Verdict, Class, Remark string }
	pageThreshold struct{ Text, Measured, Verdict, Class string }
	pageContrast  struct{ Name, A, B, Ratio, Interval, P, Class, Gate, GateClass, Unknown string }
	pageClaim     struct {
		Claim   string
		Verdict ClaimVerdict
		Class   string
		Why     string
		Figures string
	}
	pageTiming struct {
		Name, Sentence, Count string
		Quantiles             []string
		Max                   string
	}
	pageGroup struct {
		Title string
		Text  []string
		Facts []pageFact
	}
	pageFact  struct{ Name, Value string }
	pageError struct{ Text, Hint, Count string }
)

// verdictClass is the colour of a verdict.
func verdictClass(v bench.Verdict) string {
	switch {
	case v.Refused():
		return "bad"
	case v == bench.UpperBound:
		return "warn"
	}
	return "good"
}

func (d pageData) write(w io.Writer) error {
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func plainWarnings(list []bench.Warning) (plain []bench.Warning) {
	for _, w := range list {
		plain = append(plain, bench.Warning{Text: Plain(w.Text), Advice: Plain(w.Advice)})
	}
	return plain
}

func plainEntries(entries []Entry) (plain []Entry) {
	for _, e := range entries {
		plain = append(plain, Entry{Plain(e.Name), Plain(e.Value)})
	}
	return plain
}

// writeHTML writes a run as a page that needs nothing else.
func writeHTML(w io.Writer, run Run) error {
	if err := run.check(); err != nil {
		return err
	}
	r := run.Result
	d := pageData{
		Title:   strings.TrimSpace(Plain(run.Config.Command) + " " + Plain(run.Config.Target)),
		Under:   []string{fmt.Sprintf("%s measured of %s", Scale(float64(r.End-r.Begin), bench.Nanoseconds), Scale(float64(r.Elapsed), bench.Nanoseconds))},
		Failure: Plain(r.Failure), Doubts: plainWarnings(r.Doubts), Warnings: plainWarnings(r.Warnings), Config: plainEntries(run.Config.Entries), Made: madeWith(r.Environment),
	}
	if why := Plain(r.StopText); why != "" || stops[r.Stop] != "" {
		d.Under[0] += " · " + strings.TrimSpace(why+" "+map[bool]string{true: stops[r.Stop]}[why == ""])
	}
	if !r.Start.IsZero() {
		d.Under = append(d.Under, r.Start.UTC().Format(time.RFC1123))
	}
	if t, ok := headline(r); ok {
		name, value, remark := headlineFigure(r, t)
		h := &pageHeadline{Figure: t.metric.String() + " " + name + " " + value, Remark: Plain(strings.TrimPrefix(remark+"; "+t.source, "; "))}
		if v := runWorth(r); v != "" {
			h.Verdict, h.Class = string(v)+": "+meaning(r, v), verdictClass(v)
		}
		d.Headline = h
		if f, ok := percentiles(timings(r)); ok {
			d.Figures = append(d.Figures, f)
		}
		if f, ok := heatMap(r, t.metric); ok {
			d.Figures = append(d.Figures, f)
		}
	}
	seconds := r.SeriesStep.Seconds()
	for _, x := range []struct {
		title string
		lines []legend
		of    []func(bench.Bucket) float64
	}{
		{"Connections open", nil, []func(bench.Bucket) float64{func(b bench.Bucket) float64 { return float64(b.Open) }}},
		{"Events a second", []legend{{0, "received"}, {1, "sent"}}, []func(bench.Bucket) float64{func(b bench.Bucket) float64 { return float64(b.Received) / seconds }, func(b bench.Bucket) float64 { return float64(b.Sent) / seconds }}},
		{"Reconnects and errors", []legend{{0, "reconnects"}, {1, "errors"}}, []func(bench.Bucket) float64{func(b bench.Bucket) float64 { return float64(b.Reconnects) }, func(b bench.Bucket) float64 { return float64(b.Errors) }}},
	} {
		if f, ok := overTime(r, x.title, x.lines, x.of...); ok {
			d.Figures = append(d.Figures, f)
		}
	}
	d.addThresholds(r)
	d.addTimings(r)
	d.addGroups(r)
	for _, e := range r.Errors {
		d.Errors = append(d.Errors, pageError{Plain(e.Text), Plain(e.Hint()), count(e.Count)})
	}
	return d.write(w)
}

func madeWith(env bench.Environment) string {
	var parts []string
	for _, part := range []string{"rtbench " + env.Version, env.GoVersion, strings.TrimSpace(env.OS + "/" + env.Arch + " " + env.Kernel), fmt.Sprintf("%d of %d CPUs", env.GOMAXPROCS, env.CPUs)} {
		if part = strings.TrimSpace(Plain(part)); part != "" && part != "/" && part != "0 of 0 CPUs" {
			parts = append(parts, part)
		}
	}
	if env.Arrivals != "" {
		parts = append(parts, "arrivals stamped in "+Plain(env.Arrivals))
	}
	return strings.Join(parts, " · ")
}

func (d *pageData) addThresholds(r *bench.Result) {
	for _, j := range r.Judgements {
		t := pageThreshold{Text: Plain(j.Threshold.Text), Measured: Plain(measured(j)), Verdict: "failed", Class: "bad"}
		if j.Passed {
			t.Verdict, t.Class = "passed", "good"
		}
		d.Thresholds = append(d.Thresholds, t)
	}
}

func (d *pageData) addTimings(r *bench.Result) {
	for _, t := range timings(r) {
		row := pageTiming{Name: t.metric.String(), Sentence: t.metric.Sentence(), Count: count(uint64(t.histogram.TotalCount())), Max: maxText(r, t)}
		for _, q := range shownQuantiles {
			row.Quantiles = append(row.Quantiles, cellText(t.estimate(q)))
		}
		d.Timings = append(d.Timings, row)
	}
}

// measured is what a threshold was held against, or why that isn't known.
func measured(j bench.Judgement) string {
	if j.Unknown != "" {
		return j.Unknown
	}
	return atLeast(j.AtLeast) + Scale(j.Value, j.Threshold.Unit())
}

// maxText is the longest sample of a timing in a cell.
func maxText(r *bench.Result, t timing) string {
	return atLeast(r.Absent[t.metric] > 0) + Scale(float64(bench.Most(t.histogram)), bench.Nanoseconds)
}

// cellText is a quantile in a cell.
func cellText(e bench.Estimate) string {
	value := Scale(float64(e.Value), bench.Nanoseconds)
	switch {
	case e.AtLeast:
		return "≥ " + value
	case e.Unknown == "":
		return value
	case e.Indicative:
		return indication(true) + value
	}
	return "–"
}

// addGroups adds the counts, and what became of drops, faults and the target, as the text report groups them.
func (d *pageData) addGroups(r *bench.Result) {
	for _, g := range countGroups {
		group := pageGroup{Title: g.title}
		some := g.when == nil
		for _, m := range g.when {
			some = some || r.Count(m) > 0
		}
		if !some {
			continue
		}
		for _, m := range g.metrics {
			why, unmeasured := r.Unmeasured[m]
			switch {
			case unmeasured:
				group.Facts = append(group.Facts, pageFact{m.String(), "not measurable: " + Plain(why)})
			case m.IsCount():
				group.Facts = append(group.Facts, pageFact{m.String(), Scale(float64(r.Count(m)), m.Unit())})
			default:
				if value, unknown := ratio(r, m); unknown == "" {
					group.Facts = append(group.Facts, pageFact{m.String(), Scale(value, m.Unit())})
				}
			}
		}
		d.Groups = append(d.Groups, group)
	}
	if x := r.Resumption; x != nil {
		group := pageGroup{Title: "Resumption: " + string(x.Verdict), Text: []string{Plain(strings.TrimPrefix(resumeSummary(r), ": "))}}
		for _, f := range bench.ResumeFaults() {
			if n := x.Faults[f]; n > 0 {
				group.Facts = append(group.Facts, pageFact{f.String(), count(n)})
			}
		}
		d.Groups = append(d.Groups, group)
	}
	if len(r.Annotations) > 0 {
		group := pageGroup{Title: "Steered by hand"}
		for _, a := range r.Annotations {
			group.Facts = append(group.Facts, pageFact{"at " + Scale(float64(a.At), bench.Nanoseconds), Plain(a.Text)})
		}
		d.Groups = append(d.Groups, group)
	}
	for i, s := range r.Storms {
		group := pageGroup{Title: "Storm " + strconv.Itoa(i+1), Text: []string{fmt.Sprintf("at %s %d of %d connections dropped", Scale(float64(s.At), bench.Nanoseconds), s.Dropped, s.Open)}}
		for j, label := range []string{"half back after", "95 % back after", "all back after"} {
			value := "not by the end"
			if s.Back[j] >= 0 {
				value = Scale(float64(s.Back[j]), bench.Nanoseconds)
			}
			group.Facts = append(group.Facts, pageFact{label, value})
		}
		group.Facts = append(group.Facts, pageFact{"attempts", count(s.Attempts)}, pageFact{"failed", count(s.Failed)}, pageFact{"most attempts a second", count(uint64(s.Peak))})
		d.Groups = append(d.Groups, group)
	}
	if x := r.Injected; x != nil {
		group := pageGroup{Title: "Faults on the way"}
		for _, f := range x.Faults {
			group.Facts = append(group.Facts, pageFact{Plain(f.Fault), Plain(effectText(f))})
		}
		d.Groups = append(d.Groups, group)
	}
	if x := r.Target; x != nil && x.Why == "" {
		group := pageGroup{Title: "Target", Text: []string{"by " + Plain(x.Source)}, Facts: []pageFact{
			{"cpu", Scale(100*float64(x.CPU)/float64(max(1, x.Length)), bench.Number) + "% of one processor"}, {"memory", Scale(float64(x.Most), bench.ByteCount)}}}
		if bytes, ok := x.PerConnection(r.Peak); ok {
			group.Facts = append(group.Facts, pageFact{"memory a connection", Scale(float64(bytes), bench.ByteCount)})
		}
		d.Groups = append(d.Groups, group)
	}
}

// html writes a comparison as a page that needs nothing else.
func (c *Comparison) html(w io.Writer) error {
	a, b := Plain(c.Sides[0].Name), Plain(c.Sides[1].Name)
	d := pageData{Title: a + " against " + b, Under: []string{Plain(c.made(" · "))}, SideA: a, SideB: b, Gated: c.gated(),
		Doubts: plainWarnings(c.Doubts), Warnings: plainWarnings(c.Warnings), Made: madeWith(c.Environment), Config: plainEntries(c.Entries)}
	if c.Workload != "" {
		d.Under = append(d.Under, Plain(c.Workload))
	}
	if !c.Start.IsZero() {
		d.Under = append(d.Under, c.Start.UTC().Format(time.RFC1123))
	}
	for _, sentence := range c.Advice {
		d.Advice = append(d.Advice, Plain(sentence))
	}
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		textA, textB := x.texts()
		row := pageContrast{Name: Plain(x.Name), Unknown: Plain(x.Unknown), A: textA, B: textB, Ratio: ratioText(x.Ratio),
			Interval: x.interval(), P: x.pText(), Gate: string(x.Gate), GateClass: map[Gate]string{Pass: "good", Regress: "bad", Inconclusive: "warn"}[x.Gate]}
		if x.Different() {
			row.Class = "warn"
		}
		d.Contrasts = append(d.Contrasts, row)
	}
	if f, ok := forest(c); ok {
		d.Figures = append(d.Figures, f)
	}
	for _, x := range c.Claims {
		d.Claims = append(d.Claims, pageClaim{Plain(x.Claim), x.Verdict, map[ClaimVerdict]string{Holds: "good", HoldsNot: "warn", Untellable: "soft"}[x.Verdict], Plain(x.Why), Plain(x.Figures)})
	}
	for _, side := range c.Sides {
		d.Commands = append(d.Commands, Entry{Plain(side.Name), Plain(side.Command)})
	}
	return d.write(w)
}
