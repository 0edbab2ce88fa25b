package tui

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// askNothing has Bubble Tea ask the terminal nothing, as over ssh: where it ends before the answer comes, that lands in the shell.
const askNothing = "SSH_TTY=/dev/tty"

// show runs a model on a terminal until ctx ends.
func show(ctx context.Context, m tea.Model, screen Screen) error {
	options := []tea.ProgramOption{tea.WithInput(screen.In), tea.WithOutput(screen.Out), tea.WithoutSignalHandler(), tea.WithFPS(int(time.Second / pullPace)),
		tea.WithEnvironment(append(os.Environ(), askNothing))}
	if screen.NoColor {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	if ctx.Err() != nil {
		return nil
	}
	var program *tea.Program
	var started sync.Once
	stop := func() {}
	options = append(options, tea.WithFilter(func(_ tea.Model, msg tea.Msg) tea.Msg {
		started.Do(func() { // before, it can bear none of this
			stop = yieldTerminal(program)
			if screen.Leaving != nil {
				screen.Leaving(program.Kill)
			}
		})
		return msg
	}))
	if screen.Leaving != nil {
		defer screen.Leaving(nil)
	}
	defer func() { stop() }()
	program = tea.NewProgram(m, options...)
	defer forgetInput(screen.In)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			program.Quit()
		case <-ended:
		}
	}()
	if _, err := program.Run(); errors.Is(err, tea.ErrProgramPanic) || err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		return err
	}
	return nil
}
