package bench

import (
	"fmt"
	"hash/maphash"
	"testing"
	"time"
	"unsafe"

	"github.com/rtbench/rtbench/client"
)

type noDialer struct{ client.Dialer }

// newTestSubscriber makes a run without any goroutine, and one open connection of it.
func newTestSubscriber(t testing.TB, plan Plan) (*run, *subscriber) {
	t.Helper()
	runner := &Runner{Plan: plan, Dialer: func(int) (client.Dialer, error) { return noDialer{}, nil }}
	if err := plan.validate(); err != nil {
		t.Fatal(err)
	}
	r := newRun(runner)
	t.Cleanup(r.cancel)
	s := r.newSubscriber(0, client.Backoff{})
	s.Opened(client.Opened{At: r.start, Info: client.Info{Started: r.start}})
	return r, s
}

// paths are the ways that an event can take through Received: by what it carries.
var paths = []struct {
	name  string
	plan  Plan
	event func(r *run, n int) client.Event
}{
	{"plain", Plan{}, func(*run, int) client.Event { return client.Event{Data: []byte("hello")} }},
	{"own stamp", Plan{}, func(r *run, n int) client.Event {
		return client.Event{Data: fmt.Appendf(nil, `{"seq":%d,"stamp":"%s"}`, n, stampOf(r, 7, n))}
	}},
	{"json number", Plan{Stamp: field("json:at")}, func(r *run, n int) client.Event {
		return client.Event{Data: fmt.Appendf(nil, `{"user":"u","text":"hello","at":%d}`, r.wall/1e6+int64(n))}
	}},
	{"json string of digits", Plan{Stamp: field("json:at")}, func(r *run, n int) client.Event {
		return client.Event{Data: fmt.Appendf(nil, `{"user":"u","text":"hello","at":"%d"}`, r.wall/1e6+int64(n))}
	}},
	{"iso time", Plan{Stamp: field("json:at")}, func(r *run, n int) client.Event {
		at := r.start.Add(time.Duration(n) * millisecond).UTC()
		return client.Event{Data: fmt.Appendf(nil, `{"user":"u","text":"hello","at":"%s"}`, at.Format(time.RFC3339Nano))}
	}},
	{"json sequence", Plan{Sequence: Sequence{Field: field("json:seq")}}, func(_ *run, n int) client.Event {
		return client.Event{Data: fmt.Appendf(nil, `{"text":"hello","seq":%d}`, n)}
	}},
	{"numeric id", Plan{Sequence: Sequence{ID: true}}, func(_ *run, n int) client.Event {
		return client.Event{Data: []byte("hello"), ID: fmt.Appendf(nil, "%d", n), OwnID: true}
	}},
	{"opaque id", Plan{}, func(_ *run, n int) client.Event {
		return client.Event{Data: []byte("hello"), ID: fmt.Appendf(nil, "0190-%08x-event", n), OwnID: true}
	}},
	{"echo", Plan{Send: Sending{Rate: 1}}, func(r *run, n int) client.Event {
		return client.Event{Data: fmt.Appendf(nil, `{"type":"rtbench","stamp":"%s"}`, stampOf(r, r.id, n))}
	}},
	{"unstamped echo", Plan{Send: Sending{Rate: 1, Unstamped: true}}, func(_ *run, n int) client.Event {
		return client.Event{Data: fmt.Appendf(nil, "message %d", n)}
	}},
	{"heartbeat", Plan{}, func(*run, int) client.Event { return client.Event{Type: client.Comment} }},
}

func field(s string) client.Field {
	f, err := client.ParseField(s)
	if err != nil {
		panic(err)
	}
	return f
}

func stampOf(r *run, run uint32, n int) []byte {
	due := r.wall + int64(n)*int64(millisecond)
	return client.AppendStamp(nil, client.Stamp{Run: run, Seq: uint64(n), Due: due, Sent: due})
}

// onPath gives what feeds the next of many events of a path to a subscriber, over and over.
func onPath(t testing.TB, plan Plan, event func(*run, int) client.Event) (receive func()) {
	plan.Stages, plan.Duration = []Stage{{0, 1}}, time.Hour
	r, s := newTestSubscriber(t, plan)
	events := make([]client.Event, 1<<13)
	for n := range events {
		ev := event(r, n+1)
		ev.Retry = -1
		ev.Arrival.User = r.start.Add(second + time.Duration(n)*millisecond)
		events[n] = ev
	}
	n := 0
	return func() {
		if n == len(events) {
			n = 0
			s.forget()
		}
		if plan.Send.Unstamped {
			s.pending.add(awaited{maphash.Bytes(r.seed, events[n].Data), int64(n), uint64(n)})
		}
		s.Received(&events[n])
		n++
	}
}

// forget makes all events new to a subscriber and its feeds.
func (s *subscriber) forget() {
	s.echo = Tracker{}
	for i := range s.tracked {
		t := &s.tracked[i]
		t.tracker = Tracker{}
		t.feed.highest.Store(0)
		t.feed.ids.last = 0
		clear(t.feed.ids.known)
		for j := range t.feed.slots {
			t.feed.slots[j].ordinal = 0
		}
	}
}

// TestReceivedAllocates: from the session's hands into the histograms, nothing is allocated for an event.
func TestReceivedAllocates(t *testing.T) {
	for _, path := range paths {
		t.Run(path.name, func(t *testing.T) {
			receive := onPath(t, path.plan, path.event)
			for range 2 * maxSlots { // every slot of the feed has held an event
				receive()
			}
			if allocs := testing.AllocsPerRun(2000, receive); allocs != 0 {
				t.Errorf("%v allocations an event", allocs)
			}
		})
	}
}

func BenchmarkReceived(b *testing.B) {
	for _, path := range paths {
		b.Run(path.name, func(b *testing.B) {
			receive := onPath(b, path.plan, path.event)
			for range 2 * maxSlots {
				receive()
			}
			b.ReportAllocs()
			for b.Loop() {
				receive()
			}
		})
	}
}

// BenchmarkBroadcast is an event that a thousand connections receive, a connection's share of it.
func BenchmarkBroadcast(b *testing.B) {
	const connections = 1000
	r, first := newTestSubscriber(b, Plan{Stages: []Stage{{0, connections}}, Duration: time.Hour})
	all := []*subscriber{first}
	for len(all) < connections {
		s := r.newSubscriber(len(all), client.Backoff{})
		s.Opened(client.Opened{At: r.start, Info: client.Info{Started: r.start}})
		all = append(all, s)
	}
	ev := client.Event{Retry: -1}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%connections == 0 {
			ev.Data = fmt.Appendf(ev.Data[:0], `{"seq":%d,"stamp":"%s"}`, n, stampOf(r, 7, n/connections+1))
			ev.Arrival.User = r.start.Add(2*second + time.Duration(n/connections)*millisecond)
		}
		all[n%connections].Received(&ev)
	}
}

func BenchmarkCollect(b *testing.B) {
	_, s := newTestSubscriber(b, Plan{Stages: []Stage{{0, 1}}, Duration: time.Hour})
	var sum tally
	for n := 0; b.Loop(); n++ {
		for _, m := range []Metric{Delivery, LagBehindFirst, FanoutSpread, InterArrival} {
			s.shard.cell.time(m, int64(n%1000+1)*1e5)
		}
		s.run.recorder.collect(&sum)
	}
}

// TestSubscriberTogether: what each event needs is in the five lines of memory that a client fetches ahead of an observer.
func TestSubscriberTogether(t *testing.T) {
	if end := unsafe.Offsetof(subscriber{}.index); end > 5*64 {
		t.Errorf("it takes %d bytes", end)
	}
}
