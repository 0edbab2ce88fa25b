package bench

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Merge makes one result of several, as of one run by several machines, or of a run that was made several times: counts are
// added, and histograms merged, so that a quantile is that of all samples, exactly. What is of a single run's course (its series,
// its drift, the interval in which it knows a quantile) is left out. Connections are added where runs were made at the same
// time, else the most of them counts. It changes none of what it is given.
func Merge(results []*Result) (*Result, error) {
	if len(results) == 0 {
		return nil, errors.New("there is nothing to merge")
	}
	if len(results) == 1 {
		return results[0], nil
	}
	first := results[0]
	m := &Result{
		Start: first.Start, Stop: first.Stop, Environment: first.Environment.Host(), SeriesStep: first.SeriesStep, Waited: first.Waited,
		Absent: make(map[Metric]uint64), Estimates: make(map[Metric][]Estimate), Sources: make(map[Metric]string), Unmeasured: make(map[Metric]string),
	}
	together := overlap(results)
	count := func(have *int, more int) {
		if together {
			*have += more
		} else {
			*have = max(*have, more)
		}
	}
	for _, r := range results {
		if r.Start.Before(m.Start) {
			m.Start = r.Start
		}
		m.Elapsed = max(m.Elapsed, r.Elapsed)
		if length := r.End - r.Begin; together {
			m.End = max(m.End, length)
		} else {
			m.End += length
		}
		m.Waited = min(m.Waited, r.Waited)
		m.Failure = cmp.Or(m.Failure, r.Failure)
		count(&m.Planned, r.Planned)
		count(&m.Peak, r.Peak)
		count(&m.OpenAtEnd, r.OpenAtEnd)
		m.DistinctIDs = max(m.DistinctIDs, r.DistinctIDs)
		m.Window.add(r.Window)
		for i, n := range r.Counts {
			m.Counts[i] += n
		}
		maps.Copy(m.Sources, r.Sources)
		maps.Copy(m.Unmeasured, r.Unmeasured) // what one of them didn't measure isn't known of all
		for metric, n := range r.Absent {
			m.Absent[metric] += n
		}
		m.Environment.CPU += r.Environment.CPU
		m.Environment.WindowCPU += r.Environment.WindowCPU
		m.Environment.MaxRSS = max(m.Environment.MaxRSS, r.Environment.MaxRSS)
		m.Doubts = append(m.Doubts, r.Doubts...)
		m.Warnings = append(m.Warnings, r.Warnings...)
		m.Storms = append(m.Storms, r.Storms...)
		m.Annotations = append(m.Annotations, r.Annotations...)
		m.mergeErrors(r.Errors)
		m.Resumption = m.Resumption.merge(r.Resumption)
		m.Health = worstOf(m.Health, r.Health, r == first)
		m.Verdict = worse(m.Verdict, r.Verdict)
		if r.Drift != nil {
			m.Warnings = append(m.Warnings, Warning{fmt.Sprintf("one of the runs was NON-STATIONARY: its %s changed", r.Drift.Metric), "measure it again, for longer"})
		}
	}
	m.Doubts, m.Warnings = distinct(m.Doubts), distinct(m.Warnings)
	m.Elapsed = max(m.Elapsed, m.End)
	m.mergeHistograms(results)
	for _, j := range first.Judgements {
		m.Judgements = append(m.Judgements, j.Threshold.Judge(m))
	}
	return m, nil
}

// overlap reports whether any two of the runs were made at the same time.
func overlap(results []*Result) bool {
	sorted := slices.SortedFunc(slices.Values(results), func(a, b *Result) int { return a.Start.Compare(b.Start) })
	for i, r := range sorted[1:] {
		if r.Start.Before(sorted[i].Start.Add(sorted[i].End)) {
			return true
		}
	}
	return false
}

func (r *Result) mergeErrors(groups []ErrorGroup) {
	for _, g := range groups {
		i := slices.IndexFunc(r.Errors, func(have ErrorGroup) bool { return have.Key == g.Key })
		if i < 0 {
			r.Errors = append(r.Errors, g)
			continue
		}
		have := &r.Errors[i]
		have.Count += g.Count
		have.First, have.Last = min(have.First, g.First), max(have.Last, g.Last)
	}
}

// merge gives what became of the resumes of both; nil is for none.
func (r *Resumption) merge(more *Resumption) *Resumption {
	if r == nil || more == nil {
		return cmp.Or(r, more)
	}
	sum := *r
	for _, x := range []struct{ to, from *uint64 }{
		{&sum.Judged, &more.Judged}, {&sum.Correct, &more.Correct}, {&sum.Idle, &more.Idle}, {&sum.Cut, &more.Cut}, {&sum.Unasked, &more.Unasked},
		{&sum.Unknown, &more.Unknown}, {&sum.Replayed, &more.Replayed}, {&sum.Missing, &more.Missing}, {&sum.Resent, &more.Resent},
	} {
		*x.to += *x.from
	}
	for i, n := range more.Faults {
		sum.Faults[i] += n
	}
	sum.Deepest = max(sum.Deepest, more.Deepest)
	worst := []ResumeVerdict{ExactlyOnce, Undecidable, AtLeastOnce, Lossy}
	if slices.Index(worst, more.Verdict) > slices.Index(worst, sum.Verdict) {
		sum.Verdict, sum.Why = more.Verdict, more.Why
	}
	return &sum
}

// mergeHistograms merges the timings, and gives their quantiles the worst of the verdicts that they had.
func (r *Result) mergeHistograms(results []*Result) {
	quantiles := Percentiles()
	for _, x := range results {
		for _, j := range x.Judgements {
			if j.Threshold.Aggregate == Quantile && !slices.Contains(quantiles, j.Threshold.Q) {
				quantiles = append(quantiles, j.Threshold.Q)
			}
		}
	}
	slices.Sort(quantiles)
	for _, m := range Timings() {
		for _, x := range results {
			if h := x.Histogram(m); h != nil {
				if r.Histograms[m] == nil {
					r.Histograms[m] = NewHistogram()
				}
				r.Histograms[m].Merge(h)
			}
		}
		if r.Histograms[m] == nil {
			continue
		}
		for _, q := range quantiles {
			e := r.Estimate(m, q)
			for _, x := range results {
				if have := x.Estimate(m, q); x.Histogram(m) != nil {
					e.Verdict = worse(e.Verdict, have.Verdict)
				}
			}
			r.Estimates[m] = append(r.Estimates[m], e)
		}
	}
}

// fromBest are the verdicts, the best first.
var fromBest = [...]Verdict{"", Trusted, Bounded, UpperBound, Saturated, NoVerdict}

func worse(a, b Verdict) Verdict {
	return fromBest[max(slices.Index(fromBest[:], a), slices.Index(fromBest[:], b), 0)]
}

// worstOf is the worse of each evidence; what one of them doesn't know isn't known of both.
func worstOf(a, b Health, first bool) Health {
	if first {
		return b
	}
	share := func(x, y float64) float64 {
		if x < 0 || y < 0 {
			return -1
		}
		return max(x, y)
	}
	length := func(x, y time.Duration) time.Duration {
		if x < 0 || y < 0 {
			return -1
		}
		return max(x, y)
	}
	step := a.ClockStep
	if b.ClockStep.Abs() > step.Abs() {
		step = b.ClockStep
	}
	return Health{
		Shared: share(a.Shared, b.Shared), Unstamped: share(a.Unstamped, b.Unstamped), Stalled: max(a.Stalled, b.Stalled), ClockStep: step,
		Steal: share(a.Steal, b.Steal), Throttled: length(a.Throttled, b.Throttled), Pressure: share(a.Pressure, b.Pressure),
		SchedulerP99: length(a.SchedulerP99, b.SchedulerP99), CollectorMax: length(a.CollectorMax, b.CollectorMax),
	}
}

// distinct leaves out what was said before.
func distinct(list []Warning) (kept []Warning) {
	for _, w := range list {
		if !slices.Contains(kept, w) {
			kept = append(kept, w)
		}
	}
	return kept
}
