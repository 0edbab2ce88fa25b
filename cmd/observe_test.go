package cmd

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
)

func TestParseUse(t *testing.T) {
	for _, test := range []struct {
		text string
		want bench.Use
		says string
	}{
		{"# HELP x\n# TYPE x counter\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 2.5e+07\nother 3\n", bench.Use{CPU: 1500 * time.Millisecond, Memory: 25e6}, ""},
		{"process_cpu_seconds_total{pid=\"1\",cmd=\"a } b\"} 1 1700000000000\nprocess_cpu_seconds_total{pid=\"2\"} 2\nprocess_resident_memory_bytes{pid=\"1\"} 7\r\n", bench.Use{CPU: 3 * time.Second, Memory: 7}, ""},
		{"process_cpu_seconds_total 1\n", bench.Use{}, "no process_resident_memory_bytes"},
		{"process_resident_memory_bytes NaN\nprocess_cpu_seconds_total +Inf\n{} 1\n x\nprocess_cpu_seconds_total\nprocess_cpu_seconds_total{a 1\n", bench.Use{}, "no process_cpu_seconds_total"},
		{"process_cpu_seconds_total 1e11\nprocess_resident_memory_bytes 1\n", bench.Use{}, "no process_cpu_seconds_total"},
		{"process_cpu_seconds_total 5 # {trace_id=\"x\"} 7\nprocess_resident_memory_bytes 1\n", bench.Use{CPU: 5 * time.Second, Memory: 1}, ""},
		{"", bench.Use{}, "no process_cpu_seconds_total"},
	} {
		got, err := parseUse(strings.NewReader(test.text))
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) || err == nil && got != test.want {
			t.Errorf("%q: %+v, %v", test.text, got, err)
		}
	}
}

func TestMetricsProbe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("process_cpu_seconds_total 1\nprocess_resident_memory_bytes 2\n"))
	}))
	defer server.Close()
	for path, says := range map[string]string{"/metrics": "", "/": "404"} {
		f := &loadFlags{targetMetrics: server.URL + path}
		probe, err := f.probe(0)
		if err != nil {
			t.Fatal(err)
		}
		use, err := probe.Use(t.Context())
		if says == "" && (err != nil || use != bench.Use{CPU: time.Second, Memory: 2}) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %+v, %v", path, use, err)
		}
	}
}

func TestProcessProbe(t *testing.T) {
	probe, err := newProcessProbe(os.Getpid(), "this test")
	if err != nil {
		t.Fatal(err)
	}
	use, err := probe.Use(t.Context())
	if err != nil || use.Memory < 1<<20 {
		t.Errorf("%+v, %v", use, err)
	}
	for _, pid := range []int{0, -1, 1 << 40} {
		if _, err := newProcessProbe(pid, ""); err == nil {
			t.Errorf("%d is a process", pid)
		}
	}
}
