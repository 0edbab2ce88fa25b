package cmd

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rtbench/rtbench/bench"
)

// newMetricsCommand lists what thresholds and reports can name.
func newMetricsCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "metrics",
		Short: "List every metric: its name, its unit and what it means",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
			for _, m := range bench.Metrics() {
				fmt.Fprintf(w, "%s\t%s\t%s\n", m, m.Unit(), m.Sentence())
			}
			if err := w.Flush(); err != nil {
				return &failure{exitFailed, err, ""}
			}
			return nil
		},
	}
}
