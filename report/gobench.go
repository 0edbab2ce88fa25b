package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/rtbench/rtbench/bench"
)

// writeGoBench writes every timing as a line of Go's benchmark format, which benchstat compares: how many samples, and the
// quantiles that there are, in ns.
func writeGoBench(w io.Writer, run Run) error {
	if err := run.check(); err != nil {
		return err
	}
	r := run.Result
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\n", oneWord(r.Environment.OS), oneWord(r.Environment.Arch))
	if name := scenario(run.Config.Entries); name != "" {
		fmt.Fprintf(&b, "%s: %s\n", Scenario, Plain(name))
	}
	name := ""
	for _, word := range strings.FieldsFunc(run.Config.Command, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	for _, t := range timings(r) {
		line := fmt.Sprintf("Benchmark%s/%s %d", oneWord(name), t.metric, t.histogram.TotalCount())
		some := false
		for _, q := range quantiles {
			if ns, ok := t.quantile(q.q); ok {
				line += fmt.Sprintf(" %d %s-ns", ns, q.name)
				some = true
			}
		}
		if some {
			b.WriteString(line + "\n")
		}
	}
	for _, m := range []bench.Metric{bench.Lost, bench.Duplicate} {
		if _, unmeasured := r.Unmeasured[m]; !unmeasured {
			fmt.Fprintf(&b, "Benchmark%s/%s 1 %d %s\n", oneWord(name), m, r.Count(m), m)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneWord is a text without what would end a word of the format.
func oneWord(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}
