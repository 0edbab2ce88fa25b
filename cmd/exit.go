package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/rtbench/rtbench/report"
)

// An exit is an exit code. The table is the only place where they stand.
type exit int

const (
	exitPassed     exit = 0
	exitFailed     exit = 1
	exitUsage      exit = 2
	exitUntrusted  exit = 95
	exitRegression exit = 96
	exitThreshold  exit = 99
	exitInterrupt  exit = 130
	exitTerminate  exit = 143
)

// exits is in order of precedence: where several apply, the first one is used.
var exits = [...]struct {
	code     exit
	sentence string
}{
	{exitUsage, "usage or configuration"},
	{exitFailed, "the run failed: nothing connected or was published, the target died, or a report could not be written"},
	{exitInterrupt, "interrupted (SIGINT); the report was written all the same"},
	{exitTerminate, "terminated (SIGTERM); the report was written all the same"},
	{exitUntrusted, "the result is not to be trusted (with --strict), or this host is not (selftest)"},
	{exitThreshold, "a threshold failed"},
	{exitRegression, "a regression against a baseline (`diff`)"},
	{exitPassed, "passed"},
}

// exitCodes is the table for people.
func exitCodes() string {
	var b strings.Builder
	b.WriteString("Exit codes; where several apply, the first of these is used:")
	for _, row := range exits {
		fmt.Fprintf(&b, "\n%5d  %s", row.code, wrapped(row.sentence, 68, 7)) // for 80 columns, with a margin on both sides
	}
	return b.String()
}

// worst is the code that takes precedence.
func worst(codes ...exit) exit {
	for _, row := range exits {
		for _, code := range codes {
			if code == row.code {
				return code
			}
		}
	}
	return exitPassed
}

// A failure is an error with its exit code, and with what to try.
type failure struct {
	code exit
	err  error // nil where everything has been said already
	hint string
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// exitOf gives the code of what a command returned. What cobra complains of is bad input.
func exitOf(err error) exit {
	if err == nil {
		return exitPassed
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return exitUsage
}

func exitOfSignal(s os.Signal) exit {
	if s == syscall.SIGTERM || s == syscall.SIGHUP {
		return exitTerminate
	}
	return exitInterrupt
}

// printError writes one line: what was wrong, where, and what to try.
func printError(w io.Writer, err error) {
	if line := complaint(err); line != "" {
		fmt.Fprintln(w, "rtbench: "+line)
	}
}

// complaint is that line without the program's name; "" where there is nothing to say, or no error.
func complaint(err error) string {
	f, ok := errors.AsType[*failure](err)
	if err == nil || ok && f.err == nil {
		return ""
	}
	line := report.PlainWords(err.Error())
	if ok && f.hint != "" {
		line += " (" + f.hint + ")"
	}
	return line
}

// oneLine makes text that may quote a server or a user fit for one line of a terminal.
func oneLine(s string) string {
	return report.Plain(strings.Join(strings.Fields(s), " "))
}
