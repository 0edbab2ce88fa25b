package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/template/parse"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// A message is the template of what is sent.
type message struct {
	text
	pieces  []piece // of the text; nil where it is more than they can say
	target  *target
	stamped bool // the stamp is in it, for an event to be known again by
}

// A piece is what stands for itself, and after that one of the fields of messageScope that every message has another of.
type piece struct {
	literal string
	field   string // "" for none
}

// piecesOf takes a template apart that has nothing but literals and such fields, which nearly all have: what is sent
// thousands of times a second is then put together without the library, which allocates. Anything else gives nil.
func piecesOf(t text) (pieces []piece) {
	if t.tmpl == nil {
		return []piece{{literal: t.raw}}
	}
	last := piece{}
	for _, node := range t.tmpl.Root.Nodes {
		switch node := node.(type) {
		case *parse.TextNode:
			last.literal += string(node.Text)
		case *parse.ActionNode:
			switch field := node.String(); field {
			case "{{.Stamp}}", "{{.N}}", "{{.Conn}}":
				last.field = field
				pieces, last = append(pieces, last), piece{}
			default:
				return nil
			}
		default:
			return nil
		}
	}
	return append(pieces, last)
}

// parseMessage reads the template of a message and tries it with a stamp.
func parseMessage(raw string, t *target) (message, error) {
	sample := messageScope{connectionScope: t.of(0), Stamp: string(client.AppendStamp(nil, client.Stamp{}))}
	parsed, err := parseText(raw, sample)
	if err != nil {
		return message{}, usage(err, messageFields)
	}
	rendered, err := parsed.render(sample)
	if err != nil {
		return message{}, usage(err, messageFields)
	}
	_, _, stamped := client.FindStamp([]byte(rendered), 0)
	t.secrets.AddBody(raw)
	return message{parsed, piecesOf(parsed), t, stamped}, nil
}

// append implements bench.Sending's Message.
func (m message) append(dst []byte, o bench.Outgoing) []byte {
	for _, p := range m.pieces {
		dst = append(dst, p.literal...)
		switch p.field {
		case "{{.Stamp}}":
			dst = append(dst, o.Stamp...)
		case "{{.N}}":
			dst = strconv.AppendUint(dst, o.Number, 10)
		case "{{.Conn}}":
			dst = strconv.AppendInt(dst, int64(o.Connection), 10)
		}
	}
	if m.pieces != nil {
		return dst
	}
	// It was tried before the run, and all rows of --vars have the same columns: it can't fail here.
	rendered, _ := m.render(messageScope{m.target.of(o.Connection), o.Number, string(o.Stamp)})
	return append(dst, rendered...)
}

// unstamped complains of a message for all connections that none of them could know again.
func unstamped(flag string) error {
	return usage(fmt.Errorf("%s: there is no {{.Stamp}} in it, which an event is known again by", flag), `such as '{"text":"{{.Stamp}}"}'`)
}

// in says where it is that something is wrong.
func in(flag string, err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		return &failure{f.code, fmt.Errorf("%s: %w", flag, f.err), f.hint}
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// textOrFile reads what a flag says, or the file that it names after an @.
func textOrFile(s string) (string, error) {
	path, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s, nil
	}
	b, err := readInput(path)
	if err != nil {
		return "", usage(err, "@FILE names a file to read")
	}
	return string(b), nil
}

// defaultPublishRate is how many messages a second are published where nothing says it.
const defaultPublishRate = 10

// A publishing is what --publish asks for: where messages are posted, and what they are made of.
type publishing struct {
	to         *target // of publishers, which are numbered as connections are
	message    message
	publishers int
}

func newPublishing(f *loadFlags, t *target) (*publishing, error) {
	to := &target{net: t.net, vars: t.vars, method: f.publishMethod, secrets: t.secrets}
	p := &publishing{to: to, publishers: max(1, int(f.publishers))}
	var err error
	if to.url, err = parseText(f.publish, to.of(0)); err != nil {
		return nil, in("--publish", usage(err, connectionFields))
	}
	if err := p.checkURL(t); err != nil {
		return nil, in("--publish", err)
	}
	if to.method != "" && !client.IsToken(to.method) {
		return nil, usage(fmt.Errorf("--publish-method %q is not an HTTP method", to.method), "such as PUT")
	}
	if err := to.readHeaders(f.publishHeaders); err != nil {
		return nil, in("--publish-header", err)
	}
	body, err := textOrFile(cmp.Or(f.publishBody, defaultMessage))
	if err != nil {
		return nil, in("--publish-body", err)
	}
	if p.message, err = parseMessage(body, to); err != nil {
		return nil, in("--publish-body", err)
	}
	if !p.message.stamped {
		return nil, unstamped("--publish-body")
	}
	to.defaultType(string(p.message.append(nil, bench.Outgoing{})))
	return p, nil
}

// checkURL finds what messages can't be posted to. A path is one of t.
func (p *publishing) checkURL(t *target) error {
	raw, err := p.url(0, t)
	if err != nil {
		return usage(err, connectionFields)
	}
	if scheme, _, ok := strings.Cut(raw, "://"); ok && strings.HasPrefix(scheme, "ws") {
		return usage(fmt.Errorf("messages are posted over HTTP, but %q is a WebSocket", report.BareURL(raw)), "--chat has the connections themselves send")
	}
	if !strings.Contains(raw, "://") {
		return usage(fmt.Errorf("%q is neither a URL nor a path", report.BareURL(raw)), "such as http://HOST:PORT/PATH, or /PATH on the target's host")
	}
	return checkURL(raw, []string{"http", "https"})
}

// url is where a publisher posts to.
func (p *publishing) url(publisher int, t *target) (string, error) {
	raw, err := p.to.url.render(p.to.of(publisher))
	if err != nil || !strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, "//") {
		return raw, err
	}
	base, err := t.url.render(t.of(0))
	if err != nil {
		return "", err
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	return strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host + raw, nil // without the user, who is the target's
}

// sending is what is published, once there are publishers.
func (p *publishing) sending(f *loadFlags) bench.Sending {
	return bench.Sending{Rate: cmp.Or(float64(f.rate), defaultPublishRate), Message: p.message.append}
}

// open makes the publishers, and what closes them.
func (p *publishing) open(t *target) (list []bench.Publisher, stop func(), err error) {
	var opened []*client.Publisher
	for i := range p.publishers {
		request, err := p.to.request(i)
		if err == nil {
			request.URL, err = p.url(i, t)
		}
		if err != nil {
			return nil, nil, in("--publish", usage(err, connectionFields))
		}
		publisher := &client.Publisher{Net: p.to.net, Request: request}
		opened, list = append(opened, publisher), append(list, publisher)
	}
	return list, func() {
		for _, publisher := range opened {
			publisher.Close()
		}
	}, nil
}

// request is the line of the first publisher's requests, without secrets.
func (p *publishing) request(t *target) (string, error) {
	raw, err := p.url(0, t)
	return cmp.Or(p.to.method, http.MethodPost) + " " + oneLine(report.RedactURL(raw)), err
}

// post publishes a message that is due now, for --debug: beyond the schedule of a run.
func (p *publishing) post(publisher bench.Publisher) func(ctx context.Context, n uint64) error {
	run := rand.Uint32()
	return func(ctx context.Context, n uint64) error {
		now := time.Now().UnixNano()
		stamp := client.AppendStamp(nil, client.Stamp{Run: run, Seq: n + 1, Due: now, Sent: now})
		_, err := publisher.Publish(ctx, p.message.append(nil, bench.Outgoing{Number: n, Stamp: stamp}))
		return err
	}
}

// nothingPublished says why a run is worth nothing that was to publish and could not; "" where it wasn't, or did.
func nothingPublished(r *bench.Result) string {
	due := r.Count(bench.Due)
	if e := publishError(r); e.Count > 0 && due > 0 && due <= r.Count(bench.Unsent)+r.Count(bench.PublishErrors) && r.Histogram(bench.Delivery) == nil {
		return "nothing could be published: " + e.Text
	}
	return ""
}

// publishError is the most frequent error of publishing, or none.
func publishError(r *bench.Result) (e bench.ErrorGroup) {
	for _, e := range r.Errors {
		if strings.HasPrefix(e.Key, "publish ") {
			return e
		}
	}
	return e
}
