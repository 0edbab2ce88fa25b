package tui

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// A Field is a line of a form.
type Field struct {
	Name  string
	Hint  string // what it is for
	Value string
	Check func(string) error // says what is wrong with a value, while it is written; nil for nothing ever
	Looks []int              // the fields that are looked at once this one is left
}

// A Finding is what a look at a field has found.
type Finding struct {
	Values []string // of the form, as they are to be
	Said   string   // "" for nothing
	Err    error    // what is the matter, and what to try; nil for nothing
}

// A Form asks for what is to be run.
type Form struct {
	Title  string
	Fields []Field
	// Command says which command line does the same, and what is wrong with all of it.
	Command func(values []string) (line string, err error)
	// Look looks at what was written in a field, and may change it. It may take a while, and several may go on. nil where nothing is
	// looked at.
	Look func(ctx context.Context, field int, values []string) Finding
	// Save writes it to a scenario file, over one that is there only where over is true: else that is fs.ErrExist. It says what was
	// done.
	Save     func(path string, over bool, values []string) (said string, err error)
	SaveName string // is offered for it
}

// Ask shows a form until it is filled in; ok is false where it was given up.
func (f *Form) Ask(ctx context.Context, screen Screen) (values []string, ok bool, err error) {
	looking, stop := context.WithCancel(ctx)
	defer stop()
	m := newFormModel(looking, f)
	m.letters = lettersOf(os.Getenv)
	err = show(ctx, m, screen)
	return m.values(), m.filled, err
}

// formKeys are what keys do in a form, where letters are written.
var formKeys = []binding{
	{keys: "ctrl+g", short: "help", does: "show these keys, as f1 does"},
	{keys: "ctrl+r", short: "run", does: "run it, once nothing is wrong"},
	{keys: "tab", short: "next", does: "go to the next field, as ↓ and enter do; enter in the last one runs"},
	{keys: "shift+tab", does: "go to the field before, as ↑ does"},
	{keys: "esc", short: "back", does: "go back, and run nothing"},
	{keys: "ctrl+s", short: "save", does: "save it as a scenario file, for rtbench run"},
	{keys: "ctrl+y", short: "copy", does: "copy the command line to the clipboard, where the terminal allows that"},
	{keys: "ctrl+u", does: "delete what stands before the cursor"},
}

// A formModel is a form as Bubble Tea drives it.
type formModel struct {
	page
	ctx    context.Context
	form   *Form
	inputs []textinput.Model
	at     int
	line   string    // the command
	wrong  error     // with all of it
	errs   []error   // with each field
	found  []Finding // last, at each field
	looks  []look    // that go on, at each field
	filled bool
}

// A look is one that goes on, or the zero look.
type look struct {
	ctx  context.Context
	stop context.CancelFunc // nil where none goes on
}

func newFormModel(ctx context.Context, f *Form) *formModel {
	m := &formModel{ctx: ctx, form: f, found: make([]Finding, len(f.Fields)), looks: make([]look, len(f.Fields))}
	m.keys = formKeys
	m.file = newFileAsker("save the scenario as", func(path string, over bool) (string, error) { return f.Save(path, over, m.values()) })
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

// looked is what a look has found at a field, of which values.
type looked struct {
	Finding
	look
	field int
	of    []string
}

// look looks at the fields that depend on the one that is left.
func (m *formModel) look(left int) tea.Cmd {
	values := m.values()
	var looks []tea.Cmd
	for _, field := range m.form.Fields[left].Looks {
		m.forget(field)
		ctx, stop := context.WithCancel(m.ctx)
		this := look{ctx, stop}
		m.looks[field] = this
		looks = append(looks, func() tea.Msg { return looked{m.form.Look(ctx, field, values), this, field, values} })
	}
	return tea.Batch(looks...)
}

// forget ends the look at a field that goes on, and forgets what was found: it is of something else.
func (m *formModel) forget(field int) {
	if stop := m.looks[field].stop; stop != nil {
		stop()
	}
	m.looks[field], m.found[field] = look{}, Finding{}
}

// learn takes what was found, but for what has been written meanwhile.
func (m *formModel) learn(msg looked) {
	if msg.ctx.Err() != nil {
		return
	}
	m.forget(msg.field)
	m.found[msg.field] = msg.Finding
	for i, value := range msg.Values {
		if value != msg.of[i] && m.inputs[i].Value() == msg.of[i] {
			m.inputs[i].SetValue(value)
			m.inputs[i].CursorEnd()
		}
	}
	m.judge()
}

// Init implements tea.Model.
func (m *formModel) Init() tea.Cmd { return m.inputs[0].Focus() }

// Update implements tea.Model.
func (m *formModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.resize(msg) {
		for i := range m.inputs {
			m.inputs[i].SetWidth(max(8, m.width-m.nameWidth()-6))
		}
		return m, nil
	}
	if msg, ok := msg.(looked); ok {
		m.learn(msg)
		return m, nil
	}
	if m.file.asked {
		return m, m.answer(msg)
	}
	if msg, ok := msg.(tea.KeyPressMsg); ok {
		if m.help {
			m.help = false
			return m, nil
		}
		m.said = ""
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
		case "ctrl+g", "f1":
			m.help = true
			return m, nil
		case "ctrl+y":
			m.tell("copied, if the terminal allows that", nil)
			return m, tea.SetClipboard(m.line)
		case "ctrl+s":
			return m, m.save()
		}
	}
	var cmd tea.Cmd
	before := m.inputs[m.at].Value()
	m.inputs[m.at], cmd = m.inputs[m.at].Update(msg)
	if m.inputs[m.at].Value() != before { // and not as often as the cursor blinks
		m.judge()
		m.forget(m.at)
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

// unfit is the first field that something is wrong with; -1 for none.
func (m *formModel) unfit() int {
	return slices.IndexFunc(m.errs, func(err error) bool { return err != nil })
}

// run ends the form, if nothing is wrong.
func (m *formModel) run() tea.Cmd {
	if m.refuses() {
		return nil
	}
	m.filled = true
	return tea.Quit
}

// save asks where to, if nothing is wrong.
func (m *formModel) save() tea.Cmd {
	if m.refuses() {
		return nil
	}
	return m.ask(m.form.SaveName)
}

// refuses reports whether something is wrong, and goes to the field where that is.
func (m *formModel) refuses() bool {
	m.judge()
	if i := m.unfit(); i >= 0 {
		m.tell("", fmt.Errorf("%s is to be mended first", m.form.Fields[i].Name)) // and what is wrong stands there
		m.inputs[m.at].Blur()
		m.at = i
		m.inputs[i].Focus()
		return true
	}
	if m.wrong != nil {
		m.tell("", m.wrong)
	}
	return m.wrong != nil
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
	page := m.page
	if m.said == "" && m.wrong != nil && m.unfit() < 0 { // a field says itself what is wrong with it
		page.tell(m.wrong.Error(), nil)
	}
	title := block{"", " " + bold.paint(m.form.Title), ""}
	command := append(block{""}, painted(green, m.line, width)...)
	fits := func(fields block) bool {
		return len(title)+len(fields)+len(command)+len(page.bottom(width, height)) <= height
	}
	fields, marked := m.fields(width, everything)
	if !fits(fields) {
		fields, marked = m.fields(width, findings)
	}
	if !fits(fields) {
		title = title[1:2]
	}
	if fits(fields) {
		return page.draw(slices.Concat(title, fields, command), len(title)+marked, width, height)
	}
	fields, marked = m.fields(width, beginnings)
	page.pinned = command[1:].most(max(1, height/5), width)
	return page.draw(slices.Concat(title, fields), len(title)+marked, width, height)
}

// telling is how much is said below the fields other than the one that is being written.
type telling uint8

const (
	everything telling = iota
	findings           // and not what they are for
	beginnings         // of that
)

// fields are the fields, each with what is wrong with it, or was found, or else with what it is for. marked is the last line of the
// one that is being written.
func (m *formModel) fields(width int, told telling) (lines block, marked int) {
	names := m.nameWidth()
	for i, f := range m.form.Fields {
		name := " " + fit(f.Name, names)
		if i == m.at {
			name = cyan.paint("▸" + fit(f.Name, names))
		}
		lines = append(lines, name+"  "+m.inputs[i].View())
		below := m.below(i, width-names-2, told == everything)
		if told == beginnings && i != m.at {
			below = below.most(1, width-names-2)
		}
		for _, line := range below {
			lines = append(lines, strings.Repeat(" ", names+2)+line)
		}
		if i == m.at {
			marked = len(lines) - 1
		}
	}
	return lines, marked
}

// below is what there is to say of a field.
func (m *formModel) below(i, width int, room bool) (lines block) {
	found := m.found[i]
	switch {
	case m.errs[i] != nil:
		return painted(yellow, m.errs[i].Error(), width)
	case m.looks[i].stop != nil:
		return painted(dim, "looking at it …", width)
	case found.Said != "":
		lines = painted(green, found.Said, width)
	}
	if found.Err != nil {
		lines = append(lines, painted(yellow, found.Err.Error(), width)...)
	}
	if lines == nil && (room || i == m.at) {
		return painted(dim, m.form.Fields[i].Hint, width)
	}
	return lines
}
