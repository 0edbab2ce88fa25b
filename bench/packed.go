package bench

import "github.com/HdrHistogram/hdrhistogram-go"

// A packed is what counts were, as small as can be: the buckets that aren't empty, in ascending order, and how much is in
// each. It is never changed. The zero value is empty.
type packed struct {
	buckets []uint16
	counts  []uint32
}

func (p packed) empty() bool { return len(p.buckets) == 0 }

// all yields the lowest value of each bucket, and its count, in ascending order.
func (p packed) all(yield func(ns, count int64) bool) {
	for i, bucket := range p.buckets {
		if !yield(lowestOf(int(bucket)), int64(p.counts[i])) {
			return
		}
	}
}

// total is how many values there are.
func (p packed) total() int64 { return sum(p.counts) }

// quantile is what a Histogram gives for q (0 to 1); 0 where there are no values.
func (p packed) quantile(q float64) int64 {
	left := rank(p.total(), q)
	for i, count := range p.counts {
		if left -= int64(count); left <= 0 {
			return highestOf(int(p.buckets[i]))
		}
	}
	return 0
}

// into adds them to a histogram, each by so much more, and no less than 0. It fails where that is out of range.
func (p packed) into(h *hdrhistogram.Histogram, more int64) bool {
	for ns, count := range p.all {
		if h.RecordValues(max(0, ns+more), count) != nil {
			return false
		}
	}
	return true
}
