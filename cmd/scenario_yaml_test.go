package cmd

import (
	"fmt"
	"strings"
	"testing"
)

// What would take the parser's memory, or its time, is refused before it, and what aliases stand for has an end.
func TestScenarioBounds(t *testing.T) {
	var keys strings.Builder
	for i := range 12_000 {
		fmt.Fprintf(&keys, "    k%d: 1\n", i)
	}
	const nested, long, much = "stand more than 100 deep in each other", "a mapping has more than 1000 keys", "the aliases stand for too much"
	for name, test := range map[string]struct{ text, want string }{
		"brackets":  {strings.Repeat("[", 20_000), nested},
		"braces":    {strings.Repeat("{a: ", 20_000), nested},
		"dashes":    {strings.Repeat("- ", 40_000), nested},
		"questions": {strings.Repeat("? ", 40_000), nested},
		"indents":   {nestedKeys(1000), nested},
		"keys":      {"scenarios:\n  - sse:\n" + keys.String(), long},
		"no colons": {"scenarios: {" + strings.Repeat("a,", 20_000) + "}", long},
		"no values": {strings.Repeat("? a\n", 16_000), long},
		"flow":      {"scenarios: [{" + strings.ReplaceAll(strings.TrimSpace(keys.String()), "\n", ",") + "}]", long},
		"aliases": {"x-b: &b\n  header: [" + strings.Repeat("'a: b', ", 10_000) + "]\nscenarios:\n" +
			strings.Repeat("  - <<: *b\n    sse:\n", 900), much},
		"doubled": {"scenarios:\n  - &a\n    sse:\n    <<: [*a, *a]\n", "too many merges in each other"},
	} {
		if _, err := parseScenarios("f.yaml", test.text); err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 300 {
			t.Errorf("%s: %.400v", name, err)
		}
	}
	many := "x-b: &b {seed: 1, drain: 1s, timeout: 1s, seq: id, header: ['A: b', 'C: d']}\nscenarios:\n" + strings.Repeat("  - <<: *b\n    sse: http://a/\n", maxScenarios)
	if file, err := parseScenarios("f.yaml", many); err != nil || len(file.scenarios) != maxScenarios {
		t.Errorf("a base of %d scenarios: %v", maxScenarios, err)
	}
}

func nestedKeys(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// What is YAML is read, however it is written.
func TestScenarioYAML(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"x-a: &a {seed: 7, seq: id}\nx-b: &b {seed: 8, drain: 1s}\nscenarios:\n  - sse: http://a/\n    <<: [*a, *b]\n", "seed=[7] seq=[id] drain=[1s]"},
		{"x-a: &a [{seed: 7}, {seed: 8}]\nscenarios:\n  - sse: http://a/\n    <<: *a\n", "seed=[7]"},
		{"scenarios: [{sse: 'http://a/', stage: [1s:3, 10s:4]}]", "stage=[1s:3 10s:4]"},
		{"scenarios:\n  - sse: http://a/\n    stage: [1s:3]\n", "stage=[1s:3]"},
		{"x-a: [&x json:a]\nscenarios:\n  - sse: http://a/\n    seq: *x\nx-b: [&x json:b]\n", "seq=[json:a]"},
		{"scenarios:\n  - sse: http://a/\n    seq: &x json:a\n    stamp: *x\n    bearer: &x b\n    last-event-id: *x\n", "seq=[json:a] stamp=[json:a] bearer=[b] last-event-id=[b]"},
		{"scenarios:\r\n  - sse: http://a/\r\n    data: |\r\n      one\r\n      two\r\n    bearer: x\r\n", "data=[one\ntwo\n] bearer=[x]"},
		{"scenarios:\r  - sse: http://a/\r    seq: id\r", "seq=[id]"},
		{"%YAML 1.2\n---\nscenarios: [{sse: 'http://a/', seq: id}]\n", "seq=[id]"},
		{"---\n---\n# a\n--- # b\nscenarios: [{sse: 'http://a/', seq: id}]\n---\n---\n...\n", "seq=[id]"},
		{"scenarios: [{sse: !!str http://a/, seq: !!str id, seed: !!int 7}]", "seq=[id] seed=[7]"},
		{"\ufeffscenarios: [{sse: 'http://a/', seq: id}]", "seq=[id]"},
	} {
		list, err := planOfFile(test.text)
		if err != nil {
			t.Errorf("%s\n%v", test.text, err)
			continue
		}
		var got []string
		for _, x := range list[0].settings {
			got = append(got, fmt.Sprintf("%s=%v", x.flag, textsOf(x.values)))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s\n%v, want %s", test.text, got, test.want)
		}
	}
}
