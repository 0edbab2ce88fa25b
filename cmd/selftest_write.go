package cmd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// A selftestTable writes the rows for people, as they are done, in 80 columns.
type selftestTable struct {
	out    io.Writer
	styles map[outcome]lipgloss.Style
	failed error // the first failure to write; nil for none
}

const (
	selftestWidth  = 80
	selftestIndent = 4
)

func newSelftestTable(out io.Writer) *selftestTable {
	bold := lipgloss.NewStyle().Bold(true)
	t := &selftestTable{out: colorprofile.NewWriter(out, os.Environ()), styles: map[outcome]lipgloss.Style{
		passed: bold.Foreground(lipgloss.Green), refused: bold.Foreground(lipgloss.Yellow), wrong: bold.Foreground(lipgloss.Red),
	}}
	t.line("", "injected", "recovered", "difference", "tolerance", "")
	return t
}

func (t *selftestTable) line(name, injected, recovered, difference, tolerance, outcome string) {
	t.printf("%-22s %12s %14s %10s %9s  %s\n", name, injected, recovered, difference, tolerance, outcome)
}

func (t *selftestTable) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.failed == nil {
		t.failed = err
	}
}

// row writes the figures of a row, why those that didn't pass did not, and what there is to know besides.
func (t *selftestTable) row(found finding) {
	said := ""
	for _, f := range found.figures {
		t.line(found.trial.name+" "+f.name, f.text(f.injected), f.text(f.recovered), f.gap(), f.plain(f.tolerance),
			t.styles[f.outcome].Render(string(f.outcome)))
		if f.reason != said { // several are mostly refused for one reason
			t.say(f.reason)
		}
		said = f.reason
	}
	t.say(found.note)
}

// say writes a sentence below a line; nothing for none.
func (t *selftestTable) say(sentence string) {
	if sentence != "" {
		t.printf("%*s%s\n", selftestIndent, "", wrapped(sentence, selftestWidth-selftestIndent, selftestIndent))
	}
}

func (f *figure) plain(v int64) string { return report.Scale(float64(v), f.unit) }

// text gives a span: by one figure where its ends look the same, and with one unit where that is the same.
func (f *figure) text(s span) string {
	low, high := f.plain(s.Low), f.plain(s.High)
	if low == high {
		return low
	}
	number, unit, _ := strings.Cut(low, " ")
	if strings.HasSuffix(high, " "+unit) {
		low = number
	}
	return low + "–" + high
}

func (f *figure) gap() string {
	if d := f.difference(); d > 0 {
		return "+" + f.plain(d)
	}
	return f.plain(f.difference())
}

// writeSelftest writes the findings as JSON.
func writeSelftest(w io.Writer, findings []finding, worst outcome) error {
	type figureDoc struct {
		Name       string     `json:"name"`
		Unit       bench.Unit `json:"unit"`
		Injected   span       `json:"injected"`
		Recovered  span       `json:"recovered"`
		Difference int64      `json:"difference"`
		Tolerance  int64      `json:"tolerance"`
		Outcome    outcome    `json:"outcome"`
		Reason     string     `json:"reason"`
	}
	type rowDoc struct {
		Name    string      `json:"name"`
		Outcome outcome     `json:"outcome"`
		Reason  string      `json:"reason"`
		Seconds float64     `json:"seconds"`
		Note    string      `json:"note"`
		Figures []figureDoc `json:"figures"`
	}
	rows := make([]rowDoc, 0, len(findings))
	for _, found := range findings {
		row := rowDoc{Name: found.trial.name, Outcome: worstOf(found.figures), Seconds: float64(found.took.Round(time.Millisecond).Milliseconds()) / 1000, Note: found.note}
		for _, f := range found.figures {
			row.Reason = cmp.Or(row.Reason, f.reason)
			row.Figures = append(row.Figures, figureDoc{f.name, f.unit, f.injected, f.recovered, f.difference(), f.tolerance, f.outcome, f.reason})
		}
		rows = append(rows, row)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Version string   `json:"version"`
		Outcome outcome  `json:"outcome"`
		Rows    []rowDoc `json:"rows"`
	}{buildVersion(), worst, rows})
}

// worstOf is the outcome of several figures.
func worstOf(figures []figure) outcome {
	worst := passed
	for _, f := range figures {
		if f.outcome == wrong || f.outcome == refused && worst == passed {
			worst = f.outcome
		}
	}
	return worst
}
