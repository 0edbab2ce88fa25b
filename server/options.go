package server

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/rtbench/rtbench/client"
)

// Bounds of what a client or a configuration may ask for. All sizes are in bytes.
const (
	maxBody    = 1 << 20   // a published message, an echoed message
	maxHeader  = 64 << 10  // request line and headers
	maxName    = 256       // a client's name, an event id
	maxTopic   = 64        // a topic's name
	maxTopics  = 1024      // topics of one server
	maxRing    = 1 << 20   // events of Replay, Queue
	maxTruth   = 1 << 22   // events of TruthEvents, records of TruthSubscribers, deliveries of TruthWrites
	maxRate    = 1_000_000 // events per second and topic
	minLog     = 4096      // events kept, so that a short queue doesn't make waking subscribers a matter of luck
	maxLog     = 256 << 20 // memory of the events kept for replay and for subscribers that lag
	maxStreams = 10_000    // HTTP/2 streams of one connection

	maxClockOffset = 24 * time.Hour
	maxClockDrift  = 1000 // parts per million
)

// Defaults of the Options that have one.
const (
	defaultTopic            = "default"
	defaultQueue            = 16384
	defaultTruthEvents      = 65536
	defaultTruthSubscribers = 16384
	defaultWriteTimeout     = 10 * time.Second
	defaultGrace            = 2 * time.Second
)

// Options configure a Server. The zero value is a server with one topic, "default", on which only what is published
// to it appears.
type Options struct {
	// Rate is the number of scheduled events per second on each topic. 0 schedules none.
	Rate float64
	// Size is the length of a scheduled event's payload in bytes. 0 is the least that holds topic, sequence and
	// stamp; less than that is an error.
	Size int
	// Binary makes scheduled events binary: the stamp, then seeded bytes. They are binary messages over WebSocket,
	// and over SSE the stamp, a dot and the whole payload in base64.
	Binary bool
	// Topics are the scheduled topics. A subscriber that names none gets all of them, a publisher that names none
	// publishes to the first. Default: one, "default".
	Topics []string
	// Replay is how many of the latest events, over all topics, a subscriber can resume from. 0 replays nothing.
	Replay int
	// Retry is sent as the reconnection time at the start of every SSE stream, in whole milliseconds. 0 sends none.
	Retry time.Duration
	// Heartbeat is the interval of comments (SSE) and pings (WebSocket). 0 sends none.
	Heartbeat time.Duration
	// Limit is the number of subscribers beyond which a request is answered with 503. 0 sets no limit.
	Limit int
	// Queue is how many events the hub may be ahead of a subscriber before that subscriber is cut. Default: 16,384,
	// or more where a stall fault needs it to catch up.
	Queue int
	// Faults are what the server does wrong on purpose.
	Faults []Fault
	// Seed makes random faults and binary payloads repeatable.
	Seed uint64
	// ClockOffset is how far the server's clock is ahead of the true one, and ClockDrift how much more that becomes,
	// in ns for each ms since New (parts per million). Both can be negative.
	ClockOffset time.Duration
	ClockDrift  float64
	// TruthEvents is how many of the latest events /truth remembers. Default: 65,536.
	TruthEvents int
	// TruthSubscribers is how many ended subscribers /truth remembers. Default: 16,384.
	TruthSubscribers int
	// TruthWrites is how many of the latest deliveries /truth/writes remembers with the times of their system calls,
	// at 56 bytes each, of connections that Serve accepted and that speak HTTP/1.1. 0 notes none and costs nothing.
	TruthWrites int
	// Compression accepts permessage-deflate from WebSocket clients that offer it.
	Compression bool
	// WriteTimeout bounds one write to a client that doesn't read. Default: 10 s.
	WriteTimeout time.Duration
	// Alarms end the waits of faults exactly; nil for Go's own timers, which can be late by milliseconds. Whoever gives them
	// closes them, after the server has ended.
	Alarms *client.Alarms
	// Grace bounds how long a clean end of connections may take when the server stops. Default: 2 s.
	Grace time.Duration
}

// withDefaults checks o and fills in what it leaves open.
func (o Options) withDefaults() (Options, error) {
	if len(o.Topics) == 0 {
		o.Topics = []string{defaultTopic}
	}
	if err := o.check(); err != nil {
		return o, err
	}
	if o.Queue == 0 {
		o.Queue = max(defaultQueue, min(o.backlog(), maxRing))
	}
	setDefault(&o.TruthEvents, defaultTruthEvents)
	setDefault(&o.TruthSubscribers, defaultTruthSubscribers)
	setDefault(&o.WriteTimeout, defaultWriteTimeout)
	setDefault(&o.Grace, defaultGrace)
	return o, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// backlog is how many events may be due at once after a stall, with a quarter to spare.
func (o Options) backlog() int {
	var longest time.Duration
	for _, f := range o.Faults {
		if f.kind == faultStall {
			longest = max(longest, f.low)
		}
	}
	return int(min(1.25*longest.Seconds()*o.Rate*float64(len(o.Topics)), maxRing))
}

func (o Options) check() error {
	if math.IsNaN(o.Rate) || o.Rate < 0 || o.Rate > maxRate {
		return fmt.Errorf("rate %v: want 0 to %d events per second", o.Rate, maxRate)
	}
	if len(o.Topics) > maxTopics {
		return fmt.Errorf("%d topics: at most %d are possible", len(o.Topics), maxTopics)
	}
	seen := make(map[string]bool, len(o.Topics))
	for _, name := range o.Topics {
		if err := checkTopic(name); err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("topic %q is given twice", name)
		}
		seen[name] = true
		if need := o.minSize(name); o.Size != 0 && o.Size < need {
			return fmt.Errorf("size %d is too small: an event of topic %q needs %d bytes", o.Size, name, need)
		}
	}
	for _, n := range []struct {
		name  string
		value int
		most  int
	}{
		{"size", o.Size, maxBody},
		{"replay", o.Replay, maxRing},
		{"limit", o.Limit, math.MaxInt},
		{"queue", o.Queue, maxRing},
		{"truth events", o.TruthEvents, maxTruth},
		{"truth subscribers", o.TruthSubscribers, maxTruth},
		{"truth writes", o.TruthWrites, maxTruth},
	} {
		if n.value < 0 || n.value > n.most {
			return fmt.Errorf("%s %d: want 0 to %d", n.name, n.value, n.most)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"retry", o.Retry}, {"heartbeat", o.Heartbeat}, {"write timeout", o.WriteTimeout}, {"grace", o.Grace},
	} {
		if d.value < 0 || d.value > 0 && d.value < time.Millisecond {
			return fmt.Errorf("%s %v: want 0 or at least 1ms", d.name, d.value)
		}
	}
	if o.ClockOffset.Abs() > maxClockOffset {
		return fmt.Errorf("clock offset %v: want at most %v either way", o.ClockOffset, maxClockOffset)
	}
	if !(math.Abs(o.ClockDrift) <= maxClockDrift) {
		return fmt.Errorf("clock drift %v: want at most %d parts per million either way", o.ClockDrift, maxClockDrift)
	}
	return checkFaults(o.Faults)
}

// minSize is the least length of a payload of topic whatever its sequence.
func (o Options) minSize(topic string) int {
	if o.Binary {
		return client.StampLen
	}
	const digits = 15 // a stamp holds sequences of 48 bits
	return len(jsonHead(topic)) + digits + len(jsonStamp) + client.StampLen + len(jsonPad) + len(jsonTail)
}

var errTopic = errors.New("a topic is 1 to 64 letters, digits or any of - _ . : /")

func checkTopic(name string) error {
	if name == "" || len(name) > maxTopic {
		return fmt.Errorf("topic %.80q: %w", name, errTopic)
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/':
		default:
			return fmt.Errorf("topic %.80q: %w", name, errTopic)
		}
	}
	return nil
}
