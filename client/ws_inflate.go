package client

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"
)

// windowSize is how far back a compressed message may refer, in bytes (RFC 1951).
const windowSize = 32 << 10

// An inflater unpacks the messages of one connection. It keeps as much of them as the next may refer to.
type inflater struct {
	takeover bool   // they may refer to the ones before
	window   []byte // the end of those
	out      []byte // the message unpacked last
}

// unpackers are shared: one costs more than all else that a connection has.
var unpackers = sync.Pool{New: func() any { return &unpacker{} }}

type unpacker struct {
	in io.ReadCloser
	r  bytes.Reader
	// tail is the empty block that was left out, and a last one, so that the stream has an end.
	tail   bytes.Reader
	source io.Reader
}

const lastBlock = emptyBlock + "\x01\x00\x00\xff\xff"

func (u *unpacker) reset(packed, window []byte) {
	u.r.Reset(packed)
	u.tail.Reset([]byte(lastBlock))
	u.source = io.MultiReader(&u.r, &u.tail)
	if u.in == nil {
		u.in = flate.NewReaderDict(u.source, window)
		return
	}
	_ = u.in.(flate.Resetter).Reset(u.source, window) // it doesn't fail
}

// message unpacks one message of at most max bytes. What it gives is valid until the next.
func (i *inflater) message(packed []byte, max int) ([]byte, error) {
	u := unpackers.Get().(*unpacker)
	defer unpackers.Put(u)
	u.reset(packed, i.window)
	i.out = i.out[:0]
	for {
		if len(i.out) == cap(i.out) {
			i.out = append(i.out, make([]byte, min(len(i.out)+512, max+1-len(i.out)))...)[:len(i.out)]
		}
		n, err := u.in.Read(i.out[len(i.out):cap(i.out)])
		i.out = i.out[:len(i.out)+n]
		switch {
		case len(i.out) > max:
			return nil, ErrTooBig
		case err == io.EOF:
			i.slide()
			return i.out, nil
		case err != nil:
			var corrupt flate.CorruptInputError
			if errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, protocolError("a compressed message can't be unpacked")
			}
			return nil, err
		}
	}
}

// slide keeps the end of what was unpacked.
func (i *inflater) slide() {
	if !i.takeover {
		return
	}
	if keep := windowSize - len(i.out); keep > 0 {
		i.window = append(i.window[max(0, len(i.window)-keep):], i.out...)
	} else {
		i.window = append(i.window[:0], i.out[len(i.out)-windowSize:]...)
	}
}
