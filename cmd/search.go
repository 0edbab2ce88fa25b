package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/check"
	"github.com/rtbench/rtbench/report"
)

// The searches, by their flags.
const (
	horizonFlag = "resume-horizon"
	idleFlag    = "find-idle-limit"
)

func (f *loadFlags) registerSearches() {
	set := f.set
	set.DurationVar(&f.horizon, horizonFlag, 0, "find how long a client may be away before resuming loses something, `[=LIMIT]` at most; -c bounds how many are away at a time")
	set.Lookup(horizonFlag).NoOptDefVal = check.DefaultHorizon.String()
	byDefault(set, horizonFlag, "without a value "+plainDuration(check.DefaultHorizon))
	set.Var(&f.horizonEvents, horizonFlag+"-events", "with that: come back, too, after so many events")
	byDefault(set, horizonFlag+"-events", "no limit")
	set.DurationVar(&f.silent, idleFlag, 0, "find heartbeats, and when a connection is cut on which the client says nothing, within `[=LIMIT]`; -c says on how many")
	set.Lookup(idleFlag).NoOptDefVal = check.DefaultIdle.String()
	byDefault(set, idleFlag, "without a value "+plainDuration(check.DefaultIdle)+", on 3 connections")
	heading(set, "searches")
}

// plainDuration is a duration as a user writes it: 5m and not 5m0s.
func plainDuration(d time.Duration) string { return strings.TrimSuffix(d.String(), "0s") }

// searchConflicts are the flags that a search has no use for.
func searchConflicts() (list []conflict) {
	for _, group := range [...]struct {
		why   string
		flags []string
	}{
		{"a search opens its connections as it needs them, and its limit says how long it takes", []string{"stage", "duration", "z", "events", "connect-rate", "warmup", "drain"}},
		{"a search only receives", []string{"rate", "rate-scope", "message", "message-file", "chat", "done", "publish", "publish-method", "publish-header", "publish-body", "publishers", "ping"}},
		{"a search times no deliveries", []string{"stamp", "seq", "token", "clock", "clock-field"}},
		{"a search is of the target itself", []string{"via-faults"}},
		{"a search decides itself when to connect, and where to go on", []string{"reconnect", "reconnect-wait", "reconnect-max-wait", "reconnect-attempts", "jitter", "drop", "churn", "slow", "last-event-id"}},
		{"a search has a report of its own, without metrics", []string{"threshold", "abort-on-fail", "strict", "debug", "watch-deploy"}},
	} {
		for _, name := range group.flags {
			list = append(list, conflict{horizonFlag, name, group.why, ""}, conflict{idleFlag, name, group.why, ""})
		}
	}
	return append(list,
		conflict{horizonFlag, idleFlag, "one search at a time", ""},
		conflict{idleFlag, "idle-timeout", "then the connections are cut by rtbench itself", ""})
}

// checkSearches finds flags of a search that say nothing, or too little.
func (f *loadFlags) checkSearches() error {
	switch {
	case f.given(horizonFlag) && f.horizon <= 0:
		return usage(fmt.Errorf("--%s=%s is not a time to be away", horizonFlag, f.horizon), "such as --%s=60s", horizonFlag)
	case f.given(idleFlag) && f.silent <= 0:
		return usage(fmt.Errorf("--%s=%s is not a time to look for", idleFlag, f.silent), "such as --%s=5m", idleFlag)
	case f.given(horizonFlag+"-events") && !f.given(horizonFlag):
		return usage(fmt.Errorf("%s without --%s", f.spelled(horizonFlag+"-events"), horizonFlag), "--%s starts the search that it bounds", horizonFlag)
	case f.given(horizonFlag) && f.given("connections") && f.connections < 2:
		return usage(fmt.Errorf("--%s needs two connections at least", horizonFlag), "one that stays, and one that leaves and comes back")
	case f.given(horizonFlag) && f.set.Lookup("id") != nil && !f.given("id"):
		return usage(fmt.Errorf("--%s needs to know the id of a message", horizonFlag), "--id json:PATH says where it is, and --resume how to go on after it")
	case f.given(horizonFlag) && f.set.Lookup("resume") != nil && !f.given("resume") && !strings.Contains(strings.Join(f.subscribe, ""), ".LastID"):
		return usage(fmt.Errorf("--%s needs to know how to go on after an id", horizonFlag), "--resume query:NAME={{.LastID}}, or --subscribe with {{.LastID}} in it")
	case f.searches():
		return f.checkSearchFormats()
	}
	return nil
}

// searches reports whether the flags ask for a search.
func (f *loadFlags) searches() bool { return f.given(horizonFlag) || f.given(idleFlag) }

// checkSearchFormats finds formats that a search isn't written in.
func (f *loadFlags) checkSearchFormats() error {
	formats := []report.Format{f.reportFormat()}
	for _, path := range f.outputs {
		if format, ok := report.FormatForFile(path); ok {
			formats = append(formats, format)
		}
	}
	for _, format := range formats {
		if format != report.Text && format != report.JSON {
			return usage(fmt.Errorf("a search isn't written as %s", format), "there are %s and %s", report.Text, report.JSON)
		}
	}
	return nil
}

// search makes a search from its flags to the exit code.
func (f *loadFlags) search(ctx context.Context, std streams, p *protocol, dialers dialerMaker, rawURL string, outputs []output) error {
	progress := func(at time.Duration, line string) {
		if !f.quiet {
			fmt.Fprintf(std.err, "%7.1fs  %s\n", at.Seconds(), line)
		}
	}
	s := searched{Tool: searchTool{"rtbench", buildVersion()}, Command: "rtbench " + p.name, Target: report.RedactURL(rawURL)}
	find := f.findHorizon
	if f.given(idleFlag) {
		find = f.findIdle
	}
	found, err := find(ctx, dialers, progress)
	if stopped, ok := stoppedBy(ctx); ok && err != nil {
		return &failure{code: exitOfSignal(stopped.signal)}
	}
	if err != nil {
		return p.failure(err)
	}
	s.answer = found
	if err := f.writeAll(std, outputs, s.files, func(w io.Writer, format report.Format) error { return s.write(w, format) }); err != nil {
		return &failure{exitFailed, err, "the report is on stderr"}
	}
	if stopped, ok := stoppedBy(ctx); ok {
		return &failure{code: exitOfSignal(stopped.signal)}
	}
	return nil
}

// A searched is a search with its result, to be written.
type searched struct {
	Tool            searchTool
	Command, Target string
	answer
}

type searchTool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// An answer is what a search came to.
type answer interface {
	// document is what JSON has of it, behind a head.
	document(head searchHead) any
	// text is what people read of it.
	text(page *page)
}

// A searchHead is how every document of a search begins.
type searchHead struct {
	Kind    string     `json:"kind"`
	Version int        `json:"version"`
	Tool    searchTool `json:"tool"`
	Command string     `json:"command"`
	Target  string     `json:"target"`
}

// searchVersion changes where a key of a document changes its meaning or goes.
const searchVersion = 1

func (s searched) write(w io.Writer, format report.Format) error {
	if format != report.JSON {
		var p page
		p.line("%s", strings.TrimSpace(report.Plain(s.Command)+"  "+report.Plain(s.Target)))
		s.text(&p)
		_, err := io.WriteString(w, p.b.String())
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(s.document(searchHead{Version: searchVersion, Tool: s.Tool, Command: s.Command, Target: s.Target}))
}

func (s searched) files(out output) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{out.path: func(w io.Writer) error { return s.write(w, out.format) }}
}

// findHorizon makes the search of --resume-horizon.
func (f *loadFlags) findHorizon(ctx context.Context, dialers dialerMaker, progress func(time.Duration, string)) (answer, error) {
	h := check.Horizon{Dial: dialers, Limit: f.horizon, Events: uint64(f.horizonEvents)}
	if f.given("connections") {
		h.Connections = int(min(f.connections, check.DefaultHorizonConnections))
	}
	h.Show = func(s check.HorizonStep) {
		if p := s.Back; p != nil {
			progress(s.At, fmt.Sprintf("away for %s: %s", awayText(p), outcomeText(p)))
			return
		}
		span := scaled(s.Plan[0])
		if len(s.Plan) > 1 {
			span += " to " + scaled(s.Plan[len(s.Plan)-1])
		}
		progress(s.At, fmt.Sprintf("round %d of at most %d: %s away for %s", s.Round, s.Rounds, plural(len(s.Plan), "probe"), span))
	}
	cost := h.Cost()
	progress(0, fmt.Sprintf("%s and %s at a time, in at most %s: %s in all, and what waiting for rare events takes",
		plural(cost.References, "reference"), plural(cost.Probes, "probe"), plural(cost.Rounds, "round"), scaled(cost.Time)))
	r, err := h.Find(ctx)
	return horizonFinding{r}, err
}

// findIdle makes the search of --find-idle-limit.
func (f *loadFlags) findIdle(ctx context.Context, dialers dialerMaker, progress func(time.Duration, string)) (answer, error) {
	x := check.Silence{Dial: dialers, Limit: f.silent}
	if f.given("connections") {
		x.Connections = int(f.connections)
	}
	x.Show = func(s check.SilenceStep) {
		h := s.Held
		switch {
		case h.Failure != nil:
			progress(s.At, fmt.Sprintf("connection %d wasn't opened: %s", h.Conn, oneLine(h.Failure.Error())))
		case h.Ended:
			progress(s.At, fmt.Sprintf("connection %d was cut after %s, %s of them silent: %s", h.Conn, scaled(h.Age), scaled(h.Silence), oneLine(h.Cut.Error())))
		default:
			progress(s.At, fmt.Sprintf("connection %d is open, and says nothing", h.Conn))
		}
	}
	connections := x.Connections
	if connections == 0 {
		connections = check.DefaultIdleConnections
	}
	progress(0, fmt.Sprintf("%s: %s at most, or until all are cut", plural(connections, "connection"), scaled(f.silent)))
	r, err := x.Find(ctx)
	return silenceFinding{r}, err
}

// plural is a number of things.
func plural(n int, thing string) string {
	text := report.Scale(float64(n), bench.Number) + " " + thing
	if n != 1 {
		text += "s"
	}
	return text
}

// errNeedsEquals is what is wrong where a limit stands by itself.
var errNeedsEquals = errors.New("a search's limit is written with =")

// limitAlone finds a limit of a search that stands by itself among the arguments, where it would be a URL.
func limitAlone(args []string) error {
	for _, arg := range args {
		if _, err := time.ParseDuration(arg); err == nil {
			return usage(fmt.Errorf("%w: %q is no URL", errNeedsEquals, arg), "--%s=%s, --%s=%s", horizonFlag, arg, idleFlag, arg)
		}
	}
	return nil
}
