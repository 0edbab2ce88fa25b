package cmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
)

// usage is bad input: what is wrong, and what to try.
func usage(err error, hint string, args ...any) error {
	return &failure{exitUsage, err, fmt.Sprintf(hint, args...)}
}

// noArguments refuses arguments behind a command.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Errorf("%s takes no argument, but there is %q", cmd.CommandPath(), report.BareURL(args[0])), "`%s --help`", cmd.CommandPath())
}

// unknownCommand complains of a word that is no command of parent.
func unknownCommand(parent *cobra.Command, word string) error {
	if scheme, _, ok := strings.Cut(word, "://"); ok {
		for _, p := range protocols {
			if p.schemes[0] == scheme || p.schemes[1] == scheme {
				return usage(fmt.Errorf("%q is not a command", report.BareURL(word)), "`%s %s URL` measures it", parent.CommandPath(), p.name)
			}
		}
	}
	err := fmt.Errorf("%s has no command %q", parent.CommandPath(), report.BareURL(word))
	if near := suggestions(parent, word); near != "" {
		return usage(err, "did you mean %s?", near)
	}
	return usage(err, "`%s --help` lists the commands", parent.CommandPath())
}

// suggestions are the commands of parent that a word comes near to, as cobra measures that.
func suggestions(parent *cobra.Command, word string) string {
	parent.SuggestionsMinimumDistance = 2
	return strings.Join(parent.SuggestionsFor(word), " or ")
}

// flagError says what is wrong with a flag, and with which one.
func flagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, e)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usage(fmt.Errorf("--%s needs a value", e.GetFlag().Name), "--%s %s", e.GetFlag().Name, valueName(e.GetFlag()))
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := e.GetFlag()
		hint := ""
		if said, ok := errors.AsType[*failure](errors.Unwrap(e)); ok {
			hint = said.hint
		}
		if long := cmd.Flags().Lookup(f.Shorthand + e.GetValue()); f.Shorthand != "" && long != nil {
			hint = fmt.Sprintf("long names have two dashes: --%s", long.Name)
		}
		return &failure{exitUsage, badValue("--"+f.Name, e), hint}
	}
	return usage(err, "`%s --help` lists the flags", cmd.CommandPath())
}

// subcommand is a command of rtbench to parse flags with, so that what is wrong with them names it.
func subcommand(name string) *cobra.Command {
	command := &cobra.Command{Use: name}
	(&cobra.Command{Use: "rtbench"}).AddCommand(command)
	return command
}

func unknownFlag(cmd *cobra.Command, e *pflag.NotExistError) error {
	if short := e.GetSpecifiedShortnames(); short != "" {
		return usage(fmt.Errorf("there is no flag -%s", e.GetSpecifiedName()), "`%s --help` lists the flags", cmd.CommandPath())
	}
	err := fmt.Errorf("there is no flag --%s", e.GetSpecifiedName())
	names := &cobra.Command{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names.AddCommand(&cobra.Command{Use: "--" + f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if near := suggestions(names, "--"+e.GetSpecifiedName()); near != "" {
		return usage(err, "did you mean %s?", near)
	}
	return usage(err, "`%s --help` lists the flags", cmd.CommandPath())
}

// badValue says what is wrong with a value, and where it stands: in a flag or in the variable of one.
func badValue(where string, e *pflag.InvalidValueError) error {
	switch e.GetFlag().Value.Type() {
	case "duration":
		return fmt.Errorf("%s: %q is not a duration; a number and its unit, such as 500ms, 10s or 5m", where, e.GetValue())
	case "int", "uint64":
		return fmt.Errorf("%s: %q is not a whole number", where, e.GetValue())
	case "bool":
		return fmt.Errorf("%s: %q is neither true nor false", where, e.GetValue())
	}
	cause := strings.TrimPrefix(errors.Unwrap(e).Error(), e.GetFlag().Name+" ")
	if redact := secret(e.GetFlag().Name); redact != nil {
		cause = strings.ReplaceAll(cause, strconv.Quote(e.GetValue()), strconv.Quote(redact(e.GetValue())))
	}
	return fmt.Errorf("%s: %s", where, cause)
}

const environmentHelp = "Every flag can be set by a variable as well, such as RTBENCH_CONNECT_RATE for --connect-rate; the command line comes first."

// variableKey is the annotation of a flag that was set by its variable.
const variableKey = "variable"

// variable is the name of a flag's variable.
func variable(flag string) string {
	return "RTBENCH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// changed are the flags that have been given.
func changed(set *pflag.FlagSet) map[string]bool {
	names := make(map[string]bool)
	set.Visit(func(f *pflag.Flag) { names[f.Name] = true })
	return names
}

// inForce are those of them that may contradict others.
func inForce(set *pflag.FlagSet) map[string]bool {
	names := make(map[string]bool)
	set.Visit(func(f *pflag.Flag) { names[f.Name] = !off(f, f.Value.String()) })
	return names
}

// off reports whether a value says of a flag that it isn't given.
func off(f *pflag.Flag, value string) bool {
	on, err := strconv.ParseBool(value)
	return f.Value.Type() == "bool" && err == nil && !on
}

// overruled reports whether a flag contradicts those that are in force, where it is given along with others.
func overruled(inForce, others map[string]bool, name string) bool {
	return slices.ContainsFunc(conflicts, func(c conflict) bool {
		return (c.a == name || c.b == name) && c.of(func(flag string) bool {
			return flag == name || inForce[flag] || flag == c.unless && others[flag] && !overruled(inForce, nil, flag)
		})
	})
}

// fromEnvironment sets every flag that wasn't given from its variable, where there is one, and where it doesn't
// contradict a flag that was given.
func fromEnvironment(flags *pflag.FlagSet) error {
	given, before := changed(flags), inForce(flags)
	others := make(map[string]bool)
	flags.VisitAll(func(f *pflag.Flag) { others[f.Name] = os.Getenv(variable(f.Name)) != "" })
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value := os.Getenv(name)
		if value == "" || given[f.Name] || f.Name == "help" || f.Name == "version" || failed != nil || !off(f, value) && overruled(before, others, f.Name) {
			return
		}
		if e, ok := errors.AsType[*pflag.InvalidValueError](flags.Set(f.Name, value)); ok {
			failed = usage(badValue(name, e), "the variable stands for --%s", f.Name)
			return
		}
		_ = flags.SetAnnotation(f.Name, variableKey, []string{name})
	})
	return failed
}
