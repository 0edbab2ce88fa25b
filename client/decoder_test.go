package client

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// decode feeds the chunks to a new decoder. Each chunk is handed over in a buffer that is overwritten as soon as
// Next allows it, and each event is shown before the next call, so that nothing kept too long goes unnoticed.
func decode(max int, from string, chunks ...string) (events []string, lastID string, err error) {
	d := NewDecoder(max, Cursor(from))
	var buf []byte
	for _, chunk := range chunks {
		buf = append(buf[:0], chunk...)
		d.Feed(buf)
		for {
			ev, ok, err := d.Next()
			if err != nil {
				return events, string(d.LastID()), err
			}
			if !ok {
				break
			}
			events = append(events, show(ev))
		}
		for i := range buf {
			buf[i] = '#'
		}
	}
	return events, string(d.LastID()), nil
}

// splits gives stream in one piece, byte by byte, and cut at every place; twice where that isn't too much.
func splits(stream string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		if !yield([]string{stream}) || !yield(strings.Split(stream, "")) {
			return
		}
		bytewise := make([]string, len(stream))
		for i := range bytewise {
			bytewise[i] = stream[i : i+1]
		}
		if !yield(bytewise) {
			return
		}
		for i := range len(stream) + 1 {
			if !yield([]string{stream[:i], stream[i:]}) {
				return
			}
			for k := i; k <= len(stream) && len(stream) < 80; k++ {
				if !yield([]string{stream[:i], stream[i:k], stream[k:]}) {
					return
				}
			}
		}
	}
}

var long = strings.Repeat("x", 2<<10)

// The cases of the HTML standard, 9.2.5 and 9.2.6, with its own examples, and those that the web platform tests call
// format-*. from is the last event id the stream is opened with, last the one it leaves.
var streams = []struct {
	name, from, in string
	want           []string
	last           string
}{
	// The standard's examples.
	{name: "example: stock ticker", in: "data: YHOO\ndata: +2\ndata: 10\n\n", want: []string{`message "YHOO\n+2\n10"`}},
	{name: "example: id set, reset, leading space kept", last: "",
		in:   ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
		want: []string{`comment " test stream"`, `message "first event" id="1"`, `message "second event" id=""`}},
	{name: "example: blocks of empty data", in: "data\n\ndata\ndata\n\ndata:", want: []string{`message ""`, `message "\n"`}},
	{name: "example: one space is removed", in: "data:test\n\ndata: test\n\n", want: []string{`message "test"`, `message "test"`}},

	// Byte order marks.
	{name: "one BOM is dropped", in: "\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3\n\n", want: []string{`message "1"`, `message "3"`}},
	{name: "the second BOM is a field's name", in: "\uFEFF\uFEFFdata:1\n\ndata:2\n\ndata:3\n\n", want: []string{`message "2"`, `message "3"`}},
	{name: "BOM, then a line end", in: "\uFEFF\r\ndata:1\r\n\r\n", want: []string{`message "1"`}},
	{name: "a part of a BOM is part of the line", in: "\xEF\xBBdata:1\n\xEF\ndata:2\n\n", want: []string{`message "2"`}},
	{name: "a part of a BOM, in a comment and at the end", in: ":\xEF\xBB\xBFx\n\xEF\xBB", want: []string{`comment "\ufeffx"`}},
	{name: "no BOM but its last bytes", in: "\xBB\xBFdata:1\ndata:2\n\n", want: []string{`message "2"`}},

	// Line ends.
	{name: "LF", in: "data:1\ndata:2\n\ndata:3\n\n", want: []string{`message "1\n2"`, `message "3"`}},
	{name: "CR", in: "data:1\rdata:2\r\rdata:3\r\r", want: []string{`message "1\n2"`, `message "3"`}},
	{name: "CRLF", in: "data:1\r\ndata:2\r\n\r\ndata:3\r\n\r\n", want: []string{`message "1\n2"`, `message "3"`}},
	{name: "mixed", in: "data:test\r\ndata\ndata:test\r\n\r", want: []string{`message "test\n\ntest"`}},
	{name: "CR LF LF is two ends, LF CR too", in: "data:1\r\n\ndata:2\n\rdata:3\r\r\n", want: []string{`message "1"`, `message "2"`, `message "3"`}},
	{name: "CR CR LF LF is three", in: "data:1\r\r\n\ndata:2\n\n", want: []string{`message "1"`, `message "2"`}},
	{name: "only line ends", in: "\n\r\n\r\r\n\n", want: nil},
	{name: "form feed, NEL and U+2028 end no line", in: "data:a\fb\u0085c\u2028d\ve\n\n", want: []string{`message "a\fb\u0085c\u2028d\ve"`}},

	// Fields.
	{name: "field parsing", in: "data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
		want: []string{`message "\x00\n 2\n1\n3\n\n4"`}},
	{name: "field data", in: "data:\n\ndata\ndata\n\ndata:test\n\n", want: []string{`message ""`, `message "\n"`, `message "test"`}},
	{name: "leading space: only one, and no tab", in: "data:\ttest\rdata: \ndata:  x\ndata:test \n\n", want: []string{`message "\ttest\n\n x\ntest "`}},
	{name: "field names are case-sensitive", in: "DATA:1\nData:2\nEvent:x\nID:3\nRetry:4\ndata:5\n\n", want: []string{`message "5"`}},
	{name: "a space before the name or the colon makes another name", in: " data:1\ndata :2\ndata:3\n\n", want: []string{`message "3"`}},
	{name: "colons in the value", in: "data::1:2: \n\n", want: []string{`message ":1:2: "`}},
	{name: "unknown fields", in: "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
		want: []string{`comment "thisisacommentyay"`, `message "test\n\ntest"`}},
	{name: "null bytes", in: "data:\x00\n\n\n\n\x00\ndata\x00\n\n", want: []string{`message "\x00"`}},
	{name: "JSON over lines", in: "data: {\ndata:   \"a\": 1\ndata: }\n\n", want: []string{`message "{\n  \"a\": 1\n}"`}},

	// Comments.
	{name: "comments", in: "data:1\r:\x00\n:\r\ndata:2\n:" + long + "\rdata:3\n:data:fail\r:" + long + "\ndata:4\n\n",
		want: []string{`comment "\x00"`, `comment ""`, `comment "` + long + `"`, `comment "data:fail"`, `comment "` + long + `"`, `message "1\n2\n3\n4"`}},
	{name: "a comment keeps its space", in: ": hi \n\n", want: []string{`comment " hi "`}},
	{name: "a comment shows the id of the blocks before", from: "6", in: "id:7\n:x\n\n:y\n\n", last: "7",
		want: []string{`comment "x" @"6"`, `hint id="7"`, `comment "y" @"7"`}},

	// Event names.
	{name: "event name, reset per block", in: "event:test\ndata:x\n\ndata:x\n\n", want: []string{`test "x"`, `message "x"`}},
	{name: "empty event name", in: "event: \ndata:data\n\nevent\ndata:1\n\n", want: []string{`message "data"`, `message "1"`}},
	{name: "the last event name counts", in: "event:a\nevent:b\ndata:1\n\nevent:a\nevent\ndata:2\n\n", want: []string{`b "1"`, `message "2"`}},
	{name: "event name with spaces and colon", in: "event:  a: b\ndata:1\n\n", want: []string{` a: b "1"`}},
	{name: "a name without data isn't dispatched, nor carried on", in: "event:a\n\ndata:1\n\n", want: []string{`message "1"`}},

	// Ids.
	{name: "id persists", in: "id:1\ndata:1\n\ndata:2\n\nid:2\ndata:3\n\ndata:4\n\n", last: "2",
		want: []string{`message "1" id="1"`, `message "2" @"1"`, `message "3" id="2"`, `message "4" @"2"`}},
	{name: "id without a value resets", in: "id:1\ndata:1\n\nid:\ndata:2\n\nid:3\ndata:3\n\nid\ndata:4\n\n", last: "",
		want: []string{`message "1" id="1"`, `message "2" id=""`, `message "3" id="3"`, `message "4" id=""`}},
	{name: "id with NUL is ignored", from: "5", in: "id:1\x002\ndata:1\n\nid:\x00\ndata:2\n\n", last: "5", want: []string{`message "1" @"5"`, `message "2" @"5"`}},
	{name: "the last id of a block counts", in: "id:1\nid:2\nid:3\x00\ndata:1\n\n", last: "2", want: []string{`message "1" id="2"`}},
	{name: "a block of an id alone moves the position", in: "id:1\n\n", last: "1", want: []string{`hint id="1"`}},
	{name: "an unfinished block moves nothing", in: "id:1\ndata:1\n\nid:2\ndata:2\n", last: "1", want: []string{`message "1" id="1"`}},
	{name: "nor does one with its line end alone missing", from: "0", in: "id:2\ndata:2", last: "0", want: nil},
	{name: "data before the final empty line", in: "retry:1000\ndata:test1\n\nid:test\ndata:test2", last: "", want: []string{`message "test1" retry=1s`}},
	{name: "id in UTF-8, with spaces", in: "id: …  \ndata:1\n\n", last: "…  ", want: []string{`message "1" id="…  "`}},
	{name: "ill-formed id", in: "id:\xFFa\ndata:1\n\ndata:2\n\n", last: "\uFFFDa", want: []string{"message \"1\" id=\"\uFFFDa\"", "message \"2\" @\"\uFFFDa\""}},

	// Retry.
	{name: "retry", in: "retry:3000\ndata:x\n\ndata:y\n\n", want: []string{`message "x" retry=3s`, `message "y"`}},
	{name: "retry alone", in: "retry: 7\n\n", want: []string{`hint retry=7ms`}},
	{name: "retry of 0, and with zeros", in: "retry:0\n\nretry:0010\n\n", want: []string{`hint retry=0s`, `hint retry=10ms`}},
	{name: "bogus retry leaves the one before", in: "retry:3000\nretry:1000x\ndata:x\n\n", want: []string{`message "x" retry=3s`}},
	{name: "retry takes ASCII digits only", in: "retry:-1\n\nretry:+1\n\nretry:1.5\n\nretry: 1 \n\nretry:  1\n\nretry:0x1\n\nretry:١\n\nretry\n\nretry:\n\nretry:1e3\n\n", want: nil},
	{name: "a huge retry is bounded", in: "retry:99999999999999999999999999999999999999999\n\n", want: []string{`hint retry=24h0m0s`}},

	// UTF-8.
	{name: "UTF-8", in: "data:ok…\n\ndata:𝄞é\n\n", want: []string{`message "ok…"`, `message "𝄞é"`}},
	{name: "ill-formed data", in: "data:\xFF\xC0\x80|\xE2\x82|\xF0\x9F\x92\n\n", want: []string{"message \"\uFFFD\uFFFD\uFFFD|\uFFFD|\uFFFD\""}},
	{name: "ill-formed name of an event", in: "event:\xFFa\ndata:1\n\nevent:\xFFa\ndata:2\n\n", want: []string{"\uFFFDa \"1\"", "\uFFFDa \"2\""}},
	{name: "ill-formed name of a field", in: "data\xFF:1\n\xFFdata:2\n\n", want: nil},
	{name: "a line end ends an unfinished sequence", in: "data:\xE2\x82\ndata:\xAC\n\n", want: []string{"message \"\uFFFD\\n\uFFFD\""}},

	{name: "nothing", in: "", from: "9", last: "9", want: nil},
	{name: "a long line", in: "data:" + long + "\n\n", want: []string{`message "` + long + `"`}},
}

func TestDecoderFollowsTheStandardAtEverySplit(t *testing.T) {
	for _, test := range streams {
		t.Run(test.name, func(t *testing.T) {
			for chunks := range splits(test.in) {
				got, last, err := decode(1<<20, test.from, chunks...)
				if err != nil || last != test.last || !slices.Equal(got, test.want) {
					t.Fatalf("fed %q\ngot%s\nwant%s\nlast id %q, want %q; error %v", chunks, lines(got), lines(test.want), last, test.last, err)
				}
			}
		})
	}
}

// The CR of a CRLF completes the line: the event must not wait for a LF that may come with the next event only.
func TestDecoderDispatchesOnCR(t *testing.T) {
	d := NewDecoder(1<<10, nil)
	feed := func(s string) []string {
		var got []string
		d.Feed([]byte(s))
		for {
			ev, ok, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return got
			}
			got = append(got, show(ev))
		}
	}
	for _, step := range []struct {
		in   string
		want []string
	}{
		{"data:1\r\n\r", []string{`message "1"`}},
		{"\n", nil},
		{"data:2\r\r", []string{`message "2"`}},
		{"\ndata:3\r", nil},
		{"\r", []string{`message "3"`}},
		{":hb\r", []string{`comment "hb"`}},
		{"\n\r\n", nil},
	} {
		if got := feed(step.in); !slices.Equal(got, step.want) {
			t.Errorf("%q gave%s\nwant%s", step.in, lines(got), lines(step.want))
		}
	}
}

// Buffered is what tells a read that held one event from a read that held several.
func TestDecoderBuffered(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []bool // after each event
	}{
		{"data:1\n\n", []bool{false}},
		{"data:1\r\n\r\n", []bool{false}}, // the last LF belongs to the event
		{"data:1\r\r", []bool{false}},
		{"data:1\n\n\n", []bool{false}}, // nor is an empty block one
		{":hb\n\n", []bool{false}},
		{"data:1\n\ndata:2\n\n", []bool{true, false}},
		{"data:1\r\n\r\ndata:2\r\n\r\n", []bool{true, false}},
		{"data:1\n\nda", []bool{true}},
		{":hb\ndata:1\n\n", []bool{true, false}},
	} {
		d := NewDecoder(1<<10, nil)
		d.Feed([]byte(test.in))
		var got []bool
		for {
			_, ok, _ := d.Next()
			if !ok {
				break
			}
			got = append(got, d.Buffered())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: %v, want %v", test.in, got, test.want)
		}
	}
}

func TestDecoderLimits(t *testing.T) {
	const max = 100
	fill := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct {
		name, in string
		events   int
		tooBig   bool
	}{
		{"data of the limit", "data:" + fill(max) + "\n\n", 1, false},
		{"data of the limit, with a space", "data: " + fill(max) + "\r\n\r\n", 1, false},
		{"one byte more", "data:1\n\ndata: " + fill(max+1) + "\n\n", 1, true},
		{"data of the limit in two lines", "data:" + fill(60) + "\ndata:" + fill(max-61) + "\n\n", 1, false},
		{"one byte more in two lines", "data:" + fill(60) + "\ndata:" + fill(max-60) + "\n\n", 0, true},
		{"empty data lines", strings.Repeat("data\n", max+1) + "\n", 1, false},
		{"one empty data line more", strings.Repeat("data\n", max+2) + "\n", 0, true},
		{"an endless line", "data:" + fill(10*max), 0, true},
		{"an endless comment", ":" + fill(10*max), 0, true},
		{"an endless unknown field", fill(10 * max), 0, true},
		{"an endless id", "id:" + fill(10*max), 0, true},
		{"the limit is for each event", strings.Repeat("data:"+fill(max)+"\n\n", 10), 10, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for chunks := range splits(test.in) {
				got, _, err := decode(max, "", chunks...)
				if len(got) != test.events || (err != nil) != test.tooBig {
					t.Fatalf("fed %d chunks: %d events and %v", len(chunks), len(got), err)
				}
				if err != nil && (!errors.Is(err, ErrTooBig) || Classify(err).Class != ClassTooBig) {
					t.Fatalf("error %v of class %v", err, Classify(err).Class)
				}
			}
		})
	}
}

func TestDecoderRepeatsItsError(t *testing.T) {
	d := NewDecoder(10, nil)
	for range 3 {
		d.Feed([]byte(long + "\n\ndata:1\n\n"))
		if _, ok, err := d.Next(); ok || !errors.Is(err, ErrTooBig) {
			t.Fatalf("Next = %v, %v", ok, err)
		}
		if d.Buffered() {
			t.Error("something is buffered after the error")
		}
	}
}

// A decoder holds on to a small multiple of its limit, whatever it is sent.
func TestDecoderMemoryIsBounded(t *testing.T) {
	const max = 1 << 10
	d := NewDecoder(max, nil)
	bad := strings.Repeat("\xFF", max-10)
	for i := range 10 * maxKinds {
		d.Feed(fmt.Appendf(nil, "id:%s\nevent:%d%s\ndata:%[1]s\n:%[1]s\nx%[1]s\n\ndata:%[1]s", bad, i, bad[4:]))
		for {
			_, ok, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
		}
		d.Feed([]byte("\n\n"))
		for ok := true; ok; {
			_, ok, _ = d.Next()
		}
	}
	held := cap(d.line) + cap(d.fixed) + cap(d.lastID)
	for _, buf := range d.bufs {
		held += cap(buf)
	}
	for key, name := range d.kinds {
		held += len(key) + len(name)
	}
	if held > 24*max {
		t.Errorf("the decoder holds %d bytes at a limit of %d", held, max)
	}
}

// What stood in the event that a decoder fills is gone, whatever the block was.
func TestDecoderFillsTheWholeEvent(t *testing.T) {
	for _, block := range []string{": ping\n", "data\n\n", "id: 1\n\n", "event: a\ndata: b\n\n", "retry: 5\n\n"} {
		fresh, used := NewDecoder(1<<10, Cursor("0")), NewDecoder(1<<10, Cursor("0"))
		fresh.Feed([]byte(block))
		used.Feed([]byte(block))
		want, _, _ := fresh.Next()
		got := Event{Type: Hint, ID: Cursor("x"), OwnID: true, Kind: "x", Data: []byte("x"), Binary: true, Retry: 7, Wire: 7}
		if ok, err := used.next(&got); !ok || err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", block, got, want)
		}
	}
}
