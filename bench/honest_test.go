package bench

import (
	"cmp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// drawHonestWorld draws a server that sends each subscriber, in order, all that is published from its subscription on: each
// after a while of its own, or all that there is from time to time.
func drawHonestWorld(t *rapid.T) *world {
	w := &world{
		kind:   rapid.SampledFrom([]feedKind{byNumber, byOpaqueID}).Draw(t, "kind"),
		period: time.Duration(rapid.SampledFrom([]int{1, 2, 5, 12, 30, 100}).Draw(t, "period")) * millisecond,
		window: 4 * second,
	}
	opened := 2500
	if w.period < 10*millisecond { // there are many
		w.window, opened = 2*second, 800
	}
	queue := time.Duration(rapid.SampledFrom([]int{0, 0, 1500, 3000}).Draw(t, "queue")) * millisecond // before any is sent
	longest := min(900, int(w.period/millisecond)*100)                                                // no further behind than can be told
	w.end = w.window + 3*second + queue
	for i := range rapid.IntRange(2, 6).Draw(t, "subscribers") {
		m := member{opened: time.Duration(rapid.IntRange(0, opened).Draw(t, "opened")) * millisecond}
		w.members = append(w.members, m)
		w.happens(m.opened, "opens", i, 0)
		lag := time.Duration(rapid.IntRange(1, longest).Draw(t, "lag")) * millisecond
		polls := rapid.Bool().Draw(t, "polls")
		for n := int(m.opened/w.period) + 1; ; n++ {
			at := time.Duration(n) * w.period
			if at > w.window+second {
				break
			}
			if polls {
				at = m.opened + (at-m.opened+lag-1)/lag*lag + time.Duration(n)*time.Microsecond
			} else {
				at += lag
			}
			w.happens(at+queue, "gets", i, n)
		}
	}
	for at := 200 * millisecond; at < w.window; at += 200 * millisecond {
		w.happens(at, "collects", 0, 0)
	}
	w.happens(w.window, "closes", 0, 0)
	slices.SortStableFunc(w.log, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
	return w
}

// TestHonestServers: nobody is said to have lost, repeated or reordered anything who hasn't.
func TestHonestServers(t *testing.T) {
	fewerUnderRace(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := drawHonestWorld(rt)
		var result *Result
		synctest.Test(t, func(t *testing.T) { result = w.play(t) })
		for _, m := range []Metric{Lost, Duplicate, Reordered, Ancient} {
			if n := result.Count(m); n > 0 && result.Unmeasured[m] == "" {
				rt.Fatalf("%s is %d", m, n)
			}
		}
	})
}

// TestLossBesideTheFirst: what a connection has lost is lost, whoever is the first to see it.
func TestLossBesideTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{kind: byOpaqueID, period: 100 * millisecond, window: 12 * second, end: 13 * second, members: make([]member, 3)}
		w.members[2].opened = 2050 * millisecond // and is told of each event before the others
		for i, m := range w.members {
			w.happens(m.opened, "opens", i, 0)
		}
		for n := 1; n <= 118; n++ {
			due := time.Duration(n) * w.period
			if due > w.members[2].opened {
				w.happens(due+millisecond, "gets", 2, n)
			}
			w.happens(due+2*millisecond, "gets", 1, n)
			if n < 20 || n > 99 {
				w.happens(due+3*millisecond, "gets", 0, n)
			}
		}
		w.happens(w.window, "closes", 0, 0)
		slices.SortStableFunc(w.log, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
		if result := w.play(t); result.Count(Lost) != 80 || result.Unmeasured[Lost] != "" {
			t.Errorf("%d lost, %s", result.Count(Lost), result.Unmeasured[Lost])
		}
	})
}
