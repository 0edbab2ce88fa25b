package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// connection is one of them: what happened to it, and what it receives.
func (v *view) connection(width, height int) block {
	lines := block{bold.paint("connection "+numberText(v.followed)) + dim.paint("  esc goes back")}
	d := v.s.Detail
	if d == nil || d.Followed == nil || d.Followed.Connection != v.followed {
		return append(lines, waiting()...)
	}
	var life block
	for _, h := range d.Followed.History {
		life = append(life, hang(fmt.Sprintf("  %8s  ", elapsed(h.At)), v.plain(h.Text), width, normal)...)
	}
	switch most := max(3, height/3); {
	case len(life) <= most || v.filed:
	case v.above == 0: // the first and the latest are of use
		life = append(block{life[0], dim.paint(fmt.Sprintf("  %8s  %d more ([ ])", "", len(life)-most+1))}, life[len(life)-most+2:]...)
	default:
		life, _ = scrolled(life, 0, most, v.above-1, "[ ]")
	}
	lines = append(append(lines, life...), "")
	return append(lines, v.tail(width, height-len(lines))...)
}

// row is the one of the worst connections that is marked: the connection, wherever it is now, or else the place where it was.
func (v *view) row() int {
	list := v.s.Detail.Worst
	if i := slices.IndexFunc(list, func(c bench.Connection) bool { return c.Index == v.chosen-1 }); i >= 0 {
		return i
	}
	return min(v.selected, len(list)-1)
}

// tailed are the events of those that are followed, as far as they are what is to be shown.
func (v *view) tailed() []bench.SeenEvent {
	if v.s == nil || v.s.Detail == nil || !v.told(v.s.Detail.Followed) {
		return nil
	}
	return v.s.Detail.Followed.Events
}

// told reports whether the events that are told are those that were asked for last.
func (v *view) told(f *bench.Followed) bool {
	return f != nil && f.Connection == v.followed && f.Holding == v.filter
}

// marked is the place of the event that is marked; -1 where none is. Where it isn't kept any more it is the oldest.
func (v *view) marked(list []bench.SeenEvent) int {
	if v.mark == 0 {
		return -1
	}
	at, _ := slices.BinarySearchFunc(list, v.mark, func(ev bench.SeenEvent, n uint64) int { return cmp.Compare(ev.N, n) })
	return min(at, len(list)-1)
}

// tail is the latest events of those that are followed, or those around the one that is marked.
func (v *view) tail(width, height int) block {
	title := bold.paint("events") + "  "
	f := v.s.Detail.Followed
	switch {
	case v.told(f):
	case v.filed:
		return hang(title, "single ones are told only while somebody looks at them", width, dim)
	case v.frozen:
		return hang(title, "the display stands still: space has it go on", width, dim)
	default:
		return append(block{title}, waiting()...)
	}
	about := "↑ ↓ and enter for one, / filters, ? explains"
	if v.mark > 0 {
		about = "enter shows all of it, esc the latest"
	}
	if v.filter != "" {
		title += "with " + yellow.paint(report.Plain(v.filter)) + "  "
		if v.mark == 0 {
			about = "↑ ↓ and enter for one, esc shows all"
		}
	}
	if f.Skipped > 0 {
		about += fmt.Sprintf("; %s came too fast", numberText(int(f.Skipped)))
	}
	lines := hang(title, about, width, dim)
	list := f.Events
	if len(list) == 0 {
		return append(lines, dim.paint("  none yet"))
	}
	marked := v.marked(list)
	if !v.filed {
		room := max(0, height-len(lines)-1)
		from := len(list) - room
		if marked >= 0 {
			from = min(from, marked-room/2)
		}
		from = max(0, from)
		list, marked = list[from:min(len(list), from+room)], marked-from
	}
	names := v.nameWidth(list, width)
	lines = append(lines, v.eventHeading(names))
	for i := range list {
		line := v.eventLine(&list[i], names)
		if !v.filed {
			line = fit(line, width)
		}
		if i == marked {
			line = reversed.paint(ansi.Strip(line))
		}
		lines = append(lines, line)
	}
	return lines
}

// nameWidth is how wide a column of the names of events has to be: one of few widths, so that it doesn't jump, and no more than half
// of what there is beside the times, where that is much; as wide as the widest in a file.
func (v *view) nameWidth(list []bench.SeenEvent, width int) int {
	const least, step, times, always = 10, 8, 30, 18 // columns
	widest := 0
	for i := range list {
		widest = max(widest, ansi.StringWidth(v.eventName(&list[i])))
	}
	if widest == 0 || v.filed {
		return widest
	}
	return min(least+(max(0, widest-least)+step-1)/step*step, max(always, (width-times)/2))
}

// eventName is the kind of an event, and its id.
func (v *view) eventName(ev *bench.SeenEvent) string {
	plain := v.plain
	if v.filed {
		plain = v.whole
	}
	return strings.TrimSpace(plain(ev.Kind) + " " + plain(ev.ID))
}

// eventHeading is above the columns of events.
func (v *view) eventHeading(names int) string {
	line := ""
	if v.followed < 0 {
		line = fitRight("had by", 7) + " "
	}
	line += fitRight("at", 8) + "  " + fitRight("delivery", 8) + "  "
	if names > 0 {
		line += fit("kind, id", names) + "  "
	}
	return dim.paint(line + "payload")
}

// tookText is how long an event took.
func tookText(ev *bench.SeenEvent) string {
	if ev.Delivery < 0 {
		return "–"
	}
	return timeText(ev.Delivery)
}

// eventLine is an event: who had it, when, how long it took, what it is called, and as much of it as there may be room for.
func (v *view) eventLine(ev *bench.SeenEvent, names int) string {
	who := ""
	if v.followed < 0 {
		who = "        "
		if ev.Copies > 1 {
			who = dim.paint(fitRight("× "+numberText(ev.Copies), 7)) + " "
		}
	}
	line := who + fitRight(clockText(ev.At), 8) + "  " + fitRight(tookText(ev), 8) + "  "
	if names > 0 {
		line += cyan.paint(fit(v.eventName(ev), names)) + "  "
	}
	data := ev.Data
	if !v.filed {
		data = data[:min(len(data), mostOnALine)]
	}
	switch {
	case ev.Raw:
		line += sizeText(ev) + "  " + hexText(v.hidden(data))
		if len(data) < ev.Size {
			line += " …"
		}
		return line
	case v.filed:
		return line + v.whole(data)
	}
	return line + v.plain(data)
}

func sizeText(ev *bench.SeenEvent) string { return report.Scale(float64(ev.Size), bench.ByteCount) }

// hexText is bytes as numbers, as one can look for them.
func hexText(data string) string { return fmt.Sprintf("hex % x", data) }

// dumpWidth is from which width on a row of a dump has sixteen bytes.
const dumpWidth = 75

// dump is bytes in rows: where each begins, its bytes as numbers, and as characters where they are some.
func dump(data string, width int) (lines block) {
	each := 16
	if width < dumpWidth {
		each = 8
	}
	for at := 0; at < len(data); at += each {
		row := data[at:min(at+each, len(data))]
		characters := []byte(row)
		for i, c := range characters {
			if c < ' ' || c > '~' {
				characters[i] = '.'
			}
		}
		lines = append(lines, dim.paint(fmt.Sprintf("  %04x", at))+fmt.Sprintf("  %-*s  ", 3*each-1, fmt.Sprintf("% x", row))+dim.paint(string(characters)))
	}
	return lines
}

// mostOnALine is how much of a payload is looked at for a line: more than one has room for.
const mostOnALine = 1 << 10

// clockText is a time after the start, to hundredths of a second as long as there is room for them.
func clockText(at time.Duration) string {
	if at < 1000*time.Second {
		return fmt.Sprintf("%.2fs", at.Seconds())
	}
	return elapsed(at)
}

// event is one event, all that is kept of it.
func (v *view) event(width, height int) block {
	ev := v.opened
	about := fmt.Sprintf("arrived at %s, ", clockText(ev.At))
	if ev.Delivery >= 0 {
		about += "delivered in " + timeText(ev.Delivery) + ", "
	}
	about += sizeText(ev)
	if ev.Binary {
		about += ", binary"
	}
	about += ", connection " + numberText(ev.Connection)
	if ev.Copies > 1 {
		about += fmt.Sprintf(", and %s others had it too", numberText(ev.Copies-1))
	}
	lines := hang(bold.paint("event")+"  ", "esc goes back", width, dim)
	if name := strings.TrimSpace(v.whole(ev.Kind) + " " + v.whole(ev.ID)); name != "" {
		lines = append(lines, hang("  ", name, width, cyan)...)
	}
	lines = append(append(lines, hang("  ", about, width, dim)...), "")
	if ev.Raw {
		lines = append(lines, dump(v.hidden(ev.Data), width)...)
	} else {
		for _, line := range strings.Split(v.hidden(ev.Data), "\n") {
			for _, part := range strings.Split(ansi.Hardwrap(report.PlainWhole(line), width-2, true), "\n") {
				lines = append(lines, "  "+part)
			}
		}
	}
	if ev.Size > len(ev.Data) {
		lines = append(lines, "", dim.paint("  more isn't kept of it"))
	}
	return v.scrolled(lines, 0, height)
}

// events are the kinds of them, and the latest.
func (v *view) events(width, height int) block {
	d := v.s.Detail
	if d == nil {
		return waiting()
	}
	const figures = 48 // columns
	most := min(width/2, max(12, width-figures))
	if v.filed {
		most, width = filedTable, filedTable
	}
	var rows [][]string
	for _, k := range d.Kinds {
		p50, p99, longest := "–", "–", "–"
		if k.Timed > 0 {
			p50, p99, longest = "≤ "+timeText(k.P50), "≤ "+timeText(k.P99), timeText(k.Longest)
		}
		name := k.Kind
		if name == "" {
			name = "message"
		}
		rows = append(rows, []string{ansi.Truncate(v.plain(name), most, "…"), numberText(int(k.Count)), p50, p99, longest})
	}
	kinds := table(width, []column{{name: "slowest kinds"}, {name: "events", right: true}, {name: "p50", right: true}, {name: "p99", right: true}, {name: "longest", right: true}}, rows, -1)
	if !v.filed {
		kinds, _ = scrolled(kinds, 1, min(len(kinds), max(3, height/3)), v.above, "[ ]")
	}
	lines := append(kinds, "")
	return append(lines, v.tail(width, height-len(lines))...)
}
