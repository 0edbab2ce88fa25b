package cmd

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// loadFlags are the flags of `rtbench sse` and `rtbench ws`.
type loadFlags struct {
	set *pflag.FlagSet

	connections countValue
	duration    time.Duration
	events      countValue
	stages      stagesValue
	connectRate rateValue
	warmup      time.Duration
	drain       time.Duration
	rate        rateValue
	rateScope   string

	headers  []string
	bearer   string
	origin   string
	varsFile string
	lastID   string
	stamp    parsed[client.Field]
	sequence parsed[bench.Sequence]

	reconnect   parsed[client.Policy]
	wait        time.Duration
	maxWait     time.Duration
	maxAttempts int
	jitter      parsed[client.Jitter]
	seed        uint64

	insecure  bool
	caCert    string
	cert, key string
	connectTo string
	sources   parsed[netip.Addr]
	timeout   time.Duration
	idle      time.Duration
	maxEvent  sizeValue

	thresholds parsed[bench.Threshold]
	abort      bool
	strict     bool

	outputs []string
	format  parsed[report.Format]
	json    bool
	noColor bool
	quiet   bool
	noTUI   bool
	debug   bool
	serve   string

	// SSE
	method string
	data   string
	done   parsed[client.EndMarker]

	// WebSocket
	message      string
	messageFile  string
	subscribe    []string
	await        string
	binary       bool
	subprotocols []string
	compression  bool
	resume       parsed[client.Resume]
	id           parsed[client.Field]
}

const (
	defaultConnections = 100
	defaultDuration    = 10 * time.Second
	// eventsDuration bounds a run that is to end after a number of events.
	eventsDuration = time.Hour
)

// register declares the flags that all protocols have.
func (f *loadFlags) register(set *pflag.FlagSet) {
	f.set = set
	f.connections, f.connectRate, f.maxEvent = defaultConnections, bench.DefaultConnectRate, client.DefaultMaxEvent
	set.VarP(&f.connections, "connections", "c", "connections to open; with --done, streams at a time")
	set.DurationVarP(&f.duration, "duration", "d", defaultDuration, "how long to measure, once all are connected")
	set.DurationVarP(&f.duration, "z", "z", defaultDuration, "the same as --duration")
	_ = set.MarkHidden("z")
	set.VarP(&f.events, "events", "n", "stop after so many events")
	set.Var(&f.stages, "stage", "ramp: DURATION:CONNECTIONS, such as 30s:1000 (repeatable)")
	set.Var(&f.connectRate, "connect-rate", "connections opened a second at most")
	set.DurationVar(&f.warmup, "warmup", -1, "leave out so much at the start (default: until all are connected)")
	_ = set.SetAnnotation("warmup", "default", []string{"until all are connected"})
	set.DurationVar(&f.drain, "drain", bench.DefaultDrain, "how long to wait for what is under way at the end")

	set.StringArrayVarP(&f.headers, "header", "H", nil, "request header 'Name: value' (repeatable)")
	set.StringVar(&f.bearer, "bearer", "", "send 'Authorization: Bearer TOKEN'")
	set.StringVar(&f.origin, "origin", "", "send this Origin header")
	set.StringVar(&f.varsFile, "vars", "", "CSV file with a row for each connection; {{.Vars.column}} in URL, headers and messages")
	set.StringVar(&f.lastID, "last-event-id", "", "where every subscription starts")
	f.stamp = parsed[client.Field]{kind: "field", parse: client.ParseField}
	set.Var(&f.stamp, "stamp", "where a payload has the server's send time: json:PATH (s, ms, µs or ns by magnitude, or ISO)")
	f.sequence = parsed[bench.Sequence]{kind: "sequence", parse: parseSequence}
	set.Var(&f.sequence, "seq", "consecutive numbers that tell loss: id, or json:PATH in a payload")

	f.reconnect = parsed[client.Policy]{kind: "policy", parse: client.ParsePolicy}
	set.Var(&f.reconnect, "reconnect", "after a drop: "+joined(client.Policies())+" (default: as browsers do it)")
	set.DurationVar(&f.wait, "reconnect-wait", 0, "first wait of a policy (default: 1s, eventsource 3s)")
	set.DurationVar(&f.maxWait, "reconnect-max-wait", client.DefaultMaxWait, "longest wait of a policy")
	set.IntVar(&f.maxAttempts, "reconnect-attempts", 0, "attempts in a row before giving up (default: no limit)")
	f.jitter = parsed[client.Jitter]{kind: "jitter", parse: client.ParseJitter}
	set.Var(&f.jitter, "jitter", "spread of the waits: none, full or equal (default: none)")
	set.Uint64Var(&f.seed, "seed", 1, "seed of everything random")

	set.BoolVarP(&f.insecure, "insecure", "k", false, "accept any TLS certificate")
	set.StringVar(&f.caCert, "cacert", "", "PEM file of the authorities to trust")
	set.StringVar(&f.cert, "cert", "", "PEM file of the client certificate")
	set.StringVar(&f.key, "key", "", "PEM file of its key")
	set.StringVar(&f.connectTo, "connect-to", "", "connect to HOST:PORT, whatever the URL says")
	f.sources = parsed[netip.Addr]{kind: "address", parse: netip.ParseAddr, many: true}
	set.Var(&f.sources, "source-ip", "local address to connect from (repeatable, used in turn)")
	set.DurationVar(&f.timeout, "timeout", client.DefaultTimeout, "limit for opening a connection")
	set.DurationVar(&f.idle, "idle-timeout", 0, "a connection that receives nothing for so long is dropped (default: never)")
	set.Var(&f.maxEvent, "max-event-size", "limit for one event")

	f.thresholds = parsed[bench.Threshold]{kind: "condition", parse: bench.ParseThreshold, many: true}
	set.Var(&f.thresholds, "threshold", "exit 99 unless this holds, such as 'p99(delivery) < 250ms' (repeatable)")
	set.BoolVar(&f.abort, "abort-on-fail", false, "end the run as soon as a threshold has failed")
	set.BoolVar(&f.strict, "strict", false, "exit 95 where the result is not to be trusted")

	set.StringArrayVarP(&f.outputs, "output", "o", nil, "write the report to a file as well; its ending says the format (repeatable)")
	f.format = parsed[report.Format]{kind: "format", parse: report.ParseFormat}
	set.Var(&f.format, "format", "format of the report: "+joined(report.Formats())+" (default: text, files by their ending)")
	set.BoolVar(&f.json, "json", false, "the same as --format json")
	set.BoolVar(&f.noColor, "no-color", false, "no colours")
	set.BoolVar(&f.quiet, "quiet", false, "no progress and no text report")
	set.BoolVar(&f.noTUI, "no-tui", false, "progress as plain lines")
	set.BoolVar(&f.debug, "debug", false, "open one connection and show all that happens on it")
	set.StringVar(&f.serve, "serve", "", "without a URL: flags for the reference server, such as '--rate 100 --size 512'")
}

// registerRate declares the flag of what is sent, which every protocol describes in its own words.
func (f *loadFlags) registerRate(what string) {
	f.set.VarP(&f.rate, "rate", "r", what)
}

func parseSequence(s string) (bench.Sequence, error) {
	if s == "id" {
		return bench.Sequence{ID: true}, nil
	}
	field, err := client.ParseField(s)
	if err != nil {
		return bench.Sequence{}, fmt.Errorf("%q: write id, or json:PATH such as json:data.seq", s)
	}
	return bench.Sequence{Field: field}, nil
}

// joined lists names for a sentence.
func joined[T any](list []T) string {
	names := make([]string, len(list))
	for i, item := range list {
		names[i] = fmt.Sprint(item)
	}
	return strings.Join(names, ", ")
}

// given reports whether a flag was set, on the command line or by its variable.
func (f *loadFlags) given(name string) bool {
	flag := f.set.Lookup(name)
	return flag != nil && flag.Changed
}

// conflicts is the one table of flags that can't be given together.
var conflicts = [...]struct{ a, b, why string }{
	{"stage", "connections", "the stages say how many connections there are"},
	{"stage", "duration", "the stages say how long the run is"},
	{"stage", "z", "the stages say how long the run is"},
	{"stage", "done", "with --done, --connections is how many streams there may be at a time"},
	{"message", "message-file", "give the message once"},
	{"insecure", "cacert", "either anybody is trusted, or those authorities"},
	{"json", "format", "--json is --format json"},
	{"debug", "connections", "--debug opens one connection"},
	{"debug", "stage", "--debug opens one connection"},
	{"debug", "output", "--debug makes no report"},
	{"debug", "threshold", "--debug makes no report"},
	{"done", "reconnect", "a request stream isn't opened again"},
	{"done", "seq", "request streams have no events in common"},
	{"done", "rate-scope", "--rate is how many streams are started a second"},
}

// check finds flags that don't go together.
func (f *loadFlags) check(hasURL bool) error {
	for _, c := range conflicts {
		if f.given(c.a) && f.given(c.b) {
			return usage(fmt.Errorf("--%s and --%s don't go together", c.a, c.b), "%s", c.why)
		}
	}
	switch {
	case f.cert != "" && f.key == "", f.key != "" && f.cert == "":
		return usage(fmt.Errorf("--cert and --key go together"), "one is the client's certificate, the other its key")
	case f.serve != "" && hasURL:
		return usage(fmt.Errorf("--serve is for the reference server, but there is a URL"), "leave out one of them")
	case f.abort && len(f.thresholds.values) == 0:
		return usage(fmt.Errorf("--abort-on-fail without a --threshold"), "say what must hold")
	case f.set.Lookup("done") != nil && f.given("rate") && !f.given("done"):
		return usage(fmt.Errorf("--rate says how often request streams are started, which needs --done"), "--done '[DONE]', --done event:NAME")
	case f.rateScope != "total" && f.rateScope != "conn" && f.rateScope != "":
		return usage(fmt.Errorf("--rate-scope %q is neither total nor conn", f.rateScope), "is --rate of all connections together, or of each?")
	case f.given("rate") && f.rate == 0:
		return usage(fmt.Errorf("--rate 0 sends nothing"), "leave it out to receive only")
	case f.given("connect-rate") && f.connectRate == 0:
		return usage(fmt.Errorf("--connect-rate 0 opens nothing"), "give connections a second")
	case f.duration <= 0:
		return usage(fmt.Errorf("--duration %s is not a time to measure for", f.duration), "such as 10s or 5m")
	case f.given("resume") && !f.given("id"):
		return usage(fmt.Errorf("--resume needs to know the id of a message"), "--id json:PATH says where it is")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"drain", f.drain}, {"reconnect-wait", f.wait}, {"reconnect-max-wait", f.maxWait}, {"timeout", f.timeout}, {"idle-timeout", f.idle}} {
		if d.value < 0 || d.name == "timeout" && d.value == 0 {
			return usage(fmt.Errorf("--%s %s: not a duration to wait for", d.name, d.value), "such as 10s")
		}
	}
	return nil
}
