package server

import (
	"bytes"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"
)

// past is a deadline that has always passed.
var past = time.Unix(1, 0)

// heartbeat is a comment, which clients skip.
const heartbeat = ": heartbeat\n\n"

// buffers hold batches while they are written.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// join puts deliveries into one buffer, which is to be given back.
func join(batch []delivery, encode func(*event) []byte) *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	for _, d := range batch {
		if !d.dropped {
			b.Write(encode(d.ev))
		}
	}
	return b
}

func giveBuffer(b *bytes.Buffer) {
	if b.Cap() <= 4*batchBytes {
		buffers.Put(b)
	}
}

// An sseSink writes an event stream.
type sseSink struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	witness *witness
}

func (k *sseSink) write(batch []delivery) (n int, unsure bool, err error) {
	k.witness.begin()
	if len(batch) == 1 && !batch[0].dropped {
		_, err = k.w.Write(batch[0].ev.block())
	} else {
		b := join(batch, (*event).block)
		_, err = k.w.Write(b.Bytes())
		giveBuffer(b)
	}
	if err == nil {
		err = k.rc.Flush()
	}
	if err != nil {
		return 0, true, err
	}
	k.witness.saw(batch)
	return len(batch), false, nil
}

func (k *sseSink) beat() error {
	if _, err := k.w.Write([]byte(heartbeat)); err != nil {
		return err
	}
	return k.rc.Flush()
}

func (k *sseSink) interrupt() { _ = k.rc.SetWriteDeadline(past) } // without deadlines, the write ends by itself

// out gives the sink for the events of the stream that answers r: one beside k if its chunks can be written past net/http,
// between two writes of which a chunk is a chunk like any other.
func (k *sseSink) out(r *http.Request) sink {
	lane := laneOf(r)
	if lane == nil || lane.raw == nil || r.TLS != nil || r.ProtoMinor == 0 {
		return k
	}
	return &laneSink{sink: k, lane: lane, encode: (*event).chunk, together: true, witness: k.witness}
}

// open writes the head of the stream and what comes before the first event.
func (k *sseSink) open(o Options, proto int) error {
	header := k.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	if proto == 1 {
		header.Set("Connection", "close") // so that the end of the stream is the end of the connection
	}
	k.w.WriteHeader(http.StatusOK)
	if o.Retry > 0 {
		retry := sse.Message{Retry: o.Retry}
		if _, err := retry.WriteTo(k.w); err != nil {
			return err
		}
	}
	return k.rc.Flush()
}

func (s *Server) serveSSE(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	req, ok := s.admit(w, r)
	if !ok {
		return
	}
	defer s.hub.leave()
	rc := http.NewResponseController(w)
	// Subscribed before the head is written: a client that has seen the head gets everything published from then on.
	sub := s.hub.subscribe(req, "sse")
	sink := &sseSink{w: w, rc: rc, witness: s.hub.witness(r, sub.rec.sub.N)}
	reason := sub.serve(sink.out(r), r.Context().Done(), func() error { return sink.open(s.hub.opts, r.ProtoMajor) })
	s.hub.unsubscribe(sub, reason)
	switch {
	case reason == ReasonHangup && sub.hangup.reset:
		abort(rc, true)
	case reason == ReasonClient, reason == ReasonHangup, reason == ReasonShutdown:
		// Returning writes the end of the stream, which a client that doesn't read could hold up.
		_ = rc.SetWriteDeadline(time.Now().Add(s.hub.opts.Grace))
	default:
		abort(rc, false)
	}
}

// abort breaks the connection, or the stream where several share one, so that the client can't take it for a clean
// end.
func abort(rc *http.ResponseController, reset bool) {
	conn, _, err := rc.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // resets an HTTP/2 stream
	}
	breakConn(conn, reset)
}

// breakConn closes the connection below TLS, without a word and with RST if reset.
func breakConn(conn net.Conn, reset bool) {
	for t, ok := conn.(interface{ NetConn() net.Conn }); ok; t, ok = conn.(interface{ NetConn() net.Conn }) {
		conn = t.NetConn()
	}
	if t, ok := conn.(*net.TCPConn); ok && reset {
		_ = t.SetLinger(0) // fails only on a connection that is gone anyway
	}
	_ = conn.Close() // broken either way
}
