package cmd

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

// printedOf is what --print prints of a file, whatever else is wrong with it.
func printedOf(t interface{ Fatal(...any) }, text string) string {
	file, err := parseScenarios("f.yaml", text)
	if err != nil {
		t.Fatal(text, err)
	}
	f := &runFlags{}
	f.register(pflag.NewFlagSet("run", pflag.ContinueOnError))
	var list []planned
	for i := range file.scenarios {
		p, _ := f.prepare(file, &file.scenarios[i])
		list = append(list, p)
	}
	var b strings.Builder
	if err := printPlan(&b, file, list); err != nil {
		t.Fatal(text, err)
	}
	return b.String()
}

// Whatever a value is, what is printed of it is read as the same.
func TestPrintedValues(t *testing.T) {
	same := func(t interface {
		Fatal(...any)
		Fatalf(string, ...any)
	}, text string) {
		said := inYAML(literally(text))
		printed := printedOf(t, "name: "+said+"\ndefaults:\n  last-event-id: "+said+"\nscenarios:\n  - sse: http://a/\n    output:\n      - a.json\n      - "+said+"\n  - sse: http://a/\n")
		file, err := parseScenarios("printed.yaml", printed)
		if err != nil {
			t.Fatalf("%q: %v\n%s", text, err, printed)
		}
		for _, s := range file.scenarios {
			for _, x := range s.settings {
				if last := x.values[len(x.values)-1].text; (x.flag == "last-event-id" || x.flag == "output") && last != text {
					t.Fatalf("%q is read as %q\n%s", text, last, printed)
				}
			}
		}
		if file.name.text != text || len(file.scenarios) != 2 {
			t.Fatalf("%q: %q, %d scenarios\n%s", text, file.name.text, len(file.scenarios), printed)
		}
	}
	for _, text := range []string{
		"a\rb", "a\r\nb", "\ta\t", " a ", "a ", "a\n", "\n\na\n\n", "\x1b[31m", "? x", "?", "- x", "-", "---", "...", "--seq id", ": x", "a: b", "a:", "a #b", "#", "~", "null", "yes", "1e3", "0x10", ".inf", "2024-01-01",
		"{a}", "[a]", "*a", "&a", "!a", "|", ">", "%a", "@a", "`a", "'a'", `"a"`, `\`, `a\nb`, "$${a}", "${a}", "{{.Conn}}", "\x00\x07\x7f\u0085\u2028\ufeff", "😀", "\U000e0001", "<<", "=", "a\n---\nb", "a\n# b",
	} {
		same(t, text)
	}
	texts := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune(" \t\r\n\x1b#:-?'\"\\{}[],&*!|>%@`$~ab0.")), rapid.Rune()), 1, 20, -1)
	rapid.Check(t, func(t *rapid.T) { same(t, texts.Draw(t, "text")) })
}
