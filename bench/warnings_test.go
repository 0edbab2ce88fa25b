package bench

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/client"
)

// runOf is a run that has not begun.
func runOf(t *testing.T, plan Plan) *run {
	r := newRun(&Runner{Plan: plan, Dialer: func(int) (client.Dialer, error) { return nil, nil }, fakable: true})
	t.Cleanup(r.cancel)
	return r
}

// timed is a result that has these timings and nothing else, with a headline of that verdict.
func timed(v Verdict, histograms map[Metric]*hdrhistogram.Histogram) *Result {
	result := &Result{Verdict: v, End: 10 * second}
	for m, h := range histograms {
		result.Histograms[m] = h
	}
	return result
}

// TestSaturatedByEvidence: what a saturated tester is told goes by what is known of it.
func TestSaturatedByEvidence(t *testing.T) {
	fast, slow := repeated(1000, 130*time.Microsecond), repeated(1000, 7*time.Millisecond)
	for _, row := range []struct {
		name               string
		lag                *hdrhistogram.Histogram
		stalled            time.Duration
		connections        int
		says, advises, not string
	}{
		{"a server that catches up", fast, 0, 5, "a server that catches up or a proxy that batches, looks the same", "max(inter_arrival), 2.5", "fewer connections"},
		{"a tester that can't follow", slow, 0, 500, "client_lag p99 is 7", "fewer connections than 500", "was it stopped"},
		{"one that was stopped", fast, 497 * millisecond, 5, "the tester stood still for 497ms", "was it stopped", "fewer connections"},
		{"one connection", slow, 0, 1, "client_lag p99 is 7", "processors of its own", "fewer connections"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := runOf(t, Plan{Stages: []Stage{{0, row.connections}}, Duration: 10 * second})
			result := timed(Saturated, map[Metric]*hdrhistogram.Histogram{ClientLag: row.lag, InterArrival: repeated(10, 2500*millisecond)})
			result.Health = Health{Shared: .2, Stalled: row.stalled}
			w := r.saturated(result)
			if !strings.Contains(w.Text, row.says) || !strings.Contains(w.Advice, row.advises) || strings.Contains(w.Advice, row.not) || !strings.Contains(w.Text, "client_lag p99") || strings.Contains(w.Text, "still for 0") {
				t.Errorf("%s: %+v", row.name, w)
			}
		})
	}
}

// TestStopComesFirst: where the tester stood still and so sent late, the first thing that is said is that it stood still;
// and a low rate isn't to be lowered.
func TestStopComesFirst(t *testing.T) {
	for _, row := range []struct {
		rate    float64
		stalled time.Duration
	}{{10, 497 * millisecond}, {10, 0}, {5000, 0}} {
		synctest.Test(t, func(t *testing.T) {
			r := runOf(t, Plan{Stages: []Stage{{0, 1}}, Duration: 10 * second, Warmup: -1, Send: Sending{Rate: row.rate}})
			result := timed(NoVerdict, map[Metric]*hdrhistogram.Histogram{RoundTrip: repeated(1000, millisecond), PublishLateness: repeated(1000, 3*millisecond)})
			result.Counts[Sent-numTimings] = 1e6
			result.Health.Stalled = row.stalled
			result.Doubts = r.doubts(result)
			late := len(result.Doubts) - 1
			if !strings.HasPrefix(result.Doubts[late].Text, "the tester sent late") || strings.Contains(result.Doubts[late].Advice, "--rate") != (row.rate > 1000) {
				t.Errorf("%v: %v", row.rate, result.Doubts)
			}
			if stopped := result.Doubts[0].Text == "the tester did nothing for 497ms in all"; stopped != (row.stalled > 0) || late > 1 {
				t.Errorf("%v: %v", row.rate, result.Doubts)
			}
			for _, w := range r.warnings(result) {
				if strings.Contains(w.Text, "did nothing") {
					t.Errorf("said twice: %v", w)
				}
			}
		})
	}
}
