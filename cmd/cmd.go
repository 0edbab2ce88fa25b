// Package cmd is rtbench's command line: one file a command, that turns flags into a plan, wires the packages below
// together and turns what came out into an exit code.
//
//	flags, RTBENCH_* → bench.Plan + dialers → bench.Runner → report.Write → exit code
//
// Reports go to stdout and everything else to stderr. It refuses to measure, to judge and to format figures; that is
// done below.
package cmd

import (
	"context"
	"io"
	"runtime/debug"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
)

// version is set by the linker in a release, and then wins over what the build information says.
var version string

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	signals  *signals
	turn     string // which of a file's runs is made, such as "steady (1 of 2)"; "" for none's
}

// titled is a title on the screen, with whose turn it is.
func (s streams) titled(title string) string {
	if s.turn == "" {
		return title
	}
	return s.turn + "  " + title
}

// Main runs the command line and returns the exit code. A second interrupt exits at once.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	signals := newSignals()
	ctx, stop := signals.during(context.Background())
	defer stop()
	std := streams{in: stdin, out: stdout, err: stderr, signals: signals}
	root := newRoot(std)
	root.SetArgs(trialArgs(args, stdin))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := execute(ctx, root)
	if err != nil {
		printError(stderr, err)
	}
	return int(exitOf(err))
}

// execute runs root within a command of fang's, whose part is the help. Errors don't go through fang: it asks the terminal
// for its background colour before it hands one on, and waits for seconds where that doesn't answer.
func execute(ctx context.Context, root *cobra.Command) (err error) {
	shell := &cobra.Command{Run: func(shell *cobra.Command, _ []string) {
		root.SetHelpFunc(fitted(shell.HelpFunc()))
		err = root.ExecuteContext(ctx)
	}}
	shell.SetArgs([]string{})
	shell.SetOut(root.OutOrStdout())
	shell.SetErr(root.ErrOrStderr())
	_ = fang.Execute(ctx, shell, fang.WithoutManpage(), fang.WithoutCompletions()) // the shell itself can't fail
	return err
}

// description is what the program is for.
const description = "rtbench opens thousands of Server-Sent-Events or WebSocket connections and measures what each subscriber really gets: " +
	"delivery latency, loss, duplicates, order, reconnects and resumption. It says when its own figures are not to be trusted."

func newRoot(std streams) *cobra.Command {
	root := &cobra.Command{
		Use:     "rtbench",
		Version: buildVersion(),
		Short:   "Test and benchmark Server-Sent-Events and WebSocket endpoints",
		Long:    description + "\n\n" + environmentHelp + "\n\n" + exitCodes(),
		Example: "# measure the built-in reference server\nrtbench sse\n" +
			"# 1,000 subscribers for a minute, and fail the job if it is slow or loses anything\n" +
			"rtbench sse https://example.com/events -c 1000 -d 1m --threshold 'p99(delivery) < 250ms' --threshold 'lost == 0'\n" +
			"# echo round trips, 5,000 messages a second over 500 connections\nrtbench ws wss://example.com/echo -c 500 -r 5000/s",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s := interactive(std); s != nil {
				return s.run(cmd.Context())
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) },
	}
	root.SetFlagErrorFunc(flagError)
	for _, p := range protocols {
		root.AddCommand(newLoadCommand(std, p))
	}
	root.AddCommand(newCompareCommand(std), newRunCommand(std), newDiffCommand(std), newReportCommand(std), newServeCommand(std), newProxyCommand(std), newMetricsCommand(std), newManCommand(std), newSelftestCommand(std))
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		completion.Args = root.Args
	}
	return root
}

// newHelpCommand is cobra's, but for a word that is no command.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args[0])
			}
			found.InitDefaultHelpFlag() // so that the help names them
			found.InitDefaultVersionFlag()
			return found.Help()
		},
	}
}

// buildVersion is the release, or what the Go tool knows of the build.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
