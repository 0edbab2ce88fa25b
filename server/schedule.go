package server

import (
	"context"
	"math"
	"time"
)

// A timetable says when events are due and when the hub may publish. It is arithmetic and knows no clock; all times
// are since the start.
type timetable struct {
	rate   float64 // events per second
	stalls []Fault
}

// due gives when event n, counted from 1, is due.
func (t timetable) due(n uint64) time.Duration {
	return time.Duration(math.Round(float64(n) / t.rate * float64(time.Second)))
}

// release gives the earliest time from now on at which the hub isn't stalled.
func (t timetable) release(now time.Duration) time.Duration {
	for moved := true; moved; {
		moved = false
		for _, s := range t.stalls {
			if end := s.at + s.low; now >= s.at && now < end {
				now, moved = end, true
			}
		}
	}
	return now
}

// schedule publishes what is due on every scheduled topic until ctx is done. It never waits for anybody: when it is
// late it catches up, and the due times stay what they are.
func (h *hub) schedule(ctx context.Context) {
	if h.opts.Rate == 0 {
		<-ctx.Done()
		return
	}
	topics := h.scheduled()
	for n := uint64(1); ; n++ {
		due := h.table.due(n)
		now := time.Since(h.start)
		if !sleep(ctx, h.table.release(max(due, now))-now) {
			return
		}
		for _, t := range topics {
			h.publishScheduled(t, h.start.UnixNano()+int64(due))
		}
	}
}

// sleep waits for d and says whether ctx is still alive then.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
