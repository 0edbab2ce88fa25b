package bench

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestCounts: whatever is put, merged and cleared, counts hold what a Histogram would.
func TestCounts(t *testing.T) {
	anywhere := rapid.Custom(func(t *rapid.T) int64 { // in each power of two as often
		return min(highest, rapid.Int64Range(0, highest).Draw(t, "of a million")>>rapid.IntRange(0, 42).Draw(t, "by"))
	})
	rapid.Check(t, func(t *rapid.T) {
		var c, other counts
		want := NewHistogram()
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			if rapid.Bool().Draw(t, "clear") {
				c.clear()
				want.Reset()
			}
			for _, ns := range rapid.SliceOf(anywhere).Draw(t, "values") {
				times := rapid.Int64Range(1, 3).Draw(t, "times")
				for range times {
					if to := []*counts{&c, &other}[ns%2]; !to.put(ns) {
						t.Fatalf("%d is out of range", ns)
					}
				}
				if err := want.RecordValues(ns, times); err != nil {
					t.Fatal(err)
				}
			}
			c.merge(&other)
			other.clear()
			got, again := NewHistogram(), NewHistogram()
			c.into(got)
			c.packed().into(again, 0)
			if !got.Equals(want) || !again.Equals(want) || c.total() != want.TotalCount() || c.empty() != (want.TotalCount() == 0) {
				t.Fatalf("it holds %s, want %s", show(got), show(want))
			}
			if got, want := c.quantiles(), quantiles(want); got != want || c.median() != want.P50 {
				t.Fatalf("%+v, median %d, want %+v", got, c.median(), want)
			}
			if got, want := spreadOf(c.all), spreadOf(samplesOf(want)); !reflect.DeepEqual(got, want) {
				t.Fatalf("spread %+v, want %+v", got, want)
			}
		}
	})
	var c counts
	for _, ns := range []int64{-1, highest + 1, never, -never} {
		if c.put(ns) {
			t.Errorf("it takes %d, which is out of range", ns)
		}
	}
	if !c.put(0) || !c.put(highest) || c.total() != 2 {
		t.Error("it doesn't take the ends of its range")
	}
}

// TestCountsAllocate: none once their like has been seen.
func TestCountsAllocate(t *testing.T) {
	var c, sum counts
	if allocs := testing.AllocsPerRun(100, func() {
		for ns := int64(1); ns < highest; ns *= 3 {
			c.put(ns)
		}
		sum.merge(&c)
		c.clear()
		sum.clear()
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkCounts(b *testing.B) {
	var c counts
	ns := int64(1)
	for b.Loop() {
		ns = (ns*1103515245 + 12345) & (1<<20 - 1)
		c.put(ns)
	}
}
