package bench

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

const (
	// maxDrift is how far a clock may go wrong in a window: 200 ns in a millisecond, more than a sound quartz does.
	maxDrift = 200e-6

	clockSecond  = int64(time.Second)
	clockSeconds = 60
	clockSpan    = clockSeconds * clockSecond // the stretch of server time over which the drift is taken as constant

	// stepMargin is how many seconds the stamps from before and after a step may be mixed over: the clock is set back by
	// up to maxStepBack, and either kind is cut to a second.
	stepMargin  = 3
	maxStepBack = clockSecond

	clockReach = 10 * clockSecond // into a minute that lacks bounds, from one that has them

	maxClockWindows = 1024
	maxCorners      = 512     // of a hull over a window
	maxFewCorners   = 16      // of a hull over a second, which only serves to find and cut out a step
	maxClock        = 1 << 60 // ns: a stamp further from the run's start is no clock's, and sums of four stay in range
	maxRounding     = 1e-6    // ns: what rounding may cost a comparison; stamps are whole ns
)

// A clockOffset bounds how far the server's clock is ahead of ours, from what can't have happened before what caused
// it. It never takes two ways for equally long, as the midpoint of an exchange does, and so needs no symmetric path: its
// answer is an interval, as wide as the paths leave it.
//
// The server's clock reads s at our time u = s − φ(s). All times are ns: ours since the start of the run, the server's
// its stamp less the wall clock at that start, and bounds, questions and answers are by the server's clock s. Something
// stamped s and received at r gives φ(s) ≥ s − r; something sent at p and stamped s later gives φ(s) ≤ s − p. Over a
// minute φ is a line a + b·s with |b| ≤ 200 ppm. The lower bounds matter by the corners of their upper convex hull
// only, the upper ones by those of their lower hull (Moon, Skelly and Towsley, "Estimation and removal of clock skew
// from network delay measurements", INFOCOM 1999); the least and the greatest φ of all lines between the two are the
// solutions of a linear program in a and b.
//
// Where no line fits a minute, the clock has stepped. If one step explains it, it is located to a few seconds, in which
// φ is what it was before or after; if not, or if minutes contradict each other, they are refused. A step that contradicts
// nothing, being smaller than the interval is wide or having no bounds behind it, can't be seen.
//
// It keeps 1,024 minutes, those of the latest stamps, and nothing of stamps more than 36 years from the run. The zero
// value is ready. Not safe for concurrent use; it starts nothing and reads no clock.
type clockOffset struct {
	windows []*clockWindow // by start, ascending
	recent  int            // index of the window used last
}

// received says that something that the server stamped reached us at that time: a bound from below. A stamp may be cut
// to any unit, as cutting it makes it earlier.
func (c *clockOffset) received(stamp, at int64) {
	c.bind(stamp, at, false)
}

// sent says that something left us at that time, and that the server stamped what came of it no later than stamp: a
// bound from above.
func (c *clockOffset) sent(at, stamp int64) {
	c.bind(stamp, at, true)
}

// exchange says that something left us, that the server stamped what came of it, and that this reached us: both bounds.
// The server's clock read between stamp and stamp + grain: grain is the unit to which the stamp is cut, at most a
// second, as in an HTTP Date, and 0 for full precision.
//
// That both ends of the grain may stand for the unknown true stamp, drift or not, is due to u growing with s.
func (c *clockOffset) exchange(sent, stamp, received, grain int64) {
	c.received(stamp, received)
	c.sent(sent, stamp+grain)
}

// at is the interval in which φ lies when the server's clock reads stamp. It isn't ok where that minute lacks bounds
// from below or above, or where steps leave no certainty.
func (c *clockOffset) at(stamp int64) (low, high int64, ok bool) {
	i, found := c.find(stamp)
	if !found {
		return 0, 0, false
	}
	w := c.windows[i]
	phi := w.at(stamp - w.start)
	if !phi.bounded() || c.contradicted(i) {
		return 0, 0, false
	}
	return phi.low, phi.high, true
}

// atLeast is the lower end of the interval alone, which one-way stamps suffice for: a delay computed from it is one
// above the best path.
func (c *clockOffset) atLeast(stamp int64) (low int64, ok bool) {
	i, found := c.find(stamp)
	if !found {
		return 0, false
	}
	w := c.windows[i]
	phi := w.at(stamp - w.start)
	if phi.low == math.MinInt64 {
		return 0, false
	}
	return phi.low, true
}

// atLeastNear is the same at the nearest minute of which something is known.
func (c *clockOffset) atLeastNear(stamp int64) (low int64, ok bool) {
	if _, found := c.find(stamp); found || len(c.windows) == 0 {
		return c.atLeast(stamp)
	}
	i, _ := c.find(stamp)
	last, next := min(c.windows[max(i-1, 0)].start+clockSpan-1, stamp), c.windows[min(i, len(c.windows)-1)].start
	if i == len(c.windows) || i > 0 && stamp-last < next-stamp {
		return c.atLeast(last)
	}
	return c.atLeast(next)
}

// over is by how much φ may be less, and more, than an estimate while the server's clock goes from one stamp to another,
// both included. The estimate is asked for at the first and the last ns of every second, and must be a line in between;
// then the answer is exact, as the lower end of the interval is concave there and the upper end convex. It isn't ok if
// φ isn't known throughout.
func (c *clockOffset) over(from, to int64, estimate func(stamp int64) int64) (below, above int64, ok bool) {
	below, above = math.MaxInt64, math.MinInt64
	for stamp := from; stamp <= to; {
		low, high, ok := c.near(stamp)
		if !ok {
			return 0, 0, false
		}
		guess := estimate(stamp)
		below, above = min(below, low-guess), max(above, high-guess)
		last := floorTo(stamp, clockSecond) + clockSecond - 1
		switch {
		case stamp == to || stamp == last:
			stamp++
		default:
			stamp = min(last, to)
		}
	}
	return below, above, from <= to
}

// near is at, and where a minute lacks bounds, as where nobody asked in the few ms that a run takes of it, what a minute
// beside it leaves after so much drift. It isn't ok where the bounds that there are contradict that.
func (c *clockOffset) near(stamp int64) (low, high int64, ok bool) {
	if low, high, ok = c.at(stamp); ok {
		return low, high, true
	}
	i, found := c.find(stamp)
	own, next := unbounded(), i
	if found {
		w := c.windows[i]
		if own = w.at(stamp - w.start); own.bounded() || len(w.pieces) == 0 { // it is torn, or has no line
			return 0, 0, false
		}
		next++
	}
	start := floorTo(stamp, clockSpan)
	for _, side := range [...]struct{ window, end, away int64 }{
		{int64(i - 1), clockSpan, stamp - start},
		{int64(next), 0, start + clockSpan - stamp},
	} {
		if side.window < 0 || side.window >= int64(len(c.windows)) || side.away > clockReach {
			continue
		}
		w := c.windows[side.window]
		e := w.at(side.end)
		if gap := start - w.start; !e.bounded() || max(gap, -gap) != clockSpan || c.contradicted(int(side.window)) {
			continue
		}
		drift := int64(math.Ceil(maxDrift * float64(side.away)))
		e.low, e.high = e.low-drift, e.high+drift
		if own.low <= e.high && e.low <= own.high {
			return e.low, e.high, true
		}
	}
	return 0, 0, false
}

// A clockStep is a stretch of server time in which its clock was set anew.
type clockStep struct {
	from, to    int64 // ns by the server's clock
	least, most int64 // ns: by how much it was set forward
	sized       bool  // whether least and most are known
}

// steps are the stretches in which the clock has been set, oldest first: what one step in a minute doesn't
// explain makes one stretch of that minute, of unknown size, and where minutes contradict each other it is both of them.
func (c *clockOffset) steps() []clockStep {
	var steps []clockStep
	for i, w := range c.windows {
		w.settle()
		switch len(w.pieces) {
		case 0:
			steps = append(steps, clockStep{from: w.start, to: w.start + clockSpan})
		case 2:
			step := stepBetween(&w.pieces[0], &w.pieces[1])
			step.from, step.to = w.start+step.from, w.start+step.to
			steps = append(steps, step)
		}
		if next, torn := c.torn(i); torn {
			step := clockStep{from: w.start, to: next.start + clockSpan}
			step.size(w.at(clockSpan), next.at(0))
			steps = append(steps, step)
		}
	}
	return steps
}

// stepBetween is the step that must be where two pieces of a window overlap; its times are those in the window.
func stepBetween(before, after *clockPiece) clockStep {
	s := clockStep{from: after.from, to: before.to}
	middle := s.from + (s.to-s.from)/2
	s.size(before.at(middle), after.at(middle))
	return s
}

// size sets by how much the clock was set, from what φ was before and after.
func (s *clockStep) size(before, after extent) {
	if before.bounded() && after.bounded() {
		s.least, s.most, s.sized = after.low-before.high, after.high-before.low, true
	}
}

func (c *clockOffset) bind(stamp, at int64, above bool) {
	if max(stamp, at) > maxClock || min(stamp, at) < -maxClock {
		return
	}
	if w := c.window(stamp); w != nil {
		w.bind(bound{stamp - w.start, stamp - at}, above)
	}
}

// torn says whether window i and the next one that has both bounds, which it also returns, can't both be true: φ changes
// by no more than the drift in between.
func (c *clockOffset) torn(i int) (next *clockWindow, torn bool) {
	j := i + 1
	for j < len(c.windows) && !c.windows[j].at(0).bounded() {
		j++
	}
	if i < 0 || j == len(c.windows) {
		return nil, false
	}
	next = c.windows[j]
	before, after := c.windows[i].at(clockSpan), next.at(0)
	drift := int64(math.Ceil(maxDrift * float64(next.start-c.windows[i].start-clockSpan)))
	return next, before.bounded() && (after.low > before.high+drift || before.low > after.high+drift)
}

// contradicted says whether window i is torn from the last or the next one that has both bounds.
func (c *clockOffset) contradicted(i int) bool {
	last := i - 1
	for last >= 0 && !c.windows[last].at(clockSpan).bounded() {
		last--
	}
	_, before := c.torn(last)
	_, after := c.torn(i)
	return before || after
}

// find is the index of the window that a stamp falls into, or where it would have to be inserted.
func (c *clockOffset) find(stamp int64) (i int, found bool) {
	start := floorTo(stamp, clockSpan)
	if c.recent < len(c.windows) && c.windows[c.recent].start == start {
		return c.recent, true
	}
	i, found = slices.BinarySearchFunc(c.windows, start, func(w *clockWindow, start int64) int {
		return cmp.Compare(w.start, start)
	})
	if found {
		c.recent = i
	}
	return i, found
}

// window is the one that a stamp falls into, made where there is none, and nil if it is older than all that there is
// room for.
func (c *clockOffset) window(stamp int64) *clockWindow {
	i, found := c.find(stamp)
	if found {
		return c.windows[i]
	}
	if len(c.windows) == maxClockWindows {
		if i == 0 {
			return nil
		}
		c.windows = slices.Delete(c.windows, 0, 1)
		i--
	}
	w := &clockWindow{start: floorTo(stamp, clockSpan)}
	c.windows = slices.Insert(c.windows, i, w)
	c.recent = i
	return w
}

// floorTo is the last multiple of unit that isn't after t.
func floorTo(t, unit int64) int64 {
	rest := t % unit
	if rest < 0 {
		rest += unit
	}
	return t - rest
}

// An extent is where φ is, ends included; an end that isn't known is the least or the greatest number.
type extent struct{ low, high int64 }

func unbounded() extent {
	return extent{math.MinInt64, math.MaxInt64}
}

func (e extent) bounded() bool {
	return e.low != math.MinInt64 && e.high != math.MaxInt64
}

func (e extent) join(o extent) extent {
	return extent{min(e.low, o.low), max(e.high, o.high)}
}

// A clockWindow is a minute of server time.
type clockWindow struct {
	start   int64
	whole   lineSet
	seconds [clockSeconds]lineSet
	stale   bool // whole has changed since pieces were made from it
	pieces  []clockPiece
}

// A clockPiece is a part of a window that may be without a step. Two of them overlap where the step must be.
type clockPiece struct {
	from, to int64 // ns in the window, both included
	lineSet
}

func (w *clockWindow) bind(p bound, above bool) {
	changed := w.whole.bind(p, above, maxCorners)
	if w.seconds[p.x/clockSecond].bind(p, above, maxFewCorners) || changed {
		w.stale = true
	}
}

// at is where φ is at a time in the window.
func (w *clockWindow) at(x int64) extent {
	w.settle()
	phi, some := unbounded(), false
	for i := range w.pieces {
		p := &w.pieces[i]
		switch {
		case x < p.from || p.to < x:
		case some:
			phi = phi.join(p.at(x))
		default:
			phi, some = p.at(x), true
		}
	}
	return phi
}

// settle makes the pieces: one if a line fits the window, two if there is a step in it, none if that doesn't explain it.
func (w *clockWindow) settle() {
	if !w.stale {
		return
	}
	w.stale = false
	w.pieces = w.pieces[:0]
	if w.whole.solve() {
		w.pieces = append(w.pieces, clockPiece{0, clockSpan, w.whole})
		return
	}
	// The step is not after the first second with which those before it make a contradiction, and not before the last
	// one with which those after it do.
	last := sort.Search(clockSeconds, func(n int) bool { return w.contradicts(0, n+1) })
	first := clockSeconds - 1 - sort.Search(clockSeconds, func(n int) bool { return w.contradicts(clockSeconds-1-n, clockSeconds) })
	if first < 0 || last+stepMargin < first || last == clockSeconds {
		return
	}
	first, last = max(first-stepMargin, 0), min(last+stepMargin, clockSeconds-1)
	before, _ := w.join(0, first)
	after, _ := w.join(last+1, clockSeconds)
	w.pieces = append(w.pieces,
		clockPiece{0, int64(last+1) * clockSecond, before},
		clockPiece{int64(first) * clockSecond, clockSpan, after})
	if step := stepBetween(&w.pieces[0], &w.pieces[1]); !step.sized || step.least < -maxStepBack {
		w.pieces = w.pieces[:0]
	}
}

// join is what the seconds from one to before another say together, and whether that is possible.
func (w *clockWindow) join(from, to int) (l lineSet, possible bool) {
	for i := from; i < to; i++ {
		for _, p := range w.seconds[i].lower {
			l.lower.add(p, maxCorners)
		}
		for _, p := range w.seconds[i].upper {
			l.upper.add(p, maxCorners)
		}
	}
	possible = l.solve()
	return l, possible
}

func (w *clockWindow) contradicts(from, to int) bool {
	_, possible := w.join(from, to)
	return !possible
}

// A lineSet are the lines between lower and upper bounds whose slopes are within ±maxDrift.
type lineSet struct {
	lower, upper hull    // upper is upside down, with −y for y, to be the same kind of hull
	least, most  float64 // the slopes they have, as solve has found
}

func (l *lineSet) bind(p bound, above bool, limit int) (changed bool) {
	if above {
		return l.upper.add(bound{p.x, -p.y}, limit)
	}
	return l.lower.add(p, limit)
}

// solve finds the slopes that lines between the bounds have, and says whether there are any.
func (l *lineSet) solve() bool {
	var some, any bool
	l.least, some = l.extreme(-maxDrift)
	l.most, any = l.extreme(maxDrift)
	return some && any
}

// extreme is the slope nearest to the given end of the slopes that a line between the bounds can have. At a slope with
// no room between the corners that lines of that slope touch, the one through both corners is the next to try (Newton's
// method: the room is a concave function of the slope).
func (l *lineSet) extreme(end float64) (slope float64, possible bool) {
	if len(l.lower) == 0 || len(l.upper) == 0 {
		return end, true
	}
	for slope = end; ; {
		below, above := l.lower.touch(slope), l.upper.touch(-slope)
		rise, run := float64(-above.y-below.y), float64(above.x-below.x)
		if rise-slope*run >= -maxRounding {
			return slope, true
		}
		if run*end <= 0 { // then any slope inwards of this one leaves less room
			return 0, false
		}
		if slope = rise / run; math.Abs(slope) > maxDrift {
			return 0, false
		}
	}
}

// at is where the lines are at x.
func (l *lineSet) at(x int64) extent {
	e := unbounded()
	if len(l.lower) > 0 {
		e.low = l.lower.lowest(x, l.least, l.most)
	}
	if len(l.upper) > 0 {
		e.high = -l.upper.lowest(x, -l.most, -l.least)
	}
	return e
}

// A bound says that a line is at or above y at x: both ns, x in the window, y an offset.
type bound struct{ x, y int64 }

// slopeTo is the slope from one bound to another, which has a greater x.
func (p bound) slopeTo(q bound) float64 {
	return float64(q.y-p.y) / float64(q.x-p.x)
}

// A hull is the upper convex hull of bounds, as far as lines with slopes within ±maxDrift can touch it: corners by
// ascending x, with slopes between them that descend.
//
// That numbers are rounded here is no harm: a bound left out makes the answer wider.
type hull []bound

// add takes a bound into the hull and says whether that has changed it. Over the limit, the corner that stands out
// least is given up.
func (h *hull) add(p bound, limit int) (changed bool) {
	c := *h
	k := sort.Search(len(c), func(i int) bool { return c[i].x >= p.x })
	if k < len(c) && c[k].x == p.x && c[k].y >= p.y {
		return false
	}
	into, out := maxDrift, -maxDrift
	if k > 0 {
		into = c[k-1].slopeTo(p)
	}
	if k < len(c) {
		out = p.slopeTo(c[k]) // −∞ above a corner of the same x
	}
	if into <= out {
		return false
	}
	from, to := k, k
	for ; from > 0 && c[from-1].slopeTo(p) >= c.into(from-1); from-- {
	}
	for ; to < len(c) && p.slopeTo(c[to]) <= c.out(to); to++ {
	}
	*h = slices.Replace(c, from, to, p)
	if len(*h) > limit {
		h.thin()
	}
	return true
}

// into and out are the slopes on either side of corner i; beyond the ends, those of the steepest lines.
func (h hull) into(i int) float64 {
	if i == 0 {
		return maxDrift
	}
	return h[i-1].slopeTo(h[i])
}

func (h hull) out(i int) float64 {
	if i == len(h)-1 {
		return -maxDrift
	}
	return h[i].slopeTo(h[i+1])
}

// thin gives up the corner that is least above the line between its neighbours.
func (h *hull) thin() {
	c := *h
	least, height := 0, math.Inf(1)
	for i := 1; i < len(c)-1; i++ {
		above := (c[i-1].slopeTo(c[i]) - c[i-1].slopeTo(c[i+1])) * float64(c[i].x-c[i-1].x)
		if above < height {
			least, height = i, above
		}
	}
	*h = slices.Delete(c, least, least+1)
}

// touch is the corner that a falling line of a slope would come to rest on.
func (h hull) touch(slope float64) bound {
	return h[sort.Search(len(h)-1, func(i int) bool { return h.out(i) <= slope })]
}

// lowest is how low lines that are above the hull, with slopes between least and most, can be at x: they touch the hull
// there, or as near to there as their slopes allow.
func (h hull) lowest(x int64, least, most float64) int64 {
	slope := -maxDrift
	if k := sort.Search(len(h), func(i int) bool { return h[i].x >= x }); k < len(h) {
		slope = h.into(k)
	}
	slope = min(max(slope, least), most)
	p := h.touch(slope)
	return p.y + int64(math.Floor(slope*float64(x-p.x)))
}
