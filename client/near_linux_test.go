package client

import (
	"testing"
	"unsafe"
)

// TestNear: what is fetched ahead is what is touched, it is known from when a stream is pushed until it is closed, and it
// may be gone.
func TestNear(t *testing.T) {
	for _, test := range []struct {
		at, bytes uintptr
		want      stretch
	}{
		{0, 100, 0},
		{0x1000, 1, 0x1001},
		{0x1000, 64, 0x1001},
		{0x1000, 65, 0x1002},
		{0x1008, 64, 0x1002}, // an object behind its header
		{0x1038, 8, 0x1001},
		{0x1038, 188, 0x1004},
		{0x1000, 0, 0x1000},
	} {
		if got := stretchOf(test.at, test.bytes); got != test.want {
			t.Errorf("%x: %x, want %x", test, got, test.want)
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
		if got := of(); got[0] != stretchOf(address(socket.owner), connBytes) || got[1] <= stretchOf(address(s), 1) {
			t.Errorf("%x", got)
		}
		s.Close()
		<-ended
		if got := of(); got != (near{}) {
			t.Errorf("%x once it is closed", got)
		}
	})

	var c conn
	var sse sseStream
	session, observer := new(Session), new(breakLog)
	session.Observer = observer
	got := nearOf(&c, unsafe.Pointer(&sse.conn), sseBytes, (*pushing)(session))
	if got != (near{stretchOf(address(&c), connBytes), stretchOf(address(&sse)+unsafe.Offsetof(sse.conn), sseBytes),
		stretchOf(address(session), sessionBytes), stretchOf(address(observer), observerBytes)}) {
		t.Errorf("%x", got)
	}
	if got := nearOf(&c, nil, 0, SinkFunc(nil)); got != (near{stretchOf(address(&c), connBytes)}) {
		t.Errorf("%x of a function", got)
	}
	for _, at := range []uintptr{1, ^uintptr(0) - 70, ^uintptr(0)/2 + 1, 12345678} {
		(&near{stretchOf(at, 200)}).fetch()
	}
}
