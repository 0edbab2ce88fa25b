package client

import (
	"reflect"
	"unsafe"
)

// near is where the memory is that each event of a pushed stream touches: addresses in its connection, in the stream, in
// its sink, and in the observer where that is a session's; 0 for none. Of many streams none of that is in a cache when
// the turn comes to one of them. The loop asks for it while it reads the stream before, since waiting for it takes longer
// than all else that is done for an event.
//
// It keeps nothing alive: asking for memory that is no more, or not ours, does nothing.
type near [4]uintptr

// nearLines is how many lines of 64 bytes are touched from each of them on: all these types have first, or from there on,
// what an event needs. Asked for a few too many is no harm.
var nearLines = [len(near{})]int{3, 6, 2, 5}

// nearOf finds what is touched by the events of c, whose stream needs what follows hot, and which a sink takes.
func nearOf(c *conn, hot unsafe.Pointer, to Sink) near {
	n := near{uintptr(unsafe.Pointer(c)), uintptr(hot), address(to)}
	if session, ok := to.(*pushing); ok {
		n[3] = address(session.Observer)
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
	for i, at := range n {
		if at != 0 {
			prefetch(at, nearLines[i])
		}
	}
}
