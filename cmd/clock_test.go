package cmd

import (
	"testing"
)

// TestClockOnTarget: a path is asked for on the target's host, with all that its connections are let in by.
func TestClockOnTarget(t *testing.T) {
	for _, test := range []struct{ url, clock, want string }{
		{"http://a:1/sse?x=1", "/time", "http://a:1/time"},
		{"wss://me:wo%20rd@a/ws", "/time?z=2", "https://me:wo%20rd@a/time?z=2"},
		{"ws://me:word@a/ws", "http://b/now", "http://b/now"},
	} {
		f := &loadFlags{clockFlags: clockFlags{clock: test.clock}}
		to := &target{url: text{raw: test.url}, headers: []headerText{{"Authorization", text{raw: "Bearer x"}}}}
		clock, stop, err := f.openClock(to)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		request := clock.(serverClock).Clock.Request
		if request.URL != test.want || (request.Header.Get("Authorization") != "") != onTarget(test.clock) {
			t.Errorf("%s of %s: %s, %v", test.clock, test.url, request.URL, request.Header)
		}
		stop()
	}
}
