package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
)

// A chart is a picture with a text alternative, in a coordinate system of its own that scales with the page.
type chart struct {
	title, summary string
	x, y           axis
	names, taller  float64 // room for names to the left of the plot, and how much taller than others it is
	b              strings.Builder
}

// The picture's size, and what of it is around the plot.
const (
	chartWidth, chartHeight         = 480.0, 260.0
	chartLeft, chartRight           = 62.0, 12.0
	chartTop, chartBottom           = 12.0, 34.0
	plotWidth, plotHeight   float64 = chartWidth - chartLeft - chartRight, chartHeight - chartTop - chartBottom
)

// An axis maps values to a part of the picture.
type axis struct {
	low, high float64
	log       bool
	ticks     []tick
}

type tick struct {
	at    float64
	label string
}

// part is where a value is, from 0 to 1.
func (a axis) part(v float64) float64 {
	if a.log {
		v, a.low, a.high = math.Log(max(v, a.low)), math.Log(a.low), math.Log(a.high)
	}
	if a.high <= a.low {
		return 0
	}
	return min(1, max(0, (v-a.low)/(a.high-a.low)))
}

func (c *chart) left() float64   { return chartLeft + c.names }
func (c *chart) bottom() float64 { return chartTop + plotHeight + c.taller }

func (c *chart) at(x, y float64) (px, py float64) {
	return c.left() + (plotWidth-c.names)*c.x.part(x), c.bottom() - (plotHeight+c.taller)*c.y.part(y)
}

// logAxis has ticks at 1, 2 and 5 of each decade of nanoseconds, as many as fit.
func logAxis(low, high float64) axis {
	low, high = max(1, low), max(2, high, low*1.01)
	a := axis{low: low, high: high, log: true}
	for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		a.ticks = nil
		for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
			for _, step := range steps {
				if v := decade * step; v >= low && v <= high {
					a.ticks = append(a.ticks, tick{v, Scale(v, bench.Nanoseconds)})
				}
			}
		}
		if len(a.ticks) <= 7 {
			break
		}
	}
	if len(a.ticks) < 2 {
		a.ticks = []tick{{low, Scale(low, bench.Nanoseconds)}, {high, Scale(high, bench.Nanoseconds)}}
	}
	return a
}

// countAxis begins at 0.
func countAxis(high float64, label func(float64) string) axis {
	high = max(high, 1)
	step := math.Pow(10, math.Floor(math.Log10(high)))
	for _, part := range []float64{.1, .2, .25, .5, 1, 2} {
		if high/(step*part) <= 5 {
			step *= part
			break
		}
	}
	a := axis{high: math.Ceil(high/step) * step}
	for v := 0.0; v <= a.high+step/2; v += step {
		a.ticks = append(a.ticks, tick{v, label(v)})
	}
	return a
}

// timeAxis is of a run from its start.
func timeAxis(length time.Duration) axis {
	a := axis{high: max(1, float64(length))}
	for _, step := range []time.Duration{100 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		if a.ticks = nil; length/step <= 7 {
			for at := time.Duration(0); at <= length; at += step {
				a.ticks = append(a.ticks, tick{float64(at), strings.TrimSuffix(strings.TrimSuffix(at.String(), "0s"), "0m")})
			}
			a.ticks[0].label = "0"
			break
		}
	}
	return a
}

// frame draws the axes.
func (c *chart) frame() {
	for _, t := range c.y.ticks {
		_, y := c.at(c.x.low, t.at)
		fmt.Fprintf(&c.b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text class="tick" x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			c.left(), chartWidth-chartRight, y, y, c.left()-6, y+4, template.HTMLEscapeString(t.label))
	}
	for _, t := range c.x.ticks {
		x, _ := c.at(t.at, c.y.low)
		anchor := "middle"
		if x > chartWidth-chartRight-16 {
			x, anchor = chartWidth-2, "end"
		}
		fmt.Fprintf(&c.b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, c.bottom()+18, anchor, template.HTMLEscapeString(t.label))
	}
	fmt.Fprintf(&c.b, `<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, c.left(), chartWidth-chartRight, c.bottom(), c.bottom())
}

type point struct{ x, y float64 }

// line draws one, in one of the colours. It is broken where a point isn't a number.
func (c *chart) line(color int, points []point) {
	var path strings.Builder
	pen := "M"
	for _, p := range points {
		if math.IsNaN(p.y) {
			pen = "M"
			continue
		}
		x, y := c.at(p.x, p.y)
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, x, y)
		pen = "L"
	}
	fmt.Fprintf(&c.b, `<path class="line c%d" d="%s"/>`, color, path.String())
}

// svg is the picture.
func (c *chart) svg() template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %g %g" role="img" aria-label="%s"><title>%s</title><desc>%s</desc>%s</svg>`, // every text in it is escaped here
		chartWidth, chartHeight+c.taller, template.HTMLEscapeString(c.title+": "+c.summary), template.HTMLEscapeString(c.title), template.HTMLEscapeString(c.summary), c.b.String()))
}

// A legend names the lines of a chart.
type legend struct {
	Color int
	Name  string
}

// A figure is a chart with its heading and legend.
type figure struct {
	Title   string
	Summary string
	Picture template.HTML
	Legend  []legend
}

func (c *chart) figure(legend ...legend) figure { return figure{c.title, c.summary, c.svg(), legend} }

// percentiles draws quantiles of some timings on scales on which every nine has the same width.
func percentiles(list []timing) (figure, bool) {
	low, high := math.Inf(1), 0.0
	type curve struct {
		name   string
		points []point
	}
	var curves []curve
	var said []string
	for _, t := range list {
		var points []point
		for q := 0.0; q < .99999; q = 1 - (1-q)*.93 {
			e := t.estimate(q)
			if e.AtLeast || bench.SamplesFor(q) > t.histogram.TotalCount() {
				break
			}
			v := max(1000, float64(e.Value)) // below that no picture is needed
			low, high = min(low, v), max(high, v)
			points = append(points, point{-math.Log10(1 - q), v})
		}
		if len(points) > 1 {
			curves = append(curves, curve{t.metric.String(), points})
			name, value, _ := headlineFigure(&bench.Result{}, t)
			said = append(said, fmt.Sprintf("%s %s %s", t.metric, name, value))
		}
		if len(curves) == 4 {
			break
		}
	}
	if len(curves) == 0 {
		return figure{}, false
	}
	c := &chart{title: "Percentiles", summary: strings.Join(said, "; "), x: axis{high: 4}, y: logAxis(low, high)}
	for i, label := range []string{"p0", "p90", "p99", "p99.9", "p99.99"} {
		c.x.ticks = append(c.x.ticks, tick{float64(i), label})
	}
	c.frame()
	var names []legend
	for i, x := range curves {
		c.line(i, x.points)
		names = append(names, legend{i, x.name})
	}
	return c.figure(names...), true
}

// maxColumns is how many columns a heat map has at most.
const maxColumns = 120

// heatMap draws where the samples of the headline are over time, darker where there are more, with the median and p99.
func heatMap(r *bench.Result, metric bench.Metric) (figure, bool) {
	steps := r.Series
	each := max(1, (len(steps)+maxColumns-1)/maxColumns)
	width := float64(r.SeriesStep) * float64(each)
	first, last, most := math.MaxInt, 0, uint64(0)
	type column struct {
		at     float64
		counts map[int]uint64
	}
	var columns []column
	var median, tail []point
	for i := 0; i < len(steps); i += each {
		col := column{float64(steps[i].At), map[int]uint64{}}
		worst := bench.Quantiles{}
		for _, b := range steps[i:min(len(steps), i+each)] {
			for j, n := range b.Spread.Counts {
				col.counts[b.Spread.First+j] += n
			}
			worst.Samples += b.Headline.Samples
			worst.P50, worst.P99 = max(worst.P50, b.Headline.P50), max(worst.P99, b.Headline.P99)
		}
		for level, n := range col.counts {
			first, last, most = min(first, level), max(last, level), max(most, n)
		}
		middle := col.at + width/2
		p50, p99 := math.NaN(), math.NaN()
		if worst.Samples >= bench.SamplesFor(.5) {
			p50 = float64(worst.P50)
		}
		if worst.Samples >= bench.SamplesFor(.99) {
			p99 = float64(worst.P99)
		}
		median, tail = append(median, point{middle, p50}), append(tail, point{middle, p99})
		columns = append(columns, col)
	}
	if most == 0 {
		return figure{}, false
	}
	low := max(500, bench.LevelFrom(first))
	c := &chart{title: metric.String() + " over time", x: timeAxis(r.Elapsed), y: logAxis(low, bench.LevelFrom(last+1)),
		summary: fmt.Sprintf("samples between %s and %s, in steps of %s", Scale(low, bench.Nanoseconds), Scale(bench.LevelFrom(last+1), bench.Nanoseconds), Scale(width, bench.Nanoseconds))}
	c.frame()
	for _, col := range columns {
		x, _ := c.at(col.at, low)
		right, _ := c.at(col.at+width, low)
		for level := first; level <= last; level++ {
			n := col.counts[level]
			if n == 0 {
				continue
			}
			_, bottom := c.at(0, max(low, bench.LevelFrom(level)))
			_, top := c.at(0, bench.LevelFrom(level+1))
			fmt.Fprintf(&c.b, `<rect class="heat" x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill-opacity="%.2f"/>`, x, top, max(.5, right-x), max(.5, bottom-top), .12+.88*math.Sqrt(float64(n)/float64(most)))
		}
	}
	c.line(1, median)
	c.line(2, tail)
	return c.figure(legend{1, "median"}, legend{2, "p99"}), true
}

// overTime draws some figures of the series.
func overTime(r *bench.Result, title string, lines []legend, of ...func(bench.Bucket) float64) (figure, bool) {
	high := 0.0
	var all [][]point
	var shown []legend
	for i, value := range of {
		var points []point
		most := 0.0
		for _, b := range r.Series {
			v := value(b)
			most = max(most, v)
			points = append(points, point{float64(b.At) + float64(r.SeriesStep)/2, v})
		}
		if most == 0 { // nothing of it ever happened
			continue
		}
		high = max(high, most)
		all = append(all, points)
		if i < len(lines) {
			shown = append(shown, legend{len(all) - 1, lines[i].Name})
		}
	}
	if high == 0 || len(r.Series) < 2 {
		return figure{}, false
	}
	c := &chart{title: title, summary: "at most " + Scale(high, bench.Number), x: timeAxis(r.Elapsed), y: countAxis(high, func(v float64) string { return Scale(v, bench.Number) })}
	c.frame()
	for i, points := range all {
		c.line(i, points)
	}
	return c.figure(shown...), true
}

// A row of the picture of intervals has a name, of some columns at most, to the left of the plot.
const (
	namesWidth, rowHeight = 190.0, 24.0
	mostOfAName           = 28
)

// forest draws the ratios of a comparison with their intervals, on a scale on which twice and half are as far from the same.
func forest(c *Comparison) (figure, bool) {
	var list []*Contrast
	low, high := .8, 1.25
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		if x.Unknown == "" && x.Low > 0 && !math.IsInf(x.High, 0) && !math.IsNaN(x.Ratio) {
			list = append(list, x)
			low, high = min(low, x.Low*.98), max(high, x.High*1.02)
		}
	}
	if len(list) == 0 {
		return figure{}, false
	}
	var said []string
	p := &chart{title: Plain(c.Sides[1].Name) + " ÷ " + Plain(c.Sides[0].Name), x: axis{low: low, high: high, log: true}, y: axis{high: float64(len(list))},
		names: namesWidth - chartLeft, taller: max(0, rowHeight*float64(len(list))-plotHeight)}
	for _, v := range []float64{.1, .25, .5, .8, 1, 1.25, 2, 4, 10} {
		if v >= low && v <= high {
			p.x.ticks = append(p.x.ticks, tick{v, ratioText(v)})
		}
	}
	one, _ := p.at(1, 0)
	fmt.Fprintf(&p.b, `<line class="one" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, one, one, chartTop, p.bottom())
	p.frame()
	for i, x := range list {
		y := float64(len(list)-i) - .5
		from, py := p.at(x.Low, y)
		to, _ := p.at(x.High, y)
		middle, _ := p.at(x.Ratio, y)
		class := "same"
		if x.Different() {
			class = "different"
		}
		fmt.Fprintf(&p.b, `<line class="interval %s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><circle class="%s" cx="%.1f" cy="%.1f" r="4"/><text class="name" x="0" y="%.1f">%s</text>`,
			class, from, to, py, py, class, middle, py, py+4, template.HTMLEscapeString(ansi.Truncate(Plain(x.Name), mostOfAName, "…")))
		said = append(said, fmt.Sprintf("%s %s (%s to %s)", Plain(x.Name), ratioText(x.Ratio), ratioText(x.Low), ratioText(x.High)))
	}
	p.summary = strings.Join(said, "; ")
	return p.figure(), true
}
