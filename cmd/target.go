package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// A target is what to connect to, with the templates of everything that differs between connections.
type target struct {
	net      *client.Net
	slow     *client.Net // of the connections that read slowly; nil where there are none
	slowness bench.Slowness
	url      text
	headers  []headerText
	body     text
	vars     []map[string]string
	method   string
	publish  *publishing // nil for none
	secrets  *report.Secrets
}

type headerText struct {
	name  string
	value text
}

// guard has a Net keep the secrets that are sent to the target.
func (t *target) guard(n *client.Net) {
	n.Redact, n.Private = t.secrets.Hide, report.SecretHeader
}

// newTarget reads the flags that say where to connect and what to send along.
func newTarget(f *loadFlags, rawURL string, schemes []string) (*target, error) {
	t := &target{method: f.method, slowness: f.slowness(), secrets: &report.Secrets{}}
	var err error
	if t.slow, err = f.slowNetwork(); err != nil {
		return nil, err
	}
	if t.net, err = f.network(); err != nil {
		return nil, err
	}
	for _, n := range []*client.Net{t.net, t.slow} {
		if n != nil {
			t.guard(n)
		}
	}
	t.secrets.AddURL(f.clock)
	if f.varsFile != "" {
		if t.vars, err = readVars(f.varsFile); err != nil {
			return nil, usage(fmt.Errorf("--vars: %w", err), "a CSV file whose first row names the columns")
		}
		for _, row := range t.vars {
			for column, value := range row {
				t.secrets.AddNamed(column, value)
			}
		}
	}
	if t.url, err = parseText(rawURL, t.of(0)); err != nil {
		return nil, usage(fmt.Errorf("the URL: %w", err), connectionFields)
	}
	rendered, err := t.url.render(t.of(0))
	if err != nil {
		return nil, usage(fmt.Errorf("the URL: %w", err), connectionFields)
	}
	if err := checkURL(rendered, schemes); err != nil {
		return nil, err
	}
	if err := t.readHeaders(f.headers); err != nil {
		return nil, in("--header", err)
	}
	var headers []string
	if f.bearer != "" {
		headers = append(headers, "Authorization: Bearer "+f.bearer)
	}
	if f.origin != "" {
		headers = append(headers, "Origin: "+f.origin)
	}
	return t, t.readHeaders(headers)
}

// of is the scope of a connection's templates; that of connection 0 is what they are tried with.
func (t *target) of(conn int) connectionScope { return connectionScope{conn, vars(t.vars, conn)} }

const (
	connectionFields = "{{.Conn}} and {{.Vars.column}} can be used"
	subscribeFields  = "{{.LastID}}, {{.Conn}} and {{.Vars.column}} can be used"
	messageFields    = "{{.Stamp}}, {{.N}}, {{.Conn}} and {{.Vars.column}} can be used"
)

// checkURL finds what is no URL of the schemes.
func checkURL(raw string, schemes []string) error {
	if raw == "" {
		return usage(errors.New("the URL is empty"), "is a shell variable unset? without any URL the reference server is measured")
	}
	bare := report.BareURL(raw)
	if !strings.Contains(raw, "://") {
		return usage(fmt.Errorf("%q is not a URL", bare), "write %s://%s", schemes[0], strings.TrimPrefix(bare, "//"))
	}
	u, err := url.Parse(raw)
	if err != nil {
		return usage(fmt.Errorf("%q is not a URL: %w", bare, urlProblem(err)), "such as %s://HOST:PORT/PATH", schemes[0])
	}
	if !slices.Contains(schemes, u.Scheme) {
		for _, p := range protocols {
			if slices.Contains(p.schemes, u.Scheme) {
				return usage(fmt.Errorf("%s:// is not a URL of this command", u.Scheme), "`rtbench %s` is for those", p.name)
			}
		}
		return usage(fmt.Errorf("unknown scheme %q in %q", u.Scheme, bare), "there are %s", strings.Join(schemes, ", "))
	}
	if u.Hostname() == "" {
		return usage(fmt.Errorf("the URL %q names no host", bare), "such as %s://HOST:PORT/PATH", u.Scheme)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return usage(fmt.Errorf("the URL %q has no such port", bare), "ports go from 1 to 65535")
	}
	return nil
}

// urlProblem says why url.Parse takes no URL, without quoting the URL. A port that is none may be half a password.
func urlProblem(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if strings.HasPrefix(err.Error(), "invalid port ") {
		return errors.New("its port is not a number")
	}
	return err
}

// readHeaders takes headers, given as 'Name: value'.
func (t *target) readHeaders(list []string) error {
	for i, h := range list {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || !client.IsToken(name) {
			return usage(fmt.Errorf("number %d is not a header", i+1), "write 'Name: value'")
		}
		v, err := parseText(strings.TrimSpace(value), t.of(0))
		if err != nil {
			return usage(fmt.Errorf("header %s: %w", name, err), connectionFields)
		}
		if rendered, _ := v.render(t.of(0)); strings.ContainsAny(rendered, "\r\n\x00") {
			return usage(fmt.Errorf("header %s holds a line break", name), "a header is one line")
		}
		t.headers = append(t.headers, headerText{http.CanonicalHeaderKey(name), v})
	}
	return nil
}

// defaultType declares what the requests carry, unless a header does.
func (t *target) defaultType(body string) {
	if !slices.ContainsFunc(t.headers, func(h headerText) bool { return h.name == "Content-Type" }) {
		t.headers = append(t.headers, headerText{"Content-Type", text{raw: bodyType(body)}})
	}
}

// bodyType guesses what a body is, as those who leave the header out mean it.
func bodyType(body string) string {
	if json.Valid([]byte(body)) || strings.HasPrefix(body, "{") {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// request gives the request of one connection, whose secrets no error is to repeat.
func (t *target) request(conn int) (client.Request, error) {
	s := t.of(conn)
	r := client.Request{Method: t.method}
	var err error
	if r.URL, err = t.url.render(s); err != nil {
		return r, err
	}
	t.secrets.AddURL(r.URL)
	if len(t.headers) > 0 {
		r.Header = make(http.Header, len(t.headers))
	}
	for _, h := range t.headers {
		value, err := h.value.render(s)
		if err != nil {
			return r, err
		}
		r.Header[h.name] = append(r.Header[h.name], value)
		t.secrets.AddHeader(h.name, value)
	}
	if t.body.raw != "" {
		body, err := t.body.render(s)
		if err != nil {
			return r, err
		}
		r.Body = []byte(body)
		t.secrets.AddBody(body)
	}
	return r, nil
}
