package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Blocks finds where events end in an event stream (WHATWG HTML, 9.2.6): with the line end of the blank line behind a
// block that has data. Comments, and blocks with an id or a reconnection time alone, are none. It keeps no text.
type blocks struct {
	column  int  // of the name "data" in this line, or inLine
	hasData bool // the block has a data field
	begun   bool // the block has a byte
	afterCR bool // an LF that comes next belongs to the line before
	bom     int  // bytes of a byte order mark so far; -1 past the start
}

// inLine is a column from which on nothing matters.
const inLine = -1

const (
	field   = "data"
	bomText = "\xEF\xBB\xBF"
)

// next takes bytes up to the end of an event, or all where there is none. start is where the event's block begins in p;
// negative where that was before.
func (b *blocks) next(p []byte) (n, start int, event bool) {
	start = -1
	for n < len(p) {
		c := p[n]
		if b.bom >= 0 && b.bom < len(bomText) {
			if c == bomText[b.bom] {
				b.bom++
				n++
				continue
			}
			if b.bom > 0 {
				b.column, b.begun = inLine, true
			}
		}
		b.bom = -1
		if c == '\n' && b.afterCR {
			b.afterCR = false
			n++
			continue
		}
		b.afterCR = c == '\r'
		if c == '\n' || c == '\r' {
			n++
			if b.lineEnd() {
				return n, start, true
			}
			continue
		}
		if !b.begun {
			b.begun, start = true, n
		}
		n += b.within(p[n:])
	}
	return n, start, false
}

// lineEnd ends a line, and reports whether that is the end of an event.
func (b *blocks) lineEnd() (event bool) {
	if b.column == 0 {
		event = b.hasData
		b.hasData, b.begun = false, false
		return event
	}
	b.hasData = b.hasData || b.column == len(field)
	b.column = 0
	return false
}

// within takes some of the bytes of a line, the first of which is no line end.
func (b *blocks) within(p []byte) int {
	switch {
	case b.column >= 0 && b.column < len(field) && p[0] == field[b.column]:
		b.column++
		return 1
	case b.column == len(field) && p[0] == ':':
		b.hasData = true
	}
	b.column = inLine
	if end := bytes.IndexAny(p, "\r\n"); end >= 0 {
		return end
	}
	return len(p)
}

// joins reports whether c belongs to the line end that came last.
func (b *blocks) joins(c byte) bool { return b.afterCR && c == '\n' }

// Frames finds where messages end in what a WebSocket server sends (RFC 6455, 5.2): with the last byte of a final frame
// that isn't a control frame's, compressed or not.
type frames struct {
	head   [14]byte // of a frame, with a mask
	have   int      // bytes of it
	left   uint64   // of the payload
	ends   bool     // the frame ends a message
	begun  bool     // the message has a byte
	inside bool     // of a payload
}

var errFrame = errors.New("a frame is longer than a frame can be")

// next takes bytes up to the end of a message, or all where there is none. start is where the message begins in p;
// negative where that was before.
func (f *frames) next(p []byte) (n, start int, event bool, err error) {
	start = -1
	for n < len(p) {
		if !f.inside {
			if f.have == 0 && !f.begun && p[n]&0x08 == 0 {
				f.begun, start = true, n
			}
			f.head[f.have] = p[n]
			f.have++
			n++
			if !f.complete() {
				continue
			}
			if f.left >= 1<<63 {
				return n, start, false, errFrame
			}
		}
		taken := min(f.left, uint64(len(p)-n))
		n += int(taken)
		if f.left -= taken; f.left > 0 {
			continue
		}
		f.inside, f.have = false, 0
		if f.ends {
			f.begun = false
			return n, start, true, nil
		}
	}
	return n, start, false, nil
}

// complete reports whether the head of a frame is, and reads it.
func (f *frames) complete() bool {
	if f.have < 2 {
		return false
	}
	length, size := f.head[1]&^0x80, 2
	switch length {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4 // a mask
	}
	if f.have < size {
		return false
	}
	switch length {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.left = uint64(length)
	}
	f.inside = true
	f.ends = f.head[0]&0x80 != 0 && f.head[0]&0x08 == 0
	return true
}
