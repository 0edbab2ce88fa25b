package bench

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

func TestParseThreshold(t *testing.T) {
	timing := func(a Aggregate, q float64, m Metric, op string, bound time.Duration) Threshold {
		return Threshold{Aggregate: a, Q: q, Metric: m, Op: op, Bound: float64(bound)}
	}
	number := func(a Aggregate, m Metric, op string, bound float64) Threshold {
		return Threshold{Aggregate: a, Metric: m, Op: op, Bound: bound}
	}
	for text, want := range map[string]Threshold{
		"p99(delivery) < 250ms":        timing(Quantile, 0.99, Delivery, "<", 250*time.Millisecond),
		"p99.9(round_trip)<=1.5s":      timing(Quantile, 0.999, RoundTrip, "<=", 1500*time.Millisecond),
		"p0(delivery) > 1us":           timing(Quantile, 0, Delivery, ">", time.Microsecond),
		"p100(delivery) > 1µs":         timing(Quantile, 1, Delivery, ">", time.Microsecond),
		"P50( delivery ) != 1h":        timing(Quantile, 0.5, Delivery, "!=", time.Hour),
		"p.5(delivery) >= 250 ms":      timing(Quantile, 0.005, Delivery, ">=", 250*time.Millisecond),
		"min(connect) > 1m 30s":        timing(Min, 0, Connect, ">", 90*time.Second),
		"mean(outage) == 0":            timing(Mean, 0, Outage, "==", 0),
		"MAX(inter_arrival) < 3s":      timing(Max, 0, InterArrival, "<", 3*time.Second),
		"count(delivery) >= 1,000":     number(Count, Delivery, ">=", 1000),
		"count(received) >= 1e3":       number(Count, Received, ">=", 1000),
		"lost == 0":                    number(Value, Lost, "==", 0),
		"lost = 0":                     number(Value, Lost, "==", 0),
		"\t received\n>\n5 ":           number(Value, Received, ">", 5),
		"bytes >= 1,048,576":           number(Value, Bytes, ">=", 1<<20),
		"rate(connect_errors) < 1%":    number(Rate, ConnectErrors, "<", 0.01),
		"rate(lost) < 0.0005":          number(Rate, Lost, "<", 0.0005),
		"reach >= 99.9%":               number(Value, Reach, ">=", 0.999),
		"reach >= 99.9 %":              number(Value, Reach, ">=", 0.999),
		"reach >= 0.999":               number(Value, Reach, ">=", 0.999),
		"reach >= 7%":                  number(Value, Reach, ">=", 0.07),
		"reach >= 1":                   number(Value, Reach, ">=", 1),
		"rate(opened) == 1.0":          number(Rate, Opened, "==", 1),
		"rate(lost) < 100%":            number(Rate, Lost, "<", 1),
		"throughput > 1000/s":          number(Value, Throughput, ">", 1000),
		"throughput > 1,000":           number(Value, Throughput, ">", 1000),
		"rate(streams_failed) <= 0.5%": number(Rate, StreamsFailed, "<=", 0.005),
	} {
		got, err := ParseThreshold(text)
		want.Text = strings.TrimSpace(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

func TestParseThresholdRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                           `not a condition; ` + thresholdExample,
		"p99(delivery)":              `not a condition; ` + thresholdExample,
		"p99(delivery) 250ms":        `not a condition; ` + thresholdExample,
		"p99(delivery) <":            `not a condition; ` + thresholdExample,
		"p99 delivery < 1s":          `not a condition; ` + thresholdExample,
		"< 250ms":                    `not a condition; ` + thresholdExample,
		"p99(dellivery) < 250ms":     `there is no metric "dellivery"; did you mean "delivery"?`,
		"Lost == 0":                  `there is no metric "Lost"; did you mean "lost"?`,
		"losst == 0":                 `there is no metric "losst"; did you mean "lost"?`,
		"max(roundtrip) < 1s":        `there is no metric "roundtrip"; did you mean "round_trip"?`,
		"rate(conect_error) < 1%":    `there is no metric "conect_error"; did you mean "connect_errors"?`,
		"xxxxxxxxxx < 1":             "there is no metric \"xxxxxxxxxx\"; `rtbench metrics` lists them",
		"delivery < 250ms":           `delivery is a distribution; say which figure of it: p99(delivery), mean(delivery), max(delivery) …`,
		"p101(delivery) < 1s":        `"p101" is not a percentile; they go from p0 to p100, such as p99.9`,
		"p(delivery) < 1s":           `"p" is not a percentile; they go from p0 to p100, such as p99.9`,
		"p9.9.9(delivery) < 1s":      `"p9.9.9" is not a percentile; they go from p0 to p100, such as p99.9`,
		"pNaN(delivery) < 1s":        `"pnan" is not a percentile; they go from p0 to p100, such as p99.9`,
		"pinf(delivery) < 1s":        `"pinf" is not a percentile; they go from p0 to p100, such as p99.9`,
		"median(delivery) < 1s":      `there is no figure "median"; there are min, mean, p50 … p99.9, max, count and rate`,
		"rate(delivery) < 1%":        `delivery is not a share of anything, so it has no rate`,
		"rate(received) < 1%":        `received is not a share of anything, so it has no rate`,
		"rate(reach) < 1%":           `reach is not a share of anything, so it has no rate`,
		"p99(lost) < 1":              `lost is one number, not a distribution; write lost < …`,
		"max(reach) >= 1":            `reach is one number, not a distribution; write reach >= …`,
		"count(throughput) >= 1":     `throughput is one number, not a distribution; write throughput >= …`,
		"p99(delivery) < 250":        `"250" is not a duration; give it a unit, such as 250ms or 1.5s`,
		"p99(delivery) < 5%":         `"5%" is not a duration; give it a unit, such as 250ms or 1.5s`,
		"max(delivery) < 1e99h":      `"1e99h" is not a duration; give it a unit, such as 250ms or 1.5s`,
		"lost == none":               `"none" is not a number`,
		"lost < NaN":                 `"NaN" is not a number`,
		"lost < Inf":                 `"Inf" is not a number`,
		"lost < 1e999":               `"1e999" is not a number`,
		"reach > 1%%":                `"1%%" is not a number`,
		"lost < 1%":                  `lost is a number, not a share; write rate(lost) < 1%`,
		"received > 1%":              `received is a number, not a share; leave the % out`,
		"count(delivery) > 1%":       `delivery is a number, not a share; leave the % out`,
		"throughput > 1%":            `throughput is a number, not a share; leave the % out`,
		"rate(lost) < 1":             `a share is never more than 1, which is all of it; write 1% for per cent`,
		"rate(lost) <= 1.0":          `a share is never more than 1, which is all of it; write 1.0% for per cent`,
		"reach > 1":                  `a share is never more than 1, which is all of it; write 1% for per cent`,
		"reach > 99":                 `a share is never more than 1, which is all of it; write 99% for per cent`,
		"reach >= 99.9":              `a share is never more than 1, which is all of it; write 99.9% for per cent`,
		"rate(lost) != 5":            `a share is never more than 1, which is all of it; write 5% for per cent`,
		"reach >= 101%":              `a share is never less than 0% or more than 100%`,
		"reach >= 1000":              `a share is never less than 0% or more than 100%`,
		"rate(lost) <= -1%":          `a share is never less than 0% or more than 100%`,
		"reach > 100%":               `no share is ever more than 100%`,
		"rate(lost) < 0":             `no share is ever less than 0%`,
		"received > 5/s":             `"5/s" is not a number`,
		"p99(delivery) < 250ms && x": `"250ms && x" is not a duration; give it a unit, such as 250ms or 1.5s`,
	} {
		got, err := ParseThreshold(text)
		if want = fmt.Sprintf("threshold %q: %s", text, want); err == nil || err.Error() != want {
			t.Errorf("%q: got %+v\nerror %v\nwant  %s", text, got, err, want)
		}
	}
}

// TestThresholdRoundTrip writes every condition that there can be, and reads it back.
func TestThresholdRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Threshold{
			Metric: rapid.SampledFrom(Metrics()).Draw(t, "metric"),
			Op:     rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "op"),
		}
		figure := ""
		_, shared := want.Metric.Of()
		switch {
		case want.Metric.IsTiming():
			want.Aggregate = rapid.SampledFrom([]Aggregate{Min, Mean, Quantile, Max, Count}).Draw(t, "aggregate")
			figure = map[Aggregate]string{Min: "min", Mean: "mean", Max: "max", Count: "count"}[want.Aggregate]
			if want.Aggregate == Quantile {
				hundredths := rapid.IntRange(0, 10_000).Draw(t, "p")
				want.Q = float64(hundredths) / 10_000
				figure = fmt.Sprintf("p%d.%02d", hundredths/100, hundredths%100)
			}
		case shared && rapid.Bool().Draw(t, "rate"):
			want.Aggregate, figure = Rate, "rate"
		case want.Metric.IsCount() && rapid.Bool().Draw(t, "count"):
			want.Aggregate, figure = Count, "count"
		}
		bound := ""
		switch want.Unit() {
		case Nanoseconds:
			d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "duration"))
			want.Bound, bound = float64(d), d.String()
		case Fraction:
			basis := rapid.IntRange(1, 9_999).Draw(t, "basis points")
			want.Bound, bound = float64(basis)/10_000, fmt.Sprintf("%d.%02d%%", basis/100, basis%100)
		default:
			n := rapid.Uint32().Draw(t, "number")
			want.Bound, bound = float64(n), fmt.Sprint(n)
		}
		want.Text = fmt.Sprintf("%s %s %s", want.Metric, want.Op, bound)
		if figure != "" {
			want.Text = fmt.Sprintf("%s(%s) %s %s", figure, want.Metric, want.Op, bound)
		}
		got, err := ParseThreshold(want.Text)
		if err != nil || got != want {
			t.Fatalf("%q: got %+v, %v\nwant %+v", want.Text, got, err, want)
		}
	})
}

func FuzzParseThreshold(f *testing.F) {
	for _, seed := range []string{"p99(delivery) < 250ms", "lost == 0", "rate(connect_errors) < 1%", "reach >= 99.9%", "pNaN(tls)>=5", "throughput = 1/s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseThreshold(text)
		if err != nil {
			if got != (Threshold{}) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%+v, %q", got, err)
			}
			return
		}
		if math.IsNaN(got.Bound) || math.IsInf(got.Bound, 0) || !(got.Q >= 0 && got.Q <= 1) || got.Metric >= endMetrics {
			t.Fatalf("%q: %+v", text, got)
		}
		if again, err := ParseThreshold(got.Text); err != nil || again != got {
			t.Errorf("%q: again %+v, %v; before %+v", text, again, err, got)
		}
		got.Judge(figures{counts: new([numCounts]uint64), histograms: new([numTimings]*hdrhistogram.Histogram)})
	})
}

// TestJudge holds conditions against the figures of one run.
func TestJudge(t *testing.T) {
	var counts [numCounts]uint64
	counts[Received-numTimings], counts[Opened-numTimings], counts[Drops-numTimings] = 5000, 10, 1
	counts[Expected-numTimings], counts[Delivered-numTimings], counts[Lost-numTimings] = 1000, 999, 1
	var histograms [numTimings]*hdrhistogram.Histogram
	histograms[Delivery] = NewHistogram()
	for ms := range 1000 {
		if err := histograms[Delivery].RecordValue(int64(ms+1) * 1e6); err != nil {
			t.Fatal(err)
		}
	}
	histograms[Connect] = NewHistogram()
	run := figures{
		counts: &counts, histograms: &histograms, unmeasured: map[Metric]string{ClientLag: "arrivals carry no kernel stamp"},
		window: 10 * time.Second, received: 4000, estimate: (&Result{Histograms: histograms}).Estimate,
	}
	for text, want := range map[string]struct {
		value   float64 // to three digits; timings in ms
		unknown string
		passed  bool
	}{
		"p99(delivery) < 1s":         {value: 990, passed: true},
		"p99(delivery) < 990ms":      {value: 990},
		"p99.9(delivery) < 1s":       {unknown: "too few samples: 1000 of the 3688 that this quantile needs"},
		"p100(delivery) <= 1001ms":   {value: 1000, passed: true},
		"max(delivery) > 2s":         {value: 1000},
		"min(delivery) >= 990us":     {value: 1, passed: true},
		"mean(delivery) < 501ms":     {value: 500, passed: true},
		"count(delivery) == 1000":    {value: 1000, passed: true},
		"count(delivery) != 1000":    {value: 1000},
		"p50(connect) < 1h":          {unknown: "no samples"},
		"count(tls) == 0":            {unknown: "no samples"},
		"max(client_lag) < 1h":       {unknown: "not measurable: arrivals carry no kernel stamp"},
		"received >= 5000":           {value: 5000, passed: true},
		"count(received) == 5000":    {value: 5000, passed: true},
		"received <= 4999":           {value: 5000},
		"reach >= 99.9%":             {value: 0.999, passed: true},
		"reach > 99.9%":              {value: 0.999},
		"rate(lost) <= 0.1%":         {value: 0.001, passed: true},
		"rate(drops) < 10%":          {value: 0.1},
		"rate(unsent) == 0":          {unknown: "no samples: due is 0"},
		"rate(connect_errors) < 99%": {unknown: "no samples: attempts is 0"},
		"throughput == 400/s":        {value: 400, passed: true},
	} {
		threshold, err := ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		j := threshold.Judge(run)
		if threshold.Unit() == Nanoseconds {
			j.Value /= 1e6
		}
		if j.Unknown != want.unknown || j.Passed != want.passed || j.Unknown == "" && math.Abs(j.Value-want.value) > want.value/500 {
			t.Errorf("%s: %+v, want %+v", text, j, want)
		}
	}
	run.window = 0
	throughput := Threshold{Metric: Throughput, Op: ">"}
	if j := throughput.Judge(run); j.Unknown != "there was no measured window" || j.Passed {
		t.Errorf("without a window: %+v", j)
	}
}

// TestCanRecover lists the failed conditions that more time may mend. Quantiles, means and shares can go both ways; an
// upper bound on one counts as failed for good, so that --abort-on-fail ends a run that is too slow.
func TestCanRecover(t *testing.T) {
	for _, row := range []struct {
		text  string
		value float64
		want  bool
	}{
		{"lost == 0", 1, false},
		{"lost <= 5", 6, false},
		{"lost < 5", 5, false},
		{"received >= 100", 99, true},
		{"received > 100", 100, true},
		{"received == 100", 99, true},
		{"received == 100", 101, false},
		{"received != 100", 100, true},
		{"count(delivery) > 9", 3, true},
		{"count(delivery) < 9", 9, false},
		{"max(delivery) < 1s", 2e9, false},
		{"max(delivery) > 1s", 1e9, true},
		{"min(delivery) < 1s", 2e9, true},
		{"min(delivery) <= 1s", 2e9, true},
		{"min(delivery) > 1s", 5e8, false},
		{"min(delivery) >= 1s", 5e8, false},
		{"p99(delivery) < 1s", 2e9, false},
		{"p99(delivery) >= 1s", 1e8, true},
		{"mean(delivery) > 1s", 1e8, true},
		{"reach >= 99%", .9, false},
		{"reach < 99%", .999, false},
		{"rate(lost) < 1%", .02, false},
		{"throughput > 100", 99, true},
	} {
		threshold, err := ParseThreshold(row.text)
		if err != nil {
			t.Fatal(err)
		}
		if threshold.holds(row.value) {
			t.Errorf("%s holds for %v", row.text, row.value)
		}
		if got := (Judgement{Threshold: threshold, Figure: Figure{Value: row.value}}).canRecover(); got != row.want {
			t.Errorf("%s at %v: %v", row.text, row.value, got)
		}
		if !(Judgement{Threshold: threshold, Figure: Figure{Unknown: "no samples"}}).canRecover() {
			t.Errorf("%s without a value can't recover", row.text)
		}
	}
}

func TestSamplesFor(t *testing.T) {
	for q, want := range map[float64]int64{0: 1, .5: 6, .9: 36, .99: 368, .999: 3688, .9999: 36887, 1: 1} {
		if got := SamplesFor(q); got != want {
			t.Errorf("%v: %d, want %d", q, got, want)
		}
	}
}

// fewFigures are those of a run with few outages.
type fewFigures struct {
	drops float64
	most  Figure
	p99   Figure
}

func (f fewFigures) Figure(t Threshold) Figure {
	switch {
	case t.Metric == Drops:
		return Figure{Value: f.drops}
	case t.Metric == Lost, t.Metric == Broken:
		return Figure{}
	case t.Aggregate == Max:
		return f.most
	}
	return f.p99
}

// A deploy passes where nothing dropped, and by the longest outage where there are too few for a p99.
func TestWatchDeploy(t *testing.T) {
	few, none := unknown("too few samples"), unknown("no samples")
	for _, test := range []struct {
		name   string
		f      fewFigures
		passed bool
		says   string
	}{
		{"nothing dropped", fewFigures{0, none, none}, true, "nothing dropped"},
		{"few, and short", fewFigures{3, Figure{Value: 4e9}, few}, true, ""},
		{"few, one long", fewFigures{3, Figure{Value: 6e9}, few}, false, ""},
		{"few, one without end", fewFigures{3, Figure{Value: 1e9, AtLeast: true}, few}, false, ""},
		{"none came back", fewFigures{3, none, none}, false, "connections dropped, and none had recovered when the run ended"},
		{"many, p99 short, the longest long", fewFigures{1000, Figure{Value: 9e9}, Figure{Value: 1e9}}, true, ""},
		{"many, p99 long", fewFigures{1000, Figure{Value: 9e9}, Figure{Value: 6e9}}, false, ""},
	} {
		list := WatchDeploy(5 * time.Second)
		if j := list[0].Judge(test.f); !j.Passed || j.Threshold.Text != "lost == 0" {
			t.Errorf("%s: %+v", test.name, j)
		}
		if j := list[1].Judge(test.f); j.Passed != test.passed || j.Unknown != test.says || j.Threshold.Text != "p99(outage) < 5s" {
			t.Errorf("%s: %+v", test.name, j)
		}
	}
}
