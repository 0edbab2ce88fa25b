package cmd

import (
	"context"
	"fmt"
	"os"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/tui"
)

// measure makes the run, and shows beside it how it goes. title says what is run.
func (f *loadFlags) measure(ctx context.Context, std streams, runner *bench.Runner, title string, t *target) (*bench.Result, error) {
	if f.quiet {
		return runner.Run(ctx)
	}
	watching, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.show(watching, std, runner, title, t)
	}()
	defer func() {
		stop()
		<-done
	}()
	return runner.Run(ctx)
}

// show shows how a run goes: on the whole screen where there is one, else as lines. The display must not take the measurement
// with it.
func (f *loadFlags) show(ctx context.Context, std streams, runner *bench.Runner, title string, t *target) {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Fprintln(std.err, "rtbench: the progress display failed:", oneLine(fmt.Sprint(problem)))
		}
	}()
	if in, out, ok := f.terminal(std); ok {
		err := tui.Live(ctx, runner, tui.Screen{
			In: in, Out: out, NoColor: f.noColor || noColor(), Title: std.titled(title), Level: runner.Plan.Level(),
			Allow:     func(connections int) error { return thisHost().check(connections, len(t.net.Sources)) },
			Hide:      t.secrets.Hide,
			Interrupt: std.signals.interrupt, Leaving: std.signals.leaving,
		})
		if err == nil {
			return
		}
		fmt.Fprintln(std.err, "rtbench:", oneLine(err.Error()))
	}
	tui.Progress(ctx, std.err, runner.Snapshot, tui.Options{Plain: f.noTUI})
}

// terminal gives what a screen can be shown on: the terminal that stdin, stdout and stderr are.
func (f *loadFlags) terminal(std streams) (in, out *os.File, ok bool) {
	if f.noTUI || std.signals == nil {
		return nil, nil, false
	}
	in, hasIn := std.in.(*os.File)
	stdout, hasOut := std.out.(*os.File)
	out, hasErr := std.err.(*os.File)
	return in, out, hasIn && hasOut && hasErr && tui.Fits(in, stdout) && tui.Fits(in, out)
}
