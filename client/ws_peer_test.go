package client

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// The framing of RFC 6455, 5.2, written here a second time: what judges the client must not share its code.
const (
	fin       = 0x80
	rsv1      = 0x40
	rsv2      = 0x20
	rsv3      = 0x10
	opCont    = 0x0
	opText    = 0x1
	opBinary  = 0x2
	opClose   = 0x8
	opPing    = 0x9
	opPong    = 0xA
	wholeText = fin | opText
)

// frame builds an unmasked frame; first holds FIN, the reserved bits and the opcode.
func frame(first byte, payload string) string {
	head := []byte{first, byte(len(payload))}
	switch {
	case len(payload) > 0xFFFF:
		head = binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(len(payload)))
	case len(payload) > 125:
		head = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(len(payload)))
	}
	return string(head) + payload
}

// closing builds a Close frame with a code and a reason.
func closing(code uint16, reason string) string {
	return frame(fin|opClose, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// masked builds a frame as a client must send it and a server must not.
func masked(first byte, payload string) string {
	b := []byte(payload)
	for i := range b {
		b[i] ^= "\x11\x22\x33\x44"[i%4]
	}
	return string([]byte{first, 0x80 | byte(len(b))}) + "\x11\x22\x33\x44" + string(b)
}

// upgrade answers a handshake as a server must (RFC 6455, 4.2.2); extra is added to the head.
func (p *peer) upgrade(extra string) bool {
	if !p.read() {
		return false
	}
	h := p.request.Header
	sum := sha1.Sum([]byte(h.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if h.Get("Upgrade") != "websocket" || h.Get("Connection") != "Upgrade" || h.Get("Sec-WebSocket-Version") != "13" || len(h.Get("Sec-WebSocket-Key")) != 24 {
		return p.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") && false
	}
	return p.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n" + extra + "\r\n")
}

// readFrame reads a frame of the client's, which must be masked.
func (p *peer) readFrame() (first byte, payload string, err error) {
	var head [14]byte
	if _, err := io.ReadFull(p.r, head[:2]); err != nil {
		return 0, "", err
	}
	if head[1]&0x80 == 0 {
		return 0, "", errors.New("the client sent a frame that isn't masked")
	}
	n := uint64(head[1] & 0x7F)
	switch n {
	case 126:
		_, err = io.ReadFull(p.r, head[2:4])
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		_, err = io.ReadFull(p.r, head[2:10])
		n = binary.BigEndian.Uint64(head[2:])
	}
	if err != nil {
		return 0, "", err
	}
	b := make([]byte, n+4)
	if _, err := io.ReadFull(p.r, b); err != nil {
		return 0, "", err
	}
	for i := range b[4:] {
		b[4+i] ^= b[i%4]
	}
	return head[0], string(b[4:]), nil
}

// hear reads frames to the client's Close, and closes the connection on it as a server must; or to the client's end. It
// gives each frame in a word or two: "text hi", "pong x", "close 1000".
func (p *peer) hear() []string {
	var heard []string
	for {
		first, payload, err := p.readFrame()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
			return heard
		case err != nil:
			return append(heard, err.Error())
		}
		heard = append(heard, describe(first, payload))
		if first == fin|opClose {
			p.Close()
			return heard
		}
	}
}

func describe(first byte, payload string) string {
	switch first {
	case fin | opText:
		return "text " + payload
	case fin | opBinary:
		return "binary " + payload
	case fin | opPing:
		return "ping " + payload
	case fin | opPong:
		return "pong " + payload
	case fin | opClose:
		if len(payload) < 2 {
			return "close"
		}
		return fmt.Sprintf("close %d", binary.BigEndian.Uint16([]byte(payload)))
	}
	return fmt.Sprintf("frame %#x %q", first, payload)
}

// serveWS plays script on every connection that was upgraded.
func serveWS(t testing.TB, script func(*peer)) (addr string) {
	return serve(t, nil, func(p *peer) {
		if p.upgrade("") {
			script(p)
		}
	})
}

// abridge shortens the long payloads of a table.
func abridge(s []string) []string {
	out := make([]string, len(s))
	for i, line := range s {
		if n := len(line); n > 300 {
			line = fmt.Sprintf("%s…%d bytes", line[:20], n)
		}
		out[i] = strings.ReplaceAll(line, "\n", " ")
	}
	return out
}
