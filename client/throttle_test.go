package client

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestThrottle: a stream is read as fast as it comes until its throttle begins, and then so many bytes a second, until it is
// closed.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := &Throttle{Rate: 100}
		n := pipe(t, &Net{Throttle: throttle}, func(p *peer) {
			p.read()
			for p.write(streamHead); p.write(chunk("data: " + strings.Repeat("x", 43) + "\n\n")); { // 57 bytes on the wire
			}
		})
		s := dial(t, &SSE{Net: n, Request: Request{URL: "http://127.0.0.1/"}}, "")
		if pusher, ok := s.(Pusher); ok && pusher.Push(SinkFunc(func(Event, error) bool { return true })) {
			t.Fatal("it was pushed, which waits for nothing")
		}
		start := time.Now()
		events := 0
		for _, err := range s.Events() {
			if err != nil {
				t.Fatal(err)
			}
			switch events++; events {
			case 100:
				if took := time.Since(start); took != 0 {
					t.Errorf("the first hundred took %v", took)
				}
				throttle.Begin()
				start = time.Now()
			case 200: // 5,700 bytes, but for what was read in one piece before
				if took := time.Since(start); took < 55*time.Second || took > 58*time.Second {
					t.Errorf("a hundred more took %v", took)
				}
				time.AfterFunc(50*time.Millisecond, func() { s.Close() })
				return
			}
		}
	})
}

func TestThrottleWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := &Throttle{Rate: 1}
		throttle.Begin()
		gone := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(gone) })
		start := time.Now()
		throttle.wait(1000, gone)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it waited for %v", took)
		}
	})
}
