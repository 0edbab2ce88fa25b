package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// maxDocument is the most that Read takes in, in bytes. A result with the longest series there is has about one MiB.
const maxDocument = 16 << 20

// Read reads back what Write wrote as JSON. What comes out gives the same JSON again, and its histograms the same
// figures; what was null is zero in the Result. It refuses, with one line that says why, what is no result, is of
// another version, has a key, metric or error class that this version doesn't know, or is over 16 MiB.
func Read(r io.Reader) (Run, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return Run{}, fmt.Errorf("read result: %w", err)
	}
	doc, err := decode(data)
	if err != nil {
		return Run{}, fmt.Errorf("read result: %w", err)
	}
	run, err := doc.run()
	if err != nil {
		return Run{}, fmt.Errorf("read result: %w", err)
	}
	return run, nil
}

func decode(data []byte) (*document, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("larger than %d MiB", maxDocument>>20)
	}
	if !json.Valid(data) {
		return nil, invalid(data)
	}
	var head struct {
		Schema  string `json:"schema"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil || !strings.Contains(head.Schema, "rtbench") {
		return nil, fmt.Errorf("not a result of rtbench: it names no schema of rtbench's")
	}
	if head.Schema == ComparisonSchema {
		return nil, errors.New("a comparison, not the result of one run")
	}
	if head.Version != schemaVersion || head.Schema != schemaID {
		return nil, fmt.Errorf("version %d of the format; this rtbench reads version %d", head.Version, schemaVersion)
	}
	doc := new(document)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(doc); err != nil {
		return nil, errors.New(Plain(strings.TrimPrefix(err.Error(), "json: ")))
	}
	return doc, nil
}

// invalid says what is wrong with a text that is no JSON.
func invalid(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errors.New("empty")
	}
	var v json.RawMessage
	err := json.NewDecoder(bytes.NewReader(data)).Decode(&v)
	switch {
	case err == nil:
		return errors.New("something follows the JSON document")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON ends in the middle: is the file complete?")
	}
	return fmt.Errorf("not JSON: %s", Plain(err.Error()))
}

// run turns the document back into the types it was made of.
func (doc *document) run() (Run, error) {
	if year := doc.Start.UTC().Year(); year < 1 || year > 9999 {
		return Run{}, fmt.Errorf("start: year %d", year)
	}
	env := doc.Environment
	r := &bench.Result{
		Start: doc.Start.UTC(), Elapsed: doc.ElapsedNS, Begin: doc.Window.BeginNS, End: doc.Window.EndNS,
		Stop: doc.Stop, StopText: doc.StopReasonText, Failure: value(doc.Failure), Verdict: value(doc.Verdict),
		Planned: doc.Connections.Planned, Peak: doc.Connections.Peak, OpenAtEnd: doc.Connections.OpenAtEnd,
		Window: bench.Window{Received: doc.Window.Received, Bytes: doc.Window.Bytes, Shared: doc.Window.Shared, Stamped: doc.Window.Stamped},
		Health: doc.Health.health(), Trimmed: doc.TrimmedNS, Waited: doc.WaitedNS,
		Absent: map[bench.Metric]uint64{}, Estimates: map[bench.Metric][]bench.Estimate{},
		Doubts: warnings(doc.Doubts), Warnings: warnings(doc.Warnings), DistinctIDs: value(doc.DistinctIDs),
		SeriesStep: doc.SeriesStepNS,
		Sources:    map[bench.Metric]string{}, Unmeasured: map[bench.Metric]string{},
		Environment: bench.Environment{
			Version: doc.Tool.Version, GoVersion: env.GoVersion, OS: env.OS, Arch: env.Arch, Kernel: env.Kernel,
			CPUs: env.CPUs, GOMAXPROCS: env.GOMAXPROCS, OpenFiles: env.OpenFiles, Arrivals: env.Arrivals,
			CPU: value(env.CPUNS), WindowCPU: value(env.WindowCPU), MaxRSS: value(env.MaxRSS),
			GOGC: env.GOGC, GOMEMLIMIT: env.GOMEMLIMIT},
	}
	run := Run{r, Config{doc.Config.Command, doc.Config.Target, doc.Config.Entries}}
	for _, step := range []func(*bench.Result) error{doc.readFigures, doc.readTimings, doc.readDriftAndClock, doc.readResumption, doc.readStorms, doc.readAnnotations, doc.readInjected, doc.readTargetUse, doc.readThresholds, doc.readErrors} {
		if err := step(r); err != nil {
			return Run{}, err
		}
	}
	for _, b := range doc.Series {
		if b.Level < 0 || b.Level > maxLevel || len(b.Levels) > maxLevel {
			return Run{}, fmt.Errorf("series: a level is beyond what there is")
		}
		r.Series = append(r.Series, bench.Bucket{At: b.AtNS, Open: b.Open, Received: b.Received, Bytes: b.Bytes, Sent: b.Sent,
			Errors: b.Errors, Reconnects: b.Reconnects,
			Headline: bench.Quantiles{Samples: b.Samples, P50: value(b.P50), P99: value(b.P99), Max: value(b.Max)}, Spread: bench.Spread{First: b.Level, Counts: b.Levels}})
	}
	return run, run.check()
}

// maxLevel is beyond the levels that times can have.
const maxLevel = 200

// readFigures takes the counters and what is unmeasured. Ratios follow from the counters.
func (doc *document) readFigures(r *bench.Result) error {
	for name, why := range doc.Unmeasured {
		m, err := metric(name)
		if err != nil {
			return err
		}
		r.Unmeasured[m] = why
	}
	for i, m := range bench.Counts() {
		n, ok := doc.Counters[m.String()]
		if !ok {
			return fmt.Errorf("there is no counter %q", m)
		}
		r.Counts[i] = value(n)
	}
	for name := range doc.Counters {
		if m, err := metric(name); err != nil || !m.IsCount() {
			return fmt.Errorf("counter %q: this rtbench knows none of that name", Plain(name))
		}
	}
	return nil
}

func (doc *document) readTimings(r *bench.Result) error {
	for name, d := range doc.Metrics {
		m, err := metric(name)
		if err != nil {
			return err
		}
		if !m.IsTiming() {
			return fmt.Errorf("metric %q is no timing", name)
		}
		h, err := decodeHistogram(d.Histogram)
		if err != nil {
			return fmt.Errorf("metric %q: %w", name, err)
		}
		if h.TotalCount() != d.Count || d.Count == 0 {
			return fmt.Errorf("metric %q: count is %d, but the histogram holds %d", name, d.Count, h.TotalCount())
		}
		r.Histograms[m] = h
		if d.Source != "" {
			r.Sources[m] = d.Source
		}
		if d.Absent > 0 {
			r.Absent[m] = d.Absent
		}
		if err := d.readTrust(r, m); err != nil {
			return err
		}
	}
	return nil
}

// readTrust takes what the quantiles are worth. Where nothing is said of their values, those follow from the histogram.
func (d *docTiming) readTrust(r *bench.Result, m bench.Metric) error {
	var estimates []bench.Estimate
	for name, trust := range d.Trust {
		q, ok := parseQuantile(name)
		if !ok {
			return fmt.Errorf("metric %q: %q is no quantile", m, Plain(name))
		}
		e := r.Estimate(m, q)
		e.Unknown, e.Verdict, e.Effective = trust.Unknown, value(trust.Verdict), value(trust.Effective)
		if e.Unknown == "" {
			e.AtLeast = trust.AtLeastNS != nil
		}
		e.Indicative = e.Unknown != "" && trust.Indicative != nil
		switch {
		case e.Indicative:
			e.Value = *trust.Indicative
		case e.Unknown == "" && e.AtLeast:
			e.Value = *trust.AtLeastNS
		}
		e.Low, e.High = e.Value, e.Value
		if trust.LowNS != nil && trust.HighNS != nil {
			e.Low, e.High = *trust.LowNS, *trust.HighNS
		}
		switch len(trust.WithinRunNS) {
		case 0:
		case 2:
			e.From, e.To = value(trust.WithinRunNS[0]), value(trust.WithinRunNS[1])
		default:
			return fmt.Errorf("metric %q: the interval of %s has %d ends", m, name, len(trust.WithinRunNS))
		}
		estimates = append(estimates, e)
	}
	slices.SortFunc(estimates, func(a, b bench.Estimate) int { return cmp.Compare(a.Q, b.Q) })
	if estimates != nil {
		r.Estimates[m] = estimates
	}
	return nil
}

func (doc *document) readDriftAndClock(r *bench.Result) error {
	if c := doc.Clock; c != nil {
		r.Clock = &bench.ClockBound{Low: c.LowNS, High: c.HighNS}
	}
	d := doc.Drift
	if d == nil {
		return nil
	}
	m, err := metric(d.Metric)
	q, ok := parseQuantile(d.Quantile)
	if err != nil || !ok || !m.IsTiming() {
		return fmt.Errorf("drift: there is no %s of %q", Plain(d.Quantile), Plain(d.Metric))
	}
	r.Drift = &bench.Drift{Metric: m, Q: q, Share: d.Share, P: d.P}
	return nil
}

func (doc *document) readThresholds(r *bench.Result) error {
	for _, d := range doc.Thresholds {
		t, err := bench.ParseThreshold(d.Text)
		if err != nil {
			return errors.New(Plain(err.Error()))
		}
		if (d.Value == nil) != (d.Unknown != "") {
			return fmt.Errorf("threshold %q: a value, or why it is unknown: one of the two", Plain(d.Text))
		}
		figure := bench.Figure{Value: value(d.Value), AtLeast: d.AtLeast, Unknown: d.Unknown, Verdict: value(d.Verdict)}
		if t.Aggregate == bench.Quantile {
			figure.Low, figure.High = figure.Value, figure.Value
		}
		if d.Low != nil && d.High != nil {
			figure.Low, figure.High = *d.Low, *d.High
		}
		r.Judgements = append(r.Judgements, bench.Judgement{Threshold: t, Figure: figure, Passed: d.Passed})
	}
	return nil
}

func (doc *document) readErrors(r *bench.Result) error {
	classes := map[string]client.Class{}
	for _, c := range client.Classes() {
		classes[c.String()] = c
	}
	for _, d := range doc.Errors {
		class, ok := classes[d.Class]
		if !ok {
			return fmt.Errorf("error class %q: this rtbench knows none of that name", Plain(d.Class))
		}
		r.Errors = append(r.Errors, bench.ErrorGroup{Class: class, Code: value(d.Code), Key: d.Key, Count: d.Count,
			First: d.FirstNS, Last: d.LastNS, Text: d.Text})
	}
	return nil
}

func metric(name string) (bench.Metric, error) {
	m, _, ok := bench.ParseMetric(name)
	if !ok {
		return 0, fmt.Errorf("metric %q: this rtbench knows none of that name", Plain(name))
	}
	return m, nil
}

func warnings(docs []docWarning) []bench.Warning {
	all := make([]bench.Warning, len(docs))
	for i, d := range docs {
		all[i] = bench.Warning(d)
	}
	return all
}

// health takes what is missing for unknown.
func (d *docHealth) health() bench.Health {
	return bench.Health{Shared: foundOr(d.Shared), Unstamped: foundOr(d.NotByKernel), Stalled: foundOr(d.StalledNS), ClockStep: d.ClockStepNS,
		Steal: foundOr(d.Steal), Throttled: foundOr(d.ThrottledNS), Pressure: foundOr(d.Pressure),
		SchedulerP99: foundOr(d.SchedulerP99NS), CollectorMax: foundOr(d.CollectorMaxNS)}
}

// foundOr is what found was given, and -1 for what isn't known.
func foundOr[T float64 | time.Duration](p *T) T {
	if p == nil {
		return -1
	}
	return *p
}

// value is what a pointer points to, or zero.
func value[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
