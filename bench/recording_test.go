package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rtbench/rtbench/client"
)

// An audience is many open connections of a run that nobody is connected to, and what the reference server would send
// them: 100,000 events a second, stamped by the kernel, to one connection after the other.
type audience struct {
	run       *run
	all       []*subscriber
	jitter    [1 << 12]int64
	websocket bool
	ev        client.Event
	published int
	received  int
}

const (
	audienceSize = 1000
	audienceRate = 100_000 // events a second that it receives
)

func newAudience(t testing.TB, websocket bool) *audience {
	r, first := newTestSubscriber(t, Plan{Stages: []Stage{{0, audienceSize}}, Duration: 1000 * time.Hour})
	x := &audience{run: r, all: []*subscriber{first}, websocket: websocket}
	r.phase = PhaseMeasure
	for len(x.all) < audienceSize {
		s := r.newSubscriber(len(x.all), client.Backoff{})
		s.Opened(client.Opened{At: r.start, Info: client.Info{Started: r.start}})
		x.all = append(x.all, s)
	}
	random := rand.New(rand.NewPCG(7, 0))
	for i := range x.jitter {
		x.jitter[i] = int64(20e3 + 100e3*random.ExpFloat64())
	}
	return x
}

// publish makes the next event.
func (x *audience) publish() {
	x.published++
	due := x.run.wall + int64(2*time.Second) + int64(x.published)*int64(time.Second)*audienceSize/audienceRate
	stamp := client.Stamp{Run: 7, Source: 9, Seq: uint64(x.published), Due: due, Sent: due + 10_000}
	x.ev = client.Event{Kind: "message", Retry: -1, Wire: 140, ID: x.ev.ID[:0],
		Data: fmt.Appendf(x.ev.Data[:0], `{"topic":"default","seq":%d,"stamp":"%s"}`, x.published, client.AppendStamp(nil, stamp))}
	if x.websocket {
		x.ev.Kind, x.ev.Wire = "", 110
	} else {
		x.ev.ID, x.ev.OwnID = fmt.Append(x.ev.ID, x.published), true
	}
	x.ev.Arrival.Kernel = due
}

// receive hands the next connection its event.
func (x *audience) receive() {
	at := x.received % audienceSize
	if at == 0 {
		x.publish()
	}
	ev := x.ev
	lag := x.jitter[(x.received*7)%len(x.jitter)]
	ev.Arrival.Kernel += int64(at)*3000 + lag
	ev.Arrival.Earliest = ev.Arrival.Kernel
	ev.Arrival.User = x.run.start.Add(time.Duration(ev.Arrival.Kernel - x.run.wall + lag/2))
	x.all[at].Received(&ev)
	x.received++
}

// gather is a look of the collector at what was recorded, every second one of which makes a snapshot.
func (x *audience) gather(n int) {
	x.run.gather()
	if n%looks == 0 {
		x.run.collect()
	}
}

// BenchmarkRecording is what an event costs once the client has it, from the session's hands to the snapshot: many
// connections receive one after the other, and the collector looks at it all ten times a second. The collector's share
// is shown apart, too.
func BenchmarkRecording(b *testing.B) {
	for _, kind := range []string{"sse", "websocket"} {
		b.Run(kind, func(b *testing.B) {
			x := newAudience(b, kind == "websocket")
			perTick := audienceRate * int(tick) / int(time.Second)
			for n := range 3 * perTick {
				if x.receive(); n%perTick == 0 {
					x.gather(n / perTick)
				}
			}
			var took []time.Duration // by each look
			b.ReportAllocs()
			for b.Loop() {
				if x.receive(); x.received%perTick == 0 {
					began := time.Now()
					x.gather(x.received / perTick)
					took = append(took, time.Since(began))
				}
			}
			if len(took) == 0 {
				return
			}
			collecting := time.Duration(0)
			for _, d := range took {
				collecting += d
			}
			slices.Sort(took)
			b.ReportMetric(float64(collecting)/float64(b.N), "collector-ns/op")
			b.ReportMetric(float64(took[len(took)*99/100])/1e6, "look-p99-ms")
			b.ReportMetric(float64(took[len(took)-1])/1e6, "look-max-ms")
		})
	}
}
