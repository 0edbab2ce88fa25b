package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A peer is the server's end of one connection, for a test to play byte by byte.
type peer struct {
	net.Conn
	r       *bufio.Reader
	request *http.Request // the last one read
	n       int           // which connection of its server it is, from 0
}

// serve plays script on every connection to a new port of 127.0.0.1, wrapped by wrap where that isn't nil. The
// connection is closed when script returns, and at the end of the test, which waits for all of them.
func serve(t testing.TB, wrap func(net.Conn) net.Conn, script func(*peer)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for n := 0; ; n++ {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			if wrap != nil {
				c = wrap(c)
			}
			all.Go(func() {
				defer c.Close()
				script(&peer{Conn: c, r: bufio.NewReader(c), n: n})
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return listener.Addr().String()
}

// read reads one request with its body, and reports whether there was one.
func (p *peer) read() bool {
	req, err := http.ReadRequest(p.r)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(req.Body)
	req.Body = io.NopCloser(strings.NewReader(string(body)))
	p.request = req
	return err == nil
}

func (p *peer) write(s string) bool {
	_, err := io.WriteString(p, s)
	return err == nil
}

// wait blocks until the client has closed its end, or half of it.
func (p *peer) wait() { io.Copy(io.Discard, p.r) }

// CloseWrite ends what the peer sends.
func (p *peer) CloseWrite() error {
	return p.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// reset closes the connection so that the client's end is reset.
func (p *peer) reset() {
	p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
}

// repeat writes s until the client gives up.
func (p *peer) repeat(s string) {
	for s := strings.Repeat(s, 1+1000/len(s)); p.write(s); {
	}
}

const (
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	lastChunk  = "0\r\n\r\n"
)

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// A way to read a stream.
type way func(Stream) iter.Seq2[Event, error]

// ways are all there are. A stream that can't be pushed is pulled twice.
var ways = []struct {
	name string
	read way
}{{"pulled", Stream.Events}, {"pushed", pushed}}

// eachWay runs a test on each.
func eachWay(t *testing.T, name string, test func(*testing.T, way)) {
	for _, way := range ways {
		t.Run(strings.TrimPrefix(name+", "+way.name, ", "), func(t *testing.T) { test(t, way.read) })
	}
}

// pushed has the stream push, at once, and what pushes wait for the body of the loop.
func pushed(s Stream) iter.Seq2[Event, error] {
	type pair struct {
		event Event
		err   error
	}
	pairs, more := make(chan pair), make(chan bool)
	if !s.(Pusher).Push(SinkFunc(func(ev Event, err error) bool {
		pairs <- pair{ev, err}
		return <-more
	})) {
		return s.Events()
	}
	return func(yield func(Event, error) bool) {
		for {
			p := <-pairs
			again := false
			func() { // whoever leaves a test in the body, too, has not to hold up what pushes
				defer func() { more <- again }()
				again = yield(p.event, p.err) && p.err == nil
			}()
			if !again {
				return
			}
		}
	}
}

// collect reads a stream to its end and closes it.
func collect(s Stream) (events []string, err error) { return way(Stream.Events).collect(s) }

func (read way) collect(s Stream) (events []string, err error) {
	defer s.Close()
	for ev, err := range read(s) {
		if err != nil {
			return events, err
		}
		events = append(events, show(ev))
	}
	return events, errors.New("no error was last")
}

// dial opens the stream and closes it at the end of the test.
func dial(t testing.TB, d Dialer, from string) Stream {
	t.Helper()
	s, err := d.Dial(context.Background(), Cursor(from))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// explain gives an error's key and what it says, with what differs between runs taken out.
func explain(err error, addrs ...string) (key, words string) {
	e := Classify(err)
	words = e.Error()
	for i, addr := range addrs {
		words = strings.ReplaceAll(words, addr, fmt.Sprintf("ADDR%.*s", i, "12345"))
	}
	return e.Key(), words
}

// short is a Net that doesn't wait long where a test is about waiting in vain.
func short() *Net { return &Net{Timeout: 50 * time.Millisecond} }

// A duplexConn is one end of two pipes, so that each direction can be closed on its own.
type duplexConn struct {
	net.Conn // what is read from
	w        net.Conn
}

func duplex() (a, b *duplexConn) {
	ar, bw := net.Pipe()
	br, aw := net.Pipe()
	return &duplexConn{ar, aw}, &duplexConn{br, bw}
}

func (d *duplexConn) Write(p []byte) (int, error)        { return d.w.Write(p) }
func (d *duplexConn) CloseWrite() error                  { return d.w.Close() }
func (d *duplexConn) SetWriteDeadline(t time.Time) error { return d.w.SetWriteDeadline(t) }

func (d *duplexConn) SetDeadline(t time.Time) error {
	return errors.Join(d.Conn.SetReadDeadline(t), d.w.SetWriteDeadline(t))
}

func (d *duplexConn) Close() error { return errors.Join(d.Conn.Close(), d.w.Close()) }

// pipe plays script at the other end of every connection that the Net opens. A Write of the peer is one Read of the
// client, and works inside of a synctest bubble.
func pipe(t testing.TB, n *Net, script func(*peer)) *Net {
	t.Helper()
	var all sync.WaitGroup
	var open []net.Conn
	connections := 0
	n.DialTCP = func(ctx context.Context, network, address string) (net.Conn, error) {
		ours, theirs := duplex()
		open = append(open, ours)
		p := &peer{Conn: theirs, r: bufio.NewReader(theirs), n: connections}
		connections++
		all.Go(func() {
			defer theirs.Close()
			script(p)
		})
		return ours, nil
	}
	t.Cleanup(func() {
		for _, c := range open {
			c.Close()
		}
		all.Wait()
	})
	return n
}
