package client

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// follow scans pieces and gives, for each, how much of it kept the rules, and the events that ended in it.
func follow(pieces []string) (taken, events int, err error) {
	var s frameScanner
	for _, piece := range pieces {
		n, err := s.Scan([]byte(piece))
		taken += n
		events += s.events
		if err != nil {
			return taken, events, err
		}
	}
	return taken, events, nil
}

func TestFrameScannerFollowsFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire strings.Builder
		want, open := 0, false
		for range rapid.IntRange(0, 8).Draw(t, "frames") {
			payload := strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 2, 125, 126, 65535, 65536}).Draw(t, "length"))
			switch control := rapid.SampledFrom([]byte{opText, opText, opPing, opPong}).Draw(t, "opcode"); {
			case control == opPing:
				wire.WriteString(frame(fin|opPing, payload[:min(len(payload), 125)]))
				want++
			case control == opPong:
				wire.WriteString(frame(fin|opPong, payload[:min(len(payload), 125)]))
			default:
				opcode := byte(opBinary)
				if open {
					opcode = opCont
				}
				if open = rapid.Bool().Draw(t, "more to come"); !open {
					opcode |= fin
					want++
				}
				wire.WriteString(frame(opcode, payload))
			}
		}
		how := rapid.SliceOf(rapid.Byte()).Draw(t, "cuts")
		taken, events, err := follow(cut([]byte(wire.String()), how))
		if err != nil || taken != wire.Len() || events != want {
			t.Fatalf("%d of %d bytes, %d events of %d, %v", taken, wire.Len(), events, want, err)
		}
	})
}

// A read's events share it when there are more of them, or when anything follows.
func TestFrameScannerShared(t *testing.T) {
	a, b := frame(wholeText, "a"), frame(opText, "b")
	var s frameScanner // one for all the pieces of one stream
	for _, test := range []struct {
		piece   string
		shared  bool
		between bool
	}{
		{a, false, true},
		{a + a, true, true},
		{a + a[:1], true, false},
		{a[1:], false, true},
		{b + frame(fin|opCont, ""), false, true},
		{b, false, false},
		{frame(fin|opPing, ""), false, false},
		{frame(fin|opCont, "") + frame(fin|opPing, ""), true, true},
		{frame(fin|opPong, "") + a, false, true},
		{a + closing(1000, ""), true, true},
	} {
		if _, err := s.Scan([]byte(test.piece)); err != nil || s.Shared() != test.shared || s.Between() != test.between {
			t.Errorf("%q: shared %v, between %v, %v", test.piece, s.Shared(), s.Between(), err)
		}
	}
}

// Any bytes, however cut, break the rules at the same place or nowhere.
func FuzzFrameScanner(f *testing.F) {
	for _, test := range frames {
		if len(test.sent) < 1000 {
			f.Add([]byte(test.sent), []byte{1, 1, 2, 3, 5, 8})
		}
	}
	f.Fuzz(func(t *testing.T, wire, how []byte) {
		taken, events, err := follow([]string{string(wire)})
		cutTaken, cutEvents, cutErr := follow(cut(wire, how))
		bytewise := make([]string, len(wire))
		for i := range wire {
			bytewise[i] = string(wire[i : i+1])
		}
		byteTaken, byteEvents, byteErr := follow(bytewise)
		if got := []int{cutTaken, cutEvents, byteTaken, byteEvents}; !slices.Equal(got, []int{taken, events, taken, events}) ||
			(err != nil) != (cutErr != nil) || (err != nil) != (byteErr != nil) {
			t.Errorf("%q cut by %v: %v, want %d and %d; %v, %v, %v", wire, how, got, taken, events, err, cutErr, byteErr)
		}
		if err == nil && taken != len(wire) {
			t.Errorf("%d of %d bytes without an error", taken, len(wire))
		}
	})
}
