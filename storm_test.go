package main

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/server"
)

// TestStorm resets all of thousands of connections at once. All come back, what each of them has received is all that was
// published while it was subscribed, once and in order, as the server says too, and nothing is left behind.
func TestStorm(t *testing.T) {
	connections := 5000
	if underRace || testing.Short() {
		connections = 300
	}
	for _, protocol := range []string{"sse", "ws"} {
		t.Run(protocol, func(t *testing.T) {
			storm(t, protocol, connections) // what is made once is there after it, as what Go keeps of goroutines
			files, held := descriptors(t), heap()
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			storm(t, protocol, connections)
			if after := descriptors(t); after > files {
				t.Errorf("%d descriptors were open before, %d are now", files, after)
			}
			if after := heap(); after > held+uint64(connections)*100 { // of more than 10 KB that each had
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

func storm(t *testing.T, protocol string, connections int) {
	srv, err := server.New(server.Options{Rate: 4, Replay: 100})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln, nil) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	base := "http://" + ln.Addr().String()
	resume, err := client.ParseResume("query:last_id={{.LastID}}")
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.ParseField("json:seq")
	if err != nil {
		t.Fatal(err)
	}
	shared := &client.Net{}
	logs := make([]received, connections)
	runner := &bench.Runner{
		Plan: bench.Plan{
			Stages: []bench.Stage{{Target: connections}}, ConnectRate: 5000, Duration: 3 * time.Second, Warmup: -1,
			Backoff:   client.Backoff{Policy: client.Fixed, Base: 500 * time.Millisecond, Jitter: client.FullJitter},
			Breakages: []bench.Breakage{{How: client.BreakRST, Share: 1, At: 500 * time.Millisecond}},
		},
		Dialer: func(conn int) (client.Dialer, error) {
			request := client.Request{URL: fmt.Sprintf("%s/%s?client=%d", base, protocol, conn)}
			var dialer client.Dialer = &client.SSE{Net: shared, Request: request}
			if protocol == "ws" {
				dialer = &client.WebSocket{Net: shared, Request: request, Resume: resume, ID: id}
			}
			return &logging{dialer, &logs[conn]}, nil
		},
	}
	result, err := runner.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(connections)
	if len(result.Storms) != 1 || result.Storms[0].Returned != connections || result.Count(bench.Broken) != n || result.Count(bench.Reconnects) != n {
		t.Errorf("%d broken off, %d opened again, %+v", result.Count(bench.Broken), result.Count(bench.Reconnects), result.Storms)
	}
	if r := result.Resumption; result.Count(bench.Lost)+result.Count(bench.Duplicate)+result.Count(bench.Drops) != 0 || r == nil || r.Judged == 0 || r.Correct != r.Judged {
		t.Errorf("lost %d, twice %d, dropped %d, %+v", result.Count(bench.Lost), result.Count(bench.Duplicate), result.Count(bench.Drops), r)
	}
	checkStorm(t, fetchTruth(t, base), logs)
}

// checkStorm holds what connections received against what the server wrote to them, over both of their streams: what a
// reset has thrown away was written again.
func checkStorm(t *testing.T, truth server.Truth, logs []received) {
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
		if streams[conn] != 2 || len(log.sequences) == 0 || len(log.sequences) != len(sent[conn]) {
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
