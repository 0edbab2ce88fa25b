package cmd

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// A contest is many comparisons of two sides, each by a few paired trials of their own: how often is a difference found
// that isn't there, or one that is?
type contest struct {
	comparisons int
	pairs       int           // of trials, for each comparison
	delay       time.Duration // of what side A delivers
	ratio       float64       // of B's delay to A's
	spread      float64       // standard deviation of ln(B ÷ A) from pair to pair, besides what the host adds
	found       span          // how many of the comparisons may find a difference, with p < .05
}

const significant = .05

// contestRetries is how many trials of a comparison may be refused before it is given up.
const contestRetries = 10

// equals compares a server with itself: at most 7.5 % of the comparisons may find a difference.
var equals = contest{comparisons: 200, pairs: 6, delay: 20 * time.Millisecond, ratio: 1, found: span{0, 15}}

// unequals compares it with one that takes a tenth longer, among noise as large: four of five are to find that.
var unequals = contest{comparisons: 40, pairs: 12, delay: 20 * time.Millisecond, ratio: 1.1, spread: .1, found: span{32, 40}}

func (c contest) scene(bool) scene {
	s := scene{what: fmt.Sprintf("%d comparisons of %d pairs of trials each, of a server with itself", c.comparisons, c.pairs)}
	if c.ratio != 1 {
		s.what = fmt.Sprintf("%d comparisons of %d pairs of trials each, of a server with one that takes %.0f%% longer, where trials differ by %.0f%%",
			c.comparisons, c.pairs, 100*(c.ratio-1), 100*c.spread)
	}
	return s
}

// run makes all comparisons. The order of the sides changes at random from pair to pair.
func (c contest) run(ctx context.Context, s scene) (*evidence, error) {
	random := rand.New(rand.NewPCG(1, uint64(c.comparisons)))
	e := &evidence{scene: s}
	for range c.comparisons {
		a, b := make([]float64, c.pairs), make([]float64, c.pairs)
		left := contestRetries
		for i := range c.pairs {
			sides := []struct {
				to    *float64
				ratio float64
			}{{&a[i], 1}, {&b[i], c.ratio}}
			random.Shuffle(len(sides), func(i, j int) { sides[i], sides[j] = sides[j], sides[i] })
			for _, side := range sides {
				noise := math.Exp(c.spread / math.Sqrt2 * random.NormFloat64()) // of two, the difference has the spread
				delay := time.Duration(float64(c.delay) * side.ratio * noise)
				var err error
				if *side.to, err = c.trial(ctx, delay, &left); err != nil {
					return nil, err
				}
			}
		}
		if left < 0 {
			e.given++
			continue
		}
		if report.ComparePairs(a, b).P < significant {
			e.found++
		}
	}
	return e, nil
}

// trial gives the median delivery of one trial; fresh connections, and a server of its own.
func (c contest) trial(ctx context.Context, delay time.Duration, left *int) (float64, error) {
	s := scene{path: "/sse", connections: 20, lead: 200 * time.Millisecond, duration: 400 * time.Millisecond}
	s.server = fmt.Sprintf("--rate 100 --fault delay=%v", delay.Round(time.Microsecond))
	for {
		e, err := s.run(ctx)
		if err != nil {
			return 0, err
		}
		estimate := e.result.Estimate(bench.Delivery, .5)
		if e.unfit == nil && !estimate.Verdict.Refused() && estimate.Value > 0 {
			return float64(estimate.Value), nil
		}
		if *left--; *left < 0 { // the comparison doesn't count
			return 1, nil
		}
	}
}

// judge holds the number of differences found against what it may be.
func (c contest) judge(e *evidence) []figure {
	// Those given up may have found something or not: it is wrong where neither would mend it.
	f := figure{name: "found", unit: bench.Number, injected: c.found, recovered: span{int64(e.found), int64(e.found + e.given)}}
	if f.judge(); e.given > 0 && f.outcome == passed {
		f.refuse(bench.Warning{Text: fmt.Sprintf("%d of %d comparisons had too many trials that were refused", e.given, c.comparisons), Advice: calm})
	}
	return []figure{f}
}
