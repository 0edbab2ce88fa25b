package bench

import (
	"iter"
	"math"
	"math/bits"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Spread is how samples are spread over levels of time, each about 1.4 times as long as the one below: enough for a picture.
type Spread struct {
	First  int      // level of the first of Counts
	Counts []uint64 // by level; neither the first nor the last is 0
}

// LevelOf is the level that a time belongs to, two to a doubling. Times below a microsecond are of level 0.
func LevelOf(ns int64) int {
	if ns < 1<<10 {
		return 0
	}
	octave := bits.Len64(uint64(ns)) - 1
	level := 2 * (octave - 10)
	if float64(ns) >= math.Sqrt2*float64(int64(1)<<octave) {
		level++
	}
	return level + 1
}

// LevelFrom is the shortest time of a level, in ns.
func LevelFrom(level int) float64 {
	if level <= 0 {
		return 0
	}
	return math.Pow(2, 10+float64(level-1)/2)
}

// spreadOf is how samples are spread, of which it is given some of about the same time at once, in ascending order.
func spreadOf(samples iter.Seq2[int64, int64]) (s Spread) {
	for ns, count := range samples {
		level := LevelOf(ns)
		if s.Counts == nil {
			s.First = level
		}
		for len(s.Counts) <= level-s.First {
			s.Counts = append(s.Counts, 0)
		}
		s.Counts[level-s.First] += uint64(count)
	}
	return s
}

// samplesOf gives those of a histogram.
func samplesOf(h *hdrhistogram.Histogram) iter.Seq2[int64, int64] {
	return func(yield func(ns, count int64) bool) {
		for _, bar := range h.Distribution() {
			if bar.Count > 0 && !yield(bar.From, bar.Count) {
				return
			}
		}
	}
}

// join is the spread of the samples of both.
func (s Spread) join(more Spread) Spread {
	switch {
	case len(more.Counts) == 0:
		return s
	case len(s.Counts) == 0:
		return more
	}
	first := min(s.First, more.First)
	sum := Spread{First: first, Counts: make([]uint64, max(s.First+len(s.Counts), more.First+len(more.Counts))-first)}
	for _, x := range []Spread{s, more} {
		for i, n := range x.Counts {
			sum.Counts[x.First-first+i] += n
		}
	}
	return sum
}
