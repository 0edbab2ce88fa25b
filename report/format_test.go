package report

import (
	"strings"
	"testing"
)

func TestParseFormat(t *testing.T) {
	for _, f := range Formats() {
		for _, name := range []string{f.String(), strings.ToUpper(f.String()), " " + f.String()} {
			if got, err := ParseFormat(name); got != f || err != nil {
				t.Errorf("%q: %v, %v", name, got, err)
			}
		}
		if f.Sentence() == "" {
			t.Errorf("%s has no sentence", f)
		}
	}
	for name, meant := range map[string]string{
		"jsn": "json", "josn": "json", "jsonl": "json", "txt": "text", "texte": "text", "cvs": "csv", "hdrlog": "hlog", "hlg": "hlog", "xml": "junit", "md": "markdown", "": "", "\x1b[2J": "",
	} {
		_, err := ParseFormat(name)
		if err == nil {
			t.Errorf("%q is a format", name)
			continue
		}
		if suggests := strings.Contains(err.Error(), "did you mean"); suggests != (meant != "") || !strings.Contains(err.Error(), meant) ||
			!strings.Contains(err.Error(), "text, json, csv, hlog") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFormatForFile(t *testing.T) {
	for path, want := range map[string]Format{"a.json": JSON, "out/run.CSV": CSV, "x.hlog": HLog, "a.b.txt": Text} {
		if got, ok := FormatForFile(path); got != want || !ok {
			t.Errorf("%s: %v, %v", path, got, ok)
		}
	}
	for _, path := range []string{"", "json", "a.jsonl", "csv/a", "a."} {
		if got, ok := FormatForFile(path); ok {
			t.Errorf("%s: %v", path, got)
		}
	}
}
