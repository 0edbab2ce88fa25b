package bench

import (
	"fmt"
	"slices"
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
		{"replays", fast, 0, 5, "looks the same", "40 events were replayed after drops", "inter_arrival"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := runOf(t, Plan{Stages: []Stage{{0, row.connections}}, Duration: 10 * second})
			result := timed(Saturated, map[Metric]*hdrhistogram.Histogram{ClientLag: row.lag, InterArrival: repeated(10, 2500*millisecond)})
			result.Health = Health{Shared: .2, Stalled: row.stalled}
			if row.name == "replays" {
				result.Resumption = &Resumption{Replayed: 40}
			}
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

// warned reports whether a result has a warning that begins like this.
func warned(result *Result, text string) bool {
	return slices.ContainsFunc(result.Warnings, func(w Warning) bool { return strings.HasPrefix(w.Text, text) })
}

// TestLossThatIsInNoQuantile: where every connection was down at once, nobody knows what was lost, and the quantiles of
// delivery can't hold it. That is said, but not where loss is known.
func TestLossThatIsInNoQuantile(t *testing.T) {
	for _, declared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(nil)
			f.dial = func(a attempt) (*fakeStream, error) {
				s := &fakeStream{lines: since(a.at, ticker(100*millisecond, 8*second, millisecond, func(n int, due time.Duration) client.Event {
					return numbered(fmt.Sprint(n), fmt.Sprintf(`{"at":%d}`, f.epoch(due)))
				}))}
				if a.n == 0 {
					s.end = 3 * second
				}
				return s, nil
			}
			field, err := client.ParseField("json:at")
			if err != nil {
				t.Fatal(err)
			}
			result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 8 * second, Warmup: -1, Backoff: fixed, Stamp: field, Sequence: Sequence{ID: declared}})
			if _, unmeasured := result.Unmeasured[Lost]; unmeasured == declared || warned(result, "the quantiles of delivery can't hold what was lost") == declared {
				t.Errorf("declared %v: %v, %v", declared, result.Unmeasured[Lost], result.Warnings)
			}
		})
	}
}

// TestLossInSomeSequences: a sequence in which loss can't be told, beside one in which it can.
func TestLossInSomeSequences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(100*millisecond, 4*second, millisecond, func(n int, due time.Duration) client.Event {
				if n%2 == 0 {
					return f.stamped(n/2, due)
				}
				return numbered(fmt.Sprintf("%d-%d", a.conn, n), "opaque, and to each its own")
			})}, nil
		}
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 4 * second, Warmup: -1})
		if _, unmeasured := result.Unmeasured[Lost]; unmeasured || !warned(result, "loss is not measurable in 1 of 2 sequences") {
			t.Errorf("%v, %v", result.Unmeasured, result.Warnings)
		}
	})
}

// TestCoarseStamps: where the server's stamps are cut to a unit that is a part of what deliveries take, that is said.
func TestCoarseStamps(t *testing.T) {
	for _, row := range []struct {
		unit, delivery time.Duration
		coarse         bool
	}{
		{millisecond, 3 * millisecond, true},
		{millisecond, 80 * millisecond, false},
		{time.Microsecond, 3 * millisecond, false},
		{1, 3 * millisecond, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer(nil)
			f.dial = func(a attempt) (*fakeStream, error) {
				return &fakeStream{lines: since(a.at, ticker(17*millisecond+1003, 8*second, row.delivery, func(n int, due time.Duration) client.Event {
					return numbered(fmt.Sprint(n), fmt.Sprintf(`{"at":%q}`, time.Unix(0, f.epoch(due)).Truncate(row.unit).UTC().Format(time.RFC3339Nano)))
				}))}, nil
			}
			result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: 8 * second, Warmup: -1, Stamp: field("json:at")})
			if result.Histogram(Delivery) == nil || warned(result, "the server's stamps are whole multiples of "+row.unit.String()) != row.coarse {
				t.Errorf("%+v: %v", row, result.Warnings)
			}
		})
	}
}
