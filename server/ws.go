package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Bounds of the message that says where to resume.
const (
	resumeTime = 5 * time.Second
	maxResume  = 8 * maxName // bytes; an id may be escaped
)

// keepBuffer is the size up to which the buffer of received messages is used again, in bytes.
const keepBuffer = 64 << 10

// A wsConn is a WebSocket with the connection under it, which deadlines and resets need.
type wsConn struct {
	*websocket.Conn
	raw      net.Conn
	lane     *lane         // nil where messages have to go through Conn
	patience time.Duration // with a client that reads nothing
}

// A hijackWriter remembers the connection that is hijacked through it.
type hijackWriter struct {
	http.ResponseWriter
	conn net.Conn
}

func (w *hijackWriter) Hijack() (conn net.Conn, rw *bufio.ReadWriter, err error) {
	w.conn, rw, err = http.NewResponseController(w.ResponseWriter).Hijack()
	return w.conn, rw, err
}

// upgrade answers the handshake, from any origin. It has answered the request when it gives nil.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) *wsConn {
	hw := &hijackWriter{ResponseWriter: w}
	o := &websocket.AcceptOptions{InsecureSkipVerify: true}
	if s.hub.opts.Compression {
		o.CompressionMode = websocket.CompressionNoContextTakeover
	}
	c := &wsConn{patience: s.hub.opts.WriteTimeout}
	o.OnPingReceived = c.pinged
	conn, err := websocket.Accept(hw, r, o)
	if err != nil {
		return nil
	}
	conn.SetReadLimit(maxBody)
	c.Conn, c.raw = conn, hw.conn
	if l := laneOf(r); l != nil && l.raw != nil && r.TLS == nil && w.Header().Get("Sec-WebSocket-Extensions") == "" {
		c.lane = l
	}
	return c
}

// pinged answers a ping, and reports whether that is left to the library, which breaks the connection of a client that takes
// no pong within 5 s: how long one may read nothing is for WriteTimeout to say.
func (c *wsConn) pinged(_ context.Context, payload []byte) (leave bool) {
	return !c.control(pongOpcode, payload)
}

// control writes a control frame past the library, and breaks the connection that doesn't take it in time. It reports whether
// frames can be written so.
func (c *wsConn) control(opcode byte, payload []byte) bool {
	if c.lane == nil {
		return false
	}
	timer := time.AfterFunc(c.patience, func() { breakConn(c.raw, false) })
	defer timer.Stop()
	if err := c.lane.control(append([]byte{opcode, byte(len(payload))}, payload...)); err != nil {
		breakConn(c.raw, false)
	}
	return true
}

// goodbye closes cleanly: it sends a Close and waits for the client's, for as long as grace.
func (c *wsConn) goodbye(code websocket.StatusCode, reason string, grace time.Duration) {
	timer := time.AfterFunc(grace, func() { breakConn(c.raw, false) })
	defer timer.Stop()
	_ = c.Close(code, reason) // the connection is closed in any case
}

// receive hands every message to handle until the connection ends or handle fails. The message is valid until
// handle returns.
func (c *wsConn) receive(handle func(websocket.MessageType, []byte) error) error {
	var buf bytes.Buffer
	for {
		// A context that can end would cost an allocation a message and break the connection instead of closing it.
		typ, reader, err := c.Reader(context.Background())
		if err != nil {
			return err
		}
		if buf.Reset(); buf.Cap() > keepBuffer {
			buf = bytes.Buffer{}
		}
		if _, err := buf.ReadFrom(reader); err != nil {
			return err
		}
		if err := handle(typ, buf.Bytes()); err != nil {
			return err
		}
	}
}

// A wsSink writes one message an event.
type wsSink struct {
	conn    *wsConn
	ping    chan struct{} // asks for a ping
	witness *witness
}

func (k *wsSink) write(batch []delivery) (int, bool, error) {
	for i, d := range batch {
		if d.dropped {
			continue
		}
		typ := websocket.MessageText
		if d.ev.binary {
			typ = websocket.MessageBinary
		}
		// A frame whose write fails has not been written in full, so it can't have arrived. And once the client's
		// Close is answered, under the same lock as this write, every write fails: what was written before the
		// answer arrives before it.
		k.witness.begin()
		if err := k.conn.Write(context.Background(), typ, d.ev.data); err != nil {
			return i, false, err
		}
		k.witness.saw(batch[i : i+1])
	}
	return len(batch), false, nil
}

// out gives the sink for the events: one beside k if their frames can be written past the library. Once the client's
// Close is answered there, that lets none pass either.
func (k *wsSink) out() sink {
	if k.conn.lane == nil {
		return k
	}
	return &laneSink{sink: k, lane: k.conn.lane, encode: (*event).frame, witness: k.witness}
}

// beat leaves the ping to pings, since it takes until the client has answered.
func (k *wsSink) beat() error {
	select {
	case k.ping <- struct{}{}:
	default: // the last one is still unanswered
	}
	return nil
}

func (k *wsSink) interrupt() { _ = k.conn.raw.SetWriteDeadline(past) } // fails only when closed

// pings sends a ping whenever one is asked for, until ctx is done.
func (k *wsSink) pings(ctx context.Context) {
	for {
		select {
		case <-k.ping:
			if !k.conn.control(pingOpcode, nil) && k.conn.Ping(ctx) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// serveWS serves a subscriber whose messages mean nothing, but for the one that says where to resume.
func (s *Server) serveWS(w http.ResponseWriter, r *http.Request) {
	s.subscribeWS(w, r, func(context.Context, *subscriber, message) {})
}

// serveChat serves a subscriber whose messages are events of its first topic.
func (s *Server) serveChat(w http.ResponseWriter, r *http.Request) {
	s.subscribeWS(w, r, func(ctx context.Context, sub *subscriber, m message) {
		m.data, m.sender = bytes.Clone(m.data), sub.rec.sub.N
		_, _ = s.hub.publish(ctx, sub.topics[0], m) // what comes once the subscription is over isn't published
	})
}

// subscribeWS serves a subscriber and hands its messages to handle, with a context that ends with the subscription or
// with the server. The data of a message is valid until handle returns.
func (s *Server) subscribeWS(w http.ResponseWriter, r *http.Request, handle func(context.Context, *subscriber, message)) {
	req, ok := s.admit(w, r)
	if !ok {
		return
	}
	defer s.hub.leave()
	// Subscribed before the handshake is answered: a client that has seen the answer gets everything published from
	// then on.
	var sub *subscriber
	if !req.resumeByMessage {
		sub = s.hub.subscribe(req, "ws")
	}
	conn := s.upgrade(w, r)
	if conn == nil {
		if sub != nil {
			s.hub.unsubscribe(sub, ReasonError)
		}
		return
	}
	ctx, cancel := context.WithCancel(s.hub.closing)
	defer cancel()
	first := make(chan []byte, 1)
	subscribed, gone := make(chan struct{}), make(chan struct{})
	var readErr error
	go func() {
		defer close(gone)
		heard := !req.resumeByMessage
		readErr = conn.receive(func(typ websocket.MessageType, data []byte) error {
			if !heard {
				heard = true
				first <- bytes.Clone(data[:min(len(data), maxResume)])
				return nil
			}
			<-subscribed
			handle(ctx, sub, message{data: data, binary: typ == websocket.MessageBinary})
			return nil
		})
	}()
	if sub == nil {
		req.from = s.awaitResume(first, gone)
		sub = s.hub.subscribe(req, "ws")
	}
	close(subscribed)
	sink := &wsSink{conn: conn, ping: make(chan struct{}), witness: s.hub.witness(r, sub.rec.sub.N)}
	var pinger sync.WaitGroup
	pinging, stopPinging := context.WithCancel(context.Background())
	if s.hub.opts.Heartbeat > 0 {
		pinger.Go(func() { sink.pings(pinging) })
	}
	reason := sub.serve(sink.out(), gone, nil)
	cancel()
	if reason == ReasonError {
		// Writing fails as soon as the client's Close is answered; the reader knows whether that was it, and leaves
		// no connection open that is broken.
		timer := time.AfterFunc(s.hub.opts.Grace, func() { breakConn(conn.raw, false) })
		<-gone
		timer.Stop()
		if websocket.CloseStatus(readErr) != -1 {
			reason = ReasonClient
		}
	}
	s.hub.unsubscribe(sub, reason)
	s.endWS(conn, sub, reason)
	stopPinging()
	_ = conn.CloseNow() // closed already, or broken
	<-gone
	pinger.Wait()
}

// endWS ends the connection in the way that the reason asks for.
func (s *Server) endWS(conn *wsConn, sub *subscriber, reason Reason) {
	switch {
	case reason == ReasonShutdown:
		conn.goodbye(websocket.StatusGoingAway, "shutting down", s.hub.opts.Grace)
	case reason == ReasonHangup && !sub.hangup.reset:
		conn.goodbye(websocket.StatusNormalClosure, "hang-up", s.hub.opts.Grace)
	case reason != ReasonClient:
		breakConn(conn.raw, reason == ReasonHangup)
	}
}

// awaitResume waits for the message that says where to resume, and gives the id in it. Without one, or with another
// message instead, the subscription starts with the next event.
func (s *Server) awaitResume(first <-chan []byte, gone <-chan struct{}) string {
	timer := time.NewTimer(resumeTime)
	defer timer.Stop()
	select {
	case data := <-first:
		var m struct {
			Resume string `json:"resume"`
		}
		if json.Unmarshal(data, &m) != nil || len(m.Resume) > maxName {
			return ""
		}
		return m.Resume
	case <-timer.C:
	case <-gone:
	case <-s.hub.closing.Done():
	}
	return ""
}

// converse serves a WebSocket that isn't a subscription until the client or the server ends it.
func (s *Server) converse(w http.ResponseWriter, r *http.Request, handle func(*wsConn, websocket.MessageType, []byte) error) {
	conn := s.upgrade(w, r)
	if conn == nil {
		return
	}
	said := make(chan struct{})
	stop := context.AfterFunc(s.hub.closing, func() {
		defer close(said)
		conn.goodbye(websocket.StatusGoingAway, "shutting down", s.hub.opts.Grace)
	})
	_ = conn.receive(func(typ websocket.MessageType, data []byte) error { return handle(conn, typ, data) })
	if !stop() {
		<-said
	}
	_ = conn.CloseNow() // closed already, or broken
}

// serveEcho sends every message back.
func (s *Server) serveEcho(w http.ResponseWriter, r *http.Request) {
	s.converse(w, r, func(conn *wsConn, typ websocket.MessageType, data []byte) error {
		if err := conn.raw.SetWriteDeadline(time.Now().Add(s.hub.opts.WriteTimeout)); err != nil {
			return err
		}
		return errors.Join(conn.Write(context.Background(), typ, data), conn.raw.SetWriteDeadline(time.Time{}))
	})
}
