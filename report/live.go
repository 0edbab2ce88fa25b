package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// docSnapshot is a run while it goes on, as one line of JSON.
type docSnapshot struct {
	AtNS       time.Duration      `json:"at_ns"`
	Phase      bench.Phase        `json:"phase"`
	Open       int                `json:"open"`
	Planned    int                `json:"planned"`
	Rate       float64            `json:"received_per_second"`
	Headline   *string            `json:"headline"`
	Samples    int64              `json:"samples"`
	P50NS      *int64             `json:"p50_ns"`
	P99NS      *int64             `json:"p99_ns"`
	MaxNS      *int64             `json:"max_ns"`
	Missing    *uint64            `json:"missing"` // null where loss can't be measured
	Thresholds []docLiveGate      `json:"thresholds"`
	LastError  string             `json:"last_error"`
	Counters   map[string]*uint64 `json:"counters"` // null where it can't be measured
}

type docLiveGate struct {
	Text    string `json:"text"`
	Passed  bool   `json:"passed"`
	Missing uint64 `json:"missing,omitempty"` // events: where they are lost, it doesn't hold
}

// SnapshotLine is a snapshot as one line of JSON, with its end.
func SnapshotLine(s *bench.Snapshot) []byte {
	d := docSnapshot{AtNS: s.At, Phase: s.Phase, Open: s.Open, Planned: s.Planned, Rate: s.Rate, LastError: Plain(s.LastError), Thresholds: []docLiveGate{}, Counters: map[string]*uint64{}}
	if q := s.Quantiles; q.Samples > 0 {
		name := s.Headline.String()
		d.Headline, d.Samples = &name, q.Samples
		d.P50NS, d.P99NS, d.MaxNS = known(q.P50, q.Samples >= bench.SamplesFor(.5)), known(q.P99, q.Samples >= bench.SamplesFor(.99)), &q.Max
	}
	for _, j := range s.Judgements {
		d.Thresholds = append(d.Thresholds, docLiveGate{Plain(j.Threshold.Text), j.Passed, j.Missing})
	}
	for _, m := range bench.Counts() {
		d.Counters[m.String()] = countNow(s, m)
	}
	if countNow(s, bench.Lost) != nil {
		d.Missing = &s.Missing
	}
	line, err := json.Marshal(d)
	if err != nil { // there is nothing in it that can't be written
		return []byte("{}\n")
	}
	return append(line, '\n')
}

// countNow is a counter of a snapshot; nil where it can't be measured.
func countNow(s *bench.Snapshot, m bench.Metric) *uint64 {
	if _, not := s.Unmeasured[m]; not {
		return nil
	}
	n := s.Count(m)
	return &n
}

// SnapshotMetrics is a snapshot in the text format that Prometheus reads; nil is for a run that hasn't begun. open has it end as
// OpenMetrics wants it.
func SnapshotMetrics(s *bench.Snapshot, open bool) []byte {
	var b bytes.Buffer
	if s != nil {
		gauge := func(name, help string, value float64) {
			fmt.Fprintf(&b, "# HELP rtbench_%s %s\n# TYPE rtbench_%s gauge\nrtbench_%s %s\n", name, help, name, name, strconv.FormatFloat(value, 'g', -1, 64))
		}
		gauge("open_connections", "connections open now", float64(s.Open))
		gauge("planned_connections", "connections that the plan has at its peak", float64(s.Planned))
		gauge("elapsed_seconds", "since the run began", s.At.Seconds())
		failed, undecided := 0, 0
		for _, j := range s.Judgements {
			switch {
			case !j.Passed:
				failed++
			case j.Missing > 0:
				undecided++
			}
		}
		gauge("thresholds_failing", "thresholds that do not hold now", float64(failed))
		gauge("thresholds_undecided", "thresholds that hold now, but not where the events that are missing are lost", float64(undecided))
		if countNow(s, bench.Lost) != nil {
			gauge("missing_events", "events that connections have not received by now, and may yet", float64(s.Missing))
		}
		for _, m := range bench.Counts() {
			n := countNow(s, m)
			if n == nil {
				continue
			}
			name := "rtbench_" + m.String()
			of := name
			if !open {
				of += "_total"
			}
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s counter\n%s_total %d\n", of, m.Sentence(), of, name, *n)
		}
		if q := s.Quantiles; q.Samples > 0 {
			name := "rtbench_" + s.Headline.String() + "_seconds"
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s summary\n", name, s.Headline.Sentence(), name)
			for _, x := range []struct {
				q  float64
				ns int64
			}{{.5, q.P50}, {.99, q.P99}} {
				if q.Samples >= bench.SamplesFor(x.q) {
					fmt.Fprintf(&b, "%s{quantile=\"%g\"} %g\n", name, x.q, float64(x.ns)/1e9)
				}
			}
			fmt.Fprintf(&b, "%s_count %d\n", name, q.Samples)
		}
	}
	if open {
		b.WriteString("# EOF\n")
	}
	return b.Bytes()
}
