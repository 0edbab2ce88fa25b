package server

import (
	"slices"
	"testing"

	"github.com/rtbench/rtbench/client"
)

// TestReplay: what each fault makes of a replay of the events 11 to 14 to a subscriber that has seen 10, and of the live
// events after it.
func TestReplay(t *testing.T) {
	const kept, last, live = 5, 14, 16 // 5 is the oldest that is kept
	for name, want := range map[string][]uint64{
		"gap-head":          {12, 13, 14, 15, 16},
		"gap-seam":          {11, 12, 13, 15, 16},
		"dup-seam":          {11, 12, 13, 14, 14, 15, 16},
		"overlap":           {8, 9, 10, 11, 12, 13, 14, 15, 16},
		"restart-from-zero": {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		"ignored":           {15, 16},
		"reordered":         {12, 11, 13, 14, 15, 16},
		"foreign-id":        {^uint64(11), 11, 12, 13, 14, 15, 16},
	} {
		fault, err := parseResumeFault(name)
		if err != nil {
			t.Fatal(err)
		}
		log := newEventLog(64, maxLog)
		for id := uint64(1); id <= last; id++ {
			log.append(&event{id: id})
		}
		log.first.Store(kept)
		p := &replay{fault: fault, until: last, foreign: func(e *event) *event { return &event{id: ^e.id} }}
		var got []uint64
		over := false
		for id := fault.from(10, log) + 1; id <= live; id++ {
			spoilt := []delivery{{ev: &event{id: id}}}
			if !over {
				spoilt, over = p.apply(nil, spoilt[0])
			}
			for _, d := range spoilt {
				got = append(got, d.ev.id)
			}
		}
		if !slices.Equal(got, want) || !over {
			t.Errorf("%s: %v, want %v; over: %v", name, got, want, over)
		}
	}
	if got := (resumeFault(0)).from(10, newEventLog(64, maxLog)); got != 10 {
		t.Errorf("without a fault it goes on after %d", got)
	}
}

// TestForeign: an event of another stream has a stamp that no event of this server has.
func TestForeign(t *testing.T) {
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHub(o)
	if err != nil {
		t.Fatal(err)
	}
	e := h.foreign(&event{id: 7, seq: 7, topic: h.scheduled()[0], due: 1, sent: 2})
	stamp, _, ok := client.FindStamp(e.data, 0)
	if !ok || stamp.Run == h.run || e.id == 7 {
		t.Errorf("%d, %+v, %v", e.id, stamp, ok)
	}
}
