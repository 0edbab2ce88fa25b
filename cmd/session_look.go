package cmd

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/tui"
)

// lookLimit is how long an endpoint may take to answer a look, where --timeout doesn't say it.
const lookLimit = 4 * time.Second

// looks are the fields that are looked at once one is left: a target, or all of them where what they answer depends on it.
func (form *sessionForm) looks(left int) (list []int) {
	for i, field := range form.fields {
		if field.is == aTarget && (i == left || form.fields[left].is == otherFlags) {
			list = append(list, i)
		}
	}
	return list
}

// look finds out what a target speaks, or what is the matter with it. What is wrong with the fields the form says.
func (form *sessionForm) look(ctx context.Context, at int, values []string) tui.Finding {
	protocolAt := form.place(aProtocol)
	found := tui.Finding{Values: slices.Clone(values)}
	written, rest, whole := strings.Cut(strings.TrimSpace(values[at]), "://")
	if !whole {
		written, rest = cmp.Or(form.fields[at].protocol, protocols[0]).schemes[0], written
	}
	first := protocolOf(written)
	if rest == "" || first == nil {
		return found
	}
	for _, p := range protocols {
		if protocolAt >= 0 && p.name == strings.TrimSpace(values[protocolAt]) && slices.Contains(p.schemes, written) {
			first = p
		}
	}
	l := looker{rest, form.giver(values, first)}
	p, scheme, err := l.look(ctx, first, written)
	if failed, ok := errors.AsType[*failure](err); ok && failed.code == exitUsage {
		return found
	}
	if protocolAt < 0 {
		if protocolOf(scheme) != p { // the scheme alone says what it is
			scheme = p.scheme(secured(scheme))
		}
	} else if _, wrong := protocolNamed(values[protocolAt]); err == nil || wrong == nil { // a wrong one isn't mended by a guess
		found.Values[protocolAt] = p.name
	}
	found.Values[at] = scheme + "://" + rest
	if err == nil {
		found.Said = p.opens
	} else {
		found.Err = said(p.failure(err))
	}
	if whole && scheme != written {
		found.Said = strings.TrimPrefix(found.Said+"; the URL now begins with "+scheme+"://", "; ")
	}
	return found
}

// giver gives the flags with which the form's command opens a stream of a protocol: its own, or those of the side of a
// comparison that is to speak first, which nothing but the comparison says. Those of the other side are for another host, and
// may hold secrets.
func (form *sessionForm) giver(values []string, first *protocol) func(*loadFlags, *protocol) error {
	more, _ := words("", values[form.place(otherFlags)])
	if form.place(aProtocol) >= 0 {
		return func(f *loadFlags, _ *protocol) error {
			parseKnown(f.set, more)
			return fromEnvironment(f.set)
		}
	}
	compare := &compareFlags{}
	compare.register(newFlagSet(compareKind.name))
	parseKnown(compare.set, more)
	wrong := fromEnvironment(compare.set)
	both, _ := words("", compare.both)
	own, _ := compare.own(first)
	return func(f *loadFlags, p *protocol) error {
		args := both
		if p == first {
			args = slices.Concat(both, own)
		}
		parseKnown(f.set, args)
		return wrong
	}
}

// parseKnown takes those flags that a set has: others are another protocol's, and what is wrong is said elsewhere.
func parseKnown(set *pflag.FlagSet, args []string) {
	set.Usage = func() {}
	set.ParseErrorsAllowlist.UnknownFlags = true
	_ = set.Parse(args)
}

// A looker tries what an endpoint speaks.
type looker struct {
	rest string                            // of its URL, behind the scheme
	give func(*loadFlags, *protocol) error // gives the flags
}

// bare is a looker that sends no secret: what was to be sent over TLS isn't without it.
func (l looker) bare() looker {
	rest, _, _ := strings.Cut(l.rest, "?")
	host, path, _ := strings.Cut(rest, "/")
	return looker{host[strings.LastIndex(host, "@")+1:] + "/" + path, func(*loadFlags, *protocol) error { return nil }}
}

// look tries a protocol, then the others, and then TLS where it was written without, or the other way round. An error is of the
// protocol and scheme that were likeliest meant.
func (l looker) look(ctx context.Context, first *protocol, written string) (p *protocol, scheme string, err error) {
	secure := secured(written)
	p, err = l.protocol(ctx, first, secure)
	if mistakesTLS(err, secure) {
		again := l
		if secure {
			again = l.bare()
		}
		if other, failed := again.protocol(ctx, first, !secure); failed == nil || speaks(failed) {
			p, err, secure = other, failed, !secure
		}
	}
	if slices.Contains(p.schemes, written) && secured(written) == secure {
		return p, written, err
	}
	return p, p.scheme(secure), err
}

// protocol tries a protocol, and then the others where another one may be answered otherwise.
func (l looker) protocol(ctx context.Context, first *protocol, secure bool) (*protocol, error) {
	err := l.open(ctx, first, secure)
	if err == nil || !answered(err) {
		return first, err
	}
	for _, p := range protocols {
		if p == first {
			continue
		}
		failed := l.open(ctx, p, secure)
		if e := client.Classify(err); failed == nil || e.Class == client.ClassStatus && first.mistaken(e.Code, e.Error()) != "" {
			return p, failed
		}
	}
	return first, err
}

// flags are those that a stream of a protocol is opened with.
func (l looker) flags(p *protocol) (*loadFlags, error) {
	f := &loadFlags{}
	f.register(newFlagSet(p.name), p)
	err := l.give(f, p)
	if !f.given("timeout") {
		f.timeout = lookLimit
	}
	return f, err
}

// open opens a stream as the command does, and leaves it.
func (l looker) open(ctx context.Context, p *protocol, secure bool) error {
	f, err := l.flags(p)
	if err != nil {
		return err
	}
	if f.data != "" || cmp.Or(f.method, http.MethodGet) != http.MethodGet {
		return usage(errors.New("more than a GET isn't made to look"), "")
	}
	f.subscribe, f.await = nil, ""
	t, err := newTarget(f, p.scheme(secure)+"://"+l.rest, p.schemes)
	if err != nil {
		return err
	}
	dialers, err := p.dialers(f, t)
	if err != nil {
		return err
	}
	dialer, err := dialers(0)
	if err != nil {
		return err
	}
	stream, err := dialer.Dial(ctx, client.Cursor(f.lastID))
	if err != nil {
		return err
	}
	return stream.Close()
}

// answered reports whether an error is an answer, if only a strange one.
func answered(err error) bool {
	switch client.Classify(err).Class {
	case client.ClassStatus, client.ClassContentType, client.ClassHandshake, client.ClassProtocol, client.ClassReset, client.ClassEOF:
		return true
	}
	return false
}

// mistakesTLS reports whether an error may be that of a server that speaks TLS where the client doesn't, or the other way round.
func mistakesTLS(err error, secure bool) bool {
	if err == nil || secure {
		return errors.Is(err, client.ErrNoTLS)
	}
	switch e := client.Classify(err); e.Class {
	case client.ClassProtocol, client.ClassReset, client.ClassEOF:
		return true
	case client.ClassStatus:
		return e.Code == http.StatusBadRequest
	}
	return false
}

// speaks reports whether an error is an answer in HTTP, or a certificate.
func speaks(err error) bool {
	switch client.Classify(err).Class {
	case client.ClassStatus, client.ClassContentType, client.ClassHandshake, client.ClassRedirect:
		return true
	case client.ClassTLS:
		return !errors.Is(err, client.ErrNoTLS)
	}
	return false
}
