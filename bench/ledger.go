package bench

import (
	"slices"
	"sync"
)

// A ledger remembers what the run has published for everybody: when each event was due, begun and accepted. Its
// ordinals are the order of publishing, consecutive from 1. It keeps the latest publications and, of all, those that
// failed.
//
// Safe for concurrent use.
type ledger struct {
	mu     sync.Mutex
	last   uint64 // ordinal
	ring   []publication
	voids  []span              // failed and, as far as is known, seen by nobody; sorted, apart from each other
	dense  bool                // there were too many spans, or too many parted, to keep
	inTurn bool                // the sources are subscribers themselves: then what they parted with counts
	parted map[uint32][]uint64 // by source, what failed, and was seen all the same only later; where inTurn
	kept   int                 // of those
}

// A publication is one event that the run has published. Times are in ns after the start.
type publication struct {
	ordinal  uint64
	due      int64
	begun    int64 // before it can have left; 0 before that is known
	accepted int64 // when whoever took it had said so; never before that
	source   uint32
	seen     bool // somebody has received it
	short    bool // it counts as one that reached nobody
}

// A span is the ordinals from one to another, both included.
type span struct {
	from, to uint64
	before   uint64 // how many ordinals are in the spans before it
}

const (
	ledgerSize = 1 << 16 // publications remembered
	maxSpans   = 1 << 14
)

func newLedger() *ledger { return &ledger{ring: make([]publication, ledgerSize)} }

// add enters an event before it is sent, and gives its ordinal.
func (l *ledger) add(due int64, source uint32) (ordinal uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	*l.entry(l.last) = publication{ordinal: l.last, due: due, accepted: never, source: source}
	return l.last
}

func (l *ledger) entry(ordinal uint64) *publication { return &l.ring[ordinal%ledgerSize] }

// began notes when the publishing of an event began: it can't have been received before.
func (l *ledger) began(ordinal uint64, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.entry(ordinal); p.ordinal == ordinal {
		p.begun = at
	}
}

// accept notes when an event was accepted.
func (l *ledger) accept(ordinal uint64, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.entry(ordinal); p.ordinal == ordinal {
		p.accepted = at
	}
}

// acceptedAt is when an event was accepted; never where it wasn't, as far as is known, or where that is forgotten.
func (l *ledger) acceptedAt(ordinal uint64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.entry(ordinal); p.ordinal == ordinal {
		return p.accepted
	}
	return never
}

// missed notes that an event counts as one that reached nobody.
func (l *ledger) missed(ordinal uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.entry(ordinal); p.ordinal == ordinal {
		p.short = true
	}
}

// void takes back an event that was not sent, or that was refused: nobody is to receive it. It does nothing where
// somebody has. short says that the event was missed before.
func (l *ledger) void(ordinal uint64) (voided, short bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.entry(ordinal); p.ordinal == ordinal {
		if p.seen {
			return false, false
		}
		short = p.short
	}
	i, found := l.span(ordinal)
	if found {
		return true, false
	}
	joinsBefore := i > 0 && l.voids[i-1].to+1 == ordinal
	joinsAfter := i < len(l.voids) && l.voids[i].from == ordinal+1
	switch {
	case joinsBefore && joinsAfter:
		l.voids[i-1].to = l.voids[i].to
		l.voids = slices.Delete(l.voids, i, i+1)
	case joinsBefore:
		l.voids[i-1].to = ordinal
	case joinsAfter:
		l.voids[i].from = ordinal
	case len(l.voids) >= maxSpans:
		l.dense = true
		return true, short
	default:
		l.voids = slices.Insert(l.voids, i, span{from: ordinal, to: ordinal})
	}
	l.recount(i)
	return true, short
}

// recount counts anew what is before each of the spans from i on.
func (l *ledger) recount(i int) {
	for ; i < len(l.voids); i++ {
		l.voids[i].before = 0
		if i > 0 {
			s := l.voids[i-1]
			l.voids[i].before = s.before + s.to - s.from + 1
		}
	}
}

// span finds the span that holds an ordinal, or else where one with it would stand.
func (l *ledger) span(ordinal uint64) (i int, found bool) {
	return slices.BinarySearchFunc(l.voids, ordinal, func(s span, n uint64) int {
		switch {
		case s.to < n:
			return -1
		case s.from > n:
			return 1
		}
		return 0
	})
}

// see notes that somebody has received an event, which takes it out of the void: its publisher was told no, or nothing,
// but that isn't so.
func (l *ledger) see(ordinal uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.entry(ordinal)
	remembered := p.ordinal == ordinal
	if remembered {
		p.seen = true
	}
	i, found := l.span(ordinal)
	if !found {
		return
	}
	s := l.voids[i]
	if splits := s.from < ordinal && ordinal < s.to; splits && len(l.voids) >= maxSpans {
		l.dense = true
		return
	}
	if remembered && l.inTurn {
		l.part(p)
	}
	var rest []span
	if s.from < ordinal {
		rest = append(rest, span{from: s.from, to: ordinal - 1})
	}
	if ordinal < s.to {
		rest = append(rest, span{from: ordinal + 1, to: s.to})
	}
	l.voids = slices.Replace(l.voids, i, i+1, rest...)
	l.recount(i)
}

// part notes an event that failed, and was seen all the same.
func (l *ledger) part(p *publication) {
	if l.kept >= maxSpans {
		l.dense = true
		return
	}
	if l.parted == nil {
		l.parted = make(map[uint32][]uint64)
	}
	l.parted[p.source] = append(l.parted[p.source], p.ordinal)
	l.kept++
}

// voided counts the events from one ordinal up to another that nobody was to receive.
func (l *ledger) voided(from, to uint64) (n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from > to {
		return 0
	}
	return l.voidedBelow(to+1) - l.voidedBelow(from)
}

// voidedBelow counts them up to an ordinal, without that.
func (l *ledger) voidedBelow(ordinal uint64) uint64 {
	i, found := l.span(ordinal)
	switch {
	case found:
		return l.voids[i].before + ordinal - l.voids[i].from
	case i == 0:
		return 0
	}
	s := l.voids[i-1]
	return s.before + s.to - s.from + 1
}

// partedFrom counts a source's events from an ordinal on that failed, and yet were seen after that.
func (l *ledger) partedFrom(source uint32, from uint64) (n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ordinal := range l.parted[source] {
		if ordinal >= from {
			n++
		}
	}
	return n
}

// blurred reports whether more publications failed, here and there, than can be told from those that were lost.
func (l *ledger) blurred() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dense
}

// after finds the first event that was due after a time, among those remembered; one past the last where none was.
func (l *ledger) after(at int64) (ordinal uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	low, high := uint64(1), l.last+1
	if l.last > ledgerSize {
		low = l.last - ledgerSize + 1
	}
	for low < high {
		middle := low + (high-low)/2
		if l.entry(middle).due > at {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}

// ordered reports whether one event was surely published before another one: by the same source over one connection
// (inTurn), or accepted before the publishing of the other began. Otherwise no order was asked for, and none can be
// broken.
func (l *ledger) ordered(before, after uint64, inTurn bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, b := l.entry(before), l.entry(after)
	if a.ordinal != before || b.ordinal != after {
		return false
	}
	return inTurn && a.source == b.source || a.accepted < b.begun
}
