package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

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
	if most := max(3, height/3); len(life) > most && !v.filed {
		life = append(block{life[0], dim.paint(fmt.Sprintf("  %8s  %d more", "", len(life)-most+1))}, life[len(life)-most+2:]...)
	}
	lines = append(append(lines, life...), "")
	return append(lines, v.tail(width, height-len(lines))...)
}

// tail is the latest events of those that are followed.
func (v *view) tail(width, height int) block {
	lines := block{bold.paint("events")}
	f := v.s.Detail.Followed
	switch {
	case f != nil && f.Connection == v.followed:
	case v.filed:
		return append(lines, dim.paint("  single ones are told only while somebody looks at them"))
	case v.frozen:
		return append(lines, dim.paint("  the display stands still; space has it go on"))
	default:
		return append(lines, waiting()...)
	}
	if v.filter != "" {
		lines[0] += "  with " + yellow.paint(report.Plain(v.filter))
	} else {
		lines[0] += dim.paint("  / filters them")
	}
	if f.Skipped > 0 {
		lines[0] += dim.paint(fmt.Sprintf("  %s came too fast to be shown", numberText(int(f.Skipped))))
	}
	room := max(0, height-1)
	list := f.Events
	if len(list) == 0 {
		return append(lines, dim.paint("  none yet"))
	}
	if !v.filed {
		list = list[max(0, len(list)-room):]
	}
	for _, ev := range list {
		took := "–"
		if ev.Delivery >= 0 {
			took = timeText(ev.Delivery)
		}
		who := ""
		if f.Connection < 0 {
			who = "        "
			if ev.Copies > 1 {
				who = dim.paint(fitRight("× "+numberText(ev.Copies), 7)) + " "
			}
		}
		name := ev.Kind
		if ev.ID != "" {
			name = strings.TrimSpace(name + " " + ev.ID)
		}
		data := v.plain(ev.Data)
		if v.filed {
			data = v.whole(ev.Data)
		}
		if ev.Binary {
			data = fmt.Sprintf("%d bytes, binary", ev.Size)
		}
		line := who + fitRight(elapsed(ev.At), 8) + "  " + fitRight(took, 8) + "  "
		if v.filed {
			lines = append(lines, line+v.plain(name)+"  "+data)
			continue
		}
		lines = append(lines, fit(line+cyan.paint(fit(v.plain(name), 18))+"  "+data, width))
	}
	return lines
}

// events are the kinds of them, and the latest.
func (v *view) events(width, height int) block {
	d := v.s.Detail
	if d == nil {
		return waiting()
	}
	most := max(12, width/2-10) // columns of a kind
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
	kinds := table(width, []column{{name: "kind, the slowest first"}, {name: "events", right: true}, {name: "p50", right: true}, {name: "p99", right: true}, {name: "longest", right: true}}, rows, -1)
	lines := append(v.scrolled(kinds, 1, min(len(kinds), max(3, height/3))), "")
	return append(lines, v.tail(width, height-len(lines))...)
}
