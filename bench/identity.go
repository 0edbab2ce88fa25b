package bench

import (
	"hash/maphash"
	"sync"
)

// identities is how many ids a feed knows again.
const identities = 1 << 16

// identity gives opaque ids ordinals in the order in which anybody first saw them. That is the order of the stream, but where
// standings say otherwise.
type identity struct {
	seed  maphash.Seed
	mu    sync.Mutex
	known map[uint64]uint64 // hash of the id → ordinal
	ring  []uint64          // hashes by ordinal, to forget the oldest
	last  uint64
	end   uint64 // the last ordinal that counts
	standings
}

// hash is what is kept of an id: 64 bits, of which two of 65,536 are the same by chance once in 10¹⁰ runs.
func (x *identity) hash(id []byte) uint64 { return maphash.Bytes(x.seed, id) }

// find gives the ordinal of an id that a connection has seen, where it has one.
func (x *identity) find(h uint64, by *teller) (ordinal uint64, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.met(h, by)
}

// met is find. The mutex must be held.
func (x *identity) met(h uint64, by *teller) (ordinal uint64, known bool) {
	if ordinal, known = x.known[h]; known && ordinal <= x.end {
		x.again(ordinal, by)
	}
	return ordinal, known
}

// ordinal numbers an id that a connection has seen.
func (x *identity) ordinal(h uint64, by *teller) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n, known := x.met(h, by); known {
		return n
	}
	if x.known == nil {
		x.known = make(map[uint64]uint64, identities)
		x.ring = make([]uint64, identities)
	}
	x.last++
	place := &x.ring[x.last%identities]
	if x.last > identities {
		delete(x.known, *place)
	}
	*place = h
	x.known[h] = x.last
	if x.last <= x.end {
		x.first(x.last, by)
	}
	return x.last
}

// stop has what is numbered from now on not count: it would take the place, in what is known of the order, of what does.
func (x *identity) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.end = x.last
}
