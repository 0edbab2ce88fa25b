// Package client opens one event stream over any transport and keeps it open.
//
// The pipeline: a [Dialer] opens a [Stream]; the stream reads its socket, notes when bytes arrived and yields each
// [Event]; a [Session] remembers where the subscription stands, hands every event to an [Observer] on the
// connection's own goroutine, and dials again with the last id when the stream drops.
//
//	Net → SSE or WebSocket (Dialer) → Stream → Session → Observer
//
// The package knows transports and nothing of measuring: it counts no latency and judges no loss. It never prints,
// never retries without a bound, never buffers more of an event than it was allowed to, and never asks for
// compression that would hide when bytes arrived.
package client

import (
	"bytes"
	"context"
	"iter"
	"net/http"
	"net/netip"
	"time"
)

// A Dialer opens one stream. from is where to resume; an empty cursor means "from now". Dial may be called again
// after the stream it gave has ended, never concurrently.
type Dialer interface {
	Dial(ctx context.Context, from Cursor) (Stream, error)
}

// A Stream is one open connection that yields events.
type Stream interface {
	// Events yields what arrives, in order, on the caller's goroutine. An error is always last; io.EOF is a clean
	// end. It may be ranged over once.
	Events() iter.Seq2[Event, error]
	// Info describes the connection. Its byte counts grow while Events runs and are read from that goroutine.
	Info() Info
	// Close releases the connection and unblocks Events. Safe to call from any goroutine, more than once.
	Close() error
}

// A Pusher is a Stream that can hand its events on without a goroutine of its own that waits for them.
type Pusher interface {
	// Push has what Events would yield handed to a sink, on a goroutine that it shares with other streams and that the sink
	// must not hold up; the last call may be made on another one. It returns at once: false where the stream's events
	// can't be pushed, and nothing has been done. It is called in the place of Events, before anything is sent. From then
	// on Info has no Header.
	Push(to Sink) bool
}

// A Sink takes what a stream brings. It isn't a function, since each event would touch what that has captured.
type Sink interface {
	// Take takes an event, which is valid while it runs, or why there are no more, and says whether it wants more.
	Take(ev *Event, err error) (more bool)
}

// A SinkFunc is a function as a Sink.
type SinkFunc func(ev Event, err error) (more bool)

// Take implements Sink.
func (f SinkFunc) Take(ev *Event, err error) (more bool) {
	if err != nil {
		return f(Event{}, err)
	}
	return f(*ev, nil)
}

// A Sender is a Stream that can also send.
type Sender interface {
	// Send writes one message. It may be called from any goroutine; p isn't kept.
	Send(ctx context.Context, p []byte) error
}

// A Pinger is a Stream that can ask its peer for a sign of life.
type Pinger interface {
	// Ping asks without waiting; false where that can't be. What comes back is no Event.
	Ping() (sent bool)
}

// A Finisher is a Stream that can ask its peer to end it. Events goes on until the peer did, so that everything the
// peer sent before is still received; the caller bounds the wait with Close.
type Finisher interface {
	Finish() error
}

// A Cursor is a position in a stream: the id of the last event dispatched. Empty means "from now", as in the WHATWG
// standard, where an empty id resets the position.
type Cursor []byte

// Clone copies the cursor out of a loop body.
func (c Cursor) Clone() Cursor { return bytes.Clone(c) }

// Type says what an Event is.
type Type uint8

const (
	Message Type = iota // an event or message for the application
	Comment             // a keep-alive: an SSE comment line, a WebSocket ping
	Hint                // an SSE block without data that moved the id or the retry time
)

// An Event is one thing that a stream yielded. ID and Data are valid only inside the loop body.
type Event struct {
	Type    Type
	Arrival Arrival
	ID      Cursor        // the last event id after this event; inherited where OwnID is false
	OwnID   bool          // the event itself carried the id
	Kind    string        // SSE event name, "message" by default; "" for WebSocket
	Data    []byte        // payload
	Binary  bool          // a binary WebSocket message
	Retry   time.Duration // reconnection time the server asked for; negative if none
	Wire    int           // bytes read from the socket since the event before
}

// fill makes it an event of a type that has data and nothing else; its arrival stays. Set field by field, it isn't made
// elsewhere and copied.
func (ev *Event) fill(typ Type, data []byte) {
	ev.Type, ev.ID, ev.OwnID, ev.Kind, ev.Data, ev.Binary, ev.Retry, ev.Wire = typ, nil, false, "", data, false, -1, 0
}

// Arrival says when the last byte of an event reached this host. The kernel stamps segments that come over TCP on
// Linux, and a read of the socket has the stamp of the last one in it: for the other events of that read it is the upper
// end of when they came. Stamps follow the wall clock, also where that is set.
type Arrival struct {
	User     time.Time // when user space had it; monotonic
	Kernel   int64     // ns since the epoch, CLOCK_REALTIME; 0 where the kernel gave no stamp
	Earliest int64     // lower end, <= Kernel, when Shared; else == Kernel
	Shared   bool      // the read held more than one event, or part of another behind it
}

// Phases are the durations of opening a connection. A phase that didn't happen (no name to resolve, no TLS) is
// negative: what wasn't measured isn't zero.
type Phases struct {
	DNS     time.Duration // name resolution
	TCP     time.Duration // connect(2) to established
	TLS     time.Duration // handshake
	Upgrade time.Duration // request written to response head or 101 read
	Total   time.Duration // Dial called to stream open, redirects included
}

// Info describes an open connection.
type Info struct {
	Phases      Phases
	Started     time.Time // when Dial was called
	Remote      netip.AddrPort
	Local       netip.AddrPort
	Proto       string      // "HTTP/1.1"
	TLS         string      // "TLS 1.3", or ""
	Subprotocol string      // the WebSocket subprotocol agreed on
	Header      http.Header // of the response; not to be changed
	FirstByte   time.Time   // first byte after the response head; zero while there is none
	LastByte    time.Time   // when the last read returned
	WireIn      uint64      // bytes read from the socket, TLS records and heads included
	WireOut     uint64      // bytes written to it
	HeadIn      uint64      // of WireIn, what opening took: TLS handshake and response head; redirects had connections of their own

	Resumed      bool  // the peer was told where to go on
	KernelStamps bool  // the kernel was asked to stamp what arrives: Arrival.Kernel is 0 only where it did not
	Resent       int64 // segments that this host had to send again (TCP_INFO, tcpi_total_retrans); -1 if unknown
	OutOfOrder   int64 // segments that arrived out of order: lost or overtaken on the way (TCP_INFO, tcpi_rcv_ooopack); -1 if unknown
}
