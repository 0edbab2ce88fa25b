package client

import (
	"context"
	"net/http"
	"time"
)

const (
	// maxPost is the longest body, in bytes, that the buffer of an idle connection takes at once, where its server reads.
	maxPost = 8 << 10
	// maxPostTime bounds how long it may take to do so.
	maxPostTime = 100 * time.Millisecond
)

// A Publisher publishes messages with HTTP/1.1 requests over connections that it keeps. It follows no redirect, uses
// no proxy, and never sends a message twice.
//
// Its exported fields aren't changed once it is in use. All its methods may be called from several goroutines at once.
type Publisher struct {
	Net     *Net
	Request Request // Method is POST by default; Body isn't used

	lazy lazyCaller
}

func (p *Publisher) caller() (*caller, error) {
	return p.lazy.get(p.Net, p.Request, http.MethodPost)
}

// Publish sends one request with the body and waits for the head of the reply, both within Net.Timeout. sent is when the
// request was handed to the system; zero if that never came to be. Any 2xx is success, however the reply goes on after its
// head; another status is an *Error, and so is whatever Classify makes of a failure. body isn't kept.
func (p *Publisher) Publish(ctx context.Context, body []byte) (sent time.Time, err error) {
	k, err := p.caller()
	if err != nil {
		return time.Time{}, err
	}
	return k.call(ctx, body, nil)
}

// Post is the quick half of Publish, which waits for nothing: it hands the request to a connection that is idle, whose
// buffer is empty. It isn't ok where there is none, or the body is too long for that, or the connection takes none of it
// within 100 ms; then nothing was sent. Else reply must be called, and waits for the rest; what it returns is as of
// Publish.
func (p *Publisher) Post(body []byte) (reply func(context.Context) error, sent time.Time, ok bool) {
	k, err := p.caller()
	if err != nil || len(body) > maxPost {
		return nil, time.Time{}, false
	}
	req, err := k.request(body)
	if err != nil {
		return nil, time.Time{}, false
	}
	c := k.kept()
	if c == nil {
		return nil, time.Time{}, false
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(maxPostTime)) // fails only when closed, as writing will
	if sent, err = send(c, req); sent.IsZero() {
		c.Close()
		return nil, time.Time{}, false
	}
	_ = c.raw.SetWriteDeadline(time.Time{}) // as above
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, p.Net.timeout())
		defer cancel()
		return k.reply(ctx, c, req, err, nil)
	}, sent, true
}

// Wire is how many bytes the requests whose replies are there, or have failed, took on the wire, connecting and TLS included.
func (p *Publisher) Wire() (in, out uint64) {
	k, err := p.caller()
	if err != nil {
		return 0, 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wire.in, k.wire.out
}

// Prepare opens a connection for the first message, unless one is open, within Net.Timeout.
func (p *Publisher) Prepare(ctx context.Context) error {
	k, err := p.caller()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.Net.timeout())
	defer cancel()
	c, err := k.conn(ctx)
	if err == nil {
		k.keep(c)
	}
	return err
}

// Close closes the connections that are kept, and keeps none any more.
func (p *Publisher) Close() {
	if k, err := p.caller(); err == nil {
		k.close()
	}
}
