package bench

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// An Aggregate is the one number that a threshold takes of a metric.
type Aggregate uint8

const (
	Value    Aggregate = iota // the count or ratio itself
	Min                       // of a timing
	Mean                      // of a timing
	Quantile                  // of a timing, at Threshold.Q
	Max                       // of a timing
	Count                     // samples of a timing, or the count itself
	Rate                      // a count as a share of what it is counted among
)

var aggregateNames = map[string]Aggregate{"min": Min, "mean": Mean, "max": Max, "count": Count, "rate": Rate}

// A Threshold is a condition that a run must meet, such as "p99(delivery) < 250ms". It fails where its metric has no
// samples or could not be measured: what isn't known isn't passed.
type Threshold struct {
	Text      string // as written
	Aggregate Aggregate
	Q         float64 // for Quantile: 0…1
	Metric    Metric
	Op        string  // < <= > >= == !=
	Bound     float64 // in the metric's base unit; a fraction for Rate and ratios
	// OrMax is for the quantile of an outage: it is held against the maximum where there are too few samples for it, and holds
	// where nothing dropped.
	OrMax bool
}

// WatchDeploy gives the conditions of a deploy that is watched: that nothing is lost, and that outages are short.
func WatchDeploy(outage time.Duration) []Threshold {
	return []Threshold{
		{Text: "lost == 0", Metric: Lost, Op: "=="},
		{Text: "p99(outage) < " + outage.String(), Aggregate: Quantile, Q: .99, Metric: Outage, Op: "<", Bound: float64(outage), OrMax: true},
	}
}

var thresholdForm = regexp.MustCompile(`^\s*(?:([a-zA-Z]+[0-9.]*)\s*\(\s*([a-zA-Z_][a-zA-Z_0-9]*)\s*\)|([a-zA-Z_][a-zA-Z_0-9]*))\s*(<=|>=|==|!=|<|>|=)\s*(\S.*?)\s*$`)

const thresholdExample = "write it like 'p99(delivery) < 250ms', 'lost == 0', 'rate(connect_errors) < 1%' or 'reach >= 99.9%'"

// ParseThreshold reads a threshold. Its error says which part is wrong and what would be right.
func ParseThreshold(text string) (Threshold, error) {
	fail := func(format string, args ...any) (Threshold, error) {
		return Threshold{}, fmt.Errorf("threshold %q: %s", text, fmt.Sprintf(format, args...))
	}
	parts := thresholdForm.FindStringSubmatch(text)
	if parts == nil {
		return fail("not a condition; %s", thresholdExample)
	}
	t := Threshold{Text: strings.TrimSpace(text), Op: parts[4]}
	if t.Op == "=" {
		t.Op = "=="
	}
	name := parts[2] + parts[3]
	metric, near, ok := ParseMetric(name)
	if !ok && near != "" {
		return fail("there is no metric %q; did you mean %q?", name, near)
	}
	if !ok {
		return fail("there is no metric %q; `rtbench metrics` lists them", name)
	}
	t.Metric = metric
	if err := t.setAggregate(strings.ToLower(parts[1])); err != nil {
		return fail("%v", err)
	}
	bound, err := t.parseBound(parts[5])
	if err != nil {
		return fail("%v", err)
	}
	t.Bound = bound
	return t, nil
}

// setAggregate takes the word in front of the bracket, "" where there is none.
func (t *Threshold) setAggregate(word string) error {
	if word == "" {
		if t.Metric.IsTiming() {
			return fmt.Errorf("%s is a distribution; say which figure of it: p99(%[1]s), mean(%[1]s), max(%[1]s) …", t.Metric)
		}
		return nil
	}
	aggregate, named := aggregateNames[word]
	if digits, ok := strings.CutPrefix(word, "p"); ok && !named {
		q, err := parsePercent(digits)
		if err != nil || !(q >= 0 && q <= 1) {
			return fmt.Errorf("%q is not a percentile; they go from p0 to p100, such as p99.9", word)
		}
		aggregate, t.Q, named = Quantile, q, true
	}
	if !named {
		return fmt.Errorf("there is no figure %q; there are min, mean, p50 … p99.9, max, count and rate", word)
	}
	t.Aggregate = aggregate
	switch {
	case aggregate == Rate:
		if _, ok := t.Metric.Of(); !ok {
			return fmt.Errorf("%s is not a share of anything, so it has no rate", t.Metric)
		}
	case aggregate == Count && t.Metric.IsCount():
	case !t.Metric.IsTiming():
		return fmt.Errorf("%s is one number, not a distribution; write %[1]s %s …", t.Metric, t.Op)
	}
	return nil
}

// Unit is the base unit of the bound, and of the value it is held against.
func (t Threshold) Unit() Unit {
	switch t.Aggregate {
	case Rate:
		return Fraction
	case Count:
		return Number
	}
	return t.Metric.Unit()
}

func (t Threshold) parseBound(s string) (float64, error) {
	unit := t.Unit()
	if unit == Nanoseconds {
		d, err := time.ParseDuration(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration; give it a unit, such as 250ms or 1.5s", s)
		}
		return float64(d), nil
	}
	number, percent := strings.CutSuffix(s, "%")
	if unit == PerSecond {
		number = strings.TrimSuffix(number, "/s")
	}
	number = strings.ReplaceAll(strings.TrimSpace(number), ",", "")
	parse := parseNumber
	if percent {
		parse = parsePercent
	}
	v, err := parse(number)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	_, shared := t.Metric.Of()
	switch {
	case unit == Fraction:
		return v, t.checkShare(v, percent, number)
	case !percent:
		return v, nil
	case shared:
		return 0, fmt.Errorf("%s is a number, not a share; write rate(%[1]s) %s %s", t.Metric, t.Op, s)
	}
	return 0, fmt.Errorf("%s is a number, not a share; leave the %% out", t.Metric)
}

// checkShare finds bounds that no share ever crosses. 1 without a % is one in conditions that only all of it can decide;
// elsewhere it was to be 1 %, and the condition would hold whatever happens.
func (t Threshold) checkShare(v float64, percent bool, number string) error {
	switch {
	case v < 0 || v > 1 && (percent || v > 100):
		return fmt.Errorf("a share is never less than 0%% or more than 100%%")
	case v > 1 || v == 1 && !percent && (t.Op == "<" || t.Op == "<=" || t.Op == ">"):
		return fmt.Errorf("a share is never more than 1, which is all of it; write %s%% for per cent", number)
	case v == 1 && t.Op == ">", v == 0 && t.Op == "<":
		return fmt.Errorf("no share is ever %s %s%%", map[string]string{">": "more than", "<": "less than"}[t.Op], strconv.FormatFloat(100*v, 'f', -1, 64))
	}
	return nil
}

func parseNumber(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// parsePercent reads 99.9 as exactly 0.999, which 99.9/100 is not: it is more, and 999 of 1,000 would fall short of it.
func parsePercent(s string) (float64, error) {
	if v, err := parseNumber(s + "e-2"); err == nil {
		return v, nil
	}
	v, err := parseNumber(s)
	return v / 100, err
}

// Figures is what a threshold is judged by.
type Figures interface {
	Figure(t Threshold) Figure
}

// A Figure is an aggregate of a metric, in base units.
type Figure struct {
	Value   float64 // meaningless where Unknown is set
	Low     float64 // for a quantile, the ends between which it lies: equal but where it is known no better
	High    float64
	AtLeast bool    // it is that or more: some never came
	Unknown string  // why there is no value; "" if there is one
	Verdict Verdict // of a quantile of what arrived; "" otherwise
}

// A Judgement is how a threshold came out.
type Judgement struct {
	Threshold Threshold
	Figure
	Passed  bool
	Missing uint64 // while the run goes on: so many events are missing, and where they are lost it fails, though it passes now
}

// Judge holds a threshold against the figures of a run.
func (t Threshold) Judge(f Figures) Judgement {
	figure, holds := f.Figure(t), false
	if t.OrMax && figure.Unknown != "" {
		figure, holds = t.orMax(f, figure)
	}
	value := figure.Value
	if figure.AtLeast { // what never came is later than any bound
		value = math.Inf(1)
	}
	passed := holds || figure.Unknown == "" && t.holds(value)
	if figure.Low < figure.High && !figure.AtLeast { // it must hold wherever the value lies
		passed = passed && t.holds(figure.Low) && t.holds(figure.High)
	}
	return Judgement{Threshold: t, Figure: figure, Passed: passed}
}

// orMax gives what a quantile that isn't known is held against, and whether the threshold holds though nothing is known.
func (t Threshold) orMax(f Figures, figure Figure) (_ Figure, holds bool) {
	if most := f.Figure(Threshold{Aggregate: Max, Metric: t.Metric}); most.Unknown == "" {
		return most, false
	}
	none := func(m Metric) bool {
		x := f.Figure(Threshold{Metric: m})
		return x.Unknown == "" && x.Value == 0
	}
	if none(Drops) && none(Broken) {
		figure.Unknown = "nothing dropped"
		return figure, true
	}
	figure.Unknown = "connections dropped, and none had recovered when the run ended"
	return figure, false
}

func (t Threshold) holds(v float64) bool {
	switch t.Op {
	case "<":
		return v < t.Bound
	case "<=":
		return v <= t.Bound
	case ">":
		return v > t.Bound
	case ">=":
		return v >= t.Bound
	case "==":
		return v == t.Bound
	}
	return v != t.Bound
}

// canRecover reports whether a failed threshold may still hold by the end of the run: a count only grows, so a lower
// bound on one may; and where nothing is known yet, something may be.
func (j Judgement) canRecover() bool {
	t := j.Threshold
	if j.Unknown != "" {
		return true
	}
	if counts := t.Metric.IsCount() && t.Aggregate != Rate || t.Aggregate == Count; counts {
		return j.Value < t.Bound || t.Op == ">" || t.Op == "!="
	}
	if t.Aggregate == Min { // it only falls
		return t.Op == "<" || t.Op == "<=" || t.Op == "!="
	}
	return t.Metric != Reach && (t.Op == ">" || t.Op == ">=")
}
