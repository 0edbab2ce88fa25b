package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// runFlags are the flags of `rtbench run`: its own, and all that a scenario may have.
type runFlags struct {
	set           *pflag.FlagSet
	only          []string
	print, schema bool
}

const scenarioExample = `name: checkout
defaults:                    # flags without their dashes, for all scenarios
  duration: 30s
  threshold: [lost == 0]
scenarios:                   # one after the other
  - name: steady
    sse: https://${HOST:-localhost:8080}/events
    connections: 1000
    threshold:
      - p99(delivery) < 250ms
      - lost == 0
  - name: ramp
    ws:                      # without a URL, the reference server
    stage: [10s:100, 30s:1000]
  - name: which
    compare: [http://localhost:8080/events, ws://localhost:8080/feed]
    workload: feed`

func newRunCommand(std streams) *cobra.Command {
	f := &runFlags{}
	command := &cobra.Command{
		Use:   "run FILE",
		Short: "Run the scenarios of a file",
		Long: "run makes the runs of a file, one after the other, each with a report of its own. A file can say all that flags can; flags, and their variables, come before it. " +
			"An output that all scenarios have is a file for each, with its name: report.html becomes report.steady.html. " +
			"The whole file is checked before anything connects.\n\n" + scenarioExample,
		Example: "rtbench run load.yaml\n" +
			"# one of its scenarios, shorter\nrtbench run load.yaml --only steady -d 5s\n" +
			"# what would be run, with every setting and where it comes from\nrtbench run load.yaml --print\n" +
			"# for editors: completion and checks while you type\nrtbench run --schema > scenario.schema.json",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case f.schema && len(args) == 0, !f.schema && len(args) == 1:
				return nil
			case f.schema:
				return usage(errors.New("--schema is of all files"), "leave out %s", args[0])
			case len(args) == 0:
				return usage(errors.New("run needs a scenario file"), "`rtbench run --help` shows what one is like")
			}
			return usage(fmt.Errorf("one file at a time, but there are %q and %q", args[0], args[1]), "put a value with spaces in quotes")
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.schema {
				return writeSchema(std.out)
			}
			return f.run(cmd.Context(), std, args[0])
		},
	}
	f.register(command.Flags())
	completions(command)
	groupedHelp(command)
	return command
}

func (f *runFlags) register(set *pflag.FlagSet) {
	f.set = set
	set.StringArrayVar(&f.only, "only", nil, "run this `SCENARIO` alone (repeatable)")
	set.BoolVar(&f.print, "print", false, "print what would be run, and run nothing")
	set.BoolVar(&f.schema, "schema", false, "print the JSON Schema of scenario files")
	heading(set, "scenarios")
	for _, k := range kinds {
		k.sample().VisitAll(func(own *pflag.Flag) {
			if k.flag(own.Name) == nil || set.Lookup(own.Name) != nil {
				return
			}
			kept := &kept{kind: own.Value.Type(), many: repeatable(own), byDefault: own.Value.String()}
			flag := *own
			flag.Value, flag.Annotations = kept, map[string][]string{headingKey: {"in place of what the file says"}}
			if set.ShorthandLookup(own.Shorthand) != nil {
				flag.Shorthand = ""
			}
			set.AddFlag(&flag)
		})
	}
}

// kept is a flag whose values are kept as they were written, for the scenarios to read.
type kept struct {
	kind      string
	many      bool
	byDefault string
	texts     []string
}

func (v *kept) Type() string  { return v.kind }
func (v *kept) repeats() bool { return v.many }

func (v *kept) String() string {
	if len(v.texts) == 0 {
		return v.byDefault
	}
	return strings.Join(v.texts, ", ")
}

func (v *kept) Set(s string) error {
	if !v.many {
		v.texts = nil
	}
	v.texts = append(v.texts, s)
	return nil
}

// fromScenario is where a value comes from that the scenario itself gives.
const fromScenario = "the scenario"

// A planned is a scenario that is to be run.
type planned struct {
	*scenario
	job   job
	where map[string]string // where each flag's value comes from
}

func (f *runFlags) run(ctx context.Context, std streams, path string) error {
	file, err := readScenarios(path)
	if err != nil {
		return err
	}
	list, err := f.plan(file)
	if err != nil {
		return err
	}
	if f.print {
		return printPlan(std.out, file, list)
	}
	return runAll(ctx, std, list)
}

// plan turns a file into jobs, and finds what is wrong with any of them.
func (f *runFlags) plan(file *scenarioFile) ([]planned, error) {
	chosen, err := f.chosen(file)
	if err != nil {
		return nil, err
	}
	if err := f.checkGiven(file, chosen); err != nil {
		return nil, err
	}
	written := make(map[string]string) // by whom
	var list []planned
	for _, s := range chosen {
		p, err := f.prepare(file, s, len(chosen) > 1)
		if err != nil {
			return nil, err
		}
		for _, path := range p.files() {
			if other, ok := written[path]; ok {
				return nil, file.fault(s.at, "name a file for each", "%s and %s would both write %s", other, s.name, path)
			}
			written[path] = s.name
		}
		list = append(list, p)
	}
	return list, nil
}

// chosen are the scenarios that are to be run.
func (f *runFlags) chosen(file *scenarioFile) (list []*scenario, err error) {
	names := make([]string, len(file.scenarios))
	for i := range file.scenarios {
		s := &file.scenarios[i]
		if names[i] = s.name; len(f.only) == 0 || slices.Contains(f.only, s.name) {
			list = append(list, s)
		}
	}
	for _, name := range f.only {
		if !slices.Contains(names, name) {
			return nil, usage(fmt.Errorf("--only: %s has no scenario %q", file.path, name), "%s", joined(names))
		}
	}
	return list, nil
}

// checkGiven finds flags that no scenario has.
func (f *runFlags) checkGiven(file *scenarioFile, chosen []*scenario) (failed error) {
	f.set.Visit(func(flag *pflag.Flag) {
		_, ok := flag.Value.(*kept)
		fromVariable := flag.Annotations[variableKey] != nil // which are meant for other commands, too
		if ok && failed == nil && !fromVariable && !slices.ContainsFunc(chosen, func(s *scenario) bool { return s.kind.flag(flag.Name) != nil }) {
			failed = usage(fmt.Errorf("--%s: no scenario of %s has that flag", flag.Name, file.path), "they are %s", kindsOf(chosen))
		}
	})
	return failed
}

func kindsOf(list []*scenario) string {
	names := make(map[string]bool)
	for _, s := range list {
		names[s.kind.name] = true
	}
	return joined(slices.Sorted(maps.Keys(names)))
}

// prepare makes the job of a scenario: what was given on the command line or by variables, then what the scenario says,
// and then what is said for all. What contradicts a value that comes before it is left out.
func (f *runFlags) prepare(file *scenarioFile, s *scenario, several bool) (planned, error) {
	p := planned{scenario: s, job: s.kind.make(), where: make(map[string]string)}
	p.job.called(s.name)
	shared := make(map[string]bool) // flags with a value that all scenarios have
	var failed error
	f.set.Visit(func(flag *pflag.Flag) {
		given, ok := flag.Value.(*kept)
		if !ok || failed != nil || s.kind.flag(flag.Name) == nil {
			return
		}
		where := "--" + flag.Name
		if variable := flag.Annotations[variableKey]; variable != nil {
			where = variable[0]
		}
		shared[flag.Name] = true
		failed = p.give(flag.Name, given.texts, where)
	})
	if failed != nil {
		return p, failed
	}
	for _, level := range []struct {
		settings []setting
		shared   bool
		where    string
	}{{s.settings, false, fromScenario}, {file.defaults, true, keyDefaults}} {
		before := changed(p.job.flags())
		for _, x := range level.settings {
			if s.kind.flag(x.flag) == nil || before[x.flag] || overruled(before, x.flag) {
				continue
			}
			shared[x.flag] = level.shared
			if err := p.give(x.flag, x.values, level.where); err != nil {
				said, _ := errors.AsType[*failure](err)
				return p, file.fault(x.at, said.hint, "%s", strings.TrimPrefix(said.Error(), level.where+": "))
			}
		}
	}
	if several {
		for _, name := range []string{"output", "stream"} {
			if shared[name] {
				p.ownFiles(name)
			}
		}
	}
	if err := p.job.validate(s.args); err != nil {
		said, ok := errors.AsType[*failure](err)
		if !ok {
			return p, file.fault(s.at, "", "%s: %s", s.name, err)
		}
		return p, file.fault(s.at, said.hint, "%s: %s", s.name, said)
	}
	return p, nil
}

// changed are the flags that have been given.
func changed(set *pflag.FlagSet) map[string]bool {
	names := make(map[string]bool)
	set.Visit(func(f *pflag.Flag) { names[f.Name] = true })
	return names
}

// give sets a flag.
func (p *planned) give(name string, values []string, where string) error {
	for _, value := range values {
		err := p.job.flags().Set(name, value)
		if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			hint := ""
			if said, ok := errors.AsType[*failure](errors.Unwrap(e)); ok {
				hint = said.hint
			}
			return &failure{exitUsage, badValue(where, e), hint}
		}
		if err != nil {
			return usage(fmt.Errorf("%s: %w", where, err), "`rtbench %s --help` describes --%s", p.kind.name, name)
		}
	}
	p.where[name] = where
	return nil
}

// ownFiles has a flag name files that are the scenario's own.
func (p *planned) ownFiles(name string) {
	switch v := p.job.flags().Lookup(name).Value.(type) {
	case pflag.SliceValue:
		list := v.GetSlice()
		for i := range list {
			list[i] = p.own(list[i])
		}
		_ = v.Replace(list) // names can be nothing but texts
	default:
		_ = v.Set(p.own(v.String()))
	}
}

// files are those that the job writes.
func (p *planned) files() (list []string) {
	for _, name := range []string{"output", "stream"} {
		if flag := p.job.flags().Lookup(name); flag != nil && flag.Changed && flag.Value.String() != "-" {
			list = append(list, given(flag)...)
		}
	}
	return list
}

// runAll makes the runs, one after the other, and says what became of each.
func runAll(ctx context.Context, std streams, list []planned) error {
	if len(list) == 1 {
		return list[0].job.run(ctx, std, list[0].args)
	}
	codes := make([]exit, len(list))
	said := make([]string, len(list))
	var failed []string
	for i, p := range list {
		if _, stopped := stoppedBy(ctx); stopped {
			said[i] = "not run"
			continue
		}
		p.title(std, i, len(list))
		err := p.job.run(ctx, std, p.args)
		codes[i], said[i] = exitOf(err), "passed"
		if codes[i] != exitPassed {
			failed = append(failed, p.name)
			said[i] = fmt.Sprintf("exit code %d", codes[i])
		}
		if f, ok := errors.AsType[*failure](err); err != nil && (!ok || f.err != nil) {
			said[i] += ": " + oneLine(err.Error())
			if ok && f.hint != "" {
				said[i] += " (" + f.hint + ")"
			}
		}
	}
	fmt.Fprintln(std.err)
	width := 0
	for _, p := range list {
		width = max(width, utf8.RuneCountInString(p.name))
	}
	for i, p := range list {
		fmt.Fprintf(std.err, "%s%s  %s\n", p.name, strings.Repeat(" ", width-utf8.RuneCountInString(p.name)), said[i])
	}
	switch code := worst(codes...); code {
	case exitPassed:
		return nil
	case exitInterrupt, exitTerminate:
		return &failure{code: code}
	default:
		return &failure{code, fmt.Errorf("%d of %d scenarios failed: %s", len(failed), len(list), strings.Join(failed, ", ")), ""}
	}
}

// title says which scenario's report follows, where that is to be read by people.
func (p *planned) title(std streams, i, n int) {
	flags := p.job.flags()
	quiet, _ := flags.GetBool("quiet")
	asJSON, _ := flags.GetBool("json")
	format := flags.Lookup("format").Value.String()
	if quiet || asJSON || format != "" && format != string(report.Text) {
		return
	}
	if i > 0 {
		fmt.Fprintln(std.out)
	}
	fmt.Fprintf(std.out, "--- %s, scenario %d of %d\n\n", p.name, i+1, n)
}

// printPlan writes what would be run as a scenario file, with every setting in force and where it comes from, and the command
// that does the same.
func printPlan(w io.Writer, file *scenarioFile, list []planned) error {
	comments := yaml.CommentMap{}
	var scenarios []yaml.MapSlice
	for i, p := range list {
		item := yaml.MapSlice{{Key: keyName, Value: p.name}, {Key: p.kind.name, Value: targetsOf(p.args)}}
		var byDefault []string
		p.job.flags().VisitAll(func(flag *pflag.Flag) {
			switch where := p.where[flag.Name]; {
			case !effective(flag) || p.settled(flag):
			case !flag.Changed: // given, it might contradict others
				byDefault = append(byDefault, flag.Name+" "+flag.Value.String())
			default:
				item = append(item, yaml.MapItem{Key: flag.Name, Value: valueOf(flag)})
				if where != fromScenario {
					comments[fmt.Sprintf("$.%s[%d].%s", keyScenarios, i, flag.Name)] = []*yaml.Comment{yaml.LineComment(" " + where)}
				}
			}
		})
		comments[fmt.Sprintf("$.%s[%d]", keyScenarios, i)] = []*yaml.Comment{yaml.HeadComment(" "+p.commandLine(), " by default: "+strings.Join(byDefault, ", "))}
		scenarios = append(scenarios, item)
	}
	plan := yaml.MapSlice{}
	if file.name != "" {
		plan = append(plan, yaml.MapItem{Key: keyName, Value: file.name})
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

// targetsOf is how a file says what is measured.
func targetsOf(args []string) any {
	switch args = literally(redactFlags(args)); len(args) {
	case 0:
		return nil
	case 1:
		return args[0]
	}
	return args
}

// literally has values stand for themselves, and for no variable.
func literally(values []string) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = strings.ReplaceAll(v, "${", "$${")
	}
	return list
}

// valueOf is how a file says the value of a flag, without secrets.
func valueOf(flag *pflag.Flag) any {
	values := given(flag)
	if redact := secret(flag.Name); redact != nil {
		for i := range values {
			values[i] = redact(values[i])
		}
	}
	switch values = literally(values); {
	case repeatable(flag) && len(values) > 1:
		return values
	case len(values) != 1:
		return ""
	}
	switch flag.Value.Type() {
	case "bool":
		return values[0] == "true"
	case "int", "uint64", "count", "size":
		if n, err := strconv.ParseUint(values[0], 10, 64); err == nil {
			return n
		}
	}
	return values[0]
}

// commandLine is the command that does the same.
func (p *planned) commandLine() string {
	args := append([]string{"rtbench", p.kind.name}, redactFlags(p.args)...)
	p.job.flags().Visit(func(flag *pflag.Flag) {
		values := given(flag)
		for _, value := range values {
			if redact := secret(flag.Name); redact != nil {
				value = redact(value)
			}
			switch {
			case flag.Value.Type() == "bool" && value == "true":
				args = append(args, "--"+flag.Name)
			case flag.NoOptDefVal != "":
				args = append(args, "--"+flag.Name+"="+value)
			default:
				args = append(args, "--"+flag.Name, value)
			}
		}
	})
	return strings.ReplaceAll(quoted(args), "\n", " ") // it stands in a comment
}
