package client

import (
	"testing"
	"unsafe"
)

// TestNear: what is fetched ahead is what is touched, it is known from when a stream is pushed until it is closed, and it
// may be gone.
func TestNear(t *testing.T) {
	var c conn
	var sse sseStream
	var ws wsStream
	var session Session
	for _, test := range []struct {
		name  string
		which int
		first uintptr // in an object that begins with a line
		end   uintptr // of what each event needs
	}{
		{"connection", 0, 0, unsafe.Offsetof(c.socket) + unsafe.Offsetof(c.socket.scratch)},
		{"event stream", 1, unsafe.Offsetof(sse.conn), unsafe.Offsetof(sse.decoder) + unsafe.Offsetof(sse.decoder.line)},
		{"WebSocket", 1, unsafe.Offsetof(ws.conn), unsafe.Offsetof(ws.subprotocol)},
		{"session", 2, unsafe.Offsetof(session.Observer), unsafe.Offsetof(session.attempts)},
	} {
		if last := test.first/64 + uintptr(nearLines[test.which]); test.end > last*64 {
			t.Errorf("%s: lines from %d to %d are fetched, and %d bytes needed", test.name, test.first/64, last, test.end)
		}
	}

	eachKind(t, func(t *testing.T, n *Net, open func(testing.TB, *Net, func(*peer)) Stream, kind stampedKind) {
		n.loops.once.Do(func() { n.loops.loops = make([]eventLoop, 1) }) // which goes on, since another stream stays
		other := open(t, n, func(p *peer) { p.wait() })
		defer other.Close()
		s := open(t, n, func(p *peer) { p.write(kind.event(1)); p.wait() })
		ended := make(chan error, 1)
		push(t, s, func(_ Event, err error) bool {
			if err != nil {
				ended <- err
			}
			return true
		})
		socket, _ := descriptor(s)
		at := socket.place
		of := func() near {
			socket.loop.mu.Lock()
			defer socket.loop.mu.Unlock()
			return socket.loop.places[at].near
		}
		if got := of(); got[0] != uintptr(unsafe.Pointer(socket.owner)) || got[1] <= address(s) {
			t.Errorf("%x", got)
		}
		s.Close()
		<-ended
		if got := of(); got != (near{}) {
			t.Errorf("%x once it is closed", got)
		}
	})

	observer := new(breakLog)
	session.Observer = observer
	got := nearOf(&c, unsafe.Pointer(&sse.conn), (*pushing)(&session))
	if got != (near{address(&c), address(&sse) + unsafe.Offsetof(sse.conn), address(&session), address(observer)}) {
		t.Errorf("%x", got)
	}
	if got := nearOf(&c, nil, SinkFunc(nil)); got != (near{address(&c)}) {
		t.Errorf("%x of a function", got)
	}
	nowhere := near{1, ^uintptr(0) - 70, ^uintptr(0)/2 + 1, 12345678}
	nowhere.fetch()
}
