package bench

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rtbench/rtbench/client"
)

const (
	// stormGap is how long after a drop the next one may come to belong to the same storm.
	stormGap = time.Second
	// fewDrops is how many connections a storm has at least, and smallShare how many of those that were open.
	fewDrops   = 3
	smallShare = .02
	// maxKept bounds the drops, and the attempts, that are kept of a storm.
	maxKept = 1 << 17
	// maxRecent bounds how many groups of drops a late one is looked for in.
	maxRecent = 8
	// maxStorms bounds how many are told; the largest are.
	maxStorms = 20
	// maxCauses bounds how many kinds of error are told of a storm.
	maxCauses = 20
	// curveSteps is how many steps the curve of a storm has.
	curveSteps = 20
)

// A Storm is many connections that dropped at about the same time, and how they came back.
type Storm struct {
	At       time.Duration // of the first drop, offset from Result.Start
	Length   time.Duration // to the last drop
	How      client.Break  // by which the run itself broke them off; "" where it didn't, or by several
	Made     int           // how many the run itself broke off
	Open     int           // connections open before
	Ends     []Cause       // how streams that the run didn't break off itself ended: close codes, resets
	Refusals []Cause       // how attempts failed: statuses, refused connections
	Curve    []StormStep
	Policies []PolicyReturns // by back-off policy, where there are several
	Returns
}

// Returns say how connections that dropped came back, from the first drop of a storm to the last attempt.
type Returns struct {
	Dropped  int
	Returned int                     // of these, by the end of the run
	Back     [numBacks]time.Duration // after the first drop, by when 50, 95 and 100 % were; negative where so many weren't
	Attempts uint64                  // to open a stream
	Failed   uint64                  // of these
	Peak     int                     // most attempts within a second
}

// backs are the shares of which it is told when they were back.
var backs = [numBacks]float64{.5, .95, 1}

const numBacks = 3

// A Cause is an error by its key, and how often it was met.
type Cause struct {
	Key   string
	Count int
}

// causes counts keys, the most frequent first; "" is none.
func causes(keys func(yield func(string) bool)) (list []Cause) {
	counts := map[string]int{}
	for key := range keys {
		if key != "" {
			counts[key]++
		}
	}
	for key, n := range counts {
		list = append(list, Cause{key, n})
	}
	slices.SortFunc(list, func(a, b Cause) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Key, b.Key)) })
	return list[:min(len(list), maxCauses)]
}

// A StormStep is one step of a storm's curve.
type StormStep struct {
	At       time.Duration // of its end, after the first drop
	Returned int           // by then
	Attempts int           // within it
	Failed   int           // of these
}

// PolicyReturns are those of the connections of one back-off policy.
type PolicyReturns struct {
	Policy string
	Returns
}

// A dropped is one outage of one connection; times are ns after the start.
type dropped struct {
	conn   int
	at     int64 // when it was noticed, or made
	back   int64 // when a stream was open again; never before that
	open   int   // connections open before it
	policy uint8
	how    client.Break
	key    string // of the error that it ended with
}

// A redial is one attempt to open a stream after a drop.
type redial struct {
	at     int64
	policy uint8
	failed bool
	key    string // of the error that it failed with
}

// A gathering is drops that may be a storm, and what came of them.
type gathering struct {
	drops    []dropped
	conns    map[int]struct{} // that have dropped
	attempts []redial
	from, to int64 // of the first and the latest drop
}

// holds reports whether a drop belongs to them: a connection drops once in a storm.
func (g *gathering) holds(d dropped) bool {
	_, again := g.conns[d.conn]
	return !again && d.at >= g.from-int64(stormGap) && d.at <= g.to+int64(stormGap)
}

// large reports whether they are a storm.
func (g *gathering) large() bool {
	return len(g.drops) >= fewDrops && float64(len(g.drops)) >= smallShare*float64(g.drops[0].open)
}

// storms keep the drops of a run that may be storms. Safe for concurrent use.
type storms struct {
	mu     sync.Mutex
	recent []*gathering // what the next drop may belong to: a black hole is noticed late
	past   []*gathering // that were large; the largest
}

// drop notes one, and gives where it is kept; nil where there are too many.
func (x *storms) drop(d dropped) (in *gathering, number int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.IndexFunc(x.recent, func(g *gathering) bool { return g.holds(d) })
	if i < 0 {
		if i = len(x.recent); i == maxRecent {
			x.pass()
			i--
		}
		x.recent = append(x.recent, &gathering{from: d.at, to: d.at, conns: make(map[int]struct{})})
	}
	g := x.recent[i]
	g.from, g.to = min(g.from, d.at), max(g.to, d.at)
	g.conns[d.conn] = struct{}{}
	if len(g.drops) >= maxKept {
		return nil, 0
	}
	d.back = never
	g.drops = append(g.drops, d)
	return g, len(g.drops) - 1
}

// pass lets the oldest of the recent go, and keeps it if it is a storm, in the place of the smallest where there are too
// many.
func (x *storms) pass() {
	g := x.recent[0]
	x.recent = slices.Delete(x.recent, 0, 1)
	if !g.large() {
		return
	}
	x.past = append(x.past, g)
	if len(x.past) > maxStorms {
		least := 0
		for i, g := range x.past {
			if len(g.drops) < len(x.past[least].drops) {
				least = i
			}
		}
		x.past = slices.Delete(x.past, least, least+1)
	}
}

// returned notes when a connection was back, of a drop that is kept.
func (x *storms) returned(in *gathering, number int, at int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if in != nil {
		in.drops[number].back = at
	}
}

func (x *storms) redial(in *gathering, a redial) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if in != nil && len(in.attempts) < maxKept {
		in.attempts = append(in.attempts, a)
	}
}

// all gives the storms of a run whose window ended at end, oldest first. policies are what the numbers of policies stand
// for.
func (x *storms) all(end int64, policies []string) (list []Storm) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.recent) > 0 {
		x.pass()
	}
	slices.SortFunc(x.past, func(a, b *gathering) int { return cmp.Compare(a.from, b.from) })
	for _, g := range x.past {
		slices.SortFunc(g.drops, func(a, b dropped) int { return cmp.Compare(a.at, b.at) })
		slices.SortFunc(g.attempts, func(a, b redial) int { return cmp.Compare(a.at, b.at) })
		if g.drops[0].at < end {
			list = append(list, g.storm(policies))
		}
	}
	return list
}

// storm describes them.
func (g *gathering) storm(policies []string) Storm {
	drops, attempts := g.drops, g.attempts
	first, open := drops[0].at, 0
	for _, d := range drops {
		open = max(open, d.open)
	}
	s := Storm{At: time.Duration(first), Length: time.Duration(drops[len(drops)-1].at - first), Open: max(open, len(drops)), How: drops[0].how}
	last := first
	for _, d := range drops {
		if d.how != "" {
			s.Made++
		}
		if d.how != s.How {
			s.How = ""
		}
		if d.back != never {
			last = max(last, d.back)
		}
	}
	if n := len(attempts); n > 0 {
		last = max(last, attempts[n-1].at)
	}
	s.Returns = describe(drops, attempts, func(uint8) bool { return true })
	s.Curve = curve(drops, attempts, first, last)
	s.Ends = causes(func(yield func(string) bool) {
		for _, d := range drops {
			if d.how == "" && !yield(d.key) {
				return
			}
		}
	})
	s.Refusals = causes(func(yield func(string) bool) {
		for _, a := range attempts {
			if !yield(a.key) {
				return
			}
		}
	})
	if len(policies) < 2 {
		return s
	}
	for i, name := range policies {
		returns := describe(drops, attempts, func(policy uint8) bool { return int(policy) == i })
		s.Policies = append(s.Policies, PolicyReturns{name, returns})
	}
	return s
}

// describe says how the drops of a storm came back that are of some back-off policies.
func describe(drops []dropped, attempts []redial, of func(policy uint8) bool) (p Returns) {
	first := drops[0].at
	var returns []int64
	for _, d := range drops {
		if !of(d.policy) {
			continue
		}
		p.Dropped++
		if d.back != never {
			returns = append(returns, d.back-first)
		}
	}
	slices.Sort(returns)
	p.Returned = len(returns)
	for i, share := range backs {
		p.Back[i] = -1
		if n := int(math.Ceil(share * float64(p.Dropped))); n > 0 && n <= len(returns) {
			p.Back[i] = time.Duration(returns[n-1])
		}
	}
	var latest []int64 // the attempts of the last second
	for _, a := range attempts {
		if !of(a.policy) {
			continue
		}
		p.Attempts++
		if a.failed {
			p.Failed++
		}
		latest = append(latest, a.at)
		for latest[0] <= a.at-int64(time.Second) {
			latest = latest[1:]
		}
		p.Peak = max(p.Peak, len(latest))
	}
	return p
}

// curve is how the connections of a storm came back, in equal steps.
func curve(drops []dropped, attempts []redial, first, last int64) []StormStep {
	step := max(int64(time.Millisecond), (last-first+curveSteps-1)/curveSteps)
	steps := make([]StormStep, min(curveSteps, max(1, (last-first+step-1)/step)))
	at := func(t int64) *StormStep { return &steps[min(int64(len(steps)-1), max(0, (t-first-1)/step))] }
	for i := range steps {
		steps[i].At = time.Duration(step * int64(i+1))
	}
	for _, d := range drops {
		if d.back != never {
			at(d.back).Returned++
		}
	}
	for _, a := range attempts {
		s := at(a.at)
		s.Attempts++
		if a.failed {
			s.Failed++
		}
	}
	for i := range steps[1:] {
		steps[i+1].Returned += steps[i].Returned
	}
	return steps
}
