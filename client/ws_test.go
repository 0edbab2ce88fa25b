package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWebSocketInfoAndByteCounts(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		next := make(chan bool)
		addr := serve(t, nil, func(p *peer) {
			if p.upgrade("Sec-WebSocket-Protocol: b\r\n") {
				<-next
				p.write(frame(wholeText, "hello"))
				<-next
				p.write(frame(opBinary, "a") + frame(fin|opCont, "b") + closing(1000, ""))
				p.hear()
			}
		})
		s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}, Subprotocols: []string{"a", "b"}}, "")
		info := s.Info()
		if info.Remote.String() != addr || !info.Local.IsValid() || info.Proto != "HTTP/1.1" || info.TLS != "" || info.Subprotocol != "b" ||
			info.WireIn != info.HeadIn || info.HeadIn < 100 || info.WireOut < 100 || !info.FirstByte.IsZero() || info.Started.IsZero() {
			t.Errorf("%+v", info)
		}
		if p := info.Phases; p.DNS != -1 || p.TLS != -1 || p.TCP < 0 || p.Upgrade < 0 || p.Total < p.TCP+p.Upgrade {
			t.Errorf("%+v", p)
		}
		sent := info.WireOut
		next <- true
		var wire []int
		for ev, err := range read(s) {
			if err != nil {
				break
			}
			if wire = append(wire, ev.Wire); len(wire) == 1 {
				if ev.Arrival.User != s.Info().LastByte || ev.Arrival.User != s.Info().FirstByte {
					t.Errorf("it came %v, of %+v", ev.Arrival.User, s.Info())
				}
				next <- true
			}
		}
		info = s.Info()
		if !slices.Equal(wire, []int{7, 10}) && !slices.Equal(wire, []int{7, 6}) || info.WireIn != info.HeadIn+17 || info.WireOut != sent+8 {
			t.Errorf("events of %v bytes; %d in after the head, %d out", wire, info.WireIn-info.HeadIn, info.WireOut-sent)
		}
	})
}

func TestWebSocketArrivalShared(t *testing.T) {
	a := frame(wholeText, "a")
	for _, test := range []struct {
		writes []string
		want   string // for each event, whether it is shared
	}{
		{[]string{a, a}, "ff"},
		{[]string{a + a + a, a}, "tttf"},
		{[]string{a + a[:1], a[1:]}, "tf"},
		{[]string{a[:1], a[1:] + a, a}, "ttf"},
		{[]string{frame(opText, "a") + frame(opCont, "b"), frame(fin|opCont, "c")}, "f"},
		{[]string{frame(fin|opPing, ""), a}, "ff"},
		{[]string{frame(fin|opPing, "") + a}, "tt"},
		{[]string{frame(wholeText, strings.Repeat("x", 10000)), a}, "ff"},
	} {
		n := pipe(t, &Net{}, func(p *peer) {
			if !p.upgrade("") {
				return
			}
			written := make(chan bool)
			go func() {
				defer close(written)
				for _, w := range test.writes {
					p.write(w)
				}
				p.write(closing(1000, ""))
			}()
			p.hear()
			<-written
		})
		got := ""
		s := dial(t, &WebSocket{Net: n, Request: Request{URL: "ws://127.0.0.1"}}, "")
		for ev, err := range s.Events() {
			if err != nil {
				break
			}
			got += map[bool]string{false: "f", true: "t"}[ev.Arrival.Shared]
		}
		if got != test.want {
			t.Errorf("%q: %s, want %s", abridge(test.writes), got, test.want)
		}
	}
}

// A heartbeat is told when it comes, and not with the next message.
func TestWebSocketPingsAreTimely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pipe(t, &Net{Idle: 15 * time.Second}, func(p *peer) {
			if !p.upgrade("") {
				return
			}
			p.write(frame(wholeText, "a"))
			for range 3 {
				<-time.After(10 * time.Second)
				p.write(frame(fin|opPing, "hb"))
				if first, payload, err := p.readFrame(); describe(first, payload) != "pong hb" || err != nil {
					t.Errorf("heard %#x %q, %v", first, payload, err)
				}
			}
			p.wait()
		})
		s := dial(t, &WebSocket{Net: n, Request: Request{URL: "ws://127.0.0.1"}}, "")
		began := time.Now()
		var got []string
		for ev, err := range s.Events() {
			if err != nil {
				got = append(got, fmt.Sprintf("%v %s", time.Since(began), Classify(err).Key()))
				break
			}
			got = append(got, fmt.Sprintf("%v %v %s", time.Since(began), ev.Arrival.User.Sub(began), show(ev)))
		}
		want := []string{`0s 0s text "a"`, `10s 10s comment ""`, `20s 20s comment ""`, `30s 30s comment ""`, `45s idle`}
		if !slices.Equal(got, want) {
			t.Errorf("got%s\nwant%s", lines(got), lines(want))
		}
	})
}

// The messages of an opening: first the position, then what was asked to await, then the rest.
func TestWebSocketSubscribes(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		resume, err := ParseResume(`message:{"since":"{{.LastID}}"}`)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ from, first string }{{"7", `text {"since":"7"}`}, {"", "text sub 1 "}} {
			heard := make(chan []string, 1)
			addr := serveWS(t, func(p *peer) {
				var all []string
				next := func() {
					first, payload, _ := p.readFrame()
					all = append(all, describe(first, payload))
				}
				next()
				p.write(frame(wholeText, "welcome") + frame(fin|opPing, "") + frame(wholeText, `{"type":"ack"}`))
				next() // the pong
				next()
				if test.from != "" {
					next()
				}
				heard <- all
				p.write(frame(wholeText, "live") + closing(1000, ""))
				p.hear()
			})
			d := &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}, Binary: true, Resume: resume, Await: []byte(`"ack"`),
				Subscribe: func(from Cursor) ([][]byte, error) {
					return [][]byte{[]byte("sub 1 " + string(from)), []byte("sub 2")}, nil
				}}
			got, err := read.collect(dial(t, d, test.from))
			from := map[bool]string{true: ` @"7"`}[test.from != ""]
			if want := []string{`comment ""` + from, `text "live"` + from}; !slices.Equal(got, want) || Classify(err).Code != 1000 {
				t.Errorf("got%s\n%v", lines(got), err)
			}
			want := []string{test.first, "pong ", "text sub 2"}
			if test.from != "" {
				want = []string{test.first, "pong ", "text sub 1 7", "text sub 2"}
			}
			if got := <-heard; !slices.Equal(got, want) {
				t.Errorf("the server heard%s\nwant%s", lines(got), lines(want))
			}
		}
	})
}

// A greeting can be awaited without sending anything.
func TestWebSocketAwaitsAGreeting(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		addr := serveWS(t, func(p *peer) {
			p.write(frame(wholeText, "hello") + frame(wholeText, "a") + closing(1000, ""))
			p.hear()
		})
		got, _ := read.collect(dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}, Await: []byte("hello")}, ""))
		if !slices.Equal(got, []string{`text "a"`}) {
			t.Errorf("got%s", lines(got))
		}
	})
}

// The id of each message is where the next connection resumes, in whichever way the server wants to be told.
func TestWebSocketResumes(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		for spec, want := range map[string]string{
			"query:since={{.LastID}}":          `/x?a=b&since=b+2 ""`,
			"header:X-Since: id={{.LastID}}":   `/x?a=b "id=b 2"`,
			`message:{"since":"{{.LastID}}"}`:  `/x?a=b "" text {"since":"b 2"}`,
			`message:{{printf "%q" .LastID}}`:  `/x?a=b "" text "b 2"`,
			`query:since={{urlquery .LastID}}`: `/x?a=b&since=b%2B2 ""`,
		} {
			resume, err := ParseResume(spec)
			if err != nil {
				t.Fatal(err)
			}
			asked := make(chan string, 2)
			addr := serveWS(t, func(p *peer) {
				line := fmt.Sprintf("%s %q", p.request.URL, p.request.Header.Get("X-Since"))
				if p.n > 0 && strings.HasPrefix(spec, "message") {
					first, payload, _ := p.readFrame()
					line += " " + describe(first, payload)
				}
				asked <- line
				p.write(frame(wholeText, `{"id":"a"}`) + frame(wholeText, `{"x":1}`) + frame(wholeText, `{"id":"b 2"}`) + frame(wholeText, "not JSON") + closing(1012, ""))
				p.hear()
			})
			d := &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr + "/x?a=b"}, Resume: resume, ID: field(t, "json:id")}
			got, _ := read.collect(dial(t, d, ""))
			if want := []string{`text "{\"id\":\"a\"}" id="a"`, `text "{\"x\":1}" @"a"`, `text "{\"id\":\"b 2\"}" id="b 2"`, `text "not JSON" @"b 2"`}; !slices.Equal(got, want) {
				t.Errorf("got%s\nwant%s", lines(got), lines(want))
			}
			if line := <-asked; line != `/x?a=b ""` {
				t.Errorf("%s: first asked %s", spec, line)
			}
			read.collect(dial(t, d, "b 2"))
			if line := <-asked; line != want {
				t.Errorf("%s: then asked %s, want %s", spec, line, want)
			}
		}
	})
}

func TestWebSocketTooBig(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		const limit = 1000
		for _, test := range []struct {
			sent   string
			events int
		}{
			{frame(wholeText, strings.Repeat("x", limit)) + closing(1000, ""), 1},
			{frame(wholeText, strings.Repeat("x", limit+1)), 0},
			{frame(wholeText, "a") + frame(opBinary, strings.Repeat("x", limit)) + frame(fin|opCont, "y"), 1},
			{"\x82\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + strings.Repeat("x", 4*limit), 0},
		} {
			heard := make(chan []string, 1)
			addr := serveWS(t, func(p *peer) {
				p.write(test.sent)
				heard <- p.hear()
			})
			s := dial(t, &WebSocket{Net: &Net{MaxEvent: limit}, Request: Request{URL: "ws://" + addr}}, "")
			got, err := read.collect(s)
			want := []string{"close 1009"}
			if strings.HasSuffix(test.sent, closing(1000, "")) {
				want = []string{"close 1000"}
			} else if !errors.Is(err, ErrTooBig) {
				t.Errorf("ended with %v", err)
			}
			if heard := <-heard; len(got) != test.events || !slices.Equal(heard, want) {
				t.Errorf("%d events, the server heard %q, want %q", len(got), heard, want)
			}
			if held := cap(s.(*wsStream).buf); held > 4*limit {
				t.Errorf("it holds %d bytes", held)
			}
		}
	})
}

func TestWebSocketReset(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		received := make(chan bool)
		addr := serveWS(t, func(p *peer) {
			p.write(frame(wholeText, "a"))
			<-received
			p.reset()
		})
		s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, "")
		for _, err := range read(s) {
			if err == nil {
				close(received)
				continue
			}
			if key, words := explain(err); key != "reset" || words != "the connection was reset: without a Close frame" {
				t.Errorf("%s: %s", key, words)
			}
		}
	})
}

func TestWebSocketSends(t *testing.T) {
	for _, binary := range []bool{false, true} {
		heard := make(chan []string, 1)
		addr := serveWS(t, func(p *peer) { heard <- p.hear() })
		s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}, Binary: binary}, "")
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for k := range 5 {
					message := fmt.Sprintf("%d.%d %s", i, k, strings.Repeat("x", k*3000))
					if err := s.(Sender).Send(context.Background(), []byte(message)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if err := s.(Finisher).Finish(); err != nil {
			t.Error(err)
		}
		if err := s.(Finisher).Finish(); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := s.(Sender).Send(context.Background(), []byte("late")); err == nil {
			t.Error("a message was sent after Finish")
		}
		got := <-heard
		typ := map[bool]string{false: "text", true: "binary"}[binary]
		next := map[string]int{}
		for _, line := range got[:len(got)-1] {
			var i, k int
			var padding string
			fmt.Sscanf(line, typ+" %d.%d %s", &i, &k, &padding)
			if key := fmt.Sprint(i); next[key] != k || len(padding) != k*3000 {
				t.Errorf("after %d of %d came %.20s with %d", next[key], i, line, len(padding))
			}
			next[fmt.Sprint(i)]++
		}
		if len(got) != 41 || got[40] != "close 1000" {
			t.Errorf("%d frames, the last %s", len(got), got[len(got)-1])
		}
		s.Close()
		if err := s.(Sender).Send(context.Background(), nil); err == nil {
			t.Error("a message was sent after Close")
		}
	}
}

// After Finish everything that the server sends before its own Close is still received.
func TestWebSocketFinish(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		heard := make(chan []string, 1)
		addr := serveWS(t, func(p *peer) {
			p.write(frame(wholeText, "1"))
			first, payload, _ := p.readFrame()
			heard <- []string{describe(first, payload)}
			p.write(frame(wholeText, "2") + frame(opText, "3"))
			p.write(frame(fin|opCont, "") + frame(fin|opPing, "") + frame(wholeText, "4") + closing(1000, "bye"))
		})
		s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, "")
		var got []string
		for ev, err := range read(s) {
			if err != nil {
				if e := Classify(err); e.Code != 1000 || e.Detail != "bye" || !errors.Is(err, io.EOF) {
					t.Errorf("ended with %v", err)
				}
				break
			}
			if got = append(got, show(ev)); len(got) == 1 {
				if err := s.(Finisher).Finish(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := []string{`text "1"`, `text "2"`, `text "3"`, `comment ""`, `text "4"`}; !slices.Equal(got, want) {
			t.Errorf("got%s\nwant%s", lines(got), lines(want))
		}
		if got := <-heard; !slices.Equal(got, []string{"close 1000"}) {
			t.Errorf("the server heard %q", got)
		}
	})
}

// Close ends Events and a Send that hangs, from any goroutine and from the loop itself, as often as one likes.
func TestWebSocketCloseUnblocks(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		done := make(chan bool)
		defer close(done)
		addr := serveWS(t, func(p *peer) { p.write(frame(wholeText, "a") + frame(fin|opPing, "")); <-done })
		s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, "")
		events := read(s) // before anything is sent
		sent := make(chan error, 1)
		go func() {
			for {
				if err := s.(Sender).Send(context.Background(), make([]byte, 1<<20)); err != nil { // nobody reads it
					sent <- err
					return
				}
			}
		}()
		n := 0
		for _, err := range events {
			if err != nil {
				break
			}
			if n++; n == 1 {
				go s.Close()
			}
		}
		<-sent
		s.Close()

		s = dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, "")
		for range read(s) {
			s.Close()
		}
		s.Info()
	})
}

// A loop may be left at any event.
func TestStreamsCanBeLeft(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		ws := serveWS(t, func(p *peer) {
			p.write(frame(wholeText, "a") + frame(fin|opPing, "") + frame(wholeText, "b"))
			p.hear()
		})
		sse := serve(t, nil, func(p *peer) { p.read(); p.write(streamHead + chunk("data: a\n\n: x\n\ndata: b\n\n")); p.wait() })
		for _, d := range []Dialer{&WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + ws}}, &SSE{Net: &Net{}, Request: Request{URL: "http://" + sse}}} {
			for leave := 1; leave <= 3; leave++ {
				s := dial(t, d, "")
				n := 0
				for _, err := range read(s) {
					if n++; n == leave {
						break
					}
					if err != nil {
						t.Error(err)
					}
				}
				if s.Close(); n != leave {
					t.Errorf("%T: left at %d and not at %d", d, n, leave)
				}
			}
		}
	})
}

// TestWebSocketKeys: each connection of a chain of redirects has a key of its own, and the answer is to the last one.
func TestWebSocketKeys(t *testing.T) {
	keys := make(chan string, 3)
	addr := serve(t, nil, func(p *peer) {
		if p.n < 2 {
			p.read()
			p.write("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
		} else if p.upgrade("") {
			defer p.wait()
		}
		keys <- p.request.Header.Get("Sec-WebSocket-Key")
	})
	dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, "").Close()
	if a, b, c := <-keys, <-keys, <-keys; a == b || b == c || a == c {
		t.Errorf("%q, %q and %q", a, b, c)
	}
}
