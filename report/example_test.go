package report_test

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// A result is written as text for people, and as JSON that can be read back.
func Example() {
	connect := bench.NewHistogram()
	for i := range 400 {
		_ = connect.RecordValue(int64(time.Millisecond) + int64(i)*int64(10*time.Microsecond))
	}
	result := &bench.Result{
		Start: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Elapsed: 3 * time.Second, End: 2 * time.Second,
		Stop: bench.StopDuration, Planned: 400, Peak: 400, OpenAtEnd: 400, Verdict: bench.UpperBound,
		Health:      bench.Health{Unstamped: 1},
		Environment: bench.Environment{Version: "0.1.0"},
	}
	result.Histograms[bench.Connect] = connect
	run := report.Run{Result: result, Config: report.Config{
		Command: "rtbench sse",
		Target:  report.RedactURL("http://127.0.0.1:8080/sse?token=abc"),
		Entries: []report.Entry{{Name: "connections", Value: "400"}, {Name: "header", Value: report.RedactHeader("Authorization", "Bearer abc")}},
	}}

	var file bytes.Buffer
	if err := report.Write(&file, report.JSON, run, report.TextOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	run, err := report.Read(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := report.Write(os.Stdout, report.Text, run, report.TextOptions{ASCII: true}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// rtbench sse  http://127.0.0.1:8080/sse?token=REDACTED
	// 2.00 s measured of 3.00 s | ran its full time
	//
	//   connect p99  4.95 ms   UPPER BOUND (stamped in user space)
	//
	// Connecting  count     min    mean     p50     p90     p99  p99.9     max
	//   connect     400  1.00ms  3.00ms  2.99ms  4.59ms  4.95ms      -  4.99ms
	//
	// Distribution of connect
	//   <= 1.14 ms  ############                                        15
	//   <= 1.31 ms  #############                                       16
	//   <= 1.49 ms  ###############                                     19
	//   <= 1.71 ms  ##################                                  22
	//   <= 1.95 ms  ###################                                 24
	//   <= 2.23 ms  #######################                             28
	//   <= 2.55 ms  ##########################                          32
	//   <= 2.92 ms  ##############################                      37
	//   <= 3.34 ms  ##################################                  42  <- p50
	//   <= 3.82 ms  ######################################              47
	//   <= 4.37 ms  #############################################       56
	//   <= 4.99 ms  ##################################################  62  <- p90 p99
	//
	// Connections
	//   planned                400              open_at_end            400
	//   peak                   400              attempts                 0
	//
	// rtbench 0.1.0
	// connections=400  header=Bearer REDACTED
}

func ExamplePlain() {
	fmt.Println(report.Plain("closed: \x1b[2Jbye\u202e"))
	// Output: closed: \x1b[2Jbye\u202e
}

func ExampleRedactURL() {
	fmt.Println(report.RedactURL("wss://ada:lovelace@127.0.0.1/ws?room={{.Vars.room}}&token={{.Vars.token}}"))
	// Output: wss://ada:REDACTED@127.0.0.1/ws?room={{.Vars.room}}&token=REDACTED
}

func ExampleScale() {
	fmt.Println(report.Scale(4_213_000, bench.Nanoseconds), report.Scale(13_100_000, bench.ByteCount), report.Scale(.99996, bench.Fraction))
	// Output: 4.21 ms 13.1 MB 99.996%
}
