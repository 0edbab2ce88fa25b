package cmd

import (
	"testing"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// TestLatencyClaim: that SSE's latency is slightly higher holds where WebSocket's is lower, but not by far.
func TestLatencyClaim(t *testing.T) {
	figure := func(name string, ratio, low, high, p float64) report.Contrast {
		return report.Contrast{Name: name, Paired: report.Paired{Ratio: ratio, Low: low, High: high}, Adjusted: p, Alpha: .05, Tested: true}
	}
	unknown := report.Contrast{Name: "delivery p99", Unknown: "too few samples"}
	for _, row := range []struct {
		name     string
		p50, p99 report.Contrast
		verdict  report.ClaimVerdict
	}{
		{"slightly", figure("delivery p50", .9, .85, .95, .01), figure("delivery p99", .97, .8, 1.1, .8), report.Holds},
		{"by far", figure("delivery p50", .3, .25, .35, .01), figure("delivery p99", .97, .8, 1.1, .8), report.HoldsNot},
		{"by far, maybe", figure("delivery p50", .9, .85, .95, .01), figure("delivery p99", .3, .1, 1.4, .3), report.Holds},
		{"lower", figure("delivery p50", 1.2, 1.1, 1.3, .01), unknown, report.HoldsNot},
		{"the same", figure("delivery p50", 1, .98, 1.02, .9), figure("delivery p99", 1, .95, 1.05, .9), report.HoldsNot},
		{"both ways", figure("delivery p50", 1.2, 1.1, 1.3, .01), figure("delivery p99", .9, .8, .95, .01), report.Untellable},
		{"one unknown", figure("delivery p50", 1, .98, 1.02, .9), unknown, report.Untellable},
		{"wide", figure("delivery p50", 1, .7, 1.4, .9), figure("delivery p99", 1, .5, 2, .9), report.Untellable},
		{"no latency", figure("inter_arrival p50", .9, .85, .95, .01), unknown, report.Untellable},
	} {
		c := &comparing{result: report.Comparison{Contrasts: []report.Contrast{row.p50, row.p99}}}
		if got := c.latency(); got.Verdict != row.verdict {
			t.Errorf("%s: %s, %s", row.name, got.Verdict, got.Why)
		}
	}
}

// TestFramingClaim: framing is what each trial's wire held besides its own payloads, which differ from trial to trial.
func TestFramingClaim(t *testing.T) {
	trial := func(events, payload, framing uint64) *bench.Result {
		r := new(bench.Result)
		count := func(m bench.Metric, n uint64) { r.Counts[m-bench.Counts()[0]] = n }
		count(bench.Received, events)
		count(bench.Bytes, events*payload)
		count(bench.HandshakeIn, 300)
		count(bench.WireIn, events*(payload+framing)+300)
		return r
	}
	c := &comparing{result: report.Comparison{Contrasts: []report.Contrast{{Name: "bytes in an event", A: 110, B: 82}}}}
	c.fit[0] = []*bench.Result{trial(100, 80, 22), trial(50, 200, 22), trial(70, 90, 25)}
	c.fit[1] = []*bench.Result{trial(100, 83, 4), trial(50, 71, 2), trial(70, 79, 3)}
	got := c.framing()
	if want := "framing of an event: SSE 23.0 B, WebSocket 3.0 B, over payloads of 123 and 78 B"; got.Verdict != report.Holds || got.Figures != want {
		t.Errorf("%s: %s", got.Verdict, got.Figures)
	}
}
