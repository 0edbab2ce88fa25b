package tui

import (
	"context"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/report"
)

// A Field is a line of a form.
type Field struct {
	Name  string
	Hint  string // what it is for
	Value string
	Check func(string) error // says what is wrong with a value, while it is written; nil for nothing ever
}

// A Form asks for what is to be run.
type Form struct {
	Title  string
	Fields []Field
	// Command says which command line does the same, and what is wrong with all of it.
	Command func(values []string) (line string, err error)
	// Found looks at what was written, once a field is left, and may change other fields and say what it found. It may take a
	// while. nil for nothing.
	Found func(ctx context.Context, field int, values []string) (changed []string, said string)
	// Save writes it to a scenario file, and says where; nil where that can't be.
	Save func(values []string) (said string, err error)
}

// Ask shows a form until it is filled in; ok is false where it was given up.
func (f *Form) Ask(ctx context.Context, screen Screen) (values []string, ok bool, err error) {
	m := newFormModel(ctx, f)
	err = show(ctx, m, screen)
	return m.values(), m.filled, err
}

// A formModel is a form as Bubble Tea drives it.
type formModel struct {
	ctx           context.Context
	form          *Form
	inputs        []textinput.Model
	at            int
	line          string  // the command
	wrong         error   // with all of it
	errs          []error // with each field
	said          string
	failed        bool
	looking       int // looks that go on
	filled        bool
	width, height int
}

func newFormModel(ctx context.Context, f *Form) *formModel {
	m := &formModel{ctx: ctx, form: f}
	for _, field := range f.Fields {
		input := textinput.New()
		input.Prompt = ""
		input.SetValue(field.Value)
		input.CursorEnd()
		m.inputs = append(m.inputs, input)
	}
	m.judge()
	return m
}

func (m *formModel) values() []string {
	list := make([]string, len(m.inputs))
	for i := range m.inputs {
		list[i] = m.inputs[i].Value()
	}
	return list
}

// judge finds out what is wrong with what is written.
func (m *formModel) judge() {
	m.line, m.wrong = m.form.Command(m.values())
	m.errs = make([]error, len(m.inputs))
	for i, field := range m.form.Fields {
		if field.Check != nil {
			m.errs[i] = field.Check(m.inputs[i].Value())
		}
	}
}

// found is what was found out about a field.
type found struct {
	before, after []string
	said          string
}

// look finds out about a field that is left.
func (m *formModel) look(field int) tea.Cmd {
	if m.form.Found == nil {
		return nil
	}
	m.looking++
	values := m.values()
	return func() tea.Msg {
		after, said := m.form.Found(m.ctx, field, values)
		return found{values, after, said}
	}
}

// Init implements tea.Model.
func (m *formModel) Init() tea.Cmd { return m.inputs[0].Focus() }

// Update implements tea.Model.
func (m *formModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		for i := range m.inputs {
			m.inputs[i].SetWidth(max(8, msg.Width-m.nameWidth()-6))
		}
		return m, nil
	case found:
		m.looking--
		m.said, m.failed = msg.said, false
		for i, value := range msg.after {
			if value != msg.before[i] && m.inputs[i].Value() == msg.before[i] { // and nobody has written there meanwhile
				m.inputs[i].SetValue(value)
				m.inputs[i].CursorEnd()
			}
		}
		m.judge()
		return m, nil
	case tea.KeyPressMsg:
		switch msg.String() {
		case "ctrl+c", "esc":
			return m, tea.Quit
		case "up", "shift+tab":
			return m, m.move(-1)
		case "down", "tab":
			return m, m.move(1)
		case "enter":
			return m, m.enter()
		case "ctrl+r":
			return m, m.run()
		case "ctrl+y":
			m.said, m.failed = "copied, if the terminal allows that", false
			return m, tea.SetClipboard(m.line)
		case "ctrl+s":
			m.save()
			return m, nil
		}
		m.said = ""
	}
	var cmd tea.Cmd
	before := m.inputs[m.at].Value()
	m.inputs[m.at], cmd = m.inputs[m.at].Update(msg)
	if m.inputs[m.at].Value() != before { // and not as often as the cursor blinks
		m.judge()
	}
	return m, cmd
}

// move goes to another field, and finds out about the one that is left.
func (m *formModel) move(by int) tea.Cmd {
	left := m.at
	m.inputs[m.at].Blur()
	m.at = (m.at + by + len(m.inputs)) % len(m.inputs)
	return tea.Batch(m.inputs[m.at].Focus(), m.look(left))
}

// enter goes on to the next field, and runs after the last.
func (m *formModel) enter() tea.Cmd {
	if m.at < len(m.inputs)-1 {
		return m.move(1)
	}
	return m.run()
}

// run ends the form, if nothing is wrong.
func (m *formModel) run() tea.Cmd {
	m.judge()
	if i := slices.IndexFunc(m.errs, func(err error) bool { return err != nil }); i >= 0 {
		m.said, m.failed = m.form.Fields[i].Name+": "+m.errs[i].Error(), true
		return nil
	}
	if m.wrong != nil {
		m.said, m.failed = m.wrong.Error(), true
		return nil
	}
	m.filled = true
	return tea.Quit
}

func (m *formModel) save() {
	if m.form.Save == nil {
		return
	}
	said, err := m.form.Save(m.values())
	m.said, m.failed = said, err != nil
	if err != nil {
		m.said = err.Error()
	}
}

func (m *formModel) nameWidth() (w int) {
	for _, f := range m.form.Fields {
		w = max(w, ansi.StringWidth(f.Name))
	}
	return w
}

// View implements tea.Model.
func (m *formModel) View() (drawn tea.View) {
	drawn.AltScreen = true
	drawn.Content = m.render(m.width, m.height)
	return drawn
}

func (m *formModel) render(width, height int) string {
	if width < 1 || height < 1 {
		return ""
	}
	lines := block{"", " " + bold.paint(m.form.Title), ""}
	names, marked := m.nameWidth(), 0
	for i, f := range m.form.Fields {
		name := " " + fit(f.Name, names) + "  "
		if i == m.at {
			name, marked = cyan.paint("▸"+fit(f.Name, names))+"  ", len(lines)+1
		}
		lines = append(lines, name+m.inputs[i].View())
		below := dim.paint(f.Hint)
		if err := m.errs[i]; err != nil {
			below = yellow.paint(report.Plain(err.Error()))
		}
		lines = append(lines, strings.Repeat(" ", names+3)+below)
	}
	lines = append(lines, "")
	for _, line := range wrap(report.Plain(m.line), width-4) {
		lines = append(lines, "  "+green.paint(line))
	}
	said, colour := m.said, green
	switch {
	case m.looking > 0:
		said, colour = "looking at it …", dim
	case said != "" && m.failed:
		colour = red
	case said == "" && m.wrong != nil:
		said, colour = m.wrong.Error(), yellow
	}
	if said != "" {
		lines = append(lines, "")
		for _, line := range wrap(report.Plain(said), width-4) {
			lines = append(lines, "  "+colour.paint(line))
		}
		if m.failed || m.looking > 0 {
			marked = len(lines) - 1
		}
	}
	footer := hints([][2]string{{"tab", "next"}, {"ctrl+r", "run"}, {"ctrl+y", "copy the command"}, {"ctrl+s", "save as a scenario"}, {"esc", "back"}}...)
	return paged(lines, footer, marked, width, height)
}
