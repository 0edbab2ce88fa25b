package client

// A recordScanner follows the records of TLS (RFC 8446, 5.1) in the bytes that pass by, without their keys.
// crypto/tls doesn't say how many records one read of the socket held.
type recordScanner struct {
	head   [5]byte // of the record that is passing by
	have   int     // bytes of it so far
	left   int     // bytes of its fragment to come
	ended  int     // records that ended in the bytes scanned last
	size   int     // bytes of the fragment of the one that ended last
	beyond bool    // more bytes followed it
}

// Shared reports whether the bytes scanned last held more than the record that ended in them.
func (s *recordScanner) Shared() bool { return s.ended > 1 || s.ended == 1 && s.beyond }

// Scan takes the next bytes. Whether they are good records is for crypto/tls to say.
func (s *recordScanner) Scan(p []byte) {
	s.ended = 0
	for len(p) > 0 {
		if s.have < len(s.head) {
			n := copy(s.head[s.have:], p)
			s.have += n
			p = p[n:]
			if s.have < len(s.head) {
				return
			}
			s.left = s.fragment()
		}
		n := min(s.left, len(p))
		s.left -= n
		p = p[n:]
		if s.left == 0 {
			s.ended++
			s.size, s.beyond = s.fragment(), len(p) > 0
			s.have = 0
		}
	}
}

// fragment is the length that the head says follows it.
func (s *recordScanner) fragment() int { return int(s.head[3])<<8 | int(s.head[4]) }
