package cmd

import (
	"runtime"
	"testing"
)

func TestTune(t *testing.T) {
	for _, test := range []struct {
		name, env, url, connectTo string
		sends, halves             bool
	}{
		{name: "this host", url: "http://127.0.0.1:1/", halves: true},
		{name: "this host, IPv6", url: "ws://[::1]:1/", halves: true},
		{name: "this host by name", url: "http://localhost/", halves: true},
		{name: "connected to this host", url: "https://example.com/", connectTo: "127.0.0.2:1", halves: true},
		{name: "another host", url: "https://example.com/"},
		{name: "connected to another host", url: "http://localhost/", connectTo: "192.0.2.1:1"},
		{name: "what is sent", url: "ws://127.0.0.1:1/", sends: true},
		{name: "the user's word", env: "3", url: "http://127.0.0.1:1/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("GOMAXPROCS", test.env)
			before := runtime.GOMAXPROCS(0)
			f := &loadFlags{connectTo: test.connectTo}
			undo := f.tune(test.url, test.sends)
			want := before
			if test.halves {
				want = max(1, runtime.NumCPU()/2)
			}
			if got := runtime.GOMAXPROCS(0); got != want {
				t.Errorf("%d processors, want %d", got, want)
			}
			if undo(); runtime.GOMAXPROCS(0) != before {
				t.Errorf("%d processors afterwards, %d before", runtime.GOMAXPROCS(0), before)
			}
		})
	}
}
