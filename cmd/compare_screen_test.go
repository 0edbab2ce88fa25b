package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/tui"
)

// TestBoard: the screen is told what is measured, since when, and how much of the evidence there is.
func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &compareFlags{}
		f.register(newFlagSet("compare"))
		c := &comparing{flags: f, sides: [2]*contender{{protocol: protocols[0]}, {protocol: protocols[1]}}, board: &board{began: time.Now(), state: &tui.Comparing{Planned: 24}}}
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

// TestBoardWrites: what is written while a comparison goes on is a report of the pairs so far, which says that it is none of all of them,
// and leaves the one at the end as it would have been.
func TestBoardWrites(t *testing.T) {
	t.Chdir(t.TempDir())
	f := &compareFlags{}
	f.register(newFlagSet("compare"))
	c := &comparing{flags: f, load: f.load(), board: &board{began: time.Now(), state: &tui.Comparing{}},
		sides: [2]*contender{{name: "SSE", protocol: protocols[0], url: "http://u:SECRET@localhost/"}, {name: "WebSocket", protocol: protocols[1], url: "ws://localhost/"}}}
	c.result.Start = time.Now()
	for n := 1; n <= report.FewestPairs; n++ {
		c.result.Order += "AB"
		for i := range c.fit {
			c.fit[i] = append(c.fit[i], &bench.Result{Warnings: []bench.Warning{{Text: "drift", Advice: "measure longer"}}})
		}
		c.paired()
		path := fmt.Sprintf("%d.md", n)
		if said, err := c.board.write(path, false); err != nil || said != "written to "+path {
			t.Fatalf("%q, %v", said, err)
		}
		written, err := os.ReadFile(path)
		text := string(written)
		if few := strings.Contains(text, fmt.Sprintf("%d of the %d pairs of trials that it takes were made", n, report.FewestPairs)); err != nil || few != (n < report.FewestPairs) {
			t.Errorf("after %d pairs: %v, %s", n, err, text)
		}
		if claims := strings.Contains(text, "| claim |"); claims != (n == report.FewestPairs) {
			t.Errorf("after %d pairs: %s", n, text)
		}
		if !strings.Contains(text, "; interrupted") || !strings.Contains(text, "in the order "+c.result.Order+";") || strings.Contains(text, "SECRET") || !strings.Contains(text, fmt.Sprintf("SSE, in %d of %d trials: drift", n, n)) {
			t.Errorf("after %d pairs: %s", n, text)
		}
	}
	if _, err := c.board.write("1.md", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("what is there: %v", err)
	}
	if _, err := c.board.write("c.csv", true); err == nil || !strings.Contains(err.Error(), "none of the endings .txt, .json") {
		t.Errorf("CSV: %v", err)
	}
	if c.result.Interrupted || len(c.result.Doubts)+len(c.result.Warnings)+len(c.result.Claims) > 0 {
		t.Errorf("it was left in the comparison: %+v", c.result)
	}
	c.proof.resuming[0] = &bench.Result{Resumption: &bench.Resumption{Verdict: bench.ExactlyOnce, Judged: 5, Correct: 5}}
	c.proving(1, 4)
	if _, err := c.board.write("1.md", true); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile("1.md"); err != nil || !strings.Contains(string(text), "5 of 5 resumes") {
		t.Errorf("%v, %s", err, text)
	}
}
