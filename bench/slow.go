package bench

import "github.com/rtbench/rtbench/client"

// slowDown has the connections that are to be slow be so, when it is time.
func (r *run) slowDown() {
	slow := r.plan.Slow
	switch {
	case slow.Share == 0:
	case slow.At == 0:
		slow.Begin()
	default:
		r.pacers.Go(func() {
			pace := r.pacer()
			defer pace.close()
			if pace.until(r.times.begin + slow.At) {
				slow.Begin()
			}
		})
	}
}

// beside tells a delivery to a connection that isn't slow from those before others were.
func (s *subscriber) beside(c *cell, due int64, a arrival) {
	switch slow := &s.run.plan.Slow; {
	case slow.Share == 0 || slow.At == 0: // it is all of them
	case due < int64(s.run.times.begin+slow.At):
		c.time(BeforeSlow, max(0, a.at-due))
	default:
		c.time(BesideSlow, max(0, a.at-due))
	}
}

// slowly takes an event of a connection that reads slowly: when it was read counts, and not when it had come. The shard's
// mutex must be held.
func (s *subscriber) slowly(c *cell, ev *client.Event) {
	c.add(WireIn, uint64(ev.Wire))
	s.wireIn += uint64(ev.Wire)
	if ev.Type != client.Message {
		return
	}
	c.add(SlowReceived, 1)
	if due, ok := s.slowlyDue(ev); ok && c.window.holds(due) {
		c.time(SlowDelivery, max(0, s.run.at(ev.Arrival.User)-due))
	}
}

// slowlyDue says when an event was due by this host's clock, ns after the start; ok is false where it doesn't say so.
func (s *subscriber) slowlyDue(ev *client.Event) (due int64, ok bool) {
	r := s.run
	stamp, ok := s.token(ev.Data)
	switch {
	case ok && stamp.Run == r.id:
		return stamp.Due - r.wall, true
	case r.twoClocks() || r.own != nil:
		return 0, false
	case !r.plan.Stamp.IsZero():
		ns, ok := r.plan.Stamp.Time(ev.Data)
		return ns - r.wall, ok
	}
	return stamp.Due - r.wall, ok
}

// slowDrop takes the end of a stream that was read slowly.
func (s *subscriber) slowDrop(c *cell, at int64, closed *client.Closed) {
	if closed.Broken == "" {
		c.add(SlowDrops, 1)
		s.run.errors.add(at, client.Classify(closed.Err), slowly)
	}
}
