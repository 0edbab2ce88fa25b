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

// shorts are those of them that have a short name.
var shorts = map[string]string{"-H": "header", "-m": "message"}

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
		name, value, joined := strings.Cut(arg, "=")
		redact := secret(shorts[name])
		if long, ok := strings.CutPrefix(name, "--"); ok {
			redact = secret(long)
		}
		switch {
		case redact != nil && joined:
			list[i] = name + "=" + redact(value)
		case redact != nil && i+1 < len(list):
			i++
			list[i] = redact(list[i])
		case len(arg) > 2 && shorts[arg[:2]] != "":
			list[i] = arg[:2] + secret(shorts[arg[:2]])(arg[2:])
		case !strings.Contains(arg, "://"):
		case strings.HasPrefix(arg, "-"):
			list[i] = name + "=" + report.RedactURL(value)
		default:
			list[i] = report.RedactURL(arg)
		}
	}
	return list
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
