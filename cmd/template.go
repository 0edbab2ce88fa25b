package cmd

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"
)

// A scope is what a template can name.
type scope struct {
	Conn   int               // the connection, from 0
	N      uint64            // the message of this connection, from 0
	Stamp  string            // rtbench's token: run, connection, number, due time
	LastID string            // the last event id, where a connection resumes
	Vars   map[string]string // the connection's row of --vars
}

// A text is a flag's value that may be a template. One without "{{" costs nothing to render.
type text struct {
	raw  string
	tmpl *template.Template
}

// parseText reads a template and tries it, so that a field or column that doesn't exist is found before the run.
func parseText(raw string, sample scope) (text, error) {
	if !strings.Contains(raw, "{{") {
		return text{raw: raw}, nil
	}
	tmpl, err := template.New("").Option("missingkey=error").Parse(raw)
	if err == nil {
		err = tmpl.Execute(io.Discard, sample)
	}
	if err != nil {
		return text{}, fmt.Errorf("template %q: %s", raw, templateProblem(err))
	}
	return text{raw, tmpl}, nil
}

// templateProblem says what is wrong in a template without the library's place marks.
func templateProblem(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ">: "); i >= 0 {
		s = s[i+3:]
	}
	return strings.TrimPrefix(s, "template: :1: ")
}

// render gives the text for one connection or message.
func (t text) render(s scope) (string, error) {
	if t.tmpl == nil {
		return t.raw, nil
	}
	var b strings.Builder
	if err := t.tmpl.Execute(&b, s); err != nil {
		return "", errors.New(templateProblem(err))
	}
	return b.String(), nil
}

// uses reports whether the template names a field such as ".Stamp".
func (t text) uses(field string) bool { return t.tmpl != nil && strings.Contains(t.raw, field) }

// readVars reads a CSV file whose first row names the columns; there is a row for each connection.
func readVars(path string) ([]map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty; its first row names the columns", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range header {
		header[i] = strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff"))
	}
	var rows []map[string]string
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		row := make(map[string]string, len(header))
		for i, name := range header {
			row[name] = record[i]
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s has column names but no rows", path)
	}
	return rows, nil
}

// vars gives a connection its row; there may be fewer rows than connections, and then they are used in turn.
func vars(rows []map[string]string, conn int) map[string]string {
	if len(rows) == 0 {
		return nil
	}
	return rows[conn%len(rows)]
}
