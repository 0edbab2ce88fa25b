package cmd

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// interrupted is why a context ended that a signal has cancelled.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return i.signal.String() }

// stoppedBy gives the signal that ended ctx, if one did.
func stoppedBy(ctx context.Context) (interrupted, bool) {
	return errors.AsType[interrupted](context.Cause(ctx))
}

// signals are what SIGINT and SIGTERM do: the first ends what goes on, a second one exits the process. Safe for concurrent use.
type signals struct {
	arrived chan os.Signal

	mu      sync.Mutex
	others  bool   // take the signals meanwhile
	restore func() // puts the terminal back as it was; nil where nothing has changed it
}

func newSignals() *signals { return &signals{arrived: make(chan os.Signal, 2)} }

// during gives a context that ends with the first signal.
func (s *signals) during(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signal.Notify(s.arrived, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(s.arrived, syscall.SIGHUP)
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case got := <-s.arrived:
				if s.left() {
					continue
				}
				if ctx.Err() != nil {
					s.leave()
					os.Exit(int(exitOfSignal(got)))
				}
				cancel(interrupted{got})
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(s.arrived)
		close(done)
		<-ended
		cancel(nil)
	}
}

// interrupt does what SIGINT does, which a terminal doesn't send while it is shown a screen.
func (s *signals) interrupt() {
	select {
	case s.arrived <- os.Interrupt:
	default:
	}
}

// leaving takes what puts the terminal back as it was; nil once that has been done.
func (s *signals) leaving(restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restore = restore
}

// leaveTo has others take the signals, or takes them itself again.
func (s *signals) leaveTo(others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others = others
}

func (s *signals) left() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.others
}

// leaveLimit is how long the terminal gets to be put back: who wants to exit at once has to.
const leaveLimit = time.Second

func (s *signals) leave() {
	s.mu.Lock()
	restore := s.restore
	s.mu.Unlock()
	if restore == nil {
		return
	}
	restored := make(chan struct{})
	go func() {
		defer close(restored)
		restore()
	}()
	select {
	case <-restored:
	case <-time.After(leaveLimit):
	}
}
