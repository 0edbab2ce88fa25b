package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// newManCommand writes the manual page, for those who make packages.
func newManCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:    "man",
		Short:  "Write the manual page in roff",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(std.out, manual(cmd.Root()))
			return err
		},
	}
}

// manual is the manual page, in the macros of man(7). It carries no date: the same program gives the same page.
func manual(root *cobra.Command) string {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, ".SH %s\n", title) }
	tagged := func(tag, text string) { fmt.Fprintf(&b, ".TP\n%s\n%s\n", tag, roff(text)) }
	fmt.Fprintf(&b, ".TH RTBENCH 1 \"\" \"rtbench %s\"\n", roff(buildVersion()))
	section("NAME")
	fmt.Fprintf(&b, "rtbench \\- %s\n", roff(root.Short))
	section("SYNOPSIS")
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			fmt.Fprintf(&b, ".B %s\n.br\n", roff(c.UseLine()))
		}
	}
	section("DESCRIPTION")
	fmt.Fprintln(&b, roff(description))
	section("COMMANDS")
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(c.UseLine()), roff(strings.TrimSpace(c.Short+".\n"+c.Long)))
		last := ""
		for _, h := range flagsHelp(c.Flags()) {
			if h.heading != last {
				fmt.Fprintf(&b, ".PP\n.I %s\n", roff(h.heading))
				last = h.heading
			}
			text := h.sentence
			if h.byDefault != "" {
				text += " (" + h.byDefault + ")"
			}
			tagged(strings.TrimSpace(`\fB`+roff(strings.TrimSpace(h.name))+`\fR`+roff(h.spaced())), text)
		}
		if c.Example != "" {
			fmt.Fprintf(&b, ".PP\n.nf\n%s\n.fi\n", roff(c.Example))
		}
	}
	section("EXIT STATUS")
	fmt.Fprintln(&b, "Where several apply, the first one is used.")
	for _, row := range exits {
		tagged(fmt.Sprint(int(row.code)), row.sentence)
	}
	section("ENVIRONMENT")
	tagged("RTBENCH_*", environmentHelp)
	tagged("NO_COLOR", "No colours, like --no-color.")
	return b.String()
}

// roff escapes text, so that troff takes none of it for its own.
func roff(s string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
