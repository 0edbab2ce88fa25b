package cmd

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/tui"
)

// TestBoard: the screen is told what is measured, since when, and how much of the evidence there is.
func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &comparing{board: &board{began: time.Now(), state: &tui.Comparing{Planned: 24}}}
		first := c.board.pull()
		time.Sleep(3 * time.Second)
		c.proving(2, 10)
		c.begins("%s, %s", "SSE", "binary payloads")
		time.Sleep(time.Second)
		if s := c.board.pull(); s.Now != "SSE, binary payloads" || s.Since != 3*time.Second || s.Elapsed != 4*time.Second || s.Proved != 2 || s.Proofs != 10 {
			t.Errorf("%+v", s)
		}
		if first.Now != "" || first.Proofs != 0 {
			t.Errorf("what was pulled has changed: %+v", first)
		}
	})
}
