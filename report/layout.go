package report

import (
	"regexp"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// TextOptions says how Text is to look. The zero value is right for a file: 80 columns, no colour.
type TextOptions struct {
	Color bool // ANSI colours; the caller decides, from the terminal, NO_COLOR and its own flags
	Width int  // columns: 0 is 80; kept between 60 and 100
	ASCII bool // nothing but ASCII of our own: for terminals and fonts without blocks, µ and arrows
}

func (o TextOptions) width() int {
	if o.Width == 0 {
		return 80
	}
	return min(max(o.Width, 60), 100)
}

// A style is an ANSI "select graphic rendition" parameter.
type style string

const (
	normal style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// span is text in one style, without control characters.
type span struct {
	text  string
	style style
}

// sheet is a text in the making. Everything a server may have written has gone through Plain before it comes here.
type sheet struct {
	b       strings.Builder
	options TextOptions
}

// asciiForms replaces what the report itself draws with.
var asciiForms = strings.NewReplacer("µ", "u", "–", "-", "→", "->", "←", "<-", "✓", "ok", "✗", "FAIL", "≤", "<=", "≥", ">=", "·", "|")

// own is one of the report's own strings, as the options have it. What a server wrote keeps its letters.
func (s *sheet) own(text string) string {
	if s.options.ASCII {
		return asciiForms.Replace(text)
	}
	return text
}

func (s *sheet) paint(sp span) string {
	if !s.options.Color || sp.style == normal || strings.TrimSpace(sp.text) == "" {
		return sp.text
	}
	return "\x1b[" + string(sp.style) + "m" + sp.text + "\x1b[0m"
}

// line writes spans side by side and ends the line.
func (s *sheet) line(spans ...span) {
	var b strings.Builder
	for i, sp := range spans {
		if i == len(spans)-1 {
			sp.text = strings.TrimRight(sp.text, " ")
		}
		b.WriteString(s.paint(sp))
	}
	s.b.WriteString(strings.TrimRight(b.String(), " ") + "\n")
}

// title begins a section.
func (s *sheet) title(text string) {
	s.line()
	s.line(span{text, bold})
}

// wrap breaks a text into lines that begin with indent spaces and stay within the width.
func (s *sheet) wrap(text string, indent int) []string {
	lines := fold(text, s.options.width()-indent)
	for i, line := range lines {
		lines[i] = strings.Repeat(" ", indent) + line
	}
	return lines
}

// fold breaks a text between words, and so never behind the dash of a number or of a flag, and a word only where it is longer
// than a line. A figure stays with its unit.
func fold(text string, width int) (lines []string) {
	words := strings.Split(text, " ")
	line, gap := "", ""
	for i := 0; i < len(words); i++ {
		word := words[i]
		for ; i+1 < len(words) && together.MatchString(words[i]+" "+words[i+1]); i++ {
			word += " " + words[i+1]
		}
		switch {
		case word == "": // between two spaces
		case line == "":
			line, gap = word, ""
		case ansi.StringWidth(line+gap+word) <= width:
			line, gap = line+gap+word, ""
		default:
			lines = append(lines, line)
			line, gap = word, ""
		}
		gap += " "
		for ansi.StringWidth(line) > width {
			head := ansi.Truncate(line, width, "")
			if head == "" {
				break // narrower than a letter
			}
			lines = append(lines, strings.TrimRight(head, " ")) // a figure may be parted from its unit after all
			line = strings.TrimLeft(line[len(head):], " ")
		}
	}
	return append(lines, line)
}

// together are two words that a line isn't broken between: a figure and its unit, a sign and its figure.
var together = regexp.MustCompile(`^(\(?[-+±~≥≤<>]*[0-9][0-9.,–]* (%|[nµum]?s|[kMGTP]?B|ppm|points?)([^0-9A-Za-z].*)?|\(?[±~≥≤<>] [0-9].*)$`)

// paragraph writes a text within the width, its first line after lead, and the others as far in.
func (s *sheet) paragraph(lead span, text string, st style) {
	lead.text = s.own(lead.text)
	indent := ansi.StringWidth(lead.text)
	for _, line := range s.wrap(text, indent) {
		s.line(lead, span{line[indent:], st})
		lead = span{text: strings.Repeat(" ", indent)}
	}
}

// pad fills up to a width: to the right, or to the left where width is negative, so that numbers end below each other.
func pad(text string, width int) string {
	fill := strings.Repeat(" ", max(0, max(width, -width)-ansi.StringWidth(text)))
	if width < 0 {
		return fill + text
	}
	return text + fill
}

// widest is the width of the widest text.
func widest(texts ...string) (w int) {
	for _, t := range texts {
		w = max(w, ansi.StringWidth(t))
	}
	return w
}

// fact is a named value with a remark, the unit of a grid.
type fact struct {
	name, value, note string
	style             style
}

// The least widths of a grid's columns, so that grids below each other have them in the same place.
const gridName, gridValue = 15, 9

// grid writes facts two to a line, down the left column first, or one to a line where two don't fit.
func (s *sheet) grid(facts []fact) {
	name, value, note := gridName, gridValue, 0
	for i, f := range facts {
		facts[i].value, facts[i].note = s.own(f.value), s.own(f.note)
		name, value, note = max(name, widest(f.name)), max(value, widest(facts[i].value)), max(note, widest(facts[i].note))
	}
	rows, half := len(facts), s.options.width()/2
	if 2+name+2+value+2+note <= half {
		rows = (len(facts) + 1) / 2
	}
	for i := range rows {
		var spans []span
		for at := i; at < len(facts); at += rows {
			f := facts[at]
			spans = append(spans, span{pad("  "+f.name, 2+name+2), dim}, span{pad(f.value, -value), f.style},
				span{pad("  "+f.note, max(0, half-(2+name+2+value))), dim})
		}
		s.line(spans...)
	}
}

// flow writes items beside each other, as many to a line as fit.
func (s *sheet) flow(items []string, separator string, st style) {
	line := ""
	for _, item := range items {
		switch {
		case line == "":
			line = item
		case ansi.StringWidth(line+separator+item) <= s.options.width():
			line += separator + item
		default:
			s.paragraph(span{}, line, st)
			line = item
		}
	}
	if line != "" {
		s.paragraph(span{}, line, st)
	}
}

// table writes rows of cells under a header, the first column to the left, all others to the right. A row of one cell
// stands by itself. Where the table is too wide its gaps shrink, and then the columns named in spare go, in that
// order.
func (s *sheet) table(rows [][]span, spare []string) {
	for gap := 2; ; gap = 1 {
		widths := make([]int, len(rows[0]))
		total := 0
		for _, row := range rows {
			if len(row) > 1 {
				for i, c := range row {
					widths[i] = max(widths[i], ansi.StringWidth(c.text))
				}
			}
		}
		for _, w := range widths {
			total += w + gap
		}
		switch fits := total-gap <= s.options.width(); {
		case fits || gap == 1 && len(spare) == 0:
			s.rows(rows, widths, gap)
			return
		case gap == 1:
			rows, spare = without(rows, spare[0]), spare[1:]
		}
	}
}

func (s *sheet) rows(rows [][]span, widths []int, gap int) {
	for _, row := range rows {
		spans := []span{{pad(row[0].text, widths[0]), row[0].style}}
		for i, c := range row[1:] {
			spans = append(spans, span{strings.Repeat(" ", gap) + pad(c.text, -widths[i+1]), c.style})
		}
		s.line(spans...)
	}
}

// without leaves out the column with that header.
func without(rows [][]span, header string) [][]span {
	at := slices.IndexFunc(rows[0], func(c span) bool { return c.text == header })
	less := make([][]span, len(rows))
	for i, row := range rows {
		less[i] = slices.Clone(row)
		if len(row) > 1 && at >= 0 {
			less[i] = slices.Delete(less[i], at, at+1)
		}
	}
	return less
}
