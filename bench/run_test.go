package bench

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// TestDelivery: three subscribers at different distances from a server that publishes ten stamped events a second.
func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		distance := []time.Duration{5 * millisecond, 10 * millisecond, 20 * millisecond}
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: ticker(100*millisecond, time.Minute, distance[a.conn], f.stamped), latency: 7 * millisecond}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 10 * second, Warmup: -1, Thresholds: thresholds(t,
			"p50(delivery) <= 10.01ms", "max(delivery) < 20ms", "lost == 0", "reach == 100%", "throughput >= 29.6/s", "p99.9(delivery) < 1s", "max(client_lag) < 1s")})

		if result.Stop != StopDuration || result.Begin != 3*millisecond || result.End != 10*second+3*millisecond || result.Failure != "" {
			t.Errorf("%s, from %v to %v, %q", result.Stop, result.Begin, result.End, result.Failure)
		}
		// Number 100 is due when the window ends, and nobody has seen it by then: it is on the other side of the line.
		checkCounts(t, result, map[Metric]uint64{
			Received: 297, Bytes: 297 * client.StampLen, Expected: 297, Delivered: 297, Attempts: 3, Opened: 3,
			WireIn: 3*100 + 297*(client.StampLen+10), WireOut: 3 * 50, HandshakeIn: 3 * 100, HandshakeOut: 3 * 50, // as the fake server has it, heads first
		})
		checkTiming(t, result, Delivery, samples{5 * millisecond: 99, 10 * millisecond: 99, 20 * millisecond: 99})
		checkTiming(t, result, LagBehindFirst, samples{0: 99, 5 * millisecond: 99, 15 * millisecond: 99})
		checkTiming(t, result, FanoutSpread, samples{15 * millisecond: 99})
		checkTiming(t, result, InterArrival, samples{100 * millisecond: 3 * 98})
		checkTiming(t, result, Connect, samples{7 * millisecond: 3})
		// From dialing, at 0, 1 and 2 ms.
		checkTiming(t, result, FirstByte, samples{105 * millisecond: 1, 109 * millisecond: 1, 118 * millisecond: 1})
		checkTiming(t, result, FirstEvent, samples{105 * millisecond: 1, 109 * millisecond: 1, 118 * millisecond: 1})
		for _, m := range []Metric{RoundTrip, DNS, TCP, TLS, Upgrade, StreamTotal, Outage, PublishLateness, ClientLag} {
			checkTiming(t, result, m, nil)
		}
		if headline, ok := result.Headline(); headline != Delivery || !ok || result.DistinctIDs != 99 {
			t.Errorf("headline %v, %d distinct", headline, result.DistinctIDs)
		}
		if result.Planned != 3 || result.Peak != 3 || result.OpenAtEnd != 3 || result.Window != (Window{Received: 297, Bytes: 297 * client.StampLen}) {
			t.Errorf("planned %d, peak %d, open at the end %d, window %+v", result.Planned, result.Peak, result.OpenAtEnd, result.Window)
		}
		if result.Sources[Delivery] != "rtbench's stamp, from when the event was due; one clock: the server is on this host" {
			t.Error(result.Sources)
		}
		checkTexts(t, "warnings", result.Warnings)
		checkTexts(t, "doubts", result.Doubts)
		if result.Verdict != UpperBound {
			t.Error(result.Verdict)
		}
		for i, want := range []bool{true, false, true, true, true, false, false} {
			if j := result.Judgements[i]; j.Passed != want {
				t.Errorf("%s: %+v", j.Threshold.Text, j)
			}
		}
	})
}

func thresholds(t *testing.T, texts ...string) (list []Threshold) {
	for _, text := range texts {
		threshold, err := ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, threshold)
	}
	return list
}
