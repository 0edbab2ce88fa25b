package client

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// callerConns is how many connections a caller keeps for the next requests.
	callerConns = 256
	// callerIdle is how long it keeps one that isn't used: less than what servers commonly allow.
	callerIdle = 4 * time.Second
	// maxReply is how much of a reply is read, in bytes, so that its connection can be used again.
	maxReply = 64 << 10
)

// A caller makes HTTP/1.1 requests of one kind, over connections that it keeps. It follows no redirect, uses no proxy,
// and never sends a request twice. Safe for concurrent use.
type caller struct {
	net    *Net
	kind   Request // Body isn't used
	url    *url.URL
	mu     sync.Mutex
	idle   []idleConn // the one used last is at the end
	closed bool
	wire   wire               // of all requests whose replies have been read, or have failed
	rest   map[*conn]struct{} // those that the rest of a reply is read from, which nobody waits for
	ending sync.WaitGroup     // of who does that
}

// wire is bytes on the wire, connecting and TLS included.
type wire struct{ in, out uint64 }

// An idleConn waits for the next request.
type idleConn struct {
	*conn
	since time.Time
}

// newCaller fails where the URL of the requests isn't one.
func newCaller(n *Net, kind Request, method string) (*caller, error) {
	kind.Method = cmp.Or(kind.Method, method)
	u, err := parseURL(kind.URL)
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	return &caller{net: n, kind: kind, url: u}, nil
}

// A lazyCaller is a caller that is made when it is needed first.
type lazyCaller struct {
	once    sync.Once
	caller  *caller
	invalid error // why there is none
}

func (l *lazyCaller) get(n *Net, kind Request, method string) (*caller, error) {
	l.once.Do(func() { l.caller, l.invalid = newCaller(n, kind, method) })
	return l.caller, l.invalid
}

func (k *caller) request(body []byte) (*http.Request, error) {
	req, err := newRequest(context.Background(), k.kind.Method, k.url, k.kind.Header, body)
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	return req, nil
}

// call makes a request and has take read the reply, where that is 2xx; nil where its head says all. sent is when the request
// was handed to the system; zero if that never came to be.
func (k *caller) call(ctx context.Context, body []byte, take func(*http.Response) error) (sent time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.net.timeout())
	defer cancel()
	req, err := k.request(body)
	if err != nil {
		return time.Time{}, err
	}
	c, err := k.conn(ctx)
	if err != nil {
		return time.Time{}, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() }) // a server that reads nothing holds up what is longer than buffers
	sent, err = send(c, req)
	stop()
	return sent, k.reply(ctx, c, req, err, take)
}

// conn gives an idle connection, or else a new one.
func (k *caller) conn(ctx context.Context) (*conn, error) {
	if c := k.kept(); c != nil {
		return c, nil
	}
	c, err := k.net.open(ctx, k.url, &Phases{}, false)
	if err != nil && ctx.Err() != nil {
		return nil, &Error{Class: ClassTimeout, Detail: "connecting", Err: ctx.Err()}
	}
	if err != nil {
		return nil, Classify(err)
	}
	return c, nil
}

// kept gives an idle connection that the server hasn't closed; nil if there is none.
func (k *caller) kept() *conn {
	for {
		k.mu.Lock()
		last := len(k.idle) - 1
		if last < 0 {
			k.mu.Unlock()
			return nil
		}
		c := k.idle[last]
		k.idle = k.idle[:last]
		k.mu.Unlock()
		if time.Since(c.since) < callerIdle && c.quiet() {
			return c.conn
		}
		c.Close()
	}
}

// keep makes a connection the next one to be used.
func (k *caller) keep(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.idle) >= callerConns {
		c.Close()
		return
	}
	k.idle = append(k.idle, idleConn{c, time.Now()})
}

// close closes the connections that are kept, and keeps none any more. Nor does it wait for the rest of replies.
func (k *caller) close() {
	k.mu.Lock()
	idle := k.idle
	k.idle, k.closed = nil, true
	for c := range k.rest {
		c.Close()
	}
	k.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
	k.ending.Wait()
}

// send writes a request in one piece. sent is zero where nothing of it left.
func send(c *conn, req *http.Request) (sent time.Time, err error) {
	var message bytes.Buffer
	if err := req.Write(&message); err != nil {
		return time.Time{}, err
	}
	sent = time.Now()
	n, err := c.Write(message.Bytes())
	if n == 0 && err != nil {
		sent = time.Time{}
	}
	return sent, err
}

// reply reads the reply to what was sent, within ctx, and keeps the connection where it can be used again. What a 2xx
// has to say goes to take, which may fail; where that is nil, its head has said it, and what follows isn't waited for.
// Another status is an *Error, and so is whatever Classify makes of a failure.
func (k *caller) reply(ctx context.Context, c *conn, req *http.Request, sendErr error, take func(*http.Response) error) error {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	kept, later := false, false
	defer func() {
		if !later {
			k.end(c, kept)
		}
	}()
	resp, err := readHead(c, req)
	if err != nil {
		if sendErr != nil { // the reply, where there is one, says more
			err = sendErr
		}
		return k.net.redacted(replyFailure(ctx, headError(err)))
	}
	if resp.StatusCode == http.StatusSwitchingProtocols { // nothing bounds reading what follows
		return &Error{Class: ClassProtocol, Code: resp.StatusCode, Detail: "it switches protocols, which was not asked for"}
	}
	success := resp.StatusCode/100 == 2
	if success && take == nil && sendErr == nil && !isWhole(resp, c.pending) {
		later = stop() && k.readRest(c, resp)
		return nil
	}
	resp.Body = io.NopCloser(bodyReader(c, resp))
	switch {
	case !success:
		err = k.net.redacted(replyError(resp))
	case take != nil:
		err = replyFailure(ctx, take(resp))
	}
	kept = over(c, resp) && sendErr == nil && stop()
	return err
}

// isWhole reports whether what was read with the head of a response is all of its body.
func isWhole(resp *http.Response, read []byte) bool {
	if resp.Request.Method == http.MethodHead {
		return true
	}
	_, err := framingOf(resp).take(bytes.Clone(read))
	return err == io.EOF
}

// over reads a reply to its end, and reports whether its connection can be used again.
func over(c *conn, resp *http.Response) bool {
	_, err := io.CopyN(io.Discard, resp.Body, maxReply)
	ends := resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0
	return ends && err == io.EOF && !resp.Close && len(c.pending) == 0
}

// readRest reads a reply to its end, which nobody waits for, and ends with its connection. It fails where the caller is closed,
// or reads as many as it keeps connections. A server may take a connection that is closed for a request that is given up: so
// it is given the time that a reply has.
func (k *caller) readRest(c *conn, resp *http.Response) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.rest) >= callerConns {
		return false
	}
	if k.rest == nil {
		k.rest = make(map[*conn]struct{})
	}
	k.rest[c] = struct{}{}
	k.ending.Go(func() {
		resp.Body = io.NopCloser(bodyReader(c, resp))
		kept := c.raw.SetReadDeadline(time.Now().Add(k.net.timeout())) == nil && over(c, resp) && c.raw.SetReadDeadline(time.Time{}) == nil
		k.mu.Lock()
		delete(k.rest, c)
		k.mu.Unlock()
		k.end(c, kept)
	})
	return true
}

// end counts what a request and its reply took, and keeps the connection or closes it.
func (k *caller) end(c *conn, kept bool) {
	if !kept {
		c.Close()
	}
	now := wire{c.in, c.out.Load()}
	k.mu.Lock()
	k.wire.in += now.in - c.told.in
	k.wire.out += now.out - c.told.out
	k.mu.Unlock()
	c.told = now
	if kept {
		k.keep(c)
	}
}

// replyFailure is err, or that the time for the reply is over where that has caused it.
func replyFailure(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &Error{Class: ClassTimeout, Detail: "waiting for the reply", Err: ctx.Err()}
	}
	return err
}

// replyError describes a reply that accepts nothing.
func replyError(resp *http.Response) error {
	e := &Error{Class: ClassStatus, Code: resp.StatusCode, Detail: http.StatusText(resp.StatusCode)}
	if isRedirect(resp.StatusCode) {
		e.Detail += ": it redirects, without a usable Location"
		if location, err := resp.Location(); err == nil {
			e.Detail = fmt.Sprintf("%s: it redirects to %s", http.StatusText(resp.StatusCode), shownURL(location))
		}
		return e
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxExcerpt)) // as much as came
	if text := oneLine(body); text != "" {
		e.Detail = strings.TrimPrefix(fmt.Sprintf("%s: %q", e.Detail, text), ": ")
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return e
}
