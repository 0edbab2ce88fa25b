package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A Plan says what a run does. It is not changed once a Runner has it.
type Plan struct {
	Stages      []Stage       // how many connections are open, when
	ConnectRate float64       // connections opened a second at most; 0 for DefaultConnectRate
	Duration    time.Duration // of the measured window; 0 where Stages have lengths and say it
	Warmup      time.Duration // before the measured window; negative for the time that connecting should take
	Events      uint64        // end after so many events in the window; 0 for no limit
	Drain       time.Duration // how long to wait for what is under way at the end; 0 for DefaultDrain

	Send    Sending // what the connections send
	Streams bool    // every connection is one request with an end: Send.Rate is how often one is started

	Ping      time.Duration // how often each connection asks its peer for a sign of life, where it can; 0 for never
	Slow      Slowness      // connections that read slowly
	Breakages []Breakage    // what the run does to its own connections
	Unnoticed bool          // clients notice no black hole, so that nobody need wait for it
	NoteEnds  bool          // have Result.Noted hold every end of a connection that wasn't asked for

	Backoff client.Backoff
	Rivals  []client.Backoff // policies that are compared with it: connections have one of all in turn
	From    client.Cursor    // where every subscription starts
	Seed    uint64

	Stamp      client.Field // the server's send time in a payload; zero for rtbench's own stamp
	Sequence   Sequence
	Token      client.Field // where an event has rtbench's own stamp; zero to search for it
	Clock      Clock        // tells the server's time, where that is by another clock than ours; nil for nobody
	Target     Probe        // tells what the target uses; nil for nobody
	Thresholds []Threshold
	Abort      bool // end the run when a threshold fails that more time can't mend
}

// Sending says what is sent, on a schedule that waits for nothing: by every connection for itself, as to a server that
// echoes; or for all of them to receive, by every so many-th connection, or by publishers.
type Sending struct {
	Rate          float64     // messages (or streams) a second; 0 for none
	PerConnection bool        // Rate is of each connection that sends, else of all together
	Every         int         // every so many-th connection sends, for all to receive; 0 where each sends for itself
	Publishers    []Publisher // publish in turn, for all connections to receive; none where the connections send
	// Message appends one message to dst. It is called from many goroutines at once. nil for the stamp alone.
	Message func(dst []byte, m Outgoing) []byte
	// Unstamped says that Message leaves the stamp out: an echo is then known by its content.
	Unstamped bool
}

// A Publisher publishes messages by other means than the connections. Publish is called from several goroutines at
// once; it says when the message had left, and returns when it was accepted or why it wasn't.
type Publisher interface {
	Publish(ctx context.Context, message []byte) (sent time.Time, err error)
}

// A counting Publisher tells how many bytes its requests, and the replies to them, took on the wire so far.
type countingPublisher interface {
	Publisher
	Wire() (in, out uint64)
}

// A quick Publisher can hand a message to the system without waiting, where it has a connection that is idle. Where it
// isn't ok nothing was sent, and Publish is to be used; else reply must be called, and returns as Publish does. Prepare
// opens such a connection.
type quickPublisher interface {
	Publisher
	Post(message []byte) (reply func(context.Context) error, sent time.Time, ok bool)
	Prepare(ctx context.Context) error
}

// forAll reports whether what is sent is for all connections to receive.
func (s *Sending) forAll() bool { return s.Every > 0 || len(s.Publishers) > 0 }

// senders is how many of so many connections send.
func (s *Sending) senders(connections int) int {
	every := max(1, s.Every)
	return (connections + every - 1) / every
}

// Outgoing is what a message can be made of.
type Outgoing struct {
	Connection int    // or publisher
	Number     uint64 // of this connection's messages, or of those for all, from 0
	Stamp      []byte // an encoded client.Stamp
}

// Sequence says which consecutive numbers the events of a stream carry, besides those of a stamp.
type Sequence struct {
	ID    bool         // the event ids are such numbers
	Field client.Field // a field of the payload holds them
}

const (
	DefaultConnectRate = 1000
	DefaultDrain       = 5 * time.Second
)

const (
	// settling is how long connections get to be open before the first message is due, after the last one was dialed.
	settling = time.Second
	// longest bounds what a plan takes, so that no sum of its times overflows.
	longest = 366 * 24 * time.Hour
)

// maxRivals bounds how many policies are compared.
const maxRivals = 15

// backoff gives the policy of a connection, and its number.
func (p *Plan) backoff(connection int) (client.Backoff, uint8) {
	n := connection % (1 + len(p.Rivals))
	if n == 0 {
		return p.Backoff, 0
	}
	return p.Rivals[n-1], uint8(n)
}

// policies names the back-off policies.
func (p *Plan) policies() []string {
	list := []string{p.Backoff.String()}
	for _, b := range p.Rivals {
		list = append(list, b.String())
	}
	return list
}

// Slowness is of connections that read slowly: their dialers see to that. What they receive is told apart from what the
// others do, and what they miss isn't counted.
type Slowness struct {
	Share float64       // of the connections; 0 for none
	At    time.Duration // after the start of the measured window; 0 for from the start
	Begin func()        // has them be slow from now on
}

// Is reports whether a connection, counted from 0, is one of them: they are spread evenly.
func (s Slowness) Is(connection int) bool {
	return s.Share > 0 && math.Floor(float64(connection+1)*s.Share) > math.Floor(float64(connection)*s.Share)
}

// Peak is the most connections that the plan has open; with Streams, the most streams.
func (p *Plan) Peak() (most int) {
	for _, stage := range p.Stages {
		most = max(most, stage.Target)
	}
	return most
}

// Level says how many connections the plan wants open at a time after the start.
func (p *Plan) Level() func(time.Duration) int {
	t := p.timetable()
	if t.opens == nil {
		return func(time.Duration) int { return p.Peak() }
	}
	return func(at time.Duration) int {
		return int(math.Round(t.opens.until(at) - t.closes.until(at)))
	}
}

func (p *Plan) validate() error {
	switch {
	case len(p.Stages) == 0 || p.Peak() < 1:
		return errors.New("the plan opens no connection")
	case p.Duration < 0 || p.Drain < 0 || p.Ping < 0 || !isRate(p.ConnectRate) || !isRate(p.Send.Rate):
		return errors.New("durations and rates must be finite and not negative")
	case p.Streams && p.Send.Rate == 0:
		return errors.New("request streams need a rate at which they are started")
	case p.Streams && p.Send.forAll():
		return errors.New("request streams have no events in common, so nothing can be published to them")
	case p.Send.forAll() && p.Send.Unstamped:
		return errors.New("a message that is for all connections needs a stamp, or it can't be known again")
	case p.Send.Every > 0 && len(p.Send.Publishers) > 0, p.Send.Every < 0:
		return errors.New("either connections send or publishers do")
	}
	if p.Slow.Share < 0 || p.Slow.Share >= 1 || p.Slow.At < 0 || p.Slow.Share > 0 && (p.Streams || p.Slow.Begin == nil) {
		return errors.New("some of the connections can read slowly, but not all, and none that are requests")
	}
	for _, b := range p.Breakages {
		if err := b.validate(); err != nil {
			return err
		}
		if p.Streams {
			return errors.New("request streams aren't opened again: there is nothing to learn from breaking them off")
		}
	}
	if len(p.Rivals) > maxRivals {
		return fmt.Errorf("%d back-off policies can be compared at most", maxRivals+1)
	}
	for i, stage := range p.Stages {
		if stage.Length < 0 || stage.Target < 0 {
			return fmt.Errorf("stage %d: length and target must not be negative", i+1)
		}
	}
	switch {
	case p.takes() > longest.Seconds():
		return errors.New("the plan takes more than a year")
	case p.Duration == 0 && !p.staged():
		return errors.New("the plan measures for no time")
	}
	if times := p.timetable(); times.begin >= times.end {
		return fmt.Errorf("the warm-up of %v leaves nothing of the %v to measure", p.Warmup, times.end)
	}
	return nil
}

func isRate(f float64) bool { return f >= 0 && !math.IsInf(f, 0) }

// takes is how long the plan takes at most, in seconds.
func (p *Plan) takes() float64 {
	total := p.Duration.Seconds() + p.Warmup.Seconds() + p.Drain.Seconds()
	level := 0
	for _, stage := range p.Stages {
		total += stage.Length.Seconds() + float64(max(0, stage.Target-level))/p.pace()
		level = stage.Target
	}
	return total
}

// pace is how many connections are opened a second.
func (p *Plan) pace() float64 { return cmp.Or(p.ConnectRate, DefaultConnectRate) }

// staged reports whether the stages say how long the run is. The stages of request streams say only how many at a time.
func (p *Plan) staged() bool {
	return !p.Streams && slices.ContainsFunc(p.Stages, func(s Stage) bool { return s.Length > 0 })
}

// timetable is a plan's arithmetic: what is due when.
type timetable struct {
	opens, closes Segments
	sends         Segments
	begin, end    time.Duration // the measured window
}

func (p *Plan) timetable() timetable {
	var t timetable
	var length time.Duration
	t.opens, t.closes, length = Levels(p.Stages, p.pace())
	switch {
	case p.Streams: // connections are opened by arrivals, not by the level
		t.opens, t.closes = nil, nil
		t.begin = max(0, p.Warmup)
		t.end = t.begin + p.Duration
	case p.staged():
		t.begin, t.end = max(0, p.Warmup), length
	default:
		t.begin = max(length, p.Warmup)
		switch {
		case p.Warmup < 0 && p.Events > 0: // the first event counts, or a few may never be enough
			t.begin = 0
		case p.Warmup < 0 && p.Send.Rate > 0:
			t.begin += settling
		}
		t.end = t.begin + p.Duration
	}
	t.sends = t.schedule(p, length)
	return t
}

// schedule is when messages are due: from the moment that all connections should be open, or along the stages.
func (t timetable) schedule(p *Plan, length time.Duration) Segments {
	rate := p.Send.Rate
	switch {
	case rate == 0:
		return nil
	case p.staged() && p.Send.PerConnection:
		return perConnection(p.Stages, t.opens, rate/float64(max(1, p.Send.Every)))
	case p.staged(), p.Streams:
		return Segments{{t.end, rate, rate}}
	case p.Send.PerConnection:
		rate *= float64(p.Send.senders(p.Stages[len(p.Stages)-1].Target))
	}
	from := min(t.begin, length+settling)
	if p.Events > 0 {
		from = length + settling // the window begins before, so that whatever comes counts
	}
	return Segments{{from, 0, 0}, {t.end - from, rate, rate}}
}
