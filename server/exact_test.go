package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A frameClient is a WebSocket over a bare connection: unlike a library it goes on reading messages after it has
// sent a Close.
type frameClient struct {
	conn net.Conn
	br   *bufio.Reader
}

func (g *target) frames(query string) *frameClient { return g.upgraded("/ws?" + query) }

func (g *target) upgraded(path string) *frameClient {
	g.t.Helper()
	conn := g.dial()
	head := "GET " + path + " HTTP/1.1\r\nHost: " + g.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		g.t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		g.t.Fatal(resp, err)
	}
	return &frameClient{conn, br}
}

// send writes a short masked frame; the mask is zero.
func (c *frameClient) send(opcode byte, payload string) error {
	frame := append([]byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
	_, err := c.conn.Write(frame)
	return err
}

// next reads a frame.
func (c *frameClient) next() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(c.br, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var ext [2]byte
		_, err = io.ReadFull(c.br, ext[:])
		n = uint64(binary.BigEndian.Uint16(ext[:]))
	case 127:
		var ext [8]byte
		_, err = io.ReadFull(c.br, ext[:])
		n = binary.BigEndian.Uint64(ext[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.br, payload)
	return head[0] & 15, payload, err
}

// ids reads to the end of the connection, and gives the sequences of the stamps and the code of the Close.
func (c *frameClient) ids() (ids []string, code int, err error) {
	defer c.conn.Close()
	for {
		opcode, payload, err := c.next()
		if err == io.EOF {
			return ids, code, nil
		}
		if err != nil {
			return ids, code, err
		}
		switch opcode {
		case 1, 2:
			s, _, ok := client.FindStamp(payload, 0)
			if !ok {
				return ids, code, fmt.Errorf("no stamp in %q", payload)
			}
			ids = append(ids, fmt.Sprint(s.Seq))
		case 8:
			if code != 0 {
				return ids, code, fmt.Errorf("a second Close")
			}
			code = int(binary.BigEndian.Uint16(payload))
		}
	}
}

// Clients of both protocols close their side at any time, mid-burst, and go on reading: what they got is what the
// server says it sent, to the event.
func TestTruthIsExactWhenClientsLeave(t *testing.T) {
	subscribers, rounds := 40, 3
	if testing.Short() {
		subscribers, rounds = 20, 1
	}
	for name, launch := range map[string]func(*testing.T, Options) *target{"plain": start, "tls": startTLS} {
		t.Run(name, func(t *testing.T) {
			g := launch(t, Options{Rate: 500, Size: 200, Heartbeat: 5 * time.Millisecond})
			for round := range rounds {
				var wg sync.WaitGroup
				for i := range subscribers {
					client := fmt.Sprintf("r%d-%d", round, i)
					wg.Go(func() { leaveAfter(g, "sse-"+client, 1+7*i) })
					wg.Go(func() { leaveAfter(g, "ws-"+client, 1+7*i) })
				}
				wg.Wait()
			}
			totals := g.truth("events=0&subscribers=0").Totals
			if totals.Cut != 0 || totals.SubscribersTotal != uint64(2*subscribers*rounds) {
				t.Errorf("%+v", totals)
			}
		})
	}
}

// leaveAfter subscribes, leaves after n events, reads to the end and compares.
func leaveAfter(g *target, name string, n int) {
	t := g.t
	var first, rest []string
	var err error
	if name[:2] == "ss" {
		c := g.sse("client=" + name)
		body := &leaver{r: c.resp.Body, left: n, leave: c.finish}
		c.resp.Body = io.NopCloser(body)
		rest, err = c.ids()
	} else {
		c := g.frames("client=" + name)
		for range n {
			opcode, payload, err := c.next()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if opcode == 1 {
				s, _, _ := client.FindStamp(payload, 0)
				first = append(first, fmt.Sprint(s.Seq))
			}
		}
		if err := c.send(8, "\x03\xe8"); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		rest, _, err = c.ids()
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	got := append(first, rest...)
	sub := g.truthOf(name)
	if want := spread(sub); !slices.Equal(got, want) {
		t.Errorf("%s: got %d events %v, truth says %d: %v", name, len(got), got, len(want), sub.Ranges)
	}
	if len(sub.Ranges) > 1 || len(sub.Unconfirmed) > 0 || int(sub.Sent) != len(got) {
		t.Errorf("%s: %+v", name, sub)
	}
}

// A leaver calls leave after a number of reads.
type leaver struct {
	r     io.Reader
	left  int
	leave func() error
}

func (l *leaver) Read(p []byte) (int, error) {
	if l.left--; l.left == 0 {
		if err := l.leave(); err != nil {
			return 0, err
		}
	}
	return l.r.Read(p[:min(len(p), 256)])
}

func TestCloseIsAnswered(t *testing.T) {
	g := start(t, Options{Rate: 100})
	for _, code := range []int{1000, 1001, 4321} {
		c := g.frames("")
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		if err := c.send(8, string([]byte{byte(code >> 8), byte(code)})); err != nil {
			t.Fatal(err)
		}
		if _, answer, err := c.ids(); answer != code || err != nil {
			t.Errorf("Close %d was answered with %d, %v", code, answer, err)
		}
	}
	g.stop() // the answer comes before the server is done with the connection
	for _, s := range g.srv.hub.report(t.Context(), truthQuery{subscribers: 9}).Subscribers {
		if s.Reason != ReasonClient && s.Reason != ReasonShutdown {
			t.Errorf("%+v", s)
		}
	}
}
