// Package tui shows a run while it goes on. It pulls snapshots at its own pace and can be as slow as the terminal is:
// the measurement doesn't know that it exists.
//
//	bench.Snapshot → Line → Progress
package tui

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// Options say how progress is shown.
type Options struct {
	Plain bool // lines, even on a terminal
}

const (
	linePace  = time.Second            // between two lines where there is no terminal
	framePace = 200 * time.Millisecond // between two frames where there is one
)

// Progress shows what snapshot gives until ctx ends: one line that is written over on a terminal, else a line a second.
// A snapshot that is nil is waited for.
func Progress(ctx context.Context, w io.Writer, snapshot func() *bench.Snapshot, o Options) {
	if file, ok := w.(*os.File); ok && !o.Plain && term.IsTerminal(int(file.Fd())) {
		frames(ctx, w, snapshot, func() int { return terminalWidth(file) })
		return
	}
	every(ctx, linePace, snapshot, func(s *bench.Snapshot) { fmt.Fprintln(w, Line(s, 0)) })
}

// frames writes every frame over the one before, and leaves nothing behind. The last column stays free, since a cursor
// behind it would be on the next line of some terminals.
func frames(ctx context.Context, w io.Writer, snapshot func() *bench.Snapshot, width func() int) {
	defer fmt.Fprint(w, "\r"+eraseLine)
	every(ctx, framePace, snapshot, func(s *bench.Snapshot) { fmt.Fprint(w, "\r"+Line(s, width()-1)+eraseLine) })
}

const eraseLine = "\x1b[K" // from the cursor to the end

// every shows the snapshot at a pace, once there is one.
func every(ctx context.Context, pace time.Duration, snapshot func() *bench.Snapshot, show func(*bench.Snapshot)) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if s := snapshot(); s != nil {
				show(s)
			}
		}
	}
}

// terminalWidth is the width of a terminal in columns, 80 where it doesn't say.
func terminalWidth(terminal *os.File) int {
	width, _, err := term.GetSize(int(terminal.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// leastError is in how many columns the beginning of an error still says something.
const leastError = 12

// Line says in one line how a run stands, in at most width columns; 0 for as many as it takes. What matters most comes
// first, since a narrow terminal doesn't show what comes last. Figures are left out and not cut: half of one is another one.
func Line(s *bench.Snapshot, width int) string {
	count := func(n uint64) string { return report.Scale(float64(n), bench.Number) }
	line := fmt.Sprintf("%6s %s", elapsed(s.At), phaseText(s))
	if width > 0 {
		line = ansi.Truncate(line, width, "…")
	}
	left := func() int { return width - ansi.StringWidth(line) }
	full := false
	add := func(gap, part string) {
		if full = full || width > 0 && ansi.StringWidth(gap+part) > left(); !full {
			line += gap + part
		}
	}
	running := s.Phase == bench.PhaseRamp || s.Phase == bench.PhaseMeasure
	if running {
		add("  ", fmt.Sprintf("%s/%s open", count(uint64(s.Open)), count(uint64(s.Planned))))
	}
	if started := s.Count(bench.StreamsStarted); started > 0 {
		add("  ", fmt.Sprintf("%s/%s done", count(s.Count(bench.StreamsDone)), count(started)))
		if failed := s.Count(bench.StreamsFailed); failed > 0 {
			add("  ", count(failed)+" failed")
		}
	}
	if lost := s.Count(bench.Lost); lost > 0 {
		add("  ", count(lost)+" lost")
	}
	errors := s.Count(bench.ConnectErrors) + s.Count(bench.Drops)
	if errors > 0 {
		add("  ", count(errors)+" errors")
	}
	if running {
		add("  ", report.Scale(s.Rate, bench.PerSecond))
	}
	if q := s.Quantiles; q.Samples > 0 {
		add("  ", fmt.Sprintf("%s p50 %s", s.Headline, report.Scale(float64(q.P50), bench.Nanoseconds)))
		if q.Samples >= bench.SamplesFor(.99) {
			add(" ", "p99 "+report.Scale(float64(q.P99), bench.Nanoseconds))
		}
	}
	add("  ", count(s.Count(bench.Received))+" received")
	if errors > 0 && s.LastError != "" {
		why := report.Plain(s.LastError)
		if width > 0 && left()-2 >= leastError {
			why = ansi.Truncate(why, left()-2, "…")
		}
		add("  ", why)
	}
	return line
}

// phaseText says where a run stands. Before the window there may be nothing left to connect.
func phaseText(s *bench.Snapshot) string {
	if s.Phase == bench.PhaseRamp && (s.Open >= s.Planned && s.Planned > 0 || s.Count(bench.StreamsStarted) > 0) {
		return "warming up"
	}
	return string(s.Phase)
}

// elapsed is a time in whole seconds, and in minutes or hours where it is long.
func elapsed(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return report.Scale(float64(d), bench.Nanoseconds)
}
