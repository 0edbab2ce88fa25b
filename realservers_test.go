//go:build realservers

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// realServer is one measurement of a server whose protocol code is somebody else's.
type realServer struct {
	name   string
	server string // folder under testdata/servers
	env    []string
	args   []string // SERVER stands for the server's address
	// uncounted is what arrives on each stream besides what the server's own count holds: a greeting is one more, an
	// end marker one less.
	uncounted int
	lost      bool // loss can be measured, and must be none
	want      []string
	not       []string
}

// each of these metrics must have samples in want, and none in not.
var realServers = []realServer{
	{
		name: "ws broadcast", server: "node-ws", lost: true,
		args: []string{"ws", "ws://SERVER/feed?client={{.Conn}}", "--await", "welcome", "--stamp", "json:sent", "--seq", "json:seq"},
		want: []string{"delivery", "lag_behind_first", "fanout_spread", "inter_arrival"},
	},
	{
		name: "ws broadcast with a greeting", server: "node-ws", lost: true, uncounted: 1,
		args: []string{"ws", "ws://SERVER/feed", "--seq", "json:seq", "--compression"},
		want: []string{"lag_behind_first"}, not: []string{"delivery"},
	},
	{
		name: "ws echo", server: "node-ws", lost: true, uncounted: 1,
		args: []string{"ws", "ws://SERVER/echo", "-r", "200/s"},
		want: []string{"round_trip", "publish_lateness"}, not: []string{"delivery"},
	},
	{
		name: "ws echo of a message without a stamp", server: "node-ws", lost: true, uncounted: 1,
		args: []string{"ws", "ws://SERVER/echo", "-r", "200/s", "-m", `hello {{.N}}`},
		want: []string{"round_trip"},
	},
	{
		name: "ws chat", server: "node-ws", uncounted: 1,
		args: []string{"ws", "ws://SERVER/chat", "-r", "20/s", "-m", `{"type":"message","user":"u{{.Conn}}","text":"{{.Stamp}}"}`},
		want: []string{"round_trip", "delivery"},
	},
	{
		name: "sse ticker", server: "express-sse", lost: true, uncounted: 1,
		args: []string{"sse", "http://SERVER/events", "--stamp", "json:sent"},
		want: []string{"delivery", "lag_behind_first", "fanout_spread"},
	},
	{
		name: "sse with declared numbers", server: "express-sse", lost: true, uncounted: 1,
		args: []string{"sse", "http://SERVER/events", "--seq", "id"},
		want: []string{"lag_behind_first"},
	},
	{
		name: "fastapi sse", server: "fastapi", lost: true,
		args: []string{"sse", "http://SERVER/events", "--stamp", "json:sent"},
		want: []string{"delivery", "lag_behind_first"},
	},
	{
		name: "fastapi ws", server: "fastapi", lost: true,
		args: []string{"ws", "ws://SERVER/ws", "--stamp", "json:sent", "--seq", "json:seq"},
		want: []string{"delivery"},
	},
	{
		name: "streams ended by [DONE]", server: "fastapi", uncounted: -1, env: []string{"FIRST_TOKEN=20", "TOKEN_GAP=5"},
		args: []string{"sse", "http://SERVER/v1/chat/completions", "--data", `{"max_tokens":20,"stream":true}`, "--done", "[DONE]", "-r", "20/s"},
		want: []string{"first_event", "inter_arrival", "stream_total"},
	},
	{
		name: "streams ended by an event", server: "fastapi", uncounted: -1, env: []string{"FIRST_TOKEN=20", "TOKEN_GAP=5"},
		args: []string{"sse", "http://SERVER/v1/messages", "--data", `{"max_tokens":20,"stream":true}`, "--done", "event:message_stop", "-r", "20/s"},
		want: []string{"first_event", "stream_total"},
	},
	{
		name: "django without ids", server: "django",
		args: []string{"sse", "http://SERVER/clock"},
		want: []string{"inter_arrival"}, not: []string{"delivery", "lag_behind_first"},
	},
	{
		name: "django in batches", server: "django", lost: true,
		args: []string{"sse", "http://SERVER/dashboard"},
		want: []string{"inter_arrival", "lag_behind_first"},
	},
	{
		name: "django in batches that are rarer than subscribers", server: "django", lost: true, env: []string{"POLL=1.5"},
		args: []string{"sse", "http://SERVER/dashboard"},
		want: []string{"inter_arrival", "lag_behind_first"},
	},
	{
		name: "django channels", server: "django", lost: true,
		args: []string{"ws", "ws://SERVER/ws/feed", "--stamp", "json:sent", "--seq", "json:seq"},
		want: []string{"delivery"},
	},
	{
		name: "graphql-ws", server: "graphql", lost: true,
		args: []string{"ws", "ws://SERVER/graphql", "--subprotocol", "graphql-transport-ws",
			"--subscribe", `{"type":"connection_init"}`, "--await", "connection_ack",
			"--subscribe", `{"id":"1","type":"subscribe","payload":{"query":"subscription { tick { seq sent } }"}}`,
			"--stamp", "json:payload.data.tick.sent", "--seq", "json:payload.data.tick.seq"},
		want: []string{"delivery", "lag_behind_first"},
	},
	{
		name: "socket.io, whose pings are to be answered", server: "socketio", lost: true, env: []string{"PING=400"},
		args: []string{"ws", "ws://SERVER/socket.io/?EIO=4&transport=websocket", "--subscribe", "40", "--await", "40{", "--answer", "2=3",
			"--stamp", "json:1.sent", "--seq", "json:1.seq"},
		want: []string{"delivery", "lag_behind_first"},
	},
	{
		name: "graphql-sse", server: "graphql", lost: true,
		args: []string{"sse", "http://SERVER/graphql/stream", "--data", `{"query":"subscription { tick { seq sent } }"}`,
			"--stamp", "json:data.tick.sent", "--seq", "json:data.tick.seq"},
		want: []string{"delivery", "lag_behind_first"},
	},
}

// TestRealServers measures each of them and holds what was received against what the server says it sent.
func TestRealServers(t *testing.T) {
	binary := buildProgram(t, t.TempDir())
	for _, s := range realServers {
		t.Run(s.name, func(t *testing.T) { s.measure(t, binary) })
	}
}

const realConnections = 40

func (s realServer) measure(t *testing.T, binary string) {
	address := startRealServer(t, s.server, s.env)
	args := []string{"-c", strconv.Itoa(realConnections), "-d", "3s", "--connect-rate", "200/s", "--json", "--quiet"}
	for _, arg := range s.args {
		args = append(args, strings.ReplaceAll(arg, "SERVER", address))
	}
	command := exec.Command(binary, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("rtbench %q: %v\n%s", args, err, stderr.Bytes())
	}
	var result struct {
		Counters   map[string]*uint64
		Ratios     map[string]*float64
		Metrics    map[string]struct{ Count int64 }
		Errors     []json.RawMessage
		Unmeasured map[string]string
	}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		t.Fatalf("%v\n%s", err, stdout.Bytes())
	}
	count := func(name string) int {
		if n := result.Counters[name]; n != nil {
			return int(*n)
		}
		return -1
	}
	if len(result.Errors) > 0 {
		t.Errorf("errors: %s", result.Errors)
	}
	streams := count("opened")
	if want := sentBy(t, address) + s.uncounted*streams; count("received") != want {
		t.Errorf("received %d, but the server sent %d on %d streams", count("received"), want, streams)
	}
	if s.lost && (count("lost") != 0 || count("expected") <= 0 || count("duplicate") != 0 || count("reordered") != 0) {
		t.Errorf("expected %d, lost %d, duplicate %d, reordered %d (-1: %v)",
			count("expected"), count("lost"), count("duplicate"), count("reordered"), result.Unmeasured)
	}
	for _, name := range s.want {
		if result.Metrics[name].Count == 0 {
			t.Errorf("no samples of %s", name)
		}
	}
	for _, name := range s.not {
		if n := result.Metrics[name].Count; n != 0 {
			t.Errorf("%d samples of %s, which can't be measured here", n, name)
		}
	}
}

// startRealServer starts one on a free port; it ends when the test does, by the end of its stdin.
func startRealServer(t *testing.T, name string, env []string) (address string) {
	t.Helper()
	command := exec.Command("testdata/servers/start", name)
	command.Env = append(os.Environ(), append([]string{"PORT=0", "RATE=20"}, env...)...)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		kill := time.AfterFunc(10*time.Second, func() { command.Process.Kill() })
		defer kill.Stop()
		if err := command.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, stderr.Bytes())
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on http://")
	if err != nil || !ok {
		t.Fatalf("%s did not start: %q, %v (has testdata/servers/setup been run?)\n%s", name, line, err, stderr.Bytes())
	}
	return address
}

// sentBy asks a server how many events it has sent in all.
func sentBy(t *testing.T, address string) int {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://%s/truth", address))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var truth struct{ Total int }
	if err := json.Unmarshal(body, &truth); err != nil {
		t.Fatalf("%v in %.200s", err, body)
	}
	return truth.Total
}
