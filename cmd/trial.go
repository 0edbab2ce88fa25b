package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-shellwords"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// A contender is one side of a comparison.
type contender struct {
	name     string
	protocol *protocol
	url      string   // "" for the reference server
	flags    []string // of the side's own
	resume   []string // of these, how a WebSocket says where it resumes
}

// A measuring is what is to be measured once.
type measuring struct {
	load     workload
	duration time.Duration
	flags    []string // of the run
	serve    []string // of the reference server
	seed     uint64
	forgets  bool // clients don't say where they resume
}

// command is the command line that measures the side as a trial does, without what only this program needs.
func (c *contender) command(t measuring) []string {
	args := []string{c.protocol.name}
	if c.url != "" {
		args = append(args, c.url)
	} else {
		args = append(args, "--serve", strings.Join(slices.Concat(t.load.serve(), t.serve), " "))
	}
	args = slices.Concat(args, t.load.load(c.protocol), []string{"--duration", t.duration.String()}, t.flags, c.flags)
	switch {
	case t.forgets && c.protocol == protocols[0]:
		args = append(args, "--no-resume")
	case !t.forgets && c.resumes(t):
		args = append(args, c.resume...)
	}
	return args
}

// resumes reports whether clients can say where a trial's streams are to go on.
func (c *contender) resumes(t measuring) bool {
	return c.protocol == protocols[0] || len(c.resume) > 0 && (c.url != "" || !t.load.up && !t.load.binary)
}

// splitResume parts what says how a WebSocket resumes from the other flags.
func splitResume(flags []string) (rest, resume []string) {
	for i := 0; i < len(flags); i++ {
		switch arg := flags[i]; {
		case arg == "--resume" && i+1 < len(flags):
			resume = append(resume, arg, flags[i+1])
			i++
		case strings.HasPrefix(arg, "--resume="):
			resume = append(resume, arg)
		default:
			rest = append(rest, arg)
		}
	}
	return rest, resume
}

// trialLimit is how much longer than its window a trial may take.
const trialLimit = time.Minute

// run makes a trial in a process of its own, so that sides share no heap, no collector and no peak of memory.
func (c *contender) run(ctx context.Context, t measuring) (*bench.Result, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, t.duration+trialLimit)
	defer cancel()
	args, err := json.Marshal(append(c.command(t), "--json", "--quiet", "--seed", fmt.Sprint(t.seed)))
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(limited, program, c.protocol.name)
	command.Env = append(withoutVariables(os.Environ()), trialVariable+"="+string(args)) // and not where everybody can read them
	command.SysProcAttr = ownGroup()                                                     // an interrupt is for us, who pass it on
	stdin, err := command.StdinPipe()                                                    // by which it knows that we are gone
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	command.Cancel = func() error {
		if command.Process.Signal(os.Interrupt) != nil { // as on Windows
			return command.Process.Kill()
		}
		return nil
	}
	command.WaitDelay = childStop
	complaint := &bounded{left: maxComplaint}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, complaint
	err = command.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	run, readErr := report.Read(&out)
	if readErr == nil {
		return run.Result, nil
	}
	text := strings.TrimPrefix(strings.TrimSpace(complaint.String()), "rtbench: ")
	code := exitFailed
	if exited, ok := errors.AsType[*exec.ExitError](err); ok && exited.ExitCode() == int(exitUsage) {
		code = exitUsage
	}
	if text == "" {
		text = fmt.Sprint(errors.Join(err, readErr))
	}
	return nil, &failure{code, fmt.Errorf("%s: %s", c.name, text), ""}
}

// trialVariable holds the command line of a trial, as JSON.
const trialVariable = "RTBENCH_TRIAL"

// trialArgs gives the command line of the trial that this process is, where it is one, and sees to it that it ends with the
// comparison that it is of.
func trialArgs(args []string, stdin io.Reader) []string {
	text, ok := os.LookupEnv(trialVariable)
	if !ok {
		return args
	}
	os.Unsetenv(trialVariable)
	var own []string
	if json.Unmarshal([]byte(text), &own) != nil {
		return args
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		os.Exit(int(exitFailed))
	}()
	return own
}

// shown is the command line of a side for people, without secrets.
func (c *contender) shown(t measuring) string {
	args := c.command(t)
	if c.url != "" {
		args[1] = report.RedactURL(c.url)
	}
	return "rtbench " + quoted(redactFlags(args))
}

// words reads a value that holds flags as a shell would.
func words(flag, value string) ([]string, error) {
	parser := shellwords.NewParser()
	parser.ParseEnv, parser.ParseBacktick = false, false
	list, err := parser.Parse(value)
	switch {
	case err != nil:
		return nil, usage(fmt.Errorf("%s: a quote has no end", flag), "quote what has spaces, such as \"-m 'a b'\"")
	case parser.Position >= 0:
		return nil, usage(fmt.Errorf("%s ends at %q", flag, value[parser.Position:parser.Position+1]), "put URLs and the like in quotes of their own")
	}
	return list, nil
}

// quoted writes a command line as a shell takes it.
func quoted(args []string) string {
	list := make([]string, len(args))
	for i, arg := range args {
		if list[i] = arg; arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return !strings.ContainsRune(plainLetters, r) }) {
			list[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(list, " ")
}

const plainLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%"
