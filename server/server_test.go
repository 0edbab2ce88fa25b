package server

import (
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/tmaxmax/go-sse"

	"github.com/rtbench/rtbench/client"
)

func TestScheduledEventsReachBothProtocols(t *testing.T) {
	for name, launch := range map[string]func(*testing.T, Options) *target{"plain": start, "tls": startTLS} {
		t.Run(name, func(t *testing.T) {
			g := launch(t, Options{Rate: 200, Size: 300})
			stream, conn := g.sse("client=s"), g.ws("/ws?client=w")
			if ct := stream.resp.Header.Get("Content-Type"); ct != "text/event-stream" {
				t.Errorf("Content-Type %q", ct)
			}
			if origin := stream.resp.Header.Get("Access-Control-Allow-Origin"); origin != "*" {
				t.Errorf("Access-Control-Allow-Origin %q", origin)
			}
			for e, err := range sse.Read(stream.resp.Body, nil) {
				if err != nil {
					t.Fatal(err)
				}
				checkPayload(t, e.Data, 300)
				break
			}
			typ, data, err := next(conn)
			if err != nil || typ != websocket.MessageText {
				t.Fatal(typ, err)
			}
			checkPayload(t, data, 300)
			stream.conn.Close()
		})
	}
}

func checkPayload(t *testing.T, data string, size int) {
	t.Helper()
	if len(data) != size {
		t.Errorf("payload of %d bytes, want %d", len(data), size)
	}
	if !strings.HasPrefix(data, `{"topic":"default","seq":`) {
		t.Errorf("payload %q", data)
	}
	s, _, ok := client.FindStamp([]byte(data), 0)
	if !ok || s.Source != client.HashSource("default") || s.Seq == 0 || s.Due > s.Sent {
		t.Errorf("stamp %+v %v", s, ok)
	}
}
