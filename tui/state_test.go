package tui

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/rtbench/rtbench/bench"
)

// TestState: the header, and a line of progress, say what goes on: nothing connects any more once all are open.
func TestState(t *testing.T) {
	level := func(at time.Duration) int { return 10 * int(at/time.Second) }
	for _, row := range []struct {
		name, header, line string
		s                  bench.Snapshot
		errors, done       uint64
	}{
		{"connecting", "connecting 1s of 5s", "connecting", bench.Snapshot{Phase: bench.PhaseRamp, At: time.Second, Begin: 5 * time.Second, Open: 9, Planned: 10}, 0, 0},
		{"connecting, but soon over", " connecting 0s ", "connecting", bench.Snapshot{Phase: bench.PhaseRamp, Begin: 100 * time.Millisecond, Planned: 10}, 0, 0},
		{"all connected", "warming up 1s of 5s", "warming up", bench.Snapshot{Phase: bench.PhaseRamp, At: time.Second, Begin: 5 * time.Second, Open: 10, Planned: 10}, 0, 0},
		{"refused", "nothing open connecting 1s of 5s", "connecting", bench.Snapshot{Phase: bench.PhaseRamp, At: time.Second, Begin: 5 * time.Second, Planned: 10}, 3, 0},
		{"measuring", " measuring 1s of 4s", "measuring", bench.Snapshot{Phase: bench.PhaseMeasure, At: 2 * time.Second, Begin: time.Second, End: 5 * time.Second, Open: 1, Planned: 10}, 3, 0},
		{"measuring nothing", "nothing open measuring 1s of 4s", "measuring", bench.Snapshot{Phase: bench.PhaseMeasure, At: 2 * time.Second, Begin: time.Second, End: 5 * time.Second, Planned: 10}, 0, 0},
		{"not yet, by the plan", "x       ", "measuring", bench.Snapshot{Phase: bench.PhaseMeasure, At: 500 * time.Millisecond, End: 4 * time.Second, Planned: 10}, 0, 0},
		{"request streams", "x       ", "measuring", bench.Snapshot{Phase: bench.PhaseMeasure, At: 2 * time.Second, End: 4 * time.Second, Planned: 10}, 1, 5},
		{"draining", "draining", "draining", bench.Snapshot{Phase: bench.PhaseDrain, At: 5 * time.Second, Planned: 10}, 3, 0},
	} {
		row.s.Counts[int(bench.ConnectErrors)-len(bench.Timings())] = row.errors
		row.s.Counts[int(bench.StreamsDone)-len(bench.Timings())] = row.done
		v := view{title: "x", s: &row.s, level: level, followed: -1}
		if got := plainText(v.header(80)); !strings.Contains(got, row.header) || strings.Contains(got, "nothing open") != strings.Contains(row.header, "nothing open") {
			t.Errorf("%s: %q", row.name, got)
		}
		if got := Line(&row.s, 0); !strings.Contains(got, row.line) {
			t.Errorf("%s: %q", row.name, got)
		}
	}
}

// TestNotYet: before anything is measured no threshold says why it can't be.
func TestNotYet(t *testing.T) {
	s := *wordy(t)
	v := view{s: &s, followed: -1, keys: bindings}
	for phase, want := range map[bench.Phase]string{bench.PhaseRamp: "not yet measured", bench.PhaseMeasure: "too few samples: 5 of"} {
		s.Phase = phase
		if got := v.render(80, 24); !strings.Contains(got, want) || phase == bench.PhaseRamp && strings.Contains(got, "too few samples") {
			t.Errorf("%s", plainText(got))
		}
	}
}

// TestNarrow: at the least size nothing of a table is cut, and more than one row of it is seen.
func TestNarrow(t *testing.T) {
	for p, want := range map[pane][]string{connections: {"quiet for", "997", "966"}, events: {"longest", "2.15 s"}} {
		v := view{s: busy(t), pane: p, followed: -1, keys: bindings}
		screen := plainText(v.render(leastWidth, leastHeight))
		lines := strings.Split(screen, "\n")
		for _, text := range want {
			if !strings.Contains(strings.Join(lines[2:], "\n"), text) {
				t.Errorf("no %q in\n%s", text, screen)
			}
		}
	}
}

// TestTrouble: why nothing is open stands on the first pane, with what to try, and no longer than that.
func TestTrouble(t *testing.T) {
	s := refused(t)
	for _, size := range sizes {
		v := view{s: s, followed: -1, keys: bindings}
		got := strings.Join(strings.Fields(plainText(v.render(size[0], size[1]))), " ")
		for _, want := range []string{"nothing is open 299 × refused, and others (4 shows them)", `connection \x1b[31mrefused`, "→ " + s.Detail.Errors[0].Hint()} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: no %q in %s", size, want, got)
			}
		}
	}
	open := *s
	open.Open = 1
	for _, v := range []view{{s: &open, followed: -1}, {s: s, level: func(time.Duration) int { return 0 }, followed: -1}} {
		if got := v.render(80, 24); strings.Contains(got, "nothing is open") {
			t.Errorf("%s", plainText(got))
		}
	}
	other := refused(t)
	other.Detail.Errors[1].Last = 4500 * time.Millisecond
	if v := (&view{s: other, followed: -1}); !strings.Contains(plainText(v.render(80, 24)), "nothing is open  1 × timeout, and others") {
		t.Errorf("it isn't the latest error: %s", plainText(v.render(80, 24)))
	}
	silent := refused(t)
	silent.Detail.Errors = nil
	v := view{s: silent, followed: -1}
	if got := v.render(80, 24); !strings.Contains(got, "no attempt has been answered, nor failed") {
		t.Errorf("%s", plainText(got))
	}
}

// TestStreams: what became of request streams is told, and not what they don't have.
func TestStreams(t *testing.T) {
	s := streams(t)
	v := view{s: s, followed: -1, speed: 1}
	got := plainText(v.render(80, 24))
	for want, there := range map[string]bool{"started      120": true, "done         80": true, "failed       7": true, "not started  10": true, "33 of at most 40": true, "reconnects": false, "lost": false, "sent ": false} {
		if strings.Contains(got, want) != there {
			t.Errorf("%q is there: %v\n%s", want, !there, got)
		}
	}
	if line := Line(s, 0); !strings.Contains(line, "80/120 done  7 failed") {
		t.Errorf("%q", line)
	}
}

// TestMissing: as long as events are missing that may be lost, no condition on loss has the mark of one that holds.
func TestMissing(t *testing.T) {
	s := busy(t)
	s.Counts[int(bench.Lost)-len(bench.Timings())], s.Missing = 0, 1083
	s.Judgements[1].Value, s.Judgements[1].Passed, s.Judgements[1].Missing = 0, true, 1083
	for _, size := range sizes {
		m := newModel(&fakeRun{s: s}, Screen{})
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(pulled{})
		got := readThrough(m)
		for _, want := range []string{"✓ p99(delivery) < 250ms", "· lost == 0 0, 1,083 missing so far", "lost 0, 1,083 missing so far"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: no %q in %s", size, want, got)
			}
		}
	}
	s.Unmeasured = map[bench.Metric]string{bench.Lost: "no"}
	v := view{s: s, followed: -1}
	if got := plainText(strings.Join(v.deliveryFacts(80), "\n")); strings.Contains(got, "missing") {
		t.Errorf("%s", got)
	}
}
