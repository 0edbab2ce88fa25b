package report

import (
	"flag"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"go.uber.org/goleak"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fewerUnderRace has a property test of whole runs draw a fifth of them where each takes ten times as long, unless the
// command line says how many.
func fewerUnderRace(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if before := checks.Value.String(); underRace && before == checks.DefValue {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set("rapid.checks", before) })
	}
}

// set sets a counter.
func set(r *bench.Result, m bench.Metric, n uint64) { r.Counts[int(m)-len(bench.Timings())] = n }

// lognormal is a histogram of n samples at the quantiles of a lognormal distribution, without any randomness.
func lognormal(n int, median time.Duration, sigma float64) *hdrhistogram.Histogram {
	h := bench.NewHistogram()
	for i := range n {
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+.5)/float64(n)-1)
		if err := h.RecordValue(int64(float64(median) * math.Exp(sigma*z))); err != nil {
			panic(err)
		}
	}
	return h
}

// estimated fills in what bench finds: estimates by the counts and histograms, with a verdict for those that end with an
// arrival.
func estimated(r *bench.Result, verdict func(q float64) bench.Verdict) {
	r.Estimates = map[bench.Metric][]bench.Estimate{}
	for _, t := range timings(r) {
		for _, q := range bench.Percentiles() {
			e := r.Estimate(t.metric, q)
			if !slices.Contains([]bench.Metric{bench.Connect, bench.TCP, bench.Upgrade, bench.FirstByte, bench.PublishLateness, bench.ClientLag}, t.metric) {
				e.Verdict = verdict(q)
			}
			if e.Verdict == bench.Bounded && e.Unknown == "" {
				e.Low = e.Value * 97 / 100
			}
			if t.metric == bench.FirstEvent && q == .99 {
				e.Indicative, e.Unknown = true, "too few independent samples: the 1004 are worth 61 of the 368 that this quantile needs"
			}
			if e.Unknown == "" && t.metric == bench.Delivery {
				e.Effective, e.From, e.To = 4_217, e.Value*95/100, e.Value*104/100
				if e.AtLeast {
					e.To = 0
				}
			}
			r.Estimates[t.metric] = append(r.Estimates[t.metric], e)
		}
	}
}

// judge parses and judges a threshold.
func judge(r *bench.Result, text string) bench.Judgement {
	t, err := bench.ParseThreshold(text)
	if err != nil {
		panic(err)
	}
	return t.Judge(r)
}

func sampleEnvironment() bench.Environment {
	return bench.Environment{
		Version: "0.1.0", GoVersion: "go1.26.0", OS: "linux", Arch: "amd64", Kernel: "6.18.5", CPUs: 8, GOMAXPROCS: 8,
		OpenFiles: 1048576, Arrivals: "the kernel", CPU: 3218 * time.Millisecond, MaxRSS: 87_400_000,
	}
}

// richHistograms are made once: it takes long, and nothing writes to them.
var richHistograms = sync.OnceValue(func() map[bench.Metric]*hdrhistogram.Histogram {
	return map[bench.Metric]*hdrhistogram.Histogram{
		bench.Delivery: lognormal(100_000, 1210*time.Microsecond, .55), bench.InterArrival: lognormal(99_000, 100*time.Millisecond, .02),
		bench.LagBehindFirst: lognormal(99_880, 640*time.Microsecond, .7), bench.FanoutSpread: lognormal(120, 3*time.Millisecond, .3),
		bench.Connect: lognormal(1004, 2*time.Millisecond, .8), bench.TCP: lognormal(1004, 90*time.Microsecond, .4),
		bench.Upgrade: lognormal(1004, 1500*time.Microsecond, .9), bench.FirstByte: lognormal(1004, 1600*time.Microsecond, .9),
		bench.FirstEvent: lognormal(1004, 52*time.Millisecond, .5), bench.Outage: lognormal(4, 1100*time.Millisecond, .1),
		bench.Detect: lognormal(4, 2*time.Millisecond, .1), bench.Wait: lognormal(4, time.Second, .01), bench.Reconnect: lognormal(4, 3*time.Millisecond, .1),
		bench.CatchUp:         lognormal(4, 95*time.Millisecond, .1),
		bench.PublishLateness: lognormal(120, 40*time.Microsecond, .5), bench.ClientLag: lognormal(100_000, 310*time.Microsecond, .9),
	}
})

// rich has something for every section.
func rich() Run {
	r := &bench.Result{
		Start: time.Date(2026, 3, 14, 9, 26, 53, 589_793_238, time.UTC), Elapsed: 13204 * time.Millisecond,
		Begin: 2 * time.Second, End: 12 * time.Second, Stop: bench.StopDuration,
		Planned: 1000, Peak: 1000, OpenAtEnd: 998,
		Sources:    map[bench.Metric]string{bench.Delivery: "the server's stamp json:ts; one clock: the server is on this host"},
		Unmeasured: map[bench.Metric]string{bench.TLS: "nothing was encrypted"},
		Window:     bench.Window{Received: 100_000, Bytes: 12_300_000, Shared: 5_300, Stamped: 100_000},
		Health: bench.Health{Shared: .053, Stalled: 0, ClockStep: -2200, Steal: 0, Throttled: -1, Pressure: .0214,
			SchedulerP99: 118 * time.Microsecond, CollectorMax: 81 * time.Microsecond},
		Trimmed: 1200 * time.Millisecond, Waited: 5 * time.Second, Absent: map[bench.Metric]uint64{bench.Delivery: 120},
		Drift: &bench.Drift{Metric: bench.Delivery, Q: .5, Share: .234, P: .0021},
		Resumption: &bench.Resumption{Verdict: bench.Lossy, Judged: 4, Correct: 1, Faults: [9]uint64{bench.GapHead: 2, bench.OutOfSequence: 1},
			Idle: 3, Cut: 1, Replayed: 37, Deepest: 12, Missing: 120, Resent: 0},
		Annotations: []bench.Annotation{{At: 4 * time.Second, Text: "sending at 2 times the rate of the plan"}, {At: 6500 * time.Millisecond, Text: "10 % of the connections broken off (rst)"}},
		Storms: []bench.Storm{
			{At: 7 * time.Second, Length: 12 * time.Millisecond, Open: 1000, Returns: bench.Returns{Dropped: 400, Returned: 400,
				Back: [3]time.Duration{1010 * time.Millisecond, 2200 * time.Millisecond, 4100 * time.Millisecond}, Attempts: 520, Failed: 120, Peak: 380},
				Ends: []bench.Cause{{Key: "close_code 1012", Count: 390}, {Key: "reset", Count: 10}}, Refusals: []bench.Cause{{Key: "status 503", Count: 110}, {Key: "refused", Count: 10}},
				Curve: []bench.StormStep{{At: 1025 * time.Millisecond, Returned: 210, Attempts: 300, Failed: 90}, {At: 2050 * time.Millisecond, Returned: 370, Attempts: 180, Failed: 20},
					{At: 3075 * time.Millisecond, Returned: 380, Attempts: 20, Failed: 10}, {At: 4100 * time.Millisecond, Returned: 400, Attempts: 20}}},
			{At: 10 * time.Second, How: client.BreakRST, Made: 100, Open: 998, Returns: bench.Returns{Dropped: 100, Returned: 97,
				Back: [3]time.Duration{1020 * time.Millisecond, 1400 * time.Millisecond, -1}, Attempts: 97, Peak: 97},
				Policies: []bench.PolicyReturns{
					{Policy: "eventsource", Returns: bench.Returns{Dropped: 50, Returned: 50, Back: [3]time.Duration{3 * time.Second, 3010 * time.Millisecond, 3020 * time.Millisecond}, Attempts: 50, Peak: 50}},
					{Policy: "exponential, full jitter", Returns: bench.Returns{Dropped: 50, Returned: 47, Back: [3]time.Duration{520 * time.Millisecond, -1, -1}, Attempts: 47, Peak: 44}}}},
		},
		Injected: &bench.Injected{Faults: []bench.FaultEffect{
			{Fault: "latency=20ms..80ms:down", Struck: 1004, Slows: true, P50: -1, Max: -1},
			{Fault: "cut@20:rst:10%", Struck: 104, Noticed: 101, Keys: []bench.Cause{{Key: "reset", Count: 100}, {Key: "eof", Count: 1}}, P50: 48 * time.Microsecond, Max: 1300 * time.Microsecond},
			{Fault: "stall=2s@5s:1%", Struck: 12, Noticed: 3, Keys: []bench.Cause{{Key: "idle", Count: 3}}, P50: -1, Max: 1100 * time.Millisecond},
			{Fault: "blackhole@30s", Struck: 5, P50: -1, Max: -1},
			{Fault: "cut@4096b", Struck: 1, Noticed: 1, Keys: []bench.Cause{{Key: "eof", Count: 1}}, P50: -1, Max: 210 * time.Microsecond},
			{Fault: "truncate@90", P50: -1, Max: -1},
		}, Unexplained: []bench.Cause{{Key: "eof", Count: 4}}},
		Target:     &bench.TargetUse{Source: "the process 4711", CPU: 3300 * time.Millisecond, Length: 10 * time.Second, Before: 21_000_000, Most: 65_000_000},
		SeriesStep: time.Second, Verdict: bench.Bounded, DistinctIDs: 120, Environment: sampleEnvironment(),
		Warnings: []bench.Warning{
			{Text: "2 connections were dropped and opened again", Advice: "the errors below say why; the time without them is in outage"},
			{Text: "120 events were lost across drops", Advice: "does the server keep events for Last-Event-ID? --last-event-id tests it"},
		},
		Errors: []bench.ErrorGroup{
			{Class: client.ClassStatus, Code: 503, Key: "status 503", Count: 12, First: 1200 * time.Millisecond, Last: 1900 * time.Millisecond,
				Text: "HTTP status 503: too many subscribers, come back in a moment and bring something to read, because the queue is long"},
			{Class: client.ClassReset, Key: "reset", Count: 4, First: 7 * time.Second, Last: 7 * time.Second,
				Text: "the connection was reset: read tcp 127.0.0.1:41234->127.0.0.1:8080: read: connection reset by peer"},
		},
	}
	for m, h := range richHistograms() {
		r.Histograms[m] = h
	}
	for m, n := range map[bench.Metric]uint64{
		bench.Received: 119_985, bench.Bytes: 14_758_155, bench.WireIn: 15_912_004, bench.WireOut: 312_400, bench.Heartbeats: 2_000,
		bench.Attempts: 1016, bench.Opened: 1004, bench.ConnectErrors: 12, bench.Drops: 4, bench.Broken: 100, bench.Reconnects: 4, bench.RetriesAsked: 8, bench.RetriesKept: 6, bench.Resumes: 4, bench.ResumesFaulty: 3,
		bench.Due: 120, bench.Sent: 120, bench.Expected: 120_000, bench.Delivered: 119_880, bench.Lost: 120, bench.Duplicate: 5,
		bench.Reordered: 1, bench.Boundary: 37, bench.Late: 3, bench.OutOfOrder: 2,
	} {
		set(r, m, n)
	}
	for i := range 13 {
		b := bench.Bucket{At: time.Duration(i) * time.Second, Open: min(1000, 500*(i+1)), Received: 10_000, Bytes: 1_230_000, Sent: 10}
		b.Headline = bench.Quantiles{Samples: 10_000, P50: 1_210_000, P99: int64(4_100_000 + 10_000*i), Max: 9_800_000}
		switch i {
		case 0:
			b.Received, b.Bytes, b.Headline = 0, 0, bench.Quantiles{}
		case 1:
			b.Errors, b.Headline = 12, bench.Quantiles{Samples: 100, P50: 1_200_000, P99: 3_000_000, Max: 3_100_000}
		case 7:
			b.Errors, b.Reconnects, b.Open = 4, 4, 998
		}
		r.Series = append(r.Series, b)
	}
	estimated(r, func(q float64) bench.Verdict {
		return map[float64]bench.Verdict{.5: bench.Trusted, .75: bench.Trusted, .9: bench.Trusted, .95: bench.Trusted, .99: bench.Bounded, .999: bench.Saturated, .9999: bench.Saturated}[q]
	})
	for i, e := range r.Estimates[bench.Delivery] {
		if e.AtLeast { // it can be told all the same
			r.Estimates[bench.Delivery][i].Verdict = bench.Trusted
		}
	}
	for _, text := range []string{"p99(delivery) < 250ms", "p99.9(delivery) < 250ms", "p99.9(lag_behind_first) < 20ms", "lost == 0", "rate(connect_errors) < 1%", "reach >= 99.9%", "p99.9(round_trip) < 1s", "throughput > 9,000/s"} {
		r.Judgements = append(r.Judgements, judge(r, text))
	}
	return Run{r, Config{Command: "rtbench sse", Target: "http://127.0.0.1:8080/sse?token=" + Redacted, Entries: []Entry{
		{Scenario, "steady feed"}, {"connections", "1000"}, {"duration", "10s"}, {"warmup", "2s"}, {"header", RedactHeader("Authorization", "Bearer abc")},
		{"stamp", "json:ts"}, {"seq", "id"}, {"reconnect", "eventsource"}, {"threshold", "p99(delivery) < 250ms"}, {"threshold", "lost == 0"},
	}}}
}

// empty is a run in which nothing ever connected.
func empty() Run {
	nothing := "nothing was received"
	r := &bench.Result{
		Start: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Elapsed: 412 * time.Millisecond, Stop: bench.StopUnreachable,
		Planned: 100, SeriesStep: time.Second, Environment: bench.Environment{Version: "0.1.0"},
		Failure: "nothing ever connected: nothing listens at that address: dial tcp 127.0.0.1:1: connect: connection refused",
		Unmeasured: map[bench.Metric]string{bench.Expected: nothing, bench.Delivered: nothing, bench.Lost: nothing, bench.Reach: nothing,
			bench.Duplicate: nothing, bench.Reordered: nothing, bench.Ancient: nothing, bench.Boundary: nothing},
		Errors: []bench.ErrorGroup{{Class: client.ClassRefused, Key: "refused", Count: 100, First: 3 * time.Millisecond, Last: 90 * time.Millisecond,
			Text: "nothing listens at that address: dial tcp 127.0.0.1:1: connect: connection refused"}},
	}
	set(r, bench.Attempts, 100)
	set(r, bench.ConnectErrors, 100)
	r.Judgements = append(r.Judgements, judge(r, "lost == 0"), judge(r, "p99(delivery) < 1s"))
	return Run{r, Config{Command: "rtbench ws", Target: "ws://127.0.0.1:1/ws"}}
}

// unstamped is a run against a server whose events carry nothing, with few samples, and a tester that was overloaded.
func unstamped() Run {
	reason := "the events carry no id, sequence or stamp (--seq names one)"
	r := &bench.Result{
		Start: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Elapsed: 20 * time.Second, Begin: time.Second, End: 20 * time.Second,
		Stop: bench.StopInterrupted, Planned: 5, Peak: 5, OpenAtEnd: 5, Verdict: bench.NoVerdict, SeriesStep: time.Second,
		Window: bench.Window{Received: 45, Bytes: 900}, Environment: sampleEnvironment(),
		Unmeasured: map[bench.Metric]string{bench.ClientLag: "arrivals carry no kernel stamp", bench.Delivery: "no event carried a time stamp (--stamp names one)",
			bench.Expected: reason, bench.Delivered: reason, bench.Lost: reason, bench.Reach: reason, bench.Duplicate: reason,
			bench.Reordered: reason, bench.Ancient: reason, bench.Boundary: reason},
		Health: bench.Health{Shared: -1, Unstamped: -1, Steal: .041, Throttled: 1200 * time.Microsecond, Pressure: -1, SchedulerP99: -1, CollectorMax: -1},
		Doubts: []bench.Warning{{Text: "the tester sent late: p99 4.1ms, which is 21 % of the p99 reported", Advice: "lower --rate, or give the tester a processor of its own"}},
	}
	r.Histograms[bench.InterArrival] = lognormal(40, 2*time.Second, .001)
	r.Histograms[bench.Connect] = lognormal(5, 2*time.Millisecond, .5)
	estimated(r, func(float64) bench.Verdict { return bench.NoVerdict })
	for m, n := range map[bench.Metric]uint64{bench.Received: 50, bench.Bytes: 1000, bench.WireIn: 2400, bench.WireOut: 700, bench.Attempts: 5, bench.Opened: 5} {
		set(r, m, n)
	}
	return Run{r, Config{Command: "rtbench sse", Target: "http://127.0.0.1:8000/stream/"}}
}

// hostile is a run in which the server wrote everything that it could.
func hostile() Run {
	run := unstamped()
	r := run.Result
	for i, text := range []string{
		"HTTP status 500: <script>alert(1)</script>", "\x1b]0;owned\x07\x1b[2J\x1b[31mred\u009b31m", "=HYPERLINK(\"http://127.0.0.1/\";\"click\")",
		"@SUM(1+1)*cmd|' /C calc'!A0", "safe\u202eexe.txt\u2066\u200b\ufeff\u2028next", "bad \xff\xfe utf-8\r\n\ttab", "東京サーバー 🚀 e\u0301\u0301\u0301\u0301\u0301\u0301\u0301",
		"-5", "+1+1",
	} {
		r.Errors = append(r.Errors, bench.ErrorGroup{Class: client.ClassCloseCode, Code: 4000 + i, Key: "close_code " + string(rune('0'+i)), Count: uint64(9 - i), Text: text})
	}
	r.StopText = "the server said \x1b[2Jgoodbye\u202e"
	r.Failure = "nothing \x07ever"
	r.Sources = map[bench.Metric]string{bench.InterArrival: "=1+1\x1b[0m"}
	r.Unmeasured[bench.Outage] = "-\u0085"
	r.Environment.Kernel, r.Environment.GoVersion, r.Environment.Arrivals = "\x1b[1m", "go\x1b", "\x1b[5mspace"
	r.Warnings = []bench.Warning{{Text: "\x1b[1mwarning", Advice: "\u2067advice"}}
	run.Config = Config{Command: "rtbench \x1b[7msse", Target: "http://127.0.0.1/\u202e\x00", Entries: []Entry{{"\x1b", "=\x7f"}, {Scenario, "=1+1\n\x1b[2m<b>|`"}}}
	return run
}

// saturated is a run whose tester was stopped for a while; half of its messages never came.
func saturated() Run {
	r := &bench.Result{
		Start: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Elapsed: 11 * time.Second, Begin: time.Second, End: 11 * time.Second,
		Stop: bench.StopDuration, Planned: 200, Peak: 200, OpenAtEnd: 200, Verdict: bench.Saturated, SeriesStep: time.Second,
		Window: bench.Window{Received: 2000, Bytes: 40_000, Shared: 900, Stamped: 2000}, Waited: 5 * time.Second,
		Health: bench.Health{Shared: .45, Stalled: 512 * time.Millisecond, Steal: -1, Throttled: -1, Pressure: -1, SchedulerP99: -1, CollectorMax: -1},
		Absent: map[bench.Metric]uint64{bench.RoundTrip: 2000}, Environment: sampleEnvironment(),
		Sources: map[bench.Metric]string{bench.RoundTrip: "from when the message was due; one clock"},
	}
	r.Histograms[bench.RoundTrip] = lognormal(2000, 30*time.Millisecond, .8)
	r.Histograms[bench.ClientLag] = lognormal(2000, 4*time.Millisecond, .9)
	estimated(r, func(float64) bench.Verdict { return bench.Saturated })
	for m, n := range map[bench.Metric]uint64{bench.Received: 2000, bench.Bytes: 40_000, bench.Attempts: 200, bench.Opened: 200, bench.Due: 4000,
		bench.Sent: 4000, bench.Expected: 4000, bench.Delivered: 2000, bench.Lost: 2000} {
		set(r, m, n)
	}
	for _, text := range []string{"p50(round_trip) < 1s", "max(round_trip) < 1s"} {
		r.Judgements = append(r.Judgements, judge(r, text))
	}
	return Run{r, Config{Command: "rtbench ws", Target: "ws://127.0.0.1:8000/ws/echo"}}
}

// samples are runs of all shapes.
func samples() map[string]Run {
	return map[string]Run{"rich": rich(), "empty": empty(), "unstamped": unstamped(), "hostile": hostile(), "saturated": saturated()}
}
