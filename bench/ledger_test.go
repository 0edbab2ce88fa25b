package bench

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A naiveLedger is the same without any bound or cleverness.
type naiveLedger struct {
	list []publication // by ordinal, from 1
	void map[uint64]bool
}

func (l *naiveLedger) remembers(ordinal uint64) bool {
	return ordinal >= 1 && ordinal <= uint64(len(l.list)) && ordinal+ledgerSize > uint64(len(l.list))
}

func (l *naiveLedger) entry(ordinal uint64) *publication { return &l.list[ordinal-1] }

func (l *naiveLedger) voided(from, to uint64) (n uint64) {
	for ordinal := range l.void {
		if from <= ordinal && ordinal <= to {
			n++
		}
	}
	return n
}

func (l *naiveLedger) after(at int64) uint64 {
	for i, p := range l.list {
		if l.remembers(uint64(i)+1) && p.due > at {
			return uint64(i) + 1
		}
	}
	return uint64(len(l.list)) + 1
}

func (l *naiveLedger) ordered(before, after uint64, inTurn bool) bool {
	if !l.remembers(before) || !l.remembers(after) {
		return false
	}
	a, b := l.entry(before), l.entry(after)
	return inTurn && a.source == b.source || b.begun > 0 && a.accepted < b.begun
}

// TestLedger holds the ledger against the naive one, also where it begins to forget.
func TestLedger(t *testing.T) {
	fewerUnderRace(t)
	for name, already := range map[string]int{"new": 0, "about to forget": ledgerSize - 20, "forgets": 2*ledgerSize + 7} {
		l, naive := newLedger(), &naiveLedger{}
		for due := range int64(already) {
			l.add(due, 9)
			naive.list = append(naive.list, publication{due: due, accepted: never, source: 9})
		}
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				checkLedger(t, &ledger{last: l.last, ring: slices.Clone(l.ring)}, &naiveLedger{slices.Clone(naive.list), make(map[uint64]bool)})
			})
		})
	}
}

func checkLedger(t *rapid.T, l *ledger, naive *naiveLedger) {
	now, already := int64(len(naive.list)), len(naive.list)
	add := func(source uint32) {
		now += 3
		naive.list = append(naive.list, publication{due: now, accepted: never, source: source})
		if got := l.add(now, source); got != uint64(len(naive.list)) {
			t.Fatalf("ordinal %d, want %d", got, len(naive.list))
		}
	}
	near := func(name string) uint64 { // an ordinal that was added, mostly of late
		last := uint64(len(naive.list))
		if last == 0 {
			return 0
		}
		return last - min(last-1, rapid.OneOf(rapid.Uint64Range(0, 30), rapid.Uint64Range(0, last)).Draw(t, name))
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) { add(rapid.Uint32Range(0, 2).Draw(t, "source")) },
		"begin": func(t *rapid.T) {
			n, at := near("ordinal"), rapid.Int64Range(1, 100).Draw(t, "at")
			if l.began(n, at); naive.remembers(n) {
				naive.entry(n).begun = at
			}
		},
		"accept": func(t *rapid.T) {
			n, at := near("ordinal"), rapid.Int64Range(1, 100).Draw(t, "at")
			if l.accept(n, at); naive.remembers(n) {
				naive.entry(n).accepted = at
			}
		},
		"miss": func(t *rapid.T) {
			if n := near("ordinal"); naive.remembers(n) {
				l.missed(n)
				naive.entry(n).short = true
			}
		},
		"void": func(t *rapid.T) {
			n := near("ordinal")
			if n == 0 {
				return
			}
			want := !naive.remembers(n) || !naive.entry(n).seen
			wantShort := want && naive.remembers(n) && naive.entry(n).short && !naive.void[n]
			if voided, short := l.void(n); voided != want || short != wantShort {
				t.Fatalf("void(%d): %v %v, want %v %v", n, voided, short, want, wantShort)
			}
			if want {
				naive.void[n] = true
			}
		},
		"see": func(t *rapid.T) {
			n := near("ordinal")
			if n == 0 {
				return
			}
			l.see(n)
			if naive.remembers(n) {
				naive.entry(n).seen = true
			}
			delete(naive.void, n)
		},
		"": func(t *rapid.T) {
			from, to := near("from"), near("to")+1
			if got, want := l.voided(from, to), naive.voided(from, to); got != want {
				t.Fatalf("voided(%d, %d) = %d, want %d of %v: %v", from, to, got, want, naive.void, l.voids)
			}
			if already == 0 { // or the naive one takes long
				at := rapid.Int64Range(-1, now+5).Draw(t, "at")
				if got, want := l.after(at), naive.after(at); got != want {
					t.Fatalf("after(%d) = %d, want %d", at, got, want)
				}
			}
			if from > 0 && to <= uint64(len(naive.list)) {
				for _, inTurn := range []bool{false, true} {
					if got, want := l.ordered(from, to, inTurn), naive.ordered(from, to, inTurn); got != want {
						t.Fatalf("ordered(%d, %d, %v) = %v", from, to, inTurn, got)
					}
				}
			}
		},
	})
}

// TestLedgerAfter: what is found by when it was due is exact as far back as the ledger remembers, and at least that.
func TestLedgerAfter(t *testing.T) {
	l := newLedger()
	const published = 3*ledgerSize + 11
	for n := range int64(published) {
		l.add(10*(n+1), 0)
	}
	const oldest = published - ledgerSize + 1
	for at, want := range map[int64]uint64{
		-1: oldest, 10: oldest, 10*oldest - 1: oldest, 10 * oldest: oldest + 1, 10*oldest + 9: oldest + 1,
		10*published - 1: published, 10 * published: published + 1,
	} {
		if got := l.after(at); got != want {
			t.Errorf("after(%d) = %d, want %d", at, got, want)
		}
	}
}

// TestLedgerSpans: failures that are too scattered to be remembered one by one are admitted, and those that join others
// still count.
func TestLedgerSpans(t *testing.T) {
	l := newLedger()
	for n := uint64(1); n <= 2*maxSpans; n += 2 {
		l.void(n)
	}
	if l.blurred() || l.voided(1, 2*maxSpans) != maxSpans {
		t.Fatalf("blurred %v with %d voids", l.blurred(), l.voided(1, 2*maxSpans))
	}
	l.void(2) // between two others
	l.void(2*maxSpans + 1)
	if l.blurred() || l.voided(1, uint64(never)) != maxSpans+2 {
		t.Fatalf("blurred %v with %d voids", l.blurred(), l.voided(1, uint64(never)))
	}
	l.void(2*maxSpans + 3)
	l.void(2*maxSpans + 6)
	if !l.blurred() {
		t.Error("it says that it remembers all")
	}
}

// TestLedgerIsBounded: whatever is said to have failed and received all the same, hours of it take no more memory.
func TestLedgerIsBounded(t *testing.T) {
	for name, inTurn := range map[string]bool{"publishers": false, "a chat": true} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.inTurn = inTurn
			for range 4 * maxSpans {
				n := l.add(0, 1)
				l.void(n)
				l.see(n)
			}
			if kept := len(l.parted[1]); kept > maxSpans || l.blurred() != inTurn {
				t.Errorf("%d are kept, blurred %v", kept, l.blurred())
			}
		})
	}
	t.Run("spans that are split", func(t *testing.T) {
		l := newLedger()
		for n := range uint64(4*maxSpans) + 1 {
			l.void(n + 1)
		}
		for n := uint64(2); n <= 4*maxSpans; n += 2 {
			l.see(n)
		}
		if len(l.voids) > maxSpans || !l.blurred() {
			t.Errorf("%d spans, blurred %v", len(l.voids), l.blurred())
		}
	})
}

// TestLedgerAllocates: publishing allocates nothing, and neither does receiving.
func TestLedgerAllocates(t *testing.T) {
	l, n := newLedger(), uint64(0)
	allocs := testing.AllocsPerRun(1000, func() {
		n = l.add(int64(n), 1)
		l.began(n, int64(n))
		l.accept(n, int64(n)+1)
		l.see(n)
		l.ordered(n-1, n, false)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
