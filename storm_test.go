package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"runtime"

	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/server"
)

var stormSize = flag.Int("storm", 1000, "how many connections TestStorm has; a machine of its own carries 5000")

// TestStorm resets all of many connections at once. All come back, what each of them has received is all that was
// published while it was subscribed, once and in order, as the server says too, and nothing is left behind.
func TestStorm(t *testing.T) {
	connections := *stormSize
	if underRace || testing.Short() {
		connections = 300
	}
	if !underRace {
		storm(t, "ws", connections) // what is made once is there after it, as what Go keeps of goroutines
	}
	for _, protocol := range []string{"sse", "ws"} {
		t.Run(protocol, func(t *testing.T) {
			files, held, before := descriptors(t), heap(), goleak.IgnoreCurrent()
			storm(t, protocol, connections)
			goleak.VerifyNone(t, before) // it waits until the last loop has ended, which closes its descriptor
			if after := descriptors(t); after > files {
				t.Errorf("%d descriptors were open before, %d are now", files, after)
			}
			if after := heap(); !underRace && after > held+uint64(connections)*250 { // of more than 10 KB that each had; Go keeps some of each goroutine that there was at a time
				t.Errorf("%d bytes were in use before, %d are now", held, after)
			}
		})
	}
}

// heap is how many bytes are in use, but for what only waits to be used again.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// serving starts the reference server, which is stopped by the end of the test.
func serving(t *testing.T, o server.Options) (base string, stop func()) {
	t.Helper()
	srv, err := server.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln, nil) }()
	return "http://" + ln.Addr().String(), func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// dialing gives the dialers of connections to the reference server, which resume, and write down what comes.
func dialing(t *testing.T, base, protocol string, shared *client.Net, logs []received) func(int) (client.Dialer, error) {
	t.Helper()
	resume, err := client.ParseResume("query:last_id={{.LastID}}")
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.ParseField("json:seq")
	if err != nil {
		t.Fatal(err)
	}
	return func(conn int) (client.Dialer, error) {
		request := client.Request{URL: fmt.Sprintf("%s/%s?client=%d", base, protocol, conn)}
		var dialer client.Dialer = &client.SSE{Net: shared, Request: request}
		if protocol == "ws" {
			dialer = &client.WebSocket{Net: shared, Request: request, Resume: resume, ID: id}
		}
		return &logging{dialer, &logs[conn]}, nil
	}
}

func storm(t *testing.T, protocol string, connections int) {
	base, stop := serving(t, server.Options{Rate: 4, Replay: 100})
	defer stop()
	logs := make([]received, connections)
	runner := &bench.Runner{
		Plan: bench.Plan{
			Stages: []bench.Stage{{Target: connections}}, ConnectRate: 2500, Duration: 3 * time.Second, Warmup: -1,
			Backoff:   client.Backoff{Policy: client.Fixed, Base: 500 * time.Millisecond, Jitter: client.FullJitter},
			Breakages: []bench.Breakage{{How: client.BreakRST, Share: 1, At: time.Second}},
		},
		Dialer: dialing(t, base, protocol, new(client.Net), logs),
	}
	result, err := runner.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := uint64(connections); len(result.Storms) != 1 || result.Storms[0].Returned != connections || result.Count(bench.Broken) != n || result.Count(bench.Reconnects) != n {
		t.Fatalf("%d broken off, %d opened again, %+v", result.Count(bench.Broken), result.Count(bench.Reconnects), result.Storms)
	}
	if r := result.Resumption; result.Count(bench.Lost)+result.Count(bench.Duplicate)+result.Count(bench.Drops) != 0 || r == nil || r.Judged == 0 || r.Correct != r.Judged {
		t.Errorf("lost %d, twice %d, dropped %d, %+v", result.Count(bench.Lost), result.Count(bench.Duplicate), result.Count(bench.Drops), r)
	}
	checkReceived(t, fetchTruth(t, base), logs, 2)
}

// checkReceived holds what connections received, once and in order, against what the server wrote to them, over all their
// streams: what one that broke off has thrown away was written again.
func checkReceived(t *testing.T, truth server.Truth, logs []received, want int) {
	t.Helper()
	sent := make([]map[uint64]bool, len(logs))
	streams := make([]int, len(logs))
	for _, subscriber := range truth.Subscribers {
		var conn int
		if _, err := fmt.Sscan(subscriber.Client, &conn); err != nil {
			t.Fatal(err)
		}
		if sent[conn] == nil {
			sent[conn] = make(map[uint64]bool)
		}
		streams[conn]++
		for _, run := range subscriber.Ranges {
			for id := run[0]; id <= run[1]; id++ {
				sent[conn][id] = true
			}
		}
	}
	for conn, log := range logs {
		if streams[conn] != want || len(log.sequences) == 0 || len(log.sequences) != len(sent[conn]) {
			t.Errorf("connection %d had %d streams, on which %d events were written, and received %v", conn, streams[conn], len(sent[conn]), log.sequences)
			continue
		}
		for i, id := range log.sequences {
			if !sent[conn][id] || id != log.sequences[0]+uint64(i) {
				t.Errorf("connection %d: event %d is out of place in %v", conn, id, log.sequences)
				break
			}
		}
	}
}

// TestDropsWithinAReplay has a client that is caught up by a server, which keeps a thousand events, dropped twice within
// the replay: before a new id came the second time. It goes on where it was, and every event is accounted for.
func TestDropsWithinAReplay(t *testing.T) {
	const connections, cut = 12, 3
	for _, protocol := range []string{"sse", "ws"} {
		t.Run(protocol, func(t *testing.T) {
			base, stop := serving(t, server.Options{Rate: 300, Replay: 1000})
			defer stop()
			logs := make([]received, connections)
			dialers := dialing(t, base, protocol, new(client.Net), logs)
			runner := &bench.Runner{
				Plan: bench.Plan{Stages: []bench.Stage{{Target: connections}}, Duration: 3 * time.Second, Warmup: -1,
					Backoff: client.Backoff{Policy: client.Fixed, Base: 400 * time.Millisecond}},
				Dialer: func(conn int) (client.Dialer, error) {
					dialer, err := dialers(conn)
					if conn < cut { // when it is live, within the replay of 120 events and more, and at its beginning
						dialer = &cutting{Dialer: dialer, after: []int{200, 50, 1}}
					}
					return dialer, err
				},
			}
			result, err := runner.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r := result.Resumption
			if r == nil || r.Verdict != bench.ExactlyOnce || r.Judged != cut || r.Correct != cut || r.Cut != 2*cut {
				t.Errorf("%+v", r)
			}
			if result.Count(bench.Drops) != 3*cut || result.Count(bench.Lost)+result.Count(bench.Duplicate)+result.Count(bench.Reordered) != 0 {
				t.Errorf("%d drops; lost %d, twice %d, reordered %d", result.Count(bench.Drops), result.Count(bench.Lost), result.Count(bench.Duplicate), result.Count(bench.Reordered))
			}
			truth := fetchTruth(t, base)
			total := 0
			for conn := range logs {
				total += len(logs[conn].sequences)
			}
			if result.Count(bench.Received) != uint64(total) {
				t.Errorf("the result says that %d were received, and the connections have %d", result.Count(bench.Received), total)
			}
			checkContinuous(t, truth, logs, result.Start.Add(result.End))
		})
	}
}

// checkContinuous holds what connections received, of a run that ended at a time, against all that was published from
// their first event on.
func checkContinuous(t *testing.T, truth server.Truth, logs []received, end time.Time) {
	t.Helper()
	old := end.Add(-time.Second).UnixNano() // everybody is to have had what was published by then
	due := uint64(0)
	for _, e := range truth.Events {
		if e.Sent < old {
			due = e.Seq
		}
	}
	if due == 0 {
		t.Fatal("nothing was published in time")
	}
	for conn, log := range logs {
		for i, id := range log.sequences {
			if id != log.sequences[0]+uint64(i) {
				t.Errorf("connection %d: event %d is out of place", conn, id)
				break
			}
		}
		if last := log.sequences[len(log.sequences)-1]; last < due || last > truth.Totals.Published {
			t.Errorf("connection %d ended with event %d, was to have %d, of %d published", conn, last, due, truth.Totals.Published)
		}
	}
}

// cutting is a dialer whose first streams are cut, each after so many events.
type cutting struct {
	client.Dialer
	after []int
}

func (c *cutting) Dial(ctx context.Context, from client.Cursor) (client.Stream, error) {
	stream, err := c.Dialer.Dial(ctx, from)
	if err != nil || len(c.after) == 0 {
		return stream, err
	}
	left := c.after[0]
	c.after = c.after[1:]
	return &cutStream{stream, left}, nil
}

type cutStream struct {
	client.Stream
	left int
}

// Events is all that there is: it can't be pushed.
func (s *cutStream) Events() iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) {
		for ev, err := range s.Stream.Events() {
			if !yield(ev, err) {
				return
			}
			if s.left--; s.left == 0 {
				yield(client.Event{}, io.ErrUnexpectedEOF)
				return
			}
		}
	}
}
