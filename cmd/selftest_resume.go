package cmd

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// resumeServers are the ways in which the reference server resumes a stream: as it should, and wrong.
var resumeServers = [...]struct {
	flags string
	fault bench.ResumeFault
	right bool
}{
	{"--replay 1000", 0, true},
	{"--replay 5", bench.Horizon, false},
	{"--fault resume=gap-head", bench.GapHead, false},
	{"--fault resume=gap-seam", bench.GapSeam, false},
	{"--fault resume=dup-seam", bench.DupSeam, false},
	{"--fault resume=overlap", bench.Overlap, false},
	{"--fault resume=restart-from-zero", bench.RestartFromZero, false},
	{"--fault resume=ignored", bench.Ignored, false},
	{"--fault resume=reordered", bench.OutOfSequence, false},
	{"--fault resume=foreign-id", bench.ForeignID, false},
}

// resumeProtocols are the streams of each of them.
var resumeProtocols = [...]struct{ name, path string }{{"sse", "/sse"}, {"ws", "/ws"}}

// A resumed is what a run made of the resumes of one server over one protocol.
type resumed struct {
	protocol, server string
	right            bool
	fault            bench.ResumeFault
	result           *bench.Result
	unfit            *bench.Warning
}

const (
	fewestResumes = 5 // of each server, at least, to say anything of it

	// slowest is how long opening a stream again may take. The shortest replay, of 5 events at the scene's rate, is of
	// 250 ms: one that is all published while its stream is being opened can't be told from none.
	slowest = 200 * time.Millisecond
)

func resume(bool) scene {
	return scene{
		what:   fmt.Sprintf("%d servers hang up and resume streams, each in another way, of which one is right", len(resumeServers)),
		server: "--rate 20 --fault hangup@30", connections: 5, duration: 5 * time.Second, hangups: true,
	}
}

// runResume measures all servers at once, over both protocols: they have little to do.
func runResume(ctx context.Context, s scene) (*evidence, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := &evidence{scene: s, resumed: make([]resumed, len(resumeServers)*len(resumeProtocols))}
	var all sync.WaitGroup
	for i, how := range resumeServers {
		child, err := startChild(ctx, s.server+" "+how.flags) // one after another, so that not all hang up at once
		if err != nil {
			cancel(err)
			break
		}
		all.Go(func() {
			defer child.stop()
			var both sync.WaitGroup
			for j, protocol := range resumeProtocols {
				both.Go(func() {
					r := &e.resumed[i*len(resumeProtocols)+j]
					*r = resumed{protocol: protocol.name, server: how.flags, right: how.right, fault: how.fault}
					if err := s.resume(ctx, child.url, protocol.path, r); err != nil {
						cancel(err)
					}
				})
			}
			both.Wait()
		})
	}
	all.Wait()
	return e, context.Cause(ctx)
}

// resume makes the run of one server over one protocol.
func (s scene) resume(ctx context.Context, base, path string, r *resumed) error {
	s.path = path
	plan, stop := s.plan(base)
	defer stop()
	plan.Backoff = client.Backoff{Policy: client.Fixed, Base: 800 * time.Millisecond}
	runner := &bench.Runner{Plan: plan, Dialer: s.dialers(base)}
	var err error
	if r.result, err = runner.Run(ctx); err != nil {
		return err
	}
	if r.unfit = s.unfit(r.result); r.unfit == nil {
		r.unfit = r.slow()
	}
	return nil
}

// slow says that a stream took too long to be opened again; nil if none did.
func (r *resumed) slow() *bench.Warning {
	took := r.result.Histogram(bench.Reconnect)
	if took == nil || bench.Most(took) <= int64(slowest) {
		return nil
	}
	return &bench.Warning{Text: fmt.Sprintf("%s: a stream took %s to be opened again", r.server, report.Scale(float64(bench.Most(took)), bench.Nanoseconds)), Advice: calm}
}

// judgeResume holds what was said of every resume against what its server does: the fault that is its own, and no other.
func judgeResume(e *evidence) []figure {
	var list []figure
	for _, protocol := range resumeProtocols {
		f := figure{name: protocol.name, unit: bench.Number}
		var mistaken []string
		var why *bench.Warning
		for _, r := range e.resumed {
			if r.protocol != protocol.name {
				continue
			}
			if r.unfit != nil {
				why = r.unfit
				continue
			}
			judged, right := r.told()
			f.injected, f.recovered = exactly(f.injected.Low+int64(judged)), exactly(f.recovered.Low+int64(right))
			switch {
			case judged != right:
				mistaken = append(mistaken, fmt.Sprintf("%s (%d of %d)", r.server, judged-right, judged))
			case judged < fewestResumes:
				why = &bench.Warning{Text: fmt.Sprintf("%s: only %d resumes could be judged", r.server, judged), Advice: calm}
			}
		}
		switch f.judge(); {
		case f.outcome == wrong:
			f.reason = "resumes were mistaken of " + strings.Join(mistaken, ", ")
		case why != nil:
			f.refuse(*why)
		}
		list = append(list, f)
	}
	return list
}

// told gives how many resumes of a server were judged, and of how many its fault was told and no other.
func (r *resumed) told() (judged, right uint64) {
	x := r.result.Resumption
	if x == nil {
		return 0, 0
	}
	if r.right {
		return x.Judged, x.Correct
	}
	right = x.Faults[r.fault]
	for _, f := range bench.ResumeFaults() {
		if f != r.fault {
			right -= min(right, x.Faults[f])
		}
	}
	return x.Judged, right
}
