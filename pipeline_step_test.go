package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPipelineStep runs the pipeline's step as a pipeline does: reports, summary, baseline and exit code.
func TestPipelineStep(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	dir := t.TempDir()
	binary := buildProgram(t, dir)
	script, err := filepath.Abs("scripts/ci-step")
	if err != nil {
		t.Fatal(err)
	}
	reference := startReference(t)
	step := func(name string, env ...string) (summary string, code int) {
		t.Helper()
		work := filepath.Join(dir, name)
		if err := os.Mkdir(work, 0o755); err != nil {
			t.Fatal(err)
		}
		run := exec.Command(bash, script)
		run.Dir = work
		run.Env = append(os.Environ(), append([]string{"RTBENCH_STEP_BINARY=" + binary, "RTBENCH_STEP_COMMAND=sse",
			"RTBENCH_STEP_ARGUMENTS=http://" + reference + "/sse -c 5 -d 300ms -H 'X-Of: a b' --quiet", "GITHUB_STEP_SUMMARY=summary.md", "GITHUB_OUTPUT=output"}, env...)...)
		out, err := run.CombinedOutput()
		var exited *exec.ExitError
		if err != nil && !errors.As(err, &exited) {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(work, "summary.md"))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, ending := range []string{"json", "html", "xml", "md"} {
			if info, err := os.Stat(filepath.Join(work, "rtbench-reports", "result."+ending)); err != nil || info.Size() == 0 {
				t.Errorf("%s: there is no %s\n%s", name, ending, out)
			}
		}
		return string(text), run.ProcessState.ExitCode()
	}
	summary, code := step("passes", "RTBENCH_STEP_THRESHOLDS=lost == 0\n\n  received > 0\n")
	if code != 0 || !strings.Contains(summary, "| `received > 0` |") || strings.Count(summary, "✅ passed") != 2 {
		t.Errorf("exit code %d\n%s", code, summary)
	}
	if _, code = step("fails", "RTBENCH_STEP_THRESHOLDS=lost > 0"); code != 99 {
		t.Errorf("exit code %d where a threshold fails", code)
	}
	stored := "RTBENCH_STEP_BASELINE=" + filepath.Join(dir, "passes", "rtbench-reports", "result.json")
	summary, code = step("compares", stored, "RTBENCH_STEP_MAX_REGRESSION=10000%")
	if code != 0 || !strings.Contains(summary, "## base against head") {
		t.Errorf("exit code %d\n%s", code, summary)
	}
	longer := strings.Repeat("x", 500) // in a header: a handshake of more bytes
	if _, code = step("regresses", stored, "RTBENCH_STEP_ARGUMENTS=http://"+reference+"/sse -c 5 -d 300ms --quiet -H X-Of:"+longer); code != 96 {
		t.Errorf("exit code %d where the handshake grew", code)
	}
}
