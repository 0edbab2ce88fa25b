package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// A Request is what a stream is asked for with.
type Request struct {
	Method string // "" for GET
	URL    string // http or https; ws and wss are taken for them
	Header http.Header
	Body   []byte
}

const (
	maxRedirects = 10
	maxHead      = 64 << 10 // bytes of a response head, with the 1xx responses before it
	maxExcerpt   = 256      // bytes of an unwanted body that are quoted
)

// parseURL reads the URL of a stream, with ws and wss as http and https.
func parseURL(s string) (*url.URL, error) {
	u, err := parsed(url.Parse(s))
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, fmt.Errorf("scheme %q is not one of http, https, ws, wss", u.Scheme)
	}
	if u.Host == "" {
		return nil, errors.New("the URL names no host")
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, fmt.Errorf("there is no port %.20s", port)
		}
	}
	u.RawQuery = EscapeQuery(u.RawQuery)
	return u, nil
}

// EscapeQuery encodes those bytes of a query that must not stand in one, such as spaces, as a browser does (WHATWG URL, the
// special-query percent-encode set). url.Parse takes them as they are, and so would a request have them.
func EscapeQuery(query string) string {
	var escaped strings.Builder
	for _, b := range []byte(query) {
		if b <= ' ' || b > '~' || strings.IndexByte(`"#'<>`, b) >= 0 {
			fmt.Fprintf(&escaped, "%%%02X", b)
		} else {
			escaped.WriteByte(b)
		}
	}
	return escaped.String()
}

// parsed is what url.Parse gave, with an error that doesn't quote the URL: it may hold secrets.
func parsed(u *url.URL, err error) (*url.URL, error) {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return u, err
}

// An exchange is one request and the response to it on a connection of its own, from dialing to the response head. It
// lasts as long as the stream does.
type exchange struct {
	net     *Net
	phases  Phases
	started time.Time
	resp    *http.Response // its Body isn't read
	resumed bool           // the request says where to go on
	local   netip.AddrPort // of the connection; zero where there was none
	conn    *conn
}

// failed is why the exchange opens no stream.
func (x *exchange) failed(err error) error { return x.net.redacted(locate(err, x.local)) }

// roundTrip connects, writes req and reads the response head. The caller owns the connection. It is bounded by ctx.
func (x *exchange) roundTrip(ctx context.Context, req *http.Request) error {
	x.local = netip.AddrPort{}
	c, err := x.net.connect(ctx, req.URL, &x.phases)
	if err != nil {
		return err
	}
	x.local = addrPort(c.raw.LocalAddr())
	// What is read and written below knows no context: closing the connection is what stops it.
	stop := context.AfterFunc(ctx, func() { c.Close() })
	began := time.Now()
	resp, err := writeAndReadHead(c, req)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		if ctx.Err() != nil {
			return &Error{Class: ClassTimeout, Detail: "waiting for the response head", Err: ctx.Err()}
		}
		return headError(err)
	}
	addPhase(&x.phases.Upgrade, c.lastRead.Sub(began))
	c.headIn = c.in - uint64(len(c.pending))
	if c.begun = len(c.pending) > 0; c.begun {
		c.firstByte = c.lastRead
	} else {
		c.firstByte = time.Time{}
	}
	x.conn, x.resp = c, resp
	return nil
}

func headError(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Class: ClassEOF, Detail: "before a response head was received"}
	}
	if class := classOf(err); class != ClassOther {
		return err
	}
	return &Error{Class: ClassProtocol, Detail: "no HTTP response", Err: err}
}

func writeAndReadHead(c *conn, req *http.Request) (*http.Response, error) {
	var head bytes.Buffer
	// Most are shorter.
	head.Grow(512)
	if err := req.Write(&head); err != nil { // in one piece, so in one packet
		return nil, err
	}
	if _, err := c.Write(head.Bytes()); err != nil {
		// A server may refuse before it has read everything: its answer says more than "broken pipe".
		if resp, headErr := readHead(c, req); headErr == nil {
			return resp, nil
		}
		return nil, err
	}
	return readHead(c, req)
}

// heads holds the readers that response heads are parsed with; a stream keeps none.
var heads = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4096) }}

// readHead reads the response head, past interim ones, and keeps what was read beyond it for the stream.
func readHead(c *conn, req *http.Request) (*http.Response, error) {
	limited := &io.LimitedReader{R: c, N: maxHead}
	r := heads.Get().(*bufio.Reader)
	defer heads.Put(r)
	r.Reset(limited)
	defer r.Reset(nil)
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			if limited.N <= 0 {
				return nil, &Error{Class: ClassProtocol, Detail: fmt.Sprintf("the response head is over %d bytes", maxHead)}
			}
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			rest, _ := r.Peek(r.Buffered())
			c.pending = bytes.Clone(rest)
			return resp, nil
		}
	}
}

// bodyReader reads a response body as it comes, without a buffer of its own.
func bodyReader(c *conn, resp *http.Response) io.Reader {
	if resp.Request.Method == http.MethodHead { // its head says how long the body of a GET would be
		return http.NoBody
	}
	switch body := framingOf(resp).(type) {
	case *chunkedReader:
		body.src = c
		return body
	case *lengthReader:
		body.R = c
		return body
	}
	return c
}

// A framing takes what surrounds the data of a response body off what is read.
type framing interface {
	// take gives the data in p, in the same place, and io.EOF where the body is over with it.
	take(p []byte) (data []byte, err error)
	// ended says how the body has ended, given how the connection has.
	ended(err error) error
}

func framingOf(resp *http.Response) framing {
	switch {
	case len(resp.TransferEncoding) > 0 && resp.TransferEncoding[0] == "chunked":
		return &chunkedReader{}
	case resp.ContentLength >= 0:
		return &lengthReader{io.LimitedReader{N: resp.ContentLength}}
	}
	return untilClose{}
}

// untilClose is a body that ends with its connection.
type untilClose struct{}

func (untilClose) take(p []byte) ([]byte, error) { return p, nil }
func (untilClose) ended(err error) error         { return err }

// A lengthReader reads a body of known length; one that is cut short doesn't end cleanly.
type lengthReader struct{ io.LimitedReader }

// Read implements io.Reader.
func (r *lengthReader) Read(p []byte) (int, error) {
	n, err := r.LimitedReader.Read(p)
	return n, r.ended(err)
}

// take implements framing.
func (r *lengthReader) take(p []byte) (data []byte, err error) {
	data = p[:min(uint64(len(p)), uint64(r.N))]
	if r.N -= int64(len(data)); r.N == 0 {
		err = io.EOF
	}
	return data, err
}

// ended implements framing.
func (r *lengthReader) ended(err error) error {
	if err == io.EOF && r.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// excerpt reads a little of an unwanted body, on one line, for the error message.
func excerpt(c *conn, resp *http.Response) string {
	if c.raw.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(bodyReader(c, resp), maxExcerpt))
	return oneLine(b)
}

// oneLine folds white space, so that a page can be quoted in a message.
func oneLine(b []byte) string {
	return strings.Join(strings.Fields(string(appendWellFormed(nil, b))), " ")
}

// statusError describes a response that opens no stream.
func (x *exchange) statusError() error {
	resp := x.resp
	e := &Error{Class: ClassStatus, Code: resp.StatusCode, Detail: http.StatusText(resp.StatusCode)}
	if text := excerpt(x.conn, resp); text != "" {
		e.Detail = strings.TrimPrefix(fmt.Sprintf("%s: %q", e.Detail, text), ": ")
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return e
}

// retryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if n, ok := digits([]byte(value), int64(maxRetry/time.Second)); ok {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetry)
	}
	return 0
}

// redirect makes the request that the response asks for, as the Fetch standard does it: 303, and 301 and 302 after a
// POST, turn it into a GET; credentials don't go to another origin, nor what is private besides.
func redirect(req *http.Request, body []byte, resp *http.Response, private func(name, value string) bool) (*http.Request, []byte, error) {
	location, err := resp.Location()
	if err != nil {
		return nil, nil, &Error{Class: ClassRedirect, Code: resp.StatusCode, Detail: "without a usable Location"}
	}
	if location, err = parseURL(location.String()); err != nil {
		return nil, nil, &Error{Class: ClassRedirect, Code: resp.StatusCode, Err: err}
	}
	method := req.Method
	switch status := resp.StatusCode; {
	case status == http.StatusSeeOther, (status == http.StatusMovedPermanently || status == http.StatusFound) && method == http.MethodPost:
		method, body = http.MethodGet, nil
	}
	next, err := newRequest(req.Context(), method, location, req.Header, body)
	if err != nil {
		return nil, nil, &Error{Class: ClassRedirect, Code: resp.StatusCode, Err: err}
	}
	if method != req.Method { // what described the body goes with it
		for _, name := range [...]string{"Content-Encoding", "Content-Language", "Content-Location", "Content-Type"} {
			next.Header.Del(name)
		}
	}
	if location.Scheme != req.URL.Scheme || location.Host != req.URL.Host {
		for name, values := range next.Header {
			switch name {
			case "Authorization", "Cookie", "Proxy-Authorization":
				next.Header.Del(name)
			case "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions": // of the handshake
			default:
				if private != nil && private(name, strings.Join(values, ", ")) {
					next.Header.Del(name)
				}
			}
		}
		next.Host = ""
	} else {
		next.Host = req.Host
	}
	return next, body, nil
}

func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// newRequest makes the request of a stream. A Host header becomes the request's host, as users expect of -H.
func newRequest(ctx context.Context, method string, u *url.URL, header http.Header, body []byte) (*http.Request, error) {
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body == nil {
		req.Body, req.ContentLength = nil, 0
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if u.User != nil && req.Header.Get("Authorization") == "" {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header.Set("User-Agent", "rtbench")
	}
	return req, nil
}

// follow does round trips until a response isn't a redirect. renew makes the header of each request after the first one fit
// for another connection; nil where any does.
func (x *exchange) follow(ctx context.Context, req *http.Request, body []byte, renew func(http.Header)) error {
	host := hostPort(req.URL)
	for range maxRedirects + 1 {
		if err := x.roundTrip(ctx, req); err != nil {
			return err
		}
		if !isRedirect(x.resp.StatusCode) {
			return nil
		}
		x.conn.Close()
		var err error
		if req, body, err = redirect(req, body, x.resp, x.net.Private); err != nil {
			return err
		}
		if x.net.OneHost && hostPort(req.URL) != host {
			return &Error{Class: ClassRedirect, Detail: fmt.Sprintf("this one leads away from %s, to %s", host, shownURL(req.URL))}
		}
		if renew != nil {
			renew(req.Header)
		}
	}
	return &Error{Class: ClassRedirect, Detail: fmt.Sprintf("more than %d, the last one to %s", maxRedirects, shownURL(req.URL))}
}

// shownURL is a URL of the server's in a message: without its password and its query, which may hold a secret.
func shownURL(u *url.URL) string {
	shown := *u
	shown.RawQuery, shown.Fragment, shown.RawFragment = "", "", ""
	return fmt.Sprintf("%.*s", maxExcerpt, oneLine([]byte(shown.Redacted())))
}

// push has a loop read the connection for r, which is the stream that x is of, and hands what comes to a sink. What only
// opening needed isn't kept meanwhile.
func (x *exchange) push(r reader, bytes uintptr, to Sink) bool {
	resp := x.resp
	x.resp = &http.Response{Proto: resp.Proto}
	if x.conn.push(r, unsafe.Pointer(&x.conn), bytes, to) {
		return true
	}
	x.resp = resp
	return false
}

// info describes the connection.
func (x *exchange) info() Info {
	c := x.conn
	info := Info{
		Phases: x.phases, Started: x.started, Proto: x.resp.Proto, Header: x.resp.Header,
		FirstByte: c.firstByte, LastByte: c.lastRead, WireIn: c.in, WireOut: c.out.Load(), HeadIn: c.headIn,
		Remote: addrPort(c.raw.RemoteAddr()), Local: addrPort(c.raw.LocalAddr()),
	}
	if c.secure != nil {
		info.TLS = tlsVersion(c.secure)
	}
	info.Resumed = x.resumed
	info.KernelStamps = c.receipt != nil
	info.Resent, info.OutOfOrder = c.segments()
	return info
}
