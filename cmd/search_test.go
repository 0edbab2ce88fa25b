package cmd

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rtbench/rtbench/check"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// probe is one that was away for so many seconds, at ten events a second.
func probe(seconds int, outcome check.Outcome) check.Probe {
	p := check.Probe{Round: 1, Planned: time.Duration(seconds) * time.Second, Outcome: outcome, Missed: uint64(10 * seconds)}
	p.Away, p.Age = p.Planned, p.Planned-100*time.Millisecond
	if outcome == check.Incomplete {
		p.Lost = p.Missed / 2
	}
	return p
}

// rendered is the text of a search behind its first two lines.
func rendered(t *testing.T, a answer) string {
	t.Helper()
	var b strings.Builder
	if err := (searched{Command: "rtbench sse", Target: "http://h/\x1b[2J", answer: a}).write(&b, report.Text); err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(b.String(), "rtbench sse  http://h/\\x1b[2J\n")
	if !ok {
		t.Errorf("its head: %q", b.String())
	}
	for line := range strings.SplitSeq(text, "\n") {
		if len([]rune(line)) > pageWidth {
			t.Errorf("%d columns: %s", len([]rune(line)), line)
		}
	}
	return text
}

func TestHorizonText(t *testing.T) {
	short, long := probe(1, check.Complete), probe(2, check.Incomplete)
	longest := probe(60, check.Complete)
	found := func(kind check.LimitKind) check.HorizonResult {
		return check.HorizonResult{Verdict: check.HorizonFound, Complete: &short, Incomplete: &long, LimitedBy: kind}
	}
	neither := found(check.LimitNeither)
	neither.Contradictions = []check.Probe{probe(3, check.Complete), probe(4, check.Complete)}
	always := found(check.LimitNone)
	nothing := found(check.LimitUnknown)
	nothing.Complete = nil
	for _, test := range []struct {
		r    check.HorizonResult
		want string
	}{
		{found(check.LimitUnknown), "complete up to 1.00 s and 10 events away; incomplete from 2.00 s and 20 | whether that is a limit by number or by age can't be told: events came at one rate. Search again while they come at another"},
		{found(check.LimitByCount), "complete up to 10 events away; incomplete from 20 | a limit by number: it holds for different times away, since the rate changed, and no limit by age does"},
		{found(check.LimitByAge), "complete up to events that are 900 ms old; incomplete from 1.90 s | a limit by age: it holds for different numbers of events, since the rate changed, and no limit by number does"},
		{neither, "complete up to 1.00 s and 10 events away; incomplete from 2.00 s and 20 | neither a limit by number nor one by age fits all probes | " +
			"NOT MONOTONIC: 2 probes were complete though away for longer than 2.00 s and 20 events, which wasn't, or as long; the last one for 4.00 s and 40 events"},
		{nothing, "incomplete from 2.00 s and 20 events away on: no probe was away for a shorter time and lost nothing"},
		{always, "10 events lost however long a client is away: not a limit, but a replay that leaves out as many each time"},
		{check.HorizonResult{Verdict: check.HorizonNone, Incomplete: &long}, "nothing is replayed at all: not even after 2.00 s and 20 events away"},
		{check.HorizonResult{Verdict: check.HorizonBeyond, Complete: &longest, Limit: time.Minute}, "nothing was lost up to the limit of 60.0 s (600 events)"},
		{check.HorizonResult{Verdict: check.HorizonBeyond, Complete: &longest, Limit: time.Minute, MaxEvents: 600}, "nothing was lost up to the limit of 600 events (60.0 s)"},
		{check.HorizonResult{Verdict: check.HorizonBeyond, Complete: &short, Limit: time.Minute, Why: "it \x07ended"}, "nothing was lost up to 1.00 s (10 events), the longest that could be judged | ended early: it \\x07ended"},
		{check.HorizonResult{Verdict: check.HorizonUndecidable, Why: "no\x1bid"}, "undecidable: no\\x1bid"},
		{check.HorizonResult{Verdict: check.HorizonUndecidable, Why: "x", Probes: []check.Probe{{Again: 1, Resent: 2, Swapped: 3000, Foreign: 4}}},
			"undecidable: x | no loss, but 1 event came twice, over all probes | no loss, but 2 events from before the drop came again, over all probes | " +
				"no loss, but 3,000 events came after a later one, over all probes | no loss, but 4 events came that no reference had, over all probes"},
	} {
		a := horizonFinding{&test.r}
		if got := strings.Join(append([]string{a.verdict()}, a.remarks()...), " | "); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		rendered(t, a)
	}
	r := check.HorizonResult{
		Verdict: check.HorizonUndecidable, Why: "x", Limit: time.Minute, References: 2, Rounds: 1, Elapsed: time.Second, Interrupted: true, Recorded: 2, Anonymous: 3,
		Interval: time.Second, Longest: 2 * time.Second,
		Probes: []check.Probe{
			{Outcome: check.Unjudged, Why: "the search was stopped"}, probe(60, check.Incomplete), probe(1, check.Complete), probe(3, check.Complete), probe(30, check.Incomplete),
			{Outcome: check.Incomplete, Why: "gone\x1b", Away: 70 * time.Second, Missed: 700}, {Outcome: check.Idle, Away: time.Millisecond},
		},
	}
	const want = `resume horizon up to 60.0 s · 2 references, 7 probes in 1 round · 1.00 s ·
interrupted

  undecidable: x

  away             events     probes  outcome
  –                –          1       not judged: the search was stopped
  1.00 ms          0          1       nothing was published meanwhile
  1.00 s – 3.00 s  10 – 30    2       complete
  30.0 s – 60.0 s  300 – 600  2       incomplete: 150 – 300 lost
  70.0 s           700        1       refused: gone\x1b

2 events recorded, one in 1.00 s on average, 2.00 s apart at most; 3 without an
id, which nobody can judge
`
	if got := rendered(t, horizonFinding{&r}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSilenceText(t *testing.T) {
	held := []check.Held{
		{Age: 40 * time.Second, Silence: 10 * time.Second, Longest: 15 * time.Second, Cut: &client.Error{Class: client.ClassReset}, Unread: 7},
		{Conn: 1, Opened: time.Second, Age: 41 * time.Second, Silence: 12 * time.Second, Cut: &client.Error{Class: client.ClassCloseCode, Code: 1001, Detail: "\x1b[2J"}},
		{Conn: 2, Failure: &client.Error{Class: client.ClassStatus, Code: 503}},
	}
	base := check.SilenceResult{Limit: 5 * time.Minute, Held: held, Longest: 15 * time.Second, Elapsed: time.Minute}
	const bytes = " | 7 bytes came that were neither event nor heartbeat, when is known for the last of them only: silences may have been shorter"
	for kind, want := range map[check.CutKind]string{
		check.CutNone:    "no connection was cut: the longest silence that was survived is 15.0 s" + bytes,
		check.CutSilence: "cut after 10.0 s – 12.0 s of silence (2 of 3 connections), whatever their age | the longest silence that was survived is 15.0 s" + bytes,
		check.CutAge:     "cut at an age of 40.0 s – 41.0 s (2 of 3 connections), whatever the silence before: a limit on the connection, not on idleness | the longest silence that was survived is 15.0 s" + bytes,
		check.CutEither: "cut after 40.0 s – 41.0 s (2 of 3 connections), which fits a limit on silence and one on age | " +
			"they can be told from each other where something comes meanwhile: search again while the server publishes | the longest silence that was survived is 15.0 s" + bytes,
		check.CutNeither: "cut at ages of 40.0 s – 41.0 s, after silences of 10.0 s – 12.0 s (2 of 3 connections): no one limit fits | the longest silence that was survived is 15.0 s" + bytes,
	} {
		r := base
		if r.CutFor = kind; kind == check.CutNone {
			r.Held = []check.Held{{Unread: 7}}
		}
		if got := strings.Join(silenceFinding{&r}.verdict(), " | "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	base.CutFor, base.AtOnce, base.Interrupted = check.CutNeither, true, true
	base.Beats = []check.Beat{
		{Kind: check.Event, Name: "tick\x1b", Count: 1}, {Kind: check.Event, Name: "message", Count: 1000, Gaps: 999, Median: time.Second, Longest: 2 * time.Second}, {Kind: check.Hint, Count: 1},
	}
	const want = `idle limit up to 5m00s · 3 connections that said nothing · 60.0 s · interrupted

  cut at ages of 40.0 s – 41.0 s, after silences of 10.0 s – 12.0 s (2 of 3
  connections): no one limit fits
    the longest silence that was survived is 15.0 s
    7 bytes came that were neither event nor heartbeat, when is known for the
    last of them only: silences may have been shorter
    all were cut at one moment, so a restart of the server or proxy fits as well

  what             count  interval
  heartbeats       0      none came
  events tick\x1b  1      seen once on each connection
  events           1,000  median 1.00 s, longest 2.00 s
  hints            1      seen once on each connection

  connection  opened  age     silence  longest before  end
  0           0 ns    40.0 s  10.0 s   15.0 s          cut: the connection was
                                                       reset
  1           1.00 s  41.0 s  12.0 s   –               cut: closed with code
                                                       1001: \x1b[2J
  2           –       –       –        –               not opened: HTTP status
                                                       503
`
	if got := rendered(t, silenceFinding{&base}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestSearchDocuments holds the keys of the documents against docs/searches.md.
func TestSearchDocuments(t *testing.T) {
	text, err := os.ReadFile("../docs/searches.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for i := range of.NumField() {
			field := of.Field(i)
			if key := field.Tag.Get("json"); key != "" && !strings.Contains(string(text), "`"+key+"`") {
				t.Errorf("docs/searches.md doesn't know %s of %s", key, of.Name())
			}
			walk(field.Type)
		}
	}
	walk(reflect.TypeFor[docHorizon]())
	walk(reflect.TypeFor[docSilence]())
	for _, value := range []string{
		string(check.HorizonFound), string(check.HorizonBeyond), string(check.HorizonNone), string(check.HorizonUndecidable),
		string(check.Complete), string(check.Incomplete), string(check.Idle), string(check.Unjudged),
		string(check.LimitUnknown), string(check.LimitByCount), string(check.LimitByAge), string(check.LimitNeither), string(check.LimitNone),
		string(check.CutSilence), string(check.CutAge), string(check.CutEither), string(check.CutNeither),
	} {
		if !strings.Contains(string(text), "`"+value+"`") {
			t.Errorf("docs/searches.md doesn't know the value %s", value)
		}
	}
}
