package client

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLearnedSilence: heartbeats come every ten seconds, three times, and then the server is silent. How long that is
// borne is learned from them, on whatever stream of the Net they came.
func TestLearnedSilence(t *testing.T) {
	for _, ws := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := pipe(t, &Net{LearnIdle: true}, func(p *peer) {
				if ws && !p.upgrade("") || !ws && !(p.read() && p.write(streamHead)) {
					return
				}
				beats := 3
				if p.n > 0 {
					beats = 0
				}
				for range beats {
					<-time.After(10 * time.Second)
					if ws {
						p.write(frame(fin|opPing, ""))
					} else {
						p.write(chunk(": \n\n"))
					}
				}
				p.wait()
			})
			var dialer Dialer = &SSE{Net: n, Request: Request{URL: "http://127.0.0.1/"}}
			if ws {
				dialer = &WebSocket{Net: n, Request: Request{URL: "http://127.0.0.1/"}}
			}
			for i, want := range []time.Duration{30*time.Second + 25*time.Second, 25 * time.Second} {
				start := time.Now()
				_, err := collect(dial(t, dialer, ""))
				if key, words := explain(err); key != "idle" || words != "nothing was received for the idle timeout: 25s" || time.Since(start) != want {
					t.Errorf("stream %d: %s: %s, after %v; want %v", i, key, words, time.Since(start), want)
				}
			}
		})
	}
}

// Two lines of comment are one heartbeat.
func TestHeartbeatOfSeveralLines(t *testing.T) {
	c := &conn{silence: &silence{learns: true}}
	now := time.Now()
	for n := range 301 {
		if c.noteRead(now); n%150 == 0 {
			c.beat()
			c.beat()
		}
		now = now.Add(100 * time.Millisecond)
	}
	if limit := c.silence.limit(); limit != 37500*time.Millisecond {
		t.Errorf("the limit is %v", limit)
	}
}

func TestSilenceLimit(t *testing.T) {
	var none *silence
	if none.limit() != 0 {
		t.Error("there is a limit where there is none")
	}
	s := &silence{given: time.Minute}
	if s.limit() != time.Minute {
		t.Errorf("given: %v", s.limit())
	}
	s.learns = true
	if s.limit() != time.Minute {
		t.Errorf("before anything is learned: %v", s.limit())
	}
	s.learn(10*time.Millisecond, 20*time.Millisecond)
	if s.limit() != learnedLeast {
		t.Errorf("of heartbeats that come fast: %v", s.limit())
	}
	s.learn(4*time.Second, time.Second)
	s.learn(2*time.Second, time.Second)
	if s.limit() != 10*time.Second {
		t.Errorf("of the longest: %v", s.limit())
	}
	busy := &silence{learns: true} // whose heartbeats come all the same
	busy.learn(50*time.Millisecond, 15*time.Second)
	busy.learn(50*time.Millisecond, 16*time.Second)
	if busy.limit() != 37500*time.Millisecond {
		t.Errorf("of a busy stream: %v", busy.limit())
	}
}

// TestSilenceLearnedLater: a stream that was silent before anything was learned ends when the limit that others teach is
// over for it, too, and so does a black hole, which hears neither bytes nor the end of its peer.
func TestSilenceLearnedLater(t *testing.T) {
	for _, how := range []Break{"", BreakBlackhole} {
		synctest.Test(t, func(t *testing.T) {
			n := pipe(t, &Net{LearnIdle: true}, func(p *peer) {
				if !p.read() || !p.write(streamHead) {
					return
				}
				if p.n == 0 { // the quiet one
					if how != "" {
						<-time.After(12 * time.Second)
						p.write(chunk("data: x\n\n"))
						return
					}
					p.wait()
				}
				for range 5 {
					<-time.After(10 * time.Second)
					p.write(chunk(": \n\n"))
				}
			})
			start := time.Now()
			quiet := dial(t, &SSE{Net: n, Request: Request{URL: "http://127.0.0.1/"}}, "")
			ended := make(chan time.Duration)
			go func() {
				_, err := collect(quiet)
				if key, _ := explain(err); key != "idle" {
					t.Errorf("%q: %v", how, err)
				}
				ended <- time.Since(start)
			}()
			teacher := dial(t, &SSE{Net: n, Request: Request{URL: "http://127.0.0.1/"}}, "")
			go collect(teacher)
			synctest.Wait()
			if how != "" {
				if err := quiet.(Breaker).Break(how); err != nil {
					t.Error(err)
				}
			}
			if took := <-ended; took < 25*time.Second || took > 32*time.Second {
				t.Errorf("%q: after %v", how, took)
			}
			if limit := n.IdleLimit(); limit != 25*time.Second {
				t.Errorf("%q: the limit is %v", how, limit)
			}
		})
	}
}

// TestCloseBeforeAnyoneWaits: who waits for a connection to be closed after it was doesn't wait.
func TestCloseBeforeAnyoneWaits(t *testing.T) {
	var g gone
	early := (&gone{}).wait()
	select {
	case <-early:
		t.Error("nobody has closed it")
	default:
	}
	g.leave()
	g.leave()
	<-g.wait()
}
