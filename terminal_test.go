//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A terminal is a real one, of tmux, with a shell in it.
type terminal struct {
	t      *testing.T
	socket string
}

// newTerminal starts one, whose server ends with the test.
func newTerminal(t *testing.T, width, height int) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("there is no tmux")
	}
	term := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	term.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env PS1='ready$ ' TERM=tmux-256color LC_ALL=C.UTF-8 sh")
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", term.socket, "kill-server").Run() })
	term.waitFor("ready$")
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (term *terminal) screen() string       { return term.tmux("capture-pane", "-p") }
func (term *terminal) press(keys ...string) { term.tmux(append([]string{"send-keys"}, keys...)...) }

// waitFor waits until the screen shows a text.
func (term *terminal) waitFor(text string) (screen string) {
	term.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if screen = term.screen(); strings.Contains(screen, text) {
			return screen
		}
	}
	term.t.Fatalf("%q was not shown, but:\n%s", text, screen)
	return ""
}

// setting is how the terminal treats what is typed and written, which a program that takes the whole screen changes.
func (term *terminal) setting() string {
	term.t.Helper()
	path := filepath.Join(term.t.TempDir(), "stty")
	term.press("stty -a > "+path+"; echo settings $?", "Enter")
	term.waitFor("settings 0")
	term.press("clear", "Enter")
	text, err := os.ReadFile(path)
	if err != nil {
		term.t.Fatal(err)
	}
	lines := strings.SplitN(string(text), "\n", 2) // the first has its size
	return lines[1]
}

// terminate sends SIGTERM to the process whose id is in a file.
func (term *terminal) terminate(path string) { term.signal(path, syscall.SIGTERM) }

// signal sends a signal to that process.
func (term *terminal) signal(path string, signal syscall.Signal) {
	term.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		term.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		term.t.Fatal(err)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		term.t.Fatal(err)
	}
}

// TestTerminal uses rtbench on a real terminal: panes, another size, steering, and each way to end it. The terminal is left as
// it was found, and the exit code is right.
func TestTerminal(t *testing.T) {
	t.Parallel()
	term := newTerminal(t, 80, 24)
	dir := t.TempDir()
	program := buildProgram(t, dir)
	before := term.setting()
	start := func(args string) {
		term.press("clear; "+program+" "+args+"; echo it ended with $?", "Enter")
		term.waitFor("1 Overview")
	}
	clean := func(code int) {
		t.Helper()
		term.waitFor(fmt.Sprintf("it ended with %d", code))
		for flag, want := range map[string]string{"alternate_on": "0", "cursor_flag": "1", "mouse_any_flag": "0"} {
			if got := strings.TrimSpace(term.tmux("display-message", "-p", "#{"+flag+"}")); got != want {
				t.Errorf("%s is %s after the end", flag, got)
			}
		}
		if after := term.setting(); after != before {
			t.Errorf("the terminal was\n%s\nand is\n%s", before, after)
		}
	}

	result := filepath.Join(dir, "result.json")
	start("ws -c 20 -r 50/s -d 10m --threshold 'sent > 100000' -o " + result)
	term.waitFor("✗ sent > 100000")
	for key, shown := range map[string]string{"2": "over time", "3": "those that fared worst", "4": "no errors", "5": "slowest kinds", "6": "lag behind the kernel", "?": "show these keys"} {
		term.press(key)
		term.waitFor(shown)
	}
	term.press("1")
	term.waitFor("connections  ")
	for _, size := range []struct{ width, height, shown string }{{"60", "15", "1 All"}, {"200", "60", "1 Overview"}, {"40", "8", "20/20 open"}, {"80", "24", "1 Overview"}} {
		term.tmux("resize-window", "-x", size.width, "-y", size.height)
		term.waitFor(size.shown)
	}
	term.press("+")
	term.waitFor("1.5 × the rate")
	term.press("d")
	term.waitFor("break off")
	term.press("50% rst", "Enter")
	term.waitFor("50 % broken off (rst)")
	term.press("c")
	term.waitFor("how many connections")
	term.press("25", "Enter")
	term.waitFor("25 of 25")
	term.press("q")
	clean(99)
	var report struct {
		Stop        string
		Annotations []struct{ Text string }
	}
	if text, err := os.ReadFile(result); err != nil || json.Unmarshal(text, &report) != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if report.Stop != "finished" || len(report.Annotations) != 3 {
		t.Errorf("%+v", report)
	}

	term.press("clear; cd "+dir+"; "+program+"; echo it ended with $?", "Enter")
	term.waitFor("Measure an endpoint")
	term.press("Enter")
	term.waitFor("empty for the built-in server")
	term.press("Tab", "Tab", "BSpace", "BSpace", "BSpace", "x")
	term.waitFor(`"x" is not a number`)
	term.press("BSpace", "5", "Tab", "BSpace", "BSpace", "BSpace", "2s")
	term.waitFor("rtbench sse --connections 5 --duration 2s")
	term.press("C-s")
	term.waitFor("save the scenario as")
	term.press("Enter")
	term.waitFor("saved as scenario-")
	term.press("C-r")
	term.waitFor("1 Overview")
	term.waitFor("exit code 0")
	term.press("w")
	term.press("report.html", "Enter")
	term.waitFor("written to report.html")
	term.press("r") // again, and leave that
	term.waitFor("1 Overview")
	term.press("C-c")
	term.waitFor("exit code 130")
	term.press("Escape")
	term.waitFor("runs of this session")
	term.press("Down", "Down", "Down", "Space", "Down", "Space", "=")
	term.waitFor("the head, held against the base")
	term.press("Escape")
	term.waitFor("runs of this session")
	term.press("q")
	term.waitFor("once more leaves")
	term.press("q")
	clean(0)
	for _, pattern := range []string{"report.html", "scenario-*.yaml"} {
		if files, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(files) != 1 {
			t.Errorf("%s: %v, %v", pattern, files, err)
		}
	}

	pid := filepath.Join(dir, "pid")
	term.press("clear; set -m; sh -c 'echo $$ > "+pid+"; exec "+program+"'", "Enter")
	term.waitFor("Measure an endpoint")
	term.press("Enter")
	term.waitFor("empty for the built-in server")
	term.signal(pid, syscall.SIGTSTP)
	term.waitFor("ready$")
	term.press("clear; jobs", "Enter")
	term.waitFor("Stopped")
	term.press("fg", "Enter")
	term.waitFor("empty for the built-in server")
	term.press("abc")
	term.waitFor("target       abc")
	term.press("Escape")
	term.waitFor("3  Quit")
	term.press("Enter")
	term.waitFor("target       abc") // what was written is still there
	term.press("Escape")
	term.waitFor("3  Quit")
	term.press("q")
	term.waitFor("ready$")
	term.press("echo it ended with $?", "Enter")
	clean(0)

	term.press("clear; sh -c 'echo $$ > "+pid+"; exec "+program+"'; echo it ended with $?", "Enter")
	term.waitFor("Measure an endpoint")
	term.press("Enter")
	term.waitFor("empty for the built-in server")
	term.press("C-r")
	term.waitFor("1 Overview")
	term.terminate(pid) // which ends the session, too
	clean(143)

	start("sse -c 5 -d 10m")
	term.press("C-c")
	clean(130)
	start("sse -c 5 -d 10m --drain 10m --serve '--rate 1'")
	term.press("C-c", "C-c")
	clean(130)
	term.press("clear; sh -c 'echo $$ > "+pid+"; exec "+program+" sse -c 5 -d 10m'; echo it ended with $?", "Enter")
	term.waitFor("1 Overview")
	term.press("Space")
	term.waitFor("FROZEN")
	term.terminate(pid)
	clean(143)
}
