package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/bench"
)

// quantiles is the one table of the quantiles that are written, in every format.
var quantiles = [...]struct {
	name string
	q    float64
}{{"p50", .5}, {"p75", .75}, {"p90", .9}, {"p95", .95}, {"p99", .99}, {"p99.9", .999}, {"p99.99", .9999}}

// stops says why a run ended where Result.StopText doesn't.
var stops = map[bench.Stop]string{
	bench.StopDuration:    "ran its full time",
	bench.StopEvents:      "received all the events asked for",
	bench.StopInterrupted: "interrupted",
	bench.StopFinished:    "ended by hand",
	bench.StopAborted:     "aborted: a threshold failed",
	bench.StopUnreachable: "nothing ever connected",
	bench.StopEnded:       "every connection had ended",
}

// verdicts says what each verdict means, in a few words beside it; meaning knows better of UPPER BOUND.
var verdicts = map[bench.Verdict]string{
	bench.Trusted:    "stamped by the kernel",
	bench.Bounded:    "the truth lies between",
	bench.UpperBound: "the truth is no worse",
	bench.Saturated:  "the tester was too slow to tell",
	bench.NoVerdict:  "does not describe the target",
}

// Meaning says in a few words what a verdict means.
func Meaning(v bench.Verdict) string { return verdicts[v] }

// QuantileName is a quantile's name in every format: of .999, p99.9.
func QuantileName(q float64) string { return quantileName(q) }

// meaning says what a verdict on a run's figures means.
func meaning(r *bench.Result, v bench.Verdict) string {
	switch {
	case v == bench.UpperBound && userStamped(r.Health):
		return "stamped in user space"
	case v == bench.UpperBound && r.Clock != nil:
		return "the server's clock is not known better"
	case v == bench.UpperBound && r.Health.Shared > 0:
		return "batched delivery"
	}
	return verdicts[v]
}

// timing is a timing that has samples.
type timing struct {
	metric    bench.Metric
	histogram *hdrhistogram.Histogram
	source    string
	estimate  func(q float64) bench.Estimate
}

// timings lists those that have samples and were not declared unmeasurable.
func timings(r *bench.Result) []timing {
	var all []timing
	for _, m := range bench.Timings() {
		h := r.Histogram(m)
		if _, unmeasured := r.Unmeasured[m]; unmeasured || h == nil || h.TotalCount() == 0 {
			continue
		}
		all = append(all, newTiming(r, m))
	}
	return all
}

func newTiming(r *bench.Result, m bench.Metric) timing {
	return timing{m, r.Histogram(m), r.Sources[m], func(q float64) bench.Estimate { return r.Estimate(m, q) }}
}

// quantile gives no value where there are too few samples for one, or where it lies among what never came.
func (t timing) quantile(q float64) (ns int64, ok bool) {
	e := t.estimate(q)
	return e.Value, e.Unknown == "" && !e.AtLeast
}

// quantileName is a quantile's name in every format: of .999, p99.9.
func quantileName(q float64) string {
	whole, part, _ := strings.Cut(strconv.FormatFloat(q, 'f', -1, 64), ".")
	part += "00"[:max(0, 2-len(part))]
	name := strings.TrimLeft(whole+part[:2], "0")
	if name == "" {
		name = "0"
	}
	if len(part) > 2 {
		name += "." + part[2:]
	}
	return "p" + name
}

// Brief is what a run comes to, in a few words: p50 and p99 of its headline as the report has them, each with its verdict where
// the one behind it has another; where there is neither, what the report has instead. It is "" where there is nothing.
func Brief(r *bench.Result) string {
	t, ok := headline(r)
	if !ok {
		return ""
	}
	var figures, verdicts []string
	for _, q := range []float64{.5, .99} {
		if e := t.estimate(q); e.Unknown == "" || e.Indicative {
			figures = append(figures, quantileName(q)+" "+figureText(e))
			verdicts = append(verdicts, string(worth(cmp.Or(e.Verdict, r.Verdict), e.Unknown)))
		}
	}
	if figures == nil {
		name, figure, _ := headlineFigure(r, t)
		figures, verdicts = []string{name + " " + figure}, []string{string(runWorth(r))}
	}
	text := t.metric.String()
	for i, figure := range figures {
		text += "  " + figure
		if i == len(figures)-1 || verdicts[i] != verdicts[i+1] {
			text = strings.TrimSpace(text + " " + verdicts[i])
		}
	}
	return text
}

// parseQuantile reads what quantileName gives, and nothing else.
func parseQuantile(name string) (q float64, ok bool) {
	digits, _ := strings.CutPrefix(name, "p")
	q, err := strconv.ParseFloat(digits+"e-2", 64)
	return q, err == nil && q >= 0 && q <= 1 && quantileName(q) == name
}

// headline is the timing that the run is about; what was declared unmeasurable cannot be.
func headline(r *bench.Result) (timing, bool) {
	measured := *r
	for m := range r.Unmeasured {
		if m.IsTiming() {
			measured.Histograms[m] = nil
		}
	}
	m, ok := measured.Headline()
	return newTiming(r, m), ok
}

// ratio gives one of the ratios; unknown says why there is none.
func ratio(r *bench.Result, m bench.Metric) (f float64, unknown string) {
	if m == bench.Reach {
		for _, part := range []bench.Metric{bench.Expected, bench.Delivered} {
			if why, ok := r.Unmeasured[part]; ok {
				return 0, "not measurable: " + why
			}
		}
	}
	figure := r.Figure(bench.Threshold{Metric: m})
	return figure.Value, figure.Unknown
}

// ratios lists the metrics that are neither timings nor counts.
func ratios() []bench.Metric {
	return bench.Metrics()[len(bench.Timings())+len(bench.Counts()):]
}

// share is a count as a share of what it is counted among; ok is false where that is nothing, or not known.
func share(r *bench.Result, m bench.Metric) (f float64, ok bool) {
	of, ok := m.Of()
	if _, unmeasured := r.Unmeasured[of]; !ok || unmeasured || r.Count(of) == 0 {
		return 0, false
	}
	return float64(r.Count(m)) / float64(r.Count(of)), true
}

// check refuses a run that cannot be written.
func (run Run) check() error {
	r := run.Result
	if r == nil {
		return fmt.Errorf("report: there is no result")
	}
	all := []bench.Verdict{r.Verdict}
	for _, estimates := range r.Estimates {
		for _, e := range estimates {
			all = append(all, e.Verdict)
		}
	}
	for _, j := range r.Judgements {
		all = append(all, j.Verdict)
	}
	for _, v := range all {
		if _, ok := verdicts[v]; !ok && v != "" {
			return fmt.Errorf("report: unknown verdict %q", v)
		}
	}
	if _, ok := stops[r.Stop]; !ok {
		return fmt.Errorf("report: unknown reason to stop %q", r.Stop)
	}
	return nil
}
