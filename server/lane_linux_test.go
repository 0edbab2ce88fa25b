package server

import (
	"net"
	"testing"
)

// lanes gives both ends of n connections.
func lanes(tb testing.TB, n int) (ours []*lane, theirs []net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	accept := laneListener{ln, false}
	for range n {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		l, err := accept.Accept()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close(); l.Close() })
		ours, theirs = append(ours, l.(*lane)), append(theirs, conn)
	}
	return ours, theirs
}

// Publishing allocates for the event, and nothing for what is written to sockets.
func TestPromptDeliveriesDontAllocate(t *testing.T) {
	for name, encode := range map[string]func(*event) []byte{"chunk": (*event).chunk, "frame": (*event).frame} {
		measure := func(subscribers int) float64 {
			e := run(t, Options{TruthEvents: 100})
			defer e.close()
			ours, theirs := lanes(t, subscribers)
			log := newWriteLog(10)
			for _, l := range ours {
				l.timed = &timedConn{Conn: l.Conn}
				e.subscribe("", "", &laneSink{sink: new(memSink), lane: l, encode: encode, witness: &witness{log, l.timed, 1}})
			}
			topic := e.hub.scheduled()[0]
			buf := make([]byte, 4096)
			return testing.AllocsPerRun(200, func() {
				e.hub.publishScheduled(topic, 1)
				for _, conn := range theirs {
					if n, err := conn.Read(buf); n < 20 || err != nil {
						t.Error(n, err)
					}
				}
			})
		}
		if few, many := measure(1), measure(50); many > few {
			t.Errorf("%s: %v allocations to publish to one subscriber and %v to 50", name, few, many)
		}
	}
}

// A message that the socket has no room for is begun, and what is left of it comes before the next.
func TestAttemptWhereThereIsNoRoom(t *testing.T) {
	ours, theirs := lanes(t, 1)
	l := ours[0]
	message := make([]byte, 1<<20)
	for i := range message {
		message[i] = byte(i)
	}
	sent := 0
	p := whole
	for p == whole {
		if p = l.attempt(message); p != none {
			sent += len(message)
		}
	}
	if p == part && l.attempt(message) != none {
		t.Error("a message was begun before the last was done")
	}
	go func() {
		if err := l.send(nil); err != nil {
			t.Error(err)
		}
		if _, err := l.Write([]byte("end")); err != nil {
			t.Error(err)
		}
		l.Close()
	}()
	got := 0
	for buf := make([]byte, 64<<10); ; {
		n, err := theirs[0].Read(buf)
		for i, b := range buf[:n] {
			if want := byte((got + i) % len(message)); got+i < sent && b != want {
				t.Fatalf("byte %d is %d, want %d", got+i, b, want)
			}
		}
		if got += n; err != nil {
			break
		}
	}
	if got != sent+len("end") {
		t.Errorf("%d bytes, want %d", got, sent+3)
	}
}
