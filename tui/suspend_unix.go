//go:build unix

package tui

import (
	"bytes"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
)

// yieldTerminal has a program give the terminal back while the process is stopped by SIGTSTP, and take it again once it goes on:
// Bubble Tea does so only for a stop of its own. Until stop is called, and not while the program starts.
func yieldTerminal(program *tea.Program) (stop func()) {
	stopped, goesOn, ending := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(stopped, syscall.SIGTSTP)
	signal.Notify(goesOn, syscall.SIGCONT)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stopped:
				releaseTerminal(program)
				select { // of an earlier stop
				case <-goesOn:
				default:
				}
				_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
				<-goesOn
				_ = program.RestoreTerminal()
			case <-ending:
				return
			}
		}
	}()
	return func() {
		signal.Stop(stopped)
		close(ending)
		<-ended
		signal.Stop(goesOn)
	}
}

// releaseTerminal has a program give the terminal back, and returns once nothing draws on it: Bubble Tea doesn't wait for its
// goroutine that draws, which stops the ticker at its end, and may so stop that of the one after it, which then never draws
// (https://github.com/charmbracelet/bubbletea/issues/1778).
func releaseTerminal(program *tea.Program) {
	_ = program.ReleaseTerminal()
	for deadline := time.Now().Add(time.Second); drawing() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
}

// drawing says whether a goroutine draws for a program of Bubble Tea's.
func drawing() bool {
	var running bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&running, 1)
	return bytes.Contains(running.Bytes(), []byte("bubbletea/v2.(*Program).startRenderer.func"))
}
