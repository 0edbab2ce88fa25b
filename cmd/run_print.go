package cmd

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/token"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// printPlan writes what would be run as a scenario file, with every setting in force and where it comes from, and the command
// that does the same.
func printPlan(w io.Writer, file *scenarioFile, list []planned) error {
	var b strings.Builder
	if file.name.text != "" {
		fmt.Fprintf(&b, "%s: %s\n", keyName, inYAML(file.name.written))
	}
	fmt.Fprintf(&b, "%s:\n", keyScenarios)
	for _, p := range list {
		p.print(&b)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return &failure{exitFailed, fmt.Errorf("printing the plan: %w", err), ""}
	}
	return nil
}

// print writes a scenario as a file says it.
func (p *planned) print(b *strings.Builder) {
	var settings strings.Builder
	var byDefault []string
	p.job.flags().VisitAll(func(flag *pflag.Flag) {
		switch where := p.where[flag.Name]; {
		case !effective(flag) || p.settled(flag):
		case !flag.Changed: // given, it might contradict others
			byDefault = append(byDefault, flag.Name+" "+flag.Value.String())
		case where == fromScenario:
			printSetting(&settings, flag, p.shown(flag), "")
		default:
			printSetting(&settings, flag, p.shown(flag), " # "+where)
		}
	})
	fmt.Fprintf(b, "  # %s\n  # by default: %s\n", inComment(p.commandLine()), inComment(strings.Join(byDefault, ", ")))
	fmt.Fprintf(b, "  - %s: %s\n", keyName, inYAML(p.label.written))
	printTargets(b, p.kind, p.targets())
	b.WriteString(settings.String())
}

// printTargets writes what a scenario measures.
func printTargets(b *strings.Builder, k *kind, targets []string) {
	var list []string
	for _, target := range targets {
		list = append(list, inYAML(target))
	}
	if list == nil {
		list = []string{"null"}
	}
	printKey(b, k.name, list, "")
}

// printSetting writes the values of a flag, and a comment.
func printSetting(b *strings.Builder, flag *pflag.Flag, texts []string, comment string) {
	var list []string
	for _, text := range texts {
		_, notBool := strconv.ParseBool(text)
		_, notNumber := strconv.ParseUint(text, 10, 64)
		switch kind := flag.Value.Type(); {
		case kind == "bool" && notBool == nil, slices.Contains([]string{"int", "uint64", "count", "size"}, kind) && notNumber == nil:
			list = append(list, text)
		default:
			list = append(list, inYAML(text))
		}
	}
	if list == nil {
		list = []string{inYAML("")}
	}
	printKey(b, flag.Name, list, comment)
}

// printKey writes a key with its value, or the list of them.
func printKey(b *strings.Builder, key string, values []string, comment string) {
	if len(values) == 1 {
		fmt.Fprintf(b, "    %s: %s%s\n", key, values[0], comment)
		return
	}
	fmt.Fprintf(b, "    %s:%s\n", key, comment)
	for _, v := range values {
		fmt.Fprintf(b, "      - %s\n", v)
	}
}

// plainScalar is what surely needs no quotes, if it is no word or number that means something else.
var plainScalar = regexp.MustCompile(`^[\pL\pN/$(_][\pL\pN -~]*$`)

// inYAML writes a text so that YAML reads the same.
func inYAML(text string) string {
	if plainScalar.MatchString(text) && !token.IsNeedQuoted(text) {
		return text
	}
	return strconv.Quote(text) // each of whose escapes is YAML's, too
}

// inComment writes a text in the rest of a line.
func inComment(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// settled reports whether a flag says nothing where others are given.
func (p *planned) settled(flag *pflag.Flag) bool {
	j, ok := p.job.(*loadJob)
	return ok && j.staged(flag)
}

// targets is how a file says what is measured, without secrets.
func (p *planned) targets() (list []string) {
	for _, v := range p.args {
		list = append(list, restored(v.written, redactedURL(v.written)))
	}
	return list
}

// shown is how a file says the values of a flag, without secrets.
func (p *planned) shown(flag *pflag.Flag) (list []string) {
	values := p.said[flag.Name].values
	kept := func(v value) bool { return v.kept }
	if len(values) == 0 || secret(flag.Name) == nil && !slices.ContainsFunc(values, kept) { // the flag knows it better
		for _, text := range given(flag) {
			list = append(list, withoutSecrets(flag.Name, literally(text), false))
		}
		return list
	}
	for i, v := range values {
		text := v.written
		switch {
		case !p.owned[flag.Name]:
		case filepath.Ext(v.written) == filepath.Ext(v.text):
			text = p.own(text)
		default: // the ending is a variable's
			text = literally(given(flag)[i])
		}
		list = append(list, withoutSecrets(flag.Name, text, true))
	}
	return list
}

// commandLine is the command that does the same.
func (p *planned) commandLine() string {
	args := []string{"rtbench", p.kind.name}
	for _, target := range p.targets() {
		args = append(args, inShell(target))
	}
	p.job.flags().Visit(func(flag *pflag.Flag) {
		for _, text := range p.shown(flag) {
			switch {
			case flag.Value.Type() == "bool" && text == "true":
				args = append(args, "--"+flag.Name)
			case flag.NoOptDefVal != "":
				args = append(args, "--"+flag.Name+"="+inShell(text))
			default:
				args = append(args, "--"+flag.Name, inShell(text))
			}
		}
	})
	return strings.Join(args, " ")
}

// inShell writes a text of a file as a shell takes it: the variables in it are the shell's.
func inShell(text string) string {
	var b strings.Builder
	literal := func(s string) {
		if s = strings.ReplaceAll(s, "$${", "${"); s != "" || text == "" {
			b.WriteString(quoted([]string{s}))
		}
	}
	end := 0
	for _, at := range variableInText.FindAllStringIndex(text, -1) {
		if found := text[at[0]:at[1]]; found != "$${" {
			literal(text[end:at[0]])
			b.WriteString(`"` + found + `"`)
			end = at[1]
		}
	}
	literal(text[end:])
	return b.String()
}

// standsIn is what stands for something else, and holds no secret: variables, and the fields of templates.
var standsIn = regexp.MustCompile(`^(\$\{[A-Za-z_][A-Za-z0-9_]*\}|\{\{ *\.[A-Za-z0-9_.]+ *\}\})+$`)

// withoutSecrets hides what may be secret in the value of a flag, as a file says it, but for what stands in for it.
func withoutSecrets(flag, text string, ofFile bool) string {
	redact := secret(flag)
	switch flag {
	case "a", "b", "both", "sse", "ws":
		args, err := words("", text)
		if err != nil {
			return report.Redacted
		}
		list := redactFlags(args)
		for i := range list {
			list[i] = restored(args[i], list[i])
		}
		return quoted(list)
	case "header", "publish-header":
		if name, content, ok := strings.Cut(text, ":"); ok {
			text = name + ": " + strings.TrimSpace(content) // as it is redacted
		}
	case "message", "subscribe", "data", "publish-body", "resume":
		if ofFile && templates.MatchString(text) { // what is secret in one is a variable's
			return text
		}
	}
	if redact == nil {
		return text
	}
	return restored(text, redact(text))
}

// restored puts what stands for something else back where nothing besides has been hidden.
func restored(text, redacted string) string {
	if standsIn.MatchString(text) {
		return text
	}
	pieces := strings.Split(redacted, report.Redacted)
	pattern := make([]string, len(pieces))
	for i, piece := range pieces {
		pattern[i] = regexp.QuoteMeta(piece)
	}
	found := regexp.MustCompile("(?s)^" + strings.Join(pattern, "(.+?)") + "$").FindStringSubmatch(text)
	if found == nil {
		return redacted
	}
	restored := pieces[0]
	for i, was := range found[1:] {
		if !standsIn.MatchString(was) {
			was = report.Redacted
		}
		restored += was + pieces[i+1]
	}
	return restored
}
