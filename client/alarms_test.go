package client

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever waits is woken when it is due, never before, whatever others wait for, and by Close.
func TestAlarms(t *testing.T) {
	var alarms Alarms
	ctx, cancel := context.WithCancel(t.Context())
	stop := make(chan struct{})
	var short, long sync.WaitGroup
	distant, forget := alarms.At(time.Now().Add(time.Hour)) // what comes first is due later
	if (distant == nil) != (runtime.GOOS != "linux") {
		t.Errorf("on %s, there is an exact timer: %v", runtime.GOOS, distant != nil)
	}
	const n = 200
	random := rand.New(rand.NewPCG(1, 0))
	start := time.Now()
	for range n {
		due := start.Add(time.Duration(random.IntN(50)-5) * time.Millisecond)
		short.Go(func() {
			if !alarms.Wait(t.Context(), due, nil) || time.Now().Before(due) {
				t.Error("it was woken before it was due")
			}
		})
		long.Go(func() {
			if alarms.Wait(ctx, start.Add(time.Hour), nil) || ctx.Err() == nil {
				t.Error("it was woken though it wasn't due")
			}
		})
		long.Go(func() {
			if alarms.Wait(t.Context(), start.Add(time.Hour), stop) {
				t.Error("it was woken though it wasn't due")
			}
		})
	}
	short.Wait()
	cancel()
	close(stop)
	long.Wait()
	if forget != nil {
		forget()
	}
	if len(alarms.pending) > 0 {
		t.Errorf("%d waits that were given up are kept", len(alarms.pending))
	}
	over, _ := alarms.At(start.Add(time.Hour))
	alarms.Close()
	if over != nil { // which it is where the system has no such timer
		<-over
	}
	alarms.Close()
	if !alarms.Wait(t.Context(), start, nil) {
		t.Error("nobody can wait after Close")
	}
}

// Without alarms, and after they are closed, there are Go's own timers.
func TestNoAlarms(t *testing.T) {
	var closed Alarms
	closed.Close()
	for _, alarms := range []*Alarms{nil, &closed} {
		synctest.Test(t, func(t *testing.T) {
			due := time.Now().Add(137 * time.Millisecond)
			if !alarms.Wait(t.Context(), due, nil) || !time.Now().Equal(due) {
				t.Errorf("it was woken at %v, and was due at %v", time.Now(), due)
			}
		})
	}
	(*Alarms)(nil).Close()
}

// A timer that is set again fires for that alone; one that is set to the past fires at once; Close ends a Wait. Nothing of it
// is allocated.
func TestExactTimer(t *testing.T) {
	timer, err := NewExactTimer()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond} {
		start := time.Now()
		if err := errors.Join(timer.Set(time.Hour), timer.Set(d), timer.Wait()); err != nil || time.Since(start) < d {
			t.Errorf("%v: %v after %v", d, err, time.Since(start))
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if timer.Set(0) != nil || timer.Wait() != nil {
			t.Error("it failed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	ended := make(chan error)
	go func() { ended <- timer.Wait() }()
	timer.Close()
	if <-ended == nil || timer.Set(0) == nil {
		t.Error("a timer that is closed can be used")
	}
}

// The heap gives what is due in order, and each knows its place until it has left.
func TestTimeHeap(t *testing.T) {
	var h timeHeap[*alarm]
	random := rand.New(rand.NewPCG(2, 0))
	var all []*alarm
	for range 500 {
		w := &alarm{due: time.Unix(0, random.Int64N(100))}
		heap.Push(&h, w)
		all = append(all, w)
	}
	for _, w := range all[:250] {
		heap.Remove(&h, w.rank-1)
	}
	for before := time.Unix(0, 0); len(h) > 0; {
		for i, w := range h {
			if w.rank != i+1 {
				t.Fatalf("%d takes itself for %d", i+1, w.rank)
			}
		}
		w := heap.Pop(&h).(*alarm)
		if w.due.Before(before) || w.rank != 0 {
			t.Fatalf("%v comes after %v, rank %d", w.due, before, w.rank)
		}
		before = w.due
	}
	for _, w := range all {
		if w.rank != 0 {
			t.Errorf("rank %d of one that has left", w.rank)
		}
	}
}
