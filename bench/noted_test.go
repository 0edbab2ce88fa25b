package bench

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// Every end that nobody asked for is noted, with the client's address, and none that the run itself made.
func TestNotedEnds(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:1000")
	for _, asked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var f *fakeServer
			f = newFakeServer(func(a attempt) (*fakeStream, error) {
				s := &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}
				s.info.Local = netip.AddrPortFrom(local.Addr(), local.Port()+uint16(a.n))
				switch {
				case a.conn == 1:
				case a.n == 0:
					s.end, s.err = 1500*millisecond, syscall.ECONNRESET
				case a.n == 1:
					return nil, &client.Error{Class: client.ClassEOF, Local: s.info.Local}
				}
				return s, nil
			})
			result := f.run(t, Plan{
				Stages: []Stage{{0, 2}}, Duration: 4 * second, Warmup: second, Backoff: fixed, NoteEnds: asked,
				Breakages: []Breakage{{How: client.BreakRST, Share: 1, At: 2500 * millisecond}},
			})
			want := []NotedEnd{
				{At: f.epoch(1500 * millisecond), Local: local, Key: "reset", Opened: true},
				{At: f.epoch(2000 * millisecond), Local: netip.MustParseAddrPort("127.0.0.1:1001"), Key: "eof"},
			}
			if !asked {
				want = nil
			}
			if result.Count(Broken) != 2 || !slices.Equal(result.Noted, want) || result.NotNoted != 0 {
				t.Errorf("%d broken off, noted: %+v", result.Count(Broken), result.Noted)
			}
		})
	}
}

func TestNotedEndsAreBounded(t *testing.T) {
	var e endings
	for range maxNoted + 3 {
		e.add(NotedEnd{})
	}
	if list, more := e.all(); len(list) != maxNoted || more != 3 {
		t.Errorf("%d are kept, %d not", len(list), more)
	}
}
