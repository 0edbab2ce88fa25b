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
	"strings"
	"time"

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
	_, live := terminalWidth(w)
	pace := linePace
	if live = live && !o.Plain; live {
		pace = framePace
		defer fmt.Fprint(w, "\r\x1b[K")
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s := snapshot()
		switch {
		case s == nil:
		case live:
			width, _ := terminalWidth(w)
			fmt.Fprint(w, "\r"+Line(s, width-1)+"\x1b[K")
		default:
			fmt.Fprintln(w, Line(s, 0))
		}
	}
}

// terminalWidth is the width of the terminal that w is; ok is false where it is none.
func terminalWidth(w io.Writer) (width int, ok bool) {
	file, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return width, err == nil
}

// Line says in one line how a run stands, in at most width columns; 0 for as many as it takes.
func Line(s *bench.Snapshot, width int) string {
	parts := []string{fmt.Sprintf("%4.0fs %s", s.At.Seconds(), s.Phase)}
	count := func(n uint64) string { return report.Scale(float64(n), bench.Number) }
	switch s.Phase {
	case bench.PhaseRamp, bench.PhaseMeasure:
		parts = append(parts, fmt.Sprintf("%s/%s open", count(uint64(s.Open)), count(uint64(s.Planned))),
			report.Scale(s.Rate, bench.PerSecond))
	}
	parts = append(parts, count(s.Count(bench.Received))+" received")
	if q := s.Quantiles; q.Samples > 0 {
		figures := fmt.Sprintf("%s p50 %s", s.Headline, report.Scale(float64(q.P50), bench.Nanoseconds))
		if q.Samples >= bench.SamplesFor(.99) {
			figures += " p99 " + report.Scale(float64(q.P99), bench.Nanoseconds)
		}
		parts = append(parts, figures)
	}
	if lost := s.Count(bench.Lost); lost > 0 {
		parts = append(parts, count(lost)+" lost")
	}
	if errors := s.Count(bench.ConnectErrors) + s.Count(bench.Drops); errors > 0 {
		parts = append(parts, count(errors)+" errors: "+report.Plain(s.LastError))
	}
	line := strings.Join(parts, "  ")
	if runes := []rune(line); width > 0 && len(runes) > width {
		line = string(runes[:width-1]) + "…"
	}
	return line
}
