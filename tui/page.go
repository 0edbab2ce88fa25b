package tui

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/report"
)

// A page is what the pages of a session have in common: a body that is scrolled, and below it what was said, a name that is asked
// for, and the keys.
type page struct {
	width, height int
	keys          []binding // what keys do, for people
	help          bool      // they are listed in the place of the body
	said          string
	failed        bool
	file          fileAsker
	letters       letters // that the terminal has
	pinned        block   // stands above what was said, wherever the body is scrolled to
}

// leastBody is of how many lines a body must be seen for anything to be pinned below it.
const leastBody = 4

// resize takes the size of the terminal, where a message tells it.
func (p *page) resize(msg tea.Msg) bool {
	size, ok := msg.(tea.WindowSizeMsg)
	if ok {
		p.width, p.height = size.Width, size.Height
		p.file.input.SetWidth(max(8, size.Width-3))
	}
	return ok
}

// tell says what became of something.
func (p *page) tell(said string, err error) {
	p.said, p.failed = said, err != nil
	if err != nil {
		p.said = err.Error()
	}
}

// draw draws the page, so that the marked line of its body is seen.
func (p *page) draw(body block, marked, width, height int) string {
	if width < 1 || height < 1 {
		return ""
	}
	bottom := p.bottom(width, height)
	if p.help {
		body, marked = p.helpText(width), 0
	} else if len(bottom)+len(p.pinned)+leastBody <= height {
		bottom = slices.Concat(p.pinned, bottom)
	}
	room := max(0, height-len(bottom))
	from := max(0, min(marked-room+1, len(body)-room))
	return p.letters.screen(append(body[min(from, len(body)):min(len(body), from+room)].tall(room), bottom...), width)
}

// bottom is what stands below the body.
func (p *page) bottom(width, height int) (lines block) {
	if height > 2 {
		lines = block{""}
	}
	mark, colour := "", yellow
	if p.failed {
		mark, colour = "✗ ", red
	}
	if p.said != "" {
		said := painted(colour, mark+p.said, width)
		lines = append(lines, said[:min(len(said), max(0, height-5))]...)
	}
	if p.file.asked {
		if p.said == "" { // else what is wrong with a name stands in its place
			lines = append(lines, painted(dim, p.file.asks, width)...)
		}
		return append(lines, " "+p.file.input.View())
	}
	if p.help {
		return append(lines, hints([2]string{"any key", "back"}))
	}
	footer := ""
	for _, k := range p.keys {
		if k.short == "" {
			continue
		}
		if part := hints([2]string{k.keys, k.short}); ansi.StringWidth(footer+part) <= width {
			footer += part
		}
	}
	return append(lines, footer)
}

// painted is a text of the server's or the user's in a colour, between words in lines of a width.
func painted(colour tint, text string, width int) (lines block) {
	for _, line := range wrap(report.PlainWords(text), width-2) {
		lines = append(lines, " "+colour.paint(line))
	}
	return lines
}

// helpText lists what the keys do.
func (p *page) helpText(width int) (lines block) {
	names := 0
	for _, k := range p.keys {
		names = max(names, ansi.StringWidth(k.keys))
	}
	lines = block{"", " " + bold.paint("keys")}
	for _, k := range p.keys {
		for i, line := range wrap(k.does, width-names-5) {
			name := ""
			if i == 0 {
				name = k.keys
			}
			lines = append(lines, "  "+bold.paint(fit(name, names))+"  "+dim.paint(line))
		}
	}
	return lines
}

// A fileAsker asks for the name of a file, and has it written.
type fileAsker struct {
	asks  string
	write func(path string, over bool) (said string, err error) // over a file that is there only where over is true; else fs.ErrExist
	input textinput.Model
	asked bool
	over  string // what is there, and is written over if it is asked for once more
}

// ask asks for a name; empty is for the one that is offered.
func (p *page) ask(offered string) tea.Cmd {
	p.said = ""
	p.file.asked, p.file.over = true, ""
	p.file.input.Reset()
	p.file.input.Placeholder = offered
	return p.file.input.Focus()
}

// answer takes a key of the name.
func (p *page) answer(msg tea.Msg) tea.Cmd {
	f := &p.file
	switch key, _ := msg.(tea.KeyPressMsg); key.String() {
	case "esc", "ctrl+c":
		f.asked, p.said = false, ""
		return nil
	case "enter":
		path := strings.TrimSpace(f.input.Value())
		if path == "" {
			path = f.input.Placeholder
		}
		said, err := f.write(path, path == f.over)
		p.tell(said, err)
		f.asked, f.over = err != nil, "" // which can be mended
		if errors.Is(err, fs.ErrExist) {
			f.over = path
			p.tell("", errors.New(path+" is there already: enter once more writes over it"))
		}
		return nil
	}
	var cmd tea.Cmd
	before := f.input.Value()
	f.input, cmd = f.input.Update(msg)
	if f.input.Value() != before {
		f.over, p.said = "", ""
	}
	return cmd
}

func newFileAsker(asks string, write func(path string, over bool) (string, error)) fileAsker {
	f := fileAsker{asks: asks, write: write, input: textinput.New()}
	f.input.Prompt = ""
	return f
}
