package client

import (
	"bytes"
	"hash/fnv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStampRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Stamp{
			Run: rapid.Uint32().Draw(t, "run"), Source: rapid.Uint32().Draw(t, "source"),
			Seq: rapid.Uint64Max(1<<48-1).Draw(t, "seq"),
			Due: rapid.Int64().Draw(t, "due"), Sent: rapid.Int64().Draw(t, "sent"),
		}
		before := rapid.SliceOf(rapid.Byte()).Draw(t, "before")
		after := rapid.SliceOf(rapid.Byte()).Draw(t, "after")
		if bytes.Contains(before, []byte("rtb1")) {
			t.Skip("a stamp in front of the stamp")
		}
		p := append(AppendStamp(append([]byte{}, before...), want), after...)
		got, pos, ok := FindStamp(p, 0)
		if !ok || got != want || pos != len(before) {
			t.Fatalf("FindStamp = %+v at %d, %v; want %+v at %d", got, pos, ok, want, len(before))
		}
		if again, _, ok := FindStamp(p, pos); !ok || again != want {
			t.Fatalf("with its hint: %+v, %v", again, ok)
		}
		RestampSent(p[pos:], 7)
		want.Sent = 7
		if got, _, _ := FindStamp(p, 3); got != want {
			t.Fatalf("after RestampSent: %+v, want %+v", got, want)
		}
	})
}

func TestHex8RejectsEveryOtherByte(t *testing.T) {
	for pos := range 8 {
		for c := range 256 {
			b := []byte("00000000")
			b[pos] = byte(c)
			_, ok := hex8(b)
			if want := strings.IndexByte(hexDigits, byte(c)) >= 0; ok != want {
				t.Errorf("hex8(%q) valid = %v, want %v", b, ok, want)
			}
		}
	}
}

func TestFindStampIsBoundedAndSkipsLookalikes(t *testing.T) {
	s := AppendStamp(nil, Stamp{Seq: 3})
	if _, _, ok := FindStamp(append(bytes.Repeat([]byte("x"), stampSearch), s...), 0); ok {
		t.Error("found a stamp beyond the search bound")
	}
	got, pos, ok := FindStamp([]byte("rtb1rtb1 "+string(s)), 99999)
	if !ok || got.Seq != 3 || pos != 9 {
		t.Errorf("got %+v at %d, %v", got, pos, ok)
	}
}

func TestHashSource(t *testing.T) {
	for _, name := range []string{"", "a", "default", "room/ü"} {
		want := fnv.New32a()
		want.Write([]byte(name))
		if got := HashSource(name); got != want.Sum32() {
			t.Errorf("%q: %#x, want %#x", name, got, want.Sum32())
		}
	}
}

func FuzzFindStamp(f *testing.F) {
	f.Add(AppendStamp(nil, Stamp{Run: 1, Seq: 2, Due: 3, Sent: 4}), 0)
	f.Add([]byte("rtb1"), -5)
	f.Fuzz(func(t *testing.T, data []byte, hint int) {
		s, pos, ok := FindStamp(data, hint)
		if ok && !bytes.Equal(AppendStamp(nil, s), data[pos:pos+StampLen]) {
			t.Errorf("found %+v at %d, which encodes differently", s, pos)
		}
	})
}

func BenchmarkFindStamp(b *testing.B) {
	p := append([]byte(`{"topic":"default","seq":12,"stamp":"`), AppendStamp(nil, Stamp{Seq: 1})...)
	for b.Loop() {
		FindStamp(p, 37)
	}
}
