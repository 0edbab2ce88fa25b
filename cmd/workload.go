package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// A workload is what connections send or receive, the same over every protocol.
type workload struct {
	name        string
	connections int
	rate        float64 // events a second, for all connections together
	size        int     // bytes of a payload
	up          bool    // clients send what all of them receive; else the server publishes
	binary      bool
	sentence    string
}

// workloads is the one table of the presets. The first is the default.
var workloads = []workload{
	{"feed", 100, 100, 200, false, false, "a live feed: one server, many readers"},
	{"chat", 100, 20, 200, true, false, "a chat room: what one says, all read"},
	{"collab", 20, 50, 120, true, false, "a document that several edit: many small changes, seen by all"},
	{"game", 50, 60, 300, false, true, "the state of a game, 60 times a second, binary"},
	{"trading", 200, 200, 150, false, false, "prices: frequent, small, to many"},
	{"dashboard", 100, 10, 2000, false, false, "a dashboard: a few large updates a second"},
	{"notify", 500, 10, 250, false, false, "notifications: rare, to very many"},
	{"progress", 50, 20, 130, false, false, "the progress of a job: small steps"},
	{"logs", 50, 500, 300, false, false, "log lines: a torrent, to a few"},
}

// parseWorkload finds a preset.
func parseWorkload(name string) (workload, error) {
	names := make([]string, len(workloads))
	for i, w := range workloads {
		if names[i] = w.name; w.name == strings.ToLower(name) {
			return w, nil
		}
	}
	meant := ""
	if near := bench.Nearest(name, names); near != "" {
		meant = fmt.Sprintf("; did you mean %q?", near)
	}
	return workload{}, fmt.Errorf("there is no workload %q%s (workloads: %s)", name, meant, strings.Join(names, ", "))
}

func (w workload) String() string { return w.name }

// describe says what it is in a sentence. served says that the rate and the size are those of the reference server.
func (w workload) describe(served bool) string {
	connections := fmt.Sprintf("%s: %d connections", w.name, w.connections)
	if !served && !w.up {
		return connections + ", what the target publishes"
	}
	how := "published by the server"
	if w.up {
		how = "sent by clients for all to receive"
	}
	format := "text"
	if w.binary {
		format = "binary (base64 over SSE)"
	}
	return fmt.Sprintf("%s, %s events a second of %s, %s, %s", connections, report.Scale(w.rate, bench.Number), report.Scale(float64(w.size), bench.ByteCount), format, how)
}

// everyOf is which of the connections send, where clients do over their own connections: about ten of them.
func (w workload) everyOf() int { return max(1, w.connections/10) }

// message is a payload of about the size that carries rtbench's stamp.
func (w workload) message() string {
	const plain = `{"type":"rtbench","stamp":"{{.Stamp}}"}`
	const text = `,"text":""`
	fill := w.size - (len(plain) - len("{{.Stamp}}") + client.StampLen) - len(text)
	if fill <= 0 {
		return plain
	}
	return fmt.Sprintf(`{"type":"rtbench","stamp":"{{.Stamp}}","text":"%s"}`, strings.Repeat("x", fill))
}

// serve gives the flags of the reference server.
func (w workload) serve() []string {
	if w.up {
		return []string{"--rate", "0"}
	}
	flags := []string{"--rate", fmt.Sprintf("%g", w.rate), "--size", fmt.Sprint(w.size)}
	if w.binary {
		flags = append(flags, "--binary")
	}
	return flags
}

// load gives the flags of a run over a protocol against the reference server.
func (w workload) load(p *protocol) []string {
	var flags []string
	if w.connections > 0 { // else the side says it
		flags = []string{"--connections", fmt.Sprint(w.connections)}
	}
	if !w.up {
		return flags
	}
	flags = append(flags, "--rate", fmt.Sprintf("%g", w.rate))
	if p.chat != "" {
		return append(flags, "--chat", fmt.Sprint(w.everyOf()), "--message", w.message())
	}
	return append(flags, "--publish", "/publish", "--publish-body", w.message())
}

// path is where the reference server has it.
func (w workload) path(p *protocol) string {
	if w.up && p.chat != "" {
		return p.chat
	}
	return p.path
}

// times is the same with other figures.
func (w workload) times(connections int, rate float64) workload {
	w.connections, w.rate = connections, rate
	return w
}

func workloadNames() []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, w := range workloads {
			if !yield(w.name) {
				return
			}
		}
	})
}
