package cmd

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
)

func TestRateValue(t *testing.T) {
	for text, want := range map[string]float64{
		"100": 100, "100/s": 100, "6000/m": 100, "7200/h": 2, "5k/s": 5000, "2.5K": 2500, "1m/s": 1e6, "1,000/s": 1000, "0": 0, "0.5/s": .5, "1e3": 1000,
	} {
		var v rateValue
		if err := v.Set(text); err != nil || float64(v) != want {
			t.Errorf("%q: %v, %v; want %v", text, v, err, want)
		}
	}
	for _, text := range []string{"", "/s", "x", "-1", "1/d", "1//s", "1/s/s", "NaN", "Inf", "1e10", "1e308k", "1 /s", "k"} {
		if v := new(rateValue); v.Set(text) == nil {
			t.Errorf("%q is taken for %v", text, *v)
		}
	}
}

func TestSizeValue(t *testing.T) {
	for text, want := range map[string]sizeValue{
		"1": 1, "4096": 4096, "10k": 10 << 10, "10KB": 10 << 10, "1m": 1 << 20, "1.5k": 1536, "1g": 1 << 30, "100b": 100,
	} {
		var v sizeValue
		if err := v.Set(text); err != nil || v != want {
			t.Errorf("%q: %v, %v; want %v", text, v, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "k", "b", "1t", "2g", "NaN", "Inf", "1 k", "0.5", "ten"} {
		if v := new(sizeValue); v.Set(text) == nil {
			t.Errorf("%q is taken for %v", text, *v)
		}
	}
}

func TestCountValue(t *testing.T) {
	for text, want := range map[string]countValue{"1": 1, "1000": 1000, "10k": 10_000, "1.5k": 1500, "2m": 2_000_000, "1,000,000": 1_000_000} {
		var v countValue
		if err := v.Set(text); err != nil || v != want {
			t.Errorf("%q: %v, %v; want %v", text, v, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5", "1e300", "NaN", "Inf", "k", "10 k", "many"} {
		if v := new(countValue); v.Set(text) == nil {
			t.Errorf("%q is taken for %v", text, *v)
		}
	}
}

func TestStagesValue(t *testing.T) {
	var v stagesValue
	for _, text := range []string{"30s:1000", "1m:5k,10s:0"} {
		if err := v.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	want := []bench.Stage{{Length: 30 * time.Second, Target: 1000}, {Length: time.Minute, Target: 5000}, {Length: 10 * time.Second}}
	if fmt.Sprint([]bench.Stage(v)) != fmt.Sprint(want) || v.String() != "30s:1000,1m0s:5000,10s:0" {
		t.Errorf("%v, %s", v, v.String())
	}
	for _, text := range []string{"", "30s", "30s:", ":5", "30:5", "-1s:5", "0s:5", "1s:-5", "1s:1.5", "1s:x", "1s:1e10", "1s:5,"} {
		if v := new(stagesValue); v.Set(text) == nil {
			t.Errorf("%q is taken for %v", text, v)
		}
	}
}

func TestParsedValue(t *testing.T) {
	parse := func(s string) (int, error) {
		if s == "bad" {
			return 0, errors.New("bad")
		}
		return len(s), nil
	}
	one := parsed[int]{parse: parse}
	all := parsed[int]{parse: parse, many: true}
	if one.value() != 0 || one.String() != "" {
		t.Errorf("%v before it is set", one)
	}
	for _, s := range []string{"a", "bb"} {
		if err := errors.Join(one.Set(s), all.Set(s)); err != nil {
			t.Fatal(err)
		}
	}
	if one.Set("bad") == nil || all.Set("bad") == nil {
		t.Error("bad is good")
	}
	if one.value() != 2 || one.String() != "bb" || fmt.Sprint(all.values) != "[1 2]" || all.String() != "a, bb" {
		t.Errorf("%v and %v", one, all)
	}
}

// FuzzValues holds every typed flag to this: it never panics, refuses what isn't in its range, and what it has taken
// is taken again, as the same, from how it writes itself.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"", "1", "100/s", "6000/m", "5k/s", "10KB", "1.5g", "1,000", "30s:1000", "1m:5k,10s:0", "1e308k", "0x1p-5", "Inf", "-0", "NaN/s", "1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var rate, rate2 rateValue
		if rate.Set(s) == nil && (!(rate >= 0 && rate <= maxRate) || rate2.Set(rate.String()) != nil || rate2 != rate) {
			t.Errorf("rate %q: %v, %v", s, rate, rate2)
		}
		var size, size2 sizeValue
		if size.Set(s) == nil && (size < 1 || size > math.MaxInt32 || size2.Set(size.String()) != nil || size2 != size) {
			t.Errorf("size %q: %v, %v", s, size, size2)
		}
		var count, count2 countValue
		if count.Set(s) == nil && (count < 1 || count > 1<<53 || count2.Set(count.String()) != nil || count2 != count) {
			t.Errorf("count %q: %v, %v", s, count, count2)
		}
		var stages, stages2 stagesValue
		if stages.Set(s) == nil && (len(stages) == 0 || stages2.Set(stages.String()) != nil || stages2.String() != stages.String()) {
			t.Errorf("stages %q: %v, %v", s, stages, stages2)
		}
		for _, err := range []error{rate2.Set(s), size2.Set(s), count2.Set(s), stages2.Set(s)} {
			if err != nil && !strings.Contains(err.Error(), " is not a ") {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
}
