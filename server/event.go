package server

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/rtbench/rtbench/client"
)

// The parts of a scheduled text payload, in the order they are written around sequence, stamp and padding.
const (
	jsonStamp = `,"stamp":"`
	jsonPad   = `","pad":"`
	jsonTail  = `"}`
)

// jsonHead opens the payload of a topic, whose name needs no escaping.
func jsonHead(topic string) string { return `{"topic":"` + topic + `","seq":` }

// An event is published once and shared by all its subscribers; it never changes.
type event struct {
	id     uint64 // consecutive over all topics, from 1
	seq    uint64 // consecutive within the topic, from 1
	topic  *topic
	due    int64     // ns since the Unix epoch
	sent   int64     // ns since the Unix epoch
	at     time.Time // sent, on the monotonic clock
	binary bool
	data   []byte // the payload, as a WebSocket message carries it
	sender uint64 // number of the subscriber that published it; 0 for nobody

	chunked sync.Once
	text    []byte // a block of an SSE stream as a chunk of HTTP/1.1; see chunk
	head    int    // where the block begins in it

	framed  sync.Once
	message []byte // a WebSocket message; see frame
}

// cost is what keeping e takes, in bytes, both encodings included.
func (e *event) cost() int { return 256 + 3*len(e.data) }

// wanted is when e was due, on the monotonic clock. A publisher's clock is its own: no event is due later than it was
// published, nor, since no delay is longer, more than maxFaultTime before that.
func (e *event) wanted() time.Time {
	late := e.sent - e.due
	switch {
	case e.due >= e.sent:
		late = 0
	case late < 0 || late > int64(maxFaultTime): // less than 0 once it overflows
		late = int64(maxFaultTime)
	}
	return e.at.Add(-time.Duration(late))
}

// lineEnd ends a chunk and its length.
const lineEnd = "\r\n"

// chunk gives e as a block of an SSE stream, framed as a chunk of HTTP/1.1. The first subscriber that needs it encodes it
// for all of them.
func (e *event) chunk() []byte {
	e.chunked.Do(func() {
		m := sse.Message{ID: sse.ID(strconv.FormatUint(e.id, 10))}
		data := e.data
		if e.binary {
			data = armor(e.data)
		}
		m.AppendData(string(data))
		if n := len(data); n == 0 || data[n-1] == '\n' || data[n-1] == '\r' {
			m.AppendData("\n") // an empty last line, which AppendData would leave out
		}
		var block bytes.Buffer
		block.Grow(len(data) + 64)
		_, _ = m.WriteTo(&block) // a Buffer doesn't fail
		b := make([]byte, 0, block.Len()+32)
		b = append(strconv.AppendInt(b, int64(block.Len()), 16), lineEnd...)
		e.head = len(b)
		e.text = append(append(b, block.Bytes()...), lineEnd...)
	})
	return e.text
}

// block gives e as a block of an SSE stream.
func (e *event) block() []byte {
	chunk := e.chunk()
	return chunk[e.head : len(chunk)-len(lineEnd)]
}

// frame gives e as a WebSocket message in one frame (RFC 6455, 5.2), uncompressed and, as from a server, unmasked. The
// first subscriber that needs it encodes it for all of them.
func (e *event) frame() []byte {
	e.framed.Do(func() {
		const final, text, binaryData = 1 << 7, 1, 2
		b := append(make([]byte, 0, len(e.data)+10), final|text)
		if e.binary {
			b[0] = final | binaryData
		}
		switch n := len(e.data); {
		case n < 126:
			b = append(b, byte(n))
		case n <= math.MaxUint16:
			b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
		default:
			b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
		}
		e.message = append(b, e.data...)
	})
	return e.message
}

// armor puts a binary payload into text: its stamp and a dot if it has one, so that the stamp can still be found,
// then the whole payload in base64.
func armor(data []byte) []byte {
	var b []byte
	if stamp, _, ok := client.FindStamp(data, 0); ok {
		b = append(client.AppendStamp(b, stamp), '.')
	}
	return base64.StdEncoding.AppendEncode(b, data)
}

// A payload writes the payloads of scheduled events.
type payload struct {
	run    uint32
	size   int
	binary bool
	filler []byte // what follows the stamp
}

func newPayload(o Options, run uint32) *payload {
	p := &payload{run: run, size: o.Size, binary: o.Binary}
	if !o.Binary {
		p.filler = bytes.Repeat([]byte("x"), o.Size)
		return p
	}
	rng := rand.New(rand.NewPCG(o.Seed, drawPayload))
	for len(p.filler) < o.Size-client.StampLen {
		p.filler = append(p.filler, byte(rng.Uint32()))
	}
	return p
}

// build writes the payload of event seq of t.
func (p *payload) build(t *topic, seq uint64, due, sent int64) []byte {
	stamp := client.Stamp{Run: p.run, Source: t.source, Seq: seq, Due: due, Sent: sent}
	if p.binary {
		b := client.AppendStamp(make([]byte, 0, max(p.size, client.StampLen)), stamp)
		return append(b, p.filler...)
	}
	b := append(make([]byte, 0, max(p.size, 256)), t.head...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, jsonStamp...)
	b = client.AppendStamp(b, stamp)
	if p.size > 0 {
		b = append(b, jsonPad...)
		b = append(b, p.filler[:p.size-len(b)-len(jsonTail)]...)
	}
	return append(b, jsonTail...)
}
