package check_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/rtbench/rtbench/check"
	"github.com/rtbench/rtbench/client"
)

// What a server sends that restarts: the subscription goes on after the last event.
func ExampleTrace() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "retry: 10\n\n")
		if r.Header.Get("Last-Event-ID") == "" {
			fmt.Fprint(w, "id: 1\ndata: hello\n\n")
		} else {
			fmt.Fprint(w, "id: 2\ndata: hello again\n\n")
		}
	}))
	defer server.Close()

	dialer := &client.SSE{Net: &client.Net{}, Request: client.Request{URL: server.URL}}
	err := check.Trace(context.Background(), dialer, check.Options{Events: 2}, func(s check.Step) {
		switch s.Kind {
		case check.Opened:
			fmt.Printf("%s from %q\n", s.Kind, s.Opened.From)
		case check.Event:
			fmt.Printf("%s %s: %s\n", s.Kind, s.Event.ID, s.Event.Data)
		case check.Hint:
			fmt.Println(s.Kind, s.Event.Retry)
		case check.Closed:
			fmt.Println(s.Kind, s.Closed.Wait)
		}
	})
	fmt.Println(err)
	// Output:
	// open from ""
	// hint 10ms
	// event 1: hello
	// close 10ms
	// open from "1"
	// hint 10ms
	// event 2: hello again
	// close 0s
	// <nil>
}

// What a search for the horizon costs, before it is made.
func ExampleHorizon_Cost() {
	for _, connections := range []int{0, 4} {
		cost := (&check.Horizon{Limit: time.Minute, Connections: connections}).Cost()
		fmt.Printf("%d references, %d probes a round, %d rounds at most, %v at most\n", cost.References, cost.Probes, cost.Rounds, cost.Time)
	}
	// Output:
	// 2 references, 16 probes a round, 4 rounds at most, 4m5.4s at most
	// 2 references, 2 probes a round, 9 rounds at most, 9m10.9s at most
}

// A server that hangs up by itself, whatever it is that it waits for.
func ExampleSilence() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ": one heartbeat\n\n")
	}))
	defer server.Close()

	search := check.Silence{Connections: 1, Dial: func(int) (client.Dialer, error) {
		return &client.SSE{Net: &client.Net{}, Request: client.Request{URL: server.URL}}, nil
	}}
	result, err := search.Find(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	held := result.Held[0]
	fmt.Println(held.Beats, "heartbeat,", held.Events, "events,", held.Cut)
	// Output:
	// 1 heartbeat, 0 events, the stream ended
}
