package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newPipePeer(c net.Conn) *peer { return &peer{Conn: c, r: bufio.NewReader(c)} }

// clockOf gives a Clock that is closed at the end of the test.
func clockOf(t testing.TB, n *Net, r Request, field string) *Clock {
	t.Helper()
	c := &Clock{Net: n, Request: r}
	if field != "" {
		var err error
		if c.Field, err = ParseField(field); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(c.Close)
	return c
}

func okReply(header, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body)
}

// A clock is read wherever the reply has it, as finely as it is written there, and over one connection.
func TestClock(t *testing.T) {
	const date = "Date: Thu, 20 Nov 2025 17:33:20 GMT\r\n"
	const at = 1763660000 * int64(time.Second)
	for _, test := range []struct {
		name, field, header, body string
		stamp                     int64
		grain                     time.Duration
	}{
		{"date", "", date, "", at, 2 * time.Second},
		{"date beside a body", "", date, `{"now":1}`, at, 2 * time.Second},
		{"seconds", "json:now", date, `{"now":1763660000}`, at, time.Second},
		{"seconds to a millisecond", "json:now", date, `{"now":1763660000.123}`, at + 123e6, time.Millisecond},
		{"milliseconds", "json:now", date, `{"now":1763660000001}`, at + 1e6, time.Millisecond},
		{"microseconds", "json:a.b", date, `{"a":{"b":1763660000000001}}`, at + 1e3, time.Microsecond},
		{"nanoseconds", "json:now", date, `{"now":1763660000000001234}`, at + 1234, 0},
		{"iso", "json:now", date, `{"now":"2025-11-20T17:33:20.501Z"}`, at + 501e6, time.Millisecond},
		{"milliseconds in microseconds", "json:now", date, `{"now":1763660000001000}`, at + 1e6, time.Millisecond},
		{"milliseconds of a float", "json:now", date, `{"now":1763660000.1229999}`, at + 122999900, time.Millisecond},
		{"zeros that may have been cut", "json:now", date, `{"now":1763660000.1}`, at + 1e8, 100 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			var connections atomic.Int64
			addr := serve(t, nil, func(p *peer) {
				connections.Add(1)
				for p.read() {
					if p.request.Method != http.MethodGet || p.request.URL.Path != "/time" || p.request.Header.Get("Authorization") != "Bearer t" {
						t.Errorf("%s %s %v", p.request.Method, p.request.URL, p.request.Header)
					}
					p.write(okReply(test.header, test.body))
				}
			})
			c := clockOf(t, &Net{}, Request{URL: "http://" + addr + "/time", Header: http.Header{"Authorization": {"Bearer t"}}}, test.field)
			for range 3 {
				got, err := c.Ask(t.Context())
				if err != nil || got.Stamp != test.stamp || got.Grain != int64(test.grain) {
					t.Errorf("%d, %v, %v; want %d, %v", got.Stamp, time.Duration(got.Grain), err, test.stamp, test.grain)
				}
			}
			if connections.Load() != 1 {
				t.Errorf("%d connections for 3 questions", connections.Load())
			}
		})
	}
}

// What an answer is cut to is what the finest of all answers so far has shown: the truth is never after its end.
func TestClockGrain(t *testing.T) {
	const at = 1763660000 * int64(time.Second)
	for name, answers := range map[string][][2]int64{ // fractions, and what they show, in ns
		"milliseconds in seconds":      {{100e6, 100e6}, {110e6, 10e6}, {0, 10e6}, {123e6, 1e6}, {200e6, 1e6}},
		"milliseconds in microseconds": {{7e6, 1e6}, {100e6, 1e6}},
		"microseconds":                 {{123456e3, 1e3}, {123e6, 1e3}},
		"nanoseconds":                  {{120, 1e9}, {123456789, 0}, {500e6, 0}},
	} {
		var c Clock
		for _, answer := range answers {
			if got := c.grain(at + answer[0]); got != answer[1] {
				t.Errorf("%s: %d after %d, want %d", name, got, answer[0], answer[1])
			}
		}
	}
}

// A server is asked for its head alone where that is what the request says.
func TestClockOfHead(t *testing.T) {
	var connections atomic.Int64
	addr := serve(t, nil, func(p *peer) {
		connections.Add(1)
		for p.read() {
			p.write("HTTP/1.1 200 OK\r\nDate: Thu, 20 Nov 2025 17:33:20 GMT\r\nContent-Length: 1000\r\n\r\n")
		}
	})
	c := clockOf(t, short(), Request{URL: "http://" + addr, Method: http.MethodHead}, "")
	for range 3 {
		if got, err := c.Ask(t.Context()); err != nil || got.Stamp != 1763660000*int64(time.Second) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections for 3 questions", connections.Load())
	}
}

// The reading's times are around what the server did: connecting isn't in them, and waiting for the time is, be that in
// the head or long after it.
func TestClockTimes(t *testing.T) {
	for _, test := range []struct {
		field string
		took  time.Duration
	}{{"", 30 * time.Millisecond}, {"json:now", 70 * time.Millisecond}} {
		t.Run(test.field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, ours := net.Pipe()
				connecting := func(context.Context, string, string) (net.Conn, error) {
					<-time.After(time.Second)
					return ours, nil
				}
				c := clockOf(t, &Net{DialTCP: connecting}, Request{URL: "http://127.0.0.1/"}, test.field)
				start := time.Now()
				go func() {
					defer server.Close()
					p := newPipePeer(server)
					p.read()
					<-time.After(30 * time.Millisecond)
					p.write("HTTP/1.1 200 OK\r\nDate: Thu, 20 Nov 2025 17:33:20 GMT\r\nContent-Length: 18\r\n\r\n")
					<-time.After(40 * time.Millisecond)
					p.write(`{"now":1763660000}`)
				}()
				got, err := c.Ask(t.Context())
				if err != nil || got.Sent.Sub(start) != time.Second || got.Received.Sub(got.Sent) != test.took {
					t.Errorf("asked after %v, answered after another %v, %v", got.Sent.Sub(start), got.Received.Sub(got.Sent), err)
				}
			})
		})
	}
}

// A server that closes what it was to keep is asked again, and one that says it will close isn't waited for.
func TestClockAfterHangup(t *testing.T) {
	for _, header := range []string{"", "Connection: close\r\n"} {
		var connections atomic.Int64
		addr := serve(t, nil, func(p *peer) {
			connections.Add(1)
			if p.read() {
				p.write(okReply("Date: Thu, 20 Nov 2025 17:33:20 GMT\r\n"+header, ""))
			}
		})
		c := clockOf(t, &Net{}, Request{URL: "http://" + addr}, "")
		for range 3 {
			if _, err := c.Ask(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if connections.Load() != 3 {
			t.Errorf("%d connections for 3 questions", connections.Load())
		}
	}
}

func TestClockFails(t *testing.T) {
	for _, test := range []struct {
		name, field, reply string
		class              Class
		code               int
		text               string
	}{
		{"no date", "", okReply("", ""), ClassProtocol, 0, "the reply has no Date header"},
		{"a bad date", "", okReply("Date: now\r\n", ""), ClassProtocol, 0, "the reply has no Date header"},
		{"no field", "json:now", okReply("", `{"time":1763660000}`), ClassProtocol, 0, "the reply has no time at json:now"},
		{"no JSON", "json:now", okReply("", "<html>"), ClassProtocol, 0, "the reply has no time at json:now"},
		{"no time", "json:now", okReply("", `{"now":"noon"}`), ClassProtocol, 0, "the reply has no time at json:now"},
		{"too big", "json:now", okReply("", strings.Repeat(" ", maxReply+1)), ClassProtocol, 0, "the reply is over 65536 bytes"},
		{"status", "", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", ClassStatus, 503, `"no"`},
		{"redirect", "", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", ClassStatus, 302, "it redirects to"},
		{"upgrade", "", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", ClassProtocol, 101, "it switches protocols"},
		{"hangup", "json:now", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{", ClassEOF, 0, "the stream ended: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serve(t, nil, func(p *peer) {
				if p.read() {
					p.write(test.reply)
				}
			})
			got, err := clockOf(t, &Net{}, Request{URL: "http://" + addr}, test.field).Ask(t.Context())
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Class != test.class || e.Code != test.code || !strings.Contains(e.Error(), test.text) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if _, err := clockOf(t, &Net{}, Request{URL: "ftp://127.0.0.1"}, "").Ask(t.Context()); err == nil {
		t.Error("a URL that can't be asked was")
	}
}

// A server that never answers is given up, by the time limit or by whoever asked.
func TestClockWaits(t *testing.T) {
	for _, test := range []struct {
		name string
		stop bool
	}{{"the limit", false}, {"the caller", true}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, ours := net.Pipe()
				defer server.Close()
				go newPipePeer(server).wait()
				c := clockOf(t, &Net{DialTCP: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}, Request{URL: "http://127.0.0.1/"}, "")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.stop {
					time.AfterFunc(time.Second, cancel)
				}
				start := time.Now()
				_, err := c.Ask(ctx)
				took := time.Since(start)
				if e, ok := errors.AsType[*Error](err); !ok || !test.stop && (e.Class != ClassTimeout || took != DefaultTimeout) || test.stop && took != time.Second {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}
