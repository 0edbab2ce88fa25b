package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unsafe"
)

// ErrDone is how a stream ends that met its end marker.
var ErrDone = errors.New("the stream ended on its marker")

// An EndMarker recognises the event that ends a stream for good, such as "[DONE]", which isn't delivered itself. The
// zero value recognises none.
type EndMarker struct {
	data []byte
	kind string
}

// ParseEndMarker reads "event:NAME", the name of the event, or else the data that the event has.
func ParseEndMarker(s string) (EndMarker, error) {
	if kind, ok := strings.CutPrefix(s, "event:"); ok {
		if kind == "" {
			return EndMarker{}, fmt.Errorf("%q names no event: write event:NAME, such as event:complete", s)
		}
		return EndMarker{kind: kind}, nil
	}
	return EndMarker{data: []byte(s)}, nil
}

// IsZero reports whether the marker recognises nothing.
func (m EndMarker) IsZero() bool { return m.kind == "" && len(m.data) == 0 }

func (m EndMarker) matches(ev *Event) bool {
	if ev.Type != Message {
		return false
	}
	return m.kind != "" && ev.Kind == m.kind || len(m.data) > 0 && bytes.Equal(bytes.TrimSpace(ev.Data), m.data)
}

// SSE dials Server-Sent-Events streams over HTTP/1.1 (WHATWG HTML, section 9.2).
type SSE struct {
	Net     *Net
	Request Request
	Done    EndMarker
	Forgets bool // no stream says where it resumes
}

// Dial implements Dialer. Where from isn't empty it goes into the Last-Event-ID header.
func (d *SSE) Dial(ctx context.Context, from Cursor) (Stream, error) {
	u, err := parseURL(d.Request.URL)
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, d.Net.timeout())
	defer cancel()
	req, err := newRequest(ctx, d.Request.Method, u, d.Request.Header, d.Request.Body)
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	setDefault(req.Header, "Accept", "text/event-stream")
	setDefault(req.Header, "Cache-Control", "no-store")
	setDefault(req.Header, "Accept-Encoding", "identity") // without it any coding would do (RFC 9110, 12.5.3)
	x := newExchange(d.Net)
	if x.resumed = len(from) > 0 && !d.Forgets; x.resumed {
		req.Header.Set("Last-Event-Id", string(from))
	}
	if err := x.follow(ctx, req, d.Request.Body, nil); err != nil {
		return nil, x.failed(err)
	}
	if err := x.checkStream(); err != nil {
		x.conn.Close()
		return nil, x.failed(err)
	}
	x.phases.Total = time.Since(x.started)
	x.conn.silence = d.Net.silences()
	s := &sseStream{exchange: *x, done: d.Done, ends: !d.Done.IsZero(), body: framingOf(x.resp)}
	if chunks, ok := s.body.(*chunkedReader); ok {
		s.chunks = *chunks
		s.body = &s.chunks
	}
	s.decoder.init(d.Net.maxEvent(), from)
	return s, nil
}

func setDefault(h http.Header, name, value string) {
	if _, ok := h[name]; !ok {
		h.Set(name, value)
	}
}

func newExchange(n *Net) *exchange {
	return &exchange{net: n, started: time.Now(), phases: Phases{DNS: -1, TCP: -1, TLS: -1, Upgrade: -1, Total: -1}}
}

// checkStream decides whether the response is an event stream.
func (x *exchange) checkStream() error {
	if x.resp.StatusCode != http.StatusOK {
		return x.statusError()
	}
	header := x.resp.Header
	if value := listed(header, "Content-Type"); essence(value) != "text/event-stream" {
		e := &Error{Class: ClassContentType, Detail: fmt.Sprintf("got %.*q", maxExcerpt, value)}
		if value == "" {
			e.Detail = "it has no Content-Type"
		}
		if text := excerpt(x.conn, x.resp); text != "" {
			e.Detail += fmt.Sprintf(", with %q", text)
		}
		return e
	}
	for _, coding := range tokens(header, "Content-Encoding") {
		if !strings.EqualFold(coding, "identity") && !strings.EqualFold(coding, "none") {
			return &Error{Class: ClassProtocol, Detail: fmt.Sprintf("the stream is encoded with %.100q, though it is to be sent as it is: a coding hides when events arrive", coding)}
		}
	}
	return nil
}

// essence is the type and subtype of a Content-Type in lower case, whatever its parameters are; of several the last one that
// has both, as the Fetch standard has it ("extract a MIME type"). "" where there is none.
func essence(contentType string) (last string) {
	for quoted, rest := false, contentType; rest != ""; {
		end := 0
		for ; end < len(rest) && (quoted || rest[end] != ','); end++ {
			switch {
			case rest[end] == '"':
				quoted = !quoted
			case rest[end] == '\\' && quoted && end+1 < len(rest):
				end++
			}
		}
		one, _, _ := strings.Cut(rest[:end], ";")
		one = strings.ToLower(strings.Trim(one, " \t\r\n"))
		if major, minor, ok := strings.Cut(one, "/"); ok && IsToken(major) && IsToken(minor) && one != "*/*" {
			last = one
		}
		rest = rest[min(end+1, len(rest)):]
	}
	return last
}

// IsToken reports whether a text is a token of HTTP, such as a method or the name of a header (RFC 9110, 5.6.2).
func IsToken(s string) bool {
	for _, c := range []byte(s) {
		alphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// An sseStream has together what each event touches, from exchange's last on, since that is seldom in a cache where there
// are many streams.
type sseStream struct {
	failed error
	exchange
	to      Sink
	wire    uint64 // bytes read from the socket, when the event before was given
	read    uint64 // and when it was read last
	shared  bool   // that read held more than the event to come
	left    bool   // whoever reads wants no more
	ends    bool   // done recognises something
	body    framing
	chunks  chunkedReader // what body is, where it is chunked
	decoder Decoder

	done EndMarker
}

// Events implements Stream.
func (s *sseStream) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { s.conn.pump(s.reader(SinkFunc(yield))) }
}

// Push implements Pusher.
func (s *sseStream) Push(to Sink) bool { return s.push(s.reader(to), sseBytes, to) }

// sseBytes are what each event touches, from conn on.
const sseBytes = unsafe.Offsetof(sseStream{}.decoder) + unsafe.Offsetof(Decoder{}.line) - unsafe.Offsetof(sseStream{}.conn)

func (s *sseStream) reader(to Sink) reader {
	s.to, s.wire, s.read = to, s.conn.headIn, s.conn.headIn
	return s
}

// take implements reader.
func (s *sseStream) take(p []byte, ev *Event) (more bool) {
	data, err := s.body.take(p)
	s.decoder.Feed(data)
	if now := s.conn.in; now != s.read {
		s.read, s.shared = now, false
	}
	for {
		ok, bad := s.decoder.next(ev)
		if bad != nil {
			s.failed = bad
			return false
		}
		if !ok {
			s.failed = err
			return err == nil
		}
		// One read held several events if another came before this one in it, or if bytes are left.
		s.shared = s.shared || s.decoder.Buffered() || s.framed(len(data)-s.decoder.unread()) || s.conn.more(s.tail())
		s.conn.arrived(&ev.Arrival, s.shared)
		if ev.Type == Comment {
			s.conn.beat()
		}
		if s.ends && s.done.matches(ev) {
			s.failed = ErrDone
			return false
		}
		now := s.conn.in
		ev.Wire, s.wire = int(now-s.wire), now
		if s.left = !s.to.Take(ev, nil); s.left {
			return false
		}
	}
}

// end implements reader.
func (s *sseStream) end(err error) {
	switch {
	case s.left:
		return
	case s.failed == nil:
		s.failed = streamError(s.body.ended(err))
	}
	if ev, ok := s.decoder.rest(); ok {
		s.conn.arrived(&ev.Arrival, s.shared)
		if !s.to.Take(&ev, nil) {
			return
		}
	}
	s.to.Take(nil, s.failed)
}

// framed reports whether framing followed the event in its read, which took so many bytes of data up to the event's end:
// that of another chunk, if only of line ends, or of the end of the body. The kernel's stamp may be that of its segment.
func (s *sseStream) framed(taken int) bool {
	chunks, ok := s.body.(*chunkedReader)
	return ok && (chunks.after || taken <= chunks.last)
}

// tail is how many bytes of framing are to come before the next byte of the stream can.
func (s *sseStream) tail() int {
	if chunks, ok := s.body.(*chunkedReader); ok {
		return chunks.tail()
	}
	return 0
}

// Info implements Stream.
func (s *sseStream) Info() Info { return s.info() }

// Close implements Stream.
func (s *sseStream) Close() error { return s.conn.Close() }

// Finish implements Finisher: a client that half-closes its connection tells an HTTP/1.1 server to end the response.
func (s *sseStream) Finish() error { return s.conn.CloseWrite() }

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

func tlsVersion(c *tls.Conn) string { return tls.VersionName(c.ConnectionState().Version) }
