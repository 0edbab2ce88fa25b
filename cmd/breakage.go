package cmd

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// registerBreaking declares the flags of what a run does to its own connections.
func (f *loadFlags) registerBreaking() {
	set := f.set
	f.drops = parsed[bench.Breakage]{kind: "drop", parse: parseDrop, many: true}
	set.Var(&f.drops, "drop", "break connections off: a share of them, so long after measuring began, and how, as `SHARE@TIME[:HOW]`, such as all@30s or 10%@30s:rst; HOW is "+joined(client.Breaks())+" (repeatable)")
	f.churn = parsed[bench.Breakage]{kind: "churn", parse: parseChurn, many: true}
	set.Var(&f.churn, "churn", "break connections off all the time, so many a second, as `SHARE/s[:HOW]`, such as 5%/s (repeatable)")
	f.slow = parsed[slowness]{kind: "slowness", parse: parseSlow}
	set.Var(&f.slow, "slow", "have a share of the connections read slowly, from so long after measuring began or from the start, as `SHARE:SIZE/s[@TIME]`, such as 5%:10k/s@10s; what they do to the others is told apart")
	set.DurationVar(&f.watchDeploy, "watch-deploy", 0, "watch a deploy that is made meanwhile: exit 99 if anything is lost, or p99 of the outages isn't below this `OUTAGE`; measures for "+deployDuration.String()+" unless --duration says otherwise")
	byDefault(set, "watch-deploy", "no")
	heading(set, "breaking off")
}

// deployDuration is how long a deploy is watched.
const deployDuration = 10 * time.Minute

func (f *loadFlags) breakages() []bench.Breakage {
	return append(append([]bench.Breakage(nil), f.drops.values...), f.churn.values...)
}

// parseDrop reads SHARE@TIME[:HOW].
func parseDrop(s string) (bench.Breakage, error) {
	b, rest, err := parseHow(s)
	share, at, found := strings.Cut(rest, "@")
	if err == nil && found {
		if b.Share, err = parseShare(share); err == nil {
			b.At, err = time.ParseDuration(at)
		}
	}
	if err != nil || !found || b.At < 0 || !(b.Share > 0 && b.Share <= 1) {
		return b, fmt.Errorf("%q is not a drop such as all@30s or 10%%@30s:rst; how is %s", s, joined(client.Breaks()))
	}
	return b, nil
}

// parseChurn reads SHARE/s[:HOW].
func parseChurn(s string) (bench.Breakage, error) {
	b, rest, err := parseHow(s)
	share, found := strings.CutSuffix(rest, "/s")
	if err == nil && found {
		b.Share, err = parseShare(share)
	}
	if err != nil || !found || !(b.Share > 0 && b.Share <= 1) {
		return b, fmt.Errorf("%q is not a churn such as 5%%/s or 0.1%%/s:rst; how is %s", s, joined(client.Breaks()))
	}
	b.Churn = true
	return b, nil
}

// parseHow takes the way to break off from the end of a text.
func parseHow(s string) (b bench.Breakage, rest string, err error) {
	b.How = client.BreakFIN
	rest, how, found := strings.Cut(s, ":")
	if found {
		b.How, err = client.ParseBreak(how)
	}
	return b, rest, err
}

// parseShare reads "all" or a percentage.
func parseShare(s string) (float64, error) {
	if s == "all" {
		return 1, nil
	}
	number, found := strings.CutSuffix(s, "%")
	share, err := parseNumber(number)
	if err != nil || !found || math.IsNaN(share) {
		return 0, fmt.Errorf("%q is not a share such as 10%% or all", s)
	}
	return share / 100, nil
}

// backoffs gives the policies that connections have in turn: each policy with each jitter.
func (f *loadFlags) backoffs(policy client.Policy) (list []client.Backoff) {
	policies, jitters := f.reconnect.values, f.jitter.values
	if len(policies) == 0 {
		policies = []client.Policy{policy}
	}
	if len(jitters) == 0 {
		jitters = []client.Jitter{""}
	}
	for _, policy := range policies {
		for _, jitter := range jitters {
			b := client.Backoff{Policy: policy, Base: f.wait, Max: max(f.maxWait, 1), Attempts: f.maxAttempts, Jitter: jitter}
			if f.given("reconnect-wait") {
				b.Base = max(f.wait, 1) // of a Backoff, 0 is the default
			}
			list = append(list, b)
		}
	}
	return list
}

// An idleLimit is how long a stream may be silent.
type idleLimit struct {
	after   time.Duration
	learned bool // from its heartbeats
}

func parseIdleLimit(s string) (idleLimit, error) {
	if s == "auto" {
		return idleLimit{learned: true}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return idleLimit{}, fmt.Errorf("%q is neither a time such as 30s nor auto", s)
	}
	return idleLimit{after: d}, nil
}

// idleTimeout is how long a stream may be silent, before anything is learned; 0 for no limit.
func (f *loadFlags) idleTimeout() time.Duration {
	if idle := f.idle.value(); f.given("idle-timeout") && !idle.learned {
		return idle.after
	}
	return 2 * f.ping
}

// learned says in a result what limit of silence was learned, where one was to be.
func (f *loadFlags) learned(run *report.Run, limit time.Duration) {
	if !f.idle.value().learned {
		return
	}
	said := "nothing learned"
	switch {
	case limit > 0 && limit == f.idleTimeout():
		said += ", " + limit.String() + " by --ping"
	case limit > 0:
		said = limit.Round(time.Millisecond).String() + ", learned from heartbeats"
	default:
		run.Result.Warnings = append(run.Result.Warnings, bench.Warning{
			Text:   "--idle-timeout auto learned nothing: no stream had two heartbeats, which are comments or pings, so that no silence was taken for a dead connection",
			Advice: "say how long a silence may be, such as --idle-timeout 30s, or measure for longer than the server's heartbeats are apart",
		})
	}
	for i := range run.Config.Entries {
		if e := &run.Config.Entries[i]; e.Name == "idle-timeout" {
			e.Value += " (" + said + ")"
		}
	}
}

// A slowness is what --slow says.
type slowness struct {
	share float64
	rate  int // bytes a second
	at    time.Duration
}

// parseSlow reads SHARE:SIZE/s[@TIME].
func parseSlow(s string) (x slowness, err error) {
	what, at, timed := strings.Cut(s, "@")
	share, rate, found := strings.Cut(what, ":")
	size, perSecond := strings.CutSuffix(rate, "/s")
	var bytes sizeValue
	if x.share, err = parseShare(share); err == nil {
		err = bytes.Set(size)
	}
	if err == nil && timed {
		x.at, err = time.ParseDuration(at)
	}
	if x.rate = int(bytes); err != nil || !found || !perSecond || x.at < 0 || !(x.share > 0 && x.share < 1) {
		return x, fmt.Errorf("%q is not a share of slow readers such as 5%%:10k/s or 5%%:10k/s@10s; it must be less than all", s)
	}
	return x, nil
}

// slowness says which connections read slowly, and from when on.
func (f *loadFlags) slowness() bench.Slowness {
	x := f.slow.value()
	return bench.Slowness{Share: x.share, At: x.at}
}

// slowNetwork is what those connect by; nil where there are none.
func (f *loadFlags) slowNetwork() (*client.Net, error) {
	if len(f.slow.values) == 0 {
		return nil, nil
	}
	n, err := f.network()
	if err == nil {
		n.Throttle = &client.Throttle{Rate: f.slow.value().rate}
	}
	return n, err
}

// netOf gives what a connection connects by.
func (t *target) netOf(connection int) *client.Net {
	if t.slow != nil && t.slowness.Is(connection) {
		return t.slow
	}
	return t.net
}
