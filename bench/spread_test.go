package bench

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestLevelOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64Range(0, 4e12).Draw(t, "ns")
		level := LevelOf(ns)
		if from, to := LevelFrom(level), LevelFrom(level+1); float64(ns) < from*(1-1e-9) || float64(ns) >= to*(1+1e-9) {
			t.Fatalf("%d ns is of level %d, from %v to %v", ns, level, from, to)
		}
	})
}

// TestSpreadJoins: what is joined is the spread of all samples.
func TestSpreadJoins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, all := NewHistogram(), NewHistogram(), NewHistogram()
		for i, ns := range rapid.SliceOf(rapid.Int64Range(0, 1e10)).Draw(t, "samples") {
			if err := all.RecordValue(ns); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				_ = a.RecordValue(ns)
			} else {
				_ = b.RecordValue(ns)
			}
		}
		got, want := spreadOf(samplesOf(a)).join(spreadOf(samplesOf(b))), spreadOf(samplesOf(all))
		if got.First != want.First || !slices.Equal(got.Counts, want.Counts) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}
