package bench

import (
	"math"
	goruntime "runtime/metrics"
	"time"
)

// Health is what the tester knows of itself and of its host over the measured window: the evidence for how far its
// figures can be trusted. The distributions of client_lag and publish_lateness, and the counts resent and out_of_order,
// belong to it. A negative value isn't known.
type Health struct {
	Shared    float64       // share of the events that arrived in a read that held more than one
	Unstamped float64       // share of the events whose arrival the kernel did not stamp
	Stalled   time.Duration // the tester did nothing for so long in all, in stretches of over 100 ms each
	ClockStep time.Duration // the largest step of the wall clock against the monotonic one, either way

	Steal     float64       // share of the host's processor time that its hypervisor gave to others
	Throttled time.Duration // how long the control group was kept from running, having used up its share
	Pressure  float64       // share of the time in which something waited for a processor (PSI, some)

	SchedulerP99 time.Duration // of the waits of Go's goroutines for a thread, over the whole run
	CollectorMax time.Duration // the longest pause of Go's garbage collector, over the whole run
}

// A hostSample is what the system says of its processors, all counted from some time in the past. A negative value
// isn't known.
type hostSample struct {
	stolen, ticks float64       // of all processors
	throttled     time.Duration // of this control group and those around it
	waited        time.Duration // PSI
}

// unknownHost is what a system says that says nothing.
func unknownHost() hostSample { return hostSample{stolen: -1, ticks: -1, throttled: -1, waited: -1} }

// A watch gathers the run's Health. Only the collector touches it.
type watch struct {
	start    time.Time
	sample   func() hostSample
	begin    time.Duration // of the window
	wall     int64         // start, ns since the epoch
	began    bool          // the window has
	host     hostSample
	hostAt   time.Time
	last     time.Duration // of the ticks
	stepAt   time.Duration // of the look at the clocks
	step     time.Duration
	stalled  time.Duration
	seen     time.Duration               // the last tick, of the ramp or the window
	stops    []stop                      // when the tester stood still, from the start of the run on
	schedule *goruntime.Float64Histogram // at the start of the run
	pauses   *goruntime.Float64Histogram
	found    Health // of the host and of Go's runtime
}

// A stop is a stretch in which the tester did nothing, after the start of the run.
type stop struct{ from, to time.Duration }

const (
	maxStops   = 4096
	stallLimit = 100 * time.Millisecond // by which a tick must be late to count
	clockLooks = time.Second            // between two looks at the clocks
	clockNoise = time.Microsecond       // by which two readings of them may differ, though neither was set
)

func newWatch(start time.Time, begin time.Duration, sample func() hostSample) watch {
	w := watch{start: start, sample: sample, begin: begin, wall: start.UnixNano()}
	w.schedule, w.pauses = runtimeHistograms()
	return w
}

// ramp is called every tick of the collector before the measured window.
func (w *watch) ramp(now time.Duration) {
	if from := w.seen + tick; now-from > stallLimit {
		if len(w.stops) < maxStops {
			w.stops = append(w.stops, stop{from, now})
		} else {
			w.stops[maxStops-1].to = now // more than there was, rather than less
		}
	}
	w.seen = now
}

// stood is how long the tester stood still up to a time after the start of the run.
func (w *watch) stood(until time.Duration) (sum time.Duration) {
	for _, s := range w.stops {
		sum += max(0, min(s.to, until)-s.from)
	}
	return sum
}

// tick is called every tick of the collector within the measured window, now after the start.
func (w *watch) tick(now time.Duration) {
	if !w.began {
		w.began, w.last, w.stepAt = true, w.begin, now
		w.host, w.hostAt = w.sample(), time.Now()
		w.compareClocks()
	}
	w.look(now)
	if now-w.stepAt >= clockLooks {
		w.stepAt = now
		w.compareClocks()
	}
}

// look notes whether the tester stood still since it looked last.
func (w *watch) look(now time.Duration) {
	if late := now - w.last - tick; late > stallLimit {
		w.stalled += late
	}
	w.last = now
	w.ramp(now)
}

// compareClocks notes how far the wall clock has moved against the monotonic one. A thread can lose the processor
// between the two readings, so the best of several counts.
func (w *watch) compareClocks() {
	best := time.Duration(math.MaxInt64)
	for range 5 {
		now := time.Now()
		step := time.Duration(now.UnixNano()-w.wall) - now.Sub(w.start)
		if step.Abs() < best.Abs() {
			best = step
		}
	}
	if best.Abs() > max(w.step.Abs(), clockNoise) {
		w.step = best
	}
}

// stop ends the watch, with the window.
func (w *watch) stop(end time.Duration) {
	w.found = Health{Steal: -1, Throttled: -1, Pressure: -1, SchedulerP99: -1, CollectorMax: -1}
	if !w.began {
		return
	}
	w.look(end)
	w.compareClocks()
	now := w.sample()
	if w.host.ticks >= 0 && now.ticks > w.host.ticks {
		w.found.Steal = max(0, now.stolen-w.host.stolen) / (now.ticks - w.host.ticks)
	}
	if w.host.throttled >= 0 {
		w.found.Throttled = max(0, now.throttled-w.host.throttled)
	}
	if took := time.Since(w.hostAt); w.host.waited >= 0 && took > 0 {
		w.found.Pressure = min(1, max(0, now.waited-w.host.waited).Seconds()/took.Seconds())
	}
	schedule, pauses := runtimeHistograms()
	w.found.SchedulerP99 = atShare(w.schedule, schedule, .99)
	w.found.CollectorMax = atShare(w.pauses, pauses, 1)
}

// health is what was found, given what was counted within the window. What the host says is known once it is over.
func (w *watch) health(in Window) Health {
	h := w.found
	h.Stalled, h.ClockStep = w.stalled, w.step
	h.Shared, h.Unstamped = share(in.Shared, in.Received), share(in.Received-in.Stamped, in.Received)
	return h
}

// share is a part of a whole, negative where there is no whole.
func share(part, whole uint64) float64 {
	if whole == 0 {
		return -1
	}
	return float64(part) / float64(whole)
}

// runtimeHistograms reads how long goroutines waited for a thread and how long collections stopped everything.
func runtimeHistograms() (schedule, pauses *goruntime.Float64Histogram) {
	samples := []goruntime.Sample{{Name: "/sched/latencies:seconds"}, {Name: "/sched/pauses/total/gc:seconds"}}
	goruntime.Read(samples)
	read := func(s goruntime.Sample) *goruntime.Float64Histogram {
		if s.Value.Kind() != goruntime.KindFloat64Histogram {
			return nil
		}
		return s.Value.Float64Histogram()
	}
	return read(samples[0]), read(samples[1])
}

// atShare is the upper end of the bucket in which a share q of what was added between two readings lies; negative
// where nothing was.
func atShare(before, after *goruntime.Float64Histogram, q float64) time.Duration {
	if before == nil || after == nil || len(before.Counts) != len(after.Counts) {
		return -1
	}
	total := uint64(0)
	for i, n := range after.Counts {
		total += n - before.Counts[i]
	}
	if total == 0 {
		return -1
	}
	rank, seen := uint64(math.Ceil(q*float64(total))), uint64(0)
	for i, n := range after.Counts {
		if seen += n - before.Counts[i]; seen >= rank {
			seconds := after.Buckets[i+1]
			if math.IsInf(seconds, 0) {
				seconds = after.Buckets[i]
			}
			return time.Duration(seconds * 1e9)
		}
	}
	return -1
}
