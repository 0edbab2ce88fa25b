package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// warnings is what the reader of a result must know.
func (r *run) warnings(result *Result) (list []Warning) {
	warn := func(advice, format string, args ...any) {
		list = append(list, Warning{Text: fmt.Sprintf(format, args...), Advice: advice})
	}
	count := result.Count
	stopped := Warning{fmt.Sprintf(stoppedText, result.Health.Stalled.Round(time.Millisecond)), stoppedAdvice}
	if result.Health.Stalled > 0 && result.Verdict == NoVerdict && !slices.Contains(result.Doubts, stopped) {
		list = append(list, stopped)
	}
	if why := r.clocks.unanswered(); why != "" {
		warn("check --clock and --clock-field", "%s", why)
	}
	if result.Peak < result.Planned && result.Peak > 0 && !r.plan.Streams {
		warn("the errors below say why; a longer ramp (--connect-rate, --stage) may help",
			"only %d of %d connections were ever open at once", result.Peak, result.Planned)
	}
	if n := len(result.Annotations); n > 0 || result.Stop == StopFinished {
		text := "the run was ended by hand"
		if n > 0 {
			text = fmt.Sprintf("the run was steered by hand (%s): it is of no plan that could be made again", times(n))
		}
		warn("compare it with nothing", "%s", text)
	}
	if count(Received) == 0 && count(Opened) > 0 {
		advice := "does the server send without being asked? --debug shows one connection"
		if r.own != nil {
			advice = "does what is published reach these connections? The errors of publishing say if it was refused"
		}
		warn(advice, "connections opened, but nothing was received")
	}
	if n := r.leftEmpty(); n > 0 {
		warn("are they subscribed to the same? Where that is measured, lost is what they surely should have received", "%s received nothing, though others did", quantity(n, "connection", "connections"))
	}
	if r.cutoff > 0 {
		warn("a run that ends by itself waits for them", "the run was stopped while something was still under way: what was due in the last %v of it, and had not come, is left out",
			time.Duration(r.drainedAt-r.cutoff).Round(time.Millisecond))
	}
	if n := count(Unstamped); n > 0 {
		warn("compare --stamp with one event as --debug shows it", "%d of %d events had no stamp at %s", n, count(Received), r.plan.Stamp)
	}
	if n := r.tally.nameless; r.own == nil && count(Sent) == 0 && result.Unmeasured[Lost] == "" && n > count(Opened) && n*100 > count(Received) {
		warn("have the server number all of them, or say with --seq where they have a number", "%d of %d events carry no id or number: whether any such was lost is in no count", n, count(Received))
	}
	if unit, coarse := r.coarse(result); coarse {
		warn("stamp events in microseconds, or have rtbench publish (--publish)", "the server's stamps are whole multiples of %v: a delivery may look longer than it was by up to that much", unit)
	}
	if n := count(Unsent); n > 0 {
		what := "messages"
		advice := "use more connections, a lower --rate, or look at the errors: a message is not sent while its connection is down"
		switch {
		case r.plan.Streams:
			what, advice = "streams", "allow more of them at a time with --connections"
		case len(r.posts) > 0 && n <= count(PublishErrors): // each was tried
			advice = "the errors of publishing below say why, and what to try"
		case len(r.posts) > 0:
			advice = "use more publishers, a lower --rate, or look at the errors: a publisher has at most 256 messages under way"
		}
		warn(advice, "%d of %d %s that were due could not be sent", n, count(Due), what)
	}
	if why := r.tally.leads.apart(true); why != "" && result.Histogram(Delivery) == nil {
		warn(askClock, "%s: no delivery could be timed, and %d timings were out of range", why, count(OutOfRange))
	} else if n := count(OutOfRange); n > 0 {
		warn("are the clocks of server and client in step, and is --stamp the time of sending?",
			"%d timings were negative or over an hour and are left out", n)
	}
	if n := count(StreamsStarted) - count(StreamsDone) - count(StreamsFailed); n > 0 {
		warn("a longer --drain waits for more of them", "%s not ended when the run did, and %s", quantity(n, "stream had", "streams had"), map[bool]string{true: "counts neither as done nor as failed", false: "count neither as done nor as failed"}[n == 1])
	}
	if d := result.Drift; d != nil {
		warn("measure for longer after a longer --warmup, or find what changes: the figures depend on how long the run was",
			"NON-STATIONARY: p%g of %s %s over the window (p = %.2g)", 100*d.Q, d.Metric, d.Change(), d.P)
	}
	if result.Verdict == Saturated {
		list = append(list, r.saturated(result))
	}
	if r.batched(result) {
		warn("does the server, or a proxy on the way, gather events before it sends them? each is timed by the last byte of its read",
			"batched delivery: %s of the events arrived together with others, though the tester was there in time", percentText(result.Health.Shared))
	}
	list = append(list, r.lossWarnings(result)...)
	down, left, quiet := r.unrecovered()
	if down > 0 {
		advice := "a longer run may see the end of it"
		if len(result.Errors) > 0 {
			advice = "the errors below say why; " + advice
		}
		warn(advice, "%s not open again when the run ended; in outage %s as longer than any that ended",
			quantity(down, "connection had dropped and was", "connections had dropped and were"), counting(down))
	}
	if n := r.deafAtEnd; n > 0 {
		warn("--idle-timeout says after what silence a client gives a connection up, and auto learns that from heartbeats; in outage "+counting(n)+" as longer than any that ended",
			"%s of which the run itself had made black holes had not noticed it when the run ended", quantity(n, "connection", "connections"))
	}
	if left > 0 {
		warn("does the server know them as subscribers after they came back?", "%s open again after a drop, but had received nothing live when the run ended, though others had; in outage %s as longer than any that ended",
			quantity(left, "connection was", "connections were"), counting(left))
	}
	if slices.ContainsFunc(r.plan.Thresholds, func(t Threshold) bool { return t.OrMax }) && count(Drops)+count(Broken) == 0 {
		warn("was there a deploy, and do connections go through what was deployed?", "no connection dropped: nothing was seen of a deploy")
	}
	if r.blind > 0 && r.unseen == "" {
		warn("a longer run sees what becomes of it", "no connection was there in the last %v of the window: what was published then, and nobody saw, is in no count", r.blind.Round(time.Millisecond))
	}
	if quiet > 0 {
		warn("a longer run may see one", "%s open again after a drop, but no live event had come when the run ended; outage leaves %s out",
			quantity(quiet, "connection was", "connections were"), map[bool]string{true: "it", false: "them"}[quiet == 1])
	}
	if n := r.unheld(); n > 0 && result.Histogram(LagBehindFirst) != nil {
		warn("use fewer connections, or a lower rate of events", "%d arrivals came too late to be held against the first one; lag_behind_first leaves them out", n)
	}
	if r.crowded.Load() {
		warn("subscribe each connection to fewer topics", "there were more than %d sequences; loss in the others is not counted", maxFeeds)
	}
	if r.unechoed() {
		warn("an echo is known by {{.Stamp}} in the message, or by coming back unchanged", "%s", unechoedText)
	}
	if r.broadcast.Load() && r.own == nil {
		warn("is this a chat, where all are to receive what one sends? --chat counts that", "connections received each other's messages, which are in received, and not in expected or delivered")
	}
	if r.own != nil && count(Received) > 0 && count(Sent) > count(PublishErrors) && r.own.distinct.Load() == 0 {
		warn("does what is published reach these connections, with {{.Stamp}} in it? --debug shows an event, --token says where its stamp is",
			"nothing that was published was recognised in what was received")
	}
	return list
}

// coarseness is how many times the unit of the stamps a delivery is at least, where that unit is no matter.
const coarseness = 20

// coarse reports whether the unit that a server's stamps are cut to is a part of what its deliveries seem to take.
func (r *run) coarse(result *Result) (unit time.Duration, ok bool) {
	looked := 0
	for i := range r.recorder.shards {
		s := &r.recorder.shards[i]
		s.mu.Lock()
		if g := s.grain; g.looked > 0 && (looked == 0 || g.unit < int64(unit)) {
			unit = time.Duration(g.unit)
		}
		looked += s.grain.looked
		s.mu.Unlock()
	}
	if looked < enoughStamps || result.Histogram(Delivery) == nil {
		return 0, false
	}
	median := result.Estimate(Delivery, .5)
	return unit, median.Value > 0 && time.Duration(median.Value) < coarseness*unit
}

// lossWarnings are those about loss that isn't counted, where something that is printed seems to hold it.
func (r *run) lossWarnings(result *Result) (list []Warning) {
	advice := "declare consecutive numbers with --seq, or subscribe more connections that aren't all dropped at once"
	if r.renumbered() {
		advice = "let the server go on counting where it was, or measure each part for itself"
	}
	feeds, dark := 0, 0
	for _, f := range r.allFeeds() {
		if f.met.Load() || f.own != nil {
			if feeds++; !r.trusts(f) {
				dark++
			}
		}
	}
	why, unmeasured := result.Unmeasured[Lost]
	if dark > 0 && dark < feeds && !unmeasured {
		list = append(list, Warning{fmt.Sprintf("loss is not measurable in %d of %d sequences of events: what is counted is that of the others", dark, feeds), advice})
	}
	undisturbed := result.Count(Drops)+result.Count(Broken) == 0
	share := float64(r.inferred.lost) / max(1, float64(r.inferred.lost+r.inferred.delivered))
	if !unmeasured && undisturbed && share > apartLoss {
		list = append(list, Warning{fmt.Sprintf("lost is what only other connections received, %s of all: where not every event is for every connection, that isn't loss", percentText(share)),
			"is every connection to receive every event? --seq id says so of ids that are consecutive; measure one room, or user, at a time"})
	}
	if lost := float64(r.lostPairs) / max(1, float64(result.Count(Expected))); r.own != nil && !unmeasured && (lost > .5 && undisturbed || lost > apartLoss && disjoint(r.views(r.own))) {
		list = append(list, Warning{fmt.Sprintf("lost takes each message that was published for one to every connection, and %s of them never came: where it is for a room, or a user, that isn't loss", percentText(lost)),
			"does each message go to all? Measure one room, or user, at a time"})
	}
	if span, nobody := r.unused(); !unmeasured && undisturbed && nobody*2 > span {
		list = append(list, Warning{fmt.Sprintf("%d of %d numbers from the first to the last came to nobody", nobody, span), "are they consecutive for each connection, as --seq says? Of those that aren't, loss can't be told"})
	}
	if headline, ok := result.Headline(); ok && unmeasured && result.Count(Drops) > 0 && slices.Contains(lossy[:], headline) {
		list = append(list, Warning{fmt.Sprintf("the quantiles of %s can't hold what was lost: %s dropped, and loss is not measurable: %s", headline, quantity(result.Count(Drops), "connection", "connections"), why), advice})
	}
	return list
}

// unused is how many numbers of those sequences that are declared to be consecutive nobody has seen, from the first to the last
// that anybody has, of how many.
func (r *run) unused() (span, nobody uint64) {
	lowest := make(map[*feed]uint64)
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		for i := range s.tracked {
			if t := &s.tracked[i]; t.key.kind == byNumber && t.tracker.unique > 0 {
				lowest[t.feed] = min(cmp.Or(lowest[t.feed], t.tracker.base), t.tracker.base)
			}
		}
		s.shard.mu.Unlock()
	}
	for f, first := range lowest {
		if !f.apart.Load() && f.shared() {
			all := f.line.Load() - first
			span += all
			nobody += all - min(all, f.distinct.Load())
		}
	}
	return span, nobody
}

// quantity is a number with what it counts: one of it, or more.
func quantity(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// counting says that so many count.
func counting(n uint64) string {
	if n == 1 {
		return "it counts"
	}
	return "they count"
}

// lossy are the timings in whose quantiles what never came counts.
var lossy = [...]Metric{Delivery, RoundTrip, LagBehindFirst}

// slowLag is the p99 of client_lag beyond which the tester itself is too slow, and not only late for a burst.
const slowLag = int64(time.Millisecond)

// saturated says why nobody can tell when events arrived, as far as the evidence goes: where the tester was never
// stopped, and is soon there, it needn't be the tester.
func (r *run) saturated(result *Result) Warning {
	lag, stalled := result.Histogram(ClientLag), result.Health.Stalled
	text := fmt.Sprintf("CLIENT-SATURATED: nobody can tell when events arrived: %s of them shared a read, and client_lag p99 is %v",
		percentText(max(0, result.Health.Shared)), lagText(lag))
	slow := lag == nil || p99(lag) > slowLag
	if stalled > 0 {
		advice := "was it stopped, or the whole machine? Measure again"
		if slow {
			advice += ", or " + r.relief()
		}
		return Warning{fmt.Sprintf("%s; the tester stood still for %v", text, stalled.Round(time.Millisecond)), advice}
	}
	text += "; the tester never stood still, and a burst of several events at once, as of a server that catches up or a proxy that batches, looks the same"
	var advice string
	if x := result.Resumption; x != nil && x.Replayed > 0 {
		advice = fmt.Sprintf("%d events were replayed after drops, each time several at once: does a run without drops say the same?", x.Replayed)
	} else if gaps := result.Histogram(InterArrival); gaps != nil {
		advice = fmt.Sprintf("look at max(inter_arrival), %v: did the server, or a proxy on the way, send nothing for so long?", time.Duration(Most(gaps)).Round(10*time.Microsecond))
	} else {
		advice = "does the server, or a proxy on the way, gather events before it sends them?"
	}
	if slow {
		advice += " Else " + r.relief()
	}
	return Warning{text, advice}
}

// relief is what a tester that can't follow is to be spared.
func (r *run) relief() string {
	advice := "give the tester processors of its own (taskset, another machine)"
	if rate := r.times.sends.Rate(r.times.begin); rate >= highRate {
		advice = fmt.Sprintf("send at a lower rate than %.4g/s, or ", rate) + advice
	}
	if peak := r.plan.Peak(); peak > 1 {
		advice = fmt.Sprintf("use fewer connections than %d, or ", peak) + advice
	}
	return advice
}

func lagText(lag *hdrhistogram.Histogram) string {
	if lag == nil {
		return "not known"
	}
	return time.Duration(p99(lag)).Round(time.Microsecond).String()
}

// batched reports whether events came several at a time to a tester that wasn't late for them.
func (r *run) batched(result *Result) bool {
	lag, m := result.Histogram(ClientLag), result.Verdict
	return m == UpperBound && result.Clock == nil && lag != nil && result.Health.Shared > sharedLimit*(1-.99) && result.Health.Unstamped <= unstampedLimit
}

// unrecovered counts the connections that dropped and aren't open again, and those that are but have not received anything
// live since: those that were left out, since others have, and those of which that can't be said.
func (r *run) unrecovered() (down, left, quiet uint64) {
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		switch {
		case s.dropped == never, s.retired:
		case s.failedAt >= s.reopened:
			down++
		case s.leftOut():
			left++
		default:
			quiet++
		}
		s.shard.mu.Unlock()
	}
	return down, left, quiet
}

// leftOut reports whether others have received something that was published, before the window ended, a while after the
// stream in use was opened. The shard's mutex must be held.
func (s *subscriber) leftOut() bool {
	for i := range s.tracked {
		if s.tracked[i].feed.newest() > max(s.reopened+int64(race), s.latest) {
			return true
		}
	}
	return false
}

// leftEmpty counts the connections that received nothing at all, though others did a while after they were open.
func (r *run) leftEmpty() (n uint64) {
	newest := int64(math.MinInt64)
	for _, f := range r.allFeeds() {
		newest = max(newest, f.newest())
	}
	for _, s := range r.everybody() {
		s.shard.mu.Lock()
		if s.latest == 0 && !s.slow && !s.retired && s.opened != never && s.opened+int64(race) < newest {
			n++
		}
		s.shard.mu.Unlock()
	}
	return n
}

// unheld counts the arrivals of which it isn't known any more when the first connection had them.
func (r *run) unheld() (n uint64) {
	for _, f := range r.allFeeds() {
		n += f.unheld.Load()
	}
	return n
}
