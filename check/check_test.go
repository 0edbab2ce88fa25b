package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/rtbench/rtbench/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A script is a dialer that plays attempts, one after the other; the last one again and again.
type script struct {
	attempts []attempt
	dialed   int
	from     []string
}

// An attempt is why nothing was opened, or what is received and why that ended. A step that is neither is waited for.
type attempt struct {
	refused error
	steps   []any // client.Event or time.Duration
	end     error // nil to stay open
}

func (s *script) Dial(_ context.Context, from client.Cursor) (client.Stream, error) {
	a := s.attempts[min(s.dialed, len(s.attempts)-1)]
	s.dialed++
	s.from = append(s.from, string(from))
	if a.refused != nil {
		return nil, a.refused
	}
	return &stream{attempt: a, closed: make(chan struct{}, 1)}, nil
}

type stream struct {
	attempt
	closed chan struct{}
}

func (s *stream) Events() iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) {
		for _, step := range s.steps {
			switch step := step.(type) {
			case time.Duration:
				select {
				case <-time.After(step):
				case <-s.closed:
					yield(client.Event{}, io.ErrClosedPipe)
					return
				}
			case client.Event:
				step.Arrival.User = time.Now()
				if !yield(step, nil) {
					return
				}
			}
		}
		if s.end == nil {
			<-s.closed
			yield(client.Event{}, io.ErrClosedPipe)
			return
		}
		yield(client.Event{}, s.end)
	}
}

func (s *stream) Info() client.Info { return client.Info{Proto: "HTTP/1.1"} }

func (s *stream) Close() error {
	select {
	case s.closed <- struct{}{}:
	default:
	}
	return nil
}

func event(id, data string) client.Event {
	return client.Event{ID: client.Cursor(id), OwnID: id != "", Data: []byte(data), Retry: -1}
}

func retry(d time.Duration) client.Event { return client.Event{Type: client.Hint, Retry: d} }

var comment = client.Event{Type: client.Comment, Data: []byte("heartbeat"), Retry: -1}

func TestTrace(t *testing.T) {
	refused := &client.Error{Class: client.ClassRefused}
	missing := &client.Error{Class: client.ClassStatus, Code: 404}
	fixed := client.Backoff{Policy: client.Fixed, Base: 5 * time.Second}
	tests := []struct {
		name     string
		attempts []attempt
		options  Options
		stop     time.Duration // when the user stops it; 0 for never
		want     []string
		err      error
	}{
		{
			name: "a drop, a failed attempt, and on from the last id",
			attempts: []attempt{
				{steps: []any{event("1", "a"), time.Second, comment, time.Second, event("2", "b"), time.Second}, end: io.EOF},
				{refused: refused},
				{steps: []any{event("3", "c")}},
			},
			options: Options{Backoff: fixed, Events: 3},
			want: []string{
				"0s open", "0s event a", "1s comment", "2s event b", "3s close again in 5s", "8s close again in 5s",
				"13s open", "13s event c", "13s close asked",
			},
		},
		{
			name:     "a reconnection time that the server asks for",
			attempts: []attempt{{steps: []any{retry(7 * time.Second), event("", "a")}, end: io.EOF}, {refused: missing}},
			want:     []string{"0s open", "0s hint 7s", "0s event a", "0s close again in 7s", "7s close final"},
			err:      missing,
		},
		{
			name:     "for so long",
			attempts: []attempt{{steps: []any{time.Minute, event("", "late")}}},
			options:  Options{For: 30 * time.Second},
			want:     []string{"0s open", "30s close asked"},
		},
		{
			name:     "until the user stops it, while it waits to dial again",
			attempts: []attempt{{refused: refused}},
			options:  Options{Backoff: fixed},
			stop:     12 * time.Second,
			want:     []string{"0s close again in 5s", "5s close again in 5s", "10s close again in 5s"},
		},
		{
			name:     "so many attempts and no more",
			attempts: []attempt{{refused: refused}},
			options:  Options{Backoff: client.Backoff{Policy: client.Fixed, Base: time.Second, Attempts: 2}},
			want:     []string{"0s close again in 1s", "1s close again in 1s", "2s close final"},
			err:      refused,
		},
		{
			name:     "an end that was announced is no error",
			attempts: []attempt{{steps: []any{event("", "a")}, end: client.ErrDone}},
			want:     []string{"0s open", "0s event a", "0s close final"},
		},
		{
			name:     "no more of what came at once than was asked for",
			attempts: []attempt{{steps: []any{event("", "a"), comment, event("", "b")}}},
			options:  Options{Events: 1},
			want:     []string{"0s open", "0s event a", "0s close asked"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if test.stop > 0 {
					defer time.AfterFunc(test.stop, stop).Stop()
				}
				var got []string
				err := Trace(ctx, &script{attempts: test.attempts}, test.options, func(s Step) { got = append(got, line(s)) })
				if !errors.Is(err, test.err) {
					t.Errorf("it ends with %v, want %v", err, test.err)
				}
				if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			})
		})
	}
}

// TestTracePublishes holds what is published, and when, against a server that answers after 3 s and delivers after 1.
func TestTracePublishes(t *testing.T) {
	full := errors.New("full")
	for _, test := range []struct {
		name    string
		options Options
		stop    time.Duration
		want    string
	}{
		{"one, whose reply comes after its event", Options{Events: 1}, 0, "0s open|1.1s event 0|1.1s close asked|3.1s publish <nil> in 3s"},
		{"several", Options{Every: 10 * time.Second, For: 14 * time.Second}, 0,
			"0s open|1.1s event 0|3.1s publish <nil> in 3s|11.1s event 1|13.1s publish full in 3s|14s close asked"},
		{"none once it was stopped", Options{}, 50 * time.Millisecond, "0s open|50ms close asked"},
		{"no reply once it was stopped", Options{}, 2 * time.Second, "0s open|1.1s event 0|2s close asked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if test.stop > 0 {
					defer time.AfterFunc(test.stop, stop).Stop()
				}
				test.options.Publish = func(ctx context.Context, n uint64) error {
					select {
					case <-time.After(3 * time.Second):
					case <-ctx.Done():
					}
					if n == 1 {
						return full
					}
					return ctx.Err()
				}
				s := &script{attempts: []attempt{{steps: []any{1100 * time.Millisecond, event("", "0"), 10 * time.Second, event("", "1")}}}}
				var got []string
				if err := Trace(ctx, s, test.options, func(s Step) { got = append(got, line(s)) }); err != nil {
					t.Error(err)
				}
				want := strings.Split(test.want, "|")
				slices.Sort(want) // what happens at once is told in any order
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

func line(s Step) string {
	text := fmt.Sprintf("%v %s", s.At, s.Kind)
	switch s.Kind {
	case Event:
		return text + " " + string(s.Event.Data)
	case Hint:
		return fmt.Sprintf("%s %v", text, s.Event.Retry)
	case Published:
		return fmt.Sprintf("%s %v in %v", text, s.Published.Err, s.Published.Took)
	case Closed:
		switch {
		case s.Closed.Asked:
			return text + " asked"
		case s.Closed.Final:
			return text + " final"
		}
		return fmt.Sprintf("%s again in %v", text, s.Closed.Wait)
	}
	return text
}

// TestTraceResumes holds the cursor that each attempt is dialed with against what was received before it.
func TestTraceResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempts: []attempt{
			{steps: []any{event("8", "")}, end: io.EOF},
			{refused: &client.Error{Class: client.ClassRefused}},
			{steps: []any{event("9", ""), event("", "")}, end: io.EOF},
			{steps: []any{event("10", "")}},
		}}
		err := Trace(t.Context(), s, Options{From: client.Cursor("7"), Events: 4}, func(Step) {})
		if err != nil || strings.Join(s.from, ",") != "7,8,8," {
			t.Errorf("dialed from %q: %v", s.from, err)
		}
	})
}
