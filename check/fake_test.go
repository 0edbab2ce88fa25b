package check

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A hub is a server in memory that publishes on a schedule in fake time, the same to all. Times are since it was made.
type hub struct {
	start time.Time
	// at says when event n is published, counted from 1: later than event n-1.
	at func(n int) time.Duration
	id func(n int) string // of event n; nil for its number
	// replay gives what is sent to whom comes back at a time after event last, of what was published by then; nil for nothing.
	replay func(last, newest int, now time.Duration) []int
	greet  func(newest int) []int // what is sent to whom comes for the first time; nil for nothing
	refuse func(last int, now time.Duration) error
	cut    func(conn int, opened time.Duration) (at time.Duration) // when a stream ends; 0 for never
	lose   func(conn, n int) bool                                  // a live event
	own    bool                                                    // each connection has its own events, numbered from 1
	deaf   bool                                                    // it isn't told where to go on

	mu     sync.Mutex
	open   map[int]bool
	dialed []string // "conn from"
}

func newHub(interval time.Duration) *hub {
	return &hub{start: time.Now(), open: make(map[int]bool), at: func(n int) time.Duration { return time.Duration(n) * interval }}
}

// newest is the last event that is published by a time; 0 for none.
func (h *hub) newest(now time.Duration) (n int) {
	for h.at(n+1) <= now {
		n++
	}
	return n
}

func (h *hub) name(n int) string {
	if h.id == nil {
		return fmt.Sprint(n)
	}
	return h.id(n)
}

// number is the event that has an id; 0 for none.
func (h *hub) number(id client.Cursor, newest int) int {
	for n := 1; n <= newest; n++ {
		if h.name(n) == string(id) {
			return n
		}
	}
	return 0
}

func (h *hub) dial(conn int) (client.Dialer, error) { return &hubDialer{h, conn}, nil }

type hubDialer struct {
	hub  *hub
	conn int
}

func (d *hubDialer) Dial(_ context.Context, from client.Cursor) (client.Stream, error) {
	h := d.hub
	now := time.Since(h.start)
	s := &hubStream{hub: h, conn: d.conn, opened: now, first: h.newest(now) + 1, closed: make(chan struct{})}
	s.info = client.Info{Started: time.Now(), Phases: client.Phases{DNS: -1, TCP: -1, TLS: -1}, Resumed: len(from) > 0 && !h.deaf}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[d.conn] {
		panic("dialed while open")
	}
	last := h.number(from, s.first-1)
	if h.refuse != nil {
		if err := h.refuse(last, now); err != nil {
			return nil, err
		}
	}
	h.open[d.conn] = true
	h.dialed = append(h.dialed, fmt.Sprintf("%d %s", d.conn, from))
	switch {
	case len(from) > 0 && h.replay != nil:
		s.early = h.replay(last, s.first-1, now)
	case len(from) == 0 && h.greet != nil:
		s.early = h.greet(s.first - 1)
	}
	return s, nil
}

type hubStream struct {
	hub     *hub
	conn    int
	opened  time.Duration
	first   int   // live event
	early   []int // events before it
	info    client.Info
	closed  chan struct{}
	closing sync.Once
}

func (s *hubStream) Info() client.Info { return s.info }

func (s *hubStream) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		s.hub.open[s.conn] = false
	})
	return nil
}

func (s *hubStream) Events() iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) {
		h := s.hub
		for _, n := range s.early {
			if !yield(s.event(n), nil) {
				return
			}
		}
		var cut time.Duration
		if h.cut != nil {
			cut = h.cut(s.conn, s.opened)
		}
		for n := s.first; ; n++ {
			next := h.at(n)
			if cut > 0 && cut <= next {
				if s.wait(cut) {
					yield(client.Event{}, io.EOF)
				} else {
					yield(client.Event{}, net.ErrClosed)
				}
				return
			}
			if !s.wait(next) {
				yield(client.Event{}, net.ErrClosed)
				return
			}
			if h.lose != nil && h.lose(s.conn, n) {
				continue
			}
			if !yield(s.event(n), nil) {
				return
			}
		}
	}
}

// wait waits until a time; false if the stream was closed before.
func (s *hubStream) wait(until time.Duration) bool {
	timer := time.NewTimer(until - time.Since(s.hub.start))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	}
}

func (s *hubStream) event(n int) client.Event {
	if s.hub.own {
		n -= s.first - 1
	}
	ev := event(s.hub.name(n), "")
	ev.Arrival.User = time.Now()
	return ev
}

// after lists events from last+1 to newest.
func after(last, newest int) (list []int) {
	for n := last + 1; n <= newest; n++ {
		list = append(list, n)
	}
	return list
}

// ring is a replay of a server that keeps so many events.
func ring(size int) func(last, newest int, now time.Duration) []int {
	return func(last, newest int, _ time.Duration) []int { return after(max(last, newest-size), newest) }
}

// kept is a replay of a server that keeps events for so long.
func (h *hub) kept(age time.Duration) func(last, newest int, now time.Duration) []int {
	return func(last, newest int, now time.Duration) []int {
		return slices.DeleteFunc(after(last, newest), func(n int) bool { return h.at(n) < now-age })
	}
}

// expect compares lines of text.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
