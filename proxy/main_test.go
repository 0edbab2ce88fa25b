package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An end is one end of a connection in memory. It knows its address, and notes whether it was reset.
type end struct {
	net.Conn
	address net.Addr
	rst     atomic.Bool
}

func (e *end) RemoteAddr() net.Addr { return e.address }

func (e *end) SetLinger(int) error {
	e.rst.Store(true)
	return nil
}

// A world is a proxy between clients and a target in memory.
type world struct {
	t       testing.TB
	accept  chan net.Conn
	targets chan *end // the target's ends of connections
	closing sync.Once
	closed  chan struct{}
	stop    func() // ends the proxy, and waits for it

	mu       sync.Mutex
	injected []Injected
	failed   []error
}

// Accept implements net.Listener.
func (w *world) Accept() (net.Conn, error) {
	select {
	case c := <-w.accept:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *world) Close() error {
	w.closing.Do(func() { close(w.closed) })
	return nil
}

// Addr implements net.Listener.
func (w *world) Addr() net.Addr { return &net.TCPAddr{} }

// newWorld serves a proxy until the test ends, or stop is called.
func newWorld(t testing.TB, o Options) *world {
	w := &world{t: t, accept: make(chan net.Conn), targets: make(chan *end, 2000), closed: make(chan struct{})}
	o.Dial = func(context.Context) (net.Conn, error) {
		far, near := net.Pipe()
		w.targets <- &end{Conn: far, address: near.RemoteAddr()}
		return &end{Conn: near, address: far.RemoteAddr()}, nil
	}
	o.Injected = func(x Injected) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.injected = append(w.injected, x)
	}
	o.Failed = func(_ uint64, _ net.Addr, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed = append(w.failed, err)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, w) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return w
}

// connect gives a client's connection through the proxy, and the proxy's own end of it.
func (w *world) connect() (client net.Conn, proxied *end) {
	client, near := net.Pipe()
	proxied = &end{Conn: near, address: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1000 + len(w.targets)}}
	w.accept <- proxied
	return client, proxied
}

// struck gives what was injected so far, as FAULT lines.
func (w *world) struck() (list []Injected) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.injected)
}

// send writes pieces to c, until it is closed.
func send(t testing.TB, c net.Conn, pieces ...string) {
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Error(err)
			}
			return
		}
	}
}

// bubble runs a test in fake time, with a proxy.
func bubble(t *testing.T, o Options, f func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, o)
		defer w.stop()
		f(t, w)
	})
}
