package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
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

	lazy lazyCaller
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
		return reading.field(c.Field, body)
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
func (r *ClockReading) field(f Field, body []byte) error {
	stamp, ok := f.Time(body)
	if !ok {
		return &Error{Class: ClassProtocol, Detail: fmt.Sprintf("the reply has no time at %s", f)}
	}
	r.Stamp, r.Grain = stamp, grain(stamp)
	return nil
}

// grain is what a stamp was cut to, as far as its zeros show it.
func grain(stamp int64) int64 {
	for _, unit := range [...]time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if stamp%int64(unit) == 0 {
			return int64(unit)
		}
	}
	return 0
}
