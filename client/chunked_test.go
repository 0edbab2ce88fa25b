package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// A pieceReader gives one piece for each Read, and what is left of it to the next where p is too small.
type pieceReader struct{ pieces []string }

func (r *pieceReader) Read(p []byte) (int, error) {
	for len(r.pieces) > 0 && r.pieces[0] == "" {
		r.pieces = r.pieces[1:]
	}
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0])
	r.pieces[0] = r.pieces[0][n:]
	return n, nil
}

// dechunk reads a body that comes in pieces to its end, with a buffer of size bytes.
func dechunk(size int, pieces ...string) (body string, err error) {
	r := &chunkedReader{src: &pieceReader{pieces}}
	buf := make([]byte, size)
	for {
		n, err := r.Read(buf)
		body += string(buf[:n])
		if err != nil {
			if again, repeated := r.Read(buf); again != 0 || repeated != err {
				return body, fmt.Errorf("after %w, Read gave %d and %w", err, again, repeated)
			}
			if err == io.EOF {
				err = nil
			}
			return body, err
		}
	}
}

// protocol is what err is expected to be where the framing is broken.
var protocol = &Error{Class: ClassProtocol}

func sameError(got, want error) bool {
	if want == protocol {
		return got != nil && Classify(got).Class == ClassProtocol
	}
	return got == want
}

func TestChunkedReaderAtEverySplit(t *testing.T) {
	for _, test := range []struct {
		name, in, want string
		err            error
	}{
		{name: "RFC 9112", in: "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", want: "hello world"},
		{name: "no data", in: "0\r\n\r\n"},
		{name: "hexadecimal of both cases", in: "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", want: "01234567890123456789a"},
		{name: "leading zeros", in: "0003\r\nabc\r\n000\r\n\r\n", want: "abc"},
		{name: "extensions", in: "3;a=b;c=\"d;\re\"\r\nabc\r\n0;x\r\n\r\n", want: "abc"},
		{name: "white space before the line end", in: "3 \r\nabc\r\n1\t;q\r\nd\r\n0 \r\n\r\n", want: "abcd"},
		{name: "trailers", in: "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", want: "x"},
		{name: "trailers of one byte, with bare LF", in: "1\r\nx\r\n0\r\na\nb\n\n", want: "x"},
		{name: "bare LF everywhere", in: "3\nabc\n2\nde\n0\n\n", want: "abcde"},
		{name: "line ends in the data", in: "6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", want: "\r\n0\r\n\r"},
		{name: "what follows is left alone", in: "1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", want: "x"},

		{name: "empty", in: "", err: io.ErrUnexpectedEOF},
		{name: "truncated in the size", in: "5", err: io.ErrUnexpectedEOF},
		{name: "truncated behind the size", in: "5\r\n", err: io.ErrUnexpectedEOF},
		{name: "truncated in the data", in: "5\r\nhel", want: "hel", err: io.ErrUnexpectedEOF},
		{name: "truncated behind the data", in: "5\r\nhello\r", want: "hello", err: io.ErrUnexpectedEOF},
		{name: "truncated before the last chunk", in: "5\r\nhello\r\n", want: "hello", err: io.ErrUnexpectedEOF},
		{name: "truncated in the last line", in: "5\r\nhello\r\n0\r\n\r", want: "hello", err: io.ErrUnexpectedEOF},
		{name: "truncated in a trailer", in: "0\r\nA: b", err: io.ErrUnexpectedEOF},

		{name: "no size", in: "\r\nx", err: protocol},
		{name: "only an extension", in: ";a\r\nx", err: protocol},
		{name: "a sign", in: "-1\r\nx\r\n", err: protocol},
		{name: "a prefix", in: "0x1\r\nx\r\n", err: protocol},
		{name: "no number", in: "1g\r\nx\r\n", err: protocol},
		{name: "16 digits", in: "ffffffffffffffff\r\nx", err: protocol},
		{name: "17 digits", in: "1" + strings.Repeat("0", 16) + "\r\nx", err: protocol},
		{name: "zeros in front", in: strings.Repeat("0", 20) + "1\r\nx\r\n0\r\n\r\n", want: "x"},
		{name: "an endless number", in: strings.Repeat("0", maxChunkLine+1) + "1\r\nx", err: protocol},
		{name: "a huge size, truncated", in: "fffffffffffffff\r\nabc", want: "abc", err: io.ErrUnexpectedEOF},
		{name: "data longer than its size", in: "3\r\nabcd\r\n0\r\n\r\n", want: "abc", err: protocol},
		{name: "CR without LF behind a size", in: "3\rabc\r\n0\r\n\r\n", err: protocol},
		{name: "CR without LF behind data", in: "3\r\nabc\rx", want: "abc", err: protocol},
		{name: "CR without LF at the end", in: "0\r\n\rx", err: protocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			for pieces := range splits(test.in) {
				for _, size := range []int{1, 3, 4096} {
					got, err := dechunk(size, append([]string{}, pieces...)...)
					if got != test.want || !sameError(err, test.err) {
						t.Fatalf("%q read by %d gave %q, %v; want %q, %v", pieces, size, got, err, test.want, test.err)
					}
				}
			}
		})
	}
}

// Framing that never ends is cut off: a server can't keep a reader busy without sending data.
func TestChunkedReaderBoundsFraming(t *testing.T) {
	for name, in := range map[string]struct{ start, endless string }{
		"a size of zeros":                {"", "0"},
		"an extension":                   {"1;", "x"},
		"one trailer line":               {"0\r\n", "x"},
		"trailer lines":                  {"0\r\n", "x: y\r\n"},
		"trailer lines of one character": {"0\r\n", "x\n"},
	} {
		src := &countingReader{r: io.MultiReader(strings.NewReader(in.start), endless(in.endless))}
		r := &chunkedReader{src: src}
		if n, err := r.Read(make([]byte, 512)); n != 0 || !sameError(err, protocol) {
			t.Errorf("%s: Read gave %d, %v", name, n, err)
		}
		if src.n > maxTrailer+1024 {
			t.Errorf("%s: read %d bytes before giving up", name, src.n)
		}
	}
}

type countingReader struct {
	r io.Reader
	n int
}

// Read stops a test that would go on for ever.
func (r *countingReader) Read(p []byte) (int, error) {
	if r.n > 1<<20 {
		return 0, errors.New("this never ends")
	}
	n, err := r.r.Read(p)
	r.n += n
	return n, err
}

type endless string

func (s endless) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat(string(s), len(p)/len(s)+1)), nil
}

// The reader strips in the caller's buffer: what it returned stays, what lies behind it is scratch, and bytes beyond
// the buffer's end are never touched.
func TestChunkedReaderWorksInPlace(t *testing.T) {
	r := &chunkedReader{src: strings.NewReader("2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n")}
	buf := bytes.Repeat([]byte("#"), 64)
	n, err := r.Read(buf[:40])
	if string(buf[:n]) != "abcde" || err != io.EOF {
		t.Fatalf("Read gave %q, %v", buf[:n], err)
	}
	if !bytes.Equal(buf[40:], bytes.Repeat([]byte("#"), 24)) {
		t.Errorf("bytes beyond the buffer were written: %q", buf[40:])
	}
}

func TestChunkedReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	r := &chunkedReader{src: io.MultiReader(strings.NewReader("5\r\nhe"), iotest.ErrReader(broken))}
	got, err := io.ReadAll(r)
	if string(got) != "he" || err != broken {
		t.Errorf("%q, %v", got, err)
	}
	r = &chunkedReader{src: iotest.DataErrReader(strings.NewReader("2\r\nhe\r\n0\r\n\r\n"))}
	if got, err := io.ReadAll(r); string(got) != "he" || err != nil {
		t.Errorf("with data and io.EOF at once: %q, %v", got, err)
	}
	r = &chunkedReader{src: strings.NewReader("2\r\nhe\r\n0\r\n\r\n")}
	if n, err := r.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v", n, err)
	}
}

// What net/http's writer writes is read back, however it is cut and read.
func TestChunkedReaderReadsNetHTTP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire bytes.Buffer
		var want string
		w := httputil.NewChunkedWriter(&wire)
		for _, chunk := range rapid.SliceOf(rapid.StringN(0, 40, 200)).Draw(t, "chunks") {
			want += chunk
			if _, err := io.WriteString(w, chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		wire.WriteString("\r\n")
		how := rapid.SliceOf(rapid.Byte()).Draw(t, "cuts")
		got, err := dechunk(rapid.IntRange(1, 100).Draw(t, "buffer"), cut(wire.Bytes(), how)...)
		if got != want || err != nil {
			t.Fatalf("%q read as %q, %v; want %q", wire.String(), got, err, want)
		}
	})
}

// Any bytes give the same however they are cut, and the data that net/http's reader finds. Known differences: that
// one stops behind the size line of the last chunk and leaves the trailer to its caller; it refuses a bare LF and a CR
// in an extension, more overhead than data, and what it refuses it may refuse a byte earlier or later. So where one of the two
// fails, what they read up to there must agree; and where it succeeds, we must have read all it did.
func FuzzChunkedReader(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n"), []byte{1, 2, 3, 4, 5, 6, 7}, uint8(3))
	f.Add([]byte("3\nabc\n0\n\n"), []byte{}, uint8(100))
	f.Add([]byte("fffffffffffffff\r\nabc"), []byte{}, uint8(100))
	f.Fuzz(func(t *testing.T, in, how []byte, size uint8) {
		body, err := dechunk(1<<12, string(in))
		cutBody, cutErr := dechunk(int(size)+1, cut(in, how)...)
		if body != cutBody || fmt.Sprint(err) != fmt.Sprint(cutErr) {
			t.Errorf("%q gave %q, %v; cut, %q, %v", in, body, err, cutBody, cutErr)
		}
		theirs, theirErr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		switch {
		case theirErr == nil && body != string(theirs):
			t.Errorf("%q gave %q, %v; net/http read %q", in, body, err, theirs)
		case !strings.HasPrefix(body, string(theirs)) && !strings.HasPrefix(string(theirs), body):
			t.Errorf("%q gave %q, %v; net/http read %q, %v", in, body, err, theirs, theirErr)
		}
	})
}

func TestChunkedReaderAllocatesNothing(t *testing.T) {
	src := strings.NewReader("")
	r := &chunkedReader{src: src}
	buf := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		src.Reset("5\r\nhello\r\n6\r\n world\r\n")
		if n, err := r.Read(buf); n != 11 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChunkedReader(b *testing.B) {
	wire := "5c\r\nid: 1234567890\ndata: " + strings.Repeat("x", 69) + "\n\n\r\n"
	src := strings.NewReader("")
	r := &chunkedReader{src: src}
	buf := make([]byte, 4096)
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		src.Reset(wire)
		if n, err := r.Read(buf); n != 0x5c || err != nil {
			b.Fatal(n, err)
		}
	}
}

// TestChunkedAfter: framing behind the data of a read, besides the end of its chunk, came later than the data, and its
// segment may have given the read its stamp.
func TestChunkedAfter(t *testing.T) {
	for body, want := range map[string]bool{
		"5\r\nhello\r\n": false, "5\r\nhel": false, "5\r\nhello\r": false,
		"5\r\nhello\r\n0\r\n\r\n": true, "5\r\nhello\r\n3": true, "2\r\nhe\r\n3\r\nllo\r\n": false,
	} {
		r := &chunkedReader{src: strings.NewReader(body)}
		if _, err := r.Read(make([]byte, 100)); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if r.after != want {
			t.Errorf("%q: %v", body, r.after)
		}
	}
}
