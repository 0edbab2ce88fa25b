package client

import (
	"context"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzed plays a server that sends bytes and hangs up, and takes whatever comes back.
func fuzzed(t *testing.T, head func(*peer) bool, sent []byte) *Net {
	return pipe(t, &Net{MaxEvent: 1 << 10}, func(p *peer) {
		if !head(p) {
			return
		}
		written := make(chan bool)
		go func() {
			defer close(written)
			p.Write(sent)
			p.CloseWrite()
		}()
		p.wait()
		p.Close()
		<-written
	})
}

// oneLineError fails where an error isn't fit to be shown.
func oneLineError(t *testing.T, err error) {
	t.Helper()
	if err == nil || strings.ContainsAny(err.Error(), "\r\n") || !utf8.ValidString(err.Error()) {
		t.Errorf("the error is %q", err)
	}
}

// Whatever answers, Dial gives a stream or one line that says why not.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(streamHead + chunk("data: a\n\n") + lastChunk))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: a\n\n"))
	f.Add([]byte("HTTP/1.1 503 Busy\nRetry-After: 1\r\nContent-Length: 3\r\n\r\na\r\nb"))
	f.Add([]byte("HTTP/1.1 302 \xFF\r\nLocation: /\n\r\n"))
	f.Add([]byte(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9)))
	f.Fuzz(func(t *testing.T, response []byte) {
		n := fuzzed(t, func(p *peer) bool { return p.read() }, response)
		s, err := (&SSE{Net: n, Request: Request{URL: "http://127.0.0.1/"}}).Dial(context.Background(), nil)
		if err == nil {
			_, err = collect(s)
		}
		oneLineError(t, err)
	})
}

// Whatever frames come, what is yielded keeps the limit, text is UTF-8, and the end says why.
func FuzzWebSocket(f *testing.F) {
	for _, test := range frames {
		if len(test.sent) < 1000 {
			f.Add([]byte(test.sent), false)
		}
	}
	hello := "\xca\x48\xcd\xc9\xc9\x07\x00" // RFC 7692, 7.2.3.1: "Hello"
	f.Add([]byte(frame(deflated, hello)+frame(deflated, "\xf2\x00\x11\x00\x00")+closing(1000, "")), true)
	f.Fuzz(func(t *testing.T, sent []byte, compressed bool) {
		extensions := ""
		if compressed {
			extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
		}
		n := fuzzed(t, func(p *peer) bool { return p.upgrade(extensions) }, sent)
		s, err := (&WebSocket{Net: n, Request: Request{URL: "ws://127.0.0.1/"}, Compression: compressed}).Dial(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for ev, err := range s.Events() {
			if err != nil {
				oneLineError(t, err)
				if e := Classify(err); e.Err == io.EOF && e.Code != 1000 {
					t.Errorf("a clean end: %v", err)
				}
				return
			}
			if len(ev.Data) > n.MaxEvent || !ev.Binary && !utf8.Valid(ev.Data) {
				t.Errorf("%d bytes: %q", len(ev.Data), ev.Data)
			}
		}
		t.Error("the end is missing")
	})
}
