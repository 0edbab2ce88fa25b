package tui

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"

	"github.com/rtbench/rtbench/bench"
)

// updating reports whether golden files are written anew: the flag -update is teatest's.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/charmbracelet/x/exp/teatest/v2.NewTestModel.func2")) // it waits for a signal
}

// snapshot is one with counts.
func snapshot(phase bench.Phase, at time.Duration, counts map[bench.Metric]uint64) *bench.Snapshot {
	s := &bench.Snapshot{Phase: phase, At: at, Open: 998, Planned: 1000, Rate: 12_345.6}
	for m, n := range counts {
		s.Counts[int(m)-len(bench.Timings())] = n
	}
	return s
}

func timed(s *bench.Snapshot, samples int64) *bench.Snapshot {
	s.Headline = bench.Delivery
	s.Quantiles = bench.Quantiles{Samples: samples, P50: 1_234_567, P99: 45_600_000, Max: 78_900_000}
	return s
}

func failing(s *bench.Snapshot, why string) *bench.Snapshot {
	s.LastError = why
	return s
}

type counts = map[bench.Metric]uint64

// snapshots are what a line has to cope with, the worst last.
func snapshots() []*bench.Snapshot {
	broken := counts{bench.Received: 5, bench.ConnectErrors: 3, bench.Drops: 1}
	return []*bench.Snapshot{
		snapshot(bench.PhaseRamp, 0, nil),
		timed(snapshot(bench.PhaseRamp, 800*time.Millisecond, counts{bench.Received: 1}), 1),
		timed(snapshot(bench.PhaseMeasure, 12*time.Second, counts{bench.Received: 1_234_567}), 1_000_000),
		timed(snapshot(bench.PhaseMeasure, 3*time.Hour, counts{bench.Received: 98_765_432_109, bench.Lost: 12, bench.Drops: 7}), 1_000_000),
		timed(snapshot(bench.PhaseDrain, 13*time.Second, counts{bench.Received: 1_234_567, bench.Lost: 1}), 1_000_000),
		snapshot(bench.PhaseFinish, 14*time.Second, counts{bench.Received: 0}),
		failing(snapshot(bench.PhaseMeasure, time.Second, broken), `HTTP status 503: Service Unavailable: "come back later"`),
		failing(snapshot(bench.PhaseMeasure, time.Second, broken), "\x1b[2J\x1b]0;owned\x07\r\nsecond line \u202egnp\u202c \u009b31m\xff"),
		failing(snapshot(bench.PhaseMeasure, time.Second, broken), strings.Repeat("満員です", 30)),
		failing(snapshot(bench.PhaseMeasure, time.Second, broken), strings.Repeat("👩‍👩‍👧‍👦é", 30)),
	}
}

func TestLine(t *testing.T) {
	var b strings.Builder
	for _, width := range []int{80, 120} {
		fmt.Fprintf(&b, "%d columns\n", width)
		for _, s := range snapshots() {
			fmt.Fprintf(&b, "%s|\n", Line(s, width))
		}
	}
	b.WriteString("any number of columns\n")
	for _, s := range snapshots()[:7] {
		fmt.Fprintf(&b, "%s|\n", Line(s, 0))
	}
	path := filepath.Join("testdata", "line.txt")
	if updating() {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("not %s (go test -update writes it anew):\n%s", path, b.String())
	}
}

// TestLineFits holds every width against every line: a line is never wider than asked for, counted in columns, and is
// one line of printable text.
func TestLineFits(t *testing.T) {
	for i, s := range snapshots() {
		full := Line(s, 0)
		for width := 1; width <= 400; width++ {
			line := Line(s, width)
			if got := ansi.StringWidth(line); got > width {
				t.Errorf("snapshot %d: %d columns of %d: %q", i, got, width, line)
			}
			if item := strings.LastIndex(line, " "); width >= 20 && s.LastError == "" && (!strings.HasPrefix(full, line) || !strings.Contains(full+" ", line[item+1:]+" ")) {
				t.Errorf("snapshot %d: an item was cut at %d: %q", i, width, line)
			}
			if ansi.StringWidth(full) <= width && line != full {
				t.Errorf("snapshot %d: cut at %d though it fits: %q", i, width, line)
			}
			if strings.ContainsAny(line, "\x1b\r\n\a\u009b\u202e") {
				t.Errorf("snapshot %d: what a terminal acts on: %q", i, line)
			}
		}
	}
}

func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var b bytes.Buffer
		start := time.Now()
		running := func() *bench.Snapshot {
			if at := time.Since(start); at > 2500*time.Millisecond {
				return snapshot(bench.PhaseMeasure, at, counts{bench.Received: uint64(at.Seconds()) * 10})
			}
			return nil // not begun
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Progress(ctx, &b, running, Options{})
		}()
		time.Sleep(5500 * time.Millisecond)
		stop()
		<-done
		want := "    3s measuring  998/1,000 open  12,346/s  30 received\n" +
			"    4s measuring  998/1,000 open  12,346/s  40 received\n" +
			"    5s measuring  998/1,000 open  12,346/s  50 received\n"
		if b.String() != want {
			t.Errorf("got\n%swant\n%s", b.String(), want)
		}
	})
}

// TestProgressPlain gives a file that is no terminal.
func TestProgressPlain(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "progress"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer stop()
		Progress(ctx, file, func() *bench.Snapshot { return snapshot(bench.PhaseRamp, time.Second, nil) }, Options{Plain: true})
	})
	got, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(got), "\n"); lines != 2 || bytes.Contains(got, []byte("\x1b")) {
		t.Errorf("%d lines: %q", lines, got)
	}
}

// TestFrames shows a terminal that is made narrower: each frame is written over the one before, and nothing is left.
func TestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer stop()
		var b bytes.Buffer
		widths := []int{60, 20}
		frames(ctx, &b, func() *bench.Snapshot { return snapshots()[2] }, func() int {
			width := widths[0]
			widths = widths[1:]
			return width
		})
		want := "\r   12s measuring  998/1,000 open  12,346/s\x1b[K" +
			"\r   12s measuring\x1b[K" +
			"\r\x1b[K"
		if b.String() != want {
			t.Errorf("got\n%q\nwant\n%q", b.String(), want)
		}
	})
}
