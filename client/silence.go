package client

import (
	"sync/atomic"
	"time"
)

// learnedLeast is the shortest limit that is learned.
const learnedLeast = time.Second

// oneBeat is how close heartbeats are that are lines of one.
const oneBeat = 100 * time.Millisecond

// A silence is how long a stream may be silent before it is taken for dead: a given time, or one that is learned from
// the heartbeats of all streams of a Net. nil is for no limit. Safe for concurrent use.
type silence struct {
	given   time.Duration // 0 for none
	learns  bool
	longest atomic.Int64 // the longest that was survived, of streams with heartbeats, ns
	beat    atomic.Int64 // the shortest time between two heartbeats, ns; 0 before any
}

// limit gives the limit as it is now; 0 for none. A busy stream may never have been silent for as long as its heartbeats
// allow, and one whose heartbeats come only where it is silent has them further apart.
func (s *silence) limit() time.Duration {
	switch {
	case s == nil:
		return 0
	case s.learns && s.beat.Load() > 0:
		return max(learnedLeast, time.Duration(max(s.beat.Load(), s.longest.Load()))*5/2)
	}
	return s.given
}

// silenceLook is how often it is looked at least whether a limit that is to be learned was; one that is long may have become
// shorter.
const silenceLook = time.Second

// next says until when to wait for a stream that is silent since a time, before its silence is looked at; limited is false
// where that is for ever.
func (s *silence) next(since, now time.Time) (look time.Time, limited bool) {
	limit := s.limit()
	switch {
	case s == nil || limit == 0 && !s.learns:
		return time.Time{}, false
	case !s.learns:
		return since.Add(limit), true
	}
	look = now.Add(max(silenceLook, limit/4))
	if due := since.Add(limit); limit > 0 && due.Before(look) {
		look = due
	}
	return look, true
}

// over reports whether a stream that is silent since a time has been so for too long.
func (s *silence) over(since, now time.Time) bool {
	limit := s.limit()
	return limit > 0 && now.Sub(since) >= limit
}

// learn notes how long a stream was silent, and how far its heartbeats were apart.
func (s *silence) learn(silent, apart time.Duration) {
	for longest := s.longest.Load(); int64(silent) > longest && !s.longest.CompareAndSwap(longest, int64(silent)); longest = s.longest.Load() {
	}
	for beat := s.beat.Load(); (beat == 0 || int64(apart) < beat) && !s.beat.CompareAndSwap(beat, int64(apart)); beat = s.beat.Load() {
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

// IdleLimit gives how long a stream may be silent as it is now: what was learned, where the Net learns and there was
// something to learn from, else Idle. 0 is for no limit. Safe for concurrent use.
func (n *Net) IdleLimit() time.Duration { return n.silences().limit() }

// beat notes that what was read last was a heartbeat.
func (c *conn) beat() {
	if c.silence == nil || !c.silence.learns {
		return
	}
	if apart := c.lastRead.Sub(c.beaten); !c.beaten.IsZero() {
		if apart < oneBeat {
			return
		}
		c.silence.learn(c.silent, apart)
	}
	c.beaten = c.lastRead
}
