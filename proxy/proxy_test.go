package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stream is the head of an event stream and n events in chunks.
func stream(n int) (head string, events []string) {
	for i := range n {
		events = append(events, chunked(fmt.Sprintf("id: %d\ndata: event %d\n\n", i+1, i+1)))
	}
	return streamHead + "Transfer-Encoding: chunked\r\n\r\n", events
}

const request = "GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n"

// open asks for a stream through the proxy, and gives both ends.
func open(t *testing.T, w *world) (client net.Conn, proxied, target *end) {
	client, proxied = w.connect()
	go send(t, client, request)
	target = <-w.targets
	if _, err := io.ReadFull(target, make([]byte, len(request))); err != nil {
		t.Error(err)
	}
	return client, proxied, target
}

// Without faults every byte passes, in order, whatever the pieces, in both directions at once.
func FuzzTransparent(f *testing.F) {
	f.Add([]byte(request), []byte(streamHead+"\r\ndata: 1\n\n"), uint64(1), true, false)
	f.Add([]byte("\x00\x01"), []byte("\x02\x03"), uint64(2), false, true)
	f.Fuzz(func(t *testing.T, up, down []byte, seed uint64, slow, raw bool) {
		o := Options{Seed: seed, Raw: raw}
		if slow {
			o.Faults = faults(t, "latency=0s..50us", "bandwidth=1000MB/s")
		}
		w := newWorld(t, o)
		defer w.stop()
		client, _ := w.connect()
		defer client.Close()
		target := <-w.targets
		defer target.Close()
		go func() {
			for _, p := range cutting(up, seed) {
				send(t, client, string(p))
			}
		}()
		go func() {
			for _, p := range cutting(down, seed+1) {
				send(t, target, string(p))
			}
		}()
		for _, way := range []struct {
			from io.Reader
			want []byte
		}{{target, up}, {client, down}} {
			got := make([]byte, len(way.want))
			if _, err := io.ReadFull(way.from, got); err != nil || !bytes.Equal(got, way.want) {
				t.Fatalf("%q became %q: %v", way.want, got, err)
			}
		}
	})
}

func TestLatencyIsExactAndKeepsTheOrder(t *testing.T) {
	bubble(t, Options{Faults: faults(t, "latency=50ms:down")}, func(t *testing.T, w *world) {
		client, _, target := open(t, w)
		began := time.Now()
		go func() {
			for i := range 100 {
				send(t, target, fmt.Sprintf("%2d", i))
				time.Sleep(time.Millisecond) // in fake time
			}
			target.Close()
		}()
		for i := range 100 {
			got := make([]byte, 2)
			if _, err := io.ReadFull(client, got); err != nil || string(got) != fmt.Sprintf("%2d", i) {
				t.Fatalf("%d: %q, %v", i, got, err)
			}
			if took, want := time.Since(began), time.Duration(50+i)*time.Millisecond; took != want {
				t.Fatalf("%d came after %v, want %v", i, took, want)
			}
		}
		if _, err := client.Read(make([]byte, 1)); err == nil || time.Since(began) != 150*time.Millisecond {
			t.Errorf("the end came after %v: %v", time.Since(began), err)
		}
		if x := w.struck(); len(x) != 1 || x[0].Kind != KindLatency || x[0].Connection != 1 {
			t.Errorf("%+v", x)
		}
	})
}

func TestJitterStaysInItsRangeAndKeepsTheOrder(t *testing.T) {
	bubble(t, Options{Faults: faults(t, "latency=20ms..80ms"), Seed: 5}, func(t *testing.T, w *world) {
		client, _ := w.connect()
		target := <-w.targets
		sent := make(chan time.Time, 1000)
		go func() {
			for i := range 1000 {
				sent <- time.Now()
				send(t, client, string(rune('a'+i%26)))
				time.Sleep(3 * time.Millisecond) // in fake time
			}
		}()
		distinct := map[time.Duration]bool{}
		for i := range 1000 {
			var got [1]byte
			if _, err := io.ReadFull(target, got[:]); err != nil || got[0] != byte('a'+i%26) {
				t.Fatalf("%d: %q, %v", i, got, err)
			}
			late := time.Since(<-sent)
			if late < 20*time.Millisecond || late > 80*time.Millisecond {
				t.Fatalf("%d was late by %v", i, late)
			}
			distinct[late] = true
		}
		if len(distinct) < 100 {
			t.Errorf("only %d different latencies", len(distinct))
		}
		client.Close()
	})
}

// What is under way is bounded: a target that sends for ever to a client that reads nothing has to wait.
func TestLatencyHasBackPressure(t *testing.T) {
	bubble(t, Options{Raw: true, Faults: faults(t, "latency=1s")}, func(t *testing.T, w *world) {
		w.connect()
		target := <-w.targets
		sent := 0
		go func() {
			for {
				n, err := target.Write(make([]byte, 10_000))
				if sent += n; err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Minute) // in fake time
		synctest.Wait()
		if sent < maxUnderWay-10_000 || sent > maxUnderWay+60_000 {
			t.Errorf("%d bytes are under way", sent)
		}
		w.stop()
	})
}

func TestBandwidth(t *testing.T) {
	bubble(t, Options{Raw: true, Faults: faults(t, "bandwidth=10KB/s:down")}, func(t *testing.T, w *world) {
		client, _ := w.connect()
		target := <-w.targets
		began := time.Now()
		go send(t, target, strings.Repeat("x", 50_000))
		if _, err := io.ReadFull(client, make([]byte, 50_000)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second-4800*time.Microsecond { // nothing waits behind the last 48 bytes
			t.Errorf("50 KB at 10 KB/s took %v", took)
		}
		began = time.Now()
		go send(t, client, strings.Repeat("x", 50_000))
		if _, err := io.ReadFull(target, make([]byte, 50_000)); err != nil || time.Since(began) != 0 {
			t.Errorf("the other way it took %v: %v", time.Since(began), err)
		}
		client.Close()
	})
}

// A connection is cut behind the event, whatever the pieces, with all of the event and nothing of the next.
func TestCutAtAnEvent(t *testing.T) {
	for _, fault := range []string{"cut@20", "cut@20:rst", "reset@20"} {
		for seed := range uint64(10) {
			bubble(t, Options{Faults: faults(t, fault)}, func(t *testing.T, w *world) {
				client, proxied, target := open(t, w)
				head, events := stream(30)
				want := head + strings.Join(events[:20], "")
				go func() {
					for _, p := range cutting([]byte(head+strings.Join(events, "")), seed) {
						send(t, target, string(p))
					}
				}()
				got, _ := io.ReadAll(client)
				if !bytes.HasPrefix([]byte(want), got) || len(got) < len(want)-2 || strings.Count(string(got), "\n\n") != 20 {
					t.Errorf("%s: it ends with %q", fault, got[max(0, len(got)-40):])
				}
				synctest.Wait()
				x := w.struck()
				if len(x) != 1 || x[0].Fault != fault || x[0].Event == nil || *x[0].Event != 20 || x[0].Byte != uint64(len(got)) || x[0].At != time.Now().UnixNano() {
					t.Errorf("%+v", x)
				}
				if rst := fault != "cut@20"; proxied.rst.Load() != rst {
					t.Errorf("%s: reset: %v", fault, proxied.rst.Load())
				}
			})
		}
	}
}

func TestCutAtAByte(t *testing.T) {
	for _, raw := range []bool{false, true} {
		bubble(t, Options{Raw: raw, Faults: faults(t, "cut@1000b")}, func(t *testing.T, w *world) {
			client, _, target := open(t, w)
			go send(t, target, streamHead+"\r\n", strings.Repeat("x", 600), strings.Repeat("y", 600), "z")
			if got, err := io.ReadAll(client); len(got) != 1000 || err != nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			synctest.Wait()
			if x := w.struck(); len(x) != 1 || x[0].Byte != 1000 || (x[0].Event == nil) != raw {
				t.Errorf("%+v", x)
			}
		})
	}
}

func TestCutAtATime(t *testing.T) {
	bubble(t, Options{Raw: true, Faults: faults(t, "reset@5s")}, func(t *testing.T, w *world) {
		began := time.Now()
		client, proxied := w.connect()
		_, err := client.Read(make([]byte, 1))
		if err != io.EOF || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		synctest.Wait()
		x := w.struck()
		if len(x) != 1 || x[0].At != began.Add(5*time.Second).UnixNano() || x[0].Client != "127.0.0.1:1000" || !proxied.rst.Load() {
			t.Errorf("%+v", x)
		}
		if _, err := (<-w.targets).Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestStall(t *testing.T) {
	for fault, from := range map[string]time.Duration{"stall=2s@5s": 5 * time.Second, "stall=2s@3": 3 * time.Second} {
		bubble(t, Options{Faults: faults(t, fault)}, func(t *testing.T, w *world) {
			began := time.Now()
			client, _, target := open(t, w)
			head, events := stream(20)
			go func() {
				send(t, target, head)
				for _, e := range events {
					time.Sleep(time.Second) // in fake time
					send(t, target, e)
				}
			}()
			if _, err := io.ReadFull(client, make([]byte, len(head))); err != nil {
				t.Fatal(err)
			}
			for i, e := range events {
				got := make([]byte, len(e))
				if _, err := io.ReadFull(client, got); err != nil || string(got) != e {
					t.Fatalf("%q, %v", got, err)
				}
				at, due := time.Since(began), time.Duration(i+1)*time.Second
				if due > from && due < from+2*time.Second {
					due = from + 2*time.Second
				}
				// What had to wait to be sent delays what comes after it by the second that lies between.
				if at < due || at > due+2*time.Second {
					t.Errorf("%s: event %d came after %v, due after %v", fault, i+1, at, due)
				}
				if at > from && at < from+2*time.Second {
					t.Errorf("%s: event %d passed the stall, after %v", fault, i+1, at)
				}
			}
			client.Close()
		})
	}
}

// A black hole swallows in both directions, and ends with the proxy alone.
func TestBlackhole(t *testing.T) {
	bubble(t, Options{Faults: faults(t, "blackhole@2")}, func(t *testing.T, w *world) {
		client, _, target := open(t, w)
		head, events := stream(5)
		go send(t, target, append([]string{head}, events...)...)
		want := head + events[0] + events[1]
		if _, err := io.ReadFull(client, make([]byte, len(want))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, c := range []net.Conn{client, target} {
			if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			go send(t, client, "x")
			if n, err := c.Read(make([]byte, 1)); n != 0 || !isTimeout(err) {
				t.Errorf("%d bytes, %v", n, err)
			}
		}
		w.stop()
		if x := w.struck(); len(x) != 1 || x[0].Kind != KindBlackhole || *x[0].Event != 2 {
			t.Errorf("%+v", x)
		}
		if _, err := target.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Error(err)
		}
	})
}

// A black hole can still be reset, as by a router that comes back.
func TestResetOfABlackhole(t *testing.T) {
	bubble(t, Options{Faults: faults(t, "blackhole@1s", "stall=1s@2s", "cut@3s:rst")}, func(t *testing.T, w *world) {
		began := time.Now()
		client, _ := w.connect()
		if _, err := client.Read(make([]byte, 1)); err == nil || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		synctest.Wait()
		if x := w.struck(); len(x) != 2 || x[0].Kind != KindBlackhole || x[1].Kind != KindCut {
			t.Errorf("%+v", x)
		}
	})
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// A part of the event is there, and it isn't complete.
func TestTruncate(t *testing.T) {
	head, events := stream(5)
	frames := []string{"\x81\x03abc", "\x81\x03def", "\x81\x00", "\x89\x01p", "\x82\x7e\x01\x00" + strings.Repeat("x", 256), "\x81\x01z"}
	upgraded := "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"
	for name, test := range map[string]struct {
		fault, before string
		event, after  string
	}{
		"an event":   {"truncate@3", head + events[0] + events[1], events[2], events[3]},
		"a message":  {"truncate@2:rst", upgraded + frames[0], frames[1], frames[2]},
		"an empty":   {"truncate@3", upgraded + frames[0] + frames[1], frames[2], frames[3]},
		"behind one": {"truncate@4", upgraded + frames[0] + frames[1] + frames[2] + frames[3], frames[4], frames[5]},
	} {
		for seed := range uint64(10) {
			bubble(t, Options{Faults: faults(t, test.fault)}, func(t *testing.T, w *world) {
				client, _, target := open(t, w)
				go func() {
					pieces := [][]byte{[]byte(test.before + test.event + test.after)}
					if seed > 0 {
						pieces = cutting(pieces[0], seed)
					}
					for _, p := range pieces {
						send(t, target, string(p))
					}
				}()
				got, _ := io.ReadAll(client)
				part := len(got) - len(test.before)
				whole := len(strings.TrimSuffix(test.event, "\r\n")) // without what ends its chunk
				if !strings.HasPrefix(test.before+test.event, string(got)) || part < 0 || part >= whole || seed == 0 && (part < whole/3 || part > whole*2/3) {
					t.Errorf("%s: %d bytes of %d", name, part, whole)
				}
				synctest.Wait()
				if x := w.struck(); len(x) != 1 || x[0].Kind != KindTruncate || x[0].Byte != uint64(len(got)) {
					t.Errorf("%+v", x)
				}
			})
		}
	}
}

// A share befalls that share, and the same connections for the same seed.
func TestShares(t *testing.T) {
	draw := func(seed uint64) (struck []uint64) {
		bubble(t, Options{Raw: true, Seed: seed, Faults: faults(t, "refuse@10%", "cut@1s:25%")}, func(t *testing.T, w *world) {
			for range 1000 {
				client, _ := w.connect()
				defer client.Close()
				synctest.Wait() // they are numbered in this order
			}
			time.Sleep(10 * time.Second) // in fake time
			synctest.Wait()
			refused, cut := 0, 0
			for _, x := range w.struck() {
				struck = append(struck, x.Connection)
				switch x.Kind {
				case KindRefuse:
					refused++
				case KindCut:
					cut++
				}
			}
			if refused < 70 || refused > 130 || cut < 170 || cut > 280 {
				t.Errorf("%d refused, %d cut", refused, cut)
			}
			w.stop()
		})
		return struck
	}
	first, again, other := fmt.Sprint(draw(1)), fmt.Sprint(draw(1)), fmt.Sprint(draw(2))
	if first == other || len(first) != len(again) {
		t.Error("the shares don't follow from the seed")
	}
}

func TestUnreachableTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		p, err := New(Options{
			Dial:   func(context.Context) (net.Conn, error) { return nil, errors.New("no route") },
			Failed: func(_ uint64, _ net.Addr, err error) { failed <- err },
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{accept: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = p.Serve(ctx, w) }()
		client, proxied := w.connect()
		if _, err := client.Read(make([]byte, 1)); err != io.EOF || !proxied.rst.Load() {
			t.Error(err)
		}
		if err := <-failed; err.Error() != "no route" {
			t.Error(err)
		}
	})
}

// Where events can't be counted it is said, once, and bytes pass all the same.
func TestBlind(t *testing.T) {
	bubble(t, Options{Faults: faults(t, "cut@1", "cut@2", "cut@5s")}, func(t *testing.T, w *world) {
		client, _, target := open(t, w)
		text := streamHead + "Content-Encoding: br\r\n\r\ndata: 1\n\n"
		go send(t, target, text, text)
		if _, err := io.ReadFull(client, make([]byte, 2*len(text))); err != nil {
			t.Error(err)
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		synctest.Wait()
		if x := w.struck(); len(x) != 1 || x[0].Event != nil {
			t.Errorf("%+v", x)
		}
		if len(w.failed) != 1 || !strings.Contains(w.failed[0].Error(), `events can't be counted, and "cut@1" doesn't strike: the stream is encoded with "br"`) {
			t.Error(w.failed)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	dial := func(context.Context) (net.Conn, error) { return nil, io.EOF }
	for want, o := range map[string]Options{
		"no target":        {},
		"one of a kind":    {Dial: dial, Faults: faults(t, "refuse@1%", "refuse@2%")},
		"counts events":    {Dial: dial, Raw: true, Faults: faults(t, "cut@20")},
		"empty fault":      {Dial: dial, Faults: []Fault{{}}},
		"more than 1000 f": {Dial: dial, Faults: make([]Fault, maxFaults+1)},
	} {
		if _, err := New(o); err == nil || want != "one of a kind" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Many connections with every fault, closed in the middle of it all: nothing is left, which goleak holds it to.
func TestStopInTheMiddle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	list := faults(t, "latency=1ms..9ms:down:50%", "bandwidth=100KB/s:50%", "stall=1s@3:50%", "blackhole@20:20%", "cut@30:30%", "truncate@40:rst", "reset@200ms:20%")
	for range 20 {
		bubble(t, Options{Faults: list, Seed: rng.Uint64()}, func(t *testing.T, w *world) {
			var ends sync.WaitGroup
			defer ends.Wait()
			for range 20 {
				client, _ := w.connect()
				go send(t, client, request)
				go func() { _, _ = io.Copy(io.Discard, client) }()
				target := <-w.targets
				ends.Go(func() {
					go func() { _, _ = io.Copy(io.Discard, target) }()
					head, events := stream(50)
					_, err := io.WriteString(target, head)
					for i := 0; i < len(events) && err == nil; i++ {
						time.Sleep(10 * time.Millisecond) // in fake time
						_, err = io.WriteString(target, events[i])
					}
				})
			}
			time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond) // in fake time
			w.stop()
		})
	}
}

// Timers that are late cost nothing of the bandwidth, and what wasn't used isn't saved up.
func TestBandwidthIsMadeGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		l := &lane{conn: &conn{ended: make(chan struct{})}, to: near, rate: 1e6}
		began := time.Now()
		for range 100 { // 100 ms of it, and 5 ms that something else takes after each
			l.write(make([]byte, 1000))
			time.Sleep(5 * time.Millisecond) // in fake time
		}
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("pieces that come slower than that are held up: %v", took)
		}
		time.Sleep(time.Second) // in fake time
		began = time.Now()
		l.write(make([]byte, 100_000))
		if took := time.Since(began); took < 80*time.Millisecond || took > 100*time.Millisecond {
			t.Errorf("100 KB at 1 MB/s took %v", took)
		}
	})
}
