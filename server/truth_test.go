package server

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTruthIsBounded(t *testing.T) {
	g := start(t, Options{TruthEvents: 5, TruthSubscribers: 3})
	open := g.sse("client=open")
	defer open.conn.Close()
	for i := range 5 {
		c := g.sse(fmt.Sprintf("client=c%d", i%4))
		if err := c.finish(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ids(); err != nil {
			t.Fatal(err)
		}
	}
	g.seed(12)
	names := func(query string) (names []string) {
		for _, s := range g.truth(query).Subscribers {
			names = append(names, s.Client)
		}
		return names
	}
	for query, want := range map[string][]string{
		"":                       {"c2", "c3", "c0", "open"},
		"subscribers=2":          {"c0", "open"},
		"subscribers=0":          nil,
		"client=c3":              {"c3"},
		"client=c0":              {"c0"},
		"client=c1":              nil,
		"client=":                nil,
		"client=open&events=100": {"open"},
	} {
		if got := names(query); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	for query, want := range map[string][2]uint64{"": {8, 12}, "events=2": {11, 12}} {
		events := g.truth(query).Events
		if events[0].ID != want[0] || events[len(events)-1].ID != want[1] || events[0].Seq != want[0] || events[0].Topic != "default" {
			t.Errorf("%q: %+v", query, events)
		}
	}
	if totals := g.truth("").Totals; totals.Published != 12 || totals.SubscribersTotal != 6 || totals.SubscribersOpen != 1 {
		t.Errorf("%+v", totals)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	r := new(record)
	total := new(counters)
	for i := range uint64(5000) {
		id := 2 * (i + 1) // every other event is missing, so every delivery is a range of its own
		r.commit(total, []delivery{
			{ev: &event{id: id}, prev: id - 1, swapped: true},
			{ev: &event{id: id}, prev: id - 1, again: true},
			{ev: &event{id: id}, prev: id - 1, dropped: true},
		}, nil)
	}
	s := r.snapshot(t.Context())
	if s.Sent != 10_000 || len(s.Ranges) != maxRanges || !s.Truncated || s.Ranges[maxRanges-1] != [2]uint64{maxRanges, maxRanges} {
		t.Errorf("sent %d, %d ranges to %v, truncated %v", s.Sent, len(s.Ranges), s.Ranges[len(s.Ranges)-1], s.Truncated)
	}
	f := s.Faults
	if len(f.Dropped) != maxFaultIDs || len(f.Duplicated) != maxFaultIDs || len(f.Reordered) != maxFaultIDs || !f.Truncated {
		t.Errorf("%d %d %d %v", len(f.Dropped), len(f.Duplicated), len(f.Reordered), f.Truncated)
	}
	if total.dropped.Load() != 5000 || total.duplicated.Load() != 5000 || total.reordered.Load() != 5000 || total.sent.Load() != 10_000 {
		t.Error("the totals are not what was done")
	}
}

// Whatever is delivered, in whatever order, writing the ranges out gives it back.
func TestRangesSayWhatWasDelivered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.Uint64Range(1, 30), 0, 60).Draw(t, "ids")
		r := new(record)
		var want []string
		for _, id := range ids {
			r.commit(new(counters), []delivery{{ev: &event{id: id}, prev: id - 1}}, nil)
			want = append(want, fmt.Sprint(id))
		}
		if got := spread(r.sub); !slices.Equal(got, want) || r.sub.Sent != uint64(len(ids)) {
			t.Fatalf("%v, want %v: %v", got, want, r.sub.Ranges)
		}
	})
}

func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most, n := rapid.IntRange(1, 10).Draw(t, "most"), rapid.IntRange(0, 40).Draw(t, "n")
		ask := rapid.IntRange(0, 12).Draw(t, "ask")
		r := ring[int]{most: most}
		var even []int
		for i := range n {
			r.add(i)
			if i%2 == 0 && i >= n-most {
				even = append(even, i)
			}
		}
		want := even[max(0, len(even)-ask):]
		if got := r.latest(ask, func(v int) bool { return v%2 == 0 }); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for want, o := range map[string]Options{
		"rate -1":                {Rate: -1},
		"rate NaN":               {Rate: math.NaN()},
		"rate 2e+06":             {Rate: 2e6},
		"size 124 is too small":  {Size: 124},
		"size 63 is too small":   {Size: 63, Binary: true},
		"size 2097152":           {Size: 2 << 20},
		`topic "a b"`:            {Topics: []string{"a b"}},
		`topic ""`:               {Topics: []string{""}},
		`"a" is given twice`:     {Topics: []string{"a", "a"}},
		"1025 topics":            {Topics: make([]string, 1025)},
		"replay -1":              {Replay: -1},
		"limit -1":               {Limit: -1},
		"queue 99999999":         {Queue: 99999999},
		"truth events -5":        {TruthEvents: -5},
		"truth subscribers -5":   {TruthSubscribers: -5},
		"truth writes -5":        {TruthWrites: -5},
		"retry -1s":              {Retry: -time.Second},
		"heartbeat 1ns":          {Heartbeat: 1},
		"write timeout -1s":      {WriteTimeout: -time.Second},
		"grace -1s":              {Grace: -time.Second},
		"clock offset -25h":      {ClockOffset: -25 * time.Hour},
		"clock offset -2562047h": {ClockOffset: math.MinInt64},
		"clock drift NaN":        {ClockDrift: math.NaN()},
		"clock drift -1001":      {ClockDrift: -1001},
		"empty fault":            {Faults: []Fault{{}}},
		`"hangup@1" and "hangup`: {Faults: faults(t, "hangup@1", "hangup@2")},
	} {
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "server: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	o, err := Options{Rate: 50_000, Faults: faults(t, "stall=1s@1s")}.withDefaults()
	if err != nil || o.Queue != 62_500 {
		t.Errorf("queue %d, %v: want room for what a stall of 1 s holds back", o.Queue, err)
	}
}
