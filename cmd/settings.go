package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// secret says how the value of a flag is shown that may be secret; nil where it isn't.
func secret(flag string) func(string) string {
	switch flag {
	case "header", "publish-header":
		return redactHeader
	case "subprotocol":
		return redactSubprotocol
	case "bearer":
		return func(string) string { return report.Redacted }
	case "message", "subscribe", "data", "publish-body":
		return hidden
	case "resume":
		return hiddenSecret
	case "publish", "clock", "target-metrics", "origin":
		return report.RedactURL
	case "a", "b", "both", "sse", "ws": // a command line
		return redactLine
	}
	return nil
}

// shorts are those of them that have a short name, and switches the short names that others may be joined to.
var shorts = map[string]string{"H": "header", "m": "message"}

const switches = "hk"

// hidden is for what may hold a key.
func hidden(value string) string {
	if value == "" || strings.HasPrefix(value, "@") { // a file
		return value
	}
	return fmt.Sprintf("%s (%d bytes)", report.Redacted, len(value))
}

// hiddenSecret shows how a WebSocket resumes, but for the values of headers and messages.
func hiddenSecret(value string) string {
	if strings.HasPrefix(value, "query:") {
		return value
	}
	return report.Redacted
}

// redactHeader hides the value of a header where it is a secret.
func redactHeader(h string) string {
	name, value, _ := strings.Cut(h, ":")
	return name + ": " + report.RedactHeader(strings.TrimSpace(name), strings.TrimSpace(value))
}

// redactSubprotocol hides a token that goes by the name of a subprotocol.
func redactSubprotocol(value string) string {
	return report.RedactHeader("Sec-WebSocket-Protocol", value)
}

// redactLine hides what may be secret in a command line that is the value of a flag.
func redactLine(value string) string {
	args, err := words("", value)
	if err != nil {
		return report.Redacted
	}
	return quoted(redactFlags(args))
}

// redactFlags hides what may be secret in a command line.
func redactFlags(args []string) []string {
	list := slices.Clone(args)
	for i := 0; i < len(list); i++ {
		arg := list[i]
		name, before, value := parted(arg)
		redact := secret(name)
		switch {
		case redact != nil && (value != "" || strings.HasSuffix(before, "=")):
			list[i] = before + redact(value)
		case redact != nil && i+1 < len(list):
			i++
			list[i] = redact(list[i])
		case redact == nil && strings.Contains(arg, "://"):
			list[i] = before + report.RedactURL(value)
		}
	}
	return list
}

// parted is the name of the flag that an argument gives, "" for none that is known; its value, where that is joined to it; and
// what stands before that.
func parted(arg string) (name, before, value string) {
	if long, ok := strings.CutPrefix(arg, "--"); ok {
		name, value, joined := strings.Cut(long, "=")
		if !joined {
			return name, arg, ""
		}
		return name, "--" + name + "=", value
	}
	short, ok := strings.CutPrefix(arg, "-")
	if short = strings.TrimLeft(short, switches); !ok || short == "" {
		return "", "", arg
	}
	value = short[1:]
	if len(value) > 1 {
		value = strings.TrimPrefix(value, "=")
	}
	return shorts[short[:1]], strings.TrimSuffix(arg, value), value
}

// unset is what flags look like that have no effect unless they are given.
var unset = [...]string{"", "false", "[]", "0", "0s", "0/s", "-1ns"}

// effective reports whether a flag was given, or has an effect all the same.
func effective(flag *pflag.Flag) bool {
	return !flag.Hidden && flag.Name != "help" && (flag.Changed || !slices.Contains(unset[:], flag.Value.String()))
}

// shown gives the entries of a flag in a report, without secrets: one for each value of a list.
func shown(flag *pflag.Flag) (list []report.Entry) {
	values := []string{flag.Value.String()}
	if v, ok := flag.Value.(pflag.SliceValue); ok {
		values = v.GetSlice()
	}
	for _, value := range values {
		if redact := secret(flag.Name); redact != nil {
			value = redact(value)
		}
		list = append(list, report.Entry{Name: flag.Name, Value: value})
	}
	return list
}

// named is the entry for the scenario's name, where there is one.
func named(scenario string) []report.Entry {
	if scenario == "" {
		return nil
	}
	return []report.Entry{{Name: report.Scenario, Value: scenario}}
}
