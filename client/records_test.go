package client

import (
	"bytes"
	"testing"
)

// record is a TLS record around n bytes.
func record(n int) string {
	return "\x17\x03\x03" + string([]byte{byte(n >> 8), byte(n)}) + string(bytes.Repeat([]byte{0x17}, n))
}

func TestRecordScanner(t *testing.T) {
	a, b := record(20), record(300)
	var s recordScanner // one for all the reads of one stream
	for _, test := range []struct {
		read   string
		ended  int
		size   int
		shared bool
	}{
		{a, 1, 20, false},
		{b, 1, 300, false},
		{a + b, 2, 300, true},
		{a[:1], 0, 300, false},
		{a[1:5], 0, 300, false},
		{a[5:], 1, 20, false},
		{b + a[:4], 1, 300, true},
		{a[4:24], 0, 300, false},
		{a[24:] + b[:100], 1, 20, true},
		{b[100:], 1, 300, false},
		{record(0), 1, 0, false},
		{record(0) + record(0), 2, 0, true},
		{a[:10], 0, 0, false},
		{a[10:] + a, 2, 20, true},
		{record(1<<16 - 1), 1, 1<<16 - 1, false},
	} {
		s.Scan([]byte(test.read))
		if s.ended != test.ended || s.size != test.size || s.Shared() != test.shared {
			t.Errorf("%.30q: %d records, the last one of %d bytes, shared %v; want %d, %d, %v",
				test.read, s.ended, s.size, s.Shared(), test.ended, test.size, test.shared)
		}
	}
}

// Whatever comes, in whatever pieces, the scanner agrees with one that has all of it.
func FuzzRecordScanner(f *testing.F) {
	f.Add([]byte(record(3)+record(0)+record(260)), []byte{1, 2, 200})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), []byte{5})
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		ends := []int{0} // of the whole records in wire
		for at := 0; len(wire)-at >= 5 && len(wire)-at-5 >= int(wire[at+3])<<8|int(wire[at+4]); {
			at += 5 + (int(wire[at+3])<<8 | int(wire[at+4]))
			ends = append(ends, at)
		}
		var s recordScanner
		at := 0
		for _, piece := range cut(wire, cuts) {
			s.Scan([]byte(piece))
			from := at
			at += len(piece)
			ended, last := 0, 0
			for _, end := range ends[1:] {
				if end > from && end <= at {
					ended, last = ended+1, end
				}
			}
			if shared := ended > 1 || ended == 1 && last < at; s.ended != ended || s.Shared() != shared {
				t.Fatalf("bytes %d to %d: %d records, shared %v; want %d, %v", from, at, s.ended, s.Shared(), ended, shared)
			}
		}
	})
}
