package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/report"
)

// A Choice is what was chosen on the start page.
type Choice struct {
	Do   Doing
	Runs []int // of the history
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
	{Measure, "Measure an endpoint", "Server-Sent Events or WebSocket: delivery latency, loss, reconnects, resumption"},
	{Contend, "Compare the two protocols", "on one workload, on your servers or the built-in one, with evidence"},
	{Leave, "Quit", ""},
}

// Home shows the start page: what can be done, and the runs of this session, the latest first.
func Home(ctx context.Context, screen Screen, history []string) (Choice, error) {
	m := &homeModel{history: history}
	err := show(ctx, m, screen)
	return m.choice, err
}

// A homeModel is the start page as Bubble Tea drives it.
type homeModel struct {
	history       []string
	at            int // the line that is marked: of the actions, and then of the history
	picked        []int
	said          string
	leaving       bool // asked to, once
	choice        Choice
	width, height int
}

// Init implements tea.Model.
func (m *homeModel) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *homeModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	}
	return m, nil
}

func (m *homeModel) press(name string) tea.Cmd {
	m.said = ""
	if name != "q" && name != "ctrl+c" {
		m.leaving = false
	}
	switch name {
	case "esc": // which came from a page
	case "q", "ctrl+c":
		if len(m.history) > 0 && !m.leaving {
			m.leaving, m.said = true, "once more leaves, and forgets the runs"
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
	case "=", "d":
		if len(m.picked) != 2 {
			m.said = "mark two runs with space, to compare them"
			return nil
		}
		m.choice = Choice{Diff, m.picked}
		return tea.Quit
	case "enter":
		if run := m.at - len(homeActions); run >= 0 {
			m.choice = Choice{Open, []int{run}}
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
	if width < 1 || height < 1 {
		return ""
	}
	lines := block{"", " " + bold.paint("rtbench") + dim.paint("  what each subscriber of a stream really gets"), ""}
	for i, a := range homeActions {
		line := fmt.Sprintf(" %d  %s", i+1, a.title)
		if i == m.at {
			line = reversed.paint(fit(line, 32))
		} else {
			line = fit(line, 32)
		}
		lines = append(lines, line+"  "+dim.paint(a.says))
	}
	if len(m.history) > 0 {
		lines = append(lines, "", " "+bold.paint("runs of this session"))
	}
	for i, text := range m.history {
		mark := [...]string{" ", "A", "B"}[slices.Index(m.picked, i)+1]
		line := fit(" "+mark+"  "+report.Plain(text), width)
		if i+len(homeActions) == m.at {
			line = reversed.paint(line)
		}
		lines = append(lines, line)
	}
	footer := " " + bold.paint("↑ ↓ enter") + dim.paint(" choose  ") + bold.paint("q") + dim.paint(" quit")
	if len(m.history) > 1 {
		footer = " " + bold.paint("↑ ↓ enter") + dim.paint(" choose  ") + bold.paint("space") + dim.paint(" mark  ") + bold.paint("=") + dim.paint(" compare the two marked  ") + bold.paint("q") + dim.paint(" quit")
	}
	if m.said != "" {
		footer = " " + yellow.paint(m.said)
	}
	return paged(lines, footer, m.at+len(lines)-len(homeActions)-len(m.history), width, height)
}

// paged is as much of a page as there is room for, with the line that is marked, above its last line.
func paged(lines block, footer string, marked, width, height int) string {
	room := max(1, height-2)
	from := max(0, min(marked-room+1, len(lines)-room))
	shown := append(lines[from:min(len(lines), from+room)].tall(height-2), "", footer)
	if height < 3 {
		shown = block{footer}
	}
	for i := range shown {
		shown[i] = ansi.Truncate(shown[i], width, "…")
	}
	return strings.Join(shown, "\n")
}
