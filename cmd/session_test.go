package cmd

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		{measureForm(), "|sse|100|10s|||--nope", "rtbench sse --connections 100 --duration 10s --nope", "there is no flag --nope"},
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
	wrong := map[string][]string{"protocol": {"", "http", "compare"}, "connections": {"x", "-1"}, "duration": {"ten"}, "rate": {"x/s"}, "thresholds": {"p99", "lost == 0; p99"}, "more flags": {"'"}}
	right := map[string][]string{"target": {"", "x"}, "protocol": {"sse", "ws"}, "connections": {"", "2k"}, "duration": {"10s"}, "rate": {"", "5/s"}, "thresholds": {"", "lost == 0; p99(delivery) < 1s;"}, "more flags": {"", "--ping 5s"}}
	form := measureForm()
	for _, field := range form.fields {
		check := form.check(field)
		for _, value := range wrong[field.name] {
			if check(value) == nil {
				t.Errorf("%s: %q is taken", field.name, value)
			}
		}
		for _, value := range right[field.name] {
			if err := check(value); err != nil {
				t.Errorf("%s: %q: %v", field.name, value, err)
			}
		}
	}
}

// TestSessionSaves: the scenario file that is saved says the same, and nobody else can read it.
func TestSessionSaves(t *testing.T) {
	t.Chdir(t.TempDir())
	values := strings.Split("ws://localhost/echo|ws|20|6s|50/s|p99(round_trip) < 250ms; lost == 0|--ping 5s -H 'Authorization: Bearer ${x}' --compression --max-event-size 4096", "|")
	form := measureForm()
	said, err := form.save(values)
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

// TestLookAt: what a target speaks is found out from what it answers.
func TestLookAt(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			_ = conn.CloseNow()
		}
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	server := httptest.NewServer(mux)
	defer server.Close()
	gone := httptest.NewServer(mux)
	gone.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, row := range []struct{ target, changed, protocol, said string }{
		{"", "", "sse", ""},
		{server.URL + "/events", server.URL + "/events", "sse", "it answers with an event stream"},
		{host + "/socket", server.URL + "/socket", "ws", "it opens a WebSocket"},
		{"ws://" + host + "/socket", "ws://" + host + "/socket", "ws", "it opens a WebSocket"},
		{server.URL + "/page", server.URL + "/page", "sse", "it answers with 200 OK, and neither"},
		{server.URL + "/nowhere", server.URL + "/nowhere", "sse", "it answers with 404 Not Found, and neither"},
		{gone.URL, gone.URL, "sse", "nothing answers there: connection refused"},
		{"ftp://x", "ftp://x", "sse", `there is no way to speak "ftp"`},
		{"http://user:SECRET@" + host + "%zz/", "http://user:SECRET@" + host + "%zz/", "sse", "nothing answers there"},
	} {
		changed, said := lookAt(t.Context(), 0, []string{row.target, "sse", "100"})
		if changed[0] != row.changed || changed[1] != row.protocol || changed[2] != "100" || !strings.HasPrefix(said, row.said) || strings.Contains(said, "SECRET") {
			t.Errorf("%s: %q, %s", row.target, changed, said)
		}
	}
	if changed, said := lookAt(t.Context(), 2, []string{"x", "sse", "1"}); changed[0] != "x" || said != "" {
		t.Errorf("another field: %q, %q", changed, said)
	}
}

// TestSessionHistory: a run in a line, and what is written of it.
func TestSessionHistory(t *testing.T) {
	t.Chdir(t.TempDir())
	m := &made{form: measureForm(), values: strings.Split("http://u:SECRET@localhost/|sse|100|10s|||", "|"), said: "exit code 1: refused"}
	if line := m.line(); !strings.Contains(line, "exit code 1: refused") || strings.Contains(line, "SECRET") {
		t.Errorf("%q", line)
	}
	if text := m.text(80); !strings.Contains(text, "There is no report") {
		t.Errorf("%q", text)
	}
	m.run = report.Run{Result: &bench.Result{Stop: bench.StopDuration, Verdict: bench.UpperBound}}
	for path, wrong := range map[string]string{"r.md": "", "r.json": "", "r.exe": "none of the endings", "no/where.md": "no such file"} {
		said, err := m.write(path)
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) || err == nil && said != "written to "+path {
			t.Errorf("%s: %q, %v", path, said, err)
		}
	}
	s := &session{runs: []*made{{said: "first", form: measureForm(), values: m.values}, m}}
	if list := s.history(); len(list) != 2 || !strings.Contains(list[1], "first") || s.nth(0) != m {
		t.Errorf("%q", list)
	}
	c := &made{compared: &report.Comparison{}}
	if _, err := c.write("c.csv"); err == nil {
		t.Error("a comparison was written as CSV")
	}
}
