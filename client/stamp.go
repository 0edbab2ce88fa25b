package client

import (
	"bytes"
	"encoding/binary"
)

// A Stamp is the token that rtbench puts into a payload to know an event again: who sent it, which one it is,
// when it was due and when it left. It is printable ASCII without a character that JSON, a URL or an event
// stream would escape, so it survives being wrapped, echoed and re-encoded by the system under test, in text
// and in binary payloads alike.
//
// The wire form is 64 bytes: "rtb1", then run (8), source (8), sequence (12), due (16) and sent (16) as
// lower-case hexadecimal.
type Stamp struct {
	Run    uint32 // which process wrote it; tells a run's own messages from everybody else's
	Source uint32 // a connection, a publisher or a topic: sequences count per source
	Seq    uint64 // 48 bits
	Due    int64  // when the schedule wanted it sent, ns since the Unix epoch
	Sent   int64  // when it was really sent, ns since the Unix epoch
}

// StampLen is the length of an encoded Stamp in bytes.
const StampLen = 64

const (
	stampMagic   = "rtb1"
	stampSentPos = StampLen - 16
	// stampSearch bounds how far into a payload FindStamp looks.
	stampSearch = 64 << 10
)

const hexDigits = "0123456789abcdef"

// AppendStamp appends the wire form of s to b.
func AppendStamp(b []byte, s Stamp) []byte {
	b = append(b, stampMagic...)
	b = appendHex(b, uint64(s.Run), 8)
	b = appendHex(b, uint64(s.Source), 8)
	b = appendHex(b, s.Seq, 12)
	b = appendHex(b, uint64(s.Due), 16)
	return appendHex(b, uint64(s.Sent), 16)
}

// RestampSent overwrites the sent time of the encoded stamp at the start of b, which must hold one.
func RestampSent(b []byte, sent int64) {
	appendHex(b[:stampSentPos], uint64(sent), 16)
}

func appendHex(b []byte, v uint64, digits int) []byte {
	for shift := (digits - 1) * 4; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&15])
	}
	return b
}

// FindStamp looks for the first stamp in the first 64 KiB of data. hint is where one was found before, or 0; the
// position found comes back as the next hint, since the payloads of one stream mostly have one shape.
func FindStamp(data []byte, hint int) (s Stamp, pos int, ok bool) {
	pos, ok = s.Find(data, hint)
	return s, pos, ok
}

// Find is FindStamp into s, which it leaves alone where there is no stamp.
func (s *Stamp) Find(data []byte, hint int) (pos int, ok bool) {
	if hint >= 0 && len(data)-hint >= StampLen && s.parse(data[hint:hint+StampLen]) {
		return hint, true
	}
	data = data[:min(len(data), stampSearch)]
	for from := 0; len(data)-from >= StampLen; {
		i := bytes.Index(data[from:], []byte(stampMagic))
		if i < 0 || len(data)-from-i < StampLen {
			break
		}
		from += i
		if s.parse(data[from : from+StampLen]) {
			return from, true
		}
		from++
	}
	return hint, false
}

// parse decodes exactly StampLen bytes, eight digits at a time.
func (s *Stamp) parse(b []byte) bool {
	b = b[:StampLen:StampLen]
	if string(b[:4]) != stampMagic {
		return false
	}
	run, ok0 := hex8(b[4:])
	source, ok1 := hex8(b[12:])
	seqHigh, ok2 := hex8(b[20:])
	seqDue, ok3 := hex8(b[28:]) // four digits of the sequence, four of the due time
	due1, ok4 := hex8(b[36:])
	due2, ok5 := hex8(b[44:]) // four digits of the due time, four of the sent time
	sent1, ok6 := hex8(b[52:])
	sent2, ok7 := hex8(b[56:]) // overlaps sent1 by four digits
	if !(ok0 && ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) {
		return false
	}
	s.Run = run
	s.Source = source
	s.Seq = uint64(seqHigh)<<16 | uint64(seqDue>>16)
	s.Due = int64(uint64(seqDue)<<48 | uint64(due1)<<16 | uint64(due2>>16))
	s.Sent = int64(uint64(due2)<<48 | uint64(sent1)<<16 | uint64(sent2)&0xffff)
	return true
}

// hex8 decodes eight lower-case hexadecimal digits without a branch a digit.
func hex8(b []byte) (uint32, bool) {
	const ones = 0x0101010101010101
	x := binary.BigEndian.Uint64(b)
	letters := x >> 6 & ones
	v := x&(0x0f*ones) + 9*letters
	valid := x&(0xf0*ones) == 0x30*ones+0x30*letters && // high halves 3 for digits, 6 for letters
		v&(0x10*ones) == 0 && // letters up to 'f'
		(v+6*ones)>>4&ones == letters // digits up to '9', letters from 'a'
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16), valid
}

// HashSource gives the source number of a name, such as a topic: 32 bits of FNV-1a.
func HashSource(name string) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(name); i++ {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}
