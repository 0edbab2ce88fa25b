package bench

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// fixed redials half a second after every drop.
var fixed = client.Backoff{Policy: client.Fixed, Base: 500 * millisecond}

// TestOutage: one of three connections is down from 2.03 s to 2.537 s. What its server does about the events 21 to 25,
// which it missed, differs. Where some are missing in the end, the run waits for them until the event after the end
// says that they won't come: number 50, which is due in the window and beyond the line.
func TestOutage(t *testing.T) {
	const (
		dropped = 2030 * millisecond
		reopens = 2530*millisecond + 7*millisecond
		delay   = 5 * millisecond
	)
	type figures struct {
		counts   map[Metric]uint64
		delivery samples
		lag      samples
	}
	late := func(n int) time.Duration { return reopens + millisecond - time.Duration(n)*100*millisecond }
	for _, row := range []struct {
		name   string
		replay []int // the numbers that are sent at once after the reconnect
		want   figures
	}{
		{"replay", []int{21, 22, 23, 24, 25}, figures{
			map[Metric]uint64{Received: 147, Expected: 147, Delivered: 147},
			samples{delay: 142, late(21): 1, late(22): 1, late(23): 1, late(24): 1, late(25): 1},
			samples{0: 142, late(21) - delay: 1, late(22) - delay: 1, late(23) - delay: 1, late(24) - delay: 1, late(25) - delay: 1},
		}},
		{"no replay", nil, figures{
			map[Metric]uint64{Received: 145, Expected: 147, Delivered: 142, Lost: 5, Boundary: 3}, samples{delay: 145}, samples{0: 142},
		}},
		{"a gap at the head", []int{23, 24, 25}, figures{
			map[Metric]uint64{Received: 148, Expected: 147, Delivered: 145, Lost: 2, Boundary: 3},
			samples{delay: 145, late(23): 1, late(24): 1, late(25): 1},
			samples{0: 142, late(23) - delay: 1, late(24) - delay: 1, late(25) - delay: 1},
		}},
		{"an overlap", []int{19, 20, 21, 22, 23, 24, 25}, figures{
			map[Metric]uint64{Received: 149, Expected: 147, Delivered: 147, Duplicate: 2},
			samples{delay: 142, late(21): 1, late(22): 1, late(23): 1, late(24): 1, late(25): 1},
			samples{0: 142, late(21) - delay: 1, late(22) - delay: 1, late(23) - delay: 1, late(24) - delay: 1, late(25) - delay: 1},
		}},
		{"out of order", []int{22, 21, 23, 25, 24}, figures{
			map[Metric]uint64{Received: 147, Expected: 147, Delivered: 147, Reordered: 2},
			samples{delay: 142, late(21): 1, late(22): 1, late(23): 1, late(24): 1, late(25): 1},
			samples{0: 142, late(21) - delay: 1, late(22) - delay: 1, late(23) - delay: 1, late(24) - delay: 1, late(25) - delay: 1},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f *fakeServer
				f = newFakeServer(func(a attempt) (*fakeStream, error) {
					all := ticker(100*millisecond, time.Minute, delay, f.stamped)
					s := &fakeStream{lines: since(a.at, all), latency: 7 * millisecond}
					switch {
					case a.conn == 0 && a.n == 0:
						s.end = dropped
					case a.conn == 0:
						if string(a.from) != "20" {
							t.Errorf("resumed from %q", a.from)
						}
						var replay []line
						for _, n := range row.replay {
							replay = append(replay, line{reopens + millisecond, all[n-1].ev})
						}
						s.lines = append(replay, since(reopens, all)...)
					}
					return s, nil
				})
				result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 5 * second, Warmup: -1, Backoff: fixed})
				row.want.counts[Drops], row.want.counts[Reconnects] = 1, 1
				checkCounts(t, result, without(row.want.counts, result, Bytes, WireIn, WireOut, HandshakeIn, HandshakeOut, Attempts, Opened))
				checkTiming(t, result, Delivery, row.want.delivery)
				checkTiming(t, result, LagBehindFirst, row.want.lag)
				// From the last byte at 2.005 s to the first event that was due after the connection was back.
				checkTiming(t, result, Outage, samples{600 * millisecond: 1})
				if attempts, opened := result.Count(Attempts), result.Count(Opened); attempts != 4 || opened != 4 {
					t.Errorf("%d attempts, %d opened", attempts, opened)
				}
				if len(result.Errors) != 1 || result.Errors[0].Class != client.ClassEOF || result.Errors[0].Count != 1 || result.Errors[0].First != dropped {
					t.Errorf("%+v", result.Errors)
				}
				checkTexts(t, "warnings", result.Warnings)
			})
		})
	}
}

// TestDropWithoutReturn: a connection that isn't opened again loses what the other one goes on receiving.
func TestDropWithoutReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: ticker(100*millisecond, time.Minute, millisecond, f.stamped)}
			if a.conn == 0 {
				s.end = 5 * second
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 6 * second, Warmup: -1, Backoff: client.Backoff{Policy: client.NoReconnect}})
		checkCounts(t, result, without(map[Metric]uint64{
			Received: 49 + 60, Expected: 120, Delivered: 109, Lost: 11, Drops: 1,
		}, result, transport...))
		checkTiming(t, result, Outage, nil)
		checkTexts(t, "warnings", result.Warnings, "1 connection had dropped and was not open again when the run ended; in outage it counts as longer than any that ended")
		if result.Stop != StopDuration || result.OpenAtEnd != 1 || result.Elapsed > 7*second {
			t.Errorf("%s, %d open at the end, after %v", result.Stop, result.OpenAtEnd, result.Elapsed)
		}
	})
}

// TestSilentConnection: a connection that never receives anything has lost what the others received from a second
// after it was open, however many events that are.
func TestSilentConnection(t *testing.T) {
	for name, wakes := range map[string]time.Duration{"to the end": 0, "until the ninth second": 9 * second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f *fakeServer
				f = newFakeServer(func(a attempt) (*fakeStream, error) {
					s := &fakeStream{lines: ticker(2*millisecond, 11*second, millisecond/2, f.stamped)}
					if a.conn == 1 {
						s.latency = 500*millisecond + millisecond/2 - a.at
						if wakes == 0 {
							s.lines = nil
						} else {
							s.lines = since(wakes, s.lines)
						}
					}
					return s, nil
				})
				result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 9997 * millisecond, Warmup: -1, Drain: 1})
				// The window ends at 10 s, when 4,999 have arrived. The silent one was open at 0.5005 s; those of the
				// second after that, 251 to 750, are left out.
				want := map[Metric]uint64{Received: 2 * 4999, Delivered: 2 * 4999, Lost: 4249, Boundary: 500}
				if wakes > 0 {
					want[Received], want[Delivered], want[Lost] = want[Received]+500, want[Delivered]+500, want[Lost]-500
				} else { // only this one waits, long enough for number 5,000 on the others
					want[Received], want[Boundary] = want[Received]+2, want[Boundary]+2
				}
				want[Expected] = want[Delivered] + want[Lost]
				checkCounts(t, result, without(want, result, transport...))
			})
		})
	}
}

// TestSubscribeRace: a connection that missed the events of its first second hasn't lost them, and what was missed
// after that it has.
func TestSubscribeRace(t *testing.T) {
	for first, want := range map[int]map[Metric]uint64{
		3:  {Expected: 29 + 27, Boundary: 2},
		10: {Expected: 29 + 20, Boundary: 9},
		// The connection is open at 6 ms: number 11, due at 1.1 s, it should have received.
		15: {Expected: 29 + 19, Lost: 4, Boundary: 10 + 2},
	} {
		t.Run(strconv.Itoa(first), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f *fakeServer
				f = newFakeServer(func(a attempt) (*fakeStream, error) {
					s := &fakeStream{lines: ticker(100*millisecond, time.Minute, millisecond, f.stamped), latency: 5 * millisecond}
					if a.conn == 1 {
						s.lines = s.lines[first-1:]
					}
					return s, nil
				})
				result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 3*second - 5*millisecond, Warmup: -1})
				want[Delivered] = want[Expected] - want[Lost]
				want[Received] = want[Delivered]
				if want[Lost] > 0 { // then the run waits until the next event tells that they won't come
					want[Received] += 2
				}
				checkCounts(t, result, without(want, result, transport...))
			})
		})
	}
}

// TestHoleBeforeTheFirst: an event that nobody received doesn't hide that a connection missed those before it.
func TestHoleBeforeTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			lines := ticker(100*millisecond, time.Minute, millisecond, f.stamped)
			lines = slices.Delete(lines, 19, 20) // number 20
			if a.conn == 1 {
				lines = lines[24:] // from 26 on
			}
			return &fakeStream{lines: lines}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 5*second - 5*millisecond, Warmup: -1})
		// The other one lost number 20; this one 11 to 25, and 1 to 10 fell into its first second.
		checkCounts(t, result, without(map[Metric]uint64{
			Received: 48 + 24 + 2, Delivered: 48 + 24, Lost: 1 + 15, Expected: 49 + 39, Boundary: 10 + 2,
		}, result, transport...))
	})
}

// TestHistory: a server that greets with old events makes them neither late nor lost.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			all := ticker(100*millisecond, time.Minute, millisecond, f.stamped)
			s := &fakeStream{lines: since(a.at, all)}
			for i := range len(all) - len(s.lines) {
				all[i].at = a.at + millisecond/2
			}
			s.lines = all
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{5 * second, 5}, {5*second - 5*millisecond, 5}}, Warmup: -1})
		checkCounts(t, result, without(map[Metric]uint64{Received: 5 * 99, Delivered: 5 * 99, Expected: 5 * 99}, result, transport...))
		// Opened at 0, 1, … 4 s: 99, 90, … 60 events were due then or later.
		const live = 99 + 90 + 80 + 70 + 60
		checkTiming(t, result, Delivery, samples{millisecond: live})
		checkTiming(t, result, LagBehindFirst, samples{0: live - 9}) // only one connection was open for the first 9
	})
}

// TestPerConnectionNumbers: a server that counts for each connection has no events in common, even where their ids
// and contents are the same.
func TestPerConnectionNumbers(t *testing.T) {
	for name, content := range map[string]func(conn, n int) string{
		"other contents": func(conn, n int) string { return fmt.Sprintf("tick %d of %d", n, conn) },
		"same contents":  func(_, n int) string { return fmt.Sprintf("tick %d", n) },
	} {
		for _, declared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, declared %v", name, declared), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFakeServer(func(a attempt) (*fakeStream, error) {
						lines := ticker(500*millisecond, time.Hour, a.at+millisecond, func(n int, _ time.Duration) client.Event {
							return numbered(strconv.Itoa(n), content(a.conn, n))
						})
						if a.conn == 2 {
							lines = slices.Delete(lines, 4, 5) // a real gap
						}
						return &fakeStream{lines: lines}, nil
					})
					result := f.run(t, Plan{Stages: []Stage{{3300 * millisecond, 3}, {2700 * millisecond, 3}}, Warmup: -1, Drain: 1, Sequence: Sequence{ID: declared}})
					checkTiming(t, result, LagBehindFirst, nil)
					checkTiming(t, result, FanoutSpread, nil)
					for _, reach := range reaches {
						if result.Unmeasured[reach.metric] == "" || result.Absent[reach.metric] != 0 {
							t.Errorf("%s: %d absent", reach.metric, result.Absent[reach.metric])
						}
					}
					if declared {
						delivered := result.Count(Received) - result.Count(Boundary)
						checkCounts(t, result, without(map[Metric]uint64{
							Delivered: delivered, Lost: 1, Expected: delivered + 1,
						}, result, append(transport, Received, Boundary, Late)...))
					} else if result.Unmeasured[Lost] == "" || result.Unmeasured[Reordered] == "" || result.Unmeasured[Duplicate] != "" {
						t.Errorf("%d lost; not measured are %v", result.Count(Lost), result.Unmeasured)
					}
				})
			})
		}
	}
}

// TestOneConnectionWithIDs: ids of any kind on one connection tell what came twice and nothing else.
func TestOneConnectionWithIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(attempt) (*fakeStream, error) {
			var lines []line
			for i, id := range []string{"b", "a", "c", "a", "x", "b"} {
				lines = append(lines, line{time.Duration(i+1) * 100 * millisecond, numbered(id, id)})
			}
			return &fakeStream{lines: lines}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: second, Warmup: -1, Thresholds: thresholds(t, "lost == 0", "reordered == 0", "late == 0", "duplicate == 2")})
		if result.Count(Duplicate) != 2 || result.DistinctIDs != 4 {
			t.Errorf("%d duplicates, %d distinct", result.Count(Duplicate), result.DistinctIDs)
		}
		for i, passed := range []bool{false, false, false, true} {
			if j := result.Judgements[i]; j.Passed != passed || (j.Unknown != "") == passed {
				t.Errorf("%+v", j)
			}
		}
	})
}

// TestHangAfterDrop: a server that drops its connections, and sends nothing when they are back, leaves a doubt that
// counts from what was received last.
func TestHangAfterDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: since(a.at, ticker(100*millisecond, 3050*millisecond, millisecond, f.stamped))}
			if a.n == 0 {
				s.end = 4 * second
			}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 6*second - 2*millisecond, Warmup: -1, Backoff: fixed})
		checkTiming(t, result, InterArrival, samples{100 * millisecond: 2 * 29})
		checkTexts(t, "doubts", result.Doubts, "nobody received anything in the last 2.999s of the window: the timings describe what came before")
	})
}

// TestCommonOutage: ids that are no numbers tell nothing of what was published while every connection was away.
func TestCommonOutage(t *testing.T) {
	for name, both := range map[string]bool{"one of two": false, "both": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(func(a attempt) (*fakeStream, error) {
					lines := ticker(100*millisecond, time.Minute, millisecond, func(n int, _ time.Duration) client.Event {
						return numbered("id"+strconv.Itoa(n), "hello")
					})
					s := &fakeStream{lines: since(a.at, lines)}
					if a.n == 0 && (a.conn == 0 || both) {
						s.end = 1050 * millisecond
					}
					return s, nil
				})
				result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 3 * second, Warmup: -1, Backoff: fixed})
				if both != (result.Unmeasured[Lost] != "") {
					t.Errorf("lost %d, not measured are %v", result.Count(Lost), result.Unmeasured)
				}
				if !both && result.Count(Lost) != 5 {
					t.Errorf("%d lost", result.Count(Lost))
				}
			})
		})
	}
}
