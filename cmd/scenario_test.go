package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/pflag"
)

// planOfFile plans what a file says, as the command does with args of its own.
func planOfFile(text string, args ...string) ([]planned, error) {
	file, err := parseScenarios("f.yaml", text)
	if err != nil {
		return nil, err
	}
	f := &runFlags{}
	f.register(pflag.NewFlagSet("run", pflag.ContinueOnError))
	if err := f.set.Parse(args); err != nil {
		return nil, err
	}
	if err := fromEnvironment(f.set); err != nil {
		return nil, err
	}
	list, err := f.plan(file)
	return list, file.hidden(err)
}

// What is wrong with a file is told with its line.
func TestBadScenarios(t *testing.T) {
	t.Setenv("EMPTY", "")
	for _, test := range []struct{ text, want string }{
		{"", "f.yaml is empty"},
		{"# nothing\n", "f.yaml is empty"},
		{"\xff", "f.yaml is not UTF-8 text"},
		{"- sse:", "f.yaml:1: `- sse:`: it is no mapping"},
		{"name: x", "f.yaml has no scenarios"},
		{"scenarios: []", "f.yaml has no scenarios"},
		{"scenarios:\n", "f.yaml:1: `scenarios:`: `scenarios:` is no list"},
		{"name: x\nscenario:\n  - sse:\n", "f.yaml:2: `scenario:`: a scenario file has no \"scenario\""},
		{"scenarios:\n  - sse\n", "f.yaml:2: `- sse`: it is no mapping"},
		{"scenarios:\n  - name: a\n    see: http://h/\n", "f.yaml:3: `see: REDACTED`: a scenario has no \"see\", and this one doesn't say what it measures"},
		{"scenarios:\n  - name: a\n    connections: 3\n", "f.yaml:2: `- name: a`: the scenario doesn't say what it measures"},
		{"scenarios:\n  - sse:\n    ws:\n", "f.yaml:3: `ws:`: a scenario is either sse or ws"},
		{"scenarios:\n  - sse: [a, b]\n", "f.yaml:2: `- sse: REDACTED`: it is a list, and there may be but one"},
		{"scenarios:\n  - compare: http://a/\n", "f.yaml:2: `- compare: http://a/`: compare has 1 URLs"},
		{"scenarios:\n  - sse:\n    message: x\n", "f.yaml:3: `message: REDACTED`: sse has no flag --message"},
		{"scenarios:\n  - sse:\n    z: 3s\n", "f.yaml:3: `z: REDACTED`: sse has no flag --z"},
		{"scenarios:\n  - sse:\n    help: true\n", "f.yaml:3: `help: true`: sse has no flag --help"},
		{"scenarios:\n  - sse:\n    seq: [id, id]\n", "f.yaml:3: `seq: [id, id]`: it is a list, and there may be but one"},
		{"scenarios:\n  - sse:\n    threshold: []\n", "f.yaml:3: `threshold: []`: the list is empty"},
		{"scenarios:\n  - sse:\n    seq:\n", "f.yaml:3: `seq:`: it has no value"},
		{"scenarios:\n  - sse:\n    seq: {a: b}\n", "f.yaml:3: `seq: …`: it is no single value"},
		{"scenarios:\n  - sse:\n    seq: id\n    seq: id\n", "f.yaml:4: `seq: id`: mapping key \"seq\" already defined at [3:5]"},
		{"scenarios:\n  - name: a/b\n    sse:\n", "f.yaml:2: `- name: a/b`: \"a/b\" can't name a scenario"},
		{"scenarios:\n  - name: a\n    sse:\n  - name: a\n    ws:\n", "f.yaml:4: `- name: a`: there is another scenario \"a\""},
		{"scenarios:\n  - sse: *x\n", "f.yaml:2: `- sse: REDACTED`: the alias *x stands for nothing"},
		{"scenarios:\n  - sse: http://a/\n    seq: *x\nx-a: &x id\n", "f.yaml:3: `seq: *x`: the alias *x stands for nothing"},
		{"scenarios:\n  - sse:\n    bearer: ${NOT_SET_HERE}\n", "f.yaml:3: `bearer: REDACTED`: the variable NOT_SET_HERE is not set"},
		{"scenarios:\n  - sse: http://u:p@h/${NOT_SET_HERE}\n", "f.yaml:2: `- sse: http://u:REDACTED@h/${NOT_SET_HERE}`: the variable NOT_SET_HERE is not set"},
		{"scenarios:\n  - sse:\n    origin: ${}\n", "f.yaml:3: `origin: REDACTED`: ${} is no variable"},
		{"defaults:\n  conections: 3\nscenarios:\n  - sse:\n", "f.yaml:2: `conections: 3`: there is no flag --conections"},
		{"defaults: 3\nscenarios:\n  - sse:\n", "f.yaml:1: `defaults: 3`: it is no mapping"},
		{"scenarios:\n  - sse:\n---\nscenarios:\n  - ws:\n", "a second document"},
		{"scenarios:\n  - sse:\n---\n---\nscenarios:\n  - ws:\n", "f.yaml:5: `scenarios:`: a second document"},
		{"---\n---\n", "f.yaml is empty"},
		{"%YAML 1.2\n---\n", "f.yaml is empty"},
		{"scenarios:\r\n  - sse:\r\n    z: 3s\r\n", "f.yaml:3: `z: REDACTED`: sse has no flag --z"},
		{"scenarios:\n  - sse:\n    data: !!binary aGk=\n", "f.yaml:3: `data: REDACTED`: the tag !!binary says nothing here"},
		{"scenarios:\n  - sse:\n    seq: !foo id\n", "f.yaml:3: `seq: !foo id`: the tag !foo says nothing here"},
		{"scenarios:\n  - sse:\n    seq: !!str\n", "f.yaml:3: `seq: !!str`: it has no value"},
		{"scenarios:\n  - !!str\n", "it is no mapping"},
		{"scenarios:\n  - sse: 'http://a\n", "f.yaml:2: "},
		{"a: &a\n  <<: *a\nscenarios:\n  - sse:\n", "a scenario file has no \"a\""},
		{"scenarios:\n  - &a\n    sse:\n    <<: *a\n", "there are too many merges in each other"},
	} {
		_, err := planOfFile(test.text)
		if err == nil || exitOf(err) != exitUsage || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.text, err, test.want)
		}
	}
}

// What a file says reaches the flags, whatever way it says it.
func TestScenarioValues(t *testing.T) {
	t.Setenv("HOST", "h:1")
	_, err := parseScenarios("f.yaml", `
name: all
defaults: &all
  seed: 7
  drain: 1s
scenarios:
  - sse: http://${HOST}/${NONE:-x}
    connections: 1_000
    header: [a: b]
`)
	if err == nil {
		t.Fatal("a mapping is no header")
	}
	file, err := parseScenarios("f.yaml", `
name: "all ${HOST}"
defaults: &all
  seed: 7
  drain: 1s
scenarios:
  - &first
    sse: http://${HOST}/${NONE:-x}
    connections: 10k
    header: ["A: $${HOST}", 'B: {{.Conn}}']
    insecure: true
    data: |
      one
      two
    threshold: lost == 0
  - <<: *first
    sse: "http://${HOST}/2"
    connections: 0x10
    name: zwei ü
  - compare: [http://a/, 'ws://b/']
    ws: --ping 1s
    pairs: auto
  - ws: ~
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range file.scenarios {
		line := fmt.Sprintf("%s %s %q", s.name, s.kind.name, textsOf(s.args))
		for _, x := range s.settings {
			line += fmt.Sprintf(" %s=%q", x.flag, textsOf(x.values))
		}
		got = append(got, line)
	}
	want := []string{
		`sse-1 sse ["http://h:1/x"] connections=["10k"] header=["A: ${HOST}" "B: {{.Conn}}"] insecure=["true"] data=["one\ntwo\n"] threshold=["lost == 0"]`,
		`zwei ü sse ["http://h:1/2"] connections=["0x10"] header=["A: ${HOST}" "B: {{.Conn}}"] insecure=["true"] data=["one\ntwo\n"] threshold=["lost == 0"]`,
		`compare-3 compare ["http://a/" "ws://b/"] ws=["--ping 1s"] pairs=["auto"]`,
		`ws-4 ws []`,
	}
	if file.name.text != "all h:1" || len(file.defaults) != 2 || !slices.Equal(got, want) {
		t.Errorf("%q, %v, got\n%s\nwant\n%s", file.name.text, file.defaults, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A scenario without a name gets one that no other has, and most often that of its place.
func TestScenarioNames(t *testing.T) {
	file, err := parseScenarios("f.yaml", "scenarios: [{name: sse-3, sse: }, {sse: }, {sse: }, {ws: }, {name: sse-6, ws: }, {sse: }]")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range file.scenarios {
		names = append(names, s.name)
	}
	if got := strings.Join(names, " "); got != "sse-3 sse-2 sse-7 ws-4 sse-6 sse-8" {
		t.Error(got)
	}
}

// A flag that needs no value needs none in a file.
func TestScenarioBareFlags(t *testing.T) {
	for _, text := range []string{"resume-horizon: ", "resume-horizon: ~", "find-idle-limit: "} {
		list, err := planOfFile("scenarios: [{sse: 'http://a/', " + text + "}]")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		name, _, _ := strings.Cut(text, ":")
		if flag := list[0].job.flags().Lookup(name); !flag.Changed || flag.Value.String() != list[0].said[name].values[0].text {
			t.Errorf("%s: %s", text, flag.Value)
		}
	}
}

// Whatever a file holds, it is read or refused in a line.
func FuzzScenarios(f *testing.F) {
	f.Add(scenarioExample)
	f.Add("a: &a [*a]\nscenarios: *a")
	f.Add("scenarios:\n  - !!str sse: |\n     x\n    ? [a]\n    : b")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parseScenarios("f.yaml", text)
		switch {
		case err != nil && exitOf(err) != exitUsage:
			t.Errorf("%q: %v", text, err)
		case err == nil && len(file.scenarios) == 0:
			t.Errorf("%q is read, and has no scenarios", text)
		}
	})
}

func scenarioSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	var b bytes.Buffer
	if err := writeSchema(&b); err != nil {
		t.Fatal(err)
	}
	documented := filepath.Join("..", "docs", "scenario.schema.json")
	if os.Getenv("UPDATE_SCHEMA") != "" {
		if err := os.WriteFile(documented, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(documented); err != nil || !bytes.Equal(text, b.Bytes()) {
		t.Errorf("%s is another one, %v: UPDATE_SCHEMA=1 go test ./cmd -run TestScenarioSchema makes it anew", documented, err)
	}
	doc, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("s.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// The schema takes what run takes, and refuses what an editor can know to be wrong.
func TestScenarioSchema(t *testing.T) {
	schema := scenarioSchema(t)
	valid := func(text string) error {
		var doc any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			return err
		}
		return schema.Validate(doc)
	}
	documents, err := os.ReadFile(filepath.Join("..", "docs", "scenarios.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(string(documents))
	for _, text := range []string{
		scenarioExample, documented[1], "scenarios: [{sse: '--seq id', ws: '--ping 1s', compare: }]",
		"scenarios: [{sse: , connections: 10k, rate: 5/s, drain: 0, seq: id, done: '[DONE]', stage: ['1s:3']}]",
		"scenarios: [{ws: , chat: 10, rate: 5, reconnect: [linear, fixed], jitter: full, max-event-size: 4k, ping: 1.5s}]",
		"scenarios: [{ws: , duration: '${LONG}', insecure: '${ANY:-true}', connections: '${N}'}]",
		"x-base: &base {seed: 7}\nscenarios: [{sse: , <<: *base}]", "scenarios: [{sse: , name: zwei ü}, {ws: , name: '${N}'}, {ws: , name: 4}, {ws: , name: 日本語}]",
		"name: 2024\nscenarios: [{sse: , insecure: 'true', connections: '20', seed: '0x7', drain: '0', rate: '5', publish: /p, max-event-size: '10', name: 2024}]",
		"name: true\nscenarios: [{sse: , insecure: 0}, {ws: , insecure: '${ANY:-0}', ping: '0', chat: '3'}]",
		"scenarios: [{sse: , find-idle-limit: }, {sse: , resume-horizon: , seq: id}, {sse: , find-idle-limit: 1m}]",
		"scenarios: [{compare: , sse: '--seq id', ws: '--ping 1s', workload: chat, format: markdown}]",
	} {
		if err := valid(text); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
		t.Setenv("TOKEN", "x")
		t.Setenv("LONG", "1s")
		t.Setenv("N", "3")
		file, err := parseScenarios("f.yaml", text)
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			continue
		}
		f := &runFlags{}
		f.register(pflag.NewFlagSet("run", pflag.ContinueOnError))
		if _, err := f.plan(file); err != nil && !strings.Contains(err.Error(), "don't go together") {
			t.Errorf("%s\n%v", text, err)
		}
	}
	for _, text := range []string{
		"{}", "scenarios: []", "scenarios: [{connections: 3}]", "scenarios: [{sse: , conections: 3}]", "scenarios: [{sse: , ws: }]",
		"scenarios: [{sse: , duration: 3}]", "scenarios: [{sse: , duration: soon}]", "scenarios: [{sse: , connections: 0}]", "scenarios: [{sse: , insecure: 3}]", "scenarios: [{sse: , insecure: }]",
		"scenarios: [{ws: , jitter: some}]", "scenarios: [{compare: [a]}]", "scenarios: [{compare: , workload: none}]", "scenarios: [{compare: , format: hlog}]",
		"defaults: {nothing: 3}\nscenarios: [{sse: }]", "scenarios: [{sse: , name: a/b}]", "scenarios: [{sse: , name: -a}]", "scenarios: [{sse: , name: 😀}]", "scenarios: [{sse: , name: \"a\\u202eb\"}]",
		"scenarios: [{sse: , name: -3}]", "y-base: 3\nscenarios: [{sse: }]", "scenarios: [{sse: , threshold: []}]",
	} {
		if valid(text) == nil {
			t.Errorf("%s is valid", text)
		}
		if _, err := planOfFile(text); err == nil {
			t.Errorf("%s is run", text)
		}
	}
}
