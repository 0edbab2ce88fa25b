package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A breakLog is an observer that tells what a test of breaking off needs.
type breakLog struct {
	opened   chan Opened
	received chan string
	closed   chan Closed
}

func newBreakLog() *breakLog {
	return &breakLog{make(chan Opened, 10), make(chan string, 100), make(chan Closed, 10)}
}

func (l *breakLog) Opened(o Opened)    { l.opened <- o }
func (l *breakLog) Received(ev *Event) { l.received <- string(ev.Data) }
func (l *breakLog) Closed(c Closed)    { l.closed <- c }

// What a peer hears of a connection that is broken off, and what the session makes of it, over real sockets.
func TestBreak(t *testing.T) {
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(time.Time{})}}
	for _, test := range []struct {
		how   Break
		heard error // what the peer's reading ends with; nil for an end
	}{{BreakFIN, nil}, {BreakRST, syscall.ECONNRESET}, {BreakHalfClose, nil}, {BreakBlackhole, nil}} {
		for _, kind := range []stampedKind{{name: "SSE"}, {name: "WebSocket", ws: true}, {name: "SSE, TLS", config: config}} {
			for _, pushes := range []bool{true, false} {
				name := string(test.how) + ", " + kind.name
				if !pushes {
					name += ", pulled"
				}
				t.Run(name, func(t *testing.T) { testBreak(t, ca, kind, test.how, test.heard, pushes) })
			}
		}
	}
}

func testBreak(t *testing.T, ca *authority, kind stampedKind, how Break, want error, pushes bool) {
	heard, broken := make(chan error, 2), make(chan bool)
	scheme, wrap := "http://", func(c net.Conn) net.Conn { return c }
	if kind.config != nil {
		scheme, wrap = "https://", func(c net.Conn) net.Conn { return tls.Server(c, kind.config) }
	}
	addr := serve(t, wrap, func(p *peer) {
		if kind.ws && !p.upgrade("") || !kind.ws && !(p.read() && p.write(streamHead)) {
			return
		}
		p.write(kind.event(1))
		if p.n > 0 {
			p.wait()
			return
		}
		<-broken
		if how == BreakBlackhole { // it hears nothing of it, and nobody hears what it says
			p.write(kind.event(2))
		}
		_, err := io.Copy(io.Discard, p.r)
		heard <- err
	})
	n := &Net{TLS: &tls.Config{RootCAs: ca.pool}}
	if how == BreakBlackhole {
		n.Idle = 30 * time.Millisecond
	}
	var dialer Dialer = &SSE{Net: n, Request: Request{URL: scheme + addr}}
	if kind.ws {
		dialer = &WebSocket{Net: n, Request: Request{URL: scheme + addr}}
	}
	log := newBreakLog()
	s := &Session{Dialer: dialer, Backoff: Backoff{Policy: Fixed, Base: time.Millisecond}, Observer: log}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	if pushes {
		s.Start(ctx, func(err error) { ended <- err })
	} else {
		go func() { ended <- s.Run(ctx) }()
	}
	<-log.opened
	<-log.received
	if !s.Break(how) {
		t.Fatal("there was nothing to break off")
	}
	if s.Break(how) {
		t.Error("it was broken off twice")
	}
	close(broken)
	if closed := <-log.closed; closed.Broken != how || !closed.Opened || closed.Final {
		t.Errorf("closed: %+v", closed)
	}
	if how == BreakBlackhole {
		select {
		case err := <-heard:
			t.Errorf("the peer heard %v", err)
		default:
		}
	}
	if data := <-log.received; data != "x" { // of the next stream, and not what came into the hole
		t.Errorf("received %q", data)
	}
	cancel()
	<-ended
	err := <-heard
	if kind.config != nil && errors.Is(err, io.ErrUnexpectedEOF) { // an end without TLS's own
		err = nil
	}
	if how != BreakBlackhole && !errors.Is(err, want) && (err != nil || want != nil) {
		t.Errorf("the peer heard %v, want %v", err, want)
	}
}

// A black hole swallows what is sent, and is noticed when it has been silent for the limit, counted from the last byte
// before: what comes into it doesn't count.
func TestBlackholeInFakeTime(t *testing.T) {
	for _, ws := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := pipe(t, &Net{Idle: 10 * time.Second}, func(p *peer) {
				if ws && !p.upgrade("") || !ws && !(p.read() && p.write(streamHead)) {
					return
				}
				for range 30 {
					if ws && !p.write(frame(wholeText, "x")) || !ws && !p.write(chunk("data: x\n\n")) {
						return
					}
					<-time.After(time.Second)
				}
			})
			var dialer Dialer = &SSE{Net: n, Request: Request{URL: "http://127.0.0.1/"}}
			if ws {
				dialer = &WebSocket{Net: n, Request: Request{URL: "http://127.0.0.1/"}}
			}
			log := newBreakLog()
			s := &Session{Dialer: dialer, Backoff: Backoff{Policy: NoReconnect}, Observer: log}
			ended := make(chan error, 1)
			start := time.Now()
			s.Start(t.Context(), func(err error) { ended <- err })
			<-log.opened
			for range 3 { // at 0, 1 and 2 s
				<-log.received
			}
			s.Break(BreakBlackhole)
			if err := s.Send(t.Context(), []byte("into it")); ws && err != nil {
				t.Errorf("sending into it: %v", err)
			}
			closed := <-log.closed
			if at := closed.At.Sub(start); at != 12*time.Second || Classify(closed.Err).Class != ClassIdle || closed.Broken != BreakBlackhole {
				t.Errorf("noticed after %v: %+v", at, closed)
			}
			<-ended
			if len(log.received) > 0 {
				t.Errorf("received %q out of it", <-log.received)
			}
		})
	}
}

// Finish doesn't wait for a peer that was cut off by a black hole.
func TestFinishInABlackhole(t *testing.T) {
	for _, ws := range []bool{false, true} {
		addr := serve(t, nil, func(p *peer) {
			if ws && p.upgrade("") || !ws && p.read() && p.write(streamHead) {
				p.wait()
			}
		})
		var dialer Dialer = &SSE{Net: &Net{}, Request: Request{URL: "http://" + addr}}
		if ws {
			dialer = &WebSocket{Net: &Net{}, Request: Request{URL: "http://" + addr}}
		}
		log := newBreakLog()
		s := &Session{Dialer: dialer, Observer: log}
		ended := make(chan error, 1)
		s.Start(t.Context(), func(err error) { ended <- err })
		<-log.opened
		for !s.Break(BreakBlackhole) { // it is told before it is pushed
		}
		s.Finish()
		<-ended
	}
}

func TestParseBreak(t *testing.T) {
	for _, how := range Breaks() {
		if got, err := ParseBreak(string(how)); got != how || err != nil {
			t.Errorf("%s: %s, %v", how, got, err)
		}
	}
	if _, err := ParseBreak("axe"); err == nil {
		t.Error("an axe was taken")
	}
}
