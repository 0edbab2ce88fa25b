package cmd

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// findings are what is measured besides the pairs, once of each side; nil where it wasn't.
type findings struct {
	resuming   [2]*bench.Result // every connection is reset, and says where it goes on
	forgetting [2]*bench.Result // likewise, and doesn't
	fast       [2]*bench.Result // more often
	many       [2]*bench.Result // to many connections
	binary     [2]*bench.Result // binary payloads
}

// The loads of what is measured besides.
const (
	faster       = 5
	manyReaders  = 1000
	binaryRate   = 50
	binarySize   = 1024
	downtime     = 300 * time.Millisecond // how long clients stay away in the drop
	dropDuration = 2500 * time.Millisecond
)

// A proof is one thing that is measured of both sides.
type proof struct {
	what  string
	to    *[2]*bench.Result
	trial measuring
}

// prove measures what people say of the two protocols, as far as the sides allow it.
func (c *comparing) prove(ctx context.Context) error {
	type step struct {
		proof
		side int
	}
	var steps []step
	for _, p := range c.proofs() {
		for i, side := range c.sides {
			if p.to != &c.proof.resuming || side.resumes(p.trial) {
				steps = append(steps, step{p, i})
			}
		}
	}
	for n, s := range steps {
		side := c.sides[s.side]
		c.proving(n, len(steps))
		c.begins("%s, %s", side.name, s.what)
		result, err := side.run(ctx, s.trial)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.unproved(side, s.proof, err.Error())
			continue
		}
		c.say(false, fmt.Sprintf("         %-10s  %s", side.name, s.what))
		if why := report.Failed(result); why != "" {
			c.unproved(side, s.proof, why)
			continue
		}
		s.to[s.side] = result
	}
	return nil
}

// unproved says that something couldn't be measured.
func (c *comparing) unproved(side *contender, p proof, why string) {
	c.result.Warnings = append(c.result.Warnings, bench.Warning{Text: fmt.Sprintf("%s, %s: %s", side.name, p.what, why), Advice: "what rests on it can't be told"})
}

// proofs lists what is measured besides the pairs. Of a target that isn't ours nothing more is asked than the user did.
func (c *comparing) proofs() []proof {
	with := c.trial()
	with.duration = max(with.duration, dropDuration)
	with.flags = slices.Concat(with.flags, []string{"--drop", "all@500ms:rst", "--reconnect", "fixed", "--reconnect-wait", downtime.String()})
	if c.reference {
		with.load.binary, with.load.up = false, false // as the reference server resumes them
	}
	without := with
	without.forgets = true
	list := []proof{
		{"every connection reset, resuming", &c.proof.resuming, with},
		{"every connection reset, not resuming", &c.proof.forgetting, without},
	}
	if !c.reference {
		return list
	}
	fast, many, binary := c.trial(), c.trial(), c.trial()
	fast.load.rate *= faster
	many.load = many.load.times(manyReaders, max(1, math.Round(c.load.rate*float64(c.load.connections)/manyReaders)))
	binary.load.up, binary.load.binary, binary.load.rate, binary.load.size = false, true, binaryRate, binarySize
	list = append(list, proof{fmt.Sprintf("%d times as often", faster), &c.proof.fast, fast}, proof{"binary payloads", &c.proof.binary, binary})
	if c.load.connections < manyReaders {
		list = append(list, proof{fmt.Sprintf("%d connections", manyReaders), &c.proof.many, many})
	}
	return list
}

// claim holds what people say of the protocols against what was measured.
func (c *comparing) claim() {
	c.result.Claims = []report.Claim{c.framing(), c.latency(), c.memory()}
	if c.flags.evidence {
		c.result.Claims = append(c.result.Claims, c.reconnecting(), c.resumption(), c.frequency(), c.inBinary())
	}
	c.result.Claims = append(c.result.Claims, c.capacity())
	c.advise()
}

// contrast finds one of the comparison's figures; nil where it couldn't be compared.
func (c *comparing) contrast(name string) *report.Contrast {
	i := slices.IndexFunc(c.result.Contrasts, func(x report.Contrast) bool { return x.Name == name })
	if i < 0 || c.result.Contrasts[i].Unknown != "" {
		return nil
	}
	return &c.result.Contrasts[i]
}

// told is a claim that could be held against something.
func told(name, claim string, holds bool, format string, args ...any) report.Claim {
	verdict := report.HoldsNot
	if holds {
		verdict = report.Holds
	}
	return report.Claim{Name: name, Claim: claim, Verdict: verdict, Figures: fmt.Sprintf(format, args...)}
}

// untold is one that couldn't.
func untold(name, claim, why, format string, args ...any) report.Claim {
	return report.Claim{Name: name, Claim: claim, Verdict: report.Untellable, Why: why, Figures: fmt.Sprintf(format, args...)}
}

func byteText(n float64) string { return report.Scale(n, bench.ByteCount) }

// anEvent is how many bytes the framing of an event takes, and how many are its own, on average over trials: each trial's
// wire is held against what that very trial received, since payloads may differ between two.
func anEvent(trials []*bench.Result) (framing, payload float64) {
	for _, r := range trials {
		own := float64(r.Count(bench.Bytes)) / float64(max(1, r.Count(bench.Received)))
		framing += (report.WireAnEvent(r) - own) / float64(len(trials))
		payload += own / float64(len(trials))
	}
	return framing, payload
}

const (
	leastFrame, mostFrame = 2, 14 // bytes of a WebSocket frame's head
	frameSlack            = 1     // of it, pings and the like
)

func (c *comparing) framing() report.Claim {
	const claim = "A WebSocket frame costs 2 to 14 bytes; an SSE event costs more."
	if c.contrast("bytes in an event") == nil {
		return untold("framing", claim, "the bytes of an event can't be compared", "")
	}
	sse, ofSSE := anEvent(c.fit[0])
	ws, ofWS := anEvent(c.fit[1])
	figures := fmt.Sprintf("framing of an event: SSE %.1f B, WebSocket %.1f B, over payloads of %.0f and %.0f B", sse, ws, ofSSE, ofWS)
	if i, o := c.contrast("handshake bytes in"), c.contrast("handshake bytes out"); i != nil && o != nil {
		figures += fmt.Sprintf("; a handshake: SSE %s out and %s in, WebSocket %s and %s", byteText(o.A), byteText(i.A), byteText(o.B), byteText(i.B))
	}
	if slices.ContainsFunc([]*bench.Result{c.fit[0][0], c.fit[1][0]}, func(r *bench.Result) bool { h := r.Histogram(bench.TLS); return h != nil && h.TotalCount() > 0 }) {
		return untold("framing", claim, "the records of TLS are in the bytes", "%s", figures)
	}
	return told("framing", claim, sse > ws && ws >= leastFrame-frameSlack && ws <= mostFrame+frameSlack, "%s", figures)
}

// equivalent is within which share two latencies are the same for a user.
const equivalent = .1

// slightly is by which share a latency is slightly higher than another, at most.
const slightly = .5

// latencies are the two figures of the latency; ok is false where none is known: how events follow each other is no latency.
func (c *comparing) latencies() (list []report.Contrast, ok bool) {
	list = c.result.Contrasts[:2]
	for _, m := range []bench.Metric{bench.Delivery, bench.RoundTrip} {
		if strings.HasPrefix(list[0].Name, m.String()+" ") {
			return list, true
		}
	}
	return nil, false
}

func (c *comparing) latency() report.Claim {
	const claim = "SSE has a slightly higher latency than WebSocket."
	var parts []string
	higher, lower, same, slight := false, false, true, true
	latencies, ok := c.latencies()
	if !ok {
		return untold("latency", claim, "no event says when it was published: --stamp says where, or --publish has rtbench publish", "")
	}
	for _, x := range latencies {
		if x.Unknown != "" {
			same = false
			continue
		}
		parts = append(parts, fmt.Sprintf("%s: WebSocket takes %.2f × SSE's (95 %%: %.2f–%.2f)", x.Name, x.Ratio, x.Low, x.High))
		higher, lower = higher || x.Different() && x.Ratio < 1, lower || x.Different() && x.Ratio > 1
		slight = slight && (!x.Different() || x.Ratio > 1/(1+slightly))
		same = same && x.Low > 1/(1+equivalent) && x.High < 1+equivalent
	}
	figures := strings.Join(parts, "; ")
	switch {
	case len(parts) == 0:
		return untold("latency", claim, latencies[0].Unknown, "")
	case higher && lower:
		return untold("latency", claim, "by one quantile it is, and by another one it isn't", "%s", figures)
	case higher && !slight:
		return told("latency", claim, false, "%s: higher, and by far more than slightly", figures)
	case higher, lower, same:
		return told("latency", claim, higher, "%s", figures)
	}
	return untold("latency", claim, "no difference is significant, and one of a tenth might not have shown: more --pairs, or a longer --duration", "%s", figures)
}

func (c *comparing) memory() report.Claim {
	const claim = "SSE takes less memory than WebSocket for many listeners."
	var parts []string
	for i, r := range c.proof.many {
		if r == nil {
			continue
		}
		if bytes, ok := r.Target.PerConnection(r.Peak); ok {
			parts = append(parts, fmt.Sprintf("%s: %s of the server's for each of %d", c.sides[i].name, byteText(float64(bytes)), r.Peak))
		}
		if base := c.fit[i][0]; r.Environment.MaxRSS > base.Environment.MaxRSS && r.Peak > base.Peak {
			parts = append(parts, fmt.Sprintf("%s of the client's", byteText(float64(r.Environment.MaxRSS-base.Environment.MaxRSS)/float64(r.Peak-base.Peak))))
		}
	}
	if x := c.contrast("server memory a connection"); x != nil {
		parts = append(parts, fmt.Sprintf("with %d connections, WebSocket takes %.2f × SSE's (95 %%: %.2f–%.2f)", c.fit[0][0].Peak, x.Ratio, x.Low, x.High))
		figures := strings.Join(parts, "; ")
		if x.Different() {
			return told("memory", claim, x.Ratio > 1, "%s", figures)
		}
		return untold("memory", claim, "the difference is not significant", "%s", figures)
	}
	why := "nobody asked the server (--target-pid, --target-metrics)"
	if c.fit[0][0].Target != nil {
		why = "its memory did not grow in every trial"
	}
	return untold("memory", claim, why, "%s", strings.Join(parts, "; "))
}

// lossText says what a drop cost.
func lossText(r *bench.Result) string {
	lost := fmt.Sprintf("%d lost", r.Count(bench.Lost))
	if why, unmeasured := r.Unmeasured[bench.Lost]; unmeasured {
		lost = "loss not measurable: " + why
	}
	if h := r.Histogram(bench.Outage); h != nil && h.TotalCount() > 0 {
		lost += ", back after " + report.Scale(float64(h.ValueAtQuantile(50)), bench.Nanoseconds)
	}
	return lost
}

func (c *comparing) reconnecting() report.Claim {
	const claim = "SSE reconnects and goes on by itself; WebSocket needs code for it."
	with, without := c.proof.resuming[0], c.proof.forgetting[1]
	var parts []string
	for _, x := range []struct {
		what string
		r    *bench.Result
	}{{"SSE with Last-Event-ID", with}, {"SSE without", c.proof.forgetting[0]}, {"WebSocket that resumes", c.proof.resuming[1]}, {"WebSocket that doesn't", without}} {
		if x.r != nil {
			parts = append(parts, x.what+": "+lossText(x.r))
		}
	}
	figures := strings.Join(parts, "; ")
	if figures != "" {
		figures += fmt.Sprintf(" (p50, of which clients wait %v)", downtime)
	}
	if with == nil || without == nil || with.Unmeasured[bench.Lost] != "" || without.Unmeasured[bench.Lost] != "" {
		return untold("reconnecting", claim, "what a drop cost could not be measured of both", "%s", figures)
	}
	if without.Count(bench.Lost) == 0 && c.proof.forgetting[0] != nil && c.proof.forgetting[0].Count(bench.Lost) == 0 {
		return untold("reconnecting", claim, "nothing was lost without resuming either: was nothing published meanwhile?", "%s", figures)
	}
	return told("reconnecting", claim, with.Count(bench.Lost) == 0 && without.Count(bench.Lost) > 0, "%s", figures)
}

func (c *comparing) resumption() report.Claim {
	const claim = "Last-Event-ID resumes exactly where a stream stopped."
	r := c.proof.resuming[0]
	if r == nil || r.Resumption == nil || r.Resumption.Judged == 0 && r.Resumption.Why == "" {
		return untold("resumption", claim, "no stream was opened again after a drop", "")
	}
	x := r.Resumption
	figures := ""
	if x.Judged > 0 {
		figures = fmt.Sprintf("%s: %d of %d resumes went on exactly after the last event, with at least %d events replayed", x.Verdict, x.Correct, x.Judged, x.Replayed)
	}
	if most, ok := x.AtMost(); ok {
		figures += fmt.Sprintf("; at most %s do not (95 %%)", report.Scale(most, bench.Fraction))
	}
	if x.Verdict == bench.Undecidable {
		return untold("resumption", claim, x.Why, "%s", figures)
	}
	return told("resumption", claim, x.Verdict == bench.ExactlyOnce && x.Correct == x.Judged, "%s", figures)
}

// cost is the processor time of client and server for an event, ns; ok is false where it isn't known.
func cost(r *bench.Result) (ns float64, ok bool) {
	if r == nil {
		return 0, false
	}
	client, known := r.CPUPerEvent()
	server, ok := r.Target.PerEvent(r.Window, r.End-r.Begin)
	return client + float64(server), known && ok
}

// telling is by which share a figure that was measured once must differ to say anything.
const telling = .25

func (c *comparing) frequency() report.Claim {
	const claim = "WebSocket is better for frequent small messages, SSE for broadcasting to many."
	var parts []string
	ratios := map[string]float64{} // WebSocket's to SSE's
	if client, server := c.contrast("client CPU an event"), c.contrast("server CPU an event"); client != nil && server != nil {
		parts = append(parts, fmt.Sprintf("as measured above: SSE %.1f s, WebSocket %.1f s", (client.A+server.A)/1e3, (client.B+server.B)/1e3))
	}
	for _, x := range []struct {
		what string
		of   [2]*bench.Result
	}{{fmt.Sprintf("%d times as often", faster), c.proof.fast}, {fmt.Sprintf("to %d connections", manyReaders), c.proof.many}} {
		sse, ok := cost(x.of[0])
		ws, also := cost(x.of[1])
		if ok && also {
			parts = append(parts, fmt.Sprintf("%s: SSE %.1f s, WebSocket %.1f s", x.what, sse/1e3, ws/1e3))
			ratios[x.what] = ws / sse
		}
	}
	figures := ""
	if len(parts) > 0 {
		figures = "processor time of client and server for a million events, " + strings.Join(parts, "; ") + "; but for the first, each was measured once"
	}
	if len(ratios) < 2 {
		return untold("frequency", claim, "the processor time of client and server isn't known at every load", "%s", figures)
	}
	often, wide := ratios[fmt.Sprintf("%d times as often", faster)], ratios[fmt.Sprintf("to %d connections", manyReaders)]
	clear := func(ratio float64) int { // whose cost is clearly less: -1 WebSocket's, 1 SSE's
		switch limit := math.Log(1 + telling); {
		case math.Log(ratio) < -limit:
			return -1
		case math.Log(ratio) > limit:
			return 1
		}
		return 0
	}
	switch o, w := clear(often), clear(wide); {
	case o < 0 && w > 0:
		return told("frequency", claim, true, "%s", figures)
	case o == 0 && w == 0:
		return told("frequency", claim, false, "%s: neither differs by a quarter", figures)
	case o >= 0 && w <= 0:
		return told("frequency", claim, false, "%s", figures)
	}
	return untold("frequency", claim, "one half of it does, and the other one doesn't", "%s", figures)
}

func (c *comparing) inBinary() report.Claim {
	const claim = "Binary payloads need WebSocket: SSE must send them as base64."
	sse, ws := c.proof.binary[0], c.proof.binary[1]
	if sse == nil || ws == nil {
		return untold("binary", claim, "only the reference server has binary payloads over both; a URL for each with the same payload would tell", "")
	}
	in := report.WireAnEvent
	figures := fmt.Sprintf("%d bytes are %.0f on the wire over SSE and %.0f over WebSocket, %.2f ×", binarySize, in(sse), in(ws), in(sse)/in(ws))
	if x, ok := cost(sse); ok {
		if y, ok := cost(ws); ok {
			figures += fmt.Sprintf("; processor time of client and server for a million: %.1f s and %.1f s", x/1e3, y/1e3)
		}
	}
	return told("binary", claim, in(sse) > in(ws)*4/3*.98, "%s", figures)
}

// A server holds from so many connections on, as people say.
const holds = 10_000

func (c *comparing) capacity() report.Claim {
	const claim = "A server holds 10,000 to 100,000 connections."
	most, broke := 0, ""
	for i := range c.sides {
		for _, r := range append(slices.Clone(c.fit[i]), c.proof.many[i]) {
			if r == nil {
				continue
			}
			if r.Peak > most {
				most, broke = r.Peak, ""
			}
			if r.Count(bench.ConnectErrors) > 0 && len(r.Errors) > 0 {
				broke = r.Errors[0].Text
			}
		}
	}
	figures := fmt.Sprintf("%d at a time were asked of it, and held", most)
	if broke != "" {
		figures = fmt.Sprintf("%d at a time were held; what broke first: %s", most, broke)
	}
	if most < holds {
		return untold("capacity", claim, fmt.Sprintf("no more than %d were asked of it (-c %d)", most, holds), "%s", figures)
	}
	return told("capacity", claim, broke == "", "%s", figures)
}

// advise says which protocol to take, by which rows, and what would change that.
func (c *comparing) advise() {
	if len(c.result.Doubts) > 0 {
		c.result.Advice = []string{"There is no verdict, and so no recommendation: see above what to change."}
		return
	}
	row := func(name string) string {
		if i := slices.IndexFunc(c.result.Claims, func(x report.Claim) bool { return x.Name == name }); i >= 0 {
			return fmt.Sprintf(" (row %d)", i+1)
		}
		return ""
	}
	say := func(format string, args ...any) {
		c.result.Advice = append(c.result.Advice, fmt.Sprintf(format, args...))
	}
	var reasons []string
	forSSE, forWS, unsure := 0, 0, false
	weigh := func(x *report.Contrast, least float64, where string) {
		switch {
		case x == nil || x.Unknown != "":
			unsure = true
		case !x.Different():
			unsure = unsure || x.Low < 1/(1+least) || x.High > 1+least
		case math.Abs(math.Log(x.Ratio)) <= math.Log(1+least):
		case x.Ratio < 1:
			forWS++
			reasons = append(reasons, fmt.Sprintf("WebSocket's %s is %.0f %% less%s", x.Name, 100*(1-x.Ratio), where))
		default:
			forSSE++
			reasons = append(reasons, fmt.Sprintf("SSE's %s is %.0f %% less%s", x.Name, 100*(1-1/x.Ratio), where))
		}
	}
	if latencies, ok := c.latencies(); ok {
		for i := range latencies {
			weigh(&latencies[i], equivalent, row("latency"))
		}
	} else {
		unsure = true
	}
	for _, name := range []string{"server CPU an event", "server memory a connection"} { // the client's are this program's
		weigh(c.contrast(name), telling, map[bool]string{true: row("memory")}[strings.Contains(name, "memory")])
	}
	resumes := slices.ContainsFunc(c.result.Claims, func(x report.Claim) bool { return x.Name == "resumption" && x.Verdict == report.Holds })
	changes := []string{"figures of your own servers, behind your own proxies"}
	if !c.reference {
		changes = nil
	}
	switch {
	case c.load.binary:
		say("Take WebSocket: the payloads are binary, and over SSE they are a third larger%s.", row("binary"))
		changes = append(changes, "payloads that are text")
	case c.load.up && forSSE <= forWS:
		say("Take WebSocket: clients send as well, and over SSE each message is a request of its own%s.", because(reasons))
		changes = append(changes, "clients that seldom send")
	case forWS > forSSE:
		say("Take WebSocket for this workload%s.", because(reasons))
		changes = append(changes, "a difference that matters less to you than that SSE resumes by itself"+row("resumption"))
	case forSSE > forWS:
		say("Take SSE for this workload%s.", because(reasons))
		changes = append(changes, "binary payloads"+row("binary"), "clients that send more than now and then (--direction up)")
	case resumes:
		said := "neither latency nor cost speaks clearly for either side"
		if unsure {
			said = "no difference in latency or cost that would decide it was found, though some of them could not be told well enough"
		}
		say("Take SSE: events go one way, %s%s, and SSE goes on after a drop by itself%s.", said, row("latency"), row("resumption"))
		changes = append(changes, "binary payloads"+row("binary"), "clients that send more than now and then (--direction up)")
	default:
		said := "Neither latency nor cost speaks clearly for either side"
		if unsure {
			said = "No difference in latency or cost that would decide it was found, and some could not be told well enough: more --pairs or a longer --duration"
		}
		say("%s%s. Take what your servers and proxies already do well.", said, row("latency"))
		changes = append(changes, "a server that resumes streams"+row("resumption"), "binary payloads"+row("binary"))
	}
	if len(changes) > 0 {
		say("What would change this: %s.", strings.Join(changes, "; "))
	}
	if c.reference {
		say("This was the reference server on this machine: give the URLs of your own.")
	}
}

func because(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, ", ")
}
