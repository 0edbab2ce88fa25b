package tui

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/rtbench/rtbench/bench"
)

// ascending is a long word, of which no two lines are the same.
func ascending() (word string) {
	for i := range 150 {
		word += fmt.Sprint(i, "x")
	}
	return word
}

// tailing is a run whose latest event is the nth, of a server that gives them names or not.
func tailing(t *testing.T, n int, named bool) *bench.Snapshot {
	s := busy(t)
	s.Detail.Followed = &bench.Followed{Connection: -1}
	for i := max(1, n-255); i <= n; i++ {
		ev := bench.SeenEvent{N: uint64(i), Connection: 3, Copies: 1, Size: 1000, Delivery: ms, Data: fmt.Sprintf("payload %d ", i) + strings.Repeat("x", 50) + ascending() + "\nsecond \x1b[31mline\n" + strings.Repeat("end ", 60) + "of it"}
		if named {
			ev.Kind, ev.ID = "price", fmt.Sprint(i)
		}
		s.Detail.Followed.Events = append(s.Detail.Followed.Events, ev)
	}
	return s
}

// marked is the line of the screen that is marked.
func marked(m *model) string {
	for _, line := range strings.Split(m.View().Content, "\n") {
		if strings.Contains(line, "\x1b[7m") && !strings.Contains(line, " 1 Overview") && !strings.Contains(line, " 1 All") {
			return plainText(line)
		}
	}
	return ""
}

// TestReadEvent: an event that is marked stays so whatever comes after it, and all of it can be read, and nothing of it is acted on.
func TestReadEvent(t *testing.T) {
	for _, size := range sizes {
		run := &fakeRun{s: tailing(t, 100, true)}
		m := newModel(run, Screen{})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		press(m, "5", "up", "up")
		for _, latest := range []int{100, 101, 150, 354} {
			run.set(tailing(t, latest, true))
			m.Update(pulled{})
			if got := marked(m); !strings.Contains(got, "payload 99") {
				t.Errorf("%v: marked is %q of %d", size, got, latest)
			}
		}
		press(m, "enter")
		run.set(tailing(t, 1000, true)) // which has it no more
		m.Update(pulled{})
		got := readThrough(m)
		for _, want := range []string{"price 99", "connection 3", "payload 99", `second \x1b[31mline end`, "end of it", "more isn't kept"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: no %q in %s", size, want, got)
			}
		}
		if text := strings.ReplaceAll(got, " ", ""); !strings.Contains(text, ascending()) {
			t.Errorf("%v: %s", size, text)
		}
		press(m, "esc")
		if got := marked(m); !strings.Contains(got, "payload 745") {
			t.Errorf("%v: marked is %q, and not the oldest that there is", size, got)
		}
		press(m, "esc")
		if got := plainText(m.View().Content); marked(m) != "" || !strings.Contains(got, "payload 1000") {
			t.Errorf("%v: the latest are not shown: %s", size, got)
		}
		if done := run.taken(); done != `follow -1 ""` {
			t.Errorf("%v: %s", size, done)
		}
	}
}

// TestMarkEvents: every event can be marked, in sight, up and down.
func TestMarkEvents(t *testing.T) {
	for _, size := range sizes {
		m := newModel(&fakeRun{s: tailing(t, 100, true)}, Screen{})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		press(m, "5")
		for n := 100; n >= 1; n-- {
			if press(m, "up"); !strings.Contains(marked(m), fmt.Sprintf("payload %d ", n)) {
				t.Fatalf("%v: %q is marked, and not %d", size, marked(m), n)
			}
		}
		if press(m, "up"); !strings.Contains(marked(m), "payload 1 ") {
			t.Errorf("%v: %q is marked before the first", size, marked(m))
		}
		for n := 2; n <= 100; n++ {
			if press(m, "down"); !strings.Contains(marked(m), fmt.Sprintf("payload %d ", n)) {
				t.Fatalf("%v: %q is marked, and not %d", size, marked(m), n)
			}
		}
		if press(m, "down"); marked(m) != "" {
			t.Errorf("%v: %q is marked after the last", size, marked(m))
		}
	}
}

// TestNamelessEvents: where events have no names the room for them is the payload's.
func TestNamelessEvents(t *testing.T) {
	for named, want := range map[bool]int{true: 27, false: 39} {
		v := view{s: tailing(t, 100, named), pane: events, followed: -1, keys: bindings}
		if got := v.render(80, 24); !strings.Contains(got, "payload 100 "+strings.Repeat("x", want)) {
			t.Errorf("named %v:\n%s", named, plainText(got))
		}
	}
}

// TestRawEvent: all that is kept of bytes that are no text can be read, on a line as they can be looked for, and nothing of it is
// acted on, nor what is secret shown, by its numbers either.
func TestRawEvent(t *testing.T) {
	secret := "s3cret"
	data := "\x00\x1b[2J\xff" + secret + "~\x7f"
	for i := range 60 {
		data += fmt.Sprintf("%c%03d", 0x80, i)
	}
	hide := func(text string) string { return strings.ReplaceAll(text, secret, "HIDDEN") }
	for _, size := range sizes {
		s := tailing(t, 3, false)
		s.Detail.Followed.Events[2] = bench.SeenEvent{N: 3, Connection: 3, Copies: 1, Size: len(data) + 1, Data: data, Binary: true, Raw: true}
		run := &fakeRun{s: s}
		m := newModel(run, Screen{Hide: hide})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		press(m, "5")
		if got := plainText(m.View().Content); !strings.Contains(got, " B  hex 00 1b 5b") || !utf8.ValidString(got) || strings.Contains(got, "\x1b") {
			t.Errorf("%v: %s", size, got)
		}
		press(m, "enter")
		got := readThrough(m)
		for _, want := range []string{"binary, connection 3", "0000 00 1b 5b 32 4a ff", "7e 7f", "35 39", "more isn't kept of it"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: no %q in %s", size, want, got)
			}
		}
		if flat := strings.ReplaceAll(got, " ", ""); !strings.Contains(flat, "44454e") || strings.Contains(flat, "733363") || strings.ContainsAny(got, "\x1b\x7f") {
			t.Errorf("%v: %s", size, got)
		}
		run.taken()
		press(m, "esc", "esc", "/", "1b 5b", "enter")
		if done := run.taken(); done != `follow -1 "1b 5b"` {
			t.Errorf("%v: %s", size, done)
		}
		s.Detail.Followed.Holding = "1b 5b"
		if text := saved(t, m); !strings.Contains(text, "hex 00 1b 5b 32 4a ff 48 49") || !strings.Contains(text, "30 35 39 …") {
			t.Errorf("%v: %s", size, text)
		}
	}
}

// TestFilter: no rows of another filter stand below the heading of one, and none of those can be marked.
func TestFilter(t *testing.T) {
	for _, size := range sizes {
		run := &fakeRun{s: tailing(t, 100, true)}
		m := newModel(run, Screen{})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		shows := func(filter string, rows bool) {
			t.Helper()
			got := plainText(m.View().Content)
			if strings.Contains(got, "with "+filter) != (rows && filter != "") || strings.Contains(got, "payload 100") != rows {
				t.Errorf("%v: %s", size, got)
			}
		}
		press(m, "5")
		shows("", true)
		press(m, "/", "payload 1", "enter")
		shows("payload 1", false)
		if press(m, "up"); m.view.mark > 0 {
			t.Errorf("%v: %d is marked", size, m.view.mark)
		}
		next := tailing(t, 100, true)
		next.Detail.Followed.Holding = "payload 1"
		run.set(next)
		m.Update(pulled{})
		shows("payload 1", true)
		if !strings.Contains(plainText(m.View().Content), "esc shows all") {
			t.Errorf("%v: nothing says how the filter goes", size)
		}
		press(m, "esc")
		shows("", false)
	}
}

// TestEventNames: the names of events have the room that there is, their columns a heading, and what stands there is explained.
func TestEventNames(t *testing.T) {
	s := tailing(t, 100, true)
	name := "orders.updated.eu-central 0198c3a2-7d5e-7cc1-a8b4-1f"
	for i := range s.Detail.Followed.Events {
		s.Detail.Followed.Events[i].Kind, s.Detail.Followed.Events[i].ID, _ = strings.Cut(name, " ")
	}
	for _, size := range sizes {
		m := newModel(&fakeRun{s: s}, Screen{})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		press(m, "5")
		got := plainText(m.View().Content)
		shown := max(18, (size[0]-30)/2)
		if want := name[:min(len(name), shown-1)]; !strings.Contains(got, want) || strings.Contains(got, name) != (len(name) <= shown) {
			t.Errorf("%v: no %q in %s", size, want, got)
		}
		if !regexp.MustCompile(` had by +at +delivery  kind, id +payload\n`).MatchString(got) {
			t.Errorf("%v: %s", size, got)
		}
		press(m, "?")
		got = readThrough(m)
		for _, want := range []string{"× 19: it came to 19 connections", "at when it arrived, after the start", "delivery how long it took", "came too fast only some are shown", "show all events again where a filter was set"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: no %q in %s", size, want, got)
			}
		}
		if text := saved(t, m); !strings.Contains(text, name+"  payload 1 ") {
			t.Errorf("%v: %s", size, text)
		}
	}
}

// TestMarkedConnection: the marked row stays in sight, and what is looked at is the connection that was marked, also where others
// have fared worse since.
func TestMarkedConnection(t *testing.T) {
	for _, size := range sizes {
		run := &fakeRun{s: busy(t)}
		m := newModel(run, Screen{})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		press(m, "3")
		list := run.s.Detail.Worst
		for i := 1; i < len(list)+2; i++ {
			press(m, "down")
			if want := list[min(i, len(list)-1)]; !strings.HasPrefix(strings.TrimSpace(marked(m)), numberText(want.Index)+" ") {
				t.Fatalf("%v: %q is marked, and not %d", size, marked(m), want.Index)
			}
		}
		for i := len(list) - 2; i >= 5; i-- {
			if press(m, "up"); !strings.HasPrefix(strings.TrimSpace(marked(m)), numberText(list[i].Index)+" ") {
				t.Fatalf("%v: %q is marked, and not %d", size, marked(m), list[i].Index)
			}
		}
		others := busy(t)
		others.Detail.Worst = append([]bench.Connection{{Index: 5000}, {Index: 5001}}, list...)
		run.set(others)
		m.Update(pulled{})
		if !strings.HasPrefix(strings.TrimSpace(marked(m)), numberText(list[5].Index)+" ") {
			t.Errorf("%v: %q is marked, and not %d", size, marked(m), list[5].Index)
		}
		run.taken()
		press(m, "enter")
		if got, want := run.taken(), fmt.Sprintf("follow %d \"\"", list[5].Index); got != want {
			t.Errorf("%v: %s, want %s", size, got, want)
		}
	}
}

// TestConnectionLife: all of what happened to a connection can be read.
func TestConnectionLife(t *testing.T) {
	s := followed(busy(t))
	for i := range 12 {
		s.Detail.Followed.History = append(s.Detail.Followed.History, bench.Happening{Text: fmt.Sprint("happening ", i, " of it")})
	}
	m := newModel(&fakeRun{s: s}, Screen{})
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 15})
	m.Update(pulled{})
	press(m, "3", "enter")
	seen := m.View().Content
	for range 20 {
		press(m, "]")
		seen += m.View().Content
	}
	for _, h := range s.Detail.Followed.History {
		if text := m.view.plain(h.Text); !strings.Contains(seen, text) {
			t.Errorf("no %q", text)
		}
	}
}
