package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// An opcode says what a frame is (RFC 6455, 5.2).
type opcode uint8

const (
	opcodeContinuation opcode = 0x0
	opcodeText         opcode = 0x1
	opcodeBinary       opcode = 0x2
	opcodeClose        opcode = 0x8
	opcodePing         opcode = 0x9
	opcodePong         opcode = 0xA
)

// control reports whether it is a control frame's.
func (o opcode) control() bool { return o >= opcodeClose }

// The bits of a frame's head besides opcode and length.
const (
	bitFinal  = 0x80
	bitRSV1   = 0x40
	bitsRSV23 = 0x30
	bitMask   = 0x80
)

// maxControl is the longest payload of a control frame (RFC 6455, 5.5).
const maxControl = 125

// The status codes that a client sends (RFC 6455, 7.4.1).
const (
	statusNormal   = 1000
	statusProtocol = 1002
	statusNoCode   = 1005 // never sent: it stands for a Close without a code
	statusInvalid  = 1007
	statusTooBig   = 1009
)

// closeWait bounds how long the peer of a stream has to hear of the Close that was sent for an error.
const closeWait = time.Second

// A frameReader is where a stream of frames stands. Between two reads of the socket it keeps what has come of a message,
// and nothing else.
type frameReader struct {
	unpacks bool     // messages may be compressed
	head    [10]byte // of a frame whose head came in pieces
	have    int      // bytes of it
	inside  bool     // of a frame
	left    uint64   // of its payload
	frame   opcode
	final   bool
	message opcode      // of the message that has begun; opcodeContinuation for none
	packed  bool        // it is compressed
	buf     []byte      // what has come of it, or the whole of it where that came in pieces
	text    utf8Checker // of it
	control []byte      // payload of a control frame

	scanned uint64 // bytes read from the socket, when frames were read last
	events  int    // that ended in what the last read of the socket brought
}

// readHead takes the head of a frame. ok is false where it isn't complete; n bytes of p were taken in any case.
func (r *frameReader) readHead(p []byte) (n int, ok bool, err error) {
	head := p
	if r.have > 0 || len(p) < len(r.head) { // where all of it is there, nothing is copied
		n = copy(r.head[r.have:], p)
		head = r.head[:r.have+n]
	}
	size := 2
	if len(head) >= 2 {
		switch head[1] &^ bitMask {
		case 126:
			size = 4
		case 127:
			size = 10
		}
	}
	if len(head) < size {
		r.have += n
		return n, false, nil
	}
	n = size - r.have
	r.have = 0
	r.frame, r.final = opcode(head[0]&0x0F), head[0]&bitFinal != 0
	least := uint64(0)
	switch size {
	case 2:
		r.left = uint64(head[1] &^ bitMask)
	case 4:
		r.left, least = uint64(binary.BigEndian.Uint16(head[2:])), 126
	default:
		r.left, least = binary.BigEndian.Uint64(head[2:]), 1<<16
	}
	switch {
	case head[1]&bitMask != 0:
		return n, false, protocolError("a frame is masked, which only a client's may be")
	case r.left < least || r.left >= 1<<63:
		return n, false, protocolError("a frame's length is not encoded as it must be")
	}
	return n, true, r.allow(head[0])
}

// allow checks the first byte of a frame, and its length where it is a control frame.
func (r *frameReader) allow(first byte) error {
	packed := first&bitRSV1 != 0
	switch {
	case first&bitsRSV23 != 0, packed && (!r.unpacks || r.frame.control() || r.frame == opcodeContinuation):
		return protocolError("a reserved bit is set in a frame")
	case r.frame > opcodePong, r.frame > opcodeBinary && r.frame < opcodeClose:
		return protocolError(fmt.Sprintf("a frame has the reserved opcode %d", r.frame))
	case r.frame.control() && !r.final:
		return protocolError("a control frame is fragmented")
	case r.frame.control() && r.left > maxControl:
		return protocolError(fmt.Sprintf("a control frame has a payload of %d bytes", r.left))
	case r.frame.control():
		return nil
	case r.frame == opcodeContinuation && r.message == opcodeContinuation:
		return protocolError("a message begins with a continuation")
	case r.frame != opcodeContinuation && r.message != opcodeContinuation:
		return protocolError("a message begins within a message")
	}
	if r.frame != opcodeContinuation {
		r.message, r.packed = r.frame, packed
	}
	return nil
}

func protocolError(what string) error { return &Error{Class: ClassProtocol, Detail: what} }

// errNotUTF8 is a text message, or a reason, that isn't one.
var errNotUTF8 = &Error{Class: ClassProtocol, Detail: "a text message is not valid UTF-8"}

// errReason is a Close whose reason isn't text.
var errReason = &Error{Class: ClassProtocol, Detail: "the reason in a Close frame is not valid UTF-8"}

// errLeft ends reading where whoever reads wants no more.
var errLeft = errors.New("left")

// take implements reader.
func (s *wsStream) take(p []byte, ev *Event) (more bool) {
	if s.pings > 0 && !s.emitEarly(ev) {
		return false
	}
	return s.taken(s.frames(p, ev, s.emit))
}

// taken notes how far the bytes that were read have been taken apart.
func (s *wsStream) taken(rest []byte, err error) (more bool) {
	if s.failed = err; err == nil {
		return true
	}
	s.conn.unread(rest)
	return false
}

// emitEarly hands on the heartbeats that came while the stream was being opened.
func (s *wsStream) emitEarly(ev *Event) (more bool) {
	for i := range s.pings {
		ev.fill(Comment, nil)
		ev.Arrival = s.early[min(i, len(s.early)-1)]
		if !s.emit(ev) {
			s.failed = errLeft
			return false
		}
	}
	s.pings, s.early = 0, nil
	return true
}

// emit hands on what has come.
func (s *wsStream) emit(ev *Event) (more bool) {
	if ev.Type == Message {
		if id, ok := s.id.Text(ev.Data); ok {
			s.lastID, ev.OwnID = append(s.lastID[:0], id...), true
		}
	}
	now := s.conn.in
	ev.ID, ev.Wire, s.wire = s.lastID, int(now-s.wire), now
	return s.to.Take(ev, nil)
}

// end implements reader.
func (s *wsStream) end(err error) {
	if err = s.conclude(err); err != nil {
		s.to.Take(nil, s.readError(err))
	}
}

// conclude says why reading has ended: err is what the connection says. A server that has broken a rule is told, and one
// that has ended the stream is answered. It gives nil where whoever reads wanted no more.
func (s *wsStream) conclude(err error) error {
	if s.failed != nil {
		err = s.failed
	}
	switch e, _ := err.(*Error); {
	case err == errLeft:
		return nil
	case err == errNotUTF8, err == errReason:
		s.fail(statusInvalid)
	case err == ErrTooBig: // what is left of it isn't worth waiting for
		_ = s.tell(statusTooBig)
	case e != nil && e.Class == ClassProtocol:
		s.fail(statusProtocol)
	case e != nil && e.Class == ClassCloseCode:
		_ = s.tell(e.Code)
		return s.net.redacted(err) // its reason is the server's
	}
	return err
}

// A wsAwait reads messages until one contains a text. They belong to the handshake and aren't events.
type wsAwait struct {
	*wsStream
	text  []byte
	n     int // messages
	found bool
	err   error
}

// take implements reader.
func (a *wsAwait) take(p []byte, ev *Event) (more bool) { return a.taken(a.frames(p, ev, a.emit)) }

func (a *wsAwait) emit(ev *Event) (more bool) {
	if ev.Type == Comment {
		a.pings++
		a.early = append(a.early[:min(len(a.early), maxPinged-1)], ev.Arrival)
		return true
	}
	a.n++
	a.found = bytes.Contains(ev.Data, a.text)
	return !a.found && a.n < maxAwait
}

// end implements reader.
func (a *wsAwait) end(err error) {
	if a.err = a.conclude(err); a.err == nil && !a.found {
		a.err = &Error{Class: ClassTimeout, Detail: fmt.Sprintf("none of the first %d messages contained %q, and no more are waited for", maxAwait, a.text)}
	}
	a.failed = nil
}

// frames takes the next bytes apart, hands on each event in ev, and gives back the bytes that it didn't come to.
func (s *wsStream) frames(p []byte, ev *Event, emit func(*Event) bool) (rest []byte, err error) {
	if in := s.conn.in; in != s.scanned { // TLS may give in pieces what one read brought
		s.scanned, s.events = in, 0
	}
	for {
		if !s.inside {
			if len(p) == 0 {
				return nil, nil
			}
			n, ok, err := s.readHead(p)
			if p = p[n:]; err != nil {
				return p, err
			}
			if !ok {
				return nil, nil
			}
			s.inside = true
			if !s.frame.control() && s.tooBig() {
				return p, ErrTooBig
			}
		}
		n := int(min(s.left, uint64(len(p))))
		piece := p[:n]
		p = p[n:]
		s.left -= uint64(n)
		s.inside = s.left > 0
		if s.frame.control() {
			s.control = append(s.control, piece...)
			if s.inside {
				return nil, nil
			}
			if err := s.heard(len(p) > 0, ev, emit); err != nil {
				return p, err
			}
			continue
		}
		data, err := s.gather(piece)
		switch {
		case err != nil:
			return p, err
		case s.inside:
			return nil, nil
		case !s.final:
			continue
		}
		typ := s.message
		s.message = opcodeContinuation
		s.events++
		ev.fill(Message, data)
		ev.Binary = typ == opcodeBinary
		s.arrived(ev, len(p) > 0)
		if len(s.answers) > 0 {
			s.reply(ev)
		}
		more := emit(ev)
		if s.buf = s.buf[:0]; !more {
			return p, errLeft
		}
	}
}

// tooBig reports whether the message with the frame that begins is over the limit.
func (s *wsStream) tooBig() bool {
	limit := uint64(s.max)
	if s.packed { // its size is known when it is unpacked; until then it may be a little longer
		limit += limit/1024 + 1024
	}
	return s.left > limit || uint64(len(s.buf))+s.left > limit
}

// gather takes a piece of a message, and gives the message where that is whole with it.
func (s *wsStream) gather(piece []byte) (data []byte, err error) {
	whole := s.final && !s.inside
	if s.message == opcodeText && !s.packed && !s.text.Write(piece) {
		return nil, errNotUTF8
	}
	data = piece
	if !whole || len(s.buf) > 0 {
		s.buf = append(s.buf, piece...)
		data = s.buf
	}
	if whole && s.packed {
		if data, err = s.inflater.message(data, s.max); err != nil {
			return nil, err
		}
		if s.message == opcodeText && !s.text.Write(data) {
			return nil, errNotUTF8
		}
	}
	if whole && s.message == opcodeText && !s.text.Complete() {
		return nil, errNotUTF8
	}
	return data, nil
}

// arrived sets the arrival of what ended in the read before; more bytes came behind it, or didn't.
func (s *wsStream) arrived(ev *Event, more bool) {
	s.conn.arrived(&ev.Arrival, s.events > 1 || more || s.conn.more(0))
}

// heard takes a control frame.
func (s *wsStream) heard(more bool, ev *Event, emit func(*Event) bool) error {
	payload := s.control
	s.control = s.control[:0]
	switch s.frame {
	case opcodePing:
		s.events++
		ev.fill(Comment, nil)
		s.arrived(ev, more) // before the answer takes its time
		s.conn.beat()
		s.owe(&s.owed, payload)
		if !emit(ev) {
			return errLeft
		}
	case opcodeClose:
		return closed(payload)
	}
	return nil
}

// reply answers what is to be answered, which is a heartbeat then.
func (s *wsStream) reply(ev *Event) {
	for _, answer := range s.answers {
		if bytes.Equal(ev.Data, answer.To) {
			ev.Type, ev.Binary = Comment, false
			s.conn.beat()
			s.owe(&s.owedText, answer.With)
			return
		}
	}
}

// closed gives the peer's Close as the end of the stream. A normal one is a clean end, but keeps its code.
func closed(payload []byte) error {
	e := &Error{Class: ClassCloseCode, Code: statusNoCode}
	if len(payload) == 1 {
		return protocolError("a Close frame has half a status code")
	}
	if len(payload) > 1 {
		e.Code = int(binary.BigEndian.Uint16(payload))
		if !mayBeSent(e.Code) {
			return protocolError(fmt.Sprintf("a Close frame has the status code %d, which may not be sent", e.Code))
		}
		reason := payload[2:]
		if !utf8.Valid(reason) {
			return errReason
		}
		e.Detail = oneLine(reason)
	}
	if e.Code == statusNormal {
		e.Err = io.EOF
	}
	return e
}

// mayBeSent reports whether a status code may be in a Close frame (RFC 6455, 7.4, and the IANA registry).
func mayBeSent(code int) bool {
	switch {
	case code >= 3000 && code < 5000:
		return true
	case code == 1004, code == 1005, code == 1006:
		return false
	}
	return code >= 1000 && code <= 1014
}
