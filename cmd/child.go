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
	"time"
)

const (
	childStart   = 10 * time.Second // how long the reference server may take to come up
	childStop    = 5 * time.Second  // and to go down
	maxComplaint = 4 << 10          // bytes kept of what it writes to stderr
)

// A child is the reference server in a process of its own, so that it shares no scheduler and no collector with the
// client. It lives as long as the pipe to its stdin: if this process is killed, it ends too.
type child struct {
	url  string // http://HOST:PORT
	stop func()
}

// startChild starts `rtbench serve` on a free port of this host, with more of its flags.
func startChild(ctx context.Context, flags string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--until-stdin-ends"}, strings.Fields(flags)...)
	command := exec.Command(program, args...)
	command.Env = withoutVariables(os.Environ())
	command.SysProcAttr = ownGroup() // an interrupt is for us: the server has to outlive the drain
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
	line, err := bufio.NewReader(io.LimitReader(stdout, 4<<10)).ReadString('\n')
	giveUp.Stop()
	address, ok := strings.CutPrefix(strings.TrimSpace(line), listening)
	if err != nil || !ok {
		stdin.Close()
		waitErr := command.Wait()
		return nil, childError(complaint.String(), waitErr)
	}
	stopOnCancel() // from here on it is stopped after the report
	return &child{url: address, stop: func() {
		stdin.Close()
		kill := time.AfterFunc(childStop, func() { _ = command.Process.Kill() })
		defer kill.Stop()
		_ = command.Wait() // how it ended changes nothing any more
	}}, nil
}

// childError passes on what the reference server complained of; its flags are the user's.
func childError(complaint string, err error) error {
	text := cmp.Or(strings.TrimPrefix(strings.TrimSpace(complaint), "rtbench: "), fmt.Sprint(err))
	exited, ok := errors.AsType[*exec.ExitError](err)
	if ok && exited.ExitCode() == int(exitUsage) {
		return &failure{exitUsage, fmt.Errorf("--serve: %s", text), ""} // with a hint of its own
	}
	return &failure{exitFailed, fmt.Errorf("the reference server did not start: %s", text), "`rtbench serve` shows why"}
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
