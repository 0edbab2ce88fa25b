package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// A Comparing is how far a comparison has come. It is immutable.
type Comparing struct {
	Title     string
	Sides     [2]string
	Elapsed   time.Duration
	Done      int // trials
	Planned   int // at most
	Now       string
	Pairs     [][2]*bench.Result
	Contrasts []report.Contrast // of the pairs; none before there is one
	Said      []string          // of what went otherwise than planned, the latest last
}

// Compare shows a comparison on the whole screen until ctx ends. It leaves the terminal as it found it.
func Compare(ctx context.Context, pull func() *Comparing, screen Screen) error {
	m := &comparedModel{pull: pull, screen: screen}
	err := show(ctx, m, screen)
	return errors.Join(m.broken, err)
}

// A comparedModel is the view of a comparison as Bubble Tea drives it.
type comparedModel struct {
	pull          func() *Comparing
	screen        Screen
	state         *Comparing
	stopping      bool
	width, height int
	broken        error
}

// Init implements tea.Model.
func (m *comparedModel) Init() tea.Cmd { return pullLater() }

// Update implements tea.Model.
func (m *comparedModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.broken != nil {
		return m, tea.Quit
	}
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case pulled:
		m.state = m.pull()
		return m, pullLater()
	case tea.KeyPressMsg:
		if name := msg.String(); (name == "q" || name == "ctrl+c") && m.screen.Interrupt != nil {
			if name == "ctrl+c" || !m.stopping {
				m.screen.Interrupt()
			}
			m.stopping = true
		}
	}
	return m, nil
}

// View implements tea.Model.
func (m *comparedModel) View() (drawn tea.View) {
	drawn.AltScreen = true
	defer func() {
		if problem := recover(); problem != nil {
			m.broken = fmt.Errorf("the live view failed: %v", problem)
			drawn.Content = ""
		}
	}()
	if m.state != nil {
		drawn.Content = m.state.render(m.width, m.height, m.stopping)
	}
	return drawn
}

// render draws the screen, no wider than width and no taller than height.
func (c *Comparing) render(width, height int, stopping bool) string {
	if width < 1 || height < 1 {
		return ""
	}
	if width < leastWidth || height < leastHeight {
		return ansi.Truncate(fmt.Sprintf("%d/%d %s", c.Done, c.Planned, report.Plain(c.Now)), width, "…")
	}
	footer := " " + bold.paint("q") + dim.paint(" end now, with what there is")
	if stopping {
		footer = " " + yellow.paint("it ends; ctrl+c once more exits at once")
	}
	lines := append(block{c.header(width), ""}, c.table(width)...)
	below := c.news(width)
	if room := height - len(lines) - len(below) - 4; room >= 5 && len(c.Pairs) > 0 {
		lines = append(append(lines, ""), c.plots(width, room)...)
	}
	lines = append(append(lines, ""), below...).tall(height - 2)
	lines = append(lines, "", footer)
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], width, "…")
	}
	return strings.Join(lines, "\n")
}

func (c *Comparing) header(width int) string {
	return headerLine(c.Title, "", fmt.Sprintf("%s of %s trials, %s", numberText(c.Done), numberText(c.Planned), elapsed(c.Elapsed)), float64(c.Done)/float64(max(1, c.Planned)), width)
}

// table is the figures so far, and what they come to.
func (c *Comparing) table(width int) block {
	columns := []column{{name: "so far"}, {name: report.Plain(c.Sides[0]), right: true}, {name: report.Plain(c.Sides[1]), right: true}, {name: "ratio", right: true}, {name: "95 %", right: true}, {name: "", rest: true}}
	var rows [][]string
	var unknown block
	if n := len(c.Pairs); n > 0 && n < report.FewestPairs {
		columns[0].name = "last pair"
		return append(table(width, columns[:3], c.latest(), -1), dim.paint(fmt.Sprintf("  %d of the %d pairs that it takes to compare", n, report.FewestPairs)))
	}
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		if x.Unknown != "" {
			unknown = append(unknown, fit("  "+x.Name+"  "+dim.paint(report.Plain(x.Unknown)), width))
			continue
		}
		said := "no difference"
		switch {
		case x.Different() && x.Ratio > 1:
			said = fmt.Sprintf("%.0f %% more", 100*(x.Ratio-1))
		case x.Different():
			said = fmt.Sprintf("%.0f %% less", 100*(1-x.Ratio))
		}
		rows = append(rows, []string{x.Name, report.Scale(x.A, x.Unit), report.Scale(x.B, x.Unit), fmt.Sprintf("%.2f", x.Ratio), fmt.Sprintf("%.2f–%.2f", x.Low, x.High), said})
	}
	if len(rows)+len(unknown) == 0 {
		return block{dim.paint("  figures come with the first pair of trials")}
	}
	return append(table(width, columns, rows, -1), unknown...)
}

// latest are figures of the last pair.
func (c *Comparing) latest() (rows [][]string) {
	last := c.Pairs[len(c.Pairs)-1]
	headline, ok := last[0].Headline()
	for _, f := range []struct {
		metric bench.Metric
		q      float64
	}{{headline, .5}, {headline, .99}, {bench.Connect, .5}} {
		if !ok && f.metric == headline {
			continue
		}
		rows = append(rows, []string{f.metric.String() + " " + report.QuantileName(f.q), estimateText(last[0].Estimate(f.metric, f.q)), estimateText(last[1].Estimate(f.metric, f.q))})
	}
	return append(rows, []string{"received", numberText(int(last[0].Count(bench.Received))), numberText(int(last[1].Count(bench.Received)))})
}

// plots are the two figures of the latency, pair by pair.
func (c *Comparing) plots(width, height int) block {
	var blocks []block
	for _, q := range []float64{.5, .99} {
		var sides [2][]float64
		name := ""
		for _, pair := range c.Pairs {
			for i, r := range pair {
				value := nan
				if m, ok := r.Headline(); ok {
					if e := r.Estimate(m, q); e.Unknown == "" || e.Indicative {
						value = float64(e.Value)
					}
					name = m.String() + " " + report.QuantileName(q)
				}
				sides[i] = append(sides[i], value)
			}
		}
		pairs := span{time.Second, time.Duration(max(1, len(c.Pairs))) * time.Second}
		drawn := plot(width/2-1, height-1, pairs, bench.Nanoseconds, true, curve{report.Plain(c.Sides[0]), cyan, sides[0]}, curve{report.Plain(c.Sides[1]), magenta, sides[1]})
		if last := len(drawn) - 1; last >= 0 { // what goes on below it are pairs, and not seconds
			drawn[last] = fit(strings.Repeat(" ", marginWidth)+legend([]curve{{name: report.Plain(c.Sides[0]), colour: cyan}, {name: report.Plain(c.Sides[1]), colour: magenta}}), width/2-1)
		}
		blocks = append(blocks, append(block{bold.paint(name) + dim.paint(" of each pair")}, drawn...))
	}
	return beside(width/2, blocks...)
}

// news is what is measured now, and what went otherwise than planned.
func (c *Comparing) news(width int) block {
	lines := block{bold.paint("now  ") + report.Plain(c.Now)}
	for _, said := range c.Said[max(0, len(c.Said)-3):] {
		lines = append(lines, fit("  "+dim.paint(report.Plain(said)), width))
	}
	return lines
}
