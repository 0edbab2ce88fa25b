package report

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/bench"
)

func TestTextStaysWithinItsWidth(t *testing.T) {
	for name, run := range samples() {
		for _, width := range []int{0, 1, 60, 72, 80, 100, 250} {
			opts := TextOptions{Width: width}
			for line := range strings.Lines(string(write(t, Text, run, opts))) {
				if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > opts.width() {
					t.Errorf("%s at %d: %d columns: %s", name, width, w, line)
				}
			}
		}
	}
}

// A line ends where a reader takes no half of anything for the whole.
func TestFold(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two", 7, "one two"},
		{"one two", 6, "one|two"},
		{"a  b   c", 8, "a  b   c"},
		{"a  b   c", 5, "a  b|c"},
		{"lower --connect-rate", 15, "lower|--connect-rate"},
		{"rose by -12.5", 10, "rose by|-12.5"},
		{"which is 26.5 %, or", 14, "which is|26.5 %, or"},
		{"took 4.20–4.31 ms in all", 13, "took|4.20–4.31 ms|in all"},
		{"it is ≥ 5.00 s now", 9, "it is|≥ 5.00 s|now"},
		{"between 4 seconds", 9, "between 4|seconds"},
		{"of (1.5 s) each", 8, "of|(1.5 s)|each"},
		{"http://127.0.0.1/a-b", 10, "http://127|.0.0.1/a-b"},
		{"満員 満員", 4, "満員|満員"},
		{"満", 1, "満"},
		{"1 %", 2, "1|%"},
	} {
		if got := strings.Join(fold(test.text, test.width), "|"); got != test.want {
			t.Errorf("%q at %d: %q, want %q", test.text, test.width, got, test.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := Plain(rapid.StringOf(rapid.SampledFrom([]rune("a1.% -–ms満é\u0301👩"))).Draw(t, "text"))
		width := rapid.IntRange(2, 20).Draw(t, "width")
		lines := fold(text, width)
		for _, line := range lines {
			if ansi.StringWidth(line) > width || strings.Trim(line, " ") != line {
				t.Fatalf("%q at %d: %q", text, width, line)
			}
		}
		if got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.ReplaceAll(text, " ", ""); got != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
}

func TestTextHoldsNothingThatATerminalActsOn(t *testing.T) {
	for name, run := range samples() {
		for _, r := range string(write(t, Text, run, TextOptions{})) {
			if r != '\n' && !shown(r) {
				t.Errorf("%s: %U", name, r)
			}
		}
	}
}

func TestColourChangesNoLetter(t *testing.T) {
	for name, run := range samples() {
		without, with := write(t, Text, run, TextOptions{}), write(t, Text, run, TextOptions{Color: true})
		if got := ansi.Strip(string(with)); got != string(without) {
			t.Errorf("%s differs without its colours:\n%s", name, got)
		}
		if name != "empty" && bytes.Equal(with, without) {
			t.Errorf("%s has no colour", name)
		}
	}
}

func TestASCII(t *testing.T) {
	for _, r := range string(write(t, Text, rich(), TextOptions{ASCII: true})) {
		if r >= utf8.RuneSelf {
			t.Errorf("%q", r)
		}
	}
}

// Every metric has one place in the text; a new one must be given one.
func TestEveryMetricIsInOneGroup(t *testing.T) {
	var grouped []bench.Metric
	for _, g := range timingGroups {
		grouped = append(grouped, g.metrics...)
	}
	for _, g := range countGroups {
		grouped = append(grouped, g.metrics...)
	}
	grouped = append(grouped, evidenceCounts...)
	slices.Sort(grouped)
	if !slices.Equal(grouped, bench.Metrics()) {
		t.Errorf("grouped are %v, metrics are %v", grouped, bench.Metrics())
	}
}

func TestWhatWasNotMeasuredIsNeverZero(t *testing.T) {
	run := unstamped()
	text := string(write(t, Text, run, TextOptions{}))
	for _, name := range []string{"lost", "duplicate", "reach"} {
		if strings.Contains(text, "\n  "+name+"  ") {
			t.Errorf("%s has a figure:\n%s", name, text)
		}
	}
	if !strings.Contains(text, "not measurable: "+run.Result.Unmeasured[bench.Lost]) {
		t.Errorf("no reason given:\n%s", text)
	}
	// A loss of 0 out of nothing expected is no figure either.
	run.Result.Unmeasured = nil
	if text := string(write(t, Text, run, TextOptions{})); strings.Contains(text, "\n  lost  ") {
		t.Errorf("lost has a figure:\n%s", text)
	}
}

func TestHeadlineGivesOnlyWhatThereAreSamplesFor(t *testing.T) {
	for samples, want := range map[int]string{
		5: "connect max  ", 6: "connect p50  ", 36: "connect p90  ", 71: "connect p90  ", 367: "connect p95  ", 368: "connect p99  ",
	} {
		run := empty()
		run.Result.Histograms[bench.Connect] = lognormal(samples, time.Millisecond, .5)
		text := string(write(t, Text, run, TextOptions{}))
		if !strings.Contains(text, want) || strings.Contains(text, "p99: too few samples: ") != (samples < 368) {
			t.Errorf("%d samples, want %q:\n%s", samples, want, text)
		}
	}
}

func TestPlotHoldsEverySample(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := bench.NewHistogram()
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 400).Draw(t, "values")
		for _, v := range values {
			if err := h.RecordValue(v); err != nil {
				t.Fatal(err)
			}
		}
		var sum int64
		marks := 0
		result := &bench.Result{}
		result.Histograms[bench.Connect] = h
		for _, row := range plotOf(newTiming(result, bench.Connect)) {
			sum += row.count
			marks += len(row.marks)
		}
		if sum != int64(len(values)) {
			t.Fatalf("%d of %d samples", sum, len(values))
		}
		want := 0
		for _, q := range []float64{.5, .9, .99, .999} {
			if int64(len(values)) >= bench.SamplesFor(q) {
				want++
			}
		}
		if marks != want {
			t.Fatalf("%d quantiles marked, want %d", marks, want)
		}
	})
}

// Where the least sample is 0, or below what a histogram tells apart, the rows aren't spent on steps that nothing can be in.
func TestPlotOfZeros(t *testing.T) {
	for _, test := range []struct {
		values []int64
		most   int // empty rows
	}{{[]int64{0, 0, 50_000, 60_000, 70_000}, 8}, {[]int64{0}, 0}, {[]int64{0, 200_000}, 0}, {[]int64{5, 20_000_000, 21_000_000}, 9}} {
		h := bench.NewHistogram()
		for _, v := range test.values {
			if err := h.RecordValue(v); err != nil {
				t.Fatal(err)
			}
		}
		result := &bench.Result{}
		result.Histograms[bench.Connect] = h
		rows, empty := plotOf(newTiming(result, bench.Connect)), 0
		for _, row := range rows {
			if row.count == 0 {
				empty++
			}
		}
		if rows[0].count == 0 || rows[0].upper < 1000 || empty > test.most {
			t.Errorf("%v: %+v", test.values, rows)
		}
	}
}

func TestBar(t *testing.T) {
	s, plain := &sheet{}, &sheet{options: TextOptions{ASCII: true}}
	for _, c := range []struct {
		share          float64
		blocks, hashes string
	}{
		{0, "", ""}, {1e-9, "▏", "."}, {.05, "▍", "."}, {.1, "▊", "#"}, {.5, "████", "####"}, {.9375, "███████▌", "########"}, {1, "████████", "########"},
	} {
		if got := s.bar(c.share, 8); got != c.blocks {
			t.Errorf("%v: %q, want %q", c.share, got, c.blocks)
		}
		if got := plain.bar(c.share, 8); got != c.hashes {
			t.Errorf("%v: %q, want %q", c.share, got, c.hashes)
		}
	}
}

func TestMargin(t *testing.T) {
	r := rich().Result
	for text, want := range map[string]string{
		"lost == 120": "at the bound", "lost < 200": "80 below", "rate(lost) < 1%": "0.9 points below",
		"p99(delivery) < 1ms": "346.46% above", "max(delivery) > 0s": "some never came", "max(first_event) > 0s": "270 ms above", "bytes > 1000": "14.8 MB above",
		"throughput < 20000": "10,000/s below", "count(delivery) >= 99,999": "1 above",
	} {
		if got := margin(judge(r, text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestWriteRefusesWhatIsNoRun(t *testing.T) {
	for name, run := range map[string]Run{
		"no result":       {},
		"unknown verdict": {Result: &bench.Result{Stop: bench.StopDuration, Verdict: "SPLENDID"}},
		"unknown worth": {Result: &bench.Result{Stop: bench.StopDuration,
			Estimates: map[bench.Metric][]bench.Estimate{bench.Connect: {{Q: .5, Verdict: "SPLENDID"}}}}},
		"unknown stop": {Result: &bench.Result{Stop: "boredom"}},
	} {
		for _, f := range Formats() {
			if err := Write(io.Discard, f, run, TextOptions{}); err == nil {
				t.Errorf("%s: written as %s", name, f)
			}
		}
		if err := CSVSeries(io.Discard, run); err == nil {
			t.Errorf("%s: written as series", name)
		}
	}
	if err := Write(io.Discard, numFormats, rich(), TextOptions{}); err == nil {
		t.Error("written in no format")
	}
}

type full struct{ error }

func (f full) Write([]byte) (int, error) { return 0, f.error }

func TestAFailedWriteIsReported(t *testing.T) {
	want := errors.New("no space left on device")
	for _, f := range Formats() {
		if err := Write(full{want}, f, rich(), TextOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if err := CSVSeries(full{want}, rich()); !errors.Is(err, want) {
		t.Errorf("series: %v", err)
	}
}

func TestEveryStopAndVerdictCanBeWritten(t *testing.T) {
	run := rich()
	for _, stop := range slices.Sorted(maps.Keys(stops)) {
		for _, verdict := range append(slices.Sorted(maps.Keys(verdicts)), "") {
			run.Result.Stop, run.Result.Verdict, run.Result.Estimates = stop, verdict, nil
			text := string(write(t, Text, run, TextOptions{}))
			if !strings.Contains(text, stops[stop]) || !strings.Contains(text, string(verdict)) {
				t.Errorf("%s, %s:\n%s", stop, verdict, text)
			}
		}
	}
}
