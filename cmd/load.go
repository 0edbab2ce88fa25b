package cmd

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// newLoadCommand makes the command that tests endpoints of one protocol.
func newLoadCommand(std streams, p *protocol) *cobra.Command {
	f := &loadFlags{}
	command := &cobra.Command{
		Use:     p.name + " [URL]",
		Short:   "Measure a " + p.title + " endpoint",
		Long:    fmt.Sprintf("%s opens connections to a %s endpoint and measures what each of them really gets.\nWithout a URL it starts the reference server in a process of its own and measures that.", p.name, p.title),
		Example: p.examples,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				if err := limitAlone(args); err != nil {
					return err
				}
				// They aren't shown: one may be the half of a header.
				return usage(fmt.Errorf("one URL at a time, but there are %d arguments", len(args)), "put a value with spaces in quotes")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), std, p, args) },
	}
	f.register(command.Flags(), p)
	completions(command)
	groupedHelp(command)
	return command
}

// run is one run from the flags to the exit code. args holds the URL, or nothing.
func (f *loadFlags) run(ctx context.Context, std streams, p *protocol, args []string) error {
	run, outputs, err := f.perform(ctx, std, p, args)
	if err != nil || run.Result == nil {
		return err
	}
	return f.verdict(ctx, p, run, f.write(std, outputs, run))
}

// perform is one run from the flags to what is to be reported, and where to. There is no result where no run was asked for, but a
// look at one connection, or a search.
func (f *loadFlags) perform(ctx context.Context, std streams, p *protocol, args []string) (run report.Run, outputs []output, err error) {
	hasURL := len(args) > 0
	if err := f.check(hasURL); err != nil {
		return run, nil, err
	}
	if f.given("watch-deploy") && !f.given("duration") && !f.given("z") {
		f.duration = deployDuration
	}
	rawURL := f.rawURL(p, args)
	plan, t, dialers, err := f.plan(p, rawURL)
	if err != nil {
		return run, nil, err
	}
	outputs, err = f.openOutputs()
	if err != nil {
		return run, nil, err
	}
	if err := f.tryOut(hasURL); err != nil {
		return run, nil, err
	}
	child := 0
	if !hasURL {
		server, err := startChild(ctx, f.serveFlags())
		if stopped, ok := stoppedBy(ctx); ok && err != nil {
			return run, nil, &failure{code: exitOfSignal(stopped.signal)}
		}
		if err != nil {
			return run, nil, err
		}
		defer server.stop()
		child = server.pid
		rawURL, err = childURL(server.url, p, f.referencePath(p))
		if err != nil {
			return run, nil, err
		}
		t.url = text{raw: rawURL}
	}
	switch {
	case f.debug:
		return run, nil, f.trace(ctx, std, p, t, dialers, plan)
	case f.searches():
		return run, nil, f.search(ctx, std, p, dialers, rawURL, outputs)
	}
	if t.publish != nil {
		publishers, stop, err := t.publish.open(t)
		if err != nil {
			return run, nil, err
		}
		defer stop()
		plan.Send.Publishers = publishers
	}
	if plan.Target, err = f.probe(child); err != nil {
		return run, nil, err
	}
	clock, stopClock, err := f.openClock(t)
	if err != nil {
		return run, nil, in("--clock", err)
	}
	defer stopClock()
	plan.Clock = clock
	way, err := f.openDetour(ctx, t, plan.Peak())
	if stopped, ok := stoppedBy(ctx); ok && err != nil {
		return run, nil, &failure{code: exitOfSignal(stopped.signal)}
	}
	if err != nil {
		return run, nil, err
	}
	host := f.host(rawURL)
	if way != nil {
		defer way.stop()
		host = "localhost" // where the proxy is
	}
	defer tune(host, plan.Send.Rate > 0)()
	runner := &bench.Runner{Plan: plan, Dialer: dialers}
	stopLive, err := f.openLive(runner.Snapshot)
	if err != nil {
		return run, nil, err
	}
	if f.metricsAt != "" && !f.quiet {
		fmt.Fprintf(std.err, "metrics at http://%s/metrics\n", f.metricsAt)
	}
	result, err := f.measure(ctx, std, runner, p.name+" "+report.RedactURL(rawURL), t)
	live := stopLive()
	if err != nil {
		return run, nil, usage(err, "`rtbench %s --help` lists the flags", p.name)
	}
	way.account(result, f.viaFaults())
	result.Environment.Version = buildVersion()
	result.Failure = cmp.Or(result.Failure, nothingPublished(result))
	run = report.Run{Result: result, Config: f.config(p, rawURL)}
	f.learned(&run, t.net.IdleLimit())
	if live != nil {
		fmt.Fprintln(std.err, report.PlainWords(live.Error())) // also where no report is shown
		result.Warnings = append(result.Warnings, bench.Warning{Text: live.Error(), Advice: "what was told while the run went on is incomplete; this report isn't"})
	}
	return run, outputs, nil
}

// rawURL is the URL among args, or else one of the reference server, to be checked like any other; its port follows.
func (f *loadFlags) rawURL(p *protocol, args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return p.schemes[0] + "://127.0.0.1" + f.referencePath(p)
}

// referencePath is what there is of the reference server for what the flags ask for.
func (f *loadFlags) referencePath(p *protocol) string {
	switch {
	case f.given("chat"):
		return p.chat
	case p.echo != "" && !f.given("publish") && (f.given("rate") || f.given("message") || f.given("message-file")):
		return p.echo
	}
	return p.path
}

// serveFlags are those of the reference server: events enough that ten seconds of them are worth a p99. What is
// published to it is measured on one clock, so it then publishes nothing of its own. Both unless --serve says otherwise.
func (f *loadFlags) serveFlags() string {
	if f.given("publish") || f.given("chat") {
		return "--rate 0 " + f.serve
	}
	return "--rate 100 " + f.serve
}

// childURL is where the reference server has a path of the protocol.
func childURL(base string, p *protocol, path string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u.Scheme, u.Path = p.scheme(secured(u.Scheme)), path
	return u.String(), nil
}

// plan turns the flags into what is to be done.
func (f *loadFlags) plan(p *protocol, rawURL string) (bench.Plan, *target, dialerMaker, error) {
	t, err := newTarget(f, rawURL, p.schemes)
	if err != nil {
		return bench.Plan{}, nil, nil, err
	}
	dialers, err := p.dialers(f, t)
	if err != nil {
		return bench.Plan{}, nil, nil, err
	}
	sending, err := f.sending(p, t)
	if err != nil {
		return bench.Plan{}, nil, nil, err
	}
	plan := bench.Plan{
		Stages: f.stages, ConnectRate: float64(f.connectRate), Duration: f.duration, Warmup: f.warmup,
		Events: uint64(f.events), Drain: max(f.drain, 1), Send: sending, Streams: !f.done.value().IsZero(),
		Ping: f.ping, Breakages: f.breakages(), Unnoticed: f.idleTimeout() == 0 && !f.idle.value().learned,
		From: client.Cursor(f.lastID), Seed: f.seed, Stamp: f.stamp.value(), Sequence: f.sequence.value(), Token: f.token.value(),
		Thresholds: f.thresholds.values, Abort: f.abort,
	}
	if f.given("watch-deploy") {
		plan.Thresholds = append(bench.WatchDeploy(f.watchDeploy), plan.Thresholds...)
	}
	if t.slow != nil {
		plan.Slow = t.slowness
		plan.Slow.Begin = t.slow.Throttle.Begin
	}
	backoffs := f.backoffs(p.policy)
	plan.Backoff, plan.Rivals = backoffs[0], backoffs[1:]
	if len(f.stages) == 0 {
		plan.Stages = []bench.Stage{{Target: int(f.connections)}}
		if f.given("events") && !f.given("duration") && !f.given("z") {
			plan.Duration = eventsDuration
		}
	}
	connections := plan.Peak()
	if share := plan.Slow.Share; t.slow != nil && share*float64(connections) < 1 {
		return plan, t, dialers, usage(fmt.Errorf("--slow %s of %d connections is none", &f.slow, connections),
			"use %.0f connections, or a larger share", math.Ceil(1/share))
	}
	if t.publish != nil {
		connections += t.publish.publishers // one at least for each
	}
	here := thisHost()
	if len(t.net.Sources) == 0 {
		most := connections
		if here.files > 0 { // more are refused below, whatever they leave from
			most = min(most, here.files)
		}
		t.net.Sources = loopbacks(f.host(rawURL), most)
		if t.slow != nil {
			t.slow.Sources = t.net.Sources
		}
	}
	plan.NoteEnds = len(f.via.values) > 0
	if err := f.checkVia(rawURL); err != nil {
		return plan, t, dialers, err
	}
	err = here.check(connections, len(t.net.Sources))
	if err == nil && plan.NoteEnds {
		err = here.checkProxied(connections)
	}
	return plan, t, dialers, err
}

// sending says what is sent, and has the target know what is published.
func (f *loadFlags) sending(p *protocol, t *target) (sending bench.Sending, err error) {
	if !f.given("publish") {
		return p.sending(f, t)
	}
	if t.publish, err = newPublishing(f, t); err != nil {
		return sending, err
	}
	return t.publish.sending(f), nil
}

// verdict turns a result into the exit code, and says in a line why it isn't 0.
func (f *loadFlags) verdict(ctx context.Context, p *protocol, run report.Run, written error) error {
	result := run.Result
	codes := []exit{exitPassed}
	var said error
	say := func(code exit, err error, hint string) {
		codes = append(codes, code)
		if worst(codes...) == code {
			said = &failure{code, err, hint}
		}
	}
	failed := failedThresholds(result.Judgements)
	if failed != nil {
		say(exitThreshold, failed, "")
	}
	if why, refused := report.Distrust(result); f.strict && refused {
		distrust := fmt.Errorf("the result is not to be trusted: %s", why.Text)
		if failed != nil {
			distrust = fmt.Errorf("%w; and %w", distrust, failed)
		}
		say(exitUntrusted, distrust, why.Advice)
	}
	if stopped, ok := stoppedBy(ctx); ok {
		say(exitOfSignal(stopped.signal), nil, "")
	}
	if result.Failure != "" {
		hint := "no attempt had been answered when the run ended; `--debug` shows one of them"
		if result.Failure == nothingPublished(result) {
			hint = publishError(result).Hint()
		} else if len(result.Errors) > 0 {
			hint = p.hint(result.Errors[0])
		}
		say(exitFailed, fmt.Errorf("%s", result.Failure), hint)
	}
	if written != nil {
		say(exitFailed, written, "the report is on stderr")
	}
	return said
}

// failedThresholds says which thresholds failed, nil if none did.
func failedThresholds(judgements []bench.Judgement) error {
	var failed []string
	for _, j := range judgements {
		switch {
		case j.Passed:
		case j.Unknown != "":
			failed = append(failed, j.Threshold.Text+": "+j.Unknown)
		case j.AtLeast:
			failed = append(failed, j.Threshold.Text+": some never came, and it is at least "+report.Scale(j.Value, j.Threshold.Unit()))
		case j.Low < j.High: // an end of it fails, and the value between them may not
			failed = append(failed, fmt.Sprintf("%s: it is between %s and %s", j.Threshold.Text, report.Scale(j.Low, j.Threshold.Unit()), report.Scale(j.High, j.Threshold.Unit())))
		default:
			failed = append(failed, j.Threshold.Text+": it is "+report.Scale(j.Value, j.Threshold.Unit()))
		}
	}
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("threshold failed: %s", failed[0])
	}
	return fmt.Errorf("%d thresholds failed: %s", len(failed), strings.Join(failed, "; "))
}

// config is the effective configuration, without its secrets.
func (f *loadFlags) config(p *protocol, rawURL string) report.Config {
	config := report.Config{Command: "rtbench " + p.name, Target: report.RedactURL(rawURL), Entries: named(f.scenario)}
	f.set.VisitAll(func(flag *pflag.Flag) {
		if effective(flag) && !f.staged(flag) {
			config.Entries = append(config.Entries, shown(flag)...)
		}
	})
	return config
}

// staged reports whether the stages say what a flag would.
func (f *loadFlags) staged(flag *pflag.Flag) bool {
	return len(f.stages) > 0 && !flag.Changed && (flag.Name == "connections" || flag.Name == "duration")
}
