package cmd

import (
	"slices"
	"time"

	"github.com/rtbench/rtbench/client"
)

// nap is how long a bare timer runs beside a scene.
const nap = 2 * time.Millisecond

// oversleep lets a bare timer run, again and again, until stop is closed, and gives by how much it was late each time,
// sorted, in ns: of waits in this process, on this host, nobody can expect more than that.
func oversleep(stop <-chan struct{}) (late []int64) {
	sleep := func() { <-time.After(nap) }
	if timer, err := client.NewExactTimer(); err == nil {
		defer timer.Close()
		sleep = func() {
			if timer.Set(nap) == nil {
				_ = timer.Wait() // it fails only when closed
			}
		}
	}
	for {
		select {
		case <-stop:
			slices.Sort(late)
			return late
		default:
		}
		began := time.Now()
		sleep()
		late = append(late, int64(time.Since(began)-nap))
	}
}

// beside makes a run with a bare timer beside it, and gives by how much that was late.
func beside(run func()) (late []int64) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		late = oversleep(stop)
	}()
	run()
	close(stop)
	<-done
	return late
}
