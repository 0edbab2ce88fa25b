package tui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// What is for a file has room for everything: plots are so high, and tables as wide as they must be.
const (
	filedPlot  = 12
	filedTable = 1000
)

// filedWidth is the least width of what is for a file.
const filedWidth = 80

// save writes all panes to a new file.
func (m *model) save() tea.Cmd {
	file, err := newFile(time.Now().Format("rtbench-20060102-150405"), ".txt")
	if err != nil {
		return m.tell("", err)
	}
	for p := range numPanes {
		_, failed := io.WriteString(file, m.page(p, -1)+"\n\n")
		if err = errors.Join(err, failed); p == connections && m.view.followed >= 0 {
			_, failed = io.WriteString(file, m.page(p, m.view.followed)+"\n\n")
			err = errors.Join(err, failed)
		}
	}
	said := "saved as " + file.Name()
	if s := m.view.s; s != nil && s.Detail != nil && s.Detail.Followed == nil {
		said += " without single events, which are told only while 5 shows them"
	}
	return m.tell(said, errors.Join(err, file.Close()))
}

// newFile makes a file that there wasn't, with a number behind its name where there was one of that name.
func newFile(name, ending string) (file *os.File, err error) {
	path := name + ending
	for n := 2; ; n++ {
		file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return file, err
		}
		path = fmt.Sprintf("%s-%d%s", name, n, ending)
	}
}

func (m *model) copy() tea.Cmd {
	m.tell("copied, if the terminal allows that", nil)
	return tea.SetClipboard(m.page(m.view.pane, m.view.followed))
}

// page is the whole of a pane as plain text, or of a connection that is looked at.
func (m *model) page(p pane, followed int) string {
	v := m.view
	v.pane, v.help, v.followed, v.opened, v.mark, v.filed = p, false, followed, nil, 0, true
	width := max(filedWidth, m.width)
	return v.letters.write(plainText(strings.Join(append(block{v.header(width), "", panes[p].name, strings.Repeat("─", len(panes[p].name))}, v.body(width, 0)...), "\n")))
}

// plainText is a screen without colours and trailing spaces.
func plainText(screen string) string {
	lines := strings.Split(ansi.Strip(screen), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
