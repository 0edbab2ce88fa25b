// Package check looks at one endpoint. Trace opens one connection, keeps it open as a session would, and tells every step
// of it, so that somebody can see what a server really sends; it can have something published meanwhile, so that it is seen
// how that arrives.
//
//	client.Dialer → Trace → Step, Step, …
//
// Two searches find what an endpoint can bear: a Horizon how long a client may be away before resuming loses something, a
// Silence when a connection is cut on which the client says nothing, and which heartbeats come meanwhile.
//
//	client.Dialer, … → Horizon → HorizonResult
//	client.Dialer, … → Silence → SilenceResult
//
// It times no delivery, never has more than a few dozen streams open, and says of what it can't tell that it can't. Both
// searches are bounded, in time and memory.
package check

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A Kind says what happened in a Step.
type Kind string

const (
	Opened    Kind = "open"
	Event     Kind = "event"
	Comment   Kind = "comment"
	Hint      Kind = "hint"
	Closed    Kind = "close"
	Published Kind = "publish"
)

// A Step is one thing that happened on the connection, or that a message was published or refused. Opened, Event, Closed and
// Published are set as Kind says, and valid only during the call.
type Step struct {
	At        time.Duration // since Trace was called
	Kind      Kind
	Opened    client.Opened
	Event     client.Event
	Closed    client.Closed
	Published Reply
}

// A Reply is what came of a message that was published.
type Reply struct {
	Took time.Duration
	Err  error // why it wasn't accepted; nil if it was
}

// Options bound a Trace.
type Options struct {
	Backoff client.Backoff
	From    client.Cursor
	Events  uint64        // stop after so many; 0 for no limit
	For     time.Duration // stop after so long; 0 for no limit

	// Publish publishes message n, counted from 0, and waits for the reply; nil to publish nothing. It is called for the
	// first time once a stream is open, and by one goroutine.
	Publish func(ctx context.Context, n uint64) error
	Every   time.Duration // between two messages; 0 to publish but one
}

// settling is how long after a stream has opened the first message is published: some servers answer before they subscribe.
const settling = 100 * time.Millisecond

// Trace opens one connection through d and calls show for every step, one call at a time, until ctx ends, Options say
// stop or the subscription ends for good. It returns why the last stream ended; nil if it was asked to, and if it met
// its end marker.
func Trace(ctx context.Context, d client.Dialer, o Options, show func(Step)) error {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.For > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.For)
		defer stop()
	}
	t := &tracer{start: time.Now(), left: o.Events, cancel: cancel}
	t.show = func(s Step) {
		t.mu.Lock()
		defer t.mu.Unlock()
		show(s)
	}
	if o.Publish != nil {
		t.open = func() { t.publishing.Go(func() { t.publish(caller, ctx.Done(), &o) }) }
	}
	session := client.Session{Dialer: d, Backoff: o.Backoff, Observer: t, From: o.From}
	err := session.Run(ctx)
	over := ctx.Err() != nil
	cancel()
	t.publishing.Wait() // a reply that is under way is told
	if over || errors.Is(err, client.ErrDone) {
		return nil
	}
	return err
}

// tracer is the session's Observer.
type tracer struct {
	start   time.Time
	show    func(Step)
	left    uint64 // events to show; 0 for no limit
	stopped bool   // there were enough
	cancel  context.CancelFunc

	mu         sync.Mutex // of show
	open       func()     // once there is a stream; nil if that has been, or nothing is to be done then
	publishing sync.WaitGroup
}

func (t *tracer) at(when time.Time) time.Duration { return when.Sub(t.start) }

func (t *tracer) Opened(o client.Opened) {
	t.show(Step{At: t.at(o.At), Kind: Opened, Opened: o})
	if t.open != nil {
		t.open()
		t.open = nil
	}
}

// publish publishes and tells the replies, until done.
func (t *tracer) publish(ctx context.Context, done <-chan struct{}, o *Options) {
	timer := time.NewTimer(settling)
	defer timer.Stop()
	for n := uint64(0); ; n++ {
		select {
		case <-timer.C:
		case <-done:
			return
		}
		timer.Reset(o.Every)
		began := time.Now()
		err := o.Publish(ctx, n)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		t.show(Step{At: t.at(now), Kind: Published, Published: Reply{now.Sub(began), err}})
		if o.Every == 0 {
			return
		}
	}
}

func (t *tracer) Closed(c client.Closed) { t.show(Step{At: t.at(c.At), Kind: Closed, Closed: c}) }

func (t *tracer) Received(ev *client.Event) {
	if t.stopped {
		return // it was on its way already
	}
	kind := Event
	switch ev.Type {
	case client.Comment:
		kind = Comment
	case client.Hint:
		kind = Hint
	}
	t.show(Step{At: t.at(ev.Arrival.User), Kind: kind, Event: *ev})
	if kind == Event && t.left > 0 {
		if t.left--; t.left == 0 {
			t.stopped = true
			t.cancel()
		}
	}
}
