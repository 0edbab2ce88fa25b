package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/proxy"
	"github.com/rtbench/rtbench/server"
)

// scaled makes the README's commands short and small, and points them at servers of the test.
var scaled = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`^go run \. compare$`), "rtbench compare --pairs 8 -d 200ms -c 5 --evidence=false"},
	{regexp.MustCompile(`--max-regression 10%`), "--max-regression 10000%"},
	{regexp.MustCompile(`--workload chat`), "--workload chat --both '--warmup 50ms'"},
	{regexp.MustCompile(`^rtbench compare .*$`), "$0 --pairs 8 -d 200ms --evidence=false"},
	{regexp.MustCompile(`-d \d+s(.*--threshold)`), "-d 1500ms$1"}, // which fails where a busy host lets nothing come in time
	{regexp.MustCompile(`-d \d+s`), "-d 300ms"},
	{regexp.MustCompile(`^(rtbench run load.yaml)$`), "$1 -c 20 -d 1500ms"},
	{regexp.MustCompile(`(--(?:drop|slow) \S+@)\d+s`), "${1}100ms"},
	{regexp.MustCompile(`-c \d+`), "-c 20"},
	{regexp.MustCompile(`--stage \d+s:\d+ --stage \d+s:\d+ --stage \d+s:0`), "--stage 100ms:5 --stage 200ms:5 --stage 100ms:0"},
	{regexp.MustCompile(`-r 1000/s`), "-r 50/s"},
	{regexp.MustCompile(`--resume-horizon=60s`), "--resume-horizon=500ms"},
	{regexp.MustCompile(`--find-idle-limit=5m`), "--find-idle-limit=300ms"},
	{regexp.MustCompile(`p99\(delivery\) < 250ms`), "max(delivery) < 250s"},
	{regexp.MustCompile(`^(rtbench (?:sse|ws) '?(?:http|ws)://\S+)((?:\s+--(?:stamp|seq|subscribe|subprotocol|id|vars|reconnect)\b.*))$`), "$1 -d 300ms -c 20$2"},
}

// TestREADME runs every command of the README. The one that runs these tests, and the one that only serves, are left
// out; a command that isn't known to be one of those fails. What fails is tried once more, for ten times as long: a busy host may
// let nothing connect in so short a time.
func TestREADME(t *testing.T) {
	dir := t.TempDir()
	buildProgram(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "users.csv"), []byte("user,token\nann,t1\nbob,t2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	reference := startReference(t)
	published := startReference(t) // whose numbers count what is published to it, too: others would miss those
	model := httptest.NewServer(http.HandlerFunc(answerInStream))
	t.Cleanup(model.Close)
	spoken := httptest.NewServer(http.HandlerFunc(speaks(t)))
	t.Cleanup(spoken.Close)
	hosts := strings.NewReplacer("localhost:4000", spoken.Listener.Addr().String(), "localhost:3000", spoken.Listener.Addr().String(),
		"localhost:8080", reference, "localhost:8081", reference, "localhost:9000", model.Listener.Addr().String())
	if err := os.WriteFile(filepath.Join(dir, "load.yaml"), []byte(hosts.Replace(strings.ReplaceAll(scenarios(t, "README.md"), "p99(delivery) < 250ms", "max(delivery) < 250s"))), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base.json", "head.json"} { // others may not have been stored yet
		store := exec.Command(filepath.Join(dir, "rtbench"), "sse", "http://"+reference+"/sse", "-c", "5", "-d", "200ms", "--quiet", "-o", filepath.Join(dir, name))
		if out, err := store.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, command := range shellBlocks(t, "README.md") {
		if command == "go test ./..." || strings.HasPrefix(command, "rtbench serve ") || strings.HasPrefix(command, "rtbench proxy ") {
			continue
		}
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			run := command
			for _, s := range scaled {
				run = s.pattern.ReplaceAllString(run, s.with)
			}
			if strings.Contains(command, "--publish") || strings.Contains(command, "--chat") {
				run = strings.ReplaceAll(run, "localhost:8080", published)
			}
			out, err := shell(dir, hosts.Replace(run))
			if err != nil {
				t.Logf("%s\n%v\n%s", run, err, out)
				run = milliseconds.ReplaceAllString(run, "${1}0ms")
				out, err = shell(dir, hosts.Replace(run))
			}
			if err != nil {
				t.Errorf("%s\n%v\n%s", run, err, out)
			}
		})
	}
}

// milliseconds is each time that makes a command short.
var milliseconds = regexp.MustCompile(`\b(\d+)ms\b`)

// shell runs a command in a directory that has the program.
func shell(dir, command string) (out []byte, err error) {
	shell := exec.Command("sh", "-c", command)
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return shell.CombinedOutput()
}

// scenarios gives the scenario file in a document.
func scenarios(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if err != nil || found == nil {
		t.Fatalf("no scenario file in %s, %v", path, err)
	}
	return string(found[1])
}

// startReference serves the reference server until the test ends.
func startReference(t *testing.T) (address string) {
	srv, err := server.New(server.Options{Rate: 100, Replay: 1000})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// answerInStream answers as a language model does, and with what its process uses.
func answerInStream(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/metrics" {
		fmt.Fprint(w, "process_cpu_seconds_total 1\nprocess_resident_memory_bytes 1000000\n")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 5 {
		fmt.Fprintf(w, "data: {\"token\":%d}\n\n", i)
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// speaks answers as the protocols on top of WebSocket do that want to be spoken to: it says nothing before that is done in
// turn, and no more where a ping of its own isn't answered.
func speaks(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		turns := []string{"", `0{"sid":"a"}`, "40", `40{"sid":"b"}`, "", "2", "3"} // what it says and hears by turns
		event := `42["tick",{"n":%d}]`
		if r.URL.Path == "/graphql" {
			turns = []string{"connection_init", `{"type":"connection_ack"}`, "subscribe", `{"type":"ping"}`, `{"type":"pong"}`}
			event = `{"id":"1","type":"next","payload":{"data":{"ticks":{"n":%d}}}}`
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		for i, turn := range turns {
			if turn == "" {
				continue
			}
			if i%2 == 1 {
				if c.Write(r.Context(), websocket.MessageText, []byte(turn)) != nil {
					return
				}
			} else if _, heard, err := c.Read(r.Context()); err != nil || !strings.Contains(string(heard), turn) {
				if err == nil {
					t.Errorf("%s heard %s, not %s", r.URL, heard, turn)
				}
				return
			}
		}
		ctx := c.CloseRead(r.Context())
		for n := 0; c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, event, n)) == nil; n++ {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// shellBlocks gives the commands in a document's sh blocks.
func shellBlocks(t *testing.T, path string) (commands []string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "```"):
			inside = !inside && line == "```sh"
		case inside && line != "":
			commands = append(commands, line)
		}
	}
	if len(commands) < 10 {
		t.Fatalf("found only %d commands in %s", len(commands), path)
	}
	return commands
}

// TestDocumentation holds the tables of the documents against the tables of the code.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("docs/measurement.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range bench.Metrics() {
		if m.IsTiming() && m != bench.ClientLag && !strings.Contains(string(text), "`"+m.String()+"`") {
			t.Errorf("docs/measurement.md doesn't define %s", m)
		}
	}
	for _, fault := range bench.ResumeFaults() {
		if row := fmt.Sprintf("| `%s` | %s |", fault, fault.Sentence()); !strings.Contains(string(text), row) {
			t.Errorf("docs/measurement.md lacks the row %s", row)
		}
	}
	checkFaultDocument(t)
	for _, class := range client.Classes() {
		if row := fmt.Sprintf("| `%s` | %s |", class, class.Sentence()); !strings.Contains(string(text), row) {
			t.Errorf("docs/measurement.md lacks the row %s", row)
		}
	}
}

// checkFaultDocument holds docs/faults.md against the faults that there are: what stands in the first column of its tables
// and in its scripts reads as faults, and every kind is among them.
func checkFaultDocument(t *testing.T) {
	text, err := os.ReadFile("docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := make(map[proxy.Kind]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z]+[=@].*?) \\|").FindAllSubmatch(text, -1) {
		for _, form := range regexp.MustCompile("`(.*?)`").FindAllSubmatch(row[1], -1) {
			f, err := proxy.ParseFault(string(form[1]))
			if err != nil {
				t.Errorf("docs/faults.md: %v", err)
			}
			explained[f.Kind()] = true
		}
	}
	for _, kind := range proxy.Kinds() {
		if !explained[kind] {
			t.Errorf("docs/faults.md doesn't explain %s", kind)
		}
	}
	script := regexp.MustCompile("(?s)```\n(# a train.*?)```").FindSubmatch(text)
	if script == nil {
		t.Fatal("docs/faults.md has no script")
	}
	if list, err := proxy.ParseScript(string(script[1])); err != nil || len(list) != 4 {
		t.Errorf("the script in docs/faults.md: %v, %v", list, err)
	}
}
