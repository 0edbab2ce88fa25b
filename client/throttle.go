package client

import (
	"sync/atomic"
	"time"
)

// throttledBuffer is the receive buffer that is asked for where reading is throttled, in bytes: a slow reader whose host
// takes a megabyte in for it isn't felt by the server.
const throttledBuffer = 4 << 10

// A Throttle has streams read slowly: all that use it, each at its rate. It reads as fast as bytes come until Begin. Safe
// for concurrent use.
type Throttle struct {
	Rate  int // bytes a second; at least 1
	began atomic.Bool
}

// Begin has reading be slow from now on.
func (t *Throttle) Begin() { t.began.Store(true) }

// piece is how much is read at a time, in bytes; most where reading isn't slow.
func (t *Throttle) piece(most int) int {
	if t == nil || !t.began.Load() {
		return most
	}
	return max(1, min(most, t.Rate/10))
}

// wait takes the time that so many bytes should, unless the connection is closed before.
func (t *Throttle) wait(n int, gone <-chan struct{}) {
	if !t.began.Load() || n == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(float64(n) / float64(max(1, t.Rate)) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-gone:
	}
}
