package bench

import (
	"math"
	"time"
)

// A Schedule says when things are due. It is arithmetic and knows no clock, so nothing that happens can shift it.
type Schedule interface {
	// At says when arrival n, counted from 0, is due after the start; ok is false where there is no such arrival.
	At(n uint64) (due time.Duration, ok bool)
	// Rate is the arrivals a second at time t.
	Rate(t time.Duration) float64
}

// Forever is the length of a segment that doesn't end.
const Forever = time.Duration(math.MaxInt64)

// A Segment is a stretch of time over which a rate goes evenly from one value to another.
type Segment struct {
	Length   time.Duration
	From, To float64 // arrivals a second
}

// arrivals is how many fall into the first t of the segment.
func (s Segment) arrivals(t time.Duration) float64 {
	x := t.Seconds()
	if s.From == s.To {
		return s.From * x
	}
	return s.From*x + (s.To-s.From)/(2*s.Length.Seconds())*x*x
}

// reach is when the segment has had n arrivals: the smaller root of n = From·x + slope/2·x².
func (s Segment) reach(n float64) time.Duration {
	switch {
	case n == 0: // also where the rate begins at zero, and the root below is 0 ÷ 0
		return 0
	case s.From == s.To:
		return time.Duration(n / s.From * 1e9)
	}
	slope := (s.To - s.From) / s.Length.Seconds()
	root := math.Sqrt(max(0, s.From*s.From+2*slope*n))
	return min(s.Length, time.Duration(2*n/(s.From+root)*1e9)) // the form that doesn't cancel
}

// Segments is a Schedule of segments, one after the other. Arrival n is due when n arrivals' worth of rate has
// passed, so the first one is due where the rate first is above zero.
type Segments []Segment

// Constant is a rate that stays.
func Constant(rate float64) Segments { return Segments{{Length: Forever, From: rate, To: rate}} }

// roundoff is how much of an arrival a segment's end may be short of a whole number.
const roundoff = 1e-6

// At implements Schedule.
func (s Segments) At(n uint64) (time.Duration, bool) {
	var start time.Duration
	before := 0.0
	for _, segment := range s {
		inside := segment.arrivals(segment.Length)
		if float64(n) < before+inside-roundoff {
			return start + segment.reach(max(0, float64(n)-before)), true
		}
		if segment.Length == Forever {
			break
		}
		before += inside
		start += segment.Length
	}
	return 0, false
}

// Rate implements Schedule.
func (s Segments) Rate(t time.Duration) float64 {
	for _, segment := range s {
		if t < segment.Length {
			return segment.From + (segment.To-segment.From)*float64(t)/float64(segment.Length)
		}
		t -= segment.Length
	}
	return 0
}

// until is how many arrivals there are up to a time.
func (s Segments) until(t time.Duration) (total float64) {
	for _, segment := range s {
		total += segment.arrivals(min(segment.Length, max(0, t)))
		if t -= segment.Length; t <= 0 {
			break
		}
	}
	return total
}

// A Stage takes the number of open connections to Target over Length, in a straight line.
type Stage struct {
	Length time.Duration // 0: at once, that is at the pace of connecting
	Target int
}

// Levels turns stages into when to open and when to close connections, and how long all of it takes. A stage
// without a length, and one steeper than pace connections a second, is opened at that pace.
func Levels(stages []Stage, pace float64) (opens, closes Segments, length time.Duration) {
	level := 0
	for _, stage := range stages {
		change := float64(stage.Target - level)
		level = stage.Target
		took := max(stage.Length, time.Duration(max(0, change)/pace*1e9))
		switch {
		case change == 0 && took == 0:
			continue
		case took == 0: // closing needs no pace, and opening may have any
			took = time.Millisecond
		}
		rate := change / took.Seconds()
		opens = append(opens, Segment{took, max(0, rate), max(0, rate)})
		closes = append(closes, Segment{took, max(0, -rate), max(0, -rate)})
		length += took
	}
	return opens, closes, length
}

// perConnection is the rate of all connections together where each of them has the given one: it follows the levels.
func perConnection(stages []Stage, opens Segments, rate float64) Segments {
	var s Segments
	level, i := 0.0, 0
	for _, stage := range stages {
		if float64(stage.Target) == level && stage.Length == 0 {
			continue
		}
		s = append(s, Segment{opens[i].Length, level * rate, float64(stage.Target) * rate})
		level = float64(stage.Target)
		i++
	}
	return s
}
