package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/check"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// trace is --debug: one connection, and a line for everything that happens on it, or is published.
func (f *loadFlags) trace(ctx context.Context, std streams, p *protocol, t *target, dialers dialerMaker, plan bench.Plan) error {
	dialer, err := dialers(0)
	if err != nil {
		return usage(err, "the URL or a header is a template")
	}
	request, err := t.request(0)
	if err != nil {
		return usage(err, "the URL or a header is a template")
	}
	options := check.Options{Backoff: plan.Backoff, From: plan.From, Events: plan.Events}
	if f.given("duration") || f.given("z") {
		options.For = plan.Duration
	}
	shower := &traceWriter{w: std.out, stamp: plan.Stamp, token: plan.Token, secrets: t.secrets}
	if t.publish != nil {
		publishers, stop, err := t.publish.open(t)
		if err != nil {
			return err
		}
		defer stop()
		if shower.publish, err = t.publish.request(t); err != nil {
			return err
		}
		options.Publish = t.publish.post(publishers[0])
		if f.given("rate") {
			options.Every = time.Duration(float64(time.Second) / float64(f.rate))
		}
	}
	shower.line(0, "dial", cmp.Or(request.Method, http.MethodGet)+" "+oneLine(report.RedactURL(request.URL)))
	if err := check.Trace(ctx, dialer, options, shower.show); err != nil {
		return p.failure(err)
	}
	stopped, interrupted := stoppedBy(ctx)
	switch {
	case shower.failed != nil && !shower.connected:
		return p.failure(shower.failed)
	case !shower.connected && !interrupted:
		return &failure{exitFailed, errors.New("nothing ever connected: no attempt had been answered when the time was over"), "a longer --duration waits for an answer, for as long as --timeout says"}
	case shower.refused != nil && !shower.accepted:
		return &failure{exitFailed, fmt.Errorf("nothing was published: %w", shower.refused), "the lines above say what was refused"}
	case interrupted:
		return &failure{code: exitOfSignal(stopped.signal)}
	}
	return nil
}

// traceWriter writes steps as lines of text.
type traceWriter struct {
	w       io.Writer
	stamp   client.Field
	token   client.Field
	publish string // the request that publishes
	secrets *report.Secrets

	connected bool  // at least once
	failed    error // why the last attempt failed
	accepted  bool  // something that was published was
	refused   error // why the last message wasn't
}

// quote is what a server wrote, on one line.
func (t *traceWriter) quote(text string) string { return oneLine(t.secrets.Hide(text)) }

func (t *traceWriter) line(at time.Duration, kind check.Kind, text string) {
	fmt.Fprintf(t.w, "%10.3fs  %-7s  %s\n", at.Seconds(), kind, text)
}

func (t *traceWriter) show(s check.Step) {
	line := func(format string, args ...any) { t.line(s.At, s.Kind, fmt.Sprintf(format, args...)) }
	switch s.Kind {
	case check.Opened:
		t.connected = true
		t.opened(line, s.Opened)
	case check.Event:
		t.event(line, s.Event)
	case check.Comment:
		line("%s", t.quote(string(s.Event.Data)))
	case check.Hint:
		line("%s", t.eventFields(s.Event))
	case check.Closed:
		t.closed(line, s.Closed)
	case check.Published:
		took := scaled(s.Published.Took)
		if err := s.Published.Err; err != nil {
			t.refused = client.Classify(err)
			line("%s  refused after %s: %s", t.publish, took, oneLine(t.refused.Error()))
		} else {
			t.accepted = true
			line("%s  accepted after %s", t.publish, took)
		}
	}
}

func (t *traceWriter) opened(line func(string, ...any), o client.Opened) {
	info := o.Info
	what := []string{info.Proto}
	if info.TLS != "" {
		what = append(what, info.TLS)
	}
	if info.Subprotocol != "" {
		what = append(what, "subprotocol "+t.quote(redactSubprotocol(info.Subprotocol)))
	}
	line("%s  %s → %s", strings.Join(what, ", "), info.Local, info.Remote)
	var phases []string
	for _, p := range []struct {
		name string
		took time.Duration
	}{{"dns", info.Phases.DNS}, {"tcp", info.Phases.TCP}, {"tls", info.Phases.TLS}, {"upgrade", info.Phases.Upgrade}, {"connect", info.Phases.Total}} {
		if p.took >= 0 {
			phases = append(phases, p.name+" "+scaled(p.took))
		}
	}
	line("%s", strings.Join(phases, ", "))
	if len(o.From) > 0 {
		line("resuming from %s", t.quote(string(o.From)))
	}
	names := make([]string, 0, len(info.Header))
	for name := range info.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range info.Header[name] {
			line("%s: %s", t.quote(name), t.quote(report.RedactHeader(name, value)))
		}
	}
}

// eventFields lists what an event has besides its data.
func (t *traceWriter) eventFields(ev client.Event) string {
	var fields []string
	if ev.OwnID {
		fields = append(fields, "id="+brief(t.secrets.Hide(string(ev.ID))))
	}
	if ev.Kind != "" && ev.Kind != "message" {
		fields = append(fields, "event="+brief(t.secrets.Hide(ev.Kind)))
	}
	if ev.Retry >= 0 {
		fields = append(fields, "retry="+scaled(ev.Retry))
	}
	if ev.Binary {
		fields = append(fields, "binary")
	}
	return strings.Join(fields, " ")
}

// maxBrief is how many columns of an id or of a kind are shown.
const maxBrief = 60

// brief is the beginning of what a server wrote, on one line.
func brief(s string) string { return ansi.Truncate(oneLine(s), maxBrief, "…") }

func (t *traceWriter) event(line func(string, ...any), ev client.Event) {
	var notes []string
	if fields := t.eventFields(ev); fields != "" {
		notes = append(notes, fields)
	}
	arrival := ev.Arrival.User.UnixNano()
	if sent, ok := t.stamp.Time(ev.Data); ok {
		notes = append(notes, "sent "+ago(arrival-sent))
	} else if stamp, ok := t.stampOf(ev.Data); ok {
		notes = append(notes, fmt.Sprintf("seq=%d due %s", stamp.Seq, ago(arrival-stamp.Due)))
	} else if !t.token.IsZero() {
		notes = append(notes, "no stamp at "+oneLine(t.token.String()))
	}
	notes = append(notes, fmt.Sprintf("%d bytes", len(ev.Data)), t.quote(string(ev.Data)))
	line("%s", strings.Join(notes, "  "))
}

// stampOf finds rtbench's own stamp, at --token where that is given.
func (t *traceWriter) stampOf(data []byte) (stamp client.Stamp, ok bool) {
	if !t.token.IsZero() {
		if data, ok = t.token.Text(data); !ok {
			return stamp, false
		}
	}
	stamp, _, ok = client.FindStamp(data, 0)
	return stamp, ok
}

// scaled is a time for people, as reports write it.
func scaled(d time.Duration) string { return report.Scale(float64(d), bench.Nanoseconds) }

// ago says how long before its arrival something was, in ns; afterwards, where clocks disagree.
func ago(ns int64) string {
	if ns < 0 {
		return report.Scale(float64(-ns), bench.Nanoseconds) + " in the future"
	}
	return report.Scale(float64(ns), bench.Nanoseconds) + " ago"
}

func (t *traceWriter) closed(line func(string, ...any), c client.Closed) {
	switch {
	case c.Asked && !c.Opened:
		line("given up by us: no answer yet")
		return
	case c.Asked:
		line("closed by us")
		return
	case errors.Is(c.Err, client.ErrDone):
		line("%v", c.Err)
		return
	}
	if !c.Opened {
		t.failed = c.Err
	}
	line("%s", oneLine(client.Classify(c.Err).Error()))
	if !c.Final {
		line("next attempt in %s", scaled(c.Wait))
	}
}
