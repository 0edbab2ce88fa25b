package proxy

import "errors"

// A body is where the body of an HTTP/1 message stands (RFC 9112, 6).
type body struct {
	kind   bodyKind
	left   uint64 // bytes of it, or of the chunk's data
	state  chunkState
	digits int // of a chunk's size; bytes of a trailer line
}

type bodyKind uint8

const (
	bodyNone    bodyKind = iota // there is none, or no more
	bodyLength                  // of a known length
	bodyChunked                 // in chunks
	bodyEndless                 // until the connection ends
)

type chunkState uint8

const (
	chunkSize   chunkState = iota // the digits of a size
	chunkRest                     // the rest of its line
	chunkData                     // data
	chunkEnd                      // the line end behind it
	trailerLine                   // the trailer, line by line
)

var errChunk = errors.New("a chunk has no size that can be read")

// over reports whether the next byte belongs to another message.
func (b *body) over() bool { return b.kind == bodyNone }

// piece says how many bytes at the start of p belong together, and whether they are data or framing. p has one at least,
// and the body isn't over.
func (b *body) piece(p []byte) (n int, data bool, err error) {
	switch b.kind {
	case bodyEndless:
		return len(p), true, nil
	case bodyLength:
		n = b.take(p)
		if b.left == 0 {
			b.kind = bodyNone
		}
		return n, true, nil
	}
	if b.state == chunkData {
		n = b.take(p)
		if b.left == 0 {
			b.state = chunkEnd
		}
		return n, true, nil
	}
	return 1, false, b.frame(p[0])
}

func (b *body) take(p []byte) int {
	n := int(min(b.left, uint64(len(p))))
	b.left -= uint64(n)
	return n
}

// frame takes one byte of what surrounds chunks.
func (b *body) frame(c byte) error {
	switch b.state {
	case chunkSize:
		digit, ok := hexDigit(c)
		switch {
		case ok && b.digits < 15:
			b.left = b.left<<4 | uint64(digit)
			b.digits++
		case ok || b.digits == 0:
			return errChunk
		case c == '\n':
			b.sized()
		default:
			b.state = chunkRest
		}
	case chunkRest:
		if c == '\n' {
			b.sized()
		}
	case chunkEnd:
		switch c {
		case '\n':
			b.state, b.digits = chunkSize, 0
		case '\r':
		default:
			return errChunk
		}
	case trailerLine:
		switch c {
		case '\r':
		case '\n':
			if b.digits == 0 {
				b.kind = bodyNone
			}
			b.digits = 0
		default:
			b.digits = 1
		}
	}
	return nil
}

// sized goes on behind the line with the size of a chunk.
func (b *body) sized() {
	b.state, b.digits = chunkData, 0
	if b.left == 0 {
		b.state = trailerLine
	}
}

// ending reports whether c belongs to the line end behind the data of a chunk.
func (b *body) ending(c byte) bool {
	return b.kind == bodyChunked && b.state == chunkEnd && (c == '\r' || c == '\n')
}

func hexDigit(c byte) (digit byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
