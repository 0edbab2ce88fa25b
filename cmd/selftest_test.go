package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/server"
)

// madeUp is the evidence of a run that delivered something after each of these times, and gave every quantile of it the
// same verdict; in truth it took that, or as much longer as shift says.
func madeUp(verdict bench.Verdict, shift time.Duration, took ...time.Duration) *evidence {
	e := &evidence{result: &bench.Result{Estimates: map[bench.Metric][]bench.Estimate{}}}
	h := bench.NewHistogram()
	for _, d := range took {
		if err := h.RecordValue(int64(d)); err != nil {
			panic(err)
		}
		e.before = append(e.before, int64(d+shift))
		e.after = append(e.after, int64(d+shift+5*time.Microsecond))
	}
	e.result.Histograms[bench.Delivery] = h
	for _, q := range bench.Percentiles() {
		v := h.ValueAtQuantile(q * 100)
		e.result.Estimates[bench.Delivery] = append(e.result.Estimates[bench.Delivery], bench.Estimate{Q: q, Value: v, Low: v, High: v, Verdict: verdict})
	}
	return e
}

// evenly is n times, the last one as long as most.
func evenly(n int, most time.Duration) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = most * time.Duration(i+1) / time.Duration(n)
	}
	return list
}

func outcomes(figures []figure) string {
	var texts []string
	for _, f := range figures {
		texts = append(texts, f.name+" "+string(f.outcome))
	}
	return strings.Join(texts, ", ")
}

// reasons joins why figures didn't pass.
func reasons(figures []figure) string {
	var texts []string
	for _, f := range figures {
		if f.reason != "" {
			texts = append(texts, f.reason)
		}
	}
	return strings.Join(slices.Compact(texts), "; ")
}

// A figure that is wrong fails unless its verdict refuses it, and a verdict that refuses lets no figure pass.
func TestJudgeDelivery(t *testing.T) {
	took := evenly(10_000, 10*time.Millisecond)
	const all = "pairs PASSED, p50 PASSED, p99 PASSED, p99.9 PASSED"
	const none = "pairs PASSED, p50 REFUSED, p99 REFUSED, p99.9 REFUSED"
	doubted := madeUp(bench.NoVerdict, 0, took...)
	doubted.result.Doubts = []bench.Warning{{Text: "the clock was set", Advice: "let it settle"}}
	bounded := madeUp(bench.Bounded, -100*time.Microsecond, took...)
	for i := range bounded.result.Estimates[bench.Delivery] {
		bounded.result.Estimates[bench.Delivery][i].Low -= int64(200 * time.Microsecond)
	}
	dropped := madeUp(bench.Trusted, 0, took...)
	dropped.unfit = &bench.Warning{Text: "2 connections dropped"}
	missing := madeUp(bench.Trusted, 0, took...)
	missing.before = append(missing.before, int64(time.Second))
	blurred := madeUp(bench.Trusted, 0, took...)
	for i := range blurred.after {
		blurred.after[i] += int64(time.Millisecond)
	}
	for _, test := range []struct {
		name     string
		evidence *evidence
		want     string
		reason   string
	}{
		{"right", madeUp(bench.Trusted, 0, took...), all, ""},
		{"within 20 µs", madeUp(bench.Trusted, -19*time.Microsecond, took...), all, ""},
		{"too late", madeUp(bench.Trusted, -100*time.Microsecond, took...), "pairs PASSED, p50 FAILED, p99 FAILED, p99.9 FAILED", "the figure is wrong, and its verdict is TRUSTED"},
		{"too early", madeUp(bench.Trusted, 100*time.Microsecond, took...), "pairs PASSED, p50 FAILED, p99 FAILED, p99.9 FAILED", "the figure is wrong, and its verdict is TRUSTED"},
		{"at p50 alone", madeUp(bench.Trusted, -40*time.Microsecond, took...), "pairs PASSED, p50 FAILED, p99 PASSED, p99.9 PASSED", "the figure is wrong, and its verdict is TRUSTED"},
		{"right, and refused", madeUp(bench.Saturated, 0, took...), none, "CLIENT-SATURATED: the tester was too slow to tell when events arrived"},
		{"wrong, and refused", madeUp(bench.Saturated, time.Second, took...), none, "CLIENT-SATURATED: the tester was too slow to tell when events arrived"},
		{"doubted", doubted, none, "NO VERDICT: the clock was set"},
		{"bounded widely", bounded, none, "BOUNDED: the truth is between the two ends, which are further apart than the tolerance"},
		{"bounded, and not there", madeUp(bench.Bounded, time.Millisecond, took...), "pairs PASSED, p50 FAILED, p99 FAILED, p99.9 FAILED", "the figure is wrong, and its verdict is BOUNDED"},
		{"above, as an upper bound", madeUp(bench.UpperBound, -time.Millisecond, took...), none, "UPPER BOUND: it says only that the truth is no worse"},
		{"below an upper bound", madeUp(bench.UpperBound, time.Millisecond, took...), "pairs PASSED, p50 FAILED, p99 FAILED, p99.9 FAILED", "the figure is wrong, and its verdict is UPPER BOUND"},
		{"nobody knows so well", blurred, none, "the server's own record knows the truth no better than to 1.00 ms, which is more than the tolerance"},
		{"few samples", madeUp(bench.Trusted, 0, evenly(400, time.Second)...), "pairs PASSED, p50 PASSED, p99 PASSED, p99.9 REFUSED", "400 samples, of the 3688 that it needs"},
		{"a pair is missing", missing, "pairs FAILED, p50 PASSED, p99 PASSED, p99.9 PASSED", "the figure is wrong, and nothing says so"},
		{"another run", dropped, "pairs REFUSED, p50 REFUSED, p99 REFUSED, p99.9 REFUSED", "2 connections dropped"},
		{"nothing", &evidence{result: &bench.Result{}}, none, "0 samples, of the 6 that it needs; 0 samples, of the 368 that it needs; 0 samples, of the 3688 that it needs"},
	} {
		figures := judgeDelivery(test.evidence)
		if got := outcomes(figures); got != test.want || reasons(figures) != test.reason {
			t.Errorf("%s: %s (%s); want %s (%s)", test.name, got, reasons(figures), test.want, test.reason)
		}
		if test.name == "few samples" && figures[3].advice == "" {
			t.Errorf("%s: refused without advice", test.name)
		}
	}
}

func TestJudgeStall(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name       string
		took, late time.Duration // for which the server held them back, and by which the tester is wrong
		want       outcome
	}{
		{"right", 280 * ms, 0, passed},
		{"a little late", 280 * ms, 5 * ms, passed},
		{"late", 280 * ms, 7 * ms, wrong},
		{"early", 280 * ms, -7 * ms, wrong},
		{"a server that took long to catch up", 310 * ms, 0, passed},
		{"the same, and early", 310 * ms, -30 * ms, wrong},
		{"a server that didn't stall", 200 * ms, 0, wrong},
	} {
		e := madeUp(bench.UpperBound, test.late, slices.Repeat([]time.Duration{test.took}, 1000)...)
		e.result.Estimates[bench.Delivery][4].Verdict = bench.Trusted
		e.stall, e.result.End = 400*ms, 12*time.Second
		if f := judgeStall(e)[0]; f.outcome != test.want || f.reason == "" && test.want == wrong {
			t.Errorf("%s: %s, %q, %v and %v", test.name, f.outcome, f.reason, f.injected, f.recovered)
		}
	}
}

// The accounts of one subscriber, from the runs of ids that were written to it.
func TestAccounts(t *testing.T) {
	for _, test := range []struct {
		name   string
		ranges [][2]uint64
		want   accounts
	}{
		{"all", [][2]uint64{{1, 10}}, accounts{expected: 10}},
		{"from its first on", [][2]uint64{{4, 10}}, accounts{expected: 7}},
		{"lost in the middle and at the end", [][2]uint64{{1, 3}, {5, 8}}, accounts{expected: 10, lost: 3}},
		{"twice", [][2]uint64{{1, 5}, {5, 10}}, accounts{expected: 10, duplicate: 1}},
		{"swapped", [][2]uint64{{1, 4}, {6, 6}, {5, 5}, {7, 10}}, accounts{expected: 10, reordered: 1}},
		{"swapped and twice", [][2]uint64{{1, 4}, {6, 6}, {5, 5}, {5, 5}, {7, 10}}, accounts{expected: 10, reordered: 1, duplicate: 1}},
		{"swapped at the start", [][2]uint64{{3, 3}, {2, 2}, {2, 2}, {4, 10}}, accounts{expected: 8}},
		{"nothing", nil, accounts{}},
	} {
		var got accounts
		if got.add(test.ranges, 10); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func withCounts(counts map[bench.Metric]uint64) *evidence {
	e := &evidence{result: &bench.Result{Planned: 2, Unmeasured: map[bench.Metric]string{}}}
	for m, n := range counts {
		e.result.Counts[m-bench.Counts()[0]] = n
	}
	return e
}

func TestJudgeCounts(t *testing.T) {
	e := withCounts(map[bench.Metric]uint64{bench.Expected: 20, bench.Lost: 1, bench.Reordered: 1})
	e.truth.Subscribers = []server.TruthSubscriber{{Ranges: [][2]uint64{{1, 4}, {6, 6}, {5, 5}, {7, 10}}}, {Ranges: [][2]uint64{{1, 3}, {5, 10}}}}
	if got := outcomes(judgeLoss(e)); got != "expected PASSED, lost PASSED, duplicate PASSED, reordered PASSED" {
		t.Error(got)
	}
	e.result.Counts[bench.Lost-bench.Counts()[0]]++
	e.result.Unmeasured[bench.Reordered] = "there are no ids"
	figures := judgeLoss(e)
	if got := outcomes(figures); got != "expected PASSED, lost FAILED, duplicate PASSED, reordered REFUSED" || reasons(figures) != "the figure is wrong, and nothing says so; not measurable: there are no ids" {
		t.Error(got, reasons(figures))
	}

	e = withCounts(map[bench.Metric]uint64{bench.Expected: 20, bench.Lost: 3, bench.PublishErrors: 1})
	e.truth.Totals = server.TruthTotals{Published: 10, Sent: 17, Rejected: 1}
	if got := outcomes(judgePublish(e)); got != "expected PASSED, lost PASSED, publish_errors PASSED" {
		t.Error(got)
	}
	e.truth.Totals.Rejected, e.truth.Totals.Sent = 2, 18
	if got := outcomes(judgePublish(e)); got != "expected PASSED, lost FAILED, publish_errors FAILED" {
		t.Error(got)
	}
	e.unfit = &bench.Warning{Text: "1 of 2 connections"}
	if got := outcomes(judgePublish(e)); got != "expected REFUSED, lost REFUSED, publish_errors REFUSED" {
		t.Error(got)
	}
}

// A server is told by the fault that is its own, and by no other; a server that few resumes were seen of is refused.
func TestJudgeResume(t *testing.T) {
	told := func(protocol string, fault bench.ResumeFault, judged uint64, faults ...bench.ResumeFault) resumed {
		x := &bench.Resumption{Judged: judged}
		for _, f := range faults {
			x.Faults[f] = judged
		}
		return resumed{protocol: protocol, server: fault.String(), fault: fault, result: &bench.Result{Resumption: x}}
	}
	right := resumed{protocol: "sse", server: "right", right: true, result: &bench.Result{Resumption: &bench.Resumption{Judged: 9, Correct: 9}}}
	almost := right
	almost.result = &bench.Result{Resumption: &bench.Resumption{Judged: 9, Correct: 8}}
	unfit := told("ws", bench.Ignored, 9, bench.GapSeam)
	unfit.unfit = &bench.Warning{Text: "nothing listens"}
	never := resumed{protocol: "ws", server: "never", result: &bench.Result{}}
	slow := told("ws", bench.Ignored, 9, bench.Horizon)
	slow.result.Histograms[bench.Reconnect] = bench.NewHistogram()
	if err := slow.result.Histograms[bench.Reconnect].RecordValue(int64(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	slow.unfit = slow.slow()
	for _, test := range []struct {
		name    string
		resumed []resumed
		want    string
		reason  string
	}{
		{"as injected", []resumed{right, told("sse", bench.GapHead, 9, bench.GapHead), told("ws", bench.GapHead, 9, bench.GapHead)}, "sse PASSED, ws PASSED", ""},
		{"one resume mistaken", []resumed{almost, told("ws", bench.Ignored, 9, bench.Ignored)}, "sse FAILED, ws PASSED", "resumes were mistaken of right (1 of 9)"},
		{"another fault besides", []resumed{right, told("ws", bench.GapSeam, 9, bench.GapSeam, bench.ForeignID)}, "sse PASSED, ws FAILED", "resumes were mistaken of gap-seam (9 of 9)"},
		{"another fault", []resumed{right, told("ws", bench.GapSeam, 9, bench.GapHead)}, "sse PASSED, ws FAILED", "resumes were mistaken of gap-seam (9 of 9)"},
		{"few", []resumed{right, told("ws", bench.GapSeam, 4, bench.GapSeam)}, "sse PASSED, ws REFUSED", "gap-seam: only 4 resumes could be judged"},
		{"few, and another one mistaken", []resumed{right, never, told("ws", bench.GapSeam, 9)}, "sse PASSED, ws FAILED", "resumes were mistaken of gap-seam (9 of 9)"},
		{"streams that took long to be opened", []resumed{right, slow}, "sse PASSED, ws REFUSED", "ignored: a stream took 300 ms to be opened again"},
		{"another run", []resumed{right, unfit}, "sse PASSED, ws REFUSED", "nothing listens"},
	} {
		figures := judgeResume(&evidence{resumed: test.resumed})
		if got := outcomes(figures); got != test.want || reasons(figures) != test.reason {
			t.Errorf("%s: %s (%s); want %s (%s)", test.name, got, reasons(figures), test.want, test.reason)
		}
	}
}

// A wait that is too long is refused where the host was late and the server saw it too, and else it is wrong; one that is
// too short is wrong in any case.
func TestJudgeReconnect(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name          string
		median, other time.Duration
		gap           time.Duration // the longest that the server saw
		scheduler     time.Duration
		bare          time.Duration // by how much a bare timer was late
		want          string
	}{
		{"right", 137 * ms, 138 * ms, 139 * ms, 0, 0, "median PASSED, max PASSED"},
		{"one is late, as the server saw", 137 * ms, 150 * ms, 151 * ms, 0, 0, "median PASSED, max REFUSED"},
		{"one is late, and the server saw nothing of it", 137 * ms, 150 * ms, 140 * ms, 0, 0, "median PASSED, max FAILED"},
		{"all are late", 150 * ms, 150 * ms, 151 * ms, 0, 0, "median FAILED, max FAILED"},
		{"all are late on a busy host", 150 * ms, 150 * ms, 151 * ms, 20 * ms, 0, "median REFUSED, max REFUSED"},
		{"all are late on a busy host, one of them more than the server saw", 150 * ms, 160 * ms, 151 * ms, 20 * ms, 0, "median REFUSED, max FAILED"},
		{"too early", 120 * ms, 120 * ms, 121 * ms, 20 * ms, 20 * ms, "median FAILED, max FAILED"},
		{"one is late, as a bare timer was", 137 * ms, 142 * ms, 143 * ms, 0, 4 * ms, "median PASSED, max REFUSED"},
		{"one is later than a bare timer was, and the server saw nothing of it", 137 * ms, 150 * ms, 140 * ms, 0, 4 * ms, "median PASSED, max FAILED"},
		{"all are late, as a bare timer was", 142 * ms, 142 * ms, 151 * ms, 0, 4 * ms, "median REFUSED, max REFUSED"},
		{"all are late, and a bare timer wasn't", 142 * ms, 142 * ms, 151 * ms, 0, 1 * ms, "median FAILED, max FAILED"},
	} {
		e := &evidence{scene: scene{retry: 137 * ms}, result: &bench.Result{}, late: []int64{int64(test.bare)}}
		h := bench.NewHistogram()
		at := int64(1)
		for i := range 11 {
			d, gap := test.median, test.median
			if i == 10 {
				d, gap = test.other, test.gap
			}
			if err := h.RecordValue(int64(d)); err != nil {
				t.Fatal(err)
			}
			e.truth.Subscribers = append(e.truth.Subscribers, server.TruthSubscriber{N: uint64(i), Client: "a", Opened: at, Closed: at + 5})
			at += 5 + int64(gap)
		}
		e.truth.Subscribers = append(e.truth.Subscribers, server.TruthSubscriber{N: 11, Client: "a", Opened: at})
		slices.Reverse(e.truth.Subscribers)
		e.result.Histograms[bench.Wait] = h
		e.result.Health.SchedulerP99 = test.scheduler
		if got := outcomes(judgeReconnect(e)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if got := outcomes(judgeReconnect(&evidence{result: &bench.Result{}})); got != "median REFUSED, max REFUSED" {
		t.Error(got)
	}
}

func TestJudgeClock(t *testing.T) {
	started := time.Unix(1_800_000_000, 0)
	judged := func(verdict bench.Verdict, low, high, from, to time.Duration) string {
		e := madeUp(verdict, 0, slices.Repeat([]time.Duration{20 * time.Millisecond}, 1000)...)
		e.result.Start, e.result.Begin, e.result.End = started, 10*time.Second, 20*time.Second
		e.truth.Clock = server.TruthClock{Offset: int64(37 * time.Millisecond), Drift: 20, Since: started.UnixNano()}
		e.result.Clock = &bench.ClockBound{Low: int64(low), High: int64(high)}
		for i := range e.result.Estimates[bench.Delivery] {
			estimate := &e.result.Estimates[bench.Delivery][i]
			estimate.Low, estimate.High = int64(from), int64(to)
		}
		return outcomes(judgeClock(e))
	}
	const ms, us = time.Millisecond, time.Microsecond
	// 20 ppm make 200 µs in 10 s and 400 µs in 20 s
	for _, test := range []struct {
		verdict             bench.Verdict
		low, high, from, to time.Duration
		want                string
	}{
		{bench.Bounded, 37*ms + 200*us, 37*ms + 400*us, 20 * ms, 20 * ms, "begin PASSED, end PASSED, p50 PASSED, p99 PASSED"},
		{bench.Bounded, 37*ms + 201*us, 38 * ms, 1 * ms, 19 * ms, "begin FAILED, end PASSED, p50 FAILED, p99 FAILED"},
		{bench.Bounded, 17 * ms, 37*ms + 399*us, 21 * ms, 30 * ms, "begin PASSED, end FAILED, p50 FAILED, p99 FAILED"},
		{bench.UpperBound, 37 * ms, 38 * ms, 21 * ms, 30 * ms, "begin PASSED, end PASSED, p50 REFUSED, p99 REFUSED"},
		{bench.UpperBound, 37 * ms, 38 * ms, 1 * ms, 19 * ms, "begin PASSED, end PASSED, p50 FAILED, p99 FAILED"},
	} {
		if got := judged(test.verdict, test.low, test.high, test.from, test.to); got != test.want {
			t.Errorf("%v to %v: %s, want %s", test.low, test.high, got, test.want)
		}
	}
	e := &evidence{result: &bench.Result{}}
	if got := outcomes(judgeClock(e)); got != "begin REFUSED, end REFUSED, p50 REFUSED, p99 REFUSED" {
		t.Error(got)
	}
}

// No quantile that depends on when something arrived may look clean, whatever its metric.
func TestJudgeStopped(t *testing.T) {
	for verdict, want := range map[bench.Verdict]outcome{
		bench.Trusted: wrong, bench.Bounded: wrong, bench.Saturated: passed, bench.NoVerdict: passed, bench.UpperBound: passed,
	} {
		e := madeUp(bench.Saturated, 0, time.Millisecond)
		e.result.Estimates[bench.InterArrival] = []bench.Estimate{{Q: .5, Verdict: bench.Trusted}, {Q: .99, Verdict: verdict}}
		if f := judgeStopped(e)[0]; f.outcome != want {
			t.Errorf("%s: %s", verdict, f.outcome)
		}
		e.result.Doubts = []bench.Warning{{Text: "the hypervisor took the processor"}}
		if f := judgeStopped(e)[0]; (f.outcome == wrong) != (want == wrong) || f.outcome == passed {
			t.Errorf("%s, and doubted for something else: %s", verdict, f.outcome)
		}
		e.unfit = &bench.Warning{Text: "it wasn't stopped in the window"}
		if f := judgeStopped(e)[0]; f.outcome != refused {
			t.Errorf("%s in another run: %s", verdict, f.outcome)
		}
	}
	r := &bench.Result{Start: time.Unix(100, 0), Begin: time.Second, End: 5 * time.Second}
	for from, want := range map[int64]bool{100: false, 101: true, 104: true, 105: false} {
		if got := spans(r, time.Unix(from, 0), time.Unix(from+1, 0)); got != want {
			t.Errorf("from %d: %v", from, got)
		}
	}
}

func TestUnfit(t *testing.T) {
	refusedOnce := []bench.ErrorGroup{{Class: client.ClassRefused, Text: "connection\x1b refused"}}
	for _, test := range []struct {
		scene    scene
		result   bench.Result
		drops    uint64
		received uint64
		want     string
	}{
		{scene{}, bench.Result{Peak: 5, Planned: 5}, 0, 1, ""},
		{scene{}, bench.Result{Peak: 5, Planned: 5}, 0, 0, "nothing was received"},
		{scene{}, bench.Result{Peak: 4, Planned: 5, Errors: refusedOnce}, 0, 1, `only 4 of 5 connections were ever open: connection\x1b refused`},
		{scene{}, bench.Result{Failure: "nothing ever connected"}, 0, 0, "nothing ever connected"},
		{scene{}, bench.Result{}, 3, 1, "3 connections dropped, though nothing was to drop them"},
		{scene{hangups: true}, bench.Result{}, 3, 1, ""},
	} {
		test.result.Counts[bench.Drops-bench.Counts()[0]] = test.drops
		test.result.Counts[bench.Received-bench.Counts()[0]] = test.received
		got := ""
		if why := test.scene.unfit(&test.result); why != nil {
			got = why.Text
			advice := calm
			if test.result.Errors != nil {
				advice = client.ClassRefused.Hint(0)
			}
			if why.Advice != advice {
				t.Errorf("%s: %s", got, why.Advice)
			}
		}
		if got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// The code follows from the worst figure; a refusal that no host of the kind escapes is shown, and changes nothing.
func TestConclude(t *testing.T) {
	row := &trial{name: "row"}
	right, bad := figure{name: "a", outcome: passed}, figure{name: "b", outcome: wrong}
	unsure := figure{name: "c", outcome: refused, advice: "buy another"}
	excused := row.failed(errNotHere)
	for _, test := range []struct {
		name    string
		figures []figure
		code    exit
		said    string
		worst   outcome
	}{
		{"none", nil, exitPassed, "", passed},
		{"passed", []figure{right}, exitPassed, "", passed},
		{"excused", []figure{right, excused}, exitPassed, "", refused},
		{"refused", []figure{unsure, right}, exitUntrusted, "this host can't be trusted for row c", refused},
		{"failed", []figure{unsure, bad, right}, exitFailed, "the self-test failed: row b", wrong},
		{"broken", []figure{row.failed(errors.New("no\nserver"))}, exitFailed, "the self-test failed: row run", wrong},
	} {
		err := conclude([]finding{{trial: row, figures: test.figures}})
		said := ""
		if err != nil {
			said = err.Error()
		}
		if exitOf(err) != test.code || said != test.said || worstOf(test.figures) != test.worst {
			t.Errorf("%s: %d, %q, %s", test.name, exitOf(err), said, worstOf(test.figures))
		}
	}
}

func TestReadWrites(t *testing.T) {
	const head = "event,seq,due,subscriber,before,after\n"
	var e evidence
	if err := e.readWrites(strings.NewReader(head + "1,1,100,1,130,150\n1,1,100,2,110,120\n")); err != nil || !slices.Equal(e.before, []int64{10, 30}) || !slices.Equal(e.after, []int64{20, 50}) {
		t.Error(e.before, e.after, err)
	}
	if got := e.written(.5); got != (span{10, 20}) {
		t.Error(got)
	}
	for _, bad := range []string{"", head + "1,2\n", head + "1,1,x,1,1,1\n", head + "1,1,1,1,1,99999999999999999999\n"} {
		if err := new(evidence).readWrites(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// What is written for people fits 80 columns, and says no reason twice.
func TestSelftestTable(t *testing.T) {
	row := &trial{name: "reconnect-137ms"}
	found := finding{trial: row, note: "the offset is known to 20.4 ms", took: 1234567 * time.Microsecond, figures: []figure{
		{name: "median", unit: bench.Nanoseconds, injected: span{8_221_000, 8_239_000}, recovered: exactly(8_290_000), tolerance: 41_000, outcome: wrong, reason: "the figure is wrong"},
		{name: "max", unit: bench.Nanoseconds, injected: exactly(20_900_000), recovered: span{772_000, 21_100_000}, outcome: passed},
		{name: "p99", unit: bench.Nanoseconds, injected: exactly(5), recovered: exactly(1), outcome: refused, reason: strings.Repeat("much to say ", 10)},
		{name: "p99.9", unit: bench.Number, injected: exactly(100_000), recovered: exactly(100_001), outcome: refused, reason: strings.Repeat("much to say ", 10)},
	}}
	var b strings.Builder
	newSelftestTable(&b).row(found)
	want := `                           injected      recovered difference tolerance
reconnect-137ms median 8.22–8.24 ms        8.29 ms   +51.0 µs   41.0 µs  FAILED
    the figure is wrong
reconnect-137ms max         20.9 ms 772 µs–21.1 ms       0 ns      0 ns  PASSED
reconnect-137ms p99            5 ns           1 ns      -4 ns      0 ns  REFUSED
    much to say much to say much to say much to say much to say much to say much
    to say much to say much to say much to say
reconnect-137ms p99.9       100,000        100,001         +1         0  REFUSED
    the offset is known to 20.4 ms
`
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimRight(line, " \n")+"\n")
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > selftestWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if got := strings.Join(lines, ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	b.Reset()
	if err := writeSelftest(&b, []finding{found}, wrong); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Outcome string
		Rows    []struct {
			Name, Outcome, Reason, Note string
			Seconds                     float64
			Figures                     []struct {
				Name, Unit, Outcome, Reason string
				Injected, Recovered         struct{ Low, High int64 }
				Difference, Tolerance       int64
			}
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
		t.Fatal(err)
	}
	figure := doc.Rows[0].Figures[0]
	if doc.Outcome != "FAILED" || doc.Rows[0].Outcome != "FAILED" || doc.Rows[0].Reason != "the figure is wrong" || doc.Rows[0].Seconds != 1.235 ||
		figure.Injected.High != 8_239_000 || figure.Difference != 51_000 || figure.Tolerance != 41_000 || figure.Unit != "ns" {
		t.Errorf("%+v", doc)
	}
}

// Rows that are interrupted aren't judged, and those that were done are written all the same.
func TestSelftestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{os.Interrupt})
	var out, said strings.Builder
	err := (&selftestFlags{json: true, rows: []string{"loss", "stall"}}).run(ctx, streams{in: strings.NewReader(""), out: &out, err: &said})
	if exitOf(err) != exitInterrupt || !strings.Contains(out.String(), `"rows": []`) || said.String() != "interrupted: 0 of 2 rows were made\n" {
		t.Errorf("%v\n%s%s", err, out.String(), said.String())
	}
}

// The code of a failure takes precedence over that of an interrupt, and that over the code of a refusal.
func TestSelftestEnding(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{os.Interrupt})
	row := &trial{name: "row"}
	for _, test := range []struct {
		figure outcome
		worst  outcome
		code   exit
	}{{passed, unfinished, exitInterrupt}, {refused, unfinished, exitInterrupt}, {wrong, wrong, exitFailed}} {
		worst, err := ending(ctx, []finding{{trial: row, figures: []figure{{name: "a", outcome: test.figure}}}})
		if worst != test.worst || exitOf(err) != test.code {
			t.Errorf("%s and interrupted: %s, exit code %d", test.figure, worst, exitOf(err))
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A result that can't be written is a failure, whatever it was.
func TestSelftestUnwritten(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{os.Interrupt})
	for _, asJSON := range []bool{false, true} {
		err := (&selftestFlags{json: asJSON}).run(ctx, streams{in: strings.NewReader(""), out: brokenWriter{}, err: io.Discard})
		if exitOf(err) != exitFailed || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("json %v: %v", asJSON, err)
		}
	}
}

// Every row has what it takes, in both lengths.
func TestTrials(t *testing.T) {
	seen := make(map[string]bool)
	for _, row := range trials {
		for _, long := range []bool{false, true} {
			s := row.scene(long)
			if row.name == "" || seen[row.name] && !long || row.judge == nil || s.what == "" || !row.long && (s.server == "" || s.connections < 1 || s.duration <= 0) {
				t.Errorf("%s: %+v", row.name, s)
			}
		}
		seen[row.name] = true
	}
	if usual, long := stall(false), stall(true); usual.stall != 400*time.Millisecond || long.stall != 2*time.Second || long.duration != time.Minute {
		t.Errorf("%+v, %+v", usual, long)
	}
}

// TestContest: comparisons are made, counted and held against what they may find.
func TestContest(t *testing.T) {
	c := contest{comparisons: 1, pairs: 1, delay: 5 * time.Millisecond, ratio: 2, found: span{0, 0}}
	e, err := c.run(t.Context(), c.scene(true))
	if err != nil {
		t.Fatal(err)
	}
	if e.found != 0 { // one pair can't be significant, whatever the difference
		t.Errorf("%d of %d comparisons of one pair found something", e.found, c.comparisons)
	}
	for _, row := range []struct {
		found, given int
		want         outcome
	}{{0, 0, passed}, {15, 0, passed}, {16, 0, wrong}, {3, 1, refused}, {15, 1, refused}, {16, 1, wrong}} {
		if f := equals.judge(&evidence{found: row.found, given: row.given})[0]; f.outcome != row.want {
			t.Errorf("%d found, %d given up: %s", row.found, row.given, f.outcome)
		}
	}
	for _, row := range []struct {
		found, given int
		want         outcome
	}{{31, 0, wrong}, {31, 1, refused}, {30, 1, wrong}, {32, 0, passed}} {
		if f := unequals.judge(&evidence{found: row.found, given: row.given})[0]; f.outcome != row.want {
			t.Errorf("%d found of 40, %d given up: %s", row.found, row.given, f.outcome)
		}
	}
}

// TestUnsure: a server that doesn't know what it has sent judges nothing.
func TestUnsure(t *testing.T) {
	for _, row := range []struct {
		subscriber server.TruthSubscriber
		unsure     bool
	}{{server.TruthSubscriber{N: 2}, false}, {server.TruthSubscriber{N: 2, Truncated: true}, true}, {server.TruthSubscriber{N: 2, Unconfirmed: []uint64{7}}, true}} {
		if why := unsure([]server.TruthSubscriber{{N: 1}, row.subscriber}); (why != nil) != row.unsure || why != nil && !strings.Contains(why.Text, "subscriber 2") {
			t.Errorf("%+v: %+v", row.subscriber, why)
		}
	}
}
