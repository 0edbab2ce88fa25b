package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rtbench/rtbench/bench"
)

// compared is a comparison with something of everything.
func compared() *Comparison {
	a, b := trialsOf(10, 1.1, .02, 7)
	for _, r := range b {
		r.Counts[bench.WireIn-bench.Counts()[0]] -= 20_000
		r.Target.Most = r.Target.Before
	}
	return &Comparison{
		Start: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Elapsed: 48200 * time.Millisecond, Command: "rtbench compare",
		Sides:    [2]Side{{"SSE", "rtbench sse http://localhost:8080/events --connections 100"}, {"WebSocket", "rtbench ws ws://localhost:8080/feed --connections 100"}},
		Workload: "feed: 100 connections, what the target publishes", Trial: 2 * time.Second, Order: "ABBABAABABBAABBABAAB",
		Repeated:  []string{"SSE: CLIENT-SATURATED: the tester was too slow"},
		Contrasts: Contrasts(a, b, .05),
		Claims: []Claim{
			{"framing", "A WebSocket frame costs 2 to 14 bytes; an SSE event costs more.", "framing of an event: SSE 21.6 B, WebSocket 4.0 B", Holds, ""},
			{"latency", "SSE has a slightly higher latency than WebSocket.", "delivery p50: WebSocket takes 1.10 × SSE's (95 %: 1.08–1.12)", HoldsNot, ""},
			{"capacity", "A server holds 10,000 to 100,000 connections.", "", Untellable, "no more than 100 were asked of it (-c 10000)"},
		},
		Advice:      []string{"Take SSE for this workload: SSE's delivery p50 is 9 % lower (row 2).", "What would change this: binary payloads."},
		Warnings:    []bench.Warning{{Text: "WebSocket, every connection reset: only 9 of 10 connections were ever open", Advice: "what rests on it can't be told"}},
		Environment: sampleEnvironment(), Entries: []Entry{{Scenario, "both of them"}, {"pairs", "10"}},
	}
}

// hostileComparison has whatever a side may be called, and a server may say.
func hostileComparison() *Comparison {
	c := compared()
	evil := "\x1b[31m<script>alert(1)</script>|`*_[x](y)\n=cmd()|@everyone"
	c.Sides = [2]Side{{evil, evil + "``"}, {"B", "x"}}
	c.Workload, c.Repeated, c.Advice = evil, []string{evil}, []string{evil}
	c.Contrasts[0] = Contrast{Name: evil, Unknown: evil}
	c.Contrasts[1].Ratio, c.Contrasts[1].Low, c.Contrasts[1].High = math.NaN(), 0, math.Inf(1)
	c.Claims = []Claim{{evil, evil, evil, Untellable, evil}}
	c.Doubts = []bench.Warning{{Text: evil, Advice: evil}}
	c.Entries = []Entry{{Scenario, evil}}
	c.Interrupted = true
	return c
}

func writeCompared(t *testing.T, f Format, c *Comparison, opts TextOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteComparison(&b, f, c, opts); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestComparisonBrief: a comparison in a few words says of which figure, and between whom, it speaks.
func TestComparisonBrief(t *testing.T) {
	different := Contrast{Name: "delivery p99", Tested: true, Alpha: .05, Adjusted: .01, Paired: Paired{Ratio: 1.234}}
	alike := Contrast{Name: "delivery p50", Tested: true, Alpha: .05, Adjusted: .5}
	none := Contrast{Name: "delivery p99", Unknown: "too few"}
	for want, c := range map[string]*Comparison{
		"no verdict":                         {Doubts: []bench.Warning{{Text: "x"}}, Contrasts: []Contrast{alike, different}},
		"WebSocket ÷ SSE delivery p99 1.23":  {Contrasts: []Contrast{alike, different}},
		"no difference in delivery p50":      {Contrasts: []Contrast{alike, none, different}},
		"nothing can be said of the latency": {},
	} {
		c.Sides = [2]Side{{Name: "SSE"}, {Name: "WebSocket"}}
		if got := c.Brief(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestComparisonGolden(t *testing.T) {
	for name, c := range map[string]*Comparison{"compared": compared(), "compared-hostile": hostileComparison()} {
		for _, f := range ComparisonFormats() {
			golden(t, name+f.Extension(), writeCompared(t, f, c, TextOptions{}))
		}
	}
	golden(t, "compared-60.txt", writeCompared(t, Text, compared(), TextOptions{Width: 60}))
	golden(t, "compared-ascii.txt", writeCompared(t, Text, compared(), TextOptions{ASCII: true}))
	if err := WriteComparison(&bytes.Buffer{}, HLog, compared(), TextOptions{}); err == nil {
		t.Error("a comparison has no histograms")
	}
}

// What anybody may have written is text in a comparison, and nothing else.
func TestComparisonIsHarmless(t *testing.T) {
	for _, f := range []Format{Text, Markdown} {
		got := string(writeCompared(t, f, hostileComparison(), TextOptions{}))
		for _, evil := range []string{"\x1b", "\n=cmd"} {
			if strings.Contains(got, evil) {
				t.Errorf("%s has %q", f, evil)
			}
		}
		if f == Markdown {
			for _, line := range strings.Split(got, "\n") {
				if !strings.Contains(line, "`") && (strings.Contains(line, "<script") || strings.Contains(line, "](")) {
					t.Errorf("it would be taken for HTML or a link: %s", line)
				}
			}
		}
	}
}

// TestComparisonSchema holds the JSON against its schema, numbers that JSON doesn't have included.
func TestComparisonSchema(t *testing.T) {
	text, err := os.ReadFile("schema/comparison.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(ComparisonSchema, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(ComparisonSchema)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Comparison{compared(), hostileComparison(), {}} {
		var value any
		if err := json.Unmarshal(writeCompared(t, JSON, c, TextOptions{}), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Error(err)
		}
	}
}

func TestShareText(t *testing.T) {
	for share, want := range map[float64]string{0: "0 %", .0004: "0 %", .034: "3.4 %", .25: "25 %", 1.5: "150 %", 9.5: "10.5 times", math.Inf(1): "any amount"} {
		if got := shareText(share); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
	if got := fmt.Sprint(ratioText(1234567), " ", ratioText(123.4), " ", ratioText(12.34), " ", ratioText(1.234), " ", ratioText(math.NaN())); got != "∞ 123 12.3 1.23 –" {
		t.Error(got)
	}
}

// TestJUnitIsXML: whatever a server wrote, a reader of XML takes it, and finds the cases counted.
func TestJUnitIsXML(t *testing.T) {
	documents := map[string][]byte{"comparison": writeCompared(t, JUnit, hostileComparison(), TextOptions{})}
	for name, run := range samples() {
		documents[name] = write(t, JUnit, run, TextOptions{})
	}
	for name, text := range documents {
		var suites junitSuites
		if err := xml.Unmarshal(text, &suites); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := suites.Suites[0]
		failures := 0
		for _, c := range s.Cases {
			if c.Failure != nil {
				failures++
			}
		}
		if s.Tests != len(s.Cases) || s.Failures != failures || s.Tests == 0 {
			t.Errorf("%s: %d tests of %d, %d failures of %d", name, s.Tests, len(s.Cases), s.Failures, failures)
		}
	}
}
