package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// WebSocket dials WebSocket streams (RFC 6455, RFC 7692).
type WebSocket struct {
	Net          *Net
	Request      Request  // GET, without a body
	Subprotocols []string // offered, in order of preference
	Compression  bool     // offer permessage-deflate
	Binary       bool     // Send writes binary messages
	Resume       Resume   // how to say where to resume
	ID           Field    // where a message carries its id; zero if nowhere

	// Subscribe gives the messages to send after each opening, in order, behind the one of Resume. nil for none.
	Subscribe func(from Cursor) ([][]byte, error)
	// Resubscribes says that the messages of Subscribe, too, say where to resume.
	Resubscribes bool
	// Await is waited for after the first message sent: a message that contains it. Empty to wait for nothing.
	Await []byte
}

// maxAwait bounds how many messages Await looks at.
const maxAwait = 100

// maxPinged bounds how many heartbeats inside of one message have an arrival of their own; it must be known for each
// until the message is over. The others have that of the last.
const maxPinged = 64

// closeWait bounds how long a stream waits for the peer's Close after it has sent its own for an error.
const closeWait = time.Second

// Dial implements Dialer. Opening includes the subscribe messages.
func (d *WebSocket) Dial(ctx context.Context, from Cursor) (Stream, error) {
	request, messages, err := d.Resume.apply(d.Request, from)
	if err == nil && d.Subscribe != nil {
		var more [][]byte
		more, err = d.Subscribe(from)
		messages = append(messages, more...)
	}
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	u, err := parseURL(request.URL)
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, d.Net.timeout())
	defer cancel()
	upgrade := &upgrade{exchange: newExchange(d.Net)}
	req, err := newRequest(ctx, http.MethodGet, u, request.Header, nil)
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	upgrade.resumed = len(from) > 0 && (!d.Resume.IsZero() || d.Resubscribes)
	s := &wsStream{exchange: upgrade.exchange, id: d.ID, lastID: from.Clone(), typ: websocket.MessageText}
	if d.Binary {
		s.typ = websocket.MessageBinary
	}
	s.ws, _, err = websocket.Dial(ctx, u.String(), d.options(upgrade, req, s))
	if err != nil {
		return nil, upgrade.failure(err)
	}
	if err := s.conn.raw.SetReadDeadline(time.Time{}); err != nil {
		s.Close()
		return nil, err
	}
	s.ws.SetReadLimit(int64(d.Net.maxEvent()))
	if err := s.open(ctx, messages, d.Await); err != nil {
		s.Close()
		return nil, err
	}
	s.phases.Total = time.Since(s.started)
	s.conn.idle = d.Net.Idle
	return s, nil
}

func (d *WebSocket) options(transport http.RoundTripper, req *http.Request, s *wsStream) *websocket.DialOptions {
	options := &websocket.DialOptions{
		HTTPClient:     &http.Client{Transport: transport},
		HTTPHeader:     req.Header,
		Host:           req.Host,
		Subprotocols:   d.Subprotocols,
		OnPingReceived: s.ping,
	}
	if d.Compression {
		options.CompressionMode = websocket.CompressionContextTakeover
	}
	return options
}

// upgrade is the transport of one handshake: it leaves its connection behind as the exchange of the stream.
type upgrade struct {
	*exchange
	failed error // why there is no 101, where we know it
}

// RoundTrip implements http.RoundTripper for coder/websocket, which reads and writes the 101's body. Redirects are
// followed here, by the same rules as those of an event stream.
func (u *upgrade) RoundTrip(req *http.Request) (*http.Response, error) {
	if u.failed = u.follow(req.Context(), req, nil); u.failed != nil {
		return nil, u.failed
	}
	resp := u.resp
	switch resp.StatusCode {
	case http.StatusSwitchingProtocols:
		u.conn.frames = &frameScanner{}
		// Where the library doesn't like the head it waits for a body to quote, which never comes.
		_ = u.conn.raw.SetReadDeadline(time.Unix(1, 0)) // the reading will tell
		resp.Body = u.conn
	default:
		u.failed = u.statusError()
		u.conn.Close()
		resp.Body = http.NoBody
	}
	return resp, nil
}

// failure says in our terms why the handshake failed.
func (u *upgrade) failure(err error) error {
	if u.conn != nil {
		u.conn.Close()
	}
	if u.failed != nil {
		return Classify(u.failed)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Class: ClassHandshake, Err: rootCause(err)}
}

// rootCause drops the layers of context that libraries put around an error: our class says it already.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

type wsStream struct {
	*exchange
	ws     *websocket.Conn
	typ    websocket.MessageType
	id     Field
	lastID Cursor
	buf    []byte // the message being read
	text   utf8Checker
	pings  int       // received and not yet yielded
	pinged []Arrival // of the first of them, and of the last
	wire   uint64

	sendMu   sync.Mutex
	finished bool // our Close is sent: nothing may follow it
}

// open sends the messages that resume and subscribe.
func (s *wsStream) open(ctx context.Context, messages [][]byte, await []byte) error {
	// Reading with a context costs allocations for each message, so closing the connection is what stops it here too.
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	for i := 0; i == 0 || i < len(messages); i++ {
		if i < len(messages) {
			if err := s.ws.Write(context.Background(), websocket.MessageText, messages[i]); err != nil {
				return s.openError(ctx, err, "sending the subscribe message")
			}
		}
		if i == 0 && len(await) > 0 {
			if err := s.await(await); err != nil {
				return s.openError(ctx, err, fmt.Sprintf("waiting for a message with %q", await))
			}
		}
	}
	return nil
}

func (s *wsStream) openError(ctx context.Context, err error, what string) error {
	if ctx.Err() != nil {
		return &Error{Class: ClassTimeout, Detail: what, Err: ctx.Err()}
	}
	return s.readError(err)
}

// await reads messages until one contains text. They belong to the handshake and aren't events.
func (s *wsStream) await(text []byte) error {
	for range maxAwait {
		if _, err := s.read(); err != nil {
			return err
		}
		if bytes.Contains(s.buf, text) {
			return nil
		}
	}
	return &Error{Class: ClassProtocol, Detail: fmt.Sprintf("no message contained %q among the first %d", text, maxAwait)}
}

// ping notes a heartbeat. It is called by the reader; the pong goes out without us.
func (s *wsStream) ping(context.Context, []byte) bool {
	s.pings++
	if len(s.pinged) == maxPinged {
		s.pinged = s.pinged[:maxPinged-1]
	}
	s.pinged = append(s.pinged, s.arrival())
	return true
}

// errPinged ends a read between two messages, so that a heartbeat needn't wait for the next one.
var errPinged = errors.New("pinged")

func (s *wsStream) interrupt() error {
	if s.pings > 0 {
		return errPinged
	}
	return nil
}

// arrival is that of what ended in the read before.
func (s *wsStream) arrival() Arrival {
	return s.conn.arrival(s.conn.frames.Shared() || s.conn.more(0))
}

// errNotUTF8 is a text message that isn't one.
var errNotUTF8 = &Error{Class: ClassProtocol, Detail: "a text message is not valid UTF-8"}

// read reads one message into buf.
func (s *wsStream) read() (websocket.MessageType, error) {
	typ, r, err := s.ws.Reader(context.Background())
	if err != nil {
		return 0, err
	}
	s.buf = s.buf[:0]
	for {
		if len(s.buf) == cap(s.buf) {
			s.buf = slices.Grow(s.buf, max(512, len(s.buf)))
		}
		n, err := r.Read(s.buf[len(s.buf):cap(s.buf)])
		piece := s.buf[len(s.buf) : len(s.buf)+n]
		s.buf = s.buf[:len(s.buf)+n]
		if typ == websocket.MessageText && !s.text.Write(piece) {
			return 0, errNotUTF8
		}
		if err == io.EOF && s.conn.ended {
			return 0, io.ErrUnexpectedEOF // the library takes the end of the connection for that of the message
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if typ == websocket.MessageText && !s.text.Complete() {
		return 0, errNotUTF8
	}
	return typ, nil
}

// Events implements Stream.
func (s *wsStream) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s.wire = s.conn.headIn
		s.conn.interrupt = s.interrupt
		for {
			typ, err := s.read()
			for i := range s.pings {
				ev := Event{Type: Comment, Arrival: s.pinged[min(i, len(s.pinged)-1)], ID: s.lastID, Retry: -1, Wire: s.newWire()}
				if !yield(ev, nil) {
					return
				}
			}
			s.pings, s.pinged = 0, s.pinged[:0]
			if errors.Is(err, errPinged) {
				continue
			}
			if err != nil {
				yield(Event{}, s.readError(err))
				return
			}
			ev := Event{Arrival: s.arrival(), Data: s.buf, Binary: typ == websocket.MessageBinary, Retry: -1, Wire: s.newWire()}
			if id, ok := s.id.Text(s.buf); ok {
				s.lastID, ev.OwnID = append(s.lastID[:0], id...), true
			}
			ev.ID = s.lastID
			if !yield(ev, nil) {
				return
			}
		}
	}
}

func (s *wsStream) newWire() int {
	before := s.wire
	s.wire = s.conn.in.Load()
	return int(s.wire - before)
}

// readError says why reading ended, and tells the peer where it is the peer's fault.
func (s *wsStream) readError(err error) error {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		return closeError(closed)
	}
	switch {
	case errors.Is(err, errNotUTF8):
		s.closeWith(websocket.StatusInvalidFramePayloadData)
		return errNotUTF8
	case errors.Is(err, websocket.ErrMessageTooBig):
		return ErrTooBig
	}
	if s.conn.broken != nil {
		s.closeWith(websocket.StatusProtocolError)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if class := classOf(err); class != ClassOther {
		return &Error{Class: class, Detail: "without a Close frame"}
	}
	return &Error{Class: ClassProtocol, Err: rootCause(err)}
}

// closeError is the peer's Close. A normal one is the clean end of the stream, but keeps its code.
func closeError(closed websocket.CloseError) error {
	e := &Error{Class: ClassCloseCode, Code: int(closed.Code), Detail: oneLine([]byte(closed.Reason))}
	if !utf8.ValidString(closed.Reason) {
		return &Error{Class: ClassProtocol, Detail: "the reason in a Close frame is not valid UTF-8"}
	}
	if closed.Code == websocket.StatusNormalClosure {
		e.Err = io.EOF
	}
	return e
}

// closeWith sends a Close with an error code and waits for the answer, bounded.
func (s *wsStream) closeWith(code websocket.StatusCode) {
	s.conn.idle = 0
	if s.conn.raw.SetDeadline(time.Now().Add(closeWait)) == nil {
		_ = s.ws.Close(code, "") // what it says is known already
	}
}

// Info implements Stream.
func (s *wsStream) Info() Info {
	info := s.info()
	info.Subprotocol = s.ws.Subprotocol()
	return info
}

// Close implements Stream.
func (s *wsStream) Close() error {
	err := s.conn.Close()
	_ = s.ws.CloseNow() // the socket is closed already; this gives back the buffers
	return err
}

var errFinished = errors.New("the stream is being closed")

// Send implements Sender. The write is bounded by the connection, not by ctx: a context would cost more than the
// message, so Close is what stops a Send that hangs.
func (s *wsStream) Send(ctx context.Context, p []byte) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.finished {
		return errFinished
	}
	return s.ws.Write(context.Background(), s.typ, p)
}

// Finish implements Finisher. It writes the Close frame itself: the library's Close would throw away what the peer
// sent before it saw ours.
func (s *wsStream) Finish() error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.finished {
		return nil
	}
	s.finished = true
	// FIN, opcode 8; masked with an all-zero key, length 2; status 1000.
	frame := []byte{0x88, 0x82, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(frame[6:], uint16(websocket.StatusNormalClosure))
	_, err := s.conn.Write(frame)
	return err
}
