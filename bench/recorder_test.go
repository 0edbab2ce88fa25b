package bench

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/client"
)

// TestCollectWhileRecording: what connections record while the collector swaps their cells is counted once, whenever
// that is.
func TestCollectWhileRecording(t *testing.T) {
	const writers, each = 4, 5000
	window := &measured{}
	window.end.Store(never)
	r := newRecorder(window)
	var recording, collecting sync.WaitGroup
	for w := range writers {
		s := r.shard()
		recording.Go(func() {
			for n := range each {
				s.mu.Lock()
				s.cell.add(Received, 1)
				s.cell.add(Bytes, uint64(n))
				s.cell.inWindow.Received++
				s.cell.time(Delivery, int64(w*each+n)*1e5)
				if n%2 == 0 {
					s.cell.time(Connect, int64(n)*1e5)
				}
				s.mu.Unlock()
				if n%10 == 0 {
					r.record(func(c *cell) { c.add(Due, 1) })
				}
			}
		})
	}
	var sum tally
	stop := make(chan struct{})
	collecting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.collect(&sum)
			}
		}
	})
	recording.Wait()
	close(stop)
	collecting.Wait()
	r.collect(&sum)
	want := NewHistogram()
	for n := range writers * each {
		if err := want.RecordValue(int64(n) * 1e5); err != nil {
			t.Fatal(err)
		}
	}
	count := func(m Metric) uint64 { return sum.counts[m-numTimings] }
	if !sum.timings[Delivery].Equals(want) || sum.timings[Connect].TotalCount() != writers*each/2 {
		t.Errorf("%d deliveries, %d connects", sum.timings[Delivery].TotalCount(), sum.timings[Connect].TotalCount())
	}
	if count(Received) != writers*each || count(Bytes) != writers*each*(each-1)/2 || count(Due) != writers*each/10 || sum.inWindow.Received != writers*each {
		t.Errorf("received %d, bytes %d, due %d, in the window %d", count(Received), count(Bytes), count(Due), sum.inWindow.Received)
	}
	if metric, q, _ := sum.step.take(); metric != Delivery || q.Samples != writers*each {
		t.Errorf("the step has %d of %s", q.Samples, metric)
	}
	if r.collect(&sum); count(Received) != writers*each {
		t.Error("something was counted twice")
	}
}

func TestCellTime(t *testing.T) {
	c := openCell(never)
	for _, ns := range []int64{0, 1, 999, 1000, highest} {
		c.time(Delivery, ns)
	}
	if c.counts[OutOfRange-numTimings] != 0 || held(c, Delivery).TotalCount() != 5 {
		t.Errorf("%d out of range", c.counts[OutOfRange-numTimings])
	}
	for _, ns := range []int64{-1, highest * 2, never, -never} {
		c.time(Delivery, ns)
	}
	if c.counts[OutOfRange-numTimings] != 4 || held(c, Delivery).TotalCount() != 5 {
		t.Errorf("%d out of range, %d recorded", c.counts[OutOfRange-numTimings], held(c, Delivery).TotalCount())
	}
	// What could not be recorded leaves no trace of a timing that was measured.
	negative := openCell(never)
	negative.time(Delivery, -1)
	var sum tally
	if sum.take(negative); sum.timings[Delivery] != nil || sum.counts[OutOfRange-numTimings] != 1 {
		t.Error("a negative time alone made a histogram")
	}
}

// TestHistogramPrecision: three digits over the whole range, as the reports say.
func TestHistogramPrecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64Range(lowest, highest).Draw(t, "ns")
		h := NewHistogram()
		if err := h.RecordValue(ns); err != nil {
			t.Fatal(err)
		}
		for _, got := range []int64{h.ValueAtQuantile(50), h.Max(), h.Min(), int64(h.Mean())} {
			if got < ns-ns/1000-512 || got > ns+ns/1000+512 {
				t.Fatalf("%d became %d", ns, got)
			}
		}
	})
}

// TestSeries: whatever happens in a run, the series holds every count, in a bounded number of steps.
func TestSeries(t *testing.T) {
	var sum tally
	s := series{step: seriesStep}
	from := time.Duration(0)
	var total Bucket
	for n := range 20_000 {
		add := func(m Metric, n uint64) { sum.counts[m-numTimings] += n }
		add(Received, uint64(n))
		add(Bytes, uint64(n)*10)
		add(Sent, 3)
		add(Drops, 1)
		add(ConnectErrors, 1)
		add(Reconnects, 2)
		if n%500 == 0 {
			c := openCell(never)
			c.time(Delivery, int64(n+1)*1e6)
			sum.take(c)
			total.Headline.Samples++
		}
		total.Received, total.Bytes, total.Sent = total.Received+uint64(n), total.Bytes+uint64(n)*10, total.Sent+3
		total.Errors, total.Reconnects = total.Errors+2, total.Reconnects+2
		now := time.Duration(n+1)*seriesStep + millisecond // a collection is a little late
		if now-from >= s.step {
			s.add(from, n, &sum)
			from = now.Truncate(s.step)
		}
		if len(s.buckets) >= maxBuckets || len(s.metrics) != len(s.buckets) {
			t.Fatalf("%d buckets", len(s.buckets))
		}
	}
	s.add(from, 0, &sum)
	if s.step != 8*seriesStep {
		t.Errorf("steps of %v", s.step)
	}
	var got Bucket
	for i, b := range s.of(Delivery) {
		if b.At != time.Duration(i)*s.step {
			t.Fatalf("bucket %d begins at %v", i, b.At)
		}
		got.Received, got.Bytes, got.Sent = got.Received+b.Received, got.Bytes+b.Bytes, got.Sent+b.Sent
		got.Errors, got.Reconnects = got.Errors+b.Errors, got.Reconnects+b.Reconnects
		got.Headline.Samples += b.Headline.Samples
	}
	if got.Spread, total.Spread = (Spread{}), (Spread{}); !reflect.DeepEqual(got, total) {
		t.Errorf("the buckets sum up to %+v, want %+v", got, total)
	}
}

func TestSeriesHalve(t *testing.T) {
	q := func(n, ms int64) Quantiles { return Quantiles{n, ms * 1e6, ms * 2e6, ms * 3e6} }
	s := series{step: second, metrics: []Metric{InterArrival, Delivery, Delivery, Delivery, Delivery, Delivery}, buckets: []Bucket{
		{At: 0, Open: 1, Received: 1, Headline: q(1, 9)}, {At: second, Open: 2, Received: 2, Headline: q(2, 5)},
		{At: 2 * second, Open: 3, Received: 3, Headline: q(3, 5)}, {At: 3 * second, Open: 4, Received: 4, Headline: q(4, 7)},
		{At: 4 * second, Open: 5, Received: 5, Headline: q(5, 8)}, {At: 5 * second, Open: 6, Received: 6},
	}}
	s.halve()
	want := []Bucket{
		{At: 0, Open: 2, Received: 3, Headline: q(2, 5)}, // the two timings have nothing to do with each other
		{At: 2 * second, Open: 4, Received: 7, Headline: q(7, 7)},
		{At: 4 * second, Open: 6, Received: 11, Headline: q(5, 8)},
	}
	if fmt.Sprint(s.buckets) != fmt.Sprint(want) || s.step != 2*second {
		t.Errorf("%+v\nwant %+v", s.buckets, want)
	}
	if got := s.of(InterArrival); got[0].Headline != (Quantiles{}) || got[1].Headline != (Quantiles{}) || got[1].Received != 7 {
		t.Errorf("of another timing: %+v", got)
	}
}

// TestStepFollowsTheHeadline: a step shows one timing, the best that there is by then.
func TestStepFollowsTheHeadline(t *testing.T) {
	var sum tally
	record := func(m Metric, ms int64) {
		c := openCell(never)
		c.time(m, ms*1e6)
		sum.take(c)
	}
	record(Connect, 1)
	record(InterArrival, 2)
	record(InterArrival, 4)
	record(Connect, 1)
	if metric, q, _ := sum.step.take(); metric != InterArrival || q.Samples != 2 || q.Max/1e6 != 4 {
		t.Errorf("%s: %+v", metric, q)
	}
	if _, q, _ := sum.step.take(); q != (Quantiles{}) {
		t.Errorf("the next step begins with %+v", q)
	}
	record(Delivery, 7)
	record(InterArrival, 2)
	if metric, q, _ := sum.step.take(); metric != Delivery || q.Samples != 1 {
		t.Errorf("%s: %+v", metric, q)
	}
}

func TestErrorLog(t *testing.T) {
	var log errorLog
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for code := range 200 {
				log.add(int64(code), &client.Error{Class: client.ClassCloseCode, Code: 4000 + code, Detail: strings.Repeat("ü", 300)}, "")
			}
			for range 50 {
				log.add(int64(time.Hour), &client.Error{Class: client.ClassEOF, Err: errors.New("cut")}, "")
			}
		})
	}
	group.Wait()
	all := log.all()
	if len(all) > maxErrorGroups+1 {
		t.Errorf("%d groups", len(all))
	}
	total := uint64(0)
	for i, g := range all {
		total += g.Count
		if i > 0 && g.Count > all[i-1].Count {
			t.Error("not the most frequent first")
		}
		if len(g.Text) > maxErrorText || !utf8.ValidString(g.Text) || g.Text == "" || g.First > g.Last {
			t.Errorf("%+v", g)
		}
	}
	if total != 4*250 || all[0].Key != client.ClassOther.String() {
		t.Errorf("%d errors, most of them %s", total, all[0].Key)
	}
	all[0].Count = 0
	if log.all()[0].Count == 0 {
		t.Error("the groups are not a copy")
	}
}

// TestEchoesAreBounded: a server that never answers makes a connection remember the newest messages only.
func TestEchoesAreBounded(t *testing.T) {
	var e echoes
	for n := range uint64(5000) {
		e.add(awaited{content: n / 2, number: n})
	}
	if len(e.list) != maxPending {
		t.Errorf("%d are waited for", len(e.list))
	}
	e.drop(4999)
	for _, row := range []struct {
		name    string
		content uint64
		number  uint64
		want    match
	}{
		{"an old one", 100, 0, noMatch},
		{"the first of two", 2498, 4996, oldestOf},
		{"the second", 2498, 4997, onlyMatch},
		{"a third", 2498, 0, onceTooOften},
		{"one of which the other was dropped", 2499, 4998, onlyMatch},
		{"the one that was dropped", 2499, 0, onceTooOften},
	} {
		if a, got := e.match(row.content); got != row.want || a.number != row.number {
			t.Errorf("%s: number %d, %d; want %d, %d", row.name, a.number, got, row.number, row.want)
		}
	}
	for range lately {
		e.add(awaited{content: 1})
		e.match(1)
	}
	if _, got := e.match(2498); got != noMatch {
		t.Error("what came long ago is still known")
	}
	if e.add(awaited{content: 7}); len(e.list) == 0 {
		t.Error("nothing is waited for")
	}
	e.clear()
	if _, got := e.match(7); got != noMatch {
		t.Error("what was sent on a stream that is gone is waited for")
	}
}

// TestFeedsAreBounded: a server that makes up a source for every event doesn't fill the memory, and is reported.
func TestFeedsAreBounded(t *testing.T) {
	r, s := newTestSubscriber(t, Plan{Stages: []Stage{{0, 1}}, Duration: time.Hour})
	for n := range 1000 {
		stamp := client.Stamp{Run: 7, Source: uint32(n), Seq: 1}
		s.Received(&client.Event{Data: client.AppendStamp(nil, stamp), Arrival: client.Arrival{User: time.Now()}})
	}
	if len(r.feeds) != maxFeeds || len(s.tracked) != maxFeeds || !r.crowded.Load() {
		t.Errorf("%d feeds, %d tracked", len(r.feeds), len(s.tracked))
	}
	result := r.result()
	checkTexts(t, "warnings", result.Warnings, "there were more than "+strconv.Itoa(maxFeeds)+" sequences; loss in the others is not counted")
}

// TestErrorHints: what helps a stream helps neither a publisher nor the clock.
func TestErrorHints(t *testing.T) {
	stream := ErrorGroup{Class: client.ClassStatus, Code: 401, Key: "status 401"}
	publish, clock := stream, stream
	publish.Key, clock.Key = "publish status 401", "clock status 401"
	if s, p, c := stream.Hint(), publish.Hint(), clock.Hint(); !strings.Contains(s, "--bearer)") || !strings.Contains(p, "--publish-header") || !strings.Contains(c, "--clock") {
		t.Errorf("%q, %q, %q", s, p, c)
	}
}

// A payload of zeros is no stamp, although none was read before it.
func TestLastStamp(t *testing.T) {
	var l lastStamp
	zeros := make([]byte, 2*client.StampLen)
	if pos, ok := l.find(zeros, 0); ok {
		t.Errorf("%+v in zeros, at %d", l.Stamp, pos)
	}
	want := client.Stamp{Run: 1, Source: 2, Seq: 3, Due: 4, Sent: 5}
	data := append([]byte("a "), client.AppendStamp(nil, want)...)
	for range 2 {
		if pos, ok := l.find(data, 0); !ok || pos != 2 || l.Stamp != want {
			t.Errorf("%+v at %d, %v", l.Stamp, pos, ok)
		}
	}
	if pos, ok := l.find(zeros, 2); ok {
		t.Errorf("%+v in zeros, at %d", l.Stamp, pos)
	}
}
