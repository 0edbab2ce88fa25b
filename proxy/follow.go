package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// maxPipelined bounds how many requests of a connection may be without an answer.
const maxPipelined = 256

// A dialogue is what the two directions of a connection have to know of each other. Safe for concurrent use.
type dialogue struct {
	mu       sync.Mutex
	waiting  []asked // requests without an answer, oldest first
	upgraded bool    // there is no HTTP any more
}

// An asked is one request.
type asked struct {
	method  string
	upgrade bool // to another protocol
}

func (d *dialogue) ask(a asked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) < maxPipelined {
		d.waiting = append(d.waiting, a)
	}
}

// answer gives the request that an answer is to.
func (d *dialogue) answer(upgraded bool) (a asked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upgraded = d.upgraded || upgraded
	if len(d.waiting) > 0 {
		a, d.waiting = d.waiting[0], d.waiting[1:]
	}
	return a
}

// raw reports whether what the client sends next is no request, or may be none: an upgrade was asked for, and not refused.
func (d *dialogue) raw() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.upgraded || len(d.waiting) > 0 && d.waiting[len(d.waiting)-1].upgrade
}

// Requests follows what a client sends, and puts the target's name into the Host header of its requests.
type requests struct {
	dialogue *dialogue
	host     string // "" leaves the header as it is
	blind    bool   // it isn't followed any more
	head     collector
	body     body
	out      []byte
}

// take gives what to send on for p; it is valid until the next call. Where a head is to be changed it is held back until it
// is complete.
func (r *requests) take(p []byte) []byte {
	if r.blind {
		return p
	}
	r.out = r.out[:0]
	for len(p) > 0 && !r.blind {
		if !r.body.over() {
			n, _, err := r.body.piece(p)
			r.blind = err != nil
			r.out, p = append(r.out, p[:n]...), p[n:]
			continue
		}
		if len(r.head.buf) == 0 && r.dialogue.raw() {
			r.blind = true
			break
		}
		if r.head.stray(p) {
			r.out, p = append(r.out, p[0]), p[1:]
			continue
		}
		n, done, err := r.head.take(p, beginsRequest)
		if r.host == "" {
			r.out = append(r.out, p[:n]...)
		}
		p = p[n:]
		switch {
		case err != nil:
			r.out = append(r.out, r.rest()...)
			r.blind = true
		case done:
			h := parseHead(r.head.buf)
			r.dialogue.ask(asked{h.method(), h.upgrade != ""})
			r.head.buf = withHost(r.head.buf, r.host)
			r.out = append(r.out, r.rest()...)
			r.body = h.body(bodyNone)
		}
	}
	return append(r.out, p...)
}

// rest gives what is held back, when no more of it is to come.
func (r *requests) rest() []byte {
	held := r.head.buf
	if r.head.buf = nil; r.host == "" {
		return nil
	}
	return held
}

// Responses follows what a target sends, and finds where events end in it. It holds nothing back.
type responses struct {
	dialogue *dialogue
	head     collector
	body     body
	streams  bool // the body is an event stream
	framed   bool // there is no HTTP any more, but frames
	blocks   blocks
	frames   frames
	blind    error // why it isn't followed any more; nil while it is
}

// A found is what comes up to the end of an event, or without one.
type found struct {
	n     int  // bytes, with the framing right behind the event
	event bool // an event ends in them
	start int  // where it begins
	end   int  // and ends
}

// next looks at bytes that follow those of before, up to the end of an event. p has one at least.
func (r *responses) next(p []byte) (x found) {
	for x.n < len(p) && r.blind == nil && !x.event {
		rest := p[x.n:]
		switch {
		case r.framed:
			n, start, event, err := r.frames.next(rest)
			r.blind = err
			x.take(n, start, event)
		case r.body.over() && r.head.stray(rest):
			x.n++
		case r.body.over():
			n, done, err := r.head.take(rest, beginsResponse)
			x.n += n
			if r.blind = err; done {
				r.complete()
			}
		default:
			r.within(rest, &x)
		}
	}
	if r.blind != nil && !x.event {
		x.n, r.head.buf = len(p), nil
		return x
	}
	if x.event && !r.framed {
		r.closing(p, &x)
	}
	return x
}

func (x *found) take(n, start int, event bool) {
	if start >= 0 {
		x.start = x.n + start
	}
	x.n += n
	x.event, x.end = event, x.n
}

// within takes bytes of a body.
func (r *responses) within(p []byte, x *found) {
	was := r.body
	n, data, err := r.body.piece(p)
	if r.blind = err; !data || !r.streams {
		x.n += n
		return
	}
	taken, start, event := r.blocks.next(p[:n])
	if taken < n { // the rest of the piece comes after the event
		r.body = was
		_, _, _ = r.body.piece(p[:taken])
	}
	x.take(taken, start, event)
}

// closing takes what belongs to the end of an event and is there: the LF of a CRLF, and the line end of a chunk.
func (r *responses) closing(p []byte, x *found) {
	for x.n < len(p) && r.blind == nil && !r.body.over() {
		switch c := p[x.n]; {
		case r.body.ending(c):
			r.blind = r.body.frame(c)
			x.n++
		case r.blocks.joins(c) && (r.body.kind != bodyChunked || r.body.state == chunkData):
			_, _, r.blind = r.body.piece(p[x.n : x.n+1])
			r.blocks.next(p[x.n : x.n+1])
			x.n++
			x.end = x.n
		default:
			return
		}
	}
}

// complete goes on behind the head of a response.
func (r *responses) complete() {
	h := parseHead(r.head.buf)
	r.head.buf, r.streams = nil, false
	status := h.status()
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	request := r.dialogue.answer(status == http.StatusSwitchingProtocols)
	switch {
	case status == 0:
		r.blind = errNoHTTP
	case status == http.StatusSwitchingProtocols && h.upgrade == "websocket":
		r.framed = true
	case status == http.StatusSwitchingProtocols:
		r.blind = fmt.Errorf("the connection was upgraded to %q", cmp.Or(h.upgrade, "nothing"))
	case request.method == http.MethodHead, status == http.StatusNoContent, status == http.StatusNotModified:
	case request.method == http.MethodConnect && status < 300:
		r.blind = errors.New("the connection became a tunnel")
	default:
		r.body = h.body(bodyEndless)
		r.streams, r.blocks = h.media == "text/event-stream", blocks{}
		if r.streams && h.encoding != "" {
			r.blind = fmt.Errorf("the stream is encoded with %.40q", h.encoding)
		}
	}
}
