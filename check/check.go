// Package check looks at one endpoint: it opens one connection, keeps it open as a session would, and tells every
// step of it, so that somebody can see what a server really sends.
//
//	client.Dialer → Trace → Step, Step, …
//
// It measures nothing and judges nothing; it never has more than one connection open.
package check

import (
	"context"
	"errors"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A Kind says what happened in a Step.
type Kind string

const (
	Opened  Kind = "open"
	Event   Kind = "event"
	Comment Kind = "comment"
	Hint    Kind = "hint"
	Closed  Kind = "close"
)

// A Step is one thing that happened on the connection. Opened, Event and Closed are set as Kind says, and valid only
// during the call.
type Step struct {
	At     time.Duration // since Trace was called
	Kind   Kind
	Opened client.Opened
	Event  client.Event
	Closed client.Closed
}

// Options bound a Trace.
type Options struct {
	Backoff client.Backoff
	From    client.Cursor
	Events  uint64        // stop after so many; 0 for no limit
	For     time.Duration // stop after so long; 0 for no limit
}

// Trace opens one connection through d and calls show for every step, on one goroutine, until ctx ends, Options say
// stop or the subscription ends for good. It returns why the last stream ended; nil if it was asked to, and if it met
// its end marker.
func Trace(ctx context.Context, d client.Dialer, o Options, show func(Step)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.For > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.For)
		defer stop()
	}
	t := &tracer{start: time.Now(), show: show, left: o.Events, cancel: cancel}
	session := client.Session{Dialer: d, Backoff: o.Backoff, Observer: t, From: o.From}
	err := session.Run(ctx)
	if ctx.Err() != nil || errors.Is(err, client.ErrDone) {
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
}

func (t *tracer) at(when time.Time) time.Duration { return when.Sub(t.start) }

func (t *tracer) Opened(o client.Opened) { t.show(Step{At: t.at(o.At), Kind: Opened, Opened: o}) }

func (t *tracer) Closed(c client.Closed) { t.show(Step{At: t.at(c.At), Kind: Closed, Closed: c}) }

func (t *tracer) Received(ev client.Event) {
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
	t.show(Step{At: t.at(ev.Arrival.User), Kind: kind, Event: ev})
	if kind == Event && t.left > 0 {
		if t.left--; t.left == 0 {
			t.stopped = true
			t.cancel()
		}
	}
}
