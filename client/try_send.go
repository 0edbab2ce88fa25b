package client

// A TrySender is a Sender that can send without waiting for anybody, if the message can be written at once.
type TrySender interface {
	// TrySend is Send where that needn't wait. It reports false, with no error, where it might have to; then it has done
	// nothing. It may be called from any goroutine; p isn't kept.
	TrySend(p []byte) (sent bool, err error)
}

// fewToSend is how many bytes a socket has room for, head included, that says it has room for any: Linux says so only
// where a third of its buffer, which is larger, is free.
const fewToSend = 1 << 10

// TrySend implements TrySender.
func (s *wsStream) TrySend(p []byte) (sent bool, err error) {
	if len(p) > fewToSend || s.inflater != nil || !s.sendMu.TryLock() {
		return false, nil
	}
	defer func() {
		if s.owed.Load() != nil { // a pong may have to wait
			go s.release()
		} else {
			s.release()
		}
	}()
	switch {
	case s.finished:
		return false, errFinished
	case !s.conn.pushed() || !s.conn.room():
		return false, nil
	}
	return true, s.writeFrame(byte(s.sends)|bitFinal, p)
}

// TrySend is Send where that needn't wait. It reports false, with no error, where it might have to, or where the stream
// can't tell; then it has done nothing.
func (s *Session) TrySend(p []byte) (sent bool, err error) {
	s.mu.Lock()
	stream := s.stream
	s.mu.Unlock()
	if stream == nil {
		return false, ErrNotOpen
	}
	if sender, ok := stream.(TrySender); ok {
		return sender.TrySend(p)
	}
	return false, nil
}
