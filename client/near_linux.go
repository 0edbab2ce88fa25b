package client

import (
	"reflect"
	"unsafe"
)

// near is where the memory is that each event of a pushed stream touches: in its connection, in the stream, and, where its
// sink is a session, in that and in its observer. Of many streams none of that is in a cache when
// the turn comes to one of them. The loop asks for it while it reads the stream before, since waiting for it takes longer
// than all else that is done for an event.
//
// It keeps nothing alive: asking for memory that is no more, or not ours, does nothing.
type near [4]stretch

// A stretch is some lines in a row: the address of the first, and in its lowest bits how many. 0 is none.
type stretch uintptr

const line = 64 // bytes

// stretchOf has the bytes from an address on. Go's allocator gives most objects no line of their own to begin with.
func stretchOf(at, bytes uintptr) stretch {
	if at == 0 {
		return 0
	}
	return stretch(at&^(line-1) | (at%line+bytes+line-1)/line)
}

// What events touch, in bytes: all these types have that first.
const (
	connBytes    = unsafe.Offsetof(conn{}.socket) + unsafe.Offsetof(socket{}.busy)
	sessionBytes = unsafe.Offsetof(Session{}.attempts)
	// observerBytes are of what is not known here.
	observerBytes = 264
)

// nearOf finds what is touched by the events of c, whose stream needs so many bytes from hot on, and which a sink takes.
func nearOf(c *conn, hot unsafe.Pointer, bytes uintptr, to Sink) near {
	n := near{stretchOf(uintptr(unsafe.Pointer(c)), connBytes), stretchOf(uintptr(hot), bytes)}
	if session, ok := to.(*pushing); ok {
		n[2] = stretchOf(address(session), sessionBytes)
		n[3] = stretchOf(address(session.Observer), observerBytes)
	}
	return n
}

// address is that of what a pointer in an interface points to; 0 for another type.
func address(x any) uintptr {
	if v := reflect.ValueOf(x); v.Kind() == reflect.Pointer {
		return v.Pointer()
	}
	return 0
}

// fetch asks for it.
func (n *near) fetch() {
	for _, s := range n {
		if s != 0 {
			prefetch(uintptr(s)&^(line-1), int(s%line))
		}
	}
}
