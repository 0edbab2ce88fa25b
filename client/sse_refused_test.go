package client

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// answer is a script that reads a request, writes s and waits for the client to go.
func answer(s string) func(*peer) {
	return func(p *peer) {
		if p.read() && p.write(s) {
			p.wait()
		}
	}
}

// What isn't an event stream is refused with a class, a key to count it by, and one line that says what it was.
func TestSSEDialRefuses(t *testing.T) {
	page := "<!DOCTYPE html>\n<html>\n  <body>" + strings.Repeat("hello ", 100)
	for _, test := range []struct {
		name       string
		script     func(*peer)
		key, words string
		retryAfter time.Duration
	}{
		{name: "204", script: answer("HTTP/1.1 204 No Content\r\n\r\n"), key: "status 204", words: "HTTP status 204: No Content"},
		{name: "201", script: answer("HTTP/1.1 201 Created\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n"), key: "status 201", words: "HTTP status 201: Created"},
		{name: "401", script: answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 17\r\n\r\n{\"error\":\"token\"}"), key: "status 401",
			words: `HTTP status 401: Unauthorized: "{\"error\":\"token\"}"`},
		{name: "403, chunked", script: answer("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("no\r\n\t way ") + chunk(" here\n") + lastChunk),
			key: "status 403", words: `HTTP status 403: Forbidden: "no way here"`},
		{name: "404, body until it closes", script: func(p *peer) { p.read(); p.write("HTTP/1.1 404 Not Found\r\n\r\nnothing here\n") }, key: "status 404",
			words: `HTTP status 404: Not Found: "nothing here"`},
		{name: "404, ill-formed body", script: answer("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n\xff\x00a\x1b"), key: "status 404",
			words: `HTTP status 404: Not Found: "` + "\uFFFD" + `\x00a\x1b"`},
		{name: "429", script: answer("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"), key: "status 429",
			words: "HTTP status 429: Too Many Requests", retryAfter: 7 * time.Second},
		{name: "503", script: answer("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n"), key: "status 503",
			words: "HTTP status 503: Service Unavailable", retryAfter: maxRetry},
		{name: "599, endless body", script: func(p *peer) {
			p.read()
			p.write("HTTP/1.1 599 Oops\r\n\r\n")
			p.repeat("x")
		}, key: "status 599", words: `HTTP status 599: "` + strings.Repeat("x", maxExcerpt) + `"`},
		{name: "a page", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 629\r\n\r\n" + page), key: "content_type",
			words: `the answer is not an event stream: got "text/html; charset=utf-8", with "` + strings.TrimSpace(strings.Join(strings.Fields(page[:maxExcerpt]), " ")) + `"`},
		{name: "no content type", script: answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), key: "content_type",
			words: `the answer is not an event stream: it has no Content-Type, with "hi"`},
		{name: "a content type like ours", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\nContent-Length: 0\r\n\r\n"), key: "content_type",
			words: `the answer is not an event stream: got "text/event-streams"`},
		{name: "no media type", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text event-stream\r\nContent-Length: 0\r\n\r\n"), key: "content_type",
			words: `the answer is not an event stream: got "text event-stream"`},
		{name: "compressed", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"), key: "protocol",
			words: `the server broke the protocol: the stream is encoded with "gzip", though it is to be sent as it is: a coding hides when events arrive`},
		{name: "compressed by the second of two", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: Identity\r\nContent-Encoding: br\r\n\r\n"), key: "protocol",
			words: `the server broke the protocol: the stream is encoded with "br", though it is to be sent as it is: a coding hides when events arrive`},
		{name: "a page behind a stream", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"), key: "content_type",
			words: `the answer is not an event stream: got "text/event-stream, text/html"`},
		{name: "a type within quotes", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text/html; a=\"b\\\", text/event-stream\"\r\nContent-Length: 0\r\n\r\n"), key: "content_type",
			words: `the answer is not an event stream: got "text/html; a=\"b\\\", text/event-stream\""`},
		{name: "unknown transfer coding", script: answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: gzip\r\n\r\n"), key: "protocol",
			words: `the server broke the protocol: no HTTP response: unsupported transfer encoding: "gzip"`},

		{name: "an SSH server", script: func(p *peer) { p.write("SSH-2.0-OpenSSH_9.9\r\n"); p.wait() }, key: "protocol",
			words: `the server broke the protocol: no HTTP response: malformed HTTP response "SSH-2.0-OpenSSH_9.9"`},
		{name: "an HTTP/2 server", script: func(p *peer) { p.write("\x00\x00\x00\x04\x00\x00\x00\x00\x00\n"); p.wait() }, key: "protocol",
			words: `the server broke the protocol: no HTTP response: malformed HTTP response "\x00\x00\x00\x04\x00\x00\x00\x00\x00"`},
		{name: "a head with a bad field", script: answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), key: "protocol",
			words: `the server broke the protocol: no HTTP response: malformed MIME header: missing colon: "no colon"`},
		{name: "an endless head", script: func(p *peer) {
			p.read()
			p.write("HTTP/1.1 200 OK\r\n")
			p.repeat("X-Endless: head\r\n")
		}, key: "protocol", words: "the server broke the protocol: the response head is over 65536 bytes"},
		{name: "an endless line", script: func(p *peer) {
			p.read()
			p.write("HTTP/1.1 200 OK\r\nX: ")
			p.repeat("x")
		}, key: "protocol", words: "the server broke the protocol: the response head is over 65536 bytes"},
		{name: "a head over the limit", script: answer("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n"), key: "protocol",
			words: "the server broke the protocol: the response head is over 65536 bytes"},
		{name: "endless 1xx", script: func(p *peer) { p.read(); p.repeat("HTTP/1.1 102 Processing\r\n\r\n") }, key: "protocol",
			words: "the server broke the protocol: the response head is over 65536 bytes"},

		{name: "closes", script: func(p *peer) { p.read() }, key: "eof", words: "the stream ended: before a response head was received"},
		{name: "closes in the head", script: func(p *peer) { p.read(); p.write("HTTP/1.1 200 OK\r\nA: b\r\n") }, key: "eof",
			words: "the stream ended: before a response head was received"},
		{name: "resets", script: func(p *peer) { p.read(); p.reset() }, key: "reset", words: "the connection was reset: "},

		{name: "redirects without Location", script: answer("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), key: "redirect 302",
			words: "redirects led nowhere: without a usable Location"},
		{name: "redirects to another scheme", script: answer("HTTP/1.1 307 Temporary Redirect\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"), key: "redirect 307",
			words: `redirects led nowhere: scheme "file" is not one of http, https, ws, wss`},
		{name: "redirects for ever", script: answer("HTTP/1.1 302 Found\r\nLocation: again?x=1\r\nContent-Length: 0\r\n\r\n"), key: "redirect",
			words: "redirects led nowhere: more than 10, the last one to http://ADDR/again"},
		{name: "redirects to no port", script: answer("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999/\r\nContent-Length: 0\r\n\r\n"), key: "redirect 302",
			words: "redirects led nowhere: there is no port 99999"},
		{name: "304", script: answer("HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n"), key: "status 304", words: "HTTP status 304: Not Modified"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serve(t, nil, test.script)
			d := &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr + "/stream"}}
			s, err := d.Dial(context.Background(), nil)
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			key, words := explain(err, addr)
			if strings.HasSuffix(test.words, ": ") && strings.HasPrefix(words, test.words) { // the rest is the system's
				words = test.words
			}
			if key != test.key || words != test.words || strings.Contains(words, "\n") {
				t.Errorf("%s\n%s\nwant %s\n%s", key, words, test.key, test.words)
			}
			if e := Classify(err); e.RetryAfter != test.retryAfter {
				t.Errorf("Retry-After %v, want %v", e.RetryAfter, test.retryAfter)
			}
		})
	}
}

// A server that accepts and says nothing costs no more than the timeout, wherever it stops talking.
func TestSSEDialTimesOut(t *testing.T) {
	for name, said := range map[string]string{
		"nothing": "", "a part of a line": "HTTP/1.", "a part of the head": "HTTP/1.1 200 OK\r\nA: b\r\n", "1xx": "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		addr := serve(t, nil, func(p *peer) { p.write(said); p.wait() })
		d := &SSE{Net: short(), Request: Request{URL: "http://" + addr}}
		_, err := d.Dial(context.Background(), nil)
		key, words := explain(err)
		if key != "timeout" || words != "no answer in time: waiting for the response head" {
			t.Errorf("%s: %s: %s", name, key, words)
		}
	}
	// One that drips redirects is bounded as a whole.
	addr := serve(t, nil, func(p *peer) {
		p.read()
		if p.n < 3 {
			p.write("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
		}
		p.wait()
	})
	d := &SSE{Net: short(), Request: Request{URL: "http://" + addr}}
	if _, err := d.Dial(context.Background(), nil); Classify(err).Class != ClassTimeout {
		t.Errorf("after redirects: %v", err)
	}
}

func TestSSEDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr := serve(t, nil, func(p *peer) { p.read(); cancel(); p.wait() })
	d := &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}
	if s, err := d.Dial(ctx, nil); err == nil {
		s.Close()
		t.Error("it opened")
	}
	if s, err := d.Dial(ctx, nil); err == nil {
		s.Close()
		t.Error("it opened with a context that is over")
	}
}

func TestSSEDialToNobody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	for _, d := range []Dialer{
		&SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}},
		&SSE{Net: &Net{ConnectTo: addr}, Request: Request{URL: "https://nobody.test"}},
		&WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}},
	} {
		_, err := d.Dial(context.Background(), nil)
		key, words := explain(err, addr)
		if key != "refused" || words != "nothing listens at that address: ADDR: connect: connection refused" {
			t.Errorf("%s: %s", key, words)
		}
	}
}

func TestDialRefusesURLs(t *testing.T) {
	for _, raw := range []string{"ftp://127.0.0.1/", "127.0.0.1:80", "http://", "http://127.0.0.1:99999/"} {
		for _, d := range []Dialer{
			&SSE{Net: &Net{}, Request: Request{URL: raw}},
			&WebSocket{Net: &Net{}, Request: Request{URL: raw}},
		} {
			_, err := d.Dial(context.Background(), nil)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%T of %q: %v", d, raw, err)
			}
		}
	}
}

// A server may refuse a request before it has read it: its answer says more than a broken pipe does.
func TestSSEDialRefusedEarly(t *testing.T) {
	n := pipe(t, &Net{}, func(p *peer) {
		p.r.Peek(1)
		p.Conn.(*duplexConn).Conn.Close() // what comes isn't read
		p.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\n4 MB")
		p.write("x") // until the client has gone
	})
	d := &SSE{Net: n, Request: Request{Method: "POST", URL: "http://127.0.0.1/", Body: make([]byte, 1<<20)}}
	_, err := d.Dial(context.Background(), nil)
	if key, words := explain(err); key != "status 413" || words != `HTTP status 413: Request Entity Too Large: "4 MB"` {
		t.Errorf("%s: %s", key, words)
	}
	n = pipe(t, &Net{}, func(p *peer) {
		p.r.Peek(1)
	})
	d.Net = n
	if _, err := d.Dial(context.Background(), nil); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("without an answer: %v", err)
	}
}
