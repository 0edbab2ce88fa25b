package report

import (
	"math"
	"strings"

	"github.com/rtbench/rtbench/bench"
)

const plotRows = 12

// plotRow is a row of the plot: how many samples lie above the row before and up to upper (ns), and which quantiles.
type plotRow struct {
	upper float64
	count int64
	marks []string
}

// plotOf divides a timing's range into steps of equal ratio, which is what shows the body and the tail of latencies at
// once. Samples of 0, or of less than the histogram tells apart, have a row of their own: no ratio leads from there to
// the others.
func plotOf(t timing) []plotRow {
	least := max(1, t.histogram.LowestTrackableValue())
	low, high := float64(max(1, bench.Least(t.histogram))), float64(max(1, bench.Most(t.histogram)))
	var rows []plotRow
	if bench.Least(t.histogram) < least {
		rows, low = []plotRow{{upper: float64(least)}}, high
		for _, bar := range t.histogram.Distribution() {
			if bar.Count > 0 && bar.From >= least {
				low = float64(bar.From)
				break
			}
		}
	}
	steps := plotRows - len(rows)
	switch {
	case len(rows) > 0 && high <= rows[0].upper:
		steps = 0
	case high/low < 1.01: // one step is all that the histogram's three digits tell apart
		steps = 1
	}
	for i := range steps {
		rows = append(rows, plotRow{upper: low * math.Pow(high/low, float64(i+1)/float64(steps))})
	}
	at := func(ns int64) *plotRow {
		i := 0
		for i < len(rows)-1 && float64(ns) > rows[i].upper {
			i++
		}
		return &rows[i]
	}
	for _, bar := range t.histogram.Distribution() {
		if bar.Count > 0 {
			at(bar.From).count += bar.Count
		}
	}
	for _, q := range shownQuantiles {
		if ns, ok := t.quantile(q); ok {
			row := at(ns)
			row.marks = append(row.marks, quantileName(q))
		}
	}
	return rows
}

// plot draws a timing's distribution, a bar a step.
func (s *sheet) plot(t timing) {
	rows := plotOf(t)
	labels, counts, marks := make([]string, len(rows)), make([]string, len(rows)), make([]string, len(rows))
	most := int64(1)
	for i, row := range rows {
		labels[i] = s.own("≤ " + Scale(row.upper, bench.Nanoseconds))
		counts[i] = count(uint64(row.count))
		if len(row.marks) > 0 {
			marks[i] = s.own("← " + strings.Join(row.marks, " "))
		}
		most = max(most, row.count)
	}
	left, right, last := widest(labels...), widest(counts...), widest(marks...)
	length := max(8, s.options.width()-2-left-2-2-right-2-last)
	s.title("Distribution of " + t.metric.String())
	for i, row := range rows {
		s.line(span{"  " + pad(labels[i], -left) + "  ", normal},
			span{pad(s.bar(float64(row.count)/float64(most), length), length), green},
			span{"  " + pad(counts[i], -right) + "  ", normal},
			span{marks[i], dim})
	}
}

// bar is as long as its share of length, to an eighth of a column. What isn't nothing can be seen.
func (s *sheet) bar(share float64, length int) string {
	if s.options.ASCII {
		n := int(math.Round(share * float64(length)))
		if n == 0 && share > 0 {
			return "."
		}
		return strings.Repeat("#", n)
	}
	eighths := int(math.Round(share * float64(length) * 8))
	if eighths == 0 && share > 0 {
		eighths = 1
	}
	part := []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}[eighths%8]
	return strings.Repeat("█", eighths/8) + part
}
