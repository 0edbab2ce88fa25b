package cmd

import (
	"io"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlags holds every flag of every command against what help, man page and variables need of it.
func TestFlags(t *testing.T) {
	root := newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	for _, c := range root.Commands() {
		listed := make(map[string]flagHelp)
		for _, h := range flagsHelp(c.Flags()) {
			listed[strings.TrimLeft(h.name[strings.Index(h.name, "--"):], "-")] = h
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			h, ok := listed[f.Name]
			switch {
			case f.Hidden:
				if ok {
					t.Errorf("%s --%s is hidden, and listed", c.Name(), f.Name)
				}
				return
			case f.Name == "help":
				return
			case !ok || h.heading == "":
				t.Errorf("%s --%s stands under no heading", c.Name(), f.Name)
			case (h.value == "") != (f.Value.Type() == "bool"):
				t.Errorf("%s --%s %s: a value is named where there is none, or the other way round", c.Name(), f.Name, h.value)
			case f.Usage == "" || strings.HasSuffix(f.Usage, ".") || strings.Contains(h.sentence, "default:"):
				t.Errorf("%s --%s: %q", c.Name(), f.Name, f.Usage)
			}
			if d := h.byDefault; strings.HasPrefix(d, "-") || d == "0s" || d == "0/s" {
				t.Errorf("%s --%s: its default %s says nothing to anybody", c.Name(), f.Name, d)
			}
		})
	}
}

// TestConflicts holds the names in the table of conflicts against the flags there are: each pair is of one command.
func TestConflicts(t *testing.T) {
	commands := newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).Commands()
	for _, c := range conflicts {
		together := func(command *cobra.Command) bool {
			has := func(name string) bool { return command.Flags().Lookup(name) != nil }
			return has(c.a) && has(c.b) && (c.unless == "" || has(c.unless))
		}
		found := false
		for _, command := range commands {
			found = found || together(command)
		}
		if !found || c.why == "" {
			t.Errorf("no command has --%s and --%s", c.a, c.b)
		}
	}
}

func TestWrapped(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two", 10, "one two"},
		{"one two three", 7, "one two\n  three"},
		{"a-long-word-alone and more", 5, "a-long-word-alone\n  and\n  more"},
		{"µs ≥ 満員 x", 7, "µs ≥\n  満員 x"},
	} {
		if got := wrapped(test.text, test.width, 2); got != test.want {
			t.Errorf("%q at %d: %q", test.text, test.width, got)
		}
	}
}

// TestFolded: examples fit the terminal, and a shell takes them for what they were.
func TestFolded(t *testing.T) {
	for _, c := range append(newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).Commands(), newRoot(streams{})) {
		got := folded(c.Example, 72)
		for _, line := range strings.Split(got, "\n") {
			if ansi.StringWidth(line) > 72 {
				t.Errorf("%s: %q", c.Name(), line)
			}
		}
		if whole := strings.ReplaceAll(got, " \\\n", " "); c.Example != "" && !strings.Contains(c.Example, "# ") && whole != c.Example {
			t.Errorf("%s: %q, %q", c.Name(), whole, c.Example)
		}
	}
	for example, want := range map[string]string{
		"rtbench sse":             "rtbench sse",
		"rtbench sse -c 100":      "rtbench sse \\\n-c 100",
		"rtbench sse 'a b c d e'": "rtbench sse \\\n'a b c d e'",
		"rtbench sse -c 5 x":      "rtbench sse \\\n-c 5 x",
		"# one two three four":    "# one two\n# three four",
		"# aaaaaaaaaaaaaaaaaaaaa": "# aaaaaaaaaaaaaaaaaaaaa",
	} {
		if got := folded(example, 14); got != want {
			t.Errorf("%q: %q", example, got)
		}
	}
}

// TestFit: what is said of commands is broken between words, so that it fits beside the longest of them.
func TestFit(t *testing.T) {
	root := newRoot(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	fit(root, 80)
	for _, c := range root.Commands() {
		for _, line := range strings.Split(c.Short, "\n") {
			if len("    compare [SSE_URL WS_URL] [--flags]  "+line) > 80 {
				t.Errorf("%s: %q", c.Name(), line)
			}
		}
	}
}

func TestRoff(t *testing.T) {
	if got, want := roff(".so /etc/passwd\n'x\na\\b --c\n"), "\\&.so /etc/passwd\n\\&'x\na\\eb \\-\\-c\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
