package bench

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/client"
)

// A fakeServer is what a run's connections dial in a synctest bubble: streams in memory that follow a script in fake
// time. All times are since the server was made, which is when the run starts.
type fakeServer struct {
	start time.Time
	// dial answers attempt n, counted from 0, of a connection.
	dial func(a attempt) (*fakeStream, error)

	mu       sync.Mutex
	attempts map[int]int
	dialed   []time.Duration // when, of all connections
}

// An attempt is one call of Dial.
type attempt struct {
	conn, n int
	at      time.Duration
	from    client.Cursor
}

func newFakeServer(dial func(attempt) (*fakeStream, error)) *fakeServer {
	return &fakeServer{start: time.Now(), dial: dial, attempts: make(map[int]int)}
}

// epoch is a time of the run as a stamp has it.
func (f *fakeServer) epoch(at time.Duration) int64 { return f.start.Add(at).UnixNano() }

func (f *fakeServer) runner(plan Plan) *Runner {
	return &Runner{Plan: plan, Dialer: func(conn int) (client.Dialer, error) { return &fakeDialer{f, conn}, nil }, fakable: true}
}

// run makes a run to its end.
func (f *fakeServer) run(t *testing.T, plan Plan) *Result {
	t.Helper()
	result, err := f.runner(plan).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

type fakeDialer struct {
	server *fakeServer
	conn   int
}

func (d *fakeDialer) Dial(ctx context.Context, from client.Cursor) (client.Stream, error) {
	f := d.server
	started := time.Now()
	f.mu.Lock()
	a := attempt{d.conn, f.attempts[d.conn], time.Since(f.start), from.Clone()}
	f.attempts[d.conn]++
	f.dialed = append(f.dialed, a.at)
	f.mu.Unlock()
	s, err := f.dial(a)
	if err == nil && s.latency > 0 {
		timer := time.NewTimer(s.latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	s.server, s.conn = f, d.conn
	s.closed, s.finishing, s.inbox, s.broken = make(chan struct{}), make(chan struct{}), make(chan []line, 1000), make(chan client.Break, 1)
	s.info.Started = started
	s.info.Phases = client.Phases{DNS: -1, TCP: cmp.Or(s.info.Phases.TCP, -1), TLS: -1, Upgrade: -1, Total: time.Since(started)}
	s.info.WireIn, s.info.HeadIn, s.info.WireOut = 100, 100, 50
	if s.remote != "" {
		s.info.Remote = netip.MustParseAddrPort(s.remote)
	}
	if s.answer == nil {
		return s, nil
	}
	return sendingStream{s}, nil
}

// A line is an event and when it arrives.
type line struct {
	at time.Duration
	ev client.Event
}

// A fakeStream yields its lines when they are due, and then stays open, unless it has an end.
type fakeStream struct {
	lines   []line
	latency time.Duration // of opening it
	end     time.Duration // when it ends by itself; 0 for never
	err     error         // how; nil for io.EOF
	tail    []line        // what the server still has when it is asked to end the stream; at counts from then
	deaf    bool          // it doesn't hear that it is asked to
	stuck   bool          // asking blocks until the stream is closed, as a write does to a peer that reads nothing
	remote  string
	answer  func(p []byte, at time.Duration) ([]line, error) // to a message that is sent; nil where none can be
	room    func() bool                                      // whether one can be sent without waiting; nil for never
	idle    time.Duration                                    // after which a black hole is noticed; 0 for never

	server            *fakeServer
	conn              int
	info              client.Info
	inbox             chan []line
	closed, finishing chan struct{}
	closing, asking   sync.Once
	broken            chan client.Break
	endedAt           time.Duration
}

func (s *fakeStream) Info() client.Info { return s.info }

func (s *fakeStream) Close() error {
	s.closing.Do(func() { close(s.closed) })
	return nil
}

// Break implements client.Breaker. The server ends a stream that is half-closed.
func (s *fakeStream) Break(how client.Break) error {
	s.broken <- how
	return nil
}

func (s *fakeStream) Finish() error {
	if s.stuck {
		<-s.closed
		return net.ErrClosed
	}
	s.asking.Do(func() { close(s.finishing) })
	return nil
}

func (s *fakeStream) Events() iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) {
		defer func() { s.endedAt = time.Since(s.server.start).Truncate(millisecond) }()
		pending := slices.Clip(s.lines)
		end, finishing := s.end, s.finishing
		stop := func() bool { return true }
		defer func() { stop() }()
		for {
			wake := time.Hour * 1000
			if len(pending) > 0 {
				wake = pending[0].at
			}
			if end > 0 {
				wake = min(wake, end)
			}
			// Go 1.26 now and then crashes under the race detector where a timer of a bubble is due as it is made, or as a
			// select looks at its channel.
			stop()
			due := make(chan struct{})
			if wait := wake - time.Since(s.server.start); wait > 0 {
				stop = time.AfterFunc(wait, func() { close(due) }).Stop
			} else {
				close(due)
			}
			select {
			case <-due:
				if len(pending) > 0 && pending[0].at == wake {
					if !s.yield(yield, pending[0].ev) {
						return
					}
					pending = pending[1:]
					continue
				}
				if s.err == client.ErrDone { // its marker was received
					s.info.LastByte = time.Now()
				}
				yield(client.Event{}, cmp.Or(s.err, io.EOF))
				return
			case lines := <-s.inbox:
				pending = append(pending, lines...)
				slices.SortStableFunc(pending, func(a, b line) int { return cmp.Compare(a.at, b.at) })
			case <-finishing:
				finishing = nil
				if s.deaf {
					break
				}
				now := time.Since(s.server.start)
				end, pending = now+1, nil
				for _, l := range s.tail {
					pending = append(pending, line{now + l.at, l.ev})
					end = now + l.at + 1
				}
			case how := <-s.broken:
				switch how {
				case client.BreakHalfClose:
					yield(client.Event{}, io.EOF)
				case client.BreakBlackhole:
					s.unheard(yield)
				default:
					yield(client.Event{}, net.ErrClosed)
				}
				return
			case <-s.closed:
				yield(client.Event{}, net.ErrClosed)
				return
			}
			stop()
		}
	}
}

// unheard waits until somebody notices that nothing comes.
func (s *fakeStream) unheard(yield func(client.Event, error) bool) {
	wait := cmp.Or(s.idle, time.Hour*1000)
	timer := time.NewTimer(time.Until(s.info.LastByte.Add(wait)))
	defer timer.Stop()
	select {
	case <-timer.C:
		yield(client.Event{}, &client.Error{Class: client.ClassIdle})
	case <-s.closed:
		yield(client.Event{}, net.ErrClosed)
	}
}

// yield hands an event out as the last byte of it arrives: now.
func (s *fakeStream) yield(yield func(client.Event, error) bool, ev client.Event) bool {
	now := time.Now()
	if s.info.FirstByte.IsZero() {
		s.info.FirstByte = now
	}
	s.info.LastByte = now
	ev.Arrival.User = now
	ev.Wire = len(ev.Data) + 10
	s.info.WireIn += uint64(ev.Wire)
	return yield(ev, nil)
}

// A sendingStream is one that messages can be sent on.
type sendingStream struct{ *fakeStream }

var errCantSend = errors.New("it can't be sent now")

func (s sendingStream) Send(ctx context.Context, p []byte) error {
	lines, err := s.answer(slices.Clone(p), time.Since(s.server.start))
	if err == nil {
		s.inbox <- lines
	}
	return err
}

func (s sendingStream) TrySend(p []byte) (sent bool, err error) {
	if s.room == nil || !s.room() {
		return false, nil
	}
	return true, s.Send(context.Background(), p)
}

// event is a message with that payload and no id.
func event(data string) client.Event {
	return client.Event{Data: []byte(data), Retry: -1}
}

// numbered is a message with an id of its own.
func numbered(id, data string) client.Event {
	ev := event(data)
	ev.ID, ev.OwnID = client.Cursor(id), true
	return ev
}

// stamped is a message as rtbench's own server publishes it: number n of source 1, due at that time.
func (f *fakeServer) stamped(n int, due time.Duration) client.Event {
	stamp := client.Stamp{Run: 7, Source: 1, Seq: uint64(n), Due: f.epoch(due), Sent: f.epoch(due)}
	return numbered(strconv.Itoa(n), string(client.AppendStamp(nil, stamp)))
}

// since gives the lines that arrive at from or later.
func since(from time.Duration, lines []line) []line {
	i, _ := slices.BinarySearchFunc(lines, from, func(l line, at time.Duration) int { return cmp.Compare(l.at, at) })
	return lines[i:]
}

// ticker makes one line in every period, numbered from 1: line n arrives delay after n·period.
func ticker(period, end, delay time.Duration, make func(n int, due time.Duration) client.Event) (lines []line) {
	lines = slices.Grow(lines, int(end/period))
	for n := 1; time.Duration(n)*period < end; n++ {
		due := time.Duration(n) * period
		lines = append(lines, line{due + delay, make(n, due)})
	}
	return lines
}

// checkCounts holds counters against what they should be, all of those that aren't named against 0.
func checkCounts(t *testing.T, result *Result, want map[Metric]uint64) {
	t.Helper()
	for _, m := range Counts() {
		if got := result.Count(m); got != want[m] {
			t.Errorf("%s: %d, want %d", m, got, want[m])
		}
	}
}

// without lets some counters be whatever they are.
func without(counts map[Metric]uint64, result *Result, ignored ...Metric) map[Metric]uint64 {
	for _, m := range ignored {
		counts[m] = result.Count(m)
	}
	return counts
}

// transport is what needn't be looked at where a test isn't about connections and bytes.
var transport = []Metric{Bytes, WireIn, WireOut, HandshakeIn, HandshakeOut, Attempts, Opened}

// samples is a timing's expected values, each with how often it occurs.
type samples map[time.Duration]int64

// checkTiming holds a histogram against the exact values that should be in it, up to its precision.
func checkTiming(t *testing.T, result *Result, m Metric, want samples) {
	t.Helper()
	expected := NewHistogram()
	for value, n := range want {
		if err := expected.RecordValues(int64(value), n); err != nil {
			t.Fatal(err)
		}
	}
	got := result.Histogram(m)
	if got == nil {
		got = NewHistogram()
	}
	if !got.Equals(expected) {
		t.Errorf("%s: %s\nwant %s", m, show(got), show(expected))
	}
}

func show(h *hdrhistogram.Histogram) (s string) {
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			s += strconv.FormatInt(bar.Count, 10) + "×" + time.Duration(bar.From).String() + " "
		}
	}
	return s
}

// checkTexts compares the texts of warnings.
func checkTexts(t *testing.T, what string, got []Warning, want ...string) {
	t.Helper()
	texts := make([]string, len(got))
	for i, w := range got {
		texts[i] = w.Text
		if w.Advice == "" {
			t.Errorf("%s without advice: %s", what, w.Text)
		}
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%s:\n%q\nwant\n%q", what, texts, want)
	}
}

// held is what a cell holds of a timing; nil for nothing.
func held(c *cell, m Metric) *hdrhistogram.Histogram {
	if c.timings[m].empty() {
		return nil
	}
	h := NewHistogram()
	c.timings[m].into(h)
	return h
}
