package tui

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/rtbench/rtbench/bench"
)

// saved is what a model saves.
func saved(t *testing.T, m *model) string {
	t.Helper()
	t.Chdir(t.TempDir())
	press(m, "s")
	files, err := os.ReadDir(".")
	if err != nil || len(files) != 1 || !strings.Contains(m.view.said, files[0].Name()) {
		t.Fatalf("%v, %v, %q", files, err, m.view.said)
	}
	text, err := os.ReadFile(files[0].Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSave: what is saved are all panes, as text, each as a whole, however small the screen is.
func TestSave(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := wordy(t)
			s.Detail.Kinds[0].Kind = strings.Repeat("a long kind ", 12)
			m := newModel(&fakeRun{s: s}, Screen{Title: "sse x"})
			m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			m.Update(pulled{})
			press(m, "5", "down")
			text := saved(t, m)
			for _, want := range []string{"p99(outage) < 5s", "1,000", "those that fared worst", "over time", "1,234,567  reset", "slowest kinds", "lag behind the kernel", s.Detail.Kinds[0].Kind,
				strings.Repeat("long ", 60), `"emoji":"🎉🎊👩\u200d👩\u200d👧"}`} {
				if !strings.Contains(text, strings.TrimSpace(want)) {
					t.Errorf("no %q", want)
				}
			}
			for _, c := range s.Detail.Worst {
				if !strings.Contains(text, fmt.Sprintf("%12s  %s", numberText(c.Index), c.State)) {
					t.Errorf("no connection %d", c.Index)
				}
			}
			words := strings.Join(strings.Fields(text), " ")
			for _, want := range []string{s.Detail.Errors[0].Text, s.Detail.Doubts[0].Advice, bench.Connect.Sentence(), s.Annotations[0].Text} {
				if size[0] < sentenceWidth && want == bench.Connect.Sentence() {
					continue
				}
				if !strings.Contains(words, strings.TrimSpace(want)) {
					t.Errorf("no %q", want)
				}
			}
			if strings.ContainsAny(text, "\x1b\a…") || strings.Contains(text, "more (") {
				t.Errorf("there are escapes in it, or something is cut:\n%s", text)
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// TestSaveConnection: the connection that is looked at is saved, too.
func TestSaveConnection(t *testing.T) {
	s := followed(busy(t))
	for i := range 20 {
		s.Detail.Followed.History = append(s.Detail.Followed.History, bench.Happening{Text: fmt.Sprint("happening ", i, " of it")})
	}
	m := newModel(&fakeRun{s: s}, Screen{Title: "sse x"})
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 15})
	m.Update(pulled{})
	press(m, "3", "enter")
	text := saved(t, m)
	for _, want := range []string{"those that fared worst", "connection 997", "happening 0 of it", "happening 10 of it", strings.TrimSpace(strings.Repeat("long ", 60))} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

// TestSaveWithoutEvents: where no single events are saved it is said why.
func TestSaveWithoutEvents(t *testing.T) {
	s := busy(t)
	for _, want := range []bool{false, true} {
		m := newModel(&fakeRun{s: s}, Screen{})
		m.Update(tea.WindowSizeMsg{Width: 60, Height: 15})
		m.Update(pulled{})
		if saved(t, m); strings.Contains(m.view.said, "without single events, which are told only while 5 shows them") != want {
			t.Errorf("%q", m.view.said)
		}
		s.Detail.Followed = nil
	}
}

// TestSaveOver: a file that is there stays as it is.
func TestSaveOver(t *testing.T) {
	t.Chdir(t.TempDir())
	synctest.Test(t, func(t *testing.T) { // in which no time passes between two keys
		first := time.Now().Format("rtbench-20060102-150405")
		if err := os.WriteFile(first+".txt", []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		m := newModel(&fakeRun{s: busy(t)}, Screen{Title: "sse x"})
		m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
		m.Update(pulled{})
		press(m, "s", "s")
		if m.view.failed || !strings.HasSuffix(m.view.said, "-3.txt") {
			t.Errorf("%q", m.view.said)
		}
		text, err := os.ReadFile(first + ".txt")
		if err != nil || string(text) != "mine" {
			t.Errorf("%q, %v", text, err)
		}
	})
}
