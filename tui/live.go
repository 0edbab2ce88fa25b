package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// A Run is what the live view shows and steers; bench.Runner is one. All of it may be called by any goroutine.
type Run interface {
	Snapshot() *bench.Snapshot // nil before it has begun
	Look(on bool)              // has snapshots hold details
	Follow(connection int, holding string)
	Unfollow()
	Drop(how client.Break, share float64) error
	Speed(times float64) error
	Resize(connections int) error
	End() error
}

// A Screen says how a run is shown on a terminal.
type Screen struct {
	In, Out   *os.File // both terminals
	NoColor   bool
	Title     string                      // what is run
	Level     func(time.Duration) int     // how many connections the plan wants open when
	Allow     func(connections int) error // says why this process can't have so many
	Hide      func(string) string         // hides secrets that the server repeats; nil for none
	Interrupt func()                      // does what SIGINT does
	Leaving   func(restore func())        // is given what puts the terminal back as it was, for whoever exits at once
}

// Fits reports whether a run can be shown on a screen: where both are terminals that can do more than print.
func Fits(in, out *os.File) bool {
	return term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"
}

// pullPace is how often the screen is drawn anew, at most.
const pullPace = 100 * time.Millisecond

// beforeScreen is how long a run goes on before it is shown on the whole screen.
const beforeScreen = 300 * time.Millisecond

// saidFor is how long the last line says what became of an action, and failedFor why there was none.
const (
	saidFor   = 4 * time.Second
	failedFor = 15 * time.Second
)

// Live shows a run on the whole screen until ctx ends, and lets it be steered. It leaves the terminal as it found it, also where
// the display fails, of which the error tells.
func Live(ctx context.Context, run Run, screen Screen) error {
	m := newModel(run, screen)
	m.view.letters = lettersOf(os.Getenv)
	run.Look(true)
	defer run.Look(false)
	defer run.Unfollow()
	select { // what is over at once needs no screen
	case <-ctx.Done():
		return nil
	case <-time.After(beforeScreen):
	}
	err := show(ctx, m, screen)
	return errors.Join(m.broken, err)
}

// A model is the live view as Bubble Tea drives it. It pulls snapshots and is never told anything.
type model struct {
	run           Run
	options       Screen
	view          view
	width, height int
	input         textinput.Model
	asked         *question
	drawn         string // the screen as drawn last
	fresh         bool   // it shows how things are
	saidAt        time.Time
	resumed       float64 // the speed after a pause
	broken        error   // the display failed
}

func newModel(run Run, screen Screen) *model {
	m := &model{run: run, options: screen, resumed: 1, input: textinput.New()}
	m.view = view{title: screen.Title, level: screen.Level, followed: -1, speed: 1, keys: bindings, hide: screen.Hide}
	m.input.Prompt = ""
	m.input.SetVirtualCursor(true)
	return m
}

// pulled is that it is time to look at the run again.
type pulled struct{}

func pullLater() tea.Cmd { return tea.Tick(pullPace, func(time.Time) tea.Msg { return pulled{} }) }

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return pullLater() }

// Update implements tea.Model. A panic ends the display and not the run.
func (m *model) Update(msg tea.Msg) (_ tea.Model, cmd tea.Cmd) {
	defer m.survive(&cmd)
	if _, ok := msg.(pulled); !ok {
		m.fresh = false
	}
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case pulled:
		m.pull()
		return m, pullLater()
	case tea.KeyPressMsg:
		return m, m.press(msg)
	default:
		if m.asked != nil { // pasted text, and the cursor
			return m, m.write(msg)
		}
	}
	return m, nil
}

// View implements tea.Model.
func (m *model) View() (drawn tea.View) {
	drawn.AltScreen = true
	defer func() {
		if problem := recover(); problem != nil {
			m.broken = fmt.Errorf("the live view failed: %v", problem)
			drawn.Content = ""
		}
	}()
	if m.asked != nil {
		m.view.asking = m.asked.asks + m.input.View()
	}
	if !m.fresh {
		m.drawn, m.fresh = m.view.render(m.width, m.height), true
	}
	drawn.Content = m.drawn
	return drawn
}

// survive notes that the display has failed, and has it end.
func (m *model) survive(cmd *tea.Cmd) {
	if problem := recover(); problem != nil {
		m.broken = fmt.Errorf("the live view failed: %v", problem)
	}
	if m.broken != nil {
		*cmd = tea.Quit
	}
}

// pull shows the newest snapshot.
func (m *model) pull() {
	if !m.view.frozen {
		if s := m.run.Snapshot(); s != nil && s != m.view.s {
			m.view.s, m.fresh = s, false
		}
	}
	long := saidFor
	if m.view.failed {
		long = failedFor
	}
	if m.asked == nil && m.view.said != "" && time.Since(m.saidAt) > long {
		m.view.said, m.fresh = "", false
	}
}

// press does what a key does.
func (m *model) press(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	if small := m.width < leastWidth || m.height < leastHeight; small && name != "q" && name != "ctrl+c" && name != "esc" {
		return nil // nobody would see what it does
	}
	if m.asked != nil && name != "ctrl+c" {
		return m.answer(name, msg)
	}
	if len(name) == 1 && name[0] >= '1' && name[0] < '1'+byte(numPanes) {
		return m.show(pane(name[0] - '1'))
	}
	for _, k := range m.view.keys {
		for _, match := range k.match {
			if match == name && k.act != nil {
				return k.act(m)
			}
		}
	}
	return nil
}

// ask has a line be written.
func (m *model) ask(q *question) tea.Cmd {
	m.asked, m.view.said = q, ""
	m.input.Reset()
	if q == filtering {
		m.input.SetValue(m.view.filter)
		m.input.CursorEnd()
	}
	m.input.SetWidth(max(10, m.width-len(q.asks)-3))
	return m.input.Focus()
}

// answer takes a key of a line that is being written.
func (m *model) answer(name string, msg tea.Msg) tea.Cmd {
	switch name {
	case "esc":
		m.done()
		return nil
	case "enter":
		said, err := m.asked.do(m, m.input.Value())
		if err != nil && m.asked.check(m.input.Value()) != nil { // it can be mended
			m.view.said = err.Error()
			return nil
		}
		m.done()
		return m.tell(said, err)
	}
	return m.write(msg)
}

// write takes what is typed, and says at once what is wrong with it.
func (m *model) write(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	m.view.said = ""
	if text := m.input.Value(); strings.TrimSpace(text) != "" {
		if err := m.asked.check(text); err != nil {
			m.view.said = err.Error()
		}
	}
	return cmd
}

func (m *model) done() {
	m.asked, m.view.asking, m.view.said = nil, "", ""
	m.input.Blur()
}

// tell says what became of an action, on the last line, for a while.
func (m *model) tell(said string, err error) tea.Cmd {
	m.view.said, m.view.failed, m.saidAt = said, err != nil, time.Now()
	if err != nil {
		m.view.said = err.Error()
	}
	return nil
}

func (m *model) interrupt() tea.Cmd {
	if m.options.Interrupt != nil {
		m.options.Interrupt()
	}
	return m.tell("the run is stopped; ctrl+c once more exits at once", nil)
}
