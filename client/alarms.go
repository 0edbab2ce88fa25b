package client

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Alarms end the waits of many sessions with one ExactTimer, which they have from the first wait on, and with Go's own where
// there is none to be had. The zero value is ready, and is to be closed after use. Safe for concurrent use.
type Alarms struct {
	mu      sync.Mutex
	timer   *ExactTimer // nil for none
	closed  bool
	pending timeHeap[*alarm]
}

// An alarm is one wait.
type alarm struct {
	due  time.Time
	over chan struct{} // closed when it is due
	rank int           // in the heap, counted from 1; 0 where it isn't there
}

// start reports whether there is an exact timer. The mutex must be held.
func (a *Alarms) start() bool {
	if a.timer != nil || a.closed {
		return a.timer != nil
	}
	timer, err := NewExactTimer()
	if err != nil {
		return false
	}
	a.timer = timer
	go a.run(timer)
	return true
}

func (w *alarm) dueAt() time.Time { return w.due }
func (w *alarm) rankAt() *int     { return &w.rank }

// run rings what is due, until the timer is closed.
func (a *Alarms) run(timer *ExactTimer) {
	for timer.Wait() == nil {
		a.ring(time.Now())
	}
}

// ring ends the waits that are over, and sets the timer for the next one.
func (a *Alarms) ring(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.pending) > 0 && !a.pending[0].due.After(now) {
		close(heap.Pop(&a.pending).(*alarm).over)
	}
	a.set()
}

// set has the timer fire for the first of the waits. The mutex must be held.
func (a *Alarms) set() {
	if len(a.pending) > 0 && a.timer != nil {
		_ = a.timer.Set(time.Until(a.pending[0].due)) // it fails once closed
	}
}

// At gives what is closed at due, and not before, and what undoes that; nil where that is for Go's own timers, as of nil.
func (a *Alarms) At(due time.Time) (over <-chan struct{}, stop func()) {
	if a == nil {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.start() {
		return nil, nil
	}
	w := &alarm{due: due, over: make(chan struct{})}
	heap.Push(&a.pending, w)
	if w.rank == 1 {
		a.set()
	}
	return w.over, func() { a.forget(w) }
}

func (a *Alarms) forget(w *alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.rank > 0 {
		heap.Remove(&a.pending, w.rank-1) // the timer then fires for nobody, once
	}
}

// Wait waits until due; false if stop was closed or ctx ended first.
func (a *Alarms) Wait(ctx context.Context, due time.Time, stop <-chan struct{}) bool {
	over, forget := a.At(due)
	var fired <-chan time.Time
	if forget != nil {
		defer forget()
	} else {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		fired = timer.C
	}
	select {
	case <-over:
		return true
	case <-fired:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	return false
}

// Close lets go of the timer. Waits that are under way are over at once. Of nil it does nothing.
func (a *Alarms) Close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.timer == nil {
		return
	}
	a.timer.Close()
	a.timer = nil
	for len(a.pending) > 0 {
		close(heap.Pop(&a.pending).(*alarm).over)
	}
}
