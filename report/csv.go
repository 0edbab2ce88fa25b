package report

import (
	"bytes"
	"encoding/csv"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// CSVSummary writes one row for each figure of the run, in base units: its verdict, what the tester knows of itself,
// connections, timings and the trust in their quantiles, counters, ratios, thresholds, errors, doubts and warnings; the
// first column says which it is. A cell is empty where there is no such value, where it was not measured (the note says
// why) or where there were too few samples. It follows RFC 4180 but ends lines with LF, and no cell can be taken for a
// formula.
func CSVSummary(w io.Writer, run Run) error {
	if err := run.check(); err != nil {
		return err
	}
	r := run.Result
	t := newCSV("kind", "name", "unit", "count", "min", "mean", "stddev")
	for _, q := range quantiles {
		t.header = append(t.header, q.name)
	}
	t.header = append(t.header, "max", "value", "at_least", "verdict", "note")
	t.write(t.header...)

	if name := scenario(run.Config.Entries); name != "" {
		t.row("run", Scenario, "note", name)
	}
	t.row("run", "target", "note", run.Config.Target)
	t.row("run", "stop", "value", string(r.Stop), "note", r.StopText)
	if r.Failure != "" {
		t.row("run", "failure", "note", r.Failure)
	}
	t.row("run", "elapsed", "unit", string(bench.Nanoseconds), "value", integer(r.Elapsed))
	t.row("run", "window_begin", "unit", string(bench.Nanoseconds), "value", integer(r.Begin))
	t.row("run", "window_end", "unit", string(bench.Nanoseconds), "value", integer(r.End))
	if v := runWorth(r); v != "" {
		t.row("run", "verdict", "verdict", string(v), "note", meaning(r, v))
	}
	t.health(r)
	for _, d := range r.Doubts {
		t.row("doubt", "", "note", d.Text)
	}
	t.row("connections", "planned", "unit", string(bench.Number), "value", integer(r.Planned))
	t.row("connections", "peak", "unit", string(bench.Number), "value", integer(r.Peak))
	t.row("connections", "open_at_end", "unit", string(bench.Number), "value", integer(r.OpenAtEnd))
	t.metrics(r)
	t.trust(r)
	t.storms(r)
	t.injected(r)
	t.targetUse(r)
	t.resumption(r)
	for _, j := range r.Judgements {
		note := map[bool]string{true: "passed", false: "failed"}[j.Passed]
		if j.Unknown != "" {
			t.row("threshold", j.Threshold.Text, "unit", string(j.Threshold.Unit()), "note", note+": "+j.Unknown)
			continue
		}
		column := map[bool]string{true: "at_least", false: "value"}[j.AtLeast]
		pairs := []string{"unit", string(j.Threshold.Unit()), column, decimal(j.Value), "verdict", string(j.Verdict), "note", note}
		if between(j) {
			pairs = append(pairs, "min", decimal(j.Low), "max", decimal(j.High))
		}
		t.row("threshold", j.Threshold.Text, pairs...)
	}
	for _, e := range r.Errors {
		t.row("error", e.Key, "unit", string(bench.Number), "value", integer(e.Count), "note", e.Text)
	}
	for _, w := range r.Warnings {
		t.row("warning", "", "note", w.Text)
	}
	return t.flush(w)
}

// CSVSeries writes one row for each step of the series, in base units. The last four columns are of the run's headline
// timing, which the column before them names.
func CSVSeries(w io.Writer, run Run) error {
	if err := run.check(); err != nil {
		return err
	}
	t := newCSV("at_ns", "open", "received", "bytes", "sent", "errors", "reconnects", "headline", "samples", "p50_ns", "p99_ns", "max_ns")
	t.write(t.header...)
	name := ""
	if h, ok := headline(run.Result); ok {
		name = h.metric.String()
	}
	for _, bucket := range run.Result.Series {
		b := newBucket(bucket)
		t.write(integer(b.AtNS), integer(b.Open), integer(b.Received), integer(b.Bytes), integer(b.Sent), integer(b.Errors),
			integer(b.Reconnects), name, integer(b.Samples), optional(b.P50), optional(b.P99), optional(b.Max))
	}
	return t.flush(w)
}

// csvTable is a table in the making.
type csvTable struct {
	header []string
	b      bytes.Buffer
	w      *csv.Writer
}

func newCSV(header ...string) *csvTable {
	t := &csvTable{header: header}
	t.w = csv.NewWriter(&t.b)
	return t
}

// write adds one row. A failure stays in the writer until flush.
func (t *csvTable) write(cells ...string) {
	row := make([]string, len(cells))
	for i, s := range cells {
		row[i] = cell(Plain(s))
	}
	_ = t.w.Write(row)
}

// row adds one row of the summary: its kind, its name, and then pairs of a column and what stands in it.
func (t *csvTable) row(kind, name string, pairs ...string) {
	values := map[string]string{"kind": kind, "name": name}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	cells := make([]string, len(t.header))
	for i, column := range t.header {
		cells[i] = values[column]
	}
	t.write(cells...)
}

func (t *csvTable) metrics(r *bench.Result) {
	sampled := map[bench.Metric]timing{}
	for _, s := range timings(r) {
		sampled[s.metric] = s
	}
	for _, m := range bench.Metrics() {
		kind, pairs := "ratio", []string{"unit", string(m.Unit())}
		why, unmeasured := r.Unmeasured[m]
		switch {
		case m.IsTiming():
			kind = "timing"
		case m.IsCount():
			kind = "counter"
		}
		switch {
		case unmeasured:
			pairs = append(pairs, "note", "not measurable: "+why)
		case m.IsTiming():
			pairs = append(pairs, timingPairs(sampled[m])...)
		case m.IsCount():
			pairs = append(pairs, "value", integer(r.Count(m)))
		default:
			if v, unknown := ratio(r, m); unknown != "" {
				pairs = append(pairs, "note", unknown)
			} else {
				pairs = append(pairs, "value", decimal(v))
			}
		}
		t.row(kind, m.String(), pairs...)
	}
}

// health has a row for each thing that is known.
func (t *csvTable) health(r *bench.Result) {
	h := r.Health
	for _, x := range []struct {
		name  string
		value float64
	}{{"shared", h.Shared}, {"not_by_kernel", h.Unstamped}, {"steal", h.Steal}, {"pressure", h.Pressure}} {
		if x.value >= 0 {
			t.row("health", x.name, "unit", string(bench.Fraction), "value", decimal(x.value))
		}
	}
	for _, x := range []struct {
		name  string
		value time.Duration
		known bool
	}{
		{"stalled", h.Stalled, h.Stalled >= 0}, {"clock_step", h.ClockStep, true}, {"throttled", h.Throttled, h.Throttled >= 0},
		{"scheduler_p99", h.SchedulerP99, h.SchedulerP99 >= 0}, {"collector_max", h.CollectorMax, h.CollectorMax >= 0},
	} {
		if x.known {
			t.row("health", x.name, "unit", string(bench.Nanoseconds), "value", integer(x.value))
		}
	}
	t.row("run", "trimmed", "unit", string(bench.Nanoseconds), "value", integer(r.Trimmed))
	if d := r.Drift; d != nil {
		t.row("run", "drift", "unit", string(bench.Fraction), "value", decimal(d.Share), "note", quantileName(d.Q)+"("+d.Metric.String()+")")
	}
}

// trust has a row for each quantile that has a value and a verdict, and one for what never came. The ends of the range of one
// that is known between two ends only are its min and max.
func (t *csvTable) trust(r *bench.Result) {
	for _, s := range timings(r) {
		if n := r.Absent[s.metric]; n > 0 {
			t.row("absent", s.metric.String(), "unit", string(bench.Number), "value", integer(n))
		}
		for _, e := range r.Estimates[s.metric] {
			pairs := []string{"unit", string(bench.Nanoseconds), "verdict", string(e.Verdict)}
			switch {
			case e.Verdict == "" || e.Unknown != "":
				continue
			case e.AtLeast:
				pairs = append(pairs, "at_least", integer(e.Value))
			case ranged(e):
				pairs = append(pairs, "value", integer(e.Value), "min", integer(e.Low), "max", integer(e.High))
			default:
				pairs = append(pairs, "value", integer(e.Value))
			}
			t.row("trust", quantileName(e.Q)+"("+s.metric.String()+")", pairs...)
		}
	}
}

func timingPairs(s timing) []string {
	h := s.histogram
	if h == nil {
		return []string{"count", "0"}
	}
	pairs := []string{"count", integer(h.TotalCount()), "min", integer(bench.Least(h)), "mean", decimal(h.Mean()),
		"stddev", decimal(h.StdDev()), "max", integer(bench.Most(h)), "note", s.source}
	for _, q := range quantiles {
		pairs = append(pairs, q.name, optional(known(s.quantile(q.q))))
	}
	return pairs
}

func (t *csvTable) flush(w io.Writer) error {
	t.w.Flush()
	if err := t.w.Error(); err != nil {
		return err
	}
	_, err := w.Write(t.b.Bytes())
	return err
}

var plainNumber = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// cell keeps a spreadsheet from taking text for a formula: in front of what begins like one comes an apostrophe. What
// is a number stays one.
func cell(s string) string {
	first := strings.TrimLeft(s, " ")
	if first != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(first)[0]) && !plainNumber.MatchString(s) {
		return "'" + s
	}
	return s
}

func integer[T ~int | ~int64 | ~uint64](n T) string {
	if n < 0 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatUint(uint64(n), 10)
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func optional(n *int64) string {
	if n == nil {
		return ""
	}
	return integer(*n)
}
