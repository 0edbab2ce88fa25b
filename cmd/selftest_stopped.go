package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// errNotHere is why a row can't be made on any host of this kind.
var errNotHere = errors.New("not on this system: it can't stop a process and let it go on")

const (
	// stopAfter is when the tester is stopped, after it was started: in the midst of the shortest window.
	stopAfter = 2 * time.Second
	// stoppedLimit is how much longer than its window the tester may take.
	stoppedLimit  = 60 * time.Second
	maxComplaints = 64 << 10
)

// runStopped has a second rtbench measure the reference server, and stops that for a while.
func runStopped(ctx context.Context, s scene) (*evidence, error) {
	if !canStop {
		return nil, errNotHere
	}
	server, err := startChild(ctx, s.server)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.duration+stoppedLimit)
	defer cancel()
	tester := exec.CommandContext(ctx, program, "sse", server.url+s.path, "--json", "--quiet",
		"--connections", strconv.Itoa(s.connections), "--duration", s.duration.String())
	tester.Env = withoutVariables(os.Environ())
	tester.SysProcAttr = ownGroup()
	var out bytes.Buffer
	complaints := &bounded{left: maxComplaints}
	tester.Stdout, tester.Stderr = &out, complaints
	if err := tester.Start(); err != nil {
		return nil, err
	}
	from, until, stopErr := interruptFor(ctx, tester.Process, s.stop)
	if err := tester.Wait(); err != nil {
		return nil, fmt.Errorf("the tester: %w: %s", err, oneLine(complaints.String()))
	}
	if stopErr != nil {
		return nil, fmt.Errorf("stopping the tester: %w", stopErr)
	}
	run, err := report.Read(&out)
	if err != nil {
		return nil, err
	}
	e := &evidence{scene: s, result: run.Result}
	if e.unfit = s.unfit(run.Result); e.unfit == nil && !spans(run.Result, from, until) {
		e.unfit = &bench.Warning{Text: "the tester was not yet, or no longer, measuring when it was stopped", Advice: calm}
	}
	return e, nil
}

// spans reports whether the measured window of a result holds the time between two.
func spans(r *bench.Result, from, until time.Time) bool {
	return !from.Before(r.Start.Add(r.Begin)) && !until.After(r.Start.Add(r.End))
}

// interruptFor stops a process for so long in the midst of what it does, and says when that was. It lets it go on in any case.
func interruptFor(ctx context.Context, p *os.Process, length time.Duration) (from, until time.Time, err error) {
	wait := func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	wait(stopAfter)
	from = time.Now()
	err = stopProcess(p)
	wait(length)
	err = errors.Join(err, continueProcess(p))
	return from, time.Now(), err
}

// verdict is what the stopped tester says of its headline.
func verdict(e *evidence) string {
	m, _ := e.result.Headline()
	return fmt.Sprintf("its verdict on p99 of %s: %s", m, e.result.Estimate(m, .99).Verdict)
}
