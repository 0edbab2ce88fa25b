package cmd

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/fang/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// headingKey is the annotation of a flag that says under which heading of the help it stands.
const headingKey = "heading"

// heading puts the flags that were declared since the heading before under one.
func heading(set *pflag.FlagSet, title string) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Annotations[headingKey] == nil {
			_ = set.SetAnnotation(f.Name, headingKey, []string{title})
		}
	})
}

// byDefault says in words what a flag does where it isn't given.
func byDefault(set *pflag.FlagSet, name, words string) { set.Lookup(name).DefValue = words }

// A flagHelp is what there is to say of a flag.
type flagHelp struct {
	heading   string
	name      string // with its dashes
	value     string // what to write behind it, a space or "[=" before; "" for a switch
	sentence  string
	byDefault string
}

// spaced is the value as it stands behind the name.
func (h flagHelp) spaced() string {
	if strings.HasPrefix(h.value, "[=") {
		return h.value
	}
	return " " + h.value
}

// flagsHelp lists the flags of a command in the order of their declaration.
func flagsHelp(set *pflag.FlagSet) (list []flagHelp) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		h := flagHelp{name: "    --" + f.Name, value: valueName(f)}
		if f.Shorthand != "" {
			h.name = "-" + f.Shorthand + ", --" + f.Name
		}
		if title := f.Annotations[headingKey]; title != nil {
			h.heading = title[0]
		}
		_, h.sentence = pflag.UnquoteUsage(f)
		switch f.DefValue {
		case "", "false", "0", "[]":
		default:
			h.byDefault = f.DefValue
		}
		list = append(list, h)
	})
	return list
}

// valueName is what stands for a flag's value: the word in back quotes in its usage, else its type.
func valueName(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	switch {
	case strings.Contains(f.Usage, "`"):
		return name
	case name == "int", name == "uint", name == "count":
		return "N"
	}
	return strings.ToUpper(name)
}

// groupedHelp has a command's help list the flags in their order and under their headings, with values and defaults.
// Everything above them is fang's, which knows but one alphabetical list.
func groupedHelp(command *cobra.Command) {
	command.Flags().SortFlags = false
	command.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		list := flagsHelp(cmd.Flags())
		cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = true })
		cmd.Root().HelpFunc()(cmd, args)
		out := cmd.OutOrStdout()
		writeFlags(colorprofile.NewWriter(out, os.Environ()), list, terminalWidth(out))
	})
}

// fitted has a help of fang's fit its terminal: examples and what is said of commands are broken between words. fang cuts the former,
// and breaks the latter wherever a line is full.
func fitted(help func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		fit(cmd, terminalWidth(cmd.OutOrStdout()))
		help(cmd, args)
	}
}

func fit(cmd *cobra.Command, width int) {
	cmd.Example = folded(cmd.Example, width-exampleMargin)
	column := 0 // of what is said of commands
	for _, c := range cmd.Commands() {
		column = max(column, len(c.Use+" [--flags]")+commandMargin)
	}
	for _, c := range cmd.Commands() {
		c.Short = wrapped(c.Short, max(30, width-column), 0)
	}
}

// What fang leaves beside examples, and beside the names of commands.
const exampleMargin, commandMargin = 8, 6

// folded breaks examples into lines of a width: commands behind a backslash, and comments into several.
func folded(examples string, width int) string {
	var lines []string
	for _, line := range strings.Split(examples, "\n") {
		begin, end := "", " \\"
		if strings.HasPrefix(line, "# ") {
			begin, end = "# ", ""
		}
		for ansi.StringWidth(line) > width {
			at := lastGap(line, width-len(end), end != "")
			if at < 0 {
				break
			}
			lines = append(lines, line[:at]+end)
			line = begin + line[at+1:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// lastGap is the last space of a line, up to a width, that stands between words; in a command outside quotes and, where there is
// one, before a flag. -1 for none.
func lastGap(line string, width int, command bool) int {
	gap, beforeFlag, quoted := -1, -1, false
	for i, c := range line {
		if ansi.StringWidth(line[:i]) > width {
			break
		}
		switch {
		case c == '\'' && command:
			quoted = !quoted
		case c == ' ' && !quoted && i > 1:
			if gap = i; strings.HasPrefix(line[i:], " -") {
				beforeFlag = i
			}
		}
	}
	if command && beforeFlag >= 0 {
		return beforeFlag
	}
	return gap
}

// writeFlags writes the flags under their headings.
func writeFlags(w io.Writer, list []flagHelp, width int) {
	colours := fang.DefaultColorScheme(lipgloss.LightDark(darkTerminal(w)))
	title := lipgloss.NewStyle().Bold(true).Foreground(colours.Title)
	name := lipgloss.NewStyle().Foreground(colours.Flag)
	value := lipgloss.NewStyle().Foreground(colours.DimmedArgument)
	muted := lipgloss.NewStyle().Foreground(colours.FlagDefault)
	column := 0
	for _, h := range list {
		column = max(column, len(h.name)+len(h.spaced())+2)
	}
	const margin = 4
	for i, h := range list {
		if i == 0 || h.heading != list[i-1].heading {
			fmt.Fprintf(w, "  %s\n\n", title.Render(strings.ToUpper(h.heading)))
		}
		text := h.sentence
		if h.byDefault != "" {
			text += muted.Render(" (" + h.byDefault + ")")
		}
		text = wrapped(text, max(30, width-margin-column), margin+column)
		pad := strings.Repeat(" ", column-len(h.name)-len(h.spaced()))
		fmt.Fprintf(w, "%*s%s%s%s%s\n", margin, "", name.Render(h.name), value.Render(h.spaced()), pad, text)
		if i == len(list)-1 || h.heading != list[i+1].heading {
			fmt.Fprintln(w)
		}
	}
}

// wrapped breaks text between words, and indents every line but the first.
func wrapped(text string, width, indent int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch wide := ansi.StringWidth(word); {
		case i > 0 && column+1+wide > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = wide
		case i > 0:
			b.WriteByte(' ')
			column += 1 + wide
		default:
			column = wide
		}
		b.WriteString(word)
	}
	return b.String()
}

func darkTerminal(w io.Writer) bool {
	if out, ok := w.(*colorprofile.Writer); !ok || out.Profile <= colorprofile.Ascii {
		return false
	}
	return lipgloss.HasDarkBackground(os.Stdin, os.Stdout)
}

// terminalWidth is the width to write for: of the terminal that w is, up to 120 columns; 100 where it is none.
func terminalWidth(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			return min(cmp.Or(width, 80), 120)
		}
	}
	return 100
}
