package check

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	resolution = .1 // how far apart, at most, what was complete and what wasn't are to be, of the latter
	maxRounds  = 9
)

// rounds is how many rounds of so many probes it takes to find the edge between what is complete and what isn't, between the
// shortest time away and the longest, with the wanted resolution, and two more for a rate that changes.
func rounds(shortest, longest time.Duration, probes int) int {
	ratio := math.Pow(float64(shortest)/float64(longest), 1/float64(max(1, probes-1)))
	n := 1
	for ; 1-ratio > resolution && n < maxRounds-2; n++ {
		ratio = math.Pow(ratio, 1/float64(max(2, probes)))
	}
	return n + 2
}

// series gives times in a geometric series from the shortest to the longest, which is what a single one is.
func series(shortest, longest time.Duration, n int) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = geometric(shortest, longest, float64(i)/float64(max(1, n-1)))
	}
	list[n-1] = longest
	return list
}

// between gives times that divide what is between two into equal ratios, and the higher one, so that it is seen whether that
// was no accident; a single time is in the middle.
func between(low, high time.Duration, n int) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = geometric(low, high, float64(i+1)/float64(max(2, n)))
	}
	return list
}

// geometric is the time at a share of the way from one to another, counted in ratios.
func geometric(low, high time.Duration, share float64) time.Duration {
	if share == 1 {
		return high // exactly
	}
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), share))
}

// A measure is what probes are put in order by.
type measure func(*Probe) float64

func byTime(p *Probe) float64  { return float64(p.Away) }
func byCount(p *Probe) float64 { return float64(p.Missed) }
func byAge(p *Probe) float64   { return float64(p.Age) }

// judged gives the probes that show something, in order.
func judged(probes []Probe, by measure) []Probe {
	list := slices.DeleteFunc(slices.Clone(probes), func(p Probe) bool { return p.Outcome != Complete && p.Outcome != Incomplete })
	slices.SortStableFunc(list, func(a, b Probe) int { return cmp.Compare(by(&a), by(&b)) })
	return list
}

// bracket gives the first probe that wasn't complete, and the last one before it, which was; where all were, the last of all.
// Either is nil where there is none.
func bracket(probes []Probe, by measure) (complete, incomplete *Probe) {
	for _, p := range judged(probes, by) {
		if p.Outcome == Incomplete {
			return complete, &p
		}
		complete = &p
	}
	return complete, nil
}

// narrowTime reports whether two probes were away for as good as the same time, narrowCount whether they missed as good as the
// same number of events; complete may be nil.
func narrowTime(complete, incomplete *Probe) bool {
	return complete != nil && float64(incomplete.Away-complete.Away) <= resolution*float64(incomplete.Away)
}

func narrowCount(complete, incomplete *Probe) bool {
	if complete == nil {
		return incomplete.Missed <= 1
	}
	return incomplete.Missed <= complete.Missed+1 || float64(incomplete.Missed-complete.Missed) <= resolution*float64(incomplete.Missed)
}

// contradictions are the probes that were complete though they are beyond the first one that wasn't, by more than the search
// resolves, or were away for as long in a later round.
func contradictions(probes []Probe, by measure) (list []Probe) {
	_, incomplete := bracket(probes, by)
	if incomplete == nil {
		return nil
	}
	for _, p := range judged(probes, by) {
		again := p.Planned >= incomplete.Planned && p.Round > incomplete.Round && by(&p) >= by(incomplete)
		if p.Outcome == Complete && (again || by(&p) > (1+resolution)*by(incomplete)) {
			list = append(list, p)
		}
	}
	return list
}

// A LimitKind says what a server seems to limit its replay by.
type LimitKind string

const (
	LimitUnknown LimitKind = "unknown" // both would do: it can't be told
	LimitByCount LimitKind = "count"   // so many events
	LimitByAge   LimitKind = "age"     // events of such an age
	LimitNeither LimitKind = "neither" // neither alone explains what the probes found
	LimitNone    LimitKind = "none"    // by nothing: as many are lost however long a client is away
)

// measure is what tells what is within the limit.
func (k LimitKind) measure() measure {
	switch k {
	case LimitByCount:
		return byCount
	case LimitByAge:
		return byAge
	}
	return byTime
}

// limitKind tells a limit by count from one by age, which takes a rate that changes: the probes must contradict one of them by
// more than the search resolves, and not the other one at all.
func limitKind(probes []Probe) LimitKind {
	var mostDone, oldestDone float64 // of those that were complete
	mostLost, oldestLost := math.Inf(1), math.Inf(1)
	for _, p := range judged(probes, byTime) {
		missed, age := float64(p.Missed), float64(p.Age)
		if p.Outcome == Complete {
			mostDone, oldestDone = max(mostDone, missed), max(oldestDone, age)
		} else {
			mostLost, oldestLost = min(mostLost, missed), min(oldestLost, age)
		}
	}
	if alwaysLost(probes) > 0 {
		return LimitNone
	}
	const jitter = float64(50 * time.Millisecond)
	notCount := mostDone > (1+resolution)*mostLost+1
	notAge := oldestDone > (1+resolution)*oldestLost+jitter
	switch {
	case notCount && notAge:
		return LimitNeither
	case notAge && mostDone <= mostLost+1:
		return LimitByCount
	case notCount && oldestDone <= oldestLost+jitter:
		return LimitByAge
	}
	return LimitUnknown
}

// alwaysLost is how many events each probe lost, where all lost as many though they had missed very different numbers, as by a
// replay that begins one too late; 0 where they didn't.
func alwaysLost(probes []Probe) uint64 {
	list := judged(probes, byCount)
	if len(list) < 2 || list[len(list)-1].Missed < 2*list[0].Missed {
		return 0
	}
	for _, p := range list {
		if p.Outcome != Incomplete || p.Why != "" || p.Lost != list[0].Lost {
			return 0
		}
	}
	return list[0].Lost
}
