package client

import (
	"io"
)

// A chunkedReader takes the chunked transfer coding (RFC 9112, 7.1) off what it reads, in the caller's own buffer: it
// keeps nothing but where it is. net/http's reader would keep a buffer for every idle connection.
type chunkedReader struct {
	state chunkState
	after bool   // framing followed the data read last, besides the end of its chunk
	left  uint64 // of the chunk's data
	line  int    // bytes of the size line or trailer read so far
	last  int    // where the data of the last chunk begins in what was read last
	err   error
	src   io.Reader
}

type chunkState uint8

const (
	chunkSize    chunkState = iota // the digits of a size
	chunkExt                       // from ';' or white space to the line end
	chunkSizeLF                    // the LF of a size line
	chunkData                      // data
	chunkDataCR                    // the CR behind the data
	chunkDataLF                    // its LF
	trailerStart                   // at the start of a trailer line
	trailerLine                    // inside of one
	trailerLF                      // the LF of the empty line that ends the body
)

const (
	maxChunkLine = 4 << 10  // a size line with its extensions
	maxTrailer   = 64 << 10 // all trailer lines
)

// Read implements io.Reader. It returns as soon as it has some data, and io.EOF only after the last chunk and the
// trailer; a source that ends before gives io.ErrUnexpectedEOF.
func (r *chunkedReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	for {
		n, err := r.src.Read(p)
		data, failed := r.take(p[:n])
		if r.err = failed; failed == nil {
			r.err = r.ended(err)
		}
		if len(data) > 0 || r.err != nil || len(p) == 0 {
			return len(data), r.err
		}
	}
}

// take implements framing.
func (r *chunkedReader) take(p []byte) (data []byte, err error) {
	kept, ended := r.strip(p)
	if ended {
		return p[:kept], io.EOF
	}
	return p[:kept], r.err
}

// ended implements framing.
func (r *chunkedReader) ended(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tail is how many bytes end the chunk whose data was read; 0 where there is data to come.
func (r *chunkedReader) tail() int {
	switch r.state {
	case chunkDataCR:
		return len("\r\n")
	case chunkDataLF:
		return len("\n")
	}
	return 0
}

// strip moves the data in b to its front and reports how much that is, and whether the body is over.
func (r *chunkedReader) strip(b []byte) (kept int, ended bool) {
	for i := 0; i < len(b); {
		if r.state == chunkData {
			n := int(min(r.left, uint64(len(b)-i)))
			if kept != i {
				copy(b[kept:], b[i:i+n])
			}
			r.after, r.last = false, kept
			kept, i = kept+n, i+n
			if r.left -= uint64(n); r.left == 0 {
				r.state = chunkDataCR
			}
			continue
		}
		if r.state != chunkDataCR && r.state != chunkDataLF {
			r.after = true
		}
		if ended = r.step(b[i]); ended || r.err != nil {
			return kept, ended
		}
		i++
	}
	return kept, false
}

// step takes one byte of framing.
func (r *chunkedReader) step(c byte) (ended bool) {
	r.line++
	switch r.state {
	case chunkSize:
		r.size(c)
	case chunkExt:
		switch {
		case c == '\n':
			r.sizeDone()
		case r.line > maxChunkLine:
			r.fail("a chunk size line is too long")
		}
	case chunkSizeLF:
		r.expect(c, '\n')
		r.sizeDone()
	case chunkDataCR:
		if c == '\n' { // a bare LF, which many accept
			r.nextSize()
			break
		}
		r.expect(c, '\r')
		r.state = chunkDataLF
	case chunkDataLF:
		r.expect(c, '\n')
		r.nextSize()
	case trailerStart:
		switch {
		case c == '\r':
			r.state = trailerLF
		case c == '\n':
			return true
		case r.line > maxTrailer:
			r.fail("the trailer is too long")
		default:
			r.state = trailerLine
		}
	case trailerLine:
		switch {
		case c == '\n':
			r.state = trailerStart
		case r.line > maxTrailer:
			r.fail("the trailer is too long")
		}
	case trailerLF:
		r.expect(c, '\n')
		return r.err == nil
	}
	return false
}

// size takes one byte of a size line.
func (r *chunkedReader) size(c byte) {
	var digit byte
	switch {
	case c >= '0' && c <= '9':
		digit = c - '0'
	case c >= 'a' && c <= 'f':
		digit = c - 'a' + 10
	case c >= 'A' && c <= 'F':
		digit = c - 'A' + 10
	case r.line == 1:
		r.fail("a chunk has no size")
		return
	case c == '\r':
		r.state = chunkSizeLF
		return
	case c == '\n':
		r.sizeDone()
		return
	case c == ';' || c == ' ' || c == '\t':
		r.state = chunkExt
		return
	default:
		r.fail("a chunk size is not a hexadecimal number")
		return
	}
	switch {
	case r.left >= 1<<56: // 16 digits, but for zeros in front of them
		r.fail("a chunk size is too large")
		return
	case r.line > maxChunkLine:
		r.fail("a chunk size line is too long")
		return
	}
	r.left = r.left<<4 | uint64(digit)
}

func (r *chunkedReader) sizeDone() {
	r.line = 0
	r.state = chunkData
	if r.left == 0 {
		r.state = trailerStart
	}
}

func (r *chunkedReader) nextSize() {
	r.line, r.left, r.state = 0, 0, chunkSize
}

func (r *chunkedReader) expect(c, want byte) {
	if c != want {
		r.fail("a chunk is not followed by a line end")
	}
}

func (r *chunkedReader) fail(what string) {
	r.err = &Error{Class: ClassProtocol, Detail: what}
}
