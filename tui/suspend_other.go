//go:build !unix

package tui

import tea "charm.land/bubbletea/v2"

func yieldTerminal(*tea.Program) (stop func()) { return func() {} }
