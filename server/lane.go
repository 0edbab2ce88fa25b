package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// A lane is a connection to which several write, each its message in one piece: the subscriber's goroutine, the
// goroutine of its shard, which doesn't wait, and net/http or the WebSocket library, below whose buffers it is.
type lane struct {
	net.Conn
	timed *timedConn      // what Conn is; nil if writes aren't noted
	raw   syscall.RawConn // nil where nothing can be written without waiting

	mu   sync.Mutex // held by who writes
	rest []byte     // of the message that was begun; shared, not changed
	over bool       // a Close of WebSocket was written: no message comes after it
	err  error      // of a write that failed: what comes after it would not be understood

	// Of the attempt under way.
	message []byte
	taken   int
	call    func(fd uintptr) // made once: a closure costs an allocation
}

// progress is how much of a message the system has taken.
type progress uint8

const (
	none progress = iota
	part
	whole
)

// laneListener accepts connections as lanes, timed if their writes are to be noted.
type laneListener struct {
	net.Listener
	timed bool
}

func (l laneListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newLane(conn, l.timed), nil
}

func newLane(conn net.Conn, timed bool) *lane {
	l := &lane{Conn: conn, raw: promptConn(conn)}
	if timed {
		l.timed = &timedConn{Conn: conn}
		l.Conn = l.timed
	}
	l.call = l.sendNow
	return l
}

// NetConn gives the connection under l.
func (l *lane) NetConn() net.Conn { return l.Conn }

// CloseWrite closes the writing side, where the connection under l can.
func (l *lane) CloseWrite() error { return closeWrite(l.Conn) }

// The first bytes of control frames, of RFC 6455, 5.2.
const (
	closeOpcode = 0x88
	pingOpcode  = 0x89
	pongOpcode  = 0x8A
)

// Write writes what isn't a message of the subscription, after the rest of one that was begun. The WebSocket library
// writes nothing else here unless it compresses, and each frame at once.
func (l *lane) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(b) > 0 && b[0] == closeOpcode {
		l.over = true
	}
	return l.put(b)
}

// send writes messages, or with none the rest of one that was begun.
func (l *lane) send(messages []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over && len(messages) > 0 {
		return net.ErrClosed
	}
	_, err := l.put(messages)
	return err
}

// control writes a control frame, likewise. When it was written is nobody's time.
func (l *lane) control(frame []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	under := l.Conn
	if l.timed != nil {
		under = l.timed.Conn
	}
	_, err := l.putOn(under, frame)
	return err
}

// put writes the rest and then b. l.mu is held.
func (l *lane) put(b []byte) (n int, err error) { return l.putOn(l.Conn, b) }

// putOn writes the rest, and then b to conn. l.mu is held.
func (l *lane) putOn(conn net.Conn, b []byte) (n int, err error) {
	if l.err == nil && len(l.rest) > 0 {
		_, l.err = l.Conn.Write(l.rest)
		l.rest = nil
	}
	if l.err == nil && len(b) > 0 {
		n, l.err = conn.Write(b)
	}
	return n, l.err
}

// attempt writes a message as far as the system takes it at once, unless somebody else is writing. The rest goes with
// the next send, or before the next Write.
func (l *lane) attempt(message []byte) progress {
	if !l.mu.TryLock() {
		return none
	}
	defer l.mu.Unlock()
	if l.over || l.err != nil || len(l.rest) > 0 {
		return none
	}
	l.message, l.taken = message, 0
	if l.timed != nil {
		before := time.Now().UnixNano()
		l.try()
		l.timed.note(before, time.Now().UnixNano())
	} else {
		l.try()
	}
	l.message = nil
	switch {
	case l.taken == 0:
		return none
	case l.taken < len(message):
		l.rest = message[l.taken:]
		return part
	}
	return whole
}

// try calls sendNow with the descriptor, unless that is closed.
func (l *lane) try() { _ = l.raw.Control(l.call) }

// laneKey finds the lane of an HTTP/1.1 request in its context.
type laneKey struct{}

func withLane(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, laneKey{}, conn)
}

// laneOf gives the lane that carries r alone, below TLS if there is that; nil on HTTP/2, where several requests share
// it, and where another server accepted the connection.
func laneOf(r *http.Request) *lane {
	if r.ProtoMajor != 1 {
		return nil
	}
	conn, _ := r.Context().Value(laneKey{}).(net.Conn)
	for conn != nil {
		if l, ok := conn.(*lane); ok {
			return l
		}
		under, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = under.NetConn()
	}
	return nil
}
