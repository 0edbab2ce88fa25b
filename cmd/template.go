package cmd

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/template"
	"unicode/utf8"
)

// What templates can name: of a connection, of what is sent when it is opened, and of a message.
type (
	connectionScope struct {
		Conn int               // the connection, from 0
		Vars map[string]string // its row of --vars
	}
	subscribeScope struct {
		connectionScope
		LastID string // the last event id, where a connection resumes
	}
	messageScope struct {
		connectionScope
		N     uint64 // the message of this connection, from 0
		Stamp string // rtbench's token: run, connection, number, due time
	}
)

// A text is a flag's value that may be a template. One without "{{" costs nothing to render.
type text struct {
	raw  string
	tmpl *template.Template
}

// parseText reads a template and tries it with a sample of its scope, so that a name that doesn't exist is found
// before the run.
func parseText[S any](raw string, sample S) (text, error) {
	if !strings.Contains(raw, "{{") {
		return text{raw: raw}, nil
	}
	tmpl, err := template.New("").Option("missingkey=error").Parse(raw)
	if err == nil {
		err = tmpl.Execute(&limited{left: maxRendered}, sample)
	}
	if err != nil {
		return text{}, fmt.Errorf("template: %w", templateProblem(raw, err))
	}
	return text{raw, tmpl}, nil
}

// maxRendered bounds what a template may give.
const maxRendered = 16 << 20

// limited refuses what is written beyond its limit.
type limited struct {
	strings.Builder
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("it gives more than %d bytes", maxRendered)
	}
	return l.Builder.Write(p)
}

var (
	noSuchField  = regexp.MustCompile(`can't evaluate field (\w+) in type cmd\.`)
	noSuchColumn = regexp.MustCompile(`map has no entry for key ("[^"]*")`)
	place        = regexp.MustCompile(`^template: :(\d+)(:\d+)?: (executing "" at <(.*?)>: )?`)
)

// templateProblem says what is wrong in a template: at which of its actions, since what is around them may be a secret.
func templateProblem(raw string, err error) error {
	if open := strings.LastIndex(raw, "{{"); open > strings.LastIndex(raw, "}}") { // all the rest is this action to the library, which quotes it
		return fmt.Errorf("the {{ at character %d has no }}", 1+utf8.RuneCountInString(raw[:open]))
	}
	s := err.Error()
	if m := noSuchField.FindStringSubmatch(s); m != nil {
		return fmt.Errorf("there is no {{.%s}} here", m[1])
	}
	if m := noSuchColumn.FindStringSubmatch(s); m != nil {
		return fmt.Errorf("--vars has no column %s", m[1])
	}
	m := place.FindStringSubmatch(s)
	if m == nil {
		return err
	}
	if s = s[len(m[0]):]; m[4] != "" {
		s = "{{" + m[4] + "}}: " + s
	}
	return errors.New(s)
}

// render gives the text for one connection or message.
func (t text) render(scope any) (string, error) {
	if t.tmpl == nil {
		return t.raw, nil
	}
	b := limited{left: maxRendered}
	if err := t.tmpl.Execute(&b, scope); err != nil {
		return "", fmt.Errorf("template: %w", templateProblem(t.raw, err))
	}
	return b.String(), nil
}

// readVars reads a CSV file whose first row names the columns; there is a row for each connection.
func readVars(path string) ([]map[string]string, error) {
	text, err := readInput(path)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(text))
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
			if !utf8.ValidString(record[i]) {
				line, _ := r.FieldPos(i)
				return nil, fmt.Errorf("%s: line %d: %s is not UTF-8 text", path, line, name)
			}
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
