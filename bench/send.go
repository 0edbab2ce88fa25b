package bench

import (
	"context"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/rtbench/rtbench/client"
)

// outboxSize is how many messages a connection may be behind before more of them count as unsent.
const outboxSize = 64

// send keeps the schedule: it hands every message that is due to a connection and waits for none of them.
func (r *run) send() {
	runtime.LockOSThread() // so that the system's clock wakes us, and not Go's scheduler
	defer runtime.UnlockOSThread()
	for n := uint64(0); ; n++ {
		due, ok := r.times.sends.At(n)
		if !ok || !r.pace.until(due) {
			return
		}
		s := r.pick(n)
		taken := s != nil && s.enqueue(due)
		r.recorder.record(func(c *cell) {
			c.add(Due, 1)
			if !taken {
				c.add(Unsent, 1)
			}
		})
	}
}

// enqueue hands a message that is due to the connection's own goroutine. It fails where that is too far behind.
func (s *subscriber) enqueue(due time.Duration) bool {
	select {
	case s.outbox <- due:
		return true
	default:
		return false
	}
}

// deliver writes a connection's messages until its outbox is closed.
func (s *subscriber) deliver(ctx context.Context) {
	var token, body []byte
	plan := &s.run.plan.Send
	number := uint64(0)
	for due := range s.outbox {
		now := s.run.now()
		token = client.AppendStamp(token[:0], client.Stamp{
			Run: s.run.id, Source: uint32(s.index), Seq: number,
			Due: s.run.wall + int64(due), Sent: s.run.wall + now,
		})
		body = append(body[:0], token...)
		if plan.Message != nil {
			body = plan.Message(body[:0], Outgoing{Connection: s.index, Number: number, Stamp: token})
		}
		if plan.Unstamped {
			s.pending.add(awaited{maphash.Bytes(s.run.seed, body), int64(due), number})
		}
		err := s.session.Send(ctx, body)
		if err != nil && plan.Unstamped {
			s.pending.drop(number)
		}
		s.shard.mu.Lock()
		if err != nil {
			s.shard.cell.add(Unsent, 1)
		} else {
			number++
			s.sent = number
			s.shard.cell.add(Sent, 1)
			s.shard.cell.time(PublishLateness, now-int64(due))
		}
		s.shard.mu.Unlock()
	}
}

// echoes holds what a connection has sent without a stamp and not yet seen again, oldest first.
type echoes struct {
	mu   sync.Mutex
	list []awaited
}

// awaited is one of them.
type awaited struct {
	content uint64 // hash
	due     int64  // ns after the start
	number  uint64
}

// maxPending bounds how many echoes a connection waits for; the oldest is given up first.
const maxPending = 1024

func (e *echoes) add(a awaited) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) >= maxPending {
		e.list = slices.Delete(e.list, 0, 1)
	}
	e.list = append(e.list, a)
}

func (e *echoes) drop(number uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = slices.DeleteFunc(e.list, func(a awaited) bool { return a.number == number })
}

// match finds the oldest message that was sent with the same content.
func (e *echoes) match(content uint64) (awaited, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, a := range e.list {
		if a.content == content {
			e.list = slices.Delete(e.list, i, i+1)
			return a, true
		}
	}
	return awaited{}, false
}
