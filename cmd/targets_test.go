package cmd_test

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rtbench/rtbench/server"
)

// A target is a server that a script is run against: raw TCP, since most of them do something that no library would.
type target struct {
	ln     net.Listener
	moment chan struct{} // it has come to where a script wants to be told
	ended  sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	count   int
	log     strings.Builder
	stopped bool
}

// A handler serves one connection, the nth from 1, and returns when it is to be closed.
type handler func(t *target, c *wire, n int)

// A wire is a connection with a reader.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func newTarget(handle handler) (*target, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &target{ln: ln, moment: make(chan struct{}, 10), conns: make(map[net.Conn]bool)}
	t.ended.Go(func() { t.accept(handle) })
	return t, nil
}

func (t *target) accept(handle handler) {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			return
		}
		t.mu.Lock()
		t.count++
		n, stopped := t.count, t.stopped
		t.conns[c] = true
		t.mu.Unlock()
		if stopped {
			c.Close()
			continue
		}
		t.ended.Go(func() {
			defer func() {
				c.Close()
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.conns, c)
			}()
			handle(t, &wire{c, bufio.NewReader(c)}, n)
		})
	}
}

// die closes the target and every connection to it.
func (t *target) die() {
	t.ln.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for c := range t.conns {
		c.Close()
	}
}

func (t *target) stop() {
	t.die()
	t.ended.Wait()
}

func (t *target) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(&t.log, format+"\n", args...)
}

func (t *target) written() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.log.String()
}

const (
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
	hostile    = "\x1b[2J\x1b]0;owned\x07\u202egnp\u202c\u009b31m"
)

// targetKinds are the targets there are, by what the script calls them.
var targetKinds = map[string]func(args []string) handler{
	// answers with one HTTP response, whose status, headers and body are the arguments; \e in them is hostile text
	"http": func(args []string) handler {
		return onRequest(func(c *wire, _ *http.Request) {
			status, _ := strconv.Atoi(args[0])
			head := fmt.Sprintf("HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
			body := strings.ReplaceAll(args[len(args)-1], `\e`, hostile)
			for _, h := range args[1 : len(args)-1] {
				head += h + "\r\n"
			}
			if status != http.StatusNoContent {
				head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
			}
			fmt.Fprintf(c, "%sConnection: close\r\n\r\n%s", head, body)
		})
	},
	// answers with a stream of these blocks, then stays open and says no more; \e as above
	"stream": stream,
	// answers with a stream of these blocks and ends it
	"finite": func(args []string) handler {
		return onRequest(func(c *wire, _ *http.Request) {
			_, _ = io.WriteString(c, streamHead)
			for _, block := range args {
				_, _ = io.WriteString(c, strings.ReplaceAll(block, `\n`, "\n")+"\n\n")
			}
		})
	},
	// notes every request with its body, then sends one event
	"recorder": func([]string) handler {
		return func(t *target, c *wire, _ int) {
			req, err := http.ReadRequest(c.r)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			t.note("%s %s host=%s %s", req.Method, req.RequestURI, req.Host, body)
			for name := range req.Header {
				t.note("%s: %s", name, req.Header.Get(name))
			}
			fmt.Fprintf(c, "%sid: 1\ndata: {}\n\n", streamHead)
			_, _ = io.Copy(io.Discard, c.r)
		}
	},
	// serves streams until there are N, and then is gone
	"mortal": func(args []string) handler {
		return counted(args[0], "data: hello\n\n", func(t *target, c *wire, answered, n int) {
			if answered == n {
				t.die()
			}
			_, _ = io.Copy(io.Discard, c.r)
		})
	},
	// ends the first N streams, and not those after them; with the first of these the moment comes: it is a client's
	// second, so its first one was open
	"steady": func(args []string) handler {
		return counted(args[0], "retry: 10\ndata: hello\n\n", func(t *target, c *wire, answered, n int) {
			if answered == n+1 {
				t.moment <- struct{}{}
			}
			if answered > n {
				_, _ = io.Copy(io.Discard, c.r)
			}
		})
	},
	// speaks TLS, and asks for a client's certificate
	"mutual": func([]string) handler {
		pair, _, err := server.SelfSigned()
		if err != nil {
			panic(err)
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
		hello := stream([]string{"data: hello"})
		return func(t *target, c *wire, n int) {
			secure := tls.Server(c.Conn, config)
			hello(t, &wire{secure, bufio.NewReader(secure)}, n)
		}
	},
	"redirects": func([]string) handler {
		return onRequest(func(c *wire, req *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", req.URL.Path+"again")
		})
	},
	// accepts and says nothing
	"silent":  func([]string) handler { return func(_ *target, c *wire, _ int) { _, _ = io.Copy(io.Discard, c.r) } },
	"closing": func([]string) handler { return func(*target, *wire, int) {} },
	"garbage": func([]string) handler {
		return onRequest(func(c *wire, _ *http.Request) {
			_, _ = c.Write([]byte("\x00\xff\x1b[2J garbage\r\n\r\n\x15\x03\x01"))
		})
	},

	// WebSocket targets, after a proper handshake:

	// sends these bytes, written as in a Go string, and waits for the client to go
	"frames": func(args []string) handler {
		return onWebSocket(func(_ *target, c *wire, _ int) {
			raw, err := strconv.Unquote(`"` + args[0] + `"`)
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(c, raw)
			_, _ = io.Copy(io.Discard, c.r)
		})
	},
	// sends a text message of N bytes
	"large": func(args []string) handler {
		return onWebSocket(func(_ *target, c *wire, _ int) {
			n, _ := strconv.Atoi(args[0])
			writeFrame(c, 1, make([]byte, n))
			_, _ = io.Copy(io.Discard, c.r)
		})
	},
	// closes with a code and a hostile reason
	"closes": func(args []string) handler {
		return onWebSocket(func(_ *target, c *wire, _ int) {
			code, _ := strconv.ParseUint(args[0], 10, 16)
			writeFrame(c, 8, append(binary.BigEndian.AppendUint16(nil, uint16(code)), strings.ReplaceAll(args[1], `\e`, hostile)...))
			_, _ = io.Copy(io.Discard, c.r)
		})
	},
	// never answers a close; the moments are that N clients have answered a ping, so theirs are open, and the first close
	"deaf": func(args []string) handler {
		limit, _ := strconv.Atoi(args[0])
		var pongs, closes atomic.Int64
		return onWebSocket(func(t *target, c *wire, n int) {
			const ping, pong, closing = 9, 10, 8
			writeFrame(c, ping, nil)
			for {
				opcode, _, err := readFrame(c.r)
				if err != nil {
					return
				}
				if opcode == pong && pongs.Add(1) == int64(limit) || opcode == closing && closes.Add(1) == 1 {
					t.moment <- struct{}{}
				}
			}
		})
	},
	// notes every message, answers "hello" with "welcome", and to "sub" sends two events and hangs up
	"hanging": func([]string) handler {
		return onWebSocket(func(t *target, c *wire, n int) {
			for {
				opcode, payload, err := readFrame(c.r)
				if err != nil || opcode == 8 {
					return
				}
				t.note("%d %s", n, payload)
				switch {
				case strings.HasPrefix(string(payload), "hello"):
					writeFrame(c, 1, []byte("noise"))
					writeFrame(c, 1, []byte("welcome"))
					t.note("%d welcomed", n)
				case strings.HasPrefix(string(payload), "sub"):
					writeFrame(c, 1, fmt.Appendf(nil, `{"id":"%d-a"}`, n))
					writeFrame(c, 1, fmt.Appendf(nil, `{"id":"%d-b"}`, n))
					return
				}
			}
		})
	},
}

// stream answers with a stream of blocks and leaves it open.
func stream(blocks []string) handler {
	return onRequest(func(c *wire, _ *http.Request) {
		_, _ = io.WriteString(c, streamHead)
		for _, block := range blocks {
			_, _ = io.WriteString(c, strings.NewReplacer(`\n`, "\n", `\e`, hostile).Replace(block)+"\n\n")
		}
		_, _ = io.Copy(io.Discard, c.r)
	})
}

// counted reads one request, answers it with a stream that begins with events, and counts it then: whoever is counted
// has its events.
func counted(n, events string, then func(t *target, c *wire, answered, n int)) handler {
	limit, _ := strconv.Atoi(n)
	var answered atomic.Int64
	return func(t *target, c *wire, _ int) {
		if _, err := http.ReadRequest(c.r); err == nil {
			fmt.Fprint(c, streamHead, events)
			then(t, c, int(answered.Add(1)), limit)
		}
	}
}

// onRequest reads one HTTP request and answers it.
func onRequest(answer func(c *wire, req *http.Request)) handler {
	return func(_ *target, c *wire, _ int) {
		if req, err := http.ReadRequest(c.r); err == nil {
			answer(c, req)
		}
	}
}

// onWebSocket does the opening handshake of RFC 6455.
func onWebSocket(serve handler) handler {
	return func(t *target, c *wire, n int) {
		req, err := http.ReadRequest(c.r)
		if err != nil {
			return
		}
		sum := sha1.Sum([]byte(req.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		t.note("%s", req.RequestURI)
		serve(t, c, n)
	}
}

func writeFrame(w io.Writer, opcode byte, payload []byte) {
	frame := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	_, _ = w.Write(append(frame, payload...))
}

// readFrame reads a frame of a client, which is masked.
func readFrame(r *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1] & 0x7f)
	switch size {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(r, b[:])
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(r, b[:])
		size = binary.BigEndian.Uint64(b[:])
	}
	masked := make([]byte, 4+size)
	if err == nil {
		_, err = io.ReadFull(r, masked)
	}
	payload = masked[4:]
	for i := range payload {
		payload[i] ^= masked[i%4]
	}
	return head[0] & 0x0f, payload, err
}
