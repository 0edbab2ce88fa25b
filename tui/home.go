package tui

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/report"
)

// A Choice is what was chosen on the start page.
type Choice struct {
	Do     Doing
	Runs   []int // of the history
	Marked []int // base, and head
}

// A Past is a run of the history.
type Past struct {
	Came  string // when it was made, and what came of it
	Of    string // what was run, in a few words
	Whole string // the same in full
}

// line is a run in a line of a width. What came of it stands in full, unless nothing would be left for the rest.
func (p Past) line(width int) string {
	came, of := report.Plain(p.Came), report.Plain(p.Of)
	room := max(width-2-ansi.StringWidth(came), min(ansi.StringWidth(of), width/6))
	return ansi.Truncate(came, width-2-room, "…") + "  " + middle(of, room)
}

// middle fits a text to a width, of which the end tells more than what is before it.
func middle(text string, width int) string {
	over := ansi.StringWidth(text) - width
	if over <= 0 {
		return text
	}
	head := ansi.Truncate(text, width/3, "")
	return head + "…" + ansi.TruncateLeft(text, ansi.StringWidth(head)+over+1, "")
}

// Doing is what can be done from the start page.
type Doing int

const (
	Leave   Doing = iota // the session
	Measure              // an endpoint
	Contend              // the two protocols with each other
	Open                 // a run of the history
	Diff                 // two of them
)

// homeActions is the one table of what the start page offers.
var homeActions = []struct {
	do          Doing
	title, says string
}{
	{Measure, "Measure an endpoint", "latency, loss, reconnects of SSE or WebSocket"},
	{Contend, "Compare the two protocols", "SSE against WebSocket on one workload"},
	{Leave, "Quit", ""},
}

// Home shows the start page: what can be done, and the runs of this session, the latest first, of which some are marked.
func Home(ctx context.Context, screen Screen, history []Past, marked []int) (Choice, error) {
	m := newHomeModel(history)
	m.letters, m.picked = lettersOf(os.Getenv), marked
	err := show(ctx, m, screen)
	m.choice.Marked = m.picked
	return m.choice, err
}

// homeKeys are what keys do on the start page, where there is a history and where there is none.
func homeKeys(history bool) []binding {
	keys := []binding{
		{keys: "?", short: "help", does: "show these keys"},
		{keys: "↑ ↓", short: "", does: "go to another line"},
		{keys: "enter", short: "choose", does: "do what the line says, or read its run"},
	}
	if history {
		keys = append(keys,
			binding{keys: "space", short: "mark", does: "mark a run: the first one is the base, the second the head"},
			binding{keys: "=", short: "diff", does: "tell how the head differs from the base, as rtbench diff does"},
			binding{keys: "x", short: "swap", does: "swap base and head"})
	}
	return append(keys, binding{keys: "q", short: "quit", does: "leave, and forget the runs"})
}

// A homeModel is the start page as Bubble Tea drives it.
type homeModel struct {
	page
	history []Past
	at      int // the line that is marked: of the actions, and then of the history
	picked  []int
	leaving bool // asked to, once
	choice  Choice
}

func newHomeModel(history []Past) *homeModel {
	return &homeModel{history: history, page: page{keys: homeKeys(len(history) > 0)}}
}

// Init implements tea.Model.
func (m *homeModel) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *homeModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.resize(msg) {
		return m, nil
	}
	if msg, ok := msg.(tea.KeyPressMsg); ok {
		return m, m.press(msg.String())
	}
	return m, nil
}

func (m *homeModel) press(name string) tea.Cmd {
	if m.help {
		m.help = false
		return nil
	}
	m.said = ""
	if name != "q" && name != "ctrl+c" {
		m.leaving = false
	}
	switch name {
	case "?":
		m.help = true
	case "esc": // which came from a page
	case "q", "ctrl+c":
		if len(m.history) > 0 && !m.leaving {
			m.leaving = true
			m.tell("once more leaves, and forgets the runs", nil)
			return nil
		}
		m.choice = Choice{Do: Leave}
		return tea.Quit
	case "up", "k", "shift+tab":
		m.at = max(0, m.at-1)
	case "down", "j", "tab":
		m.at = min(len(homeActions)+len(m.history)-1, m.at+1)
	case "space", " ":
		m.pick(m.at - len(homeActions))
	case "=", "d", "x":
		switch {
		case len(m.picked) != 2:
			m.tell("mark two runs with space: first the base, and then the head that is held against it", nil)
		case name == "x":
			slices.Reverse(m.picked)
		default:
			m.choice = Choice{Do: Diff, Runs: m.picked}
			return tea.Quit
		}
	case "enter":
		if run := m.at - len(homeActions); run >= 0 {
			m.choice = Choice{Do: Open, Runs: []int{run}}
		} else {
			m.choice = Choice{Do: homeActions[m.at].do}
		}
		return tea.Quit
	default:
		if len(name) == 1 && name[0] >= '1' && int(name[0]-'1') < len(homeActions) {
			m.choice = Choice{Do: homeActions[name[0]-'1'].do}
			return tea.Quit
		}
	}
	return nil
}

// pick marks a run, or takes its mark; of three the first loses it.
func (m *homeModel) pick(run int) {
	if run < 0 {
		return
	}
	if i := slices.Index(m.picked, run); i >= 0 {
		m.picked = slices.Delete(m.picked, i, i+1)
		return
	}
	m.picked = append(m.picked, run)
	if len(m.picked) > 2 {
		m.picked = m.picked[1:]
	}
}

// View implements tea.Model.
func (m *homeModel) View() (drawn tea.View) {
	drawn.AltScreen = true
	drawn.Content = m.render(m.width, m.height)
	return drawn
}

func (m *homeModel) render(width, height int) string {
	const beside = 32 // of what an action is about
	lines := block{"", " " + bold.paint("rtbench") + dim.paint("  what each subscriber of a stream really gets"), ""}
	marked := 0
	add := func(i int, text string) {
		if i == m.at {
			text, marked = reversed.paint(text), len(lines)
		}
		lines = append(lines, text)
	}
	for i, a := range homeActions {
		add(i, fit(fmt.Sprintf(" %d  %s", i+1, a.title), beside))
		if below := len(lines) - 1; beside+2+len(a.says) <= width {
			lines[below] += "  " + dim.paint(a.says)
		} else {
			for _, line := range wrap(a.says, width-4) {
				lines = append(lines, "    "+dim.paint(line))
			}
		}
	}
	if len(m.history) > 0 {
		lines = append(lines, "", " "+bold.paint("runs of this session"))
	}
	for i, past := range m.history {
		at := i + len(homeActions)
		mark := " " + fit([...]string{"", "base", "head"}[slices.Index(m.picked, i)+1], 4) + " "
		rows := block{past.line(width - len(mark))}
		if at == m.at { // it is shown in full
			if whole := past.Came + "  " + past.Whole; ansi.StringWidth(report.Plain(whole)) > width-len(mark) {
				rows = wrap(report.PlainWords(whole), width-len(mark))
			} else {
				rows = block{report.Plain(whole)}
			}
		}
		for _, row := range rows {
			add(at, fit(mark+row, width))
			mark = strings.Repeat(" ", len(mark))
		}
	}
	return m.draw(lines, marked, width, height)
}
