package report

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	plainLimit = 300   // runes that Plain gives at most
	wordsLimit = 2_000 // and PlainWords
	maxMarks   = 4     // combining marks that may follow one letter; Vietnamese and Thai need two, Hebrew four
)

// Plain makes a string safe to print: everything that a terminal would act on, or that would make the text look like
// another one, becomes a visible escape (\x1b, \n, \u202e, \U000e0041). These are control characters with ESC and C1,
// bidirectional overrides and isolates, zero-width and other invisible characters, line and paragraph separators,
// spaces that are not the usual one, invalid UTF-8, and combining marks with nothing to stand on or piled up. What is
// longer than 300 characters ends in "…". Plain of what Plain gave changes nothing.
func Plain(s string) string { return plain(s, plainLimit) }

// PlainWhole does the same with a text of any length, for where there is room for it.
func PlainWhole(s string) string { return plain(s, math.MaxInt) }

func plain(s string, limit int) string {
	var b strings.Builder
	length, marks, keep := 0, maxMarks, 0 // keep: how much of b stands if the rest doesn't fit
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		token := s[:size]
		switch {
		case r == utf8.RuneError && size == 1:
			token = fmt.Sprintf(`\x%02x`, s[0])
		case unicode.Is(unicode.M, r) && marks >= maxMarks, !shown(r):
			token = escape(r)
		}
		switch mark := unicode.Is(unicode.M, r); {
		case !mark:
			marks = 0
		case token[0] != '\\':
			marks++
		}
		s = s[size:]
		length += utf8.RuneCountInString(token)
		if length > limit {
			return b.String()[:keep] + "…"
		}
		b.WriteString(token)
		if length < limit {
			keep = b.Len()
		}
	}
	return b.String()
}

// PlainWords does the same with a text of words, with one space between two, that is to be read in full, if on several lines; at
// most 2,000 characters of it.
func PlainWords(s string) string { return plain(strings.Join(strings.Fields(s), " "), wordsLimit) }

// shown reports whether a character can be seen as what it is and moves nothing but the cursor to its right.
// unicode.IsPrint leaves out control, format, separator, surrogate, private and unassigned characters; the rest here
// are letters and marks that are drawn as nothing.
func shown(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func escape(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < utf8.RuneSelf:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
