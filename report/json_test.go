package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// compileSchema gives what Schema gives, ready to validate with; formats are asserted.
func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(schemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, data []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

func names[T interface{ String() string }](list []T) []string {
	all := make([]string, len(list))
	for i, x := range list {
		all[i] = x.String()
	}
	return all
}

// TestSchemaKnowsEveryName holds the schema's lists against the tables of metrics and error classes.
func TestSchemaKnowsEveryName(t *testing.T) {
	path := filepath.Join("schema", "result.v1.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for def, want := range map[string][]string{
		"timing_name": names(bench.Timings()), "counter_name": names(bench.Counts()), "ratio_name": names(ratios()), "error_class": names(client.Classes()),
	} {
		quoted, err := json.MarshalIndent(want, "      ", "  ")
		if err != nil {
			t.Fatal(err)
		}
		place := regexp.MustCompile(`("` + def + `": \{\s*"enum": )\[[^\]]*\]`)
		fresh := place.ReplaceAll(text, append([]byte("${1}"), quoted...))
		if !place.Match(text) || !*update && !bytes.Equal(fresh, text) {
			t.Errorf("%s in the schema is not the table's (go test -update writes it anew)", def)
		}
		text = fresh
		// Of counters and ratios every one is there, which is what the number of them says.
		number := regexp.MustCompile(`(` + def + `" },\s*"minProperties": )\d+`)
		fresh = number.ReplaceAll(text, fmt.Appendf(nil, "${1}%d", len(want)))
		if !*update && !bytes.Equal(fresh, text) {
			t.Errorf("%s: the schema asks for another number of them than %d (go test -update writes it anew)", def, len(want))
		}
		text = fresh
	}
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSchemaNamesItself(t *testing.T) {
	if s := compileSchema(t); !strings.HasPrefix(s.Location, schemaID) {
		t.Error(s.Location)
	}
	Schema()[0] = 'x'
	if Schema()[0] != '{' {
		t.Error("the schema can be changed from outside")
	}
}

func TestJSONFitsItsSchema(t *testing.T) {
	s := compileSchema(t)
	for name, run := range samples() {
		if err := validate(s, write(t, JSON, run, TextOptions{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for stop := range stops {
		for _, verdict := range []bench.Verdict{"", bench.UpperBound, bench.NoVerdict} {
			run := empty()
			run.Result.Stop, run.Result.Verdict = stop, verdict
			if err := validate(s, write(t, JSON, run, TextOptions{})); err != nil {
				t.Errorf("%s, %s: %v", stop, verdict, err)
			}
		}
	}
}

// The schema is strict: no object of the document takes a key more, or gives one up.
func TestSchemaIsStrict(t *testing.T) {
	s := compileSchema(t)
	run := rich()
	run.Result.Series, run.Result.Clock = run.Result.Series[:1], &bench.ClockBound{Low: -1500, High: 2_000_000}
	for _, m := range bench.Timings()[1:] {
		run.Result.Histograms[m] = nil
	}
	var doc map[string]any
	if err := json.Unmarshal(write(t, JSON, run, TextOptions{}), &doc); err != nil {
		t.Fatal(err)
	}
	optional := []string{"source"}
	perMetric := []string{"unmeasured", "metrics", "metrics.delivery.trust"}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			if len(v) > 0 {
				walk(at+"[0]", v[0])
			}
		case map[string]any:
			v["surplus"] = 1.0
			if s.Validate(doc) == nil {
				t.Errorf("%s takes another key", at)
			}
			delete(v, "surplus")
			for key, value := range v {
				walk(at+"."+key, value)
				if slices.Contains(perMetric, strings.TrimPrefix(at, ".")) || slices.Contains(optional, key) {
					continue
				}
				delete(v, key)
				if s.Validate(doc) == nil {
					t.Errorf("%s does without %s", at, key)
				}
				v[key] = value
			}
		}
	}
	walk("", doc)
	if err := s.Validate(doc); err != nil {
		t.Error(err)
	}
}

// anyRun gives runs of every shape, with any text anywhere.
func anyRun() *rapid.Generator[Run] {
	text := nasty()
	warning := rapid.Custom(func(t *rapid.T) bench.Warning {
		return bench.Warning{Text: text.Draw(t, "text"), Advice: text.Draw(t, "advice")}
	})
	ns := rapid.Map(rapid.Int64Range(0, int64(100*time.Hour)), func(n int64) time.Duration { return time.Duration(n) })
	threshold := rapid.SampledFrom([]string{"p99(delivery) < 250ms", "lost == 0", "rate(connect_errors)<1%", " reach >= 99.9% ", "max(connect) != 0s", "throughput > 1e3", "count(outage) = 3"})
	shareOrNot := rapid.OneOf(rapid.Just(-1.0), rapid.Float64Range(0, 1))
	verdict := rapid.SampledFrom(append(slices.Sorted(maps.Keys(verdicts)), ""))
	return rapid.Custom(func(t *rapid.T) Run {
		r := &bench.Result{
			Start:   time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "start"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")),
			Elapsed: ns.Draw(t, "elapsed"), Begin: ns.Draw(t, "begin"), End: ns.Draw(t, "end"), SeriesStep: ns.Draw(t, "step"),
			Stop:     rapid.SampledFrom([]bench.Stop{bench.StopDuration, bench.StopEvents, bench.StopAborted, bench.StopEnded}).Draw(t, "stop"),
			StopText: text.Draw(t, "stopText"), Failure: text.Draw(t, "failure"),
			Planned: rapid.IntRange(0, 1e6).Draw(t, "planned"), Peak: rapid.IntRange(0, 1e6).Draw(t, "peak"), OpenAtEnd: rapid.IntRange(0, 1e6).Draw(t, "open"),
			Sources: map[bench.Metric]string{}, Unmeasured: map[bench.Metric]string{},
			Window:  bench.Window{Received: rapid.Uint64().Draw(t, "received"), Bytes: rapid.Uint64().Draw(t, "bytes")},
			Verdict: verdict.Draw(t, "verdict"),
			Doubts:  rapid.SliceOfN(warning, 0, 2).Draw(t, "doubts"), Warnings: rapid.SliceOfN(warning, 0, 2).Draw(t, "warnings"),
			Annotations: rapid.SliceOfN(rapid.Map(text, func(s string) bench.Annotation { return bench.Annotation{At: time.Duration(len(s)), Text: s} }), 0, 2).Draw(t, "annotations"),
			DistinctIDs: rapid.Uint64().Draw(t, "ids"),
			Health: bench.Health{Shared: shareOrNot.Draw(t, "shared"), Unstamped: shareOrNot.Draw(t, "unstamped"), Stalled: ns.Draw(t, "stalled"),
				ClockStep: -ns.Draw(t, "step"), Steal: shareOrNot.Draw(t, "steal"), Throttled: -1, Pressure: shareOrNot.Draw(t, "pressure"),
				SchedulerP99: ns.Draw(t, "scheduler"), CollectorMax: -1},
			Trimmed: ns.Draw(t, "trimmed"), Waited: ns.Draw(t, "waited"),
			Absent: map[bench.Metric]uint64{}, Estimates: map[bench.Metric][]bench.Estimate{},
			Environment: bench.Environment{Version: text.Draw(t, "version"), Kernel: text.Draw(t, "kernel"), CPUs: 2, CPU: ns.Draw(t, "cpu"), MaxRSS: rapid.Uint64().Draw(t, "rss")},
		}
		for i := range r.Counts {
			r.Counts[i] = rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 1000), rapid.Uint64()).Draw(t, "count")
		}
		for _, m := range bench.Metrics() {
			if rapid.IntRange(0, 4).Draw(t, "unmeasured") == 0 {
				r.Unmeasured[m] = text.Draw(t, "why")
			}
			if m.IsTiming() && rapid.IntRange(0, 9).Draw(t, "sampled") == 0 {
				r.Sources[m] = text.Draw(t, "source")
				r.Histograms[m] = bench.NewHistogram()
				for _, v := range rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 0, 40).Draw(t, "samples") {
					if err := r.Histograms[m].RecordValues(v, rapid.Int64Range(1, 1e9).Draw(t, "times")); err != nil {
						t.Fatal(err)
					}
				}
				if n := rapid.Uint64Range(0, 1e6).Draw(t, "absent"); n > 0 {
					r.Absent[m] = n
				}
				for _, q := range rapid.SliceOfDistinct(rapid.OneOf(rapid.SampledFrom(bench.Percentiles()), rapid.Float64Range(0, 1)), rapid.ID[float64]).Draw(t, "quantiles") {
					e := r.Estimate(m, q)
					e.Verdict = verdict.Draw(t, "worth")
					if e.Verdict == bench.Bounded {
						e.Low, e.High = rapid.Int64Range(0, e.Value).Draw(t, "low"), e.Value+rapid.Int64Range(0, 1e9).Draw(t, "above")
					}
					e.Indicative = e.Unknown != "" && rapid.Bool().Draw(t, "indicative")
					if rapid.Bool().Draw(t, "interval") {
						e.Effective, e.From, e.To = rapid.Float64Range(1, 1e9).Draw(t, "effective"), rapid.Int64Range(1, 1e9).Draw(t, "from"), rapid.Int64Range(0, 1e9).Draw(t, "to")
					}
					r.Estimates[m] = append(r.Estimates[m], e)
				}
			}
		}
		if rapid.Bool().Draw(t, "target") {
			r.Target = &bench.TargetUse{Source: text.Draw(t, "probe"), Length: 1 + ns.Draw(t, "probed"), Before: rapid.Uint64().Draw(t, "before"), Most: rapid.Uint64().Draw(t, "most")}
			if r.Target.Why = text.Draw(t, "unknown use"); r.Target.Why == "" {
				r.Target.CPU = ns.Draw(t, "target's cpu")
			}
		}
		if rapid.Bool().Draw(t, "two clocks") {
			r.Clock = &bench.ClockBound{Low: -int64(ns.Draw(t, "behind")), High: int64(ns.Draw(t, "ahead"))}
		}
		if rapid.Bool().Draw(t, "drifts") {
			r.Drift = &bench.Drift{Metric: rapid.SampledFrom(bench.Timings()).Draw(t, "drifting"), Q: rapid.Float64Range(0, 1).Draw(t, "q"),
				Share: rapid.Float64Range(-5, 5).Draw(t, "by"), P: rapid.Float64Range(0, .01).Draw(t, "p")}
		}
		if rapid.Bool().Draw(t, "resumed") {
			r.Resumption = &bench.Resumption{Verdict: rapid.SampledFrom([]bench.ResumeVerdict{bench.ExactlyOnce, bench.AtLeastOnce, bench.Lossy, bench.Undecidable}).Draw(t, "resumes"),
				Why: text.Draw(t, "undecidable"), Judged: rapid.Uint64Range(0, 9).Draw(t, "judged"), Correct: rapid.Uint64Range(0, 9).Draw(t, "correct"),
				Idle: rapid.Uint64().Draw(t, "idle"), Cut: rapid.Uint64().Draw(t, "cut"), Unasked: rapid.Uint64().Draw(t, "unasked"), Unknown: rapid.Uint64().Draw(t, "unknown"),
				Replayed: rapid.Uint64().Draw(t, "replayed"), Deepest: rapid.Uint64().Draw(t, "deepest"), Missing: rapid.Uint64().Draw(t, "missing"), Resent: rapid.Uint64().Draw(t, "resent")}
			for f := range r.Resumption.Faults {
				r.Resumption.Faults[f] = rapid.Uint64().Draw(t, "faulty")
			}
		}
		for _, class := range rapid.SliceOfN(rapid.SampledFrom(client.Classes()), 0, 3).Draw(t, "errors") {
			r.Errors = append(r.Errors, bench.ErrorGroup{Class: class, Code: rapid.IntRange(0, 4999).Draw(t, "code"), Key: text.Draw(t, "key"),
				Count: rapid.Uint64().Draw(t, "n"), First: ns.Draw(t, "first"), Last: ns.Draw(t, "last"), Text: text.Draw(t, "text")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			r.Series = append(r.Series, bench.Bucket{At: ns.Draw(t, "at"), Received: rapid.Uint64().Draw(t, "r"),
				Headline: bench.Quantiles{Samples: rapid.Int64Range(0, 500).Draw(t, "s"), P50: 1, P99: 2, Max: 3}, Spread: bench.Spread{First: rapid.IntRange(0, 80).Draw(t, "level"), Counts: rapid.SliceOfN(rapid.Uint64Range(0, 9), 1, 5).Draw(t, "levels")}})
		}
		for _, s := range rapid.SliceOfN(threshold, 0, 3).Draw(t, "thresholds") {
			r.Judgements = append(r.Judgements, judge(r, s))
		}
		entries := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Entry { return Entry{text.Draw(t, "name"), text.Draw(t, "value")} }), 0, 3).Draw(t, "entries")
		return Run{r, Config{text.Draw(t, "command"), text.Draw(t, "target"), entries}}
	})
}

func TestRoundTrip(t *testing.T) {
	fewerUnderRace(t)
	s := compileSchema(t)
	check := func(t interface{ Fatalf(string, ...any) }, run Run) {
		var first, second bytes.Buffer
		if err := Write(&first, JSON, run, TextOptions{}); err != nil {
			t.Fatalf("write: %v", err)
		}
		if err := validate(s, first.Bytes()); err != nil {
			t.Fatalf("schema: %v\n%s", err, first.String())
		}
		back, err := Read(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("read: %v\n%s", err, first.String())
		}
		if err := Write(&second, JSON, back, TextOptions{}); err != nil {
			t.Fatalf("write again: %v", err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("not the same again:\n%s\n%s", first.String(), second.String())
		}
		for _, before := range timings(run.Result) {
			after := back.Result.Histogram(before.metric)
			for _, q := range []float64{0, 10, 50, 99, 99.99, 100} {
				if a, b := before.histogram.ValueAtQuantile(q), after.ValueAtQuantile(q); a != b {
					t.Fatalf("%s at %v: %d, then %d", before.metric, q, a, b)
				}
			}
			if !before.histogram.Equals(after) {
				t.Fatalf("%s: another distribution", before.metric)
			}
		}
	}
	for _, run := range samples() {
		check(t, run)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, anyRun().Draw(t, "run")) })
}

// Whatever the run, every format can be written and holds nothing that a terminal or a spreadsheet acts on.
func TestEveryRunCanBeWritten(t *testing.T) {
	fewerUnderRace(t)
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun().Draw(t, "run")
		for _, f := range Formats() {
			var b bytes.Buffer
			if err := Write(&b, f, run, TextOptions{Width: rapid.IntRange(0, 120).Draw(t, "width")}); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			for _, r := range b.String() {
				if r != '\n' && !shown(r) {
					t.Fatalf("%s holds %U:\n%s", f, r, b.String())
				}
			}
			if f != CSV {
				continue
			}
			for _, row := range rows(t, b.Bytes()) {
				if i := slices.IndexFunc(row, func(c string) bool { return !noFormula(c) }); i >= 0 {
					t.Fatalf("%q", row[i])
				}
			}
		}
	})
}

func TestReadGivesBackTheTypes(t *testing.T) {
	want := rich()
	for _, estimates := range want.Result.Estimates {
		for i, e := range estimates {
			estimates[i].Verdict = worth(e.Verdict, e.Unknown)
		}
	}
	got, err := Read(bytes.NewReader(write(t, JSON, want, TextOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct{ text string }{{"p99.9(delivery) < 1s"}, {"reach > 0"}, {"throughput > 0"}, {"rate(drops) < 1%"}, {"min(outage) < 1s"}} {
		a, b := judge(want.Result, q.text), judge(got.Result, q.text)
		if a != b {
			t.Errorf("%s: %+v, then %+v", q.text, a, b)
		}
	}
	if !slices.Equal(got.Result.Errors, want.Result.Errors) || !slices.Equal(got.Config.Entries, want.Config.Entries) ||
		!slices.Equal(got.Result.Judgements, want.Result.Judgements) || !reflect.DeepEqual(got.Result.Estimates, want.Result.Estimates) ||
		!maps.Equal(got.Result.Absent, want.Result.Absent) || got.Result.Health != want.Result.Health || *got.Result.Drift != *want.Result.Drift || *got.Result.Resumption != *want.Result.Resumption ||
		got.Result.Window != want.Result.Window || got.Result.Waited != want.Result.Waited || got.Result.Trimmed != want.Result.Trimmed ||
		!got.Result.Start.Equal(want.Result.Start) || got.Result.Environment != want.Result.Environment {
		t.Errorf("got %+v", got)
	}
	if a, b := write(t, Text, want, TextOptions{}), write(t, Text, got, TextOptions{}); !bytes.Equal(a, b) {
		t.Errorf("the text differs:\n%s", b)
	}
}
