package client

import (
	"sync/atomic"
	"time"
)

const (
	// learnedFrom is how many heartbeats a stream must have had before anything is learned from it.
	learnedFrom = 2
	// learnedLeast is the shortest limit that is learned.
	learnedLeast = time.Second
)

// A silence is how long a stream may be silent before it is taken for dead: a given time, or one that is learned from
// the heartbeats of all streams of a Net. nil is for no limit. Safe for concurrent use.
type silence struct {
	given   time.Duration // 0 for none
	learns  bool
	longest atomic.Int64 // the longest that was survived, of streams with heartbeats, ns; 0 before any
}

// limit gives the limit as it is now; 0 for none.
func (s *silence) limit() time.Duration {
	switch longest := s.learned(); {
	case s == nil:
		return 0
	case longest > 0:
		return max(learnedLeast, longest*5/2)
	default:
		return s.given
	}
}

func (s *silence) learned() time.Duration {
	if s == nil || !s.learns {
		return 0
	}
	return time.Duration(s.longest.Load())
}

// open reports whether the limit isn't known yet, and may become known.
func (s *silence) open() bool { return s != nil && s.learns && s.longest.Load() == 0 }

// survived notes how long a stream with heartbeats was silent.
func (s *silence) survived(d time.Duration) {
	for {
		longest := s.longest.Load()
		if int64(d) <= longest || s.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// silences gives what all streams of the Net share; nil where they have no limit.
func (n *Net) silences() *silence {
	if n.Idle == 0 && !n.LearnIdle {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.silence == nil {
		n.silence = &silence{given: n.Idle, learns: n.LearnIdle}
	}
	return n.silence
}

// beat notes that what was read last was a heartbeat.
func (c *conn) beat() {
	if c.silence != nil && c.silence.learns {
		if c.beats++; c.beats >= learnedFrom {
			c.silence.survived(c.silent)
		}
	}
}
