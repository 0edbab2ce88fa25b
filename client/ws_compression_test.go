package client

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// deflate compresses a message as RFC 7692, 7.2.1 says: a raw deflate stream without the end of its last empty block.
func deflate(t testing.TB, message string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

const deflated = rsv1 | wholeText

// Without context takeover every message stands for itself, so a test can write them one by one.
const noTakeover = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"

func TestWebSocketCompressedFrames(t *testing.T) {
	hello := deflate(t, "hello, hello, hello")
	bomb := deflate(t, strings.Repeat("\x00", 8<<20))
	for _, test := range []struct {
		name, sent string
		events     []string
		key        string
		heard      []string
	}{
		{"a message", frame(deflated, hello) + closing(1000, ""), []string{`text "hello, hello, hello"`}, "close_code 1000", []string{"close 1000"}},
		{"in fragments", frame(rsv1|opText, hello[:3]) + frame(fin|opPing, "") + frame(opCont, hello[3:4]) + frame(fin|opCont, hello[4:]) + closing(1000, ""),
			[]string{`comment ""`, `text "hello, hello, hello"`}, "close_code 1000", []string{"pong ", "close 1000"}},
		{"some are not compressed", frame(wholeText, "plain") + frame(deflated, hello) + frame(wholeText, "plain") + closing(1000, ""),
			[]string{`text "plain"`, `text "hello, hello, hello"`, `text "plain"`}, "close_code 1000", []string{"close 1000"}},
		{"empty", frame(deflated, "\x00") + closing(1000, ""), []string{`text ""`}, "close_code 1000", []string{"close 1000"}},
		{"binary", frame(rsv1|fin|opBinary, deflate(t, "\xFF\x00")) + closing(1000, ""), []string{`binary "\xff\x00"`}, "close_code 1000", []string{"close 1000"}},
		{"of the limit", frame(deflated, deflate(t, strings.Repeat("x", 1000))) + closing(1000, ""), []string{`text "` + strings.Repeat("x", 1000) + `"`}, "close_code 1000", []string{"close 1000"}},
		{"over the limit", frame(deflated, deflate(t, strings.Repeat("x", 1001))), nil, "too_big", []string{"close 1009"}},
		{"a bomb", frame(deflated, bomb), nil, "too_big", []string{"close 1009"}},
		{"ill-formed text", frame(deflated, deflate(t, "a\xFFb")), nil, "protocol", []string{"close 1007"}},
		{"no deflate stream", frame(wholeText, "a") + frame(deflated, "\xFF\xFF\xFF\xFF"), []string{`text "a"`}, "protocol", []string{"close 1002"}},
		{"RSV1 on a continuation", frame(rsv1|opText, hello[:3]) + frame(rsv1|fin|opCont, hello[3:]), nil, "protocol", []string{"close 1002"}},
		{"RSV1 on a ping", frame(rsv1|fin|opPing, ""), nil, "protocol", []string{"close 1002"}},
		{"EOF in a message", frame(deflated, hello)[:8], nil, "eof", nil},
		{"EOF between fragments", frame(rsv1|opText, hello[:5]), nil, "eof", nil},
	} {
		eachWay(t, test.name, func(t *testing.T, read way) {
			heard := make(chan []string, 1)
			addr := serve(t, nil, func(p *peer) {
				if p.upgrade(noTakeover) && p.write(test.sent) {
					if test.key == "eof" {
						p.CloseWrite()
					}
					heard <- p.hear()
				}
			})
			s := dial(t, &WebSocket{Net: &Net{MaxEvent: 1000}, Request: Request{URL: "ws://" + addr}, Compression: true}, "")
			got, err := read.collect(s)
			if key, words := explain(err); !slices.Equal(got, test.events) || key != test.key || strings.Contains(words, "\n") {
				t.Errorf("got%s\n%s: %s; want%s\n%s", lines(got), key, words, lines(test.events), test.key)
			}
			if got := <-heard; !slices.Equal(got, test.heard) {
				t.Errorf("the server heard %q, want %q", got, test.heard)
			}
			if held := cap(s.(*wsStream).buf); held > 4000 {
				t.Errorf("it holds %d bytes", held)
			}
		})
	}
}

// Many messages of all sizes with a server that keeps its window over them, and back.
func TestWebSocketCompressionTakesOver(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		random := rand.New(rand.NewPCG(3, 4))
		words := strings.Fields("data event stream socket message frame text time id seq hello world")
		var want []string
		for i := range 300 {
			var b strings.Builder
			for range random.IntN(200) {
				fmt.Fprintf(&b, "%s%d ", words[random.IntN(len(words))], i)
			}
			want = append(want, b.String())
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
			if err != nil {
				return
			}
			defer c.CloseNow()
			for range want { // an echo
				typ, p, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), typ, p) != nil {
					return
				}
			}
			c.Close(websocket.StatusNormalClosure, "")
		}))
		defer server.Close()
		s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: server.URL}, Compression: true}, "")
		defer s.Close()
		events := read(s) // before anything is sent
		failed := make(chan error, 1)
		go func() {
			for _, message := range want {
				if err := s.(Sender).Send(context.Background(), []byte(message)); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
		var got []string
		size := 0
		for ev, err := range events {
			if err != nil {
				if Classify(err).Code != 1000 {
					t.Error(err)
				}
				break
			}
			got = append(got, string(ev.Data))
			size += len(ev.Data)
		}
		if err := <-failed; err != nil || !slices.Equal(got, want) {
			t.Errorf("%d messages of %d came back; %v", len(got), len(want), err)
		}
		if info := s.Info(); info.WireIn-info.HeadIn > uint64(size)*2/3 {
			t.Errorf("%d bytes on the wire for %d: nothing was compressed", info.WireIn-info.HeadIn, size)
		}
	})
}

// A server that doesn't compress is taken as it is.
func TestWebSocketCompressionRefused(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		addr := serveWS(t, func(p *peer) {
			if !strings.Contains(p.request.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
				p.write(closing(4000, "not offered"))
			}
			p.write(frame(wholeText, "a") + frame(rsv1|wholeText, "b"))
			p.hear()
		})
		got, err := read.collect(dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}, Compression: true}, ""))
		if e := Classify(err); !slices.Equal(got, []string{`text "a"`}) || e.Class != ClassProtocol || errors.Is(err, ErrTooBig) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// What a server may agree to (RFC 7692, 7.1), and what not.
func TestAcceptDeflate(t *testing.T) {
	for extension, takeover := range map[string]bool{
		"permessage-deflate":                                                       true,
		"permessage-deflate; server_no_context_takeover":                           false,
		"permessage-deflate;client_no_context_takeover ; server_max_window_bits=8": true,
		`permessage-deflate; server_max_window_bits="15"`:                          true,
		"permessage-deflate; server_max_window_bits = 10":                          true,
	} {
		if i, err := acceptDeflate(extension); err != nil || i.takeover != takeover {
			t.Errorf("%s: %+v, %v", extension, i, err)
		}
	}
	for _, extension := range []string{
		"x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=7",
		"permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=010", "permessage-deflate; server_max_window_bits=+10", "permessage-deflate; client_max_window_bits=15", "permessage-deflate; server_no_context_takeover=1",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover", "permessage-deflate; other",
	} {
		if _, err := acceptDeflate(extension); err == nil {
			t.Errorf("%s is accepted", extension)
		}
	}
}
