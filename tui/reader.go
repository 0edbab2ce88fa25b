package tui

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/report"
)

// A Next is what is to be done after a report was read.
type Next int

const (
	Back  Next = iota // to the start page
	Again             // the same run
	Edit              // change something, and run again
)

// A Reader shows a report.
type Reader struct {
	Title string
	Said  string                                     // what became of it, such as its exit code
	Text  func(width int) string                     // the report for people, without cursor movements
	Write func(path string) (said string, err error) // writes it to a file, whose ending says the format
	Rerun bool                                       // it can be made again
}

// Read shows it until somebody has read it.
func (r *Reader) Read(ctx context.Context, screen Screen) (Next, error) {
	m := newReaderModel(r)
	err := show(ctx, m, screen)
	return m.next, err
}

// A readerModel is a report as Bubble Tea shows it.
type readerModel struct {
	reader        *Reader
	lines         block
	top           int
	input         textinput.Model
	asking        bool
	said          string
	failed        bool
	next          Next
	width, height int
}

func newReaderModel(r *Reader) *readerModel {
	m := &readerModel{reader: r, input: textinput.New(), said: r.Said}
	m.input.Prompt = ""
	return m
}

// Init implements tea.Model.
func (m *readerModel) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *readerModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.lines = strings.Split(strings.TrimRight(m.reader.Text(max(leastWidth, m.width)), "\n"), "\n")
		m.scroll(0)
	case tea.KeyPressMsg:
		if m.asking && msg.String() != "ctrl+c" {
			return m, m.write(msg)
		}
		return m, m.press(msg.String())
	}
	return m, nil
}

func (m *readerModel) press(name string) tea.Cmd {
	m.said = ""
	page := max(1, m.height-4)
	switch name {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "r":
		if m.reader.Rerun {
			m.next = Again
			return tea.Quit
		}
	case "e":
		if m.reader.Rerun {
			m.next = Edit
			return tea.Quit
		}
	case "w", "s":
		m.asking = true
		m.input.Reset()
		return m.input.Focus()
	case "up", "k":
		m.scroll(-1)
	case "down", "j":
		m.scroll(1)
	case "pgup":
		m.scroll(-page)
	case "pgdown", "space", " ":
		m.scroll(page)
	case "home", "g":
		m.scroll(-len(m.lines))
	case "end", "G":
		m.scroll(len(m.lines))
	}
	return nil
}

func (m *readerModel) scroll(by int) {
	m.top = max(0, min(m.top+by, len(m.lines)-max(1, m.height-3)))
}

// write takes a key of the name of a file.
func (m *readerModel) write(msg tea.KeyPressMsg) tea.Cmd {
	switch msg.String() {
	case "esc":
		m.asking = false
		return nil
	case "enter":
		m.asking = false
		said, err := m.reader.Write(strings.TrimSpace(m.input.Value()))
		m.said, m.failed = said, err != nil
		if err != nil {
			m.said = err.Error()
		}
		return nil
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	return cmd
}

// View implements tea.Model.
func (m *readerModel) View() (drawn tea.View) {
	drawn.AltScreen = true
	drawn.Content = m.render(m.width, m.height)
	return drawn
}

func (m *readerModel) render(width, height int) string {
	if width < 1 || height < 3 {
		return ""
	}
	room := height - 3
	share := ""
	if len(m.lines) > room {
		share = fmt.Sprintf("%d %%", 100*min(len(m.lines), m.top+room)/max(1, len(m.lines)))
	}
	lines := append(block{" " + bold.paint(fit(report.Plain(m.reader.Title), width-8)) + dim.paint(share)}, m.lines[min(m.top, len(m.lines)):min(len(m.lines), m.top+room)].tall(room)...)
	keys := [][2]string{{"↑ ↓", "scroll"}, {"w", "write a file"}, {"r", "run again"}, {"e", "change and run"}, {"esc", "back"}}
	if !m.reader.Rerun {
		keys = append(keys[:2:2], keys[4])
	}
	footer := hints(keys...)
	switch {
	case m.asking:
		footer = " write to (report.html, .json, .md, .xml, .csv, .txt): " + m.input.View()
	case m.said != "" && m.failed:
		footer = " " + red.paint("✗ "+report.Plain(m.said))
	case m.said != "":
		footer = " " + yellow.paint(report.Plain(m.said))
	}
	lines = append(lines, "", footer)
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], width, "…")
	}
	return strings.Join(lines, "\n")
}
