package client

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestTrySend: what a socket has room for is sent at once, what it may not have room for isn't, and what is sent in either
// way arrives in order.
func TestTrySend(t *testing.T) {
	read, heard := make(chan bool), make(chan []string, 1)
	addr := serveWS(t, func(p *peer) {
		<-read
		heard <- p.hear()
	})
	s := dial(t, &WebSocket{Net: &Net{}, Request: Request{URL: "ws://" + addr}}, "")
	sender := s.(interface {
		Sender
		TrySender
		Finisher
		Pusher
	})
	message := bytes.Repeat([]byte("x"), fewToSend)
	if sent, err := sender.TrySend(message); sent || err != nil {
		t.Fatalf("before it is pushed: %t, %v", sent, err)
	}
	ended := make(chan bool)
	if !sender.Push(SinkFunc(func(_ Event, err error) bool {
		if err != nil {
			close(ended)
		}
		return err == nil
	})) {
		close(read)
		t.Skip("the system has no event loops")
	}
	if sent, err := sender.TrySend(append(message, 'x')); sent || err != nil {
		t.Errorf("a long message: %t, %v", sent, err)
	}
	var want []string
	for sent := true; sent; { // until nobody reads what has been sent
		message[0]++
		var err error
		if sent, err = sender.TrySend(message); err != nil {
			t.Fatal(err)
		}
		if sent {
			want = append(want, "text "+string(message))
		}
	}
	if len(want) == 0 {
		t.Error("none had room")
	}
	close(read)
	if err := sender.Send(context.Background(), []byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := sender.Finish(); err != nil {
		t.Fatal(err)
	}
	if sent, err := sender.TrySend(message); sent || !errors.Is(err, errFinished) {
		t.Errorf("after its end: %t, %v", sent, err)
	}
	want = append(want, "text last", "close 1000")
	if got := <-heard; !slices.Equal(got, want) {
		t.Errorf("%d messages arrived of %d, or others: %.100s", len(got), len(want), strings.Join(got, ","))
	}
	<-ended
}

// TestSessionTrySend: where there is no stream, or one that can't tell, that is said.
func TestSessionTrySend(t *testing.T) {
	var s Session
	if sent, err := s.TrySend(nil); sent || !errors.Is(err, ErrNotOpen) {
		t.Errorf("no stream: %t, %v", sent, err)
	}
	s.stream = &sseStream{}
	if sent, err := s.TrySend(nil); sent || err != nil {
		t.Errorf("a stream that can't send: %t, %v", sent, err)
	}
}
