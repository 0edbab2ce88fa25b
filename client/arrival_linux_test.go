package client

import (
	"crypto/tls"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A stamped stream, and its server, which writes what it is told and says when.
type stampedStream struct {
	Stream
	next    func() (Event, error, bool)
	writes  chan string
	written chan [2]int64 // before and after each write, ns since the epoch
}

// write has the server write s, and waits until it did.
func (s *stampedStream) write(wire string) (before, after int64) {
	s.writes <- wire
	at := <-s.written
	return at[0], at[1]
}

// must gives the next event.
func (s *stampedStream) must(t testing.TB) Event {
	t.Helper()
	ev, err, ok := s.next()
	if err != nil || !ok {
		t.Fatal(err, ok)
	}
	return ev
}

// A stampedKind is one way for a stream to come.
type stampedKind struct {
	name   string
	ws     bool
	config *tls.Config // of the server; nil for none
	net    func() *Net
	read   way
}

func (k stampedKind) open(t testing.TB, n *Net) *stampedStream {
	t.Helper()
	s := &stampedStream{writes: make(chan string), written: make(chan [2]int64)}
	quit := make(chan bool)
	wrap, scheme := func(c net.Conn) net.Conn { return c }, "http://"
	if k.config != nil {
		wrap, scheme = func(c net.Conn) net.Conn { return tls.Server(c, k.config) }, "https://"
	}
	addr := serve(t, wrap, func(p *peer) {
		if k.ws && !p.upgrade("") || !k.ws && !(p.read() && p.write(streamHead)) {
			return
		}
		for {
			select {
			case wire := <-s.writes:
				before := time.Now().UnixNano()
				p.write(wire)
				s.written <- [2]int64{before, time.Now().UnixNano()}
			case <-quit:
				return
			}
		}
	})
	t.Cleanup(func() { close(quit) })
	request := Request{URL: scheme + addr}
	if k.ws {
		s.Stream = dial(t, &WebSocket{Net: n, Request: request}, "")
	} else {
		s.Stream = dial(t, &SSE{Net: n, Request: request}, "")
	}
	next, stop := iter.Pull2(func(yield func(Event, error) bool) { k.read(s.Stream)(yield) }) // once it is asked for the first
	s.next = next
	t.Cleanup(stop)
	return s
}

// event is one with n bytes of data on the wire.
func (k stampedKind) event(n int) string {
	if k.ws {
		return frame(wholeText, strings.Repeat("x", n))
	}
	return chunk("data: " + strings.Repeat("x", n) + "\n\n")
}

// eachStamped runs a test on SSE and WebSocket, plain and with TLS, pulled and pushed. The kernel begins to stamp some time after it was
// asked for the first time, and stops when nobody asks: a stream that has seen a stamp is open meanwhile.
func eachStamped(t *testing.T, test func(*testing.T, stampedKind)) {
	ca := newAuthority(t)
	config := func(version uint16) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.issue(time.Time{})}, MaxVersion: version, DynamicRecordSizingDisabled: true}
	}
	plain := func() *Net { return &Net{} }
	secure := func() *Net { return &Net{TLS: &tls.Config{RootCAs: ca.pool}} }
	kinds := []stampedKind{
		{"SSE", false, nil, plain, Stream.Events},
		{"WebSocket", true, nil, plain, Stream.Events},
		{"SSE, TLS 1.3", false, config(tls.VersionTLS13), secure, Stream.Events},
		{"WebSocket, TLS 1.3", true, config(tls.VersionTLS13), secure, Stream.Events},
		{"SSE, TLS 1.2", false, config(tls.VersionTLS12), secure, Stream.Events},
	}
	first := kinds[0].open(t, plain())
	for n := 0; ; n++ {
		first.write(kinds[0].event(1))
		if first.must(t).Arrival.Kernel != 0 {
			break
		}
		if n == 1e6 {
			t.Fatal("the kernel stamps nothing")
		}
	}
	for _, kind := range kinds {
		for _, way := range ways {
			kind.read = way.read
			t.Run(kind.name+", "+way.name, func(t *testing.T) { test(t, kind) })
		}
	}
}

// One event in one read has the stamp of the kernel, between the write and user space.
func TestArrivalOfOneEvent(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		s := kind.open(t, kind.net())
		// Where a record is about as long as the buffer of the stream, or longer, its data comes in pieces.
		for size := range 64 {
			for _, size := range []int{size, 4096 - size, 10000 + size} {
				before, _ := s.write(kind.event(size))
				ev := s.must(t)
				a, user := ev.Arrival, ev.Arrival.User.UnixNano()
				if a.Shared || a.Earliest != a.Kernel || a.Kernel < before || a.Kernel > user {
					t.Fatalf("%d bytes written at %d were stamped %d to %d and came at %d, shared %v", size, before, a.Earliest, a.Kernel, user, a.Shared)
				}
			}
		}
	})
}

// Where the reader is held back several events come in one read: each arrived between the ends of its interval.
func TestArrivalOfQueuedEvents(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		s := kind.open(t, kind.net())
		shared := 0
		for round := range 40 {
			var before, after []int64
			for n := range 2 + round%3 {
				from, to := s.write(kind.event([]int{1, 700, 3000, 4090, 9000}[(round+n)%5]))
				before, after = append(before, from), append(after, to)
			}
			for n := range before {
				a := s.must(t).Arrival
				if a.Kernel < before[n] || a.Kernel > a.User.UnixNano() {
					t.Errorf("round %d: event %d written at %d was stamped %d, and came at %d", round, n, before[n], a.Kernel, a.User.UnixNano())
				}
				// Over loopback what is written is stamped before the write is over.
				if !a.Shared && (a.Earliest != a.Kernel || a.Kernel > after[n]) || a.Shared && a.Earliest > before[n] {
					t.Errorf("round %d: event %d written from %d to %d came %d to %d, shared %v", round, n, before[n], after[n], a.Earliest, a.Kernel, a.Shared)
				}
				if a.Shared {
					shared++
				}
			}
		}
		if shared == 0 {
			t.Error("no read held more than one event")
		}
	})
}

// Events in one write share it, wherever the stream's buffer happens to end.
func TestArrivalShared(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		s := kind.open(t, kind.net())
		for _, sizes := range [][]int{{1, 1}, {10, 4000, 10}, {4086, 10}, {4087, 10}, {4088, 10}, {4092, 1}, {1, 1, 4080, 1, 1, 1}, {3000, 3000}, {6000, 4}, {1, 12000}} {
			var wire strings.Builder
			for _, size := range sizes {
				wire.WriteString(kind.event(size))
			}
			before, _ := s.write(wire.String())
			for n := range sizes {
				a := s.must(t).Arrival
				if kind.config == nil && wire.Len() > pumpSize {
					continue // one read can't hold all of it
				}
				if !a.Shared || a.Earliest > before || a.Kernel < before {
					t.Errorf("event %d of %v: shared %v, %d to %d, written at %d", n, sizes, a.Shared, a.Earliest, a.Kernel, before)
				}
			}
		}
	})
}

// What came together with the response head has the stamp of that read.
func TestArrivalWithTheHead(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		if kind.config != nil || kind.ws {
			t.Skip("its head is written apart")
		}
		for _, events := range []int{1, 2} {
			before := make(chan int64, 1)
			addr := serve(t, nil, func(p *peer) {
				p.read()
				before <- time.Now().UnixNano()
				p.write(streamHead + strings.Repeat(kind.event(1), events))
				p.wait()
			})
			next, stop := iter.Pull2(kind.read(dial(t, &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, "")))
			defer stop()
			at := <-before
			for range events {
				ev, err, _ := next()
				if a := ev.Arrival; err != nil || a.Kernel < at || a.Kernel > a.User.UnixNano() || a.Shared != (events > 1) || a.Earliest > at && a.Shared {
					t.Errorf("%d events: %+v, written at %d, %v", events, a, at, err)
				}
			}
		}
	})
}

// Heartbeats inside of a message are told as they come, and have their own arrivals.
func TestArrivalOfPings(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		if !kind.ws {
			t.Skip("has no pings")
		}
		const pings = 10
		writes := make(chan int64, pings+1)
		wrap, scheme := func(c net.Conn) net.Conn { return c }, "http://"
		if kind.config != nil {
			wrap, scheme = func(c net.Conn) net.Conn { return tls.Server(c, kind.config) }, "https://"
		}
		addr := serve(t, wrap, func(p *peer) {
			p.upgrade("")
			p.write(frame(opText, "a"))
			for range pings {
				writes <- time.Now().UnixNano()
				p.write(frame(fin|opPing, ""))
				p.readFrame() // the pong
			}
			writes <- time.Now().UnixNano()
			p.write(frame(fin|opCont, "b"))
			p.wait()
		})
		next, stop := iter.Pull2(kind.read(dial(t, &WebSocket{Net: kind.net(), Request: Request{URL: scheme + addr}}, "")))
		defer stop()
		for n := range pings + 1 {
			before := <-writes
			ev, err, _ := next()
			if err != nil || (ev.Type == Comment) != (n < pings) {
				t.Fatalf("event %d is %s, %v", n, show(ev), err)
			}
			if a := ev.Arrival; a.Kernel < before || a.Kernel > a.User.UnixNano() || a.Shared && n > 0 {
				t.Errorf("event %d: %+v, written at %d", n, a, before)
			}
		}
	})
}

// The kernel isn't asked where that isn't wanted, and can't be where the connection isn't TCP.
func TestArrivalInUserSpace(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		n := kind.net()
		n.UserStamps = true
		s := kind.open(t, n)
		s.write(kind.event(1) + kind.event(1))
		s.write(kind.event(1))
		for _, shared := range []bool{true, true, false} {
			a := s.must(t).Arrival
			// Without TLS a read can hold all three.
			if a.Kernel != 0 || a.Earliest != 0 || a.User.IsZero() || a.Shared != shared && (shared || kind.config == nil && !a.Shared) {
				t.Errorf("%+v, want shared %v", a, shared)
			}
		}
		if s.Info().KernelStamps {
			t.Error("the stream says that it has kernel stamps")
		}
	})
	n := pipe(t, &Net{}, func(p *peer) { p.read(); p.write(streamHead + chunk("data:\n\n")); p.wait() })
	s := dial(t, &SSE{Net: n, Request: Request{URL: "http://127.0.0.1"}}, "")
	for ev, err := range s.Events() {
		if a := ev.Arrival; err != nil || a.Kernel != 0 || a.Earliest != 0 || a.User.IsZero() {
			t.Errorf("%+v, %v", a, err)
		}
		break
	}
	if info := s.Info(); info.KernelStamps || info.Resent != -1 || info.OutOfOrder != -1 {
		t.Errorf("a pipe has %+v", info)
	}
}

// What the kernel knows of a connection is known while it is open and after either end has closed it.
func TestInfoSegments(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		s := kind.open(t, kind.net())
		known := func(when string) {
			if info := s.Info(); !info.KernelStamps || info.Resent < 0 || info.OutOfOrder < 0 {
				t.Errorf("%s: stamps %v, %d sent again, %d out of order", when, info.KernelStamps, info.Resent, info.OutOfOrder)
			}
		}
		known("open")
		if kind.ws {
			s.write(closing(1000, ""))
		} else {
			s.write(lastChunk)
		}
		if _, err, _ := s.next(); err == nil {
			t.Error("the stream has not ended")
		}
		known("ended")
		s.Close()
		known("closed")
	})
}

// What a message costs the whole process, its server included, in CPU time: b.N times, one on each connection at once.
func BenchmarkArrival(b *testing.B) {
	const connections = 50
	for _, kind := range []stampedKind{{name: "SSE", read: Stream.Events}, {name: "WebSocket", ws: true, read: Stream.Events}} {
		for _, user := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/UserStamps=%v", kind.name, user), func(b *testing.B) {
				received := make(chan bool, connections)
				var streams [connections]*stampedStream
				var all sync.WaitGroup
				for i := range streams {
					s := kind.open(b, &Net{UserStamps: user})
					streams[i] = s
					all.Go(func() {
						for range b.N {
							s.must(b)
							received <- true
						}
					})
				}
				wire := kind.event(100)
				b.ResetTimer()
				began := cpu(b)
				for range b.N {
					for _, s := range streams {
						s.write(wire)
					}
					for range streams {
						<-received
					}
				}
				b.ReportMetric((cpu(b)-began)/float64(b.N*connections), "cpu-ns/event")
				all.Wait()
			})
		}
	}
}

// cpu is the CPU time that this process has used, in ns.
func cpu(t testing.TB) float64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

// An empty line that is sent by itself as a heartbeat ends no event, but its segment may have the stamp of the read.
func TestArrivalBeforeEmptyLines(t *testing.T) {
	eachStamped(t, func(t *testing.T, kind stampedKind) {
		if kind.ws {
			t.Skip("has no lines")
		}
		s := kind.open(t, kind.net())
		for _, test := range []struct {
			wire   string
			shared bool
		}{
			{chunk("data: a\n\n"), false},
			{chunk("data: a\n\n\n"), false}, // some end their events so
			{chunk("data: a\n\n") + chunk("\n"), true},
			{chunk("data: a") + chunk("\n\n") + chunk("\r\n") + chunk("\n"), true},
			{chunk("data: a\n") + chunk("\n"), false},
		} {
			s.write(test.wire)
			if a := s.must(t).Arrival; a.Shared != test.shared {
				t.Errorf("%q: shared %v", test.wire, a.Shared)
			}
		}
	})
}
