package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A Clock asks a server for its time with HTTP/1.1 requests over a connection that it keeps. It follows no redirect and
// uses no proxy. A question is asked once more where the server has closed the connection.
//
// Its exported fields aren't changed once it is in use. Its methods may be called from several goroutines at once; one
// question is asked at a time.
type Clock struct {
	Net     *Net
	Request Request // Method is GET by default
	Field   Field   // where the reply has the time; zero for its Date header (RFC 9110, 6.6.1)

	mu   sync.Mutex
	kept *conn // for the next question; nil for none
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
	u, err := parseURL(c.Request.URL)
	if err != nil {
		return ClockReading{}, &Error{Class: ClassOther, Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.Net.timeout())
	defer cancel()
	if c.kept != nil {
		reading, err := c.ask(ctx, u)
		if err == nil || ctx.Err() != nil || !hungUp(err) {
			return reading, err
		}
	}
	if c.kept, err = c.Net.connect(ctx, u, &Phases{}); err != nil {
		c.kept = nil
		if ctx.Err() != nil {
			return ClockReading{}, &Error{Class: ClassTimeout, Detail: "connecting to ask for the time", Err: ctx.Err()}
		}
		return ClockReading{}, Classify(err)
	}
	return c.ask(ctx, u)
}

// Close closes the connection that is kept.
func (c *Clock) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil {
		c.kept.Close()
		c.kept = nil
	}
}

// hungUp reports whether a server has closed a connection that it was to keep.
func hungUp(err error) bool {
	class := Classify(err).Class
	return class == ClassEOF || class == ClassReset
}

// ask sends one request over the connection that is kept, which is kept on where it can be used again.
func (c *Clock) ask(ctx context.Context, u *url.URL) (ClockReading, error) {
	conn := c.kept
	c.kept = nil
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	req, err := newRequest(ctx, c.Request.Method, u, c.Request.Header, c.Request.Body)
	if err != nil {
		conn.Close()
		return ClockReading{}, &Error{Class: ClassOther, Err: err}
	}
	reading, reusable, err := c.exchange(conn, req)
	if reusable {
		c.kept = conn
	} else {
		conn.Close()
	}
	switch {
	case err == nil:
		return reading, nil
	case ctx.Err() != nil:
		return ClockReading{}, &Error{Class: ClassTimeout, Detail: "waiting for the time", Err: ctx.Err()}
	}
	return ClockReading{}, Classify(headError(err))
}

// exchange is one question and its answer.
func (c *Clock) exchange(conn *conn, req *http.Request) (reading ClockReading, reusable bool, err error) {
	reading.Sent = time.Now()
	resp, err := writeAndReadHead(conn, req)
	if err != nil {
		return reading, false, err
	}
	reading.Received = time.Now()
	resp.Body = io.NopCloser(bodyReader(conn, resp))
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols: // nothing bounds reading what follows
		return reading, false, &Error{Class: ClassProtocol, Code: resp.StatusCode, Detail: "it switches protocols, which was not asked for"}
	case resp.StatusCode/100 != 2:
		return reading, false, replyError(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	bounded := resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0
	reusable = err == nil && len(body) <= maxReply && bounded && !resp.Close && len(conn.pending) == 0
	if c.Field.IsZero() {
		return reading, reusable, reading.date(resp)
	}
	reading.Received = time.Now() // a body can be written long after the head
	switch {
	case err != nil:
		return reading, false, err
	case len(body) > maxReply:
		return reading, false, &Error{Class: ClassProtocol, Detail: fmt.Sprintf("the reply is over %d bytes", maxReply)}
	}
	return reading, reusable, reading.field(c.Field, body)
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
