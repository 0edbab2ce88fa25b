package cmd_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tidwall/gjson"

	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/server"
)

// TestScripts runs testdata/script. Besides testscript's own commands the scripts have:
//
//	exits CODE PROGRAM ARG...             the program ends with the code, and says what it must and nothing it mustn't;
//	                                      0|95 is either of them
//	interrupts CODE SIGNALS NAME ARG...
//	                                      rtbench, likewise, which gets each of the signals (INT or TERM, with commas between) when
//	                                      the target NAME, whose address is in $TARGET, says that the moment has come
//	serve NAME FLAG...                    rtbench serve, as $NAME_http, $NAME_ws (URLs without a path) and $NAME_addr
//	proxy NAME FLAG...                    rtbench proxy, likewise
//	target NAME KIND ARG...               a server of targets_test.go, likewise
//	log NAME                              what a target was sent, as stdout
//	json FILE PATH = | > VALUE            a value of a JSON report; $NAME in VALUE is another path
//	schema FILE                           a JSON report obeys the schema
//	truth NAME FILE                       the report counts what the server NAME says that it sent
//	keypair CERT KEY                      writes a certificate and its key
//	golden FILE NAME                      the file is testdata/golden/NAME, white space at the ends of lines apart
func TestScripts(t *testing.T) {
	schema := compileSchema(t)
	program := buildProgram(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           func(name string) (bool, error) { return name == "race" && underRace, nil },
		Setup: func(env *testscript.Env) error {
			env.Values[targetsKey{}] = make(map[string]*target)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("PROGRAM", program)
			env.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"interrupts": interrupts,
			"serve":      func(ts *testscript.TestScript, neg bool, args []string) { serve(ts, neg, "serve", args) },
			"proxy":      func(ts *testscript.TestScript, neg bool, args []string) { serve(ts, neg, "proxy", args) },
			"target":     startTarget,
			"log":        showLog,
			"json":       checkJSON,
			"truth":      truth,
			"golden":     golden,
			"keypair":    keypair,
			"schema": func(ts *testscript.TestScript, _ bool, args []string) {
				doc, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
				ts.Check(err)
				ts.Check(schema.Validate(doc))
			},
		},
	})
}

type targetsKey struct{}

// buildProgram builds the rtbench that the scripts run, with the race detector if the test has it, and gives its path.
// The test binary could be that program, but with all that tests import it takes twice as long to start, and the scripts
// start it some 800 times.
func buildProgram(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "rtbench")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-race="+strconv.FormatBool(underRace), "-o", program, "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	checkExit(ts, args[0], err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
}

// complaint is the line by which a command says why its code isn't 0.
var complaint = regexp.MustCompile(`(?m)^rtbench: \S.*$`)

// checkExit holds a program's end against the code wanted, and what it wrote against the rules for every run: nothing
// that moves a terminal's cursor, no stack trace, and one line that says what was wrong, the last one, if anything was.
func checkExit(ts *testscript.TestScript, want string, err error, stdout, stderr string) {
	code := 0
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exited.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if !slices.Contains(strings.Split(want, "|"), strconv.Itoa(code)) {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
	if both := stdout + stderr; strings.ContainsFunc(both, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 }) {
		ts.Fatalf("there are control characters in what it wrote: %q", both)
	}
	if strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, "panic") {
		ts.Fatalf("a stack trace")
	}
	said := complaint.FindAllString(stderr, -1)
	switch code {
	case 0, 130, 143:
		if len(said) > 0 {
			ts.Fatalf("it complains, and exits with %d", code)
		}
	default:
		if len(said) != 1 || !strings.HasSuffix(stderr, said[0]+"\n") {
			ts.Fatalf("not one complaint, as the last line: %q", said)
		}
	}
	if code == 2 && (stdout != "" || stderr != said[0]+"\n") {
		ts.Fatalf("bad input: not one line and nothing else")
	}
}

func interrupts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupts CODE SIGNALS NAME ARG...")
	}
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}
	t := targetOf(ts, args[2])
	var stdout, stderr bytes.Buffer
	command := exec.Command(ts.Getenv("PROGRAM"), args[3:]...)
	command.Stdout, command.Stderr, command.Dir = &stdout, &stderr, ts.MkAbs(".")
	command.Env = append(os.Environ(), "TARGET="+t.ln.Addr().String())
	ts.Check(command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	var err error
	running := true
	for name := range strings.SplitSeq(args[1], ",") {
		select {
		case <-t.moment:
			ts.Check(command.Process.Signal(signals[name]))
		case err = <-ended:
			running = false
		}
	}
	if running {
		err = <-ended
	}
	_, _ = ts.Stdout().Write(stdout.Bytes())
	_, _ = ts.Stderr().Write(stderr.Bytes())
	checkExit(ts, args[0], err, stdout.String(), stderr.String())
}

// setURLs tells the script where a server is.
func setURLs(ts *testscript.TestScript, name, address string, secure bool) {
	s := ""
	if secure {
		s = "s"
	}
	ts.Setenv(name+"_http", "http"+s+"://"+address)
	ts.Setenv(name+"_ws", "ws"+s+"://"+address)
	ts.Setenv(name+"_addr", address)
}

// serve runs a command that listens until the script ends.
func serve(ts *testscript.TestScript, neg bool, name string, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: %s NAME FLAG...", name)
	}
	command := exec.Command(ts.Getenv("PROGRAM"), append([]string{name, "--listen", "127.0.0.1:0", "--until-stdin-ends"}, args[1:]...)...)
	command.Dir = ts.MkAbs(".")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdin, err := command.StdinPipe()
	ts.Check(err)
	stdout, err := command.StdoutPipe()
	ts.Check(err)
	ts.Check(command.Start())
	ts.Defer(func() {
		stdin.Close()
		if err := command.Wait(); err != nil {
			ts.Logf("rtbench %s: %v\n%s", name, err, stderr.String())
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		ts.Fatalf("rtbench %s: %v: %q\n%s", name, err, line, stderr.String())
	}
	scheme, address, _ := strings.Cut(url, "://")
	setURLs(ts, args[0], address, scheme == "https")
}

func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: json FILE PATH = | > VALUE")
	}
	doc := ts.ReadFile(args[0])
	got, want := gjson.Get(doc, args[1]), args[3]
	if path, ok := strings.CutPrefix(want, "@"); ok {
		want = gjson.Get(doc, path).String()
	}
	number, _ := strconv.ParseFloat(want, 64)
	holds := args[2] == "=" && got.String() == want || args[2] == ">" && got.Exists() && got.Float() > number
	if holds == neg {
		ts.Fatalf("%s is %q", args[1], got.String())
	}
}

// truth asks the server what it sent. The run has ended, and so have its connections.
func truth(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truth NAME FILE")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(ts.Getenv(args[0]+"_http") + "/truth")
	ts.Check(err)
	defer resp.Body.Close()
	var said server.Truth
	ts.Check(json.NewDecoder(resp.Body).Decode(&said))
	if received := gjson.Get(ts.ReadFile(args[1]), "counters.received").Uint(); received != said.Totals.Sent || received == 0 {
		ts.Fatalf("%d received, but %d sent", received, said.Totals.Sent)
	}
}

var trailing = regexp.MustCompile(`(?m)[ \t]+$`)

func golden(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: golden FILE NAME")
	}
	got := trailing.ReplaceAllString(ts.ReadFile(args[0]), "")
	path := filepath.Join("testdata", "golden", args[1])
	if *update {
		ts.Check(os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	ts.Check(err)
	if got != string(want) {
		ts.Fatalf("%s is not testdata/golden/%s (go test -update writes it anew)", args[0], args[1])
	}
}

func targetOf(ts *testscript.TestScript, name string) *target {
	t := ts.Value(targetsKey{}).(map[string]*target)[name]
	if t == nil {
		ts.Fatalf("there is no target %s", name)
	}
	return t
}

func startTarget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: target NAME KIND ARG...")
	}
	kind := targetKinds[args[1]]
	if kind == nil {
		ts.Fatalf("there is no kind of target %q", args[1])
	}
	t, err := newTarget(kind(args[2:]))
	ts.Check(err)
	ts.Defer(t.stop)
	ts.Value(targetsKey{}).(map[string]*target)[args[0]] = t
	setURLs(ts, args[0], t.ln.Addr().String(), false)
}

func keypair(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keypair CERT KEY")
	}
	pair, cert, err := server.SelfSigned()
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

func showLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: log NAME")
	}
	_, err := io.WriteString(ts.Stdout(), targetOf(ts, args[0]).written())
	ts.Check(err)
}
