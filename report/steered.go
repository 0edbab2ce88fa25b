package report

import (
	"time"

	"github.com/rtbench/rtbench/bench"
)

// docAnnotation is what somebody did to a run while it went on.
type docAnnotation struct {
	AtNS time.Duration `json:"at_ns"`
	Text string        `json:"text"`
}

func newAnnotations(r *bench.Result) []docAnnotation {
	list := make([]docAnnotation, 0, len(r.Annotations))
	for _, a := range r.Annotations {
		list = append(list, docAnnotation{a.At, a.Text})
	}
	return list
}

func (doc *document) readAnnotations(r *bench.Result) error {
	for _, a := range doc.Annotations {
		r.Annotations = append(r.Annotations, bench.Annotation{At: a.AtNS, Text: a.Text})
	}
	return nil
}

// steered says what was done to the run by hand.
func (s *sheet) steered(r *bench.Result) {
	if len(r.Annotations) == 0 {
		return
	}
	s.title("Steered by hand")
	for _, a := range r.Annotations {
		s.paragraph(span{"  at " + Scale(float64(a.At), bench.Nanoseconds) + "  ", dim}, Plain(a.Text), normal)
	}
}
