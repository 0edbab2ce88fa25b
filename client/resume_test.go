package client

import (
	"net/http"
	"strings"
	"testing"
)

func TestParseResumeRefuses(t *testing.T) {
	for _, s := range []string{
		"", "query", "query:", "query:=x", "query:={{.LastID}}", "query:since", "query:since=x", "cookie:a={{.LastID}}",
		"header:", "header:X-Last", "header: : {{.LastID}}", "header:X-Last: x", "message:", "message:hello",
		"message:{{.LastID", "message:{{.LastID.x}}", "message:{{.LastIDs}}", "message:{{nope .LastID}}",
	} {
		r, err := ParseResume(s)
		if err == nil || !r.IsZero() {
			t.Errorf("ParseResume(%q) took it", s)
		} else if msg := err.Error(); strings.Contains(msg, "\n") || !strings.Contains(msg, s) {
			t.Errorf("ParseResume(%q) says %q", s, msg)
		}
	}
}

func TestResumeApplies(t *testing.T) {
	for _, test := range []struct {
		resume, url, from         string
		wantURL, header, messages string
	}{
		{"query:since={{.LastID}}", "ws://h/p", "7", "ws://h/p?since=7", "", ""},
		{"query:since={{.LastID}}", "ws://h/p?room=1#x", "a b&c=ü", "ws://h/p?room=1&since=a+b%26c%3D%C3%BC#x", "", ""},
		{"query:a b={{.LastID}}x", "ws://h", "7", "ws://h?a+b=7x", "", ""},
		{"header:X-Since: {{.LastID}}", "ws://h/p", "7", "ws://h/p", "7", ""},
		{"header: X-Since:id={{.LastID}}", "ws://h/p", "7", "ws://h/p", "id=7", ""},
		{`message:{"since":"{{.LastID}}"}`, "ws://h/p", "7", "ws://h/p", "", `{"since":"7"}`},
		{`message:{"since":{{printf "%q" .LastID}}}`, "ws://h/p", `a"b`, "ws://h/p", "", `{"since":"a\"b"}`},
		// Without a position nothing is said.
		{"query:since={{.LastID}}", "ws://h/p", "", "ws://h/p", "", ""},
		{"header:X-Since: {{.LastID}}", "ws://h/p", "", "ws://h/p", "", ""},
		{`message:{{.LastID}}`, "ws://h/p", "", "ws://h/p", "", ""},
	} {
		resume, err := ParseResume(test.resume)
		if err != nil {
			t.Errorf("%q: %v", test.resume, err)
			continue
		}
		given := http.Header{"A": {"b"}}
		req, messages, err := resume.apply(Request{URL: test.url, Header: given}, Cursor(test.from))
		if err != nil {
			t.Errorf("%q: %v", test.resume, err)
			continue
		}
		var said []string
		for _, m := range messages {
			said = append(said, string(m))
		}
		if req.URL != test.wantURL || req.Header.Get("X-Since") != test.header || strings.Join(said, "|") != test.messages {
			t.Errorf("%q: URL %s, header %q, messages %q", test.resume, req.URL, req.Header, said)
		}
		if len(given) != 1 || req.Header.Get("A") != "b" {
			t.Errorf("%q: the header given became %v, the one used %v", test.resume, given, req.Header)
		}
	}
	var none Resume
	if req, messages, err := none.apply(Request{URL: "ws://h"}, Cursor("7")); req.URL != "ws://h" || messages != nil || err != nil {
		t.Errorf("the zero value said %v, %q, %v", req, messages, err)
	}
	resume, _ := ParseResume("header:X-Since: {{.LastID}}")
	if req, _, err := resume.apply(Request{}, Cursor("7")); err != nil || req.Header.Get("X-Since") != "7" {
		t.Errorf("without a header before: %v, %v", req.Header, err)
	}
}
