package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// publisher gives a Publisher that is closed at the end of the test.
func publisher(t testing.TB, n *Net, r Request) *Publisher {
	t.Helper()
	p := &Publisher{Net: n, Request: r}
	t.Cleanup(p.Close)
	return p
}

// What is sent is what was asked for, and one connection is enough for one message after the other.
func TestPublish(t *testing.T) {
	requests := make(chan string, 3)
	addr := serve(t, nil, func(p *peer) {
		for p.read() {
			body, _ := io.ReadAll(p.request.Body)
			requests <- fmt.Sprintf("%d %s %s %s %v %s\n", p.n, p.request.Method, p.request.URL, p.request.Host, p.request.Header, body)
			p.write("HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello")
		}
	})
	p := publisher(t, &Net{ConnectTo: addr}, Request{URL: "http://user:word@nobody.test/p?x=1", Header: http.Header{"Content-Type": {"application/json"}, "Host": {"other.test"}}})
	for _, body := range []string{`{"a":1}`, `{"a":2}`} {
		before := time.Now()
		sent, err := p.Publish(t.Context(), []byte(body))
		if after := time.Now(); err != nil || sent.Before(before) || sent.After(after) {
			t.Errorf("%v, sent %v, between %v and %v", err, sent, before, after)
		}
	}
	const head = "POST /p?x=1 other.test map[Authorization:[Basic dXNlcjp3b3Jk] Content-Length:[7] Content-Type:[application/json] User-Agent:[rtbench]] "
	if got, want := <-requests+<-requests, "0 "+head+"{\"a\":1}\n0 "+head+"{\"a\":2}\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Many goroutines publish at once, each has its own message accepted, and connections are used again.
func TestPublishConcurrently(t *testing.T) {
	const workers, messages = 16, 50
	var seen sync.Map
	var connections atomic.Int64
	addr := serve(t, nil, func(p *peer) {
		connections.Add(1)
		for p.read() {
			body, _ := io.ReadAll(p.request.Body)
			if _, twice := seen.LoadOrStore(string(body), true); twice {
				t.Errorf("%s came twice", body)
			}
			p.write("HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	p := publisher(t, &Net{}, Request{URL: "http://" + addr, Method: http.MethodPut})
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for m := range messages {
				if _, err := p.Publish(t.Context(), fmt.Appendf(nil, "%d.%d", w, m)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	n := 0
	seen.Range(func(any, any) bool { n++; return true })
	if n != workers*messages || connections.Load() > workers*messages/4 {
		t.Errorf("%d messages came over %d connections", n, connections.Load())
	}
}

// A message that isn't accepted says why by its class, its key and in one line, and when it had left.
func TestPublishFails(t *testing.T) {
	for _, test := range []struct {
		name       string
		script     func(*peer)
		key, words string
		retryAfter time.Duration
	}{
		{name: "400", script: answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nno\n room "), key: "status 400", words: `HTTP status 400: Bad Request: "no room"`},
		{name: "429", script: answer("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"), key: "status 429",
			words: "HTTP status 429: Too Many Requests", retryAfter: 7 * time.Second},
		{name: "503 without end", script: func(p *peer) { p.read(); p.write("HTTP/1.1 503 Oops\r\n\r\n"); p.repeat("x") }, key: "status 503",
			words: `HTTP status 503: Service Unavailable: "` + strings.Repeat("x", maxExcerpt) + `"`},
		{name: "a redirect", script: answer("HTTP/1.1 302 Found\r\nLocation: /login?next=p\r\nContent-Length: 0\r\n\r\n"), key: "status 302",
			words: "HTTP status 302: Found: it redirects to http://ADDR/login"},
		{name: "a redirect that hides a password", script: answer("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://me:secret@127.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
			key: "status 307", words: "HTTP status 307: Temporary Redirect: it redirects to http://me:xxxxx@127.0.0.1/"},
		{name: "a redirect to nowhere", script: answer("HTTP/1.1 301 Moved Permanently\r\nContent-Length: 0\r\n\r\n"), key: "status 301",
			words: "HTTP status 301: Moved Permanently: it redirects, without a usable Location"},
		{name: "a switch", script: answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), key: "protocol 101",
			words: "the server broke the protocol: it switches protocols, which was not asked for"},
		{name: "an SSH server", script: func(p *peer) { p.read(); p.write("SSH-2.0-OpenSSH_9.9\r\n"); p.wait() }, key: "protocol",
			words: `the server broke the protocol: no HTTP response: malformed HTTP response "SSH-2.0-OpenSSH_9.9"`},
		{name: "hangs up", script: func(p *peer) { p.read() }, key: "eof", words: "the stream ended: before a response head was received"},
		{name: "resets", script: func(p *peer) { p.read(); p.reset() }, key: "reset", words: "the connection was reset: "},
		{name: "never answers", script: func(p *peer) { p.read(); p.wait() }, key: "timeout", words: "no answer in time: waiting for the reply"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serve(t, nil, test.script)
			n := &Net{}
			if test.key == "timeout" {
				n = short()
			}
			sent, err := publisher(t, n, Request{URL: "http://" + addr + "/p"}).Publish(t.Context(), []byte("m"))
			if err == nil {
				t.Fatal("it was accepted")
			}
			key, words := explain(err, addr)
			if strings.HasSuffix(test.words, ": ") && strings.HasPrefix(words, test.words) { // the rest is the system's
				words = test.words
			}
			if key != test.key || words != test.words || sent.IsZero() || Classify(err).RetryAfter != test.retryAfter {
				t.Errorf("%s\n%s\nwant %s\n%s\nsent %v, Retry-After %v", key, words, test.key, test.words, sent, Classify(err).RetryAfter)
			}
		})
	}
}

// What never left has no time at which it did.
func TestPublishToNobody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	silent := serve(t, nil, (*peer).wait)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name, url  string
		net        *Net
		ctx        context.Context
		key, words string
	}{
		{"refused", "http://" + addr, &Net{}, t.Context(), "refused", "nothing listens at that address: ADDR: connect: connection refused"},
		{"refused, for TLS", "https://" + addr, &Net{}, t.Context(), "refused", "nothing listens at that address: ADDR: connect: connection refused"},
		{"silence in the handshake", "https://" + silent, short(), t.Context(), "timeout", "no answer in time: "},
		{"cancelled", "http://" + silent, &Net{}, done, "timeout", "no answer in time: connecting: context canceled"},
		{"no URL", "ftp://a", &Net{}, t.Context(), "other", `another error: scheme "ftp" is not one of http, https, ws, wss`},
		{"no port", "http://127.0.0.1:99999", &Net{}, t.Context(), "other", "another error: "},
		{"no method", "http://" + addr, &Net{}, t.Context(), "other", `another error: net/http: invalid method "A B"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := Request{URL: test.url}
			if test.name == "no method" {
				r.Method = "A B"
			}
			sent, err := publisher(t, test.net, r).Publish(test.ctx, []byte("m"))
			if err == nil || !sent.IsZero() {
				t.Fatalf("sent %v, %v", sent, err)
			}
			key, words := explain(err, addr)
			if strings.HasSuffix(test.words, ": ") && strings.HasPrefix(words, test.words) {
				words = test.words
			}
			if key != test.key || words != test.words || strings.Contains(words, "\n") {
				t.Errorf("%s\n%s\nwant %s\n%s", key, words, test.key, test.words)
			}
		})
	}
}

// A reply that is accepted by its head stays so, however it goes on.
func TestPublishReplies(t *testing.T) {
	for name, said := range map[string]string{
		"cut short":      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab",
		"over the limit": "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", maxReply+1),
		"compressed":     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
	} {
		addr := serve(t, nil, func(p *peer) { p.read(); p.write(said) })
		if sent, err := publisher(t, &Net{}, Request{URL: "http://" + addr}).Publish(t.Context(), []byte("m")); err != nil || sent.IsZero() {
			t.Errorf("%s: sent %v, %v", name, sent, err)
		}
	}
}

// A connection that the server closed between two messages costs none of them, as long as nothing was written to it.
func TestPublishAfterHangup(t *testing.T) {
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(time.Time{})}}
	for scheme, wrap := range map[string]func(net.Conn) net.Conn{
		"http":  nil,
		"https": func(c net.Conn) net.Conn { return tls.Server(c, config) },
	} {
		for _, header := range []string{"", "Connection: close\r\n"} {
			hungUp := make(chan bool)
			addr := serve(t, wrap, func(p *peer) {
				if p.read() {
					p.write("HTTP/1.1 200 OK\r\n" + header + "Content-Length: 0\r\n\r\n")
					p.Close()
					hungUp <- true
				}
			})
			p := publisher(t, &Net{TLS: &tls.Config{RootCAs: ca.pool}}, Request{URL: scheme + "://" + addr})
			for range 5 {
				_, err := p.Publish(t.Context(), []byte("m"))
				if <-hungUp; err != nil {
					t.Errorf("%s, %q: %v", scheme, header, err)
				}
			}
		}
	}
}

// What follows the head of a reply isn't waited for; where it ends soon, its connection is used again.
func TestPublishSlowReplies(t *testing.T) {
	for _, test := range []struct {
		name, head string
		rest       []string // one a moment
		conns      int
	}{
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", []string{"2\r\nok", "\r\n0\r\n", "\r\n"}, 1},
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nok", []string{"ok", "ok"}, 1},
		{"endless", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", nil, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opened atomic.Int32
				dial := func(context.Context, string, string) (net.Conn, error) {
					server, ours := net.Pipe()
					opened.Add(1)
					go func() {
						p := &peer{Conn: server, r: bufio.NewReader(server)}
						for p.read() {
							p.write(test.head)
							for _, rest := range test.rest {
								time.Sleep(100 * time.Millisecond)
								p.write(rest)
							}
							for test.rest == nil && p.write("2\r\nok\r\n") {
								time.Sleep(50 * time.Millisecond)
							}
						}
						server.Close()
					}()
					return ours, nil
				}
				p := publisher(t, &Net{DialTCP: dial}, Request{URL: "http://127.0.0.1/"})
				for range 3 {
					start := time.Now()
					if _, err := p.Publish(t.Context(), []byte("m")); err != nil || time.Since(start) > 0 {
						t.Errorf("%v after %v", err, time.Since(start))
					}
					time.Sleep(2 * time.Second)
				}
				if n := opened.Load(); int(n) != test.conns {
					t.Errorf("%d connections, want %d", n, test.conns)
				}
				_, _ = p.Publish(t.Context(), []byte("m"))
				start := time.Now()
				if p.Close(); time.Since(start) > 0 {
					t.Errorf("closing took %v", time.Since(start))
				}
				time.Sleep(time.Second) // until the peer has noticed
			})
		})
	}
}

func TestPublishOverTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.issue(time.Time{})}}
	addr := serve(t, func(c net.Conn) net.Conn { return tls.Server(c, config) }, func(p *peer) {
		for p.read() {
			p.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	plain := serve(t, nil, func(p *peer) { p.write("HTTP/1.1 400 Bad Request\r\n\r\n"); p.wait() })
	for _, test := range []struct {
		url  string
		net  *Net
		want string
	}{
		{"https://" + addr, &Net{TLS: &tls.Config{RootCAs: a.pool}}, "<nil>"},
		{"wss://stream.test", &Net{TLS: &tls.Config{RootCAs: a.pool}, ConnectTo: addr}, "<nil>"},
		{"https://" + addr, &Net{TLS: &tls.Config{InsecureSkipVerify: true}}, "<nil>"},
		{"https://" + addr, &Net{TLS: &tls.Config{RootCAs: stranger.pool}}, "the TLS handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		{"https://other.test", &Net{TLS: &tls.Config{RootCAs: a.pool}, ConnectTo: addr}, "the TLS handshake failed: tls: failed to verify certificate: x509: certificate is valid for stream.test, not other.test"},
		{"https://" + plain, &Net{}, "the TLS handshake failed: the server does not speak TLS on this port"},
	} {
		p := publisher(t, test.net, Request{URL: test.url})
		for range 2 {
			if _, err := p.Publish(t.Context(), []byte("m")); !strings.HasPrefix(fmt.Sprint(err), test.want) {
				t.Errorf("%s: %v, want %s", test.url, err, test.want)
			}
		}
	}
}

// A server that reads nothing holds up no message for longer than the limit allows, or whoever publishes it.
func TestPublishUnread(t *testing.T) {
	for _, stop := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped=%v", stop), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, ours := net.Pipe() // has no buffer
				defer server.Close()
				p := publisher(t, &Net{DialTCP: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}, Request{URL: "http://127.0.0.1/"})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				limit := DefaultTimeout
				if stop {
					limit = time.Second
					time.AfterFunc(limit, cancel)
				}
				start := time.Now()
				sent, err := p.Publish(ctx, []byte("m"))
				if took := time.Since(start); took != limit || !sent.IsZero() || err == nil || Classify(err).Class != ClassTimeout {
					t.Errorf("after %v: sent %v, %v", took, sent, err)
				}
			})
		})
	}
}

// TestPost: the quick half needs a connection that is open, and a body that its buffer takes; then it is Publish in two.
func TestPost(t *testing.T) {
	accepted := make(chan string, 10)
	addr := serve(t, nil, func(p *peer) {
		for p.read() {
			body, _ := io.ReadAll(p.request.Body)
			accepted <- string(body)
			if string(body) == "bad" {
				p.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			} else {
				p.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
			}
		}
	})
	p := publisher(t, &Net{}, Request{URL: "http://" + addr})
	if _, _, ok := p.Post([]byte("early")); ok {
		t.Error("posted without a connection")
	}
	if err := p.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := p.Post(make([]byte, maxPost+1)); ok {
		t.Error("posted what a buffer may not take")
	}
	for _, body := range []string{"a", "bad", "b"} {
		reply, sent, ok := p.Post([]byte(body))
		if !ok || sent.IsZero() {
			t.Fatalf("%s: not posted", body)
		}
		if got := <-accepted; got != body { // before anybody waits for the reply
			t.Errorf("%q arrived as %q", body, got)
		}
		if _, _, ok := p.Post([]byte("second")); ok {
			t.Error("posted on a connection that waits for a reply")
		}
		if err := reply(t.Context()); (err == nil) != (body != "bad") {
			t.Errorf("%s: %v", body, err)
		}
	}
	reply, _, ok := p.Post([]byte("c"))
	if !ok {
		t.Fatal("the one connection was not used again")
	}
	if err := reply(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever posts isn't held up by a server that answers and reads no more: what can't leave is to be published instead.
func TestPostUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pipe(t, &Net{}, func(p *peer) {
			p.read()
			p.write("HTTP/1.1 204 No Content\r\n\r\n")
			if p.n == 0 {
				<-time.After(time.Hour)
				return
			}
			p.read()
			p.write("HTTP/1.1 204 No Content\r\n\r\n")
		})
		p := publisher(t, n, Request{URL: "http://127.0.0.1/"})
		if _, err := p.Publish(t.Context(), []byte("a")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, sent, ok := p.Post([]byte("b")); ok || !sent.IsZero() || time.Since(start) != maxPostTime {
			t.Errorf("after %v: ok %v, sent %v", time.Since(start), ok, sent)
		}
		if _, err := p.Publish(t.Context(), []byte("b")); err != nil {
			t.Error(err)
		}
		reply, _, ok := p.Post([]byte("c"))
		if !ok {
			t.Fatal("not posted over the new connection")
		}
		<-time.After(2 * maxPostTime) // that was for sending alone
		if err := reply(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The connection that was opened for the first message is the one it is sent over, though the server of a TLS connection
// says something first.
func TestPostAfterHandshake(t *testing.T) {
	ca := newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			config := &tls.Config{Certificates: []tls.Certificate{ca.issue(time.Time{})}, MaxVersion: version}
			shaken := make(chan bool, 1)
			addr := serve(t, func(c net.Conn) net.Conn { return tls.Server(c, config) }, func(p *peer) {
				if p.n > 0 {
					t.Error("a second connection was opened")
				}
				p.Conn.(*tls.Conn).HandshakeContext(t.Context())
				shaken <- true // and the tickets are written
				for p.read() {
					p.write("HTTP/1.1 204 No Content\r\n\r\n")
				}
			})
			p := publisher(t, &Net{TLS: &tls.Config{RootCAs: ca.pool}}, Request{URL: "https://" + addr})
			if err := p.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-shaken
			for range 2 {
				reply, _, ok := p.Post([]byte("m"))
				if !ok {
					t.Fatal("the connection can't be used")
				}
				if err := reply(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A weighingListener counts what its connections read and write.
type weighingListener struct {
	net.Listener
	in, out atomic.Uint64
}

type weighedConn struct {
	net.Conn
	on *weighingListener
}

func (l *weighingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &weighedConn{c, l}, nil
}

func (c *weighedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.on.in.Add(uint64(n))
	return n, err
}

func (c *weighedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.on.out.Add(uint64(n))
	return n, err
}

// What publishing took on the wire is what the server read and wrote, over connections that are kept and that aren't.
func TestPublisherWire(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	weighing := &weighingListener{Listener: ln}
	n := 0
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n%3 == 0 {
			w.Header().Set("Connection", "close")
		}
		if n%4 == 0 {
			http.Error(w, "no more", http.StatusServiceUnavailable)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})}
	go srv.Serve(weighing)
	t.Cleanup(func() { srv.Close() })
	p := &Publisher{Net: &Net{}, Request: Request{URL: "http://" + ln.Addr().String()}}
	t.Cleanup(p.Close)
	if in, out := p.Wire(); in != 0 || out != 0 {
		t.Errorf("%d and %d bytes before the first message", in, out)
	}
	for i := range 10 {
		_, err := p.Publish(t.Context(), []byte("a message"))
		if (err != nil) != (i%4 == 3) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if err := srv.Shutdown(t.Context()); err != nil { // it has counted all it wrote then
		t.Error(err)
	}
	if in, out := p.Wire(); in != weighing.out.Load() || out != weighing.in.Load() || out == 0 {
		t.Errorf("%d bytes in of %d, %d out of %d", in, weighing.out.Load(), out, weighing.in.Load())
	}
}
