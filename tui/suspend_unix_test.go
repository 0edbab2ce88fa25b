//go:build unix

package tui

import (
	"context"
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A counter shows how often it was told.
type counter struct{ told int }

type more struct{}

func (c *counter) Init() tea.Cmd { return nil }

func (c *counter) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if _, ok := msg.(more); ok {
		c.told++
	}
	return c, nil
}

func (c *counter) View() tea.View { return tea.NewView(fmt.Sprint(c.told)) }

// A wire tells that something was written to it.
type wire chan struct{}

func (w wire) Write(text []byte) (int, error) {
	select {
	case w <- struct{}{}:
	default:
	}
	return len(text), nil
}

// TestReleaseTerminal has a program give the terminal back and take it again at once: it still draws.
func TestReleaseTerminal(t *testing.T) {
	written := make(wire, 1)
	ctx, cancel := context.WithCancel(t.Context())
	program := tea.NewProgram(&counter{}, tea.WithContext(ctx), tea.WithInput(nil), tea.WithOutput(written), tea.WithoutSignalHandler(), tea.WithFPS(60),
		tea.WithEnvironment([]string{"TERM=xterm", askNothing}), tea.WithWindowSize(80, 24))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = program.Run()
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	<-written
	if !drawing() {
		t.Fatal("the goroutine that draws goes by another name")
	}
	for n := range 5 {
		releaseTerminal(program)
		if err := program.RestoreTerminal(); err != nil {
			t.Fatal(err)
		}
		for len(written) > 0 { // of giving it back
			<-written
		}
		program.Send(more{})
		select {
		case <-written:
		case <-time.After(time.Minute):
			t.Fatalf("after %d times it draws no more", n+1)
		}
	}
}
