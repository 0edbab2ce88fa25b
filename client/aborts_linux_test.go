package client

import (
	"io"
	"testing"
	"time"
)

// Whatever comes together with the last bytes, or before anybody reads them, ends a stream: an end, or a reset.
func TestPumpHearsWhatCameBefore(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*peer)
		key  string
	}{
		{"an end", func(p *peer) { p.Close() }, "eof"},
		{"a reset", (*peer).reset, "reset"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, idle := range []time.Duration{0, time.Hour} {
				ended := make(chan bool)
				addr := serveWS(t, func(p *peer) {
					p.write(frame(wholeText, "a"))
					test.end(p)
					close(ended)
				})
				s := dial(t, &WebSocket{Net: &Net{Idle: idle}, Request: Request{URL: "ws://" + addr}}, "")
				<-ended
				events, err := collect(s)
				if key, _ := explain(err); key != test.key || len(events) > 1 || len(events) == 0 && test.key == "eof" {
					t.Errorf("%q, then %v", events, err)
				}
			}
		})
	}
}

// A watch runs as long as there is something to watch, and a connection that is closed is never taken on again.
func TestAbortWatchEnds(t *testing.T) {
	var w abortWatch
	tcp, theirs := tcpPair(t)
	c, _ := stampReads(tcp, 1, &w)
	s := c.(*stampedConn)
	watching := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.file != nil
	}
	io.WriteString(theirs, "a")
	if err := s.each(func(p []byte, _ bool) bool { return false }); err != nil || !watching() {
		t.Errorf("%v, watching: %v", err, watching())
	}
	if err := s.Close(); err != nil || watching() {
		t.Errorf("%v, still watching: %v", err, watching())
	}
	if w.add(0, s) {
		t.Error("a closed connection is watched")
	}
}
