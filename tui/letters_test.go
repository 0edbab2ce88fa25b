package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestLettersOf: what a terminal has is told by the locale that is in force, and by its kind.
func TestLettersOf(t *testing.T) {
	for _, row := range []struct {
		variables string
		want      letters
	}{
		{"TERM=xterm LANG=de_DE.UTF-8", allLetters},
		{"TERM=xterm LANG=C.utf8", allLetters},
		{"TERM=xterm", allLetters},
		{"TERM=linux LANG=C.UTF-8", blockLetters},
		{"TERM=linux", blockLetters},
		{"TERM=xterm LANG=C", asciiLetters},
		{"TERM=linux LANG=POSIX", asciiLetters},
		{"TERM=xterm LANG=en_US.UTF-8 LC_ALL=C", asciiLetters},
		{"TERM=xterm LANG=en_US.UTF-8 LC_CTYPE=en_US.ISO-8859-1", asciiLetters},
		{"TERM=xterm LANG=C LC_ALL=en_US.UTF-8", allLetters},
		{"TERM=xterm LANG=en_US.UTF-8 LC_MESSAGES=C", allLetters},
	} {
		variable := func(name string) string {
			for _, v := range strings.Fields(row.variables) {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		}
		if got := lettersOf(variable); got != row.want {
			t.Errorf("%s: %v, want %v", row.variables, got, row.want)
		}
	}
}

// TestLetters: no screen has a letter that the terminal doesn't have, and none gets wider for that.
func TestLetters(t *testing.T) {
	const console = "─═│░▒▓█▀▄▌√·÷±≥≤→←↑↓µ►∞"
	s := busy(t)
	compared := comparedView{Comparing: compared(9), page: page{letters: asciiLetters}}
	screens := []string{compared.render(100, 40), compared.render(40, 8)}
	for p := range numPanes {
		v := view{s: s, pane: p, followed: -1, speed: 1, keys: bindings, letters: asciiLetters}
		screens = append(screens, v.render(120, 40), v.render(40, 8))
		v.letters = blockLetters
		for _, r := range plainText(v.render(120, 40)) {
			if r > 127 && r < 0x3000 && !strings.ContainsRune(console, r) {
				t.Errorf("%s on the console: %q", panes[p].name, r)
			}
		}
	}
	for _, screen := range screens {
		for _, line := range strings.Split(screen, "\n") {
			if strings.ContainsFunc(line, func(r rune) bool { return r > 127 }) || ansi.StringWidth(line) > 120 {
				t.Errorf("%q", line)
			}
		}
	}
}

// TestOwnLetters: whatever the screens and the reports on them draw with has something to stand for it.
func TestOwnLetters(t *testing.T) {
	files := slices.Concat(sources(t, "."), sources(t, "../report"))
	for _, file := range files {
		if name := filepath.Base(file); name == "markdown.go" || name == "csv.go" { // whose files no terminal shows
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(node ast.Node) bool {
			literal, ok := node.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil || strings.Contains(asciiLetters.write(text), "?") && !strings.Contains(text, "?") {
				t.Errorf("%s: %q, %v", file, text, err)
			}
			return true
		})
	}
}

// sources are the files of a package, without its tests.
func sources(t *testing.T, folder string) (list []string) {
	all, err := filepath.Glob(filepath.Join(folder, "*.go"))
	for _, file := range all {
		if !strings.HasSuffix(file, "_test.go") {
			list = append(list, file)
		}
	}
	if err != nil || list == nil {
		t.Fatalf("%v in %s", err, folder)
	}
	return list
}

// TestDots: what stands for a pattern is as high as its dots are.
func TestDots(t *testing.T) {
	for pattern, want := range map[rune]string{'⠀': "  ", '⠉': "▀'", '⠒': "▀-", '⣀': "▄_", '⠤': "▄-", '⠶': "█-", '⡇': "█|", '⢸': "█|"} {
		if got := blockLetters.write(string(pattern)) + asciiLetters.write(string(pattern)); got != want {
			t.Errorf("%c is %q, want %q", pattern, got, want)
		}
	}
}
