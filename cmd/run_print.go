package cmd

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// printPlan writes what would be run as a scenario file, with every setting in force and where it comes from, and the command
// that does the same.
func printPlan(w io.Writer, file *scenarioFile, list []planned) error {
	comments := yaml.CommentMap{}
	var scenarios []yaml.MapSlice
	for i, p := range list {
		item := yaml.MapSlice{{Key: keyName, Value: p.label.written}, {Key: p.kind.name, Value: single(p.targets())}}
		var byDefault []string
		p.job.flags().VisitAll(func(flag *pflag.Flag) {
			switch where := p.where[flag.Name]; {
			case !effective(flag) || p.settled(flag):
			case !flag.Changed: // given, it might contradict others
				byDefault = append(byDefault, flag.Name+" "+flag.Value.String())
			default:
				item = append(item, yaml.MapItem{Key: flag.Name, Value: p.valueOf(flag)})
				if where != fromScenario {
					comments[fmt.Sprintf("$.%s[%d].%s", keyScenarios, i, flag.Name)] = []*yaml.Comment{yaml.LineComment(" " + where)}
				}
			}
		})
		comments[fmt.Sprintf("$.%s[%d]", keyScenarios, i)] = []*yaml.Comment{yaml.HeadComment(" "+p.commandLine(), " by default: "+strings.Join(byDefault, ", "))}
		scenarios = append(scenarios, item)
	}
	plan := yaml.MapSlice{}
	if file.name.text != "" {
		plan = append(plan, yaml.MapItem{Key: keyName, Value: file.name.written})
	}
	text, err := yaml.MarshalWithOptions(append(plan, yaml.MapItem{Key: keyScenarios, Value: scenarios}), yaml.IndentSequence(true), yaml.WithComment(comments))
	if err != nil {
		return fmt.Errorf("printing the plan: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return &failure{exitFailed, fmt.Errorf("printing the plan: %w", err), ""}
	}
	return nil
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

// single is a list, or what is the only one in it.
func single(list []string) any {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
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

// valueOf is how a file says the value of a flag, without secrets.
func (p *planned) valueOf(flag *pflag.Flag) any {
	values := p.shown(flag)
	switch {
	case repeatable(flag) && len(values) > 1:
		return values
	case len(values) != 1:
		return ""
	}
	switch flag.Value.Type() {
	case "bool":
		if b, err := strconv.ParseBool(values[0]); err == nil {
			return b
		}
	case "int", "uint64", "count", "size":
		if n, err := strconv.ParseUint(values[0], 10, 64); err == nil {
			return n
		}
	}
	return values[0]
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
	return strings.ReplaceAll(strings.Join(args, " "), "\n", " ") // it stands in a comment
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
