package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/server"
)

// TestPipeline runs thousands of connections of each protocol through everything: every event that every connection
// received is held against what the server says it sent it, and nothing is left behind.
func TestPipeline(t *testing.T) {
	connections := 2000
	if testing.Short() {
		connections = 100
	}
	for _, protocol := range []string{"sse", "ws"} {
		t.Run(protocol, func(t *testing.T) {
			before := descriptors(t)
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			runPipeline(t, protocol, connections)
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors were open before, %d are now", before, after)
			}
		})
	}
}

func runPipeline(t *testing.T, protocol string, connections int) {
	base, stop := serving(t, server.Options{Rate: 2, Replay: 100})
	defer stop()
	logs := make([]received, connections)
	runner := &bench.Runner{
		Plan:   bench.Plan{Stages: []bench.Stage{{Target: connections}}, Duration: 2 * time.Second, Warmup: -1},
		Dialer: dialing(t, base, protocol, new(client.Net), logs),
	}
	result, err := runner.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	truth := fetchTruth(t, base)
	total := uint64(0)
	for _, subscriber := range truth.Subscribers {
		var conn int
		if _, err := fmt.Sscan(subscriber.Client, &conn); err != nil {
			t.Fatal(err)
		}
		log := &logs[conn]
		log.compare(t, conn, subscriber)
		total += uint64(len(log.sequences))
	}
	if len(truth.Subscribers) != connections || result.Count(bench.Received) != total || truth.Totals.Sent != total || total == 0 {
		t.Errorf("%d subscribers were sent %d events; %d connections received %d, and the result says %d",
			len(truth.Subscribers), truth.Totals.Sent, connections, total, result.Count(bench.Received))
	}
	if lost, expected := result.Count(bench.Lost), result.Count(bench.Expected); lost != 0 || expected == 0 || len(result.Errors) != 0 {
		t.Errorf("expected %d, lost %d, errors %v", expected, lost, result.Errors)
	}
}

// received is every sequence number that one connection got, in order. Only its own goroutine touches it.
type received struct{ sequences []uint64 }

func (r *received) compare(t *testing.T, conn int, sent server.TruthSubscriber) {
	t.Helper()
	i := 0
	for _, run := range sent.Ranges {
		for id := run[0]; id <= run[1]; id++ {
			if i >= len(r.sequences) || r.sequences[i] != id {
				t.Errorf("connection %d: event %d of %v is missing or out of place in %v", conn, id, sent.Ranges, r.sequences)
				return
			}
			i++
		}
	}
	if i != len(r.sequences) {
		t.Errorf("connection %d received %d events, the server sent %d", conn, len(r.sequences), i)
	}
}

// logging writes down what a dialer's streams yield.
type logging struct {
	client.Dialer
	log *received
}

func (l *logging) Dial(ctx context.Context, from client.Cursor) (client.Stream, error) {
	stream, err := l.Dialer.Dial(ctx, from)
	if err != nil {
		return nil, err
	}
	return &loggingStream{stream, l.log}, nil
}

type loggingStream struct {
	client.Stream
	log *received
}

func (s *loggingStream) Finish() error { return s.Stream.(client.Finisher).Finish() }

func (s *loggingStream) Break(how client.Break) error { return s.Stream.(client.Breaker).Break(how) }

// logged is yield, with what it is handed written down.
func (s *loggingStream) logged(yield func(client.Event, error) bool) func(client.Event, error) bool {
	return func(ev client.Event, err error) bool {
		if stamp, _, ok := client.FindStamp(ev.Data, 0); ok {
			s.log.sequences = append(s.log.sequences, stamp.Seq)
		}
		return yield(ev, err)
	}
}

func (s *loggingStream) Events() iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) { s.Stream.Events()(s.logged(yield)) }
}

func (s *loggingStream) Push(to client.Sink) bool {
	return s.Stream.(client.Pusher).Push(client.SinkFunc(s.logged(func(ev client.Event, err error) bool {
		if err != nil {
			return to.Take(nil, err)
		}
		return to.Take(&ev, nil)
	})))
}

func fetchTruth(t *testing.T, base string) (truth server.Truth) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get(base + "/truth")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&truth); err != nil {
		t.Fatal(err)
	}
	return truth
}

// descriptors counts this process's open files, where the system shows them.
func descriptors(t *testing.T) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
