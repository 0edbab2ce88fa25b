package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/client"
)

// ask gets /time without a socket.
func (e *engine) ask(ctx context.Context) (*httptest.ResponseRecorder, TimeNow) {
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/time", nil))
	var now TimeNow
	_ = json.Unmarshal(w.Body.Bytes(), &now) // now is 0 then
	return w, now
}

// Stamps, /time and Date headers follow the wrong clock; /truth follows the true one, and says enough to get from
// one to the other.
func TestWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Rate: 1, ClockOffset: -90 * time.Second, ClockDrift: 20})
		defer e.close()
		sink := new(memSink)
		e.subscribe("", "", sink)
		time.Sleep(100*time.Second + time.Millisecond)
		synctest.Wait()
		truth := e.hub.report(t.Context(), truthQuery{events: 1000})
		if truth.Clock != (TruthClock{-90e9, 20, e.hub.start.UnixNano()}) || truth.Now != time.Now().UnixNano() {
			t.Errorf("%+v, now %d", truth.Clock, truth.Now)
		}
		for n, ev := range truth.Events {
			elapsed := int64(n+1) * 1e9
			due := truth.Clock.Since + elapsed
			if ev.Due != due || ev.Sent != due {
				t.Errorf("%+v, want due %d", ev, due)
			}
			shown := due - 90e9 + elapsed/1e6*20
			stamp, _, _ := client.FindStamp(e.hub.log.get(ev.ID).data, 0)
			if stamp.Due != shown || stamp.Sent != shown {
				t.Errorf("event %d is stamped %+v, want %d", ev.ID, stamp, shown)
			}
		}
		wrong := time.Now().Add(-90*time.Second + 2*time.Millisecond) // 20 millionths of 100 s
		w, now := e.ask(t.Context())
		if d := now.Now - wrong.UnixNano(); d != 20 { // and of the last ms
			t.Errorf("/time is off by %d ns, want 20", d)
		}
		if date := w.Header().Get("Date"); date != wrong.UTC().Format(http.TimeFormat) {
			t.Errorf("Date %s, want %v", date, wrong)
		}
		if ct := w.Header().Get("Content-Type"); ct != "application/json" {
			t.Errorf("Content-Type %q", ct)
		}
	})
}

func TestRightClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64().Draw(t, "at")
		if got := newClock(Options{}).read(at); got != at {
			t.Fatalf("%d, want %d", got, at)
		}
	})
}

// Every answer of a real connection shows the clock's date, the upgrade to WebSocket too.
func TestDates(t *testing.T) {
	g := start(t, Options{ClockOffset: 20 * time.Hour})
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	for path, want := range map[string]int{"/time": 200, "/nothing": 404, "/sse": 200, "/sse?topic=,": 400, "/ws": 101} {
		before := time.Now().Add(20*time.Hour - time.Second) // Date knows no fractions
		conn := g.dial()
		req := httptest.NewRequest(http.MethodGet, "http://"+g.addr+path, nil)
		for i := 0; i < len(upgrade) && want == http.StatusSwitchingProtocols; i += 2 {
			req.Header.Set(upgrade[i], upgrade[i+1])
		}
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			t.Fatal(err)
		}
		date, err := http.ParseTime(resp.Header.Get("Date"))
		if err != nil || date.Before(before) || date.After(time.Now().Add(20*time.Hour)) || resp.StatusCode != want {
			t.Errorf("%s: %s, Date %v %v", path, resp.Status, date, err)
		}
		conn.Close()
	}
	before := time.Now().Add(20 * time.Hour).UnixNano()
	if p := g.publish("default", "x"); p.Sent < before || p.Sent > time.Now().Add(20*time.Hour).UnixNano() {
		t.Errorf("sent at %d, want at least %d", p.Sent, before)
	}
}

// A delay makes the path asymmetric: the clock is read at once, and the answer waits.
func TestDelayHoldsBackTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Faults: faults(t, "delay=1s..3s@50%"), Seed: 5})
		defer e.close()
		delayed := 0
		for range 100 {
			asked := time.Now()
			_, now := e.ask(t.Context())
			if now.Now != asked.UnixNano() {
				t.Fatalf("asked at %d, and the time is %d", asked.UnixNano(), now.Now)
			}
			switch took := time.Since(asked); {
			case took == 0:
			case took >= time.Second && took <= 3*time.Second:
				delayed++
			default:
				t.Fatalf("the answer took %v", took)
			}
		}
		if delayed < 30 || delayed > 70 {
			t.Errorf("%d of 100 were delayed, want about half", delayed)
		}
	})
}

// Neither a client that leaves nor the end of the server waits for a delay.
func TestDelayedTimeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := run(t, Options{Faults: faults(t, "delay=1h")})
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, now := e.ask(ctx); now.Now != 0 || time.Since(begin) != time.Second {
			t.Errorf("answered %d after %v", now.Now, time.Since(begin))
		}
		time.AfterFunc(time.Second, e.stop)
		if w, _ := e.ask(t.Context()); w.Code != http.StatusServiceUnavailable || time.Since(begin) != 2*time.Second {
			t.Errorf("answered %d after %v", w.Code, time.Since(begin))
		}
		e.close()
	})
}
