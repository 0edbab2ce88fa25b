package client

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

var errFinished = errors.New("the stream is being closed")

const (
	// pongWait bounds how long the answer to a ping may take to be written, to a peer that reads nothing.
	pongWait = 5 * time.Second
	// fewToDeflate is from how many bytes on a message is worth compressing.
	fewToDeflate = 128
	// pieceSize is how much of a message is masked and written at once, in bytes.
	pieceSize = 32 << 10
	// maxFrameHead is the longest head of a frame, with its mask.
	maxFrameHead = 14
)

// writeBuffers hold what is written, masked.
var writeBuffers = sync.Pool{New: func() any { return new([maxFrameHead + pieceSize]byte) }}

// Send implements Sender. The write is bounded by the connection, not by ctx: a context would cost more than the
// message, so Close is what stops a Send that hangs.
func (s *wsStream) Send(ctx context.Context, p []byte) error {
	return s.send(s.sends, p)
}

// send writes one message.
func (s *wsStream) send(op opcode, p []byte) error {
	s.sendMu.Lock()
	defer s.release()
	if s.finished {
		return errFinished
	}
	if s.inflater != nil && len(p) >= fewToDeflate {
		packed, done := pack(p)
		defer done()
		return s.writeFrame(byte(op)|bitFinal|bitRSV1, packed)
	}
	return s.writeFrame(byte(op)|bitFinal, p)
}

// release unlocks sendMu, and writes the answers to what came meanwhile.
func (s *wsStream) release() {
	for {
		if owed := s.owed.Swap(nil); owed != nil && !s.finished {
			s.writeOwed(opcodePong, *owed)
		}
		if owed := s.owedText.Swap(nil); owed != nil && !s.finished {
			s.writeOwed(opcodeText, *owed)
		}
		s.sendMu.Unlock()
		if s.owed.Load() == nil && s.owedText.Load() == nil || !s.sendMu.TryLock() {
			return
		}
	}
}

// owe answers a ping. Where something is being sent, that comes first: reading waits for nothing.
func (s *wsStream) owe(place *atomic.Pointer[[]byte], payload []byte) {
	owed := bytes.Clone(payload)
	place.Store(&owed)
	switch {
	case !s.sendMu.TryLock(): // who has it will look
	case s.conn.room():
		s.release()
	default:
		go s.release()
	}
}

// writeOwed doesn't say whether it could write: if not, the connection is as good as gone, which reading will tell.
func (s *wsStream) writeOwed(op opcode, payload []byte) {
	if s.conn.raw.SetWriteDeadline(time.Now().Add(pongWait)) == nil {
		_ = s.writeFrame(byte(op)|bitFinal, payload)
		_ = s.conn.raw.SetWriteDeadline(time.Time{})
	}
}

// Ping implements Pinger.
func (s *wsStream) Ping() (sent bool) {
	if !s.conn.pushed() || !s.sendMu.TryLock() {
		return false
	}
	defer s.release()
	return !s.finished && s.conn.room() && s.writeFrame(byte(opcodePing)|bitFinal, nil) == nil
}

// Finish implements Finisher.
func (s *wsStream) Finish() error {
	return s.answer(statusNormal, 0)
}

// answer sends a Close with a code, or without one, after which nothing may be sent; once. It fails if that takes longer
// than wait; 0 for no limit.
func (s *wsStream) answer(code int, wait time.Duration) error {
	var payload []byte
	if code != statusNoCode {
		payload = binary.BigEndian.AppendUint16(nil, uint16(code))
	}
	s.sendMu.Lock()
	defer s.release()
	if s.finished {
		return nil
	}
	s.finished = true
	if wait > 0 { // a pong that was under way has taken the deadline away
		if err := s.conn.raw.SetWriteDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
	}
	return s.writeFrame(byte(opcodeClose)|bitFinal, payload)
}

// fail tells the peer what it did wrong. Closing the connection with bytes unread would reset it, and the peer might not hear:
// so Close leaves it open for a while.
func (s *wsStream) fail(code int) {
	s.lingers.Store(s.tell(code) == nil)
}

// maxLingering bounds how many connections of a Net are left open at a time for their peers to hear why.
const maxLingering = 256

// linger closes the connection when its peer has, or the time for that is over. It fails where too many do so.
func (s *wsStream) linger() bool {
	n := &s.net.lingering
	if n.Add(1) > maxLingering {
		n.Add(-1)
		return false
	}
	go func() {
		defer n.Add(-1)
		_, _ = io.Copy(io.Discard, s.conn.tcp) // which leaves alone what Info tells
		s.conn.Close()
	}()
	return true
}

// tell sends a Close as the last thing, once reading has ended. What is under way on the connection ends soon.
func (s *wsStream) tell(code int) error {
	s.conn.silence = nil
	if err := s.conn.raw.SetDeadline(time.Now().Add(closeWait)); err != nil {
		return err
	}
	return s.answer(code, closeWait)
}

// writeFrame writes one frame. sendMu must be held.
func (s *wsStream) writeFrame(first byte, p []byte) error {
	buf := writeBuffers.Get().(*[maxFrameHead + pieceSize]byte)
	defer writeBuffers.Put(buf)
	head := append(buf[:0], first)
	switch n := len(p); {
	case n <= 125:
		head = append(head, bitMask|byte(n))
	case n <= 0xFFFF:
		head = binary.BigEndian.AppendUint16(append(head, bitMask|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, bitMask|127), uint64(n))
	}
	key := rand.Uint32()
	out := binary.LittleEndian.AppendUint32(head, key)
	for {
		piece := p[:min(len(p), pieceSize)]
		p = p[len(piece):]
		out = out[:len(out)+len(piece)]
		mask(out[len(out)-len(piece):], piece, key)
		if _, err := s.conn.Write(out); err != nil || len(p) == 0 {
			return err
		}
		out = buf[:0]
	}
}

// mask writes src to dst, masked with a key that begins with its lowest byte. A piece of pieceSize leaves the key where it
// was.
func mask(dst, src []byte, key uint32) {
	twice := uint64(key)<<32 | uint64(key)
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^twice)
		dst, src = dst[8:], src[8:]
	}
	for i, b := range src {
		dst[i] = b ^ byte(key>>(8*(i%4)))
	}
}

// A packer compresses one message.
type packer struct {
	out bytes.Buffer
	w   *flate.Writer
}

// packers make messages that stand for themselves, so that no connection keeps a window for what it sends.
var packers = sync.Pool{New: func() any {
	p := &packer{}
	p.w, _ = flate.NewWriter(&p.out, flate.BestSpeed) // a level that there is
	return p
}}

// emptyBlock ends what a compressor flushes; it is left out (RFC 7692, 7.2.1).
const emptyBlock = "\x00\x00\xff\xff"

// pack compresses a message. What it gives is valid until done is called.
func pack(message []byte) (packed []byte, done func()) {
	p := packers.Get().(*packer)
	p.out.Reset()
	p.w.Reset(&p.out)
	_, _ = p.w.Write(message) // a Buffer doesn't fail
	_ = p.w.Flush()
	return bytes.TrimSuffix(p.out.Bytes(), []byte(emptyBlock)), func() { packers.Put(p) }
}
