package bench

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

const (
	micro = int64(1e3)
	milli = int64(1e6)
)

// A skewedClock is a server's clock: ahead of ours by offset + wander, where wander is a line over every minute.
type skewedClock struct {
	offset int64
	origin int64     // stamp at which wander is 0; a whole minute
	drifts []float64 // over the minutes from origin; the last one goes on
}

// wander is what the clock is ahead by at a stamp, less offset, which would take the digits of a float.
func (k *skewedClock) wander(stamp int64) (ns float64) {
	for i, drift := range k.drifts {
		t := float64(stamp - k.origin - int64(i)*clockSpan)
		if i < len(k.drifts)-1 {
			t = min(t, float64(clockSpan))
		}
		if i > 0 {
			t = max(t, 0)
		}
		ns += drift * t
	}
	return ns
}

// causes is the latest whole ns by our clock that is not after the server's reads stamp, and follows the earliest that
// is not before.
func (k *skewedClock) causes(stamp int64) int64 {
	return stamp - k.offset - int64(math.Ceil(k.wander(stamp)))
}

func (k *skewedClock) follows(stamp int64) int64 {
	return stamp - k.offset - int64(math.Floor(k.wander(stamp)))
}

func (k *skewedClock) inside(low, high, stamp int64) bool {
	truth := k.wander(stamp)
	return float64(low-k.offset) <= truth+maxRounding && truth-maxRounding <= float64(high-k.offset)
}

// A delay draws how long a path takes, in ns.
type delay func(*rand.Rand) int64

func exactly(ns int64) delay { return func(*rand.Rand) int64 { return ns } }

func exponential(least, mean int64) delay {
	return func(r *rand.Rand) int64 { return least + int64(r.ExpFloat64()*float64(mean)) }
}

// heavy is a Pareto distribution of shape 1.2, cut at a minute.
func heavy(least int64) delay {
	return func(r *rand.Rand) int64 {
		return min(int64(float64(least)*math.Pow(1-r.Float64(), -1/1.2)), clockSpan)
	}
}

func drawDelay(t *rapid.T, name string) delay {
	least := rapid.Int64Range(0, 200*milli).Draw(t, name)
	switch rapid.SampledFrom([]string{"fixed", "exponential", "heavy"}).Draw(t, name+" jitter") {
	case "exponential":
		return exponential(least, rapid.Int64Range(1, 50*milli).Draw(t, name+" mean"))
	case "heavy":
		return heavy(least + 1)
	}
	return exactly(least)
}

func drawClock(t *rapid.T, minutes int) *skewedClock {
	const hours = 12 * 3600 * clockSecond
	offset := rapid.Int64Range(-hours, hours).Draw(t, "offset")
	drift := rapid.Float64Range(-maxDrift, maxDrift)
	return &skewedClock{
		offset: offset,
		origin: floorTo(offset, clockSpan),
		drifts: rapid.SliceOfN(drift, minutes, minutes).Draw(t, "drifts"),
	}
}

// exchange is one at which the server cuts its stamp to a grain.
func (k *skewedClock) exchange(c *clockOffset, stamp, out, back, grain int64) {
	c.exchange(k.causes(stamp)-out, floorTo(stamp, max(grain, 1)), k.follows(stamp)+back, grain)
}

func TestClockOffsetHoldsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const minutes = 3
		k := drawClock(t, minutes)
		out, back := drawDelay(t, "out"), drawDelay(t, "back")
		grain := rapid.SampledFrom([]int64{0, micro, milli, clockSecond}).Draw(t, "grain")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		stamp := func() int64 { return k.origin + random.Int64N(minutes*clockSpan-clockSecond) }
		var c clockOffset
		for range rapid.IntRange(1, 60).Draw(t, "exchanges") { // in no order, as over many connections
			k.exchange(&c, stamp(), out(random), back(random), grain)
		}
		for range rapid.IntRange(0, 200).Draw(t, "one-way") {
			s := stamp()
			c.received(floorTo(s, max(grain, 1)), k.follows(s)+back(random))
		}
		for range 30 {
			s := stamp()
			low, high, ok := c.at(s)
			if ok && !k.inside(low, high, s) {
				t.Fatalf("at %d: %v is not in %d…%d", s, k.wander(s), low-k.offset, high-k.offset)
			}
			least, known := c.atLeast(s)
			if known && !k.inside(least, maxClock, s) {
				t.Fatalf("at %d: %v is less than %d", s, k.wander(s), least-k.offset)
			}
			if ok && (!known || least != low) {
				t.Fatalf("at %d: at least %d, %v, but from %d", s, least, known, low)
			}
		}
		if steps := c.steps(); len(steps) > 0 {
			t.Fatalf("steps of a clock that wasn't set: %+v", steps)
		}
	})
}

func TestClockOffsetKnowsEveryMinuteThatHasBothBounds(t *testing.T) {
	k := &skewedClock{offset: -7 * 3600 * clockSecond, drifts: []float64{20e-6}}
	k.origin = floorTo(k.offset, clockSpan)
	var c clockOffset
	k.exchange(&c, k.origin, 0, 0, 0)
	k.exchange(&c, k.origin+3*clockSpan-1, 0, 0, 0)
	c.received(k.origin+clockSpan, k.follows(k.origin+clockSpan))
	for _, test := range []struct {
		stamp       int64
		ok, isKnown bool
	}{
		{-1, false, false}, {0, true, true}, {clockSpan - 1, true, true}, {clockSpan, false, true},
		{2*clockSpan - 1, false, true}, {2 * clockSpan, true, true}, {3 * clockSpan, false, false},
	} {
		low, high, ok := c.at(k.origin + test.stamp)
		_, known := c.atLeast(k.origin + test.stamp)
		if ok != test.ok || known != test.isKnown || ok && !k.inside(low, high, k.origin+test.stamp) {
			t.Errorf("at %d: %d…%d, %v, at least %v", test.stamp, low, high, ok, known)
		}
	}
	if low, high, _ := c.at(k.origin); low != k.offset || high != k.offset {
		t.Errorf("after an exchange that took no time: %d…%d", low-k.offset, high-k.offset)
	}
}

func TestClockOffsetMayDriftWhileNothingIsHeard(t *testing.T) {
	k := &skewedClock{drifts: []float64{-maxDrift}}
	var c clockOffset
	for _, stamp := range []int64{0, clockSpan - 1, 60 * clockSpan, 61*clockSpan - 1} {
		k.exchange(&c, stamp, 0, 0, 0)
	}
	for _, stamp := range []int64{clockSpan / 2, 60*clockSpan + clockSpan/2} {
		if low, high, ok := c.at(stamp); !ok || !k.inside(low, high, stamp) {
			t.Errorf("%d…%d, %v, want %f", low, high, ok, k.wander(stamp))
		}
	}
}

// enumerate is the interval by brute force: what lines can have at x is extreme for a slope at which two bounds are met.
// Bounds may contradict each other by the tolerance, in ns.
func enumerate(lower, upper []bound, x int64, tolerance float64) (low, high float64, possible bool) {
	slopes := []float64{-maxDrift, maxDrift}
	all := append(append([]bound{}, lower...), upper...)
	for i, p := range all {
		for _, q := range all[:i] {
			if p.x != q.x {
				slopes = append(slopes, float64(q.y-p.y)/float64(q.x-p.x))
			}
		}
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, b := range slopes {
		above, below := math.Inf(-1), math.Inf(1)
		for _, p := range lower {
			above = max(above, float64(p.y)+b*float64(x-p.x))
		}
		for _, p := range upper {
			below = min(below, float64(p.y)+b*float64(x-p.x))
		}
		if math.Abs(b) <= maxDrift && below-above >= -tolerance {
			low, high, possible = min(low, above), max(high, below), true
		}
	}
	return low, high, possible
}

func TestClockOffsetAgreesWithEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drift := rapid.Float64Range(-maxDrift, maxDrift).Draw(t, "drift")
		width := rapid.SampledFrom([]int64{3, micro, milli, 20 * milli}).Draw(t, "width")
		draw := func(name string, away int64) []bound {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bound {
				x := rapid.Int64Range(0, clockSpan-1).Draw(t, "x")
				room := rapid.Int64Range(-width/50, width).Draw(t, "room")
				return bound{x, int64(drift*float64(x)) + away*room}
			}), 1, 12).Draw(t, name)
		}
		lower, upper := draw("lower", -1), draw("upper", 1)
		var c clockOffset
		for _, p := range lower {
			c.received(p.x, p.x-p.y)
		}
		for _, p := range upper {
			c.sent(p.x-p.y, p.x)
		}
		x := rapid.Int64Range(0, clockSpan-1).Draw(t, "at")
		// Exact bounds make the least interval that is right; the greatest is that with rounding conceded, cut to whole ns.
		innerLow, innerHigh, must := enumerate(lower, upper, x, 0)
		outerLow, outerHigh, may := enumerate(lower, upper, x, 2*maxRounding)
		possible := c.windows[0].whole.solve()
		if must && !possible || possible && !may {
			t.Fatalf("lines fit: %v, want %v", possible, must)
		}
		if !possible {
			return
		}
		low, high, ok := c.at(x)
		if !ok || float64(low) > innerLow+maxRounding || float64(high) < innerHigh-maxRounding {
			t.Fatalf("%d…%d, %v, want %f…%f", low, high, ok, innerLow, innerHigh)
		}
		if float64(low) < outerLow-1-maxRounding || float64(high) > outerHigh+1+maxRounding {
			t.Fatalf("%d…%d, want %f…%f", low, high, outerLow, outerHigh)
		}
	})
}

func TestClockOffsetWidth(t *testing.T) {
	for _, test := range []struct {
		name      string
		out, back delay
		half      int64 // of the interval
		midpoint  int64 // how wrong it is
	}{
		{"LAN", exponential(150*micro, 100*micro), exponential(150*micro, 100*micro), 150 * micro, 0},
		{"asymmetric WAN", exponential(70*milli, 5*milli), exponential(10*milli, 2*milli), 40 * milli, 30 * milli},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &skewedClock{offset: 37*milli + 600*clockSecond, origin: 600 * clockSecond, drifts: []float64{20e-6}}
			random := rand.New(rand.NewPCG(1, 2))
			var c clockOffset
			for s := k.origin; s < k.origin+clockSpan; s += 50 * milli {
				k.exchange(&c, s, test.out(random), test.back(random), 0)
			}
			for s := k.origin; s < k.origin+clockSpan; s += clockSecond {
				low, high, ok := c.at(s)
				if !ok || !k.inside(low, high, s) {
					t.Fatalf("after %d s: %d…%d, %v", (s-k.origin)/clockSecond, low, high, ok)
				}
				half, middle := (high-low)/2, float64(low+(high-low)/2-k.offset)-k.wander(s)
				if half < test.half || half > test.half+test.half/20 {
					t.Errorf("after %d s: ± %d, want %d", (s-k.origin)/clockSecond, half, test.half)
				}
				if math.Abs(math.Abs(middle)-float64(test.midpoint)) > float64(test.half)/20 {
					t.Errorf("after %d s: the midpoint is off by %f, want %d", (s-k.origin)/clockSecond, middle, test.midpoint)
				}
			}
		})
	}
}

// set is the clock after it has been set forward.
func (k *skewedClock) set(forward int64) *skewedClock {
	after := *k
	after.offset += forward
	return &after
}

// talk is one-way stamps each 10 ms, of which each tenth belongs to an exchange.
func (k *skewedClock) talk(c *clockOffset, from, to int64, random *rand.Rand, grain int64) {
	path := exponential(150*micro, 50*micro)
	for s, n := from, 0; s < to; s, n = s+10*milli, n+1 {
		if n%10 == 0 {
			k.exchange(c, s, path(random), path(random), grain)
		} else {
			c.received(floorTo(s, max(grain, 1)), k.follows(s)+path(random))
		}
	}
}

func TestClockOffsetFindsAStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawClock(t, 1)
		grain := rapid.SampledFrom([]int64{0, milli, clockSecond}).Draw(t, "grain")
		step := rapid.SampledFrom([]int64{5 * milli, -5 * milli, 4 * clockSecond, -700 * milli}).Draw(t, "step")
		if grain == clockSecond { // then smaller ones can't be told from the grain
			step = 4 * clockSecond
		}
		after := before.set(step)
		last := before.origin + rapid.Int64Range(12*clockSecond, 45*clockSecond).Draw(t, "last stamp before")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var c clockOffset
		before.talk(&c, before.origin, last, random, grain)
		after.talk(&c, last+step, before.origin+clockSpan-clockSecond, random, grain)

		steps := c.steps()
		if len(steps) != 1 {
			t.Fatalf("steps: %+v", steps)
		}
		found := steps[0]
		early, late := min(last, last+step), max(last, last+step)
		if found.from > late || found.to < early || found.to-found.from > (2*stepMargin+3)*clockSecond+late-early {
			t.Errorf("%d…%d, want %d", found.from-before.origin, found.to-before.origin, last-before.origin)
		}
		if !found.sized || found.least > step || step > found.most || found.most-found.least > 30*milli+2*grain {
			t.Errorf("%d…%d, %v, want %d", found.least, found.most, found.sized, step)
		}
		for s := before.origin; s < before.origin+clockSpan-clockSecond; s += 100 * milli {
			low, high, ok := c.at(s)
			if !ok || s < last && !before.inside(low, high, s) || s >= last+step && !after.inside(low, high, s) {
				t.Fatalf("after %d: %v is not in %d…%d, %v", s-before.origin, before.wander(s), low-before.offset, high-before.offset, ok)
			}
		}
	})
}

func TestClockOffsetRefuses(t *testing.T) {
	still := func(offset int64) *skewedClock { return &skewedClock{offset: offset, drifts: []float64{0}} }
	t.Run("two steps in a minute", func(t *testing.T) {
		var c clockOffset
		for s := int64(0); s < clockSpan; s += 100 * milli {
			still(s/(20*clockSecond)*50*milli).exchange(&c, s, milli, milli, 0)
		}
		if steps := c.steps(); len(steps) != 1 || steps[0] != (clockStep{to: clockSpan}) {
			t.Errorf("%+v", steps)
		}
		for s := int64(0); s < clockSpan; s += clockSecond {
			if _, _, ok := c.at(s); ok {
				t.Fatalf("known at %d", s)
			}
			if _, ok := c.atLeast(s); ok {
				t.Fatalf("known from below at %d", s)
			}
		}
	})
	t.Run("a step far back", func(t *testing.T) {
		var c clockOffset
		random := rand.New(rand.NewPCG(1, 2))
		still(0).talk(&c, 0, clockSpan/2, random, 0)
		still(-4*clockSecond).talk(&c, clockSpan/2-4*clockSecond, clockSpan, random, 0)
		if _, _, ok := c.at(clockSpan / 2); ok || len(c.steps()) != 1 {
			t.Errorf("%v, %+v", ok, c.steps())
		}
	})
	t.Run("a step between minutes", func(t *testing.T) {
		var c clockOffset
		random := rand.New(rand.NewPCG(1, 2))
		still(0).talk(&c, 0, clockSpan, random, 0)
		still(-50*milli).talk(&c, clockSpan, 3*clockSpan, random, 0)
		steps := c.steps()
		if len(steps) != 1 || !steps[0].sized || steps[0].from != 0 || steps[0].to != 2*clockSpan ||
			steps[0].least > -50*milli || steps[0].most < -50*milli {
			t.Errorf("%+v", steps)
		}
		for minute, want := range []bool{false, false, true} {
			if _, _, ok := c.at(int64(minute)*clockSpan + clockSpan/2); ok != want {
				t.Errorf("minute %d: %v", minute, ok)
			}
		}
	})
	t.Run("a step by hours", func(t *testing.T) {
		for _, step := range []int64{-3600 * clockSecond, 3600 * clockSecond} {
			var c clockOffset
			random := rand.New(rand.NewPCG(1, 2))
			still(0).talk(&c, 0, clockSpan, random, clockSecond)
			still(step).talk(&c, clockSpan+step, 2*clockSpan+step, random, clockSecond)
			steps := c.steps()
			if len(steps) != 1 || steps[0].from != min(0, clockSpan+step) {
				t.Errorf("%+v", steps)
			}
			if _, _, ok := c.at(clockSpan / 2); ok {
				t.Error("known before it")
			}
			if _, _, ok := c.at(step + clockSpan + clockSpan/2); ok {
				t.Error("known after it")
			}
		}
	})
	t.Run("what is no time", func(t *testing.T) {
		var c clockOffset
		c.exchange(0, math.MaxInt64, 0, 0)
		c.exchange(0, math.MinInt64, 0, 0)
		c.received(maxClock+1, 0)
		c.sent(-maxClock-1, 0)
		if len(c.windows) != 0 {
			t.Errorf("%d windows", len(c.windows))
		}
	})
}

func TestClockOffsetTakesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-2*clockSpan, 2*clockSpan), rapid.Int64Range(-9, 9))
		var c clockOffset
		for range rapid.IntRange(0, 40).Draw(t, "n") {
			c.exchange(number.Draw(t, "sent"), number.Draw(t, "stamp"), number.Draw(t, "received"), rapid.Int64Range(0, clockSecond).Draw(t, "grain"))
			stamp := number.Draw(t, "at")
			if low, high, ok := c.at(stamp); ok && low > high {
				t.Fatalf("%d…%d", low, high)
			}
		}
		for _, step := range c.steps() {
			if step.from >= step.to || step.sized && step.least > step.most {
				t.Fatalf("%+v", step)
			}
		}
	})
}

func TestClockOffsetForgetsTheOldest(t *testing.T) {
	k := &skewedClock{drifts: []float64{0}}
	var c clockOffset
	for n := range int64(maxClockWindows + 10) {
		k.exchange(&c, n*clockSpan, milli, milli, 0)
	}
	k.exchange(&c, 0, milli, milli, 0)
	k.exchange(&c, 12*clockSpan, 0, 0, 0)
	if len(c.windows) != maxClockWindows {
		t.Errorf("%d windows", len(c.windows))
	}
	for n, want := range map[int64]bool{0: false, 9: false, 10: true, maxClockWindows + 9: true} {
		if _, _, ok := c.at(n * clockSpan); ok != want {
			t.Errorf("minute %d: %v", n, ok)
		}
	}
}

// TestClockOffsetGivesUpCorners has bounds on a parabola, on which every one is a corner.
func TestClockOffsetGivesUpCorners(t *testing.T) {
	var c clockOffset
	for i := range int64(3000) {
		x := i * (clockSpan / 3000)
		away := float64(x - clockSpan/2)
		y := int64(2*milli) + int64(away*away*maxDrift/float64(clockSpan))
		c.received(x, x+y)
		c.sent(x-y, x)
	}
	w := c.windows[0]
	if len(w.whole.lower) != maxCorners || len(w.whole.upper) != maxCorners || len(w.seconds[30].lower) > maxFewCorners {
		t.Errorf("%d, %d, %d corners", len(w.whole.lower), len(w.whole.upper), len(w.seconds[30].lower))
	}
	low, high, ok := c.at(clockSpan / 2)
	if !ok || low > -2*milli || high < 2*milli || high-low > 4*milli+micro {
		t.Errorf("%d…%d, %v", low, high, ok)
	}
}

func TestClockOffsetOverAStretch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawClock(t, 2)
		after := k.set(rapid.SampledFrom([]int64{0, 50 * milli}).Draw(t, "step"))
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		path := exponential(milli, milli)
		var c clockOffset
		for s := k.origin; s < k.origin+2*clockSpan; s += 300 * milli {
			server := k
			if s > k.origin+20*clockSecond {
				server = after
			}
			server.exchange(&c, s, path(random), path(random), 0)
		}
		slope := rapid.Float64Range(-1e-3, 1e-3).Draw(t, "slope")
		estimate := func(stamp int64) int64 { return k.offset + int64(slope*float64(stamp-k.origin)) }
		from := k.origin + rapid.Int64Range(0, 100*clockSecond).Draw(t, "from")
		to := from + rapid.Int64Range(0, 20*clockSecond-400*milli).Draw(t, "length")
		below, above, ok := c.over(from, to, estimate)
		if !ok {
			t.Fatal("not known")
		}
		least, most := int64(math.MaxInt64), int64(math.MinInt64)
		check := func(stamp int64) {
			low, high, _ := c.at(stamp)
			least, most = min(least, low-estimate(stamp)), max(most, high-estimate(stamp))
		}
		for s := from; s < to; s += 7 * milli {
			check(s)
		}
		for s := floorTo(from, clockSecond) + clockSecond; s <= to; s += clockSecond {
			check(s - 1)
			check(s)
		}
		check(to)
		if below > least+1 || above < most-1 || below < least-1 || above > most+1 {
			t.Fatalf("%d…%d, want %d…%d", below, above, least, most)
		}
		for _, s := range []int64{k.origin - clockReach - 1, k.origin + 2*clockSpan + clockReach + 1} {
			if _, _, ok := c.over(min(from, s), max(to, s), estimate); ok {
				t.Fatal("known where nothing is")
			}
		}
		if _, _, ok := c.over(to+1, to, estimate); ok {
			t.Fatal("known over no time")
		}
	})
}

// TestClockOffsetReachesIntoTheNextMinute: a minute in which nobody was asked is known near one in which somebody was,
// as far as the clock may drift, unless its stamps contradict that.
func TestClockOffsetReachesIntoTheNextMinute(t *testing.T) {
	for _, drift := range []float64{-maxDrift, 0, maxDrift} {
		for _, side := range []int64{-1, 1} {
			k := &skewedClock{offset: 5 * clockSecond, drifts: []float64{drift}}
			var c clockOffset
			k.exchange(&c, 0, milli, milli, 0)
			k.exchange(&c, clockSpan-1, milli, milli, 0)
			near, far := clockSpan+3*clockSecond, clockSpan+clockReach+1
			if side < 0 {
				near, far = -3*clockSecond, -clockReach-1
			}
			c.received(near, k.follows(near)+20*milli) // which says no more
			low, high, ok := c.near(near)
			if !ok || !k.inside(low, high, near) || high-low > 4*milli {
				t.Errorf("drift %v, side %d: %d…%d, %v", drift, side, low, high, ok)
			}
			if _, _, ok := c.near(far); ok {
				t.Errorf("side %d: known far off", side)
			}
			c.received(near, k.follows(near)-clockSecond) // it was set
			if _, _, ok := c.near(near); ok {
				t.Errorf("side %d: known although it was set", side)
			}
		}
	}
}

func TestClockOffsetAllocatesNothingForWhatItKnows(t *testing.T) {
	var c clockOffset
	k := &skewedClock{drifts: []float64{0}}
	k.talk(&c, 0, clockSpan, rand.New(rand.NewPCG(1, 2)), 0)
	if allocs := testing.AllocsPerRun(100, func() {
		k.exchange(&c, 30*clockSecond, milli, milli, 0)
		c.at(30 * clockSecond)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkClockOffset(b *testing.B) {
	k := &skewedClock{drifts: []float64{20e-6}}
	after := k.set(5 * milli)
	path := exponential(150*micro, 50*micro)
	random := rand.New(rand.NewPCG(1, 2))
	var delays [1 << 12]int64
	for i := range delays {
		delays[i] = path(random)
	}
	at := func(i int) (stamp, delay int64) { return int64(i) * milli, delays[i%len(delays)] }
	b.Run("received", func(b *testing.B) {
		var c clockOffset
		b.ReportAllocs()
		for i := range b.N {
			stamp, delay := at(i)
			c.received(stamp, stamp+delay)
		}
	})
	b.Run("exchange and at", func(b *testing.B) {
		var c clockOffset
		b.ReportAllocs()
		for i := range b.N {
			stamp, delay := at(i)
			c.exchange(stamp-delay, stamp, stamp+delay, 0)
			c.at(stamp)
		}
	})
	b.Run("exchange and at, around a step", func(b *testing.B) {
		var c clockOffset
		b.ReportAllocs()
		for i := range b.N {
			stamp, delay := at(i)
			server := k
			if stamp%clockSpan > clockSpan/2 {
				server = after
			}
			server.exchange(&c, stamp, delay, delay, 0)
			c.at(stamp)
		}
	})
}
