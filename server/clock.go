package server

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A clock is what the server takes the time to be: the true one, plus an offset and a drift that are wrong on
// purpose. It never changes.
type clock struct {
	offset time.Duration
	drift  float64 // gain in millionths
	since  int64   // true time from which it drifts, ns since the Unix epoch
}

func newClock(o Options) clock {
	return clock{offset: o.ClockOffset, drift: o.ClockDrift, since: time.Now().UnixNano()}
}

func (c clock) wrong() bool { return c.offset != 0 || c.drift != 0 }

// read gives what the clock shows at a true time; both in ns since the Unix epoch.
func (c clock) read(t int64) int64 {
	if !c.wrong() {
		return t
	}
	return t + int64(c.offset) + int64(c.drift/1e6*float64(t-c.since))
}

// date gives every answer the clock's idea of the date, which net/http would take from the true one.
func (c clock) date(next http.Handler) http.Handler {
	if !c.wrong() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Unix(0, c.read(time.Now().UnixNano()))
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// TimeNow is what /time answers.
type TimeNow struct {
	Now int64 `json:"now"` // on the server's clock when the request came, ns since the Unix epoch
}

// A holdback draws for how long the delay fault holds back the answers of /time. Safe for use by several goroutines.
type holdback struct {
	delay Fault

	mu  sync.Mutex
	rng *rand.Rand
}

func newHoldback(o Options) *holdback {
	h := &holdback{rng: rand.New(rand.NewPCG(o.Seed, drawTime))}
	for _, f := range o.Faults {
		if f.kind == faultDelay {
			h.delay = f
		}
	}
	return h
}

func (h *holdback) next() time.Duration {
	if h.delay.kind == 0 {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rng.Float64()*100 >= h.delay.percent {
		return 0
	}
	return h.delay.wait(h.rng)
}

// serveTime says what the server takes the time to be. The clock is read before a delay begins: the request was fast
// and the answer is slow, which a client that splits the round trip in half gets wrong.
func (s *Server) serveTime(w http.ResponseWriter, r *http.Request) {
	now := s.hub.clock.read(time.Now().UnixNano())
	timer := time.NewTimer(s.holdback.next())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return
	case <-s.hub.closing.Done():
		http.Error(w, errStopped.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(TimeNow{Now: now}) // a client that went away needs no answer
}
