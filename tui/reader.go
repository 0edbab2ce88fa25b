package tui

import (
	"context"
	"fmt"
	"os"
	"strings"

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
	Swap              // hold the other side against this one
)

// A Reader shows a report.
type Reader struct {
	Title string
	Said  []string                                              // what became of it, such as its exit code, above the report
	Text  func(width int) string                                // the report for people, without cursor movements
	Write func(path string, over bool) (said string, err error) // to a file, whose ending says the format; over one that is there only where over is true: else that is fs.ErrExist
	Name  string                                                // is offered for the file
	Ends  []string                                              // how it may end
	Rerun bool                                                  // it can be made again
	Swap  bool                                                  // it has two sides
}

// Read shows it until somebody has read it.
func (r *Reader) Read(ctx context.Context, screen Screen) (Next, error) {
	m := newReaderModel(r)
	m.letters = lettersOf(os.Getenv)
	err := show(ctx, m, screen)
	return m.next, err
}

// readerKeys are what keys do where a report is read.
func readerKeys(r *Reader) []binding {
	keys := []binding{
		{keys: "?", short: "help", does: "show these keys"},
		{keys: "↑ ↓", short: "scroll", does: "scroll; space, page up and down by a page, home and end to either end"},
	}
	if r.Write != nil {
		keys = append(keys, binding{keys: "w", short: "write", does: "write the report to a file; its ending says the format"})
	}
	if r.Rerun {
		keys = append(keys, binding{keys: "r", short: "run again", does: "make the same run again"},
			binding{keys: "e", short: "change", does: "change something, and run that"})
	}
	if r.Swap {
		keys = append(keys, binding{keys: "x", short: "swap", does: "swap base and head"})
	}
	return append(keys, binding{keys: "esc", short: "back", does: "go back to the start page, as q does"})
}

// A readerModel is a report as Bubble Tea shows it.
type readerModel struct {
	page
	reader *Reader
	lines  block
	top    int
	next   Next
}

func newReaderModel(r *Reader) *readerModel {
	m := &readerModel{reader: r}
	m.keys = readerKeys(r)
	m.file = newFileAsker("write the report to a file that ends in "+strings.Join(r.Ends, ", "), r.Write)
	return m
}

// Init implements tea.Model.
func (m *readerModel) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m *readerModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.resize(msg) {
		m.lines = nil
		for _, said := range m.reader.Said {
			m.lines = append(m.lines, painted(yellow, said, m.width)...)
		}
		if m.lines != nil {
			m.lines = append(m.lines, "")
		}
		text := strings.TrimRight(m.reader.Text(max(leastWidth, m.width)), "\n")
		m.lines = append(m.lines, strings.Split(ansi.Hardwrap(text, max(1, m.width), true), "\n")...)
		m.scroll(0)
		return m, nil
	}
	if m.file.asked {
		return m, m.answer(msg)
	}
	if msg, ok := msg.(tea.KeyPressMsg); ok {
		return m, m.press(msg.String())
	}
	return m, nil
}

func (m *readerModel) press(name string) tea.Cmd {
	if m.help {
		m.help = false
		return nil
	}
	m.said = ""
	page := max(1, m.height-4)
	switch name {
	case "?":
		m.help = true
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
	case "x":
		if m.reader.Swap {
			m.next = Swap
			return tea.Quit
		}
	case "w", "s":
		if m.reader.Write != nil {
			return m.ask(m.reader.Name)
		}
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

// View implements tea.Model.
func (m *readerModel) View() (drawn tea.View) {
	drawn.AltScreen = true
	drawn.Content = m.render(m.width, m.height)
	return drawn
}

func (m *readerModel) render(width, height int) string {
	room := max(1, height-1-len(m.bottom(width, height)))
	top := max(0, min(m.top, len(m.lines)-room))
	share := ""
	if len(m.lines) > room {
		share = fmt.Sprintf(" %d %%", 100*min(len(m.lines), top+room)/len(m.lines))
	}
	title := " " + bold.paint(fit(report.Plain(m.reader.Title), width-8)) + dim.paint(share)
	return m.draw(append(block{title}, m.lines[top:]...), 0, width, height)
}
