package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// An authority issues certificates for a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert, a.key = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "test"}})
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, parentKey := template, key
	if a.cert != nil {
		parent, parentKey = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue gives the certificate of 127.0.0.1 and stream.test, valid until the time given; a zero time is later.
func (a *authority) issue(until time.Time) tls.Certificate {
	cert, key := a.sign(&x509.Certificate{DNSNames: []string{"stream.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: until})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// oneEvent is a server's script: a stream of one event.
func oneEvent(p *peer) {
	if p.read() {
		p.write(streamHead + chunk("data: a\n\n") + lastChunk)
	}
}

func TestTLSErrors(t *testing.T) {
	trusted, stranger := newAuthority(t), newAuthority(t)
	good := trusted.issue(time.Time{})
	server := func(config *tls.Config) string {
		return serve(t, func(c net.Conn) net.Conn { return tls.Server(c, config) }, oneEvent)
	}
	plain := serve(t, nil, func(p *peer) { p.write("HTTP/1.1 400 Bad Request\r\n\r\n"); p.wait() })
	secure := server(&tls.Config{Certificates: []tls.Certificate{good}})
	mutual := &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted.pool}
	mutual12 := mutual.Clone()
	mutual12.MaxVersion = tls.VersionTLS12
	pool := &tls.Config{RootCAs: trusted.pool}
	for _, test := range []struct {
		name, url  string
		net        *Net
		key, words string
	}{
		{"unknown authority", "https://" + secure, &Net{TLS: &tls.Config{RootCAs: stranger.pool}}, "tls",
			"the TLS handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		{"another name", "https://other.test", &Net{TLS: pool, ConnectTo: secure}, "tls",
			"the TLS handshake failed: tls: failed to verify certificate: x509: certificate is valid for stream.test, not other.test"},
		{"expired", "https://" + server(&tls.Config{Certificates: []tls.Certificate{trusted.issue(time.Now().Add(-time.Minute))}}), &Net{TLS: pool}, "tls",
			"the TLS handshake failed: tls: failed to verify certificate: x509: certificate has expired or is not yet valid"},
		{"TLS to a plain port", "https://" + plain, &Net{TLS: pool}, "tls",
			"the TLS handshake failed: the server does not speak TLS on this port"},
		{"TLS to a port that hangs up", "https://" + serve(t, nil, func(p *peer) { p.Read(make([]byte, 4096)) }), &Net{TLS: pool}, "eof", "the stream ended: before the TLS handshake was over"},
		{"an alert of trouble", "https://" + serve(t, nil, func(p *peer) { p.Read(make([]byte, 4096)); p.write("\x15\x03\x03\x00\x02\x02\x50") }), &Net{TLS: pool}, "tls",
			"the TLS handshake failed: remote error: tls: internal error"},
		{"plain HTTP to a TLS port", "http://" + secure, &Net{}, "eof", "the stream ended: before a response head was received"},
		{"plain HTTP to a TLS port that says so", "http://" + serve(t, nil, func(p *peer) { p.read(); p.write("\x15\x03\x01\x00\x02\x02\x46") }), &Net{},
			"protocol", `the server broke the protocol: no HTTP response: malformed HTTP response "\x15\x03\x01\x00\x02\x02F"`},
		{"no common version", "https://" + server(&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}),
			&Net{TLS: &tls.Config{RootCAs: trusted.pool, MinVersion: tls.VersionTLS13}}, "tls", "the TLS handshake failed: remote error: tls: protocol version not supported"},
		{"HTTP/2 only", "https://" + server(&tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"xmpp-client"}}), &Net{TLS: pool}, "tls",
			"the TLS handshake failed: remote error: tls: no application protocol"},
		{"no client certificate", "https://" + server(mutual), &Net{TLS: pool}, "tls", "the TLS handshake failed: remote error: tls: certificate required"},
		{"no client certificate, TLS 1.2", "https://" + server(mutual12), &Net{TLS: pool}, "tls", "the TLS handshake failed: remote error: tls: handshake failure"},
		{"a stranger's client certificate", "https://" + server(mutual), &Net{TLS: &tls.Config{RootCAs: trusted.pool, Certificates: []tls.Certificate{stranger.issue(time.Time{})}}},
			"tls", "the TLS handshake failed: remote error: tls: unknown certificate authority"},
		{"silence in the handshake", "https://" + serve(t, nil, (*peer).wait), short(), "timeout", "no answer in time: in the TLS handshake"},
		{"a reset in the handshake", "https://" + serve(t, nil, func(p *peer) { p.Read(make([]byte, 4096)); p.reset() }), &Net{TLS: pool}, "reset", "the connection was reset: "},
		{"a redirect into it", "http://" + serve(t, nil, answer("HTTP/1.1 302 Found\r\nLocation: https://"+plain+"/\r\nContent-Length: 0\r\n\r\n")), &Net{TLS: pool}, "tls",
			"the TLS handshake failed: the server does not speak TLS on this port"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, d := range []Dialer{
				&SSE{Net: test.net, Request: Request{URL: test.url}},
				&WebSocket{Net: test.net, Request: Request{URL: test.url}},
			} {
				s, err := d.Dial(context.Background(), nil)
				if err == nil {
					s.Close()
					t.Fatalf("%T opened", d)
				}
				key, words := explain(err)
				if key != test.key || !strings.HasPrefix(words, test.words) || strings.Contains(words, "\n") {
					t.Errorf("%T: %s\n%s\nwant %s\n%s", d, key, words, test.key, test.words)
				}
				passes := key != "tls" && key != "protocol" || strings.HasSuffix(words, "internal error")
				if Classify(err).Temporary() != (passes || key == "protocol") {
					t.Errorf("%T: %s is temporary: %v", d, words, !passes)
				}
			}
		})
	}
}

// TestTLSEnds: what breaks the TLS of a stream that is open is no failed handshake, and passes.
func TestTLSEnds(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.issue(time.Time{})}, MaxVersion: tls.VersionTLS12} // whose alerts aren't all encrypted
	for _, test := range []struct{ name, record, want string }{
		{"a bad record", "\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "the server broke the protocol: local error: tls: bad record MAC"},
		{"no record", strings.Repeat("HTTP", 20), "the server broke the protocol: tls: received record with version 5454 when expecting version 303"},
	} {
		eachWay(t, test.name, func(t *testing.T, read way) {
			addr := serve(t, func(c net.Conn) net.Conn { return tls.Server(c, config) }, func(p *peer) {
				if p.read() {
					p.write(streamHead + chunk("data: 1\n\n"))
					p.Conn.(*tls.Conn).NetConn().Write([]byte(test.record))
					p.wait()
				}
			})
			s := dial(t, &SSE{Net: &Net{TLS: &tls.Config{RootCAs: a.pool}}, Request: Request{URL: "https://" + addr}}, "")
			for _, err := range read(s) {
				if err != nil {
					if e := Classify(err); e.Error() != test.want || !e.Temporary() {
						t.Errorf("%v, which is temporary: %v", e, e.Temporary())
					}
					break
				}
			}
			s.Close()
		})
	}
}

func TestTLSStreams(t *testing.T) {
	a := newAuthority(t)
	cert := a.issue(time.Time{})
	for _, test := range []struct {
		name, url, version string
		server, client     *tls.Config
	}{
		{"TLS 1.3", "https://ADDR/", "TLS 1.3", &tls.Config{}, &tls.Config{RootCAs: a.pool}},
		{"TLS 1.2", "https://ADDR/", "TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{RootCAs: a.pool}},
		{"the name of the URL", "https://stream.test/", "TLS 1.3", &tls.Config{}, &tls.Config{RootCAs: a.pool}},
		{"a name given", "https://ADDR/", "TLS 1.3", &tls.Config{}, &tls.Config{RootCAs: a.pool, ServerName: "stream.test"}},
		{"any authority", "https://other.test/", "TLS 1.3", &tls.Config{}, &tls.Config{InsecureSkipVerify: true}},
		{"a client certificate", "https://ADDR/", "TLS 1.3", &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool},
			&tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.issue(time.Time{})}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.server.Certificates = []tls.Certificate{cert}
			type service struct {
				in, out uint64
				resumed bool
			}
			served := make(chan service)
			addr := serve(t, func(c net.Conn) net.Conn { return tls.Server(&meteredConn{Conn: c}, test.server) }, func(p *peer) {
				oneEvent(p)
				c := p.Conn.(*tls.Conn)
				m := c.NetConn().(*meteredConn)
				served <- service{m.out, m.in, c.ConnectionState().DidResume}
				p.wait()
			})
			n := &Net{TLS: test.client, ConnectTo: addr}
			for i := range 2 {
				s := dial(t, &SSE{Net: n, Request: Request{URL: strings.Replace(test.url, "ADDR", addr, 1)}}, "")
				var got []string
				for ev, err := range s.Events() {
					if err != nil {
						got = append(got, err.Error())
						break
					}
					got = append(got, show(ev))
				}
				if !slices.Equal(got, []string{`message "a"`, "EOF"}) {
					t.Errorf("got %q", got)
				}
				info := s.Info()
				if info.TLS != test.version || info.Phases.TLS <= 0 || info.Phases.TCP < 0 {
					t.Errorf("%+v", info)
				}
				// Whatever is on the wire is counted, records and handshake included.
				wire := <-served
				if info.WireIn != wire.in || info.WireOut != wire.out || info.HeadIn >= wire.in || info.HeadIn < 200 {
					t.Errorf("connection %d: %d bytes in and %d out of %+v, %d of the head", i, info.WireIn, info.WireOut, wire, info.HeadIn)
				}
				if wire.resumed != (i > 0) {
					t.Errorf("connection %d resumed a TLS session: %v", i, wire.resumed)
				}
			}
			if len(test.client.NextProtos) != 0 || test.client.ClientSessionCache != nil {
				t.Error("the caller's configuration was changed")
			}
		})
	}
}

// A meteredConn counts at the server what goes over the wire, for the script alone.
type meteredConn struct {
	net.Conn
	in, out uint64
}

func (m *meteredConn) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.in += uint64(n)
	return n, err
}

func (m *meteredConn) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.out += uint64(n)
	return n, err
}

// Over TLS too, Finish says that the client is done and leaves the other direction open.
func TestTLSFinish(t *testing.T) {
	eachWay(t, "", func(t *testing.T, read way) {
		a := newAuthority(t)
		config := &tls.Config{Certificates: []tls.Certificate{a.issue(time.Time{})}}
		addr := serve(t, func(c net.Conn) net.Conn { return tls.Server(c, config) }, func(p *peer) {
			if p.read() {
				p.write(streamHead + chunk("data: 1\n\n"))
				p.wait()
				p.write(chunk("data: 2\n\n") + lastChunk)
			}
		})
		s := dial(t, &SSE{Net: &Net{TLS: &tls.Config{RootCAs: a.pool}}, Request: Request{URL: "https://" + addr}}, "")
		var got []string
		for ev, err := range read(s) {
			if err != nil {
				got = append(got, err.Error())
				break
			}
			if got = append(got, show(ev)); len(got) == 1 {
				if err := s.(Finisher).Finish(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := []string{`message "1"`, `message "2"`, "EOF"}; !slices.Equal(got, want) {
			t.Errorf("got%s", lines(got))
		}
	})
}
