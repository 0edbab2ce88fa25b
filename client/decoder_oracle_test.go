package client

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"
	"pgregory.net/rapid"
)

// reference is the standard's algorithm, written down word for word and all at once: decode the bytes, cut them into
// lines, interpret each. It knows no limit and no chunks.
func reference(stream []byte, from string) (events []string, last string) {
	text := strings.TrimPrefix(decodeWHATWG(stream), "\uFEFF")
	var data, kind, id = "", "", from
	last = from
	retry, own := time.Duration(-1), false
	for {
		end := strings.IndexAny(text, "\r\n")
		if end < 0 {
			return events, last // "any pending data must be discarded"
		}
		line := text[:end]
		if text = text[end:]; strings.HasPrefix(text, "\r\n") {
			text = text[1:]
		}
		text = text[1:]
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			last = id
			e := Event{ID: Cursor(last), OwnID: own, Retry: retry, Type: Hint}
			if data != "" {
				e.Type, e.Kind, e.Data = Message, "message", []byte(strings.TrimSuffix(data, "\n"))
				if kind != "" {
					e.Kind = kind
				}
			}
			if e.Type == Message || own || retry >= 0 {
				events = append(events, show(e))
			}
			data, kind, retry, own = "", "", -1, false
		case line[0] == ':':
			events = append(events, show(Event{Type: Comment, ID: Cursor(last), Data: []byte(line[1:]), Retry: -1}))
		case name == "event":
			kind = value
		case name == "data":
			data += value + "\n"
		case name == "id" && !strings.Contains(value, "\x00"):
			id, own = value, true
		case name == "retry" && value != "" && strings.Trim(value, "0123456789") == "":
			retry = 24 * time.Hour // of anything that has more digits than a day
			if value = strings.TrimLeft(value, "0"); len(value) < 9 {
				ms, _ := strconv.Atoi("0" + value)
				retry = min(retry, time.Duration(ms)*time.Millisecond)
			}
		}
	}
}

// cut splits b where the bytes of how say so.
func cut(b, how []byte) (chunks []string) {
	for _, n := range how {
		n := min(int(n), len(b))
		chunks = append(chunks, string(b[:n]))
		b = b[n:]
	}
	return append(chunks, string(b))
}

// Any bytes, in any chunks, give what the standard's algorithm makes of the whole; and with a limit they give the same
// as unsplit, up to the same error.
func FuzzDecoder(f *testing.F) {
	for _, test := range streams {
		f.Add([]byte(test.in), []byte{1, 2, 3, 0, 5, 1, 1, 1, 1}, uint8(20))
	}
	f.Fuzz(func(t *testing.T, stream, how []byte, limit uint8) {
		chunks := cut(stream, how)
		got, last, err := decode(len(stream)+1, "0", chunks...)
		if want, wantLast := reference(stream, "0"); err != nil || last != wantLast || !slices.Equal(got, want) {
			t.Errorf("fed %q\ngot%s\nwant%s\nlast id %q, want %q; error %v", chunks, lines(got), lines(want), last, wantLast, err)
		}
		got, last, err = decode(int(limit), "0", chunks...)
		whole, wholeLast, wholeErr := decode(int(limit), "0", string(stream))
		if last != wholeLast || !slices.Equal(got, whole) || !errors.Is(err, wholeErr) {
			t.Errorf("limit %d, fed %q\ngot%s\nunsplit%s\nlast id %q and %q; errors %v and %v", limit, chunks, lines(got), lines(whole), last, wholeLast, err, wholeErr)
		}
	})
}

// go-sse is the second opinion on well-formed streams. It is known to differ on an unfinished last block and on a block
// without data (it delivers both), on ill-formed UTF-8 (it leaves it), on comments and retry (it hides them), on a line
// over 64 KB (it fails), and on an id in a block that sets it twice with a NUL; so none of these is generated.
func TestDecoderAgreesWithGoSSE(t *testing.T) {
	line := rapid.StringMatching(`[^\x00\r\n\x{FEFF}\x{FFFD}\x{D800}-\x{DFFF}]{0,12}`)
	name := rapid.SampledFrom([]string{"data", "data", "data", "event", "id", "retry", "", "unknown", "Data", " data"})
	separator := rapid.SampledFrom([]string{":", ": ", ":  ", ""})
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.SampledFrom([]string{"\n", "\r", "\r\n"}).Draw(t, "line end")
		var b strings.Builder
		for range rapid.IntRange(0, 6).Draw(t, "blocks") {
			for range rapid.IntRange(0, 5).Draw(t, "fields") {
				field := name.Draw(t, "name")
				if by := separator.Draw(t, "separator"); by != "" {
					field += by + line.Draw(t, "value")
				}
				if field != "" {
					b.WriteString(field + end)
				}
			}
			b.WriteString("data:" + line.Draw(t, "data") + end + end)
		}
		stream := b.String()
		var want []string
		for e, err := range sse.Read(strings.NewReader(stream), nil) {
			if err != nil {
				t.Fatalf("go-sse: %v", err)
			}
			if e.Type == "" {
				e.Type = "message"
			}
			want = append(want, fmt.Sprintf("%s %q %q", e.Type, e.Data, e.LastEventID))
		}
		how := rapid.SliceOf(rapid.Byte()).Draw(t, "cuts")
		d := NewDecoder(1<<20, nil)
		var got []string
		for _, chunk := range cut([]byte(stream), how) {
			d.Feed([]byte(chunk))
			for {
				e, ok, err := d.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if e.Type == Message {
					got = append(got, fmt.Sprintf("%s %q %q", e.Kind, e.Data, e.ID))
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q\nwe%s\ngo-sse%s", stream, lines(got), lines(want))
		}
	})
}

// steady is a stream with everything that a long-lived one brings again and again.
const steady = ": hb\r\n\r\nevent: tick\nid: 1234567890\ndata: {\"seq\":1,\n" +
	"data: \"text\":\"…\"}\n\nretry: 100\rdata: \xFFx\r\rid: 7\nevent: \xFF\n\ndata: plain\nunknown: 1\n\n"

func TestDecoderAllocatesNothing(t *testing.T) {
	d := NewDecoder(1<<10, nil)
	chunks := [][]byte{[]byte(steady), []byte(steady[:50]), []byte(steady[50:101]), []byte(steady[101:])}
	events := 0
	run := func() {
		for _, chunk := range chunks {
			d.Feed(chunk)
			for {
				_, ok, err := d.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				events++
			}
		}
	}
	run()
	if events != 10 {
		t.Fatalf("%d events in two rounds, want 10", events)
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations for %d events", n, 10)
	}
}

// The work of finding line ends grows with the bytes and not with bytes × lines. It is counted and not timed: before
// each line it is known from the decoder's state which bytes nextLine will look at.
func TestDecoderLooksAtEachByteAFewTimes(t *testing.T) {
	const n = 1 << 14
	random := rand.New(rand.NewPCG(1, 2))
	mixed := make([]byte, n)
	for i := range mixed {
		mixed[i] = "\r\nxx"[random.IntN(4)]
	}
	for name, chunk := range map[string]string{
		"CR only": strings.Repeat("\r", n), "LF only": strings.Repeat("\n", n), "CRLF": strings.Repeat("\r\n", n/2),
		"no end": strings.Repeat("x", n), "CR before one LF": strings.Repeat("x\r", n/2) + "\n",
		"one CR after LFs": strings.Repeat("x\n", n/2) + "\r", "mixed": string(mixed),
	} {
		d := NewDecoder(2*n, nil)
		d.Feed([]byte(chunk))
		looked := 0
		for more := true; more; {
			rest := d.in
			if d.skipLF && len(rest) > 0 && rest[0] == '\n' {
				rest = rest[1:]
			}
			known := d.lfEnd != 0 && d.lfEnd <= len(rest)
			_, _, more = d.nextLine()
			if !known {
				looked += until(rest, '\n')
			}
			before := rest
			if d.lfEnd > 0 {
				before = rest[:len(rest)-d.lfEnd]
			}
			looked += until(before, '\r')
		}
		if looked > 4*n {
			t.Errorf("%s: looked at %d bytes to find the lines of %d", name, looked, n)
		}
	}
}

// until counts the bytes of b up to the first c, or all of them.
func until(b []byte, c byte) int {
	if i := bytes.IndexByte(b, c); i >= 0 {
		return i + 1
	}
	return len(b)
}

func BenchmarkDecoder(b *testing.B) {
	for _, bench := range []struct{ name, stream string }{
		{"small", "id: 1234567890\ndata: {\"seq\":1234567890,\"text\":\"hello\"}\n\n"},
		{"1k", "id: 1234567890\ndata: " + strings.Repeat("x", 1<<10) + "\n\n"},
		{"CRLF", "id: 1234567890\r\ndata: {\"seq\":1234567890,\"text\":\"hello\"}\r\n\r\n"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d := NewDecoder(1<<20, nil)
			chunk := []byte(bench.stream)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				d.Feed(chunk)
				if _, ok, err := d.Next(); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
