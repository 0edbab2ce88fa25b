package server

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/tmaxmax/go-sse"
)

func TestPublishedMessagesArriveAsPosted(t *testing.T) {
	g := start(t, Options{Topics: []string{"a", "b"}})
	stream, conn := g.sse("topic=b"), g.ws("/ws?topic=b")
	publisher := g.ws("/publish?topic=b")
	ctx := t.Context()
	messages := []struct {
		typ        websocket.MessageType
		body, data string // as posted, and as data of an SSE event
	}{
		{websocket.MessageText, "plain", "plain"},
		{websocket.MessageText, "", ""},
		{websocket.MessageText, "\n", "\n"},
		{websocket.MessageText, "two\nlines\n", "two\nlines\n"},
		{websocket.MessageText, " a\r\n\r\nb\rc ", " a\n\nb\nc "}, // a line end is a line end in an event stream
		{websocket.MessageText, "id: 9\ndata: x\n\nevent: y", "id: 9\ndata: x\n\nevent: y"},
		{websocket.MessageText, strings.Repeat("ü", 1<<19), strings.Repeat("ü", 1<<19)},
		{websocket.MessageBinary, "\x00\xff", base64.StdEncoding.EncodeToString([]byte("\x00\xff"))},
	}
	for i, m := range messages {
		if p := g.publish("b", m.body); p.ID != uint64(2*i+1) || p.Seq != p.ID || p.Topic != "b" {
			t.Errorf("%+v", p)
		}
		if err := publisher.Write(ctx, m.typ, []byte(m.body)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the messages of a WebSocket aren't acknowledged, so take both before going on
			typ, got, err := next(conn)
			if err != nil || typ != m.typ || got != m.body {
				t.Fatalf("message %d over WebSocket: %v %.100q %v", i, typ, got, err)
			}
		}
	}
	defer stream.conn.Close()
	i := 0
	for e, err := range sse.Read(stream.resp.Body, &sse.ReadConfig{MaxEventSize: 4 << 20}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Data != messages[i/2].data || e.LastEventID != fmt.Sprint(i+1) {
			t.Errorf("event %d over SSE: id %s, %.100q", i, e.LastEventID, e.Data)
		}
		if i++; i == 2*len(messages) {
			break
		}
	}
}

// A rejected post is answered and leaves no trace among the events; the one after it is as good as ever.
func TestRejections(t *testing.T) {
	g := start(t, Options{Faults: faults(t, "reject=503x2:retry-after=7", "reject=429x3")})
	for _, want := range []struct {
		status int
		after  string
	}{{503, "7"}, {503, "7"}, {429, ""}} {
		resp, _ := g.do("POST", "/publish", "no")
		if resp.StatusCode != want.status || resp.Header.Get("Retry-After") != want.after {
			t.Errorf("%s %v, want %+v", resp.Status, resp.Header, want)
		}
	}
	if p := g.publish("default", "yes"); p.ID != 1 || p.Seq != 1 {
		t.Errorf("%+v", p)
	}
	if totals := g.truth("").Totals; totals.Rejected != 3 || totals.Published != 1 || totals.Refused != 0 {
		t.Errorf("%+v", totals)
	}
}

// Many publishers post at once, each over one connection: every post is answered with an id of its own, and no
// connection is given up.
func TestPublishersKeepTheirConnections(t *testing.T) {
	publishers, posts := 50, 20
	g := start(t, Options{Faults: faults(t, "reject=503@10%")})
	var (
		mu       sync.Mutex
		ids      []uint64
		rejected uint64
		posting  sync.WaitGroup
	)
	for range publishers {
		conn := g.dial()
		posting.Go(func() {
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for range posts {
				_, err := io.WriteString(conn, "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				var p Published
				if err != nil || resp.Close || resp.StatusCode == 200 && json.Unmarshal(body, &p) != nil {
					t.Errorf("%s %q %v", resp.Status, body, err)
					return
				}
				mu.Lock()
				if resp.StatusCode == 200 {
					ids = append(ids, p.ID)
				} else {
					rejected++
				}
				mu.Unlock()
			}
		})
	}
	posting.Wait()
	slices.Sort(ids)
	for i, id := range ids {
		if id != uint64(i+1) {
			t.Fatalf("id %d where %d is missing", id, i+1)
		}
	}
	totals := g.truth("").Totals
	if len(ids)+int(rejected) != publishers*posts || rejected == 0 || totals.Rejected != rejected || totals.Published != uint64(len(ids)) {
		t.Errorf("%d published, %d rejected, %+v", len(ids), rejected, totals)
	}
}
