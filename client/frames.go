package client

// A frameScanner follows the frames of RFC 6455, 5.2, in the bytes that pass by. The library that takes them apart
// doesn't say how many messages one read held, and lets through some frames that a server must not send.
type frameScanner struct {
	head       [10]byte // of the frame that is passing by
	have       int      // bytes of it so far
	left       uint64   // bytes of its payload to come
	fragmented bool     // the message isn't over with this frame
	events     int      // messages and pings that ended in the bytes scanned last
	beyond     bool     // more bytes followed the last of them
}

// Shared reports whether the bytes scanned last held more than the event that ended in them.
func (s *frameScanner) Shared() bool { return s.events > 1 || s.beyond }

// Between reports whether no message has begun that hasn't ended.
func (s *frameScanner) Between() bool { return s.have == 0 && !s.fragmented }

// Scan takes the next bytes. Where a frame breaks a rule, n says how many bytes came before that.
func (s *frameScanner) Scan(p []byte) (n int, err error) {
	s.events, s.beyond = 0, false
	for n < len(p) {
		if s.have == s.headSize() {
			skip := min(s.left, uint64(len(p)-n))
			s.left -= skip
			n += int(skip)
		} else {
			s.head[s.have] = p[n]
			if s.have++; s.have == s.headSize() {
				if err := s.begin(); err != nil {
					return n, err
				}
			}
			n++
		}
		if s.have == s.headSize() && s.left == 0 {
			s.end(n < len(p))
		}
	}
	return n, nil
}

// headSize is the size of the frame's head without a mask, as far as is known.
func (s *frameScanner) headSize() int {
	if s.have < 2 {
		return 2
	}
	switch s.head[1] & 0x7F {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// begin reads the whole head of a frame.
func (s *frameScanner) begin() error {
	if s.head[1]&0x80 != 0 {
		return &Error{Class: ClassProtocol, Detail: "a frame is masked, which only a client's may be"}
	}
	s.left = uint64(s.head[1])
	least := uint64(0)
	switch s.left {
	case 126:
		s.left, least = 0, 126
	case 127:
		s.left, least = 0, 1<<16
	}
	for _, b := range s.head[2:s.have] {
		s.left = s.left<<8 | uint64(b)
	}
	if s.left < least || s.left >= 1<<63 {
		return &Error{Class: ClassProtocol, Detail: "a frame's length is not encoded as it must be"}
	}
	return nil
}

// end notes that the frame is over, and whether more bytes follow.
func (s *frameScanner) end(more bool) {
	const ping = 9
	last, opcode := s.head[0]&0x80 != 0, s.head[0]&0x0F
	s.have = 0
	if opcode < 8 {
		s.fragmented = !last
	}
	if opcode < 8 && last || opcode == ping {
		s.events++
		s.beyond = more
	}
}
