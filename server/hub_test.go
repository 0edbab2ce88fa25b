package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/client"
)

// A memSink keeps what is written to it.
type memSink struct {
	mu    sync.Mutex
	got   []uint64
	at    []time.Time
	beats int
	stuck chan struct{} // if not nil, writes block until it is closed, by interrupt
	freed sync.Once
}

func (k *memSink) write(batch []delivery) (int, bool, error) {
	if k.stuck != nil {
		<-k.stuck
		return 0, true, errStopped
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range batch {
		if !d.dropped {
			k.got = append(k.got, d.ev.id)
			k.at = append(k.at, time.Now())
		}
	}
	return len(batch), false, nil
}

func (k *memSink) beat() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.beats++
	return nil
}

func (k *memSink) interrupt() { k.freed.Do(func() { close(k.stuck) }) }

// An engine is a running server without sockets.
type engine struct {
	*Server
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func run(tb testing.TB, o Options) *engine {
	tb.Helper()
	srv, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	e := &engine{Server: srv}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.wg.Go(func() { _ = srv.Run(e.ctx) })
	<-srv.hub.started
	return e
}

func (e *engine) close() {
	e.stop()
	e.wg.Wait()
}

// subscribe serves sink as a subscriber until the engine is closed or the subscription ends.
func (e *engine) subscribe(name, from string, sink sink, topics ...string) *subscriber {
	if len(topics) == 0 {
		topics = e.hub.opts.Topics
	}
	found, err := e.hub.lookup(topics)
	if err != nil {
		panic(err)
	}
	s := e.hub.subscribe(&request{client: name, from: from, topics: found}, "mem")
	e.serving.Go(func() { e.hub.unsubscribe(s, s.serve(sink, nil, nil)) }) // as a handler would
	return s
}

func (e *engine) publish(topic, data string) *event {
	found, err := e.hub.lookup([]string{topic})
	if err != nil {
		panic(err)
	}
	ev, err := e.hub.publish(e.ctx, found[0], message{data: []byte(data)})
	if err != nil {
		panic(err)
	}
	return ev
}

func TestScheduleIsArithmetic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Rate: 3, Topics: []string{"a", "b"}})
		start := e.hub.start
		sink := new(memSink)
		e.subscribe("", "", sink)
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		e.close()
		if len(sink.got) != 12 {
			t.Fatalf("%d events in 2 s, want 12", len(sink.got))
		}
		for i, ev := range e.hub.report(t.Context(), truthQuery{events: 100}).Events {
			n := uint64(i/2 + 1)
			due := start.UnixNano() + []int64{333333333, 666666667, 1e9, 1333333333, 1666666667, 2e9}[n-1]
			if ev.ID != uint64(i+1) || ev.Seq != n || ev.Topic != []string{"a", "b"}[i%2] || ev.Due != due || ev.Sent != due {
				t.Errorf("event %d: %+v, want due %d", i, ev, due)
			}
		}
	})
}

func TestStallShiftsNoDueTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Rate: 10_000, Faults: faults(t, "stall=2s@1s", "stall=500ms@2800ms"), TruthEvents: 100_000})
		start := e.hub.start
		sink := new(memSink)
		e.subscribe("", "", sink)
		time.Sleep(2 * time.Second)
		held := make(chan *event)
		go func() { held <- e.publish("default", "posted during the stall") }()
		posted := <-held
		if want := start.Add(3300 * time.Millisecond).UnixNano(); posted.sent != want {
			t.Errorf("published at %d during a stall, want %d", posted.sent, want)
		}
		time.Sleep(700 * time.Millisecond)
		synctest.Wait()
		e.close()
		if len(sink.got) != 40_001 {
			t.Errorf("%d events in 4 s, want 40,001", len(sink.got))
		}
		stallEnd := start.Add(3300 * time.Millisecond).UnixNano()
		for _, ev := range e.hub.report(t.Context(), truthQuery{events: 100_000}).Events {
			if ev.ID == posted.id {
				continue
			}
			n := ev.Seq
			if ev.ID > posted.id {
				n--
			}
			due := start.UnixNano() + int64(n)*100_000
			sent := due
			if due >= start.Add(time.Second).UnixNano() && due < stallEnd {
				sent = stallEnd
			}
			if ev.Due != due || ev.Sent != sent {
				t.Fatalf("event %d: due %d sent %d, want %d and %d", ev.ID, ev.Due, ev.Sent, due, sent)
			}
		}
	})
}

// What is posted during a stall doesn't keep the server from stopping.
func TestStopEndsPostsThatAStallHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Faults: faults(t, "stall=1h@1s")})
		time.Sleep(2 * time.Second)
		answer := httptest.NewRecorder()
		posting := make(chan struct{})
		go func() {
			defer close(posting)
			e.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/publish", strings.NewReader("held")))
		}()
		synctest.Wait()
		before := time.Now()
		e.close()
		<-posting
		if took := time.Since(before); took != 0 || answer.Code != http.StatusServiceUnavailable {
			t.Errorf("stopping took %v, and the post was answered with %d", took, answer.Code)
		}
	})
}

func TestDueTimesAreExactForLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.001, maxRate).Draw(t, "rate")
		n := rapid.Uint64Range(1, 1<<40).Draw(t, "n")
		table := timetable{rate: rate}
		if float64(n)/rate > 1e9 {
			t.Skip("more than thirty years")
		}
		due := table.due(n)
		if next := table.due(n + 1); next < due {
			t.Fatalf("event %d is due at %v, the next at %v", n, due, next)
		}
		if want := float64(n) / rate; due.Seconds() < want*(1-1e-9)-1e-9 || due.Seconds() > want*(1+1e-9)+1e-9 {
			t.Fatalf("event %d is due at %v, want %v s", n, due, want)
		}
	})
}

// A seamReader is a subscriber of TestReplayHasNoSeam.
type seamReader struct {
	*memSink
	sub         *subscriber
	resumes     bool
	from        uint64
	topics      []string
	first, last uint64 // newest event before and after it subscribed
}

// Subscribers come at any time, resume from any id, and want any topics, while others publish. Each gets what it is
// owed: everything after its place that the ring still had, once, in order, through to the end.
func TestReplayHasNoSeam(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		replay := rapid.IntRange(0, 300).Draw(rt, "replay")
		publishers := rapid.SliceOfN(rapid.IntRange(1, 200), 1, 3).Draw(rt, "publishers")
		var readers []*seamReader
		for range rapid.IntRange(1, 8).Draw(rt, "subscribers") {
			readers = append(readers, &seamReader{
				memSink: new(memSink),
				resumes: rapid.Bool().Draw(rt, "resumes"),
				from:    rapid.Uint64Range(0, 300).Draw(rt, "from"),
				topics:  rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID).Draw(rt, "topics"),
			})
		}
		var problem string
		synctest.Test(t, func(t *testing.T) { problem = playSeam(t, replay, publishers, readers) })
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func playSeam(t *testing.T, replay int, publishers []int, readers []*seamReader) (problem string) {
	e := run(t, Options{Replay: replay, Topics: []string{"a", "b", "c"}})
	defer e.close()
	var publishing sync.WaitGroup
	for p, n := range publishers {
		publishing.Go(func() {
			for range n {
				e.publish(string(rune('a'+p)), "x")
			}
		})
	}
	for i, r := range readers {
		from := ""
		if r.resumes {
			from = fmt.Sprint(r.from)
		}
		r.first = e.hub.log.last.Load()
		r.sub = e.subscribe(fmt.Sprint(i), from, r.memSink, r.topics...)
		r.last = e.hub.log.last.Load()
	}
	publishing.Wait()
	synctest.Wait()
	for i, r := range readers {
		rec := r.sub.rec.snapshot(t.Context())
		if !r.fits(e.hub.log, uint64(replay), rec.Horizon) || rec.Sent != uint64(len(r.got)) || len(rec.Ranges) > 1 {
			problem += fmt.Sprintf("reader %d: %+v, got %v, truth says %+v\n", i, r, r.got, rec)
		}
	}
	return problem
}

// fits says whether r got what it is owed. Where it began is known up to what was published while it subscribed.
func (r *seamReader) fits(log *eventLog, replay uint64, horizon bool) bool {
	for began := r.first; began <= r.last; began++ {
		after := began
		if r.resumes && r.from <= began {
			after = max(r.from, began-min(replay, began))
		}
		var want []uint64
		for id := after + 1; id <= log.last.Load(); id++ {
			if slices.Contains(r.topics, log.get(id).topic.name) {
				want = append(want, id)
			}
		}
		if slices.Equal(r.got, want) && horizon == (r.resumes && after > r.from) {
			return true
		}
	}
	return false
}

// A parked subscriber of a quiet topic outlives any number of events of another topic.
func TestQuietTopicSurvivesABusyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Queue: 4})
		defer e.close()
		sink := new(memSink)
		e.subscribe("", "", sink, "quiet")
		e.publish("quiet", "x")
		synctest.Wait()
		for range 10_000 {
			e.publish("busy", "x")
			synctest.Wait()
		}
		e.publish("quiet", "x")
		synctest.Wait()
		if want := []uint64{1, 10_002}; !slices.Equal(sink.got, want) {
			t.Errorf("got %v, want %v", sink.got, want)
		}
	})
}

func TestStuckWriteTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{WriteTimeout: time.Second})
		defer e.close()
		sink := &memSink{stuck: make(chan struct{})}
		s := e.subscribe("stuck", "", sink)
		e.publish("default", "x")
		time.Sleep(time.Second)
		synctest.Wait()
		sub := s.rec.snapshot(t.Context())
		if sub.Reason != ReasonTimeout || !slices.Equal(sub.Unconfirmed, []uint64{1}) || sub.Sent != 0 || sub.Closed == 0 {
			t.Errorf("%+v", sub)
		}
		if cut := e.hub.count.cut.Load(); cut != 1 {
			t.Errorf("cut %d, want 1", cut)
		}
	})
}

func TestStopInterruptsStuckWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{WriteTimeout: time.Hour, Grace: time.Second})
		s := e.subscribe("stuck", "", &memSink{stuck: make(chan struct{})})
		e.publish("default", "x")
		synctest.Wait()
		before := time.Now()
		e.close()
		if took := time.Since(before); took != time.Second {
			t.Errorf("stopping took %v, want the grace of 1 s", took)
		}
		if sub := s.rec.snapshot(t.Context()); sub.Reason != ReasonShutdown || len(sub.Unconfirmed) != 1 {
			t.Errorf("%+v", sub)
		}
	})
}

// /truth waits for a write that is under way, since the client may have its events already, but not forever.
func TestTruthWaitsForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{})
		sink := &memSink{stuck: make(chan struct{})}
		e.subscribe("stuck", "", sink)
		e.publish("default", "x")
		synctest.Wait()
		before := time.Now()
		if truth := e.hub.report(t.Context(), truthQuery{subscribers: 1}); truth.Subscribers[0].Sent != 0 {
			t.Errorf("%+v", truth)
		}
		if waited := time.Since(before); waited != settleTime {
			t.Errorf("waited %v, want %v", waited, settleTime)
		}
		time.AfterFunc(settleTime/2, sink.interrupt)
		before = time.Now()
		if truth := e.hub.report(t.Context(), truthQuery{subscribers: 1}); len(truth.Subscribers[0].Unconfirmed) != 1 {
			t.Errorf("%+v", truth)
		}
		if waited := time.Since(before); waited != settleTime/2 {
			t.Errorf("waited %v, want %v", waited, settleTime/2)
		}
		synctest.Wait()
		e.close()
	})
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Heartbeat: 100 * time.Millisecond, Rate: 7})
		sink := new(memSink)
		e.subscribe("", "", sink)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		e.close()
		if sink.beats != 10 || len(sink.got) != 7 {
			t.Errorf("%d beats and %d events, want 10 and 7", sink.beats, len(sink.got))
		}
	})
}

func TestLogIsBounded(t *testing.T) {
	l := newEventLog(10, 10_000)
	name := &topic{name: "t"}
	for id := uint64(1); id <= 100; id++ {
		l.append(&event{id: id, topic: name, data: make([]byte, 100*(id%20))})
		if l.cost > l.most || id-l.first.Load() >= uint64(len(l.slots)) || l.get(id) == nil || l.get(l.first.Load()) == nil {
			t.Fatalf("after %d: first %d, cost %d", id, l.first.Load(), l.cost)
		}
		if l.get(l.first.Load()-1) != nil || l.get(id+1) != nil {
			t.Fatalf("after %d: remembers too much", id)
		}
	}
	l.append(&event{id: 101, topic: name, data: make([]byte, 20_000)})
	if l.first.Load() != 101 || l.get(101) == nil {
		t.Error("an event over the bound is not kept alone")
	}
}

// A subscriber whose next event was forgotten, because events were too large to keep, is cut and not left waiting.
func TestForgottenEventsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{})
		defer e.close()
		e.hub.log.most = 1000
		sink := new(memSink)
		s := e.subscribe("", "", sink)
		synctest.Wait()
		e.hub.mu.Lock() // two at once: the shard sees only the second
		for range 2 {
			e.hub.append(e.hub.topics["default"], &event{data: make([]byte, 900)})
		}
		e.hub.mu.Unlock()
		synctest.Wait()
		sub := s.rec.snapshot(t.Context())
		if len(sink.got) < 2 && sub.Reason != ReasonSlow {
			t.Errorf("got %v, %+v", sink.got, sub)
		}
	})
}

func TestPayloads(t *testing.T) {
	for _, o := range []Options{{}, {Size: 125}, {Size: 4096}, {Binary: true}, {Binary: true, Size: 4096, Seed: 7}} {
		o, err := o.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		top := &topic{name: "default", head: jsonHead("default"), source: client.HashSource("default")}
		for _, seq := range []uint64{1, 1<<48 - 1} {
			b := newPayload(o, 42).build(top, seq, 1, 2)
			if o.Size > 0 && len(b) != o.Size {
				t.Errorf("%+v: %d bytes", o, len(b))
			}
			stamp, _, ok := client.FindStamp(b, 0)
			if want := (client.Stamp{Run: 42, Source: top.source, Seq: seq, Due: 1, Sent: 2}); !ok || stamp != want {
				t.Errorf("%+v: stamp %+v", o, stamp)
			}
			ev := &event{id: 1, data: b, binary: o.Binary}
			if stamp2, _, ok := client.FindStamp(ev.block(), 0); !ok || stamp2 != stamp {
				t.Errorf("%+v: stamp over SSE %+v", o, stamp2)
			}
		}
	}
	if _, err := New(Options{Size: 124}); err == nil {
		t.Error("size 124 was accepted; test and server disagree about the least size")
	}
}

// engineOf runs a server with n subscribers that forget what they get.
func engineOf(tb testing.TB, n int) (*engine, *sync.WaitGroup) {
	e := run(tb, Options{TruthEvents: 1000})
	got := new(sync.WaitGroup)
	for range n {
		e.subscribe("", "", countSink{got})
	}
	return e, got
}

type countSink struct{ got *sync.WaitGroup }

func (k countSink) write(batch []delivery) (int, bool, error) {
	k.got.Add(-len(batch))
	return len(batch), false, nil
}
func (countSink) beat() error { return nil }
func (countSink) interrupt()  {}

// Publishing allocates for the event, and nothing for its deliveries.
func TestDeliveriesDontAllocate(t *testing.T) {
	measure := func(subscribers int) float64 {
		e, got := engineOf(t, subscribers)
		defer e.close()
		topic := e.hub.scheduled()[0]
		return testing.AllocsPerRun(500, func() {
			got.Add(subscribers)
			e.hub.publishScheduled(topic, 1)
			got.Wait()
		})
	}
	if few, many := measure(1), measure(200); many > few || few > 3 {
		t.Errorf("%v allocations to publish to one subscriber and %v to 200", few, many)
	}
}

func BenchmarkFanOut(b *testing.B) {
	const subscribers = 1000
	e, got := engineOf(b, subscribers)
	defer e.close()
	topic := e.hub.scheduled()[0]
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		got.Add(subscribers)
		e.hub.publishScheduled(topic, 1)
		got.Wait()
	}
	b.ReportMetric(float64(b.N)*subscribers/b.Elapsed().Seconds(), "deliveries/s")
}
