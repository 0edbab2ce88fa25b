package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/tui"
)

// A sessionForm asks for a command of which the most usual flags have a field of their own.
type sessionForm struct {
	title  string
	fields []sessionField
}

// A sessionField is a field of it: of a flag, or what stands for something else.
type sessionField struct {
	name, hint, value string
	flag              string // "" for none
	is                fieldKind
	protocol          *protocol // that a URL without a scheme is of; nil where another field says it
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
	return &sessionForm{title: "Measure an endpoint", fields: []sessionField{
		{name: "target", hint: "URL of the endpoint; empty for the built-in server", is: aTarget},
		{name: "protocol", hint: protocolNames() + "; found out where there is a URL", value: "sse", is: aProtocol},
		{name: "connections", hint: "how many at a time", value: "100", flag: "connections"},
		{name: "duration", hint: "how long to measure, such as 30s or 10m", value: "10s", flag: "duration"},
		{name: "rate", hint: "ws: messages sent a second; with --publish: published", flag: "rate"},
		{name: "thresholds", hint: "what must hold, such as p99(delivery) < 250ms; lost == 0", flag: "threshold", is: aFlagList},
		{name: "more flags", hint: "as on the command line: -H 'Cookie: a=b' -k --drop 10%@5s", is: otherFlags},
	}}
}

func compareForm() *sessionForm {
	return &sessionForm{title: "Compare the two protocols", fields: []sessionField{
		{name: "SSE", hint: "URL of the event stream; both empty for the built-in server", is: aTarget, protocol: protocols[0]},
		{name: "WebSocket", hint: "URL of the WebSocket", is: aTarget, protocol: protocols[1]},
		{name: "workload", hint: joined(workloadNames()), value: workloads[0].name, flag: "workload"},
		{name: "connections", hint: "of each side; empty for the workload's", flag: "connections"},
		{name: "pairs", hint: "of trials, 8 to 200; auto stops when there is a difference", value: "10", flag: "pairs"},
		{name: "duration", hint: "of each trial", value: "2s", flag: "duration"},
		{name: "more flags", hint: "as on the command line: --both '--stamp json:ts' -o compare.html", is: otherFlags},
	}}
}

// ask has the form be filled in, beginning with some values; nil for the usual ones.
func (form *sessionForm) ask(ctx context.Context, screen tui.Screen, values []string) ([]string, bool, error) {
	f := &tui.Form{Title: form.title, Command: form.command, Look: form.look, Save: form.save, SaveName: time.Now().Format("scenario-20060102-150405.yaml")}
	for i, field := range form.fields {
		value := field.value
		if values != nil {
			value = values[i]
		}
		f.Fields = append(f.Fields, tui.Field{Name: field.name, Hint: field.hint, Value: value, Check: form.check(field), Looks: form.looks(i)})
	}
	return f.Ask(ctx, screen)
}

// check says what is wrong with the value of a field alone.
func (form *sessionForm) check(field sessionField) func(string) error {
	return func(value string) error {
		switch field.is {
		case aProtocol:
			_, err := protocolNamed(value)
			return said(err)
		case otherFlags:
			args, err := words(field.name, value)
			if err != nil {
				return said(err)
			}
			return form.twice(args)
		case aFlag, aFlagList:
			set := form.any().make().flags()
			for _, one := range valuesIn(field, value) {
				if e, ok := errors.AsType[*pflag.InvalidValueError](set.Set(field.flag, one)); ok {
					return errors.New(strings.TrimPrefix(badValue(field.name, e).Error(), field.name+": "))
				}
			}
		}
		return nil
	}
}

// twice finds flags that a field stands for already.
func (form *sessionForm) twice(args []string) error {
	set := form.any().make().flags()
	parseKnown(set, args)
	for _, field := range form.fields {
		for _, name := range []string{field.flag, aliases[field.flag]} {
			flag := set.Lookup(name)
			if flag == nil || !flag.Changed {
				continue
			}
			spelled := "--" + name
			if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, spelled) }) {
				spelled = "-" + flag.Shorthand
			}
			return fmt.Errorf("%s is the field %s above", spelled, field.name)
		}
	}
	return nil
}

// aliases are the other names of flags.
var aliases = map[string]string{"duration": "z"}

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

// place is where the field of a kind is; -1 where there is none.
func (form *sessionForm) place(is fieldKind) int {
	return slices.IndexFunc(form.fields, func(f sessionField) bool { return f.is == is })
}

// any is a command whose flags all fields are of.
func (form *sessionForm) any() *kind {
	if form.place(aProtocol) < 0 {
		return compareKind
	}
	return kinds[0]
}

// kind is the command that is asked for.
func (form *sessionForm) kind(values []string) (*kind, error) {
	at := form.place(aProtocol)
	if at < 0 {
		return compareKind, nil
	}
	return protocolNamed(values[at])
}

// protocolNamed is the command of a protocol.
func protocolNamed(name string) (*kind, error) {
	if k := kindOf(strings.TrimSpace(name)); k != nil && k != compareKind {
		return k, nil
	}
	return nil, usage(fmt.Errorf("%q is neither %s", name, strings.ReplaceAll(protocolNames(), " or ", " nor ")), "")
}

// protocolNames are those that there are, for a sentence.
func protocolNames() string {
	var list []string
	for _, p := range protocols {
		list = append(list, p.name)
	}
	return strings.Join(list, " or ")
}

// args is the command line that does the same, without the program's name.
func (form *sessionForm) args(values []string) (args []string, err error) {
	k, err := form.kind(values)
	if err != nil {
		return nil, err
	}
	args = []string{k.name}
	var more []string
	for i, field := range form.fields {
		switch value := strings.TrimSpace(values[i]); {
		case field.is == aTarget && value != "":
			args = append(args, value)
		case field.is == otherFlags:
			if more, err = words(field.name, value); err != nil {
				return nil, err
			}
		case field.flag != "" && value != field.value || field.flag != "" && k != compareKind && field.value != "":
			for _, one := range valuesIn(field, value) {
				args = append(args, "--"+field.flag, one)
			}
		}
	}
	return append(args, more...), nil
}

// brief is that command line in a few words: without schemes, and what is usual. What tells most of a comparison, its sides, is the
// end, which is kept where there is little room.
func (form *sessionForm) brief(values []string) string {
	k, err := form.kind(values)
	if err != nil {
		return form.title
	}
	var targets, flags []string
	for i, field := range form.fields {
		switch value := strings.TrimSpace(values[i]); {
		case value == "" || value == field.value:
		case field.is == aTarget:
			targets = append(targets, withoutScheme(report.RedactURL(value)))
		case field.is == otherFlags:
			more, _ := words(field.name, value) // args has found it
			flags = append(flags, more...)
		case field.flag != "":
			name := "--" + field.flag
			if short := k.sample().Lookup(field.flag).Shorthand; short != "" {
				name = "-" + short
			}
			for _, one := range valuesIn(field, value) {
				flags = append(flags, name, one)
			}
		}
	}
	options := quoted(redactFlags(flags))
	switch {
	case k == compareKind && len(targets) == 2:
		return strings.TrimSpace(options + " " + targets[0] + " against " + nearby(targets[0], targets[1]))
	case k == compareKind && !slices.ContainsFunc(flags, func(flag string) bool { return flag == "--a" || strings.HasPrefix(flag, "--a=") }):
		return strings.TrimSpace(options + " SSE against WebSocket")
	}
	return strings.TrimSpace(k.name + " " + strings.TrimSpace(strings.Join(targets, " ")+" "+options))
}

func withoutScheme(raw string) string {
	if _, rest, ok := strings.Cut(raw, "://"); ok {
		return rest
	}
	return raw
}

// nearby is what another address on the same host is called: its path alone.
func nearby(first, other string) string {
	host, _, _ := strings.Cut(first, "/")
	if path := strings.TrimPrefix(other, host); strings.HasPrefix(path, "/") {
		return path
	}
	return other
}

// job reads that command line, and finds what is wrong with it.
func (form *sessionForm) job(values []string) (job, []string, error) {
	args, err := form.args(values)
	if err != nil {
		return nil, nil, err
	}
	k := kindOf(args[0])
	j := k.make()
	set := j.flags()
	set.Usage = func() {} // it would be written over the screen
	if err := set.Parse(args[1:]); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil, nil, usage(errors.New("--help is for the command line"), "the hints say what each field is for")
		}
		command := subcommand(k.name)
		command.Flags().AddFlagSet(set)
		return nil, nil, flagError(command, err)
	}
	if err := fromEnvironment(set); err != nil {
		return nil, nil, err
	}
	if most := k.targets; set.NArg() > most {
		return nil, nil, usage(fmt.Errorf("%q is no flag", set.Arg(most)), "put a value with spaces in quotes")
	}
	_, err = j.validate(set.Args())
	return j, set.Args(), err
}

// command is that command line for people, and what is wrong with it.
func (form *sessionForm) command(values []string) (line string, err error) {
	args, err := form.args(values)
	if err != nil {
		return "", said(err)
	}
	_, _, err = form.job(values)
	return quoted(append([]string{"rtbench"}, args...)), said(err)
}

// said is an error with what to try; nil for none.
func said(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(complaint(err))
}
