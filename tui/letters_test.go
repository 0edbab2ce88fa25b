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
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
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

// TestStrokes: curves of a plot are told apart by what they are drawn with, as their legend says, in all letters and without colours;
// and no value that stands out is left out in the gaps of one.
func TestStrokes(t *testing.T) {
	values := func(level float64) []float64 { return slices.Repeat([]float64{level}, 400) }
	low, middle, high := values(10), values(50), values(90)
	low[202] = 30
	drawn := plot(60, 12, span{time.Second, 400 * time.Second}, bench.Number, false, curve{"low", red, dashed, low}, curve{"middle", green, dotted, middle}, curve{"high", blue, solid, high})
	for _, l := range []letters{allLetters, blockLetters, asciiLetters} {
		screen := plainText(l.screen(slices.Clone(drawn), 60))
		shapes := make(map[string]bool)
		for _, line := range strings.Split(screen, "\n") {
			if runes := []rune(line); len(runes) > 25 && strings.ContainsAny(line, "│|") {
				if shape := string(runes[20:24]); strings.TrimSpace(shape) != "" {
					shapes[shape] = true
				}
			}
		}
		signs := make(map[string]bool)
		for _, name := range []string{"low", "middle", "high"} {
			before, _, _ := strings.Cut(screen, " "+name)
			signs[before[strings.LastIndex(before, " "):]] = true
		}
		if len(shapes) != 3 || len(signs) != 3 {
			t.Errorf("%v: %v, %v of\n%s", l, shapes, signs, screen)
		}
	}
	flat := plot(60, 12, span{time.Second, 400 * time.Second}, bench.Number, false, curve{"low", red, dashed, values(10)}, curve{"middle", green, dotted, middle}, curve{"high", blue, solid, high})
	if plainText(strings.Join(flat, "\n")) == plainText(strings.Join(drawn, "\n")) {
		t.Error("what stands out of a dashed curve isn't there")
	}
}
