//go:build unix

package main

import (
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

var screens = flag.Bool("screens", false, "make the pictures of docs/ anew, from a real run")

// TestScreens makes the pictures that the README shows, of a real run on a real terminal: go test -run TestScreens -screens .
func TestScreens(t *testing.T) {
	if !*screens {
		t.Skip("only with -screens")
	}
	term := newTerminal(t, 110, 34)
	program := buildProgram(t, t.TempDir())
	shoot := func(name string) {
		t.Helper()
		path := filepath.Join("docs", name+".svg")
		if err := os.WriteFile(path, []byte(picture(term.tmux("capture-pane", "-p", "-e"), 110, 34)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	term.press("clear; cd "+filepath.Dir(program)+"; PATH=.:$PATH; rtbench sse -c 100 -d 60s --drop 10%@15s --threshold 'p99(delivery) < 250ms' --threshold 'lost == 0'", "Enter")
	term.waitFor("measuring 28s")
	shoot("live")
	term.press("2")
	term.waitFor("over time")
	shoot("live-latency")
	term.press("q")
	term.waitFor("ready$")
	term.press("clear; rtbench", "Enter")
	term.waitFor("Measure an endpoint")
	term.press("Enter")
	term.waitFor("protocol")
	term.press("Tab", "Tab")
	term.press("BSpace", "BSpace", "BSpace", "500", "Tab", "BSpace", "BSpace", "BSpace", "2m", "Tab", "Tab", "p99(delivery) < 250ms; lost == 0")
	term.waitFor("--threshold 'lost == 0'")
	shoot("session")
	term.press("Escape")
	term.waitFor("Quit")
	term.press("q")
}

// A pen is how text of a terminal looks.
type pen struct {
	colour               int // of the palette; -1 for the usual one
	bold, faint, reverse bool
}

// palette is what a terminal makes of its eight colours.
var palette = [...]string{"#45475a", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#f5c2e7", "#94e2d5", "#bac2de"}

// Sizes of a cell of the picture, and its colours.
const (
	cellWidth, cellHeight = 8.4, 18.0
	paper, ink, faintInk  = "#1e1e2e", "#cdd6f4", "#7f849c"
)

// picture is a screen as SVG. Each run of text is made as wide as its cells are, whatever the font.
func picture(screen string, width, height int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14"><rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n",
		float64(width)*cellWidth+24, float64(height)*cellHeight+24, paper)
	now := pen{colour: -1}
	for row, line := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		column := 0
		for line != "" {
			if params, rest, ok := sgr(line); ok {
				now.take(params)
				line = rest
				continue
			}
			text, rest, _ := strings.Cut(line, "\x1b")
			if line = rest; rest != "" {
				line = "\x1b" + rest
			}
			b.WriteString(now.draw(text, column, row))
			column += ansi.StringWidth(text)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// sgr cuts the parameters of a select-graphic-rendition sequence off; others are left out.
func sgr(line string) (params, rest string, ok bool) {
	after, ok := strings.CutPrefix(line, "\x1b[")
	if !ok {
		return "", strings.TrimPrefix(line, "\x1b"), strings.HasPrefix(line, "\x1b")
	}
	end := strings.IndexFunc(after, func(r rune) bool { return r >= '@' && r <= '~' })
	if end < 0 {
		return "", "", true
	}
	if after[end] == 'm' {
		params = after[:end]
	}
	return params, after[end+1:], true
}

func (p *pen) take(params string) {
	for _, param := range strings.Split(params, ";") {
		switch n, _ := strconv.Atoi(param); {
		case n == 0:
			*p = pen{colour: -1}
		case n == 1:
			p.bold = true
		case n == 2:
			p.faint = true
		case n == 7:
			p.reverse = true
		case n == 22:
			p.bold, p.faint = false, false
		case n == 27:
			p.reverse = false
		case n >= 30 && n <= 37:
			p.colour = n - 30
		case n == 39:
			p.colour = -1
		}
	}
}

func (p *pen) draw(text string, column, row int) string {
	blank := strings.TrimRight(text, " ") == ""
	if blank && !p.reverse {
		return ""
	}
	x, y, w := float64(column)*cellWidth+12, float64(row)*cellHeight+12, float64(ansi.StringWidth(text))*cellWidth
	front, back := ink, ""
	switch {
	case p.colour >= 0:
		front = palette[p.colour]
	case p.faint:
		front = faintInk
	}
	if p.reverse {
		front, back = paper, front
	}
	drawn := ""
	if back != "" {
		drawn = fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, w, cellHeight, back)
	}
	weight := ""
	if p.bold {
		weight = ` font-weight="bold"`
	}
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	return drawn + fmt.Sprintf(`<text x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs" xml:space="preserve" fill="%s"%s>%s</text>`+"\n", x, y+13, w, front, weight, escaped.String())
}
