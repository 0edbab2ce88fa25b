package tui

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

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
	Proved    int // of what is measured besides the pairs
	Proofs    int // of that there are in all; 0 before the pairs are done
	Now       string
	Since     time.Duration // when that began, as Elapsed
	Pairs     [][2]*bench.Result
	Contrasts []report.Contrast // of the pairs; none before there is one
	Said      []string          // of what went otherwise than planned, the latest last
}

// A Contest is a comparison that goes on, as far as the screen has to do with it. Any goroutine may call what is in it.
type Contest struct {
	Pull  func() *Comparing
	Write func(path string, over bool) (said string, err error) // writes the report so far as a Reader's does, once there is a pair
	Ends  []string                                              // how the file may end
}

// Compare shows a comparison on the whole screen until ctx ends. It leaves the terminal as it found it.
func Compare(ctx context.Context, contest Contest, screen Screen) error {
	m := newComparedModel(contest, screen)
	m.view.letters = lettersOf(os.Getenv)
	err := show(ctx, m, screen)
	return errors.Join(m.broken, err)
}

// A comparedModel is the view of a comparison as Bubble Tea drives it.
type comparedModel struct {
	contest Contest
	screen  Screen
	view    comparedView
	broken  error
}

func newComparedModel(contest Contest, screen Screen) *comparedModel {
	m := &comparedModel{contest: contest, screen: screen}
	m.view.keys = comparedKeys
	m.view.file = newFileAsker("write the report of the pairs so far to a file that ends in "+strings.Join(contest.Ends, ", "), contest.Write)
	return m
}

// Init implements tea.Model.
func (m *comparedModel) Init() tea.Cmd { return pullLater() }

// Update implements tea.Model.
func (m *comparedModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.broken != nil {
		return m, tea.Quit
	}
	if m.view.resize(msg) {
		return m, nil
	}
	switch msg := msg.(type) {
	case pulled:
		m.view.Comparing = m.contest.Pull()
		return m, pullLater()
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	if m.view.file.asked { // pasted text, and the cursor
		return m, m.view.answer(msg)
	}
	return m, nil
}

// comparedKeys are what keys do.
var comparedKeys = []binding{
	{keys: "?", short: "help", does: "show this"},
	{keys: "s", short: "save", does: "write the report of the pairs so far to a file, whose ending says the format; the comparison goes on"},
	{keys: "q", short: "end now, with what there is", does: "end it now: the report is of the pairs that were made"},
	{keys: "ctrl+c", does: "the same; once more: exit at once"},
	{keys: "↑ ↓", does: "scroll"},
}

func (m *comparedModel) press(msg tea.KeyPressMsg) tea.Cmd {
	v, name := &m.view, msg.String()
	switch small := v.small(v.width, v.height); {
	case name == "ctrl+c":
	case small && name != "q": // nobody would see what it does
		return nil
	case v.file.asked && !small:
		return v.answer(msg)
	}
	v.said = ""
	switch name {
	case "q", "ctrl+c":
		if m.screen.Interrupt != nil {
			if name == "ctrl+c" || !v.stopping {
				m.screen.Interrupt()
			}
			v.stopping = true
		}
	case "s":
		return v.save()
	case "?":
		v.help, v.scroll = !v.help, 0
	case "esc":
		v.help, v.scroll = false, 0
	case "d", "+", "=", "-", "p", "c":
		v.tell("", errors.New("a comparison can't be steered: each trial is to be like the others"))
	case "up", "k":
		v.move(-1)
	case "down", "j":
		v.move(1)
	case "pgup":
		v.move(-10)
	case "pgdown", "space", " ":
		v.move(10)
	}
	return nil
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
	if m.view.Comparing != nil {
		drawn.Content = m.view.render(m.view.width, m.view.height)
	}
	return drawn
}

// A comparedView is all that the screen shows of a comparison.
type comparedView struct {
	*Comparing
	page
	stopping bool
	scroll   int // lines that are above the screen
	most     int // how many can be, as drawn last
}

func (c *comparedView) move(by int) { c.scroll = max(0, min(c.scroll+by, c.most)) }

func (c *comparedView) small(width, height int) bool {
	return width < leastWidth || height < leastHeight
}

// save asks where to, once there is something to save.
func (c *comparedView) save() tea.Cmd {
	if c.Comparing == nil || len(c.Pairs) == 0 {
		c.tell("", errors.New("no pair of trials is done yet, so that there is nothing to report"))
		return nil
	}
	return c.ask(time.Now().Format("rtbench-20060102-150405.html"))
}

// render draws the screen, no wider than width and no taller than height.
func (c *comparedView) render(width, height int) string {
	if width < 1 || height < 1 {
		return ""
	}
	if c.small(width, height) {
		return c.letters.screen(block{fmt.Sprintf("%s  %s", c.progress(), report.Plain(c.Now))}, width)
	}
	foot := c.foot(width, height-2)
	room := height - 2 - len(foot)
	body := c.body(width, room)
	if c.help {
		body = c.helpText(width)
	}
	body, c.most = scrolled(body, 0, room, c.scroll, "↑ ↓")
	return c.letters.screen(append(append(block{c.header(width), ""}, body.tall(room)...), foot...), width)
}

// foot is what stands below the body, which is scrolled also where it is the help.
func (c *comparedView) foot(width, height int) block {
	page := c.page
	page.help = false
	foot := page.bottom(width, height)
	if c.stopping && !c.file.asked {
		foot[len(foot)-1] = " " + yellow.paint("it ends; ctrl+c once more exits at once")
	}
	return foot
}

// body is what goes on, the figures so far, and the pairs where there is room for pictures of them.
func (c *comparedView) body(width, height int) block {
	lines, below := append(c.now(width), c.table(width)...), c.news(width)
	if room := height - len(lines) - len(below) - 2; room >= 5 && len(c.Pairs) > 0 {
		lines = append(append(lines, ""), c.plots(width, room)...)
	}
	return append(append(lines, ""), below...)
}

func (c *comparedView) helpText(width int) (lines block) {
	for _, key := range comparedKeys {
		lines = append(lines, hang("  "+bold.paint(fit(key.keys, 9)), key.does, width, normal)...)
	}
	a, b := report.Plain(c.Sides[0]), report.Plain(c.Sides[1])
	for _, text := range []string{
		"Each side's figure is the median of its trials. The ratio is " + b + "'s to " + a + "'s, over the pairs; 95 % is where it is likely to lie.",
		fmt.Sprintf("A difference is said only where a test over %d pairs or more finds one. Before that, and where none is found, the ratio is what it happens to be.", report.FewestPairs),
		"A trial that is worth nothing is made once more. The report comes when the screen is gone, and has all of this and more.",
	} {
		lines = append(append(lines, ""), hang("  ", text, width, dim)...)
	}
	return lines
}

// progress says how many trials were made, or, once that is done, how much of the evidence there is.
func (c *Comparing) progress() string {
	if c.Proofs > 0 {
		return fmt.Sprintf("evidence %d of %d", c.Proved, c.Proofs)
	}
	return fmt.Sprintf("%s of %s trials", numberText(c.Done), numberText(c.Planned))
}

func (c *Comparing) header(width int) string {
	share := float64(c.Done) / float64(max(1, c.Planned))
	if c.Proofs > 0 {
		share = float64(c.Proved) / float64(c.Proofs)
	}
	return headerLine(c.Title, "", c.progress()+", "+elapsed(c.Elapsed), share, width)
}

// table is the figures so far, and what they come to. On a narrow screen it leaves out the sides' own.
func (c *Comparing) table(width int) block {
	columns := []column{{name: "so far"}, {name: report.Plain(c.Sides[0]), right: true}, {name: report.Plain(c.Sides[1]), right: true}, {name: "ratio", right: true}, {name: "95 %", right: true}, {name: "difference"}}
	few := len(c.Pairs) < report.FewestPairs
	var rows [][]string
	var unknown block
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		row, why := contrastRow(x, few)
		if why != "" {
			unknown = append(unknown, hang("  "+x.Name+"  ", report.Plain(why), width, dim)...)
			continue
		}
		rows = append(rows, row)
	}
	if len(rows)+len(unknown) == 0 {
		return block{dim.paint("  figures come with the first pair of trials")}
	}
	if few {
		columns, rows = without(4, 5, columns, rows)
	}
	lines := table(0, columns, rows, -1)
	if lines.width() > width {
		columns, rows = without(1, 3, columns, rows)
		lines = table(0, columns, rows, -1)
	}
	lines = append(lines, unknown...)
	if few {
		lines = append(lines, hang("  ", fmt.Sprintf("%s: it takes %d to say more", pairsText(len(c.Pairs)), report.FewestPairs), width, yellow)...)
	}
	return lines
}

func pairsText(n int) string {
	if n == 1 {
		return "1 pair"
	}
	return fmt.Sprintf("%d pairs", n)
}

// without leaves columns out of a table.
func without(from, to int, columns []column, rows [][]string) ([]column, [][]string) {
	for i, row := range rows {
		rows[i] = slices.Delete(row, from, to)
	}
	return slices.Delete(columns, from, to), rows
}

// contrastRow is a figure of both sides, or why there is none. Of few pairs nothing is said but what the ratio happens to be.
func contrastRow(x *report.Contrast, few bool) (row []string, why string) {
	ratio, interval, said := x.Ratio, fmt.Sprintf("%.2f–%.2f", x.Low, x.High), "none found"
	switch {
	case few && len(x.Trials) > 0:
		var a, b []float64
		for _, pair := range x.Trials {
			a, b = append(a, pair[0]), append(b, pair[1])
		}
		ratio, interval, said = report.ComparePairs(a, b).Ratio, "", "too few to say"
		if math.IsNaN(ratio) {
			return nil, "it is nothing on one of the sides"
		}
	case x.Unknown != "":
		return nil, x.Unknown
	case x.Different() && x.Ratio > 1:
		said = fmt.Sprintf("%.0f %% more", 100*(x.Ratio-1))
	case x.Different():
		said = fmt.Sprintf("%.0f %% less", 100*(1-x.Ratio))
	}
	return []string{x.Name, report.Scale(x.A, x.Unit), report.Scale(x.B, x.Unit), fmt.Sprintf("%.2f", ratio), interval, said}, ""
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
		curves := []curve{{report.Plain(c.Sides[0]), cyan, solid, sides[0]}, {report.Plain(c.Sides[1]), magenta, dashed, sides[1]}}
		drawn := plot(width/2-1, height-1, pairs, bench.Nanoseconds, true, curves...)
		if last := len(drawn) - 1; last >= 0 { // what goes on below it are pairs, and not seconds
			drawn[last] = fit(strings.Repeat(" ", marginWidth)+legend(curves), width/2-1)
		}
		blocks = append(blocks, append(block{bold.paint(name) + dim.paint(" of each pair")}, drawn...))
	}
	return beside(width/2, blocks...)
}

// now is what is measured at this time.
func (c *Comparing) now(width int) block {
	text := report.Plain(c.Now)
	if took := c.Elapsed - c.Since; took >= time.Second {
		text += ", for " + elapsed(took)
	}
	lines := hang(bold.paint("now  "), text, width, normal)
	if c.Proofs > 0 {
		lines = append(lines, hang("     ", "the pairs are done: this is about what people say of the two protocols", width, dim)...)
	}
	return append(lines, "")
}

// news is what went otherwise than planned.
func (c *Comparing) news(width int) (lines block) {
	for _, said := range c.Said[max(0, len(c.Said)-3):] {
		lines = append(lines, hang("  ", report.Plain(said), width, dim)...)
	}
	return lines
}
