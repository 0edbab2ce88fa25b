package bench

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

var sightingNames = map[string]Sighting{"new": New, "late": Overdue, "again": Again, "too-old": TooOld, "before-all": beforeAll}

// TestTrackerScenarios runs the files in testdata/tracker; its README says how they are written.
func TestTrackerScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/tracker/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var tracker Tracker
			lines := bufio.NewScanner(f)
			for n := 1; lines.Scan(); n++ {
				line, _, _ := strings.Cut(lines.Text(), "#")
				if words := strings.Fields(line); len(words) > 0 {
					if err := step(&tracker, words); err != nil {
						t.Fatalf("line %d: %s: %v", n, line, err)
					}
				}
			}
			if err := lines.Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// step takes one line of a scenario.
func step(tracker *Tracker, words []string) error {
	line := strings.Join(words, " ")
	var a, b, c uint64
	switch {
	case words[0] == "expect":
		_, err := fmt.Sscanf(line, "expect %d", &a)
		tracker.Expect(a)
		return err
	case words[0] == "total":
		if _, err := fmt.Sscanf(line, "total %d of %d to %d", &a, &b, &c); err != nil && len(words) == 6 {
			return err
		}
		if unique, lost := tracker.Totals(c); unique != a || unique+lost != b {
			return fmt.Errorf("got %d of %d", unique, unique+lost)
		}
		return nil
	}
	first, last := words[0], words[0]
	if from, to, isRange := strings.Cut(words[0], "-"); isRange {
		first, last = from, to
	}
	want, known := sightingNames[words[1]]
	if _, err := fmt.Sscan(first, &a); err != nil || !known {
		return fmt.Errorf("is no step: %v", err)
	}
	if _, err := fmt.Sscan(last, &b); err != nil {
		return err
	}
	if len(words) == 4 {
		if _, err := fmt.Sscan(words[3], &c); err != nil || words[2] != "gone" {
			return fmt.Errorf("is no step: %v", err)
		}
	}
	for n := a; n <= b; n++ {
		if got, gone := tracker.Observe(n); got != want || gone != c {
			return fmt.Errorf("%d: got sighting %d, gone %d", n, got, gone)
		}
	}
	return nil
}

// A bookkeeper is a Tracker that remembers everything.
type bookkeeper struct {
	base, next uint64
	inside     uint64 // the first ordinal that has not left the window
	seen       map[uint64]bool
	gone       map[uint64]bool
}

func (b *bookkeeper) expect(n uint64) {
	if b.base == 0 || len(b.seen) == 0 && n < b.base {
		b.base, b.next = n, n
	}
}

func (b *bookkeeper) observe(n uint64) (s Sighting, gone uint64) {
	b.expect(n)
	switch {
	case n >= b.next:
		b.next = n + 1
		for b.inside = max(b.inside, b.base); b.inside+window <= n; b.inside++ {
			if !b.seen[b.inside] {
				b.gone[b.inside] = true
				gone++
			}
		}
		b.seen[n] = true
		return New, gone
	case n+window < b.next:
		return TooOld, 0
	case n < b.base:
		return beforeAll, 0
	case b.seen[n]:
		return Again, 0
	}
	b.seen[n] = true
	return Overdue, 0
}

func (b *bookkeeper) totals(last uint64) (unique, lost uint64) {
	if b.base == 0 {
		return 0, 0
	}
	if last == 0 {
		last = b.next - 1
	}
	for i := b.base; i <= last; i++ {
		if !b.seen[i] {
			lost++
		}
	}
	return uint64(len(b.seen)), lost
}

// TestTrackerAgainstSet draws streams with drops, duplicates, reorderings, jumps and events from beyond the window, and
// holds the tracker against one that remembers every ordinal.
func TestTrackerAgainstSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tracker Tracker
		all := &bookkeeper{seen: make(map[uint64]bool), gone: make(map[uint64]bool)}
		at := rapid.Uint64Range(1, 1000).Draw(t, "first")
		if rapid.Bool().Draw(t, "expects more") {
			first := at - min(at-1, rapid.Uint64Range(0, 600).Draw(t, "earlier"))
			tracker.Expect(first)
			all.expect(first)
		}
		highest := uint64(0)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			n := at
			switch rapid.SampledFrom([]string{"run", "run", "skip", "jump", "back", "far back"}).Draw(t, "step") {
			case "run":
				for range rapid.IntRange(0, 300).Draw(t, "length") {
					sight(t, &tracker, all, at)
					at++
				}
				n = at
			case "skip":
				n += rapid.Uint64Range(1, 5).Draw(t, "skipped")
			case "jump":
				n += rapid.Uint64Range(200, 900).Draw(t, "jumped")
			case "back":
				n -= min(n-1, rapid.Uint64Range(1, 10).Draw(t, "back"))
			case "far back":
				n -= min(n-1, rapid.Uint64Range(1, 600).Draw(t, "back"))
			}
			sight(t, &tracker, all, n)
			at = max(at, n+1)
			highest = max(highest, n)
			last := rapid.SampledFrom([]uint64{0, highest, highest + rapid.Uint64Range(1, 500).Draw(t, "more")}).Draw(t, "last")
			if _, want := all.totals(0); tracker.missing() != want {
				t.Fatalf("%d missing, want %d", tracker.missing(), want)
			}
			unique, lost := tracker.Totals(last)
			if wantUnique, wantLost := all.totals(max(last, all.next-1)); last >= all.next-1 && (unique != wantUnique || lost != wantLost) {
				t.Fatalf("to %d: %d seen, %d lost; want %d, %d", last, unique, lost, wantUnique, wantLost)
			}
			if tracker.lost != uint64(len(all.gone)) {
				t.Fatalf("%d gone, want %d", tracker.lost, len(all.gone))
			}
		}
	})
}

func sight(t *rapid.T, tracker *Tracker, all *bookkeeper, n uint64) {
	want, wantGone := all.observe(n)
	if got, gone := tracker.Observe(n); got != want || gone != wantGone {
		t.Fatalf("%d: sighting %d, gone %d; want %d, %d", n, got, gone, want, wantGone)
	}
}

func TestTrackerSize(t *testing.T) {
	if size := unsafe.Sizeof(Tracker{}); size > 64 {
		t.Errorf("a tracker takes %d bytes", size)
	}
}

func TestTrackerAllocates(t *testing.T) {
	var tracker Tracker
	n := uint64(0)
	if allocs := testing.AllocsPerRun(1000, func() {
		n += 3
		tracker.Observe(n)
		tracker.Observe(n - 1)
		tracker.Observe(n - 1)
		tracker.Totals(n + 1)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkTracker(b *testing.B) {
	for name, at := range map[string]func(n uint64) uint64{
		"in order":  func(n uint64) uint64 { return n },
		"reordered": func(n uint64) uint64 { return n ^ 1 },
		"lossy":     func(n uint64) uint64 { return n + n/10 },
		"jumping":   func(n uint64) uint64 { return n * 1000 },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var tracker Tracker
			for n := uint64(2); b.Loop(); n++ {
				tracker.Observe(at(n))
			}
		})
	}
}
