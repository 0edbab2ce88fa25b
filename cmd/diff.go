package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// diffFlags are the flags of `rtbench diff`.
type diffFlags struct {
	output loadFlags // where reports go
	margin parsed[float64]
	strict bool
}

const defaultMargin = .1

func newDiffCommand(std streams) *cobra.Command {
	f := &diffFlags{}
	command := &cobra.Command{
		Use:   "diff BASE HEAD",
		Short: "Compare stored results, and gate on what got worse",
		Long: "diff compares JSON results that were stored with -o: each of BASE and HEAD is a file, a folder of them, or a pattern in quotes such as 'base/*.json'. " +
			"From four results on each side on they are compared by how they scatter, else by what each knows of itself.",
		Example: "rtbench diff base.json head.json\n" +
			"rtbench diff 'base/*.json' 'head/*.json' --max-regression 5% -o diff.md",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(fmt.Errorf("two sides, BASE and HEAD, but there are %d", len(args)), "put a pattern in quotes, such as 'base/*.json'")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return f.run(std, args) },
	}
	set := command.Flags()
	f.margin = parsed[float64]{kind: "margin", parse: parseMargin}
	set.Var(&f.margin, "max-regression", "by how much HEAD may be worse, as `SHARE`; beyond that exit 96")
	byDefault(set, "max-regression", "10%")
	set.BoolVar(&f.strict, "strict", false, "exit 95 where a figure can be told neither to pass nor to regress")
	heading(set, "verdict")
	f.output.set = set
	f.output.registerOutput(report.ComparisonFormats())
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names(report.ComparisonFormats()), cobra.ShellCompDirectiveNoFileComp))
	groupedHelp(command)
	return command
}

func parseMargin(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(number, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 100) {
		return 0, fmt.Errorf("%q is not a share such as 10%% or 0.1", s)
	}
	return n, nil
}

func (f *diffFlags) run(std streams, args []string) error {
	outputs, err := f.output.openComparisonOutputs()
	if err != nil {
		return err
	}
	var sides [2][]report.Run
	for i, arg := range args {
		if sides[i], err = readResults(arg); err != nil {
			return err
		}
	}
	c := f.compare(args, sides)
	written := f.output.writeComparison(std, outputs, c)
	if written != nil {
		return &failure{exitFailed, written, "the report is on stderr"}
	}
	worse, unsure := gates(c)
	if broken := brokenIn(sides[1]); broken != "" {
		worse = append(worse, "the run itself: "+broken)
	}
	switch {
	case f.strict && len(c.Doubts) > 0 && len(worse) > 0:
		return &failure{exitUntrusted, fmt.Errorf("worse by more than %.4g %%, if that is to be trusted: %s; %s", 100*c.Margin, strings.Join(worse, ", "), c.Doubts[0].Text), c.Doubts[0].Advice}
	case f.strict && len(c.Doubts) > 0:
		return &failure{exitUntrusted, errors.New(c.Doubts[0].Text), c.Doubts[0].Advice}
	case f.strict && len(worse) == 0 && len(unsure) > 0:
		return &failure{exitUntrusted, fmt.Errorf("nobody can tell whether this got worse: %s", strings.Join(unsure, ", ")), "store at least four results of each side, made in turns"}
	case len(worse) > 0:
		return &failure{exitRegression, fmt.Errorf("worse by more than %.4g %%: %s", 100*c.Margin, strings.Join(worse, ", ")), ""}
	}
	return nil
}

// brokenIn says why a run of a side came to nothing; "" where none did.
func brokenIn(runs []report.Run) string {
	for _, run := range runs {
		if run.Result.Failure != "" {
			return run.Result.Failure
		}
	}
	return ""
}

// compare makes the comparison of what was read.
func (f *diffFlags) compare(args []string, sides [2][]report.Run) *report.Comparison {
	margin := defaultMargin
	if f.output.given("max-regression") {
		margin = f.margin.value()
	}
	c := &report.Comparison{Command: "rtbench diff", Margin: margin, Results: [2]int{len(sides[0]), len(sides[1])}}
	var results [2][]*bench.Result
	for i, runs := range sides {
		name := []string{"base", "head"}[i]
		c.Sides[i] = report.Side{Name: name, Command: args[i]}
		for _, run := range runs {
			results[i] = append(results[i], run.Result)
			if why := report.Unfit(run.Result); why != "" {
				c.Doubts = append(c.Doubts, bench.Warning{Text: name + ": " + why, Advice: "measure that side again"})
			}
		}
		if first := runs[0].Config; first.Command != "" {
			c.Sides[i].Command = strings.TrimSpace(first.Command + " " + first.Target)
		}
	}
	if c.Doubts = slices.Compact(c.Doubts); len(c.Doubts) > maxDoubts {
		c.Doubts = c.Doubts[:maxDoubts]
	}
	c.Contrasts = report.Differences(results[0], results[1], alpha, margin)
	if names := settingsThatDiffer(sides[0][0], sides[1][0]); len(names) > 0 {
		c.Warnings = append(c.Warnings, bench.Warning{Text: "the sides were measured in different ways: " + strings.Join(names, ", "), Advice: "what differs may be that"})
	}
	if !report.InTurns(results[0], results[1]) {
		c.Warnings = append(c.Warnings, bench.Warning{Text: "the sides were not measured in turns, and nobody knows what else changed meanwhile: intervals are wider by 5 % at either end", Advice: "measure base and head one after the other, again and again, or use `rtbench compare`"})
	}
	if len(sides[0]) < report.EnoughResults || len(sides[1]) < report.EnoughResults {
		c.Warnings = append(c.Warnings, bench.Warning{
			Text:   fmt.Sprintf("with fewer than %d results of each side, what differs is held against what each run knows of itself; how much two runs differ from each other nobody knows", report.EnoughResults),
			Advice: "store more of each, made in turns, or use `rtbench compare`",
		})
	}
	if why := untimed(slices.Concat(results[0], results[1])); why != "" {
		c.Warnings = append(c.Warnings, bench.Warning{Text: "nothing here says how soon events came: " + why, Advice: "time them with --stamp, or --publish"})
	}
	c.Environment = results[1][0].Environment.Host()
	if a, b := results[0][0].Environment, results[1][0].Environment; a.OS != b.OS || a.Arch != b.Arch || a.CPUs != b.CPUs || a.Kernel != b.Kernel {
		c.Warnings = append(c.Warnings, bench.Warning{Text: "the sides were measured on different machines", Advice: "measure both on one, in turns"})
	}
	return c
}

// untimed says why no result has a time from when something was due to its arrival; "" where one has.
func untimed(results []*bench.Result) (why string) {
	for _, r := range results {
		for _, m := range []bench.Metric{bench.Delivery, bench.RoundTrip, bench.StreamTotal} {
			if r.Histogram(m) != nil {
				return ""
			}
		}
		why = cmp.Or(why, r.Unmeasured[bench.Delivery])
	}
	return why
}

const (
	maxDoubts  = 10  // that are told
	maxResults = 100 // of each side
)

// describing are the settings that say what was measured.
var describing = []string{"connections", "stage", "duration", "rate", "message", "publish", "chat", "stamp", "seq", "token", "data", "serve", "compression", "binary"}

// settingsThatDiffer lists what was measured in another way by two runs.
func settingsThatDiffer(a, b report.Run) (list []string) {
	values := func(run report.Run, name string) (texts []string) {
		for _, e := range run.Config.Entries {
			if e.Name == name {
				texts = append(texts, e.Value)
			}
		}
		return texts
	}
	if a.Config.Command != b.Config.Command {
		list = append(list, "the command")
	}
	for _, name := range describing {
		if !slices.Equal(values(a, name), values(b, name)) {
			list = append(list, "--"+name)
		}
	}
	return list
}

// gates lists the figures that got worse, and those of which that can't be told.
func gates(c *report.Comparison) (worse, unsure []string) {
	for _, x := range c.Contrasts {
		switch x.Gate {
		case report.Regress:
			worse = append(worse, x.Name)
		case report.Inconclusive:
			unsure = append(unsure, x.Name)
		}
	}
	return worse, unsure
}

// readResults reads the results that an argument names: a file, a folder, or a pattern.
func readResults(arg string) (runs []report.Run, err error) {
	paths := []string{arg}
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, usage(err, "name a folder that can be read")
		}
		paths = nil
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), report.JSON.Extension()) {
				paths = append(paths, filepath.Join(arg, entry.Name()))
			}
		}
	} else if err != nil {
		if paths, err = filepath.Glob(arg); err != nil {
			return nil, usage(fmt.Errorf("%q is no pattern: %w", arg, err), "such as 'base/*.json'")
		}
	}
	if len(paths) == 0 {
		return nil, usage(fmt.Errorf("there is no result in %s", arg), "`rtbench sse URL -o base.json` stores one")
	}
	if len(paths) > maxResults {
		return nil, usage(fmt.Errorf("%s has %d results, and %d are the most that are compared", arg, len(paths), maxResults), "a few dozen tell as much")
	}
	for _, path := range paths {
		run, err := readResult(path)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func readResult(path string) (report.Run, error) {
	file, err := os.Open(path)
	if err != nil {
		return report.Run{}, usage(err, "`rtbench sse URL -o %s` stores a result", path)
	}
	defer file.Close()
	run, err := report.Read(file)
	if err != nil {
		return run, usage(fmt.Errorf("%s: %w", path, err), "`rtbench sse URL -o FILE.json` stores a result that can be read")
	}
	return run, nil
}

// writeComparison writes a comparison wherever it is to go.
func (f *loadFlags) writeComparison(std streams, outputs []output, c *report.Comparison) error {
	return f.writeAll(std, outputs, func(out output) map[string]func(io.Writer) error {
		return map[string]func(io.Writer) error{out.path: func(w io.Writer) error { return report.WriteComparison(w, out.format, c, report.TextOptions{}) }}
	}, func(w io.Writer, format report.Format) error {
		return report.WriteComparison(w, format, c, f.textOptions(std.out))
	})
}
