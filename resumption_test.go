package main

import (
	"sync"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/server"
)

// TestResumptionOverSockets breaks connections off in every way, at ten servers that resume streams each in another way,
// over both protocols: what is told of every resume is what its server does, and nothing else.
func TestResumptionOverSockets(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, how := range []struct {
		fault  string // of the server; "" for none
		replay int
		want   bench.ResumeFault
	}{
		{"", 1000, 0}, {"", 16, bench.Horizon},
		{"resume=gap-head", 1000, bench.GapHead}, {"resume=gap-seam", 1000, bench.GapSeam}, {"resume=dup-seam", 1000, bench.DupSeam},
		{"resume=overlap", 1000, bench.Overlap}, {"resume=restart-from-zero", 1000, bench.RestartFromZero}, {"resume=ignored", 1000, bench.Ignored},
		{"resume=reordered", 1000, bench.OutOfSequence}, {"resume=foreign-id", 1000, bench.ForeignID},
	} {
		options := server.Options{Rate: 40, Replay: how.replay}
		if how.fault != "" {
			fault, err := server.ParseFault(how.fault)
			if err != nil {
				t.Fatal(err)
			}
			options.Faults = []server.Fault{fault}
		}
		for _, protocol := range []string{"sse", "ws"} {
			all.Go(func() {
				base, stop := serving(t, options)
				defer stop()
				checkResumes(t, protocol+" "+how.fault, runResumes(t, base, protocol), how.want, how.fault == "" && how.replay == 1000)
			})
		}
	}
}

// runResumes breaks some of the connections off three times, each time in another way.
func runResumes(t *testing.T, base, protocol string) *bench.Result {
	const connections = 8
	shared := &client.Net{Idle: 400 * time.Millisecond}
	dialers := dialing(t, base, protocol, shared, make([]received, connections))
	breakage := func(how client.Break, at time.Duration) bench.Breakage {
		return bench.Breakage{How: how, Share: .4, At: at}
	}
	runner := &bench.Runner{
		Plan: bench.Plan{
			Stages: []bench.Stage{{Target: connections}}, Duration: 6500 * time.Millisecond, Warmup: 500 * time.Millisecond,
			Backoff:   client.Backoff{Policy: client.Fixed, Base: 700 * time.Millisecond}, // for longer than the least buffer lasts, of which opening a stream on a busy host is a part
			Breakages: []bench.Breakage{breakage(client.BreakFIN, 300*time.Millisecond), breakage(client.BreakRST, 2200*time.Millisecond), breakage(client.BreakBlackhole, 4*time.Second)},
		},
		Dialer: dialers,
	}
	result, err := runner.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	return result
}

func checkResumes(t *testing.T, what string, result *bench.Result, want bench.ResumeFault, right bool) {
	if result == nil || result.Resumption == nil || result.Resumption.Judged < 4 || result.Resumption.Judged+result.Resumption.Cut < 8 {
		t.Errorf("%s: too few resumes", what)
		if result != nil {
			t.Logf("%+v", result.Resumption)
		}
		return
	}
	r := result.Resumption
	if right {
		if r.Correct != r.Judged || r.Verdict != bench.ExactlyOnce {
			t.Errorf("%s: %+v", what, r)
		}
		return
	}
	for _, fault := range bench.ResumeFaults() {
		if n := r.Faults[fault]; fault == want && n != r.Judged || fault != want && n != 0 {
			t.Errorf("%s: %s: %d of %d", what, fault, n, r.Judged)
		}
	}
}
