package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/check"
	"github.com/rtbench/rtbench/report"
)

// pageWidth is how wide the text of a search is, in columns.
const pageWidth = 80

// A page is a text in the making. What a server wrote has gone through report.Plain before it comes here.
type page struct{ b strings.Builder }

func (p *page) line(format string, args ...any) {
	p.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// paragraph writes a text within the width, indented.
func (p *page) paragraph(indent int, text string) {
	p.line("%s%s", strings.Repeat(" ", indent), wrapped(text, pageWidth-indent, indent))
}

// table writes rows below each other, the last column as wide as it is.
func (p *page) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			widths[i] = max(widths[i], ansi.StringWidth(cell))
		}
	}
	for _, row := range rows {
		line, column := "  ", 2
		for i, cell := range row[:len(row)-1] {
			line += cell + strings.Repeat(" ", widths[i]+2-ansi.StringWidth(cell))
			column += widths[i] + 2
		}
		p.line("%s%s", line, wrapped(row[len(row)-1], max(20, pageWidth-column), column))
	}
}

// number is a count for people.
func number(n uint64) string { return report.Scale(float64(n), bench.Number) }

// events is a number of events.
func events(n uint64) string { return plural(int(n), "event") }

// awayText is how long a probe was away, and what it missed.
func awayText(p *check.Probe) string { return scaled(p.Away) + " and " + events(p.Missed) }

// outcomeText is what a probe showed.
func outcomeText(p *check.Probe) string {
	switch {
	case p.Outcome == check.Incomplete && p.Why != "":
		return "refused: " + oneLine(p.Why)
	case p.Outcome == check.Incomplete:
		return fmt.Sprintf("%s lost", number(p.Lost))
	case p.Outcome == check.Idle:
		return "nothing was published meanwhile"
	case p.Outcome == check.Unjudged:
		return "not judged: " + oneLine(p.Why)
	}
	return string(p.Outcome)
}

// fromTo is from one value to another, or one where they look the same.
func fromTo(low, high string) string {
	if low == high {
		return low
	}
	return low + " – " + high
}

// A horizonFinding is what --resume-horizon came to.
type horizonFinding struct{ *check.HorizonResult }

func (r horizonFinding) text(p *page) {
	made := fmt.Sprintf("resume horizon up to %s · %s, %s in %s · %s", scaled(r.Limit), plural(r.References, "reference"),
		plural(len(r.Probes), "probe"), plural(r.Rounds, "round"), scaled(r.Elapsed))
	if r.Interrupted {
		made += " · interrupted"
	}
	p.paragraph(0, made)
	p.line("")
	p.paragraph(2, r.verdict())
	for _, remark := range r.remarks() {
		p.paragraph(4, remark)
	}
	r.table(p)
	if r.Recorded > 0 {
		p.line("")
		text := events(r.Recorded) + " recorded"
		if r.Interval > 0 {
			text += fmt.Sprintf(", one in %s on average, %s apart at most", scaled(r.Interval), scaled(r.Longest))
		}
		if r.Anonymous > 0 {
			text += fmt.Sprintf("; %s without an id, which nobody can judge", number(r.Anonymous))
		}
		p.paragraph(0, text)
	}
}

// verdict is the result in a sentence.
func (r horizonFinding) verdict() string {
	complete, incomplete := r.Complete, r.Incomplete
	switch {
	case r.Verdict == check.HorizonUndecidable:
		return "undecidable: " + oneLine(r.Why)
	case r.Verdict == check.HorizonNone:
		return fmt.Sprintf("nothing is replayed at all: not even after %s away", awayText(incomplete))
	case r.Verdict == check.HorizonBeyond && r.MaxEvents > 0 && complete.Missed >= r.MaxEvents:
		return fmt.Sprintf("nothing was lost up to the limit of %s (%s)", events(r.MaxEvents), scaled(complete.Away))
	case r.Verdict == check.HorizonBeyond && complete.Planned == r.Limit:
		return fmt.Sprintf("nothing was lost up to the limit of %s (%s)", scaled(r.Limit), events(complete.Missed))
	case r.Verdict == check.HorizonBeyond:
		return fmt.Sprintf("nothing was lost up to %s (%s), the longest that could be judged", scaled(complete.Away), events(complete.Missed))
	case r.LimitedBy == check.LimitNone:
		return fmt.Sprintf("%s lost however long a client is away: not a limit, but a replay that leaves out as many each time", events(incomplete.Lost))
	case complete == nil:
		return fmt.Sprintf("incomplete from %s away on: no probe was away for a shorter time and lost nothing", awayText(incomplete))
	case r.LimitedBy == check.LimitByCount:
		return fmt.Sprintf("complete up to %s away; incomplete from %s", events(complete.Missed), number(incomplete.Missed))
	case r.LimitedBy == check.LimitByAge:
		return fmt.Sprintf("complete up to events that are %s old; incomplete from %s", scaled(complete.Age), scaled(incomplete.Age))
	}
	return fmt.Sprintf("complete up to %s away; incomplete from %s and %s", awayText(complete), scaled(incomplete.Away), number(incomplete.Missed))
}

// remarks are what there is to say beside the verdict.
func (r horizonFinding) remarks() (list []string) {
	switch {
	case r.Verdict != check.HorizonFound:
	case r.LimitedBy == check.LimitByCount:
		list = append(list, "a limit by number: it holds for different times away, since the rate changed, and no limit by age does")
	case r.LimitedBy == check.LimitByAge:
		list = append(list, "a limit by age: it holds for different numbers of events, since the rate changed, and no limit by number does")
	case r.LimitedBy == check.LimitNeither:
		list = append(list, "neither a limit by number nor one by age fits all probes")
	case len(r.Contradictions) == 0 && r.LimitedBy == check.LimitUnknown && r.Complete != nil:
		list = append(list, "whether that is a limit by number or by age can't be told: events came at one rate. Search again while they come at another")
	}
	if n := len(r.Contradictions); n > 0 {
		far := r.Contradictions[n-1]
		list = append(list, fmt.Sprintf("NOT MONOTONIC: %s complete though away for longer than %s, which wasn't, or as long; the last one for %s",
			was(n, "probe"), awayText(r.Incomplete), awayText(&far)))
	}
	if r.Why != "" && r.Verdict != check.HorizonUndecidable {
		list = append(list, "ended early: "+oneLine(r.Why))
	}
	var sum check.Probe
	for _, x := range r.Probes {
		sum.Again, sum.Resent, sum.Swapped, sum.Foreign = sum.Again+x.Again, sum.Resent+x.Resent, sum.Swapped+x.Swapped, sum.Foreign+x.Foreign
	}
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{sum.Again, "came twice"}, {sum.Resent, "from before the drop came again"}, {sum.Swapped, "came after a later one"}, {sum.Foreign, "came that no reference had"},
	} {
		if x.n > 0 {
			list = append(list, fmt.Sprintf("no loss, but %s %s, over all probes", events(x.n), x.what))
		}
	}
	return list
}

func was(n int, thing string) string {
	if n == 1 {
		return plural(n, thing) + " was"
	}
	return plural(n, thing) + " were"
}

// table lists the probes, those together that follow each other and showed the same.
func (r horizonFinding) table(p *page) {
	probes := slices.Clone(r.Probes)
	slices.SortStableFunc(probes, func(a, b check.Probe) int { return cmp.Compare(a.Away, b.Away) })
	same := func(a, b *check.Probe) bool {
		return a.Outcome == b.Outcome && a.Why == b.Why && (a.Away == 0) == (b.Away == 0)
	}
	rows := [][]string{{"away", "events", "probes", "outcome"}}
	for len(probes) > 0 {
		n := 1
		for n < len(probes) && same(&probes[0], &probes[n]) {
			n++
		}
		first, last := probes[0], probes[n-1]
		outcome := outcomeText(&first)
		if first.Outcome == check.Incomplete && first.Why == "" {
			least, most := first.Lost, first.Lost
			for _, x := range probes[:n] {
				least, most = min(least, x.Lost), max(most, x.Lost)
			}
			outcome = "incomplete: " + fromTo(number(least), number(most)) + " lost"
		}
		times, missed := fromTo(scaled(first.Away), scaled(last.Away)), fromTo(number(first.Missed), number(last.Missed))
		if last.Away == 0 { // none of them came back
			times, missed = "–", "–"
		}
		rows = append(rows, []string{times, missed, fmt.Sprint(n), outcome})
		probes = probes[n:]
	}
	if len(rows) > 1 {
		p.line("")
		p.table(rows)
	}
}

// A silenceFinding is what --find-idle-limit came to.
type silenceFinding struct{ *check.SilenceResult }

func (r silenceFinding) text(p *page) {
	made := fmt.Sprintf("idle limit up to %s · %s that said nothing · %s", scaled(r.Limit), plural(len(r.Held), "connection"), scaled(r.Elapsed))
	if r.Interrupted {
		made += " · interrupted"
	}
	p.paragraph(0, made)
	p.line("")
	for i, line := range r.verdict() {
		p.paragraph(2+2*min(i, 1), line)
	}
	p.line("")
	p.table(r.beats())
	p.line("")
	rows := [][]string{{"connection", "opened", "age", "silence", "longest before", "end"}}
	for _, h := range r.Held {
		if h.Failure != nil {
			rows = append(rows, []string{fmt.Sprint(h.Conn), "–", "–", "–", "–", "not opened: " + oneLine(h.Failure.Error())})
			continue
		}
		end := "still open"
		if h.Cut != nil {
			end = "cut: " + oneLine(h.Cut.Error())
		}
		longest := "–"
		if h.Longest > 0 {
			longest = scaled(h.Longest)
		}
		rows = append(rows, []string{fmt.Sprint(h.Conn), scaled(h.Opened), scaled(h.Age), scaled(h.Silence), longest, end})
	}
	p.table(rows)
}

// kindNames are what people call what comes.
var kindNames = map[check.Kind]string{check.Comment: "heartbeats", check.Event: "events", check.Hint: "hints"}

// beats lists how often what came.
func (r silenceFinding) beats() [][]string {
	rows := [][]string{{"what", "count", "interval"}}
	beaten := false
	for _, b := range r.Beats {
		name := kindNames[b.Kind]
		if b.Name != "" && b.Name != "message" {
			name += " " + brief(b.Name)
		}
		interval := "seen once on each connection"
		if b.Gaps > 0 {
			interval = fmt.Sprintf("median %s, longest %s", scaled(b.Median), scaled(b.Longest))
		}
		rows = append(rows, []string{name, number(b.Count), interval})
		beaten = beaten || b.Kind == check.Comment
	}
	if !beaten {
		rows = slices.Insert(rows, 1, []string{kindNames[check.Comment], "0", "none came"})
	}
	return rows
}

// verdict is the result, in a sentence and remarks.
func (r silenceFinding) verdict() (lines []string) {
	var ages, silences []time.Duration
	for _, h := range r.Held {
		if h.Cut != nil {
			ages, silences = append(ages, h.Age), append(silences, h.Silence)
		}
	}
	least := func(list []time.Duration) string {
		return fromTo(scaled(slices.Min(list)), scaled(slices.Max(list)))
	}
	survived := fmt.Sprintf("the longest silence that was survived is %s", scaled(r.Longest))
	switch of := fmt.Sprintf("%d of %d", len(ages), len(r.Held)); r.CutFor {
	case check.CutNone:
		lines = append(lines, "no connection was cut: "+survived)
	case check.CutSilence:
		lines = append(lines, fmt.Sprintf("cut after %s of silence (%s connections), whatever their age", least(silences), of))
	case check.CutAge:
		lines = append(lines, fmt.Sprintf("cut at an age of %s (%s connections), whatever the silence before: a limit on the connection, not on idleness", least(ages), of))
	case check.CutEither:
		lines = append(lines, fmt.Sprintf("cut after %s (%s connections), which fits a limit on silence and one on age", least(ages), of),
			"they can be told from each other where something comes meanwhile: search again while the server publishes")
	case check.CutNeither:
		lines = append(lines, fmt.Sprintf("cut at ages of %s, after silences of %s (%s connections): no one limit fits", least(ages), least(silences), of))
	}
	if r.Longest > 0 && r.CutFor != check.CutNone {
		lines = append(lines, survived)
	}
	var unread uint64
	for _, h := range r.Held {
		unread += h.Unread
	}
	if unread > 0 {
		lines = append(lines, fmt.Sprintf("%s bytes came that were neither event nor heartbeat, when is known for the last of them only: silences may have been shorter", number(unread)))
	}
	if r.AtOnce {
		lines = append(lines, "all were cut at one moment, so a restart of the server or proxy fits as well")
	}
	return lines
}
