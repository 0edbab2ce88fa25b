package cmd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// compareFlags are the flags of `rtbench compare`. Those of loadFlags that say where reports go are used as they are.
type compareFlags struct {
	set      *pflag.FlagSet
	output   loadFlags
	workload parsed[workload]
	pairs    parsed[pairs]

	connections countValue
	rate        rateValue
	size        sizeValue
	direction   string
	binary      bool
	duration    time.Duration
	evidence    bool

	a, b, both, sse, ws string
	serve               string
	targetPID           int
	targetMetrics       string
	strict              bool
	seed                uint64
}

const (
	defaultPairs = 10
	defaultTrial = 2 * time.Second
)

// pairs says how many pairs of trials there are to be.
type pairs struct {
	n    int
	auto bool // look now and then, and stop when there is a difference
}

func (p pairs) String() string {
	if p.auto {
		return "auto"
	}
	return strconv.Itoa(p.n)
}

// looks are after how many pairs it is looked, and alphaOfLooks the p-value below which a look stops it: five of them find a
// difference that isn't there in five of a hundred comparisons (Pocock 1977).
var looks = [...]int{8, 12, 16, 22, 30}

const (
	alphaOfLooks = .0158
	alpha        = .05
	maxPairs     = 200
)

func parsePairs(s string) (pairs, error) {
	if s == "auto" {
		return pairs{n: looks[len(looks)-1], auto: true}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < report.FewestPairs || n > maxPairs {
		return pairs{}, fmt.Errorf("%q is neither auto nor a number from %d to %d", s, report.FewestPairs, maxPairs)
	}
	return pairs{n: n}, nil
}

func newCompareCommand(std streams) *cobra.Command {
	f := &compareFlags{}
	command := &cobra.Command{
		Use:   "compare [SSE_URL WS_URL]",
		Short: "Measure Server-Sent Events against WebSocket, or any two sides",
		Long: "compare measures two sides in turns, with fresh connections each time, and says by which figures they differ, how much, and how sure that is. " +
			"Without URLs it starts the reference server, a new one for each trial, and measures Server-Sent Events against WebSocket on one workload.",
		Example: "rtbench compare\n" +
			"rtbench compare --workload chat\n" +
			"rtbench compare http://localhost:8080/events ws://localhost:8080/feed -c 500 --ws '--subscribe {\"join\":\"a\"}'\n" +
			"# any two sides: directly, and through a proxy\n" +
			"rtbench compare --a 'sse http://localhost:3000/events' --b 'sse http://localhost:80/events'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usage(fmt.Errorf("two URLs at most, but there are %d", len(args)), "put a value with spaces in quotes")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), std, args) },
	}
	f.register(command.Flags())
	_ = command.RegisterFlagCompletionFunc("workload", cobra.FixedCompletions(workloadNames(), cobra.ShellCompDirectiveNoFileComp))
	groupedHelp(command)
	return command
}

func (f *compareFlags) register(set *pflag.FlagSet) {
	f.set = set
	f.workload = parsed[workload]{kind: "workload", parse: parseWorkload}
	set.Var(&f.workload, "workload", "what is sent and received: "+joined(workloadNames()))
	byDefault(set, "workload", workloads[0].name)
	set.VarP(&f.connections, "connections", "c", "connections of each side")
	set.VarP(&f.rate, "rate", "r", "events a second, of the reference server or as clients send them")
	set.Var(&f.size, "size", "bytes of a payload, likewise")
	set.StringVar(&f.direction, "direction", "", "`WAY` of the events: down, which the server publishes, or up, which clients send for all to receive")
	set.BoolVar(&f.binary, "binary", false, "binary payloads, which are base64 over SSE")
	for _, name := range []string{"connections", "rate", "size", "direction"} {
		byDefault(set, name, "by --workload")
	}
	heading(set, "workload")
	f.pairs = parsed[pairs]{kind: "number of pairs", parse: parsePairs}
	set.Var(&f.pairs, "pairs", "pairs of trials, `N`; auto looks after "+joined(looks[:])+" and stops when there is a difference")
	byDefault(set, "pairs", strconv.Itoa(defaultPairs))
	set.DurationVarP(&f.duration, "duration", "d", defaultTrial, "what each trial measures")
	set.BoolVar(&f.evidence, "evidence", true, "measure what people say of the two protocols, besides: drops, frequency, binary payloads, many connections")
	set.Uint64Var(&f.seed, "seed", 1, "seed of everything random, such as the order of the trials")
	heading(set, "trials")
	set.StringVar(&f.a, "a", "", "one side: a `COMMAND` of rtbench without its name, such as 'sse http://localhost:8080/events -c 10'")
	set.StringVar(&f.b, "b", "", "the other one, a `COMMAND` likewise")
	set.StringVar(&f.both, "both", "", "more `FLAGS` for both sides, such as '--stamp json:ts -H \"Cookie: a=b\"'")
	set.StringVar(&f.sse, "sse", "", "more `FLAGS` for the SSE side, such as '--seq id'")
	set.StringVar(&f.ws, "ws", "", "more `FLAGS` for the WebSocket side, such as '--subscribe hello --resume query:after={{.LastID}} --id json:seq'")
	set.StringVar(&f.serve, "serve", "", "without URLs: more `FLAGS` for the reference server, such as '--tls'")
	set.IntVar(&f.targetPID, "target-pid", 0, "tell what the process `PID` and its children use: a server on this host")
	byDefault(set, "target-pid", "the reference server")
	set.StringVar(&f.targetMetrics, "target-metrics", "", "the same by `URL`, as Prometheus reads it")
	heading(set, "sides")
	set.BoolVar(&f.strict, "strict", false, "exit 95 where there is no verdict")
	heading(set, "verdict")
	f.output.registerComparisonOutput(set)
}

// registerComparisonOutput declares the flags that say where the report of a comparison goes.
func (f *loadFlags) registerComparisonOutput(set *pflag.FlagSet) {
	f.set = set
	set.StringArrayVarP(&f.outputs, "output", "o", nil, "write the report to a `FILE` as well; its ending says the format (repeatable)")
	f.format = parsed[report.Format]{kind: "format", parse: report.ParseFormat}
	set.Var(&f.format, "format", "format of the report on stdout, and of files whose ending says none: "+joined(report.ComparisonFormats()))
	byDefault(set, "format", "text")
	set.BoolVar(&f.json, "json", false, "the same as --format json")
	set.BoolVar(&f.noColor, "no-color", false, "no colours")
	set.BoolVar(&f.quiet, "quiet", false, "no progress, and no report on stdout unless --format or --json asks for one that is not text")
	heading(set, "output")
}

// openComparisonOutputs is openOutputs for a comparison, which not every format can hold.
func (f *loadFlags) openComparisonOutputs() ([]output, error) {
	for _, path := range f.outputs {
		if format, ok := report.FormatForFile(path); ok && !slices.Contains(report.ComparisonFormats(), format) {
			return nil, usage(fmt.Errorf("--output %s: a comparison can't be written as %s", path, format), "%s", joined(report.ComparisonFormats()))
		}
	}
	if format := f.reportFormat(); !slices.Contains(report.ComparisonFormats(), format) {
		return nil, usage(fmt.Errorf("--format: a comparison can't be written as %s", format), "%s", joined(report.ComparisonFormats()))
	}
	return f.openOutputs()
}

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
}

func (f *compareFlags) run(ctx context.Context, std streams, args []string) error {
	c, err := f.prepare(std, args)
	if err != nil {
		return err
	}
	outputs, err := f.output.openComparisonOutputs()
	if err != nil {
		return err
	}
	c.result.Start = time.Now()
	failed := c.trials(ctx)
	if failed == nil && f.evidence && c.protocols() {
		failed = c.prove(ctx)
	}
	stopped, interrupted := stoppedBy(ctx)
	if failed != nil && !interrupted && len(c.fit[0]) == 0 && len(c.result.Doubts) == 0 {
		return failed
	}
	c.conclude(interrupted, failed)
	written := f.output.writeComparison(std, outputs, &c.result)
	switch {
	case written != nil:
		return &failure{exitFailed, written, "the report is on stderr"}
	case interrupted:
		return &failure{code: exitOfSignal(stopped.signal)}
	case failed != nil:
		return failed
	case f.strict && len(c.result.Doubts) > 0:
		return &failure{exitUntrusted, fmt.Errorf("there is no verdict: %s", c.result.Doubts[0].Text), c.result.Doubts[0].Advice}
	}
	return nil
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
				return usage(fmt.Errorf("%q is not a URL", report.RedactURL(raw)), "such as http://localhost:8080/events and ws://localhost:8080/feed")
			}
			p = protocolOf(u.Scheme)
			if p == nil {
				return usage(fmt.Errorf("%s: rtbench does not speak %q", report.RedactURL(raw), u.Scheme), "http and https are for SSE, ws and wss for WebSocket")
			}
		}
		c.sides[i] = &contender{protocol: p, url: raw}
	}
	if c.sides[0].protocol == protocols[1] && c.sides[1].protocol == protocols[0] {
		c.sides[0], c.sides[1] = c.sides[1], c.sides[0]
	}
	for _, side := range c.sides {
		own, flag := c.flags.sse, "--sse"
		if side.protocol == protocols[1] {
			own, flag = c.flags.ws, "--ws"
		}
		more, err := words(flag, own)
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
		return nil, usage(fmt.Errorf("%s %q is no side", flag, text), hint)
	}
	i := slices.IndexFunc(protocols, func(p *protocol) bool { return p.name == list[0] })
	if i < 0 {
		return nil, usage(fmt.Errorf("%s: a side begins with sse or ws, not with %q", flag, list[0]), hint)
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

// check finds flags that make no sense together.
func (f *compareFlags) check(args []string) error {
	given := f.set.Changed
	switch {
	case len(args) == 1:
		return usage(errors.New("one URL, but a comparison has two sides"), "give a URL for each, or none for the reference server")
	case (f.a == "") != (f.b == ""):
		return usage(errors.New("--a and --b go together"), "each is one side")
	case f.a != "" && len(args) > 0:
		return usage(errors.New("there are URLs, and --a and --b"), "either of them says what the sides are")
	case f.a != "" && (f.sse != "" || f.ws != ""):
		return usage(errors.New("--sse and --ws don't go with --a and --b"), "write the flags there, or with --both")
	case f.serve != "" && (f.a != "" || len(args) > 0):
		return usage(errors.New("--serve is for the reference server, which isn't measured"), "leave out one of them")
	case f.duration < 200*time.Millisecond:
		return usage(fmt.Errorf("--duration %s is too short for a trial", f.duration), "such as 2s")
	case f.direction != "" && f.direction != "up" && f.direction != "down":
		return usage(fmt.Errorf("--direction %q is neither up nor down", f.direction), "up is what clients send for all, down what the server publishes")
	case given("rate") && f.rate == 0, given("connections") && f.connections == 0:
		return usage(errors.New("a comparison of nothing"), "a rate and connections above 0")
	case f.targetPID != 0 && f.targetMetrics != "":
		return usage(errors.New("--target-pid and --target-metrics don't go together"), "which of them is the target?")
	}
	if f.a != "" || len(args) > 0 { // what a target publishes is its own
		for _, name := range []string{"rate", "size", "direction", "binary"} {
			if given(name) && !f.load().up {
				return usage(fmt.Errorf("--%s is of the reference server, or of --direction up", name), "the target publishes as it does; --both '--publish URL -r 10/s' publishes to it")
			}
		}
		if f.load().up && !strings.Contains(f.both+f.sse+f.a, "--publish") {
			return usage(errors.New("what clients send over SSE is posted"), "--sse '--publish URL' says where to, and --ws '--chat 10' has connections send")
		}
	}
	return nil
}

// planned is how many pairs there are to be.
func (f *compareFlags) planned() pairs {
	if !f.set.Changed("pairs") {
		return pairs{n: defaultPairs}
	}
	return f.pairs.value()
}

// load is the workload with what is said of it.
func (f *compareFlags) load() workload {
	w := workloads[0]
	if f.set.Changed("workload") {
		w = f.workload.value()
	}
	if f.set.Changed("connections") {
		w.connections = int(f.connections)
	}
	if f.set.Changed("rate") {
		w.rate = float64(f.rate)
	}
	if f.set.Changed("size") {
		w.size = int(f.size)
	}
	if f.direction != "" {
		w.up = f.direction == "up"
	}
	w.binary = w.binary || f.binary
	return w
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
	command := &cobra.Command{Use: side.protocol.name}
	f.register(command.Flags(), side.protocol)
	args := side.command(c.trial())
	hasURL := side.url != ""
	if hasURL {
		args = slices.Delete(args, 1, 2)
	}
	if err := command.ParseFlags(args[1:]); err != nil {
		return in(side.name, flagError(command, err))
	}
	if rest := command.Flags().Args(); len(rest) > 0 {
		return usage(fmt.Errorf("%s: %q is no flag", side.name, rest[0]), "one URL for each side, and then flags")
	}
	raw := side.url
	if !hasURL {
		raw = side.protocol.schemes[0] + "://127.0.0.1" + c.load.path(side.protocol)
	}
	err := f.check(hasURL)
	if err == nil {
		_, _, _, err = f.plan(side.protocol, raw)
	}
	if err != nil {
		return in(side.name, err)
	}
	return nil
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
		}
		if n := len(c.fit[0]); plan.auto && slices.Contains(looks[:], n) && c.decided() {
			return nil
		}
	}
	return nil
}

// decided reports whether a look finds the sides different in what the comparison is about: the latency.
func (c *comparing) decided() bool {
	for _, x := range report.Contrasts(c.fit[0], c.fit[1], alphaOfLooks)[:2] {
		if x.Unknown == "" && x.P < alphaOfLooks/2 {
			return true
		}
	}
	return false
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
		if result.Failure != "" && len(c.fit[i]) == 0 {
			return nil, &failure{exitFailed, fmt.Errorf("%s: %s", c.sides[i].name, result.Failure), "`rtbench " + quoted(c.sides[i].command(t)) + "` shows more"}
		}
		if c.left--; c.left < 0 {
			c.result.Doubts = append(c.result.Doubts, bench.Warning{
				Text:   fmt.Sprintf("too many trials were worth nothing, the last one of %s: %s", c.sides[i].name, why),
				Advice: "`rtbench " + quoted(c.sides[i].command(t)) + "` shows one of them; a lower rate, fewer connections or a quiet machine may help",
			})
			return nil, nil
		}
		c.result.Repeated = append(c.result.Repeated, c.sides[i].name+": "+why)
	}
}

// progress says how a trial went.
func (c *comparing) progress(i int, r *bench.Result, why string) {
	if c.flags.output.quiet {
		return
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
	fmt.Fprintln(c.std.err, report.Plain(text))
}

// conclude fills the report in.
func (c *comparing) conclude(interrupted bool, failed error) {
	r := &c.result
	r.Command, r.Trial, r.Interrupted = "rtbench compare", c.flags.duration, interrupted
	r.Elapsed = time.Since(r.Start)
	n := min(len(c.fit[0]), len(c.fit[1]))
	r.Contrasts = report.Contrasts(c.fit[0][:n], c.fit[1][:n], c.alpha())
	for i, side := range c.sides {
		args := side.command(c.trial())
		if side.url != "" {
			args[1] = report.RedactURL(side.url)
		}
		r.Sides[i] = report.Side{Name: side.name, Command: "rtbench " + quoted(redactFlags(args))}
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
			Text:   fmt.Sprintf("in %d trials the tester sent late by more than a tenth of the latency; both sides have that in it, and it makes their ratio smaller", late),
			Advice: "give the tester processors of its own, or look at what takes longer than that",
		})
	}
	if n > 0 {
		r.Environment = c.fit[0][0].Environment
		r.Environment.CPU, r.Environment.WindowCPU, r.Environment.MaxRSS = 0, 0, 0
	}
	r.Environment.Version = buildVersion()
	r.Entries = c.entries()
	if c.protocols() && n > 0 {
		c.claim()
	}
}

// entries are the settings that were given, without secrets.
func (c *comparing) entries() (list []report.Entry) {
	c.flags.set.Visit(func(flag *pflag.Flag) {
		value := flag.Value.String()
		switch flag.Name {
		case "a", "b", "both", "sse", "ws":
			if args, err := words("", value); err == nil {
				value = quoted(redactFlags(args))
			}
		case "target-metrics":
			value = report.RedactURL(value)
		}
		list = append(list, report.Entry{Name: flag.Name, Value: value})
	})
	return list
}

// secrets are the flags whose values may be.
var secrets = []string{"--header", "-H", "--bearer", "--publish-header", "--publish-body"}

// redactFlags hides what may be secret in a command line.
func redactFlags(args []string) []string {
	list := slices.Clone(args)
	for i, arg := range list {
		name, value, joined := strings.Cut(arg, "=")
		switch {
		case strings.Contains(arg, "://") && !strings.HasPrefix(arg, "-"):
			list[i] = report.RedactURL(arg)
		case slices.Contains(secrets, name) && joined:
			list[i] = name + "=" + redactValue(name, value)
		case strings.Contains(value, "://") && joined:
			list[i] = name + "=" + report.RedactURL(value)
		case slices.Contains(secrets, arg) && i+1 < len(list):
			list[i+1] = redactValue(arg, list[i+1])
		case strings.HasPrefix(arg, "-H") && len(arg) > 2:
			list[i] = "-H" + redactHeader(arg[2:])
		}
	}
	return list
}

func redactValue(flag, value string) string {
	if flag == "--bearer" || flag == "--publish-body" {
		return report.Redacted
	}
	return redactHeader(value)
}
