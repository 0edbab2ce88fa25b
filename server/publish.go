package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Published is the answer to a message that was posted to /publish.
type Published struct {
	ID    uint64 `json:"id"`
	Topic string `json:"topic"`
	Seq   uint64 `json:"seq"`
	Sent  int64  `json:"sent"` // on the server's clock, ns since the Unix epoch
}

// servePublish makes an event of the body of a POST, or of every message of a WebSocket.
func (s *Server) servePublish(w http.ResponseWriter, r *http.Request) {
	names := s.hub.opts.Topics[:1]
	if name := r.URL.Query().Get("topic"); name != "" {
		names = []string{name}
	}
	topics, err := s.hub.lookup(names)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodGet {
		s.converse(w, r, func(_ *wsConn, typ websocket.MessageType, data []byte) error {
			_, err := s.hub.publish(s.hub.closing, topics[0], message{bytes.Clone(data), typ == websocket.MessageBinary, 0})
			return err
		})
		return
	}
	body, err := s.body(w, r)
	if err != nil {
		return
	}
	if f, ok := s.rejecter.refuse(); ok {
		s.hub.count.rejected.Add(1)
		f.answer(w)
		return
	}
	e, err := s.hub.publish(r.Context(), topics[0], message{data: body})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that went away needs no answer.
	_ = json.NewEncoder(w).Encode(Published{ID: e.id, Topic: e.topic.name, Seq: e.seq, Sent: s.hub.clock.read(e.sent)})
}

// body reads a bounded body in a bounded time. It has answered the request when it fails.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(headerTimeout)) // without deadlines, only the size is bounded
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		http.Error(w, "a message is at most 1 MiB", http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
	default:
		_ = rc.SetReadDeadline(time.Time{})
	}
	return body, err
}
