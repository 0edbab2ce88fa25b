package bench

import (
	"math"
	"math/bits"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The buckets are those of every Histogram, by the same arithmetic: 1,024 of each power of two, but that the lowest ones
// are all as wide as the unit.
const (
	unitBits   = 9 // lowest is that power of two at least
	halfBits   = 10
	numBuckets = 24 << halfBits // up to 2 to the 42nd
	pageBits   = 6
	numPages   = numBuckets >> pageBits
	pageMask   = 1<<pageBits - 1
)

func bucketOf(ns int64) int {
	power := bits.Len64(uint64(ns)>>unitBits|(2<<halfBits-1)) - halfBits - 1
	return power<<halfBits + int(ns>>(power+unitBits))
}

// lowestOf is the lowest value of a bucket.
func lowestOf(bucket int) int64 {
	power := max(0, bucket>>halfBits-1)
	return int64(bucket-power<<halfBits) << (power + unitBits)
}

// highestOf is the highest value of a bucket.
func highestOf(bucket int) int64 { return lowestOf(bucket+1) - 1 }

// counts are those of a Histogram's buckets, for a short while: they take as much room, and as long to go through, as
// the values are spread, and no more. The zero value is empty.
type counts struct {
	pages [numPages]uint16 // where the counts of 64 neighbours are, from 1; 0 where there are none
	held  []uint32         // one page after the other, in the order in which they were needed
}

// put counts a value; false if it is out of range.
func (c *counts) put(ns int64) bool {
	if uint64(ns) > uint64(highest) {
		return false
	}
	bucket := bucketOf(ns)
	page := c.pages[bucket>>pageBits]
	if page == 0 {
		page = c.page(bucket >> pageBits)
	}
	c.held[int(page-1)<<pageBits|bucket&pageMask]++
	return true
}

// page makes room for a page.
func (c *counts) page(n int) uint16 {
	used := len(c.held)
	if used == cap(c.held) {
		grown := make([]uint32, used, max(8<<pageBits, 2*used))
		copy(grown, c.held)
		c.held = grown
	}
	c.held = c.held[:used+1<<pageBits]
	c.pages[n] = uint16(len(c.held) >> pageBits)
	return c.pages[n]
}

func (c *counts) empty() bool { return len(c.held) == 0 }

// clear empties them, and keeps the room.
func (c *counts) clear() {
	if c.empty() {
		return
	}
	clear(c.held)
	c.held = c.held[:0]
	c.pages = [numPages]uint16{}
}

// take adds others to them, and leaves of those what it likes: it is quick where there were none.
func (c *counts) take(more *counts) {
	if c.empty() {
		*c, *more = *more, *c
		return
	}
	c.merge(more)
}

// merge adds others to them.
func (c *counts) merge(more *counts) {
	for n, from := range more.pages {
		if from == 0 {
			continue
		}
		to := c.pages[n]
		if to == 0 {
			to = c.page(n)
		}
		sum, more := c.in(to), more.in(from)
		for i := range sum {
			sum[i] = sumOf(sum[i], more[i])
		}
	}
}

// unpack adds what was packed.
func (c *counts) unpack(p packed) {
	for i, bucket := range p.buckets {
		page := c.pages[bucket>>pageBits]
		if page == 0 {
			page = c.page(int(bucket >> pageBits))
		}
		count := &c.held[int(page-1)<<pageBits|int(bucket&pageMask)]
		*count = sumOf(*count, p.counts[i])
	}
}

// sumOf is the sum of two counts, or the highest that there is.
func sumOf(a, b uint32) uint32 { return a + min(b, math.MaxUint32-a) }

// in gives the counts of a page.
func (c *counts) in(page uint16) *[1 << pageBits]uint32 {
	return (*[1 << pageBits]uint32)(c.held[int(page-1)<<pageBits:])
}

// all yields the lowest value of each bucket that is not empty, and its count, in ascending order.
func (c *counts) all(yield func(ns, count int64) bool) {
	for n, page := range c.pages {
		if page == 0 {
			continue
		}
		for i, count := range c.in(page) {
			if count > 0 && !yield(lowestOf(n<<pageBits|i), int64(count)) {
				return
			}
		}
	}
}

// total is how many values there are.
func (c *counts) total() int64 { return sum(c.held) }

func sum(counts []uint32) (n int64) {
	for _, count := range counts {
		n += int64(count)
	}
	return n
}

// rank is which of so many values a Histogram gives for a quantile, from 1.
func rank(total int64, q float64) int64 { return max(1, int64(q*float64(total)+0.5)) }

func (c *counts) median() int64 { return c.quantile(c.total(), 0.5) }

// quantiles are those that a Histogram has.
func (c *counts) quantiles() Quantiles {
	n := c.total()
	return Quantiles{Samples: n, P50: c.quantile(n, 0.5), P99: c.quantile(n, 0.99), Max: c.quantile(n, 1)}
}

// quantile is what a Histogram gives for q (0 to 1), total being how many values there are; 0 where that is none.
func (c *counts) quantile(total int64, q float64) int64 {
	left := rank(total, q)
	for n, page := range c.pages {
		if page == 0 {
			continue
		}
		counts := c.in(page)
		if inside := sum(counts[:]); inside < left {
			left -= inside
			continue
		}
		for i, count := range counts {
			if left -= int64(count); left <= 0 {
				return highestOf(n<<pageBits | i)
			}
		}
	}
	return 0
}

// packed gives them as small as can be.
func (c *counts) packed() packed {
	used := 0
	for _, count := range c.held {
		if count != 0 {
			used++
		}
	}
	if used == 0 {
		return packed{}
	}
	buckets, counts := make([]uint16, used+1), make([]uint32, used+1)
	at := 0
	for n, page := range c.pages {
		if page == 0 {
			continue
		}
		for i, count := range c.in(page) { // what is empty is written over, which is quicker than to go by what nothing foretells
			buckets[at], counts[at] = uint16(n<<pageBits|i), count
			if count != 0 {
				at++
			}
		}
	}
	return packed{buckets[:used], counts[:used]}
}

// into adds them to a histogram.
func (c *counts) into(h *hdrhistogram.Histogram) {
	for ns, count := range c.all {
		_ = h.RecordValues(ns, count) // it is in range
	}
}
