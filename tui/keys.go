package tui

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/rtbench/rtbench/client"
)

// A binding is what some keys do.
type binding struct {
	keys  string   // for people
	short string   // for the last line; "" where it isn't there
	does  string   // for the help; "" where another one tells of it
	match []string // as Bubble Tea names them
	act   func(m *model) tea.Cmd
}

// bindings is the one table of what keys do: for the help, for the last line of the screen, and for what happens.
var bindings = []binding{
	{"1–6", "", "go to a pane", []string{"1", "2", "3", "4", "5", "6"}, nil},
	{"tab ← →", "", "go to the next pane, or the one before", []string{"tab", "right", "l"}, func(m *model) tea.Cmd { return m.turn(1) }},
	{"", "", "", []string{"shift+tab", "left", "h"}, func(m *model) tea.Cmd { return m.turn(-1) }},
	{"↑ ↓", "", "mark a connection or an event, or scroll", []string{"up", "k"}, func(m *model) tea.Cmd { m.move(-1); return nil }},
	{"", "", "", []string{"down", "j"}, func(m *model) tea.Cmd { m.move(1); return nil }},
	{"", "", "", []string{"pgup"}, func(m *model) tea.Cmd { m.move(-10); return nil }},
	{"", "", "", []string{"pgdown"}, func(m *model) tea.Cmd { m.move(10); return nil }},
	{"[ ]", "", "scroll what is above a list of events", []string{"["}, func(m *model) tea.Cmd { m.moveAbove(-1); return nil }},
	{"", "", "", []string{"]"}, func(m *model) tea.Cmd { m.moveAbove(1); return nil }},
	{"enter", "", "look at the marked connection: what happened to it, and what it receives; or at all of the marked event", []string{"enter"}, (*model).enter},
	{"esc", "", "go back, or show all events again where a filter was set", []string{"esc"}, (*model).back},
	{"?", "help", "show these keys", []string{"?"}, func(m *model) tea.Cmd { m.view.help, m.view.scroll = !m.view.help, 0; return nil }},
	{"space", "freeze", "have the display stand still; the measurement doesn't", []string{"space", " "}, (*model).freeze},
	{"q", "end", "end the run now: what is under way still arrives, and the report is written", []string{"q"}, (*model).end},
	{"d", "drop", "break a share of the connections off now", []string{"d"}, func(m *model) tea.Cmd { return m.ask(dropping) }},
	{"+ -", "rate", "send half as fast again, or a third slower", []string{"+", "="}, func(m *model) tea.Cmd { return m.faster(1.5) }},
	{"", "", "", []string{"-"}, func(m *model) tea.Cmd { return m.faster(1 / 1.5) }},
	{"p", "pause", "pause sending, or go on with it", []string{"p"}, (*model).pause},
	{"c", "connections", "have more connections, or fewer", []string{"c"}, func(m *model) tea.Cmd { return m.ask(resizing) }},
	{"/", "", "show only events that hold a text, or bytes where those are shown, such as 01 ff", []string{"/"}, func(m *model) tea.Cmd { return m.ask(filtering) }},
	{"s", "save", "save all panes as text, in a file in this folder", []string{"s"}, (*model).save},
	{"y", "", "copy this pane to the clipboard, where the terminal allows that", []string{"y"}, (*model).copy},
	{"ctrl+c", "", "stop the run as SIGINT does; once more: exit at once", []string{"ctrl+c"}, (*model).interrupt},
}

// A question is something that a line is written for.
type question struct {
	asks  string
	check func(text string) error // while it is written
	do    func(m *model, text string) (said string, err error)
}

var dropping = &question{
	asks:  "break off (such as 10% rst): ",
	check: func(text string) error { _, _, err := parseDrop(text); return err },
	do: func(m *model, text string) (string, error) {
		share, how, err := parseDrop(text)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%.3g %% broken off (%s)", 100*share, how), m.run.Drop(how, share)
	},
}

var resizing = &question{
	asks:  "how many connections: ",
	check: func(text string) error { _, err := parseNumber(text); return err },
	do: func(m *model, text string) (string, error) {
		n, err := parseNumber(text)
		if err == nil && m.options.Allow != nil {
			err = m.options.Allow(n)
		}
		if err != nil {
			return "", err
		}
		err = m.run.Resize(n)
		if err == nil {
			m.view.level = nil // the plan's is no longer what is wanted
		}
		if n == 1 {
			return "1 connection wanted", err
		}
		return fmt.Sprintf("%s connections wanted", numberText(n)), err
	},
}

var filtering = &question{
	asks:  "events that hold: ",
	check: func(string) error { return nil },
	do: func(m *model, text string) (string, error) {
		m.view.filter, m.view.mark, m.view.opened = text, 0, nil
		m.follow()
		return "", nil
	},
}

// parseDrop reads a share in per cent, and a way to break connections off.
func parseDrop(text string) (share float64, how client.Break, err error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return 0, "", fmt.Errorf("a share such as 10%% or all, and one of %s", waysToBreak())
	}
	how = client.BreakRST
	if len(words) == 2 {
		if how = client.Break(strings.ToLower(words[1])); !slices.Contains(client.Breaks(), how) {
			return 0, "", fmt.Errorf("one of %s", waysToBreak())
		}
	}
	if words[0] == "all" {
		return 1, how, nil
	}
	number, ok := strings.CutSuffix(words[0], "%")
	percent, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(percent > 0 && percent <= 100) {
		return 0, "", errors.New("a share above 0% and up to 100%")
	}
	return percent / 100, how, nil
}

func waysToBreak() string {
	var list []string
	for _, b := range client.Breaks() {
		list = append(list, string(b))
	}
	return strings.Join(list, ", ")
}

// mostConnections is how many can be asked for by hand.
const mostConnections = 1_000_000

// parseNumber reads a whole number of at least 1; k stands for a thousand.
func parseNumber(text string) (int, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, ",", ""))
	times := 1
	if rest, ok := strings.CutSuffix(text, "k"); ok {
		text, times = rest, 1000
	}
	n, err := strconv.Atoi(text)
	switch {
	case n > mostConnections/times: // also where it is more than an int holds
		return 0, fmt.Errorf("%s at most", numberText(mostConnections))
	case err != nil && n == 0:
		return 0, errors.New("a whole number, such as 500 or 2k")
	case n < 1:
		return 0, errors.New("1 at least")
	}
	return n * times, nil
}

// follow has the run tell what the screen is to show of single events.
func (m *model) follow() {
	switch v := &m.view; {
	case v.pane == events:
		m.run.Follow(-1, v.filter)
	case v.pane == connections && v.followed >= 0:
		m.run.Follow(v.followed, v.filter)
	default:
		m.run.Unfollow()
	}
}

func (m *model) show(to pane) tea.Cmd {
	v := &m.view
	v.pane, v.help, v.scroll, v.above, v.followed, v.mark, v.opened = to, false, 0, 0, -1, 0, nil
	m.follow()
	return nil
}

func (m *model) turn(by int) tea.Cmd { return m.show((m.view.pane + pane(by) + numPanes) % numPanes) }

func (m *model) move(by int) {
	switch v := &m.view; {
	case v.help || v.opened != nil || v.s == nil || v.s.Detail == nil:
		v.scroll = max(0, min(v.scroll+by, v.bottom))
	case v.pane == connections && v.followed < 0:
		v.choose(v.row() + by)
	case v.pane == events || v.pane == connections:
		v.markEvent(by)
	default:
		v.scroll = max(0, min(v.scroll+by, v.bottom))
	}
}

// choose marks the connection in a row.
func (v *view) choose(row int) {
	if list := v.s.Detail.Worst; len(list) > 0 {
		v.selected = max(0, min(row, len(list)-1))
		v.chosen = list[v.selected].Index + 1
	}
}

// markEvent marks an event that came so many after the marked one; after the latest, none.
func (v *view) markEvent(by int) {
	list := v.tailed()
	at := v.marked(list)
	if at < 0 {
		at = len(list)
	}
	if at = max(0, at+by); at < len(list) {
		v.mark = list[at].N
	} else {
		v.mark = 0
	}
}

func (m *model) moveAbove(by int) {
	v := &m.view
	if v.s == nil || v.s.Detail == nil || v.s.Detail.Followed == nil {
		return
	}
	lines := len(v.s.Detail.Kinds)
	if v.followed >= 0 {
		lines = len(v.s.Detail.Followed.History)
	}
	v.above = max(0, min(v.above+by, lines))
}

func (m *model) enter() tea.Cmd {
	v := &m.view
	if v.help || v.opened != nil || v.s == nil || v.s.Detail == nil {
		return nil
	}
	if v.pane == connections && v.followed < 0 {
		if len(v.s.Detail.Worst) > 0 {
			v.choose(v.row())
			v.followed, v.scroll, v.above, v.mark = v.chosen-1, 0, 0, 0
			m.follow()
		}
		return nil
	}
	if list := v.tailed(); len(list) > 0 && (v.pane == events || v.pane == connections) {
		at := v.marked(list)
		if at < 0 {
			at = len(list) - 1 // the latest
		}
		ev := list[at]
		v.opened, v.scroll, v.mark = &ev, 0, ev.N
	}
	return nil
}

func (m *model) back() tea.Cmd {
	v := &m.view
	v.said = ""
	switch {
	case v.help:
		v.help, v.scroll = false, 0
		return nil
	case v.opened != nil:
		v.opened, v.scroll = nil, 0
		return nil
	case v.mark > 0:
		v.mark = 0
		return nil
	case v.followed >= 0:
		v.followed, v.above = -1, 0
	case v.filter != "":
		v.filter = ""
	default:
		return nil
	}
	m.follow()
	return nil
}

func (m *model) freeze() tea.Cmd {
	m.view.frozen = !m.view.frozen
	m.pull()
	return nil
}

func (m *model) end() tea.Cmd {
	return m.tell("the run ends, and waits for what is under way", m.run.End())
}

func (m *model) faster(by float64) tea.Cmd {
	speed := m.view.speed * by
	if m.view.speed == 0 { // it goes on, faster or slower than before the pause
		speed = m.resumed * by
	}
	if speed > .99 && speed < 1.01 { // there and back again
		speed = 1
	}
	return m.setSpeed(speed)
}

func (m *model) pause() tea.Cmd {
	if m.view.speed > 0 {
		m.resumed = m.view.speed
		return m.setSpeed(0)
	}
	return m.setSpeed(m.resumed)
}

func (m *model) setSpeed(speed float64) tea.Cmd {
	err := m.run.Speed(speed)
	if err == nil {
		m.view.speed = speed
	}
	if speed == 0 {
		return m.tell("sending is paused", err)
	}
	return m.tell(fmt.Sprintf("sending at %.3g × the rate", speed), err)
}
