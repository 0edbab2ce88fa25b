package report

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rtbench/rtbench/bench"
)

// A Format is a way to write a run.
type Format uint8

// The formats.
const (
	Text Format = iota
	JSON
	CSV
	HLog
	Markdown
	JUnit
	HTML
	GoBench
	numFormats
)

// formats is the one table of formats.
var formats = [numFormats]struct{ name, extension, sentence string }{
	Text:     {"text", ".txt", "a summary for people"},
	JSON:     {"json", ".json", "everything, with a documented schema; can be read back"},
	CSV:      {"csv", ".csv", "one row a metric; a second file has one row a step of the series"},
	HLog:     {"hlog", ".hlog", "the histograms as an HdrHistogram interval log, one line a timing"},
	Markdown: {"markdown", ".md", "a summary for a pull request or a decision"},
	JUnit:    {"junit", ".xml", "one test case a threshold, or a figure that was compared, for CI"},
	HTML:     {"html", ".html", "a page with pictures that needs nothing else"},
	GoBench:  {"gobench", ".bench", "quantiles in Go's benchmark format, for benchstat"},
}

// Formats lists every format.
func Formats() []Format {
	all := make([]Format, numFormats)
	for i := range all {
		all[i] = Format(i)
	}
	return all
}

// String is the format's name on the command line.
func (f Format) String() string { return formats[f].name }

// Extension is how a file in this format ends, with the dot.
func (f Format) Extension() string { return formats[f].extension }

// Sentence says what the format is for.
func (f Format) Sentence() string { return formats[f].sentence }

// ParseFormat finds a format by its name, in any case. Its error names the formats there are, and the one that was
// probably meant.
func ParseFormat(name string) (Format, error) {
	word := strings.ToLower(strings.TrimSpace(name))
	names := make([]string, 0, numFormats)
	for _, f := range Formats() {
		if f.String() == word {
			return f, nil
		}
		names = append(names, f.String())
	}
	meant := ""
	near := bench.Nearest(word, names)
	if f, ok := FormatForFile("." + word); ok { // it is the ending of one
		near = f.String()
	}
	if near != "" {
		meant = fmt.Sprintf("; did you mean %q?", near)
	}
	return 0, fmt.Errorf("there is no format %q%s (formats: %s)", Plain(name), meant, strings.Join(names, ", "))
}

// FormatForFile finds a format by how the file's name ends; ok is false where none does.
func FormatForFile(path string) (f Format, ok bool) {
	extension := strings.ToLower(filepath.Ext(path))
	for _, f := range Formats() {
		if f.Extension() == extension {
			return f, true
		}
	}
	return 0, false
}
