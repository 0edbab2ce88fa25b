package bench

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// TestDetail: who looks closer sees how each connection fares, what kinds of events come, and the events of the connection that
// is followed; nobody else costs the run anything.
func TestDetail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(nil)
		f.dial = func(a attempt) (*fakeStream, error) {
			if a.conn == 3 && a.n > 0 && a.at < 4*second {
				return nil, &client.Error{Class: client.ClassRefused, Detail: "come back \x1b[31mlater"}
			}
			s := &fakeStream{lines: since(a.at, ticker(100*millisecond, 9*second, millisecond, func(n int, due time.Duration) client.Event {
				ev := f.stamped(n, due)
				if n%10 == 0 {
					ev.Kind = "rare"
				}
				return ev
			}))}
			if a.conn == 3 && a.n == 0 {
				s.end = 3*second + 50*millisecond
			}
			return s, nil
		}
		uses := []*Use{{Memory: 1000}, {CPU: second, Memory: 5000}, {CPU: 2 * second, Memory: 4000}}
		r := f.runner(Plan{Stages: []Stage{{0, 4}}, Duration: 8 * second, Warmup: -1, Backoff: fixed, Target: &scriptedProbe{uses: uses}})
		r.Look(true)
		r.Follow(3, "rare")
		soon, then := make(chan *Snapshot, 1), make(chan *Snapshot, 1)
		time.AfterFunc(4*second+30*millisecond, func() { soon <- r.Snapshot() })
		time.AfterFunc(7*second+500*millisecond, func() { then <- r.Snapshot(); r.Unfollow(); r.Look(false) })
		if _, err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		early, late := <-soon, <-then
		if d := early.Detail; d == nil || early.Down != 1 || early.Ended != 0 || len(d.Series) < 2 || d.Timings[Delivery].Samples == 0 || len(d.Estimates) != len(Percentiles()) {
			t.Fatalf("%+v", d)
		}
		d := late.Detail
		if late.Down != 0 || len(d.Worst) != 4 || d.Worst[0].Index != 3 || d.Worst[0].Drops != 1 || d.Worst[0].State != StateOpen || d.Worst[1].Drops != 0 || d.Worst[1].Longest != int64(millisecond) {
			t.Errorf("%+v", d.Worst)
		}
		if d.Target == nil || d.Target.CPU != second || d.Target.Most != 5000 || d.Target.Why != "" {
			t.Errorf("%+v", d.Target)
		}
		if len(d.Errors) == 0 || d.Resumption == nil || len(d.Spread.Counts) == 0 {
			t.Errorf("%+v", d)
		}
		if len(d.Kinds) != 2 || d.Kinds[0].P99 != int64(millisecond) || d.Kinds[0].Count+d.Kinds[1].Count != late.Count(Received) && d.Kinds[0].Count == 0 {
			t.Errorf("%+v", d.Kinds)
		}
		followed := d.Followed
		if followed == nil || followed.Connection != 3 || followed.Holding != "rare" || len(followed.Events) < 4 || followed.Skipped != 0 {
			t.Fatalf("%+v", followed)
		}
		for _, ev := range followed.Events {
			if ev.Kind != "rare" || ev.Connection != 3 || ev.Delivery != int64(millisecond) || ev.Size != len(ev.Data) {
				t.Errorf("%+v", ev)
			}
		}
		var life []string
		for _, h := range followed.History {
			life = append(life, h.Text)
		}
		if text := strings.Join(life, "; "); len(life) < 4 || life[0] != "opened" || !strings.Contains(text, "dropped: ") || !strings.Contains(text, "not opened: ") || life[len(life)-1] != "open again" {
			t.Errorf("%q", life)
		}
		if last := r.Snapshot(); last.Detail != nil {
			t.Error("there are details for nobody")
		}
	})
}

// TestDetailPace: what is told to those who look closer is made once a second, and is the same meanwhile: it costs more than a
// snapshot does.
func TestDetailPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) { return &fakeStream{}, nil })
		r := f.runner(Plan{Stages: []Stage{{0, 2}}, Duration: 5 * second, Warmup: -1})
		r.Look(true)
		var seen []*Snapshot
		var looking sync.WaitGroup
		looking.Go(func() {
			for range 450 {
				time.Sleep(10 * millisecond)
				if s := r.Snapshot(); s != nil && s.Detail != nil && (len(seen) == 0 || seen[len(seen)-1] != s) {
					seen = append(seen, s)
				}
			}
		})
		if _, err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		looking.Wait()
		made := []*Detail{seen[0].Detail}
		for _, s := range seen {
			switch last := made[len(made)-1]; {
			case s.Detail == last && s.At-last.At >= detailPace:
				t.Errorf("at %v it was of %v", s.At, last.At)
			case s.Detail != last && s.Detail.At-last.At < second:
				t.Errorf("it was made at %v and at %v", last.At, s.Detail.At)
			case s.Detail != last:
				made = append(made, s.Detail)
			}
		}
		if len(made) < 4 || len(seen) < 2*len(made) {
			t.Errorf("%d were made for %d snapshots", len(made), len(seen))
		}
	})
}

// TestDetailOfResuming: the life of a connection tells what became of resuming.
func TestDetailOfResuming(t *testing.T) {
	for _, server := range replays {
		if server.fault != numResumeFaults && server.fault != GapHead {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			by := identified[0]
			f := resumingServer(by.event, server.replay, 0, false, 300*millisecond)
			r := f.runner(Plan{Stages: []Stage{{0, 6}}, Duration: 8 * second, Drain: second, Warmup: 500 * millisecond, Backoff: fixed, Sequence: by.seq,
				Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: second}}})
			r.Look(true)
			r.Follow(2, "")
			if _, err := r.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			var life []string
			for _, h := range r.Snapshot().Detail.Followed.History {
				life = append(life, h.Text)
			}
			text := strings.Join(life, "; ")
			if !strings.HasPrefix(text, "opened; broken off by the run (rst); open again; resumed: ") || strings.HasSuffix(text, "none missing") != (server.fault == numResumeFaults) {
				t.Errorf("%s: %s", server.name, text)
			}
		})
	}
}

// TestFollowTooMuch: of a fast stream as many events are taken as can be shown, and the others counted.
func TestFollowTooMuch(t *testing.T) {
	_, s := newTestSubscriber(t, Plan{Stages: []Stage{{0, 1}}, Duration: time.Hour})
	f := &following{connection: -1}
	f.refill()
	for n := range 10 * mostSeen {
		for range 3 {
			f.take(s, &client.Event{Data: fmt.Appendf(nil, "%d %s", n, strings.Repeat("ä", seenData)), Kind: "k"}, int64(n), 0, true)
		}
		if n%100 == 99 {
			f.refill()
		}
	}
	events, skipped := f.all()
	if len(events) > mostSeen || skipped == 0 || len(events[0].Data) > seenData+len(cutMark) || strings.Contains(events[0].Data, "\ufffd") {
		t.Errorf("%d events, %d skipped, %q", len(events), skipped, events[0].Data)
	}
	if events[0].Copies != 3 {
		t.Errorf("%d copies", events[0].Copies)
	}
	for i, ev := range events {
		if ev.N != events[0].N+uint64(i) || ev.N < 1 {
			t.Fatalf("event %d is the %dth, and the first one the %dth", i, ev.N, events[0].N)
		}
	}
}

// TestKinds: more kinds than are kept are counted as others, and quantiles are rounded up to their level.
func TestKinds(t *testing.T) {
	var a, b kindTable
	for n := range 10 * maxKinds {
		a.note(fmt.Sprint("kind ", n), int64(millisecond), true)
	}
	for range 100 {
		b.note("kind 1", 10*int64(millisecond), true)
		b.note("untimed", 0, false)
	}
	a.join(&b)
	list := a.figures()
	if list[0].Kind != "kind 1" || list[0].Count != 101 || list[0].P99 != 10*int64(millisecond) || list[0].Longest != 10*int64(millisecond) {
		t.Errorf("%+v", list[0])
	}
	total := uint64(0)
	for _, k := range list {
		total += k.Count
		if k.Kind == "untimed" && (k.Timed != 0 || k.P99 != 0) {
			t.Errorf("%+v", k)
		}
	}
	if len(list) != maxKinds+1 || total != 10*maxKinds+200 {
		t.Errorf("%d kinds, %d events", len(list), total)
	}
}

// TestFollowBinary: what is binary and no text is kept as it is, as far as it is kept, and found by its bytes.
func TestFollowBinary(t *testing.T) {
	_, s := newTestSubscriber(t, Plan{Stages: []Stage{{0, 1}}, Duration: time.Hour})
	long := strings.Repeat("\xff\xc3", seenData)
	for _, row := range []struct {
		data    string
		binary  bool
		holding string
		taken   bool
		raw     bool
	}{
		{"\x00\x01\xff", true, "", true, true},
		{"\x00\x01\xff", true, "01 ff", true, true},
		{"\x00\x01\xff", true, "01FF", true, true},
		{"\x00\x01\xff", true, "hex 00 01", true, true},
		{"\x00\x01\xff", true, "hex", true, true},
		{"\x00\x01\xff", true, "hex ff 01", false, false},
		{"\x00\x01\xff", true, "1 f", false, false},
		{"\x00price", true, "price", true, true},
		{"\n\x05hello", true, "68 65", true, true}, // valid UTF-8, and no text all the same
		{"a \"text\",\r\n\tof é", true, "", true, false},
		{"hello", true, "68 65", false, false}, // which isn't shown as bytes
		{"\x00\x01", false, "00 01", false, false},
		{"one of 01 ff", false, "01 ff", true, false},
		{"", true, "hex", false, false},
		{long, true, "c3 ff", true, true},
	} {
		f := newFollowing(-1, row.holding)
		f.refill()
		f.take(s, &client.Event{Data: []byte(row.data), Binary: row.binary}, 1, 0, true)
		f.take(s, &client.Event{Data: []byte(row.data), Binary: row.binary}, 2, 0, true)
		events, _ := f.all()
		if len(events) != map[bool]int{true: 1}[row.taken] {
			t.Errorf("%.10q by %q: %d events", row.data, row.holding, len(events))
			continue
		}
		for _, ev := range events {
			if ev.Raw != row.raw || ev.Data != row.data[:min(len(row.data), seenData)] || ev.Size != len(row.data) || ev.Copies != 2 {
				t.Errorf("%.10q: raw %v, %d of %d bytes, %d copies", row.data, ev.Raw, len(ev.Data), ev.Size, ev.Copies)
			}
		}
	}
}
