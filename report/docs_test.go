package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/rtbench/rtbench/bench"
)

// TestDocs holds the tables of docs/report.md against those in the code.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "docs", "report.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fresh := fill(t, text, "formats", formatTable())
	fresh = fill(t, fresh, "metrics", metricTable())
	if *update {
		if err := os.WriteFile(path, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(fresh, text) {
		t.Errorf("%s is out of date (go test -update writes its tables anew)", path)
	}
}

// fill puts a table between the markers of that name.
func fill(t *testing.T, text []byte, name, table string) []byte {
	t.Helper()
	place := regexp.MustCompile(`(?s)(<!-- ` + name + ` -->\n).*?(<!-- /` + name + ` -->)`)
	if !place.Match(text) {
		t.Fatalf("there is no place for %s", name)
	}
	return place.ReplaceAll(text, []byte("${1}"+table+"${2}"))
}

func formatTable() string {
	var b strings.Builder
	b.WriteString("| Format | File | What it is |\n|---|---|---|\n")
	for _, f := range Formats() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", f, f.Extension(), f.Sentence())
	}
	return b.String()
}

func metricTable() string {
	var b strings.Builder
	b.WriteString("| Metric | Kind | Unit | Better | What it is |\n|---|---|---|---|---|\n")
	for _, m := range bench.Metrics() { // of most counters more is neither better nor worse
		kind, better := "ratio", ""
		switch {
		case m.IsTiming():
			kind = "timing"
		case m.IsCount():
			kind = "counter"
		}
		switch {
		case m.LowerIsBetter():
			better = "lower"
		case !m.IsCount():
			better = "higher"
		}
		sentence := m.Sentence()
		if of, ok := m.Of(); ok {
			sentence += "; its rate is of `" + of.String() + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m, kind, m.Unit(), better, sentence)
	}
	return b.String()
}

// Every key of the JSON document is explained.
func TestDocsExplainEveryKey(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				if key != "" && !bytes.Contains(text, []byte("`"+key+"`")) {
					t.Errorf("the document does not explain %s", key)
				}
				walk(typ.Field(i).Type)
			}
		}
	}
	walk(reflect.TypeFor[document]())
}

// The figures quoted in the document for how many samples a quantile needs.
func TestDocsQuoteTheRightFigures(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		q    float64
		text string
	}{{.5, "p50 needs %s samples"}, {.99, "p99 needs %s"}, {.999, "p99.9 needs %s"}, {.9999, "p99.99 needs %s"}} {
		if want := fmt.Sprintf(q.text, count(uint64(bench.SamplesFor(q.q)))); !bytes.Contains(text, []byte(want)) {
			t.Errorf("the document does not say %q", want)
		}
	}
}
