package client

// A receipt is what is known of when the bytes of one read of a socket arrived. Instants are ns since the epoch,
// CLOCK_REALTIME.
//
// The kernel stamps a segment as it takes it from the device, and a read carries the stamp of its last segment; the
// lower end is when the queue is known to have been empty before. Both speak of segments that arrive in order: one
// that overtook another was stamped before the gap in front of it was filled.
type receipt struct {
	stamp   int64 // of the last segment read; 0 if it has none
	drained int64 // the queue was empty here, and the bytes read came after
	left    int   // bytes left behind because the buffer was full: the stamp may be theirs
	seen    int64 // when user space had the bytes; 0 where that was not noted
}

// earliest is the lower end for an event that wasn't the last or only one of its read. Where the clocks of the two
// ends disagree, because of a step, or a segment on its way to the queue, the stamp bounds it.
func (r receipt) earliest() int64 { return min(r.drained, r.stamp) }
