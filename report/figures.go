package report

import (
	"fmt"

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
	bench.StopAborted:     "aborted: a threshold failed",
	bench.StopUnreachable: "nothing ever connected",
	bench.StopEnded:       "every connection had ended",
}

// verdicts says what each verdict means, in a few words beside it.
var verdicts = map[bench.Verdict]string{
	bench.UpperBound: "user-space stamps",
	bench.NoVerdict:  "does not describe the target",
}

// timing is a timing that has samples.
type timing struct {
	metric    bench.Metric
	histogram *hdrhistogram.Histogram
	source    string
}

// timings lists those that have samples and were not declared unmeasurable.
func timings(r *bench.Result) []timing {
	var all []timing
	for _, m := range bench.Timings() {
		h := r.Histogram(m)
		if _, unmeasured := r.Unmeasured[m]; unmeasured || h == nil || h.TotalCount() == 0 {
			continue
		}
		all = append(all, timing{m, h, r.Sources[m]})
	}
	return all
}

// quantile gives no value where there are too few samples for one.
func (t timing) quantile(q float64) (ns int64, ok bool) {
	if t.histogram.TotalCount() < bench.SamplesFor(q) {
		return 0, false
	}
	return t.histogram.ValueAtQuantile(q * 100), true
}

// named is quantile by its name in the table.
func (t timing) named(name string) (ns int64, ok bool) {
	for _, q := range quantiles {
		if q.name == name {
			return t.quantile(q.q)
		}
	}
	return 0, false
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
	return timing{m, r.Histogram(m), r.Sources[m]}, ok
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
	return r.Figure(bench.Threshold{Metric: m})
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
	if _, ok := verdicts[r.Verdict]; !ok && r.Verdict != "" {
		return fmt.Errorf("report: unknown verdict %q", r.Verdict)
	}
	if _, ok := stops[r.Stop]; !ok {
		return fmt.Errorf("report: unknown reason to stop %q", r.Stop)
	}
	return nil
}
