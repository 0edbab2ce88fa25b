//go:build unix

package tui

import (
	"os"
	"os/signal"
	"syscall"

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
				_ = program.ReleaseTerminal()
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
