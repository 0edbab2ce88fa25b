package check

import (
	"hash/maphash"
	"time"

	"github.com/rtbench/rtbench/client"
)

// recordSize is how many of the latest events a record knows: some 20 MB when it is full.
const recordSize = 1 << 18

// A record is the order of a stream's events as reference subscriptions saw it that stay connected. It numbers events
// from 1 as any of them first has them, and forgets the oldest. Times are since the search began. It isn't safe for
// concurrent use.
type record struct {
	seed    maphash.Seed
	size    int
	ring    []recorded        // event n is at (n-1) % size
	ordinal map[uint64]uint64 // by the hash of the id
	last    uint64            // 0 before there is an event
	epoch   uint32            // goes up when no reference is left, since events may then go unrecorded
	longest time.Duration     // between two events
}

// A recorded is an event of a record.
type recorded struct {
	id    uint64 // hash
	at    time.Duration
	epoch uint32
	by    uint32 // the reference that had it first
}

func newRecord(size int) *record {
	return &record{seed: maphash.MakeSeed(), size: size, ordinal: make(map[uint64]uint64)}
}

// hash is what is kept of an id.
func (r *record) hash(id client.Cursor) uint64 { return maphash.Bytes(r.seed, id) }

// add numbers an event that isn't known.
func (r *record) add(e recorded) (n uint64) {
	e.epoch = r.epoch
	if r.last > 0 {
		r.longest = max(r.longest, e.at-r.latest().at)
	}
	r.last++
	if len(r.ring) < r.size {
		r.ring = append(r.ring, e)
	} else {
		place := &r.ring[(r.last-1)%uint64(r.size)]
		delete(r.ordinal, place.id)
		*place = e
	}
	r.ordinal[e.id] = r.last
	return r.last
}

// find gives an event that is known by the hash of its id.
func (r *record) find(id uint64) (n uint64, e recorded, known bool) {
	if n, known = r.ordinal[id]; known {
		e = r.get(n)
	}
	return n, e, known
}

// get gives event n, which must be known.
func (r *record) get(n uint64) recorded { return r.ring[(n-1)%uint64(r.size)] }

func (r *record) latest() recorded { return r.get(r.last) }

// interval is the mean time between two of the latest events; 0 where there are fewer than two.
func (r *record) interval(latest int) time.Duration {
	n := min(latest, len(r.ring))
	if n < 2 {
		return 0
	}
	return (r.latest().at - r.get(r.last-uint64(n)+1).at) / time.Duration(n-1)
}

// before is how many events after event n had come by a time.
func (r *record) before(n uint64, at time.Duration) (count uint64) {
	for n+count < r.last && r.get(n+count+1).at <= at {
		count++
	}
	return count
}
