package cmd

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtbench/rtbench/client"
)

var sample = messageScope{connectionScope{7, map[string]string{"name": "ann"}}, 3, strings.Repeat("0", client.StampLen)}

func TestTemplates(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                "",
		"plain {.Conn}":                   "plain {.Conn}",
		"{{.Conn}}/{{.N}}/{{.Vars.name}}": "7/3/ann",
		`{"t":"{{.Stamp}}"}`:              `{"t":"` + sample.Stamp + `"}`,
		`{{printf "%03d" .Conn}}`:         "007",
		"{{if eq .Conn 7}}seven{{end}}":   "seven",
	} {
		text, err := parseText(raw, sample)
		if err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		if got, err := text.render(sample); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", raw, got, err, want)
		}
	}
	for raw, want := range map[string]string{
		"{{":                              `template: the {{ at character 1 has no }}`,
		"ä\n{{.}":                         `template: the {{ at character 3 has no }}`,
		"{{.Conn}} {{.Vars.name SECRET":   `template: the {{ at character 11 has no }}`,
		"{{.Name}} SECRET":                `template: there is no {{.Name}} here`,
		"{{.Vars.token}}":                 `template: --vars has no column "token"`,
		"SECRET {{name}}":                 `template: function "name" not defined`,
		"{{index .Vars}}{{.Conn.X}}":      `template: {{.Conn.X}}: can't evaluate field X in type int`,
		"{{if .Conn}}SECRET":              `template: unexpected EOF`,
		`{{slice "abc" 5}} SECRET {{.N}}`: `template: {{slice "abc" 5}}: error calling slice: index out of range: 5`,
	} {
		if _, err := parseText(raw, sample); err == nil || err.Error() != want {
			t.Errorf("%q: %v; want %s", raw, err, want)
		}
	}
}

// FuzzTemplate holds templates to this: what was taken before the run gives the same text in it, of a bounded length.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"", "a", "{{.Conn}}", "{{.Vars.name}}", "{{.Vars}}", `{"t":"{{.Stamp}}"}`, "{{", "{{/* */}}", "{{with .N}}{{.}}{{end}}", `{{printf "%99d" 1}}`, "{{define \"a\"}}{{template \"a\"}}{{end}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Contains(raw, "range") {
			return // a loop is the user's own time
		}
		text, err := parseText(raw, sample)
		if err != nil {
			return
		}
		once, err := text.render(sample)
		again, err2 := text.render(sample)
		if err != nil || err2 != nil || once != again || len(once) > max(maxRendered, len(raw)) {
			t.Errorf("%q: %v, %v", raw, err, err2)
		}
		if !strings.Contains(raw, "{{") && once != raw {
			t.Errorf("%q became %q", raw, once)
		}
	})
}

// FuzzURL holds what is taken for a URL against what a dialer needs of one.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{"", "http://a", "https://[::1]:8080/x?y#z", "http://user:pass@a/", "http://a:0", "http://a:65536", "ws://a", "//a", "http:a", "http://a b", "HTTP://A", "http://%zz", "http://[::1%25lo]/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		err := checkURL(raw, []string{"http", "https"})
		if err != nil {
			if exitOf(err) != exitUsage {
				t.Errorf("%q: %v is no usage error", raw, err)
			}
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			t.Errorf("%q is taken for a URL: %v, %v", raw, u, err)
		}
	})
}

// FuzzHeader: whatever a user writes, and whatever a row of variables holds, is one header or refused.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"A: b", "a:b", ":", "A", "A : b", "A: {{.Vars.name}}", "A: b\r\nC: d", "A\x00: b", "Ä: b", "A: \x7f"} {
		f.Add(seed, "value")
	}
	f.Add("A: {{.Vars.name}}", "x\r\nB: y")
	f.Fuzz(func(t *testing.T, header, variable string) {
		if strings.Contains(header, "range") {
			return
		}
		target := &target{vars: []map[string]string{{"name": variable}}}
		if err := target.readHeaders([]string{header}); err != nil {
			return
		}
		for _, h := range target.headers {
			value, err := h.value.render(target.of(0))
			if err != nil || !client.IsToken(h.name) || strings.ContainsAny(value, "\r\n\x00") {
				t.Errorf("%q with %q: %q: %q, %v", header, variable, h.name, value, err)
			}
		}
	})
}

func TestVars(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.csv")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeffname, token\r\nann,\"a,b\"\r\nbob,c\r\n")
	rows, err := readVars(path)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	if vars(rows, 0)["token"] != "a,b" || vars(rows, 1)["name"] != "bob" || vars(rows, 5)["name"] != "bob" || vars(nil, 5) != nil {
		t.Errorf("%v", rows)
	}
	for content, want := range map[string]string{
		"":                 "is empty",
		"a,b\n":            "no rows",
		"a,b\n1\n":         "wrong number of fields",
		"a,\"b\n":          "extraneous or missing",
		"a,b\n1,\"2\n\xfc": "extraneous or missing",
		"a,b\n1,2\n3,\xfc": "line 3: b is not UTF-8 text",
	} {
		write(content)
		if _, err := readVars(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
