package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// A Clock asks a server for its time with HTTP/1.1 requests over connections that it keeps. It follows no redirect and
// uses no proxy. A question is asked once more where the server has closed the connection.
//
// Its exported fields aren't changed once it is in use. All its methods may be called from several goroutines at once.
type Clock struct {
	Net     *Net
	Request Request // Method is GET by default
	Field   Field   // where the reply has the time; zero for its Date header (RFC 9110, 6.6.1)

	lazy   lazyCaller
	finest atomic.Int64 // the finest unit that the digits of an answer have shown, ns; 0 before the first
}

// A ClockReading is what a server's clock said: it was asked no sooner than Sent, and had answered by Received. The
// clock then stood between Stamp and Stamp + Grain, in ns since the Unix epoch.
type ClockReading struct {
	Sent, Received time.Time
	Stamp, Grain   int64
}

// dateGrain is how much later than its Date header a clock may be: that is cut to a second, and many servers make it
// anew but once a second.
const dateGrain = 2 * time.Second

// Ask sends one request and waits for the reply, both within Net.Timeout. A reply that isn't 2xx, holds over 64 KiB or
// has no time where there should be one is an *Error, and so is whatever Classify makes of a failure.
func (c *Clock) Ask(ctx context.Context) (ClockReading, error) {
	k, err := c.caller()
	if err != nil {
		return ClockReading{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Net.timeout())
	defer cancel()
	reading, err := c.ask(ctx, k)
	if err != nil && hungUp(err) && ctx.Err() == nil {
		reading, err = c.ask(ctx, k)
	}
	if err != nil {
		return ClockReading{}, Classify(err)
	}
	return reading, nil
}

// Close closes the connections that are kept, and keeps none any more.
func (c *Clock) Close() {
	if k, err := c.caller(); err == nil {
		k.close()
	}
}

func (c *Clock) caller() (*caller, error) {
	return c.lazy.get(c.Net, c.Request, http.MethodGet)
}

// hungUp reports whether a server has closed a connection that it was to keep.
func hungUp(err error) bool {
	class := Classify(err).Class
	return class == ClassEOF || class == ClassReset
}

// ask is one question and its answer.
func (c *Clock) ask(ctx context.Context, k *caller) (reading ClockReading, err error) {
	reading.Sent, err = k.call(ctx, c.Request.Body, func(resp *http.Response) error {
		reading.Received = time.Now()
		if c.Field.IsZero() {
			return reading.date(resp)
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
		reading.Received = time.Now() // a body can be written long after the head
		switch {
		case err != nil:
			return err
		case len(body) > maxReply:
			return &Error{Class: ClassProtocol, Detail: fmt.Sprintf("the reply is over %d bytes", maxReply)}
		}
		return c.field(&reading, body)
	})
	return reading, err
}

// date reads the Date header.
func (r *ClockReading) date(resp *http.Response) error {
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return &Error{Class: ClassProtocol, Detail: "the reply has no Date header"}
	}
	r.Stamp, r.Grain = date.UnixNano(), int64(dateGrain)
	return nil
}

// field reads the time out of the body.
func (c *Clock) field(r *ClockReading, body []byte) error {
	stamp, ok := c.Field.Time(body)
	if !ok {
		return &Error{Class: ClassProtocol, Detail: fmt.Sprintf("the reply has no time at %s", c.Field)}
	}
	r.Stamp, r.Grain = stamp, c.grain(stamp)
	return nil
}

// grain is the unit to which answers are cut. No answer shows it alone: a time in milliseconds may end in zeros, which
// may have been left out, or filled up to microseconds. The finest of all answers does, and until it has come, what is
// taken is too wide.
func (c *Clock) grain(stamp int64) int64 {
	unit := UnitOf(stamp)
	for {
		finest := c.finest.Load()
		if finest > 0 && finest <= unit {
			unit = finest
			break
		}
		if c.finest.CompareAndSwap(finest, unit) {
			break
		}
	}
	if unit == 1 {
		return 0
	}
	return unit
}

// floatNoise is by how much a float64 of seconds can miss what it stands for, ns: printed with all its digits, a whole
// millisecond ends in nines or ones.
const floatNoise = 250

// UnitOf is the greatest power of ten of nanoseconds, up to a second, that a time is a multiple of.
func UnitOf(stamp int64) int64 {
	unit := int64(time.Second)
	for ; unit > 1; unit /= 10 {
		rest, noise := stamp%unit, int64(0)
		if unit > int64(time.Microsecond) {
			noise = floatNoise
		}
		if rest <= noise || unit-rest <= noise {
			break
		}
	}
	return unit
}
