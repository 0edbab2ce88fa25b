package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A dialFunc is a Dialer in memory.
type dialFunc func(ctx context.Context, from Cursor) (Stream, error)

func (f dialFunc) Dial(ctx context.Context, from Cursor) (Stream, error) { return f(ctx, from) }

// A memoryStream yields its events and then err, or where that is nil waits to be closed.
type memoryStream struct {
	events []Event
	err    error
	closed chan bool
	closes int
}

func (s *memoryStream) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		id := Cursor("a stream's own memory")
		for _, ev := range s.events {
			ev.ID = append(id[:0], ev.ID...)
			if !yield(ev, nil) {
				return
			}
		}
		err := s.err
		if err == nil {
			<-s.closed
			err = errors.New("closed")
		}
		copy(id, "#####################")
		if err != errSilent {
			yield(Event{}, err)
		}
	}
}

// errSilent makes a memoryStream end without an error, which no stream may.
var errSilent = errors.New("silent")

func (s *memoryStream) Info() Info { return Info{} }

func (s *memoryStream) Close() error {
	if s.closes++; s.closes == 1 {
		close(s.closed)
	}
	return nil
}

// scripted dials the streams and errors given, one after the other, and the last one again and again.
func scripted(results ...any) Dialer {
	n := -1
	return dialFunc(func(context.Context, Cursor) (Stream, error) {
		n = min(n+1, len(results)-1)
		if err, ok := results[n].(error); ok {
			return nil, err
		}
		s := *results[n].(*memoryStream)
		s.closed = make(chan bool)
		return &s, nil
	})
}

// watch runs the session in fake time and gives its log.
func watch(t *testing.T, s *Session, during func(cancel context.CancelFunc)) (log []string, err error) {
	synctest.Test(t, func(t *testing.T) {
		observer := &scenarioLog{start: time.Now()}
		s.Observer = observer
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		over := make(chan bool)
		if during != nil {
			go func() {
				during(cancel)
				close(over)
			}()
		} else {
			close(over)
		}
		err = s.Run(ctx)
		<-over
		log = observer.text()
	})
	return log, err
}

func TestSessionWaitsAreSeeded(t *testing.T) {
	session := func(seed uint64) *Session {
		return &Session{Dialer: scripted(syscall.ECONNREFUSED), Seed: seed, Backoff: Backoff{Policy: Exponential, Jitter: FullJitter, Attempts: 8}}
	}
	first, err := watch(t, session(1), nil)
	if !errors.Is(err, syscall.ECONNREFUSED) || len(first) != 9 {
		t.Errorf("%v after%s", err, lines(first))
	}
	if again, _ := watch(t, session(1), nil); !slices.Equal(first, again) {
		t.Errorf("with one seed%s\nand%s", lines(first), lines(again))
	}
	if other, _ := watch(t, session(2), nil); slices.Equal(first, other) {
		t.Errorf("two seeds gave%s", lines(first))
	}
}

// slowObserver takes its time with an end.
type slowObserver struct {
	scenarioLog
	closed time.Time
}

func (o *slowObserver) Closed(c Closed) {
	o.closed = c.At
	time.Sleep(60 * time.Millisecond)
}

// A wait begins with the end that it is for, however long that takes to be taken note of.
func TestSessionWaitsFromTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		observer := &slowObserver{scenarioLog: scenarioLog{start: time.Now()}}
		var dialed []time.Time
		s := &Session{Observer: observer, Backoff: Backoff{Policy: Fixed, Base: 137 * time.Millisecond, Attempts: 1}}
		s.Dialer = dialFunc(func(context.Context, Cursor) (Stream, error) {
			if dialed = append(dialed, time.Now()); len(dialed) > 1 {
				if wait := time.Since(observer.closed); wait != 137*time.Millisecond {
					t.Errorf("it waited for %v", wait)
				}
			}
			return nil, syscall.ECONNREFUSED
		})
		if err := s.Run(t.Context()); err == nil || len(dialed) != 2 {
			t.Errorf("%v after %d attempts", err, len(dialed))
		}
	})
}

// Which ends are worth another attempt.
func TestSessionComesBackAfter(t *testing.T) {
	for _, test := range []struct {
		err   error
		again bool
	}{
		{io.EOF, true},
		{io.ErrUnexpectedEOF, true},
		{syscall.ECONNRESET, true},
		{&Error{Class: ClassDNS}, true},
		{&Error{Class: ClassTimeout}, true},
		{&Error{Class: ClassLimit}, true},
		{&Error{Class: ClassIdle}, true},
		{&Error{Class: ClassProtocol}, true},
		{&Error{Class: ClassStatus, Code: 500}, true},
		{&Error{Class: ClassCloseCode, Code: 1000, Err: io.EOF}, true},
		{errors.New("anything"), true},
		{&Error{Class: ClassStatus, Code: 204}, false},
		{&Error{Class: ClassStatus, Code: 403}, false},
		{&Error{Class: ClassTLS}, false},
		{&Error{Class: ClassRedirect}, false},
		{&Error{Class: ClassContentType}, false},
		{&Error{Class: ClassHandshake}, false},
		{&Error{Class: ClassCloseCode, Code: 1008}, false},
		{ErrTooBig, false},
		{ErrDone, false},
	} {
		for _, result := range []any{test.err, &memoryStream{err: test.err}} {
			s := &Session{Dialer: scripted(result, &Error{Class: ClassHandshake}), Backoff: Backoff{Policy: Fixed}}
			log, err := watch(t, s, nil)
			attempts := 0
			for _, line := range log {
				if line[0] == '1' {
					attempts++
				}
			}
			if test.again != (attempts > 0) || !test.again && err != test.err {
				t.Errorf("after %v (%T): %v%s", test.err, result, err, lines(log))
			}
		}
	}
}

// What a stream hands over is its own: the session copies what it remembers.
func TestSessionRemembersTheCursor(t *testing.T) {
	var asked []string
	streams := scripted(
		&memoryStream{events: []Event{{ID: Cursor("1"), Retry: -1}, {Type: Comment, ID: Cursor("1"), Retry: -1}, {Type: Hint, ID: Cursor("22"), Retry: 0}}, err: io.EOF},
		&memoryStream{events: []Event{{Retry: -1}}, err: io.EOF},
		&Error{Class: ClassHandshake},
	)
	from := Cursor("start")
	s := &Session{From: from, Dialer: dialFunc(func(ctx context.Context, from Cursor) (Stream, error) {
		asked = append(asked, string(from))
		return streams.Dial(ctx, from)
	})}
	log, _ := watch(t, s, nil)
	want := []string{`0s opened #0 from "start"`, `0s text "" @"1"`, `0s comment "" @"1"`, `0s hint @"22" retry=0s`, `0s closed: eof, wait 0s, retry 0s`,
		`0s opened #1 from "22"`, `0s text ""`, `0s closed: eof, wait 0s, retry 0s`, `0s failed: handshake, final, retry 0s`}
	if !slices.Equal(asked, []string{"start", "22", ""}) || !slices.Equal(log, want) || string(from) != "start" {
		t.Errorf("asked for %q; %s\nwant%s", asked, lines(log), lines(want))
	}
}

func TestSessionFinish(t *testing.T) {
	for _, test := range []struct {
		name   string
		dialer Dialer
		want   []string
	}{
		{"a stream that can't be asked", scripted(&memoryStream{}), []string{`0s opened #0 from ""`, "5s closed: other, asked, final"}},
		{"between attempts", scripted(syscall.ECONNREFUSED), []string{"0s failed: refused, wait 3s", "3s failed: refused, wait 3s"}},
		{"a dial that takes long", dialFunc(func(ctx context.Context, _ Cursor) (Stream, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), []string{"5s failed: other, asked, final"}},
		{"a dial that doesn't listen", dialFunc(func(ctx context.Context, _ Cursor) (Stream, error) {
			<-time.After(7 * time.Second)
			return &memoryStream{closed: make(chan bool)}, nil
		}), []string{`7s opened #0 from ""`, "7s closed: other, asked, final"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Session{Dialer: test.dialer}
			log, err := watch(t, s, func(context.CancelFunc) {
				<-time.After(5 * time.Second)
				s.Finish()
				s.Finish()
			})
			if !slices.Equal(log, test.want) || err == nil {
				t.Errorf("%v%s\nwant%s", err, lines(log), lines(test.want))
			}
		})
	}
	t.Run("before Run", func(t *testing.T) {
		s := &Session{Dialer: dialFunc(func(ctx context.Context, _ Cursor) (Stream, error) { return nil, ctx.Err() })}
		s.Finish()
		log, err := watch(t, s, nil)
		if want := []string{"0s failed: other, asked, final"}; !slices.Equal(log, want) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v%s", err, lines(log))
		}
	})
}

func TestSessionCancel(t *testing.T) {
	for name, test := range map[string]struct {
		dialer Dialer
		want   []string
	}{
		"an open stream": {scripted(&memoryStream{}), []string{`0s opened #0 from ""`, "5s closed: other, asked, final"}},
		"between":        {scripted(io.EOF), []string{"0s failed: eof, wait 3s", "3s failed: eof, wait 3s"}},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := watch(t, &Session{Dialer: test.dialer}, func(cancel context.CancelFunc) {
				<-time.After(5 * time.Second)
				cancel()
			})
			if !slices.Equal(log, test.want) || err == nil {
				t.Errorf("%v%s\nwant%s", err, lines(log), lines(test.want))
			}
		})
	}
}

func TestSessionOfAStreamThatBreaksItsPromise(t *testing.T) {
	log, err := watch(t, &Session{Dialer: scripted(&memoryStream{err: errSilent}), Backoff: Backoff{Policy: NoReconnect}}, nil)
	if want := []string{`0s opened #0 from ""`, "0s closed: other, final"}; !slices.Equal(log, want) || fmt.Sprint(err) != "the stream ended without saying why" {
		t.Errorf("%v%s", err, lines(log))
	}
}

func TestSessionSendWithoutAStream(t *testing.T) {
	var s Session
	if err := s.Send(context.Background(), nil); err != ErrNotOpen {
		t.Errorf("before Run: %v", err)
	}
	s.Dialer = scripted(&memoryStream{})
	watch(t, &s, func(cancel context.CancelFunc) {
		synctest.Wait()
		if err := s.Send(context.Background(), nil); err != errors.ErrUnsupported {
			t.Errorf("on a stream that can't send: %v", err)
		}
		cancel()
	})
	if err := s.Send(context.Background(), nil); err != ErrNotOpen {
		t.Errorf("after Run: %v", err)
	}
}

// A Send that hangs doesn't keep the session from ending, nor does a Finish that waits for it.
func TestSessionEndsDuringASend(t *testing.T) {
	done := make(chan bool)
	defer close(done)
	addr := serveWS(t, func(p *peer) { p.write(frame(wholeText, "a")); <-done }) // and reads nothing
	opened := make(chan bool, 1)
	s := &Session{Dialer: &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, Observer: signal(opened)}
	ctx, cancel := context.WithCancel(context.Background())
	sending, sent, finished, returned := make(chan bool), make(chan error), make(chan bool), make(chan error)
	go func() { returned <- s.Run(ctx) }()
	<-opened
	go func() {
		close(sending)
		sent <- s.Send(ctx, make([]byte, 64<<20)) // more than the system buffers
	}()
	<-sending
	go func() {
		s.Finish()
		close(finished)
	}()
	cancel()
	if err := <-sent; err == nil {
		t.Error("it was sent")
	}
	if err := <-returned; err == nil {
		t.Error("no reason")
	}
	<-finished
}

// A signal is an observer that tells the first event.
type signal chan bool

func (s signal) Opened(Opened)   {}
func (s signal) Received(*Event) { close(s) }
func (s signal) Closed(Closed)   {}

// A tellTale is an observer that tells what happens in a word.
type tellTale chan string

func (t tellTale) Opened(o Opened)    { t <- fmt.Sprintf("opened from %q", o.From) }
func (t tellTale) Received(ev *Event) { t <- show(*ev) }
func (t tellTale) Closed(c Closed) {
	t <- fmt.Sprintf("closed %s, asked %v, final %v", outcome(c.Err), c.Asked, c.Final)
}

// start has a session started, and gives what it tells and its end, which fails the test where it is told twice.
func start(t *testing.T, ctx context.Context, s *Session) (told tellTale, ended chan error) {
	told, ended = make(tellTale, 100), make(chan error, 1)
	s.Observer = told
	s.Start(ctx, func(err error) {
		select {
		case ended <- err:
		default:
			t.Error("the end was told twice")
		}
	})
	return told, ended
}

// A session that is started comes back as one that is run does, and tells its end once.
func TestSessionStarts(t *testing.T) {
	addr := serve(t, nil, func(p *peer) {
		p.read()
		switch from := p.request.Header.Get("Last-Event-Id"); from {
		case "":
			p.write(streamHead + chunk("id: 1\ndata: a\n\n"))
		case "1":
			p.write(streamHead + chunk("id: 2\ndata: b\n\n") + lastChunk)
		default:
			p.write("HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	s := &Session{Dialer: &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, Backoff: Backoff{Policy: Fixed, Base: time.Nanosecond}}
	told, ended := start(t, context.Background(), s)
	if e := Classify(<-ended); e.Class != ClassStatus || e.Code != 204 {
		t.Errorf("ended with %v", e)
	}
	close(told)
	var got []string
	for what := range told {
		got = append(got, what)
	}
	want := []string{`opened from ""`, `message "a" id="1"`, "closed eof, asked false, final false", `opened from "1"`, `message "b" id="2"`, "closed eof, asked false, final false",
		"closed status 204, asked false, final true"}
	if !slices.Equal(got, want) {
		t.Errorf("told%s\nwant%s", lines(got), lines(want))
	}
}

// A session that was started ends when it is asked to, whatever it is doing.
func TestSessionStartedIsAsked(t *testing.T) {
	for _, when := range []string{"dialing", "open", "waiting"} {
		for _, finish := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, finish %v", when, finish), func(t *testing.T) {
				dialing := make(chan bool, 1)
				addr := serve(t, nil, func(p *peer) {
					p.read()
					switch when {
					case "dialing":
						dialing <- true
						p.wait()
					case "open":
						p.write(streamHead + chunk("data: a\n\n"))
						p.wait()
						p.write(chunk("data: b\n\n") + lastChunk)
					}
				})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				s := &Session{Dialer: &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}, Backoff: Backoff{Policy: Fixed, Base: time.Hour}}
				told, ended := start(t, ctx, s)
				switch when {
				case "dialing":
					<-dialing
				case "open":
					<-told
					<-told
				case "waiting":
					<-told
				}
				if finish {
					s.Finish()
				} else {
					cancel()
				}
				err := <-ended
				switch {
				case err == nil:
					t.Error("no reason")
				case when == "open" && finish:
					if got := []string{<-told, <-told}; err != io.EOF || !slices.Equal(got, []string{`message "b"`, "closed eof, asked true, final true"}) {
						t.Errorf("%v%s", err, lines(got))
					}
				case when == "open":
					if what := <-told; what != "closed other, asked true, final true" {
						t.Error(what)
					}
				}
				if err := s.Send(ctx, nil); err != ErrNotOpen {
					t.Errorf("a Send at the end gave %v", err)
				}
			})
		}
	}
}

// lasting is a stream whose last byte, and only one, came at a time.
type lasting struct {
	*memoryStream
	last time.Time
}

func (l lasting) Info() Info { return Info{FirstByte: l.last, LastByte: l.last} }

// TestAskedForTheFirstByte: a stream that brought nothing but its end, for which it was asked, has had no first byte.
func TestAskedForTheFirstByte(t *testing.T) {
	for after, want := range map[time.Duration]bool{-time.Hour: true, time.Hour: false} {
		s := &Session{}
		s.Finish()
		at := time.Now().Add(after)
		closed := s.ended(lasting{&memoryStream{closed: make(chan bool)}, at}, io.EOF)
		if closed.Info.FirstByte.IsZero() == want || !closed.Info.LastByte.Equal(at) {
			t.Errorf("%v after it was asked: %v", after, closed.Info)
		}
	}
}

// TestHalfCloseIgnored: a peer that goes on sending for long on a stream that is half-closed, and then ends it, has another
// reason.
func TestHalfCloseIgnored(t *testing.T) {
	at := time.Now()
	for _, test := range []struct {
		how   Break
		after time.Duration
		want  Break
	}{
		{BreakHalfClose, 0, BreakHalfClose}, {BreakHalfClose, heeded, BreakHalfClose}, {BreakHalfClose, heeded + 1, ""},
		{BreakBlackhole, time.Minute, BreakBlackhole}, {"", time.Minute, ""},
	} {
		s := &Session{broken: test.how, brokenAt: at}
		stream := lasting{&memoryStream{closed: make(chan bool)}, at.Add(test.after)}
		if closed := s.ended(stream, io.EOF); closed.Broken != test.want {
			t.Errorf("%s, %v: %q", test.how, test.after, closed.Broken)
		}
	}
}
