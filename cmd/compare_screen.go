package cmd

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/tui"
)

// A board is what the screen shows of a comparison. Safe for concurrent use.
type board struct {
	began time.Time

	mu    sync.Mutex
	state *tui.Comparing     // replaced as a whole
	soFar *report.Comparison // the report so far, likewise; nil before there is a pair
}

// change has the screen show something else from now on.
func (b *board) change(how func(*tui.Comparing)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := *b.state
	how(&next)
	b.state = &next
}

// pull gives what is to be shown.
func (b *board) pull() *tui.Comparing {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := *b.state
	now.Elapsed = time.Since(b.began)
	return &now
}

// keep keeps the report so far.
func (b *board) keep(soFar *report.Comparison) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.soFar = soFar
}

// write writes the report so far to a file, whose ending says the format.
func (b *board) write(path string, over bool) (said string, err error) {
	b.mu.Lock()
	m := &made{compared: b.soFar}
	b.mu.Unlock()
	return m.write(path, over)
}

// showing shows how the comparison goes, on the whole screen where there is one. stop ends that.
func (c *comparing) showing(std streams) (stop func()) {
	in, out, ok := c.flags.output.terminal(std)
	if !ok || c.flags.output.quiet {
		return func() {}
	}
	title := std.titled(c.sides[0].name + " against " + c.sides[1].name)
	c.board = &board{began: time.Now(), state: &tui.Comparing{Title: title, Sides: [2]string{c.sides[0].name, c.sides[1].name}, Planned: 2 * c.flags.planned().n, Now: "the first trial"}}
	watching, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		contest := tui.Contest{Pull: c.board.pull, Write: c.board.write, Ends: endings(report.ComparisonFormats())}
		err := tui.Compare(watching, contest, tui.Screen{In: in, Out: out, NoColor: c.flags.output.noColor || noColor(), Title: title, Interrupt: std.signals.interrupt, Leaving: std.signals.leaving})
		if err != nil {
			fmt.Fprintln(std.err, "rtbench:", oneLine(err.Error()))
		}
	}()
	return func() {
		end()
		<-done
	}
}

// begins tells what is measured now.
func (c *comparing) begins(format string, args ...any) {
	if c.board != nil {
		since := time.Since(c.board.began)
		c.board.change(func(s *tui.Comparing) { s.Now, s.Since = fmt.Sprintf(format, args...), since })
	}
}

// proving tells how much has been measured of what is besides the pairs.
func (c *comparing) proving(done, of int) {
	if c.board != nil {
		c.board.keep(c.soFar())
		c.board.change(func(s *tui.Comparing) { s.Proved, s.Proofs = done, of })
	}
}

// paired tells how the comparison stands after another pair.
func (c *comparing) paired() {
	if c.board == nil {
		return
	}
	soFar := c.soFar()
	var pairs [][2]*bench.Result
	for i := range min(len(c.fit[0]), len(c.fit[1])) {
		pairs = append(pairs, [2]*bench.Result{c.fit[0][i], c.fit[1][i]})
	}
	c.board.keep(soFar)
	c.board.change(func(s *tui.Comparing) { s.Contrasts, s.Pairs = soFar.Contrasts, pairs })
}

// soFar is the report that there would be if the comparison were interrupted now.
func (c *comparing) soFar() *report.Comparison {
	now := *c
	now.result.Doubts, now.result.Warnings = slices.Clone(now.result.Doubts), slices.Clone(now.result.Warnings) // which it adds to
	now.conclude(true, nil)
	return &now.result
}

// say tells a line of progress, on the screen where there is one.
func (c *comparing) say(news bool, text string) {
	switch {
	case c.flags.output.quiet:
	case c.board == nil:
		fmt.Fprintln(c.std.err, report.Plain(text))
	case news:
		c.board.change(func(s *tui.Comparing) { s.Said = append(s.Said[:len(s.Said):len(s.Said)], text) })
	}
}
