package client

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// decodeWHATWG is the UTF-8 decoder of the WHATWG Encoding standard (section 8.1.1), word for word.
func decodeWHATWG(b []byte) string {
	var out strings.Builder
	var point rune
	needed, seen := 0, 0
	lower, upper := byte(0x80), byte(0xBF)
	for i := 0; i < len(b); i++ {
		c := b[i]
		if needed == 0 {
			switch {
			case c <= 0x7F:
				out.WriteByte(c)
			case c >= 0xC2 && c <= 0xDF:
				needed, point = 1, rune(c&0x1F)
			case c >= 0xE0 && c <= 0xEF:
				if c == 0xE0 {
					lower = 0xA0
				}
				if c == 0xED {
					upper = 0x9F
				}
				needed, point = 2, rune(c&0xF)
			case c >= 0xF0 && c <= 0xF4:
				if c == 0xF0 {
					lower = 0x90
				}
				if c == 0xF4 {
					upper = 0x8F
				}
				needed, point = 3, rune(c&0x7)
			default:
				out.WriteRune('\uFFFD')
			}
			continue
		}
		if c < lower || c > upper {
			point, needed, seen, lower, upper = 0, 0, 0, 0x80, 0xBF
			i-- // "restore byte to ioQueue"
			out.WriteRune('\uFFFD')
			continue
		}
		lower, upper = 0x80, 0xBF
		point = point<<6 | rune(c&0x3F)
		if seen++; seen == needed {
			out.WriteRune(point)
			point, needed, seen = 0, 0, 0
		}
	}
	if needed != 0 {
		out.WriteRune('\uFFFD')
	}
	return out.String()
}

// The tables of the Unicode standard, 3.9, "U+FFFD substitution of maximal subparts"; * stands for U+FFFD.
func TestReplacementIsThatOfTheUnicodeStandard(t *testing.T) {
	for in, want := range map[string]string{
		"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41": "********A",  // table 3-8, non-shortest forms
		"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41": "********A",  // table 3-9, surrogates
		"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42": "*****A**B",  // table 3-10, other ill-formed sequences
		"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41": "****A",      // table 3-11, truncated sequences
		"\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80": "a***b*",     // the example above them
		"\xF0\x9F\x92\xA9":                     "\U0001F4A9", // whole
		"\xF0\x9F\x92":                         "*",          // cut
		"\xF8\x88\x80\x80\x80":                 "*****",      // never a lead byte
		"\xEF\xBF\xBD\xEF\xBF":                 "\uFFFD*",    // U+FFFD itself, and its start
		"":                                     "",           //
		"\u0080\u07FF\u0800\uD7FF\uE000\uFFFF": "\u0080\u07FF\u0800\uD7FF\uE000\uFFFF",
	} {
		want = strings.ReplaceAll(want, "*", "\uFFFD")
		if got := string(appendWellFormed([]byte("> "), []byte(in))); got != "> "+want {
			t.Errorf("%+q became %+q, want %+q", in, got[2:], want)
		}
		if got := decodeWHATWG([]byte(in)); got != want {
			t.Errorf("the reference made %+q of %+q, want %+q", got, in, want)
		}
	}
}

// firstImpossible is where text can no longer become well-formed: the first byte that neither ends nor continues a
// sequence that some character has. -1 if there is none.
func firstImpossible(text []byte) int {
	for i := range text {
		if _, prefix := wellFormedPrefix(text[:i+1]); !prefix {
			return i
		}
	}
	return -1
}

// wellFormedPrefix reports whether text is well-formed, and whether some text that starts with it is: it tries to
// complete it.
func wellFormedPrefix(text []byte) (whole, prefix bool) {
	if utf8.Valid(text) {
		return true, true
	}
	for _, end := range []string{"\x80", "\xA0", "\x90", "\x80\x80", "\xA0\x80", "\x90\x80", "\x90\x80\x80", "\x80\x80\x80"} {
		if utf8.Valid(append(append([]byte{}, text...), end...)) {
			return false, true
		}
	}
	return false, false
}

// checkText feeds the pieces to c and gives the number of bytes after which it failed, -1 if it took them all.
func checkText(c *utf8Checker, pieces ...[]byte) (failed int, whole bool) {
	n := 0
	for _, piece := range pieces {
		n += len(piece)
		if !c.Write(piece) {
			return n, false
		}
	}
	return -1, c.Complete()
}

func checkAllSplits(t *testing.T, text []byte) {
	t.Helper()
	impossible := firstImpossible(text)
	bytewise := make([][]byte, len(text))
	for i := range text {
		bytewise[i] = text[i : i+1]
	}
	want := -1
	if impossible >= 0 {
		want = impossible + 1
	}
	if failed, whole := checkText(&utf8Checker{}, bytewise...); failed != want || whole != utf8.Valid(text) {
		t.Errorf("%q byte by byte: failed after %d bytes, want %d; whole %v, want %v", text, failed, want, whole, utf8.Valid(text))
	}
	var c utf8Checker // kept over all that is well-formed, as a stream does
	for i := range len(text) + 1 {
		for k := i; k <= len(text); k++ {
			want := len(text)
			switch {
			case impossible < 0:
				want = -1
			case impossible < i:
				want = i
			case impossible < k:
				want = k
			}
			failed, whole := checkText(&c, text[:i], text[i:k], text[k:])
			if failed != want || whole != utf8.Valid(text) {
				t.Errorf("%q cut at %d and %d: failed after %d bytes, want %d; whole %v, want %v", text, i, k, failed, want, whole, utf8.Valid(text))
			}
			if failed >= 0 {
				c = utf8Checker{}
			}
		}
	}
}

func TestUTF8CheckerAtEverySplit(t *testing.T) {
	for _, text := range []string{
		"", "a", "κόσμε", "é", "…", "\U0001F4A9", "a\u0000b", "\uFFFD", "\uFEFF\U0010FFFF", "ok\U0001F4A9…é!",
		"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x80\x80\xAF", "\xF0\x8F\xBF\xBF",
		"\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF", "\xFE",
		"\xC2", "\xE2\x82", "\xF0\x9F\x92", "ab\xF0\x9F\x92", "ab\xF0\x9Fab", "\xC2\xC2\x80", "\xE2\x82\xE2\x82\xAC",
		"κόσμε\xED\xA0\x80edited", "κόσμε\xF4\x90\x80\x80edited",
	} {
		checkAllSplits(t, []byte(text))
	}
}

// All sequences of up to three bytes, with every byte that some rule of table 3-7 tells from its neighbour.
func TestUTF8CheckerOnAllShortSequences(t *testing.T) {
	edges := []byte{0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF}
	for _, a := range edges {
		for _, b := range edges {
			for _, c := range edges {
				checkAllSplits(t, []byte{a, b, c})
				text := []byte{a, b, c, 0x80}
				if got, want := string(appendWellFormed(nil, text)), decodeWHATWG(text); got != want {
					t.Errorf("%q became %+q, want %+q", text, got, want)
				}
			}
		}
	}
}

func FuzzUTF8(f *testing.F) {
	f.Add([]byte("κόσμε\xED\xA0\x80edited"), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, text, how []byte) {
		if got, want := string(appendWellFormed(nil, text)), decodeWHATWG(text); got != want {
			t.Errorf("%q became %+q, want %+q", text, got, want)
		}
		var pieces [][]byte
		for _, piece := range cut(text, how) {
			pieces = append(pieces, []byte(piece))
		}
		failed, whole := checkText(&utf8Checker{}, pieces...)
		if whole != utf8.Valid(text) {
			t.Errorf("%q: whole %v, want %v", pieces, whole, utf8.Valid(text))
		}
		if impossible := firstImpossible(text); (impossible >= 0) != (failed >= 0) || failed >= 0 && failed <= impossible {
			t.Errorf("%q: failed after %d bytes, impossible at %d", pieces, failed, impossible)
		}
	})
}

func TestUTF8AllocatesNothing(t *testing.T) {
	var c utf8Checker
	good, bad := []byte("ok…é"), []byte("ok\xFF\xE2\x82")
	var buf []byte
	if n := testing.AllocsPerRun(100, func() {
		c.Write(good[:3])
		c.Write(good[3:])
		c.Complete()
		wellFormed(good, &buf)
		wellFormed(bad, &buf)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
