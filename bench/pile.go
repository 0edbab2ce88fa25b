package bench

import "github.com/HdrHistogram/hdrhistogram-go"

// fewValues is how many values a pile keeps as they are.
const fewValues = 2048

// A pile is the values of one slot since they were collected last: as they came, and only where there are many in a
// histogram, whose 190 KB take longer to go through than the values themselves. The zero value is empty.
type pile struct {
	few  []int64
	many *hdrhistogram.Histogram // used where it holds something
}

// put adds a value; false if it is out of range.
func (p *pile) put(ns int64) bool {
	if ns < 0 || ns > highest {
		return false
	}
	if len(p.few) == fewValues {
		p.spill()
	}
	p.few = append(p.few, ns)
	return true
}

// spill moves the values into the histogram.
func (p *pile) spill() {
	if p.many == nil {
		p.many = NewHistogram()
	}
	for _, v := range p.few {
		_ = p.many.RecordValue(v) // it is in range
	}
	p.few = p.few[:0]
}

func (p *pile) empty() bool { return len(p.few) == 0 && !p.spilt() }

func (p *pile) spilt() bool { return p.many != nil && p.many.TotalCount() > 0 }

// into adds the values to a histogram.
func (p *pile) into(h *hdrhistogram.Histogram) {
	if p.spilt() {
		h.Merge(p.many)
	}
	for _, v := range p.few {
		_ = h.RecordValue(v)
	}
}

// pack adds them to a packed one.
func (p *pile) pack(h *hdrhistogram.PackedHistogram) {
	if p.spilt() {
		h.MergeFrom(p.many)
	}
	for _, v := range p.few {
		_ = h.RecordValue(v)
	}
}

// clear empties the pile.
func (p *pile) clear() {
	if p.spilt() {
		p.many.Reset()
	}
	p.few = p.few[:0]
}
