package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/rtbench/rtbench/client"
)

// ticker is a server whose streams end after two events, and go on where the client stopped.
func ticker(w http.ResponseWriter, r *http.Request) {
	var last int
	fmt.Sscan(r.Header.Get("Last-Event-ID"), &last)
	w.Header().Set("Content-Type", "text/event-stream")
	for i := last + 1; i <= last+2; i++ {
		fmt.Fprintf(w, "id: %d\ndata: tick %d\n\n", i, i)
	}
}

// One stream, read to its end.
func ExampleSSE() {
	server := httptest.NewServer(http.HandlerFunc(ticker))
	defer server.Close()
	dialer := &client.SSE{Net: &client.Net{}, Request: client.Request{URL: server.URL}}
	stream, err := dialer.Dial(context.Background(), client.Cursor("40"))
	if err != nil {
		fmt.Println(client.Classify(err).Key(), err)
		return
	}
	defer stream.Close()
	for event, err := range stream.Events() {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s %s: %s\n", event.ID, event.Kind, event.Data)
	}
	// Output:
	// 41 message: tick 41
	// 42 message: tick 42
	// EOF
}

// A printer is an observer that ends its session after five events.
type printer struct {
	session *client.Session
	events  int
}

func (p *printer) Opened(o client.Opened) { fmt.Printf("opened from %q\n", o.From) }

func (p *printer) Received(e *client.Event) {
	fmt.Printf("%s\n", e.Data)
	if p.events++; p.events == 5 {
		p.session.Finish()
	}
}

func (p *printer) Closed(c client.Closed) { fmt.Println("closed:", c.Err) }

// A subscription that outlives its streams: each begins where the one before stopped.
func ExampleSession() {
	server := httptest.NewServer(http.HandlerFunc(ticker))
	defer server.Close()
	observer := &printer{}
	observer.session = &client.Session{
		Dialer:   &client.SSE{Net: &client.Net{}, Request: client.Request{URL: server.URL}},
		Backoff:  client.Backoff{Policy: client.Fixed, Base: time.Millisecond},
		Observer: observer,
	}
	observer.session.Run(context.Background())
	// Output:
	// opened from ""
	// tick 1
	// tick 2
	// closed: EOF
	// opened from "2"
	// tick 3
	// tick 4
	// closed: EOF
	// opened from "4"
	// tick 5
	// tick 6
	// closed: EOF
}

// Messages that are posted, one of them to a server that won't have it.
func ExamplePublisher() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 5 {
			http.Error(w, "too long", http.StatusRequestEntityTooLarge)
		}
	}))
	defer server.Close()
	publisher := &client.Publisher{Net: &client.Net{}, Request: client.Request{URL: server.URL}}
	defer publisher.Close()
	for _, message := range []string{"short", "a long one"} {
		sent, err := publisher.Publish(context.Background(), []byte(message))
		fmt.Println(!sent.IsZero(), err)
	}
	// Output:
	// true <nil>
	// true HTTP status 413: Request Entity Too Large: "too long"
}

// What an event stream's bytes mean, without a connection.
func ExampleDecoder() {
	decoder := client.NewDecoder(1<<20, nil)
	for _, chunk := range []string{"event: price\nid: 7\nda", "ta: 1\ndata: 2\n\n: keep-alive\n"} {
		decoder.Feed([]byte(chunk))
		for {
			event, ok, err := decoder.Next()
			if err != nil || !ok {
				break
			}
			fmt.Printf("%d %q %q %q\n", event.Type, event.Kind, event.Data, event.ID)
		}
	}
	// Output:
	// 0 "price" "1\n2" "7"
	// 1 "" " keep-alive" "7"
}
