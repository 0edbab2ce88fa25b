package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

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
		Long: "run makes the runs of a file, or of stdin where FILE is -, one after the other, each with a report of its own. A file can say all that flags can; flags, and their variables, come before it. " +
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
	file    *scenarioFile
	job     job
	where   map[string]string  // where each flag's value comes from
	said    map[string]setting // what the file says of flags
	owned   map[string]bool    // flags whose files have the scenario's name
	dropped []string           // what the file says in vain
	files   []writtenFile
}

func (f *runFlags) run(ctx context.Context, std streams, path string) error {
	file, err := readScenarios(ctx, std.in, path)
	if err != nil {
		return err
	}
	list, err := f.plan(file)
	if err != nil {
		return file.hidden(err)
	}
	for _, p := range list {
		for _, what := range p.dropped {
			fmt.Fprintf(std.err, "%s: %s\n", p.name, what)
		}
	}
	if f.print {
		return printPlan(std.out, file, list)
	}
	return file.hidden(runAll(ctx, std, list))
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
		p, err := f.prepare(file, s)
		if err != nil {
			return nil, err
		}
		for _, file := range p.files {
			path := canonical(file.path)
			if other, ok := written[path]; ok && other == s.name {
				return nil, p.fault(file.flag, "name a file for each", fmt.Errorf("%s would write %s twice", s.name, file.path))
			} else if ok {
				return nil, p.fault(file.flag, "name a file for each", fmt.Errorf("%s and %s would both write %s", other, s.name, file.path))
			}
			written[path] = s.name
		}
		list = append(list, p)
	}
	for _, only := range [...][2]string{{"rate", "it says how often messages are published or request streams started"}, {"serve", "it is for the reference server"}} {
		flag, use := only[0], only[1]
		given := f.set.Lookup(flag)
		taken := func(p planned) bool { return p.where[flag] != "" }
		if given.Changed && given.Annotations[variableKey] == nil && !slices.ContainsFunc(list, taken) {
			return nil, usage(fmt.Errorf("--%s: no scenario of %s has a use for it", flag, file.path), "%s", use)
		}
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
func (f *runFlags) prepare(file *scenarioFile, s *scenario) (planned, error) {
	p := planned{scenario: s, file: file, job: s.kind.make(), where: make(map[string]string), said: make(map[string]setting), owned: make(map[string]bool)}
	if s.missing != nil {
		return p, s.missing
	}
	p.job.called(s.name)
	shared := make(map[string]bool) // flags with a value that all scenarios have
	var failed error
	f.set.Visit(func(flag *pflag.Flag) {
		given, ok := flag.Value.(*kept)
		if !ok || failed != nil || s.kind.flag(flag.Name) == nil || !p.uses(flag.Name, f.set) {
			return
		}
		where := "--" + flag.Name
		if variable := flag.Annotations[variableKey]; variable != nil {
			where = variable[0]
		}
		shared[flag.Name] = true
		for _, text := range given.texts {
			failed = cmp.Or(failed, p.give(flag.Name, text, where))
		}
	})
	if failed != nil {
		return p, failed
	}
	for _, level := range []struct {
		settings []setting
		shared   bool
		where    string
	}{{s.settings, false, fromScenario}, {file.defaults, true, keyDefaults}} {
		given, before := changed(p.job.flags()), inForce(p.job.flags())
		others := make(map[string]bool)
		for _, x := range level.settings {
			others[x.flag] = true
		}
		for _, x := range level.settings {
			flag := s.kind.flag(x.flag)
			switch {
			case flag == nil || given[x.flag] || level.shared && !p.uses(x.flag, f.set):
				continue
			case !off(flag, x.values[0].text) && overruled(before, others, x.flag):
				p.drop(x.flag, before)
				continue
			}
			shared[x.flag] = level.shared
			p.said[x.flag] = x
			for _, v := range x.values {
				if err := p.give(x.flag, v.text, level.where); err != nil {
					at := x.at
					if len(x.values) > 1 {
						at = v.at
					}
					said, _ := errors.AsType[*failure](err)
					return p, file.fault(at, said.hint, "%s", strings.TrimPrefix(said.Error(), level.where+": "))
				}
			}
		}
	}
	if len(file.scenarios) > 1 { // whether all of them are run or not
		for _, name := range []string{"output", "stream"} {
			if shared[name] {
				p.ownFiles(name)
			}
		}
	}
	var err error
	if p.files, err = p.job.validate(textsOf(s.args)); err != nil {
		return p, p.blame(err)
	}
	return p, nil
}

// uses reports whether a flag that all scenarios have would say something for this one: a rate of streams of events, where they
// are published or are request streams, and how to serve, where the reference server is measured.
func (p *planned) uses(flag string, given *pflag.FlagSet) bool {
	has := func(name string) bool {
		says := func(x setting) bool { return x.flag == name }
		return given.Changed(name) || slices.ContainsFunc(p.settings, says) || slices.ContainsFunc(p.file.defaults, says)
	}
	switch flag {
	case "rate":
		return p.kind.flag("done") == nil || has("done") || has("publish")
	case "serve":
		return len(p.args) == 0 && (p.kind != compareKind || !has("a"))
	}
	return true
}

// drop notes that a flag of the file is left out, where the command line or a variable is the reason.
func (p *planned) drop(flag string, before map[string]bool) {
	for _, c := range conflicts {
		other := c.b
		if c.b == flag {
			other = c.a
		}
		where := p.where[other]
		if (c.a == flag || c.b == flag) && before[other] && where != fromScenario && where != keyDefaults {
			p.dropped = append(p.dropped, fmt.Sprintf("the file's %s is left out, which doesn't go together with %s", flag, where))
			return
		}
	}
}

// give sets a flag, or adds to it.
func (p *planned) give(name, text, where string) error {
	err := p.job.flags().Set(name, text)
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
	p.where[name] = where
	return nil
}

// ownFiles has a flag name files that are the scenario's own.
func (p *planned) ownFiles(name string) {
	p.owned[name] = true
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

// fault is what is wrong with a flag, at the place where the file gives it. What the file doesn't give isn't wrong in it.
func (p *planned) fault(flag, hint string, err error) error {
	where, x := p.where[flag], p.said[flag]
	switch {
	case x.at != nil:
		return p.file.fault(x.at, hint, "%s", err)
	case where != "" && where != "--"+flag:
		err = fmt.Errorf("%s: %w", where, err)
	}
	return &failure{exitUsage, err, hint}
}

// blame finds the place of what validate complains of: that of the first flag which it names and which is given, or else the
// scenario's.
func (p *planned) blame(err error) error {
	hint := ""
	if said, ok := errors.AsType[*failure](err); ok {
		hint = said.hint
	}
	message := err.Error()
	err = fmt.Errorf("%s: %w", p.name, err)
	for _, flag := range flagsIn(message) {
		if p.where[flag] != "" {
			return p.fault(flag, hint, err)
		}
	}
	return p.file.fault(p.at, hint, "%s", err)
}

var (
	// flagInError finds the flags that a message names.
	flagInError = regexp.MustCompile(`--([a-z][a-z-]*)`)
	// subjects are messages that begin with no flag, and the flags that they are about; sides are those of a comparison's.
	subjects = []subject{
		{regexp.MustCompile(`^header Origin`), []string{"origin"}},
		{regexp.MustCompile(`^header Authorization`), []string{"bearer"}},
		{regexp.MustCompile(`^header |^[^-].* is not a header$`), []string{"header"}},
		{regexp.MustCompile(`^\d+ connections `), []string{"connections", "stage"}},
	}
	sides = []subject{
		{regexp.MustCompile(`^(SSE|A): `), []string{"a", "sse", "both"}},
		{regexp.MustCompile(`^(WebSocket|B): `), []string{"b", "ws", "both"}},
	}
)

// A subject is what messages are about.
type subject struct {
	message *regexp.Regexp
	flags   []string
}

// flagsIn are the flags that a message is about, the likeliest one first.
func flagsIn(message string) (list []string) {
	if strings.HasPrefix(message, "the URL") {
		return nil
	}
	about := func(subjects []subject) {
		for _, s := range subjects {
			if s.message.MatchString(message) {
				list = append(list, s.flags...)
			}
		}
	}
	about(subjects)
	for _, found := range flagInError.FindAllStringSubmatch(message, -1) {
		list = append(list, found[1])
	}
	about(sides)
	return list
}

// runAll makes the runs, one after the other, and says what became of each.
func runAll(ctx context.Context, std streams, list []planned) error {
	if len(list) == 1 {
		std.turn = list[0].name
		return list[0].job.run(ctx, std, textsOf(list[0].args))
	}
	codes := make([]exit, len(list))
	said := make([]string, len(list))
	var failed []string
	for i, p := range list {
		if by, stopped := stoppedBy(ctx); stopped {
			codes[i], said[i] = exitOfSignal(by.signal), "not run"
			continue
		}
		p.title(std, i, len(list))
		std.turn = fmt.Sprintf("%s (%d of %d)", p.name, i+1, len(list))
		err := p.file.hidden(p.job.run(ctx, std, textsOf(p.args)))
		switch codes[i] = exitOf(err); codes[i] {
		case exitPassed:
			said[i] = "passed"
		case exitInterrupt:
			said[i] = "interrupted"
		case exitTerminate:
			said[i] = "terminated"
		default:
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
	code := worst(codes...)
	switch {
	case code == exitPassed:
		return nil
	case len(failed) == 0: // but stopped
		return &failure{code: code}
	}
	return &failure{code, fmt.Errorf("%d of %d scenarios failed: %s", len(failed), len(list), strings.Join(failed, ", ")), ""}
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
