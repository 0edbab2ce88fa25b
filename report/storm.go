package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// docStorm is a storm, as JSON has it.
type (
	docStorm struct {
		AtNS     time.Duration  `json:"at_ns"`
		LengthNS time.Duration  `json:"length_ns"`
		How      *client.Break  `json:"how"`
		Made     int            `json:"made"`
		Open     int            `json:"open"`
		Ends     []docCause     `json:"ends"`
		Refusals []docCause     `json:"refusals"`
		Curve    []docStormStep `json:"curve"`
		Policies []docReturn    `json:"policies"`
		docReturns
	}
	docCause struct {
		Key   string `json:"key"`
		Count int    `json:"count"`
	}
	docStormStep struct {
		AtNS     time.Duration `json:"at_ns"`
		Returned int           `json:"returned"`
		Attempts int           `json:"attempts"`
		Failed   int           `json:"failed"`
	}
	docReturn struct {
		Policy string `json:"policy"`
		docReturns
	}
	// docReturns says how connections came back.
	docReturns struct {
		Dropped  int            `json:"dropped"`
		Returned int            `json:"returned"`
		Back50   *time.Duration `json:"back_50_ns"`
		Back95   *time.Duration `json:"back_95_ns"`
		Back100  *time.Duration `json:"back_100_ns"`
		Attempts uint64         `json:"attempts"`
		Failed   uint64         `json:"failed"`
		Peak     int            `json:"peak"`
	}
)

func newReturns(r bench.Returns) docReturns {
	back := func(i int) *time.Duration { return known(r.Back[i], r.Back[i] >= 0) }
	return docReturns{r.Dropped, r.Returned, back(0), back(1), back(2), r.Attempts, r.Failed, r.Peak}
}

func (d docReturns) returns() bench.Returns {
	r := bench.Returns{Dropped: d.Dropped, Returned: d.Returned, Attempts: d.Attempts, Failed: d.Failed, Peak: d.Peak}
	for i, back := range [...]*time.Duration{d.Back50, d.Back95, d.Back100} {
		if r.Back[i] = -1; back != nil {
			r.Back[i] = *back
		}
	}
	return r
}

func newStorms(r *bench.Result) []docStorm {
	list := make([]docStorm, 0, len(r.Storms))
	for _, s := range r.Storms {
		d := docStorm{
			AtNS: s.At, LengthNS: s.Length, How: known(s.How, s.How != ""), Made: s.Made, Open: s.Open, docReturns: newReturns(s.Returns),
			Ends: causes(s.Ends), Refusals: causes(s.Refusals), Curve: []docStormStep{}, Policies: []docReturn{},
		}
		for _, step := range s.Curve {
			d.Curve = append(d.Curve, docStormStep{step.At, step.Returned, step.Attempts, step.Failed})
		}
		for _, p := range s.Policies {
			d.Policies = append(d.Policies, docReturn{p.Policy, newReturns(p.Returns)})
		}
		list = append(list, d)
	}
	return list
}

func causes(list []bench.Cause) []docCause {
	docs := make([]docCause, 0, len(list))
	for _, c := range list {
		docs = append(docs, docCause(c))
	}
	return docs
}

func readCauses(docs []docCause) (list []bench.Cause) {
	for _, d := range docs {
		list = append(list, bench.Cause(d))
	}
	return list
}

func (doc *document) readStorms(r *bench.Result) error {
	for _, d := range doc.Storms {
		s := bench.Storm{At: d.AtNS, Length: d.LengthNS, How: value(d.How), Made: d.Made, Open: d.Open, Returns: d.returns(), Ends: readCauses(d.Ends), Refusals: readCauses(d.Refusals)}
		for _, step := range d.Curve {
			s.Curve = append(s.Curve, bench.StormStep{At: step.AtNS, Returned: step.Returned, Attempts: step.Attempts, Failed: step.Failed})
		}
		for _, p := range d.Policies {
			s.Policies = append(s.Policies, bench.PolicyReturns{Policy: p.Policy, Returns: p.returns()})
		}
		r.Storms = append(r.Storms, s)
	}
	return nil
}

// storms says of each storm who dropped and how they came back.
func (s *sheet) storms(r *bench.Result) {
	if len(r.Storms) == 0 {
		return
	}
	s.title("Storms")
	for _, x := range r.Storms {
		lead := "  at " + Scale(float64(x.At), bench.Nanoseconds) + "  "
		text := fmt.Sprintf("%s of %s connections dropped", count(uint64(x.Dropped)), count(uint64(x.Open)))
		if x.Length >= time.Millisecond {
			text += " within " + Scale(float64(x.Length), bench.Nanoseconds)
		}
		s.paragraph(span{lead, bold}, text+madeBy(x)+causeText(", with ", x.Ends), normal)
		s.paragraph(span{text: "    "}, backText(x.Returns), map[bool]style{true: normal, false: yellow}[x.Returned == x.Dropped])
		s.paragraph(span{text: "    "}, attemptsText(x.Returns)+causeText("; they failed with ", x.Refusals), dim)
		s.curve(x)
		s.policies(x)
	}
}

// madeBy says how much of a storm was the run's own doing.
func madeBy(x bench.Storm) string {
	switch {
	case x.Made == 0:
		return ""
	case x.How != "":
		return ": broken off by the run (" + Plain(string(x.How)) + ")"
	}
	return fmt.Sprintf(": %s of them broken off by the run", count(uint64(x.Made)))
}

func backText(x bench.Returns) string {
	var parts []string
	for i, who := range [...]string{"half", "95 %", "all"} {
		if x.Back[i] >= 0 {
			parts = append(parts, who+" after "+Scale(float64(x.Back[i]), bench.Nanoseconds))
		}
	}
	if x.Returned < x.Dropped {
		parts = append(parts, fmt.Sprintf("%s not by the end of the run", count(uint64(x.Dropped-x.Returned))))
	}
	return "back: " + strings.Join(parts, ", ")
}

func attemptsText(x bench.Returns) string {
	return fmt.Sprintf("%s attempts, %s failed; at most %s within a second", count(x.Attempts), count(x.Failed), count(uint64(x.Peak)))
}

// causeText lists how often what was met, behind a lead; "" for nothing.
func causeText(lead string, list []bench.Cause) string {
	parts := make([]string, len(list))
	for i, c := range list {
		parts[i] = fmt.Sprintf("%s (%s)", Plain(c.Key), count(uint64(c.Count)))
	}
	if len(parts) == 0 {
		return ""
	}
	return lead + strings.Join(parts, ", ")
}

// levels draw a share of a whole, from none to all.
const levels = " ▁▂▃▄▅▆▇█"

// curve draws how many were back by and by, and how many attempts failed.
func (s *sheet) curve(x bench.Storm) {
	if len(x.Curve) < 3 || s.options.ASCII {
		return
	}
	most := 1
	for _, step := range x.Curve {
		most = max(most, step.Failed)
	}
	steps := []rune(levels)
	level := func(n, whole int) rune {
		i := n * (len(steps) - 1) / max(1, whole)
		if n > 0 {
			i = max(1, i)
		}
		return steps[min(i, len(steps)-1)]
	}
	var back, failed []rune
	for _, step := range x.Curve {
		back, failed = append(back, level(step.Returned, x.Dropped)), append(failed, level(step.Failed, most))
	}
	over := " over " + Scale(float64(x.Curve[len(x.Curve)-1].At), bench.Nanoseconds)
	s.line(span{"    back   ", dim}, span{string(back), green}, span{over, dim})
	if x.Failed > 0 {
		s.line(span{"    failed ", dim}, span{string(failed), red}, span{" at most " + count(uint64(most)) + " a step", dim})
	}
}

// policies compares the back-off policies of a storm.
func (s *sheet) policies(x bench.Storm) {
	if len(x.Policies) == 0 {
		return
	}
	rows := [][]span{{{"    back-off", dim}, {"dropped", dim}, {"back", dim}, {"half", dim}, {"95 %", dim}, {"all", dim}, {"attempts", dim}, {"failed", dim}, {"a second", dim}}}
	for _, p := range x.Policies {
		row := []span{{"    " + Plain(p.Policy), normal}, {count(uint64(p.Dropped)), normal}, {count(uint64(p.Returned)), normal}}
		for _, back := range p.Back {
			text := s.own("–")
			if back >= 0 {
				text = Scale(float64(back), bench.Nanoseconds)
			}
			row = append(row, span{text, normal})
		}
		rows = append(rows, append(row, span{count(p.Attempts), normal}, span{count(p.Failed), normal}, span{count(uint64(p.Peak)), normal}))
	}
	s.table(rows, []string{"95 %", "dropped", "failed", "a second"})
}

// storms has a row for each.
func (t *csvTable) storms(r *bench.Result) {
	for _, x := range r.Storms {
		name := "at " + Scale(float64(x.At), bench.Nanoseconds)
		t.row("storm", name, "unit", string(bench.Number), "count", integer(x.Dropped), "value", integer(x.Returned), "note", backText(x.Returns)+"; "+attemptsText(x.Returns)+madeBy(x)+causeText("; dropped with ", x.Ends)+causeText("; failed with ", x.Refusals))
		for _, p := range x.Policies {
			t.row("storm_policy", p.Policy, "unit", string(bench.Number), "count", integer(p.Dropped), "value", integer(p.Returned), "note", backText(p.Returns)+"; "+attemptsText(p.Returns))
		}
	}
}
