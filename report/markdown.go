package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/rtbench/rtbench/bench"
)

// writeMarkdown writes what a reviewer needs: what came out and how far that can be trusted, thresholds first.
func writeMarkdown(w io.Writer, run Run) error {
	if err := run.check(); err != nil {
		return err
	}
	r := run.Result
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("## %s %s\n", titled(mark(scenario(run.Config.Entries)), code(run.Config.Command)), code(run.Config.Target))
	if r.Failure != "" {
		line("**FAILED:** %s\n", mark(r.Failure))
	}
	if t, ok := headline(r); ok {
		name, figure, remark := headlineFigure(r, t)
		worth := ""
		if v := runWorth(r); v != "" {
			worth = fmt.Sprintf(" (%s: %s)", v, meaning(r, v))
		}
		line("**%s %s %s**%s, over %s\n", mark(t.metric.String()), name, figure, worth, Scale(float64(r.End-r.Begin), bench.Nanoseconds))
		if remark != "" {
			line("%s\n", mark(remark))
		}
	}
	for _, d := range r.Doubts {
		line("> **No verdict:** %s → %s\n", mark(d.Text), mark(d.Advice))
	}
	if len(r.Judgements) > 0 {
		line("| threshold | measured | |\n|---|---:|---|")
		for _, j := range r.Judgements {
			verdict := "❌ failed"
			if j.Passed {
				verdict = "✅ passed"
			}
			line("| %s | %s | %s |", code(strings.ReplaceAll(j.Threshold.Text, "|", "/")), mark(measured(j)), verdict)
		}
		line("")
	}
	markdownTimings(line, r)
	markdownCounts(line, r)
	if x := r.Resumption; x != nil {
		line("Resumption: **%s**%s\n", x.Verdict, mark(resumeSummary(r)))
	}
	for _, warning := range r.Warnings {
		line("> %s → %s\n", mark(warning.Text), mark(warning.Advice))
	}
	if len(r.Errors) > 0 {
		line("| errors | |\n|---|---:|")
		for _, e := range r.Errors {
			line("| %s | %s |", mark(e.Text), count(e.Count))
		}
		line("")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownTimings(line func(string, ...any), r *bench.Result) {
	list := timings(r)
	if len(list) == 0 {
		return
	}
	line("| | count | p50 | p90 | p99 | p99.9 | max |\n|---|---:|---:|---:|---:|---:|---:|")
	for _, t := range list {
		cells := []string{t.metric.String(), count(uint64(t.histogram.TotalCount()))}
		for _, q := range shownQuantiles {
			cells = append(cells, mark(cellText(t.estimate(q))))
		}
		line("| %s |", strings.Join(append(cells, maxText(r, t)), " | "))
	}
	line("")
}

func markdownCounts(line func(string, ...any), r *bench.Result) {
	line("| | |\n|---|---:|")
	for _, m := range []bench.Metric{bench.Opened, bench.Drops, bench.Reconnects, bench.Received, bench.Expected, bench.Lost, bench.Duplicate, bench.Reordered} {
		switch why, unmeasured := r.Unmeasured[m]; {
		case unmeasured:
			line("| %s | not measurable: %s |", m, mark(why))
		case r.Count(m) > 0 || m == bench.Lost:
			line("| %s | %s |", m, count(r.Count(m)))
		}
	}
	line("")
}
