package main

import (
	"flag"
	"os"
	"testing"
)

// TestMain has more tests run at a time than there are processors: most of them wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("6")
	}
	os.Exit(m.Run())
}
