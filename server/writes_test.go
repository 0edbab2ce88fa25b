package server

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// writes asks for what was written.
func (g *target) writes(query string) (rows []write) {
	g.t.Helper()
	resp, body := g.do("GET", "/truth/writes?"+query, "")
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") {
		g.t.Fatalf("%s %v %.200q", resp.Status, resp.Header, body)
	}
	lines, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || strings.Join(lines[0], ",")+"\n" != writesHead {
		g.t.Fatal(lines, err)
	}
	for _, line := range lines[1:] {
		var n [6]int64
		for i, field := range line {
			if n[i], err = strconv.ParseInt(field, 10, 64); err != nil {
				g.t.Fatal(err)
			}
		}
		rows = append(rows, write{event: uint64(n[0]), seq: uint64(n[1]), due: n[2], subscriber: uint64(n[3]), before: n[4], after: n[5]})
	}
	return rows
}

// Every delivery that /truth counts has its write, in order, between its publishing and the moment it was seen to
// have arrived; over both protocols, with and without TLS.
func TestWritesAreTrue(t *testing.T) {
	for name, launch := range map[string]func(*testing.T, Options) *target{"plain": start, "tls": startTLS} {
		t.Run(name, func(t *testing.T) {
			g := launch(t, Options{
				Rate: 500, Topics: []string{"a", "b"}, TruthWrites: 10_000, Heartbeat: time.Millisecond,
				Faults: faults(t, "drop=10%", "duplicate=10%", "reorder=10%", "hangup@100"),
			})
			var reading sync.WaitGroup
			for i := range 5 {
				reading.Go(func() {
					if _, err := g.sse(fmt.Sprintf("client=s%d", i)).ids(); err != nil {
						t.Error(err)
					}
				})
				reading.Go(func() {
					if ids, _, err := g.frames(fmt.Sprintf("client=w%d", i)).ids(); err != nil || len(ids) != 100 {
						t.Errorf("%d events, %v", len(ids), err)
					}
				})
			}
			reading.Wait()
			now := time.Now().UnixNano()
			truth := g.truth("")
			events := make(map[uint64]TruthEvent)
			for _, e := range truth.Events {
				events[e.ID] = e
			}
			if truth.Totals.Writes != 1000 || truth.Totals.WritesForgotten != 0 {
				t.Errorf("%+v", truth.Totals)
			}
			all := g.writes("")
			for _, sub := range truth.Subscribers {
				rows := g.writes("client=" + sub.Client)
				checkWrites(t, sub, rows, events, now)
				of := slices.DeleteFunc(slices.Clone(all), func(w write) bool { return w.subscriber != sub.N })
				if !slices.Equal(of, rows) {
					t.Errorf("%s: %d writes of its own and %d among all", sub.Client, len(rows), len(of))
				}
			}
		})
	}
}

func checkWrites(t *testing.T, sub TruthSubscriber, rows []write, events map[uint64]TruthEvent, now int64) {
	t.Helper()
	if len(rows) != int(sub.Sent) || len(rows) != 100 {
		t.Errorf("%s: %d writes, want %d", sub.Client, len(rows), sub.Sent)
	}
	last := write{}
	seen := make(map[uint64]int)
	for _, w := range rows {
		e := events[w.event]
		if w.seq != e.Seq || w.due != e.Due || w.subscriber != sub.N {
			t.Errorf("%s: %+v, want %+v", sub.Client, w, e)
		}
		if w.before < e.Sent || w.after < w.before || w.after > now {
			t.Errorf("%s: written from %d to %d, published %d, seen %d", sub.Client, w.before, w.after, e.Sent, now)
		}
		if together := w.before == last.before && w.after == last.after; !together && w.before < last.after {
			t.Errorf("%s: %+v began before %+v was done", sub.Client, w, last)
		}
		seen[w.event]++
		last = w
	}
	for _, id := range sub.Faults.Dropped {
		if seen[id] != 0 {
			t.Errorf("%s: %d was dropped, and written", sub.Client, id)
		}
	}
	for _, id := range sub.Faults.Duplicated {
		if seen[id] == 0 || seen[id] > 2 {
			t.Errorf("%s: %d was duplicated, and written %d times", sub.Client, id, seen[id])
		}
	}
}

func TestWritesAskedFor(t *testing.T) {
	g := start(t, Options{Topics: []string{"a", "b"}, TruthWrites: 10})
	a, both := g.sse("client=a&topic=a"), g.frames("client=both")
	for range 5 {
		g.publish("a", "x")
		g.publish("b", "x")
	}
	for i := range 10 {
		if _, _, err := both.next(); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	if err := a.finish(); err != nil {
		t.Fatal(err)
	}
	if ids, err := a.ids(); err != nil || len(ids) > 5 {
		t.Fatal(ids, err)
	}
	both.conn.Close()
	events := g.truth("").Events
	span := fmt.Sprintf("from=%d&until=%d", events[4].Due, events[6].Due)
	for query, want := range map[string][]uint64{
		"client=both&topic=a":          {1, 3, 5, 7, 9},
		"client=both&topic=b&" + span:  {6},
		"client=both&" + span:          {5, 6},
		"client=nobody":                nil,
		"client=a&topic=b":             nil,
		"topic=unheard":                nil,
		"from=9223372036854775807":     nil,
		"until=-9223372036854775808":   nil,
		"client=both&until=4000000000": nil,
	} {
		var got []uint64
		for _, w := range g.writes(query) {
			got = append(got, w.event)
		}
		if i := len(want) - len(got); i < 0 || !slices.Equal(got, want[i:]) { // some may be forgotten: 15 were made
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	totals := g.truth("").Totals
	if totals.Writes != totals.Sent || totals.WritesForgotten != totals.Writes-10 || len(g.writes("")) != 10 {
		t.Errorf("%+v", totals)
	}
	for _, query := range []string{"from=yesterday", "until=9223372036854775808"} {
		if resp, _ := g.do("GET", "/truth/writes?"+query, ""); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, resp.Status)
		}
	}
}

// One system call carries what several streams of HTTP/2 want: nobody can say whose write it was, so none is noted.
func TestWritesOverHTTP2(t *testing.T) {
	g := start(t, Options{Rate: 100, TruthWrites: 100, Faults: faults(t, "hangup@5")})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(g.url("/sse"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	if totals := g.truth("").Totals; totals.Sent != 5 || totals.Writes != 0 {
		t.Errorf("%+v", totals)
	}
}

// A lap runs from the begin of its first write to the end of its last.
func TestTimedConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := &timedConn{Conn: ours}
		defer c.Close()
		take := func(wait time.Duration) {
			time.AfterFunc(wait, func() { _, _ = theirs.Read(make([]byte, 100)) })
			if n, err := c.Write([]byte("hello")); n != 5 || err != nil {
				t.Error(n, err)
			}
		}
		if first, last := c.lap(); first != 0 || last != 0 {
			t.Error(first, last)
		}
		for range 2 {
			begin := time.Now()
			take(time.Second)
			time.Sleep(time.Minute)
			take(2 * time.Second)
			time.Sleep(time.Hour)
			first, last := c.lap()
			if first != begin.UnixNano() || last != begin.Add(63*time.Second).UnixNano() {
				t.Errorf("from %d to %d, want 63 s from %d", first, last, begin.UnixNano())
			}
		}
		if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	})
}

// Read in chunks of any size while more is noted, the log gives the latest, in order, and nothing twice.
func TestWriteLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 10).Draw(t, "most")
		l := newWriteLog(most)
		w := &witness{log: l, conn: new(timedConn)}
		top := new(topic)
		noted := uint64(0)
		note := func(n int) {
			for range n {
				noted++
				w.saw([]delivery{{ev: &event{id: noted, topic: top}}, {ev: &event{id: noted, topic: top}, dropped: true}})
			}
		}
		note(rapid.IntRange(0, 30).Draw(t, "before"))
		end, next := l.counts()
		if end != noted || next != noted-min(noted, uint64(most)) {
			t.Fatalf("%d noted, %d forgotten of %d", end, next, noted)
		}
		chunk := make([]write, rapid.IntRange(1, 12).Draw(t, "chunk"))
		for next < end {
			more := rapid.IntRange(0, 5).Draw(t, "meanwhile")
			note(more)
			from := max(next, noted-min(noted, uint64(most)))
			var n int
			n, next = l.copy(chunk, next, end)
			if want := min(max(int(end)-int(from), 0), len(chunk)); n != want || n > 0 && next != from+uint64(n) {
				t.Fatalf("%d writes up to %d, want %d from %d", n, next, want, from)
			}
			for i, w := range chunk[:n] {
				if w.event != from+uint64(i)+1 {
					t.Fatalf("write %d is of event %d", from+uint64(i), w.event)
				}
			}
		}
	})
}

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func TestNotingWritesDoesntAllocate(t *testing.T) {
	c := &timedConn{Conn: discard{}}
	w := &witness{log: newWriteLog(7), conn: c, subscriber: 1}
	batch := []delivery{{ev: &event{id: 1, topic: new(topic)}}, {ev: &event{id: 2, topic: new(topic)}}}
	payload := []byte("hello")
	if n := testing.AllocsPerRun(100, func() {
		w.begin()
		_, _ = c.Write(payload)
		w.saw(batch)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A batch that one flush carried shares its times, and one that fails leaves none.
func TestBatchesShareTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowConn{}
		conn := &timedConn{Conn: slow}
		out := response{conn}
		l := newWriteLog(10)
		k := &sseSink{w: out, rc: http.NewResponseController(out), witness: &witness{l, conn, 3}}
		top := &topic{name: "t", n: 1}
		batch := []delivery{{ev: &event{id: 1, due: 5, topic: top}}, {ev: &event{id: 2, topic: top}, dropped: true}, {ev: &event{id: 3, topic: top}}}
		begin := time.Now().UnixNano()
		if n, _, err := k.write(batch); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		chunk := make([]write, 10)
		n, _ := l.copy(chunk, 0, 2)
		for i, want := range []write{{event: 1, due: 5}, {event: 3}} {
			want.subscriber, want.topic, want.before, want.after = 3, 1, begin, begin+int64(time.Second)
			if n != 2 || chunk[i] != want {
				t.Errorf("%+v, want %+v", chunk[i], want)
			}
		}
		slow.err = io.ErrClosedPipe
		if n, unsure, err := k.write(batch); n != 0 || !unsure || err == nil {
			t.Error(n, unsure, err)
		}
		if total, _ := l.counts(); total != 2 {
			t.Errorf("%d writes, want 2", total)
		}
	})
}

// A slowConn takes a second for every write.
type slowConn struct {
	net.Conn
	err error
}

func (c *slowConn) Write(b []byte) (int, error) {
	time.Sleep(time.Second)
	return len(b), c.err
}

// A response goes to a connection unbuffered.
type response struct{ net.Conn }

func (response) Header() http.Header { return nil }
func (response) WriteHeader(int)     {}
func (response) FlushError() error   { return nil }
