package report

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/bench"
)

func TestQuantileNames(t *testing.T) {
	for q, want := range map[float64]string{0: "p0", .001: "p0.1", .01: "p1", .05: "p5", .5: "p50", .975: "p97.5", .9999: "p99.99", 1: "p100"} {
		if got := quantileName(q); got != want {
			t.Errorf("%v: %s, want %s", q, got, want)
		}
	}
	for _, name := range []string{"", "p", "50", "p050", "p50.0", "p101", "p-1", "pNaN", "p5e1", "P50"} {
		if q, ok := parseQuantile(name); ok {
			t.Errorf("%q is %v", name, q)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Float64Range(0, 1).Draw(t, "q")
		if got, ok := parseQuantile(quantileName(want)); !ok || got != want {
			t.Fatalf("%v is %s, which is %v", want, quantileName(want), got)
		}
	})
}

func TestRangeText(t *testing.T) {
	for _, c := range []struct {
		low, high int64
		want      string
	}{
		{4_200_000, 4_310_000, "4.20–4.31 ms"}, {990_000, 1_010_000, "990 µs–1.01 ms"}, {4_200_000, 4_200_001, "4.20 ms"},
		{4_200_000, 0, "≥ 4.20 ms"}, {0, 5_000, "0 ns–5.00 µs"}, {200e9, 260e9, "3m20s–4m20s"},
	} {
		if got := rangeText(c.low, c.high); got != c.want {
			t.Errorf("%d to %d: %q, want %q", c.low, c.high, got, c.want)
		}
	}
}

func TestQuantileText(t *testing.T) {
	for want, e := range map[string]bench.Estimate{
		"4.20 ms":                {Value: 4_200_000, Low: 4_200_000, High: 4_200_000, Verdict: bench.Trusted},
		"4.10–4.20 ms":           {Value: 4_200_000, Low: 4_100_000, High: 4_200_000, Verdict: bench.Bounded},
		"41.2 ms (33.2–49.2 ms)": {Value: 41_200_000, Low: 33_200_000, High: 49_200_000, Verdict: bench.Bounded},
		"≥ 5.00 s":               {Value: 5e9, Low: 5e9, High: 5e9, AtLeast: true, Verdict: bench.Trusted},
	} {
		if got := quantileText(e); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}

// TestBrief: a run in a few words has the marks of the report, and each quantile its own verdict.
func TestBrief(t *testing.T) {
	for want, list := range map[string][]bench.Estimate{
		"delivery  p50 1.20 ms  p99 3.56 ms TRUSTED":             {{Q: .5, Value: 1_200_000, Verdict: bench.Trusted}, {Q: .99, Value: 3_560_000, Verdict: bench.Trusted}},
		"delivery  p50 1.20 ms TRUSTED  p99 3.56 ms UPPER BOUND": {{Q: .5, Value: 1_200_000, Verdict: bench.Trusted}, {Q: .99, Value: 3_560_000, Verdict: bench.UpperBound}},
		"delivery  p50 1.20 ms  p99 ≥ 61.9 ms TRUSTED":           {{Q: .5, Value: 1_200_000, Verdict: bench.Trusted}, {Q: .99, Value: 61_900_000, AtLeast: true, Verdict: bench.Trusted}},
		"delivery  p50 1.20 ms TRUSTED  p99 ~3.56 ms":            {{Q: .5, Value: 1_200_000, Verdict: bench.Trusted}, {Q: .99, Value: 3_560_000, Unknown: "too few", Indicative: true, Verdict: bench.Trusted}},
		"delivery  p50 1.20 ms TRUSTED  p99 ~3.56 ms NO VERDICT": {{Q: .5, Value: 1_200_000, Verdict: bench.Trusted}, {Q: .99, Value: 3_560_000, Unknown: "too few", Indicative: true, Verdict: bench.NoVerdict}},
		"delivery  p50 1.20 ms TRUSTED":                          {{Q: .5, Value: 1_200_000, Verdict: bench.Trusted}, {Q: .99, Unknown: "too few"}},
		"delivery  p50 1.10–1.20 ms BOUNDED":                     {{Q: .5, Value: 1_200_000, Low: 1_100_000, High: 1_200_000, Verdict: bench.Bounded}, {Q: .99, Unknown: "too few"}},
		"delivery  max 4.00 ms":                                  {{Q: .5, Unknown: "too few"}, {Q: .99, Unknown: "too few"}},
	} {
		r := &bench.Result{Verdict: bench.Trusted, Estimates: map[bench.Metric][]bench.Estimate{}}
		r.Histograms[bench.Delivery] = bench.NewHistogram()
		_ = r.Histograms[bench.Delivery].RecordValue(4_000_000)
		for _, q := range []float64{.75, .9, .95} {
			list = append(list, bench.Estimate{Q: q, Unknown: "too few"})
		}
		for i, e := range list {
			if e.Low == 0 {
				list[i].Low, list[i].High = e.Value, e.Value
			}
		}
		r.Estimates[bench.Delivery] = list
		if got := Brief(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Brief(&bench.Result{Verdict: bench.NoVerdict}); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestDistrust(t *testing.T) {
	clean := rich().Result
	clean.Judgements = nil
	if why, ok := Distrust(clean); ok {
		t.Errorf("a BOUNDED run is refused: %+v", why)
	}
	doubted := unstamped().Result
	if why, ok := Distrust(doubted); !ok || why != doubted.Doubts[0] {
		t.Errorf("doubted: %+v", why)
	}
	late := saturated().Result
	if why, ok := Distrust(late); !ok || !strings.Contains(why.Text, "512 ms") || !strings.Contains(why.Text, "45.00%") ||
		!strings.Contains(why.Advice, "fewer connections than 200") || !strings.Contains(why.Advice, "--rate") {
		t.Errorf("saturated: %+v", why)
	}
	bursts := saturated().Result
	bursts.Health.Stalled = 0
	if why, ok := Distrust(bursts); !ok || !strings.HasPrefix(why.Advice, "does the server, or a proxy on the way, send several at once? Else ") {
		t.Errorf("saturated, though it never stood still: %+v", why)
	}
	clocks := rich().Result
	clocks.Clock = &bench.ClockBound{Low: 0, High: 20_400_000}
	if why, ok := reason(clocks, bench.UpperBound); !ok || !strings.Contains(why.Text, "20.4 ms") || !strings.Contains(meaning(clocks, bench.UpperBound), "clock") {
		t.Errorf("between two clocks: %+v, %s", why, meaning(clocks, bench.UpperBound))
	}
	judged := rich().Result
	if why, ok := Distrust(judged); !ok || !strings.HasPrefix(why.Text, "p99.9(lag_behind_first) < 20ms: ") {
		t.Errorf("a threshold judged by a refused figure: %+v", why)
	}
	// What has no value can't be distrusted.
	unknown := saturated().Result
	unknown.Verdict = bench.Trusted
	unknown.Judgements = []bench.Judgement{{Figure: bench.Figure{Unknown: "no samples", Verdict: bench.Saturated}}}
	if why, ok := Distrust(unknown); ok {
		t.Errorf("unknown: %+v", why)
	}
}

// The headline is what can be relied on; where nothing can, what is an indication at least.
func TestHeadlineByWorth(t *testing.T) {
	const depends = "too few independent samples"
	for want, worth := range map[string]func(q float64) (indicative bool, unknown string){
		"round_trip p99  ": func(float64) (bool, string) { return false, "" },
		"round_trip p95  ": func(q float64) (bool, string) {
			if q < .99 {
				return false, ""
			}
			return true, depends
		},
		"round_trip p99  ~": func(float64) (bool, string) { return true, depends },
		"round_trip max  ":  func(float64) (bool, string) { return false, depends },
	} {
		run := saturated()
		run.Result.Absent = nil
		for i, q := range bench.Percentiles() {
			e := &run.Result.Estimates[bench.RoundTrip][i]
			e.Indicative, e.Unknown = worth(q)
			e.Value, e.Low, e.High, e.AtLeast = int64(time.Millisecond), int64(time.Millisecond), int64(time.Millisecond), false
		}
		if text := string(write(t, Text, run, TextOptions{})); !strings.Contains(text, want) {
			t.Errorf("want %q:\n%s", want, text)
		}
	}
}

// What is no more than an indication, or has no value, isn't TRUSTED anywhere; what is refused stays so.
func TestNothingIsTrustedWithoutAValue(t *testing.T) {
	for _, indicative := range []bool{false, true} {
		run := saturated()
		r := run.Result
		r.Absent, r.Judgements, r.Estimates = nil, nil, map[bench.Metric][]bench.Estimate{}
		r.Histograms[bench.ClientLag] = nil
		for verdict, shown := range map[bench.Verdict]bool{bench.Trusted: false, bench.Bounded: false, bench.UpperBound: false, bench.Saturated: true} {
			r.Verdict, r.Estimates[bench.RoundTrip] = verdict, nil
			for _, q := range bench.Percentiles() {
				e := r.Estimate(bench.RoundTrip, q)
				e.Verdict, e.Unknown, e.Indicative = verdict, "too few independent samples", indicative
				r.Estimates[bench.RoundTrip] = append(r.Estimates[bench.RoundTrip], e)
			}
			for _, f := range []Format{Text, JSON, CSV} {
				if text := string(write(t, f, run, TextOptions{})); strings.Contains(text, string(verdict)) != shown {
					t.Errorf("indicative: %v, %s:\n%s", indicative, verdict, text)
				}
			}
			r.Estimates[bench.RoundTrip][0].Unknown = "" // p50 is worth something, and so is the run
			if text := string(write(t, Text, run, TextOptions{})); !strings.Contains(text, string(verdict)+" (") {
				t.Errorf("no %s:\n%s", verdict, text)
			}
		}
	}
}

// TestJudgedBetween: what lies between two ends is told by them, unless some of it never came: then nothing bounds it above.
func TestJudgedBetween(t *testing.T) {
	threshold, err := bench.ParseThreshold("p99(delivery) < 1s")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		atLeast   bool
		text      string
		low, high string
	}{{false, "700–900 ms", "700000000", "900000000"}, {true, "≥ 800 ms", "null", "null"}} {
		run := empty()
		run.Result.Judgements = []bench.Judgement{{Threshold: threshold, Figure: bench.Figure{Value: 8e8, Low: 7e8, High: 9e8, AtLeast: c.atLeast}}}
		if text := string(write(t, Text, run, TextOptions{})); !strings.Contains(text, c.text) {
			t.Errorf("there is no %q in\n%s", c.text, text)
		}
		if ends := strings.Contains(string(write(t, CSV, run, TextOptions{})), ",700000000,"); ends == c.atLeast {
			t.Errorf("at least: %v, and there is a lower end in CSV: %v", c.atLeast, ends)
		}
		doc := string(write(t, JSON, run, TextOptions{}))
		if !strings.Contains(doc, `"low": `+c.low) || !strings.Contains(doc, `"high": `+c.high) {
			t.Errorf("low and high are not %s and %s in\n%s", c.low, c.high, doc)
		}
	}
}
