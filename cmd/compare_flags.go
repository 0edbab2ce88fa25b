package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// compareFlags are the flags of `rtbench compare`. Those of loadFlags that say where reports go are used as they are.
type compareFlags struct {
	set      *pflag.FlagSet
	scenario string // whose comparison it is; "" for none's
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
	completions(command)
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
	set.Var(&f.pairs, "pairs", fmt.Sprintf("pairs of trials, `N` from %d to %d; auto looks after %s and stops when there is a difference", report.FewestPairs, maxPairs, joined(looks[:])))
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
	f.output.set = set
	f.output.registerOutput(report.ComparisonFormats())
	f.output.registerScreen()
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
		if overSSE := f.a != "" || slices.ContainsFunc(args, func(raw string) bool { return strings.HasPrefix(raw, "http") }); f.load().up && overSSE && !strings.Contains(f.both+f.sse+f.a+f.b, "--publish") {
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
