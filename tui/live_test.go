package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/exp/teatest/v2"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// A fakeRun notes what is done to it.
type fakeRun struct {
	mu      sync.Mutex
	s       *bench.Snapshot
	done    []string
	refuses error
}

func (r *fakeRun) note(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses != nil {
		return r.refuses
	}
	r.done = append(r.done, fmt.Sprintf(format, args...))
	return nil
}

func (r *fakeRun) Snapshot() *bench.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s
}

func (r *fakeRun) set(s *bench.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s = s
}

func (r *fakeRun) Look(on bool) { _ = r.note("look %v", on) }
func (r *fakeRun) Follow(connection int, holding string) {
	_ = r.note("follow %d %q", connection, holding)
}
func (r *fakeRun) Unfollow() { _ = r.note("unfollow") }
func (r *fakeRun) Drop(how client.Break, share float64) error {
	return r.note("drop %s %g", how, share)
}
func (r *fakeRun) Speed(times float64) error    { return r.note("speed %.3g", times) }
func (r *fakeRun) Resize(connections int) error { return r.note("resize %d", connections) }
func (r *fakeRun) End() error                   { return r.note("end") }

// taken gives what was done since it was asked last.
func (r *fakeRun) taken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.done = nil }()
	return strings.Join(r.done, "; ")
}

// special are the keys that aren't characters.
var special = map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "tab": tea.KeyTab, "backspace": tea.KeyBackspace, "pgdown": tea.KeyPgDown}

// press has a model take keys, by their names or as text.
func press(m *model, names ...string) {
	for _, name := range names {
		switch code, ok := special[name]; {
		case ok:
			m.Update(tea.KeyPressMsg{Code: code})
		case name == "ctrl+c":
			m.Update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
		default:
			for _, r := range name {
				m.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
			}
		}
	}
}

// TestKeys: what keys do to the run, and what the screen says of it.
func TestKeys(t *testing.T) {
	for _, row := range []struct {
		name    string
		keys    []string
		done    string
		said    string // by the last line of the screen
		refuses error
	}{
		{"drop", []string{"d", "20% fin", "enter"}, "drop fin 0.2", "✓ 20 % broken off (fin)", nil},
		{"drop by reset", []string{"d", "5%", "enter"}, "drop rst 0.05", "✓ 5 % broken off (rst)", nil},
		{"drop all", []string{"d", "all Blackhole", "enter"}, "drop blackhole 1", "✓ 100 % broken off (blackhole)", nil},
		{"drop, mistyped", []string{"d", "200%"}, "", "a share above 0% and up to 100%", nil},
		{"drop, mistyped and entered", []string{"d", "20% shout", "enter"}, "", "one of fin, rst", nil},
		{"drop, mended", []string{"d", "20% fim", "backspace", "n", "enter"}, "drop fin 0.2", "✓ 20 % broken off", nil},
		{"drop, thought better of", []string{"d", "20%", "esc"}, "", "? help", nil},
		{"drop, refused", []string{"d", "20%", "enter"}, "", "✗ the run is over", errors.New("the run is over")},
		{"connections", []string{"c", "1.5k", "backspace", "backspace", "backspace", "backspace", "2k", "enter"}, "resize 2000", "✓ 2,000 connections wanted", nil},
		{"too many connections", []string{"c", "30k", "enter"}, "", "✗ 30000 are too many", nil},
		{"one connection", []string{"c", "1", "enter"}, "resize 1", "✓ 1 connection wanted", nil},
		{"no connections", []string{"c", "0", "enter"}, "", "1 at least", nil},
		{"more connections than anybody has", []string{"c", "99999999", "enter"}, "", "1,000,000 at most", nil},
		{"a number that isn't one", []string{"c", "x", "enter"}, "", "a whole number, such as 500 or 2k", nil},
		{"faster, and slower", []string{"+", "+", "-", "-", "-"}, "speed 1.5; speed 2.25; speed 1.5; speed 1; speed 0.667", "✓ sending at 0.667 × the rate", nil},
		{"pause, and go on", []string{"+", "p", "p"}, "speed 1.5; speed 0; speed 1.5", "✓ sending at 1.5 × the rate", nil},
		{"faster while paused", []string{"p", "+"}, "speed 0; speed 1.5", "✓ sending at 1.5 × the rate", nil},
		{"nothing to send", []string{"+"}, "", "✗ it sends nothing", errors.New("it sends nothing")},
		{"end", []string{"q"}, "end", "✓ the run ends", nil},
		{"interrupt", []string{"ctrl+c"}, "interrupted", "✓ the run is stopped", nil},
		{"interrupt while a line is written", []string{"d", "ctrl+c"}, "interrupted", "break off", nil},
		{"keys are text while a line is written", []string{"d", "q+p", "esc"}, "", "? help", nil},
		{"filter", []string{"5", "/", "pri", "ce", "enter"}, `follow -1 ""; follow -1 "price"`, "? help", nil},
		{"filter, and no more", []string{"5", "/", "x", "enter", "esc"}, `follow -1 ""; follow -1 "x"; follow -1 ""`, "? help", nil},
		{"a connection, and back", []string{"3", "down", "down", "up", "enter", "esc", "1"}, `unfollow; follow 966 ""; unfollow; unfollow`, "? help", nil},
		{"panes in turn", []string{"tab", "right", "left", "tab", "tab", "tab", "tab", "tab"}, "unfollow; unfollow; unfollow; unfollow; unfollow; follow -1 \"\"; unfollow; unfollow", "? help", nil},
		{"unknown keys", []string{"z", "7", "0", "enter", "up"}, "", "? help", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			run := &fakeRun{s: busy(t), refuses: row.refuses}
			m := newModel(run, Screen{Title: "sse x", Interrupt: func() { _ = run.note("interrupted") }, Allow: func(n int) error {
				if n > 20_000 {
					return fmt.Errorf("%d are too many", n)
				}
				return nil
			}})
			m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
			m.Update(pulled{})
			press(m, row.keys...)
			if got := run.taken(); got != row.done {
				t.Errorf("done: %s", got)
			}
			screen := plainText(m.View().Content)
			if last := screen[strings.LastIndex(screen, "\n\n"):]; !strings.Contains(last, row.said) {
				t.Errorf("the last lines are %q", last)
			}
		})
	}
}

// TestFreeze: while the display stands still it shows what it showed, whatever comes.
func TestFreeze(t *testing.T) {
	run := &fakeRun{s: busy(t)}
	m := newModel(run, Screen{})
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	m.Update(pulled{})
	press(m, " ")
	frozen := m.View().Content
	later := *run.s
	later.Counts[0], later.At, later.Open = 77_777_777, time.Minute, 1
	run.set(&later)
	m.Update(pulled{})
	if got := m.View().Content; got != frozen || !strings.Contains(got, "FROZEN") {
		t.Error("it changed while it was frozen")
	}
	press(m, " ")
	m.Update(pulled{})
	if got := m.View().Content; !strings.Contains(got, "77,777,777") || strings.Contains(got, "FROZEN") {
		t.Error("it does not go on")
	}
}

// TestSurvives: a display that fails ends by itself, and says why.
func TestSurvives(t *testing.T) {
	run := &fakeRun{s: &bench.Snapshot{Headline: bench.Metric(255), Quantiles: bench.Quantiles{Samples: 1}, Detail: &bench.Detail{Estimates: []bench.Estimate{{}}}}} // no such metric
	m := newModel(run, Screen{})
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	m.Update(pulled{})
	if got := m.View(); got.Content != "" || m.broken == nil {
		t.Fatalf("it did not fail: %q", got.Content)
	}
	if _, cmd := m.Update(pulled{}); cmd == nil || cmd() != tea.Quit() {
		t.Error("it goes on")
	}
}

// TestLiveEnds: however soon a run ends, nothing is told to nobody.
func TestLiveEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	run := &fakeRun{s: busy(t)}
	if err := Live(ctx, run, Screen{}); err != nil {
		t.Fatal(err)
	}
	if got := run.taken(); got != "look true; unfollow; look false" {
		t.Error(got)
	}
}

// TestProgram: the whole of it on a terminal that is none, from the first key to the end.
func TestProgram(t *testing.T) {
	run := &fakeRun{s: busy(t)}
	tm := teatest.NewTestModel(t, newModel(run, Screen{Title: "sse x"}), teatest.WithInitialTermSize(100, 30))
	shown := func(text string) {
		t.Helper()
		teatest.WaitFor(t, tm.Output(), func(out []byte) bool { return bytes.Contains(out, []byte(text)) }, teatest.WithDuration(20*time.Second))
	}
	shown("UPPER BOUND")
	tm.Type("4")
	shown("1,234,567")
	tm.Send(tea.WindowSizeMsg{Width: 40, Height: 8})
	shown("984/1,000 open")
	tm.Send(tea.WindowSizeMsg{Width: 120, Height: 40})
	tm.Type("6")
	shown("lag behind the kernel")
	tm.Type("d10% rst")
	tm.Send(tea.KeyPressMsg{Code: tea.KeyEnter})
	shown("10 % broken off (rst)")
	if err := tm.Quit(); err != nil {
		t.Fatal(err)
	}
	tm.WaitFinished(t, teatest.WithFinalTimeout(20*time.Second))
	if got := run.taken(); !strings.Contains(got, "drop rst 0.1") {
		t.Error(got)
	}
}
