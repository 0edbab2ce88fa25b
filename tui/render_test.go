package tui

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

const ms = int64(time.Millisecond)

// busy is a run in which much has happened; its server sends what a terminal would act on.
func busy(t testing.TB) *bench.Snapshot {
	t.Helper()
	threshold := func(text string) bench.Threshold {
		th, err := bench.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		return th
	}
	s := &bench.Snapshot{
		Phase: bench.PhaseMeasure, At: 32 * time.Second, Begin: 2 * time.Second, End: 62 * time.Second,
		Open: 984, Down: 15, Ended: 1, Planned: 1000, Rate: 98_432, Headline: bench.Delivery, Quantiles: bench.Quantiles{Samples: 2_953_120, P50: 2 * ms, P99: 48 * ms, Max: 2150 * ms},
		Unmeasured: map[bench.Metric]string{bench.Outage: "no"},
		Judgements: []bench.Judgement{
			{Threshold: threshold("p99(delivery) < 250ms"), Figure: bench.Figure{Value: 48e6}, Passed: true},
			{Threshold: threshold("lost == 0"), Figure: bench.Figure{Value: 4096}},
			{Threshold: threshold("p99(outage) < 5s"), Figure: bench.Figure{Unknown: "too few samples"}},
		},
		LastError:   "dial tcp 127.0.0.1:8080: connect: connection refused \x1b]0;evil\a",
		Annotations: []bench.Annotation{{At: 12 * time.Second, Text: "10 % of the connections broken off (rst)"}, {At: 20 * time.Second, Text: "sending at 1.5 times the rate of the plan"}},
	}
	for m, n := range map[bench.Metric]uint64{bench.Received: 2_953_120, bench.Opened: 1116, bench.Drops: 116, bench.Reconnects: 100, bench.Broken: 100, bench.ConnectErrors: 16,
		bench.Due: 30_000, bench.Sent: 29_990, bench.Unsent: 10, bench.Lost: 4096, bench.Duplicate: 12} {
		s.Counts[int(m)-len(bench.Timings())] = n
	}
	d := &bench.Detail{
		Estimates: []bench.Estimate{
			{Q: .5, Value: 2 * ms, Verdict: bench.Trusted}, {Q: .75, Value: 3 * ms, Verdict: bench.Trusted}, {Q: .9, Value: 9 * ms, Verdict: bench.Bounded},
			{Q: .95, Value: 21 * ms, Verdict: bench.Bounded}, {Q: .99, Value: 48 * ms, Verdict: bench.UpperBound}, {Q: .999, Value: 2100 * ms, AtLeast: true, Verdict: bench.UpperBound},
			{Q: .9999, Unknown: "too few samples: 2953120 of the 36888000 that this quantile needs"},
		},
		At: 32 * time.Second, SeriesStep: time.Second, Health: bench.Health{Shared: .0213, Unstamped: 0, Stalled: 120 * time.Millisecond, ClockStep: -3},
		Resumption: &bench.Resumption{Verdict: bench.ExactlyOnce, Judged: 100, Correct: 100},
		Target:     &bench.TargetUse{Source: "the process 4711", CPU: 3 * time.Second, Length: 20 * time.Second, Most: 65_000_000},
		Errors: []bench.ErrorGroup{
			{Class: client.ClassRefused, Key: "refused", Count: 16, Last: 30 * time.Second, Text: "dial tcp 127.0.0.1:8080: connect: connection refused"},
			{Class: client.ClassReset, Key: "reset", Count: 1_234_567, Last: 31 * time.Second, Text: "read: \x1b[2Jconnection reset by peer 端が接続をリセットしました 🎉 " + strings.Repeat("and so on ", 12)},
		},
		Kinds: []bench.KindFigures{
			{Kind: "価格更新📈", Count: 1200, Timed: 1200, P50: 4 * ms, P99: 64 * ms, Longest: 2150 * ms},
			{Kind: "evil\x1b[31m\r\n=cmd()", Count: 7, Timed: 0},
			{Kind: "", Count: 2_951_913, Timed: 2_951_913, P50: 2 * ms, P99: 45 * ms, Longest: 2 * 1000 * ms},
		},
		Followed: &bench.Followed{Connection: -1, Skipped: 12_345},
	}
	for m, q := range map[bench.Metric]bench.Quantiles{
		bench.Delivery: s.Quantiles, bench.LagBehindFirst: {Samples: 2_950_000, P50: 100_000, P99: 9 * ms, Max: 90 * ms}, bench.FanoutSpread: {Samples: 3000, P50: 5 * ms, P99: 60 * ms, Max: 200 * ms},
		bench.Connect: {Samples: 1116, P50: ms, P99: 8 * ms, Max: 31 * ms}, bench.Wait: {Samples: 100, P50: 500 * ms, P99: 980 * ms, Max: 999 * ms}, bench.Outage: {Samples: 5, P50: 1, P99: 1, Max: 1},
		bench.ClientLag: {Samples: 2_953_120, P50: 21_000, P99: 180_000, Max: 4 * ms}, bench.PublishLateness: {Samples: 30_000, P50: 12_000, P99: 90_000, Max: ms},
	} {
		d.Timings[m] = q
	}
	for i := range 32 {
		b := bench.Bucket{At: time.Duration(i) * time.Second, Open: min(1000, 500*(i+1)), Received: uint64(90_000 + 1000*(i%7)), Headline: bench.Quantiles{Samples: 90_000, P50: (2 + int64(i%3)) * ms, P99: (20 + 3*int64(i%5)) * ms, Max: 100 * ms}}
		b.Spread = bench.Spread{First: bench.LevelOf(ms), Counts: []uint64{uint64(1 + i%4*1000), 60_000, 20_000, 4000, 900, 100, 30, 10, 3, 1}}
		if i == 12 {
			b.Open, b.Errors, b.Received, b.Headline, b.Spread = 884, 116, 40_000, bench.Quantiles{}, bench.Spread{}
		}
		d.Series = append(d.Series, b)
	}
	for i := range 30 {
		c := bench.Connection{Index: 997 - 31*i, State: bench.StateOpen, Drops: uint64(30-i) / 10, Longest: int64(2150-60*i) * ms, Quiet: int64(i) * 10 * ms}
		if i == 0 {
			c.State, c.Missing, c.Quiet = bench.StateDown, 4096, -1
		}
		d.Worst = append(d.Worst, c)
	}
	for i := range 40 {
		d.Followed.Events = append(d.Followed.Events, bench.SeenEvent{At: time.Duration(28_000+i*100) * time.Millisecond, Connection: 3, Copies: 984 - i*25, Kind: []string{"", "価格更新📈", "\x1b[31mred"}[i%3],
			ID: fmt.Sprint(29_000 + i), Data: []string{`{"price":12.5,"名前":"日本語のとても長い値段","emoji":"🎉🎊👩‍👩‍👧"}`, "\x1b]52;c;ZXZpbA==\a<script>alert(1)</script>", strings.Repeat("long ", 60)}[i%3], Size: 80, Delivery: int64(i%5)*ms - 1})
		if ev := &d.Followed.Events[i]; i%7 == 6 {
			ev.Binary = true
			ev.Data, ev.Raw = "\x00\x01\xff price \x1b[2J\x9b31m\a"+strings.Repeat("\xfe", 12+i), i%14 == 6
			if ev.Size = len(ev.Data); !ev.Raw {
				ev.Data, ev.Size = "a text in a binary message", 26
			}
		}
	}
	s.Detail = d
	return s
}

// followed is that run while one connection is looked at.
func followed(s *bench.Snapshot) *bench.Snapshot {
	copied, detail := *s, *s.Detail
	detail.Followed = &bench.Followed{Connection: 997, Events: s.Detail.Followed.Events[:3], History: []bench.Happening{
		{At: time.Second, Text: "opened"}, {At: 12 * time.Second, Text: "broken off by the run (rst)"}, {At: 13 * time.Second, Text: "not opened: \x1b[5mconnection refused"}, {At: 14 * time.Second, Text: "open again"},
		{At: 30 * time.Second, Text: "dropped: connection reset by peer"},
	}}
	copied.Detail = &detail
	return &copied
}

// refused is a run to which nothing has ever connected.
func refused(t testing.TB) *bench.Snapshot {
	s := &bench.Snapshot{Phase: bench.PhaseMeasure, At: 5 * time.Second, Begin: time.Second, End: 11 * time.Second, Down: 100, Planned: 100, LastError: "refused"}
	s.Counts[int(bench.ConnectErrors)-len(bench.Timings())] = 300
	s.Detail = &bench.Detail{SeriesStep: time.Second, Errors: []bench.ErrorGroup{{Class: client.ClassRefused, Key: "refused", Count: 299, Last: 4 * time.Second, Text: "dial tcp 127.0.0.1:8080: connect: connection \x1b[31mrefused"}, {Key: "timeout", Count: 1}}}
	return s
}

// streams is a run of request streams, some of which fail.
func streams(t testing.TB) *bench.Snapshot {
	s := busy(t)
	s.Judgements = nil
	for m, n := range map[bench.Metric]uint64{bench.Due: 130, bench.Sent: 120, bench.Unsent: 10, bench.StreamsStarted: 120, bench.StreamsDone: 80, bench.StreamsFailed: 7} {
		s.Counts[int(m)-len(bench.Timings())] = n
	}
	s.Open, s.Planned = 33, 40
	return s
}

// sizes are those that screens are looked at in.
var sizes = [][2]int{{80, 24}, {120, 40}, {200, 60}, {60, 15}}

// TestPanes holds every pane against what it looked like when somebody looked, at several sizes; no line is ever wider than the
// screen, and nothing that the server sends is acted on.
func TestPanes(t *testing.T) {
	s := busy(t)
	level := func(at time.Duration) int { return min(1000, int(at/(2*time.Millisecond))) }
	views := map[string]view{}
	for p := range numPanes {
		views[strings.ToLower(panes[p].name)] = view{s: s, pane: p, speed: 1.5}
	}
	filtered := followed(s)
	filtered.Detail.Followed.Holding = "price\x1b"
	views["connection"] = view{s: filtered, pane: connections, followed: 997, filter: "price\x1b"}
	views["event"] = view{s: s, pane: events, opened: &s.Detail.Followed.Events[37]}
	views["event-raw"] = view{s: s, pane: events, opened: &s.Detail.Followed.Events[34]}
	views["help"] = view{s: s, help: true}
	views["asking"] = view{s: s, asking: "break off (such as 10% rst): 200", said: "a share above 0% and up to 100%"}
	views["frozen"] = view{s: s, frozen: true, said: "10 % broken off (rst)"}
	views["beginning"] = view{s: &bench.Snapshot{Phase: bench.PhaseRamp, At: 300 * time.Millisecond, Open: 12, Planned: 1000}}
	views["nothing"] = view{}
	views["refused"] = view{s: refused(t)}
	views["streams"] = view{s: streams(t), speed: 1}
	for _, p := range []pane{overview, latency, events} {
		views[strings.ToLower(panes[p].name)+"-blocks"] = view{s: s, pane: p, speed: 1.5, letters: blockLetters}
		views[strings.ToLower(panes[p].name)+"-ascii"] = view{s: s, pane: p, speed: 1.5, letters: asciiLetters}
	}
	for name, v := range views {
		v.title, v.level, v.keys = "sse http://localhost:8080/events", level, bindings
		if name != "connection" {
			v.followed = -1
		}
		for _, size := range sizes {
			if v.letters != allLetters && size[0] != 120 {
				continue
			}
			screen := v.render(size[0], size[1])
			lines := strings.Split(screen, "\n")
			if len(lines) != size[1] {
				t.Errorf("%s at %v: %d lines", name, size, len(lines))
			}
			for _, line := range lines {
				if w := ansi.StringWidth(line); w > size[0] {
					t.Errorf("%s at %v: %d columns: %q", name, size, w, line)
				}
			}
			text := plainText(screen)
			if strings.ContainsAny(text, "\x1b\a\r\t") {
				t.Errorf("%s at %v: the server's escapes come through", name, size)
			}
			golden(t, fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1]), text+"\n")
		}
	}
}

// golden holds a text against a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if updating() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is another (go test ./tui -update writes it anew):\n%s", name, got)
	}
}

// TestHidden: what is secret isn't shown where the server repeats it.
func TestHidden(t *testing.T) {
	hide := func(text string) string { return strings.ReplaceAll(text, "price", "REDACTED") }
	s := busy(t)
	s.Detail.Kinds[0].Kind, s.Detail.Errors[0].Text, s.Detail.Followed.Events[39].Kind = "price", "the price", "price"
	for _, v := range []view{{s: s, pane: events, followed: -1, hide: hide}, {s: s, pane: failures, followed: -1, hide: hide}, {s: followed(s), pane: connections, followed: 997, hide: hide}} {
		if got := v.render(200, 60); strings.Contains(got, "price") || !strings.Contains(got, "REDACTED") {
			t.Errorf("%s", plainText(got))
		}
	}
}

// TestTooSmall: below the least size there is one line, as in the simplest progress.
func TestTooSmall(t *testing.T) {
	v := view{s: busy(t), keys: bindings}
	for _, size := range [][2]int{{59, 40}, {200, 14}, {1, 1}, {20, 3}} {
		if got := v.render(size[0], size[1]); strings.Contains(got, "\n") || ansi.StringWidth(got) > size[0] {
			t.Errorf("%v: %q", size, got)
		}
	}
	if got := v.render(0, 0); got != "" {
		t.Errorf("%q", got)
	}
}

// TestColours: what is told by a colour is also told by a sign or a word; a screen without them is the same text.
func TestColours(t *testing.T) {
	v := view{s: busy(t), keys: bindings, followed: -1}
	screen := v.render(120, 40)
	for _, want := range []string{"✓", "✗", "UPPER BOUND", "not sent"} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q", want)
		}
	}
	if !strings.Contains(screen, "\x1b[") {
		t.Error("no colours at all")
	}
}

func BenchmarkRender(b *testing.B) {
	for p := range numPanes {
		b.Run(panes[p].name, func(b *testing.B) {
			v := view{s: busy(b), pane: p, speed: 1, followed: -1, keys: bindings}
			for b.Loop() {
				v.render(120, 40)
			}
		})
	}
}
