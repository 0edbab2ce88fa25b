package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tmaxmax/go-sse"
)

// seed publishes n events, "1" to n in their stamps, without a schedule.
func (g *target) seed(n int) {
	g.t.Helper()
	<-g.srv.hub.started
	for range n {
		g.srv.hub.publishScheduled(g.srv.hub.scheduled()[0], 1)
	}
}

func numbers(first, last int) (ids []string) {
	for id := first; id <= last; id++ {
		ids = append(ids, fmt.Sprint(id))
	}
	return ids
}

// Clients leave while thousands of events are being replayed to them: the writer is always in the middle of a batch.
func TestTruthIsExactWhenClientsLeaveMidBatch(t *testing.T) {
	for name, launch := range map[string]func(*testing.T, Options) *target{"plain": start, "tls": startTLS} {
		t.Run(name, func(t *testing.T) {
			g := launch(t, Options{Replay: 20_000, Size: 500})
			g.seed(20_000)
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() { leaveAfter(g, fmt.Sprintf("sse-%d&from=0", i), 1+i*i) })
				wg.Go(func() { leaveAfter(g, fmt.Sprintf("ws-%d&from=0", i), 1+i*i) })
			}
			wg.Wait()
		})
	}
}

func TestResuming(t *testing.T) {
	g := start(t, Options{Replay: 50, Retry: 1500 * time.Millisecond})
	g.seed(100)
	for name, c := range map[string]struct {
		query, header string
		from          int
		horizon       bool
	}{
		"from":       {"from=90", "", 91, false},
		"last_id":    {"last_id=90", "", 91, false},
		"header":     {"from=1", "Last-Event-ID: 95\r\n", 96, false},
		"edge":       {"from=50", "", 51, false},
		"horizon":    {"from=49", "", 51, true},
		"everything": {"from=0", "", 51, true},
		"newest":     {"from=100", "", 101, false},
		"unknown":    {"from=101", "", 101, false},
		"garbage":    {"from=%00abc", "", 101, false},
		"negative":   {"from=-5", "", 101, false},
		"none":       {"", "", 101, false},
	} {
		t.Run(name, func(t *testing.T) {
			stream := g.sse("client=s-"+name+"&"+c.query, c.header)
			frames := g.frames("client=w-" + name + "&" + c.query)
			if err := stream.finish(); err != nil {
				t.Fatal(err)
			}
			if err := frames.send(8, "\x03\xe8"); err != nil {
				t.Fatal(err)
			}
			got, err := stream.ids()
			// It may have left before all was replayed; what came is a beginning of it.
			if want := numbers(c.from, 100); err != nil || len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("got %v, %v, want from %d", got, err, c.from)
			}
			if sub := g.truthOf("s-" + name); sub.Horizon != c.horizon {
				t.Errorf("%+v", sub)
			}
			if _, _, err := frames.ids(); err != nil {
				t.Error(err)
			}
		})
	}
	messages := g.frames("client=m&resume=message")
	if err := messages.send(1, `{"resume":"97"}`); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"seq":98`, `"seq":99`, `"seq":100`} {
		if _, payload, err := messages.next(); err != nil || !strings.Contains(string(payload), want) {
			t.Errorf("%q %v, want %s", payload, err, want)
		}
	}
	messages.conn.Close()
}

func TestRetryComesFirst(t *testing.T) {
	g := start(t, Options{Retry: 1500 * time.Millisecond, Rate: 100})
	c := g.sse("")
	defer c.conn.Close()
	want := "retry: 1500\n\nid: "
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.resp.Body, got); err != nil || string(got) != want {
		t.Errorf("%q %v", got, err)
	}
}

func TestHangups(t *testing.T) {
	t.Run("clean", func(t *testing.T) {
		g := start(t, Options{Rate: 1000, Faults: faults(t, "hangup@25", "duplicate=20%")})
		ids, err := g.sse("client=s").ids()
		if sub := g.truthOf("s"); err != nil || len(ids) != 25 || sub.Reason != ReasonHangup || !slices.Equal(ids, spread(sub)) {
			t.Errorf("%v %v %+v", ids, err, sub)
		}
		conn := g.ws("/ws?client=w")
		n := 0
		var last error
		for ; last == nil; n++ {
			_, _, last = next(conn)
		}
		if sub := g.truthOf("w"); websocket.CloseStatus(last) != websocket.StatusNormalClosure || n != 26 || sub.Sent != 25 {
			t.Errorf("%d %v %+v", n, last, sub)
		}
	})
	t.Run("reset", func(t *testing.T) {
		g := start(t, Options{Rate: 1000, Faults: faults(t, "hangup@25:rst")})
		if _, err := g.sse("client=s").ids(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("SSE ended with %v", err)
		}
		if _, _, err := g.frames("client=w").ids(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("WebSocket ended with %v", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	g := start(t, Options{Limit: 1, Faults: faults(t, "refuse=503x1:retry-after=7", "refuse=204x2", "refuse=429x3")})
	for _, want := range []struct {
		status int
		after  string
	}{{503, "7"}, {204, ""}, {429, ""}} {
		resp, _ := g.do("GET", "/sse", "")
		if resp.StatusCode != want.status || resp.Header.Get("Retry-After") != want.after {
			t.Errorf("%s %v, want %+v", resp.Status, resp.Header, want)
		}
	}
	c := g.sse("")
	if resp, _ := g.do("GET", "/ws", ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("over the limit: %s %v", resp.Status, resp.Header)
	}
	if totals := g.truth("").Totals; totals.Refused != 4 || totals.SubscribersOpen != 1 || totals.SubscribersTotal != 1 {
		t.Errorf("%+v", totals)
	}
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ids(); err != nil {
		t.Error(err)
	}
}

func TestStopEndsStreamsCleanly(t *testing.T) {
	for name, launch := range map[string]func(*testing.T, Options) *target{"plain": start, "tls": startTLS} {
		t.Run(name, func(t *testing.T) {
			g := launch(t, Options{Rate: 500, Grace: time.Second})
			stream, frames, echo := g.sse(""), g.frames(""), g.ws("/ws/echo")
			var reading sync.WaitGroup
			reading.Go(func() {
				if ids, err := stream.ids(); err != nil {
					t.Errorf("after %d events: %v", len(ids), err)
				}
			})
			reading.Go(func() {
				defer frames.conn.Close()
				for {
					opcode, payload, err := frames.next()
					if opcode == 8 {
						if string(payload) != "\x03\xe9shutting down" {
							t.Errorf("Close %q", payload)
						}
						if err := frames.send(8, "\x03\xe9"); err != nil {
							t.Error(err)
						}
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
			reading.Go(func() {
				if _, _, err := next(echo); websocket.CloseStatus(err) != websocket.StatusGoingAway {
					t.Error(err)
				}
			})
			stuck, stuckWS := g.sse("from=0"), g.frames("from=0") // never read
			defer stuck.conn.Close()
			defer stuckWS.conn.Close()
			g.stop()
			reading.Wait()
		})
	}
}

func TestEcho(t *testing.T) {
	g := start(t, Options{Compression: true})
	for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionNoContextTakeover} {
		c, resp, err := websocket.Dial(t.Context(), g.url("/ws/echo"), &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: g.transport()}, CompressionMode: mode,
			HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Sec-WebSocket-Extensions") != ""; got != (mode != websocket.CompressionDisabled) {
			t.Errorf("compression %v", got)
		}
		c.SetReadLimit(2 << 20)
		for _, m := range []string{"", "hello", strings.Repeat("long ", 200_000)} {
			for _, typ := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
				if err := c.Write(t.Context(), typ, []byte(m)); err != nil {
					t.Fatal(err)
				}
				if back, got, err := next(c); err != nil || back != typ || got != m {
					t.Errorf("%v %d bytes %v", back, len(got), err)
				}
			}
		}
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
	}
}

// A client that answers pings lives on; one that doesn't isn't in anybody's way.
func TestPings(t *testing.T) {
	g := start(t, Options{Heartbeat: time.Millisecond})
	c := g.frames("")
	for range 3 {
		opcode, payload, err := c.next()
		if err != nil || opcode != 9 {
			t.Fatal(opcode, err)
		}
		if err := c.send(10, string(payload)); err != nil {
			t.Fatal(err)
		}
	}
	c.conn.Close()
}

func TestHTTP2(t *testing.T) {
	for name, launch := range map[string]func(*testing.T, Options) *target{"prior knowledge": start, "tls": startTLS} {
		t.Run(name, func(t *testing.T) {
			g := launch(t, Options{Rate: 500, Faults: faults(t, "hangup@20")})
			protocols := new(http.Protocols)
			protocols.SetHTTP2(g.tls != nil)
			protocols.SetUnencryptedHTTP2(g.tls == nil)
			tr := &http.Transport{Protocols: protocols, TLSClientConfig: g.tls.Clone()}
			defer tr.CloseIdleConnections()
			var streams sync.WaitGroup
			for i := range 20 {
				streams.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, "GET", g.url(fmt.Sprintf("/sse?client=%d", i)), nil)
					if err != nil {
						t.Error(err)
						return
					}
					resp, err := (&http.Client{Transport: tr}).Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					if resp.ProtoMajor != 2 {
						t.Error(resp.Proto)
					}
					ids, err := (&sseClient{conn: nopConn{}, resp: resp}).ids()
					if sub := g.truthOf(fmt.Sprint(i)); err != nil || len(ids) != 20 || !slices.Equal(ids, spread(sub)) {
						t.Errorf("%v %v %+v", ids, err, sub)
					}
				})
			}
			streams.Wait()
			if resp, _ := g.do("GET", "/ws", ""); resp.StatusCode != http.StatusUpgradeRequired {
				t.Errorf("/ws without upgrade: %s", resp.Status)
			}
		})
	}
}

type nopConn struct{ net.Conn }

func (nopConn) Close() error { return nil }

// Clients that don't read are cut, and delay none of those that do.
func TestSlowSubscribersAreCutAlone(t *testing.T) {
	subscribers, steps := 200, 300
	if testing.Short() {
		subscribers = 20
	}
	g := start(t, Options{Topics: []string{"small", "big"}, Queue: 200, TruthEvents: 10})
	slow := []net.Conn{
		g.sse("client=slow-sse&topic=small,big").conn,
		g.frames("client=slow-ws&topic=small,big").conn,
	}
	got := make(chan string)
	var reading sync.WaitGroup
	for i := range subscribers {
		query := fmt.Sprintf("topic=small&client=%d", i)
		if i%2 == 0 {
			c := g.sse(query)
			reading.Go(func() {
				defer c.conn.Close()
				n := 0
				for e, err := range sse.Read(c.resp.Body, nil) {
					if err != nil {
						t.Errorf("%s: %v", query, err)
						return
					}
					got <- e.Data
					if n++; n == steps {
						return
					}
				}
			})
		} else {
			c := g.frames(query)
			reading.Go(func() {
				defer c.conn.Close()
				for range steps {
					_, payload, err := c.next()
					if err != nil {
						t.Errorf("%s: %v", query, err)
						return
					}
					got <- string(payload)
				}
			})
		}
	}
	topics, err := g.srv.hub.lookup([]string{"small", "big"})
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 128<<10)
	for step := range steps {
		want := fmt.Sprint(step)
		for i, data := range [][]byte{[]byte(want), big} {
			if _, err := g.srv.hub.publish(t.Context(), topics[i], message{data: data}); err != nil {
				t.Fatal(err)
			}
		}
		for range subscribers {
			select {
			case data := <-got:
				if data != want {
					t.Fatalf("got %q, want %q", data, want)
				}
			case <-time.After(patience):
				t.Fatalf("step %d: nothing arrives", step)
			}
		}
	}
	reading.Wait()
	for i, name := range []string{"slow-sse", "slow-ws"} {
		sub := g.truthOf(name)
		if sub.Reason != ReasonSlow {
			t.Errorf("%s: %+v", name, sub)
		}
		if _, err := io.Copy(io.Discard, slow[i]); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		slow[i].Close()
	}
	if totals := g.truth("").Totals; totals.Cut != 2 {
		t.Errorf("%+v", totals)
	}
}

func TestHostileRequests(t *testing.T) {
	g := start(t, Options{})
	long := strings.Repeat("x", maxName+1)
	for _, c := range []struct {
		method, path, body string
		status             int
		allow              string
	}{
		{"HEAD", "/sse", "", 405, "GET"},
		{"POST", "/sse", "", 405, "GET"},
		{"POST", "/ws", "", 405, "GET"},
		{"OPTIONS", "/truth", "", 405, "GET"},
		{"PUT", "/publish", "", 405, "GET, POST"},
		{"HEAD", "/healthz", "", 405, "GET"},
		{"GET", "/healthz", "", 200, ""},
		{"GET", "/", "", 200, ""},
		{"GET", "/nothing", "", 404, ""},
		{"GET", "/ws", "", 426, ""},
		{"GET", "/ws/chat", "", 426, ""},
		{"GET", "/ws/echo", "", 426, ""},
		{"GET", "/publish", "", 426, ""},
		{"POST", "/publish", strings.Repeat("x", maxBody), 200, ""},
		{"POST", "/publish", strings.Repeat("x", maxBody+1), 413, ""},
		{"POST", "/publish?topic=a%20b", "", 400, ""},
		{"POST", "/publish?topic=" + strings.Repeat("x", maxTopic+1), "", 400, ""},
		{"GET", "/sse?topic=,", "", 400, ""},
		{"GET", "/sse?topic=a%22b", "", 400, ""},
		{"GET", "/sse?from=" + long, "", 400, ""},
		{"GET", "/ws?last_id=" + long, "", 400, ""},
		{"GET", "/sse?client=" + long, "", 400, ""},
		{"GET", "/sse?client=%ff", "", 400, ""},
		{"GET", "/truth?events=-1", "", 400, ""},
		{"GET", "/truth/writes", "", 404, ""},
		{"POST", "/truth/writes", "", 405, "GET"},
		{"GET", "/truth?subscribers=many", "", 400, ""},
	} {
		resp, body := g.do(c.method, c.path, c.body)
		if resp.StatusCode != c.status || resp.Header.Get("Allow") != c.allow {
			t.Errorf("%s %.60s: %s, Allow %q, %.100q", c.method, c.path, resp.Status, resp.Header.Get("Allow"), body)
		}
	}
	var status int
	for i := range maxTopics + 1 {
		_, err := g.srv.hub.lookup([]string{fmt.Sprintf("t%d", i)})
		if err != nil {
			status++
		}
	}
	if status != 2 { // "default" is one
		t.Errorf("%d topics too many were refused, want 2", status)
	}
}

func TestHostileMessages(t *testing.T) {
	g := start(t, Options{})
	for _, path := range []string{"/ws", "/ws/chat", "/ws/echo", "/publish"} {
		c := g.ws(path)
		if err := c.Write(t.Context(), websocket.MessageText, make([]byte, maxBody+1)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := next(c); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, junk := range []string{"\x16\x03\x01", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 2*maxHeader), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff"} {
		conn := g.dial()
		_, _ = io.WriteString(conn, junk) // the server may close at any point
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
	garbage := g.frames("")
	if _, err := garbage.conn.Write(bytes.Repeat([]byte{0xff}, 100)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := garbage.ids(); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if resp, _ := g.do("GET", "/healthz", ""); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

func TestServeTwice(t *testing.T) {
	g := start(t, Options{})
	<-g.srv.hub.started
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.srv.Serve(t.Context(), ln, nil); err == nil {
		t.Error("a second Serve was accepted")
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its listener was left open: %v", err)
	}
}

func TestServeFailsWithItsListener(t *testing.T) {
	srv, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := srv.Serve(t.Context(), ln, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, net.ErrClosed)
	}
}

func TestSelfSigned(t *testing.T) {
	g := startTLS(t, Options{})
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		g.tls.ServerName = name
		if _, body := g.do("GET", "/healthz", ""); body != "ok\n" {
			t.Errorf("%s: %q", name, body)
		}
	}
	cert, _, err := SelfSigned("other.example", "127.0.0.9")
	if err != nil || cert.Leaf.VerifyHostname("other.example") != nil || cert.Leaf.VerifyHostname("127.0.0.9") != nil {
		t.Error(err)
	}
	var unknown *tls.CertificateVerificationError
	if _, err := tls.Dial("tcp", g.addr, &tls.Config{ServerName: "localhost"}); !errors.As(err, &unknown) {
		t.Errorf("a client that doesn't trust it: %v", err)
	}
}
