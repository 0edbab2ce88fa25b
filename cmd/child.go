package cmd

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	childStart   = 10 * time.Second // how long a child may take to come up
	childStop    = 5 * time.Second  // and to go down
	maxComplaint = 4 << 10          // bytes kept of what it writes to stderr
	maxFirstLine = 4 << 10          // bytes of the line that says where it listens
)

// A child is the reference server or the fault proxy in a process of its own, so that it shares no scheduler and no
// collector with the client. It lives as long as the pipe to its stdin: if this process is killed, it ends too.
type child struct {
	url       string // SCHEME://HOST:PORT
	pid       int
	stop      func()
	complaint *bounded // what it wrote to stderr, once it is stopped
}

// A role is what a child does.
type role struct {
	command string // of this program
	title   string // for people
	flag    string // whose value its flags are
}

var (
	servingRole = role{"serve", "the reference server", "--serve"}
	proxyRole   = role{"proxy", "the fault proxy", "--via-faults"}
)

// startChild starts `rtbench serve` on a free port of this host, with more of its flags.
func startChild(ctx context.Context, flags string) (*child, error) {
	return servingRole.start(ctx, strings.Fields(flags), func([]byte) {})
}

// start starts a child on a free port of this host, with more of its flags. Every line that it writes, after the one by
// which it says where it listens, is handed to line until stop has returned; it isn't kept.
func (r role) start(ctx context.Context, flags []string, line func([]byte)) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{r.command, "--listen", "127.0.0.1:0", "--until-stdin-ends"}, flags...)
	command := exec.Command(program, args...)
	command.Env = withoutVariables(os.Environ())
	command.SysProcAttr = ownGroup() // an interrupt is for us: the child has to outlive the drain
	complaint := &bounded{left: maxComplaint}
	command.Stderr = complaint
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	giveUp := time.AfterFunc(childStart, func() { _ = command.Process.Kill() })
	stopOnCancel := context.AfterFunc(ctx, func() { stdin.Close() })
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxFirstLine)
	lines.Scan()
	giveUp.Stop()
	address, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), listening)
	if !ok {
		stdin.Close()
		waitErr := command.Wait()
		return nil, r.failed(complaint.String(), waitErr)
	}
	stopOnCancel() // from here on it is stopped after the report
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			line(lines.Bytes())
		}
		_, _ = io.Copy(io.Discard, stdout) // a line that is too long must not hold it up
	}()
	return &child{url: address, pid: command.Process.Pid, complaint: complaint, stop: sync.OnceFunc(func() {
		stdin.Close()
		kill := time.AfterFunc(childStop, func() { _ = command.Process.Kill() })
		defer kill.Stop()
		<-read
		_ = command.Wait() // how it ended changes nothing any more
	})}, nil
}

// failed passes on what a child complained of; its flags are the user's.
func (r role) failed(complaint string, err error) error {
	text := cmp.Or(strings.TrimPrefix(strings.TrimSpace(complaint), "rtbench: "), fmt.Sprint(err))
	exited, ok := errors.AsType[*exec.ExitError](err)
	if ok && exited.ExitCode() == int(exitUsage) {
		return &failure{exitUsage, fmt.Errorf("%s: %s", r.flag, text), ""} // with a hint of its own
	}
	return &failure{exitFailed, fmt.Errorf("%s did not start: %s", r.title, text), fmt.Sprintf("`rtbench %s` shows why", r.command)}
}

// withoutVariables leaves out what sets flags: those of a load mean something else to a server.
func withoutVariables(environ []string) []string {
	return slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "RTBENCH_") })
}

// bounded keeps the first bytes written to it.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.Buffer.Write(p[:n])
	return len(p), nil
}
