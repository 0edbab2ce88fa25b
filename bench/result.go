package bench

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/client"
)

// A Stop says why a run ended.
type Stop string

const (
	StopDuration    Stop = "duration"    // its time was over
	StopEvents      Stop = "events"      // it had received as many events as were asked for
	StopInterrupted Stop = "interrupted" // the user stopped it
	StopFinished    Stop = "finished"    // the user ended it, and let what was under way arrive
	StopAborted     Stop = "aborted"     // a threshold failed with --abort-on-fail
	StopUnreachable Stop = "unreachable" // nothing ever connected
	StopEnded       Stop = "ended"       // every connection had ended for good
)

// A Result is everything that a run found. It is complete when Runner.Run returns it and is not changed afterwards.
type Result struct {
	Start    time.Time     // wall clock
	Elapsed  time.Duration // start to the last connection closed
	Begin    time.Duration // the measured window, as offsets from Start
	End      time.Duration
	Stop     Stop
	StopText string // why, for people; "" where Stop says it all
	Failure  string // why the run as a whole failed: nothing connected, the target died; "" if it didn't

	Planned     int // connections the plan wanted at its peak
	Peak        int // most that were open at a time
	OpenAtEnd   int // open when the measured window ended
	Counts      [numCounts]uint64
	Histograms  [numTimings]*hdrhistogram.Histogram // ns; nil where nothing was recorded
	Estimates   map[Metric][]Estimate               // the quantiles of Percentiles and of the thresholds, by Q
	Absent      map[Metric]uint64                   // how many of a timing never came: they count as infinitely late
	Waited      time.Duration                       // for which at least those were waited
	Health      Health                              // the evidence for the verdicts
	Trimmed     time.Duration                       // taken off the start of the window: the target was still warming up
	Drift       *Drift                              // of the headline over the window; nil where it is steady, or can't be told
	Clock       *ClockBound                         // how far the server's clock is ahead, where delivery is between two; nil otherwise
	Sources     map[Metric]string                   // where a timing's other end comes from
	Unmeasured  map[Metric]string                   // what could not be measured, and why
	Window      Window                              // the counts within the measured window
	Series      []Bucket                            // over the whole run, oldest first
	SeriesStep  time.Duration
	Errors      []ErrorGroup
	Judgements  []Judgement
	Verdict     Verdict   // of the headline's p99, or of the highest quantile below it that has a value
	Doubts      []Warning // why there is no verdict on anything; empty otherwise
	Warnings    []Warning
	Annotations []Annotation // what was done to the run by hand, oldest first
	Storms      []Storm      // drops of many connections at once, oldest first
	Noted       []NotedEnd   // the ends of connections, where the plan asks for them
	NotNoted    uint64       // how many more of them there were
	Injected    *Injected    // what became of faults that something on the way has injected; nil where nothing did
	Resumption  *Resumption  // what became of the streams that were opened again after a drop; nil where none was
	Target      *TargetUse   // what the target used; nil where nobody asked
	DistinctIDs uint64       // different events seen by anybody; 0 where events carry no identity
	Environment Environment
}

// Window holds what was counted between Begin and End.
type Window struct {
	Received uint64
	Bytes    uint64
	Shared   uint64 // of Received, those that arrived in a read that held more than one event
	Stamped  uint64 // of Received, those whose arrival the kernel stamped
}

// arrivals says what stamped the arrivals.
func (w *Window) arrivals() string {
	switch {
	case w.Stamped == 0:
		return "user space"
	case w.Stamped == w.Received:
		return "the kernel"
	}
	return "the kernel, some in user space"
}

func (w *Window) add(more Window) {
	w.Received += more.Received
	w.Bytes += more.Bytes
	w.Shared += more.Shared
	w.Stamped += more.Stamped
}

// A Bucket is one step of the series.
type Bucket struct {
	At         time.Duration // offset of its start from Result.Start
	Open       int           // connections open at its end
	Received   uint64
	Bytes      uint64
	Sent       uint64
	Errors     uint64 // connect errors and drops
	Reconnects uint64
	Headline   Quantiles // of the run's headline timing, over this step alone
	Spread     Spread    // of its samples in this step
}

// Quantiles are a few figures of a timing, in ns. Samples is 0 where there are none, and then nothing else counts.
type Quantiles struct {
	Samples       int64
	P50, P99, Max int64
}

// A Drift is how a timing changed over the window, beyond what chance explains: the run is not stationary, and its
// figures depend on how long it was.
type Drift struct {
	Metric Metric
	Q      float64 // of which quantile
	Share  float64 // change from the start to the end, of what it was at the start
	P      float64 // of there being none (Spearman)
}

// manifold is from which share on a change is told by no figure: it was next to nothing at the start.
const manifold = 10

// Change says by how much it changed: "rose by 12 %".
func (d *Drift) Change() string {
	switch {
	case d.Share < 0:
		return fmt.Sprintf("fell by %.0f %%", -100*d.Share)
	case d.Share >= manifold:
		return fmt.Sprintf("rose more than %d times", manifold)
	}
	return fmt.Sprintf("rose by %.0f %%", 100*d.Share)
}

// Percentiles are the quantiles that a Result estimates of every timing.
func Percentiles() []float64 { return []float64{.5, .75, .9, .95, .99, .999, .9999} }

// An ErrorGroup is all errors of one kind.
type ErrorGroup struct {
	Class client.Class
	Code  int    // HTTP status or close code; 0 if none
	Key   string // class and code
	Count uint64
	First time.Duration // offset of the first one
	Last  time.Duration
	Text  string // the last one, in full; may quote the server
}

// A Warning is something the reader must know, with what to do about it.
type Warning struct {
	Text   string
	Advice string
}

// Environment describes where a run was made.
type Environment struct {
	Version    string
	GoVersion  string
	OS         string
	Arch       string
	Kernel     string
	CPUs       int
	GOMAXPROCS int
	OpenFiles  uint64
	Arrivals   string        // what stamped the arrivals
	CPU        time.Duration // user and system time of this process over the run; 0 where the system doesn't say
	WindowCPU  time.Duration // of CPU, between Begin and End; 0 likewise
	MaxRSS     uint64        // bytes; 0 likewise
	GOGC       int           // how much may be allocated before a collection, percent of what is in use; negative for none
	GOMEMLIMIT uint64        // from how many bytes on collections come sooner; math.MaxInt64 for never
}

// Host is the environment without what one run used of it.
func (e Environment) Host() Environment {
	e.CPU, e.WindowCPU, e.MaxRSS = 0, 0, 0
	return e
}

// CPUPerEvent is the processor time that this process took for each event that arrived in the window, ns; ok is false where
// that isn't known.
func (r *Result) CPUPerEvent() (ns float64, ok bool) {
	if r.Window.Received == 0 || r.Environment.WindowCPU <= 0 {
		return 0, false
	}
	return float64(r.Environment.WindowCPU) / float64(r.Window.Received), true
}

// Count gives one of the counters.
func (r *Result) Count(m Metric) uint64 { return r.Counts[m-numTimings] }

// Histogram gives a timing's histogram in ns, nil where nothing was recorded.
func (r *Result) Histogram(m Metric) *hdrhistogram.Histogram { return r.Histograms[m] }

// Headline is the timing that the run is about: the first of these that has samples.
func (r *Result) Headline() (Metric, bool) {
	for _, m := range headlines {
		if h := r.Histograms[m]; h != nil && h.TotalCount() > 0 {
			return m, true
		}
	}
	return 0, false
}

// headlines is the order of preference; it also decides which timing the series shows.
var headlines = [...]Metric{Delivery, RoundTrip, StreamTotal, LagBehindFirst, InterArrival, Connect}

// Estimate gives a quantile of a timing. Where it is none of those in Estimates it says nothing of their worth.
func (r *Result) Estimate(m Metric, q float64) Estimate {
	for _, e := range r.Estimates[m] {
		if e.Q == q {
			return e
		}
	}
	h := r.Histograms[m]
	if h == nil || h.TotalCount() == 0 {
		return Estimate{Q: q, Unknown: "no samples"}
	}
	s := distribution{histogram: h, absent: r.Absent[m], waited: int64(r.Waited)}
	e := Estimate{Q: q, Unknown: s.tooFew(q)}
	e.Value, e.AtLeast = s.at(q)
	e.Low, e.High = e.Value, e.Value
	return e
}

// Figure implements Figures.
func (r *Result) Figure(t Threshold) Figure {
	return figures{
		counts: &r.Counts, histograms: &r.Histograms, unmeasured: r.Unmeasured, window: r.End - r.Begin, received: r.Window.Received,
		estimate: r.Estimate, absent: r.Absent, waited: int64(r.Waited),
	}.Figure(t)
}

// figures is what both a finished run and a running one judge thresholds by.
type figures struct {
	counts     *[numCounts]uint64
	histograms *[numTimings]*hdrhistogram.Histogram
	unmeasured map[Metric]string
	window     time.Duration
	received   uint64 // in the window
	estimate   func(Metric, float64) Estimate
	absent     map[Metric]uint64
	waited     int64 // ns for which at least that was waited for
}

// Figure implements Figures.
func (f figures) Figure(t Threshold) Figure {
	if why, ok := f.unmeasured[t.Metric]; ok {
		return unknown("not measurable: " + why)
	}
	switch {
	case t.Metric == Reach:
		return f.share(Delivered, Expected)
	case t.Metric == Throughput:
		if f.window <= 0 {
			return unknown("there was no measured window")
		}
		return Figure{Value: float64(f.received) / f.window.Seconds()}
	case t.Aggregate == Rate:
		of, _ := t.Metric.Of()
		return f.share(t.Metric, of)
	case t.Metric.IsCount():
		return Figure{Value: float64(f.counts[t.Metric-numTimings])}
	}
	h := f.histograms[t.Metric]
	if h == nil || h.TotalCount() == 0 {
		return unknown("no samples")
	}
	return f.timing(h, t)
}

func unknown(why string) Figure { return Figure{Unknown: why} }

func (f figures) share(part, whole Metric) Figure {
	n := f.counts[whole-numTimings]
	if n == 0 {
		return unknown(fmt.Sprintf("no samples: %s is 0", whole))
	}
	return Figure{Value: float64(f.counts[part-numTimings]) / float64(n)}
}

func (f figures) timing(h *hdrhistogram.Histogram, t Threshold) Figure {
	some := f.absent[t.Metric] > 0 // never came, which makes mean and maximum infinite
	switch t.Aggregate {
	case Min:
		return Figure{Value: float64(Least(h))}
	case Mean:
		return Figure{Value: h.Mean(), AtLeast: some}
	case Max:
		if some {
			return Figure{Value: float64(max(Most(h), f.waited)), AtLeast: true}
		}
		return Figure{Value: float64(Most(h))}
	case Count:
		return Figure{Value: float64(h.TotalCount())}
	}
	e := f.estimate(t.Metric, t.Q)
	return Figure{
		Value: float64(e.Value), Low: float64(e.Low), High: float64(e.High), AtLeast: e.AtLeast, Unknown: e.Unknown, Verdict: e.Verdict,
	}
}

// SamplesFor is how many samples the quantile q (0…1) needs, so that the chance that none of them lies above it is at
// most 2.5 %: ln(.025) ÷ ln(q).
func SamplesFor(q float64) int64 {
	if q <= 0 || q >= 1 {
		return 1
	}
	return int64(math.Ceil(math.Log(.025) / math.Log(q)))
}
