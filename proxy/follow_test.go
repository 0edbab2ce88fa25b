package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rtbench/rtbench/client"
)

// cutting cuts b into pieces whose lengths follow from the seed.
func cutting(b []byte, seed uint64) (pieces [][]byte) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for len(b) > 0 {
		n := min(len(b), 1+rng.IntN(1+rng.IntN(40)))
		pieces = append(pieces, b[:n])
		b = b[n:]
	}
	return pieces
}

// ends gives the offsets behind the events that a follower finds in the pieces.
func ends(t testing.TB, r *responses, pieces [][]byte) (list []int) {
	t.Helper()
	at := 0
	for _, p := range pieces {
		for len(p) > 0 {
			x := r.next(p)
			if x.n <= 0 || x.n > len(p) || x.event && (x.start < 0 || x.start >= x.end || x.end > x.n) {
				t.Fatalf("%d bytes: %+v", len(p), x)
			}
			at += x.n
			if x.event {
				list = append(list, at)
			}
			p = p[x.n:]
		}
	}
	return list
}

func following(requests ...asked) *responses {
	d := &dialogue{}
	for _, a := range requests {
		d.ask(a)
	}
	return &responses{dialogue: d}
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"

func chunked(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%x;ext=1\r\n%s\r\n", len(p), p)
	}
	return b.String()
}

func TestResponses(t *testing.T) {
	get, head := asked{method: "GET"}, asked{method: "HEAD"}
	frame := "\x81\x02hi"
	long := "\x82\x7e\x01\x00" + strings.Repeat("x", 256)
	for name, test := range map[string]struct {
		asked  []asked
		text   string // a | behind every event
		blinds bool
	}{
		"until the end":     {[]asked{get}, streamHead + "\r\ndata: 1\n\n|id: 5\n\n: hb\n\nretry: 5\ndata: 2\r\n\r\n|data\n\n|datax: 3\n\nda\n\n", false},
		"CR":                {[]asked{get}, streamHead + "\r\ndata: 1\r\r|data: 2\r\r|", false},
		"byte order mark":   {[]asked{get}, streamHead + "\r\n\xEF\xBB\xBFdata: 1\n\n|", false},
		"half a mark":       {[]asked{get}, streamHead + "\r\n\xEF\xBBdata: 1\n\n", false},
		"chunks":            {[]asked{get}, streamHead + "Transfer-Encoding: gzip, Chunked\r\n\r\n" + chunked("data: 1\n\n") + "|" + chunked("dat", "a:", " 2\n") + chunked("\n") + "|" + "0\r\nX: y\r\n\r\n", false},
		"chunks, then more": {[]asked{get, get}, streamHead + "Transfer-Encoding: chunked\n\n3\nda\n\n0\n\n\r\n" + streamHead + "Content-Length: 9\r\n\r\ndata: 2\n\n|", false},
		"a length, twice":   {[]asked{get, get}, streamHead + "Content-Length: 9\r\n\r\ndata: 1\n\n|" + streamHead + "Content-Length: 18\r\n\r\ndata: 2\n\n|data: 3\n\n|", false},
		"a page":            {[]asked{get, get}, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\ndata: 1\n\n" + streamHead + "\r\ndata: 2\n\n|", false},
		"interim":           {[]asked{get}, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + streamHead + "\r\ndata: 2\n\n|", false},
		"HEAD":              {[]asked{head, get}, streamHead + "Content-Length: 9\r\n\r\n" + streamHead + "\r\ndata: 2\n\n|", false},
		"204":               {[]asked{get, get}, "HTTP/1.1 204 No Content\r\n\r\n" + streamHead + "\r\ndata: 2\n\n|", false},
		"frames": {[]asked{{"GET", true}}, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n" + frame + "|\x89\x00\xc1\x01z|" +
			"\x01\x01a\x89\x01p\x80\x00|" + long + "|\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01y|\x81\x00|\x88\x00", false},
		"gzip":        {[]asked{get}, streamHead + "Content-Encoding: gzip\r\n\r\ndata: 1\n\n", true},
		"HTTP/2":      {nil, "\x00\x00\x12\x04\x00", true},
		"h2c":         {[]asked{{"GET", true}}, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\ndata: 1\n\n", true},
		"no size":     {[]asked{get}, streamHead + "Transfer-Encoding: chunked\r\n\r\nxyz\r\ndata: 1\n\n", true},
		"a bad frame": {[]asked{{"GET", true}}, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n\x82\x7f\xff\x00\x00\x00\x00\x00\x00\x01y", true},
		"a long head": {[]asked{get}, "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", maxHead) + "\r\n\r\n", true},
		"a tunnel":    {[]asked{{method: "CONNECT"}}, "HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n", true},
	} {
		var want []int
		text := ""
		for i, part := range strings.Split(test.text, "|") {
			if i > 0 {
				want = append(want, len(text))
			}
			text += part
		}
		r := following(test.asked...)
		if got := ends(t, r, [][]byte{[]byte(text)}); fmt.Sprint(got) != fmt.Sprint(want) || (r.blind != nil) != test.blinds {
			t.Errorf("%s: %v, want %v; %v", name, got, want, r.blind)
		}
		for seed := range uint64(20) {
			r := following(test.asked...)
			if got := ends(t, r, cutting([]byte(text), seed)); len(got) != len(want) || (r.blind != nil) != test.blinds {
				t.Errorf("%s: in pieces (%d): %v, want %v; %v", name, seed, got, want, r.blind)
			}
		}
	}
}

// The client's own decoder finds as many events, whatever the pieces; none of them is complete before its end.
func FuzzBlocks(f *testing.F) {
	for _, s := range []string{"data: 1\n\n", ":c\r\n\r\ndata\rdata:2\r\r", "\xEF\xBB\xBFdata: x\n\nid: 1\n\n", "data:\n\ndata :\n\n\r\n\ndata: \x00\n\n"} {
		f.Add([]byte(s), uint64(1), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, seed uint64, inChunks bool) {
		if len(body) > 1<<16 {
			return
		}
		d := client.NewDecoder(1<<20, nil)
		want := 0
		d.Feed(body)
		for {
			ev, ok, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if ev.Type == client.Message {
				want++
			}
		}
		text := []byte(streamHead + "\r\n")
		if inChunks {
			text = []byte(streamHead + "Transfer-Encoding: chunked\r\n\r\n")
			for _, p := range cutting(body, seed+1) {
				text = append(text, chunked(string(p))...)
			}
		} else {
			text = append(text, body...)
		}
		got := ends(t, following(asked{method: "GET"}), cutting(text, seed))
		if len(got) != want {
			t.Errorf("%d events, want %d", len(got), want)
		}
		if all := ends(t, following(asked{method: "GET"}), [][]byte{text}); len(all) != want {
			t.Errorf("%d events in one piece, want %d", len(all), want)
		}
	})
}

// Whatever comes, a follower takes it all, and one in pieces finds what one finds that has it at once.
func FuzzResponses(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), uint64(1))
	f.Add([]byte("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n\x81\x02hi\x82\x7e\x00\x02xx"), uint64(2))
	f.Add([]byte(streamHead+"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n"), uint64(3))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if len(text) > 1<<16 {
			return
		}
		whole := ends(t, following(), [][]byte{text})
		pieces := ends(t, following(), cutting(text, seed))
		if len(whole) != len(pieces) {
			t.Errorf("%v in one piece, %v in many", whole, pieces)
		}
	})
}

// Frames are found by their own lengths.
func TestFramesOfAllLengths(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 100_000} {
		for _, masked := range []byte{0, 0x80} {
			var b []byte
			switch {
			case n < 126:
				b = []byte{0x82, byte(n) | masked}
			case n < 1<<16:
				b = binary.BigEndian.AppendUint16([]byte{0x82, 126 | masked}, uint16(n))
			default:
				b = binary.BigEndian.AppendUint64([]byte{0x82, 127 | masked}, uint64(n))
			}
			if masked != 0 {
				b = append(b, 1, 2, 3, 4)
			}
			b = append(b, make([]byte, n)...)
			var f frames
			got, start, event, err := f.next(append(bytes.Clone(b), 0x81))
			if got != len(b) || start != 0 || !event || err != nil {
				t.Errorf("%d, masked %x: %d of %d, %d, %v, %v", n, masked, got, len(b), start, event, err)
			}
		}
	}
}

func TestRequests(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"one":        {"GET /x HTTP/1.1\r\nHost: localhost:1\r\nA: b\r\n\r\n", "GET /x HTTP/1.1\r\nHost: example.com\r\nA: b\r\n\r\n"},
		"spaces":     {"GET / HTTP/1.0\nhOST:\tlocalhost \n\n", "GET / HTTP/1.0\nhOST:\texample.com\n\n"},
		"no host":    {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"},
		"two":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9\r\n\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		"chunks":     {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nHost\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nHost\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		"an upgrade": {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"HTTP/2":     {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		"TLS":        {"\x16\x03\x01Host: a\n\n", "\x16\x03\x01Host: a\n\n"},
		"half":       {"GET / HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: a"},
		"too long":   {"GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", maxHead) + "\r\n\r\n", "GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", maxHead) + "\r\n\r\n"},
	} {
		for seed := range uint64(20) {
			r := &requests{dialogue: &dialogue{}, host: "example.com"}
			var got []byte
			for _, p := range cutting([]byte(test.in), seed) {
				got = append(got, r.take(p)...)
			}
			if got = append(got, r.rest()...); string(got) != test.want {
				t.Errorf("%s: %.200q", name, got)
				break
			}
		}
	}
}

// Once an upgrade was refused, there are requests again; once it was done, there are none.
func TestRequestsAfterAnUpgrade(t *testing.T) {
	d := &dialogue{}
	r := &requests{dialogue: d, host: "b"}
	answers := &responses{dialogue: d}
	upgrade := "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"
	r.take([]byte(upgrade))
	answers.next([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
	if got := string(r.take([]byte(upgrade))); got != strings.Replace(upgrade, "a", "b", 1) {
		t.Errorf("after a refusal: %q", got)
	}
	answers.next([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"))
	if got := string(r.take([]byte(upgrade))); got != upgrade {
		t.Errorf("after the upgrade: %q", got)
	}
}

// Bytes pass as they are, whatever they are, where no name is put into them.
func FuzzRequests(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), uint64(1))
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"), uint64(1))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		plain := &requests{dialogue: &dialogue{}}
		named := &requests{dialogue: &dialogue{}, host: "a"}
		var got, other []byte
		for _, p := range cutting(text, seed) {
			got, other = append(got, plain.take(p)...), append(other, named.take(p)...)
		}
		if !bytes.Equal(got, text) {
			t.Errorf("%q became %q", text, got)
		}
		if other = append(other, named.rest()...); bytes.Count(other, []byte("\n")) != bytes.Count(text, []byte("\n")) {
			t.Errorf("%q became %q", text, other)
		}
	})
}
