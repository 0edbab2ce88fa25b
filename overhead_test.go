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
// processor time and to the tester's own lag: go test -run TestOverhead -overhead -v . Few events show its own processor
// time, which many hide in the noise; many show what it does to them.
func TestOverhead(t *testing.T) {
	if !*overhead {
		t.Skip("only with -overhead")
	}
	dir := t.TempDir()
	program := buildProgram(t, dir)
	term := newTerminal(t, 120, 40)
	for _, load := range []string{"-c 20 --serve '--rate 10'", "-c 200 --serve '--rate 50'"} {
		t.Log(load)
		overheadAt(t, term, program, load, dir)
	}
}

func overheadAt(t *testing.T, term *terminal, program, load, dir string) {
	const times = 5
	measured := map[string]map[string][]float64{"": {}, "--no-tui": {}}
	for i := range times {
		for way, figures := range measured {
			path := filepath.Join(dir, fmt.Sprintf("%d%s.json", i, way))
			term.press(fmt.Sprintf("clear; %s sse %s -d 10s -o %s %s; echo run $?: %d%s", program, load, path, way, i, way), "Enter")
			term.waitFor(fmt.Sprintf("run 0: %d%s\n", i, way))
			var result struct {
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
			if lag.P99 > 0 { // there were enough
				figures["client_lag p99, µs"] = append(figures["client_lag p99, µs"], lag.P99/1000)
			}
		}
	}
	for name, plain := range measured["--no-tui"] {
		shown := measured[""][name]
		if len(shown) == 0 {
			continue
		}
		t.Logf("%-22s %.4g with the view, %.4g without: medians %.4g and %.4g, %.4g more, %.3f ×", name, shown, plain, middle(shown), middle(plain), middle(shown)-middle(plain), middle(shown)/middle(plain))
	}
}

func middle(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
