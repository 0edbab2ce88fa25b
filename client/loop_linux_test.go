package client

import (
	"context"
	"crypto/tls"
	"errors"
	"iter"

	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// oneLoop is a Net whose streams share a loop.
func oneLoop(n *Net) *Net {
	n.loops.once.Do(func() { n.loops.loops = make([]eventLoop, 1) })
	return n
}

// push has a stream that can be pushed hand its events on.
func push(t testing.TB, s Stream, yield func(Event, error) bool) {
	t.Helper()
	if !s.(Pusher).Push(SinkFunc(yield)) {
		t.Fatal("it can't be pushed")
	}
}

// ends gives the end of a pushed stream that isn't interested in events, and fails the test where it is told twice.
func ends(t testing.TB, s Stream) chan error {
	t.Helper()
	ended := make(chan error, 1)
	push(t, s, func(_ Event, err error) bool {
		if err != nil {
			select {
			case ended <- err:
			default:
				t.Error("the end was told twice")
			}
		}
		return true
	})
	return ended
}

// eachKind runs a test on SSE and WebSocket, plain and with TLS. event gives the wire form of an event.
func eachKind(t *testing.T, test func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind)) {
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(time.Time{})}}
	for _, kind := range []stampedKind{{name: "SSE"}, {name: "WebSocket", ws: true}, {name: "SSE, TLS", config: config}, {name: "WebSocket, TLS", ws: true, config: config}} {
		open := func(t testing.TB, n *Net, script func(*peer)) Stream {
			wrap, scheme := func(c net.Conn) net.Conn { return c }, "http://"
			if kind.config != nil {
				wrap, scheme = func(c net.Conn) net.Conn { return tls.Server(c, kind.config) }, "https://"
			}
			addr := serve(t, wrap, func(p *peer) {
				if kind.ws && p.upgrade("") || !kind.ws && p.read() && p.write(streamHead) {
					script(p)
				}
			})
			if kind.ws {
				return dial(t, &WebSocket{Net: n, Request: Request{URL: scheme + addr}}, "")
			}
			return dial(t, &SSE{Net: n, Request: Request{URL: scheme + addr}}, "")
		}
		t.Run(kind.name, func(t *testing.T) {
			test(t, oneLoop(&Net{TLS: &tls.Config{RootCAs: ca.pool}}), open, kind)
		})
	}
}

// Whatever comes together with the last bytes, or before anybody reads them, ends a stream: an end, or a reset.
func TestPushHearsWhatCameBefore(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*peer)
		key  string
	}{
		{"an end", func(p *peer) { p.Close() }, "eof"},
		{"a reset", (*peer).reset, "reset"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, idle := range []time.Duration{0, time.Hour} {
				ended := make(chan bool)
				addr := serveWS(t, func(p *peer) {
					p.write(frame(wholeText, "a"))
					test.end(p)
					close(ended)
				})
				s := dial(t, &WebSocket{Net: &Net{Idle: idle}, Request: Request{URL: "ws://" + addr}}, "")
				<-ended
				events, err := way(pushed).collect(s)
				if key, _ := explain(err); key != test.key || len(events) > 1 || len(events) == 0 && test.key == "eof" {
					t.Errorf("%q, then %v", events, err)
				}
			}
		})
	}
}

// descriptor gives the number that a pushed stream reads by.
func descriptor(s Stream) (*socket, int) {
	var c *conn
	switch s := s.(type) {
	case *sseStream:
		c = s.conn
	case *wsStream:
		c = s.conn
	}
	return c.tcp.(*socket), c.tcp.(*socket).fd
}

// Close ends a pushed stream that waits, once, and releases its descriptor.
func TestPushClosedWhileIdle(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		s := open(t, n, func(p *peer) { p.write(kind.event(1)); p.wait() })
		received, ended := make(chan bool, 1), make(chan error, 2)
		push(t, s, func(_ Event, err error) bool {
			if err != nil {
				ended <- err
			} else {
				received <- true
			}
			return true
		})
		<-received
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { s.Close() })
		}
		all.Wait()
		err := <-ended
		if Classify(err).Class != ClassOther || !kind.ws && !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
		if len(ended) > 0 {
			t.Error("the end was told twice")
		}
	})
}

// Close ends a stream while what it yielded is looked at, and after yield has said that it wants no more nothing is told.
func TestPushClosedWhileYielding(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		for _, more := range []bool{true, false} {
			s := open(t, n, func(p *peer) { p.write(kind.event(1)); p.wait() })
			ended, left := make(chan error, 2), make(chan bool, 1)
			push(t, s, func(_ Event, err error) bool {
				if err != nil {
					ended <- err
					return false
				}
				s.Close()
				left <- true
				return more
			})
			<-left
			if more {
				if err := <-ended; Classify(err).Class != ClassOther {
					t.Errorf("ended with %v", err)
				}
			}
			if len(ended) > 0 {
				t.Error("the end was told once more")
			}
		}
	})
}

// urgent sends a byte that isn't part of what the peer sends.
func (p *peer) urgent(t *testing.T) {
	c := p.Conn
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
	}
	if err != nil {
		t.Error(err)
	}
}

// What comes behind urgent data, at which the system stops a read, is read with what came before it.
func TestPushReadsBehindUrgentData(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		pushed, held, sent, received := make(chan bool), make(chan bool), make(chan bool), make(chan bool, 4)
		s := open(t, n, func(p *peer) {
			p.write(kind.event(1))
			<-pushed
			p.write(kind.event(2))
			<-held // so the loop looks for nothing more
			p.write(kind.event(3))
			p.urgent(t)
			p.write(kind.event(4))
			close(sent)
			p.wait()
		})
		count := 0
		push(t, s, func(_ Event, err error) bool {
			if err != nil {
				return true
			}
			if count++; count == 2 {
				close(held)
				<-sent
			}
			received <- true
			return true
		})
		<-received
		close(pushed)
		for range 3 {
			<-received
		}
	})
}

// A descriptor is closed once: by then another connection may have its number.
func TestPushClosesItsDescriptorOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		s := open(t, n, (*peer).wait)
		ended := ends(t, s)
		socket, fd := descriptor(s)
		s.Close()
		<-ended
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			t.Skip("something else has the number already")
		}
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pipe[0])
		defer unix.Close(pipe[1])
		if pipe[0] != fd {
			if err := unix.Dup3(pipe[0], fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
		}
		s.Info()
		s.Close()
		socket.control(func(uintptr) { t.Error("the descriptor was given") })
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("the descriptor of somebody else was closed: %v", err)
		}
	})
}

// A peer that never stops sending doesn't keep a stream from being closed, nor the others of its loop from being read.
func TestPushedFlood(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		flooded := open(t, n, func(p *peer) {
			wire := kind.event(1000)
			for range 5 {
				wire += wire
			}
			p.flood(wire)
		})
		release := make(chan bool)
		other := open(t, n, func(p *peer) { <-release; p.write(kind.event(1)); p.wait() })
		started := make(chan bool)
		var once sync.Once
		ended := make(chan error, 2)
		push(t, flooded, func(_ Event, err error) bool {
			once.Do(func() { close(started) })
			if err != nil {
				ended <- err
			}
			return true
		})
		<-started
		received := make(chan bool, 1)
		push(t, other, func(_ Event, err error) bool {
			select {
			case received <- true:
			default:
			}
			return true
		})
		close(release)
		<-received
		flooded.Close()
		<-ended
	})
}

// A loop ends with its last socket, whatever it does then, and starts again.
func TestEventLoopEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		n.Idle = time.Hour
		loop := &n.loops.loops[0]
		for range 3 {
			s := open(t, n, (*peer).wait)
			ended := ends(t, s)
			s.Close()
			<-ended
			eventually(&loop.mu, func() bool { return loop.file == nil })
		}
	})
}

// eventually waits for what a goroutine of this package does at once, if at all.
func eventually(mu *sync.Mutex, done func() bool) {
	for {
		mu.Lock()
		ok := done()
		mu.Unlock()
		if ok {
			return
		}
		runtime.Gosched()
	}
}

// A loop that looks after quiet sockets just as its last one goes ends nevertheless.
func TestEventLoopEndsWhileItLooks(t *testing.T) {
	n := oneLoop(&Net{})
	loop := &n.loops.loops[0]
	start, held, release := make(chan bool), make(chan bool), make(chan bool)
	addr := serve(t, nil, func(p *peer) {
		p.read()
		p.write(streamHead)
		<-start
		p.write(chunk("data: a\n\n"))
		p.wait()
	})
	s := dial(t, &SSE{Net: n, Request: Request{URL: "http://" + addr}}, "")
	push(t, s, func(Event, error) bool {
		held <- true
		<-release
		return false
	})
	socket, _ := descriptor(s)
	eventually(&socket.mu, func() bool { return !socket.busy })
	close(start)
	<-held // so the loop's own goroutine is busy
	loop.remove(socket)
	loop.expire()
	close(release)
	eventually(&loop.mu, func() bool { return loop.file == nil })
}

// A peer that reads nothing holds up its own Send and no other stream of the loop, pings or not, and Close ends that.
func TestPushedPeerThatReadsNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		if !kind.ws {
			t.Skip("sends nothing")
		}
		goOn, over := make(chan bool), make(chan bool)
		defer close(over)
		stuck := open(t, n, func(p *peer) {
			<-goOn
			for range 100 {
				p.write(frame(fin|opPing, "x"))
			}
			p.write(kind.event(1))
			<-over
		})
		other := open(t, n, func(p *peer) { p.wait() })
		events, ended := make(chan Event, 200), make(chan error, 2)
		push(t, stuck, func(ev Event, err error) bool {
			if err != nil {
				ended <- err
				return false
			}
			events <- Event{Type: ev.Type}
			return true
		})
		otherEnded := ends(t, other)
		sent := make(chan error, 1)
		go func() {
			for {
				if err := stuck.(Sender).Send(context.Background(), make([]byte, 1<<20)); err != nil {
					sent <- err
					return
				}
			}
		}()
		socket, _ := descriptor(stuck)
		eventually(&socket.mu, func() bool { return socket.writing })
		close(goOn)
		for range 100 {
			if ev := <-events; ev.Type != Comment {
				t.Error("no ping")
			}
		}
		if ev := <-events; ev.Type != Message {
			t.Error("no message")
		}
		if err := other.(Sender).Send(context.Background(), []byte("x")); err != nil {
			t.Error(err)
		}
		var alive int
		socket.control(func(fd uintptr) { alive, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE) })
		if alive != 0 {
			t.Error("the system probes the peer now")
		}
		stuck.Close()
		if err := <-sent; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the Send ended with %v", err)
		}
		<-ended
		other.Close()
		<-otherEnded
	})
}

// A stream that receives nothing for the idle time is ended, once; one that does is not.
func TestPushedIdle(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		n.Idle = 20 * time.Millisecond
		quiet := open(t, n, (*peer).wait)
		ended := ends(t, quiet)
		if key, words := explain(<-ended); key != "idle" || words != "nothing was received for the idle timeout: 20ms" {
			t.Errorf("%s: %s", key, words)
		}
		quiet.Close()
	})
}

// When a stream is silent for too long is counted from its last byte, or from when it began to be read.
func TestSocketSilent(t *testing.T) {
	began := time.Now()
	s := &socket{owner: &conn{silence: &silence{given: 10 * time.Second}}, began: began}
	check := func(what string, at, until time.Duration, over bool) {
		t.Helper()
		if got, ended := s.silent(began.Add(at * time.Second)); ended != over || got.Sub(began) != until*time.Second {
			t.Errorf("%s: until %v, over %v", what, got.Sub(began), ended)
		}
	}
	check("nothing yet", 9, 10, false)
	s.owner.lastRead = began.Add(7 * time.Second)
	check("some bytes", 16, 17, false)
	s.busy = true
	check("while it is read", 30, 40, false)
	s.busy = false
	check("at its end", 17, 17, true)
	check("once more", 18, 28, false) // it is told once
	if s.users != 1 {
		t.Errorf("%d users", s.users)
	}
}

// Descriptors are used again at once: streams that come and go don't hear of each other.
func TestPushManyStreams(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for i := range 20 {
					s := open(t, n, func(p *peer) { p.write(kind.event(3) + kind.event(3)); p.wait() })
					ended := make(chan error, 2)
					got := make(chan string, 4)
					push(t, s, func(ev Event, err error) bool {
						if err != nil {
							ended <- err
							return false
						}
						got <- string(ev.Data)
						return true
					})
					if i%2 == 0 {
						for range 2 {
							if data := <-got; data != "xxx" {
								t.Errorf("got %q", data)
							}
						}
					}
					s.Close()
					if err := <-ended; Classify(err).Class != ClassOther {
						t.Errorf("ended with %v", err)
					}
					s.Info()
				}
			})
		}
		all.Wait()
	})
}

// Errors have the words of a net.TCPConn's.
func TestPushedSocketErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(c net.Conn) error
	}{
		{"Write after Close", func(c net.Conn) error { c.Close(); _, err := c.Write([]byte("x")); return err }},
		{"Close after Close", func(c net.Conn) error { c.Close(); return c.Close() }},
		{"a deadline after Close", func(c net.Conn) error { c.Close(); return c.SetWriteDeadline(time.Now()) }},
		{"CloseWrite after Close", func(c net.Conn) error { c.Close(); return c.(interface{ CloseWrite() error }).CloseWrite() }},
		{"Write after CloseWrite", func(c net.Conn) error {
			c.(interface{ CloseWrite() error }).CloseWrite()
			_, err := c.Write([]byte("x"))
			return err
		}},
		{"CloseWrite", func(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() }},
	} {
		var words [2]string
		for i := range words {
			tcp, _ := tcpPair(t)
			ours := net.Conn(tcp)
			ended := make(chan error, 1)
			if i == 1 {
				c, _ := socketPair(t)
				if !c.push(&silentReader{ended}, nil, 0, nil) {
					t.Fatal("it can't be pushed")
				}
				ours = c.tcp
			}
			local, remote := ours.LocalAddr().String(), ours.RemoteAddr().String()
			if err := test.do(ours); err != nil {
				words[i] = strings.NewReplacer(local, "OURS", remote, "THEIRS").Replace(err.Error())
			}
			ours.Close()
			if i == 1 {
				<-ended
			}
		}
		if words[0] != words[1] {
			t.Errorf("%s: %q of a TCPConn, but pushed %q", test.name, words[0], words[1])
		}
	}
}

// A silentReader takes everything and tells the end.
type silentReader struct{ ended chan error }

func (silentReader) take([]byte, *Event) bool { return true }
func (r silentReader) end(err error)          { r.ended <- err }

// Whoever sends faster than is read is read for a turn, after which Close is looked for.
func TestSocketTakesTurns(t *testing.T) {
	ended := make(chan error, 1)
	c, theirs := socketPair(t)
	s := &c.socket
	s.mu.Lock()
	s.reader, s.users, s.busy = silentReader{ended}, 1, true // as of push, without its goroutine
	s.mu.Unlock()
	if _, err := theirs.Write(make([]byte, 4*turn)); err != nil {
		t.Fatal(err)
	}
	x := &reading{buf: make([]byte, 1)} // so that there is more to read
	x.init()
	for range 3 {
		if !s.serve(x) || !s.busy {
			t.Fatal("there was nothing more")
		}
	}
	s.Close()
	if s.serve(x) {
		t.Error("it goes on after Close")
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}

// An event costs no allocation over TLS either, where a loop reads it.
func TestPushAllocatesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		const events = 200
		written := make(chan bool)
		s := open(t, n, func(p *peer) { // writing allocates: it is over before
			for range events {
				p.write(kind.event(50))
			}
			close(written)
			p.wait()
		})
		<-written
		next, stop := iter.Pull2(pushed(s))
		defer stop()
		if n := testing.AllocsPerRun(events-1, func() {
			if _, err, ok := next(); err != nil || !ok {
				t.Fatal(err, ok)
			}
		}); n != 0 {
			t.Errorf("%v allocations for an event", n)
		}
	})
}
