package cmd

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/proxy"
)

// TestAccount joins what a proxy has done with what clients noticed.
func TestAccount(t *testing.T) {
	const ms = int64(time.Millisecond)
	at := func(client string, connection uint64, fault string, ms_ int64) proxy.Injected {
		f, err := proxy.ParseFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		return proxy.Injected{At: ms_ * ms, Connection: connection, Client: client, Kind: f.Kind(), Fault: fault}
	}
	end := func(client, key string, ms_ int64) bench.NotedEnd {
		x := bench.NotedEnd{At: ms_ * ms, Key: key, Opened: true}
		if client != "" {
			x.Local = netip.MustParseAddrPort(client)
		}
		return x
	}
	const a, b, c = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1"
	effect := func(fault string, struck, noticed uint64, p50, most time.Duration, keys ...bench.Cause) bench.FaultEffect {
		return bench.FaultEffect{Fault: fault, Struck: struck, Noticed: noticed, P50: p50, Max: most, Keys: keys}
	}
	for name, test := range map[string]struct {
		faults      []string
		injected    []proxy.Injected
		noted       []bench.NotedEnd
		want        []bench.FaultEffect
		unexplained []bench.Cause
	}{
		"each by its address": {
			[]string{"cut@20", "reset@5s"},
			[]proxy.Injected{at(b, 2, "reset@5s", 20), at(a, 1, "cut@20", 10), at(c, 3, "cut@20", 10)},
			[]bench.NotedEnd{end(b, "reset", 23), end(a, "eof", 11)},
			[]bench.FaultEffect{effect("cut@20", 2, 1, -1, time.Millisecond, bench.Cause{Key: "eof", Count: 1}), effect("reset@5s", 1, 1, -1, 3*time.Millisecond, bench.Cause{Key: "reset", Count: 1})},
			nil,
		},
		"an address is used again": {
			[]string{"cut@20"},
			[]proxy.Injected{at(a, 1, "cut@20", 10), at(a, 7, "cut@20", 50)},
			[]bench.NotedEnd{end(a, "eof", 12), end(a, "eof", 51)},
			[]bench.FaultEffect{effect("cut@20", 2, 2, -1, 2*time.Millisecond, bench.Cause{Key: "eof", Count: 2})},
			nil,
		},
		"ends that nothing explains": {
			[]string{"cut@20"},
			[]proxy.Injected{at(a, 1, "cut@20", 10)},
			[]bench.NotedEnd{end(a, "eof", 9), end(a, "eof", 11), end(a, "reset", 12), end(b, "reset", 13), end("", "refused", 14)},
			[]bench.FaultEffect{effect("cut@20", 1, 1, -1, time.Millisecond, bench.Cause{Key: "eof", Count: 1})},
			[]bench.Cause{{Key: "reset", Count: 2}, {Key: "eof", Count: 1}, {Key: "refused", Count: 1}},
		},
		"what is slow ends nothing": {
			[]string{"latency=5ms", "bandwidth=1KB/s"},
			[]proxy.Injected{at(a, 1, "latency=5ms", 10)},
			[]bench.NotedEnd{end(a, "eof", 11)},
			[]bench.FaultEffect{{Fault: "latency=5ms", Struck: 1, Slows: true, P50: -1, Max: -1}, {Fault: "bandwidth=1KB/s", Slows: true, P50: -1, Max: -1}},
			[]bench.Cause{{Key: "eof", Count: 1}},
		},
		"a stall is over when it is": {
			[]string{"stall=2s@5s", "blackhole@1s"},
			[]proxy.Injected{at(a, 1, "stall=2s@5s", 10), at(b, 2, "stall=2s@5s", 10), at(c, 3, "blackhole@1s", 5), at(c, 3, "stall=2s@5s", 10)},
			[]bench.NotedEnd{end(a, "idle", 2010), end(b, "eof", 2011), end(c, "idle", 9005)},
			[]bench.FaultEffect{effect("stall=2s@5s", 3, 1, -1, 2*time.Second, bench.Cause{Key: "idle", Count: 1}), effect("blackhole@1s", 1, 1, -1, 9*time.Second, bench.Cause{Key: "idle", Count: 1})},
			[]bench.Cause{{Key: "eof", Count: 1}},
		},
		"a median, where there are enough; a fault given twice is one": {
			[]string{"cut@20", "cut@20"},
			[]proxy.Injected{at(a, 1, "cut@20", 10), at(a, 2, "cut@20", 110), at(a, 3, "cut@20", 210), at(a, 4, "cut@20", 310), at(a, 5, "cut@20", 410), at(a, 6, "cut@20", 510)},
			[]bench.NotedEnd{end(a, "eof", 16), end(a, "eof", 115), end(a, "eof", 214), end(a, "eof", 313), end(a, "eof", 412), end(a, "eof", 511)},
			[]bench.FaultEffect{effect("cut@20", 6, 6, 3*time.Millisecond, 6*time.Millisecond, bench.Cause{Key: "eof", Count: 6})},
			nil,
		},
	} {
		var faults []proxy.Fault
		for _, s := range test.faults {
			f, err := proxy.ParseFault(s)
			if err != nil {
				t.Fatal(err)
			}
			faults = append(faults, f)
		}
		if got := account(faults, test.injected, test.noted); !reflect.DeepEqual(got.Faults, test.want) || !reflect.DeepEqual(got.Unexplained, test.unexplained) {
			t.Errorf("%s:\n%+v\nwant\n%+v, %v", name, *got, test.want, test.unexplained)
		}
	}
}

// What the proxy says besides is a warning, and explains a failure.
func TestComplaintsOfTheProxy(t *testing.T) {
	d := &detour{child: &child{stop: func() {}, complaint: &bounded{left: 100}}, more: 3}
	_, _ = d.complaint.Write([]byte("connection 1: no route\n"))
	d.take([]byte(`{"at_ns":5,"connection":1,"client":"127.0.0.1:1","kind":"cut","fault":"cut@20","byte":9,"event":20}`))
	d.take([]byte("struck: nothing"))
	faults, err := parseVia("cut@20")
	if err != nil {
		t.Fatal(err)
	}
	result := &bench.Result{Failure: "nothing ever connected", NotNoted: 4}
	d.account(result, faults)
	if len(result.Warnings) != 3 || result.Warnings[0].Text != "the fault proxy complained: connection 1: no route" ||
		result.Warnings[1].Text != "1 connections that faults had struck had not noticed it when the run ended" ||
		result.Warnings[2].Text != "there were too many faults, or ends of connections: 7 aren't in the account of the faults" {
		t.Errorf("%+v", result.Warnings)
	}
	if result.Failure != "nothing ever connected; the fault proxy says: connection 1: no route" || result.Injected.Faults[0].Struck != 1 {
		t.Errorf("%q, %+v", result.Failure, result.Injected)
	}
}

func TestFilesOfAProxy(t *testing.T) {
	h := host{files: 1050}
	if err := h.checkProxied(500); err != nil {
		t.Error(err)
	}
	if err := h.checkProxied(501); exitOf(err) != exitUsage || err.Error() != "501 connections through a proxy need 1052 open files there, but a process may have 1050" {
		t.Error(err)
	}
	if err := (host{}).checkProxied(1 << 20); err != nil {
		t.Error(err)
	}
}
