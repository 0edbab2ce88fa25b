package cmd

import (
	"context"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// A job is a command with its flags, and a scenario's way to run it.
type job interface {
	flags() *pflag.FlagSet
	// called gives the report the scenario's name.
	called(name string)
	// validate finds what is wrong with the flags and with args, before anything connects, and gives the files that run writes.
	validate(args []string) ([]writtenFile, error)
	run(ctx context.Context, std streams, args []string) error
	// config is what is in force, without secrets. It is asked for after validate.
	config(args []string) report.Config
}

// A kind is a command that a scenario can be.
type kind struct {
	name    string
	targets int // URLs behind it, where there are any
	make    func() job

	sample func() *pflag.FlagSet // to look flags up in
}

// flag is a flag that a file may set, nil where there is none.
func (k *kind) flag(name string) *pflag.Flag {
	f := k.sample().Lookup(name)
	if f == nil || f.Hidden || f.Name == "help" {
		return nil
	}
	return f
}

func newKind(name string, targets int, make func() job) *kind {
	return &kind{name, targets, make, sync.OnceValue(func() *pflag.FlagSet { return make().flags() })}
}

var compareKind = newKind("compare", 2, func() job {
	f := &compareFlags{}
	f.register(newFlagSet("compare"))
	return f
})

// kinds is the table of them.
var kinds = append(loadKinds(), compareKind)

// kindOf is the kind of a name, nil where there is none.
func kindOf(name string) *kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}

func loadKinds() (list []*kind) {
	for _, p := range protocols {
		list = append(list, newKind(p.name, 1, func() job {
			f := &loadFlags{}
			f.register(newFlagSet(p.name), p)
			return &loadJob{f, p}
		}))
	}
	return list
}

func newFlagSet(name string) *pflag.FlagSet {
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	set.SortFlags = false
	return set
}

// flagNames are those that files may set for some kinds, each once.
func flagNames(of ...*kind) (list []string) {
	for _, k := range of {
		k.sample().VisitAll(func(f *pflag.Flag) {
			if k.flag(f.Name) != nil && !slices.Contains(list, f.Name) {
				list = append(list, f.Name)
			}
		})
	}
	return list
}

// near says what a name that there isn't may be meant to be.
func near(names []string, name string) string {
	parent := &cobra.Command{}
	for _, n := range names {
		parent.AddCommand(&cobra.Command{Use: n, Run: func(*cobra.Command, []string) {}})
	}
	if s := suggestions(parent, name); s != "" {
		return "did you mean " + s + "?"
	}
	return "flags without their dashes; `rtbench run --schema` describes them all"
}

// bare reports whether a flag may stand without a value. Switches may not: one in a file may have been left blank by mistake.
func bare(f *pflag.Flag) bool { return f.NoOptDefVal != "" && f.Value.Type() != "bool" }

// repeatable reports whether a flag may be given several times.
func repeatable(f *pflag.Flag) bool {
	switch v := f.Value.(type) {
	case pflag.SliceValue:
		return true
	case interface{ repeats() bool }:
		return v.repeats()
	}
	return false
}

// given gives the values of a flag as they are written one by one.
func given(f *pflag.Flag) []string {
	switch v := f.Value.(type) {
	case pflag.SliceValue:
		return v.GetSlice()
	case interface{ list() []string }:
		return v.list()
	}
	return []string{f.Value.String()}
}

// A loadJob is a run.
type loadJob struct {
	*loadFlags
	protocol *protocol
}

func (j *loadJob) flags() *pflag.FlagSet { return j.set }
func (j *loadJob) called(name string)    { j.scenario = name }

func (j *loadJob) validate(args []string) ([]writtenFile, error) {
	hasURL := len(args) > 0
	if err := j.check(hasURL); err != nil {
		return nil, err
	}
	if _, _, _, err := j.plan(j.protocol, j.rawURL(j.protocol, args)); err != nil {
		return nil, err
	}
	outputs, err := j.openOutputs()
	if err != nil {
		return nil, err
	}
	files := filesOf(outputs)
	if j.stream != "" {
		files = append(files, writtenFile{"stream", j.stream})
	}
	return files, j.tryOut(hasURL)
}

func (j *loadJob) run(ctx context.Context, std streams, args []string) error {
	return j.loadFlags.run(ctx, std, j.protocol, args)
}

func (j *loadJob) config(args []string) report.Config {
	config := j.loadFlags.config(j.protocol, j.rawURL(j.protocol, args))
	if len(args) == 0 {
		config.Target = ""
	}
	return config
}

func (f *compareFlags) flags() *pflag.FlagSet { return f.set }
func (f *compareFlags) called(name string)    { f.scenario = name }

func (f *compareFlags) validate(args []string) ([]writtenFile, error) {
	if _, err := f.prepare(streams{}, args); err != nil {
		return nil, err
	}
	outputs, err := f.output.openComparisonOutputs()
	return filesOf(outputs), err
}
