package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// selftestFlags are the flags of `rtbench selftest`.
type selftestFlags struct {
	rows []string
	long bool
	json bool
}

func newSelftestCommand(std streams) *cobra.Command {
	f := &selftestFlags{}
	command := &cobra.Command{
		Use:   "selftest",
		Short: "Show on this machine that the figures are right, or refused",
		Long: "selftest has the reference server inject what is known (delays, a stall, loss, waits, a wrong clock), measures it,\n" +
			"and holds the figures against the server's own record. A figure PASSED within its tolerance; it is REFUSED\n" +
			"where rtbench itself says that it is not to be used; it FAILED where it is wrong and nothing says so.\n\n" +
			"Exit codes: 0 all passed; 1 one failed; 95 one was refused, so that this host can't be trusted for it.",
		Example: "rtbench selftest\n# some rows, for a script\nrtbench selftest --row loss --row clock --json",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), std) },
	}
	set := command.Flags()
	set.StringArrayVar(&f.rows, "row", nil, "make the row `NAME` alone (repeatable): "+trialNames())
	byDefault(set, "row", "all")
	set.BoolVar(&f.long, "long", false, "all of it: rows at full length, and comparisons of a server with itself; takes three quarters of an hour")
	heading(set, "rows")
	set.BoolVar(&f.json, "json", false, "write JSON")
	heading(set, "output")
	groupedHelp(command)
	_ = command.RegisterFlagCompletionFunc("row", cobra.FixedCompletions(strings.Split(trialNames(), ", "), cobra.ShellCompDirectiveNoFileComp))
	return command
}

// run makes the rows one after the other, so that none disturbs another.
func (f *selftestFlags) run(ctx context.Context, std streams) error {
	for _, name := range f.rows {
		if !slices.ContainsFunc(trials[:], func(t trial) bool { return t.name == name }) {
			return usage(fmt.Errorf("--row: there is no row %q", name), "there are %s", trialNames())
		}
	}
	var table *selftestTable
	if !f.json {
		table = newSelftestTable(std.out)
	}
	var findings []finding
	planned := 0
	for i := range trials {
		t := &trials[i]
		if len(f.rows) > 0 && !slices.Contains(f.rows, t.name) || len(f.rows) == 0 && t.long && !f.long {
			continue
		}
		if planned++; ctx.Err() != nil { // interrupted: what is done is shown
			continue
		}
		scene := t.scene(f.long)
		fmt.Fprintf(std.err, "%s: %s\n", t.name, scene.what)
		found, err := t.make(ctx, scene)
		if err != nil {
			continue
		}
		if findings = append(findings, found); table != nil {
			table.row(found)
		}
	}
	if _, ok := stoppedBy(ctx); ok {
		fmt.Fprintf(std.err, "interrupted: %d of %d rows were made\n", len(findings), planned)
	}
	worst, said := ending(ctx, findings)
	var err error
	if f.json {
		err = writeSelftest(std.out, findings, worst)
	} else {
		err = table.failed
	}
	if err != nil && exitOf(said) != exitFailed {
		return &failure{exitFailed, fmt.Errorf("writing the result: %w", err), ""}
	}
	return said
}

// ending is what all of it came to, and the exit code. What was wrong stays so where the other rows were interrupted.
func ending(ctx context.Context, findings []finding) (outcome, error) {
	worst, said := worstOf(allFigures(findings)), conclude(findings)
	if stopped, ok := stoppedBy(ctx); ok && worst != wrong {
		return unfinished, &failure{code: exitOfSignal(stopped.signal)}
	}
	return worst, said
}

func allFigures(findings []finding) (all []figure) {
	for _, found := range findings {
		all = append(all, found.figures...)
	}
	return all
}

// conclude turns the findings into the exit code: nil where all passed, or were refused as on any host of this kind.
func conclude(findings []finding) error {
	var failed, untrusted []string
	advice := ""
	for _, found := range findings {
		for _, f := range found.figures {
			switch name := found.trial.name + " " + f.name; {
			case f.outcome == wrong:
				failed = append(failed, name)
			case f.outcome == refused && !f.excused:
				untrusted = append(untrusted, name)
				if advice == "" {
					advice = f.advice
				}
			}
		}
	}
	switch {
	case len(failed) > 0:
		return &failure{exitFailed, fmt.Errorf("the self-test failed: %s", strings.Join(failed, ", ")),
			"a figure that is wrong and not refused is a defect of rtbench; please report it with the output of `rtbench selftest --json`"}
	case len(untrusted) > 0:
		return &failure{exitUntrusted, fmt.Errorf("this host can't be trusted for %s", strings.Join(untrusted, ", ")), advice}
	}
	return nil
}
