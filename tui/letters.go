package tui

import (
	"math/bits"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// letters are the characters that a terminal has.
type letters uint8

const (
	allLetters   letters = iota
	blockLetters         // those of the console of Linux, whose font has 256 or 512
	asciiLetters         // no others, where the locale is not UTF-8
)

// lettersOf says what the terminal has, by its variables. Where no locale is named at all, as in many a container, most
// terminals have everything all the same.
func lettersOf(variable func(name string) string) letters {
	if runtime.GOOS != "windows" {
		for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
			locale := strings.ToLower(variable(name))
			if locale == "" {
				continue
			}
			if !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8") {
				return asciiLetters
			}
			break
		}
	}
	if variable("TERM") == "linux" {
		return blockLetters
	}
	return allLetters
}

// substitutes are what stands for the characters of a screen, in blockLetters and in asciiLetters.
var substitutes = map[rune][2]rune{
	'━': {'═', '='}, '┅': {'-', '-'}, '─': {'─', '-'}, '│': {'│', '|'}, '░': {'░', '.'}, '▒': {'▒', ':'}, '▓': {'▓', '*'}, '█': {'█', '#'},
	'✓': {'√', '+'}, '✗': {'x', 'x'}, '·': {'·', '.'}, '…': {'~', '~'}, '–': {'-', '-'}, '×': {'x', 'x'}, '÷': {'÷', '/'}, '±': {'±', '~'},
	'≥': {'≥', '>'}, '≤': {'≤', '<'}, '→': {'→', '>'}, '←': {'←', '<'}, '↑': {'↑', '^'}, '↓': {'↓', 'v'}, 'µ': {'µ', 'u'},
	'▸': {'►', '>'}, '∞': {'∞', '>'}, '▀': {'▀', '\''},
	'▏': {'▌', '.'}, '▎': {'▌', '.'}, '▍': {'▌', '.'}, '▌': {'▌', '#'}, '▋': {'▌', '#'}, '▊': {'█', '#'}, '▉': {'█', '#'},
	'▁': {'_', '_'}, '▂': {'_', '.'}, '▃': {'▄', ':'}, '▄': {'▄', '-'}, '▅': {'▄', '='}, '▆': {'█', '+'}, '▇': {'█', '*'},
}

// screen joins lines to what a terminal shows, no wider than that.
func (l letters) screen(lines block, width int) string {
	for i, line := range lines {
		lines[i] = ansi.Truncate(l.write(line), width, l.write("…"))
	}
	return strings.Join(lines, "\n")
}

// write has a text be of these letters. What there is no substitute for becomes question marks, as many as it is wide.
func (l letters) write(text string) string {
	if l == allLetters {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		instead, ok := substitutes[r]
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case ok:
			b.WriteRune(instead[l-1])
		case r >= firstPattern && r < firstPattern+0x100:
			b.WriteRune(l.dots(byte(r - firstPattern)))
		case l == asciiLetters:
			b.WriteString(strings.Repeat("?", ansi.StringWidth(string(r))))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// dots stands for a braille pattern: by where its dots are, from the top.
func (l letters) dots(cell byte) rune {
	first, last := -1, -1
	for row, bits := range patterns {
		if cell&(bits[0]|bits[1]) != 0 {
			if last = row; first < 0 {
				first = row
			}
		}
	}
	switch {
	case last < 0:
		return ' '
	case bits.OnesCount8(cell) == 1 && l == blockLetters:
		return '·'
	case bits.OnesCount8(cell) == 1:
		return '.'
	case l == blockLetters && last < 2:
		return '▀'
	case l == blockLetters && first > 1:
		return '▄'
	case l == blockLetters:
		return '█'
	case last-first > 1:
		return '|'
	case last == 0:
		return '\''
	case first == 3:
		return '_'
	}
	return '-'
}
