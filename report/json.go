package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rtbench/rtbench/bench"
)

// The JSON document names its schema, so that it can be recognised anywhere.
const (
	schemaID      = "https://github.com/rtbench/rtbench/blob/main/report/schema/result.v1.json"
	schemaVersion = 1
)

//go:embed schema/result.v1.json
var schema []byte

// Schema gives the JSON Schema (draft 2020-12) of the JSON that Write writes. The slice is the caller's.
func Schema() []byte { return bytes.Clone(schema) }

// The document's types, in the order of its keys. A nil pointer is null: not measured, or too few samples.
type (
	document struct {
		Schema         string               `json:"schema"`
		Version        int                  `json:"version"`
		Tool           docTool              `json:"tool"`
		Config         docConfig            `json:"config"`
		Environment    docEnvironment       `json:"environment"`
		Start          time.Time            `json:"start"`
		ElapsedNS      time.Duration        `json:"elapsed_ns"`
		Window         docWindow            `json:"window"`
		Stop           bench.Stop           `json:"stop"`
		StopReasonText string               `json:"stop_reason_text"`
		Failure        *string              `json:"failure"`
		Verdict        *bench.Verdict       `json:"verdict"`
		Health         docHealth            `json:"health"`
		TrimmedNS      time.Duration        `json:"trimmed_ns"`
		WaitedNS       time.Duration        `json:"waited_ns"`
		Drift          *docDrift            `json:"drift"`
		Clock          *docClock            `json:"clock"`
		Resumption     *docResumption       `json:"resumption"`
		Storms         []docStorm           `json:"storms"`
		Annotations    []docAnnotation      `json:"annotations"`
		Injected       *docInjected         `json:"injected"`
		TargetUse      *docTargetUse        `json:"target_use"`
		Doubts         []docWarning         `json:"doubts"`
		Warnings       []docWarning         `json:"warnings"`
		Thresholds     []docThreshold       `json:"thresholds"`
		Connections    docConnections       `json:"connections"`
		DistinctIDs    *uint64              `json:"distinct_ids"`
		Counters       map[string]*uint64   `json:"counters"`
		Ratios         map[string]*float64  `json:"ratios"`
		Unmeasured     map[string]string    `json:"unmeasured"`
		Errors         []docError           `json:"errors"`
		Headline       *string              `json:"headline"`
		Metrics        map[string]docTiming `json:"metrics"`
		SeriesStepNS   time.Duration        `json:"series_step_ns"`
		Series         []docBucket          `json:"series"` // last: see encode
	}
	docTool struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	docConfig struct {
		Command string  `json:"command"`
		Target  string  `json:"target"`
		Entries []Entry `json:"entries"`
	}
	docEnvironment struct {
		GoVersion  string         `json:"go_version"`
		OS         string         `json:"os"`
		Arch       string         `json:"arch"`
		Kernel     string         `json:"kernel"`
		CPUs       int            `json:"cpus"`
		GOMAXPROCS int            `json:"gomaxprocs"`
		OpenFiles  uint64         `json:"open_files"`
		Arrivals   string         `json:"arrivals"`
		CPUNS      *time.Duration `json:"cpu_ns"`
		WindowCPU  *time.Duration `json:"window_cpu_ns"`
		MaxRSS     *uint64        `json:"max_rss_bytes"`
		GOGC       int            `json:"gogc"`
		GOMEMLIMIT uint64         `json:"gomemlimit"`
	}
	docWindow struct {
		BeginNS  time.Duration `json:"begin_ns"`
		EndNS    time.Duration `json:"end_ns"`
		Received uint64        `json:"received"`
		Bytes    uint64        `json:"bytes"`
		Shared   uint64        `json:"shared"`
		Stamped  uint64        `json:"stamped"`
	}
	docHealth struct {
		Shared         *float64       `json:"shared"`
		NotByKernel    *float64       `json:"not_by_kernel"`
		StalledNS      *time.Duration `json:"stalled_ns"`
		ClockStepNS    time.Duration  `json:"clock_step_ns"`
		Steal          *float64       `json:"steal"`
		ThrottledNS    *time.Duration `json:"throttled_ns"`
		Pressure       *float64       `json:"pressure"`
		SchedulerP99NS *time.Duration `json:"scheduler_p99_ns"`
		CollectorMaxNS *time.Duration `json:"collector_max_ns"`
	}
	docClock struct {
		LowNS  int64 `json:"low_ns"`
		HighNS int64 `json:"high_ns"`
	}
	docDrift struct {
		Metric   string  `json:"metric"`
		Quantile string  `json:"quantile"`
		Share    float64 `json:"share"`
		P        float64 `json:"p"`
	}
	docWarning struct {
		Text   string `json:"text"`
		Advice string `json:"advice"`
	}
	docThreshold struct {
		Text    string         `json:"text"`
		Passed  bool           `json:"passed"`
		Value   *float64       `json:"value"`
		Low     *float64       `json:"low"`
		High    *float64       `json:"high"`
		AtLeast bool           `json:"at_least"`
		Verdict *bench.Verdict `json:"verdict"`
		Unknown string         `json:"unknown"`
		Bound   float64        `json:"bound"`
		Unit    bench.Unit     `json:"unit"`
	}
	docConnections struct {
		Planned   int `json:"planned"`
		Peak      int `json:"peak"`
		OpenAtEnd int `json:"open_at_end"`
	}
	docError struct {
		Class   string        `json:"class"`
		Code    *int          `json:"code"`
		Key     string        `json:"key"`
		Count   uint64        `json:"count"`
		FirstNS time.Duration `json:"first_ns"`
		LastNS  time.Duration `json:"last_ns"`
		Text    string        `json:"text"`
		Hint    string        `json:"hint"`
	}
	docTiming struct {
		Unit      bench.Unit          `json:"unit"`
		Source    string              `json:"source,omitempty"`
		Count     int64               `json:"count"`
		Absent    uint64              `json:"absent"`
		Min       int64               `json:"min"`
		Mean      float64             `json:"mean"`
		StdDev    float64             `json:"stddev"`
		Max       int64               `json:"max"`
		P50       *int64              `json:"p50"`
		P75       *int64              `json:"p75"`
		P90       *int64              `json:"p90"`
		P95       *int64              `json:"p95"`
		P99       *int64              `json:"p99"`
		P999      *int64              `json:"p99.9"`
		P9999     *int64              `json:"p99.99"`
		Trust     map[string]docTrust `json:"trust"`
		Histogram docHistogram        `json:"histogram"`
	}
	docTrust struct {
		Verdict     *bench.Verdict `json:"verdict"`
		LowNS       *int64         `json:"low_ns"`
		HighNS      *int64         `json:"high_ns"`
		AtLeastNS   *int64         `json:"at_least_ns"`
		Indicative  *int64         `json:"indicative_ns"`
		Unknown     string         `json:"unknown"`
		Effective   *float64       `json:"effective_samples"`
		WithinRunNS []*int64       `json:"within_run_ns"`
	}
	docHistogram struct {
		Encoding string `json:"encoding"`
		Figures  int64  `json:"significant_figures"`
		Lowest   int64  `json:"lowest"`
		Highest  int64  `json:"highest"`
		Data     string `json:"data"`
	}
	docBucket struct {
		AtNS       time.Duration `json:"at_ns"`
		Open       int           `json:"open"`
		Received   uint64        `json:"received"`
		Bytes      uint64        `json:"bytes"`
		Sent       uint64        `json:"sent"`
		Errors     uint64        `json:"errors"`
		Reconnects uint64        `json:"reconnects"`
		Samples    int64         `json:"samples"`
		P50        *int64        `json:"p50"`
		P99        *int64        `json:"p99"`
		Max        *int64        `json:"max"`
		Level      int           `json:"level"`
		Levels     []uint64      `json:"levels"`
	}
)

func writeJSON(w io.Writer, run Run) error {
	doc, err := newDocument(run)
	if err != nil {
		return err
	}
	out, err := encode(doc)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.Write(out)
	return err
}

func newDocument(run Run) (*document, error) {
	if err := run.check(); err != nil {
		return nil, err
	}
	r, env := run.Result, run.Result.Environment
	doc := &document{
		Schema:  schemaID,
		Version: schemaVersion,
		Tool:    docTool{"rtbench", env.Version},
		Config:  docConfig{run.Config.Command, run.Config.Target, append([]Entry{}, run.Config.Entries...)},
		Environment: docEnvironment{env.GoVersion, env.OS, env.Arch, env.Kernel, env.CPUs, env.GOMAXPROCS, env.OpenFiles,
			env.Arrivals, known(env.CPU, env.CPU != 0), known(env.WindowCPU, env.WindowCPU != 0), known(env.MaxRSS, env.MaxRSS != 0), env.GOGC, env.GOMEMLIMIT},
		Start:          r.Start.UTC(),
		ElapsedNS:      r.Elapsed,
		Window:         docWindow{r.Begin, r.End, r.Window.Received, r.Window.Bytes, r.Window.Shared, r.Window.Stamped},
		Stop:           r.Stop,
		StopReasonText: r.StopText,
		Failure:        known(r.Failure, r.Failure != ""),
		Verdict:        given(runWorth(r)),
		Health:         newHealth(r.Health),
		TrimmedNS:      r.Trimmed,
		WaitedNS:       r.Waited,
		Doubts:         docWarnings(r.Doubts),
		Warnings:       docWarnings(r.Warnings),
		Thresholds:     []docThreshold{},
		Connections:    docConnections{r.Planned, r.Peak, r.OpenAtEnd},
		DistinctIDs:    known(r.DistinctIDs, r.DistinctIDs != 0),
		Counters:       map[string]*uint64{},
		Ratios:         map[string]*float64{},
		Unmeasured:     map[string]string{},
		Errors:         []docError{},
		Metrics:        map[string]docTiming{},
		SeriesStepNS:   r.SeriesStep,
		Series:         []docBucket{},
		Annotations:    newAnnotations(r),
	}
	if d := r.Drift; d != nil {
		doc.Drift = &docDrift{d.Metric.String(), quantileName(d.Q), d.Share, d.P}
	}
	if c := r.Clock; c != nil {
		doc.Clock = &docClock{c.Low, c.High}
	}
	doc.Resumption, doc.Storms, doc.Injected, doc.TargetUse = newResumption(r.Resumption), newStorms(r), newInjected(r.Injected), newTargetUse(r)
	doc.addFigures(r)
	for _, j := range r.Judgements {
		doc.Thresholds = append(doc.Thresholds, docThreshold{j.Threshold.Text, j.Passed, known(j.Value, j.Unknown == ""),
			known(j.Low, between(j)), known(j.High, between(j)), j.AtLeast, given(worth(j.Verdict, j.Unknown)), j.Unknown, j.Threshold.Bound, j.Threshold.Unit()})
	}
	for _, e := range r.Errors {
		doc.Errors = append(doc.Errors, docError{e.Class.String(), known(e.Code, e.Code != 0), e.Key, e.Count, e.First,
			e.Last, e.Text, e.Hint()})
	}
	for _, b := range r.Series {
		doc.Series = append(doc.Series, newBucket(b))
	}
	return doc, doc.addTimings(r)
}

func (doc *document) addFigures(r *bench.Result) {
	for m, why := range r.Unmeasured {
		doc.Unmeasured[m.String()] = why
	}
	for _, m := range bench.Counts() {
		_, unmeasured := r.Unmeasured[m]
		doc.Counters[m.String()] = known(r.Count(m), !unmeasured)
	}
	for _, m := range ratios() {
		value, unknown := ratio(r, m)
		doc.Ratios[m.String()] = known(value, unknown == "")
	}
}

func (doc *document) addTimings(r *bench.Result) error {
	if t, ok := headline(r); ok {
		name := t.metric.String()
		doc.Headline = &name
	}
	for _, t := range timings(r) {
		histogram, err := encodeHistogram(t.histogram)
		if err != nil {
			return fmt.Errorf("report: %s: %w", t.metric, err)
		}
		h := t.histogram
		d := docTiming{Unit: t.metric.Unit(), Source: t.source, Count: h.TotalCount(), Absent: r.Absent[t.metric], Min: bench.Least(h), Mean: h.Mean(),
			StdDev: h.StdDev(), Max: bench.Most(h), Trust: map[string]docTrust{}, Histogram: histogram}
		for i, field := range []**int64{&d.P50, &d.P75, &d.P90, &d.P95, &d.P99, &d.P999, &d.P9999} {
			*field = known(t.quantile(quantiles[i].q))
		}
		for _, e := range r.Estimates[t.metric] {
			d.Trust[quantileName(e.Q)] = newTrust(e)
		}
		doc.Metrics[t.metric.String()] = d
	}
	return nil
}

// newTrust leaves out what is not known. An interval that nothing bounds above ends in null.
func newTrust(e bench.Estimate) docTrust {
	relied := e.Unknown == ""
	bounded := (relied || e.Indicative) && !e.AtLeast && ranged(e)
	d := docTrust{Verdict: given(worth(e.Verdict, e.Unknown)), Unknown: e.Unknown, Effective: known(e.Effective, e.Effective > 0),
		LowNS: known(e.Low, bounded), HighNS: known(e.High, bounded),
		AtLeastNS: known(e.Value, relied && e.AtLeast), Indicative: known(e.Value, !relied && e.Indicative)}
	if e.From != 0 || e.To != 0 {
		d.WithinRunNS = []*int64{&e.From, known(e.To, e.To != 0)}
	}
	return d
}

// newHealth leaves out what is negative, which is how bench says that it isn't known.
func newHealth(h bench.Health) docHealth {
	return docHealth{found(h.Shared), found(h.Unstamped), found(h.Stalled), h.ClockStep, found(h.Steal), found(h.Throttled),
		found(h.Pressure), found(h.SchedulerP99), found(h.CollectorMax)}
}

func found[T float64 | time.Duration](v T) *T { return known(v, v >= 0) }

func newBucket(b bench.Bucket) docBucket {
	q := b.Headline
	return docBucket{b.At, b.Open, b.Received, b.Bytes, b.Sent, b.Errors, b.Reconnects, q.Samples,
		known(q.P50, q.Samples >= bench.SamplesFor(.5)), known(q.P99, q.Samples >= bench.SamplesFor(.99)), known(q.Max, q.Samples > 0),
		b.Spread.First, append([]uint64{}, b.Spread.Counts...)}
}

func docWarnings(warnings []bench.Warning) []docWarning {
	all := make([]docWarning, len(warnings))
	for i, w := range warnings {
		all[i] = docWarning(w)
	}
	return all
}

// known is a value that may be missing.
func known[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}

func given(v bench.Verdict) *bench.Verdict { return known(v, v != "") }

// encode indents the document, but keeps each step of the series on a line of its own.
func encode(doc *document) ([]byte, error) {
	rows := doc.Series
	head := *doc
	head.Series = []docBucket{}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(&head); err != nil {
		return nil, err
	}
	b.Truncate(bytes.LastIndexByte(b.Bytes(), ']'))
	end := "]\n}\n"
	for i, row := range rows {
		line, err := json.Marshal(row)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
		end = "\n  ]\n}\n"
	}
	b.WriteString(end)
	return escapeJSON(b.String()), nil
}

// escapeJSON writes what a terminal would act on as \u escapes, so that a report can be looked at with cat. Such
// characters can only stand inside strings. U+FFFD is among them because encoding/json writes it so in place of
// invalid UTF-8: what was read back is then written the same.
func escapeJSON(s string) []byte {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || shown(r) && r != utf8.RuneError:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return []byte(b.String())
}
