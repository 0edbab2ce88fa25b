package server

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/rtbench/rtbench/client"
)

// chat opens a chat over a bare connection, which goes on reading after it has sent a Close.
func (g *target) chat(query string) *frameClient { return g.upgraded("/ws/chat?" + query) }

// Everybody talks at once, and leaves when done: who isn't mute gets all of it, in one order, and /truth agrees.
func TestChat(t *testing.T) {
	const talkers, lines = 8, 25
	g := start(t, Options{Topics: []string{"room", "other"}})
	var clients []*frameClient
	for i := range talkers {
		clients = append(clients, g.chat(fmt.Sprintf("client=c%d&topic=room&echo=%d", i, i%2)))
	}
	listener := g.sse("client=listener&topic=room")
	got := make([][]string, talkers)
	var talking sync.WaitGroup
	for i, c := range clients {
		said := make(chan bool)
		talking.Go(func() {
			defer close(said)
			for n := range lines {
				if err := c.send(1, fmt.Sprintf("%d:%d", i, n)); err != nil {
					t.Error(err)
				}
			}
		})
		talking.Go(func() {
			defer c.conn.Close()
			defer func() { <-said }() // who isn't told what it says may have heard the others before
			want := talkers * lines
			if i%2 == 0 {
				want -= lines
			}
			for len(got[i]) < want {
				_, payload, err := c.next()
				if err != nil {
					t.Errorf("talker %d after %d: %v", i, len(got[i]), err)
					return
				}
				got[i] = append(got[i], string(payload))
			}
		})
	}
	talking.Wait()
	if err := listener.finish(); err != nil {
		t.Fatal(err)
	}
	ids, err := listener.ids()
	if err != nil {
		t.Fatal(err)
	}
	truth := g.truth("")
	if truth.Totals.Published != talkers*lines || !slices.Equal(ids, numbers(1, len(ids))) {
		t.Errorf("%+v, the listener got %v", truth.Totals, ids)
	}
	all := got[1]
	for i := range got {
		want := slices.DeleteFunc(slices.Clone(all), func(s string) bool {
			return i%2 == 0 && strings.HasPrefix(s, fmt.Sprintf("%d:", i))
		})
		if !slices.Equal(got[i], want) {
			t.Errorf("talker %d got %v, want %v", i, got[i], want)
		}
		sub := g.truthOf(fmt.Sprintf("c%d", i))
		if sub.Mute != (i%2 == 0) || int(sub.Sent) != len(want) || len(sub.Ranges) != 1 {
			t.Errorf("%+v", sub)
		}
		said := 0
		for _, e := range truth.Events {
			if e.Sender == sub.N {
				if all[e.ID-1] != fmt.Sprintf("%d:%d", i, said) || e.Topic != "room" {
					t.Errorf("%+v is %q, want line %d of %d", e, all[e.ID-1], said, i)
				}
				said++
			}
		}
		if said != lines {
			t.Errorf("%d lines of talker %d", said, i)
		}
	}
}

func TestChatKeepsKindsAndStamps(t *testing.T) {
	g := start(t, Options{})
	c := g.ws("/ws/chat?client=c")
	stamp := string(client.AppendStamp(nil, client.Stamp{Due: 12345}))
	for _, m := range []struct {
		typ  websocket.MessageType
		data string
	}{{websocket.MessageText, ""}, {websocket.MessageBinary, "\x00\xff"}, {websocket.MessageText, stamp}} {
		if err := c.Write(t.Context(), m.typ, []byte(m.data)); err != nil {
			t.Fatal(err)
		}
		if typ, data, err := next(c); typ != m.typ || data != m.data || err != nil {
			t.Errorf("%v %q %v, want %v %q", typ, data, err, m.typ, m.data)
		}
	}
	if events := g.truth("").Events; events[2].Due != 12345 || events[1].Due != events[1].Sent {
		t.Errorf("%+v", events)
	}
}

// The message that says where to resume is no event; what follows it at once is, and its sender gets that too.
func TestChatResumes(t *testing.T) {
	g := start(t, Options{Replay: 10})
	g.seed(5)
	c := g.chat("client=c&resume=message")
	for _, m := range []string{`{"resume":"3"}`, "hello"} {
		if err := c.send(1, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`"seq":4`, `"seq":5`, "hello"} {
		if _, payload, err := c.next(); err != nil || !strings.Contains(string(payload), want) {
			t.Errorf("%q %v, want %s", payload, err, want)
		}
	}
	c.conn.Close()
}

// A message that a stall holds back is in nobody's way when the server stops: the client gets its Close.
func TestChatStopsInAStall(t *testing.T) {
	g := start(t, Options{Faults: faults(t, "stall=1h@0")})
	c := g.chat("client=c")
	if err := c.send(1, "never"); err != nil {
		t.Fatal(err)
	}
	if err := c.send(9, "are you there"); err != nil { // stays unanswered: the reader waits
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.stop()
	}()
	closed := false
	for !closed {
		opcode, payload, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if closed = opcode == 8; closed && string(payload) != "\x03\xe9shutting down" {
			t.Errorf("Close %q", payload)
		}
	}
	if err := c.send(8, "\x03\xe9"); err != nil {
		t.Error(err)
	}
	<-stopped
	c.conn.Close()
	report := g.srv.hub.report(t.Context(), truthQuery{subscribers: 9})
	if sub := report.Subscribers[0]; sub.Reason != ReasonShutdown || report.Totals.Published != 0 {
		t.Errorf("%+v %+v", sub, report.Totals)
	}
}

// A mute subscriber that never catches up with what it sends itself has nothing to lag with.
func TestMuteSubscriberIsntSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Queue: 4})
		defer e.close()
		topics, err := e.hub.lookup([]string{"default"})
		if err != nil {
			t.Fatal(err)
		}
		s := e.hub.subscribe(&request{topics: topics, mute: true}, "mem")
		defer e.hub.unsubscribe(s, ReasonClient)
		for range 100 {
			if _, err := e.hub.publish(t.Context(), topics[0], message{sender: s.rec.sub.N}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // it was told of the event
			if !s.fill() || len(s.pending) > 0 || s.reason != "" {
				t.Fatalf("%d pending, %s", len(s.pending), s.reason)
			}
			if _, err := e.hub.publish(t.Context(), topics[0], message{sender: s.rec.sub.N}); err != nil {
				t.Fatal(err)
			}
			if s.park() {
				t.Fatal("parked before there was nothing to take")
			}
		}
	})
}
