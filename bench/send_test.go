package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestSendInOrder: each connection's messages are sent once, and in their order, whether they can be sent at once or have
// to wait, and as many of them as wait are too many.
func TestSendInOrder(t *testing.T) {
	fewerUnderRace(t)
	rapid.Check(t, func(rt *rapid.T) {
		full := rapid.Float64Range(0, 1).Draw(rt, "full")
		longest := rapid.Int64Range(0, int64(time.Second)).Draw(rt, "longest")
		seed := rapid.Uint64().Draw(rt, "seed")
		synctest.Test(t, func(t *testing.T) {
			var heard [2][]string
			f := newFakeServer(func(a attempt) (*fakeStream, error) {
				random := rand.New(rand.NewPCG(seed, uint64(a.conn)))
				waits := false
				return &fakeStream{
					room: func() bool { waits = random.Float64() < full; return !waits },
					answer: func(p []byte, _ time.Duration) ([]line, error) {
						if waits {
							time.Sleep(time.Duration(random.Int64N(longest + 1)))
						}
						heard[a.conn] = append(heard[a.conn], string(p))
						return nil, nil
					},
				}, nil
			})
			message := func(dst []byte, m Outgoing) []byte { return fmt.Appendf(dst, "%d", m.Number) }
			result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 4 * second, Warmup: -1, Drain: time.Minute, Send: Sending{Rate: 100, Message: message, Unstamped: true}})
			sent := 0
			for conn, got := range heard {
				for n, text := range got {
					if text != fmt.Sprint(n) {
						t.Fatalf("connection %d sent %s as number %d", conn, text, n)
					}
				}
				sent += len(got)
			}
			if due := result.Count(Due); due != 400 || result.Count(Sent) != uint64(sent) || result.Count(Unsent) != due-uint64(sent) {
				t.Errorf("%d due, %d sent, %d unsent; %d were heard", due, result.Count(Sent), result.Count(Unsent), sent)
			}
			if full == 0 && slices.Max([]int64{result.Histogram(PublishLateness).Max(), lowest}) != lowest {
				t.Errorf("some waited: %s", show(result.Histogram(PublishLateness)))
			}
		})
	})
}
