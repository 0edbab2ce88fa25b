package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultTimeout bounds opening a stream where Net.Timeout is 0.
const DefaultTimeout = 10 * time.Second

// nameTTL is how long a resolved name is used for: a load test is not to be one of the name server.
const nameTTL = 30 * time.Second

// A Net is how connections are made. One Net serves all connections of a run; its exported fields aren't changed
// once it is in use. Safe for concurrent use. The zero value works.
type Net struct {
	TLS       *tls.Config   // cloned for each host; nil for the defaults
	ConnectTo string        // host:port to connect to, whatever the URL says; "" for the URL's
	OneHost   bool          // what ConnectTo names is on the way to one host alone: a redirect to another one fails
	Sources   []netip.Addr  // local addresses to connect from, in turn; none for the system's choice
	Timeout   time.Duration // bounds opening a stream, redirects included; 0 for DefaultTimeout
	Idle      time.Duration // a stream that receives no byte for so long has failed; 0 for no limit
	LearnIdle bool          // the limit is 2.5 times what is between two heartbeats of a stream, or the longest silence, once there are some; Idle before
	Throttle  *Throttle     // has streams read slowly; nil for as fast as they come
	MaxEvent  int           // bytes of one event; 0 for DefaultMaxEvent

	// Redact hides secrets in the words of an error that may quote the server; nil where there are none.
	Redact func(string) string

	// Private reports whether a header with that value holds a secret: it isn't sent to where a redirect leads, at another
	// origin, as Authorization and Cookie never are. nil for none.
	Private func(name, value string) bool

	// UserStamps leaves Arrival.Kernel 0: the kernel isn't asked when bytes arrived.
	UserStamps bool

	// DialTCP replaces the system's way to connect, in tests. nil for the system's.
	DialTCP func(ctx context.Context, network, address string) (net.Conn, error)

	next    atomic.Uint64 // index into Sources
	mu      sync.Mutex
	hosts   map[string]*hostEntry
	silence *silence // made on first use

	lingering atomic.Int32 // connections that their streams have let go of

	loops eventLoops
}

// DefaultMaxEvent is the size limit of an event where Net.MaxEvent is 0.
const DefaultMaxEvent = 1 << 20

func (n *Net) maxEvent() int {
	if n.MaxEvent > 0 {
		return n.MaxEvent
	}
	return DefaultMaxEvent
}

func (n *Net) timeout() time.Duration {
	if n.Timeout > 0 {
		return n.Timeout
	}
	return DefaultTimeout
}

// connect opens a TCP connection for a stream, and TLS on it where the URL wants it, and notes how long each phase took.
func (n *Net) connect(ctx context.Context, u *url.URL, phases *Phases) (*conn, error) {
	return n.open(ctx, u, phases, !n.UserStamps)
}

// open is connect, with or without the kernel's stamps.
func (n *Net) open(ctx context.Context, u *url.URL, phases *Phases, stamps bool) (*conn, error) {
	address := n.ConnectTo
	if address == "" {
		address = hostPort(u)
	}
	c, err := n.dialTCP(ctx, address, phases, stamps)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" {
		return c, nil
	}
	began := time.Now()
	if err := c.handshake(ctx, n.host(u.Hostname()).config); err != nil {
		c.Close()
		return nil, locate(tlsError(ctx, err), addrPort(c.raw.LocalAddr()))
	}
	addPhase(&phases.TLS, time.Since(began))
	return c, nil
}

func hostPort(u *url.URL) string {
	if port := u.Port(); port != "" {
		return net.JoinHostPort(u.Hostname(), port)
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// ErrNoTLS is why a handshake fails with a server that speaks something else.
var ErrNoTLS = errors.New("the server does not speak TLS on this port")

// tlsError makes sure that whatever stops a handshake is counted as TLS, but for a timeout or a connection that is gone.
func tlsError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &Error{Class: ClassTimeout, Detail: "in the TLS handshake", Err: ctx.Err()}
	}
	switch classOf(err) {
	case ClassReset, ClassTimeout:
		return err
	case ClassEOF:
		return &Error{Class: ClassEOF, Detail: "before the TLS handshake was over"}
	}
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && record.Conn != nil {
		return &Error{Class: ClassTLS, Err: ErrNoTLS}
	}
	return &Error{Class: ClassTLS, Err: err}
}

// dialTCP resolves the address and tries what it resolves to, one after the other.
func (n *Net) dialTCP(ctx context.Context, address string, phases *Phases, stamps bool) (*conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		began := time.Now()
		var looked bool
		if addrs, looked, err = n.host(host).resolve(ctx, host); err != nil {
			return nil, err
		}
		if looked {
			addPhase(&phases.DNS, time.Since(began))
		}
	}
	began := time.Now()
	var first error
	for i, addr := range addrs {
		c, err := n.dialOne(ctx, addr, port, len(addrs)-i, stamps)
		if err == nil {
			addPhase(&phases.TCP, time.Since(began))
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialOne connects to one address, with its share of the time that is left among the addresses left to try.
func (n *Net) dialOne(ctx context.Context, addr, port string, left int, stamps bool) (*conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	if n.DialTCP != nil {
		c, err := n.DialTCP(ctx, "tcp", net.JoinHostPort(addr, port))
		if err != nil {
			return nil, err
		}
		return newConn(c, n.Throttle), nil
	}
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	var source netip.Addr
	if len(n.Sources) > 0 {
		source = n.Sources[(n.next.Add(1)-1)%uint64(len(n.Sources))]
	}
	return n.dialSystem(ctx, netip.AddrPortFrom(ip.Unmap(), uint16(number)), source.Unmap(), stamps)
}

// addPhase sums a phase over redirects, starting from "not measured".
func addPhase(phase *time.Duration, d time.Duration) { *phase = max(*phase, 0) + d }

// maxHosts bounds how many hosts a Net remembers, since a redirect can name any.
const maxHosts = 256

// A hostEntry is what a Net remembers of one host.
type hostEntry struct {
	config *tls.Config // one for all its connections, so that TLS sessions are resumed

	mu      sync.Mutex // held while resolving: one connection asks, the others wait
	addrs   []string
	expires time.Time
}

// host gives the entry of a host name, made on first use.
func (n *Net) host(name string) *hostEntry {
	n.mu.Lock()
	defer n.mu.Unlock()
	if entry := n.hosts[name]; entry != nil {
		return entry
	}
	if n.hosts == nil || len(n.hosts) >= maxHosts {
		n.hosts = make(map[string]*hostEntry)
	}
	entry := &hostEntry{config: &tls.Config{}}
	if n.TLS != nil {
		entry.config = n.TLS.Clone()
	}
	if entry.config.ServerName == "" {
		entry.config.ServerName = name
	}
	entry.config.NextProtos = []string{"http/1.1"}
	if entry.config.ClientSessionCache == nil {
		entry.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	n.hosts[name] = entry
	return entry
}

// resolve gives the addresses of the host called name; looked is true for the caller that had to ask.
func (h *hostEntry) resolve(ctx context.Context, name string) (addrs []string, looked bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.expires) {
		return h.addrs, false, nil
	}
	addrs, err = net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		// The resolver's socket has the deadline of ctx, and may notice it first.
		if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ok && !time.Now().Before(deadline) {
			return nil, true, &Error{Class: ClassTimeout, Detail: "resolving " + name}
		}
		return nil, true, err
	}
	h.addrs, h.expires = addrs, time.Now().Add(nameTTL)
	return addrs, true, nil
}
