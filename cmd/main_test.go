package cmd_test

import (
	"flag"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/rtbench/rtbench/cmd"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain makes the test binary the rtbench that a test starts as its child.
func TestMain(m *testing.M) {
	// With the race detector every program would wait for a second before it ends, so that others can report.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if len(os.Args) > 1 && slices.Contains([]string{"serve", "proxy", "sse", "ws"}, os.Args[1]) { // a test has started a child, which is this very program
		os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("4") // scripts wait more than they compute
	}
	goleak.VerifyTestMain(m)
}
