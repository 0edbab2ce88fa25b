package bench

import "strings"

// A Metric is something that a run measures. The table below is the only place where a metric's name, unit and
// meaning stand: JSON keys, labels, thresholds and the documentation come from it.
type Metric uint8

// The timings: a histogram of durations each.
const (
	Delivery Metric = iota
	RoundTrip
	LagBehindFirst
	FanoutSpread
	Reach50
	Reach95
	Reach99
	Reach100
	InterArrival
	Connect
	DNS
	TCP
	TLS
	Upgrade
	FirstByte
	FirstEvent
	StreamTotal
	Outage
	Detect
	Wait
	Reconnect
	CatchUp
	PublishLateness
	PublishReply
	BeforeSlow
	BesideSlow
	SlowDelivery
	ClientLag
	numTimings
)

// The counts.
const (
	Received = numTimings + iota
	Bytes
	WireIn
	WireOut
	HandshakeIn
	HandshakeOut
	Heartbeats
	Attempts
	Opened
	ConnectErrors
	Drops
	Broken
	Reconnects
	RetriesAsked
	RetriesKept
	Resumes
	ResumesFaulty
	Due
	Sent
	Unsent
	PublishErrors
	PublishIn
	PublishOut
	Expected
	Delivered
	Late
	Lost
	Duplicate
	Reordered
	Ancient
	Boundary
	Unstamped
	OutOfRange
	Resent
	OutOfOrder
	StreamsStarted
	StreamsDone
	StreamsFailed
	SlowReceived
	SlowDrops
	endCounts
)

// The ratios.
const (
	Reach = endCounts + iota
	Throughput
	endMetrics
)

const numCounts = endCounts - numTimings

// A Unit is the base unit of a metric's values. Values are scaled for people only on output.
type Unit string

const (
	Nanoseconds Unit = "ns"
	Number      Unit = "count"
	ByteCount   Unit = "bytes"
	Fraction    Unit = "fraction"
	PerSecond   Unit = "per_second"
)

// none is the absence of a denominator.
const none = endMetrics

// metrics is the one table of metrics. of is what a count is a share of, for rate().
var metrics = [endMetrics]struct {
	name          string
	unit          Unit
	lowerIsBetter bool
	of            Metric
	sentence      string
}{
	Delivery:        {"delivery", Nanoseconds, true, none, "from when an event was due to be published to when its last byte arrived"},
	RoundTrip:       {"round_trip", Nanoseconds, true, none, "from when a message was due to be sent to when its echo arrived"},
	LagBehindFirst:  {"lag_behind_first", Nanoseconds, true, none, "how much later than the first subscriber each other one had an event; needs no server clock"},
	FanoutSpread:    {"fanout_spread", Nanoseconds, true, none, "per event, from its first to its last subscriber"},
	Reach50:         {"reach_50", Nanoseconds, true, none, "per event, from when it was due until half of its subscribers had it; from its first arrival where nothing says when it was due"},
	Reach95:         {"reach_95", Nanoseconds, true, none, "the same, until 95 % of them had it"},
	Reach99:         {"reach_99", Nanoseconds, true, none, "the same, until 99 % of them had it"},
	Reach100:        {"reach_100", Nanoseconds, true, none, "the same, until all of them had it"},
	InterArrival:    {"inter_arrival", Nanoseconds, true, none, "between two events on one connection"},
	Connect:         {"connect", Nanoseconds, true, none, "from dialing to an open stream, all phases"},
	DNS:             {"dns", Nanoseconds, true, none, "name resolution, where one was made"},
	TCP:             {"tcp", Nanoseconds, true, none, "TCP connection"},
	TLS:             {"tls", Nanoseconds, true, none, "TLS handshake"},
	Upgrade:         {"upgrade", Nanoseconds, true, none, "from the request to the HTTP response head or the 101"},
	FirstByte:       {"first_byte", Nanoseconds, true, none, "from dialing to the first byte of the stream"},
	FirstEvent:      {"first_event", Nanoseconds, true, none, "from dialing to the first event; of a request stream, from when it was due to start"},
	StreamTotal:     {"stream_total", Nanoseconds, true, none, "of a request stream, from when it was due to start to its end marker"},
	Outage:          {"outage", Nanoseconds, true, none, "from the last byte before a drop to the first live event after it: detect, wait, reconnect and catch_up together"},
	Detect:          {"detect", Nanoseconds, true, none, "of an outage, from the last byte before the drop to when the client noticed it"},
	Wait:            {"wait", Nanoseconds, true, none, "of an outage, the client's own: its back-off, where attempts fail that before each of them"},
	Reconnect:       {"reconnect", Nanoseconds, true, none, "of an outage, what attempts took, those that failed included, until a stream was open again"},
	CatchUp:         {"catch_up", Nanoseconds, true, none, "of an outage, from when a stream was open again to the first live event; what was missed comes in it, where that is replayed"},
	PublishLateness: {"publish_lateness", Nanoseconds, true, none, "how late the tester sent what was due; the tester's own error"},
	PublishReply:    {"publish_reply", Nanoseconds, true, none, "from when a message was due to be published to the reply that accepted it"},
	BeforeSlow:      {"delivery_before_slow", Nanoseconds, true, none, "delivery to the connections that aren't slow, before the others began to be"},
	BesideSlow:      {"delivery_beside_slow", Nanoseconds, true, none, "delivery to the connections that aren't slow, since the others are: what those do to them"},
	SlowDelivery:    {"slow_delivery", Nanoseconds, true, none, "from when an event was due to be published to when a connection that reads slowly had read it"},
	ClientLag:       {"client_lag", Nanoseconds, true, none, "from the kernel's receive stamp to user space; the tester's own error"},

	Received:       {"received", Number, false, none, "events that arrived, drain and warm-up included"},
	Bytes:          {"bytes", ByteCount, false, none, "payload bytes of the events received"},
	WireIn:         {"wire_in", ByteCount, true, none, "bytes read from the sockets, handshakes included"},
	WireOut:        {"wire_out", ByteCount, true, none, "bytes written to the sockets, handshakes included"},
	HandshakeIn:    {"handshake_in", ByteCount, true, none, "of wire_in, what opening streams took: response heads, and TLS"},
	HandshakeOut:   {"handshake_out", ByteCount, true, none, "of wire_out, what opening streams took: requests, what was sent to subscribe, and TLS"},
	Heartbeats:     {"heartbeats", Number, false, none, "keep-alives received: SSE comments, WebSocket pings"},
	Attempts:       {"attempts", Number, false, none, "times a connection was tried, reconnects included"},
	Opened:         {"opened", Number, false, Attempts, "streams opened, reconnects included"},
	ConnectErrors:  {"connect_errors", Number, true, Attempts, "attempts that opened no stream"},
	Drops:          {"drops", Number, true, Opened, "open streams that ended without being asked to"},
	Broken:         {"broken", Number, false, Opened, "open streams that the run itself broke off (--drop, --churn)"},
	Reconnects:     {"reconnects", Number, true, Opened, "streams opened again after a drop"},
	RetriesAsked:   {"retries_asked", Number, false, none, "waits before an attempt of which the server had said how long they should be (retry:, Retry-After)"},
	RetriesKept:    {"retries_kept", Number, false, RetriesAsked, "of these, those that were at least as long"},
	Resumes:        {"resumes", Number, false, none, "streams opened again after a drop, after which there was something to replay, or that went wrong"},
	ResumesFaulty:  {"resumes_faulty", Number, true, Resumes, "of these, those that did not go on exactly after the last event, with every event once and in order"},
	Due:            {"due", Number, false, none, "messages that the schedule wanted sent"},
	Sent:           {"sent", Number, false, Due, "messages sent"},
	Unsent:         {"unsent", Number, true, Due, "messages due that could not be sent: no open connection, or its queue was full"},
	PublishIn:      {"publish_in", ByteCount, true, none, "bytes of the replies to what was published, as read from the sockets"},
	PublishOut:     {"publish_out", ByteCount, true, none, "bytes written to the sockets to publish, with connecting"},
	PublishErrors:  {"publish_errors", Number, true, Due, "messages whose publishing was refused or got no reply"},
	Expected:       {"expected", Number, false, none, "(event, subscriber) pairs that should have arrived"},
	Delivered:      {"delivered", Number, false, Expected, "expected pairs that did arrive"},
	Late:           {"late", Number, true, Expected, "expected pairs that arrived only after the measured window had ended"},
	Lost:           {"lost", Number, true, Expected, "expected pairs that never arrived"},
	Duplicate:      {"duplicate", Number, true, Received, "events that a subscriber had already received"},
	Reordered:      {"reordered", Number, true, Received, "events that arrived after a later one"},
	Ancient:        {"ancient", Number, true, Received, "events too old to tell late from duplicate"},
	Boundary:       {"boundary", Number, false, none, "pairs left out because the event fell into the subscribe race or the end of the run"},
	Unstamped:      {"unstamped", Number, true, Received, "events in which the stamp asked for was not found"},
	OutOfRange:     {"out_of_range", Number, true, Received, "timings that could not be recorded: negative, as when clocks disagree, or over an hour"},
	Resent:         {"resent", Number, true, none, "TCP segments that this host had to send again"},
	OutOfOrder:     {"out_of_order", Number, true, none, "TCP segments that arrived out of order: lost or overtaken on the way"},
	StreamsStarted: {"streams_started", Number, false, none, "request streams started"},
	StreamsDone:    {"streams_done", Number, false, StreamsStarted, "request streams that ended on their marker"},
	StreamsFailed:  {"streams_failed", Number, true, StreamsStarted, "request streams that failed to open, broke off or ended without their marker"},

	SlowReceived: {"slow_received", Number, false, none, "events that connections which read slowly have read; no other figure has them"},
	SlowDrops:    {"slow_drops", Number, true, none, "open streams of such connections that ended without being asked to"},

	Reach:      {"reach", Fraction, false, none, "delivered ÷ expected"},
	Throughput: {"throughput", PerSecond, false, none, "events received a second in the measured window"},
}

// misnomers are what other tools call a metric.
var misnomers = map[string]Metric{"latency": Delivery, "rtt": RoundTrip, "loss": Lost, "errors": ConnectErrors}

// Timings lists the metrics that are histograms, Counts those that are counters, Metrics all.
func Timings() []Metric { return metricRange(0, numTimings) }

// Counts lists the metrics that are counters.
func Counts() []Metric { return metricRange(numTimings, endCounts) }

// Metrics lists every metric.
func Metrics() []Metric { return metricRange(0, endMetrics) }

func metricRange(from, to Metric) []Metric {
	all := make([]Metric, 0, to-from)
	for m := from; m < to; m++ {
		all = append(all, m)
	}
	return all
}

// String is the metric's name everywhere: JSON key, label, threshold.
func (m Metric) String() string { return metrics[m].name }

// Unit is the base unit of its values.
func (m Metric) Unit() Unit { return metrics[m].unit }

// LowerIsBetter says in which direction the metric improves.
func (m Metric) LowerIsBetter() bool { return metrics[m].lowerIsBetter }

// Sentence says what it means.
func (m Metric) Sentence() string { return metrics[m].sentence }

// IsTiming reports whether it is a histogram of durations.
func (m Metric) IsTiming() bool { return m < numTimings }

// IsCount reports whether it is a counter.
func (m Metric) IsCount() bool { return m >= numTimings && m < endCounts }

// Of gives what a count is a share of, for rate(); ok is false where it is a share of nothing.
func (m Metric) Of() (of Metric, ok bool) {
	of = metrics[m].of
	return of, of != none
}

// ParseMetric finds a metric by its name. Where there is none, near is the closest name there is, if any is close.
func ParseMetric(name string) (m Metric, near string, ok bool) {
	names := make([]string, 0, endMetrics)
	for m := range endMetrics {
		if m.String() == name {
			return m, "", true
		}
		names = append(names, m.String())
	}
	if meant, ok := misnomers[strings.ToLower(name)]; ok {
		return 0, meant.String(), false
	}
	return 0, Nearest(name, names), false
}

// Nearest gives the name that was probably meant by a word that is none of them, "" where none is close.
func Nearest(word string, names []string) (near string) {
	best := len(word)/2 + 2
	for _, name := range names {
		if d := distance(strings.ToLower(word), name); d < best {
			best, near = d, name
		}
	}
	return near
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
