package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"iter"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
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
	// Answers are the pings of a protocol on top of WebSocket. What they answer is a heartbeat, and no message.
	Answers []Answer
}

// An Answer is sent, as a text message, whenever a message comes that is exactly this.
type Answer struct{ To, With []byte }

// ParseAnswer reads "TO=WITH".
func ParseAnswer(s string) (Answer, error) {
	to, with, ok := strings.Cut(s, "=")
	if !ok || to == "" || with == "" {
		return Answer{}, fmt.Errorf("%.100q is not MESSAGE=ANSWER", s)
	}
	return Answer{[]byte(to), []byte(with)}, nil
}

// maxAwait bounds how many messages Await looks at.
const maxAwait = 100

// maxPinged bounds how many heartbeats that come while a stream is being opened have an arrival of their own. The others
// have that of the last.
const maxPinged = 64

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
	req, err := newRequest(ctx, http.MethodGet, u, request.Header, nil)
	if err != nil {
		return nil, &Error{Class: ClassOther, Err: err}
	}
	key := d.ask(req.Header)
	renew := func(h http.Header) { key = newKey(h) }
	x := newExchange(d.Net)
	x.resumed = len(from) > 0 && (!d.Resume.IsZero() || d.Resubscribes)
	if err := x.follow(ctx, req, nil, renew); err != nil {
		return nil, x.failed(err)
	}
	if x.resp.StatusCode != http.StatusSwitchingProtocols {
		err := x.statusError()
		x.conn.Close()
		return nil, x.failed(err)
	}
	s := &wsStream{exchange: *x, id: d.ID, lastID: from.Clone(), sends: opcodeText, max: d.Net.maxEvent(), answers: d.Answers}
	if d.Binary {
		s.sends = opcodeBinary
	}
	if err := d.accept(s, x.resp.Header, key); err != nil {
		x.conn.Close()
		return nil, x.failed(&Error{Class: ClassHandshake, Err: err})
	}
	s.unpacks = s.inflater != nil
	if err := s.open(ctx, messages, d.Await); err != nil {
		s.Close()
		return nil, x.failed(err)
	}
	s.phases.Total = time.Since(s.started)
	s.conn.silence = d.Net.silences()
	return s, nil
}

// ask adds what a client's handshake has to say (RFC 6455, 4.1), and gives its key.
func (d *WebSocket) ask(h http.Header) (key string) {
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Version", "13")
	if len(d.Subprotocols) > 0 {
		h.Set("Sec-WebSocket-Protocol", strings.Join(d.Subprotocols, ","))
	}
	if d.Compression {
		h.Set("Sec-WebSocket-Extensions", deflateExtension)
	}
	return newKey(h)
}

// newKey gives a handshake a key of its own, as each connection has.
func newKey(h http.Header) (key string) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	key = base64.StdEncoding.EncodeToString(nonce[:])
	h.Set("Sec-WebSocket-Key", key)
	return key
}

// accept checks the server's handshake (RFC 6455, 4.1, on the response) and takes what was agreed on.
func (d *WebSocket) accept(s *wsStream, h http.Header, key string) error {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	want := base64.StdEncoding.EncodeToString(sum[:])
	switch upgrade, got := listed(h, "Upgrade"), listed(h, "Sec-WebSocket-Accept"); {
	case !strings.EqualFold(upgrade, "websocket"):
		return fmt.Errorf("the Upgrade header is %.100q and not websocket", upgrade)
	case !hasToken(h, "Connection", "upgrade"):
		return fmt.Errorf("the Connection header %.100q does not name Upgrade", listed(h, "Connection"))
	case got != want:
		return fmt.Errorf("Sec-WebSocket-Accept is %.100q and not %q", got, want)
	}
	if s.subprotocol = listed(h, "Sec-WebSocket-Protocol"); s.subprotocol != "" && !slices.Contains(d.Subprotocols, s.subprotocol) {
		return fmt.Errorf("the subprotocol %.100q was not offered", s.subprotocol)
	}
	for _, extension := range tokens(h, "Sec-WebSocket-Extensions") {
		if !d.Compression || s.inflater != nil {
			return fmt.Errorf("the extension %.100q was not offered", extension)
		}
		var err error
		if s.inflater, err = acceptDeflate(extension); err != nil {
			return err
		}
	}
	return nil
}

const deflateExtension = "permessage-deflate"

// acceptDeflate reads the parameters that a server has agreed to (RFC 7692, 7.1).
func acceptDeflate(extension string) (*inflater, error) {
	// Its parameters are written as those of a media type are, but for flags, which have no value.
	name, rest, _ := strings.Cut(extension, ";")
	if strings.TrimSpace(name) != deflateExtension {
		return nil, fmt.Errorf("the extension %.100q was not offered", extension)
	}
	i := &inflater{takeover: true}
	seen := make(map[string]bool)
	for parameter := range strings.SplitSeq(rest, ";") {
		if parameter = strings.TrimSpace(parameter); parameter == "" {
			continue
		}
		name, value, valued := strings.Cut(parameter, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if valued {
			if _, params, err := mime.ParseMediaType("x/y; v=" + value); err == nil {
				value = params["v"] // without its quotes
			}
		}
		bits, _ := strconv.Atoi(value)
		switch {
		case seen[name]:
			return nil, fmt.Errorf("%s: the parameter %.100q comes twice", deflateExtension, name)
		case name == "server_no_context_takeover" && !valued:
			i.takeover = false
		case name == "client_no_context_takeover" && !valued: // which is how messages are sent in any case
		case name == "server_max_window_bits" && bits >= 8 && bits <= 15 && value == strconv.Itoa(bits): // in its shortest form
		default:
			return nil, fmt.Errorf("%s: the parameter %.100q was not offered", deflateExtension, parameter)
		}
		seen[name] = true
	}
	return i, nil
}

// listed is a header's value, all its lines together (RFC 9110, 5.3).
func listed(h http.Header, name string) string { return strings.Join(h.Values(name), ", ") }

// tokens gives the elements of a header that is a list.
func tokens(h http.Header, name string) (list []string) {
	for _, line := range h.Values(name) {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.TrimSpace(element); element != "" {
				list = append(list, element)
			}
		}
	}
	return list
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(tokens(h, name), func(s string) bool { return strings.EqualFold(s, token) })
}

// A wsStream has together what each message touches, from exchange's last on, since that is seldom in a cache where there
// are many streams.
type wsStream struct {
	early []Arrival // of the first heartbeats that came while the stream was being opened
	exchange
	frameReader     // of what comes in
	pings       int // heartbeats that are to be given yet; early has when the first of them came
	to          Sink
	wire        uint64 // bytes read from the socket, when the event before was given
	failed      error  // why what was read isn't taken
	id          Field
	lastID      Cursor
	max         int // bytes of one message
	inflater    *inflater
	answers     []Answer

	subprotocol string

	sends    opcode // what Send writes
	sendMu   sync.Mutex
	finished bool                   // our Close is sent: nothing may follow it
	lingers  atomic.Bool            // the peer has yet to hear why: Close isn't to be at once
	owed     atomic.Pointer[[]byte] // the payload of a ping that came while something was being sent
	owedText atomic.Pointer[[]byte] // likewise, what a message is answered with
}

// open sends the messages that resume and subscribe.
func (s *wsStream) open(ctx context.Context, messages [][]byte, await []byte) error {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	for i := 0; i == 0 || i < len(messages); i++ {
		if i < len(messages) {
			if err := s.send(opcodeText, messages[i]); err != nil {
				return s.openError(ctx, err, "sending the subscribe message")
			}
		}
		if i == 0 && len(await) > 0 {
			a := wsAwait{wsStream: s, text: await}
			if s.conn.pump(&a); a.err != nil {
				return s.openError(ctx, a.err, fmt.Sprintf("waiting for a message with %q", await))
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

// Events implements Stream.
func (s *wsStream) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s.to, s.wire = SinkFunc(yield), s.conn.headIn
		s.conn.pump(s)
	}
}

// Push implements Pusher.
func (s *wsStream) Push(to Sink) bool {
	s.to, s.wire = to, s.conn.headIn
	return s.push(s, wsBytes, to)
}

// wsBytes are what each event touches, from conn on.
const wsBytes = unsafe.Offsetof(wsStream{}.subprotocol) - unsafe.Offsetof(wsStream{}.conn)

// readError says why reading ended.
func (s *wsStream) readError(err error) error {
	if e, ok := streamError(err).(*Error); ok {
		return e
	}
	return &Error{Class: cmp.Or(classOf(err), ClassOther), Detail: "without a Close frame"}
}

// Info implements Stream.
func (s *wsStream) Info() Info {
	info := s.info()
	info.Subprotocol = s.subprotocol
	return info
}

// Close implements Stream.
func (s *wsStream) Close() error {
	if s.lingers.Swap(false) && s.linger() {
		return nil
	}
	return s.conn.Close()
}
