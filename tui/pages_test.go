package tui

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/report"
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
	history := []Past{
		{"12:03:00  delivery  p50 1.20 ms TRUSTED  p99 ~3.56 ms", "sse 127.0.0.1:8080/events/b -c 7", "sse http://127.0.0.1:8080/events/b --connections 7 --duration 10s"},
		{"12:02:00  delivery  p50 1.20 ms  p99 4.56 ms TRUSTED", "sse 127.0.0.1:8080/events/a", "sse http://127.0.0.1:8080/events/a --connections 100 --duration 10s"},
		{"12:01:00  \x1b[2Jevil " + strings.Repeat("words ", 20), "127.0.0.1:8080/events against /ws", "compare"},
	}
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
		{[]string{"down", "down", "down", "down", "enter"}, Choice{Do: Open, Runs: []int{1}}, true},
		{[]string{"down", "down", "down", "down", "down", "down", "down", "down", "enter"}, Choice{Do: Open, Runs: []int{2}}, true},
		{[]string{"="}, Choice{}, false},
		{[]string{"down", "down", "down", " ", "down", " ", "="}, Choice{Do: Diff, Runs: []int{0, 1}}, true},
		{[]string{"down", "down", "down", " ", "down", " ", "down", " ", "="}, Choice{Do: Diff, Runs: []int{1, 2}}, true},
		{[]string{"down", "down", "down", " ", "down", " ", " ", "="}, Choice{}, false},
		{[]string{"down", "down", "down", " ", "down", " ", "x", "="}, Choice{Do: Diff, Runs: []int{1, 0}}, true},
		{[]string{"?", "2", "enter"}, Choice{Do: Measure}, true}, // any key closes the help
		{[]string{"9", " ", "up"}, Choice{}, false},
	} {
		m := newHomeModel(history)
		var cmd tea.Cmd
		for _, name := range row.keys {
			_, cmd = m.Update(key(name))
		}
		if fmt.Sprint(m.choice) != fmt.Sprint(row.want) || (cmd != nil) != row.end {
			t.Errorf("%v: %+v", row.keys, m.choice)
		}
	}
	m := newHomeModel(history)
	m.at, m.picked = 4, []int{2, 0}
	fits(t, "home", m.render)
	got := m.render(80, 24)
	if strings.Contains(got, "\x1b[2J") {
		t.Error("the server's escapes come through")
	}
	m.at = 0
	got = plainText(m.render(80, 24)) // none is marked
	for _, want := range []string{"p99 ~3.56 ms  sse 12…vents/b -c 7", "p99 4.56 ms TRUSTED  sse 12…8080/events/a", "evil words", "…  127.…nst /ws"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
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
		Fields: []Field{{Name: "target", Hint: "a URL", Value: "", Looks: []int{0}}, {Name: "connections", Hint: "how many", Value: "100", Check: number}},
		Command: func(values []string) (string, error) {
			if strings.Contains(values[0], " ") {
				return "", errors.New("a URL has no spaces")
			}
			return "rtbench sse " + values[0] + " --connections " + values[1], nil
		},
		Look: func(_ context.Context, _ int, values []string) Finding {
			return Finding{Values: []string{"http://" + values[0], values[1]}, Said: "it answers"}
		},
		SaveName: "scenario.yaml",
		Save: func(path string, over bool, values []string) (string, error) {
			if path == "mine.yaml" && !over {
				return "", &fs.PathError{Op: "open", Path: path, Err: fs.ErrExist}
			}
			return "saved as " + path, nil
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
		{"a wrong field", []string{"tab", "x", "enter"}, false, "connections is to be mended first", []string{"http://", "100x"}},
		{"mended", []string{"tab", "x", "backspace", "enter"}, true, "", []string{"http://", "100"}},
		{"wrong as a whole", []string{"a", " ", "b", "ctrl+r"}, false, "a URL has no spaces", []string{"a b", "100"}},
		{"given up", []string{"a", "esc"}, false, "", []string{"a", "100"}},
		{"up and down", []string{"down", "down", "up", "9"}, false, "", []string{"http://http://", "1009"}},
		{"saved", []string{"a", "ctrl+s", "enter"}, false, "saved as scenario.yaml", []string{"a", "100"}},
		{"saved by another name", []string{"a", "ctrl+s", "x", "enter", "b"}, false, "", []string{"ab", "100"}},
		{"not saved", []string{"a", " ", "ctrl+s"}, false, "a URL has no spaces", []string{"a ", "100"}},
		{"not saved after all", []string{"a", "ctrl+s", "x", "esc", "b"}, false, "", []string{"ab", "100"}},
		{"not written over", []string{"ctrl+s", "m", "i", "n", "e", ".", "y", "a", "m", "l", "enter"}, false, "mine.yaml is there already: enter once more", []string{"", "100"}},
		{"written over", []string{"ctrl+s", "m", "i", "n", "e", ".", "y", "a", "m", "l", "enter", "enter"}, false, "saved as mine.yaml", []string{"", "100"}},
		{"another name is not written over", []string{"ctrl+s", "m", "i", "n", "e", ".", "y", "a", "m", "l", "enter", "backspace", "l", "enter"}, false, "mine.yaml is there already", []string{"", "100"}},
		{"help", []string{"ctrl+g", "x", "a"}, false, "", []string{"a", "100"}},
		{"copied", []string{"ctrl+y"}, false, "copied", []string{"", "100"}},
		{"text that is a key elsewhere", []string{"q", "j", "?"}, false, "", []string{"qj?", "100"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newFormModel(t.Context(), form())
			m.Init()
			m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
			for _, name := range row.keys {
				m.Update(key(name))
				if m.looks[0].stop != nil {
					learn(m, 0, m.form.Look(t.Context(), 0, m.values()))
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

// learn has a form take what a look that goes on at a field has found.
func learn(m *formModel, field int, found Finding) {
	m.Update(looked{found, m.looks[field], field, m.values()})
}

// TestFormLookedLate: a look is ended at once when something else is written, and what it finds all the same is told of nothing
// else; what has been written meanwhile in another field stays.
func TestFormLookedLate(t *testing.T) {
	m := newFormModel(t.Context(), form())
	m.Init()
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	for _, name := range []string{"a", "tab", "9"} {
		m.Update(key(name))
	}
	first, before := m.looks[0], []string{"a", "100"}
	for _, name := range []string{"up", "b"} {
		m.Update(key(name))
	}
	if first.ctx.Err() == nil || strings.Contains(m.render(80, 24), "looking at it") {
		t.Error("the look at what was there before goes on")
	}
	m.Update(looked{Finding{Values: []string{"http://other", "7"}, Said: "late"}, first, 0, before})
	if got := m.values(); got[0] != "ab" || got[1] != "1009" || m.found[0].Said != "" {
		t.Errorf("%q, %+v", got, m.found)
	}
	m.Update(key("tab"))
	second := m.looks[0]
	m.look(0)
	if second.ctx.Err() == nil || m.looks[0].ctx.Err() != nil {
		t.Error("the look before goes on, or the one behind it doesn't")
	}
	m.Update(looked{Finding{Values: []string{"http://ab", "7"}, Said: "it answers"}, m.looks[0], 0, []string{"ab", "100"}})
	if got := m.values(); got[0] != "http://ab" || got[1] != "1009" || m.found[0].Said != "it answers" {
		t.Errorf("%q, %+v", got, m.found)
	}
}

// TestFormFinding: what was found stands at its field until something else is written there.
func TestFormFinding(t *testing.T) {
	m := newFormModel(t.Context(), form())
	m.Init()
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	m.Update(key("a"))
	m.Update(key("tab"))
	if got := plainText(m.render(80, 24)); !strings.Contains(got, "looking at it") {
		t.Errorf("nothing says that it is looked at:\n%s", got)
	}
	learn(m, 0, Finding{Values: m.values(), Err: errors.New("nothing listens there")})
	for _, name := range []string{"1", "tab"} {
		m.Update(key(name))
		if got := plainText(m.render(80, 24)); !strings.Contains(got, "nothing listens there") {
			t.Errorf("after %s:\n%s", name, got)
		}
	}
	m.Update(key("b"))
	if got := plainText(m.render(80, 24)); strings.Contains(got, "nothing listens there") {
		t.Errorf("of something else:\n%s", got)
	}
}

// TestFormLooks: each of several fields that are looked at has what was found there, whichever comes first, and a field that says
// something of all of them has all looked at.
func TestFormLooks(t *testing.T) {
	f := form()
	f.Fields = []Field{{Name: "SSE", Hint: "a URL", Looks: []int{0}}, {Name: "WebSocket", Hint: "another URL", Looks: []int{1}}, {Name: "more", Looks: []int{0, 1}}}
	f.Command = func(values []string) (string, error) { return "rtbench compare " + strings.Join(values, " "), nil }
	f.Look = func(_ context.Context, field int, values []string) Finding {
		if values = slices.Clone(values); field == 0 {
			return Finding{Values: values, Err: errors.New("nothing listens at " + values[0])}
		}
		values[1] = "ws://" + strings.TrimPrefix(values[1], "ws://")
		return Finding{Values: values, Said: "it opens with " + values[2]}
	}
	m := newFormModel(t.Context(), f)
	m.Init()
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 24})
	looks := func(field int, keys ...string) {
		t.Helper()
		for _, name := range keys {
			m.Update(key(name))
		}
		for _, at := range f.Fields[field].Looks {
			if m.looks[at].stop == nil {
				t.Fatalf("not looking at %d", at)
			}
		}
		for _, at := range slices.Backward(f.Fields[field].Looks) {
			learn(m, at, f.Look(t.Context(), at, m.values()))
		}
	}
	looks(0, "a", "tab")
	looks(1, "b", "tab")
	fits(t, "form-found", m.render)
	looks(2, "x", "tab")
	got := plainText(m.render(80, 24))
	for _, want := range []string{"nothing listens at a", "it opens with x", "rtbench compare a ws://b x"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	m.Update(key("1"))
	if got := plainText(m.render(80, 24)); strings.Contains(got, "nothing listens") || !strings.Contains(got, "it opens") {
		t.Errorf("of something else:\n%s", got)
	}
}

// TestFormCrowded: on a small screen the command line and the way to the help stay, whatever was found, and what was found at the
// field that is being written is told in full.
func TestFormCrowded(t *testing.T) {
	f := &Form{Title: "Compare", Command: func(values []string) (string, error) {
		return "rtbench compare http://localhost/events ws://localhost/feed " + strings.Repeat("--flag ", 30) + strings.Join(values, ""), nil
	}}
	for _, name := range []string{"SSE", "WebSocket", "workload", "connections", "pairs", "duration", "more flags"} {
		f.Fields = append(f.Fields, Field{Name: name, Hint: "what " + name + " is for, which takes " + strings.Repeat("some words ", 6) + "to say"})
	}
	m := newFormModel(t.Context(), f)
	m.Init()
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 15})
	for i := range 2 {
		m.found[i] = Finding{Err: fmt.Errorf("nothing listens at address %d, %s", i, strings.Repeat("which is a pity, ", 6)+"is it right?")}
	}
	for i, field := range f.Fields {
		got := plainText(m.render(60, 15))
		want := []string{"▸" + field.Name, "\n rtbench compare http://localhost/events", "ctrl+g help", "ctrl+r run"}
		if i < 2 {
			want = append(want, fmt.Sprint("nothing listens at address ", i), "is it right?")
		} else {
			want = append(want, "to say")
		}
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("no %q in\n%s", text, got)
			}
		}
		if i == 3 {
			fits(t, "form-crowded", m.render)
		}
		m.Update(key("tab"))
	}
}

// TestInFull: all of a long text can be read, and nothing of a server's acts on the terminal.
func TestInFull(t *testing.T) {
	text := strings.Repeat("a reason that is long; ", 18) + "\x1b[2J the end"
	for _, size := range [][2]int{{80, 24}, {60, 15}} {
		pages := map[string]string{}
		m := newFormModel(t.Context(), form())
		m.Init()
		m.look(0)
		learn(m, 0, Finding{Values: m.values(), Err: errors.New(text)})
		pages["found"] = m.render(size[0], size[1])
		m.found[0] = Finding{}
		m.form.Command = func([]string) (string, error) { return "rtbench", errors.New(text) }
		m.judge()
		pages["wrong"] = m.render(size[0], size[1])
		m.Update(key("ctrl+r"))
		pages["refused"] = m.render(size[0], size[1])
		r := newReaderModel(&Reader{Said: []string{"all of a page"}, Text: func(int) string { return report.PlainWords(text) }})
		r.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		pages["report"] = strings.ReplaceAll(r.render(size[0], size[1]), "\n", "")
		r = newReaderModel(&Reader{Said: []string{text}, Text: func(int) string { return "report" }})
		r.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		pages["said"] = r.render(size[0], size[1])
		h := newHomeModel([]Past{{Came: text}})
		h.at = len(homeActions)
		pages["history"] = h.render(size[0], size[1])
		for name, got := range pages {
			if flat := strings.Join(strings.Fields(plainText(got)), " "); !strings.Contains(flat, "the end") || strings.Count(flat, "that is long;") != 18 || strings.Contains(got, "\x1b[2J") {
				t.Errorf("%s at %v:\n%s", name, size, got)
			}
		}
	}
}

// TestPageHelp: each page says what its keys do, in full.
func TestPageHelp(t *testing.T) {
	m := newFormModel(t.Context(), form())
	m.Update(key("ctrl+g"))
	r := newReaderModel(&Reader{Rerun: true, Swap: true, Write: func(string, bool) (string, error) { return "", nil }, Text: func(int) string { return "" }})
	r.Update(key("?"))
	h := newHomeModel([]Past{{Came: "a"}, {Came: "b"}})
	h.Update(key("?"))
	for name, page := range map[string]struct {
		keys   []binding
		render func(width, height int) string
	}{"form": {m.keys, m.render}, "reader": {r.keys, r.render}, "home": {h.keys, h.render}} {
		fits(t, name+"-help", page.render)
		for _, size := range [][2]int{{80, 24}, {60, 15}} {
			got := strings.Join(strings.Fields(plainText(page.render(size[0], size[1]))), " ")
			for _, k := range page.keys {
				if last := k.does[strings.LastIndex(k.does, " ")+1:]; !strings.Contains(got, k.keys) || !strings.Contains(got, last) {
					t.Errorf("%s at %v doesn't tell of %s", name, size, k.keys)
				}
			}
		}
	}
}

func TestFormScreen(t *testing.T) {
	m := newFormModel(t.Context(), form())
	m.Init()
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 24})
	for _, name := range []string{"a", "tab", "x"} {
		m.Update(key(name))
	}
	m.forget(0)
	fits(t, "form", m.render)
	m.Update(key("enter"))
	fits(t, "form-wrong", m.render)
}

// TestReader: a report is scrolled, written, and made again.
func TestReader(t *testing.T) {
	var written string
	reader := func() *Reader {
		return &Reader{Title: "sse http://localhost/", Said: []string{"exit code 99"}, Rerun: true,
			Text: func(width int) string {
				var b strings.Builder
				for i := range 100 {
					fmt.Fprintf(&b, "line %d of %d columns\n", i, width)
				}
				return b.String()
			},
			Name: "report.html", Ends: []string{".md", ".html"},
			Write: func(path string, _ bool) (string, error) {
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
		{[]string{"w", "enter"}, Back, "written to report.html"},
		{[]string{"w", "x", "enter"}, Back, "no ending"},
		{[]string{"w"}, Back, "\n write the report to a file that ends in .md, .html\n"},
		{[]string{"w", "x", "enter"}, Back, "\n\n ✗ no ending\n x"}, // and not the same again
		{[]string{"w", "x", "enter", "y"}, Back, "\n write the report to a file that ends in .md, .html\n xy"},
		{[]string{"w", "x", "enter", "backspace", "b", "enter"}, Back, "written to b"},
		{[]string{"x"}, Back, "line 0 of 80"}, // it has no sides
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
	if written != "b" {
		t.Errorf("%q", written)
	}
	s := newReaderModel(&Reader{Swap: true, Text: func(int) string { return "" }})
	if _, cmd := s.Update(key("x")); cmd == nil || s.next != Swap {
		t.Error("the sides can't be swapped")
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

// A page has only characters that the terminal has.
func TestPagesInASCII(t *testing.T) {
	h, f, r := newHomeModel([]Past{{Came: "… × µ"}}), newFormModel(t.Context(), form()), newReaderModel(&Reader{Title: "é", Text: func(int) string { return "── ━ ⣿" }})
	for name, m := range map[string]interface {
		tea.Model
		render(width, height int) string
	}{"home": h, "form": f, "reader": r} {
		m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
		for _, p := range []*page{&h.page, &f.page, &r.page} {
			p.letters = asciiLetters
		}
		text := plainText(m.render(80, 24))
		if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) || name == "form" && !strings.Contains(text, "\n>target") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
