package proxy

import (
	"sync"
	"time"
)

// Bounds of what is under way in one direction of a connection with a latency. Beyond them reading waits, as it does for
// a link that can hold no more.
const (
	maxUnderWay = 1 << 20 // bytes
	maxParcels  = 8192
)

// A parcel is what one read brought.
type parcel struct {
	data []byte
	err  error // the end, if any
	due  time.Time
}

// A queue holds parcels in order, between one goroutine that pushes and one that pops.
type queue struct {
	mu    sync.Mutex
	list  []parcel
	bytes int
	ready chan struct{} // has one where there may be something to pop
	room  chan struct{} // has one where there may be room
}

func newQueue() *queue {
	return &queue{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push waits for room, unless ended is closed.
func (q *queue) push(x parcel, ended <-chan struct{}) {
	for !q.add(x) {
		select {
		case <-q.room:
		case <-ended:
			return
		}
	}
	signal(q.ready)
}

func (q *queue) add(x parcel) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) > 0 && (q.bytes+len(x.data) > maxUnderWay || len(q.list) >= maxParcels) {
		return false
	}
	q.list = append(q.list, x)
	q.bytes += len(x.data)
	return true
}

// pop waits for a parcel; false where ended is closed before there is one.
func (q *queue) pop(ended <-chan struct{}) (parcel, bool) {
	for {
		if x, ok := q.take(); ok {
			signal(q.room)
			return x, true
		}
		select {
		case <-q.ready:
		case <-ended:
			return parcel{}, false
		}
	}
}

func (q *queue) take() (x parcel, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return x, false
	}
	x = q.list[0]
	q.list[0] = parcel{} // so that what it holds isn't kept
	q.list = q.list[1:]
	q.bytes -= len(x.data)
	return x, true
}

// signal wakes whoever waits for c, or lets the next one not wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
