package cmd

import (
	"errors"
	"strings"
	"testing"
)

// No message shows a secret: not that of a literal, of a variable, of a line that isn't understood.
func TestScenarioSecrets(t *testing.T) {
	t.Setenv("SECRET", "hush,quite-hush")
	t.Setenv("URL", "http://hush:hush@hush:99999/?token=hush")
	t.Setenv("HEADER", "hush without a colon")
	const one = "scenarios:\n  - sse: http://a/\n    "
	for _, text := range []string{
		// URLs that are none
		"scenarios:\n  - sse: http://hush:hush@h:x y/\n", "scenarios:\n  - sse: http://a b:hush@h/?token=hush\n", "scenarios:\n  - sse: 'http://[hush@h/'\n",
		"scenarios:\n  - sse: hush:hush@h/path?token=hush\n", "scenarios:\n  - sse: http://u:hush@h:99999/\n", "scenarios:\n  - ws: gopher://u:hush@h/\n",
		"scenarios:\n  - compare: ['http://u:hu sh@h', 'ws://u:hush@h:x']\n", "scenarios:\n  - compare:\n      - http://a b:hush@h\n      - ws://b/\n      - hush:hush@h\n",
		"scenarios:\n  - compare:\n      - 'http://a hush:hush@h${'\n", "scenarios:\n  - compare:\n      - hush:hush@h${\n", "scenarios:\n  - compare: hush:hush@h\n", one + "publish: http://u:hush@h:x y/\n", one + "target-metrics: u:hush@h\n",
		// headers, and what is sent
		one + "header: hush without a colon\n", one + "header: ['A: b', 'X-Anything: {{hush}}']\n", one + "header: 'Cookie: a={{hush}}'\n", one + "bearer: \"hush\\nhush\"\n",
		one + "header:\n      - Authorization: Bearer hush\n", one + "header:\n      - 'Authorization: Bearer hush\n", one + "data: '{{hush}}'\n", one + "publish: /x\n    publish-body: hush\n",
		one + "data: |\n      password: hush\n       {\"a\":\n     hush\n",
		// keys that are unknown, or at the wrong place
		"bearer: hush\n" + one + "seq: id\n", "password: hush\n" + one + "seq: id\n", one + "password: hush\n", one + "message: hush\n", "defaults:\n  passwd: hush\n" + one + "seq: id\n",
		"scenarios: [{sse: 'http://a/', bearer: hush, password: hush, nothing: 3}]\n", "scenarios: [{sse: 'http://a/', bearer: hush, rate: none}]\n", "scenarios:\n  - {sse: 'http://a/', bearer: hush, rate: none}\n",
		"scenarios:\n  - sse: 'http://a/\n    bearer: hush\n", one + "rate: bearer: hush\n",
		// variables, wherever they stand
		one + "rate: ${SECRET}\n", one + "stage: ${SECRET}\n", one + "duration: ${SECRET}\n", one + "insecure: ${SECRET}\n", one + "threshold: ['lost == 0', '${SECRET}']\n",
		one + "output: ${SECRET}\n", one + "cacert: ${SECRET}\n", one + "metrics-addr: ${SECRET}\n", one + "header: ${HEADER}\n", one + "connect-to: ${SECRET}\n", one + "method: '${SECRET}'\n",
		"scenarios:\n  - sse: ${URL}\n", "scenarios:\n  - sse: ${SECRET}\n", "scenarios:\n  - name: ${SECRET}\n    sse:\n", "scenarios:\n  - sse:\n    serve: --${SECRET}\n",
		"scenarios:\n  - compare:\n    sse: --bearer hush --nothing\n", "scenarios:\n  - compare:\n    both: -H 'Cookie hush'\n", "scenarios:\n  - compare:\n    both: -kHCookie:hush --nothing hush\n", "scenarios:\n  - compare:\n    both: -kH Cookie:hush --header 'hush'\n", "defaults:\n  rate: ${SECRET}\n" + one + "publish: /x\n",
	} {
		_, err := planOfFile(text)
		if err == nil {
			t.Errorf("%s\nnothing is wrong with it", text)
			continue
		}
		said, _ := err.(*failure)
		if all := err.Error() + said.hint; strings.Contains(all, "hush") {
			t.Errorf("%s\n%s", text, all)
		}
	}
}

// What a variable holds is shown as the variable, also in what fails later.
func TestScenarioVariableShown(t *testing.T) {
	t.Setenv("TARGET", "http://u:hush@secret.example/")
	f, err := parseScenarios("f.yaml", "scenarios: [{sse: '${TARGET}'}]")
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"http://u:hush@secret.example/", "http://u:REDACTED@secret.example/"} {
		err := f.hidden(&failure{exitFailed, errors.New("nothing connected to " + said), "try " + said})
		if got := err.Error(); got != "nothing connected to ${TARGET}" || exitOf(err) != exitFailed {
			t.Errorf("%s is told as %s", said, got)
		}
	}
}

// A variable that is misspelt is told, and what is right.
func TestScenarioVariables(t *testing.T) {
	t.Setenv("FOO", "bar")
	for text, want := range map[string]string{
		"${SEC": "a ${ has no end", "a ${ FOO } b": "${ FOO } is no variable", "${FOO-x}": "${FOO-x} is no variable", "${FOO:?err}": "${FOO:?err} is no variable",
		"${1A}": "${1A} is no variable", "${}": "${} is no variable", "${NOPE:-${FOO}}": "a variable stands in another",
		"$${FOO} $FOO ${FOO}x$${": "", "${FOO:-x}${NOPE:-}": "",
	} {
		_, err := planOfFile("scenarios:\n  - sse: http://a/\n    last-event-id: '" + text + "'\n")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), "f.yaml:3: ") || !strings.HasSuffix(err.Error(), want)):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	f, _ := parseScenarios("f.yaml", "name: '$${FOO} $FOO ${FOO}x$${ ${FOO:-x} ${NOPE:-y}'\nscenarios: [{sse: }]")
	if f.name.text != "${FOO} $FOO barx${ bar y" {
		t.Errorf("%q", f.name.text)
	}
}
