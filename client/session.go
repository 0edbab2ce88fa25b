package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// A Session keeps one logical subscription alive across drops: it dials, hands on every event, remembers the last id
// dispatched and the reconnection time the server asked for, waits as Backoff says and dials again from there.
//
// Set the exported fields, then call Run once. Send and Finish may be called from other goroutines.
type Session struct {
	Dialer   Dialer
	Backoff  Backoff
	Observer Observer
	From     Cursor // where to start; empty for "from now"
	Seed     uint64 // of the jitter

	mu        sync.Mutex
	stream    Stream             // the open one, nil between two
	stopDial  context.CancelFunc // ends the Dial under way
	finishing bool
	wake      chan struct{} // closed by Finish, to end a wait
}

// An Observer is told what a Session does, on the goroutine of its Run. It must not block, and must not keep what
// Received hands it.
type Observer interface {
	Opened(Opened)
	Received(Event)
	Closed(Closed)
}

// Opened says that a stream was opened.
type Opened struct {
	At      time.Time
	Attempt int    // 0 for the first of this session
	From    Cursor // where it resumed; empty for "from now"; valid during the call
	Info    Info
}

// Closed says that an attempt failed or an open stream ended.
type Closed struct {
	At        time.Time
	Opened    bool          // a stream was open
	Err       error         // why; never nil
	Asked     bool          // it ended because Finish or the context asked for it
	Final     bool          // the session won't dial again; one that is asked to end while it waits says no more
	Wait      time.Duration // until the next attempt
	RetryHint time.Duration // reconnection time in force, set by the server; negative if none
	Info      Info          // of the stream that ended
}

// ErrNotOpen is returned by Send between two streams.
var ErrNotOpen = errors.New("no stream is open")

// Run dials and reads until the subscription has ended for good, and returns why. It ends when ctx does, closing the
// stream at once, and after Finish, when the peer has ended the stream.
func (s *Session) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	s.mu.Unlock()
	cursor := s.From.Clone()
	hint := time.Duration(-1)
	var random *rand.Rand
	for attempt, failed := 0, 0; ; attempt++ {
		closed := s.attempt(ctx, attempt, &cursor, &hint)
		closed.RetryHint = hint
		if closed.Opened {
			failed = 0
		}
		if random == nil {
			random = rand.New(rand.NewPCG(s.Seed, 0))
		}
		closed.Wait, closed.Final = s.next(ctx, &closed, failed, random)
		failed++
		s.Observer.Closed(closed)
		if closed.Final || !s.sleep(ctx, closed.Wait) {
			return closed.Err
		}
	}
}

// attempt opens one stream and reads it to its end.
func (s *Session) attempt(ctx context.Context, n int, cursor *Cursor, hint *time.Duration) Closed {
	stream, err := s.dial(ctx, *cursor)
	if err != nil {
		return Closed{At: time.Now(), Err: err}
	}
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stream.Close()
	defer stop()
	s.Observer.Opened(Opened{At: time.Now(), Attempt: n, From: *cursor, Info: stream.Info()})
	if !s.publish(stream) {
		err = errFinished
	} else {
		err = s.read(stream, cursor, hint)
	}
	s.publish(nil)
	return Closed{At: time.Now(), Opened: true, Err: err, Info: stream.Info()}
}

// dial opens a stream, unless Finish comes before.
func (s *Session) dial(ctx context.Context, from Cursor) (Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.stopDial = cancel
	if s.finishing {
		cancel()
	}
	s.mu.Unlock()
	return s.Dialer.Dial(ctx, from)
}

// publish makes the stream the one that Send and Finish reach. It fails where Finish came before.
func (s *Session) publish(stream Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = stream
	return !s.finishing
}

func (s *Session) read(stream Stream, cursor *Cursor, hint *time.Duration) (err error) {
	for ev, err := range stream.Events() {
		if err != nil {
			return err
		}
		*cursor = append((*cursor)[:0], ev.ID...)
		if ev.Retry >= 0 {
			*hint = ev.Retry
		}
		s.Observer.Received(ev)
	}
	return errors.New("the stream ended without saying why")
}

// next decides what comes after an attempt.
func (s *Session) next(ctx context.Context, closed *Closed, failed int, random *rand.Rand) (wait time.Duration, final bool) {
	s.mu.Lock()
	closed.Asked = s.finishing || ctx.Err() != nil
	s.mu.Unlock()
	if closed.Asked || errors.Is(closed.Err, ErrDone) {
		return 0, true
	}
	e := Classify(closed.Err)
	if !e.Temporary() {
		return 0, true
	}
	wait, ok := s.Backoff.Wait(failed, closed.RetryHint, random)
	return max(wait, e.RetryAfter), !ok
}

// sleep waits for d; false if Finish or ctx ended the wait.
func (s *Session) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.wake:
	}
	return false
}

// Send writes one message on the open stream. It fails with ErrNotOpen between two, and where the stream can't send.
func (s *Session) Send(ctx context.Context, p []byte) error {
	s.mu.Lock()
	stream := s.stream
	s.mu.Unlock()
	if stream == nil {
		return ErrNotOpen
	}
	sender, ok := stream.(Sender)
	if !ok {
		return errors.ErrUnsupported
	}
	return sender.Send(ctx, p)
}

// Finish ends the subscription without losing what is under way: it asks the peer to end the stream, and Run returns
// when it did. Where no stream is open, or it can't be asked, Run returns at once. Finish waits for a Send under way.
func (s *Session) Finish() {
	stream := s.finish()
	if stream == nil {
		return
	}
	if finisher, ok := stream.(Finisher); !ok || finisher.Finish() != nil {
		stream.Close()
	}
}

// finish ends what can be ended without the peer, and gives the stream that is to be finished, if any.
func (s *Session) finish() Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finishing {
		return nil
	}
	s.finishing = true
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	close(s.wake)
	if s.stopDial != nil {
		s.stopDial()
	}
	return s.stream
}
