package bench

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	second      = time.Second
	millisecond = time.Millisecond
)

func TestSegmentsAt(t *testing.T) {
	ramp := Segments{{10 * second, 0, 100}} // n(t) = 5t²
	steps := Segments{{2 * second, 0, 0}, {2 * second, 1, 1}, {second, 0, 0}, {4 * second, 1, 0}, {second, 3, 3}}
	for _, row := range []struct {
		name string
		s    Segments
		n    uint64
		want time.Duration
		ok   bool
	}{
		{"the first is due at once", Constant(10), 0, 0, true},
		{"constant", Constant(10), 7, 700 * millisecond, true},
		{"a rate that no float holds", Constant(3), 3, second, true},
		{"one that ends", Segments{{second, 10, 10}}, 9, 900 * millisecond, true},
		{"its end is not within it", Segments{{second, 10, 10}}, 10, 0, false},
		{"much later", Constant(1e6), 3_600_000_000, time.Hour, true},
		{"ramp: nothing has passed at 0", ramp, 0, 0, true},
		{"ramp", ramp, 5, second, true},
		{"ramp", ramp, 125, 5 * second, true},
		{"ramp", ramp, 499, time.Duration(math.Sqrt(499.0/5) * 1e9), true},
		{"ramp: its end", ramp, 500, 0, false},
		{"a rate of zero has no arrivals", Segments{{second, 0, 0}}, 0, 0, false},
		{"no segment", nil, 0, 0, false},
		{"after a pause", steps, 0, 2 * second, true},
		{"after a pause", steps, 1, 3 * second, true},
		{"after two", steps, 2, 5 * second, true},
		{"down to zero", steps, 3, 5*second + time.Duration((4-math.Sqrt(8))*1e9), true},
		{"after that", steps, 4, 9 * second, true},
		{"after that", steps, 6, 9*second + 666_666_666, true},
		{"the end", steps, 7, 0, false},
		{"far beyond it", steps, math.MaxUint64, 0, false},
		{"far beyond what never ends", Constant(1), math.MaxUint64, 0, false},
	} {
		got, ok := row.s.At(row.n)
		if ok != row.ok || (got-row.want).Abs() > 1 {
			t.Errorf("%s: At(%d) = %v, %v; want %v, %v", row.name, row.n, got, ok, row.want, row.ok)
		}
	}
}

func TestSegmentsRate(t *testing.T) {
	s := Segments{{10 * second, 0, 100}, {10 * second, 100, 100}, {5 * second, 100, 0}}
	for at, want := range map[time.Duration]float64{
		0: 0, second: 10, 5 * second: 50, 10 * second: 100, 15 * second: 100, 20 * second: 100, 22*second + 500*millisecond: 50, 25 * second: 0, time.Hour: 0,
	} {
		if got := s.Rate(at); math.Abs(got-want) > 1e-9 {
			t.Errorf("Rate(%v) = %v, want %v", at, got, want)
		}
	}
	if got := Constant(7).Rate(1000 * time.Hour); got != 7 {
		t.Errorf("constant: %v", got)
	}
}

// drawSegments draws a schedule of up to a few thousand arrivals.
func drawSegments(t *rapid.T) Segments {
	rate := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 300), rapid.Map(rapid.IntRange(0, 300), func(n int) float64 { return float64(n) }))
	s := make(Segments, rapid.IntRange(1, 6).Draw(t, "segments"))
	for i := range s {
		length := time.Duration(rapid.Int64Range(1, int64(8*second)).Draw(t, "length"))
		s[i] = Segment{length, rate.Draw(t, "from"), rate.Draw(t, "to")}
		if rapid.Bool().Draw(t, "even") {
			s[i].To = s[i].From
		}
	}
	return s
}

// passed is how many arrivals' worth of rate has passed at t, by adding up Rate in small steps: the midpoint rule is
// exact for straight lines.
func (s Segments) passed(t time.Duration) (n float64) {
	for _, segment := range s {
		const steps = 64
		length := min(t, segment.Length)
		step := length.Seconds() / steps
		for i := range steps {
			x := (float64(i) + .5) * step
			n += step * (segment.From + (segment.To-segment.From)*x/segment.Length.Seconds())
		}
		if t -= length; t <= 0 {
			break
		}
	}
	return n
}

func TestSegmentsAtProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSegments(t)
		var total time.Duration
		for _, segment := range s {
			total += segment.Length
		}
		area, before, n := s.passed(total), time.Duration(0), uint64(0)
		for ; ; n++ {
			due, ok := s.At(n)
			if !ok {
				break
			}
			if due < before || due > total {
				t.Fatalf("arrival %d is due at %v, the one before at %v, the end is %v", n, due, before, total)
			}
			before = due
			// What has passed by then is n, but for the nanosecond that the time is cut to.
			slack := 1e-6 + 2e-9*(s.Rate(due)+300)
			if got := s.passed(due); math.Abs(got-float64(n)) > slack {
				t.Fatalf("arrival %d is due at %v, when %v have passed", n, due, got)
			}
		}
		// A part of an arrival at the end brings it: the first one of a rate is due at once, not after 1/rate.
		if want := math.Ceil(area - roundoff); math.Abs(float64(n)-want) > 0 && math.Abs(area-math.Round(area)) > 2*roundoff {
			t.Fatalf("%d arrivals in an area of %v", n, area)
		}
		if _, ok := s.At(n + uint64(rapid.IntRange(0, 1e9).Draw(t, "more"))); ok {
			t.Fatalf("there are arrivals after the last, %d", n)
		}
	})
}

// arrivals gives all of a schedule's that are due before end.
func arrivals(s Segments, end time.Duration) (list []time.Duration) {
	for n := uint64(0); ; n++ {
		due, ok := s.At(n)
		if !ok || due >= end {
			return list
		}
		list = append(list, due)
	}
}

// TestLevelsReachEveryTarget: after every stage, opened − closed is its target, to the connection.
func TestLevelsReachEveryTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := drawStages(t)
		pace := rapid.OneOf(rapid.SampledFrom([]float64{1, 3, 7, 1000, 1e5, 1e12}), rapid.Float64Range(0.5, 5000)).Draw(t, "pace")
		opens, closes, length := Levels(stages, pace)
		opened, closed := arrivals(opens, Forever), arrivals(closes, Forever)
		var at time.Duration
		level, i := 0, 0
		for _, stage := range stages {
			if stage.Length > 0 || stage.Target != level {
				took := opens[i].Length
				if took != closes[i].Length || took < stage.Length {
					t.Fatalf("stage %+v takes %v to open, %v to close", stage, took, closes[i].Length)
				}
				if rise := float64(stage.Target - level); pace < 1e6 && rise > (took+1).Seconds()*pace*(1+1e-9) { // cut to a nanosecond
					t.Fatalf("stage %+v rises by %v in %v, at a pace of %v", stage, rise, took, pace)
				}
				at, i = at+took, i+1
			}
			level = stage.Target
			if got := len(arrivals(opens, at)) - len(arrivals(closes, at)); got != level {
				t.Fatalf("after stage %+v, at %v: %d are open", stage, at, got)
			}
		}
		if i != len(opens) || i != len(closes) || at != length || len(opened)-len(closed) != level {
			t.Fatalf("%d of %d stages, %v of %v", i, len(opens), at, length)
		}
	})
}

func drawStages(t *rapid.T) []Stage {
	stages := make([]Stage, rapid.IntRange(1, 6).Draw(t, "stages"))
	for i := range stages {
		stages[i].Target = rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(0, 3000)).Draw(t, "target")
		if rapid.Bool().Draw(t, "has a length") {
			stages[i].Length = time.Duration(rapid.Int64Range(1, int64(20*second)).Draw(t, "length"))
		}
	}
	return stages
}

// TestLevelsNeverRoundUp: any target at any pace opens exactly that many, since one connection more than the user
// allowed may be one more than the server does.
func TestLevelsNeverRoundUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, math.MaxInt32)).Draw(t, "target")
		pace := rapid.Float64Range(1, 1e6).Draw(t, "pace")
		length := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "length"))
		opens, _, _ := Levels([]Stage{{length, target}}, pace)
		if due, ok := opens.At(uint64(target) - 1); !ok {
			t.Fatalf("the last of %d isn't opened", target)
		} else if due > opens[0].Length {
			t.Fatalf("the last of %d is due at %v of %v", target, due, opens[0].Length)
		}
		if due, ok := opens.At(uint64(target)); ok {
			t.Fatalf("one more than %d is opened, at %v", target, due)
		}
	})
}

func TestLevels(t *testing.T) {
	for _, row := range []struct {
		name          string
		stages        []Stage
		pace          float64
		opens, closes Segments
		length        time.Duration
	}{
		{"at the pace", []Stage{{0, 500}}, 1000, Segments{{second / 2, 1000, 1000}}, Segments{{second / 2, 0, 0}}, second / 2},
		{"in a stage", []Stage{{10 * second, 500}}, 1000, Segments{{10 * second, 50, 50}}, Segments{{10 * second, 0, 0}}, 10 * second},
		{"steeper than the pace", []Stage{{second, 500}}, 100, Segments{{5 * second, 100, 100}}, Segments{{5 * second, 0, 0}}, 5 * second},
		{"down", []Stage{{second, 10}, {5 * second, 0}}, 1000,
			Segments{{second, 10, 10}, {5 * second, 0, 0}}, Segments{{second, 0, 0}, {5 * second, 2, 2}}, 6 * second},
		{"down at once", []Stage{{second, 10}, {0, 0}}, 1000,
			Segments{{second, 10, 10}, {millisecond, 0, 0}}, Segments{{second, 0, 0}, {millisecond, 1e4, 1e4}}, 1001 * millisecond},
		{"nothing changes", []Stage{{second, 10}, {0, 10}, {second, 10}}, 1000,
			Segments{{second, 10, 10}, {second, 0, 0}}, Segments{{second, 0, 0}, {second, 0, 0}}, 2 * second},
		{"faster than a clock ticks", []Stage{{0, 2}}, 1e10, Segments{{millisecond, 2000, 2000}}, Segments{{millisecond, 0, 0}}, millisecond},
	} {
		opens, closes, length := Levels(row.stages, row.pace)
		if !same(opens, row.opens) || !same(closes, row.closes) || length != row.length {
			t.Errorf("%s:\nopens  %v\ncloses %v\n%v", row.name, opens, closes, length)
		}
	}
}

// same compares schedules up to rounding.
func same(a, b Segments) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Length != b[i].Length || math.Abs(a[i].From-b[i].From) > 1e-9*a[i].From || math.Abs(a[i].To-b[i].To) > 1e-9*a[i].To {
			return false
		}
	}
	return true
}

// TestPerConnectionFollowsTheLevel: at any time, the rate of all together is the planned level times that of each.
func TestPerConnectionFollowsTheLevel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := drawStages(t)
		rate := rapid.Float64Range(0.01, 100).Draw(t, "rate")
		opens, closes, length := Levels(stages, DefaultConnectRate)
		sends := perConnection(stages, opens, rate)
		for range 20 {
			if length == 0 {
				break
			}
			at := time.Duration(rapid.Int64Range(0, int64(length)-1).Draw(t, "at"))
			level := opens.passed(at) - closes.passed(at)
			if got := sends.Rate(at); math.Abs(got-level*rate) > 1e-6*(1+got) {
				t.Fatalf("at %v: %v/s, where %v connections should be open with %v/s each", at, got, level, rate)
			}
		}
		if len(sends) != len(opens) {
			t.Fatalf("%d segments, %d stages", len(sends), len(opens))
		}
	})
}
