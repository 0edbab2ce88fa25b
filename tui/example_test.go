package tui_test

import (
	"fmt"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/tui"
)

func ExampleLine() {
	s := &bench.Snapshot{
		Phase: bench.PhaseMeasure, At: 12 * time.Second, Open: 100, Planned: 100, Rate: 998,
		Headline: bench.Delivery, Quantiles: bench.Quantiles{Samples: 10_000, P50: 1_230_000, P99: 8_070_000},
	}
	fmt.Println(tui.Line(s, 0))
	fmt.Println(tui.Line(s, 40))
	// Output:
	//    12s measuring  100/100 open  998/s  delivery p50 1.23 ms p99 8.07 ms  0 received
	//    12s measuring  100/100 open  998/s
}
