package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tmaxmax/go-sse"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; no test passes because of it.
const patience = 30 * time.Second

// A target is a server on a loopback socket.
type target struct {
	t    *testing.T
	srv  *Server
	addr string
	tls  *tls.Config // of clients; nil without TLS
	stop func()      // stops the server and checks how it ended; may be called more than once
}

func start(t *testing.T, o Options) *target { return startWith(t, o, false) }

func startTLS(t *testing.T, o Options) *target { return startWith(t, o, true) }

func startWith(t *testing.T, o Options, secure bool) *target {
	t.Helper()
	srv, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &target{t: t, srv: srv, addr: ln.Addr().String()}
	var config *tls.Config
	if secure {
		cert, ca, err := SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{cert}}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(ca) {
			t.Fatal("no certificate in the PEM")
		}
		g.tls = &tls.Config{RootCAs: roots, ServerName: "localhost"}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, ln, config) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(g.stop)
	return g
}

// dial opens a connection that fails the test's reads after patience.
func (g *target) dial() net.Conn {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	if g.tls != nil {
		return tls.Client(conn, g.tls)
	}
	return conn
}

// transport makes an HTTP client's transport that talks only to the target.
func (g *target) transport() *http.Transport {
	tr := &http.Transport{TLSClientConfig: g.tls.Clone(), DisableKeepAlives: true}
	g.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (g *target) url(path string) string {
	if g.tls != nil {
		return "https://" + g.addr + path
	}
	return "http://" + g.addr + path
}

// do makes a request and reads the whole answer.
func (g *target) do(method, path, body string) (*http.Response, string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, g.url(path), strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: g.transport()}).Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(b)
}

func (g *target) publish(topic, body string) Published {
	g.t.Helper()
	resp, b := g.do("POST", "/publish?topic="+topic, body)
	var p Published
	if err := json.Unmarshal([]byte(b), &p); err != nil || resp.StatusCode != 200 {
		g.t.Fatalf("publish: %s %q", resp.Status, b)
	}
	return p
}

func (g *target) truth(query string) Truth {
	g.t.Helper()
	resp, b := g.do("GET", "/truth?"+query, "")
	var truth Truth
	if err := json.Unmarshal([]byte(b), &truth); err != nil || resp.StatusCode != 200 {
		g.t.Fatalf("truth: %s %.200q %v", resp.Status, b, err)
	}
	return truth
}

// truthOf gives what the server says about the one subscriber of that name.
func (g *target) truthOf(name string) TruthSubscriber {
	g.t.Helper()
	subs := g.truth("events=0&client=" + name).Subscribers
	if len(subs) != 1 {
		g.t.Fatalf("%d subscribers are named %q, want 1", len(subs), name)
	}
	return subs[0]
}

// An sseClient is an event stream over a bare connection.
type sseClient struct {
	conn net.Conn
	resp *http.Response
}

// sse opens a stream; headers are complete lines.
func (g *target) sse(query string, headers ...string) *sseClient {
	g.t.Helper()
	conn := g.dial()
	head := "GET /sse?" + query + " HTTP/1.1\r\nHost: " + g.addr + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &sseClient{conn, resp}
}

// finish closes the client's side only.
func (c *sseClient) finish() error { return c.conn.(interface{ CloseWrite() error }).CloseWrite() }

// ids gives the ids of the rest of the stream, in the order of arrival, and how it ended: nil for cleanly.
func (c *sseClient) ids() (ids []string, err error) {
	defer c.conn.Close()
	for e, err := range sse.Read(c.resp.Body, &sse.ReadConfig{MaxEventSize: 4 << 20}) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, e.LastEventID)
	}
	return ids, nil
}

// ws opens a WebSocket.
func (g *target) ws(path string) *websocket.Conn {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, g.url(path), &websocket.DialOptions{HTTPClient: &http.Client{Transport: g.transport()}})
	if err != nil {
		g.t.Fatal(err)
	}
	c.SetReadLimit(4 << 20)
	g.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// next reads one message.
func next(c *websocket.Conn) (websocket.MessageType, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	typ, b, err := c.Read(ctx)
	return typ, string(b), err
}

// spread writes out the ranges of a subscriber on a server with one topic.
func spread(s TruthSubscriber) (ids []string) {
	for _, r := range s.Ranges {
		for id := r[0]; id <= r[1]; id++ {
			ids = append(ids, fmt.Sprint(id))
		}
	}
	return ids
}
