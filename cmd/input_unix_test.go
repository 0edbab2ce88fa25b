//go:build unix

package cmd

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe can be read but once, and is read for each run that a file describes and before all of them.
func TestScenarioPipes(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	go func() { _ = os.WriteFile(pipe, []byte("a\nb\n"), 0o600) }()
	list, err := planOfFile("scenarios: [{sse: 'http://a/{{.Vars.a}}', vars: " + pipe + "}, {sse: 'http://a/', data: '@" + pipe + "'}, {ws: 'ws://a/', message-file: " + pipe + "}]")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if _, err := p.job.validate(textsOf(p.args)); err != nil {
			t.Error(err)
		}
	}
	if text, err := textOrFile("@" + pipe); text != "a\nb\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// A file that is one is read anew.
func TestInputFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, err := readInput(path); string(text) != want || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	}
	if _, err := readInput(path + ".none"); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// What never ends is not read to its end.
func TestEndlessInput(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip(err)
	}
	if _, err := readInput("/dev/zero"); err == nil || err.Error() != "/dev/zero holds more than 64 MB" {
		t.Error(err)
	}
}
