package cmd

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// rateValue is a flag like 100, 100/s, 6000/m or 5k/s: a number a second.
type rateValue float64

// maxRate is more than any host can do, and little enough to count with.
const maxRate = 1e9

func (v *rateValue) Type() string { return "rate" }

func (v *rateValue) String() string {
	return strconv.FormatFloat(float64(*v), 'f', -1, 64) + "/s"
}

func (v *rateValue) Set(s string) error {
	number, per, _ := strings.Cut(s, "/")
	unit, ok := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[per]
	n, err := parseNumber(number)
	if err != nil || !ok || n < 0 || n/unit > maxRate {
		return fmt.Errorf("%q is not a rate such as 100/s, 5k/s or 30/m", s)
	}
	*v = rateValue(n / unit)
	return nil
}

// sizeValue is a flag like 4096, 10k or 1m: bytes, k and m counting in 1,024.
type sizeValue int

func (v *sizeValue) Type() string   { return "size" }
func (v *sizeValue) String() string { return strconv.Itoa(int(*v)) }

func (v *sizeValue) Set(s string) error {
	lower := strings.TrimSuffix(strings.ToLower(s), "b")
	shift := 0
	for suffix, bits := range map[string]int{"k": 10, "m": 20, "g": 30} {
		if rest, ok := strings.CutSuffix(lower, suffix); ok {
			lower, shift = rest, bits
			break
		}
	}
	n, err := strconv.ParseFloat(lower, 64)
	if n *= float64(int(1) << shift); err != nil || !(n >= 1 && n <= math.MaxInt32) {
		return fmt.Errorf("%q is not a size such as 4096, 10k or 1m", s)
	}
	*v = sizeValue(n)
	return nil
}

// countValue is a flag like 1000, 10k or 1m: a number of things, k and m counting in thousands.
type countValue uint64

func (v *countValue) Type() string   { return "count" }
func (v *countValue) String() string { return strconv.FormatUint(uint64(*v), 10) }

func (v *countValue) Set(s string) error {
	n, err := parseNumber(s)
	if err != nil || n < 1 || n != math.Trunc(n) || n > 1<<53 {
		return fmt.Errorf("%q is not a number such as 1000, 10k or 1m", s)
	}
	*v = countValue(n)
	return nil
}

// parseNumber reads a decimal number with an optional k or m for thousands and millions.
func parseNumber(s string) (float64, error) {
	scale := 1.0
	for suffix, by := range map[string]float64{"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, scale = rest, by
			break
		}
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n * scale, nil
}

// stagesValue is a repeatable flag like 30s:1000: take so long to reach so many connections.
type stagesValue []bench.Stage

func (v *stagesValue) Type() string { return "stage" }

func (v *stagesValue) String() string {
	parts := make([]string, len(*v))
	for i, stage := range *v {
		parts[i] = fmt.Sprintf("%s:%d", stage.Length, stage.Target)
	}
	return strings.Join(parts, ",")
}

func (v *stagesValue) repeats() bool  { return true }
func (v *stagesValue) list() []string { return strings.Split(v.String(), ",") }

func (v *stagesValue) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		length, target, _ := strings.Cut(part, ":")
		d, err := time.ParseDuration(length)
		n, numberErr := parseNumber(target)
		if err != nil || numberErr != nil || d <= 0 || n < 0 || n != math.Trunc(n) || n > math.MaxInt32 {
			return fmt.Errorf("%q is not a stage such as 30s:1000, which takes 30 s to reach 1,000 connections", part)
		}
		*v = append(*v, bench.Stage{Length: d, Target: int(n)})
	}
	return nil
}

// parsed is a flag whose text a function checks when it is set, so that a typo is found before anything connects.
// It is repeatable where all is a list of more than the last one.
type parsed[T any] struct {
	kind   string
	parse  func(string) (T, error)
	values []T
	texts  []string
	many   bool
}

func (v *parsed[T]) Type() string   { return v.kind }
func (v *parsed[T]) repeats() bool  { return v.many }
func (v *parsed[T]) list() []string { return v.texts }
func (v *parsed[T]) String() string { return strings.Join(v.texts, ", ") }

func (v *parsed[T]) Set(s string) error {
	value, err := v.parse(s)
	if err != nil {
		return err
	}
	if !v.many {
		v.values, v.texts = nil, nil
	}
	v.values, v.texts = append(v.values, value), append(v.texts, s)
	return nil
}

// value gives what was set last; the zero T where nothing was.
func (v *parsed[T]) value() (t T) {
	if len(v.values) > 0 {
		t = v.values[len(v.values)-1]
	}
	return t
}
