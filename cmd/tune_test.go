package cmd

import (
	"runtime"
	"testing"
)

func TestTune(t *testing.T) {
	for _, test := range []struct {
		name, env, host string
		sends, halves   bool
	}{
		{name: "this host", host: "127.0.0.1", halves: true},
		{name: "this host, IPv6", host: "::1", halves: true},
		{name: "this host by name", host: "localhost", halves: true},
		{name: "another host", host: "example.com"},
		{name: "another address", host: "192.0.2.1"},
		{name: "nobody knows", host: ""},
		{name: "what is sent", host: "127.0.0.1", sends: true},
		{name: "the user's word", env: "3", host: "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("GOMAXPROCS", test.env)
			before := runtime.GOMAXPROCS(0)
			undo := tune(test.host, test.sends)
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

func TestHost(t *testing.T) {
	for _, test := range [][3]string{
		{"http://127.0.0.1:1/a", "", "127.0.0.1"},
		{"wss://[::1]:1/a", "", "::1"},
		{"https://example.com/", "127.0.0.2:1", "127.0.0.2"},
		{"http://[", "", ""},
	} {
		if got := (&loadFlags{connectTo: test[1]}).host(test[0]); got != test[2] {
			t.Errorf("%q, connected to %q: %q", test[0], test[1], got)
		}
	}
}

func TestLoopbacks(t *testing.T) {
	if list := loopbacks("127.0.0.1", fewPorts); list != nil {
		t.Errorf("few connections leave from %v", list)
	}
	for _, host := range []string{"::1", "localhost", "192.0.2.1", ""} {
		if list := loopbacks(host, 4*fewPorts); list != nil {
			t.Errorf("connections to %q leave from %v", host, list)
		}
	}
	list := loopbacks("127.0.0.1", 2*fewPorts+1)
	if runtime.GOOS == "linux" && len(list) != 3 { // elsewhere there may be one loopback address alone
		t.Errorf("many connections leave from %v", list)
	}
}
