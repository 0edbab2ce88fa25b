package cmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// A protocol is one row of the table of what rtbench speaks.
type protocol struct {
	name     string   // of the command
	title    string   // for people
	schemes  []string // of its URLs; the first one is the default
	path     string   // of the reference server
	echo     string   // of the reference server, for what is sent; "" for none
	policy   client.Policy
	examples string
	register func(*loadFlags)
	// dialers checks what is the protocol's own, and gives the maker of dialers.
	dialers func(*loadFlags, *target) (dialerMaker, error)
	// sending says what the connections send.
	sending func(*loadFlags, *target) (bench.Sending, error)
}

// A dialerMaker gives the dialer of one connection.
type dialerMaker func(conn int) (client.Dialer, error)

// protocols is the one place that knows which protocols there are.
var protocols = []*protocol{
	{
		name: "sse", title: "Server-Sent Events", schemes: []string{"http", "https"}, path: "/sse", policy: client.EventSource,
		examples: "rtbench sse http://localhost:8080/events -c 1000 -d 30s\n" +
			"# a stream that answers a POST, 5 new ones a second\n" +
			"rtbench sse https://api.example.com/v1/chat -X POST --data '{\"stream\":true}' --done '[DONE]' -r 5/s",
		register: registerSSE, dialers: sseDialers, sending: sseSending,
	},
	{
		name: "ws", title: "WebSocket", schemes: []string{"ws", "wss", "http", "https"}, path: "/ws", echo: "/ws/echo", policy: client.Exponential,
		examples: "rtbench ws ws://localhost:8080/feed -c 1000 -d 30s\n" +
			"# echo round trips: 5,000 messages a second over 500 connections\n" +
			"rtbench ws ws://localhost:8080/echo -c 500 -r 5000/s -m '{\"text\":\"hi\",\"t\":\"{{.Stamp}}\"}'",
		register: registerWS, dialers: wsDialers, sending: wsSending,
	},
}

// A target is what to connect to, with the templates of everything that differs between connections.
type target struct {
	net     *client.Net
	url     text
	headers []headerText
	body    text
	vars    []map[string]string
	method  string
}

type headerText struct {
	name  string
	value text
}

// newTarget reads the flags that say where to connect and what to send along.
func newTarget(f *loadFlags, rawURL string, schemes []string) (*target, error) {
	t := &target{method: f.method}
	var err error
	if t.net, err = f.network(); err != nil {
		return nil, err
	}
	if f.varsFile != "" {
		if t.vars, err = readVars(f.varsFile); err != nil {
			return nil, usage(fmt.Errorf("--vars: %w", err), "a CSV file whose first row names the columns")
		}
	}
	if t.url, err = parseText(rawURL, t.of(0)); err != nil {
		return nil, usage(fmt.Errorf("the URL: %w", err), connectionFields)
	}
	if err := t.checkURL(schemes); err != nil {
		return nil, err
	}
	return t, t.readHeaders(f)
}

// of is the scope of a connection's templates; that of connection 0 is what they are tried with.
func (t *target) of(conn int) connectionScope { return connectionScope{conn, vars(t.vars, conn)} }

const (
	connectionFields = "{{.Conn}} and {{.Vars.column}} can be used"
	subscribeFields  = "{{.LastID}}, {{.Conn}} and {{.Vars.column}} can be used"
	messageFields    = "{{.Stamp}}, {{.N}}, {{.Conn}} and {{.Vars.column}} can be used"
)

func (t *target) checkURL(schemes []string) error {
	raw, err := t.url.render(t.of(0))
	if err != nil {
		return usage(fmt.Errorf("the URL: %w", err), connectionFields)
	}
	if raw == "" {
		return usage(errors.New("the URL is empty"), "is a shell variable unset? without any URL the reference server is measured")
	}
	if !strings.Contains(raw, "://") {
		return usage(fmt.Errorf("%q is not a URL", raw), "write %s://%s", schemes[0], strings.TrimPrefix(raw, "//"))
	}
	u, err := url.Parse(raw)
	if err != nil {
		return usage(fmt.Errorf("%q is not a URL: %w", raw, errors.Unwrap(err)), "such as %s://HOST:PORT/PATH", schemes[0])
	}
	if !slices.Contains(schemes, u.Scheme) {
		for _, p := range protocols {
			if slices.Contains(p.schemes, u.Scheme) {
				return usage(fmt.Errorf("%s:// is not a URL of this command", u.Scheme), "`rtbench %s` is for those", p.name)
			}
		}
		return usage(fmt.Errorf("unknown scheme %q in %q", u.Scheme, raw), "there are %s", strings.Join(schemes, ", "))
	}
	if u.Hostname() == "" {
		return usage(fmt.Errorf("the URL %q names no host", raw), "such as %s://HOST:PORT/PATH", u.Scheme)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return usage(fmt.Errorf("the URL %q has no port %s", raw, u.Port()), "ports go from 1 to 65535")
	}
	return nil
}

func (t *target) readHeaders(f *loadFlags) error {
	list := slices.Clone(f.headers)
	if f.bearer != "" {
		list = append(list, "Authorization: Bearer "+f.bearer)
	}
	if f.origin != "" {
		list = append(list, "Origin: "+f.origin)
	}
	for _, h := range list {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || !isToken(name) {
			return usage(fmt.Errorf("%q is not a header", h), "write 'Name: value'")
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

// isToken reports whether s can name a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// request gives the request of one connection.
func (t *target) request(conn int) (client.Request, error) {
	s := t.of(conn)
	r := client.Request{Method: t.method}
	var err error
	if r.URL, err = t.url.render(s); err != nil {
		return r, err
	}
	if len(t.headers) > 0 {
		r.Header = make(http.Header, len(t.headers))
	}
	for _, h := range t.headers {
		value, err := h.value.render(s)
		if err != nil {
			return r, err
		}
		r.Header[h.name] = append(r.Header[h.name], value)
	}
	if t.body.raw != "" {
		body, err := t.body.render(s)
		if err != nil {
			return r, err
		}
		r.Body = []byte(body)
	}
	return r, nil
}

func registerSSE(f *loadFlags) {
	f.set.Lookup("connections").Usage += "; with --done, streams at a time"
	f.set.StringVarP(&f.method, "method", "X", "", "HTTP `METHOD`")
	byDefault(f.set, "method", "GET, with --data POST")
	f.set.StringVar(&f.data, "data", "", "send this `BODY`, a template; @FILE reads it from a file")
	f.done = parsed[client.EndMarker]{kind: "match", parse: client.ParseEndMarker}
	f.set.Var(&f.done, "done", "every stream is a request that ends on this: data such as '[DONE]', or event:NAME")
	f.registerRate("with --done: streams started a second", "1/s")
}

func sseDialers(f *loadFlags, t *target) (dialerMaker, error) {
	body := f.data
	if path, ok := strings.CutPrefix(body, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, usage(fmt.Errorf("--data: %w", err), "@FILE names a file to read")
		}
		body = string(b)
	}
	var err error
	if t.body, err = parseText(body, t.of(0)); err != nil {
		return nil, usage(fmt.Errorf("--data: %w", err), connectionFields)
	}
	if body != "" {
		t.method = cmp.Or(t.method, http.MethodPost)
		if !slices.ContainsFunc(t.headers, func(h headerText) bool { return h.name == "Content-Type" }) {
			t.headers = append(t.headers, headerText{"Content-Type", text{raw: bodyType(body)}})
		}
	}
	if t.method != "" && !isToken(t.method) {
		return nil, usage(fmt.Errorf("--method %q is not an HTTP method", t.method), "such as POST")
	}
	return func(conn int) (client.Dialer, error) {
		request, err := t.request(conn)
		return &client.SSE{Net: t.net, Request: request, Done: f.done.value()}, err
	}, nil
}

// bodyType guesses what a body is, as those who leave the header out mean it.
func bodyType(body string) string {
	if json.Valid([]byte(body)) || strings.HasPrefix(body, "{") {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

func sseSending(f *loadFlags, _ *target) (bench.Sending, error) {
	if f.done.value().IsZero() {
		return bench.Sending{}, nil
	}
	return bench.Sending{Rate: cmp.Or(float64(f.rate), 1)}, nil
}

func registerWS(f *loadFlags) {
	f.set.StringVarP(&f.message, "message", "m", "", "send this `TEMPLATE` at --rate: {{.Stamp}}, {{.N}}, {{.Conn}}, {{.Vars.column}}")
	f.set.StringVar(&f.messageFile, "message-file", "", "`FILE` that holds it")
	f.registerRate("messages sent a second", "with a message 1/s on each connection")
	f.set.StringVar(&f.rateScope, "rate-scope", "total", "`SCOPE` of --rate: total for all connections together, conn for each")
	f.set.StringArrayVar(&f.subscribe, "subscribe", nil, "send this `TEMPLATE` after every connect: {{.LastID}}, {{.Conn}}, {{.Vars.column}} (repeatable)")
	f.set.StringVar(&f.await, "await", "", "after the first of these, wait for a message that contains `TEXT`")
	f.set.BoolVar(&f.binary, "binary", false, "send binary messages")
	f.set.StringSliceVar(&f.subprotocols, "subprotocol", nil, "offer the subprotocol `NAME` (repeatable)")
	f.set.BoolVar(&f.compression, "compression", false, "offer permessage-deflate")
	f.resume = parsed[client.Resume]{kind: "template", parse: client.ParseResume}
	f.set.Var(&f.resume, "resume", "how to resume: query:NAME={{.LastID}}, 'header:NAME: {{.LastID}}' or message:TEXT with it")
	f.id = parsed[client.Field]{kind: "field", parse: client.ParseField}
	f.set.Var(&f.id, "id", "where a message has its id: `json:PATH`")
	byDefault(f.set, "warmup", "until all are connected, and 1s more where messages are sent")
	heading(f.set, "messages")
}

func wsDialers(f *loadFlags, t *target) (dialerMaker, error) {
	var subscribe []text
	for _, s := range f.subscribe {
		parsed, err := parseText(s, subscribeScope{connectionScope: t.of(0)})
		if err != nil {
			return nil, usage(fmt.Errorf("--subscribe: %w", err), subscribeFields)
		}
		subscribe = append(subscribe, parsed)
	}
	for _, s := range f.subprotocols {
		if !isToken(s) {
			return nil, usage(fmt.Errorf("--subprotocol %q is not a name", s), "such as graphql-transport-ws")
		}
	}
	return func(conn int) (client.Dialer, error) {
		request, err := t.request(conn)
		d := &client.WebSocket{
			Net: t.net, Request: request, Subprotocols: f.subprotocols, Compression: f.compression, Binary: f.binary,
			Await: []byte(f.await), Resume: f.resume.value(), ID: f.id.value(),
		}
		if len(subscribe) > 0 {
			d.Subscribe = func(from client.Cursor) ([][]byte, error) {
				return renderAll(subscribe, subscribeScope{t.of(conn), string(from)})
			}
		}
		return d, err
	}, nil
}

func renderAll(texts []text, s subscribeScope) ([][]byte, error) {
	list := make([][]byte, len(texts))
	for i, t := range texts {
		rendered, err := t.render(s)
		if err != nil {
			return nil, err
		}
		list[i] = []byte(rendered)
	}
	return list, nil
}

// defaultMessage is sent where a rate is given and no message: JSON, which servers that aren't mere echoes can read.
const defaultMessage = `{"type":"rtbench","stamp":"{{.Stamp}}"}`

func wsSending(f *loadFlags, t *target) (bench.Sending, error) {
	raw := f.message
	if f.messageFile != "" {
		b, err := os.ReadFile(f.messageFile)
		if err != nil {
			return bench.Sending{}, usage(fmt.Errorf("--message-file: %w", err), "it holds the message to send")
		}
		raw = string(b)
	}
	sending := bench.Sending{Rate: float64(f.rate), PerConnection: f.rateScope == "conn"}
	switch {
	case raw == "" && sending.Rate == 0:
		return sending, nil
	case raw == "":
		raw = defaultMessage
	case sending.Rate == 0:
		sending.Rate, sending.PerConnection = 1, true
	}
	message, err := parseText(raw, messageScope{connectionScope: t.of(0), Stamp: strings.Repeat("0", client.StampLen)})
	if err != nil {
		return sending, usage(fmt.Errorf("--message: %w", err), messageFields)
	}
	sending.Unstamped = !message.uses(".Stamp")
	sending.Message = func(dst []byte, m bench.Outgoing) []byte {
		// It was tried before the run, and all rows of --vars have the same columns: it can't fail here.
		rendered, _ := message.render(messageScope{t.of(m.Connection), m.Number, string(m.Stamp)})
		return append(dst, rendered...)
	}
	return sending, nil
}
