package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// Two subscribers of an event stream, until they have received six events between them.
func ExampleRunner() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			fmt.Fprintf(w, "id: %d\ndata: tick %[1]d\n\n", n)
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()

	lossless, err := bench.ParseThreshold("lost == 0")
	if err != nil {
		fmt.Println(err)
		return
	}
	network := &client.Net{}
	runner := bench.Runner{
		Plan: bench.Plan{
			Stages:      []bench.Stage{{Target: 2}},
			ConnectRate: 1e6,
			Duration:    time.Minute,
			Events:      6,
			Thresholds:  []bench.Threshold{lossless},
		},
		Dialer: func(int) (client.Dialer, error) {
			return &client.SSE{Net: network, Request: client.Request{URL: server.URL}}, nil
		},
	}
	result, err := runner.Run(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ended by", result.Stop)
	fmt.Println(result.Count(bench.Delivered), "of", result.Count(bench.Expected), "delivered")
	for _, j := range result.Judgements {
		fmt.Println(j.Threshold.Text, j.Passed)
	}
	// Output:
	// ended by events
	// 6 of 6 delivered
	// lost == 0 true
}

func ExampleParseThreshold() {
	t, err := bench.ParseThreshold("p99.9(delivery) < 250ms")
	fmt.Println(t.Metric, t.Q, time.Duration(t.Bound), err)

	_, err = bench.ParseThreshold("p99(dellivery) < 250ms")
	fmt.Println(err)
	// Output:
	// delivery 0.999 250ms <nil>
	// threshold "p99(dellivery) < 250ms": there is no metric "dellivery"; did you mean "delivery"?
}

// A schedule is arithmetic: when arrival n is due, without any clock.
func ExampleSegments() {
	ramp := bench.Segments{{Length: 10 * time.Second, From: 0, To: 20}, {Length: bench.Forever, From: 20, To: 20}}
	for _, n := range []uint64{0, 25, 100, 101} {
		due, _ := ramp.At(n)
		fmt.Println(n, due, ramp.Rate(due))
	}
	// Output:
	// 0 0s 0
	// 25 5s 10
	// 100 10s 20
	// 101 10.05s 20
}

func ExampleTracker() {
	var t bench.Tracker
	for _, ordinal := range []uint64{1, 2, 4, 3, 3, 7} {
		sighting, _ := t.Observe(ordinal)
		fmt.Println(ordinal, map[bench.Sighting]string{bench.New: "new", bench.Overdue: "late", bench.Again: "again"}[sighting])
	}
	unique, lost := t.Totals(8)
	fmt.Println(unique, "seen,", lost, "lost, of 8")
	// Output:
	// 1 new
	// 2 new
	// 4 new
	// 3 late
	// 3 again
	// 7 new
	// 5 seen, 3 lost, of 8
}
