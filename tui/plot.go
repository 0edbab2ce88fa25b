package tui

import (
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// A curve is a figure over time, in one of the colours and strokes.
type curve struct {
	name   string
	colour tint
	stroke stroke
	values []float64 // by bucket of the series; NaN where there is none
}

// A stroke is how a curve is drawn, so that those of a plot are told apart without colours, too.
type stroke uint8

const (
	solid stroke = iota
	dashed
	dotted
)

// strokes say what stands for a stroke in a legend, and how many columns of dots, of how many, it draws.
var strokes = [...]struct {
	sign   string
	on, of int
}{solid: {"━", 1, 1}, dashed: {"┅", 2, 4}, dotted: {"·", 1, 4}}

// A span is the time that a plot shows: as many steps as there are buckets, each so long.
type span struct{ step, whole time.Duration }

// marginWidth is what a plot's labels take on the left.
const marginWidth = 10

// plot draws curves with dots of a quarter of a line by half a column. unit is what the labels are in; a logarithmic one begins
// at the smallest value, others at 0.
func plot(width, height int, over span, unit bench.Unit, logarithmic bool, curves ...curve) block {
	columns, rows := width-marginWidth, height-1
	if columns < 8 || rows < 2 {
		return nil
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, v := range c.values {
			if !math.IsNaN(v) && !(logarithmic && v <= 0) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if math.IsInf(low, 0) {
		return append(block{"", dim.paint("  nothing to show yet")}, make(block, rows-1)...)
	}
	place := linear(high)
	if logarithmic {
		place = logarithm(low, high)
	}
	dots := newDots(columns, rows)
	for _, c := range curves {
		before, stroke := -1, strokes[c.stroke]
		for x := 0; x < 2*columns; x += stroke.of {
			v := c.at(over, float64(x)/float64(2*columns), float64(x+stroke.of)/float64(2*columns)) // nothing is left out with the gaps
			if math.IsNaN(v) {
				before = -1
				continue
			}
			y := int(math.Round(place.part(v) * float64(4*rows-1)))
			for i := range stroke.on {
				dots.line(x+i, before, y, c.colour)
				before = y
			}
		}
	}
	lines := dots.block()
	for i := range lines {
		label := ""
		switch i {
		case 0:
			label = axisText(place.high, unit)
		case rows - 1:
			label = axisText(place.low, unit)
		case rows / 2:
			if rows >= 7 {
				label = axisText(place.value(1-(float64(i)+.5)/float64(rows)), unit)
			}
		}
		lines[i] = dim.paint(fitRight(label, marginWidth-2)+" │") + lines[i]
	}
	return append(lines, timeLine(columns, over.whole, curves))
}

// axisText is a figure that fits the margin.
func axisText(v float64, unit bench.Unit) string {
	if unit != bench.Nanoseconds && v >= 10_000 {
		return report.Scale(v/1000, bench.Number) + "k"
	}
	return report.Scale(v, unit)
}

// timeLine is below a plot: from when to when it is, and what its curves are.
func timeLine(columns int, whole time.Duration, curves []curve) string {
	names, end := legend(curves), elapsed(whole)
	left := columns - ansi.StringWidth(names) - ansi.StringWidth(end) - 2
	if left < 1 {
		names, left = "", columns-ansi.StringWidth(end)-2
	}
	return strings.Repeat(" ", marginWidth-1) + dim.paint("0") + " " + names + strings.Repeat(" ", max(1, left)) + dim.paint(end)
}

// legend says what curves are.
func legend(curves []curve) string {
	var names []string
	for _, c := range curves {
		if c.name != "" {
			names = append(names, c.colour.paint(strokes[c.stroke].sign+" ")+c.name)
		}
	}
	return strings.Join(names, "  ")
}

// nan is the value of what there is none of.
var nan = math.NaN()

// at is the highest value between two parts of the time, NaN where there is none.
func (c curve) at(over span, from, to float64) float64 {
	if over.step <= 0 {
		return nan
	}
	steps := float64(over.whole) / float64(over.step)
	first, last := int(from*steps), int(math.Ceil(to*steps))-1
	best := nan
	for i := first; i <= max(first, last) && i < len(c.values); i++ {
		if v := c.values[i]; math.IsNaN(best) || v > best {
			best = v
		}
	}
	return best
}

// A scale maps values to a part of a plot's height.
type scale struct {
	low, high float64
	log       bool
}

// linear begins at 0 and ends at a round figure.
func linear(high float64) scale {
	if high <= 0 {
		return scale{0, 1, false}
	}
	unit := math.Pow(10, math.Floor(math.Log10(high)))
	for _, step := range []float64{1, 1.5, 2, 3, 5, 7.5, 10} {
		if unit*step >= high {
			return scale{0, unit * step, false}
		}
	}
	return scale{0, high, false}
}

// logarithm has a little room at both ends.
func logarithm(low, high float64) scale { return scale{low / 1.2, high * 1.2, true} }

func (s scale) part(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log(max(v, s.low)), math.Log(s.low), math.Log(s.high)
	}
	return min(1, max(0, (v-low)/(high-low)))
}

// value is what is at a part of the height.
func (s scale) value(part float64) float64 {
	if s.log {
		return s.low * math.Pow(s.high/s.low, part)
	}
	return s.low + (s.high-s.low)*part
}

// dots are a picture of braille patterns, eight dots to a cell.
type dots struct {
	columns, rows int
	cells         []byte
	colours       []tint
}

func newDots(columns, rows int) *dots {
	return &dots{columns, rows, make([]byte, columns*rows), make([]tint, columns*rows)}
}

// firstPattern is the one without dots.
const firstPattern rune = 0x2800

// patterns are the bits of a cell's dots, by their line from the top and their column.
var patterns = [4][2]byte{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// set draws a dot, y from the bottom.
func (d *dots) set(x, y int, colour tint) {
	y = 4*d.rows - 1 - y
	if x < 0 || x >= 2*d.columns || y < 0 || y >= 4*d.rows {
		return
	}
	cell := y/4*d.columns + x/2
	d.cells[cell] |= patterns[y%4][x%2]
	d.colours[cell] = colour
}

// line draws a dot, and those between it and the one before; before is negative where there is none.
func (d *dots) line(x, before, y int, colour tint) {
	if before < 0 {
		before = y
	}
	for between := min(before, y); between <= max(before, y); between++ {
		d.set(x, between, colour)
	}
}

func (d *dots) block() block {
	lines := make(block, d.rows)
	for row := range d.rows {
		lines[row] = runs(d.columns, func(column int) (rune, tint) {
			cell := row*d.columns + column
			if d.cells[cell] == 0 {
				return ' ', normal
			}
			return firstPattern + rune(d.cells[cell]), d.colours[cell]
		})
	}
	return lines
}

// runs writes characters, those next to each other that have the same colour at once.
func runs(columns int, at func(column int) (rune, tint)) string {
	var b, run strings.Builder
	last := normal
	flush := func() {
		b.WriteString(last.paint(run.String()))
		run.Reset()
	}
	for column := range columns {
		r, colour := at(column)
		if colour != last {
			flush()
			last = colour
		}
		run.WriteRune(r)
	}
	flush()
	return b.String()
}

// shades are how dense something is, from little to much.
var shades = []rune("░▒▓█")

// heatMap draws how a timing is spread, over time: a column is a stretch of it, a row a range of the timing, on a scale of
// powers. What there is more of is denser.
func heatMap(width, height int, over span, series []bench.Bucket) block {
	columns, rows := width-marginWidth, height-1
	first, last := math.MaxInt, -1
	for _, b := range series {
		if n := len(b.Spread.Counts); n > 0 {
			first, last = min(first, b.Spread.First), max(last, b.Spread.First+n-1)
		}
	}
	if columns < 8 || rows < 2 || over.step <= 0 {
		return nil
	}
	if last < 0 {
		return append(block{"", dim.paint("  nothing to show yet")}, make(block, rows-1)...)
	}
	each := (last - first + rows) / rows // levels to a row
	rows = min(rows, (last-first)/each+1)
	counts := make([]uint64, rows*columns)
	most := uint64(0)
	steps := float64(over.whole) / float64(over.step)
	for column := range columns {
		from, to := int(float64(column)/float64(columns)*steps), int(math.Ceil(float64(column+1)/float64(columns)*steps))-1
		for i := from; i <= max(from, to) && i < len(series); i++ {
			for l, n := range series[i].Spread.Counts {
				cell := &counts[(series[i].Spread.First+l-first)/each*columns+column]
				*cell += n
				most = max(most, *cell)
			}
		}
	}
	var lines block
	for row := rows - 1; row >= 0; row-- {
		label := ""
		if level := first + row*each; row%2 == (rows-1)%2 || rows < 6 {
			label = report.Scale(max(1000, bench.LevelFrom(level)), bench.Nanoseconds)
		}
		lines = append(lines, dim.paint(fitRight(label, marginWidth-2)+" │")+runs(columns, func(column int) (rune, tint) {
			n := counts[row*columns+column]
			if n == 0 {
				return ' ', normal
			}
			return shades[min(len(shades)-1, int(math.Sqrt(float64(n)/float64(most))*float64(len(shades))))], blue
		}))
	}
	return append(lines, timeLine(columns, over.whole, nil))
}
