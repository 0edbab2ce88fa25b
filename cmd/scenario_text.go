package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/rtbench/rtbench/report"
)

// A value is a text of the file.
type value struct {
	text    string // with its variables
	written string // as a file says it, with the variables that have no default: what they hold may be secret
	kept    bool   // there are such variables in it
	at      *token.Token
}

func textsOf(values []value) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = v.text
	}
	return list
}

var (
	// variableInText finds what stands for a variable, or is meant to, and $${, which stands for the characters themselves.
	variableInText = regexp.MustCompile(`\$\$\{|\$\{([^}]*)(\}?)`)
	// variableName is what there is in it: NAME, or NAME:-what to take where it isn't set.
	variableName = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(:-.*)?$`)
)

// expand puts the values of environment variables into a text. One that isn't set is in f.missing then.
func (f *scenarioFile) expand(s string, at *token.Token) (value, error) {
	const right = "${NAME} is a variable, ${NAME:-value} has a default, and $${ is the characters themselves"
	if !strings.Contains(s, "${") {
		return value{text: s, written: s, at: at}, nil
	}
	var failed error
	v := value{at: at}
	replace := func(kept bool) string {
		return variableInText.ReplaceAllStringFunc(s, func(found string) string {
			if found == "$${" {
				if kept {
					return found
				}
				return "${"
			}
			parts := variableInText.FindStringSubmatch(found)
			name := variableName.FindStringSubmatch(parts[1])
			switch {
			case failed != nil:
				return ""
			case parts[2] == "":
				failed = f.fault(at, right, "a ${ has no end")
				return ""
			case strings.Contains(parts[1], "${"):
				failed = f.fault(at, right, "a variable stands in another")
				return ""
			case name == nil:
				failed = f.fault(at, right, "%s is no variable", found)
				return ""
			}
			set, ok := os.LookupEnv(name[1])
			if name[2] != "" {
				set = cmp.Or(set, name[2][len(":-"):])
				if kept {
					return literally(set)
				}
				return set
			}
			if !ok && f.missing == nil {
				f.missing = f.fault(at, "${"+name[1]+":-value} has a default; $${ is the characters themselves", "the variable %s is not set", name[1])
			}
			v.kept = true
			if kept {
				return found
			}
			f.concealVariable(set, found)
			return set
		})
	}
	v.text, v.written = replace(false), replace(true)
	return v, failed
}

// literally has a text stand for itself, and for no variable.
func literally(text string) string { return strings.ReplaceAll(text, "${", "$${") }

// leastConcealed is the length below which a text says nothing, and stands in many a word.
const leastConcealed = 4

// conceal has messages show something else than a text that may hold a secret.
func (f *scenarioFile) conceal(text, instead string) {
	if len(text) < leastConcealed || text == instead || f.concealed[text] != "" {
		return
	}
	f.concealed[text] = instead
	quoted := strconv.Quote(text) // as messages have it
	f.concealed[quoted[1:len(quoted)-1]] = instead
}

// concealVariable has messages show a variable and not what it holds: nor its parts, which is how flags complain of a list, nor
// what is left of a URL.
func (f *scenarioFile) concealVariable(text, variable string) {
	f.conceal(text, variable)
	if strings.Contains(text, "://") {
		f.conceal(report.RedactURL(text), variable)
		f.conceal(report.BareURL(text), variable)
		f.conceal(redactedURL(text), variable)
	}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		f.conceal(part, variable)
	}
}

// concealText conceals a text, and what messages may quote of it as a template.
func (f *scenarioFile) concealText(text string) {
	if standsIn.MatchString(text) {
		return
	}
	f.conceal(text, report.Redacted)
	for _, action := range strings.Split(text, "{{")[1:] {
		action, _, _ = strings.Cut(action, "}}")
		for word := range strings.FieldsFuncSeq(action, func(r rune) bool { return strings.ContainsRune("{} \t\r\n\"`()|,:=", r) }) {
			if !strings.HasPrefix(word, ".") {
				f.conceal(word, report.Redacted)
			}
		}
	}
}

// concealSetting conceals what is secret in the value of a flag.
func (f *scenarioFile) concealSetting(flag, text string) {
	redact := secret(flag)
	switch flag {
	case "header", "publish-header":
		_, content, ok := strings.Cut(text, ":")
		if !ok {
			content = text
		}
		f.concealText(strings.TrimSpace(content))
	case "publish", "clock", "target-metrics", "origin":
		f.conceal(text, redactedURL(text))
	case "a", "b", "both", "sse", "ws":
		args, err := words("", text)
		if err != nil {
			f.conceal(text, report.Redacted)
			return
		}
		for i, redacted := range redactFlags(args) {
			switch name, content, ok := strings.Cut(args[i], ":"); {
			case redacted == args[i]:
			case ok && strings.HasPrefix(redacted, name+": "): // a header
				f.concealText(strings.TrimSpace(content))
			case strings.HasPrefix(redacted, args[i]): // one without a colon
				f.concealText(args[i])
			default:
				f.concealText(args[i])
				f.conceal(args[i], redacted)
			}
		}
	default:
		if redact != nil && redact(text) != text {
			f.concealText(text)
		}
	}
}

// redactedURL is RedactURL, also for what is no URL: nobody knows what is what in it.
func redactedURL(raw string) string {
	parsed, err := url.Parse(templates.ReplaceAllString(raw, "x"))
	if err == nil && (parsed.Host != "" || !strings.ContainsAny(raw, "@?")) {
		return report.RedactURL(raw)
	}
	if scheme, _, ok := strings.Cut(raw, "://"); ok {
		return scheme + "://" + report.Redacted
	}
	if !strings.ContainsAny(raw, "@?") || strings.HasPrefix(raw, "/") {
		return report.RedactURL(raw)
	}
	return report.Redacted
}

// templates finds what stands for something else in a URL.
var templates = regexp.MustCompile(`\$\{[^}]*\}|\{\{.*?\}\}`)

// hide has a message show no secret of the file.
func (f *scenarioFile) hide(text string) string {
	longestFirst := func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }
	for _, secret := range slices.SortedFunc(maps.Keys(f.concealed), longestFirst) {
		text = strings.ReplaceAll(text, secret, f.concealed[secret])
	}
	return text
}

// hidden is an error that shows no secret of the file.
func (f *scenarioFile) hidden(err error) error {
	said, ok := errors.AsType[*failure](err)
	switch {
	case err == nil, ok && said.err == nil:
		return err
	case !ok:
		return errors.New(f.hide(err.Error()))
	}
	return &failure{said.code, errors.New(f.hide(said.Error())), f.hide(said.hint)}
}

// fault is what is wrong at a place of the file, with the line itself.
func (f *scenarioFile) fault(at *token.Token, hint, format string, args ...any) error {
	where := f.path
	if at != nil && at.Position != nil {
		where = fmt.Sprintf("%s:%d", f.path, at.Position.Line)
		if line := f.line(at.Position.Line); line != "" {
			where += ": `" + line + "`"
		}
	}
	return &failure{exitUsage, fmt.Errorf("%s: %s", where, f.hide(fmt.Sprintf(format, args...))), f.hide(hint)}
}

var (
	// keyInLine finds a key in a text, and keyedLine the one that a line begins with, behind the dash of a list, and its value.
	keyInLine = regexp.MustCompile(`(?:^|[\s{,\[])["']?[A-Za-z][\w-]*["']?:(?:\s|$)`)
	keyedLine = regexp.MustCompile(`^((?:- +)*["']?([A-Za-z][\w-]*)["']?:)(?:\s+(.*))?$`)
	// sayNothing are values that are no secrets, whatever they are of.
	sayNothing = regexp.MustCompile(`^(|[0-9.]+|true|false|null|~)$`)
	flagInLine = regexp.MustCompile(`(^|[\s"'])-`)
	urlInLine  = regexp.MustCompile(`[A-Za-z]+://[^\s"',\]]+`)
)

// line is a line of the file for people, without what may be secret: the value of a flag that may be, of a key that rtbench
// doesn't know, and all that stands in brackets with keys of its own.
func (f *scenarioFile) line(number int) string {
	if number < 1 || number > len(f.lines) {
		return ""
	}
	line := strings.TrimSpace(f.lines[number-1])
	parts := keyedLine.FindStringSubmatch(line)
	switch {
	case line == "":
		return ""
	case parts == nil:
		dash := ""
		if strings.HasPrefix(line, "- ") {
			dash = "- "
		}
		switch key := f.keyAbove(number); {
		case kindOf(key) != nil && !plainURLs(line), kindOf(key) == nil && (!known(key) || secret(key) != nil):
			return dash + report.Redacted
		case keyInLine.MatchString(line):
			return dash + "…"
		}
		return shortened(line)
	case sayNothing.MatchString(parts[3]):
		return line
	case kindOf(parts[2]) == nil && (!known(parts[2]) || secret(parts[2]) != nil):
		return parts[1] + " " + report.Redacted
	case keyInLine.MatchString(parts[3]):
		return parts[1] + " …"
	case kindOf(parts[2]) != nil && !plainURLs(parts[3]):
		return parts[1] + " " + report.Redacted
	}
	return shortened(line)
}

// plainURLs reports whether a text is URLs that can be told from what is around them: no flags, and none that goes on behind a space.
func plainURLs(text string) bool {
	rest := urlInLine.ReplaceAllString(text, "")
	return rest != text && !strings.ContainsAny(rest, "@?") && !flagInLine.MatchString(strings.TrimPrefix(text, "- "))
}

// shortened is as much of a line as fits, without the secrets of its URLs.
func shortened(line string) string {
	const most = 60
	line = urlInLine.ReplaceAllStringFunc(line, redactedURL)
	if runes := []rune(line); len(runes) > most {
		line = string(runes[:most]) + "…"
	}
	return line
}

// known reports whether rtbench knows a key.
func known(key string) bool {
	return slices.Contains([]string{keyName, keyDefaults, keyScenarios}, key) || kindOf(key) != nil || slices.Contains(flagNames(kinds...), key)
}

// keyAbove is the key whose value a line without one is part of; "" where there is none.
func (f *scenarioFile) keyAbove(number int) string {
	indent := func(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
	own := f.lines[number-1]
	most := indent(own)
	if strings.HasPrefix(strings.TrimSpace(own), "-") {
		most++ // a list may stand below its key
	}
	for i := number - 2; i >= 0; i-- {
		line := strings.TrimSpace(f.lines[i])
		if line == "" || strings.HasPrefix(line, "#") || indent(f.lines[i]) >= most {
			continue
		}
		if parts := keyedLine.FindStringSubmatch(line); parts != nil {
			return parts[2]
		}
		if most = indent(f.lines[i]); most == 0 {
			return ""
		}
	}
	return ""
}
