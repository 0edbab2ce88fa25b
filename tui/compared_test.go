package tui

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// wide is a text of many words.
const wide = "the verdict on one of the trials, which may have many words, so that no line of a narrow terminal has room for all of them at once"

// compared is a comparison of which so many pairs have been made.
func compared(pairs int) *Comparing {
	c := &Comparing{Title: "SSE\x1b[2J against WebSocket", Sides: [2]string{"SSE\x1b[2J", "WebSocket 📈"}, Elapsed: 42 * time.Second, Done: 2*pairs + 1, Planned: 20, Now: "WebSocket, trial 2",
		Said: []string{"long ago", "before", "SSE  once more: CLIENT-SATURATED", "SSE  once more: \x1b]0;evil\a" + wide}}
	trial := func(ns int64) *bench.Result {
		r := &bench.Result{Estimates: map[bench.Metric][]bench.Estimate{
			bench.Delivery: {{Q: .5, Value: ns}, {Q: .99, Value: 5 * ns}}, bench.Connect: {{Q: .5, Value: ns / 2}}}}
		r.Histograms[bench.Delivery] = bench.NewHistogram()
		_ = r.Histograms[bench.Delivery].RecordValue(ns)
		r.Counts[int(bench.Received)-len(bench.Timings())] = 20_000
		return r
	}
	for i := range pairs {
		c.Pairs = append(c.Pairs, [2]*bench.Result{trial(2*ms + int64(i)*100_000), trial(2*ms - int64(i%3)*200_000)})
	}
	if pairs > 0 {
		trials := make([][2]float64, pairs)
		for i := range trials {
			trials[i] = [2]float64{2e6, 2.08e6}
		}
		c.Contrasts = []report.Contrast{
			{Name: "delivery p50", Unit: bench.Nanoseconds, A: 2e6, B: 1.8e6, Paired: report.Paired{Ratio: .9, Low: .85, High: .95}, Adjusted: .01, Alpha: .05, Tested: true, Trials: trials},
			{Name: "delivery p99", Unit: bench.Nanoseconds, A: 1e7, B: 1e7, Paired: report.Paired{Ratio: 1, Low: .8, High: 1.2}, Adjusted: .9, Alpha: .05, Tested: true, Trials: trials},
			{Name: "server memory a connection", Unit: bench.ByteCount, Unknown: "it did not grow: a server that keeps what it had shows nothing"},
			{Name: "connect p50", Unit: bench.Nanoseconds, A: 0, B: 1, Unknown: "it is nothing on one of the sides, so that there is no ratio", Trials: [][2]float64{{0, 1}}},
			{Name: "handshake bytes out", Unit: bench.ByteCount, A: 117, B: 177, Paired: report.Paired{Ratio: 1.51, Low: 1.51, High: 1.51}, Trials: trials},
		}
	}
	return c
}

// proving is a comparison whose pairs are done.
func proving() *Comparing {
	c := compared(9)
	c.Done, c.Planned, c.Proved, c.Proofs, c.Now, c.Since = 19, 24, 3, 10, "SSE, every connection reset, not resuming", 40*time.Second
	return c
}

// TestCompared holds the view of a comparison against what it looked like when somebody looked.
func TestCompared(t *testing.T) {
	for name, c := range map[string]*Comparing{"compared-first": compared(0), "compared-few": compared(3), "compared": compared(9), "compared-proving": proving(), "compared-help": compared(9), "compared-saving": compared(9)} {
		for _, size := range append(sizes, [2]int{40, 8}) {
			m := newComparedModel(Contest{Ends: []string{".txt", ".json", ".md", ".xml", ".html"}}, Screen{})
			v := &m.view
			v.Comparing, v.stopping, v.help = c, name == "compared-few", name == "compared-help"
			if v.resize(tea.WindowSizeMsg{Width: size[0], Height: size[1]}); name == "compared-saving" {
				v.ask("rtbench.html")
				v.tell("", errors.New("a.html is there already: enter once more writes over it"))
			}
			screen := v.render(size[0], size[1])
			for _, line := range strings.Split(screen, "\n") {
				if w := ansi.StringWidth(line); w > size[0] {
					t.Errorf("%s at %v: %d columns: %q", name, size, w, line)
				}
			}
			text := plainText(screen)
			if n := strings.Count(text, "\n") + 1; n > size[1] || strings.ContainsAny(text, "\x1b\a") {
				t.Errorf("%s at %v: %d lines, or escapes", name, size, n)
			}
			golden(t, fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1]), text+"\n")
		}
	}
}

// TestComparedKeys: q ends it once, and every ctrl+c is one.
func TestComparedKeys(t *testing.T) {
	interrupts := 0
	m := newComparedModel(Contest{Pull: func() *Comparing { return compared(9) }}, Screen{Interrupt: func() { interrupts++ }})
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	m.Update(pulled{})
	if got := m.View(); !got.AltScreen || !strings.Contains(got.Content, "end now") {
		t.Errorf("%q", got.Content)
	}
	q, ctrlC := tea.KeyPressMsg{Code: 'q', Text: "q"}, tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	for i, want := range []int{1, 1, 2, 3} {
		m.Update([]tea.KeyPressMsg{q, q, ctrlC, ctrlC}[i])
		if interrupts != want {
			t.Errorf("%d interrupts after %d keys", interrupts, i+1)
		}
	}
	if got := m.View(); !strings.Contains(got.Content, "it ends") {
		t.Errorf("%q", got.Content)
	}
}

// TestComparedUnsteered: a key that steers a run, and not a comparison, says so until the next key.
func TestComparedUnsteered(t *testing.T) {
	for _, size := range sizes {
		for _, key := range "d+-pc" {
			m := newComparedModel(Contest{Pull: func() *Comparing { return compared(9) }}, Screen{})
			m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			m.Update(pulled{})
			for _, want := range []bool{true, false} {
				m.Update(tea.KeyPressMsg{Code: key, Text: string(key)})
				if got := strings.Contains(plainText(m.View().Content), "✗ a comparison can't be steered"); got != want {
					t.Errorf("%v, %c: it is said: %v", size, key, got)
				}
				key = '?'
			}
		}
	}
}

// TestComparedSave: the report so far is written while the comparison goes on, over nothing unasked, and not before there is a pair.
func TestComparedSave(t *testing.T) {
	for _, row := range []struct {
		name    string
		c       *Comparing
		keys    []string
		written string
		said    string // on the screen
	}{
		{"before there is a pair", compared(0), []string{"s"}, "", "✗ no pair of trials is done yet"},
		{"asked", compared(1), []string{"s"}, "", "a file that ends in .md, .html"},
		{"written", compared(3), []string{"s", "a", ".", "m", "d", "enter"}, "a.md", "written to a.md"},
		{"written while there is the evidence", proving(), []string{"s", "a", ".", "m", "d", "enter"}, "a.md", "written to a.md"},
		{"under the name that is offered", compared(3), []string{"s", "enter"}, "rtbench-20000101-000000.html", "written to rtbench-2"},
		{"by a wrong ending", compared(3), []string{"s", "x", "enter"}, "", "✗ no ending"},
		{"by one that was mended", compared(3), []string{"s", "x", "enter", "backspace", "b", "enter"}, "b", "written to b"},
		{"thought better of", compared(3), []string{"s", "b", "esc"}, "", "end now"},
		{"not over what is there", compared(3), []string{"s", "m", "i", "n", "e", "enter"}, "", "mine is there already: enter once more"},
		{"over what is there", compared(3), []string{"s", "m", "i", "n", "e", "enter", "enter"}, "mine over", "written to mine"},
		{"keys are text in a name", compared(3), []string{"s", "q", "?", "s", "enter"}, "q?s", "written to q?s"},
		{"stopped meanwhile", compared(3), []string{"s", "b", "ctrl+c", "enter"}, "interrupted; b", "it ends"},
		{"what was said goes", compared(0), []string{"s", "down"}, "", "end now"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where it is the year 2000
				var done []string
				contest := Contest{Pull: func() *Comparing { return row.c }, Ends: []string{".md", ".html"}, Write: func(path string, over bool) (string, error) {
					switch {
					case path == "x":
						return "", errors.New("no ending")
					case path == "mine" && !over:
						return "", fs.ErrExist
					case over:
						done = append(done, path+" over")
					default:
						done = append(done, path)
					}
					return "written to " + path, nil
				}}
				m := newComparedModel(contest, Screen{Interrupt: func() { done = append(done, "interrupted") }})
				m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
				m.Update(pulled{})
				for _, name := range row.keys {
					m.Update(key(name))
				}
				m.Update(pulled{})
				if got := strings.Join(done, "; "); got != row.written {
					t.Errorf("done: %s", got)
				}
				if screen := plainText(m.View().Content); !strings.Contains(screen, row.said) {
					t.Errorf("%s", screen)
				}
			})
		})
	}
}

// TestComparedTooSmall: where nobody would see what a key does, only those that end it do something.
func TestComparedTooSmall(t *testing.T) {
	interrupts := 0
	m := newComparedModel(Contest{Pull: func() *Comparing { return compared(9) }}, Screen{Interrupt: func() { interrupts++ }})
	m.Update(pulled{})
	for _, size := range [][2]int{{80, 24}, {40, 8}} {
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		for _, name := range []string{"s", "?", "x"} {
			m.Update(key(name))
		}
	}
	if m.view.help || m.view.file.input.Value() != "?x" {
		t.Errorf("%+v", m.view.page)
	}
	if m.Update(key("q")); interrupts != 1 {
		t.Error("q doesn't end it")
	}
}

// TestComparedSays: before there are pairs enough there are ratios, which claim nothing; then what was found.
func TestComparedSays(t *testing.T) {
	for name, row := range map[string]struct {
		c          *Comparing
		says, nots []string
	}{
		"few":     {compared(3), []string{"3 pairs: it takes 8", "1.04", "too few to say", "7 of 20 trials"}, []string{"% less", "% more", "0.85–0.95", "none found"}},
		"enough":  {compared(9), []string{"0.90", "0.85–0.95", "10 % less", "none found", "51 % more", "it did not grow: a server that keeps what it had shows nothing"}, []string{"too few"}},
		"proving": {proving(), []string{"evidence 3 of 10", "SSE, every connection reset, not resuming, for 2s", "the pairs are done: this is about what people say"}, []string{"of 24"}},
	} {
		for _, size := range sizes {
			m := newComparedModel(Contest{Pull: func() *Comparing { return row.c }}, Screen{})
			m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			m.Update(pulled{})
			got := readThrough(m)
			for _, want := range append(row.says, wide) {
				if !strings.Contains(got, want) {
					t.Errorf("%s at %v: no %q in %s", name, size, want, got)
				}
			}
			for _, not := range row.nots {
				if strings.Contains(got, not) {
					t.Errorf("%s at %v: %q in %s", name, size, not, got)
				}
			}
			m.Update(tea.KeyPressMsg{Code: '?', Text: "?"})
			if got := readThrough(m); !strings.Contains(got, "end it now: the report is of the pairs") || !strings.Contains(got, "and has all of this and more.") {
				t.Errorf("%s at %v: the help is %s", name, size, got)
			}
			m.Update(tea.KeyPressMsg{Code: tea.KeyEscape})
			if got := readThrough(m); strings.Contains(got, "end it now") {
				t.Errorf("%s at %v: the help stays", name, size)
			}
		}
	}
}
