package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tmaxmax/go-sse"
	"pgregory.net/rapid"
)

// A moodySink takes what it is asked to take at once as its moods have it.
type moodySink struct {
	*memSink
	moods []progress
	asked int
	begun uint64
	wrong []string
}

func (k *moodySink) attempt(d delivery) progress {
	p := k.moods[k.asked%len(k.moods)]
	k.asked++
	switch {
	case k.begun != 0:
		k.wrong = append(k.wrong, fmt.Sprintf("%d was attempted while %d was begun", d.ev.id, k.begun))
	case p == whole:
		_, _, _ = k.memSink.write([]delivery{d}) // doesn't fail
	case p == part:
		k.begun = d.ev.id
	}
	return p
}

func (k *moodySink) write(batch []delivery) (int, bool, error) {
	if k.begun != 0 && (len(batch) != 1 || !batch[0].begun || batch[0].ev.id != k.begun) || k.begun == 0 && batch[0].begun {
		k.wrong = append(k.wrong, fmt.Sprintf("%+v was written while %d was begun", batch, k.begun))
	}
	k.begun = 0
	return k.memSink.write(batch)
}

// Whoever writes, the shard or the subscriber's own goroutine, and wherever one leaves off, each event is written once,
// and in order.
func TestHandoverKeepsOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		moods := rapid.SliceOfN(rapid.SampledFrom([]progress{none, part, whole, whole}), 1, 20).Draw(rt, "moods")
		bursts := rapid.SliceOfN(rapid.IntRange(1, 2*promptEvents), 1, 20).Draw(rt, "bursts")
		settle := rapid.Bool().Draw(rt, "settle")
		muted := rapid.Bool().Draw(rt, "muted")
		synctest.Test(t, func(t *testing.T) {
			e := run(t, Options{})
			k := &moodySink{memSink: new(memSink), moods: moods}
			s := e.subscribe("", "", k)
			s.mute = muted
			synctest.Wait()
			var want []uint64
			for n, events := range bursts {
				for range events {
					sender := uint64(n % 2) // the subscriber is number 1
					ev, err := e.hub.publish(e.ctx, s.topics[0], message{data: []byte("x"), sender: sender})
					if err != nil {
						rt.Fatal(err)
					}
					if sender == 0 || !muted {
						want = append(want, ev.id)
					}
				}
				if settle {
					synctest.Wait()
				}
			}
			synctest.Wait()
			e.close()
			if !slices.Equal(k.got, want) || k.wrong != nil {
				rt.Errorf("got %v, want %v; %v", k.got, want, k.wrong)
			}
			if sub := s.rec.snapshot(t.Context()); sub.Sent != uint64(len(want)) || len(sub.Ranges) > 1 || sub.Unconfirmed != nil {
				rt.Errorf("%+v", sub)
			}
		})
	})
}

// stalled publishes events of 64 KiB to one client of each protocol that reads everything at once, and one that reads
// nothing.
func stalled(t *testing.T, g *target) (bodies []string, slowSSE *sseClient, slowWS *frameClient) {
	t.Helper()
	slow := func(conn net.Conn) {
		if err := conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
			t.Fatal(err)
		}
	}
	slowSSE, slowWS = g.sse("client=slow-sse"), g.frames("client=slow-ws")
	slow(slowSSE.conn)
	slow(slowWS.conn)
	quickSSE, quickWS := g.sse("client=quick-sse"), g.frames("client=quick-ws")
	t.Cleanup(func() { quickSSE.conn.Close(); quickWS.conn.Close() })
	topic := g.srv.hub.scheduled()[0]
	got := make([]byte, 128<<10)
	for n := range 150 { // far more than sockets hold
		body := fmt.Sprintf("<%d%s>", n, strings.Repeat("x", 64<<10))
		bodies = append(bodies, body)
		if _, err := g.srv.hub.publish(t.Context(), topic, message{data: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		if _, payload, err := quickWS.next(); err != nil || string(payload) != body {
			t.Fatalf("event %d is %.10q, %v", n, payload, err)
		}
		block := got[:len(fmt.Sprintf("id: %d\ndata: %s\n\n", n+1, body))]
		if _, err := io.ReadFull(quickSSE.resp.Body, block); err != nil || !bytes.Contains(block, []byte(body)) {
			t.Fatalf("event %d is %.20q, %v", n, block, err)
		}
	}
	return bodies, slowSSE, slowWS
}

// Subscribers that don't read hold up no others, and once they read they get everything.
func TestSlowSubscribers(t *testing.T) {
	g := start(t, Options{WriteTimeout: patience})
	bodies, slowSSE, slowWS := stalled(t, g)
	defer slowSSE.conn.Close()
	defer slowWS.conn.Close()
	if err := slowWS.send(9, "between two messages"); err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range sse.Read(slowSSE.resp.Body, &sse.ReadConfig{MaxEventSize: 1 << 20}) {
		if err != nil || e.Data != bodies[n] || e.LastEventID != fmt.Sprint(n+1) {
			t.Fatalf("event %d is %s %.20q, %v", n, e.LastEventID, e.Data, err)
		}
		if n++; n == len(bodies) {
			break
		}
	}
	pongs := 0
	for n := 0; n < len(bodies) || pongs == 0; {
		opcode, payload, err := slowWS.next()
		if err == nil && opcode == 10 && string(payload) == "between two messages" {
			pongs++
			continue
		}
		if err != nil || opcode != 1 || string(payload) != bodies[n] {
			t.Fatalf("message %d is %d %.20q, %v", n, opcode, payload, err)
		}
		n++
	}
	if pongs != 1 {
		t.Errorf("%d pongs", pongs)
	}
	for _, name := range []string{"quick-sse", "quick-ws", "slow-sse", "slow-ws"} {
		if s := g.truthOf(name); s.Sent != uint64(len(bodies)) || len(s.Ranges) != 1 || s.Unconfirmed != nil {
			t.Errorf("%+v", s)
		}
	}
}

// A stop completes what is begun: those who read to the clean end get what the server says was sent.
func TestStopCompletesWhatIsBegun(t *testing.T) {
	g := start(t, Options{WriteTimeout: patience, Grace: patience})
	bodies, slowSSE, slowWS := stalled(t, g)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.stop()
	}()
	ids, err := slowSSE.ids()
	if err != nil {
		t.Error(err)
	}
	messages := 0
	for {
		opcode, payload, err := slowWS.next()
		if err != nil || opcode == 8 {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if string(payload) != bodies[messages] {
			t.Fatalf("message %d is %.20q", messages, payload)
		}
		messages++
	}
	slowWS.conn.Close()
	<-stopped
	for name, got := range map[string]int{"slow-sse": len(ids), "slow-ws": messages} {
		_, records := g.srv.hub.truth.find(truthQuery{subscribers: 1, client: name, named: true})
		if s := records[0].snapshot(t.Context()); s.Sent != uint64(got) || got == len(bodies) || s.Reason != ReasonShutdown || s.Unconfirmed != nil {
			t.Errorf("%s got %d of %d: %+v", name, got, len(bodies), s)
		}
	}
}

// What somebody else writes follows the rest of a message; after a Close comes none, and after a failure nothing.
func TestLaneKeepsMessagesWhole(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	l := newLane(ours, false)
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(theirs, got); err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	write := func(b string, want int) {
		if n, err := l.Write([]byte(b)); n != want || err != nil {
			t.Error(n, err)
		}
	}
	l.rest = []byte("lo")
	go write("pong", 4)
	read("lopong")
	l.rest = []byte("again")
	go write("\x88close", 6)
	read("again\x88close")
	if err := l.send([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := l.send(nil); err != nil {
		t.Errorf("of a message that was completed: %v", err)
	}
	if p := l.attempt([]byte("late")); p != none {
		t.Errorf("attempted %d", p)
	}
	theirs.Close()
	for range 2 {
		if _, err := l.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
}

// A client that pings and then reads nothing for long gets its pong, after the message that was begun.
func TestPongOfSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := &wsConn{raw: near, lane: newLane(near, false), patience: time.Hour}
		message := (&event{data: []byte("a message")}).frame()
		c.lane.rest = message[3:]
		go func() {
			if c.pinged(t.Context(), []byte("there?")) {
				t.Error("it is left to the library")
			}
			near.Close()
		}()
		time.Sleep(time.Minute)
		got, err := io.ReadAll(far)
		if want := string(message[3:]) + "\x8A\x06there?"; err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
	if !(&wsConn{}).pinged(t.Context(), nil) {
		t.Error("without a lane nobody answers")
	}
}

// One that reads nothing for longer than it may is cut, though nothing but a pong is written to it.
func TestPongThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		start := time.Now()
		c := &wsConn{raw: near, lane: newLane(near, false), patience: 10 * time.Second}
		if c.pinged(t.Context(), nil); time.Since(start) != c.patience {
			t.Errorf("it was cut after %v", time.Since(start))
		}
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Error("it is still open")
		}
	})
}
