package bench

import (
	"math"
	"testing"
	"time"
)

// TestTimetable lists every way in which stages, warm-up, sending and streams combine.
func TestTimetable(t *testing.T) {
	once := []Stage{{0, 500}} // half a second at the default pace
	ramps := []Stage{{10 * second, 100}, {20 * second, 100}, {10 * second, 0}}
	jump := []Stage{{0, 500}, {10 * second, 500}}
	send := Sending{Rate: 40}
	each := Sending{Rate: 2, PerConnection: true}
	const half, minute = second / 2, time.Minute
	for _, row := range []struct {
		name       string
		plan       Plan
		begin, end time.Duration
		sends      Segments
	}{
		{"once", Plan{Stages: once, Duration: minute, Warmup: -1}, half, minute + half, nil},
		{"once, warm-up 0", Plan{Stages: once, Duration: minute}, half, minute + half, nil},
		{"once, a warm-up shorter than connecting", Plan{Stages: once, Duration: minute, Warmup: half / 2}, half, minute + half, nil},
		{"once, a longer warm-up", Plan{Stages: once, Duration: minute, Warmup: 5 * second}, 5 * second, 65 * second, nil},
		{"once, another pace", Plan{Stages: once, Duration: minute, Warmup: -1, ConnectRate: 100}, 5 * second, 65 * second, nil},

		{"sending", Plan{Stages: once, Duration: minute, Warmup: -1, Send: send},
			3 * half, minute + 3*half, Segments{{3 * half, 0, 0}, {minute, 40, 40}}},
		{"sending, warm-up 0", Plan{Stages: once, Duration: minute, Send: send},
			half, minute + half, Segments{{half, 0, 0}, {minute, 40, 40}}},
		{"sending, a longer warm-up", Plan{Stages: once, Duration: minute, Warmup: 5 * second, Send: send},
			5 * second, 65 * second, Segments{{3 * half, 0, 0}, {65*second - 3*half, 40, 40}}},
		{"each sending", Plan{Stages: once, Duration: minute, Warmup: -1, Send: each},
			3 * half, minute + 3*half, Segments{{3 * half, 0, 0}, {minute, 1000, 1000}}},
		{"each sending, after a peak", Plan{Stages: []Stage{{0, 500}, {0, 100}}, Duration: minute, Warmup: -1, Send: each},
			1501 * millisecond, 61501 * millisecond, Segments{{1501 * millisecond, 0, 0}, {minute, 200, 200}}},

		{"stages", Plan{Stages: ramps, Warmup: -1}, 0, 40 * second, nil},
		{"stages need no duration, and ignore one", Plan{Stages: ramps, Warmup: -1, Duration: minute}, 0, 40 * second, nil},
		{"stages, warm-up 0", Plan{Stages: ramps}, 0, 40 * second, nil},
		{"stages, warm-up", Plan{Stages: ramps, Warmup: 10 * second}, 10 * second, 40 * second, nil},
		{"stages, sending", Plan{Stages: ramps, Warmup: -1, Send: send}, 0, 40 * second, Segments{{40 * second, 40, 40}}},
		{"stages, each sending", Plan{Stages: ramps, Warmup: -1, Send: each}, 0, 40 * second,
			Segments{{10 * second, 0, 200}, {20 * second, 200, 200}, {10 * second, 200, 0}}},
		{"stages steeper than the pace", Plan{Stages: ramps, Warmup: -1, ConnectRate: 5}, 0, 50 * second, nil},
		{"a jump, then a stage", Plan{Stages: jump, Warmup: -1}, 0, 10*second + half, nil},
		{"a jump, each sending", Plan{Stages: jump, Warmup: -1, Send: each}, 0, 10*second + half,
			Segments{{half, 0, 1000}, {10 * second, 1000, 1000}}},

		{"streams", Plan{Stages: once, Duration: minute, Warmup: -1, Streams: true, Send: send}, 0, minute, Segments{{minute, 40, 40}}},
		{"streams, warm-up 0", Plan{Stages: once, Duration: minute, Streams: true, Send: send}, 0, minute, Segments{{minute, 40, 40}}},
		{"streams, warm-up", Plan{Stages: once, Duration: minute, Warmup: 5 * second, Streams: true, Send: send},
			5 * second, 65 * second, Segments{{65 * second, 40, 40}}},
		{"streams have no rate of their own", Plan{Stages: once, Duration: minute, Warmup: -1, Streams: true, Send: each},
			0, minute, Segments{{minute, 2, 2}}},
		{"streams, at most so many by stages", Plan{Stages: ramps, Duration: minute, Streams: true, Send: send}, 0, minute, Segments{{minute, 40, 40}}},
	} {
		if err := row.plan.validate(); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		got := row.plan.timetable()
		if got.begin != row.begin || got.end != row.end || !same(got.sends, row.sends) {
			t.Errorf("%s: from %v to %v, sends %v;\nwant %v to %v, %v", row.name, got.begin, got.end, got.sends, row.begin, row.end, row.sends)
		}
		if opens := got.opens != nil; opens == row.plan.Streams {
			t.Errorf("%s: opens %v", row.name, got.opens)
		}
		for _, due := range arrivals(got.sends, got.end+second) {
			if due >= got.end {
				t.Errorf("%s: a message is due at %v", row.name, due)
			}
		}
	}
}

func TestPlanValidate(t *testing.T) {
	once := []Stage{{0, 1}}
	for _, row := range []struct {
		plan Plan
		want string
	}{
		{Plan{Duration: second}, "the plan opens no connection"},
		{Plan{Duration: second, Stages: []Stage{{second, 0}}}, "the plan opens no connection"},
		{Plan{Duration: -1, Stages: once}, "durations and rates must be finite and not negative"},
		{Plan{Duration: 1, Stages: once, Drain: -1}, "durations and rates must be finite and not negative"},
		{Plan{Duration: 1, Stages: once, ConnectRate: -1}, "durations and rates must be finite and not negative"},
		{Plan{Duration: 1, Stages: once, ConnectRate: math.Inf(1)}, "durations and rates must be finite and not negative"},
		{Plan{Duration: 1, Stages: once, Send: Sending{Rate: math.NaN()}}, "durations and rates must be finite and not negative"},
		{Plan{Duration: second, Stages: once, Streams: true}, "request streams need a rate at which they are started"},
		{Plan{Stages: []Stage{{second, 1}, {-second, 2}}}, "stage 2: length and target must not be negative"},
		{Plan{Stages: []Stage{{second, 1}, {second, -1}}}, "stage 2: length and target must not be negative"},
		{Plan{Stages: once}, "the plan measures for no time"},
		{Plan{Stages: []Stage{{second, 1}}, Streams: true, Send: Sending{Rate: 1}}, "the plan measures for no time"},
		{Plan{Stages: []Stage{{second, 1}}, Warmup: second}, "the warm-up of 1s leaves nothing of the 1s to measure"},
		{Plan{Stages: once, Duration: math.MaxInt64}, "the plan takes more than a year"},
		{Plan{Stages: once, Duration: second, Warmup: math.MaxInt64}, "the plan takes more than a year"},
		{Plan{Stages: once, Duration: second, Drain: math.MaxInt64}, "the plan takes more than a year"},
		{Plan{Stages: once, Duration: second, ConnectRate: 1e-300}, "the plan takes more than a year"},
		{Plan{Stages: []Stage{{math.MaxInt64, 1}, {math.MaxInt64, 2}}}, "the plan takes more than a year"},
	} {
		if err := row.plan.validate(); err == nil || err.Error() != row.want {
			t.Errorf("%+v: %v, want %s", row.plan, err, row.want)
		}
	}
	longest := Plan{Stages: once, Duration: 365 * 24 * time.Hour, Warmup: -1}
	if err := longest.validate(); err != nil {
		t.Error(err)
	}
}
