package bench

import (
	"time"

	"github.com/rtbench/rtbench/client"
)

// A pacer waits for points in time of a run, as exactly as the system can. One goroutine uses it.
type pacer struct {
	start time.Time
	stop  <-chan struct{}
	exact exactTimer
}

// An exactTimer sleeps for less than slack.
type exactTimer interface {
	sleep(time.Duration)
	close()
}

// slack is how long before its time a wait hands over from Go's timer to the exact one.
const slack = 2 * time.Millisecond

// until waits until due after the start; false if the run stopped before.
func (p *pacer) until(due time.Duration) bool { return p.untilOr(due, nil) }

// untilOr is until, which something else may end too.
func (p *pacer) untilOr(due time.Duration, other <-chan struct{}) bool {
	if left := due - time.Since(p.start) - slack; left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.stop:
			return false
		case <-other:
			return false
		}
	}
	if left := due - time.Since(p.start); left > 0 {
		p.exact.sleep(left)
	}
	select {
	case <-p.stop:
		return false
	default:
		return true
	}
}

func (p *pacer) close() { p.exact.close() }

// goTimer is Go's own, which can be late by a millisecond.
type goTimer struct{}

func (goTimer) sleep(d time.Duration) { <-time.After(d) }
func (goTimer) close()                {}

// kernelTimer is one of the kernel's, which is late by tens of microseconds.
type kernelTimer struct{ *client.ExactTimer }

// newExactTimer gives Go's own timer where there is no better one.
func newExactTimer() exactTimer {
	timer, err := client.NewExactTimer()
	if err != nil {
		return goTimer{}
	}
	return kernelTimer{timer}
}

func (t kernelTimer) sleep(d time.Duration) {
	if t.Set(d) != nil {
		goTimer{}.sleep(d)
		return
	}
	_ = t.Wait() // it fails only when closed
}

func (t kernelTimer) close() { t.Close() }
