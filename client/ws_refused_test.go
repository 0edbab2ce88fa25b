package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

// A handshake that fails does so with a class, a key, and one line, and at once.
func TestWebSocketDialRefuses(t *testing.T) {
	upgradeWith := func(extra string) func(*peer) {
		return func(p *peer) {
			if p.upgrade(extra) {
				p.wait()
			}
		}
	}
	const handshake = "the WebSocket handshake was not completed: "
	for _, test := range []struct {
		name       string
		script     func(*peer)
		key, words string // what the words start with
		retryAfter time.Duration
	}{
		{name: "200 page", script: answer("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html>\nhello "), key: "status 200", words: `HTTP status 200: OK: "<html> hello"`},
		{name: "401", script: answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\ntoken"), key: "status 401", words: `HTTP status 401: Unauthorized: "token"`},
		{name: "403 chunked", script: answer("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("origin") + lastChunk), key: "status 403", words: `HTTP status 403: Forbidden: "origin"`},
		{name: "404", script: answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), key: "status 404", words: "HTTP status 404: Not Found"},
		{name: "426", script: answer("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"), key: "status 426", words: "HTTP status 426: Upgrade Required"},
		{name: "429", script: answer("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"), key: "status 429", words: "HTTP status 429: Too Many Requests", retryAfter: 3 * time.Second},
		{name: "503", script: answer("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"), key: "status 503", words: `HTTP status 503: Service Unavailable: "busy"`, retryAfter: 7 * time.Second},

		{name: "a wrong Accept", script: answer(switching + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"), key: "handshake", words: handshake + `Sec-WebSocket-Accept is "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" and not "`},
		{name: "no Accept", script: answer(switching + "\r\n"), key: "handshake", words: handshake + `Sec-WebSocket-Accept is "" and not "`},
		{name: "no Upgrade", script: answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"), key: "handshake", words: handshake + `the Upgrade header is "" and not websocket`},
		{name: "an Upgrade to more", script: answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n"), key: "handshake", words: handshake + `the Upgrade header is "h2c, websocket" and not websocket`},
		{name: "Accept twice", script: upgradeWith("Sec-WebSocket-Accept: AAAA\r\n"), key: "handshake", words: handshake + `Sec-WebSocket-Accept is "`},
		{name: "no Connection", script: answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), key: "handshake", words: handshake + `the Connection header "" does not name Upgrade`},
		{name: "a subprotocol nobody offered", script: upgradeWith("Sec-WebSocket-Protocol: other\r\n"), key: "handshake", words: handshake + `the subprotocol "other" was not offered`},
		{name: "an extension nobody offered", script: upgradeWith("Sec-WebSocket-Extensions: permessage-deflate\r\n"), key: "handshake", words: handshake + `the extension "permessage-deflate" was not offered`},
		{name: "an unknown extension", script: upgradeWith("Sec-WebSocket-Extensions: x-made-up\r\n"), key: "handshake", words: handshake + `the extension "x-made-up" was not offered`},

		{name: "garbage", script: func(p *peer) { p.write("\x81\x02hi\n"); p.wait() }, key: "protocol", words: `the server broke the protocol: no HTTP response: malformed HTTP response "\x81\x02hi"`},
		{name: "closes", script: func(p *peer) { p.read() }, key: "eof", words: "the stream ended: before a response head was received"},
		{name: "resets", script: func(p *peer) { p.read(); p.reset() }, key: "reset", words: "the connection was reset: "},
		{name: "an endless head", script: func(p *peer) { p.read(); p.write(switching); p.repeat("X: y\r\n") }, key: "protocol", words: "the server broke the protocol: the response head is over 65536 bytes"},
		{name: "redirects for ever", script: answer("HTTP/1.1 302 Found\r\nLocation: again?x=1\r\nContent-Length: 0\r\n\r\n"), key: "redirect", words: "redirects led nowhere: more than 10, the last one to http://ADDR/again"},
		{name: "redirects without Location", script: answer("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), key: "redirect 302", words: "redirects led nowhere: without a usable Location"},
		{name: "redirects to another scheme", script: answer("HTTP/1.1 302 Found\r\nLocation: file:///x\r\nContent-Length: 0\r\n\r\n"), key: "redirect 302", words: `redirects led nowhere: scheme "file" is not one of http, https, ws, wss`},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serve(t, nil, test.script)
			s, err := (&WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr + "/x"}}).Dial(context.Background(), nil)
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			key, words := explain(err, addr)
			if key != test.key || !strings.HasPrefix(words, test.words) || strings.Contains(words, "\n") {
				t.Errorf("%s\n%s\nwant %s\n%s", key, words, test.key, test.words)
			}
			if e := Classify(err); e.RetryAfter != test.retryAfter {
				t.Errorf("Retry-After %v, want %v", e.RetryAfter, test.retryAfter)
			}
		})
	}
}

// A 101 that isn't one of WebSocket is refused at once: no body is waited for.
func TestWebSocketDialRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pipe(t, &Net{}, answer(switching+"\r\n"))
		began := time.Now()
		_, err := (&WebSocket{Net: n, Request: Request{URL: "ws://127.0.0.1"}}).Dial(context.Background(), nil)
		if took := time.Since(began); Classify(err).Class != ClassHandshake || took != 0 {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestWebSocketDialTimesOut(t *testing.T) {
	for _, test := range []struct {
		name   string
		script func(*peer)
		await  string
		words  string
	}{
		{"silence", (*peer).wait, "", "waiting for the response head"},
		{"an answer that isn't to the point", func(p *peer) {
			if p.upgrade("") && p.write(frame(wholeText, "hello")) {
				p.wait()
			}
		}, "ack", `waiting for a message with "ack"`},
	} {
		addr := serve(t, nil, test.script)
		d := &WebSocket{Net: short(), Request: Request{URL: "ws://" + addr}, Await: []byte(test.await)}
		_, err := d.Dial(context.Background(), nil)
		if key, words := explain(err); key != "timeout" || words != "no answer in time: "+test.words {
			t.Errorf("%s: %s: %s", test.name, key, words)
		}
	}
}

// After the subscribe message the opening can still fail.
func TestWebSocketAwaitFails(t *testing.T) {
	for _, test := range []struct {
		name       string
		script     func(*peer)
		key, words string
	}{
		{"refused with a code", func(p *peer) { p.readFrame(); p.write(closing(4401, "no token")); p.hear() }, "close_code 4401", "closed with code 4401: no token"},
		{"the connection ends", func(p *peer) { p.readFrame() }, "eof", "the stream ended: without a Close frame"},
		{"other messages for ever", func(p *peer) { p.repeat(frame(wholeText, "x")) }, "timeout", `no answer in time: none of the first 100 messages contained "ack", and no more are waited for`},
		{"a huge message", func(p *peer) { p.write(frame(wholeText, strings.Repeat("x", 2000))); p.hear() }, "too_big", "an event was over the size limit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serveWS(t, test.script)
			d := &WebSocket{Net: &Net{MaxEvent: 1000}, Request: Request{URL: "ws://" + addr}, Await: []byte("ack"),
				Subscribe: func(Cursor) ([][]byte, error) { return [][]byte{[]byte("sub")}, nil }}
			s, err := d.Dial(context.Background(), nil)
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			if key, words := explain(err); key != test.key || words != test.words {
				t.Errorf("%s: %s; want %s: %s", key, words, test.key, test.words)
			}
		})
	}
	d := &WebSocket{Net: &Net{}, Request: Request{URL: "ws://127.0.0.1"}, Subscribe: func(Cursor) ([][]byte, error) { return nil, errors.New("template: no row") }}
	_, err := d.Dial(context.Background(), nil)
	if key, words := explain(err); key != "other" || words != "another error: template: no row" {
		t.Errorf("%s: %s", key, words)
	}
}

// What the server gets to read, but for the random key.
func TestWebSocketRequest(t *testing.T) {
	for _, test := range []struct {
		dialer WebSocket
		want   string
	}{
		{WebSocket{Request: Request{URL: "ws://ADDR/chat?room=1#x"}}, "GET /chat?room=1 HTTP/1.1\r\nHost: ADDR\r\nUser-Agent: rtbench\r\nConnection: Upgrade\r\n" +
			"Sec-Websocket-Key: KEY\r\nSec-Websocket-Version: 13\r\nUpgrade: websocket\r\n\r\n"},
		{WebSocket{Request: Request{URL: "http://u:p@ADDR/", Header: http.Header{"Host": {"v.test"}, "Origin": {"https://o.test"}, "User-Agent": {"me"}}}, Subprotocols: []string{"a", "b"}, Compression: true},
			"GET / HTTP/1.1\r\nHost: v.test\r\nUser-Agent: me\r\nAuthorization: Basic dTpw\r\nConnection: Upgrade\r\nOrigin: https://o.test\r\n" +
				"Sec-Websocket-Extensions: permessage-deflate\r\nSec-Websocket-Key: KEY\r\nSec-Websocket-Protocol: a,b\r\nSec-Websocket-Version: 13\r\nUpgrade: websocket\r\n\r\n"},
	} {
		got := make(chan string, 1)
		addr := serve(t, nil, func(p *peer) {
			b := make([]byte, 1<<10)
			n, _ := p.Read(b)
			got <- string(b[:n])
			p.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		})
		test.dialer.Net = &Net{}
		test.dialer.Request.URL = strings.ReplaceAll(test.dialer.Request.URL, "ADDR", addr)
		if s, err := test.dialer.Dial(context.Background(), nil); err == nil {
			s.Close()
		}
		sent := strings.ReplaceAll(<-got, addr, "ADDR")
		if at := strings.Index(sent, "Sec-Websocket-Key: "); at >= 0 {
			sent = sent[:at+19] + "KEY" + sent[at+19+24:]
		}
		if sent != test.want {
			t.Errorf("sent\n%q, want\n%q", sent, test.want)
		}
	}
}

// Redirects are followed as for event streams: credentials don't go to another origin.
func TestWebSocketFollowsRedirects(t *testing.T) {
	script := func(p *peer) {
		if p.upgrade("") {
			h := p.request.Header
			p.write(frame(wholeText, fmt.Sprintf("%s %q %q", p.request.URL, h.Get("Authorization"), h.Get("Cookie"))) + closing(1000, ""))
			p.hear()
		}
	}
	other := serve(t, nil, script)
	addr := serve(t, nil, func(p *peer) {
		switch p.read(); p.n {
		case 0:
			p.write("HTTP/1.1 307 Temporary Redirect\r\nLocation: /second\r\nContent-Length: 0\r\n\r\n")
		case 1:
			p.write(fmt.Sprintf("HTTP/1.1 302 Found\r\nLocation: ws://%s/third?x=%s\r\nContent-Length: 0\r\n\r\n", other, p.request.Header.Get("Cookie")))
		}
	})
	d := &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr + "/first", Header: http.Header{"Authorization": {"Bearer x"}, "Cookie": {"a"}}}}
	got, err := collect(dial(t, d, ""))
	if want := []string{`text "/third?x=a \"\" \"\""`}; !slices.Equal(got, want) || Classify(err).Code != 1000 {
		t.Errorf("got%s\nwant%s\n%v", lines(got), lines(want), err)
	}
}

// A server that doesn't read can't hold the opening up for longer than its timeout.
func TestWebSocketSubscribeTimesOut(t *testing.T) {
	done := make(chan bool)
	defer close(done)
	addr := serveWS(t, func(*peer) { <-done })
	d := &WebSocket{Net: short(), Request: Request{URL: "ws://" + addr},
		Subscribe: func(Cursor) ([][]byte, error) { return [][]byte{make([]byte, 64<<20)}, nil }}
	_, err := d.Dial(context.Background(), nil)
	if key, words := explain(err); key != "timeout" || words != "no answer in time: sending the subscribe message" {
		t.Errorf("%s: %s", key, words)
	}
}
