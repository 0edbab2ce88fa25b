package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/rtbench/rtbench/server"
)

// patience bounds what a test waits for; no test passes because of it.
const patience = 30 * time.Second

// listen serves a proxy on a loopback socket until the test ends.
func listen(t *testing.T, o Options) (address string) {
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln := loopback(t)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func loopback(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func dialer(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}

// pair gives both ends of a connection through a proxy.
func pair(t *testing.T, list ...string) (client, target *net.TCPConn) {
	ln := loopback(t)
	address := listen(t, Options{Raw: true, Dial: dialer(ln.Addr().String()), Faults: faults(t, list...)})
	ends := make([]*net.TCPConn, 2)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ends[0] = c.(*net.TCPConn)
	if c, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	ends[1] = c.(*net.TCPConn)
	for _, end := range ends {
		t.Cleanup(func() { end.Close() })
		if err := end.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// One end can say that it has said everything, and still hear the other.
func TestHalfClose(t *testing.T) {
	for _, swap := range []bool{false, true} {
		one, other := pair(t)
		if swap {
			one, other = other, one
		}
		send(t, one, "question")
		if err := one.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(other); string(got) != "question" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		send(t, other, "answer")
		other.Close()
		if got, err := io.ReadAll(one); string(got) != "answer" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// A reset passes as one.
func TestResetPasses(t *testing.T) {
	one, other := pair(t)
	if err := one.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	one.Close()
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

// What is cut ends with FIN or RST, as asked for, also where the client has sent what nobody has read.
func TestFINAndRST(t *testing.T) {
	for fault, want := range map[string]error{"cut@4b": io.EOF, "cut@4b:rst": syscall.ECONNRESET, "reset@4b": syscall.ECONNRESET} {
		client, target := pair(t, fault)
		send(t, target, "12")
		if _, err := io.ReadFull(client, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for want == io.EOF { // else the write would be told of the reset, and not the read
				if _, err := client.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}()
		send(t, target, "3456")
		got, err := io.ReadAll(client)
		if want == io.EOF && string(got) != "34" || len(got) > 2 {
			t.Errorf("%s: %q", fault, got)
		}
		if err == nil {
			err = io.EOF
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", fault, err)
		}
		client.Close()
		<-sent
	}
}

func TestRefusal(t *testing.T) {
	address := listen(t, Options{Dial: dialer("127.0.0.1:1"), Faults: faults(t, "refuse@100%")})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(t, c, request)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

// A target with TLS is talked to in the clear from the client's side, and resets reach both ends.
func TestTLSTarget(t *testing.T) {
	cert, ca, err := server.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	ln := tls.NewListener(loopback(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	secure := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	address := listen(t, Options{Faults: faults(t, "cut@1:rst"), Host: "example.com", Dial: func(ctx context.Context) (net.Conn, error) {
		return secure.DialContext(ctx, "tcp", ln.Addr().String())
	}})
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send(t, client, request)
	target, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	want := "GET /sse HTTP/1.1\r\nHost: example.com\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(target, got); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	send(t, target, streamHead+"\r\ndata: 1\n", "\n")
	_, err = io.ReadAll(client)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if _, err := io.ReadAll(target); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}
