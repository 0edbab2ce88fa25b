package client

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A nameServer answers the process's resolver through pipes, so that no test asks a real one. Names it doesn't know
// don't exist, but for silent.test, which gets no answer at all.
type nameServer struct {
	addrs   map[string][]netip.Addr
	queries atomic.Int64 // for IPv4 addresses
}

// names makes the name server that of the test.
func names(t *testing.T, addrs map[string][]netip.Addr) *nameServer {
	s := &nameServer{addrs: addrs}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		mu.Lock()
		defer mu.Unlock()
		open = append(open, theirs)
		all.Go(func() { s.serve(theirs) })
		return ours, nil
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return s
}

// serve answers one connection's queries (RFC 1035, 4).
func (s *nameServer) serve(c net.Conn) {
	defer c.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		end := 12
		var labels []string
		for n := int(query[end]); n > 0; n = int(query[end]) {
			labels = append(labels, string(query[end+1:end+1+n]))
			end += 1 + n
		}
		end += 5 // the root label, type and class
		name, isA := strings.Join(labels, "."), query[end-3] == 1
		if isA {
			s.queries.Add(1)
		}
		if name == "silent.test" {
			continue
		}
		addrs, known := s.addrs[name]
		answer := append([]byte(nil), query[:end]...)
		answer[2], answer[3] = 0x81, 0x80 // a response, recursion available
		if !known {
			answer[3] |= 3 // no such name
		}
		if !isA {
			addrs = nil
		}
		copy(answer[4:12], []byte{0, 1, 0, byte(len(addrs)), 0, 0, 0, 0})
		for _, addr := range addrs {
			ip := addr.As4()
			answer = append(answer, 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
			answer = append(answer, ip[:]...)
		}
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

func TestDialResolvesOncePerHost(t *testing.T) {
	addr := serve(t, nil, oneEvent)
	_, port, _ := net.SplitHostPort(addr)
	server := names(t, map[string][]netip.Addr{"stream.test": {netip.MustParseAddr("127.0.0.1")}})
	n := &Net{}
	looked := make(chan bool)
	for range 10 {
		go func() {
			s, err := (&SSE{Net: n, Request: Request{URL: "http://stream.test:" + port}}).Dial(context.Background(), nil)
			if err != nil {
				t.Error(err)
				looked <- false
				return
			}
			defer s.Close()
			looked <- s.Info().Phases.DNS >= 0
		}()
	}
	times := 0
	for range 10 {
		if <-looked {
			times++
		}
	}
	if queries := server.queries.Load(); times != 1 || queries != 1 {
		t.Errorf("ten connections looked %d times, with %d queries", times, queries)
	}
}

func TestDialLooksAgainWhenANameIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := names(t, map[string][]netip.Addr{"stream.test": {netip.MustParseAddr("127.0.0.1")}})
		n := pipe(t, &Net{}, oneEvent)
		for i, wait := range []time.Duration{0, nameTTL - 1, 1, nameTTL - 1} {
			<-time.After(wait)
			s := dial(t, &SSE{Net: n, Request: Request{URL: "http://stream.test/"}}, "")
			if dns, want := s.Info().Phases.DNS, []time.Duration{0, -1, 0, -1}[i]; dns != want {
				t.Errorf("dial %d: DNS %v, want %v", i, dns, want)
			}
		}
		if queries := server.queries.Load(); queries != 2 {
			t.Errorf("%d queries", queries)
		}
	})
}

// A host may have addresses where nobody listens; the others are tried, and the first failure is the one reported.
func TestDialTriesEveryAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere 127.0.0.1 is the only loopback address")
	}
	addr := serve(t, nil, oneEvent)
	_, port, _ := net.SplitHostPort(addr)
	names(t, map[string][]netip.Addr{
		"some.test": {netip.MustParseAddr("127.0.0.8"), netip.MustParseAddr("127.0.0.1")},
		"none.test": {netip.MustParseAddr("127.0.0.8"), netip.MustParseAddr("127.0.0.9")},
	})
	n := &Net{}
	s := dial(t, &SSE{Net: n, Request: Request{URL: "http://some.test:" + port}}, "")
	if remote := s.Info().Remote.String(); remote != addr {
		t.Errorf("connected to %s", remote)
	}
	_, err := (&SSE{Net: n, Request: Request{URL: "http://none.test:" + port}}).Dial(context.Background(), nil)
	if key, words := explain(err); key != "refused" || !strings.Contains(words, "127.0.0.8:"+port) {
		t.Errorf("%s: %s", key, words)
	}
}

// An address that swallows packets has its share of the time and not all of it.
func TestDialSharesTheTimeAmongAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names(t, map[string][]netip.Addr{"some.test": {netip.MustParseAddr("127.0.0.8"), netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr("127.0.0.1")}})
		n := pipe(t, &Net{Timeout: 9 * time.Second}, oneEvent)
		connect := n.DialTCP
		n.DialTCP = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "127.0.0.1:80" {
				return connect(ctx, network, address)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		s := dial(t, &SSE{Net: n, Request: Request{URL: "http://some.test"}}, "")
		if took := time.Since(began); took != 6*time.Second || s.Info().Phases.TCP != took {
			t.Errorf("took %v, of it %v for TCP", took, s.Info().Phases.TCP)
		}
	})
}

func TestDialNamesThatDoNotResolve(t *testing.T) {
	names(t, nil)
	for name, want := range map[string]string{
		"missing.test": "dns: the host name could not be resolved: lookup missing.test",
		"silent.test":  "timeout: no answer in time: resolving silent.test",
	} {
		for _, d := range []Dialer{
			&SSE{Net: short(), Request: Request{URL: "http://" + name}},
			&WebSocket{Net: short(), Request: Request{URL: "ws://" + name}},
		} {
			_, err := d.Dial(context.Background(), nil)
			if key, words := explain(err); !strings.HasPrefix(key+": "+words, want) || strings.Contains(words, "\n") {
				t.Errorf("%T: %s: %s", d, key, words)
			}
		}
	}
}
