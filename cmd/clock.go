package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// clockFlags say where the server's time is asked for.
type clockFlags struct {
	clock      string
	clockField parsed[client.Field]
}

func (f *loadFlags) registerClock() {
	f.set.StringVar(&f.clock, "clock", "", "ask this `URL`, or path on the target's host, for the time of a server that isn't on this host")
	f.clockField = parsed[client.Field]{kind: "field", parse: client.ParseField}
	f.set.Var(&f.clockField, "clock-field", "where its answer has the time: `json:PATH`")
	byDefault(f.set, "clock-field", "its Date header")
	heading(f.set, "clock")
}

// checkClock finds flags of a clock that nobody asks, or that can't be asked.
func (f *loadFlags) checkClock() error {
	if f.given("clock-field") && !f.given("clock") {
		return usage(errors.New("--clock-field without --clock"), "--clock URL says where the time is asked for")
	}
	if f.clock == "" || onTarget(f.clock) {
		return nil
	}
	if !strings.Contains(f.clock, "://") {
		return usage(fmt.Errorf("--clock: %q is neither a URL nor a path", report.BareURL(f.clock)), "such as http://HOST:PORT/PATH, or /PATH on the target's host")
	}
	if err := checkURL(f.clock, []string{"http", "https"}); err != nil {
		return in("--clock", err)
	}
	return nil
}

// onTarget reports whether what a flag says is a path on the target's host.
func onTarget(s string) bool { return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") }

// openClock gives the clock to ask, nil for none, and what closes it. On the target's own host it is asked with the
// headers of its connections, and as their user.
func (f *loadFlags) openClock(t *target) (clock bench.Clock, stop func(), err error) {
	if f.clock == "" {
		return nil, func() {}, nil
	}
	request := client.Request{URL: f.clock}
	if onTarget(f.clock) {
		own, err := t.request(0)
		if err != nil {
			return nil, nil, err
		}
		u, err := url.Parse(own.URL)
		if err != nil {
			return nil, nil, err
		}
		request.Header = own.Header
		base := url.URL{Scheme: strings.Replace(u.Scheme, "ws", "http", 1), User: u.User, Host: u.Host}
		request.URL = base.String() + f.clock
	}
	asked := &client.Clock{Net: t.net, Request: request, Field: f.clockField.value()}
	return serverClock{asked}, asked.Close, nil
}

// serverClock is a client.Clock for a bench.Plan.
type serverClock struct{ *client.Clock }

// Ask implements bench.Clock.
func (c serverClock) Ask(ctx context.Context) (bench.Reading, error) {
	reading, err := c.Clock.Ask(ctx)
	return bench.Reading(reading), err
}
