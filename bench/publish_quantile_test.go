package bench

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/client"
)

// checkQuantile holds a quantile, in ten-thousandths, against the values that came and how many never did: those are
// later than all.
func checkQuantile(t *rapid.T, result *Result, m Metric, tenThousandths int, came []int64, lost uint64) {
	values := slices.Sorted(slices.Values(came))
	n, all := uint64(len(values)), uint64(len(values))+lost
	rank := max(1, (uint64(tenThousandths)*all+9999)/10000)
	if lost == 0 { // the histogram's own choice of a rank: the nearest
		rank = min(n, max(1, (uint64(tenThousandths)*all+5000)/10000))
		if uint64(tenThousandths)*all%10000 == 5000 {
			return // between two, the product of two floats may be nearer to either
		}
	} else if uint64(tenThousandths)*all%10000 == 0 && !slices.Contains(Percentiles(), float64(tenThousandths)/10000) {
		return // the product of two floats may be either side of the whole number
	}
	e := result.Estimate(m, float64(tenThousandths)/10000)
	switch {
	case n == 0:
		if e.Unknown == "" {
			t.Fatalf("%s: %v of nothing", m, e)
		}
	case rank > n:
		observed := histogramOf(values).Max()
		if !e.AtLeast || e.Value < max(observed, int64(result.Waited)) {
			t.Fatalf("%s: %+v with %d lost of %d, of which the latest took %d; waited %v", m, e, lost, all, observed, result.Waited)
		}
	case e.AtLeast || !histogramOf(nil).ValuesAreEquivalent(e.Value, values[rank-1]):
		t.Fatalf("%s: %+v, want %d: number %d of %d, %d lost", m, e, values[rank-1], rank, n, lost)
	}
}

// checkCensored holds a run's quantiles, and those of a threshold, against its world's log. It reports whether p99 is
// among what never came.
func (w *publishWorld) checkCensored(t *rapid.T, result *Result, want *publishAccount) (beyond bool) {
	quantiles := []int{5000, 7500, 9000, 9500, 9900, 9990, 9999}
	for range 5 {
		quantiles = append(quantiles, rapid.IntRange(1, 9999).Draw(t, "quantile"))
	}
	for _, q := range quantiles {
		checkQuantile(t, result, Delivery, q, want.delivery, want.lost)
		checkQuantile(t, result, LagBehindFirst, q, want.lags, want.lost)
	}
	n := uint64(len(want.delivery))
	beyond = (9900*(n+want.lost)+9999)/10000 > n
	if beyond && result.Judgements[0].Passed {
		t.Fatalf("%q passed with %d lost of %d", result.Judgements[0].Threshold.Text, want.lost, n+want.lost)
	}
	steady := !slices.ContainsFunc(w.retires, func(at time.Duration) bool { return at > 0 }) &&
		!slices.ContainsFunc(w.lives, func(lives []time.Duration) bool { return len(lives) > 0 })
	if steady && want.lost > 0 && result.Waited < w.plan.Drain {
		t.Fatalf("it waited %v for %d that never came", result.Waited, want.lost)
	}
	return beyond
}

// TestPublishedAllocates: neither entering an event of the run's own nor receiving it allocates anything.
func TestPublishedAllocates(t *testing.T) {
	plan := Plan{Stages: []Stage{{0, 2}}, Duration: time.Hour, Send: Sending{Rate: 1, Publishers: []Publisher{worldPublisher{}}}}
	r, first := newTestSubscriber(t, plan)
	second := r.newSubscriber(1, client.Backoff{})
	second.Opened(client.Opened{At: r.start, Info: client.Info{Started: r.start}})
	var token []byte
	due := 2 * millisecond
	receive := func() {
		due += millisecond
		ordinal := r.announce(due, 0)
		token, _ = r.stamp(token[:0], 0, ordinal, due)
		ev := client.Event{Data: token, Retry: -1, Arrival: client.Arrival{User: r.start.Add(due + millisecond)}}
		first.Received(&ev)
		second.Received(&ev)
	}
	for range 2 * maxSlots {
		receive()
	}
	if allocs := testing.AllocsPerRun(2000, receive); allocs != 0 {
		t.Errorf("%v allocations an event", allocs)
	}
}
