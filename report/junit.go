package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A run, or a comparison with a gate, as JUnit has it: one case for each threshold or figure.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr,omitempty"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Failure *junitReason `xml:"failure"`
		Error   *junitReason `xml:"error"`
		Skipped *junitReason `xml:"skipped"`
	}
	junitReason struct {
		Message string `xml:"message,attr"`
	}
)

// because is why a case isn't passed; nil for no reason.
func because(why string) *junitReason {
	if why == "" {
		return nil
	}
	return &junitReason{Plain(why)}
}

// add counts a case.
func (s *junitSuite) add(c junitCase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	c.Class = s.Name
	s.Cases = append(s.Cases, c)
}

func (s junitSuite) write(w io.Writer) error {
	text, err := xml.MarshalIndent(junitSuites{Suites: []junitSuite{s}}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

// newSuite is one without cases.
func newSuite(name string, start time.Time, elapsed time.Duration) junitSuite {
	s := junitSuite{Name: Plain(name), Time: strconv.FormatFloat(elapsed.Seconds(), 'f', 3, 64)}
	if !start.IsZero() {
		s.Timestamp = start.UTC().Format("2006-01-02T15:04:05")
	}
	return s
}

// writeJUnit writes a case for the run as a whole, and one for each threshold.
func writeJUnit(w io.Writer, run Run) error {
	if err := run.check(); err != nil {
		return err
	}
	r := run.Result
	s := newSuite(titled(scenario(run.Config.Entries), run.Config.Command), r.Start, r.Elapsed)
	whole := junitCase{Name: "the run", Error: because(r.Failure)}
	if why, refused := Distrust(r); refused && r.Failure == "" {
		whole.Skipped = because("not to be trusted: " + why.Text)
	}
	s.add(whole)
	for _, j := range r.Judgements {
		c := junitCase{Name: Plain(j.Threshold.Text)}
		switch {
		case j.Passed:
		case j.Unknown != "":
			c.Failure = because(j.Unknown)
		case j.AtLeast:
			c.Failure = because("it is at least " + Scale(j.Value, j.Threshold.Unit()))
		default:
			c.Failure = because("it is " + Scale(j.Value, j.Threshold.Unit()))
		}
		s.add(c)
	}
	return s.write(w)
}

// junit writes a case for each figure that was compared.
func (c *Comparison) junit(w io.Writer) error {
	s := newSuite(titled(scenario(c.Entries), c.Command), c.Start, c.Elapsed)
	whole := junitCase{Name: "the comparison"}
	if len(c.Doubts) > 0 {
		whole.Skipped = because("there is no verdict: " + c.Doubts[0].Text)
	}
	s.add(whole)
	a, b := c.Sides[0].Name, c.Sides[1].Name
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		one := junitCase{Name: Plain(x.Name)}
		textA, textB := x.texts()
		said := fmt.Sprintf("%s ÷ %s is %s (%s): %s against %s", b, a, ratioText(x.Ratio), x.interval(), textB, textA)
		switch {
		case x.Unknown != "":
			one.Skipped = because(x.Unknown)
		case x.Gate == Regress:
			one.Failure = because(said)
		case x.Gate == Inconclusive:
			one.Skipped = because("INCONCLUSIVE: " + said)
		}
		s.add(one)
	}
	return s.write(w)
}
