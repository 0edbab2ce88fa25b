package bench

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestMergeIsExact: the quantiles of four results are those of one histogram over all of their samples.
func TestMergeIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	all := NewHistogram()
	var results []*Result
	for i := range 4 {
		r := &Result{Start: time.Unix(int64(100*i), 0), End: 10 * second, Peak: 5 + i, Planned: 8, Absent: map[Metric]uint64{Delivery: uint64(i)}, Waited: time.Duration(5-i) * second}
		r.Histograms[Delivery] = NewHistogram()
		for range 1000 * (i + 1) {
			ns := int64(random.ExpFloat64() * 1e6 * float64(i+1))
			_ = r.Histograms[Delivery].RecordValue(ns)
			_ = all.RecordValue(ns)
		}
		r.Counts[Received-numTimings] = uint64(1000 * (i + 1))
		r.Verdict = []Verdict{Trusted, Bounded, Trusted, Trusted}[i]
		r.Estimates = map[Metric][]Estimate{Delivery: {{Q: .99, Verdict: r.Verdict}}}
		r.Errors = []ErrorGroup{{Key: "reset", Count: 2, First: time.Duration(i), Last: time.Duration(10 + i)}}
		r.Resumption = &Resumption{Verdict: ExactlyOnce, Judged: 3, Correct: 3}
		results = append(results, r)
	}
	results[2].Resumption = &Resumption{Verdict: Lossy, Judged: 1, Faults: [numResumeFaults]uint64{Horizon: 1}}
	results[3].Unmeasured = map[Metric]string{Lost: "no ids"}
	m, err := Merge(results)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Histogram(Delivery).Equals(all) {
		t.Error("the histograms differ")
	}
	whole := &Result{Absent: map[Metric]uint64{Delivery: 6}, Waited: 2 * second}
	whole.Histograms[Delivery] = all
	for _, q := range Percentiles() {
		got, want := m.Estimate(Delivery, q), whole.Estimate(Delivery, q)
		if got.Value != want.Value || got.AtLeast != want.AtLeast || got.Unknown != want.Unknown {
			t.Errorf("%v: %+v, want %+v", q, got, want)
		}
	}
	if m.Estimate(Delivery, .99).Verdict != Bounded || m.Verdict != Bounded {
		t.Errorf("%s, %s", m.Estimate(Delivery, .99).Verdict, m.Verdict)
	}
	if m.Count(Received) != 10000 || m.End != 40*second || m.Peak != 8 || m.Unmeasured[Lost] == "" || len(m.Errors) != 1 || m.Errors[0].Count != 8 || m.Errors[0].Last != 13 {
		t.Errorf("%+v", m)
	}
	if r := m.Resumption; r.Verdict != Lossy || r.Judged != 10 || r.Correct != 9 || r.Faults[Horizon] != 1 {
		t.Errorf("%+v", r)
	}
	if results[0].Count(Received) != 1000 || results[0].Histogram(Delivery).TotalCount() != 1000 {
		t.Error("what it was given has changed")
	}
}

// TestMergeTogether: connections of runs that were made at the same time are added.
func TestMergeTogether(t *testing.T) {
	a, b := &Result{Start: time.Unix(10, 0), End: 10 * second, Peak: 5}, &Result{Start: time.Unix(12, 0), End: 10 * second, Peak: 7}
	m, err := Merge([]*Result{a, b})
	if err != nil || m.Peak != 12 || m.End != 10*second {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := Merge(nil); err == nil {
		t.Error("nothing was merged")
	}
}
