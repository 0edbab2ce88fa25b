//go:build unix

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var overhead = flag.Bool("overhead", false, "measure what the live view costs")

// TestOverhead measures the same run with the live view and with plain lines, in turns, and tells what the view adds to the
// processor time and to the tester's own lag: go test -run TestOverhead -overhead -v .
func TestOverhead(t *testing.T) {
	if !*overhead {
		t.Skip("only with -overhead")
	}
	const times = 5
	dir := t.TempDir()
	program := buildProgram(t, dir)
	term := newTerminal(t, 120, 40)
	measured := map[string]map[string][]float64{"": {}, "--no-tui": {}}
	for i := range times {
		for way, figures := range measured {
			path := filepath.Join(dir, fmt.Sprintf("%d%s.json", i, way))
			term.press(fmt.Sprintf("clear; %s sse -c 200 -d 10s --serve '--rate 50' -o %s %s; echo run $?: %d%s", program, path, way, i, way), "Enter")
			term.waitFor(fmt.Sprintf("run 0: %d%s\n", i, way))
			var result struct {
				Window      struct{ Received float64 }
				Environment struct {
					CPU float64 `json:"window_cpu_ns"`
				}
				Metrics map[string]struct {
					P50 float64 `json:"p50"`
					P99 float64 `json:"p99"`
				}
			}
			text, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(text, &result)
			}
			if err != nil {
				t.Fatal(err)
			}
			lag := result.Metrics["client_lag"]
			figures["share of a processor"] = append(figures["share of a processor"], result.Environment.CPU/10e9)
			figures["client_lag p50, µs"] = append(figures["client_lag p50, µs"], lag.P50/1000)
			figures["client_lag p99, µs"] = append(figures["client_lag p99, µs"], lag.P99/1000)
		}
	}
	for name, plain := range measured["--no-tui"] {
		shown := measured[""][name]
		t.Logf("%-22s %v with the view, %v without: medians %.4g and %.4g, %.3f ×", name, shown, plain, middle(shown), middle(plain), middle(shown)/middle(plain))
	}
}

func middle(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
