package cmd

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"

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

// TestDescendants finds a child and its child, whichever way the system tells of them.
func TestDescendants(t *testing.T) {
	shell := exec.Command("sh", "-c", "cat; exit 0")
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Skip("there is no shell: ", err)
	}
	defer func() {
		in.Close()
		_ = shell.Wait()
	}()
	if _, err := in.Write([]byte("here")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil { // then there is a cat
		t.Fatal(err)
	}
	list := descendants(t.Context(), &process.Process{Pid: int32(os.Getpid())})
	at := slices.IndexFunc(list, func(p *process.Process) bool { return int(p.Pid) == shell.Process.Pid })
	if at < 1 || list[0].Pid != int32(os.Getpid()) {
		t.Fatalf("%v: the shell %d isn't in it, or this process not first", list, shell.Process.Pid)
	}
	if of := descendants(t.Context(), list[at]); len(of) != 2 {
		t.Errorf("the shell and its child are %v", of)
	}
}
