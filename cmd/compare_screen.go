package cmd

import (
	"context"
	"fmt"
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
	state *tui.Comparing // replaced as a whole
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
		err := tui.Compare(watching, c.board.pull, tui.Screen{In: in, Out: out, NoColor: c.flags.output.noColor || noColor(), Title: title, Interrupt: std.signals.interrupt, Leaving: std.signals.leaving})
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
		c.board.change(func(s *tui.Comparing) { s.Proved, s.Proofs = done, of })
	}
}

// paired tells how the comparison stands after another pair.
func (c *comparing) paired() {
	if c.board == nil {
		return
	}
	n := min(len(c.fit[0]), len(c.fit[1]))
	contrasts := report.Contrasts(c.fit[0][:n], c.fit[1][:n], c.alpha())
	var pairs [][2]*bench.Result
	for i := range n {
		pairs = append(pairs, [2]*bench.Result{c.fit[0][i], c.fit[1][i]})
	}
	c.board.change(func(s *tui.Comparing) { s.Contrasts, s.Pairs = contrasts, pairs })
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
