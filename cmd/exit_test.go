package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// precedence is the order of the exit codes, as it is documented: 2 before 1 before signals before 95, 99 and 96.
var precedence = []exit{2, 1, 130, 143, 95, 99, 96, 0}

func TestWorst(t *testing.T) {
	for i, first := range precedence {
		for _, second := range precedence[i:] {
			if a, b := worst(first, second), worst(second, first); a != first || b != first {
				t.Errorf("of %d and %d: %d and %d", first, second, a, b)
			}
		}
	}
	if got := worst(0, 96, 99, 95, 143, 1); got != 1 {
		t.Errorf("of many: %d", got)
	}
	if worst() != exitPassed {
		t.Error("of none")
	}
	if len(exits) != len(precedence) {
		t.Errorf("there are %d exit codes", len(exits))
	}
	for i, row := range exits {
		if row.code != precedence[i] || row.sentence == "" {
			t.Errorf("row %d: %v", i, row)
		}
	}
}

func TestExitOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want exit
	}{
		{nil, exitPassed},
		{errors.New("cobra complains"), exitUsage},
		{usage(errors.New("x"), "y"), exitUsage},
		{fmt.Errorf("wrapped: %w", &failure{exitThreshold, errors.New("x"), ""}), exitThreshold},
		{&failure{code: exitInterrupt}, exitInterrupt},
	} {
		if got := exitOf(test.err); got != test.want {
			t.Errorf("%v: %d, want %d", test.err, got, test.want)
		}
	}
	if exitOfSignal(os.Interrupt) != exitInterrupt || exitOfSignal(syscall.SIGTERM) != exitTerminate {
		t.Error("a signal has the wrong code")
	}
}

func TestPrintError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("unknown"), "rtbench: unknown\n"},
		{usage(errors.New("a\n\tb"), "try %s", "c"), "rtbench: a b (try c)\n"},
		{&failure{exitFailed, errors.New("\x1b[2J\u202e"), ""}, "rtbench: \\x1b[2J\\u202e\n"},
		{&failure{code: exitInterrupt}, ""},
		{errors.New(strings.Repeat("long ", 1000)), "rtbench: " + strings.Repeat("long ", 399) + "long…\n"},
	} {
		var b strings.Builder
		printError(&b, test.err)
		if b.String() != test.want {
			t.Errorf("%q, want %q", b.String(), test.want)
		}
	}
}

// TestVerdict holds the code, and the one line beside it, against every reason there can be, alone and together.
func TestVerdict(t *testing.T) {
	threshold, err := bench.ParseThreshold("p99(delivery) < 1s")
	if err != nil {
		t.Fatal(err)
	}
	failed := bench.Judgement{Threshold: threshold, Figure: bench.Figure{Value: 2e9}}
	unknown := bench.Judgement{Threshold: threshold, Figure: bench.Figure{Unknown: "there are no samples"}}
	doubt := bench.Warning{Text: "the load was not the one asked for", Advice: "lower --rate"}
	refused := bench.ErrorGroup{Class: client.ClassRefused}
	stopped, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{os.Interrupt})
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{syscall.SIGTERM})
	finished, cancel := context.WithCancelCause(t.Context())
	cancel(nil)

	for _, test := range []struct {
		name    string
		ctx     context.Context
		result  bench.Result
		strict  bool
		written error
		code    exit
		said    string
	}{
		{name: "passed", ctx: finished, code: exitPassed},
		{name: "held", result: bench.Result{Judgements: []bench.Judgement{{Threshold: threshold, Passed: true}}}, code: exitPassed},
		{name: "threshold", result: bench.Result{Judgements: []bench.Judgement{failed}}, code: exitThreshold,
			said: "threshold failed: p99(delivery) < 1s: it is 2.00 s"},
		{name: "unknown", result: bench.Result{Judgements: []bench.Judgement{unknown}}, code: exitThreshold,
			said: "threshold failed: p99(delivery) < 1s: there are no samples"},
		{name: "two thresholds", result: bench.Result{Judgements: []bench.Judgement{failed, unknown}}, code: exitThreshold,
			said: "2 thresholds failed: p99(delivery) < 1s: it is 2.00 s; p99(delivery) < 1s: there are no samples"},
		{name: "doubts", result: bench.Result{Verdict: bench.NoVerdict, Doubts: []bench.Warning{doubt}}, code: exitPassed},
		{name: "doubts, strict", strict: true, result: bench.Result{Verdict: bench.NoVerdict, Doubts: []bench.Warning{doubt}, Judgements: []bench.Judgement{failed}},
			code: exitUntrusted, said: "the result is not to be trusted: the load was not the one asked for; and threshold failed: p99(delivery) < 1s: it is 2.00 s (lower --rate)"},
		{name: "saturated", result: bench.Result{Verdict: bench.Saturated}, code: exitPassed},
		{name: "saturated, strict", strict: true, result: bench.Result{Verdict: bench.Saturated, Peak: 200, Health: bench.Health{Stalled: time.Second / 2}},
			code: exitUntrusted, said: "the result is not to be trusted: the tester was too slow to tell when events arrived: it stood still for 500 ms in all (use fewer connections than 200, or give the tester processors (taskset) or a machine of its own)"},
		{name: "a saturated threshold, strict", strict: true, result: bench.Result{Verdict: bench.Trusted, Health: bench.Health{Shared: .02},
			Judgements: []bench.Judgement{{Threshold: threshold, Figure: bench.Figure{Verdict: bench.Saturated}, Passed: true}}},
			code: exitUntrusted, said: "the result is not to be trusted: p99(delivery) < 1s: the tester was too slow to tell when events arrived: 2.00% of the events shared a read with others (does the server, or a proxy on the way, send several at once? Else give the tester processors (taskset) or a machine of its own)"},
		{name: "trusted, strict", strict: true, result: bench.Result{Verdict: bench.Bounded, Judgements: []bench.Judgement{{Threshold: threshold, Passed: true}}}, code: exitPassed},
		{name: "some never came", result: bench.Result{Judgements: []bench.Judgement{{Threshold: threshold, Figure: bench.Figure{Value: 5e9, AtLeast: true}}}}, code: exitThreshold,
			said: "threshold failed: p99(delivery) < 1s: some never came, and it is at least 5.00 s"},
		{name: "between two clocks", result: bench.Result{Judgements: []bench.Judgement{{Threshold: threshold, Figure: bench.Figure{Value: 9e8, Low: 7e8, High: 11e8}}}}, code: exitThreshold,
			said: "threshold failed: p99(delivery) < 1s: it is between 700 ms and 1.10 s"},
		{name: "interrupted", ctx: stopped, strict: true, result: bench.Result{Verdict: bench.NoVerdict, Doubts: []bench.Warning{doubt}, Judgements: []bench.Judgement{failed}}, code: exitInterrupt},
		{name: "terminated", ctx: ended, code: exitTerminate},
		{name: "failed", ctx: stopped, result: bench.Result{Failure: "nothing ever connected: x", Errors: []bench.ErrorGroup{refused}, Judgements: []bench.Judgement{failed}},
			code: exitFailed, said: "nothing ever connected: x (is the server running, and is the port right?)"},
		{name: "nothing could be published", result: unheard(), code: exitFailed,
			said: "nothing could be published: HTTP status 401 (--publish-header sends what the publish URL asks for; -H and --bearer don't go there)"},
		{name: "failed without an error", result: bench.Result{Failure: "nothing ever connected"},
			code: exitFailed, said: "nothing ever connected (no attempt had been answered when the run ended; `--debug` shows one of them)"},
		{name: "not written", result: bench.Result{Judgements: []bench.Judgement{failed}}, written: errors.New("writing the report: disk full"),
			code: exitFailed, said: "writing the report: disk full (the report is on stderr)"},
	} {
		ctx := test.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		f := &loadFlags{strict: test.strict}
		err := f.verdict(ctx, protocols[0], report.Run{Result: &test.result}, test.written)
		var said strings.Builder
		if err != nil {
			printError(&said, err)
		}
		if got := strings.TrimSuffix(strings.TrimPrefix(said.String(), "rtbench: "), "\n"); exitOf(err) != test.code || got != test.said {
			t.Errorf("%s: %d, %q; want %d, %q", test.name, exitOf(err), got, test.code, test.said)
		}
	}
}

// unheard is a run all of whose messages were refused; what dropped connections say is not why.
func unheard() bench.Result {
	r := bench.Result{Errors: []bench.ErrorGroup{{Class: client.ClassEOF, Key: "eof", Count: 30},
		{Class: client.ClassStatus, Code: 401, Key: "publish status 401", Count: 20, Text: "HTTP status 401"}}}
	for m, n := range map[bench.Metric]uint64{bench.Due: 20, bench.Sent: 18, bench.Unsent: 2, bench.PublishErrors: 20} {
		r.Counts[int(m)-len(bench.Timings())] = n
	}
	r.Failure = nothingPublished(&r)
	return r
}

// A message that was accepted, or seen, is enough.
func TestNothingPublished(t *testing.T) {
	accepted, seen, sent := unheard(), unheard(), unheard()
	accepted.Counts[int(bench.PublishErrors)-len(bench.Timings())] = 17
	seen.Histograms[bench.Delivery] = bench.NewHistogram()
	sent.Errors = sent.Errors[:1]
	for _, r := range []*bench.Result{{}, &accepted, &seen, &sent} {
		if why := nothingPublished(r); why != "" {
			t.Errorf("%v: %s", r.Counts, why)
		}
	}
}

func TestHostCheck(t *testing.T) {
	for _, test := range []struct {
		host        host
		connections int
		sources     int
		want        string
	}{
		{host{files: 1024, ports: 28232}, 974, 0, ""},
		{host{files: 1024, ports: 28232}, 975, 0, "975 connections need 1025 open files, but this process may have 1024 " +
			"(--connections 974 would work; for more, raise the hard limit: as root, `ulimit -n 1025`)"},
		{host{files: 40, ports: 28232}, 5, 0, "5 connections need 55 open files, but this process may have 40 " +
			"(--connections 1 would work; for more, raise the hard limit: as root, `ulimit -n 55`)"},
		{host{files: 1 << 20, ports: 28232}, 28232, 1, ""},
		{host{files: 1 << 20, ports: 28232}, 30_000, 0, "30000 connections to one server need as many local ports, but there are 28232 " +
			"(--connections 28232 would work; for more, add a --source-ip (28232 each) or widen the port range)"},
		{host{files: 1 << 20, ports: 28232}, 60_000, 2, "60000 connections to one server need as many local ports, but there are 56464 " +
			"(--connections 56464 would work; for more, add a --source-ip (28232 each) or widen the port range)"},
		{host{files: 1 << 20, ports: 28232}, 60_000, 3, ""},
		// what would work has to keep both limits
		{host{files: 50_000, ports: 28232}, 60_000, 0, "60000 connections need 60050 open files, but this process may have 50000 " +
			"(--connections 28232 would work; for more, raise the hard limit: as root, `ulimit -n 60050`)"},
		{host{ports: 28232}, 28232, 0, ""},
	} {
		err := test.host.check(test.connections, test.sources)
		var got strings.Builder
		if err != nil {
			printError(&got, err)
		}
		want := test.want
		if want != "" {
			want = "rtbench: " + want + "\n"
		}
		if got.String() != want || err != nil && exitOf(err) != exitUsage {
			t.Errorf("%v, %d connections from %d: %q", test.host, test.connections, test.sources, got.String())
		}
	}
	if here := thisHost(); here.files < 0 || here.ports < 1000 {
		t.Errorf("this host has %v", here)
	}
}
