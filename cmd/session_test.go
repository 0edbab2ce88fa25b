package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/coder/websocket"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// TestSessionForms: the command line that does the same as a form, and what is wrong with it.
func TestSessionForms(t *testing.T) {
	for _, row := range []struct {
		form   *sessionForm
		values string // by field, with | between
		line   string
		wrong  string // how it begins; "" for nothing
	}{
		{measureForm(), "|sse|100|10s|||", "rtbench sse --connections 100 --duration 10s", ""},
		{measureForm(), "ws://localhost/echo|ws|2k|1m|500/s|p99(round_trip) < 250ms; lost == 0|--ping 5s -H 'Cookie: a=b'",
			"rtbench ws ws://localhost/echo --connections 2k --duration 1m --rate 500/s --threshold 'p99(round_trip) < 250ms' --threshold 'lost == 0' --ping 5s -H 'Cookie: a=b'", ""},
		{measureForm(), "|sse||||;;|", "rtbench sse", ""},
		{measureForm(), "|sse|x|10s|||", "rtbench sse --connections x --duration 10s", `--connections: "x" is not a number`},
		{measureForm(), "ws://localhost|sse|100|10s|||", "rtbench sse ws://localhost --connections 100 --duration 10s", "ws:// is not a URL of this command"},
		{measureForm(), "|sse|100|10s|||--nope", "rtbench sse --connections 100 --duration 10s --nope", "there is no flag --nope (did you mean --done?)"},
		{measureForm(), "|ws|100|10s|||-q", "rtbench ws --connections 100 --duration 10s -q", "there is no flag -q (`rtbench ws --help` lists the flags)"},
		{compareForm(), "||feed||10|2s|-q", "rtbench compare -q", "there is no flag -q (`rtbench compare --help` lists the flags)"},
		{compareForm(), "||feed||10|2s|--ws -y", "rtbench compare --ws -y", "WebSocket: there is no flag -y (`rtbench ws --help` lists the flags)"},
		{measureForm(), "http://localhost|xx|100|10s|||", "", `"xx" is neither sse nor ws`},
		{measureForm(), "|sse|100|10s|||-o x.foo", "rtbench sse --connections 100 --duration 10s -o x.foo", "--output x.foo: its ending says no format"},
		{compareForm(), "||feed||10|2s|-o x.foo", "rtbench compare -o x.foo", "--output x.foo: its ending says no format"},
		{measureForm(), "|sse|100|10s|||'", "", "more flags: a quote has no end"},
		{measureForm(), "|sse|100|10s|||http://a http://b", "rtbench sse --connections 100 --duration 10s http://a http://b", `"http://b" is no flag`},
		{compareForm(), "||feed||10|2s|", "rtbench compare", ""},
		{compareForm(), "http://localhost/e|ws://localhost/f|feed|500|auto|5s|-o c.html",
			"rtbench compare http://localhost/e ws://localhost/f --connections 500 --pairs auto --duration 5s -o c.html", ""},
		{compareForm(), "||chat||3|2s|", "rtbench compare --workload chat --pairs 3", `--pairs: "3" is neither auto nor a number`},
	} {
		line, err := row.form.command(strings.Split(row.values, "|"))
		if line != row.line || (err == nil) != (row.wrong == "") || err != nil && !strings.HasPrefix(err.Error(), row.wrong) {
			t.Errorf("%s: %s (%v)", row.values, line, err)
		}
	}
}

// TestSessionFields: a field says what is wrong with it alone.
func TestSessionFields(t *testing.T) {
	wrong := map[string][]string{"protocol": {"", "xx", "http", "compare"}, "connections": {"x", "-1"}, "duration": {"ten"}, "rate": {"x/s"}, "thresholds": {"p99", "lost == 0; p99"}, "more flags": {"'"}}
	twice := map[string]string{"-c 7": "-c is the field connections above", "-k --connections=7": "--connections is the field connections above", "--ping 5s -d1s": "-d is the field duration above",
		"-z 5s": "-z is the field duration above", "--threshold 'lost == 0'": "--threshold is the field thresholds above", "--rate 5/s": "--rate is the field rate above", "-kr 5/s": "-r is the field rate above"}
	right := map[string][]string{"target": {"", "x"}, "protocol": {"sse", "ws"}, "connections": {"", "2k"}, "duration": {"10s"}, "rate": {"", "5/s"}, "thresholds": {"", "lost == 0; p99(delivery) < 1s;"}, "more flags": {"", "--ping 5s"}}
	form := measureForm()
	for _, field := range form.fields {
		check := form.check(field)
		for _, value := range wrong[field.name] {
			if err := check(value); err == nil || strings.HasPrefix(err.Error(), field.name) && field.is == aFlag {
				t.Errorf("%s: %q: %v", field.name, value, err)
			}
		}
		for value, want := range twice {
			if err := check(value); field.is == otherFlags && (err == nil || err.Error() != want) {
				t.Errorf("%s: %v, want %s", value, err, want)
			}
		}
		for _, value := range right[field.name] {
			if err := check(value); err != nil {
				t.Errorf("%s: %q: %v", field.name, value, err)
			}
		}
	}
	form = compareForm()
	for value, want := range map[string]string{"--pairs 9": "--pairs is the field pairs above", "--workload chat": "--workload is the field workload above", "--both '-c 5'": ""} {
		err := form.check(form.fields[form.place(otherFlags)])(value)
		if got := fmt.Sprint(err); got != cmp.Or(want, "<nil>") {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}

// TestSessionSaves: the scenario file that is saved says the same, and nobody else can read it.
func TestSessionSaves(t *testing.T) {
	t.Chdir(t.TempDir())
	values := strings.Split("ws://localhost/echo|ws|20|6s|50/s|p99(round_trip) < 250ms; lost == 0|--ping 5s -H 'Authorization: Bearer ${x}' --compression --max-event-size 4096", "|")
	form := measureForm()
	if _, err := form.save("mine.json", false, values); err == nil {
		t.Error("a scenario was saved as JSON")
	}
	if err := os.WriteFile("there.yaml", []byte("not mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := form.save("there.yaml", false, values); !errors.Is(err, fs.ErrExist) {
		t.Errorf("what is there: %v", err)
	}
	said, err := form.save("there.yaml", true, values)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) != 1 || !strings.Contains(said, files[0]) {
		t.Fatalf("%v, %v, %q", files, err, said)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	var out, complaint strings.Builder
	if code := Main([]string{"run", files[0], "--print", "--json"}, strings.NewReader(""), &out, &complaint); code != 0 {
		t.Fatalf("%d: %s", code, complaint.String())
	}
	for _, want := range []string{"ws: ws://localhost/echo", "connections: 20", "duration: 6s", "rate: 50/s", "ping: 5s", "compression: true", "max-event-size: 4096", "- p99(round_trip) < 250ms", "- lost == 0", "Authorization: Bearer"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	if text, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(text), "Bearer $${x}") {
		t.Errorf("%v, %s", err, text)
	}
}

// answers are endpoints of many kinds.
func answers() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("data: 1\n\n"))
	})
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			_ = conn.CloseNow()
		}
	})
	mux.HandleFunc("/mine", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
	})
	mux.HandleFunc("/from", func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Set("Content-Type", "text/event-stream"); r.Header.Get("Last-Event-Id") != "7" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\x1b[2J")) })
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}

// TestLook: what a target speaks is found out from what it answers, and what is the matter with one that doesn't is told with what
// to try.
func TestLook(t *testing.T) {
	mux := answers()
	server, secure, gone := httptest.NewServer(mux), httptest.NewUnstartedServer(mux), httptest.NewServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail, which is what is tried
	secure.StartTLS()
	defer server.Close()
	defer secure.Close()
	gone.Close()
	host, secureHost := strings.TrimPrefix(server.URL, "http://"), strings.TrimPrefix(secure.URL, "https://")
	for _, row := range []struct{ target, more, changed, protocol, said, wrong string }{
		{"", "", "", "sse", "", ""},
		{server.URL + "/events", "", server.URL + "/events", "sse", "it answers with an event stream", ""},
		{host + "/socket", "", server.URL + "/socket", "ws", "it opens a WebSocket", ""},
		{"ws://" + host + "/socket", "", "ws://" + host + "/socket", "ws", "it opens a WebSocket", ""},
		{"ws://" + host + "/events", "", server.URL + "/events", "sse", "it answers with an event stream; the URL now begins with http://", ""},
		{server.URL + "/page", "", server.URL + "/page", "sse", "", "the answer is not an event stream: got \"text/html"},
		{server.URL + "/nowhere", "", server.URL + "/nowhere", "sse", "", "HTTP status 404: Not Found: \"404 page not found\" (check the path)"},
		{server.URL + "/mine", "", server.URL + "/mine", "sse", "", "HTTP status 401: Unauthorized (check the credentials"},
		{server.URL + "/mine", "--bearer t1 --ping 5s", server.URL + "/mine", "sse", "it answers with an event stream", ""},
		{server.URL + "/loop", "", server.URL + "/loop", "sse", "", "redirects led nowhere: more than 10"},
		{server.URL + "/silent", "--timeout 50ms", server.URL + "/silent", "sse", "", "no answer in time: waiting for the response head (is the server"},
		{server.URL + "/from", "--last-event-id 7", server.URL + "/from", "sse", "it answers with an event stream", ""},
		{server.URL + "/events", "--data {}", server.URL + "/events", "sse", "", ""}, // more than a GET isn't tried
		{gone.URL, "", gone.URL, "sse", "", "nothing listens at that address"},
		{secure.URL + "/events", "", secure.URL + "/events", "sse", "", "the TLS handshake failed"},
		{secure.URL + "/events", "-k", secure.URL + "/events", "sse", "it answers with an event stream", ""},
		{"http://" + secureHost + "/events", "", secure.URL + "/events", "sse", "the URL now begins with https://", "the TLS handshake failed"},
		{"http://" + secureHost + "/socket", "-k", "wss://" + secureHost + "/socket", "ws", "it opens a WebSocket; the URL now begins with wss://", ""},
		{"https://" + host + "/events", "", server.URL + "/events", "sse", "it answers with an event stream; the URL now begins with http://", ""},
		{"ftp://x", "", "ftp://x", "sse", "", ""}, // which the form says by itself
		{"http://user:SECRET@" + host + "%zz/", "", "http://user:SECRET@" + host + "%zz/", "sse", "", ""},
		{"http://user:SECRET@" + host + "/page", "", "http://user:SECRET@" + host + "/page", "sse", "", "the answer is not an event stream"},
	} {
		found := measureForm().look(t.Context(), 0, []string{row.target, "sse", "100", "", "", "", row.more})
		wrong := ""
		if found.Err != nil {
			wrong = found.Err.Error()
		}
		if found.Values[0] != row.changed || found.Values[1] != row.protocol || found.Values[2] != "100" || found.Said != row.said || !strings.HasPrefix(wrong, row.wrong) || (wrong == "") != (row.wrong == "") {
			t.Errorf("%s %s: %+v", row.target, row.more, found)
		}
		if wrong != "" && !strings.HasSuffix(wrong, ")") || strings.Contains(wrong, "SECRET") || strings.Contains(wrong, "\x1b") {
			t.Errorf("%s: no hint, or too much: %q", row.target, wrong)
		}
	}
}

// TestLookAtBoth: each address of a comparison is looked at by itself, with the flags of its side; its scheme says what it speaks.
func TestLookAtBoth(t *testing.T) {
	server, gone := httptest.NewServer(answers()), httptest.NewServer(nil)
	defer server.Close()
	gone.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	t.Setenv("RTBENCH_BEARER", "t1") // which trials don't have either
	for _, row := range []struct {
		at                                 int
		target, more, changed, said, wrong string
	}{
		{0, "", "", "", "", ""},
		{0, server.URL + "/events", "", server.URL + "/events", "it answers with an event stream", ""},
		{0, host + "/events", "", server.URL + "/events", "it answers with an event stream", ""},
		{1, "ws://" + host + "/socket", "", "ws://" + host + "/socket", "it opens a WebSocket", ""},
		{1, host + "/socket", "", "ws://" + host + "/socket", "it opens a WebSocket", ""},
		{1, server.URL + "/socket", "", "ws://" + host + "/socket", "it opens a WebSocket; the URL now begins with ws://", ""},
		{1, "wss://" + host + "/socket", "", "ws://" + host + "/socket", "it opens a WebSocket; the URL now begins with ws://", ""},
		{1, host + "/events", "", server.URL + "/events", "it answers with an event stream", ""},
		{0, "ws://" + host + "/socket", "", "ws://" + host + "/socket", "it opens a WebSocket", ""}, // the sides may be given the other way round
		{1, "ws://" + host + "/nowhere", "", "ws://" + host + "/nowhere", "", "HTTP status 404"},
		{1, strings.Replace(gone.URL, "http", "ws", 1), "", strings.Replace(gone.URL, "http", "ws", 1), "", "nothing listens at that address"},
		{0, server.URL + "/mine", "", server.URL + "/mine", "", "HTTP status 401"},
		{0, server.URL + "/mine", "--both '--bearer t1'", server.URL + "/mine", "it answers with an event stream", ""},
		{0, server.URL + "/mine", "--both '--ping 5s' --sse '--bearer t1' --pairs", server.URL + "/mine", "it answers with an event stream", ""},
		{0, server.URL + "/mine", "--ws '--bearer t1'", server.URL + "/mine", "", "HTTP status 401"},
		{0, server.URL + "/events", "--sse '--data {}'", server.URL + "/events", "", ""}, // more than a GET isn't tried
		{1, "ftp://x", "", "ftp://x", "", ""},
	} {
		values := []string{"one", "other", "feed", "", "10", "2s", row.more}
		values[row.at] = row.target
		found := compareForm().look(t.Context(), row.at, values)
		wrong := ""
		if found.Err != nil {
			wrong = found.Err.Error()
		}
		if values[row.at] = row.changed; !slices.Equal(found.Values, values) || found.Said != row.said || !strings.HasPrefix(wrong, row.wrong) || (wrong == "") != (row.wrong == "") {
			t.Errorf("%d %s %s: %+v", row.at, row.target, row.more, found)
		}
	}
	t.Setenv("RTBENCH_BOTH", "--bearer t1")
	if found := compareForm().look(t.Context(), 0, []string{server.URL + "/mine", "", "", "", "", "", ""}); found.Said != "it answers with an event stream" {
		t.Errorf("%+v", found)
	}
	form := compareForm()
	for at, want := range map[int]string{0: "[0]", 1: "[1]", 2: "[]", 6: "[0 1]"} {
		if got := fmt.Sprint(form.looks(at)); got != want {
			t.Errorf("field %d has %s looked at, not %s", at, got, want)
		}
	}
}

// TestLookTakesFlags: a look is made with the flags that say how connections are made, and has as long as they say.
func TestLookTakesFlags(t *testing.T) {
	const more = "--timeout 30s --bearer t1 -H 'X-A: b' --origin http://o --cacert ca.pem --cert c.pem --key k.pem --connect-to localhost:1 --source-ip 127.0.0.2 --last-event-id 7"
	looks := map[string]func(*protocol) func(*loadFlags, *protocol) error{
		"measure": func(p *protocol) func(*loadFlags, *protocol) error {
			return measureForm().giver([]string{"", "sse", "", "", "", "", more + " --insecure"}, p)
		},
		"compare": func(p *protocol) func(*loadFlags, *protocol) error {
			return compareForm().giver([]string{"", "", "", "", "", "", "--both \"" + more + "\" --sse -k --ws -k"}, p)
		},
	}
	for name, giver := range looks {
		for _, p := range protocols {
			f, err := looker{give: giver(p)}.flags(p)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintln(f.timeout, f.bearer, f.headers, f.origin, f.caCert, f.cert, f.key, f.connectTo, f.sources.values, f.lastID, f.insecure)
			if want := "30s t1 [X-A: b] http://o ca.pem c.pem k.pem localhost:1 [127.0.0.2] 7 true\n"; got != want {
				t.Errorf("%s, %s: %s, want %s", name, p.name, got, want)
			}
		}
	}
	if f, err := (looker{give: measureForm().giver([]string{"", "sse", "", "", "", "", "--bearer t1"}, protocols[0])}).flags(protocols[0]); err != nil || f.timeout != lookLimit {
		t.Errorf("%v, %v", f.timeout, err)
	}
}

// TestLookKeepsSecrets: what one side of a comparison sends goes to no other host, and what was to go over TLS not without it.
func TestLookKeepsSecrets(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprint(r.URL, r.Header))
		http.NotFound(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, row := range []struct {
		at     int
		target string
		more   string
		tells  bool // what is secret
	}{
		{1, "ws://" + host + "/a", "--sse '--bearer SECRET'", false},
		{0, "http://" + host + "/a", "--ws '-H X-Key:SECRET'", false},
		{1, "wss://u:SECRET@" + host + "/a?token=SECRET", "--both '--bearer SECRET'", false},
		{1, "wss://" + host, "--ws '--bearer SECRET'", false},
		{1, "ws://" + host + "/a", "--ws '--bearer SECRET'", true},
		{1, "ws://" + host + "/a", "--both '--bearer SECRET'", true},
	} {
		values := []string{"one", "other", "feed", "", "10", "2s", row.more}
		values[row.at] = row.target
		compareForm().look(t.Context(), row.at, values)
		mu.Lock()
		all := strings.Join(heard, "\n")
		heard = nil
		mu.Unlock()
		if all == "" || strings.Contains(all, "SECRET") != row.tells || strings.Contains(all, "Basic") {
			t.Errorf("%s %s: %s", row.target, row.more, all)
		}
	}
}

// TestLookKeepsProtocol: where nothing answers, a wrong protocol isn't taken for another one.
func TestLookKeepsProtocol(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	if found := measureForm().look(t.Context(), 0, []string{gone.URL, "xx", "", "", "", "", ""}); found.Values[1] != "xx" || found.Err == nil {
		t.Errorf("%+v", found)
	}
}

// TestSessionHistory: a run in a line, and what is written of it.
func TestSessionHistory(t *testing.T) {
	t.Chdir(t.TempDir())
	m := &made{form: measureForm(), values: strings.Split("http://u:SECRET@localhost/|sse|100|10s|||", "|"), said: "exit code 1: refused"}
	m.code = exitFailed
	if line := m.line(); strings.Count(line, "exit ") != 1 || !strings.Contains(line, "exit code 1: refused") || strings.Contains(line, "SECRET") {
		t.Errorf("%q", line)
	}
	if text := m.text(80); !strings.Contains(text, "There is no report") {
		t.Errorf("%q", text)
	}
	m.run = report.Run{Result: &bench.Result{Stop: bench.StopDuration, Verdict: bench.UpperBound}}
	for path, wrong := range map[string]string{"r.md": "", "r.json": "", "r.exe": "none of the endings", "no/where.md": "no such file"} {
		said, err := m.write(path, false)
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) || err == nil && said != "written to "+path {
			t.Errorf("%s: %q, %v", path, said, err)
		}
	}
	if _, err := m.write("r.md", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("what is there: %v", err)
	}
	if _, err := m.write("r.md", true); err != nil {
		t.Errorf("what is there, over it: %v", err)
	}
	s := &session{runs: []*made{{said: "first", form: measureForm(), values: m.values}, m}}
	if list := s.history(); len(list) != 2 || !strings.Contains(list[1].Came, "first") || s.nth(0) != m {
		t.Errorf("%q", list)
	}
	m.run.Result.Estimates = map[bench.Metric][]bench.Estimate{bench.Delivery: {{Q: .5, Value: 1e6, AtLeast: true, Verdict: bench.Trusted}, {Q: .99, Value: 3e6, Indicative: true, Unknown: "too few"}}}
	m.run.Result.Histograms[bench.Delivery] = bench.NewHistogram()
	_ = m.run.Result.Histograms[bench.Delivery].RecordValue(1e6)
	if line := m.line(); !strings.Contains(line, "delivery  p50 ≥ 1.00 ms TRUSTED  p99 ~3.00 ms  ") {
		t.Errorf("%q", line)
	}
	if s.mark([]int{0, 1}); fmt.Sprint(s.marks()) != "[0 1]" || s.marked[0] != m {
		t.Errorf("marked: %v", s.marks())
	}
	if s.runs = append(s.runs, &made{}); fmt.Sprint(s.marks()) != "[1 2]" { // they stay with their runs
		t.Errorf("marked: %v", s.marks())
	}
	c := &made{compared: &report.Comparison{}}
	if _, err := c.write("c.csv", true); err == nil {
		t.Error("a comparison was written as CSV")
	}
}

// TestSessionBrief: a run in few words has what tells it from others, and a comparison its sides.
func TestSessionBrief(t *testing.T) {
	for _, row := range []struct {
		form         *sessionForm
		values, want string
	}{
		{measureForm(), "|sse|100|10s|||", "sse"},
		{measureForm(), "http://u:SECRET@localhost:8080/events?token=SECRET|sse|7|10s|5/s|lost == 0|-H 'Authorization: Bearer SECRET' --ping 5s", "sse u:REDACTED@localhost:8080/events?token=REDACTED -c 7 -r 5/s --threshold 'lost == 0' -H 'Authorization: Bearer REDACTED' --ping 5s"},
		{compareForm(), "||feed||10|2s|", "SSE against WebSocket"},
		{compareForm(), "||chat|5|10|2s|", "--workload chat -c 5 SSE against WebSocket"},
		{compareForm(), "http://localhost:8080/e|ws://localhost:8080/f|feed||10|2s|", "localhost:8080/e against /f"},
		{compareForm(), "http://localhost:80/e|ws://localhost:8080/f|feed||10|2s|", "localhost:80/e against localhost:8080/f"},
		{compareForm(), "||feed||10|2s|--a 'sse http://a/' --b 'sse http://b/'", "compare --a 'sse http://a/' --b 'sse http://b/'"},
	} {
		if got := row.form.brief(strings.Split(row.values, "|")); got != row.want {
			t.Errorf("%s, want %s", got, row.want)
		}
	}
}

// TestSessionEnds: where SIGTERM ends a session during a run, its report is printed all the same; after SIGINT it is on the screen.
func TestSessionEnds(t *testing.T) {
	for signal, printed := range map[os.Signal]bool{syscall.SIGTERM: true, syscall.SIGHUP: true, os.Interrupt: false} {
		ctx, end := context.WithCancelCause(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte("data: 1\n\n"))
			_ = http.NewResponseController(w).Flush()
			end(interrupted{signal})
			<-r.Context().Done()
		}))
		var out, said strings.Builder
		m := &made{form: measureForm(), values: strings.Split(server.URL+"|sse|1|1m|||", "|")}
		err := m.perform(ctx, streams{out: &out, err: &said})
		server.Close()
		if m.run.Result == nil || strings.Contains(out.String(), "interrupted") != printed {
			t.Errorf("%v: %v, printed %q, said %q", signal, err, out.String(), said.String())
		}
	}
}

// TestSessionDiff: it is said which run is the base and which the head, and what can't be compared.
func TestSessionDiff(t *testing.T) {
	ran := func(second int) *made {
		return &made{at: time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC), form: measureForm(), values: strings.Split("|sse|100|10s|||", "|"),
			run: report.Run{Result: &bench.Result{Stop: bench.StopDuration, Verdict: bench.UpperBound}}}
	}
	nothing := ran(3)
	nothing.run.Result = nil
	for _, row := range []struct {
		base, head *made
		text       string
		written    bool
	}{{ran(1), ran(2), "base against head", true}, {ran(2), ran(1), "base against head", true}, {ran(1), nothing, "There is no report", false}} {
		reader := diffReader(row.base, row.head)
		if len(reader.Said) < 2 || !strings.HasPrefix(reader.Said[0], "base "+row.base.at.Format("15:04:05")) || !strings.HasPrefix(reader.Said[1], "head "+row.head.at.Format("15:04:05")) {
			t.Errorf("%q", reader.Said)
		}
		if text := reader.Text(80); !reader.Swap || !strings.Contains(ansi.Strip(text), row.text) || (reader.Write != nil) != row.written {
			t.Errorf("%+v: %s", reader, text)
		}
	}
}
