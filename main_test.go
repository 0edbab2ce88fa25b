package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
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

// buildProgram builds rtbench in a folder, and gives its path.
func buildProgram(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "rtbench")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}
