package client

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// What a client must make of a server's frames, by the sections of RFC 6455. Each case is sent in one piece, in two cut
// everywhere where it is short, and byte by byte. heard is what the server gets back: a failure must be told with the
// right code (7.1.7, 7.4.1) before the connection is closed.
var frames = []struct {
	name, sent string
	events     []string
	key, words string
	heard      []string
}{
	// 5.2, 5.4 and 5.6: messages.
	{name: "text and binary", sent: frame(wholeText, "hi…") + frame(fin|opBinary, "\x00\xFF") + closing(1000, ""),
		events: []string{`text "hi…"`, `binary "\x00\xff"`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "empty messages", sent: frame(wholeText, "") + frame(fin|opBinary, "") + closing(1000, ""),
		events: []string{`text ""`, `binary ""`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "length of 125", sent: frame(wholeText, strings.Repeat("x", 125)) + closing(1000, ""), events: []string{`text "` + strings.Repeat("x", 125) + `"`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "length of 126", sent: frame(wholeText, strings.Repeat("x", 126)) + closing(1000, ""), events: []string{`text "` + strings.Repeat("x", 126) + `"`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "length of 65535", sent: frame(fin|opBinary, strings.Repeat("x", 65535)) + closing(1000, ""), events: []string{`binary "xxxxxxxxxxxx…65544 bytes`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "length of 65536", sent: frame(wholeText, strings.Repeat("x", 65536)) + closing(1000, ""), events: []string{`text "xxxxxxxxxxxxxx…65543 bytes`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "fragments", sent: frame(opText, "a") + frame(opCont, "b") + frame(fin|opCont, "c") + closing(1000, ""),
		events: []string{`text "abc"`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "empty fragments", sent: frame(opBinary, "") + frame(opCont, "") + frame(opCont, "x") + frame(fin|opCont, "") + closing(1000, ""),
		events: []string{`binary "x"`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "a character over fragments", sent: frame(opText, "\xF0") + frame(opCont, "\x9F\x92") + frame(fin|opCont, "\xA9") + closing(1000, ""),
		events: []string{`text "💩"`}, key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "fragments of a byte", sent: frame(opText, "") + strings.Repeat(frame(opCont, "x"), 2000) + frame(fin|opCont, "") + closing(1000, ""),
		events: []string{`text "xxxxxxxxxxxxxx…2007 bytes`}, key: "close_code 1000", heard: []string{"close 1000"}},

	// 5.5.2 and 5.5.3: ping and pong.
	{name: "ping", sent: frame(fin|opPing, "x") + frame(wholeText, "a") + closing(1000, ""),
		events: []string{`comment ""`, `text "a"`}, key: "close_code 1000", heard: []string{"pong x", "close 1000"}},
	{name: "pings of 0 and 125 bytes", sent: frame(fin|opPing, "") + frame(fin|opPing, strings.Repeat("\xFF", 125)) + closing(1000, ""),
		events: []string{`comment ""`, `comment ""`}, key: "close_code 1000", heard: []string{"pong ", "pong " + strings.Repeat("\xFF", 125), "close 1000"}},
	{name: "ping between fragments", sent: frame(opText, "a") + frame(fin|opPing, "x") + frame(fin|opCont, "b") + closing(1000, ""),
		events: []string{`comment ""`, `text "ab"`}, key: "close_code 1000", heard: []string{"pong x", "close 1000"}},
	{name: "ping within a character", sent: frame(opText, "\xC3") + frame(fin|opPing, "") + frame(fin|opCont, "\xA9") + closing(1000, ""),
		events: []string{`comment ""`, `text "é"`}, key: "close_code 1000", heard: []string{"pong ", "close 1000"}},
	{name: "pong that nobody asked for", sent: frame(fin|opPong, "x") + frame(wholeText, "a") + closing(1000, ""),
		events: []string{`text "a"`}, key: "close_code 1000", heard: []string{"close 1000"}},

	// 5.2: what is reserved.
	{name: "RSV1 without compression", sent: frame(wholeText|rsv1, "a"), key: "protocol", words: "a reserved bit is set in a frame", heard: []string{"close 1002"}},
	{name: "RSV2", sent: frame(wholeText, "a") + frame(wholeText|rsv2, "b"), events: []string{`text "a"`}, key: "protocol", words: "a reserved bit is set in a frame", heard: []string{"close 1002"}},
	{name: "RSV3 on a ping", sent: frame(fin|opPing|rsv3, "b"), key: "protocol", words: "a reserved bit is set in a frame", heard: []string{"close 1002"}},
	{name: "opcode 3", sent: frame(fin|3, "a"), key: "protocol", words: "a frame has the reserved opcode 3", heard: []string{"close 1002"}},
	{name: "opcode 7 between fragments", sent: frame(opText, "a") + frame(fin|7, ""), key: "protocol", words: "a frame has the reserved opcode 7", heard: []string{"close 1002"}},
	{name: "opcode 11", sent: frame(fin|11, "a"), key: "protocol", words: "a frame has the reserved opcode 11", heard: []string{"close 1002"}},
	{name: "opcode 15", sent: frame(fin|15, ""), key: "protocol", words: "a frame has the reserved opcode 15", heard: []string{"close 1002"}},
	{name: "a length with its top bit set", sent: "\x82\x7F\x80\x00\x00\x00\x00\x00\x00\x01x", key: "protocol", words: "a frame's length is not encoded as it must be", heard: []string{"close 1002"}},
	{name: "a length not in its shortest form, 16 bits", sent: "\x81\x7E\x00\x01a", key: "protocol", words: "a frame's length is not encoded as it must be", heard: []string{"close 1002"}},
	{name: "a length not in its shortest form, 64 bits", sent: "\x81\x7F\x00\x00\x00\x00\x00\x00\x00\x01a", key: "protocol", words: "a frame's length is not encoded as it must be", heard: []string{"close 1002"}},

	// 5.1: "A server MUST NOT mask any frames".
	{name: "a masked message", sent: frame(wholeText, "a") + masked(wholeText, "b"), events: []string{`text "a"`}, key: "protocol", words: "a frame is masked, which only a client's may be", heard: []string{"close 1002"}},
	{name: "a masked ping", sent: masked(fin|opPing, "b"), key: "protocol", words: "a frame is masked, which only a client's may be", heard: []string{"close 1002"}},

	// 5.4 and 5.5: fragments and control frames.
	{name: "a continuation of nothing", sent: frame(fin|opCont, "a"), key: "protocol", words: "a message begins with a continuation", heard: []string{"close 1002"}},
	{name: "a continuation after the last", sent: frame(opText, "a") + frame(fin|opCont, "b") + frame(fin|opCont, "c"),
		events: []string{`text "ab"`}, key: "protocol", words: "a message begins with a continuation", heard: []string{"close 1002"}},
	{name: "a message within a message", sent: frame(opText, "a") + frame(wholeText, "b"), key: "protocol", words: "a message begins within a message", heard: []string{"close 1002"}},
	{name: "a fragmented ping", sent: frame(opPing, "a") + frame(fin|opCont, "b"), key: "protocol", words: "a control frame is fragmented", heard: []string{"close 1002"}},
	{name: "a fragmented Close", sent: frame(opClose, "\x03\xE8"), key: "protocol", words: "a control frame is fragmented", heard: []string{"close 1002"}},
	{name: "a ping of 126 bytes", sent: frame(fin|opPing, strings.Repeat("x", 126)), key: "protocol", words: "a control frame has a payload of 126 bytes", heard: []string{"close 1002"}},
	{name: "a Close of 126 bytes", sent: closing(1000, strings.Repeat("x", 124)), key: "protocol", words: "a control frame has a payload of 126 bytes", heard: []string{"close 1002"}},

	// 8.1: UTF-8.
	{name: "ill-formed text", sent: frame(wholeText, "a") + frame(wholeText, "b\xFFc"), events: []string{`text "a"`}, key: "protocol", words: "a text message is not valid UTF-8", heard: []string{"close 1007"}},
	{name: "text cut in a character", sent: frame(wholeText, "a\xE2\x82"), key: "protocol", words: "a text message is not valid UTF-8", heard: []string{"close 1007"}},
	{name: "a surrogate", sent: frame(wholeText, "\xED\xA0\x80"), key: "protocol", words: "a text message is not valid UTF-8", heard: []string{"close 1007"}},
	{name: "ill-formed in the first fragment", sent: frame(opText, "\xFF") + frame(opCont, "x"), key: "protocol", words: "a text message is not valid UTF-8", heard: []string{"close 1007"}},
	{name: "ill-formed over fragments", sent: frame(opText, "\xF4") + frame(opCont, "\x90") + frame(opCont, "x"), key: "protocol", words: "a text message is not valid UTF-8", heard: []string{"close 1007"}},
	{name: "ill-formed binary is fine", sent: frame(fin|opBinary, "\xFF") + frame(wholeText, "a") + closing(1000, ""),
		events: []string{`binary "\xff"`, `text "a"`}, key: "close_code 1000", heard: []string{"close 1000"}},

	// 5.5.1, 7.1.5 and 7.4: Close.
	{name: "Close with a reason", sent: closing(1001, "so  long\n…") + frame(wholeText, "ignored"), key: "close_code 1001", words: "closed with code 1001: so long …", heard: []string{"close 1001"}},
	{name: "Close without a code", sent: frame(fin|opClose, ""), key: "close_code 1005", words: "closed with code 1005", heard: []string{"close"}},
	{name: "Close with the longest reason", sent: closing(4000, strings.Repeat("x", 123)), key: "close_code 4000", words: "closed with code 4000: " + strings.Repeat("x", 123), heard: []string{"close 4000"}},
	{name: "Close within a message", sent: frame(opText, "a") + closing(1000, ""), key: "close_code 1000", heard: []string{"close 1000"}},
	{name: "Close of one byte", sent: frame(fin|opClose, "\x03"), key: "protocol", words: "a Close frame has half a status code", heard: []string{"close 1002"}},
	{name: "Close with an ill-formed reason", sent: closing(1000, "\xFF"), key: "protocol", words: "the reason in a Close frame is not valid UTF-8", heard: []string{"close 1007"}},
	{name: "Close with a reason cut in a character", sent: closing(1000, "a\xE2\x82"), key: "protocol", words: "the reason in a Close frame is not valid UTF-8", heard: []string{"close 1007"}},

	// 7.1.7: no Close at all.
	{name: "EOF", sent: frame(wholeText, "a"), events: []string{`text "a"`}, key: "eof", words: "the stream ended: without a Close frame"},
	{name: "EOF in a message", sent: frame(wholeText, "a") + frame(opText, "b"), events: []string{`text "a"`}, key: "eof", words: "the stream ended: without a Close frame"},
	{name: "EOF in the last frame of a message", sent: frame(opText, "a") + frame(fin|opCont, "bc")[:3], key: "eof", words: "the stream ended: without a Close frame"},
	{name: "EOF in a frame", sent: frame(wholeText, "abc")[:4], key: "eof", words: "the stream ended: without a Close frame"},
	{name: "EOF in a frame's head", sent: "\x81", key: "eof", words: "the stream ended: without a Close frame"},
}

func TestWebSocketConformance(t *testing.T) {
	for _, test := range frames {
		play := func(t *testing.T, over string) {
			for _, pieces := range piecewise(test.sent) {
				heard := make(chan []string, 1)
				script := func(p *peer) {
					if !p.upgrade("") {
						return
					}
					written := make(chan bool) // a pipe doesn't buffer: read while writing
					go func() {
						defer close(written)
						for _, piece := range pieces {
							p.write(piece)
						}
						if test.key == "eof" {
							p.Close()
						}
					}()
					heard <- p.hear()
					p.Close()
					<-written
				}
				n, addr, read := pipe(t, &Net{}, script), "127.0.0.1", way(Stream.Events)
				if over == "TCP" { // where it can be pushed, and pieces may come together
					n, addr, read = &Net{}, serve(t, nil, script), pushed
				}
				events, err := read.collect(dial(t, &WebSocket{Net: n, Request: Request{URL: "ws://" + addr}}, ""))
				if events = abridge(events); !slices.Equal(events, test.events) {
					t.Errorf("in %d pieces: events%s\nwant%s", len(pieces), lines(events), lines(test.events))
				}
				key, words := explain(err)
				if key != test.key || !strings.HasSuffix(words, test.words) || strings.Contains(words, "\n") {
					t.Errorf("in %d pieces: %s: %s; want %s: %s", len(pieces), key, words, test.key, test.words)
				}
				if clean := test.key == "close_code 1000"; clean != (Classify(err).Err == io.EOF) {
					t.Errorf("a clean end: %v, error %v", clean, err)
				}
				if got := <-heard; !slices.Equal(got, test.heard) {
					t.Errorf("in %d pieces: the server heard%s\nwant%s", len(pieces), lines(got), lines(test.heard))
				}
				if t.Failed() {
					return
				}
			}
		}
		for _, over := range []string{"a pipe", "TCP"} {
			t.Run(test.name+", over "+over, func(t *testing.T) { play(t, over) })
		}
	}
}

// piecewise gives a stream whole, byte by byte unless that takes long, and cut once at each place where it is short.
func piecewise(s string) [][]string {
	all := [][]string{{s}}
	if len(s) < 300 {
		bytewise := make([]string, len(s))
		for i := range bytewise {
			bytewise[i] = s[i : i+1]
		}
		all = append(all, bytewise)
	}
	for i := 1; i < len(s) && len(s) < 20; i++ {
		all = append(all, []string{s[:i], s[i:]})
	}
	return all
}

// The codes that may come in a Close frame, and those that may not (RFC 6455, 7.4, and the IANA registry).
func TestWebSocketCloseCodes(t *testing.T) {
	check := func(code uint16, allowed bool) {
		heard := make(chan []string, 1)
		n := pipe(t, &Net{}, func(p *peer) {
			if p.upgrade("") && p.write(closing(code, "")) {
				heard <- p.hear()
			}
		})
		_, err := collect(dial(t, &WebSocket{Net: n, Request: Request{URL: "ws://127.0.0.1/"}}, ""))
		got, e := <-heard, Classify(err)
		want := "close 1002"
		if allowed {
			want = describe(fin|opClose, closing(code, "")[2:])
		}
		if allowed != (e.Class == ClassCloseCode && e.Code == int(code)) || !allowed && e.Class != ClassProtocol || !slices.Equal(got, []string{want}) {
			t.Errorf("%d: %v, and the server heard %q", code, err, got)
		}
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		check(code, true)
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		check(code, false)
	}
}
