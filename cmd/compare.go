package cmd

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/tui"
)

// A comparing is one comparison while it is made.
type comparing struct {
	flags     *compareFlags
	std       streams
	sides     [2]*contender
	load      workload
	reference bool // it is the reference server that is measured
	random    *rand.Rand
	left      int // trials that may be made once more
	done      int // trials that were worth something
	result    report.Comparison
	fit       [2][]*bench.Result
	proof     findings
	board     *board // what the screen shows; nil where there is none
}

func (f *compareFlags) run(ctx context.Context, std streams, args []string) error {
	outputs, err := f.output.openComparisonOutputs()
	if err != nil {
		return err
	}
	result, failed := f.perform(ctx, std, args)
	if result == nil {
		return failed
	}
	return f.verdict(ctx, result, failed, f.output.writeComparison(std, outputs, result))
}

// verdict turns a comparison into the exit code, and says in a line why it isn't 0.
func (f *compareFlags) verdict(ctx context.Context, result *report.Comparison, failed, written error) error {
	switch stopped, interrupted := stoppedBy(ctx); {
	case written != nil:
		return &failure{exitFailed, written, "the report is on stderr"}
	case interrupted:
		return &failure{code: exitOfSignal(stopped.signal)}
	case failed != nil:
		return failed
	case f.strict && len(result.Doubts) > 0:
		return &failure{exitUntrusted, fmt.Errorf("there is no verdict: %s", result.Doubts[0].Text), result.Doubts[0].Advice}
	}
	return nil
}

// perform makes the comparison. Where it failed there may be a result all the same, of what was measured before.
func (f *compareFlags) perform(ctx context.Context, std streams, args []string) (*report.Comparison, error) {
	c, err := f.prepare(std, args)
	if err != nil {
		return nil, err
	}
	c.result.Start = time.Now()
	stop := c.showing(std)
	failed := c.trials(ctx)
	if failed == nil && f.evidence && c.protocols() {
		failed = c.prove(ctx)
	}
	stop()
	_, interrupted := stoppedBy(ctx)
	if failed != nil && !interrupted && len(c.fit[0]) == 0 && len(c.result.Doubts) == 0 {
		return nil, failed
	}
	c.conclude(interrupted, failed)
	return &c.result, failed
}

// prepare turns the flags into two sides.
func (f *compareFlags) prepare(std streams, args []string) (*comparing, error) {
	c := &comparing{flags: f, std: std, random: rand.New(rand.NewPCG(f.seed, 0))}
	if err := f.check(args); err != nil {
		return nil, err
	}
	c.load = f.load()
	c.reference = len(args) == 0 && f.a == ""
	both, err := words("--both", f.both)
	if err != nil {
		return nil, err
	}
	switch {
	case f.a != "":
		for i, text := range []string{f.a, f.b} {
			if c.sides[i], err = side([]string{"--a", "--b"}[i], text, both); err != nil {
				return nil, err
			}
		}
		c.name()
	default:
		if len(args) == 0 {
			args = []string{"", ""}
		}
		if err := c.pair(args, both); err != nil {
			return nil, err
		}
	}
	for _, side := range c.sides {
		if err := c.tryOut(side); err != nil {
			return nil, err
		}
	}
	c.left = max(3, f.planned().n/2)
	return c, nil
}

// pair makes the sides of an SSE_URL and a WS_URL, or of the reference server.
func (c *comparing) pair(urls []string, both []string) error {
	for i, raw := range urls {
		p := protocols[i]
		if raw != "" {
			u, err := url.Parse(raw)
			if err != nil || u.Host == "" {
				return usage(fmt.Errorf("%q is not a URL", report.BareURL(raw)), "such as http://localhost:8080/events and ws://localhost:8080/feed")
			}
			p = protocolOf(u.Scheme)
			if p == nil {
				return usage(fmt.Errorf("%s: rtbench does not speak %q", report.BareURL(raw), u.Scheme), "http and https are for SSE, ws and wss for WebSocket")
			}
		}
		c.sides[i] = &contender{protocol: p, url: raw}
	}
	if c.sides[0].protocol == protocols[1] && c.sides[1].protocol == protocols[0] {
		c.sides[0], c.sides[1] = c.sides[1], c.sides[0]
	}
	for _, side := range c.sides {
		more, err := c.flags.own(side.protocol)
		if err != nil {
			return err
		}
		side.flags, side.resume = splitResume(slices.Concat(both, more))
		if c.reference && side.protocol == protocols[1] && len(side.resume) == 0 {
			side.resume = referenceResume
		}
	}
	c.name()
	return nil
}

// own are the flags of a protocol's side alone.
func (f *compareFlags) own(p *protocol) ([]string, error) {
	if p == protocols[1] {
		return words("--ws", f.ws)
	}
	return words("--sse", f.sse)
}

// referenceResume is how a WebSocket of the reference server resumes.
var referenceResume = []string{"--resume", "query:last_id={{.LastID}}", "--id", "json:seq"}

// protocolOf is the one whose scheme by default, or its secure twin, that is.
func protocolOf(scheme string) *protocol {
	for _, p := range protocols {
		if slices.Contains(p.schemes[:2], scheme) {
			return p
		}
	}
	return nil
}

// side reads a side as a command line.
func side(flag, text string, both []string) (*contender, error) {
	list, err := words(flag, text)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 && list[0] == "rtbench" {
		list = list[1:]
	}
	const hint = "such as 'sse http://localhost:8080/events -c 10'"
	if len(list) < 2 {
		return nil, usage(fmt.Errorf("%s %q is no side", flag, redactLine(text)), hint)
	}
	i := slices.IndexFunc(protocols, func(p *protocol) bool { return p.name == list[0] })
	if i < 0 {
		return nil, usage(fmt.Errorf("%s: a side begins with sse or ws, not with %q", flag, report.BareURL(list[0])), hint)
	}
	x := &contender{protocol: protocols[i], url: list[1]}
	x.flags, x.resume = splitResume(slices.Concat(both, list[2:]))
	return x, nil
}

// name gives the sides their names: the protocols', where they tell them apart.
func (c *comparing) name() {
	c.sides[0].name, c.sides[1].name = "A", "B"
	if c.protocols() && c.flags.a == "" {
		c.sides[0].name, c.sides[1].name = "SSE", "WebSocket"
	}
}

// protocols reports whether the sides are SSE and WebSocket.
func (c *comparing) protocols() bool {
	return c.sides[0].protocol == protocols[0] && c.sides[1].protocol == protocols[1]
}

// trial is what both sides are measured by.
func (c *comparing) trial() measuring {
	t := measuring{load: c.load, duration: c.flags.duration, seed: c.flags.seed}
	if c.flags.targetPID != 0 {
		t.flags = append(t.flags, "--target-pid", strconv.Itoa(c.flags.targetPID))
	}
	if c.flags.targetMetrics != "" {
		t.flags = append(t.flags, "--target-metrics", c.flags.targetMetrics)
	}
	if !c.reference { // the target publishes as it does, and what clients send the sides say
		if c.load.up {
			t.flags = append(t.flags, "--rate", fmt.Sprintf("%g", c.load.rate))
		}
		t.load.up = false
	}
	if c.flags.a != "" && !c.flags.set.Changed("connections") { // the sides say it
		t.load.connections = 0
	}
	t.serve = strings.Fields(c.flags.serve)
	return t
}

// tryOut finds what is wrong with a side's flags, without measuring anything.
func (c *comparing) tryOut(side *contender) error {
	f := &loadFlags{}
	command := subcommand(side.protocol.name)
	f.register(command.Flags(), side.protocol)
	args := side.command(c.trial())
	hasURL := side.url != ""
	if hasURL {
		args = slices.Delete(args, 1, 2)
	}
	if err := command.ParseFlags(args[1:]); err != nil {
		return in(side.name, flagError(command, err))
	}
	if name, taken := c.taken(side); taken {
		return usage(fmt.Errorf("%s: --%s is the comparison's own", side.name, name), "give it to compare, for both sides")
	}
	if rest := command.Flags().Args(); len(rest) > 0 {
		return usage(fmt.Errorf("%s: %q is no flag", side.name, report.BareURL(rest[0])), "one URL for each side, and then flags")
	}
	raw := side.url
	if !hasURL {
		raw = side.protocol.schemes[0] + "://127.0.0.1" + c.load.path(side.protocol)
	}
	err := f.check(hasURL)
	if err == nil {
		_, _, _, err = f.plan(side.protocol, raw)
	}
	if err == nil {
		err = f.tryOut(hasURL)
	}
	if err != nil {
		return in(side.name, err)
	}
	return nil
}

// owned are the flags that a comparison gives to its trials itself.
var owned = []string{"duration", "z", "events", "stage", "seed", "json", "format", "output", "quiet", "debug", "threshold", "serve", "stream", "metrics-addr"}

// taken finds a flag among a side's own that is the comparison's.
func (c *comparing) taken(side *contender) (name string, taken bool) {
	set := pflag.NewFlagSet(side.name, pflag.ContinueOnError)
	f := &loadFlags{}
	f.register(set, side.protocol)
	if set.Parse(side.flags) != nil { // what is wrong with them is said elsewhere
		return "", false
	}
	set.Visit(func(flag *pflag.Flag) {
		if slices.Contains(owned, flag.Name) || flag.Name == "connections" && (c.flags.a == "" || c.flags.set.Changed("connections")) {
			name, taken = flag.Name, true
		}
	})
	return name, taken
}

// trials measures the sides in turns: ABBA or BAAB, as chance has it.
func (c *comparing) trials(ctx context.Context) error {
	plan := c.flags.planned()
	for len(c.fit[1]) < plan.n && len(c.result.Doubts) == 0 {
		first := c.random.IntN(2)
		for _, order := range [2][2]int{{first, 1 - first}, {1 - first, first}} {
			if len(c.fit[1]) == plan.n {
				break
			}
			var two [2]*bench.Result
			for _, i := range order {
				var err error
				if two[i], err = c.measure(ctx, i, c.trial()); err != nil || two[i] == nil {
					return err
				}
			}
			c.result.Order += string([]byte{"AB"[order[0]], "AB"[order[1]]})
			c.fit[0], c.fit[1] = append(c.fit[0], two[0]), append(c.fit[1], two[1])
			c.paired()
		}
		if n := len(c.fit[0]); plan.auto && slices.Contains(looks[:], n) && c.decided() {
			return nil
		}
	}
	return nil
}

// decided reports whether a look finds the sides different in what the comparison is about: the latency.
func (c *comparing) decided() bool {
	return slices.ContainsFunc(report.Contrasts(c.fit[0], c.fit[1], alphaOfLooks)[:2], func(x report.Contrast) bool { return x.Different() })
}

// alpha is below which p-value there is a difference.
func (c *comparing) alpha() float64 {
	if c.flags.planned().auto {
		return alphaOfLooks
	}
	return alpha
}

// measure makes a trial of a side until one is fit for a comparison; nil where none is, of which there is a doubt then.
func (c *comparing) measure(ctx context.Context, i int, t measuring) (*bench.Result, error) {
	for {
		c.begins("%s, trial %d", c.sides[i].name, c.done+1)
		result, err := c.sides[i].run(ctx, t)
		if err != nil {
			return nil, err
		}
		why := report.Unfit(result)
		if why == "" {
			c.done++
		}
		c.progress(i, result, why)
		if why == "" {
			return result, nil
		}
		if result.Failure != "" { // a quieter machine won't mend it
			return nil, &failure{exitFailed, fmt.Errorf("%s: %s", c.sides[i].name, result.Failure), "`" + c.sides[i].shown(t) + "` shows more"}
		}
		if c.left--; c.left < 0 {
			c.result.Doubts = append(c.result.Doubts, bench.Warning{
				Text:   fmt.Sprintf("too many trials were worth nothing, the last one of %s: %s", c.sides[i].name, why),
				Advice: "`" + c.sides[i].shown(t) + "` shows one of them; a lower rate, fewer connections or a quiet machine may help",
			})
			return nil, nil
		}
		c.result.Repeated = append(c.result.Repeated, c.sides[i].name+": "+why)
	}
}

// progress says how a trial went.
func (c *comparing) progress(i int, r *bench.Result, why string) {
	if c.board != nil {
		c.board.change(func(s *tui.Comparing) { s.Done = c.done })
	}
	text := fmt.Sprintf("%3d/%d  %-10s", c.done, 2*c.flags.planned().n, c.sides[i].name)
	if m, ok := r.Headline(); ok {
		text += "  " + m.String()
		for _, q := range []float64{.5, .99} {
			if e := r.Estimate(m, q); e.Unknown == "" || e.Indicative {
				text += fmt.Sprintf("  p%g %s", 100*q, report.Scale(float64(e.Value), bench.Nanoseconds))
			}
		}
	}
	if why != "" {
		text += "  once more: " + why
	}
	c.say(why != "", text)
}

// conclude fills the report in.
func (c *comparing) conclude(interrupted bool, failed error) {
	r := &c.result
	r.Command, r.Trial, r.Interrupted = "rtbench compare", c.flags.duration, interrupted
	r.Elapsed = time.Since(r.Start)
	n := min(len(c.fit[0]), len(c.fit[1]))
	r.Contrasts = report.Contrasts(c.fit[0][:n], c.fit[1][:n], c.alpha())
	for i, side := range c.sides {
		r.Sides[i] = report.Side{Name: side.name, Command: side.shown(c.trial())}
	}
	if c.flags.a == "" {
		r.Workload = c.load.describe(c.reference)
	}
	if failed != nil && !interrupted {
		r.Doubts = append(r.Doubts, bench.Warning{Text: "a trial failed: " + failed.Error(), Advice: "what was measured before it is below"})
	}
	late := 0
	for _, trial := range slices.Concat(c.fit[0], c.fit[1]) {
		if report.OnlySentLate(trial) {
			late++
		}
	}
	if late > 0 {
		r.Warnings = append(r.Warnings, bench.Warning{
			Text:   fmt.Sprintf("in %d trials the tester sent late by more than a tenth of the latency; both sides have that in it, which brings their ratio nearer to 1", late),
			Advice: "give the tester processors of its own, or look at what takes longer than that",
		})
	}
	for i, trials := range c.fit {
		r.Warnings = append(r.Warnings, recurring(c.sides[i].name, trials)...)
	}
	if n > 0 {
		r.Environment = c.fit[0][0].Environment.Host()
	}
	r.Environment.Version = buildVersion()
	r.Entries = c.entries()
	if n < report.FewestPairs && len(r.Doubts) == 0 {
		r.Doubts = append(r.Doubts, bench.Warning{Text: fmt.Sprintf("%d of the %d pairs of trials that it takes were made", n, report.FewestPairs), Advice: "let it run to its end"})
	}
	if c.protocols() && n >= report.FewestPairs {
		c.claim()
	}
}

// recurring are the warnings that most trials of a side have, in the words of the last: they are about the side, and not about a trial.
func recurring(side string, trials []*bench.Result) (list []bench.Warning) {
	last := map[string]bench.Warning{} // by the advice, which says what kind it is: the words have the trial's figures in them
	times := map[string]int{}
	for _, trial := range trials {
		for _, w := range trial.Warnings {
			last[w.Advice] = w
			times[w.Advice]++
		}
	}
	for _, advice := range slices.Sorted(maps.Keys(times)) {
		if n := times[advice]; 2*n > len(trials) {
			list = append(list, bench.Warning{Text: fmt.Sprintf("%s, in %d of %d trials: %s", side, n, len(trials), last[advice].Text), Advice: advice})
		}
	}
	return list
}

// config is what is in force, without secrets.
func (f *compareFlags) config(args []string) report.Config {
	config := report.Config{Command: "rtbench compare", Target: strings.Join(redactFlags(args), " ")}
	f.set.VisitAll(func(flag *pflag.Flag) {
		if effective(flag) {
			config.Entries = append(config.Entries, shown(flag)...)
		}
	})
	return config
}

// entries are the settings that were given, without secrets.
func (c *comparing) entries() []report.Entry {
	list := named(c.flags.scenario)
	c.flags.set.Visit(func(flag *pflag.Flag) { list = append(list, shown(flag)...) })
	return list
}
