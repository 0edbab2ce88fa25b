package client

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// ErrTooBig is how a stream ends that sent an event over the size limit.
var ErrTooBig error = &Error{Class: ClassTooBig}

// maxRetry bounds the reconnection time a server can ask for: a day is "never" for any run.
const maxRetry = 24 * time.Hour

// A decoder remembers so many event names, of so many bytes; more and longer ones are only slower.
const (
	maxKinds   = 64
	maxKindLen = 128
)

// maxName is what a line may have over the limit, so that the limit is one of data.
const maxName = len("data: ")

// A Decoder parses an event stream as the WHATWG HTML standard says (section 9.2.6, "Interpreting an event
// stream"), incrementally: bytes go in as they come, and an event comes out as soon as the line end that completes
// it is in, even where that is the CR of a CRLF whose LF is still on its way.
//
//	for each chunk read: d.Feed(chunk); for { event, ok, err := d.Next(); … }
//
// It allocates nothing per event once its buffers have grown. An unfinished block at the end of the stream is never
// delivered and never moves the id. Not safe for concurrent use.
type Decoder struct {
	in      []byte           // what is left of the chunk fed last; not ours
	lfEnd   int              // where the next LF in in is, counted from its end; -1 if there is none, 0 if unknown
	max     int              // bytes of one event's data
	retry   time.Duration    // of the block being read; negative if none
	bom     int              // bytes of a byte order mark matched so far; -1 once past the start
	skipLF  bool             // a line ended in CR: an LF right after it belongs to it
	has     [numParts]bool   // the block being read has such a field
	ours    [numParts]bool   // what it has is in bufs
	parts   [numParts][]byte // what it has: in the chunk, or in bufs
	lastID  []byte           // the last event id of the stream
	short   [24]byte         // of lastID, as long as that is no longer
	stopped error

	// What follows is seldom needed.
	line  []byte // the start of a line whose end hasn't come
	bufs  [numParts][]byte
	fixed []byte // data with its ill-formed UTF-8 replaced
	kinds map[string]string
}

// A part is what a field gives a block: the standard's data buffer, event type buffer and id buffer.
type part uint8

const (
	partData part = iota
	partKind
	partID
	numParts
)

// NewDecoder returns a decoder for one stream whose last event id is from. An event with more than max bytes of data
// fails, and so does a line that is longer than one with so much data.
func NewDecoder(max int, from Cursor) *Decoder {
	d := new(Decoder)
	d.init(max, from)
	return d
}

// init makes the zero Decoder a new one. It must not be copied after that.
func (d *Decoder) init(max int, from Cursor) {
	d.max, d.retry = max, -1
	d.lastID = append(d.short[:0], from...)
}

// set gives the block a part. lasts says that value lasts as long as the chunk does, where it stays then.
func (d *Decoder) set(p part, value []byte, lasts bool) {
	d.has[p] = true
	d.ours[p] = false
	d.parts[p] = value
	if !lasts {
		d.own(p)
	}
}

// own keeps a part for longer.
func (d *Decoder) own(p part) {
	if d.has[p] && !d.ours[p] {
		d.bufs[p] = append(d.bufs[p][:0], d.parts[p]...)
		d.parts[p], d.ours[p] = d.bufs[p], true
	}
}

// add gives the block another line of data.
func (d *Decoder) add(value []byte) {
	d.own(partData)
	d.bufs[partData] = append(append(d.bufs[partData], '\n'), value...)
	d.parts[partData] = d.bufs[partData]
}

// Feed gives the next bytes of the stream. All events of the bytes before must have been taken with Next; chunk must
// stay as it is until Next has reported that there is no more.
func (d *Decoder) Feed(chunk []byte) {
	if d.stopped != nil {
		return
	}
	d.in, d.lfEnd = chunk, 0
	if d.bom >= 0 {
		d.skipBOM()
	}
}

const bom = "\xEF\xBB\xBF"

// skipBOM drops one leading byte order mark, which may come in pieces.
func (d *Decoder) skipBOM() {
	for len(d.in) > 0 && d.bom < len(bom) {
		if d.in[0] != bom[d.bom] {
			d.line = append(d.line, bom[:d.bom]...) // it was the start of a line after all
			d.bom = -1
			return
		}
		d.in = d.in[1:]
		d.bom++
	}
	if d.bom == len(bom) {
		d.bom = -1
	}
}

// Buffered reports whether bytes fed belong to what follows the last event: more may come without another read. Line
// ends alone don't, such as the LF of the CR that completed the event.
func (d *Decoder) Buffered() bool { return len(bytes.TrimLeft(d.in, "\r\n")) > 0 }

// unread is how many of the bytes fed last Next hasn't taken.
func (d *Decoder) unread() int { return len(d.in) }

// LastID is the last event id string of the stream, where to resume. It is valid until the next call of Next.
func (d *Decoder) LastID() Cursor { return d.lastID }

// Next gives the next event of the bytes fed; ok is false where they hold no more. An event's ID and Data are valid
// until the next call. After an error the decoder is done and repeats it.
func (d *Decoder) Next() (ev Event, ok bool, err error) {
	ok, err = d.next(&ev)
	return ev, ok, err
}

// next is Next into ev, whose arrival stays.
func (d *Decoder) next(ev *Event) (ok bool, err error) {
	if d.stopped != nil {
		return false, d.stopped
	}
	for {
		line, lasts, ok := d.nextLine()
		if !ok {
			for p := range numParts {
				d.own(p)
			}
			return false, d.stopped
		}
		if len(line) == 0 {
			if d.dispatch(ev) {
				return true, nil
			}
			continue
		}
		if line[0] == ':' {
			d.comment(ev, line[1:])
			return true, nil
		}
		if !d.field(line, lasts) {
			return false, d.tooBig()
		}
	}
}

func (d *Decoder) tooBig() error {
	d.stopped = ErrTooBig
	d.in, d.line = nil, nil
	return d.stopped
}

// nextLine takes one line without its end. The line is valid until the next call, or, where it lasts, as long as the chunk.
func (d *Decoder) nextLine() (line []byte, lasts, ok bool) {
	if d.skipLF && len(d.in) > 0 {
		d.skipLF = false
		if d.in[0] == '\n' {
			d.in = d.in[1:]
		}
	}
	end := d.lineEnd()
	if end < 0 {
		if len(d.in) > 0 {
			if len(d.line)+len(d.in) > d.max+maxName {
				d.tooBig()
				return nil, false, false
			}
			d.line = append(d.line, d.in...)
			d.in = nil
		}
		return nil, false, false
	}
	line = d.in[:end]
	d.skipLF = d.in[end] == '\r'
	d.in = d.in[end+1:]
	if len(d.line)+len(line) > d.max+maxName {
		d.tooBig()
		return nil, false, false
	}
	if len(d.line) > 0 {
		line = append(d.line, line...)
		d.line = line[:0]
		return line, false, true
	}
	return line, true, true
}

// lineEnd is where the next CR or LF is, -1 if there is none. It remembers where the next LF is, so that a chunk of
// CRs isn't searched again for each of them.
func (d *Decoder) lineEnd() int {
	if d.lfEnd == 0 || d.lfEnd > len(d.in) {
		if d.lfEnd = -1; len(d.in) > 0 {
			if lf := bytes.IndexByte(d.in, '\n'); lf >= 0 {
				d.lfEnd = len(d.in) - lf
			}
		}
	}
	lf := len(d.in) - d.lfEnd
	if d.lfEnd < 0 {
		return bytes.IndexByte(d.in, '\r')
	}
	if cr := bytes.IndexByte(d.in[:lf], '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// field takes one "name: value" line, which lasts as long as the chunk or doesn't. It fails where the event grows over the
// limit.
func (d *Decoder) field(line []byte, lasts bool) bool {
	name, value, _ := bytes.Cut(line, []byte{':'})
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		if d.has[partData] {
			d.add(value)
		} else {
			d.set(partData, value, lasts)
		}
		return len(d.parts[partData]) <= d.max
	case "event":
		d.set(partKind, value, lasts)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.set(partID, value, lasts)
		}
	case "retry":
		if ms, ok := digits(value, int64(maxRetry/time.Millisecond)); ok {
			d.retry = time.Duration(ms) * time.Millisecond
		}
	}
	return true
}

// digits reads ASCII digits, however many: a number that is over most, which must be less than 2⁵⁹, is most.
func digits(value []byte, most int64) (n int64, ok bool) {
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), most)
	}
	return n, len(value) > 0
}

// dispatch ends a block. It reports false where that holds nothing that anybody needs to know.
func (d *Decoder) dispatch(ev *Event) (useful bool) {
	if d.has[partID] {
		d.lastID = append(d.lastID[:0], wellFormed(d.parts[partID], &d.fixed)...)
	}
	ev.fill(Message, nil)
	ev.ID, ev.OwnID, ev.Retry = d.lastID, d.has[partID], d.retry
	// The standard drops a block whose data buffer is empty; a lone "data" line leaves it with one LF, which is
	// taken off at the end, so that block does count.
	if d.has[partData] {
		ev.Kind = d.kindName()
		ev.Data = wellFormed(d.parts[partData], &d.fixed)
	} else {
		ev.Type = Hint
	}
	useful = d.has[partData] || d.has[partID] || d.retry >= 0
	d.has, d.retry = [numParts]bool{}, -1
	return useful
}

// rest is what counts of a block that the end of the stream cuts off: the reconnection time, which is set with its field.
func (d *Decoder) rest() (ev Event, ok bool) {
	ev.fill(Hint, nil)
	ev.ID, ev.Retry = d.lastID, d.retry
	return ev, d.retry >= 0 && d.stopped == nil
}

func (d *Decoder) comment(ev *Event, text []byte) {
	ev.fill(Comment, wellFormed(text, &d.fixed))
	ev.ID = d.lastID
}

// kindName gives the event's name as a string, made once for each name.
func (d *Decoder) kindName() string {
	kind := d.parts[partKind]
	if !d.has[partKind] || len(kind) == 0 || string(kind) == "message" {
		return "message"
	}
	if name, ok := d.kinds[string(kind)]; ok {
		return name
	}
	name := string(appendWellFormed(nil, kind))
	if len(d.kinds) < maxKinds && len(kind) <= maxKindLen {
		if d.kinds == nil {
			d.kinds = make(map[string]string)
		}
		d.kinds[string(kind)] = name
	}
	return name
}

// wellFormed returns b, or a repaired copy in *scratch where it isn't UTF-8.
func wellFormed(b []byte, scratch *[]byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	*scratch = appendWellFormed((*scratch)[:0], b)
	return *scratch
}
