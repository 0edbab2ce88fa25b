package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
)

func liveSnapshot() *bench.Snapshot {
	s := &bench.Snapshot{Phase: bench.PhaseMeasure, At: 3 * time.Second, Open: 99, Planned: 100, Rate: 990.5, Headline: bench.Delivery,
		Quantiles: bench.Quantiles{Samples: 100, P50: 1_200_000, P99: 9_000_000, Max: 9_500_000}, LastError: "\x1b[31mreset",
		Judgements: []bench.Judgement{judge(&bench.Result{}, "lost == 0"), {Threshold: bench.Threshold{Text: "reach > 1"}}, {Threshold: bench.Threshold{Text: "lost < 9"}, Figure: bench.Figure{}, Passed: true, Missing: 7}},
		Missing:    7, Unmeasured: map[bench.Metric]string{bench.Resumes: "nobody was dropped"}}
	s.Counts[bench.Received-bench.Counts()[0]] = 1234
	return s
}

func TestSnapshotLine(t *testing.T) {
	line := SnapshotLine(liveSnapshot())
	if bytes.Count(line, []byte("\n")) != 1 || bytes.Contains(line, []byte{0x1b}) {
		t.Errorf("%q", line)
	}
	var d docSnapshot
	if err := json.Unmarshal(line, &d); err != nil {
		t.Fatal(err)
	}
	if d.Open != 99 || *d.Counters["received"] != 1234 || *d.Counters["lost"] != 0 || d.Counters["resumes"] != nil || *d.Missing != 7 || d.Thresholds[0].Missing != 0 || d.Thresholds[2].Missing != 7 || *d.Headline != "delivery" || *d.P50NS != 1_200_000 || d.P99NS != nil || len(d.Thresholds) != 3 {
		t.Errorf("%+v", d)
	}
	s := liveSnapshot()
	s.Unmeasured[bench.Lost] = "no ids"
	if line := string(SnapshotLine(s)); !strings.Contains(line, `"missing":null,`) || !strings.Contains(line, `"lost":null,`) {
		t.Error("what isn't measured isn't zero: " + line)
	}
}

// TestSnapshotMetrics: every line is one that Prometheus takes, every metric is described once, and what isn't known isn't there.
func TestSnapshotMetrics(t *testing.T) {
	for _, open := range []bool{false, true} {
		text := string(SnapshotMetrics(liveSnapshot(), open))
		described := map[string]bool{}
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			fields := strings.Fields(line)
			switch {
			case line == "# EOF" && open:
			case strings.HasPrefix(line, "# HELP ") && len(fields) > 3:
			case strings.HasPrefix(line, "# TYPE ") && len(fields) == 4:
				if described[fields[2]] {
					t.Errorf("twice: %s", line)
				}
				described[fields[2]] = true
			case len(fields) == 2:
				name, _, _ := strings.Cut(fields[0], "{")
				if !described[name] && !described[strings.TrimSuffix(name, "_total")] && !described[strings.TrimSuffix(name, "_count")] {
					t.Errorf("not described: %s", line)
				}
			default:
				t.Errorf("no line of metrics: %q", line)
			}
		}
		for _, want := range []string{"rtbench_received_total 1234\n", "rtbench_open_connections 99\n", "rtbench_delivery_seconds{quantile=\"0.5\"} 0.0012\n", "rtbench_thresholds_failing 1\n", "rtbench_thresholds_undecided 1\n", "rtbench_missing_events 7\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing", want)
			}
		}
		if strings.Contains(text, "0.99") || strings.Contains(text, "rtbench_resumes_total") {
			t.Error("there are too few samples for a p99, and resumes can't be measured")
		}
	}
	if got := SnapshotMetrics(nil, true); string(got) != "# EOF\n" {
		t.Errorf("before the run: %q", got)
	}
}
