package report

import (
	"fmt"
	"strings"

	"github.com/rtbench/rtbench/bench"
)

// docResumption is what became of resumed streams, as JSON has it.
type docResumption struct {
	Verdict  bench.ResumeVerdict `json:"verdict"`
	Why      string              `json:"why"`
	Judged   uint64              `json:"judged"`
	Correct  uint64              `json:"correct"`
	AtMost   *float64            `json:"at_most"`
	Faults   map[string]uint64   `json:"faults"`
	Idle     uint64              `json:"idle"`
	Cut      uint64              `json:"cut"`
	Unasked  uint64              `json:"unasked"`
	Unknown  uint64              `json:"unknown"`
	Replayed uint64              `json:"replayed"`
	Deepest  uint64              `json:"deepest"`
	Missing  uint64              `json:"missing"`
	Resent   uint64              `json:"resent"`
}

func newResumption(r *bench.Resumption) *docResumption {
	if r == nil {
		return nil
	}
	d := &docResumption{
		Verdict: r.Verdict, Why: r.Why, Judged: r.Judged, Correct: r.Correct, AtMost: known(r.AtMost()), Faults: map[string]uint64{},
		Idle: r.Idle, Cut: r.Cut, Unasked: r.Unasked, Unknown: r.Unknown,
		Replayed: r.Replayed, Deepest: r.Deepest, Missing: r.Missing, Resent: r.Resent,
	}
	for _, f := range bench.ResumeFaults() {
		d.Faults[f.String()] = r.Faults[f]
	}
	return d
}

func (doc *document) readResumption(r *bench.Result) error {
	d := doc.Resumption
	if d == nil {
		return nil
	}
	r.Resumption = &bench.Resumption{
		Verdict: d.Verdict, Why: d.Why, Judged: d.Judged, Correct: d.Correct, Idle: d.Idle, Cut: d.Cut, Unasked: d.Unasked, Unknown: d.Unknown,
		Replayed: d.Replayed, Deepest: d.Deepest, Missing: d.Missing, Resent: d.Resent,
	}
	for _, f := range bench.ResumeFaults() {
		n, ok := d.Faults[f.String()]
		if !ok {
			return fmt.Errorf("resumption: there is no count of %s", f)
		}
		r.Resumption.Faults[f] = n
	}
	if len(d.Faults) > len(bench.ResumeFaults()) {
		return fmt.Errorf("resumption: this rtbench does not know all of its faults")
	}
	return nil
}

// resumption says what became of the streams that were opened again after a drop, below their counts.
func (s *sheet) resumption(r *bench.Result) {
	x := r.Resumption
	if x == nil {
		return
	}
	st := map[bench.ResumeVerdict]style{bench.ExactlyOnce: green, bench.AtLeastOnce: yellow, bench.Lossy: red}[x.Verdict]
	if x.Verdict == bench.ExactlyOnce && x.Correct < x.Judged {
		st = yellow
	}
	verdict := string(x.Verdict)
	if x.Faults[bench.OutOfSequence] > 0 {
		verdict += ", out of order"
	}
	s.paragraph(span{"  " + verdict, st}, resumeSummary(r), normal)
	width := 0
	for _, f := range bench.ResumeFaults() {
		if x.Faults[f] > 0 {
			width = max(width, widest(f.String()))
		}
	}
	for _, f := range bench.ResumeFaults() {
		if n := x.Faults[f]; n > 0 {
			s.paragraph(span{"  " + pad(f.String(), width) + "  " + count(n) + "  ", yellow}, f.Sentence(), normal)
		}
	}
	if x.Judged > 0 {
		s.paragraph(span{text: "  "}, fmt.Sprintf("at least %s events were replayed, up to %s after one drop; %s were missing, %s came again",
			count(x.Replayed), count(x.Deepest), count(x.Missing), count(x.Resent)), dim)
	}
	if rest := unjudged(x); rest != "" {
		s.paragraph(span{text: "  "}, "not judged: "+rest, dim)
	}
}

// resumeSummary says how many resumes went right, and what that is worth.
func resumeSummary(r *bench.Result) string {
	x, text := r.Resumption, ""
	if x.Why != "" && r.Unmeasured[bench.ResumesFaulty] != x.Why { // else it stands above
		text = ": " + Plain(x.Why)
	}
	if x.Judged == 0 {
		return text
	}
	text += fmt.Sprintf(": %s of %s resumes went on exactly after the last event, once and in order", count(x.Correct), count(x.Judged))
	if most, ok := x.AtMost(); ok {
		text += "; at most " + Scale(most, bench.Fraction) + " do not (95 %)"
	}
	return text
}

// unjudged says which resumes show nothing, and why.
func unjudged(x *bench.Resumption) string {
	var parts []string
	for _, p := range []struct {
		n   uint64
		why string
	}{
		{x.Idle, "with nothing to replay"}, {x.Cut, "cut off before a live event"}, {x.Unasked, "without a position to go on from"},
		{x.Unknown, "with events that can't be told from others"},
	} {
		if p.n > 0 {
			parts = append(parts, count(p.n)+" "+p.why)
		}
	}
	return strings.Join(parts, ", ")
}

// resumption has a row for the verdict and one for each fault that occurred.
func (t *csvTable) resumption(r *bench.Result) {
	x := r.Resumption
	if x == nil {
		return
	}
	t.row("resumption", "verdict", "verdict", string(x.Verdict), "note", x.Why)
	for _, f := range bench.ResumeFaults() {
		if n := x.Faults[f]; n > 0 {
			t.row("resumption", f.String(), "unit", string(bench.Number), "value", integer(n), "note", f.Sentence())
		}
	}
}
