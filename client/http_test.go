package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"7":                               7 * time.Second,
		"120":                             2 * time.Minute,
		"86401":                           maxRetry,
		"4294967295":                      maxRetry,
		"99999999999999999999":            maxRetry,
		"-1":                              0,
		"1.5":                             0,
		"soon":                            0,
		"Sun, 01 Mar 2026 12:00:30 GMT":   30 * time.Second,
		"Sunday, 01-Mar-26 12:01:00 GMT":  time.Minute, // the obsolete forms of RFC 9110, 5.6.7
		"Sun Mar  1 12:02:00 2026":        2 * time.Minute,
		"Sun, 01 Mar 2026 11:00:00 GMT":   0,
		"Thu, 01 Jan 2099 00:00:00 GMT":   maxRetry,
		"Sun, 01 Mar 2026 12:00:30 +0200": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// The rules of the Fetch standard, 4.4, "HTTP-redirect fetch".
func TestRedirect(t *testing.T) {
	header := http.Header{
		"Authorization": {"Bearer x"}, "Cookie": {"a=b"}, "Proxy-Authorization": {"c"}, "Accept": {"text/event-stream"},
		"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}, "Last-Event-Id": {"7"}, "X-Api-Key": {"k"}, "X-Room": {"r"},
	}
	const here = "http://a.test:8080/dir/page?q#f"
	for _, test := range []struct {
		name         string
		method, body string
		status       int
		location     string
		want         string // method, URL and body
		trusted      bool   // credentials go with it
	}{
		{"301 of GET", "GET", "", 301, "/x", "GET http://a.test:8080/x ", true},
		{"302 of GET", "GET", "", 302, "x?y", "GET http://a.test:8080/dir/x?y ", true},
		{"303 of GET", "GET", "", 303, "//a.test:8080/x", "GET http://a.test:8080/x ", true},
		{"307 of GET", "GET", "", 307, "?z", "GET http://a.test:8080/dir/page?z ", true},
		{"308 of GET", "GET", "", 308, "../x", "GET http://a.test:8080/x ", true},
		{"301 of POST", "POST", "hi", 301, "/x", "GET http://a.test:8080/x ", true},
		{"302 of POST", "POST", "hi", 302, "/x", "GET http://a.test:8080/x ", true},
		{"303 of POST", "POST", "hi", 303, "/x", "GET http://a.test:8080/x ", true},
		{"307 of POST", "POST", "hi", 307, "/x", "POST http://a.test:8080/x hi", true},
		{"308 of POST", "POST", "hi", 308, "/x", "POST http://a.test:8080/x hi", true},
		{"301 of PUT", "PUT", "hi", 301, "/x", "PUT http://a.test:8080/x hi", true},
		{"302 of PUT", "PUT", "hi", 302, "/x", "PUT http://a.test:8080/x hi", true},
		{"303 of PUT", "PUT", "hi", 303, "/x", "GET http://a.test:8080/x ", true},
		{"another host", "GET", "", 302, "http://b.test:8080/x", "GET http://b.test:8080/x ", false},
		{"another port", "GET", "", 302, "http://a.test/x", "GET http://a.test/x ", false},
		{"another scheme", "GET", "", 302, "https://a.test:8080/x", "GET https://a.test:8080/x ", false},
		{"a subdomain", "GET", "", 302, "http://b.a.test:8080/x", "GET http://b.a.test:8080/x ", false},
		{"another host, with its body", "POST", "hi", 307, "http://b.test/x", "POST http://b.test/x hi", false},
		{"another host, with credentials in it", "GET", "", 302, "http://u:p@b.test/x", "GET http://u:p@b.test/x ", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, _ := url.Parse(here)
			var body []byte
			if test.body != "" {
				body = []byte(test.body)
			}
			req, err := newRequest(context.Background(), test.method, u, header, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "virtual.test"
			resp := &http.Response{StatusCode: test.status, Request: req, Header: http.Header{"Location": {test.location}}}
			next, body, err := redirect(req, body, resp, func(name, value string) bool { return name == "X-Api-Key" && value == "k" })
			if err != nil {
				t.Fatal(err)
			}
			var sent []byte
			if next.Body != nil {
				sent, _ = io.ReadAll(next.Body)
			}
			if got := next.Method + " " + next.URL.String() + " " + string(sent); got != test.want || string(sent) != string(body) {
				t.Errorf("%s with %q, want %s", got, body, test.want)
			}
			for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key"} {
				if got := next.Header.Get(name) != ""; got != test.trusted {
					t.Errorf("%s sent: %v, want %v", name, got, test.trusted)
				}
			}
			if got := next.Header.Get("Content-Type") != "" && next.Header.Get("Content-Encoding") != ""; got != (next.Method == test.method) {
				t.Errorf("the body is described: %v", next.Header)
			}
			if next.Header.Get("Last-Event-Id") != "7" || next.Header.Get("Accept") == "" || next.Header.Get("X-Room") != "r" {
				t.Errorf("what asks for the stream got lost: %v", next.Header)
			}
			if host := next.Host; (host == "virtual.test") != test.trusted {
				t.Errorf("Host is %q", host)
			}
			if len(header) != 9 {
				t.Errorf("the caller's header became %v", header)
			}
		})
	}
}

func TestRedirectRefuses(t *testing.T) {
	u, _ := url.Parse("http://a.test/")
	for _, location := range []string{"", "ftp://a.test/", "mailto:x@y", "http://", "http://a b/", "://", "\x7f"} {
		req, err := newRequest(context.Background(), "GET", u, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := &http.Response{StatusCode: 302, Request: req, Header: http.Header{"Location": {location}}}
		_, _, err = redirect(req, nil, resp, nil)
		if e := Classify(err); e == nil || e.Class != ClassRedirect || e.Key() != "redirect 302" || strings.Contains(e.Error(), "\n") {
			t.Errorf("%q: %v", location, err)
		}
	}
}

func TestNewRequest(t *testing.T) {
	header := http.Header{"Host": {"virtual.test"}, "User-Agent": {"me"}}
	u, err := parseURL("wss://user:pa%20ss@h.test/p")
	if err != nil || u.Scheme != "https" {
		t.Fatal(u, err)
	}
	req, err := newRequest(context.Background(), "", u, header, nil)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := req.BasicAuth()
	if req.Method != "GET" || req.Host != "virtual.test" || req.Header.Get("Host") != "" || user != "user" || password != "pa ss" ||
		req.Header.Get("User-Agent") != "me" || req.Body != nil {
		t.Errorf("%+v", req)
	}
	if len(header) != 2 || header.Get("Host") == "" {
		t.Errorf("the caller's header became %v", header)
	}
	req, err = newRequest(context.Background(), "POST", u, http.Header{"Authorization": {"Bearer t"}}, []byte("x"))
	if err != nil || req.Header.Get("Authorization") != "Bearer t" || req.ContentLength != 1 || req.Header.Get("User-Agent") != "rtbench" {
		t.Errorf("%+v, %v", req, err)
	}
	for _, method := range []string{"GE T", "G\nET", "é"} {
		if _, err := newRequest(context.Background(), method, u, nil, nil); err == nil {
			t.Errorf("method %q was taken", method)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, s := range []string{"", "localhost:8080/x", "/path", "ftp://h/", "http://", "http:///x", "http://h:port/", "http://[::1/", "ws://h\n/"} {
		u, err := parseURL(s)
		if err == nil {
			t.Errorf("parseURL(%q) = %v", s, u)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("parseURL(%q) says %q", s, err)
		}
	}
}

// TestEscapeQuery: what is sent is a URL, whatever bytes were given.
func TestEscapeQuery(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a=b&c=%20+d": "a=b&c=%20+d", "a=b c": "a=b%20c", "名=价": "%E5%90%8D=%E4%BB%B7", "a=<\"'>": "a=%3C%22%27%3E",
		"a=\xff\x7f": "a=%FF%7F", "%zz": "%zz", "a[]={b|c}\\^`~": "a[]={b|c}\\^`~", "?/:@!$&()*+,;=-._~": "?/:@!$&()*+,;=-._~", "a#": "a%23",
	} {
		if got := EscapeQuery(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	u, err := parseURL("ws://h/p q?x=a b#c d")
	if err != nil || u.RequestURI() != "/p%20q?x=a%20b" {
		t.Errorf("%v, %v", u.RequestURI(), err)
	}
}

func TestHostPort(t *testing.T) {
	for in, want := range map[string]string{
		"ws://h.test/": "h.test:80", "wss://h.test": "h.test:443", "http://[::1]/": "[::1]:80", "https://[::1]:8443/": "[::1]:8443", "http://h.test:0": "h.test:0",
	} {
		u, err := parseURL(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostPort(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestBadURLIsNotQuoted: a URL may hold secrets, and one that is made of variables is first read when it is dialed.
func TestBadURLIsNotQuoted(t *testing.T) {
	request := Request{URL: "http://u:SECRET@h/%zz?token=SECRET"}
	resume, err := ParseResume("query:after={{.LastID}}")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Dialer{&SSE{Net: &Net{}, Request: request}, &WebSocket{Net: &Net{}, Request: request}, &WebSocket{Net: &Net{}, Request: request, Resume: resume}} {
		_, err := d.Dial(t.Context(), Cursor("1"))
		if err == nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), `invalid URL escape "%zz"`) {
			t.Errorf("%v", err)
		}
	}
}

// TestOneHost: where what is connected to is on the way to one host, a redirect to another one isn't followed there.
func TestOneHost(t *testing.T) {
	var asked atomic.Int32
	addr := serve(t, nil, func(p *peer) {
		for p.read() {
			asked.Add(1)
			p.write("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + map[string]string{"/": "/b", "/b": "http://other.test/c?token=d"}[p.request.URL.Path] + "\r\nContent-Length: 0\r\n\r\n")
		}
	})
	_, err := (&SSE{Net: &Net{ConnectTo: addr, OneHost: true}, Request: Request{URL: "http://stream.test/"}}).Dial(context.Background(), nil)
	if key, words := explain(err); key != "redirect" || words != "redirects led nowhere: this one leads away from stream.test:80, to http://other.test/c" || asked.Load() != 2 {
		t.Errorf("%s: %s, after %d requests", key, words, asked.Load())
	}
}
