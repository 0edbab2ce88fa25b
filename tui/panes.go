package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// overview is what matters most.
func (v *view) overview(width, height int) block {
	lines := append(append(append(v.headline(width), v.thresholds(width)...), ""), v.trouble(width)...)
	below := facing(width, v.connectionFacts(width), v.deliveryFacts(width))
	room := height - len(lines) - len(below) - 1
	if v.filed {
		room = filedPlot
	}
	if room >= 4 && v.s.Detail != nil {
		lines = append(append(lines, v.plots(width, room)...), "")
	}
	return v.scrolled(append(lines, below...), 0, height)
}

// nothingOpen reports whether there should be connections, and are none. Request streams come and go.
func (v *view) nothingOpen() bool {
	s := v.s
	if s == nil || s.Open > 0 || s.Planned == 0 || s.Count(bench.StreamsDone) > 0 || v.level != nil && v.level(s.At) == 0 {
		return false
	}
	return s.Phase == bench.PhaseMeasure || s.Phase == bench.PhaseRamp && s.Count(bench.ConnectErrors) > 0
}

// trouble says why nothing is open.
func (v *view) trouble(width int) block {
	if !v.nothingOpen() || v.s.Detail == nil {
		return nil
	}
	title := red.paint("nothing is open") + "  "
	errors := v.s.Detail.Errors
	if len(errors) == 0 {
		return append(hang(title, "no attempt has been answered, nor failed", width, normal), "")
	}
	latest := slices.MaxFunc(errors, func(a, b bench.ErrorGroup) int { return cmp.Compare(a.Last, b.Last) })
	title += yellow.paint(numberText(int(latest.Count))) + " × "
	about := report.Plain(latest.Key)
	if len(errors) > 1 {
		about += ", and others (4 shows them)"
	}
	return append(append(hang(title, about, width, bold), v.cause(&latest, "  ", width)...), "")
}

// cause is what the last error of a kind said, and what to try.
func (v *view) cause(g *bench.ErrorGroup, indent string, width int) block {
	lines := hang(indent, v.whole(g.Text), width, normal)
	if hint := g.Hint(); hint != "" {
		lines = append(lines, hang(indent+dim.paint("→ "), hint, width, dim)...)
	}
	return lines
}

// headline is the timing that the run is about, with what it is worth.
func (v *view) headline(width int) block {
	s := v.s
	d := s.Detail
	if s.Quantiles.Samples == 0 || d == nil || len(d.Estimates) == 0 {
		what := "no timing yet"
		if s.Phase == bench.PhaseMeasure && s.Unmeasured[bench.Delivery] != "" {
			what = report.Plain(s.Unmeasured[bench.Delivery])
		}
		lines := hang(bold.paint("latency")+"  ", what, width, dim)
		if v.nothingOpen() { // there are other worries
			return lines
		}
		return append(lines, "", "")
	}
	names, values := "", ""
	each := max(12, min(16, (width-2)/6))
	add := func(name, value string, t tint) {
		if ansi.StringWidth(names)+each <= width {
			names += "  " + dim.paint(fit(name, each-2))
			values += "  " + t.paint(fit(value, each-2))
		}
	}
	verdict := bench.Verdict("")
	for _, e := range d.Estimates {
		switch e.Q {
		case .5, .9, .99, .999:
			add(report.QuantileName(e.Q), estimateText(e), bold)
		}
		if e.Q <= .99 && (e.Unknown == "" || e.Verdict.Refused()) {
			verdict = e.Verdict
		}
	}
	add("max", timeText(s.Quantiles.Max), normal)
	add("samples", numberText(int(s.Quantiles.Samples)), normal)
	title, why := bold.paint(s.Headline.String())+"  ", "so far"
	if verdict != "" {
		title += verdictTint(verdict).paint(string(verdict)) + "  "
		why = "so far: " + report.Meaning(verdict)
		if len(d.Doubts) > 0 {
			why = "so far: " + report.Plain(d.Doubts[0].Text)
		}
	}
	return append(hang(title, why, width, dim), names, values)
}

func verdictTint(v bench.Verdict) tint {
	switch {
	case v.Refused():
		return red
	case v == bench.Trusted || v == bench.Bounded:
		return green
	}
	return yellow
}

// estimateText is a quantile as far as it is known.
func estimateText(e bench.Estimate) string {
	switch {
	case e.AtLeast:
		return "≥ " + timeText(e.Value)
	case e.Indicative:
		return "~ " + timeText(e.Value)
	case e.Unknown != "":
		return "–"
	}
	return timeText(e.Value)
}

// plots are the latency and the throughput over time.
func (v *view) plots(width, height int) block {
	d := v.s.Detail
	p50, p99, rate := make([]float64, len(d.Series)), make([]float64, len(d.Series)), make([]float64, len(d.Series))
	for i, b := range d.Series {
		p50[i], p99[i] = nan, nan
		if b.Headline.Samples > 0 {
			p50[i], p99[i] = float64(b.Headline.P50), float64(b.Headline.P99)
		}
		rate[i] = float64(b.Received) / d.SeriesStep.Seconds()
	}
	left := plot(width/2-1, height, v.span(), bench.Nanoseconds, true, curve{"p99", magenta, solid, p99}, curve{"p50", cyan, dashed, p50})
	right := plot(width/2-1, height, v.span(), bench.Number, false, curve{"received a second", blue, solid, rate})
	return beside(width/2, left, right)
}

func (v *view) connectionFacts(width int) block {
	s := v.s
	if s.Count(bench.StreamsStarted) > 0 {
		return v.streamFacts(width)
	}
	list := []fact{{"open", fmt.Sprintf("%s of %s", numberText(s.Open), numberText(s.Planned)), normal}}
	if v.level != nil {
		if level := v.level(s.At); level != s.Planned && s.Phase != bench.PhaseFinish {
			list = append(list, fact{"planned now", numberText(level), normal})
		}
	}
	list = append(list, fact{"down", numberText(s.Down), alarm(s.Down > 0, yellow)})
	if s.Ended > 0 {
		list = append(list, fact{"ended", numberText(s.Ended), yellow})
	}
	list = append(list, fact{"drops", v.figureText(bench.Drops), alarm(s.Count(bench.Drops) > 0, yellow)},
		fact{"reconnects", v.figureText(bench.Reconnects), normal})
	if n := s.Count(bench.Broken); n > 0 {
		list = append(list, fact{"broken off", v.figureText(bench.Broken), normal})
	}
	failed := s.Count(bench.ConnectErrors)
	return facts(width, "connections", append(list, fact{"attempts failed", v.figureText(bench.ConnectErrors), alarm(failed > 0, red)})...)
}

// streamFacts are what became of streams that are requests with an end.
func (v *view) streamFacts(width int) block {
	s := v.s
	list := []fact{{"open", fmt.Sprintf("%s of at most %s", numberText(s.Open), numberText(s.Planned)), normal},
		{"started", v.figureText(bench.StreamsStarted), normal}, {"done", v.figureText(bench.StreamsDone), normal},
		{"failed", v.figureText(bench.StreamsFailed), alarm(s.Count(bench.StreamsFailed) > 0, red)}}
	if n := s.Count(bench.Unsent); n > 0 {
		list = append(list, fact{"not started", numberText(int(n)) + ": all places taken", red})
	}
	return facts(width, "request streams", append(list, v.speedFacts("starting")...)...)
}

func alarm(is bool, t tint) tint {
	if is {
		return t
	}
	return normal
}

func (v *view) deliveryFacts(width int) block {
	s := v.s
	list := []fact{{"received", v.figureText(bench.Received), normal}, {"a second", report.Scale(s.Rate, bench.Number), normal}}
	streams := s.Count(bench.StreamsStarted) > 0
	if s.Count(bench.Due) > 0 && !streams {
		list = append(append(list, fact{"sent", fmt.Sprintf("%s of %s due", v.figureText(bench.Sent), v.figureText(bench.Due)), normal}), v.speedFacts("sending")...)
		if n := s.Count(bench.Unsent) + s.Count(bench.PublishErrors); n > 0 {
			list = append(list, fact{"not sent", numberText(int(n)), red})
		}
	}
	if !streams {
		lost, tint := v.figureText(bench.Lost), alarm(s.Count(bench.Lost) > 0, red)
		if _, unmeasured := s.Unmeasured[bench.Lost]; s.Missing > 0 && !unmeasured {
			lost += missingText(s.Missing)
			if tint == normal {
				tint = yellow
			}
		}
		list = append(list, fact{"lost", lost, tint},
			fact{"duplicate", v.figureText(bench.Duplicate), alarm(s.Count(bench.Duplicate) > 0, yellow)})
	}
	if d := s.Detail; d != nil {
		if d.Resumption != nil {
			value := string(d.Resumption.Verdict)
			if d.Resumption.Judged > 0 {
				value += fmt.Sprintf(" %s/%s", numberText(int(d.Resumption.Correct)), numberText(int(d.Resumption.Judged)))
			}
			list = append(list, fact{"resumption", value, normal})
		}
		if lag := d.Timings[bench.ClientLag]; lag.Samples > 0 {
			list = append(list, fact{"tester's lag", "p99 " + timeText(lag.P99), normal})
		}
		if t := d.Target; t != nil && t.Why == "" {
			list = append(list, fact{"target", targetText(t), normal})
		}
	}
	return facts(width, "events", list...)
}

// missingText is how many events are missing that may be lost.
func missingText(n uint64) string { return fmt.Sprintf(", %s missing so far", numberText(int(n))) }

// speedFacts say how fast something is done, where that isn't as planned.
func (v *view) speedFacts(doing string) []fact {
	switch v.speed {
	case 1:
		return nil
	case 0:
		return []fact{{doing, "paused", yellow}}
	}
	return []fact{{doing, fmt.Sprintf("%.3g × the rate planned", v.speed), yellow}}
}

// targetText is what the target uses.
func targetText(t *bench.TargetUse) string {
	return fmt.Sprintf("cpu %.0f %%, memory %s", 100*float64(t.CPU)/float64(max(1, t.Length)), report.Scale(float64(t.Most), bench.ByteCount))
}

// thresholds are the conditions, with how they stand.
func (v *view) thresholds(width int) block {
	if len(v.s.Judgements) == 0 {
		return nil
	}
	var lines block
	const most = 36 // columns of a condition, beside what became of it
	widest := 0
	for _, j := range v.s.Judgements {
		if w := ansi.StringWidth(report.Plain(j.Threshold.Text)); w <= min(most, width/2) {
			widest = max(widest, w)
		}
	}
	for _, j := range v.s.Judgements {
		mark, t, value := "✓", green, ""
		switch {
		case j.Unknown != "" && v.s.Phase == bench.PhaseRamp:
			mark, t, value = "·", dim, "not yet measured"
		case j.Unknown != "":
			mark, t, value = "·", dim, report.Plain(j.Unknown)
		default:
			value = report.Scale(j.Value, j.Threshold.Unit())
			if j.Threshold.Bound != 0 {
				value += fmt.Sprintf(", %.0f %% of the bound", 100*j.Value/j.Threshold.Bound)
			}
			switch {
			case !j.Passed:
				mark, t = "✗", red
			case j.Missing > 0:
				mark, t, value = "·", yellow, value+missingText(j.Missing)
			}
		}
		head, text := "  "+t.paint(mark)+" ", report.Plain(j.Threshold.Text)
		if ansi.StringWidth(text) > widest {
			lines, head, text = append(lines, hang(head, text, width, normal)...), "    ", ""
		}
		lines = append(lines, hang(head+fit(text, widest)+"  ", value, width, t)...)
	}
	return lines
}

// sentenceWidth is from which width on there is room to say what a timing is.
const sentenceWidth = 110

// wordyWidth is from which width on there is room for long names of columns.
const wordyWidth = 72

// latency is how the headline is spread over time, and all timings.
func (v *view) latency(width, height int) block {
	d := v.s.Detail
	if d == nil {
		return waiting()
	}
	var rows [][]string
	for _, m := range bench.Timings() {
		q := d.Timings[m]
		if _, unmeasured := v.s.Unmeasured[m]; unmeasured || q.Samples == 0 {
			continue
		}
		p99 := "–"
		if q.Samples >= bench.SamplesFor(.99) {
			p99 = timeText(q.P99)
		}
		p50 := "–"
		if q.Samples >= bench.SamplesFor(.5) {
			p50 = timeText(q.P50)
		}
		rows = append(rows, []string{m.String(), numberText(int(q.Samples)), p50, p99, timeText(q.Max), m.Sentence()})
	}
	columns := []column{{name: "timing"}, {name: "samples", right: true}, {name: "p50", right: true}, {name: "p99", right: true}, {name: "max", right: true}, {name: "", rest: true}}
	if width < sentenceWidth {
		columns = columns[:len(columns)-1]
	}
	all := table(width, columns, rows, -1)
	room := max(height/2, height-len(all)-2)
	if v.filed {
		room = filedPlot
	}
	lines := append(block{bold.paint(v.s.Headline.String()) + dim.paint(" over time: the denser, the more samples of a column were so long")}, heatMap(width, room-1, v.span(), d.Series)...)
	return append(append(lines, ""), v.scrolled(all, 1, height-len(lines)-1)...)
}

func waiting() block { return block{"", dim.paint("  a second is needed to see this")} }

// scrolled is as much of a block as there is room for, below its first lines, which stay.
func (v *view) scrolled(b block, head, height int) (lines block) {
	if v.filed {
		return b
	}
	lines, v.bottom = scrolled(b, head, height, v.scroll, "↑ ↓")
	return lines
}

// scrolled is as much of a block as there is room for, from a line on, below its first ones, which stay. bottom is the last
// line to begin with. keys say how to see more.
func scrolled(b block, head, height, from int, keys string) (lines block, bottom int) {
	head = min(head, len(b))
	rest := b[head:]
	room := max(1, height-head)
	bottom = max(0, len(rest)-room)
	from = min(from, bottom)
	lines = append(b[:head:head], rest[from:min(len(rest), from+room)]...)
	if hidden := bottom - from; hidden > 0 {
		last := len(lines) - 1
		lines[last] = dim.paint(fmt.Sprintf("  %d more (%s)", hidden+1, keys))
		if last > head && strings.HasSuffix(lines[last-1], goesOn) {
			lines[last-1] += dim.paint(" …")
		}
	}
	return lines, bottom
}

// connections are how many there are, and those that fared worst.
func (v *view) connections(width, height int) block {
	d := v.s.Detail
	if d == nil {
		return waiting()
	}
	open, planned, errors := make([]float64, len(d.Series)), make([]float64, len(d.Series)), make([]float64, len(d.Series))
	for i, b := range d.Series {
		open[i], errors[i] = float64(b.Open), float64(b.Errors)
		planned[i] = nan
		if v.level != nil {
			planned[i] = float64(v.level(b.At + d.SeriesStep))
		}
	}
	room := max(3, height*2/5)
	if v.filed {
		room = filedPlot
	}
	lines := plot(width, room, v.span(), bench.Number, false, curve{"planned", dim, dotted, planned}, curve{"errors", red, dashed, errors}, curve{"open", green, solid, open})
	lines = append(lines, "", bold.paint("those that fared worst")+dim.paint("  ↑ ↓ and enter for one of them"))
	rows := make([][]string, len(d.Worst))
	for i, c := range d.Worst {
		quiet, longest := "–", "–"
		if c.Quiet >= 0 {
			quiet = elapsed(time.Duration(c.Quiet))
		}
		if c.Longest > 0 {
			longest = timeText(c.Longest)
		}
		rows[i] = []string{numberText(c.Index), string(c.State), numberText(int(c.Drops)), numberText(int(c.Missing)), longest, quiet}
	}
	delivery := "longest delivery"
	if width < wordyWidth {
		delivery = "longest"
	}
	columns := []column{{name: "connection", right: true}, {name: "state"}, {name: "drops", right: true}, {name: "missing", right: true}, {name: delivery, right: true}, {name: "quiet for", right: true}}
	all := table(width, columns, rows, v.row())
	if v.filed {
		return append(lines, all...)
	}
	room = height - len(lines)
	shown, _ := scrolled(all, 1, room, max(0, v.row()-(room-3)), "↑ ↓") // the marked one stays in sight
	return append(lines, shown...)
}

// failures are the errors, each with the last of its messages.
func (v *view) failures(width, height int) block {
	d := v.s.Detail
	if d == nil {
		return waiting()
	}
	if len(d.Errors) == 0 {
		return block{"", green.paint("  no errors")}
	}
	var lines block
	for i := range d.Errors {
		g := &d.Errors[i]
		when := "last " + elapsed(max(0, v.s.At-g.Last)) + " ago"
		lines = append(lines, yellow.paint(fitRight(numberText(int(g.Count)), 9))+"  "+bold.paint(report.Plain(g.Key))+"  "+dim.paint(when))
		lines = append(lines, v.cause(g, "           ", width)...)
	}
	return v.scrolled(lines, 0, height)
}

// tester is what the figures are worth, what the target uses, and what was done by hand.
func (v *view) tester(width, height int) block {
	s, d := v.s, v.s.Detail
	if d == nil {
		return waiting()
	}
	share := func(f float64) string {
		if f < 0 {
			return "–"
		}
		return report.Scale(f, bench.Fraction)
	}
	timing := func(m bench.Metric) string {
		q := d.Timings[m]
		if q.Samples == 0 {
			return "–"
		}
		return fmt.Sprintf("p50 %s p99 %s max %s", timeText(q.P50), timeText(q.P99), timeText(q.Max))
	}
	h := d.Health
	lines := facts(width, "the tester", fact{"lag behind the kernel", timing(bench.ClientLag), normal}, fact{"sent late by", timing(bench.PublishLateness), normal},
		fact{"events sharing a read", share(h.Shared), normal}, fact{"without kernel stamp", share(h.Unstamped), alarm(h.Unstamped > 0, yellow)},
		fact{"stood still for", timeText(int64(h.Stalled)), alarm(h.Stalled > 0, red)}, fact{"wall clock stepped by", timeText(int64(h.ClockStep.Abs())), normal})
	target := []fact{{"", "not asked (--target-pid, --target-metrics)", dim}}
	switch t := d.Target; {
	case t != nil && t.Why != "":
		target = []fact{{"why not", report.Plain(t.Why), yellow}}
	case t != nil:
		target = []fact{{"by", report.Plain(t.Source), normal}, {"uses", targetText(t), normal}}
	}
	lines = append(append(lines, ""), facts(width, "the target", target...)...)
	if len(d.Estimates) > 0 {
		lines = append(lines, "", bold.paint("trust in "+s.Headline.String()))
		for _, e := range d.Estimates {
			text := report.Meaning(e.Verdict)
			if e.Unknown != "" {
				text = report.Plain(e.Unknown)
				if !e.Verdict.Refused() {
					e.Verdict = ""
				}
			}
			head := "  " + dim.paint(fit(report.QuantileName(e.Q), 8)) + fit(estimateText(e), 11) + verdictTint(e.Verdict).paint(fit(string(e.Verdict), 17))
			lines = append(lines, hang(head, text, width, dim)...)
		}
	}
	for _, doubt := range d.Doubts {
		lines = append(lines, hang(red.paint("  ! "), report.Plain(doubt.Text), width, red)...)
		if doubt.Advice != "" {
			lines = append(lines, hang(dim.paint("  → "), report.Plain(doubt.Advice), width, dim)...)
		}
	}
	if len(s.Annotations) > 0 {
		lines = append(lines, "", bold.paint("steered by hand"))
		for _, a := range s.Annotations {
			lines = append(lines, hang(fmt.Sprintf("  %8s  ", elapsed(a.At)), report.Plain(a.Text), width, normal)...)
		}
	}
	return v.scrolled(lines, 0, height)
}
