package client

import (
	"net/netip"
	"testing"
)

// A failure to open a stream says by which address the connection had left, where there was one.
func TestDialErrorsSayTheirConnection(t *testing.T) {
	for name, test := range map[string]struct {
		scheme string
		script func(*peer)
	}{
		"refused":         {"http", answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")},
		"no stream":       {"http", answer("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n")},
		"closed at once":  {"http", func(*peer) {}},
		"no WebSocket":    {"ws", answer("HTTP/1.1 101 Switching Protocols\r\n\r\n")},
		"no TLS":          {"https", answer("HTTP/1.1 400 Bad Request\r\n\r\n")},
		"a WebSocket 404": {"ws", answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan netip.AddrPort, 1)
			address := serve(t, nil, func(p *peer) {
				accepted <- addrPort(p.RemoteAddr())
				test.script(p)
			})
			request := Request{URL: test.scheme + "://" + address}
			var d Dialer = &SSE{Net: &Net{}, Request: request}
			if test.scheme == "ws" {
				d = &WebSocket{Net: &Net{}, Request: request}
			}
			_, err := d.Dial(t.Context(), nil)
			if e := Classify(err); err == nil || e.Local != <-accepted {
				t.Errorf("%v: %v", e, e.Local)
			}
		})
	}
	_, err := (&SSE{Net: &Net{}, Request: Request{URL: "http://127.0.0.1:1"}}).Dial(t.Context(), nil)
	if e := Classify(err); e == nil || e.Local.IsValid() {
		t.Errorf("%v, though there was no connection", e)
	}
}
