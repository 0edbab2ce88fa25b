package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// A block is lines of a screen.
type block []string

// A tint is how a text looks. Colours are those of the terminal's own palette, so that they fit light and dark ones, and nothing
// is told by colour alone.
type tint uint8

const (
	normal tint = iota
	bold
	dim
	red
	yellow
	green
	blue
	magenta
	cyan
	reversed
)

// codes are the tints as a terminal takes them.
var codes = [...]string{normal: "", bold: "1", dim: "2", red: "31", yellow: "33", green: "32", blue: "34", magenta: "35", cyan: "36", reversed: "7"}

func (t tint) paint(text string) string {
	if t == normal || text == "" {
		return text
	}
	return "\x1b[" + codes[t] + "m" + text + "\x1b[m"
}

// fit cuts a text to a width in columns, or fills it up to that.
func fit(text string, width int) string {
	text = ansi.Truncate(text, max(0, width), "…")
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// fitRight fills up on the left, so that figures end below each other.
func fitRight(text string, width int) string {
	text = ansi.Truncate(text, max(0, width), "…")
	return strings.Repeat(" ", max(0, width-ansi.StringWidth(text))) + text
}

// most is a block cut to so many lines of a width, which says so.
func (b block) most(lines, width int) block {
	if len(b) <= lines {
		return b
	}
	return append(b[:lines-1:lines-1], ansi.Truncate(b[lines-1], width-2, "")+dim.paint(" …"))
}

// tall cuts a block to a height, or fills it up to that.
func (b block) tall(height int) block {
	height = max(0, height)
	if len(b) > height {
		return b[:height:height]
	}
	return append(b[:len(b):len(b)], make(block, height-len(b))...)
}

// beside puts blocks next to each other, each of them so wide.
func beside(width int, blocks ...block) (lines block) {
	height := 0
	for _, b := range blocks {
		height = max(height, len(b))
	}
	for i := range height {
		line := ""
		for _, b := range blocks {
			text := ""
			if i < len(b) {
				text = b[i]
			}
			line += fit(text, width)
		}
		lines = append(lines, line)
	}
	return lines
}

// A fact is a named figure.
type fact struct {
	name, value string
	tint        tint // of the value
}

// facts writes a heading and figures below each other.
func facts(width int, heading string, list ...fact) block {
	lines := block{bold.paint(heading)}
	widest := 0
	for _, f := range list {
		widest = max(widest, ansi.StringWidth(f.name))
	}
	for _, f := range list {
		lines = append(lines, hang("  "+dim.paint(fit(f.name, widest))+"  ", f.value, width, f.tint)...)
	}
	return lines
}

// width is that of the widest line.
func (b block) width() (widest int) {
	for _, line := range b {
		widest = max(widest, ansi.StringWidth(line))
	}
	return widest
}

// facing puts two blocks next to each other, where there is room for both as they are, and else below each other.
func facing(width int, left, right block) block {
	const gap = 2
	if left.width()+gap+right.width() > width {
		return append(append(left[:len(left):len(left)], ""), right...)
	}
	column := min(max(width/2, left.width()+gap), width-right.width())
	lines := make(block, max(len(left), len(right)))
	copy(lines, left)
	for i, line := range right {
		lines[i] = fit(lines[i], column) + line
	}
	return lines
}

// A column of a table.
type column struct {
	name  string
	right bool // figures end below each other
	rest  bool // it is the last one, has what the others leave, and takes as many lines as it must
}

// table writes rows below their heading. Columns are as wide as they must be; with a width of 0 so is the table. selected is the row that is marked, -1 for none.
func table(width int, columns []column, rows [][]string, selected int) block {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = ansi.StringWidth(c.name)
		for _, row := range rows {
			widths[i] = max(widths[i], ansi.StringWidth(row[i]))
		}
	}
	write := func(row []string) block {
		line := ""
		for i, c := range columns {
			switch line += "  "; {
			case c.rest:
				return hang(line, row[i], width, normal)
			case c.right:
				line += fitRight(row[i], widths[i])
			default:
				line += fit(row[i], widths[i])
			}
		}
		if width == 0 {
			return block{line}
		}
		return block{fit(line, width)}
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	lines := block{dim.paint(write(names)[0])}
	for i, row := range rows {
		written := write(row)
		if i == selected {
			written[0] = reversed.paint(ansi.Strip(written[0]))
		}
		lines = append(lines, written...)
	}
	return lines
}

// hints say what keys do, each with its name before it.
func hints(keys ...[2]string) (line string) {
	for _, key := range keys {
		line += " " + bold.paint(key[0]) + " " + dim.paint(key[1]) + " "
	}
	return line
}

// hang writes a text behind a head, in as many lines as it takes, each of which begins where the first does.
func hang(head, text string, width int, t tint) (lines block) {
	indent := ansi.StringWidth(head)
	for _, line := range wrap(text, width-indent) {
		if last := len(lines) - 1; last >= 0 {
			lines[last] += goesOn
		}
		lines = append(lines, head+t.paint(line))
		head = strings.Repeat(" ", indent)
	}
	return lines
}

// goesOn ends a line of a text that goes on in the next one, for those who cut between them. It isn't seen.
const goesOn = "\x1b[m\x1b[m"

// wrap breaks a text into lines of a width, between words, as flags are that a hyphen joins.
func wrap(text string, width int) (lines block) {
	width = max(1, width)
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case ansi.StringWidth(line)+1+ansi.StringWidth(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
		for ansi.StringWidth(line) > width { // a word that is too long by itself
			head := ansi.Truncate(line, width, "")
			if head == "" {
				break
			}
			lines, line = append(lines, head), line[len(head):]
		}
	}
	return append(lines, line)
}
