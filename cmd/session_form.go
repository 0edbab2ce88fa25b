package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/tui"
)

// A sessionForm asks for a command of which the most usual flags have a field of their own.
type sessionForm struct {
	title  string
	fields []sessionField
	found  func(ctx context.Context, field int, values []string) (changed []string, said string)
}

// A sessionField is a field of it: of a flag, or what stands for something else.
type sessionField struct {
	name, hint, value string
	flag              string // "" for none
	is                fieldKind
}

type fieldKind uint8

const (
	aFlag      fieldKind = iota
	aTarget              // a URL
	aProtocol            // the command
	aFlagList            // values of a flag, with ; between them
	otherFlags           // as on a command line
)

func measureForm() *sessionForm {
	return &sessionForm{title: "Measure an endpoint", found: lookAt, fields: []sessionField{
		{name: "target", hint: "URL of the endpoint; empty for the built-in server", is: aTarget},
		{name: "protocol", hint: "sse or ws; found out where there is a URL", value: "sse", is: aProtocol},
		{name: "connections", hint: "how many at a time", value: "100", flag: "connections"},
		{name: "duration", hint: "how long to measure, such as 30s or 10m", value: "10s", flag: "duration"},
		{name: "rate", hint: "ws: messages sent a second, which are to come back; with --publish below: published", flag: "rate"},
		{name: "thresholds", hint: "what must hold, with ; between: p99(delivery) < 250ms; lost == 0", flag: "threshold", is: aFlagList},
		{name: "more flags", hint: "as on the command line: -H 'Cookie: a=b' --drop 10%@5s --publish /publish", is: otherFlags},
	}}
}

func compareForm() *sessionForm {
	return &sessionForm{title: "Compare the two protocols", fields: []sessionField{
		{name: "SSE", hint: "URL of the event stream; both empty for the built-in server", is: aTarget},
		{name: "WebSocket", hint: "URL of the WebSocket", is: aTarget},
		{name: "workload", hint: joined(workloadNames()), value: workloads[0].name, flag: "workload"},
		{name: "connections", hint: "of each side; empty for the workload's", flag: "connections"},
		{name: "pairs", hint: "of trials, 8 to 200; auto stops when there is a difference", value: "10", flag: "pairs"},
		{name: "duration", hint: "of each trial", value: "2s", flag: "duration"},
		{name: "more flags", hint: "as on the command line: --both '--stamp json:ts' -o compare.html", is: otherFlags},
	}}
}

// ask has the form be filled in, beginning with some values; nil for the usual ones.
func (form *sessionForm) ask(ctx context.Context, screen tui.Screen, values []string) ([]string, bool, error) {
	f := &tui.Form{Title: form.title, Command: form.command, Found: form.found, Save: form.save}
	for i, field := range form.fields {
		value := field.value
		if values != nil {
			value = values[i]
		}
		f.Fields = append(f.Fields, tui.Field{Name: field.name, Hint: field.hint, Value: value, Check: form.check(field)})
	}
	return f.Ask(ctx, screen)
}

// check says what is wrong with the value of a field alone.
func (form *sessionForm) check(field sessionField) func(string) error {
	return func(value string) error {
		switch field.is {
		case aProtocol:
			if kindOf(value) == nil || value == compareKind.name {
				return errors.New("sse or ws")
			}
		case otherFlags:
			_, err := words(field.name, value)
			return err
		case aFlag, aFlagList:
			set := form.kind(nil).make().flags()
			for _, one := range valuesIn(field, value) {
				if e, ok := errors.AsType[*pflag.InvalidValueError](set.Set(field.flag, one)); ok {
					return badValue(field.name, e)
				}
			}
		}
		return nil
	}
}

// valuesIn are the values of a field's flag; none where it is empty.
func valuesIn(field sessionField, value string) (list []string) {
	parts := []string{value}
	if field.is == aFlagList {
		parts = strings.Split(value, ";")
	}
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// kind is the command that is asked for.
func (form *sessionForm) kind(values []string) *kind {
	for i, field := range form.fields {
		if field.is == aProtocol {
			if values != nil && kindOf(values[i]) != nil {
				return kindOf(values[i])
			}
			return kindOf(field.value)
		}
	}
	return compareKind
}

// args is the command line that does the same, without the program's name.
func (form *sessionForm) args(values []string) (args []string, err error) {
	args = []string{form.kind(values).name}
	var more []string
	for i, field := range form.fields {
		switch value := strings.TrimSpace(values[i]); {
		case field.is == aTarget && value != "":
			args = append(args, value)
		case field.is == otherFlags:
			if more, err = words(field.name, value); err != nil {
				return nil, err
			}
		case field.flag != "" && value != field.value || field.flag != "" && form.kind(values) != compareKind && field.value != "":
			for _, one := range valuesIn(field, value) {
				args = append(args, "--"+field.flag, one)
			}
		}
	}
	return append(args, more...), nil
}

// job reads that command line, and finds what is wrong with it.
func (form *sessionForm) job(values []string) (job, []string, error) {
	args, err := form.args(values)
	if err != nil {
		return nil, nil, err
	}
	j := form.kind(values).make()
	set := j.flags()
	set.Usage = func() {} // it would be written over the screen
	if err := set.Parse(args[1:]); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil, nil, usage(errors.New("--help is for the command line"), "the hints say what each field is for")
		}
		command := &cobra.Command{Use: "rtbench " + form.kind(values).name}
		command.Flags().AddFlagSet(set)
		return nil, nil, flagError(command, err)
	}
	if err := fromEnvironment(set); err != nil {
		return nil, nil, err
	}
	if most := form.kind(values).targets; set.NArg() > most {
		return nil, nil, usage(fmt.Errorf("%q is no flag", set.Arg(most)), "put a value with spaces in quotes")
	}
	_, err = j.validate(set.Args())
	return j, set.Args(), err
}

// command is that command line for people, and what is wrong with it.
func (form *sessionForm) command(values []string) (line string, err error) {
	args, err := form.args(values)
	if err != nil {
		return "", err
	}
	if _, _, err = form.job(values); err != nil {
		err = errors.New(complaint(err))
	}
	return quoted(append([]string{"rtbench"}, args...)), err
}

// lookLimit is how long it may take to find out what an endpoint speaks.
const lookLimit = 3 * time.Second

// lookAt finds out what the target speaks, once it has been written.
func lookAt(ctx context.Context, field int, values []string) (changed []string, said string) {
	target := strings.TrimSpace(values[0])
	if field != 0 || target == "" {
		return values, ""
	}
	changed = append([]string{}, values...)
	if !strings.Contains(target, "://") {
		target = "http://" + target
		changed[0] = target
	}
	scheme, rest, _ := strings.Cut(target, "://")
	switch scheme {
	case "ws", "wss":
		changed[1] = "ws"
		target = map[string]string{"ws": "http", "wss": "https"}[scheme] + "://" + rest
	case "http", "https":
	default:
		return changed, fmt.Sprintf("there is no way to speak %q", scheme)
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	answer, err := asEvents(ctx, target)
	switch {
	case err == nil && answer.events:
		changed[1] = "sse"
		return changed, "it answers with an event stream"
	case opensSocket(ctx, target):
		changed[1] = "ws"
		return changed, "it opens a WebSocket"
	case err != nil:
		return changed, "nothing answers there: " + report.Plain(rootCause(err))
	}
	return changed, fmt.Sprintf("it answers with %s, and neither with events nor with a WebSocket; what it asks for may be among more flags (-H, --bearer, -X, --data)", answer.status)
}

type eventsAnswer struct {
	status string
	events bool
}

// asEvents asks a URL for events.
func asEvents(ctx context.Context, target string) (eventsAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return eventsAnswer{}, err
	}
	request.Header.Set("Accept", "text/event-stream")
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return eventsAnswer{}, err
	}
	_ = response.Body.Close()
	return eventsAnswer{report.Plain(response.Status), response.StatusCode == http.StatusOK && strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream")}, nil
}

// opensSocket reports whether a URL can be upgraded to a WebSocket.
func opensSocket(ctx context.Context, target string) bool {
	conn, _, err := websocket.Dial(ctx, target, nil)
	if err != nil {
		return false
	}
	_ = conn.CloseNow()
	return true
}

// rootCause is the innermost error, which doesn't quote the URL.
func rootCause(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return cmp.Or(err.Error(), "no answer")
}
