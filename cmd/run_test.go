package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// What is wrong with settings is found before anything connects, of all scenarios, and told at the line of the key.
func TestScenarioFaults(t *testing.T) {
	const two = "scenarios:\n  - sse: http://a/\n  - name: late\n    sse: http://a/\n    "
	for _, test := range []struct{ text, args, drain, want string }{
		{two + "output: x.foo\n", "", "", "f.yaml:5: `output: x.foo`: late: --output x.foo: its ending says no format"},
		{two + "output: nodir/x.json\n", "", "", "f.yaml:5: `output: nodir/x.json`: late: --output: "},
		{two + "stream: nodir/x\n", "", "", "f.yaml:5: `stream: nodir/x`: late: --stream: "},
		{two + "metrics-addr: foo\n", "", "", "f.yaml:5: `metrics-addr: foo`: late: --metrics-addr: "},
		{two + "target-pid: 2147483647\n", "", "", "f.yaml:5: `target-pid: 2147483647`: late: --target-pid 2147483647: there is no such process"},
		{two + "target-metrics: bogus\n", "", "", "f.yaml:5: `target-metrics: REDACTED`: late: --target-metrics "},
		{"scenarios:\n  - sse:\n    serve: '--rate 50 --bogus'\n", "", "", "f.yaml:3: `serve: '--rate 50 --bogus'`: sse-1: --serve: there is no flag --bogus"},
		{"scenarios:\n  - compare:\n    serve: '--rate 50 more'\n", "", "", "f.yaml:3: `serve: '--rate 50 more'`: compare-1: SSE: --serve: "},
		{"defaults: {output: [r.json, r.csv]}\nscenarios:\n  - sse: http://a/\n  - compare:\n", "", "", "f.yaml:1: `defaults: …`: compare-2: --output r.compare-2.csv: a comparison can't be written as csv"},
		{"scenarios:\n  - compare:\n    sse: --nothing\n", "", "", "f.yaml:3: `sse: REDACTED`: compare-1: SSE: there is no flag --nothing"},
		// the line of the key
		{"defaults:\n  rate: 0\n" + two + "publish: /x\n", "", "", "f.yaml:2: `rate: 0`: late: --rate 0 publishes nothing"},
		{two + "duration: 0s\n", "", "", "f.yaml:5: `duration: 0s`: late: --duration 0s"},
		{two + "vars: nowhere.csv\n", "", "", "f.yaml:5: `vars: nowhere.csv`: late: --vars: "},
		{two + "cacert: nowhere.pem\n", "", "", "f.yaml:5: `cacert: nowhere.pem`: late: --cacert: "},
		{two + "header: ['A: b', c]\n", "", "", "f.yaml:5: `header: REDACTED`: late: "},
		{two + "header: 'X-A: {{.None}}'\n", "", "", "f.yaml:5: `header: REDACTED`: late: --header: header X-A: "},
		{two + "bearer: '{{.Vars.a}}'\n    header: 'X: y'\n    timeout: 1s\n", "", "", "f.yaml:5: `bearer: REDACTED`: late: header Authorization: "},
		{two + "publish: nowhere\n", "", "", "f.yaml:5: `publish: REDACTED`: late: --publish: "},
		{two + "data: '{{.None}}'\n", "", "", "f.yaml:5: `data: REDACTED`: late: --data: "},
		{two + "drop: all@1h\n", "", "", "f.yaml:5: `drop: all@1h`: late: --drop all@1h comes when"},
		{two + "connections: 1000000000\n", "", "", "f.yaml:5: `connections: 1000000000`: late: 1000000000 connections "},
		{two + "threshold:\n      - lost == 0\n      - nonsense\n", "", "", "f.yaml:7: `- nonsense`: "},
		{two + "stage: 1s:3\n    done: '[DONE]'\n", "", "", "f.yaml:5: `stage: 1s:3`: late: --stage and --done don't go together"},
		{two + "seq: id\n  - sse: http://a/\n    name: late\n", "", "", "f.yaml:7: `name: late`: there is another scenario \"late\""},
		{"scenarios:\n  - sse: http://{{.None}}/\n    seq: id\n", "", "", "f.yaml:2: "},
		// what the file doesn't say
		{two + "seq: id\n", "-d 0s", "", "sse-1: --duration 0s is not"},
		{two + "seq: id\n", "--publish nowhere", "", "sse-1: --publish: "},
		{two + "seq: id\n", "", "-1s", "RTBENCH_DRAIN: sse-1: --drain -1s is not"},
		// words
		{two + "header: X-A: b\n", "", "", "f.yaml:5: `header: REDACTED`: mapping value is not allowed in this context"},
		{"scenarios:\n\t- sse:\n", "", "", "f.yaml:2: `- sse:`: a tab can't indent a line"},
		{two + "header:\n      - Authorization: Bearer x\n", "", "", "f.yaml:6: `- Authorization: REDACTED`: it is no single value"},
	} {
		t.Setenv("RTBENCH_DRAIN", test.drain)
		if _, err := planOfFile(test.text, strings.Fields(test.args)...); err == nil || exitOf(err) != exitUsage || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s\n%v, want\n%s", test.text, err, test.want)
		}
	}
}

// Two scenarios that write one file are found out, however its name is spelled; and what a file is named doesn't depend on what
// is run.
func TestScenarioFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.Mkdir("out", 0o755), os.Symlink("out", "link")); err != nil {
		t.Skip(err)
	}
	absolute, err := filepath.Abs("x.json")
	if err != nil {
		t.Fatal(err)
	}
	const both = "would both write"
	scenarios := func(settings ...string) string {
		text := "scenarios:\n"
		for _, s := range settings {
			text += "  - {sse: 'http://a/', " + s + "}\n"
		}
		return text
	}
	for _, test := range []struct{ text, args, want string }{
		{scenarios("output: x.json", "output: ./out/../x.json"), "", both},
		{scenarios("output: x.json", "output: "+absolute), "", both},
		{scenarios("output: out/x.json", "output: link/x.json"), "", both},
		{scenarios("output: x.json", "stream: ./x.json"), "", both},
		{"defaults: {output: r.csv}\n" + scenarios("name: a", "name: a.series"), "", both},
		{scenarios("output: x.json, stream: ./x.json"), "", "sse-1 would write ./x.json twice"},
		{"defaults: {output: r.csv}\n" + scenarios("name: a", "name: b"), "", "[r.a.csv r.a.series.csv r.b.csv r.b.series.csv]"},
		{"defaults: {output: r.json, stream: s}\n" + scenarios("name: a", "name: b"), "--only b", "[r.b.json s.b]"},
		{"defaults: {output: r.json}\n" + scenarios("name: a"), "", "[r.json]"},
		{scenarios("name: a, output: x.json", "name: b"), "--only a", "[x.json]"},
	} {
		list, err := planOfFile(test.text, strings.Fields(test.args)...)
		var files []string
		for _, p := range list {
			for _, file := range p.files {
				files = append(files, file.path)
			}
		}
		if got := fmt.Sprint(files, err); !strings.Contains(got, test.want) {
			t.Errorf("%s %s\n%s, want %s", test.text, test.args, got, test.want)
		}
	}
}

// What scenarios share is left out of those that can't have it, and a variable is needed by those that are run.
func TestScenarioShares(t *testing.T) {
	t.Setenv("RTBENCH_RATE", "")
	const text = "scenarios:\n  - {name: reads, sse: 'http://a/'}\n  - {name: posts, sse: 'http://a/', publish: /p}\n  - {name: talks, ws: 'ws://a/', bearer: '${NOT_SET_HERE:-x}'}\n"
	rates := func(text string, args ...string) string {
		list, err := planOfFile(text, args...)
		var got []string
		for _, p := range list {
			got = append(got, p.job.flags().Lookup("rate").Value.String())
		}
		return fmt.Sprint(got, err)
	}
	const want = "[0/s 5/s 5/s] <nil>"
	if got := rates("defaults: {rate: 5}\n" + text); got != want {
		t.Errorf("defaults: %s", got)
	}
	if got := rates(text, "-r", "5"); got != want {
		t.Errorf("-r 5: %s", got)
	}
	if got := rates(text, "-r", "5", "--only", "reads"); !strings.Contains(got, "--rate: ") {
		t.Errorf("-r 5 for none: %s", got)
	}
	if got := rates("scenarios: [{sse: 'http://a/', rate: 5}]"); !strings.Contains(got, "needs --publish or --done") {
		t.Errorf("of its own: %s", got)
	}
	t.Setenv("RTBENCH_RATE", "5")
	if got := rates(text); got != want {
		t.Errorf("RTBENCH_RATE: %s", got)
	}
	const unset = "scenarios:\n  - {name: a, sse: 'http://a/'}\n  - {name: b, sse: 'http://${NOT_SET_HERE}/'}\n"
	if _, err := planOfFile(unset, "--only", "a"); err != nil {
		t.Error(err)
	}
	if _, err := planOfFile(unset); err == nil {
		t.Error("a variable isn't set")
	}
}

// What is printed is a file that says the same, with the variables that may hold a secret.
func TestScenarioPrinted(t *testing.T) {
	for name, text := range map[string]string{"HOST": "h:1", "TOKEN": "hush", "N": "7", "ANY": "true", "DIR": t.TempDir(), "ENDING": ".json"} {
		t.Setenv(name, text)
	}
	const text = `
name: with ${TOKEN}
scenarios:
  - name: a
    sse: http://u:${TOKEN}@${HOST}/$${x}?token=${TOKEN}&q=${NONE:-d}
    header: ['Authorization:Bearer ${TOKEN}', 'Cookie: sid=${TOKEN}; a=literal', 'X: {{.Conn}}', 'X-Key: {{.Conn}}']
    bearer: literal
    connections: ${N}
    insecure: ${ANY}
    output: ['${DIR}/r.json', '${DIR}/s${ENDING}']
    publish: /p?key=literal
    publish-body: '{"k": "${TOKEN}", "t": "{{.Stamp}}"}'
  - name: b
    ws: ws://${HOST}/
    message: hello
  - name: c
    compare:
    both: -kH Cookie:literal -kHCookie:literal
`
	list, err := planOfFile(text)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printPlan(&out, list[0].file, list); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{
		"name: with ${TOKEN}\n", "    sse: http://u:${TOKEN}@${HOST}/$${x}?token=${TOKEN}&q=d\n", "Authorization: Bearer ${TOKEN}\"\n", "Cookie: REDACTED\"\n", "X: {{.Conn}}", "X-Key: {{.Conn}}",
		"bearer: REDACTED\n", "connections: ${N}\n", "insecure: ${ANY}\n", "- ${DIR}/r.json\n", "publish: /p?key=REDACTED\n", `{\"k\": \"${TOKEN}\", \"t\": \"{{.Stamp}}\"}`, "message: REDACTED (5 bytes)\n",
		`# rtbench sse http://u:"${TOKEN}"@"${HOST}"'/${x}?token='"${TOKEN}"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "hush") || strings.Contains(got, "literal") {
		t.Errorf("a secret in\n%s", got)
	}
	again, err := planOfFile(got)
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	for i, p := range again {
		if !slices.Equal(textsOf(p.args), textsOf(list[i].args)) || !slices.Equal(p.files, list[i].files) {
			t.Errorf("%v %v, want %v %v", textsOf(p.args), p.files, textsOf(list[i].args), list[i].files)
		}
	}
}

// A switch that is off contradicts nothing, and what contradicts another but for a third flag needs only that.
func TestScenarioContradictions(t *testing.T) {
	const all = "scenarios: [{sse: 'http://a/', threshold: lost == 0, format: csv, connections: 3, cacert: ''}]"
	for _, test := range []struct{ text, args, variable, want string }{
		{all, "", "", "cacert connections format threshold"},
		{all, "--debug=false --json=0 --insecure=f", "", "cacert connections debug format insecure json threshold"},
		{all, "", "RTBENCH_DEBUG=false", "cacert connections debug format threshold"},
		{"defaults: {debug: '${NOT_SET_HERE:-false}'}\n" + all, "", "", "cacert connections debug format threshold"},
		{all, "--debug", "", "cacert debug"},
		{"scenarios: [{sse: 'http://a/', debug: false}]", "--threshold lost==0", "", "debug threshold"},
		{"scenarios: [{sse: 'http://a/', publish: /p, rate: 5/s}]", "--debug", "", "debug publish rate"},
		{"scenarios: [{sse: 'http://a/', publish: /p, rate: 5/s}]", "--debug --clock x", "", "clock debug"},
		{"scenarios: [{ws: 'ws://a/', rate: 5/s}]", "--debug", "", "debug"},
		{"scenarios: [{sse: 'http://a/', publish: /p}]", "--debug", "RTBENCH_RATE=5", "debug publish"},
		{"scenarios: [{sse: 'http://a/'}]", "--debug", "RTBENCH_RATE=5 RTBENCH_PUBLISH=/p", "debug publish rate"},
		{"defaults: {serve: --tls}\nscenarios: [{sse: 'http://a/'}]", "", "", ""},
		{"defaults: {serve: --tls}\nscenarios: [{sse: }]", "", "", "serve"},
		{"defaults: {serve: --tls, a: sse}\nscenarios: [{compare: , b: ws}]", "", "", "a b"},
		{"scenarios: [{sse: 'http://a/'}, {sse: }]", "--serve --tls", "", ""},
	} {
		t.Run(test.args+" "+test.variable, func(t *testing.T) {
			for _, variable := range strings.Fields(test.variable) {
				name, value, _ := strings.Cut(variable, "=")
				t.Setenv(name, value)
			}
			file, err := parseScenarios("f.yaml", test.text)
			if err != nil {
				t.Fatal(err)
			}
			f := &runFlags{}
			f.register(pflag.NewFlagSet("run", pflag.ContinueOnError))
			if err := errors.Join(f.set.Parse(strings.Fields(test.args)), fromEnvironment(f.set)); err != nil {
				t.Fatal(err)
			}
			p, _ := f.prepare(file, &file.scenarios[0]) // whatever else is wrong with it
			if got := strings.Join(slices.Sorted(maps.Keys(p.where)), " "); got != test.want {
				t.Errorf("%s\n%s, want %s", test.text, got, test.want)
			}
		})
	}
	if _, err := planOfFile("scenarios: [{sse: 'http://a/', threshold: lost == 0, json: true, debug: false}]"); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"scenarios: [{sse: 'http://a/', serve: --tls}]": "--serve is for the reference server, but there is a URL", "scenarios: [{sse: 'http://a/'}]": "--serve: no scenario of f.yaml has a use for it",
	} {
		if _, err := planOfFile(text, "--serve", "--tls"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// What is dropped for a flag of the command line is told.
func TestScenarioDropped(t *testing.T) {
	const text = "scenarios: [{sse: 'http://a/', stage: 1s:3}]"
	for args, want := range map[string]string{
		"": "[]", "-c 3": "[the file's stage is left out, which doesn't go together with --connections]", "-d 3s": "[the file's stage is left out, which doesn't go together with --duration]", "--seed 3": "[]",
	} {
		list, err := planOfFile(text, strings.Fields(args)...)
		if err != nil || fmt.Sprint(list[0].dropped) != want {
			t.Errorf("%s: %v, %v", args, list, err)
		}
	}
}

// A scripted job ends as it is told to.
type scriptedJob func() error

func (scriptedJob) flags() *pflag.FlagSet {
	f := &loadFlags{}
	f.register(pflag.NewFlagSet("scripted", pflag.ContinueOnError), protocols[0])
	return f.set
}
func (scriptedJob) called(string)                                  {}
func (scriptedJob) validate([]string) ([]writtenFile, error)       { return nil, nil }
func (j scriptedJob) run(context.Context, streams, []string) error { return j() }
func (scriptedJob) config([]string) report.Config                  { return report.Config{} }

// A turnJob notes the title that a screen would have.
type turnJob struct {
	scriptedJob
	title *string
}

func (j turnJob) run(_ context.Context, std streams, _ []string) error {
	*j.title = std.titled("sse x")
	return nil
}

// The screen says which scenario it is that is run, and how many there are.
func TestScenariosTitled(t *testing.T) {
	var one, two string
	list := []planned{
		{scenario: &scenario{name: "steady"}, file: &scenarioFile{}, job: turnJob{title: &one}},
		{scenario: &scenario{name: "ramp"}, file: &scenarioFile{}, job: turnJob{title: &two}},
	}
	if err := runAll(t.Context(), streams{out: io.Discard, err: io.Discard}, list); err != nil || one != "steady (1 of 2)  sse x" || two != "ramp (2 of 2)  sse x" {
		t.Errorf("%q, %q, %v", one, two, err)
	}
	if err := runAll(t.Context(), streams{}, list[:1]); err != nil || one != "steady  sse x" {
		t.Errorf("%q, %v", one, err)
	}
	if got := (streams{}).titled("sse x"); got != "sse x" {
		t.Errorf("%q", got)
	}
}

// A signal ends the scenarios, and what failed before it is told all the same.
func TestScenariosInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	file, err := parseScenarios("f.yaml", "scenarios: [{name: one, sse: }, {name: two, sse: }, {name: three, sse: }]")
	if err != nil {
		t.Fatal(err)
	}
	jobs := []scriptedJob{
		func() error { return &failure{exitThreshold, errors.New("threshold failed"), ""} },
		func() error {
			cancel(interrupted{os.Interrupt})
			return &failure{code: exitInterrupt}
		},
		nil,
	}
	var list []planned
	for i := range file.scenarios {
		list = append(list, planned{scenario: &file.scenarios[i], file: file, job: jobs[i]})
	}
	var out, said bytes.Buffer
	err = runAll(ctx, streams{in: nil, out: &out, err: &said}, list)
	if want := "\none    exit code 99: threshold failed\ntwo    interrupted\nthree  not run\n"; said.String() != want {
		t.Errorf("%q, want %q", said.String(), want)
	}
	if exitOf(err) != exitInterrupt || err.Error() != "1 of 3 scenarios failed: one" {
		t.Errorf("%d: %v", exitOf(err), err)
	}
}

// A signal that comes between two runs is one, too.
func TestScenariosNotRun(t *testing.T) {
	for signal, want := range map[os.Signal]exit{os.Interrupt: exitInterrupt, syscall.SIGTERM: exitTerminate} {
		ctx, cancel := context.WithCancelCause(t.Context())
		passed := scriptedJob(func() error { cancel(interrupted{signal}); return nil })
		file := &scenarioFile{}
		list := []planned{{scenario: &scenario{name: "one"}, file: file, job: passed}, {scenario: &scenario{name: "two"}, file: file, job: passed}}
		if err := runAll(ctx, streams{out: io.Discard, err: io.Discard}, list); exitOf(err) != want {
			t.Errorf("%v: %v, want exit code %d", signal, err, want)
		}
	}
}

// A file that has no end is refused, and a signal ends the wait for one that doesn't come.
func TestScenarioReading(t *testing.T) {
	if _, err := readScenarios(t.Context(), endless{}, stdinPath); err == nil || !strings.Contains(err.Error(), "stdin is too long") {
		t.Errorf("%v", err)
	}
	file, err := readScenarios(t.Context(), strings.NewReader("scenarios: [{sse: }]"), stdinPath)
	if err != nil || file.path != "stdin" {
		t.Errorf("%v", err)
	}
	reader, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{os.Interrupt})
	if _, err := readScenarios(ctx, reader, stdinPath); exitOf(err) != exitInterrupt {
		t.Errorf("%v", err)
	}
}

// endless is a file without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
