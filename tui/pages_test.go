package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// key is a key by its name, or a character.
func key(name string) tea.KeyPressMsg {
	if code, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(rest[0]), Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// fits holds a screen against its size and a golden file.
func fits(t *testing.T, name string, render func(width, height int) string) {
	t.Helper()
	for _, size := range append(sizes, [2]int{40, 10}, [2]int{20, 4}) {
		screen := render(size[0], size[1])
		lines := strings.Split(screen, "\n")
		if len(lines) > size[1] {
			t.Errorf("%s at %v: %d lines", name, size, len(lines))
		}
		for _, line := range lines {
			if w := ansi.StringWidth(line); w > size[0] {
				t.Errorf("%s at %v: %d columns: %q", name, size, w, line)
			}
		}
		if size == [2]int{80, 24} || size == [2]int{60, 15} {
			golden(t, fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1]), plainText(screen)+"\n")
		}
	}
}

// TestHome: what keys choose on the start page.
func TestHome(t *testing.T) {
	history := []string{"12:03:00  delivery p50 1.20 ms  TRUSTED  sse", "12:02:00  \x1b[2Jevil", "12:01:00  ws"}
	for _, row := range []struct {
		keys []string
		want Choice
		end  bool
	}{
		{[]string{"enter"}, Choice{Do: Measure}, true},
		{[]string{"2"}, Choice{Do: Contend}, true},
		{[]string{"down", "enter"}, Choice{Do: Contend}, true},
		{[]string{"down", "down", "enter"}, Choice{Do: Leave}, true},
		{[]string{"q"}, Choice{}, false}, // it would forget the runs
		{[]string{"q", "q"}, Choice{Do: Leave}, true},
		{[]string{"q", "down", "ctrl+c"}, Choice{}, false},
		{[]string{"ctrl+c", "ctrl+c"}, Choice{Do: Leave}, true},
		{[]string{"esc", "esc"}, Choice{}, false},
		{[]string{"down", "down", "down", "down", "enter"}, Choice{Open, []int{1}}, true},
		{[]string{"down", "down", "down", "down", "down", "down", "down", "down", "enter"}, Choice{Open, []int{2}}, true},
		{[]string{"="}, Choice{}, false},
		{[]string{"down", "down", "down", " ", "down", " ", "="}, Choice{Diff, []int{0, 1}}, true},
		{[]string{"down", "down", "down", " ", "down", " ", "down", " ", "="}, Choice{Diff, []int{1, 2}}, true},
		{[]string{"down", "down", "down", " ", "down", " ", " ", "="}, Choice{}, false},
		{[]string{"9", " ", "up"}, Choice{}, false},
	} {
		m := &homeModel{history: history}
		var cmd tea.Cmd
		for _, name := range row.keys {
			_, cmd = m.Update(key(name))
		}
		if fmt.Sprint(m.choice) != fmt.Sprint(row.want) || (cmd != nil) != row.end {
			t.Errorf("%v: %+v", row.keys, m.choice)
		}
	}
	m := &homeModel{history: history, at: 4, picked: []int{2, 0}}
	fits(t, "home", m.render)
	if got := m.render(80, 24); strings.Contains(got, "\x1b[2J") {
		t.Error("the server's escapes come through")
	}
}

// form is one of two fields.
func form() *Form {
	number := func(text string) error {
		if strings.Trim(text, "0123456789") != "" || text == "" {
			return errors.New("no number")
		}
		return nil
	}
	return &Form{
		Title:  "Measure",
		Fields: []Field{{Name: "target", Hint: "a URL", Value: ""}, {Name: "connections", Hint: "how many", Value: "100", Check: number}},
		Command: func(values []string) (string, error) {
			if strings.Contains(values[0], " ") {
				return "", errors.New("a URL has no spaces")
			}
			return "rtbench sse " + values[0] + " --connections " + values[1], nil
		},
		Found: func(_ context.Context, field int, values []string) ([]string, string) {
			if field != 0 {
				return values, ""
			}
			return []string{"http://" + values[0], values[1]}, "it answers"
		},
		Save: func(values []string) (string, error) {
			if values[0] == "" {
				return "", errors.New("nothing to save")
			}
			return "saved", nil
		},
	}
}

// TestForm: what is written is checked at once, looked at when its field is left, and run only where nothing is wrong.
func TestForm(t *testing.T) {
	for _, row := range []struct {
		name   string
		keys   []string
		filled bool
		said   string
		values []string
	}{
		{"filled in", []string{"a", "tab", "0", "enter"}, true, "", []string{"http://a", "1000"}},
		{"filled in at once", []string{"ctrl+r"}, true, "", []string{"", "100"}},
		{"a wrong field", []string{"tab", "x", "enter"}, false, "connections: no number", []string{"http://", "100x"}},
		{"mended", []string{"tab", "x", "backspace", "enter"}, true, "", []string{"http://", "100"}},
		{"wrong as a whole", []string{"a", " ", "b", "ctrl+r"}, false, "a URL has no spaces", []string{"a b", "100"}},
		{"given up", []string{"a", "esc"}, false, "", []string{"a", "100"}},
		{"up and down", []string{"down", "down", "up", "9"}, false, "", []string{"http://http://", "1009"}},
		{"saved", []string{"a", "ctrl+s"}, false, "saved", []string{"a", "100"}},
		{"not saved", []string{"ctrl+s"}, false, "nothing to save", []string{"", "100"}},
		{"copied", []string{"ctrl+y"}, false, "copied", []string{"", "100"}},
		{"text that is a key elsewhere", []string{"q", "j", "?"}, false, "", []string{"qj?", "100"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newFormModel(t.Context(), form())
			m.Init()
			m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
			for _, name := range row.keys {
				left := m.at
				m.Update(key(name))
				if m.at != left { // what is left is looked at, which takes its time
					after, said := m.form.Found(t.Context(), left, m.values())
					m.Update(found{m.values(), after, said})
				}
			}
			if m.filled != row.filled || !strings.Contains(m.said, row.said) || row.said == "" && m.said != "" && !row.filled {
				t.Errorf("filled %v, said %q", m.filled, m.said)
			}
			if got := m.values(); fmt.Sprint(got) != fmt.Sprint(row.values) {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestFormFoundLate: what was found out about a field doesn't take away what has been written meanwhile.
func TestFormFoundLate(t *testing.T) {
	m := newFormModel(t.Context(), form())
	m.Init()
	before := m.values()
	m.Update(key("a"))
	m.Update(found{before, []string{"http://other", "7"}, "late"})
	if got := m.values(); got[0] != "a" || got[1] != "7" {
		t.Errorf("%q", got)
	}
}

func TestFormScreen(t *testing.T) {
	m := newFormModel(t.Context(), form())
	m.Init()
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 24})
	for _, name := range []string{"a", "tab", "x"} {
		m.Update(key(name))
	}
	m.looking = 0
	fits(t, "form", m.render)
	m.Update(key("enter"))
	fits(t, "form-wrong", m.render)
}

// TestReader: a report is scrolled, written, and made again.
func TestReader(t *testing.T) {
	var written string
	reader := func() *Reader {
		return &Reader{Title: "sse http://localhost/", Said: "exit code 99", Rerun: true,
			Text: func(width int) string {
				var b strings.Builder
				for i := range 100 {
					fmt.Fprintf(&b, "line %d of %d columns\n", i, width)
				}
				return b.String()
			},
			Write: func(path string) (string, error) {
				if written = path; path == "x" {
					return "", errors.New("no ending")
				}
				return "written to " + path, nil
			}}
	}
	for _, row := range []struct {
		keys  []string
		next  Next
		shown string
	}{
		{nil, Back, "exit code 99"},
		{[]string{"down", "down"}, Back, "line 2 of 80"},
		{[]string{"pgdown"}, Back, "line 20 of 80"},
		{[]string{"G"}, Back, "line 99 of 80"},
		{[]string{"G", "g"}, Back, "line 0 of 80"},
		{[]string{"up"}, Back, "line 0 of 80"},
		{[]string{"r"}, Again, ""},
		{[]string{"e"}, Edit, ""},
		{[]string{"q"}, Back, ""},
		{[]string{"w", "a", ".", "m", "d", "enter"}, Back, "written to a.md"},
		{[]string{"w", "x", "enter"}, Back, "no ending"},
		{[]string{"w", "q", "esc"}, Back, "run again"},
	} {
		m := newReaderModel(reader())
		m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
		for _, name := range row.keys {
			m.Update(key(name))
		}
		if got := plainText(m.render(80, 24)); m.next != row.next || !strings.Contains(got, row.shown) {
			t.Errorf("%v: %v\n%s", row.keys, m.next, got)
		}
	}
	if written != "x" {
		t.Errorf("%q", written)
	}
	m := newReaderModel(&Reader{Title: "difference", Text: func(int) string { return "short" }})
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	if _, cmd := m.Update(key("r")); cmd != nil || m.next != Back {
		t.Error("what can't be made again was")
	}
	fits(t, "reader", m.render)
}

// TestWrap: lines are broken between words, and words only where they are too long.
func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"rtbench sse --drop 10%":      "rtbench|sse --drop|10%",
		"aaaaaaaaaaaaaaaaaaaaaaaaa b": "aaaaaaaaaa|aaaaaaaaaa|aaaaa b",
		"日本語の文字 wide":                 "日本語の文|字 wide",
		"a  b":                        "a b",
	} {
		if got := strings.Join(wrap(text, 10), "|"); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
