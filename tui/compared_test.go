package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// compared is a comparison of which so many pairs have been made.
func compared(pairs int) *Comparing {
	c := &Comparing{Title: "SSE\x1b[2J against WebSocket", Sides: [2]string{"SSE\x1b[2J", "WebSocket 📈"}, Elapsed: 42 * time.Second, Done: 2*pairs + 1, Planned: 20, Now: "WebSocket, trial 2",
		Said: []string{"long ago", "before", "SSE  once more: CLIENT-SATURATED", "SSE  once more: \x1b]0;evil\a" + strings.Repeat("wide ", 40)}}
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
		c.Contrasts = []report.Contrast{
			{Name: "delivery p50", Unit: bench.Nanoseconds, A: 2e6, B: 1.8e6, Paired: report.Paired{Ratio: .9, Low: .85, High: .95}, Adjusted: .01, Alpha: .05, Tested: true},
			{Name: "delivery p99", Unit: bench.Nanoseconds, A: 1e7, B: 1e7, Paired: report.Paired{Ratio: 1, Low: .8, High: 1.2}, Adjusted: .9, Alpha: .05, Tested: true},
			{Name: "server memory a connection", Unit: bench.ByteCount, Unknown: "it did not grow: a server that keeps what it had shows nothing"},
			{Name: "handshake bytes out", Unit: bench.ByteCount, A: 117, B: 177, Paired: report.Paired{Ratio: 1.51, Low: 1.51, High: 1.51}},
		}
	}
	return c
}

// TestCompared holds the view of a comparison against what it looked like when somebody looked.
func TestCompared(t *testing.T) {
	for name, c := range map[string]*Comparing{"compared-first": compared(0), "compared-few": compared(3), "compared": compared(9)} {
		for _, size := range append(sizes, [2]int{40, 8}) {
			screen := c.render(size[0], size[1], name == "compared-few")
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
	m := &comparedModel{pull: func() *Comparing { return compared(9) }, screen: Screen{Interrupt: func() { interrupts++ }}}
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
