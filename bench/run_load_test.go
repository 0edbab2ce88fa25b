package bench

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

func TestRampPacing(t *testing.T) {
	for _, row := range []struct {
		name     string
		stages   []Stage
		pace     float64
		dialed   []time.Duration
		closed   []time.Duration // when connections were asked to end before the end of the run, the youngest first
		peak, at int
	}{
		{"at the pace", []Stage{{0, 4}}, 2, []time.Duration{0, second / 2, second, 3 * second / 2}, nil, 4, 4},
		{"over a stage", []Stage{{8 * second, 4}}, 0, []time.Duration{0, 2 * second, 4 * second, 6 * second}, nil, 4, 4},
		{"up, down and up", []Stage{{second, 2}, {2 * second, 0}, {second, 1}, {second, 1}}, 0,
			[]time.Duration{0, second / 2, 3 * second}, []time.Duration{second, 2 * second}, 2, 1},
		{"down at once", []Stage{{2 * second, 2}, {0, 1}, {second, 1}}, 0,
			[]time.Duration{0, second}, []time.Duration{2 * second}, 2, 1},
		{"steps", []Stage{{0, 1}, {second, 1}, {0, 3}, {second, 3}}, 0,
			[]time.Duration{0, 1001 * millisecond, 1002 * millisecond}, nil, 3, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				streams := make(chan *fakeStream, 10)
				f := newFakeServer(func(a attempt) (*fakeStream, error) {
					s := &fakeStream{}
					streams <- s
					return s, nil
				})
				plan := Plan{Stages: row.stages, ConnectRate: row.pace, Warmup: -1}
				if !plan.staged() {
					plan.Duration = second
				}
				result := f.run(t, plan)
				if !slices.Equal(f.dialed, row.dialed) {
					t.Errorf("dialed at %v, want %v", f.dialed, row.dialed)
				}
				if result.Peak != row.peak || result.OpenAtEnd != row.at || result.Planned != (&Plan{Stages: row.stages}).Peak() {
					t.Errorf("peak %d, %d at the end, %d planned", result.Peak, result.OpenAtEnd, result.Planned)
				}
				var closed []time.Duration
				close(streams)
				for s := range streams {
					if at := s.endedAt; at < result.End {
						closed = append(closed, at)
					}
				}
				slices.Sort(closed)
				if !slices.Equal(closed, row.closed) {
					t.Errorf("ended at %v, want %v", closed, row.closed)
				}
				checkCounts(t, result, without(map[Metric]uint64{}, result, transport...))
			})
		})
	}
}

// TestRetiredLoseNothing: what comes after the plan ended a connection isn't lost to it.
func TestRetiredLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := everyTenth().run(t, Plan{Stages: []Stage{{0, 3}, {1997 * millisecond, 3}, {0, 1}, {2990 * millisecond, 1}}, Warmup: -1})
		// All three until 2 s, and then one until 4.991 s.
		checkCounts(t, result, without(map[Metric]uint64{Received: 3*19 + 30, Delivered: 3*19 + 30, Expected: 3*19 + 30}, result, transport...))
		if result.OpenAtEnd != 1 || result.Peak != 3 {
			t.Errorf("%d open at the end, %d at the peak", result.OpenAtEnd, result.Peak)
		}
	})
}

// echo answers every message after trip; change decides what becomes of the answer to a connection's message n.
func echo(trip time.Duration, change func(n int, answer line) []line) func(attempt) (*fakeStream, error) {
	return func(a attempt) (*fakeStream, error) {
		n := 0
		return &fakeStream{answer: func(p []byte, at time.Duration) ([]line, error) {
			answer := line{at + trip, event(string(p))}
			n++
			if change == nil {
				return []line{answer}, nil
			}
			return change(n, answer), nil
		}}, nil
	}
}

// TestEcho: two connections send ten messages a second each, for two seconds, to a server that takes 30 ms.
func TestEcho(t *testing.T) {
	const trip = 30 * millisecond
	type answers = func(n int, answer line) []line
	lose := func(lost ...int) answers {
		return func(n int, answer line) []line {
			if slices.Contains(lost, n) {
				return nil
			}
			return []line{answer}
		}
	}
	for _, row := range []struct {
		name   string
		answer answers
		want   map[Metric]uint64
		trips  samples
	}{
		{"all", nil, map[Metric]uint64{Received: 40, Expected: 40, Delivered: 40}, samples{trip: 40}},
		{"lost in the middle", lose(7, 8), map[Metric]uint64{Received: 36, Expected: 40, Delivered: 36, Lost: 4}, samples{trip: 36}},
		{"lost at the start", lose(1, 2, 3), map[Metric]uint64{Received: 34, Expected: 40, Delivered: 34, Lost: 6}, samples{trip: 34}},
		{"lost at the end", lose(20), map[Metric]uint64{Received: 38, Expected: 40, Delivered: 38, Lost: 2}, samples{trip: 38}},
		{"twice", func(n int, answer line) []line {
			if n == 5 {
				return []line{answer, answer}
			}
			return []line{answer}
		}, map[Metric]uint64{Received: 42, Expected: 40, Delivered: 40, Duplicate: 2}, samples{trip: 40}},
		{"late, but in order", func(n int, answer line) []line {
			if n == 5 {
				answer.at += 90 * millisecond
			}
			return []line{answer}
		}, map[Metric]uint64{Received: 40, Expected: 40, Delivered: 40}, samples{trip: 38, trip + 90*millisecond: 2}},
		{"overtaken by two", func(n int, answer line) []line {
			if n == 5 {
				answer.at += 210 * millisecond
			}
			return []line{answer}
		}, map[Metric]uint64{Received: 40, Expected: 40, Delivered: 40, Reordered: 2}, samples{trip: 38, trip + 210*millisecond: 2}},
		{"the last one after the end", func(n int, answer line) []line {
			if n == 20 {
				answer.at += 4 * second
			}
			return []line{answer}
		}, map[Metric]uint64{Received: 40, Expected: 40, Delivered: 40, Late: 2}, samples{trip: 38, trip + 4*second: 2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(echo(trip, row.answer))
				result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 2 * second, Warmup: -1, Send: Sending{Rate: 20}})
				row.want[Due], row.want[Sent] = 40, 40
				checkCounts(t, result, without(row.want, result, transport...))
				checkTiming(t, result, RoundTrip, row.trips)
				checkTiming(t, result, PublishLateness, samples{0: 40})
				checkTiming(t, result, Delivery, nil)
				if headline, _ := result.Headline(); headline != RoundTrip || result.Sources[RoundTrip] == "" || result.Begin != second+2*millisecond {
					t.Errorf("%s, %v, from %v", headline, result.Sources, result.Begin)
				}
				checkTexts(t, "warnings", result.Warnings)
				checkTexts(t, "doubts", result.Doubts)
			})
		})
	}
}

// TestGreetingIsNoEcho: a welcome message, and other traffic, count as received and nothing more.
func TestGreetingIsNoEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := echo(millisecond, nil)
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			s, err := answer(a)
			s.lines = []line{{millisecond, event("welcome")}, {1500 * millisecond, event("still here?")}}
			return s, err
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: 2 * second, Warmup: -1, Send: Sending{Rate: 5}})
		checkCounts(t, result, without(map[Metric]uint64{Received: 12, Due: 10, Sent: 10, Expected: 10, Delivered: 10}, result, transport...))
	})
}

// TestUnstampedEcho: messages without a stamp are known again by their content, the oldest first where contents are
// the same. Where that may be another's, there is no verdict.
func TestUnstampedEcho(t *testing.T) {
	const trip = 130 * millisecond
	strays := func(n int, answer line) []line { // number 4 doesn't come back
		if n == 4 {
			answer.ev.Data = []byte("what?")
		}
		return []line{answer}
	}
	twice := func(n int, answer line) []line { return []line{answer, {answer.at + millisecond, answer.ev}} }
	for _, row := range []struct {
		name, message string
		answer        func(n int, answer line) []line
		want          map[Metric]uint64
		trips         samples
		doubt         string
	}{
		{"contents of their own", "message %d of %d", strays, map[Metric]uint64{Received: 30, Delivered: 28, Lost: 2}, samples{trip: 28}, ""},
		// Once the echo of number 4 is lost, each one that comes is taken for the one before, 200 ms earlier.
		{"one content", "hello", strays, map[Metric]uint64{Received: 30, Delivered: 28, Lost: 2}, samples{trip: 6, trip + 200*millisecond: 22}, "some never came back"},
		{"one content, and nothing is lost", "hello", nil, map[Metric]uint64{Received: 30, Delivered: 30}, samples{trip: 30}, ""},
		{"twice", "message %d of %d", twice, map[Metric]uint64{Received: 60, Delivered: 30, Duplicate: 30}, samples{trip: 30}, "more came back than was sent"},
		{"one content, twice", "hello", twice, map[Metric]uint64{Received: 60, Delivered: 30, Duplicate: 30}, samples{trip: 30}, "more came back than was sent"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result := newFakeServer(echo(trip, row.answer)).run(t, Plan{Stages: []Stage{{0, 2}}, Duration: 3 * second, Warmup: -1, Send: unstampedSending(row.message)})
				row.want[Due], row.want[Sent], row.want[Expected], row.want[Late] = 30, 30, 30, 1
				checkCounts(t, result, without(row.want, result, transport...))
				checkTiming(t, result, RoundTrip, row.trips)
				if doubts := fmt.Sprint(result.Doubts); (row.doubt == "") != (len(result.Doubts) == 0) || !strings.Contains(doubts, row.doubt) {
					t.Errorf("doubts %s, want %q", doubts, row.doubt)
				}
			})
		})
	}
}

func unstampedSending(message string) Sending {
	return Sending{Rate: 10, Unstamped: true, Message: func(dst []byte, m Outgoing) []byte {
		if !strings.Contains(message, "%") {
			return append(dst, message...)
		}
		return fmt.Appendf(dst, message, m.Number, m.Connection)
	}}
}

// TestUnstampedEchoOverDrops: what a stream has taken with it comes on no other one, and isn't what the next echo is of.
func TestUnstampedEchoOverDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const trip = 30 * millisecond
		answer := echo(trip, nil)
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			s, err := answer(a)
			if a.n < 4 { // before the echo of the message that is sent then
				s.end = time.Duration(a.n+1)*500*millisecond + second + 10*millisecond
			}
			return s, err
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: 3 * second, Warmup: -1, Backoff: client.Backoff{Base: 20 * millisecond}, Send: unstampedSending("hello")})
		if n := result.Count(Lost); n != 4 || result.Count(Drops) != 4 {
			t.Errorf("%d lost over %d drops", n, result.Count(Drops))
		}
		checkTiming(t, result, RoundTrip, samples{trip: int64(result.Count(Delivered))})
		checkTexts(t, "doubts", result.Doubts)
	})
}

// TestChat: what one connection of the run sends reaches the others by one clock, from when it was due.
func TestChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var members []*fakeStream
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{}
			s.answer = func(p []byte, at time.Duration) ([]line, error) {
				for _, m := range members {
					if m != s {
						m.inbox <- []line{{at + 20*millisecond, event("someone said " + string(p))}}
					}
				}
				return []line{{at + 10*millisecond, event("you said " + string(p))}}, nil
			}
			members = append(members, s)
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 3}}, Duration: 2 * second, Warmup: -1, Send: Sending{Rate: 15}})
		checkCounts(t, result, without(map[Metric]uint64{Received: 90, Due: 30, Sent: 30, Expected: 30, Delivered: 30}, result, transport...))
		checkTiming(t, result, RoundTrip, samples{10 * millisecond: 30})
		checkTiming(t, result, Delivery, samples{20 * millisecond: 60})
		if result.Sources[Delivery] != "rtbench's own messages, from when they were due; one clock" {
			t.Error(result.Sources)
		}
	})
}

// TestUnsent: every message that was due is either sent or unsent, and the figures say that the load was another one.
func TestUnsent(t *testing.T) {
	for _, row := range []struct {
		name       string
		plan       Plan
		dial       func(attempt) (*fakeStream, error)
		due, sent  uint64
		warn, doub []string
	}{
		{"while the connection is down", Plan{Stages: []Stage{{0, 1}}, Duration: 4 * second, Warmup: -1, Backoff: fixed, Send: Sending{Rate: 10}},
			func(a attempt) (*fakeStream, error) {
				s, err := echo(millisecond, nil)(a)
				if a.n == 0 {
					s.end = 2050 * millisecond // until 2550: 5 messages are due
				}
				return s, err
			}, 40, 35,
			[]string{"5 of 40 messages that were due could not be sent"},
			[]string{"only 35 of the 40 messages due were sent: the load was not the one asked for"}},
		{"a server that doesn't read", Plan{Stages: []Stage{{0, 1}}, Duration: 2 * second, Warmup: -1, Send: Sending{Rate: 100}},
			func(attempt) (*fakeStream, error) {
				s := &fakeStream{}
				s.answer = func([]byte, time.Duration) ([]line, error) {
					<-s.closed
					return nil, errCantSend
				}
				return s, nil
			}, 200, 0,
			[]string{"connections opened, but nothing was received", "200 of 200 messages that were due could not be sent"},
			[]string{"only 0 of the 200 messages due were sent: the load was not the one asked for"}},
		{"a stream that can't send", Plan{Stages: []Stage{{0, 1}}, Duration: second, Warmup: -1, Send: Sending{Rate: 10}},
			func(attempt) (*fakeStream, error) { return &fakeStream{lines: []line{{second, event("hello")}}}, nil }, 10, 0,
			[]string{"10 of 10 messages that were due could not be sent"},
			[]string{"only 0 of the 10 messages due were sent: the load was not the one asked for"}},
		{"each connection along a ramp", Plan{Stages: []Stage{{2 * second, 2}, {2 * second, 2}, {2 * second, 0}}, Warmup: -1, Send: Sending{Rate: 5, PerConnection: true}},
			// The first is due when the first connection is dialed, and the last two when a straight line still is above
			// zero and the last connection has been closed.
			func(a attempt) (*fakeStream, error) {
				s, err := echo(millisecond, nil)(a)
				s.latency = millisecond
				return s, err
			}, 40, 37,
			[]string{"3 of 40 messages that were due could not be sent"},
			[]string{"only 37 of the 40 messages due were sent: the load was not the one asked for"}},
		{"no echo", Plan{Stages: []Stage{{0, 1}}, Duration: second, Warmup: -1, Send: Sending{Rate: 10}},
			echo(millisecond, func(int, line) []line { return []line{{0, event("ok")}} }), 10, 10,
			[]string{"no message that was sent came back"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result := newFakeServer(row.dial).run(t, row.plan)
				due, sent, unsent := result.Count(Due), result.Count(Sent), result.Count(Unsent)
				if due != row.due || sent != row.sent || unsent != due-sent {
					t.Errorf("%d due, %d sent, %d unsent", due, sent, unsent)
				}
				checkTexts(t, "warnings", result.Warnings, row.warn...)
				if why := result.Unmeasured[RoundTrip]; why != "" != slices.Contains(row.warn, unechoedText) {
					t.Errorf("the round trip can't be measured: %q", why)
				}
				checkTexts(t, "doubts", result.Doubts, row.doub...)
				if verdict := map[bool]Verdict{true: UpperBound, false: NoVerdict}[len(row.doub) == 0]; result.Verdict != verdict {
					t.Errorf("verdict %s", result.Verdict)
				}
			})
		})
	}
}

// TestLateTester: where the tester itself was late by more than a tenth of what it reports, it gives no verdict.
func TestLateTester(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(attempt) (*fakeStream, error) {
			n := 0
			return &fakeStream{answer: func(p []byte, at time.Duration) ([]line, error) {
				if n++; n%20 == 0 { // the next two messages wait, but after the last one
					<-time.After(25 * millisecond)
				}
				return []line{{at + 50*millisecond, event(string(p))}}, nil
			}}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: 4 * second, Warmup: -1, Send: Sending{Rate: 100}})
		checkTiming(t, result, PublishLateness, samples{0: 362, 15 * millisecond: 19, 5 * millisecond: 19})
		checkTiming(t, result, RoundTrip, samples{50 * millisecond: 362, 65 * millisecond: 19, 55 * millisecond: 19})
		checkTexts(t, "doubts", result.Doubts, "the tester sent late: p99 15.01ms, which is 23 % of the p99 reported")
		if result.Verdict != NoVerdict {
			t.Error(result.Verdict)
		}
	})
}

// TestMessageScope: a message is made with what it was told, and the stamp it carries says when it was due.
func TestMessageScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got [][]byte
		answer := echo(millisecond, func(n int, l line) []line {
			got = append(got, l.ev.Data)
			return []line{l}
		})
		f := newFakeServer(answer)
		send := Sending{Rate: 2, Message: func(dst []byte, m Outgoing) []byte {
			return fmt.Appendf(dst, "%d/%d/%s", m.Connection, m.Number, m.Stamp)
		}}
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: 2 * second, Warmup: -1, Send: send})
		for n, p := range got {
			stamp, _, ok := client.FindStamp(p, 0)
			due := f.epoch(second + millisecond + time.Duration(n)*second/2)
			if !ok || !bytes.HasPrefix(p, fmt.Appendf(nil, "0/%d/", n)) || stamp.Due != due || stamp.Sent != due || stamp.Seq != uint64(n) || stamp.Source != 0 {
				t.Errorf("message %d: %s, due %d", n, p, due)
			}
		}
		if len(got) != 4 || result.Count(Delivered) != 4 {
			t.Errorf("%d messages, %d delivered", len(got), result.Count(Delivered))
		}
	})
}

// TestRequestStreams: five streams a second are started, in at most so many places at a time. Each takes 300 ms to its
// marker, with tokens after 100 and 200 ms.
func TestRequestStreams(t *testing.T) {
	for _, row := range []struct {
		name   string
		places int
		change func(n int, s *fakeStream) error // of the n-th stream started, counted from 0
		want   map[Metric]uint64
		total  samples
		warn   []string
	}{
		{"done", 2, nil, map[Metric]uint64{Due: 10, Sent: 10, StreamsStarted: 10, StreamsDone: 10, Received: 20}, samples{300 * millisecond: 10}, nil},
		{"two break off, and one is refused", 2, func(n int, s *fakeStream) error {
			switch n {
			case 2, 5:
				s.end, s.err = s.end-150*millisecond, nil
			case 7:
				return &client.Error{Class: client.ClassStatus, Code: 429}
			}
			return nil
		}, map[Metric]uint64{Due: 10, Sent: 10, StreamsStarted: 10, StreamsDone: 7, StreamsFailed: 3, ConnectErrors: 1, Received: 16},
			samples{300 * millisecond: 7}, nil},
		{"over capacity", 1, nil, map[Metric]uint64{Due: 10, Sent: 5, Unsent: 5, StreamsStarted: 5, StreamsDone: 5, Received: 10},
			samples{300 * millisecond: 5}, []string{"5 of 10 streams that were due could not be sent"}},
		{"the last one doesn't end", 2, func(n int, s *fakeStream) error {
			if n == 9 {
				s.end, s.deaf = 0, true
			}
			return nil
		}, map[Metric]uint64{Due: 10, Sent: 10, StreamsStarted: 10, StreamsDone: 9, Received: 20},
			samples{300 * millisecond: 9}, []string{"1 stream had not ended when the run did, and counts neither as done nor as failed"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				f := newFakeServer(func(a attempt) (*fakeStream, error) {
					s := &fakeStream{
						lines: []line{{a.at + 100*millisecond, event("to")}, {a.at + 200*millisecond, event("ken")}},
						end:   a.at + 300*millisecond, err: client.ErrDone, latency: 10 * millisecond,
					}
					n++
					if row.change != nil {
						if err := row.change(n-1, s); err != nil {
							return nil, err
						}
					}
					return s, nil
				})
				result := f.run(t, Plan{Stages: []Stage{{0, row.places}}, Duration: 2 * second, Warmup: -1, Streams: true, Send: Sending{Rate: 5}})
				checkCounts(t, result, without(row.want, result, transport...))
				checkTiming(t, result, StreamTotal, row.total)
				checkTiming(t, result, PublishLateness, samples{0: int64(row.want[Sent])})
				checkTexts(t, "warnings", result.Warnings, row.warn...)
				if n != int(row.want[StreamsStarted]) || result.Peak > row.places || result.Failure != "" {
					t.Errorf("%d streams, %d at a time, %q", n, result.Peak, result.Failure)
				}
				if headline, _ := result.Headline(); headline != StreamTotal || result.Unmeasured[Lost] != "request streams have no events in common" {
					t.Errorf("%s; %v", headline, result.Unmeasured)
				}
			})
		})
	}
}

// TestStreamsFailInTheDrain: how a stream failed is told, also where that was after the window.
func TestStreamsFailInTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{lines: []line{{a.at + 100*millisecond, event("token")}}, end: a.at + 3*second}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 10}}, Duration: 2 * second, Warmup: -1, Streams: true, Send: Sending{Rate: 3}})
		if failed := result.Count(StreamsFailed); failed != 6 || len(result.Errors) != 1 || result.Errors[0].Count != 6 {
			t.Errorf("%d failed, by %+v", failed, result.Errors)
		}
	})
}

// TestStreamsAreOpenLoop: a stream that is slow to open counts from when it was due, and doesn't hold up the next.
func TestStreamsAreOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(func(a attempt) (*fakeStream, error) {
			s := &fakeStream{lines: []line{{a.at + 900*millisecond, event("x")}}, end: a.at + second, err: client.ErrDone, latency: 800 * millisecond}
			return s, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 100}}, Duration: 3 * second, Warmup: second, Streams: true, Send: Sending{Rate: 10}})
		// Those that were due in the window, the last of which end after it.
		checkTiming(t, result, StreamTotal, samples{second: 30})
		checkTiming(t, result, FirstEvent, samples{900 * millisecond: 40})
		checkTiming(t, result, Connect, samples{800 * millisecond: 40})
		if places := len(f.attempts); places < 10 || places > 11 || result.Count(StreamsDone) != 40 || result.Count(Drops) != 0 {
			t.Errorf("%d places, %d done", places, result.Count(StreamsDone))
		}
	})
}

// TestTwoClocks: a server elsewhere stamps by a clock that nobody knows.
func TestTwoClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeServer
		f = newFakeServer(func(a attempt) (*fakeStream, error) {
			return &fakeStream{remote: "192.0.2.1:443", lines: ticker(100*millisecond, time.Minute, millisecond, f.stamped)}, nil
		})
		result := f.run(t, Plan{Stages: []Stage{{0, 1}}, Duration: second, Warmup: -1})
		checkTexts(t, "doubts", result.Doubts, "delivery compares the clocks of two hosts, whose offset is not known: it is above the best path only")
		if result.Verdict != NoVerdict || result.Sources[Delivery] != "rtbench's stamp, from when the event was due; two clocks: the server's and this host's, above the best path" {
			t.Errorf("%s, %v", result.Verdict, result.Sources)
		}
	})
}

// TestRunContext: the context of Run ends the run, and everything that it started.
func TestRunContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := newFakeServer(echo(millisecond, func(n int, l line) []line {
			if n == 20 {
				cancel()
			}
			return []line{l}
		}))
		result, err := f.runner(Plan{Stages: []Stage{{0, 5}}, Duration: time.Hour, Warmup: -1, Send: Sending{Rate: 100}}).Run(ctx)
		if err != nil || result.Stop != StopInterrupted || result.Count(Due) != result.Count(Sent)+result.Count(Unsent) {
			t.Errorf("%v, %s, %d due, %d sent", err, result.Stop, result.Count(Due), result.Count(Sent))
		}
	})
}
