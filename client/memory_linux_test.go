package client

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// What streams took is given back once they are closed: memory, goroutines, and their loop.
func TestClosedStreamsLeaveNothing(t *testing.T) {
	const streams = 200
	for _, kind := range []stampedKind{{name: "SSE"}, {name: "WebSocket", ws: true}} {
		t.Run(kind.name, func(t *testing.T) {
			n := oneLoop(&Net{})
			var served atomic.Int64
			addr := serve(t, nil, func(p *peer) {
				served.Add(1)
				defer served.Add(-1)
				if kind.ws && p.upgrade("") || !kind.ws && p.read() && p.write(streamHead) {
					p.write(kind.event(100))
					p.wait()
				}
			})
			var dialer Dialer = &SSE{Net: n, Request: Request{URL: "http://" + addr}}
			if kind.ws {
				dialer = &WebSocket{Net: n, Request: Request{URL: "http://" + addr}}
			}
			round := func() (held uint64) {
				all := make([]Stream, streams)
				ended := make([]chan error, streams)
				for i := range all {
					s, err := dialer.Dial(t.Context(), nil)
					if err != nil {
						t.Fatal(err)
					}
					all[i], ended[i] = s, ends(t, s)
				}
				held = inUse()
				for i, s := range all {
					s.Close()
					<-ended[i]
				}
				loop := &n.loops.loops[0]
				eventually(&loop.mu, func() bool { return loop.file == nil })
				for served.Load() > 0 {
					runtime.Gosched()
				}
				return held
			}
			round() // what is made once is there after it
			before := inUse()
			held := round()
			if after := inUse(); after > before && after-before > (held-before)/10 {
				t.Errorf("%d bytes are held by streams that are closed, of %d while they were open", after-before, held-before)
			}
		})
	}
}

// inUse is how many bytes of the heap are in use, but for what only waits to be used again.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // the first leaves what pools hold to the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
