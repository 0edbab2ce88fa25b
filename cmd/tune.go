package cmd

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime"
)

// tune gives Go's scheduler as many processors as are of use for a run, unless the user has set GOMAXPROCS. It gives
// what undoes that.
//
// Where the target is on this host it needs processors, too: half of them are left to it. That costs nothing: on few of
// them streams are read cheaper, since no thread is woken for what another one does already. What is sent is to leave
// when it is due, which takes a processor that isn't reading.
func (f *loadFlags) tune(rawURL string, sends bool) (undo func()) {
	if os.Getenv("GOMAXPROCS") != "" || sends || !f.onThisHost(rawURL) {
		return func() {}
	}
	before := runtime.GOMAXPROCS(max(1, runtime.NumCPU()/2))
	return func() { runtime.GOMAXPROCS(before) }
}

// onThisHost reports whether connections go to a loopback address, as far as that can be told without asking for names.
func (f *loadFlags) onThisHost(rawURL string) bool {
	host, _, err := net.SplitHostPort(f.connectTo)
	if err != nil {
		u, err := url.Parse(rawURL)
		if err != nil {
			return false
		}
		host = u.Hostname()
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
