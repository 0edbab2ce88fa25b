package cmd

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/proxy"
	"github.com/rtbench/rtbench/report"
)

// loadFlags are the flags of `rtbench sse` and `rtbench ws`.
type loadFlags struct {
	set      *pflag.FlagSet
	scenario string // whose run it is; "" for none's
	clockFlags

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
	token    parsed[client.Field]

	publish        string
	publishMethod  string
	publishHeaders []string
	publishBody    string
	publishers     countValue

	reconnect   parsed[client.Policy]
	wait        time.Duration
	maxWait     time.Duration
	maxAttempts int
	jitter      parsed[client.Jitter]
	seed        uint64

	drops       parsed[bench.Breakage]
	churn       parsed[bench.Breakage]
	slow        parsed[slowness]
	watchDeploy time.Duration
	via         parsed[[]proxy.Fault]

	stream        string
	metricsAddr   string
	metricsAt     string // where metrics are served
	targetPID     int
	targetMetrics string

	insecure  bool
	caCert    string
	cert, key string
	connectTo string
	sources   parsed[netip.Addr]
	timeout   time.Duration
	idle      parsed[idleLimit]
	ping      time.Duration
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

	horizon       time.Duration
	horizonEvents countValue
	silent        time.Duration

	// SSE
	method string
	data   string
	done   parsed[client.EndMarker]

	noResume bool

	// WebSocket
	message      string
	messageFile  string
	chat         countValue
	subscribe    []string
	await        string
	answers      []string
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
	// untilConnected is the warm-up that a bench.Plan takes for as long as connecting takes.
	untilConnected = time.Duration(-1)
)

var (
	jitters = [...]client.Jitter{client.NoJitter, client.FullJitter, client.EqualJitter}
	scopes  = [...]string{"total", "conn"}
)

// register declares the flags: those that all protocols have, and between them the protocol's own.
func (f *loadFlags) register(set *pflag.FlagSet, p *protocol) {
	f.set = set
	f.registerLoad()
	p.register(f)
	f.registerRequest()
	f.registerClock()
	f.registerPublishing()
	f.registerReconnecting(p.policy)
	f.registerBreaking()
	f.registerVia()
	f.registerNetwork()
	f.registerTarget()
	f.registerSearches()
	f.registerReport()
	f.registerLive()
}

func (f *loadFlags) registerLoad() {
	set := f.set
	f.connections, f.connectRate = defaultConnections, bench.DefaultConnectRate
	set.VarP(&f.connections, "connections", "c", "connections to open")
	set.DurationVarP(&f.duration, "duration", "d", defaultDuration, "how long to measure, once all are connected")
	set.DurationVarP(&f.duration, "z", "z", defaultDuration, "the same as --duration")
	_ = set.MarkHidden("z")
	set.VarP(&f.events, "events", "n", "stop after so many events")
	set.Var(&f.stages, "stage", "ramp: so many connections after so long, as `TIME:N`, such as 30s:1000 (repeatable)")
	set.Var(&f.connectRate, "connect-rate", "connections opened a second at most")
	set.DurationVar(&f.warmup, "warmup", untilConnected, "leave out so much at the start")
	byDefault(set, "warmup", "until all are connected, and 1s more where messages are sent")
	set.DurationVar(&f.drain, "drain", bench.DefaultDrain, "how long to wait for what is under way at the end")
	set.StringVar(&f.serve, "serve", "", "without a URL: `FLAGS` for the reference server, such as '--rate 500 --size 512'")
	heading(set, "load")
}

func (f *loadFlags) registerRequest() {
	set := f.set
	set.StringArrayVarP(&f.headers, "header", "H", nil, "send this header, as `'NAME: VALUE'`, a template (repeatable)")
	set.StringVar(&f.bearer, "bearer", "", "send 'Authorization: Bearer `TOKEN`'")
	set.StringVar(&f.origin, "origin", "", "send 'Origin: `URL`'")
	set.StringVar(&f.varsFile, "vars", "", "CSV `FILE` with a row for each connection: {{.Vars.column}} in URL, headers and messages")
	set.StringVar(&f.lastID, "last-event-id", "", "`ID` after which every subscription starts")
	heading(set, "request")
	f.stamp = parsed[client.Field]{kind: "field", parse: client.ParseField}
	set.Var(&f.stamp, "stamp", "where a payload has the server's send time: `json:PATH` (s, ms, µs or ns by magnitude, or ISO)")
	f.sequence = parsed[bench.Sequence]{kind: "sequence", parse: parseSequence}
	set.Var(&f.sequence, "seq", "consecutive numbers that tell loss: id, or `json:PATH` in a payload")
	f.token = parsed[client.Field]{kind: "field", parse: client.ParseField}
	set.Var(&f.token, "token", "where an event has rtbench's own stamp: `json:PATH`")
	byDefault(set, "token", "searched in the first 64 KiB")
	f.maxEvent = client.DefaultMaxEvent
	set.Var(&f.maxEvent, "max-event-size", "limit for one event")
	byDefault(set, "max-event-size", "1m")
	heading(set, "events")
}

func (f *loadFlags) registerPublishing() {
	set := f.set
	set.StringVar(&f.publish, "publish", "", "post messages at --rate, for all connections to receive, to this `URL` or path on the target's host, a template; -H, --bearer and --origin aren't for it")
	set.StringVar(&f.publishMethod, "publish-method", "", "HTTP `METHOD`")
	byDefault(set, "publish-method", "POST")
	set.StringArrayVar(&f.publishHeaders, "publish-header", nil, "post this `HEADER`, 'NAME: VALUE', a template (repeatable)")
	byDefault(set, "publish-header", "Content-Type by the body")
	set.StringVar(&f.publishBody, "publish-body", "", "`TEMPLATE` of a message: {{.Stamp}}, which it needs, {{.N}}, {{.Conn}}, {{.Vars.column}}; @FILE reads it from a file")
	byDefault(set, "publish-body", defaultMessage)
	set.Var(&f.publishers, "publishers", "publishers, which take turns; their number is {{.Conn}}")
	byDefault(set, "publishers", "1")
	heading(set, "publishing")
}

func (f *loadFlags) registerReconnecting(policy client.Policy) {
	set := f.set
	f.reconnect = parsed[client.Policy]{kind: "policy", parse: client.ParsePolicy, many: true}
	set.Var(&f.reconnect, "reconnect", "after a drop: "+joined(client.Policies())+" (repeatable: connections have one in turn, and they are compared)")
	byDefault(set, "reconnect", string(policy))
	set.DurationVar(&f.wait, "reconnect-wait", 0, "first wait of a policy")
	byDefault(set, "reconnect-wait", "1s, eventsource 3s")
	set.DurationVar(&f.maxWait, "reconnect-max-wait", client.DefaultMaxWait, "longest wait of a policy")
	set.IntVar(&f.maxAttempts, "reconnect-attempts", 0, "attempts in a row before giving up")
	byDefault(set, "reconnect-attempts", "no limit")
	f.jitter = parsed[client.Jitter]{kind: "jitter", parse: client.ParseJitter, many: true}
	set.Var(&f.jitter, "jitter", "spread of the waits: "+joined(jitters[:])+" (repeatable, as --reconnect)")
	byDefault(set, "jitter", string(client.NoJitter))
	set.Uint64Var(&f.seed, "seed", 1, "seed of everything random")
	heading(set, "reconnecting")
}

func (f *loadFlags) registerNetwork() {
	set := f.set
	set.BoolVarP(&f.insecure, "insecure", "k", false, "accept any TLS certificate")
	set.StringVar(&f.caCert, "cacert", "", "PEM `FILE` of the authorities to trust")
	set.StringVar(&f.cert, "cert", "", "PEM `FILE` of the client certificate")
	set.StringVar(&f.key, "key", "", "PEM `FILE` of its key")
	set.StringVar(&f.connectTo, "connect-to", "", "connect to `HOST:PORT`, whatever the URL says")
	f.sources = parsed[netip.Addr]{kind: "address", parse: parseAddress, many: true}
	set.Var(&f.sources, "source-ip", "local address to connect from (repeatable, used in turn)")
	set.DurationVar(&f.timeout, "timeout", client.DefaultTimeout, "limit for opening a connection, and for the reply to a message that is published")
	f.idle = parsed[idleLimit]{kind: "limit", parse: parseIdleLimit}
	set.Var(&f.idle, "idle-timeout", "drop a connection that receives nothing for so `LONG`; auto learns it from heartbeats: 2.5 times what is between two of them, or the longest silence, whichever is more")
	byDefault(set, "idle-timeout", "never, with --ping twice that")
	heading(set, "network")
}

func (f *loadFlags) registerReport() {
	set := f.set
	f.thresholds = parsed[bench.Threshold]{kind: "condition", parse: bench.ParseThreshold, many: true}
	set.Var(&f.thresholds, "threshold", "exit 99 unless this holds, such as 'p99(delivery) < 250ms' (repeatable)")
	set.BoolVar(&f.abort, "abort-on-fail", false, "end the run as soon as a threshold has failed")
	set.BoolVar(&f.strict, "strict", false, "exit 95 where the result is not to be trusted")
	heading(set, "verdict")
	f.registerOutput(report.Formats())
	f.registerScreen()
	set.BoolVar(&f.debug, "debug", false, "open one connection and show all that happens on it; with --publish, post one message, or go on at --rate")
	heading(set, "output")
}

// registerScreen declares the flags that say how progress is shown.
func (f *loadFlags) registerScreen() {
	f.set.BoolVar(&f.noTUI, "no-tui", false, "progress as plain lines, and not on the whole screen")
	f.set.BoolVar(&f.noTUI, "plain", false, "the same: a line a second, as a screen reader reads it")
}

// registerOutput declares the flags that say where a report goes, which can be written in some formats.
func (f *loadFlags) registerOutput(formats []report.Format) {
	set := f.set
	set.StringArrayVarP(&f.outputs, "output", "o", nil, "write the report to a `FILE` as well; its ending says the format (repeatable)")
	f.format = parsed[report.Format]{kind: "format", parse: report.ParseFormat}
	set.Var(&f.format, "format", "format of the report on stdout, and of files whose ending says none: "+joined(formats))
	byDefault(set, "format", "text")
	set.BoolVar(&f.json, "json", false, "the same as --format json")
	set.BoolVar(&f.noColor, "no-color", false, "no colours")
	set.BoolVar(&f.quiet, "quiet", false, "no progress, and no report on stdout unless --format or --json asks for one that is not text")
	heading(set, "output")
}

// registerRate declares the flag of what is sent, which every protocol describes in its own words.
func (f *loadFlags) registerRate(what, unlessGiven string) {
	f.set.VarP(&f.rate, "rate", "r", what)
	byDefault(f.set, "rate", unlessGiven)
}

// completions offers the values of flags that have but a few.
func completions(command *cobra.Command) {
	command.Flags().VisitAll(func(f *pflag.Flag) {
		if values := choices(command.Name(), f.Name); values != nil {
			_ = command.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	})
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

func parseAddress(s string) (netip.Addr, error) {
	address, err := netip.ParseAddr(s)
	if err != nil {
		return address, fmt.Errorf("%q is not an IP address", s)
	}
	return address, nil
}

// joined lists names for a sentence.
func joined[T any](list []T) string { return strings.Join(names(list), ", ") }

func names[T any](list []T) []string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
	}
	return texts
}
