package bench

import (
	"regexp"
	"strings"
	"testing"
)

// TestMetricTable holds the table against what its readers count on: JSON keys, a sentence each, no name twice.
func TestMetricTable(t *testing.T) {
	key := regexp.MustCompile(`^[a-z]+(_[a-z0-9]+)*$`)
	seen := make(map[string]bool)
	for _, m := range Metrics() {
		if !key.MatchString(m.String()) || seen[m.String()] {
			t.Errorf("metric %d: name %q", m, m)
		}
		seen[m.String()] = true
		if s := m.Sentence(); s == "" || strings.HasSuffix(s, ".") || strings.Contains(s, "\n") {
			t.Errorf("%s: sentence %q", m, s)
		}
		if of, ok := m.Of(); ok && (!m.IsCount() || !of.IsCount() || of == m) {
			t.Errorf("%s is a share of %s", m, of)
		}
		if got, near, ok := ParseMetric(m.String()); !ok || got != m || near != "" {
			t.Errorf("%s: parsed as %v, %q, %v", m, got, near, ok)
		}
		switch {
		case m.IsTiming() && (m.Unit() != Nanoseconds || m.IsCount()):
			t.Errorf("%s is a timing in %s", m, m.Unit())
		case m.IsCount() && m.Unit() != Number && m.Unit() != ByteCount:
			t.Errorf("%s is a count in %s", m, m.Unit())
		}
	}
	if got := len(Timings()) + len(Counts()) + 2; got != len(Metrics()) {
		t.Errorf("%d metrics of %d are timings, counts or one of the two ratios", got, len(Metrics()))
	}
}

func TestParseMetricNear(t *testing.T) {
	for name, near := range map[string]string{
		"Delivery": "delivery", "deliver": "delivery", "latency": "delivery", "rtt": "round_trip", "": "", "p99": "", "dn": "dns",
		"reconects": "reconnects", "LOST": "lost", "interarrival": "inter_arrival", "zzzzzzzzzzzz": "",
	} {
		if _, got, ok := ParseMetric(name); ok || got != near {
			t.Errorf("%q: near %q, want %q", name, got, near)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"lost", "lots", 2}, {"reach", "reach", 0}} {
		if got := distance(row.a, row.b); got != row.want {
			t.Errorf("%q to %q: %d, want %d", row.a, row.b, got, row.want)
		}
		if got := distance(row.b, row.a); got != row.want {
			t.Errorf("%q to %q: %d, want %d", row.b, row.a, got, row.want)
		}
	}
}
