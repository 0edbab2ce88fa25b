package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// newReportCommand makes the command that writes stored results anew.
func newReportCommand(std streams) *cobra.Command {
	f := &loadFlags{}
	command := &cobra.Command{
		Use:   "report FILE...",
		Short: "Write stored results in another format, several merged into one",
		Long: "report reads JSON results that were stored with -o, each a file, a folder of them or a pattern in quotes, and writes them anew. " +
			"Of several, as of one run by several machines, it merges the histograms, so that a quantile is that of all samples.",
		Example: "rtbench report result.json --format markdown\n" +
			"rtbench report 'machines/*.json' -o all.json --threshold 'p99(delivery) < 250ms'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(fmt.Errorf("no result is named"), "`rtbench sse URL -o result.json` stores one")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return f.rewrite(std, args) },
	}
	set := command.Flags()
	f.set = set
	f.thresholds = parsed[bench.Threshold]{kind: "condition", parse: bench.ParseThreshold, many: true}
	set.Var(&f.thresholds, "threshold", "exit 99 unless this holds, in the place of those stored (repeatable)")
	heading(set, "verdict")
	f.registerOutput(report.Formats())
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names(report.Formats()), cobra.ShellCompDirectiveNoFileComp))
	groupedHelp(command)
	return command
}

// rewrite reads results, merges them and writes what comes of it.
func (f *loadFlags) rewrite(std streams, args []string) error {
	outputs, err := f.openOutputs()
	if err != nil {
		return err
	}
	var runs []report.Run
	var results []*bench.Result
	for _, arg := range args {
		more, err := readResults(arg)
		if err != nil {
			return err
		}
		runs = append(runs, more...)
	}
	for _, run := range runs {
		results = append(results, run.Result)
	}
	merged, err := bench.Merge(results)
	if err != nil {
		return err
	}
	run := report.Run{Result: merged, Config: runs[0].Config}
	if len(runs) > 1 {
		run.Config.Entries = append([]report.Entry{{Name: "merged", Value: fmt.Sprint(len(runs))}}, run.Config.Entries...)
	}
	if len(f.thresholds.values) > 0 {
		merged.Judgements = nil
		for _, t := range f.thresholds.values {
			merged.Judgements = append(merged.Judgements, t.Judge(merged))
		}
	}
	if written := f.write(std, outputs, run); written != nil {
		return &failure{exitFailed, written, "the report is on stderr"}
	}
	if failed := failedThresholds(merged.Judgements); failed != nil {
		return &failure{exitThreshold, failed, ""}
	}
	return nil
}
