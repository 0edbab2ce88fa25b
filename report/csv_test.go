package report

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/bench"
)

func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "text": "text", "a=1": "a=1", "42": "42", "-5": "-5", "+5": "+5", "-1.5e-3": "-1.5e-3", "1,000": "1,000",
		"=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "+1+1": "'+1+1", "-1+1": "'-1+1", "-": "'-", "--5": "'--5", "-5 ": "'-5 ", "+Inf": "'+Inf", "-0x1p4": "'-0x1p4",
		"\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1", "  =1": "'  =1", "＝1+1": "'＝1+1", "'=1": "'=1", " text": " text",
	} {
		if got := cell(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// rows parses what was written; every row must have as many cells as the header.
func rows(t interface{ Fatal(...any) }, data []byte) [][]string {
	all, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// noFormula is what must hold of every cell.
func noFormula(c string) bool {
	c = strings.TrimLeft(c, " ")
	return c == "" || !strings.ContainsRune("=+-@\t\r\n", rune(c[0])) || plainNumber.MatchString(c)
}

func TestCellProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := nasty().Draw(t, "text")
		if c := cell(text); !noFormula(c) || strings.TrimPrefix(c, "'") != strings.TrimPrefix(text, "'") {
			t.Fatalf("%q: %q", text, c)
		}
		number := rapid.OneOf(rapid.Map(rapid.Int64(), integer[int64]), rapid.Map(rapid.Float64(), decimal)).Draw(t, "number")
		if c := cell(number); c != number {
			t.Fatalf("%s: %s", number, c)
		}
	})
}

func TestCSVSummaryHasEveryMetricOnce(t *testing.T) {
	for name, run := range samples() {
		var b bytes.Buffer
		if err := CSVSummary(&b, run); err != nil {
			t.Fatal(err)
		}
		all := rows(t, b.Bytes())
		var metrics []string
		for _, row := range all {
			if slices.Contains([]string{"timing", "counter", "ratio"}, row[0]) {
				metrics = append(metrics, row[1])
			}
		}
		if !slices.Equal(metrics, names(bench.Metrics())) {
			t.Errorf("%s: %v", name, metrics)
		}
	}
}

func TestCSVSeriesHasEveryStep(t *testing.T) {
	run := rich()
	var b bytes.Buffer
	if err := CSVSeries(&b, run); err != nil {
		t.Fatal(err)
	}
	if all := rows(t, b.Bytes()); len(all) != len(run.Result.Series)+1 {
		t.Errorf("%d rows", len(all))
	}
}

func TestHLogCanBeReadByItsOwnLibrary(t *testing.T) {
	run := rich()
	r := hdrhistogram.NewHistogramLogReader(bytes.NewReader(write(t, HLog, run, TextOptions{})))
	for _, want := range timings(run.Result) {
		got, err := r.NextIntervalHistogram()
		if err != nil || got == nil {
			t.Fatalf("%s: %v, %v", want.metric, got, err)
		}
		if got.Tag() != want.metric.String() || !got.Equals(want.histogram) {
			t.Errorf("%s: read %s with %d samples", want.metric, got.Tag(), got.TotalCount())
		}
		// The reader counts in floating-point seconds since 1970, which are exact to a millisecond.
		start, length := got.StartTimeMs()-run.Result.Start.UnixMilli(), got.EndTimeMs()-got.StartTimeMs()
		if start < -1 || start > 1 || length < run.Result.Elapsed.Milliseconds()-1 || length > run.Result.Elapsed.Milliseconds()+1 {
			t.Errorf("%s: from %d ms, %d ms long", want.metric, start, length)
		}
	}
	if rest, err := r.NextIntervalHistogram(); rest != nil || err != nil {
		t.Errorf("one more: %v, %v", rest, err)
	}
}

func TestHLogLeavesTheResultAlone(t *testing.T) {
	run := rich()
	write(t, HLog, run, TextOptions{})
	if h := run.Result.Histogram(bench.Delivery); h.Tag() != "" || h.StartTimeMs() != 0 {
		t.Errorf("tag %q, start %d", h.Tag(), h.StartTimeMs())
	}
}

// A log of a run without any samples has a head and no line.
func TestHLogOfNothing(t *testing.T) {
	out := string(write(t, HLog, empty(), TextOptions{}))
	if strings.Contains(out, "Tag=") || !strings.Contains(out, "#[StartTime: "+strconv.FormatInt(empty().Result.Start.Unix(), 10)+".000") {
		t.Error(out)
	}
	before := Run{&bench.Result{Start: time.Unix(-1, 999e6), Stop: bench.StopEnded}, Config{}}
	write(t, HLog, before, TextOptions{})
}
