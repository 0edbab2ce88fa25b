package bench

import (
	"github.com/rtbench/rtbench/client"
)

// live says since when a stream that was opened again after a drop is live, given an event of it and when that was due,
// as far as it is known; ok is false where it isn't live yet.
func (s *subscriber) live(at, due int64, known bool) (since int64, ok bool) {
	if known {
		return at, due >= s.reopened
	}
	since, ok = never, true
	for i := range s.tracked {
		switch p := s.tracked[i].resuming; {
		case p == nil:
		case p.live == 0 && p.unclear(): // then nobody knows what is live
			if p.since > 0 {
				since = min(since, p.since)
			}
		case p.live == 0:
			ok = false
		default:
			since = min(since, p.since)
		}
	}
	if since != never {
		return since, true
	}
	return at, ok
}

// retry counts whether a wait is as long as the server asked for.
func (s *subscriber) retry(c *cell, closed *client.Closed, e *client.Error) {
	asked := max(closed.RetryHint, e.RetryAfter)
	if closed.Final || closed.RetryHint < 0 && e.RetryAfter == 0 {
		return
	}
	c.add(RetriesAsked, 1)
	if closed.Wait >= asked {
		c.add(RetriesKept, 1)
	}
}

// note notes an end that wasn't asked for.
func (s *subscriber) note(closed *client.Closed, e *client.Error) {
	x := NotedEnd{At: closed.At.UnixNano(), Local: closed.Info.Local, Key: e.Key(), Opened: closed.Opened}
	if !closed.Opened {
		x.Local = e.Local
	}
	s.run.endings.add(x)
}

// drop takes the end of a stream that wasn't asked for, or that the run itself broke off. open is how many were open before.
func (s *subscriber) drop(c *cell, at int64, open int, heard bool, closed *client.Closed, e *client.Error) {
	began := at
	if closed.Broken != "" {
		began = min(at, s.run.at(closed.BrokenAt))
	} else {
		c.add(Drops, 1)
	}
	if !s.slow {
		s.run.noteBlackout(at, heard)
	}
	s.waited, s.tried = 0, 0
	if closed.Broken != "" && s.churned { // however many there are, it is no storm
		s.storm = nil
	} else {
		s.storm, s.inStorm = s.run.storms.drop(dropped{conn: s.index, at: began, open: open, policy: s.policy, how: closed.Broken, key: e.Key()})
	}
	if s.dropped == never {
		s.dropped = s.reopened
		if !closed.Info.LastByte.IsZero() {
			s.dropped = s.run.at(closed.Info.LastByte)
		}
		s.parts = at - s.dropped
		c.time(Detect, s.parts)
	}
}

// reconnected takes that a stream is open again after a drop.
func (s *subscriber) reconnected(c *cell, at int64) {
	waited, dialed := s.waited+s.started-s.failedAt, s.tried+at-s.started
	c.time(Wait, waited)
	c.time(Reconnect, dialed)
	s.parts += waited + dialed
	s.run.storms.redial(s.storm, redial{at: s.started, policy: s.policy})
	s.run.storms.returned(s.storm, s.inStorm, at)
	s.storm = nil
}
