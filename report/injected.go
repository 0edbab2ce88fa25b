package report

import (
	"fmt"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// docInjected is what became of faults that were injected on the way, as JSON has it.
type (
	docInjected struct {
		Faults      []docFault `json:"faults"`
		Unexplained []docCause `json:"unexplained"`
	}
	docFault struct {
		Fault   string         `json:"fault"`
		Struck  uint64         `json:"struck"`
		Slows   bool           `json:"slows"`
		Noticed *uint64        `json:"noticed"`
		Keys    []docCause     `json:"keys"`
		P50NS   *time.Duration `json:"p50_ns"`
		MaxNS   *time.Duration `json:"max_ns"`
	}
)

func newInjected(x *bench.Injected) *docInjected {
	if x == nil {
		return nil
	}
	d := &docInjected{Faults: []docFault{}, Unexplained: causes(x.Unexplained)}
	for _, f := range x.Faults {
		d.Faults = append(d.Faults, docFault{f.Fault, f.Struck, f.Slows, known(f.Noticed, !f.Slows), causes(f.Keys), known(f.P50, f.P50 >= 0), known(f.Max, f.Max >= 0)})
	}
	return d
}

func (doc *document) readInjected(r *bench.Result) error {
	if doc.Injected == nil {
		return nil
	}
	r.Injected = &bench.Injected{Unexplained: readCauses(doc.Injected.Unexplained)}
	for _, d := range doc.Injected.Faults {
		if (d.Noticed == nil) != d.Slows || value(d.Noticed) > d.Struck {
			return fmt.Errorf("injected: of the fault %q more was noticed than can be", Plain(d.Fault))
		}
		f := bench.FaultEffect{Fault: d.Fault, Struck: d.Struck, Slows: d.Slows, Noticed: value(d.Noticed), Keys: readCauses(d.Keys), P50: -1, Max: -1}
		if d.P50NS != nil {
			f.P50 = *d.P50NS
		}
		if d.MaxNS != nil {
			f.Max = *d.MaxNS
		}
		r.Injected.Faults = append(r.Injected.Faults, f)
	}
	return nil
}

// injected says of each fault how many clients noticed it, how and how soon, and which ends had another reason.
func (s *sheet) injected(r *bench.Result) {
	x := r.Injected
	if x == nil {
		return
	}
	s.title("Faults on the way")
	width := 0
	for _, f := range x.Faults {
		width = max(width, widest(Plain(f.Fault)))
	}
	for _, f := range x.Faults {
		st := normal
		if !f.Slows && f.Noticed < f.Struck {
			st = yellow
		}
		s.paragraph(span{"  " + pad(Plain(f.Fault), width) + "  ", bold}, s.own(effectText(f)), st)
	}
	if len(x.Unexplained) == 0 {
		s.paragraph(span{text: "  "}, "every end of a connection is explained by these", dim)
		return
	}
	s.paragraph(span{text: "  "}, causeText("ends of connections that none of these explains: ", x.Unexplained), yellow)
}

// effectText says what became of a fault.
func effectText(f bench.FaultEffect) string {
	struck := fmt.Sprintf("struck %s connections", count(f.Struck))
	if f.Struck == 1 {
		struck = "struck 1 connection"
	}
	switch {
	case f.Struck == 0:
		return "never struck"
	case f.Slows:
		return struck + ", which it makes slow and does not end"
	case f.Noticed == 0:
		return struck + ", and no client noticed"
	}
	as := causeText(" as ", f.Keys)
	if len(f.Keys) == 1 { // which is all of them
		as = " as " + Plain(f.Keys[0].Key)
	}
	if f.Struck == 1 {
		return struck + ", noticed" + as + " after " + Scale(float64(f.Max), bench.Nanoseconds)
	}
	share := map[bool]string{true: "all", false: count(f.Noticed)}[f.Noticed == f.Struck]
	text := fmt.Sprintf("%s, %s of them noticed%s; ", struck, share, as)
	if f.P50 >= 0 {
		text += "half of them after " + Scale(float64(f.P50), bench.Nanoseconds) + ", "
	}
	return text + "the last after " + Scale(float64(f.Max), bench.Nanoseconds)
}

// injected has a row for each fault, one for how soon it was noticed, and one for each end of another reason.
func (t *csvTable) injected(r *bench.Result) {
	x := r.Injected
	if x == nil {
		return
	}
	for _, f := range x.Faults {
		pairs := []string{"unit", string(bench.Number), "count", integer(f.Struck), "note", effectText(f)}
		if !f.Slows {
			pairs = append(pairs, "value", integer(f.Noticed))
		}
		t.row("fault", f.Fault, pairs...)
		if f.Max < 0 {
			continue
		}
		pairs = []string{"unit", string(bench.Nanoseconds), "count", integer(f.Noticed), "max", integer(f.Max)}
		if f.P50 >= 0 {
			pairs = append(pairs, "p50", integer(f.P50))
		}
		t.row("fault_noticed", f.Fault, pairs...)
	}
	for _, c := range x.Unexplained {
		t.row("unexplained_end", c.Key, "unit", string(bench.Number), "value", integer(c.Count))
	}
}
