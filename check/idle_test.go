package check

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A quiet is a dialer whose streams bring something at times since they were opened, and may end.
type quiet struct {
	refused error
	steps   func(conn int, opened time.Duration) []any // client.Event or time.Duration, the time until the next step
	end     error                                      // nil to stay open
	dialed  time.Time
}

func (q *quiet) dial(conn int) (client.Dialer, error) {
	if q.dialed.IsZero() {
		q.dialed = time.Now()
	}
	return quietDialer{q, conn}, nil
}

type quietDialer struct {
	q    *quiet
	conn int
}

func (d quietDialer) Dial(context.Context, client.Cursor) (client.Stream, error) {
	if d.q.refused != nil {
		return nil, d.q.refused
	}
	steps := d.q.steps(d.conn, time.Since(d.q.dialed))
	return &stream{attempt: attempt{steps: steps, end: d.q.end}, closed: make(chan struct{}, 1)}, nil
}

// every repeats something after an interval, until a time.
func every(interval, until time.Duration, ev client.Event) (steps []any) {
	for at := interval; at < until; at += interval {
		steps = append(steps, interval, ev)
	}
	return append(steps, until-interval*time.Duration(len(steps)/2))
}

// told are the lines that say what a search came to.
func told(r *SilenceResult) (lines []string) {
	for _, b := range r.Beats {
		lines = append(lines, fmt.Sprintf("%s %s×%d: %v %v %v of %d", b.Kind, b.Name, b.Count, b.Shortest, b.Median, b.Longest, b.Gaps))
	}
	for _, h := range r.Held {
		line := fmt.Sprintf("%d from %v for %v, %v silent at its end, %v before", h.Conn, h.Opened, h.Age, h.Silence, h.Longest)
		if h.Cut != nil {
			line += ": " + h.Cut.Key()
		}
		lines = append(lines, line)
	}
	return append(lines, fmt.Sprintf("%v survived, cut for %q, at once %v, %v", r.Longest, r.CutFor, r.AtOnce, r.Elapsed))
}

func TestSilence(t *testing.T) {
	hello := event("1", "hello")
	ping := hello
	ping.Kind = "ping"
	for _, test := range []struct {
		name  string
		quiet quiet
		x     Silence
		want  []string
	}{
		{
			name:  "never cut, with a heartbeat every 15 s",
			quiet: quiet{steps: func(int, time.Duration) []any { return every(15*time.Second, time.Hour, comment) }},
			want: []string{
				`comment ×58: 15s 15s 15s of 55`,
				`0 from 0s for 5m0s, 0s silent at its end, 15s before`,
				`1 from 3s for 4m57s, 12s silent at its end, 15s before`,
				`2 from 6s for 4m54s, 9s silent at its end, 15s before`,
				`15s survived, cut for "", at once false, 5m0s`,
			},
		},
		{
			name:  "cut after 30 s in which nothing is said",
			quiet: quiet{steps: func(int, time.Duration) []any { return []any{30 * time.Second} }, end: io.EOF},
			want: []string{
				`0 from 0s for 30s, 30s silent at its end, 0s before: eof`,
				`1 from 3s for 30s, 30s silent at its end, 0s before: eof`,
				`2 from 6s for 30s, 30s silent at its end, 0s before: eof`,
				`0s survived, cut for "either", at once false, 36s`,
			},
		},
		{
			name: "cut 30 s after what comes to all at one time",
			quiet: quiet{end: io.EOF, steps: func(_ int, opened time.Duration) []any {
				return []any{12*time.Second - opened, hello, 30 * time.Second}
			}},
			want: []string{
				`event ×3: 0s 0s 0s of 0`,
				`0 from 0s for 42s, 30s silent at its end, 12s before: eof`,
				`1 from 3s for 39s, 30s silent at its end, 9s before: eof`,
				`2 from 6s for 36s, 30s silent at its end, 6s before: eof`,
				`12s survived, cut for "silence", at once true, 42s`,
			},
		},
		{
			name:  "cut when it is 40 s old, with a heartbeat every 15 s",
			quiet: quiet{end: &client.Error{Class: client.ClassReset}, steps: func(int, time.Duration) []any { return every(15*time.Second, 40*time.Second, comment) }},
			want: []string{
				`comment ×6: 15s 15s 15s of 3`,
				`0 from 0s for 40s, 10s silent at its end, 15s before: reset`,
				`1 from 3s for 40s, 10s silent at its end, 15s before: reset`,
				`2 from 6s for 40s, 10s silent at its end, 15s before: reset`,
				`15s survived, cut for "age", at once false, 46s`,
			},
		},
		{
			name: "cut when it is 40 s old, and events come to all at one time",
			quiet: quiet{end: io.EOF, steps: func(_ int, opened time.Duration) []any {
				return []any{12*time.Second - opened, hello, 28*time.Second + opened}
			}},
			want: []string{
				`event ×3: 0s 0s 0s of 0`,
				`0 from 0s for 40s, 28s silent at its end, 12s before: eof`,
				`1 from 3s for 40s, 31s silent at its end, 9s before: eof`,
				`2 from 6s for 40s, 34s silent at its end, 6s before: eof`,
				`12s survived, cut for "age", at once false, 46s`,
			},
		},
		{
			name: "never cut, with named events and another that come often",
			quiet: quiet{steps: func(conn int, _ time.Duration) []any {
				return append([]any{retry(time.Second), time.Second, hello}, every(10*time.Second, time.Hour, ping)...)
			}},
			x: Silence{Limit: time.Minute, Connections: 1},
			want: []string{
				`event ×1: 0s 0s 0s of 0`,
				`event ping×5: 10s 10s 10s of 4`,
				`hint ×1: 0s 0s 0s of 0`,
				`0 from 0s for 1m0s, 9s silent at its end, 10s before`,
				`10s survived, cut for "", at once false, 1m0s`,
			},
		},
		{
			name: "one is cut early, another when a longer silence was survived",
			quiet: quiet{end: io.EOF, steps: func(conn int, _ time.Duration) []any {
				return []any{20 * time.Second, comment, time.Duration(5+conn*7) * time.Second}
			}},
			x: Silence{Connections: 2},
			want: []string{
				`comment ×2: 0s 0s 0s of 0`,
				`0 from 0s for 25s, 5s silent at its end, 20s before: eof`,
				`1 from 3s for 32s, 12s silent at its end, 20s before: eof`,
				`20s survived, cut for "neither", at once false, 35s`,
			},
		},
		{
			name:  "all are cut by a restart",
			quiet: quiet{end: io.EOF, steps: func(_ int, opened time.Duration) []any { return []any{time.Minute - opened} }},
			want: []string{
				`0 from 0s for 1m0s, 1m0s silent at its end, 0s before: eof`,
				`1 from 3s for 57s, 57s silent at its end, 0s before: eof`,
				`2 from 6s for 54s, 54s silent at its end, 0s before: eof`,
				`0s survived, cut for "neither", at once true, 1m0s`,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.x.Dial = test.quiet.dial
				r, err := test.x.Find(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				expect(t, told(r), test.want...)
			})
		})
	}
}

// TestSilenceOpensNothing holds how a search ends that never was connected, or whose user stops it.
func TestSilenceOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quiet{refused: &client.Error{Class: client.ClassRefused}}
		if r, err := (&Silence{Dial: q.dial}).Find(t.Context()); r != nil || err != q.refused || time.Since(q.dialed) != 0 {
			t.Errorf("%v, %v after %v", r, err, time.Since(q.dialed))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		q := quiet{steps: func(int, time.Duration) []any { return nil }}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		defer time.AfterFunc(4*time.Second, stop).Stop()
		r, err := (&Silence{Dial: q.dial}).Find(ctx)
		if err != nil || !r.Interrupted {
			t.Fatal(r, err)
		}
		expect(t, told(r),
			"0 from 0s for 4s, 4s silent at its end, 4s before",
			"1 from 3s for 1s, 1s silent at its end, 1s before",
			"2 from 0s for 0s, 0s silent at its end, 0s before",
			`4s survived, cut for "", at once false, 4s`)
		if r.Held[2].Failure == nil {
			t.Error("the last one was opened")
		}
	})
}

// TestSilenceOfBytes holds bytes that are no event against a silence: they end one, though nobody sees when but for the last.
func TestSilenceOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		q := quiet{end: io.EOF, steps: func(int, time.Duration) []any { return []any{10 * time.Second, comment, 50 * time.Second} }}
		dial := func(conn int) (client.Dialer, error) {
			d, err := q.dial(conn)
			return lastByte{d, client.Info{HeadIn: 100, WireIn: 120, LastByte: start.Add(40 * time.Second)}}, err
		}
		r, err := (&Silence{Dial: dial, Connections: 1}).Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		expect(t, told(r), "comment ×1: 0s 0s 0s of 0",
			"0 from 0s for 1m0s, 20s silent at its end, 30s before: eof",
			`30s survived, cut for "age", at once false, 1m0s`)
		if r.Held[0].Unread != 20 {
			t.Errorf("%d bytes that are no event", r.Held[0].Unread)
		}
	})
}

// A lastByte is a dialer whose streams say this of themselves.
type lastByte struct {
	client.Dialer
	info client.Info
}

func (d lastByte) Dial(ctx context.Context, from client.Cursor) (client.Stream, error) {
	s, err := d.Dialer.Dial(ctx, from)
	return lastByteStream{s, d.info}, err
}

type lastByteStream struct {
	client.Stream
	info client.Info
}

func (s lastByteStream) Info() client.Info { return s.info }

// TestSilenceNames holds how many kinds of events are told from each other.
func TestSilenceNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quiet{end: io.EOF, steps: func(int, time.Duration) (steps []any) {
			for i := range 1000 {
				ev := event("", "")
				ev.Kind = fmt.Sprint("kind", i)
				steps = append(steps, ev, time.Millisecond)
			}
			return steps
		}}
		r, err := (&Silence{Dial: q.dial, Connections: 1}).Find(t.Context())
		if err != nil || len(r.Beats) != maxNames+1 || r.Beats[0].Name != "" || r.Beats[0].Count != 1000-maxNames {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
