package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/template"
)

// Resume says how a WebSocket client tells its server where to go on: in the URL's query, in a header, or in a first
// message. The zero value says nothing, and a drop then loses what was missed.
type Resume struct {
	where string // "query", "header" or "message"
	name  string // of the query parameter or header
	text  *template.Template
}

const resumeExample = "write query:NAME={{.LastID}}, header:NAME: {{.LastID}} or message:TEXT with {{.LastID}} in it"

// ParseResume reads "query:NAME=TEMPLATE", "header:NAME: TEMPLATE" or "message:TEMPLATE", where the template holds
// {{.LastID}}.
func ParseResume(s string) (Resume, error) {
	where, rest, _ := strings.Cut(s, ":")
	r := Resume{where: where}
	body, named := rest, true
	switch where {
	case "query":
		r.name, body, named = strings.Cut(rest, "=")
	case "header":
		r.name, body, named = strings.Cut(rest, ":")
		r.name, body = strings.TrimSpace(r.name), strings.TrimSpace(body)
	case "message":
	default:
		return Resume{}, fmt.Errorf("%q: %s", s, resumeExample)
	}
	if !named || where != "message" && r.name == "" {
		return Resume{}, fmt.Errorf("%q names no %s: %s", s, where, resumeExample)
	}
	if !strings.Contains(body, ".LastID") {
		return Resume{}, fmt.Errorf("%q does not use {{.LastID}}: %s", s, resumeExample)
	}
	var err error
	if r.text, err = template.New("resume").Option("missingkey=error").Parse(body); err != nil {
		return Resume{}, fmt.Errorf("%q: %w", s, err)
	}
	if _, err := r.render("1"); err != nil {
		return Resume{}, fmt.Errorf("%q: %w", s, err)
	}
	return r, nil
}

// IsZero reports whether nothing is said.
func (r Resume) IsZero() bool { return r.text == nil }

func (r Resume) render(id string) (string, error) {
	var b strings.Builder
	err := r.text.Execute(&b, struct{ LastID string }{id})
	return b.String(), err
}

// apply adds the cursor to a request, or gives the message to send first. An empty cursor adds nothing.
func (r Resume) apply(req Request, from Cursor) (Request, [][]byte, error) {
	if r.IsZero() || len(from) == 0 {
		return req, nil, nil
	}
	value, err := r.render(string(from))
	if err != nil {
		return req, nil, err
	}
	switch r.where {
	case "message":
		return req, [][]byte{[]byte(value)}, nil
	case "header":
		req.Header = req.Header.Clone()
		if req.Header == nil {
			req.Header = make(http.Header)
		}
		req.Header.Set(r.name, value)
		return req, nil, nil
	}
	u, err := parsed(url.Parse(req.URL))
	if err != nil {
		return req, nil, err
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += url.QueryEscape(r.name) + "=" + url.QueryEscape(value)
	req.URL = u.String()
	return req, nil, nil
}
