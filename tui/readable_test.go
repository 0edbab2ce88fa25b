package tui

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// A typist is a screen that takes keys.
type typist interface {
	tea.Model
	View() tea.View
}

var moreLines = regexp.MustCompile(`^  \d+ more`)

// readThrough is all that can be read by scrolling down, with single spaces.
func readThrough(m typist) string {
	var seen []string
	for before := ""; ; m.Update(tea.KeyPressMsg{Code: tea.KeyDown}) {
		screen := plainText(m.View().Content)
		if screen == before {
			return strings.Join(strings.Fields(strings.Join(seen, " ")), " ")
		}
		before = screen
		body, _, _ := strings.Cut(screen, "\n\n ? help")
		lines := strings.Split(body, "\n")
		for i, line := range lines {
			cut := i+1 < len(lines) && moreLines.MatchString(lines[i+1]) && strings.HasSuffix(line, "…") // it will be whole further down
			if !cut && !moreLines.MatchString(line) && !slices.Contains(seen, line) {
				seen = append(seen, line)
			}
		}
	}
}

// wordy is a run of which there is much to say.
func wordy(t *testing.T) *bench.Snapshot {
	s := busy(t)
	s.Judgements[2].Unknown = "too few samples: 5 of the 300 that this quantile needs, of outages that take longer than the run does"
	s.Detail.Errors[0].Text = "the answer is no event stream: "
	for i := range 60 {
		s.Detail.Errors[0].Text += fmt.Sprint("word", i, " ")
	}
	s.Detail.Errors = append(s.Detail.Errors, bench.ErrorGroup{Class: client.ClassStatus, Code: 503, Key: "status 503", Count: 1, Text: "HTTP status 503"})
	s.Detail.Doubts = []bench.Warning{{Text: "the tester had no processor of its own for a fifth of the time, so that its own waits are in every figure", Advice: "give it processors of its own, lower the rate, or start it on another machine than the one that is tested"}}
	s.Annotations[0].Text += ", which is told in more words than fit a line of a narrow terminal by far"
	return s
}

// TestReadable: nothing that explains something is cut; what there is no room for can be scrolled to.
func TestReadable(t *testing.T) {
	s := wordy(t)
	for _, size := range sizes {
		m := newModel(&fakeRun{s: s}, Screen{Title: "sse x"})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		for keys, want := range map[string][]string{
			"1": {s.Judgements[2].Unknown, s.Detail.Doubts[0].Text, "target cpu 15 %, memory 65.0 MB", "984 of 1,000"},
			"4": {s.Detail.Errors[0].Text, s.Detail.Errors[0].Hint(), s.Detail.Errors[2].Hint()},
			"6": {s.Detail.Estimates[6].Unknown, s.Detail.Doubts[0].Text, s.Detail.Doubts[0].Advice, s.Annotations[0].Text},
			"?": {"what happened to it, and what it receives", "once more: exit at once", "which then says that the run was steered by hand."},
		} {
			press(m, "1", keys)
			got := readThrough(m)
			for _, text := range want {
				if !strings.Contains(got, strings.Join(strings.Fields(text), " ")) {
					t.Errorf("%s at %v: no %q in %s", keys, size, text, got)
				}
			}
		}
	}
}

// TestReadableAnswers: what is said of a line that is written, or of what couldn't be done, isn't cut either.
func TestReadableAnswers(t *testing.T) {
	refusal := errors.New("30000 connections are more than this process can have: it may open 1024 files, which `ulimit -n 31000` raises before the run")
	m := newModel(&fakeRun{s: busy(t)}, Screen{Allow: func(int) error { return refusal }})
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 15})
	m.Update(pulled{})
	press(m, "d", "20% shout")
	if screen := plainText(m.View().Content); !strings.Contains(screen, "20% shout") || !strings.Contains(screen, "one of "+waysToBreak()) {
		t.Errorf("%s", screen)
	}
	press(m, "esc", "c", "30k", "enter")
	screen := plainText(m.View().Content)
	if got := strings.Join(strings.Fields(screen), " "); !strings.Contains(got, refusal.Error()) || strings.Count(screen, "\n") != 14 {
		t.Errorf("%s", screen)
	}
}

// TestCutSentence: a text whose lines don't all fit ends with a mark, and one that does doesn't.
func TestCutSentence(t *testing.T) {
	text := strings.Repeat("word ", 40)
	lines := append(append(hang("  ", text, 40, dim), hang("! ", "short", 40, normal)...), hang("  ", text, 40, normal)...)
	first := len(wrap(text, 38))
	for height := 2; height < len(lines); height++ {
		shown, _ := scrolled(lines, 0, height, 0, "↑ ↓")
		whole := height == first+1 || height == first+2 // what is last above how many more there are
		if last := plainText(shown[height-2]); strings.HasSuffix(last, "…") == whole {
			t.Errorf("of height %d the last line is %q", height, last)
		}
		if got := plainText(allLetters.screen(shown, 40)); strings.Count(got, "…") > 1 {
			t.Errorf("%s", got)
		}
	}
}
