package cmd

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// TestPublishing holds the flags of publishing against the requests of each publisher.
func TestPublishing(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"sse", "--publish /publish http://a:1/sse", "10 http://a:1/publish [application/json]"},
		{"sse", "--publish /p?room={{.Conn}} -r 60/m --publishers 2 https://user:word@a/sse?x=1", "1 https://a/p?room=0 [application/json] https://a/p?room=1 [application/json]"},
		{"ws", "--publish /publish ws://a:1/ws", "10 http://a:1/publish [application/json]"},
		{"ws", "--publish /publish wss://a/ws", "10 https://a/publish [application/json]"},
		{"ws", "--publish https://b/{{.Conn}} -H A:b --publish-method PUT ws://a", "10 PUT https://b/0 [application/json]"},
		{"sse", "--publish http://b --publish-body text={{.Stamp}} http://a", "10 http://b [application/x-www-form-urlencoded]"},
		{"sse", "--publish http://b --publish-header content-type:text/plain --publish-body {{.Stamp}} http://a", "10 http://b [text/plain]"},
	} {
		plan, target, _, err := planOf(t, test.name, test.line)
		if err != nil {
			t.Errorf("%s %s: %v", test.name, test.line, err)
			continue
		}
		publishers, stop, err := target.publish.open(target)
		if err != nil {
			t.Errorf("%s %s: %v", test.name, test.line, err)
			continue
		}
		got := fmt.Sprint(plan.Send.Rate)
		for _, publisher := range publishers {
			r := publisher.(*client.Publisher).Request
			got += strings.TrimSuffix(" "+r.Method, " ") + " " + r.URL + " " + fmt.Sprint(r.Header["Content-Type"])
			if r.Header.Get("A") != "" {
				t.Errorf("%s: a header of the target's", test.line)
			}
		}
		if got != test.want {
			t.Errorf("%s %s:\n%s, want\n%s", test.name, test.line, got, test.want)
		}
		stop()
	}
}

// TestMessages: what is sent for all is what the template makes of a publisher or connection and a number.
func TestMessages(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"sse", "--publish /p http://a", `10 false 0: {"type":"rtbench","stamp":"S"}`},
		{"sse", "--publish /p --publish-body {{.Conn}}.{{.N}}.{{.Stamp}} http://a", "10 false 0: 3.4.S"},
		{"ws", "--chat 10 ws://a", `1 true 10: {"type":"rtbench","stamp":"S"}`},
		{"ws", "--chat 10 -r 20 ws://a", `20 false 10: {"type":"rtbench","stamp":"S"}`},
		{"ws", "--chat 2 -r 20 --rate-scope conn -m {{.Stamp}} ws://a", "20 true 2: S"},
	} {
		plan, _, _, err := planOf(t, test.name, test.line)
		if err != nil {
			t.Errorf("%s %s: %v", test.name, test.line, err)
			continue
		}
		s := plan.Send
		got := fmt.Sprintf("%v %t %d: %s", s.Rate, s.PerConnection, s.Every, s.Message(nil, bench.Outgoing{Connection: 3, Number: 4, Stamp: []byte("S")}))
		if got != test.want || s.Unstamped {
			t.Errorf("%s %s:\n%s, want\n%s", test.name, test.line, got, test.want)
		}
	}
}

// TestMessagesAreText: what is to go out as a text message is one.
func TestMessagesAreText(t *testing.T) {
	for line, want := range map[string]string{
		"-m a\xff ws://a":                           "--message is not valid UTF-8 from byte 2 on",
		"--chat 2 -m \xc3{{.Stamp}} ws://a":         "--message is not valid UTF-8 from byte 1 on",
		"--subscribe a\xed\xa0\x80 ws://a":          "--subscribe is not valid UTF-8 from byte 2 on",
		"--binary -m \xff ws://a":                   "",
		"-m \ufffd\u20ac --subscribe \u0000 ws://a": "",
	} {
		_, _, _, err := planOf(t, "ws", line)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// TestPieces: a message that is put together from pieces is the one that the template makes, and takes no memory.
func TestPieces(t *testing.T) {
	target := &target{vars: []map[string]string{{"user": "ann"}}}
	for _, test := range []struct {
		raw    string
		pieces int // 0: the template makes it
	}{
		{"hello", 1}, {"{{.Stamp}}", 2}, {`{"n":{{.N}},"of":{{ .Conn }},"stamp":"{{.Stamp}}"}`, 4}, {"a {{- .N -}} b{{/* no comment */}}c", 2}, {"{{.N}}{{.N}}", 3},
		{"{{.Vars.user}}", 0}, {"{{if .N}}x{{end}}{{.Stamp}}", 0}, {"{{printf `%05d` .N}}", 0}, {"{{$n := .N}}{{$n}}", 0}, {"{{.Stamp | len}}", 0}, {`{{"x"}}`, 0},
		{"{{range 3}}{{.}}{{end}}", 0}, {`{{define "x"}}{{.N}}{{end}}{{.N}}`, 2}, {`{{define "x"}}y{{end}}{{template "x" .}}`, 0},
	} {
		m, err := parseMessage(test.raw, target)
		if err != nil {
			t.Errorf("%s: %v", test.raw, err)
			continue
		}
		outgoing := bench.Outgoing{Connection: 7, Number: math.MaxUint64, Stamp: client.AppendStamp(nil, client.Stamp{Run: 1})}
		want, err := m.render(messageScope{target.of(7), outgoing.Number, string(outgoing.Stamp)})
		if err != nil {
			t.Errorf("%s: %v", test.raw, err)
		}
		b := m.append([]byte("before "), outgoing)
		if string(b) != "before "+want || len(m.pieces) != test.pieces {
			t.Errorf("%s: %q of %d pieces, want %q of %d", test.raw, b, len(m.pieces), "before "+want, test.pieces)
		}
		if test.pieces > 0 {
			if n := testing.AllocsPerRun(100, func() { b = m.append(b[:0], outgoing) }); n != 0 {
				t.Errorf("%s: %v allocations", test.raw, n)
			}
		}
	}
}

// FuzzPublish: what is taken for the URL to post to is one, on the target's host where it is a path.
func FuzzPublish(f *testing.F) {
	for _, seed := range []string{"/publish", "/p?x=1#y", "//a/b", "http://b/p", "ws://b", "p", "/%zz", "/ x", "/{{.Conn}}", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Contains(raw, "range") || raw == "" {
			return // a loop is the user's own time; an empty flag isn't given
		}
		target := &target{url: text{raw: "wss://me:word@a:1/ws"}}
		p, err := newPublishing(&loadFlags{publish: raw}, target)
		if err != nil {
			if exitOf(err) != exitUsage {
				t.Errorf("%q: %v is no usage error", raw, err)
			}
			return
		}
		got, err := p.url(0, target)
		if err != nil || checkURL(got, []string{"http", "https"}) != nil || strings.HasPrefix(got, "https://a:1/") != (strings.HasPrefix(raw, "/") || strings.HasPrefix(got, raw) && strings.HasPrefix(raw, "https://a:1/")) {
			t.Errorf("%q is taken for %q, %v", raw, got, err)
		}
	})
}
