package cmd

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/server"
)

// A scene is a run against a reference server of its own, which injects what the run is to recover.
type scene struct {
	what        string // is injected, for people
	server      string // its flags
	path        string // of the stream
	connections int
	pace        float64 // connections opened a second; 0 for the usual
	lead        time.Duration
	duration    time.Duration
	publish     float64 // messages a second that the run publishes; 0 for none
	hangups     bool    // connections are to be dropped
	clock       bool    // the server's time is by another clock, and is asked for
	writes      bool    // the times of the system calls are asked for

	stall, retry, stop time.Duration // what is injected, where the judge has to know
}

// evidence is what a scene gave.
type evidence struct {
	scene
	result        *bench.Result
	truth         server.Truth
	late          []int64        // by how much a bare timer beside the run was; sorted, ns; nil where that isn't needed
	before, after []int64        // how long after they were due the deliveries of the window were written; sorted, ns
	unfit         *bench.Warning // why the run isn't the one that was to be made; nil if it is
	resumed       []resumed      // what became of the streams of each server that resumes in its own way
	found, given  int            // of a contest's comparisons, those that found a difference, and those given up
}

// written is between what the truth's quantile lies.
func (e *evidence) written(q float64) span { return span{at(e.before, q), at(e.after, q)} }

// run makes the run and asks the server for the truth of it.
func (s scene) run(ctx context.Context) (*evidence, error) {
	child, err := startChild(ctx, s.server)
	if err != nil {
		return nil, err
	}
	defer child.stop()
	plan, stop := s.plan(child.url)
	defer stop()
	runner := &bench.Runner{Plan: plan, Dialer: s.dialers(child.url)}
	e := &evidence{scene: s}
	if s.retry > 0 {
		e.late = beside(func() { e.result, err = runner.Run(ctx) })
	} else {
		e.result, err = runner.Run(ctx)
	}
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e.unfit = s.unfit(e.result)
	return e, e.ask(ctx, child.url)
}

// plan is what the run does; stop closes what it uses.
func (s scene) plan(base string) (plan bench.Plan, stop func()) {
	plan = bench.Plan{
		Stages: []bench.Stage{{Target: s.connections}}, ConnectRate: s.pace, Warmup: -1, Duration: s.duration, Seed: 1,
		Backoff: client.Backoff{Policy: client.EventSource},
	}
	if s.lead > 0 {
		plan.Warmup = s.lead + time.Duration(float64(s.connections)/bench.DefaultConnectRate*float64(time.Second))
	}
	stop = func() {}
	if s.publish > 0 {
		publisher := &client.Publisher{Net: &client.Net{}, Request: client.Request{URL: base + "/publish"}}
		plan.Send = bench.Sending{Rate: s.publish, Publishers: []bench.Publisher{publisher}}
		stop = publisher.Close
	}
	if s.clock {
		field, _ := client.ParseField("json:now") // it is one
		clock := &client.Clock{Net: &client.Net{}, Request: client.Request{URL: base + "/time"}, Field: field}
		plan.Clock = serverClock{clock}
		stop = clock.Close
	}
	return plan, stop
}

// dialers gives every connection a name that the server knows it again by.
func (s scene) dialers(base string) dialerMaker {
	shared := &client.Net{}
	resume, _ := client.ParseResume("query:last_id={{.LastID}}") // as the reference server wants it
	id, _ := client.ParseField("json:seq")                       // which is the id, where there is one topic
	return func(conn int) (client.Dialer, error) {
		request := client.Request{URL: fmt.Sprintf("%s%s?client=%d", base, s.path, conn)}
		if s.path == "/ws" {
			return &client.WebSocket{Net: shared, Request: request, Resume: resume, ID: id}, nil
		}
		return &client.SSE{Net: shared, Request: request}, nil
	}
}

// unfit says why the run isn't the one that was to be made, nil if it is.
func (s scene) unfit(result *bench.Result) *bench.Warning {
	why := ""
	switch drops := result.Count(bench.Drops); {
	case result.Failure != "":
		why = result.Failure
	case result.Peak < result.Planned:
		why = fmt.Sprintf("only %d of %d connections were ever open", result.Peak, result.Planned)
	case drops > 0 && !s.hangups:
		why = fmt.Sprintf("%d connections dropped, though nothing was to drop them", drops)
	case result.Count(bench.Received) == 0: // nothing injected, and nothing recovered, would agree
		why = "nothing was received"
	default:
		return nil
	}
	advice := calm
	if len(result.Errors) > 0 {
		why += ": " + oneLine(result.Errors[0].Text)
		advice = cmp.Or(result.Errors[0].Hint(), advice)
	}
	return &bench.Warning{Text: why, Advice: advice}
}

// unsure says to whom the server doesn't know what it has sent, as where a connection ended under a write; nil if it does.
func unsure(subscribers []server.TruthSubscriber) *bench.Warning {
	for _, s := range subscribers {
		if s.Truncated || len(s.Unconfirmed) > 0 {
			return &bench.Warning{Text: fmt.Sprintf("the reference server doesn't know all that it sent to subscriber %d", s.N), Advice: calm}
		}
	}
	return nil
}

// askTimeout bounds asking the server for the truth.
const askTimeout = 30 * time.Second

// ask gets the truth.
func (e *evidence) ask(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := fetch(ctx, base+"/truth?events=0", func(r io.Reader) error { return json.NewDecoder(r).Decode(&e.truth) })
	if err != nil {
		return err
	}
	if e.unfit == nil {
		e.unfit = unsure(e.truth.Subscribers)
	}
	if !e.writes {
		return nil
	}
	if n := e.truth.Totals.WritesForgotten; n > 0 {
		return fmt.Errorf("the reference server forgot %d of its writes", n)
	}
	from := e.result.Start.Add(e.result.Begin + e.result.Trimmed).UnixNano()
	until := e.result.Start.Add(e.result.End).UnixNano()
	return fetch(ctx, fmt.Sprintf("%s/truth/writes?from=%d&until=%d", base, from, until), e.readWrites)
}

// maxTruth bounds an answer of the reference server, in bytes.
const maxTruth = 1 << 30

func fetch(ctx context.Context, url string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := once.Do(req)
	if err != nil {
		return fmt.Errorf("asking for the truth: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for the truth: HTTP status %d", resp.StatusCode)
	}
	if err := read(io.LimitReader(resp.Body, maxTruth)); err != nil {
		return fmt.Errorf("reading the truth: %w", err)
	}
	return nil
}

// readWrites reads the rows event,seq,due,subscriber,before,after.
func (e *evidence) readWrites(r io.Reader) error {
	rows := csv.NewReader(r)
	rows.ReuseRecord, rows.FieldsPerRecord = true, 6
	if _, err := rows.Read(); err != nil {
		return err
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		due, dueErr := strconv.ParseInt(row[2], 10, 64)
		before, beforeErr := strconv.ParseInt(row[4], 10, 64)
		after, afterErr := strconv.ParseInt(row[5], 10, 64)
		if err := errors.Join(dueErr, beforeErr, afterErr); err != nil {
			return err
		}
		e.before, e.after = append(e.before, before-due), append(e.after, after-due)
	}
	slices.Sort(e.before)
	slices.Sort(e.after)
	return nil
}

// lag says what a tester that stamps in user space would have read.
func lag(e *evidence) string {
	h := e.result.Histogram(bench.ClientLag)
	if h == nil || h.TotalCount() == 0 {
		return ""
	}
	text := func(q float64) string { return report.Scale(float64(h.ValueAtQuantile(q)), bench.Nanoseconds) }
	return fmt.Sprintf("user space would have read each arrival later, by %s at the median and %s at p99 (client_lag)", text(50), text(99))
}

// width says how much the bounds on the clocks leave open.
func width(e *evidence) string {
	if e.result.Clock == nil {
		return ""
	}
	return fmt.Sprintf("the offset is known to %s", report.Scale(float64(e.result.Clock.High-e.result.Clock.Low), bench.Nanoseconds))
}
