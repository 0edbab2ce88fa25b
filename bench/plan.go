package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A Plan says what a run does. It is not changed once a Runner has it.
type Plan struct {
	Stages      []Stage       // how many connections are open, when
	ConnectRate float64       // connections opened a second at most; 0 for DefaultConnectRate
	Duration    time.Duration // of the measured window; 0 where Stages have lengths and say it
	Warmup      time.Duration // before the measured window; negative for the time that connecting takes
	Events      uint64        // end after so many events in the window; 0 for no limit
	Drain       time.Duration // how long to wait for what is under way at the end; 0 for DefaultDrain

	Send    Sending // what the connections send
	Streams bool    // every connection is one request with an end: Send.Rate is how often one is started

	Backoff client.Backoff
	From    client.Cursor // where every subscription starts
	Seed    uint64

	Stamp      client.Field // the server's send time in a payload; zero for rtbench's own stamp
	Sequence   Sequence
	Thresholds []Threshold
	Abort      bool // end the run when a threshold fails that more time can't mend
}

// Sending says what connections send, on a schedule that waits for nothing.
type Sending struct {
	Rate          float64 // messages (or streams) a second; 0 for none
	PerConnection bool    // Rate is of each connection, else of all together
	// Message appends one message to dst. It is called from many goroutines at once. nil for the stamp alone.
	Message func(dst []byte, m Outgoing) []byte
	// Unstamped says that Message leaves the stamp out: an echo is then known by its content.
	Unstamped bool
}

// Outgoing is what a message can be made of.
type Outgoing struct {
	Connection int
	Number     uint64 // of this connection's messages, from 0
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

func (p *Plan) validate() error {
	switch {
	case len(p.Stages) == 0 || peak(p.Stages) < 1:
		return errors.New("the plan opens no connection")
	case p.Duration < 0 || p.Drain < 0 || p.ConnectRate < 0 || p.Send.Rate < 0:
		return errors.New("durations and rates must not be negative")
	case p.Streams && p.Send.Rate == 0:
		return errors.New("request streams need a rate at which they are started")
	}
	for i, stage := range p.Stages {
		if stage.Length < 0 || stage.Target < 0 {
			return fmt.Errorf("stage %d: length and target must not be negative", i+1)
		}
	}
	return nil
}

// timetable is a plan's arithmetic: what is due when.
type timetable struct {
	opens, closes Segments
	sends         Segments
	begin, end    time.Duration // the measured window
}

func (p *Plan) timetable() timetable {
	pace := p.ConnectRate
	if pace == 0 {
		pace = DefaultConnectRate
	}
	var t timetable
	opens, closes, length := Levels(p.Stages, pace)
	t.opens, t.closes = opens, closes
	staged := p.Stages[0].Length > 0
	if staged {
		t.end = length
		if p.Warmup > 0 {
			t.begin = p.Warmup
		}
	} else {
		t.begin = length
		if p.Warmup >= 0 {
			t.begin = max(length, p.Warmup)
		}
		t.end = t.begin + p.Duration
	}
	if p.Streams { // connections are opened by arrivals, not by the level
		t.begin, t.end = max(0, p.Warmup), max(0, p.Warmup)+p.Duration
		t.opens, t.closes = nil, nil
	}
	t.sends = t.schedule(p, staged)
	return t
}

// schedule is when messages are due: from the moment that all connections should be open, or along the stages.
func (t timetable) schedule(p *Plan, staged bool) Segments {
	rate := p.Send.Rate
	switch {
	case rate == 0:
		return nil
	case p.Streams:
		return Segments{{t.end, rate, rate}}
	case staged && p.Send.PerConnection:
		return perConnection(p.Stages, t.opens, rate)
	case staged:
		return Segments{{t.end, rate, rate}}
	case p.Send.PerConnection:
		rate *= float64(peak(p.Stages))
	}
	ramp := min(t.begin, rampLength(t.opens))
	return Segments{{ramp, 0, 0}, {t.end - ramp, rate, rate}}
}

func rampLength(opens Segments) (d time.Duration) {
	for _, segment := range opens {
		d += segment.Length
	}
	return d
}
