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
// Set the exported fields, then call Run or Start once. Send and Finish may be called from other goroutines.
type Session struct {
	Observer Observer

	// What runs the session has these: its goroutine, or what pushes the open stream. Each event touches the first of them.
	hint     time.Duration // reconnection time in force; negative if none
	cursor   Cursor
	short    [16]byte // of cursor, as long as that is no longer
	attempts int
	failed   int             // attempts in a row
	random   *rand.Rand      // nil until a wait
	ctx      context.Context // of the stream that is pushed
	stop     func() bool     // ends the watch of that for it
	done     func(error)     // told the end of what was started

	Dialer  Dialer
	Backoff Backoff
	From    Cursor  // where to start; empty for "from now"
	Seed    uint64  // of the jitter
	Alarms  *Alarms // that end its waits; nil for Go's timers

	mu        sync.Mutex
	stream    Stream             // the open one, nil between two
	broken    Break              // how it was broken off; "" where it wasn't
	brokenAt  time.Time          // when
	unheard   []Stream           // those of before that were black holes: closing them tells the peer
	stopDial  context.CancelFunc // ends the Dial under way
	finishing bool
	asked     time.Time     // when Finish was called
	wake      chan struct{} // closed by Finish, to end a wait
}

// An Observer is told what a Session does, one thing at a time, on the goroutine of its Run, or on those that Start uses. It
// must not block, and must not keep what Received hands it.
type Observer interface {
	Opened(Opened)
	Received(*Event)
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
	Started   time.Time     // when Dial was called
	Opened    bool          // a stream was open
	Err       error         // why; never nil
	Broken    Break         // how the stream that ended had been broken off by Break; "" where it hadn't
	BrokenAt  time.Time     // when
	Asked     bool          // it ended because Finish or the context asked for it
	Final     bool          // the session won't dial again; one that is asked to end while it waits says no more
	Wait      time.Duration // until the next attempt, from At on
	RetryHint time.Duration // reconnection time in force, set by the server; negative if none
	Info      Info          // of the stream that ended; with no first byte where only Finish had one sent
}

// ErrNotOpen is returned by Send between two streams.
var ErrNotOpen = errors.New("no stream is open")

// Run dials and reads until the subscription has ended for good, and returns why. It ends when ctx does, closing the
// stream at once, and after Finish, when the peer has ended the stream.
func (s *Session) Run(ctx context.Context) error {
	s.begin()
	err, _ := s.goOn(ctx, false)
	return err
}

// Start is Run without a goroutine that waits for it, and without one for each stream that is open where streams can be
// pushed. done is called with what Run would return. It returns at once.
func (s *Session) Start(ctx context.Context, done func(error)) {
	s.begin()
	s.done = done
	go s.start(ctx)
}

// start goes on, where streams may be pushed.
func (s *Session) start(ctx context.Context) {
	if err, over := s.goOn(ctx, true); over {
		s.done(err)
	}
}

// goOn dials and reads until the subscription has ended for good, and says why. It isn't over where a stream is open that
// is pushed, which only happens where that is allowed.
func (s *Session) goOn(ctx context.Context, pushes bool) (err error, over bool) {
	for {
		stream, closed := s.open(ctx)
		if stream != nil {
			if pushes && s.push(ctx, stream) {
				return nil, false
			}
			closed = s.run(ctx, stream)
		}
		if s.closed(ctx, closed) {
			return closed.Err, true
		}
	}
}

func (s *Session) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	s.cursor, s.hint = append(s.short[:0], s.From...), -1
}

// open makes one attempt: it gives a stream, or how that has failed.
func (s *Session) open(ctx context.Context) (Stream, Closed) {
	started := time.Now()
	stream, err := s.dial(ctx, s.cursor)
	if err != nil {
		return nil, Closed{At: time.Now(), Started: started, Err: err}
	}
	s.Observer.Opened(Opened{At: time.Now(), Attempt: s.attempts, From: s.cursor, Info: stream.Info()})
	return stream, Closed{}
}

// run reads a stream to its end.
func (s *Session) run(ctx context.Context, stream Stream) Closed {
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	err := errFinished
	if s.publish(stream) {
		err = s.read(stream)
	}
	stop()
	return s.ended(stream, err)
}

// push has the events of a stream handed to the session. It reports false where the stream can't do that, or Finish came
// before; then nothing has happened.
func (s *Session) push(ctx context.Context, stream Stream) bool {
	pusher, ok := stream.(Pusher)
	if !ok {
		return false
	}
	s.mu.Lock() // nothing is to be sent before it is pushed, and its end is not to come before it was there
	defer s.mu.Unlock()
	s.ctx = ctx
	if s.finishing || !pusher.Push((*pushing)(s)) {
		return false
	}
	s.stream = stream
	s.stop = context.AfterFunc(ctx, func() { stream.Close() })
	return true
}

// pushing is a session as the sink of its stream.
type pushing Session

// Take implements Sink.
func (p *pushing) Take(ev *Event, err error) (more bool) {
	s := (*Session)(p)
	if err != nil {
		s.pushed(err)
		return false
	}
	s.received(ev)
	return true
}

// pushed goes on where the stream that was pushed has ended.
func (s *Session) pushed(err error) {
	s.mu.Lock()
	ctx, stream, stop := s.ctx, s.stream, s.stop
	s.mu.Unlock()
	stop()
	closed := s.ended(stream, err)
	if s.closed(ctx, closed) {
		s.done(closed.Err)
		return
	}
	s.start(ctx)
}

// heeded is how long a peer may go on sending on a stream that is half-closed. One that does for longer has ignored it, and
// if it ends the stream after all, that is for another reason.
const heeded = 5 * time.Second

// ended lets go of a stream.
func (s *Session) ended(stream Stream, err error) Closed {
	s.mu.Lock()
	broken, at, asked := s.broken, s.brokenAt, s.asked
	s.stream, s.broken = nil, ""
	if broken == BreakBlackhole {
		s.unheard = append(s.unheard, stream)
	}
	s.mu.Unlock()
	info := stream.Info()
	if broken == BreakHalfClose && info.LastByte.Sub(at) > heeded {
		broken = ""
	}
	if !asked.IsZero() && info.FirstByte.After(asked) {
		info.FirstByte = time.Time{}
	}
	closed := Closed{At: time.Now(), Started: info.Started, Opened: true, Err: err, Broken: broken, BrokenAt: at, Info: info}
	if broken != BreakBlackhole {
		stream.Close()
	}
	return closed
}

// closed takes how an attempt has ended, and waits for the next one. It reports whether there is none.
func (s *Session) closed(ctx context.Context, closed Closed) (over bool) {
	s.attempts++
	closed.RetryHint = s.hint
	if closed.Opened {
		s.failed = 0
	}
	if s.random == nil {
		s.random = rand.New(rand.NewPCG(s.Seed, 0))
	}
	closed.Wait, closed.Final = s.next(ctx, &closed)
	s.failed++
	s.Observer.Closed(closed)
	if !closed.Final && s.Alarms.Wait(ctx, closed.At.Add(closed.Wait), s.wake) {
		return false
	}
	for _, stream := range s.unheard {
		stream.Close()
	}
	s.unheard = nil
	return true
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
	defer s.dialed()
	return s.Dialer.Dial(ctx, from)
}

// dialed lets go of what dialing has made.
func (s *Session) dialed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopDial = nil
}

// publish makes the stream the one that Send and Finish reach. It fails where Finish came before.
func (s *Session) publish(stream Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream = stream
	return !s.finishing
}

func (s *Session) read(stream Stream) error {
	var kept Event // one for all: an observer has its address
	for ev, err := range stream.Events() {
		if err != nil {
			return err
		}
		kept = ev
		s.received(&kept)
	}
	return errors.New("the stream ended without saying why")
}

func (s *Session) received(ev *Event) {
	s.cursor = append(s.cursor[:0], ev.ID...)
	if ev.Retry >= 0 {
		s.hint = ev.Retry
	}
	s.Observer.Received(ev)
}

// next decides what comes after an attempt.
func (s *Session) next(ctx context.Context, closed *Closed) (wait time.Duration, final bool) {
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
	wait, ok := s.Backoff.Wait(s.failed, closed.RetryHint, s.random)
	return max(wait, e.RetryAfter), !ok
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

// Ping asks the peer of the open stream for a sign of life, without waiting for it. It reports whether it could.
func (s *Session) Ping() bool {
	s.mu.Lock()
	pinger, ok := s.stream.(Pinger)
	s.mu.Unlock()
	return ok && pinger.Ping()
}

// Break breaks the open stream off, which the session takes for a drop when it hears of it: of a connection that is closed
// or reset at once, of one that is half-closed if the peer ends it for that, and of a black hole when its limit for silence is
// over.
// It reports whether a stream was open.
func (s *Session) Break(how Break) bool {
	s.mu.Lock()
	breaker, ok := s.stream.(Breaker)
	if !ok || s.finishing || s.broken != "" && (s.broken != BreakHalfClose || how == s.broken) { // a peer may ignore that one
		s.mu.Unlock()
		return false
	}
	s.broken, s.brokenAt = how, time.Now()
	s.mu.Unlock()
	_ = breaker.Break(how) // it fails where the stream has just ended, which then counts as broken off
	return true
}

// Finish ends the subscription without losing what is under way: it asks the peer to end the stream, and Run returns
// when it did. Where no stream is open, or it can't be asked, Run returns at once. Finish waits for a Send under way.
func (s *Session) Finish() {
	stream := s.finish()
	if stream == nil {
		return
	}
	s.mu.Lock()
	deaf := s.broken == BreakBlackhole
	s.mu.Unlock()
	if finisher, ok := stream.(Finisher); !ok || deaf || finisher.Finish() != nil {
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
	s.finishing, s.asked = true, time.Now()
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	close(s.wake)
	if s.stopDial != nil {
		s.stopDial()
	}
	return s.stream
}
