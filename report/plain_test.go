package report

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"plain text, 100 % · µs":          "plain text, 100 % · µs",
		`C:\logs\n`:                       `C:\logs\n`,
		"\x1b[31mred\x1b[0m":              `\x1b[31mred\x1b[0m`,
		"\x1b]0;title\x07":                `\x1b]0;title\x07`,
		"\u009b31m\u0085":                 `\u009b31m\u0085`,
		"a\nb\r\tc\x00\x7f":               `a\nb\r\tc\x00\x7f`,
		"a\u202eb\u2066c\u200e":           `a\u202eb\u2066c\u200e`,
		"a\u200bb\ufeffc\u00add":          `a\u200bb\ufeffc\u00add`,
		"a\u2028b\u2029c\u00a0d":          `a\u2028b\u2029c\u00a0d`,
		"\U000e0041tag":                   `\U000e0041tag`,
		"hangul\u3164filler\ufe0f":        `hangul\u3164filler\ufe0f`,
		"\xff\xc3(\xed\xa0\x80":           `\xff\xc3(\xed\xa0\x80`,
		"replaced \ufffd":                 "replaced \ufffd",
		"東京 🚀 Việt e\u0301":               "東京 🚀 Việt e\u0301",
		"\u0301alone":                     `\u0301alone`,
		"e" + strings.Repeat("\u0301", 6): "e" + strings.Repeat("\u0301", 4) + `\u0301\u0301`,
		"private \ue000":                  `private \ue000`,
		strings.Repeat("é", 300):          strings.Repeat("é", 300),
		strings.Repeat("é", 301):          strings.Repeat("é", 299) + "…",
		strings.Repeat("a", 298) + "\x00": strings.Repeat("a", 298) + "…",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
}

// TestPlainWords: a text of several words is given in full, made plain, but for one that nobody would read.
func TestPlainWords(t *testing.T) {
	long := strings.Repeat("word ", 200)
	if got, want := PlainWords(long+"\x1b[2J \n\u202eend"), long+`\x1b[2J \u202eend`; got != want {
		t.Errorf("%q", got)
	}
	if n := utf8.RuneCountInString(PlainWords(strings.Repeat(long, 10))); n != wordsLimit {
		t.Errorf("%d characters of 10,000", n)
	}
}

// plainHolds is what must hold of Plain whatever it is given.
func plainHolds(in string) error {
	out := Plain(in)
	switch {
	case !utf8.ValidString(out):
		return fmt.Errorf("%q: %q is not UTF-8", in, out)
	case utf8.RuneCountInString(out) > plainLimit:
		return fmt.Errorf("%q: %d characters", in, utf8.RuneCountInString(out))
	case Plain(out) != out:
		return fmt.Errorf("%q: not stable: %q, then %q", in, out, Plain(out))
	}
	marks := maxMarks
	for _, r := range out {
		if marks++; !unicode.Is(unicode.M, r) {
			marks = 0
		}
		if !shown(r) || marks > maxMarks {
			return fmt.Errorf("%q: %q holds %U", in, out, r)
		}
	}
	return nil
}

// nasty gives strings with what terminals, spreadsheets and decoders stumble over.
func nasty() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"\x1b[2J", "\x1b]8;;http://127.0.0.1\x07", "\u009b", "\u202e", "\u2069", "\u200d", "\ufe0f", "\ufeff", "\u2028", "\xff", "\xed\xa0\x80", "\xf0\x9f",
		"=1+1", "+", "-", "@", "\t", "\r\n", "\"", "'", ",", "\u0301", "<script>", "{{.Vars.name}}", "\U000e0041", "\u3164", "\ufffd", "\\u202e",
	}))
	return rapid.Map(rapid.SliceOfN(piece, 0, 12), func(pieces []string) string { return strings.Join(pieces, "") })
}

func TestPlainProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := plainHolds(nasty().Draw(t, "text")); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"", "\x1b[2J", "e\u0301\u0301\u0301\u0301\u0301", "\xff\xfe", "\u202e\u2066", strings.Repeat("\x00", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if err := plainHolds(in); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPlainWhole: a long text isn't cut, and is as safe as any.
func TestPlainWhole(t *testing.T) {
	long := strings.Repeat("12345\x1b", 1000)
	if got := PlainWhole(long); got != strings.Repeat(`12345\x1b`, 1000) {
		t.Errorf("%q", got)
	}
}
