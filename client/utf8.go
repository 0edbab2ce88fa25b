package client

import "unicode/utf8"

// appendWellFormed appends b to dst with one U+FFFD for each maximal subpart of an ill-formed sequence, which is how
// the WHATWG Encoding standard decodes UTF-8.
func appendWellFormed(dst, b []byte) []byte {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, "\uFFFD"...)
			b = b[illFormedLen(b):]
			continue
		}
		dst = append(dst, b[:size]...)
		b = b[size:]
	}
	return dst
}

// utf8Lead says what may follow the lead byte c: how many bytes in all, and the range of the second one (Unicode,
// table 3-7). size is 0 where c leads nothing.
func utf8Lead(c byte) (size int, low, high byte) {
	switch {
	case c < 0x80:
		return 1, 0, 0
	case c < 0xC2:
		return 0, 0, 0
	case c < 0xE0:
		return 2, 0x80, 0xBF
	case c == 0xE0:
		return 3, 0xA0, 0xBF
	case c == 0xED:
		return 3, 0x80, 0x9F
	case c < 0xF0:
		return 3, 0x80, 0xBF
	case c == 0xF0:
		return 4, 0x90, 0xBF
	case c < 0xF4:
		return 4, 0x80, 0xBF
	case c == 0xF4:
		return 4, 0x80, 0x8F
	}
	return 0, 0, 0
}

// illFormedLen is the length of the maximal subpart at the start of b, which starts no well-formed sequence.
func illFormedLen(b []byte) int {
	size, low, high := utf8Lead(b[0])
	n := 1
	for n < size && n < len(b) && b[n] >= low && b[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}

// A utf8Checker validates text that comes in pieces, and fails at the first byte that can't be mended by what
// follows (RFC 6455, 8.1). The zero value is ready for a new message.
type utf8Checker struct {
	tail [utf8.UTFMax]byte // an unfinished sequence
	n    int
}

// Write takes the next piece and reports whether the text is well-formed so far.
func (c *utf8Checker) Write(p []byte) bool {
	for c.n > 0 && len(p) > 0 {
		c.tail[c.n] = p[0]
		c.n++
		p = p[1:]
		if utf8.FullRune(c.tail[:c.n]) {
			if r, size := utf8.DecodeRune(c.tail[:c.n]); r == utf8.RuneError && size == 1 {
				return false
			}
			c.n = 0
		}
	}
	if utf8.Valid(p) {
		return true
	}
	// Only an unfinished sequence at the very end is allowed.
	for start := max(0, len(p)-utf8.UTFMax+1); start < len(p); start++ {
		if tail := p[start:]; utf8.RuneStart(tail[0]) && !utf8.FullRune(tail) {
			if !utf8.Valid(p[:start]) {
				return false
			}
			c.n = copy(c.tail[:], tail)
			return true
		}
	}
	return false
}

// Complete reports whether the text ends on a whole character, and makes the checker ready for the next message.
func (c *utf8Checker) Complete() bool {
	whole := c.n == 0
	c.n = 0
	return whole
}
