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
func tune(host string, sends bool) (undo func()) {
	addr, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && addr.IsLoopback()
	if os.Getenv("GOMAXPROCS") != "" || sends || !local {
		return func() {}
	}
	before := runtime.GOMAXPROCS(max(1, runtime.NumCPU()/2))
	return func() { runtime.GOMAXPROCS(before) }
}

// host is the name or address that connections go to, "" where that can't be told.
func (f *loadFlags) host(rawURL string) string {
	if host, _, err := net.SplitHostPort(f.connectTo); err == nil {
		return host
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
