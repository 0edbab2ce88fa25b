package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSSEDialTakesWhatIsAStream(t *testing.T) {
	const body = ": hi\nretry: 10\n\nid: 1\ndata: a\n\nevent: x\ndata: b\n\n"
	want := []string{`comment " hi"`, `hint retry=10ms`, `message "a" id="1"`, `x "b" @"1"`}
	plain := func(contentType string) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: " + contentType + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(body)) + body
	}
	for name, said := range map[string]string{
		"chunked":                   streamHead + chunk(body) + lastChunk,
		"chunks across events":      streamHead + chunk(body[:7]) + chunk(body[7:9]) + chunk(body[9:]) + lastChunk,
		"chunks with trailer":       streamHead + chunk(body) + "0\r\nX-Sum: 1\r\n\r\n",
		"length":                    plain("text/event-stream"),
		"charset":                   plain("text/event-stream; charset=utf-8"),
		"charset quoted, and case":  plain(`TEXT/Event-Stream;Charset="UTF-8"`),
		"a bogus parameter":         plain("text/event-stream;bogus"),
		"charset twice":             plain("text/event-stream; charset=utf-8; charset=UTF-8"),
		"twice in one":              plain("text/event-stream, text/event-stream"),
		"behind a page":             plain("text/html\r\nContent-Type: text/event-stream"),
		"behind nonsense":           plain("text/event-stream, */*, text, a b/c"),
		"Identity":                  "HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\nContent-Type: text/event-stream\r\n\r\n" + body,
		"identity":                  "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Type: text/event-stream\r\n\r\n" + body,
		"HTTP/1.0, until it closes": "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body,
		"bare LF in the head":       "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\n" + body,
		"BOM":                       "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\uFEFF" + body,
		"many 1xx":                  strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 100) + plain("text/event-stream"),
		"a head of nearly the most": strings.Replace(plain("text/event-stream"), "\r\n", "\r\nX: "+strings.Repeat("x", maxHead-300)+"\r\n", 1),
	} {
		t.Run(name, func(t *testing.T) {
			// In one packet over TCP, and byte by byte through a pipe.
			addr := serve(t, nil, func(p *peer) { p.read(); p.write(said) })
			bytewise := pipe(t, &Net{}, func(p *peer) {
				p.read()
				for i := range len(said) {
					p.write(said[i : i+1])
				}
			})
			for _, test := range []struct {
				net  *Net
				read way
			}{{&Net{}, Stream.Events}, {&Net{}, pushed}, {bytewise, Stream.Events}} {
				got, err := test.read.collect(dial(t, &SSE{Net: test.net, Request: Request{URL: "http://" + addr}}, ""))
				if !slices.Equal(got, want) || err != io.EOF {
					t.Errorf("got%s\n%v, want%s\nand io.EOF", lines(got), err, lines(want))
				}
			}
		})
	}
}

func TestSSEStreamEnds(t *testing.T) {
	for _, test := range []struct {
		name       string
		end        func(*peer) // after one event was received
		key, words string
		cause      error
	}{
		{"the last chunk", func(p *peer) { p.write(lastChunk) }, "eof", "the stream ended", io.EOF},
		{"FIN between chunks", func(p *peer) {}, "eof", "the stream ended: unexpected EOF", io.ErrUnexpectedEOF},
		{"FIN in a chunk", func(p *peer) { p.write("ff\r\ndata: lost\n\nid: 9\n") }, "eof", "the stream ended: unexpected EOF", io.ErrUnexpectedEOF},
		{"a broken chunk", func(p *peer) { p.write("zz\r\n"); p.wait() }, "protocol", "the server broke the protocol: a chunk has no size", nil},
		{"a reset", func(p *peer) { p.reset() }, "reset", "the connection was reset: ", nil},
		{"an event over the limit", func(p *peer) { p.write("ffffff\r\ndata:"); p.repeat("x") }, "too_big", "an event was over the size limit", ErrTooBig},
		{"silence", func(p *peer) { p.wait() }, "idle", "nothing was received for the idle timeout: 20ms", nil},
	} {
		eachWay(t, test.name, func(t *testing.T, read way) {
			received := make(chan bool)
			addr := serve(t, nil, func(p *peer) {
				p.read()
				p.write(streamHead + chunk("id: 1\ndata: a\n\n"))
				<-received
				test.end(p)
			})
			n := &Net{}
			if test.name == "silence" {
				n.Idle = 20 * time.Millisecond
			}
			s := dial(t, &SSE{Net: n, Request: Request{URL: "http://" + addr}}, "")
			var err error
			var got []string
			for ev, e := range read(s) {
				if err = e; err != nil {
					break
				}
				if got = append(got, show(ev)); len(got) == 1 {
					close(received)
				}
			}
			key, words := explain(err)
			if strings.HasSuffix(test.words, ": ") && strings.HasPrefix(words, test.words) {
				words = test.words
			}
			if key != test.key || words != test.words || test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("%s: %s; want %s: %s", key, words, test.key, test.words)
			}
			if test.name != "FIN in a chunk" && !slices.Equal(got, []string{`message "a" id="1"`}) {
				t.Errorf("events%s", lines(got))
			}
		})
	}
	eachWay(t, "less than its length", func(t *testing.T, read way) {
		addr := serve(t, nil, func(p *peer) {
			p.read()
			p.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\ndata: a\n\n")
		})
		_, err := read.collect(dial(t, &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, ""))
		if err != io.ErrUnexpectedEOF {
			t.Errorf("a body cut short ended with %v", err)
		}
	})
}

// What the server gets to read, word for word.
func TestSSERequest(t *testing.T) {
	for _, test := range []struct {
		request    Request
		from, want string
	}{
		{Request{URL: "http://ADDR"}, "", "GET / HTTP/1.1\r\nHost: ADDR\r\nUser-Agent: rtbench\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\nCache-Control: no-store\r\n\r\n"},
		{Request{URL: "http://u:p@ADDR/a%20b?c=d#e"}, "7 …", "GET /a%20b?c=d HTTP/1.1\r\nHost: ADDR\r\nUser-Agent: rtbench\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\n" +
			"Authorization: Basic dTpw\r\nCache-Control: no-store\r\nLast-Event-Id: 7 …\r\n\r\n"},
		{Request{URL: "http://ADDR/x", Header: http.Header{"Host": {"v.test"}, "Accept": {"*/*"}, "User-Agent": {"me"}, "Cache-Control": {"no-cache"}, "Last-Event-Id": {"3"}}}, "",
			"GET /x HTTP/1.1\r\nHost: v.test\r\nUser-Agent: me\r\nAccept: */*\r\nAccept-Encoding: identity\r\nCache-Control: no-cache\r\nLast-Event-Id: 3\r\n\r\n"},
		{Request{URL: "http://ADDR/x", Header: http.Header{"Last-Event-Id": {"3"}}}, "4",
			"GET /x HTTP/1.1\r\nHost: ADDR\r\nUser-Agent: rtbench\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\nCache-Control: no-store\r\nLast-Event-Id: 4\r\n\r\n"},
		{Request{Method: "POST", URL: "http://ADDR/v1", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"stream":true}`)}, "",
			"POST /v1 HTTP/1.1\r\nHost: ADDR\r\nUser-Agent: rtbench\r\nContent-Length: 15\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\nCache-Control: no-store\r\nContent-Type: application/json\r\n\r\n{\"stream\":true}"},
		{Request{Method: "POST", URL: "http://ADDR/v1"}, "",
			"POST /v1 HTTP/1.1\r\nHost: ADDR\r\nUser-Agent: rtbench\r\nContent-Length: 0\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\nCache-Control: no-store\r\n\r\n"},
		// An id, or a header, can't smuggle in a line.
		{Request{URL: "http://ADDR", Header: http.Header{"X": {"a\r\nB: c"}}}, "1\r\nA: b",
			"GET / HTTP/1.1\r\nHost: ADDR\r\nUser-Agent: rtbench\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\nCache-Control: no-store\r\nLast-Event-Id: 1  A: b\r\nX: a  B: c\r\n\r\n"},
	} {
		got := make(chan string, 1)
		addr := serve(t, nil, func(p *peer) {
			b := make([]byte, 1<<10)
			n, _ := p.Read(b)
			got <- string(b[:n])
			p.write(streamHead + lastChunk)
		})
		test.request.URL = strings.ReplaceAll(test.request.URL, "ADDR", addr)
		s := dial(t, &SSE{Net: &Net{}, Request: test.request}, test.from)
		sent := <-got
		if text := strings.ReplaceAll(sent, addr, "ADDR"); text != test.want {
			t.Errorf("sent\n%q, want\n%q", text, test.want)
		}
		if out := s.Info().WireOut; out != uint64(len(sent)) {
			t.Errorf("WireOut %d of %d bytes", out, len(sent))
		}
	}
}

func TestSSEFollowsRedirects(t *testing.T) {
	streamAt := serve(t, nil, func(p *peer) {
		p.read()
		r := p.request
		body, _ := io.ReadAll(r.Body)
		p.write(streamHead + chunk(fmt.Sprintf("data: %s %s %q %q %q\n\n", r.Method, r.URL, body, r.Header.Get("Authorization"), r.Header.Get("Last-Event-Id"))) + lastChunk)
	})
	addr := serve(t, nil, func(p *peer) {
		p.read()
		switch p.request.URL.Path {
		case "/start":
			p.write("HTTP/1.1 307 Temporary Redirect\r\nLocation: next/one\r\nContent-Length: 0\r\n\r\n")
		case "/next/one":
			p.write("HTTP/1.1 303 See Other\r\nLocation: ws://" + streamAt + "/stream\r\n\r\n")
		}
	})
	d := &SSE{Net: &Net{}, Request: Request{Method: "POST", URL: "http://" + addr + "/start", Header: http.Header{"Authorization": {"Bearer x"}}, Body: []byte("ask")}}
	s := dial(t, d, "7")
	if remote := s.Info().Remote.String(); remote != streamAt {
		t.Errorf("connected to %s", remote)
	}
	got, err := collect(s)
	if want := []string{`message "GET /stream \"\" \"\" \"7\"" @"7"`}; !slices.Equal(got, want) || err != io.EOF {
		t.Errorf("got%s\n%v", lines(got), err)
	}
}

func TestSSEInfoAndByteCounts(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		const events = "data: a\n\n"
		next := make(chan bool)
		addr := serve(t, nil, func(p *peer) {
			p.read()
			p.write(streamHead)
			<-next
			p.write(chunk(events))
			<-next
			p.write(chunk(events+events) + lastChunk)
		})
		s := dial(t, &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, "")
		info := s.Info()
		if info.Remote.String() != addr || !info.Local.IsValid() || info.Proto != "HTTP/1.1" || info.TLS != "" || info.Subprotocol != "" ||
			info.HeadIn != uint64(len(streamHead)) || info.WireIn != info.HeadIn || !info.FirstByte.IsZero() || info.Started.IsZero() {
			t.Errorf("%+v", info)
		}
		if p := info.Phases; p.DNS != -1 || p.TLS != -1 || p.TCP < 0 || p.Upgrade < 0 || p.Total < p.TCP+p.Upgrade {
			t.Errorf("%+v", p)
		}
		next <- true
		wire, n := uint64(0), 0
		for ev, err := range read(s) {
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 1 {
				if ev.Wire != len(chunk(events)) || ev.Arrival.User != s.Info().LastByte || ev.Arrival.User != s.Info().FirstByte {
					t.Errorf("the first event took %d bytes and came %v, of %+v", ev.Wire, ev.Arrival.User, s.Info())
				}
				next <- true
			}
			wire += uint64(ev.Wire)
		}
		info = s.Info()
		if all := uint64(len(streamHead + chunk(events) + chunk(events+events) + lastChunk)); info.WireIn != all || n != 3 || wire > all-info.HeadIn || wire < all-info.HeadIn-uint64(len(lastChunk)) {
			t.Errorf("%d events, %d bytes in them, %d of %d on the wire, %d of the head", n, wire, info.WireIn, all, info.HeadIn)
		}
		if info.FirstByte.IsZero() || info.LastByte.Before(info.FirstByte) {
			t.Errorf("first byte %v, last %v", info.FirstByte, info.LastByte)
		}
	})
}

// A read that holds more than one event is marked on all of them: their times are those of the last.
func TestSSEArrivalShared(t *testing.T) {
	for _, test := range []struct {
		writes []string
		want   string // for each event, whether it is shared
	}{
		{[]string{"data:1\n\n", "data:2\n\n"}, "ff"},
		{[]string{"data:1\r\n\r\n", "data:2\r\n\r\n"}, "ff"},
		{[]string{"data:1\r\n\r\n", ":hb\r\n\r\n", "data:2\r\n\r\n"}, "fff"},
		{[]string{"data:1\n\ndata:2\n\ndata:3\n\n", "data:4\n\n"}, "tttf"},
		{[]string{"data:1\n\nda", "ta:2\n", "\n", "data:3\n\n"}, "tff"},
		{[]string{"data:1\n\n:hb\n\n"}, "tt"},
	} {
		n := pipe(t, &Net{}, func(p *peer) {
			p.read()
			p.write(streamHead)
			for _, w := range test.writes {
				p.write(chunk(w))
			}
			p.write(lastChunk)
		})
		s := dial(t, &SSE{Net: n, Request: Request{URL: "http://127.0.0.1"}}, "")
		got := ""
		for ev, err := range s.Events() {
			if err != nil {
				break
			}
			got += map[bool]string{false: "f", true: "t"}[ev.Arrival.Shared]
		}
		if got != test.want {
			t.Errorf("%q: %s, want %s", test.writes, got, test.want)
		}
	}
}

func TestSSEConnectToAndSources(t *testing.T) {
	hosts, sources := make(chan string, 3), make(chan string, 3)
	addr := serve(t, nil, func(p *peer) {
		p.read()
		hosts <- p.request.Host
		sources <- netip.MustParseAddrPort(p.RemoteAddr().String()).Addr().String()
		p.write(streamHead + lastChunk)
	})
	n := &Net{ConnectTo: addr}
	want := []string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}
	if runtime.GOOS == "linux" { // elsewhere 127.0.0.1 is the only loopback address
		n.Sources = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
		want = []string{"127.0.0.2", "127.0.0.3", "127.0.0.2"}
	}
	for _, from := range want {
		s := dial(t, &SSE{Net: n, Request: Request{URL: "http://nobody.test:81/"}}, "")
		if host, source := <-hosts, <-sources; host != "nobody.test:81" || source != from || s.Info().Local.Addr().String() != from {
			t.Errorf("Host %q, from %s, local %s; want from %s", host, source, s.Info().Local, from)
		}
	}
	n.Sources = []netip.Addr{netip.MustParseAddr("192.0.2.1")} // not an address of this host
	_, err := (&SSE{Net: n, Request: Request{URL: "http://nobody.test:81/"}}).Dial(context.Background(), nil)
	if key, words := explain(err, addr); key != "limit" && runtime.GOOS == "linux" {
		t.Errorf("%s: %s", key, words)
	}
}

func TestSSEEndMarker(t *testing.T) {
	for _, test := range []struct {
		marker string
		want   []string
		err    error
	}{
		{"[DONE]", []string{`message "1"`, `comment "[DONE]"`, `message "x [DONE]"`}, ErrDone},
		{"event:end", []string{`message "1"`, `comment "[DONE]"`, `message "x [DONE]"`, `message " [DONE] "`}, ErrDone},
		{"never", []string{`message "1"`, `comment "[DONE]"`, `message "x [DONE]"`, `message " [DONE] "`, `end "{}"`, `message "2"`}, io.EOF},
	} {
		marker, err := ParseEndMarker(test.marker)
		if err != nil || marker.IsZero() {
			t.Fatal(err)
		}
		addr := serve(t, nil, func(p *peer) {
			p.read()
			p.write(streamHead + chunk("data:1\n\n:[DONE]\ndata:x [DONE]\n\ndata:  [DONE] \n\nevent:end\ndata:{}\n\ndata:2\n\n") + lastChunk)
		})
		eachWay(t, test.marker, func(t *testing.T, read way) {
			got, err := read.collect(dial(t, &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}, Done: marker}, ""))
			if err != test.err || !slices.Equal(got, test.want) {
				t.Errorf("got%s\n%v", lines(got), err)
			}
		})
	}
	if _, err := ParseEndMarker("event:"); err == nil {
		t.Error("a marker without a name was taken")
	}
	if (EndMarker{}).matches(new(Event)) || !(EndMarker{}).IsZero() {
		t.Error("the zero marker recognises something")
	}
}

// Finish half-closes: what the server still sends is received, to its own end.
func TestSSEFinish(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		addr := serve(t, nil, func(p *peer) {
			p.read()
			p.write(streamHead + chunk("data:1\n\n"))
			p.wait() // for the client to have finished
			p.write(chunk("data:2\n\n") + chunk("data:3\n\n") + lastChunk)
		})
		s := dial(t, &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, "")
		var got []string
		for ev, err := range read(s) {
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
			if got = append(got, string(ev.Data)); len(got) == 1 {
				if err := s.(Finisher).Finish(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestSSECloseUnblocksEvents(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		addr := serve(t, nil, func(p *peer) { p.read(); p.write(streamHead + chunk("data:1\n\n")); p.wait() })
		s := dial(t, &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, "")
		closed := make(chan error, 1)
		n := 0
		for _, err := range read(s) {
			if err != nil {
				break
			}
			if n++; n == 1 {
				go func() { closed <- s.Close() }()
			}
		}
		if err := <-closed; err != nil || n != 1 {
			t.Errorf("%d events, Close gave %v", n, err)
		}
		s.Close() // again, and after the end
		s.Info()
	})
}

// The idle timeout counts from the last byte, heartbeats included, and not from the last event.
func TestSSEIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pipe(t, &Net{Idle: 15 * time.Second}, func(p *peer) {
			p.read()
			p.write(streamHead)
			for _, part := range []string{chunk(":hb\n"), "7\r\nda", "ta:", "1\n\r\n"} {
				<-time.After(14 * time.Second)
				p.write(part)
			}
			p.wait()
		})
		began := time.Now()
		got, err := collect(dial(t, &SSE{Net: n, Request: Request{URL: "http://127.0.0.1"}}, ""))
		if took := time.Since(began); took != (4*14+15)*time.Second || Classify(err).Class != ClassIdle || len(got) != 1 {
			t.Errorf("%q and %v after %v", got, err, took)
		}
	})
}

// TestSSEUnfinishedRetry: of a block that the end of the stream cuts off nothing comes, but that the reconnection time is set.
func TestSSEUnfinishedRetry(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		addr := serve(t, nil, func(p *peer) {
			p.read()
			p.write(streamHead + chunk("id: 1\ndata: a\n\nretry: 100\nid: 2\ndata: b\nretry: 7"))
		})
		s := dial(t, &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, "")
		var got []string
		for ev, err := range read(s) {
			if err != nil {
				got = append(got, Classify(err).Key())
				break
			}
			got = append(got, fmt.Sprintf("%d %q %q %v", ev.Type, ev.ID, ev.Data, ev.Retry))
		}
		if want := []string{`0 "1" "a" -1ns`, `2 "1" "" 100ms`, "eof"}; !slices.Equal(got, want) {
			t.Errorf("got%s\nwant%s", lines(got), lines(want))
		}
	})
}
