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
	AtNS       time.Duration     `json:"at_ns"`
	Phase      bench.Phase       `json:"phase"`
	Open       int               `json:"open"`
	Planned    int               `json:"planned"`
	Rate       float64           `json:"received_per_second"`
	Headline   *string           `json:"headline"`
	Samples    int64             `json:"samples"`
	P50NS      *int64            `json:"p50_ns"`
	P99NS      *int64            `json:"p99_ns"`
	MaxNS      *int64            `json:"max_ns"`
	Thresholds []docLiveGate     `json:"thresholds"`
	LastError  string            `json:"last_error"`
	Counters   map[string]uint64 `json:"counters"`
}

type docLiveGate struct {
	Text   string `json:"text"`
	Passed bool   `json:"passed"`
}

// SnapshotLine is a snapshot as one line of JSON, with its end.
func SnapshotLine(s *bench.Snapshot) []byte {
	d := docSnapshot{AtNS: s.At, Phase: s.Phase, Open: s.Open, Planned: s.Planned, Rate: s.Rate, LastError: Plain(s.LastError), Thresholds: []docLiveGate{}, Counters: map[string]uint64{}}
	if q := s.Quantiles; q.Samples > 0 {
		name := s.Headline.String()
		d.Headline, d.Samples = &name, q.Samples
		d.P50NS, d.P99NS, d.MaxNS = known(q.P50, q.Samples >= bench.SamplesFor(.5)), known(q.P99, q.Samples >= bench.SamplesFor(.99)), &q.Max
	}
	for _, j := range s.Judgements {
		d.Thresholds = append(d.Thresholds, docLiveGate{Plain(j.Threshold.Text), j.Passed})
	}
	for _, m := range bench.Counts() {
		d.Counters[m.String()] = s.Count(m)
	}
	line, err := json.Marshal(d)
	if err != nil { // there is nothing in it that can't be written
		return []byte("{}\n")
	}
	return append(line, '\n')
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
		failed := 0
		for _, j := range s.Judgements {
			if !j.Passed {
				failed++
			}
		}
		gauge("thresholds_failing", "thresholds that do not hold now", float64(failed))
		for _, m := range bench.Counts() {
			name := "rtbench_" + m.String()
			of := name
			if !open {
				of += "_total"
			}
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s counter\n%s_total %d\n", of, m.Sentence(), of, name, s.Count(m))
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
