package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// A pane is one of the pages of the live view.
type pane int

const (
	overview pane = iota
	latency
	connections
	failures
	events
	tester
	numPanes
)

// panes is the one table of them.
var panes = [numPanes]struct {
	name, short string
	draw        func(v *view, width, height int) block
}{
	overview:    {"Overview", "All", (*view).overview},
	latency:     {"Latency", "Lat", (*view).latency},
	connections: {"Connections", "Conn", (*view).connections},
	failures:    {"Errors", "Err", (*view).failures},
	events:      {"Events", "Ev", (*view).events},
	tester:      {"Tester", "Test", (*view).tester},
}

// A view is all that the screen shows. What it draws depends on nothing else.
type view struct {
	title    string // what is run
	level    func(time.Duration) int
	s        *bench.Snapshot // nil before the run has begun
	pane     pane
	frozen   bool
	help     bool
	selected int                 // row of the worst connections
	chosen   int                 // the connection in it, and 1; 0 before one is
	mark     uint64              // the number of the event that is marked; 0 while the latest are shown
	opened   *bench.SeenEvent    // the event that is read; nil for none
	above    int                 // lines that are scrolled away of what is above a list of events
	scroll   int                 // lines that are above the screen
	bottom   int                 // how many can be, as drawn last
	hide     func(string) string // what is secret; nil for nothing
	followed int                 // the connection that is looked at; -1 for none
	filter   string              // of events
	asking   string              // a line that is being written; "" where none is
	said     string              // what became of what was done last
	failed   bool                // it could not be done
	speed    float64             // at which is sent, as a part of the plan's
	keys     []binding           // what can be done
	letters  letters             // that the terminal has
	filed    bool                // it is drawn for a file, where there is room for everything
}

// The least size that the panes are drawn in; below it there is one line.
const leastWidth, leastHeight = 60, 15

// render draws the screen, no wider than width and no taller than height.
func (v *view) render(width, height int) string {
	switch {
	case width < 1 || height < 1:
		return ""
	case width < leastWidth || height < leastHeight:
		if v.s == nil {
			return ansi.Truncate("connecting", width, "")
		}
		return v.letters.screen(block{Line(v.s, width)}, width)
	}
	foot := v.footer(width)
	foot = foot[:min(len(foot), height-8)]
	room := height - 4 - len(foot)
	lines := append(block{v.header(width), v.tabs(width), ""}, v.body(width, room).tall(room)...)
	return v.letters.screen(append(append(lines, ""), foot...), width)
}

func (v *view) body(width, height int) block {
	switch {
	case v.help:
		return v.scrolled(v.helpText(width), 0, height)
	case v.s == nil:
		return block{"", dim.paint("  the run begins")}
	case v.opened != nil:
		return v.event(width, height)
	case v.pane == connections && v.followed >= 0:
		return v.connection(width, height)
	}
	return panes[v.pane].draw(v, width, height)
}

// header says what is run, and how far it is.
func (v *view) header(width int) string {
	state, share := "", 0.0
	if s := v.s; s != nil {
		state = phaseText(s)
		switch {
		case s.Phase == bench.PhaseMeasure && s.End > s.Begin:
			share = min(1, float64(s.At-s.Begin)/float64(s.End-s.Begin))
			state += fmt.Sprintf(" %s of %s", elapsed(max(0, s.At-s.Begin)), elapsed(s.End-s.Begin))
		case s.Phase == bench.PhaseRamp && s.Begin >= time.Second:
			share = min(1, float64(s.At)/float64(s.Begin))
			state += fmt.Sprintf(" %s of %s", elapsed(s.At), elapsed(s.Begin))
		case s.Phase == bench.PhaseRamp:
			state += " " + elapsed(s.At)
		case s.Phase == bench.PhaseDrain || s.Phase == bench.PhaseFinish:
			share = 1
		}
	}
	mark := ""
	if v.nothingOpen() {
		mark = red.paint("nothing open ")
	}
	if v.frozen {
		mark = yellow.paint("FROZEN ")
	}
	return headerLine(v.title, mark, state, share, width)
}

// headerLine is a title, and how far what it stands for has come.
func headerLine(title, mark, state string, share float64, width int) string {
	const bar = 10
	done := max(0, min(bar, int(share*bar+.5)))
	state = mark + cyan.paint(state) + " " + blue.paint(strings.Repeat("━", done)) + dim.paint(strings.Repeat("─", bar-done)) + " "
	left := width - ansi.StringWidth(state) - 2
	return " " + bold.paint(fit(report.Plain(title), left)) + " " + state
}

func (v *view) tabs(width int) string {
	for _, short := range []bool{false, true} {
		line := ""
		for i, p := range panes {
			name := p.name
			if short {
				name = p.short
			}
			text := fmt.Sprintf(" %d %s ", i+1, name)
			if pane(i) == failures && v.s != nil && v.s.Detail != nil && len(v.s.Detail.Errors) > 0 {
				text = fmt.Sprintf(" %d %s! ", i+1, name)
			}
			if pane(i) == v.pane && !v.help {
				text = reversed.paint(text)
			}
			line += text
		}
		if short || ansi.StringWidth(line) <= width {
			return line
		}
	}
	return ""
}

// footer is the line that is being written, or what became of the last, or what keys there are.
func (v *view) footer(width int) block {
	switch {
	case v.asking != "" && v.said != "":
		return append(block{" " + v.asking}, hang(" ", v.said, width, yellow)...)
	case v.asking != "":
		return block{" " + v.asking}
	case v.said != "" && v.failed:
		return hang(" "+red.paint("✗ "), v.said, width, red)
	case v.said != "":
		return hang(" "+green.paint("✓ "), v.said, width, green)
	}
	line := ""
	for _, k := range v.keys {
		if k.short == "" {
			continue
		}
		part := hints([2]string{k.keys, k.short})
		if ansi.StringWidth(line)+ansi.StringWidth(part) > width {
			break
		}
		line += part
	}
	return block{line}
}

// helpText lists what the keys do.
func (v *view) helpText(width int) block {
	var lines block
	for _, k := range v.keys {
		if k.does != "" {
			lines = append(lines, hang("  "+bold.paint(fit(k.keys, 9)), k.does, width, normal)...)
		}
	}
	lines = append(lines, "", "  "+bold.paint("In a list of events"))
	for _, said := range eventsHelp {
		lines = append(lines, hang("  "+bold.paint(fit(said[0], 9)), said[1], width, normal)...)
	}
	return append(append(lines, ""), hang("  ", "Whatever changes the load is noted in the report, which then says that the run was steered by hand.", width, dim)...)
}

// eventsHelp explains what stands in a list of events.
var eventsHelp = [][2]string{
	{"had by", "× 19: it came to 19 connections in a row, and is shown once"},
	{"at", "when it arrived, after the start of the run"},
	{"delivery", "how long it took from when it was due, or stamped, until then; – where that isn't known"},
	{"too fast", "of events that came too fast only some are shown, and how many weren't; all of them are measured"},
}

// plain is a text of the server's as it may be shown.
func (v *view) plain(text string) string { return report.Plain(v.hidden(text)) }

// whole is the same where there is room for a long one.
func (v *view) whole(text string) string { return report.PlainWhole(v.hidden(text)) }

func (v *view) hidden(text string) string {
	if v.hide != nil {
		return v.hide(text)
	}
	return text
}

// span is the time that plots show.
func (v *view) span() span {
	d := v.s.Detail
	return span{d.SeriesStep, max(d.SeriesStep, time.Duration(len(d.Series))*d.SeriesStep)}
}

// figureText is a count, or a dash where it isn't known.
func (v *view) figureText(m bench.Metric) string {
	if _, unmeasured := v.s.Unmeasured[m]; unmeasured {
		return "–"
	}
	return report.Scale(float64(v.s.Count(m)), m.Unit())
}

func timeText(ns int64) string { return report.Scale(float64(ns), bench.Nanoseconds) }

func numberText(n int) string { return report.Scale(float64(n), bench.Number) }
