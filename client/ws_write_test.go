package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A mask is undone by itself, whatever the length, and is the one of RFC 6455, 5.3.
func TestMask(t *testing.T) {
	const key = 0x44332211 // on the wire 11 22 33 44
	for n := range 40 {
		message := bytes.Repeat([]byte("x"), n)
		masked := make([]byte, n)
		mask(masked, message, key)
		for i, b := range masked {
			if b != 'x'^"\x11\x22\x33\x44"[i%4] {
				t.Fatalf("byte %d of %d is %#x", i, n, b)
			}
		}
	}
}

// Messages of all sizes arrive whole, in frames with lengths in their shortest form.
func TestWebSocketSendsAllSizes(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 0xFFFF, 0x10000, pieceSize - 1, pieceSize, pieceSize + 1, 3*pieceSize + 5}
	var want, heard []string
	for _, n := range sizes {
		want = append(want, "text "+strings.Repeat("é", n/2)+strings.Repeat("x", n%2))
	}
	done := make(chan bool)
	addr := serveWS(t, func(p *peer) {
		heard = p.hear()
		close(done)
	})
	s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, "")
	for _, message := range want {
		if err := s.(Sender).Send(context.Background(), []byte(message[5:])); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.(Finisher).Finish(); err != nil {
		t.Fatal(err)
	}
	if <-done; !slices.Equal(heard, append(want, "close 1000")) {
		t.Errorf("heard%s", lines(abridge(heard)))
	}
}

// A ping that comes while a message is being sent is answered after that, and reading goes on meanwhile.
func TestWebSocketAnswersWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan bool)
		heard := make(chan []string, 1)
		n := pipe(t, &Net{}, func(p *peer) {
			if !p.upgrade("") {
				return
			}
			p.write(frame(fin|opPing, "1") + frame(fin|opPing, "2") + frame(wholeText, "a"))
			<-read
			var all []string
			for range 2 {
				first, payload, err := p.readFrame()
				all = append(all, fmt.Sprint(describe(first, payload), err))
			}
			heard <- all
			p.write(closing(1000, ""))
			p.hear()
		})
		s := dial(t, &WebSocket{Net: n, Request: Request{URL: "ws://127.0.0.1"}}, "")
		sent := make(chan error, 1)
		go func() { sent <- s.(Sender).Send(context.Background(), []byte("long")) }()
		synctest.Wait() // until it hangs: a pipe has no buffer
		var got []string
		for ev, err := range s.Events() {
			if err != nil {
				break
			}
			if got = append(got, show(ev)); len(got) == 3 {
				close(read)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if want := []string{`comment ""`, `comment ""`, `text "a"`}; !slices.Equal(got, want) {
			t.Errorf("got%s", lines(got))
		}
		if got, want := <-heard, []string{"text long<nil>", "pong 2<nil>"}; !slices.Equal(got, want) {
			t.Errorf("the server heard%s", lines(got))
		}
	})
}

// A deadlineConn tells each write's deadline, and when a deadline was set for both directions.
type deadlineConn struct {
	net.Conn
	write  time.Time
	bound  chan bool
	writes chan time.Time
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error { c.write = t; return nil }
func (c *deadlineConn) SetDeadline(t time.Time) error      { c.write = t; c.bound <- true; return nil }
func (c *deadlineConn) Write(p []byte) (int, error)        { c.writes <- c.write; return len(p), nil }
func (c *deadlineConn) Read([]byte) (int, error)           { return 0, io.EOF }

// A stream that has ended tells its server so within a bound, although whoever was writing meanwhile had one of its own.
func TestWebSocketLastWordIsBounded(t *testing.T) {
	for _, err := range []error{protocolError("x"), errNotUTF8, ErrTooBig, &Error{Class: ClassCloseCode, Code: 1011}} {
		c := &deadlineConn{bound: make(chan bool, 1), writes: make(chan time.Time, 1)}
		s := &wsStream{exchange: exchange{conn: &conn{raw: c}}}
		told := make(chan error, 1)
		s.to = SinkFunc(func(_ Event, err error) bool { told <- err; return false })
		s.sendMu.Lock() // a Send is under way
		go s.end(err)
		<-c.bound
		c.SetWriteDeadline(time.Time{}) // as the answer to a ping does in the end
		s.release()
		if at := <-c.writes; at.IsZero() {
			t.Errorf("after %v the Close may take any time", err)
		}
		if got := <-told; got != err {
			t.Errorf("ended with %v, not %v", got, err)
		}
	}
}

// TestFailedAtOnce: that a server has broken a rule is known at once, whether it hangs up or not; it has a second to hear of it.
func TestFailedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan []string, 1)
		n := pipe(t, &Net{}, func(p *peer) {
			if p.upgrade("") && p.write(frame(wholeText|rsv1, "a")) {
				first, payload, _ := p.readFrame()
				p.write(frame(wholeText, "late"))
				p.wait()
				heard <- []string{describe(first, payload)}
			}
		})
		s := dial(t, &WebSocket{Net: n, Request: Request{URL: "ws://127.0.0.1/"}}, "")
		began := time.Now()
		for _, err := range s.Events() {
			if key, _ := explain(err); key != "protocol" {
				t.Error(err)
			}
		}
		s.Close()
		before := s.Info() // which nothing that comes now changes
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		if got := <-heard; !slices.Equal(got, []string{"close 1002"}) || time.Since(began) != closeWait {
			t.Errorf("the server heard %q in %v", got, time.Since(began))
		}
		synctest.Wait()
		if n.lingering.Load() != 0 {
			t.Error("a connection lingers on")
		}
		if after := s.Info(); after.WireIn != before.WireIn || after.LastByte != before.LastByte {
			t.Errorf("%+v became %+v", before, after)
		}
	})
}

// TestWebSocketAnswers: the pings of a protocol on top of WebSocket are answered, while the stream is being opened as well,
// and are heartbeats.
func TestWebSocketAnswers(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		heard := make(chan string, 8)
		hear := func(p *peer) {
			first, payload, err := p.readFrame()
			heard <- strings.TrimSpace(describe(first, payload) + " " + fmt.Sprint(err))
		}
		addr := serveWS(t, func(p *peer) {
			p.write(frame(wholeText, "2"))
			hear(p)
			p.write(frame(wholeText, "0{}") + frame(opText, `{"type":`) + frame(fin|opCont, `"ping"}`))
			hear(p)
			p.write(frame(wholeText, "22") + frame(wholeText, "2"))
			hear(p)
			p.write(closing(1000, ""))
			hear(p)
		})
		var answers []Answer
		for _, s := range []string{"2=3", `{"type":"ping"}={"type":"pong","a":"b=c"}`} {
			answer, err := ParseAnswer(s)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}, Await: []byte("0{"), Answers: answers}, "")
		var got []string
		for ev, err := range read(s) {
			if err != nil {
				got = append(got, Classify(err).Key())
				break
			}
			got = append(got, show(ev))
		}
		if want := []string{`comment ""`, `comment "{\"type\":\"ping\"}"`, `text "22"`, `comment "2"`, "close_code 1000"}; !slices.Equal(got, want) {
			t.Errorf("got%s\nwant%s", lines(got), lines(want))
		}
		for _, want := range []string{"text 3 <nil>", `text {"type":"pong","a":"b=c"} <nil>`, "text 3 <nil>", "close 1000 <nil>"} {
			if got := <-heard; got != want {
				t.Errorf("the server heard %s, want %s", got, want)
			}
		}
	})
	for _, s := range []string{"", "2", "=3", "2="} {
		if _, err := ParseAnswer(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}
