package client

import (
	"iter"
	"strings"
	"testing"
)

// The streams that live long: what each server sends again and again, in a few packets, and how many events that is.
var steadyStreams = []struct {
	name   string
	dialer func(*Net, string) Dialer
	head   func(*peer) bool
	sent   string
	events int
}{
	{
		name:   "SSE chunked",
		dialer: func(n *Net, addr string) Dialer { return &SSE{Net: n, Request: Request{URL: "http://" + addr}} },
		head:   func(p *peer) bool { return p.read() && p.write(streamHead) },
		sent:   chunk(steady) + chunk(steady[:33]) + chunk(steady[33:]),
		events: 10,
	},
	{
		name:   "SSE until it closes",
		dialer: func(n *Net, addr string) Dialer { return &SSE{Net: n, Request: Request{URL: "http://" + addr}} },
		head: func(p *peer) bool {
			return p.read() && p.write("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		},
		sent:   "id: 1234567890\ndata: " + strings.Repeat("x", 6000) + "\n\n",
		events: 1,
	},
	{
		name: "WebSocket",
		dialer: func(n *Net, addr string) Dialer {
			return &WebSocket{Net: n, Request: Request{URL: "http://" + addr}, ID: Field{path: "seq"}}
		},
		head: func(p *peer) bool { return p.upgrade("") },
		sent: frame(wholeText, `{"seq":1234567890,"text":"…"}`) + frame(fin|opBinary, strings.Repeat("\xFF", 200)) + frame(opText, "a") + frame(fin|opCont, "b") +
			frame(wholeText, `{"seq":"x","text":"`+strings.Repeat("é", 3000)+`"}`),
		events: 4,
	},
}

// flood sends s until the client has gone.
func (p *peer) flood(s string) {
	for b := []byte(s); ; {
		if _, err := p.Write(b); err != nil {
			return
		}
	}
}

// An event costs no allocation, from the socket to the loop body.
func TestStreamsAllocateNothing(t *testing.T) {
	for _, test := range steadyStreams {
		eachWay(t, test.name, func(t *testing.T, read way) {
			addr := serve(t, nil, func(p *peer) {
				if test.head(p) {
					p.flood(test.sent)
				}
			})
			s := dial(t, test.dialer(&Net{}, addr), "")
			next, stop := iter.Pull2(read(s))
			defer stop()
			if n := testing.AllocsPerRun(200, func() {
				for range test.events {
					if _, err, ok := next(); err != nil || !ok {
						t.Fatal(err, ok)
					}
				}
			}); n != 0 {
				t.Errorf("%v allocations for %d events", n, test.events)
			}
		})
	}
}

// What one event costs, socket included.
func BenchmarkStreams(b *testing.B) {
	for _, bench := range steadyStreams {
		b.Run(bench.name, func(b *testing.B) {
			addr := serve(b, nil, func(p *peer) {
				if bench.head(p) {
					p.flood(strings.Repeat(bench.sent, 1+10000/len(bench.sent)))
				}
			})
			s := dial(b, bench.dialer(&Net{}, addr), "")
			b.SetBytes(int64(len(bench.sent) / bench.events))
			b.ReportAllocs()
			n := 0
			b.ResetTimer()
			for _, err := range s.Events() {
				if err != nil {
					b.Fatal(err)
				}
				if n++; n == b.N {
					break
				}
			}
		})
	}
}
