package report

import (
	"time"

	"github.com/rtbench/rtbench/bench"
)

// docTargetUse is what the target used, as JSON has it.
type docTargetUse struct {
	Source        string         `json:"source"`
	Unknown       string         `json:"unknown"`
	CPUNS         *time.Duration `json:"cpu_ns"`
	LengthNS      time.Duration  `json:"length_ns"`
	MemoryBefore  uint64         `json:"memory_before"`
	MemoryMost    uint64         `json:"memory_most"`
	PerEventNS    *time.Duration `json:"cpu_per_event_ns"`
	PerConnection *uint64        `json:"memory_per_connection"`
}

func newTargetUse(r *bench.Result) *docTargetUse {
	x := r.Target
	if x == nil {
		return nil
	}
	each, perEvent := x.PerEvent(r.Window, r.End-r.Begin)
	bytes, perConnection := x.PerConnection(r.Peak)
	return &docTargetUse{x.Source, x.Why, known(x.CPU, x.Why == ""), x.Length, x.Before, x.Most, known(each, perEvent), known(bytes, perConnection)}
}

func (doc *document) readTargetUse(r *bench.Result) error {
	if d := doc.TargetUse; d != nil {
		r.Target = &bench.TargetUse{Source: d.Source, Why: d.Unknown, CPU: value(d.CPUNS), Length: d.LengthNS, Before: d.MemoryBefore, Most: d.MemoryMost}
	}
	return nil
}

// targetUse says what the target used.
func (s *sheet) targetUse(r *bench.Result) {
	x := r.Target
	if x == nil {
		return
	}
	s.title("Target")
	if x.Why != "" {
		s.paragraph(span{text: "  "}, "what it used is not measurable: "+Plain(x.Why), dim)
		return
	}
	facts := []fact{{"cpu", Scale(100*float64(x.CPU)/float64(x.Length), bench.Number) + "%", "of one processor", normal}}
	if each, ok := x.PerEvent(r.Window, r.End-r.Begin); ok {
		facts = append(facts, fact{"cpu_per_event", Scale(float64(each), bench.Nanoseconds), "", normal})
	}
	facts = append(facts, fact{"memory", Scale(float64(x.Most), bench.ByteCount), "before: " + Scale(float64(x.Before), bench.ByteCount), normal})
	if bytes, ok := x.PerConnection(r.Peak); ok {
		facts = append(facts, fact{"per_connection", Scale(float64(bytes), bench.ByteCount), "", normal})
	}
	s.grid(facts)
	s.paragraph(span{text: "  "}, "by "+Plain(x.Source), dim)
}

func (t *csvTable) targetUse(r *bench.Result) {
	d := newTargetUse(r)
	if d == nil {
		return
	}
	if d.Unknown != "" {
		t.row("target", "cpu", "note", d.Unknown)
		return
	}
	t.row("target", "cpu", "unit", string(bench.Nanoseconds), "value", integer(*d.CPUNS), "note", d.Source)
	t.row("target", "memory_most", "unit", string(bench.ByteCount), "value", integer(d.MemoryMost))
	if d.PerEventNS != nil {
		t.row("target", "cpu_per_event", "unit", string(bench.Nanoseconds), "value", integer(*d.PerEventNS))
	}
	if d.PerConnection != nil {
		t.row("target", "memory_per_connection", "unit", string(bench.ByteCount), "value", integer(*d.PerConnection))
	}
}
