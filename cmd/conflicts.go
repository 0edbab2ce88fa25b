package cmd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/client"
)

// given reports whether a flag was set, on the command line or by its variable.
func (f *loadFlags) given(name string) bool {
	flag := f.set.Lookup(name)
	return flag != nil && flag.Changed
}

// spelled is how a flag was given: as --NAME, or as its variable.
func (f *loadFlags) spelled(name string) string {
	if variable := f.set.Lookup(name).Annotations[variableKey]; variable != nil {
		return variable[0]
	}
	return "--" + name
}

// A conflict is two flags that can't be given together, unless a third one is.
type conflict struct{ a, b, why, unless string }

// of reports whether it is one of the flags that were given.
func (c conflict) of(given func(name string) bool) bool {
	return given(c.a) && given(c.b) && !given(c.unless)
}

// conflicts is the one table of them.
var conflicts = slices.Concat(loadConflicts[:], searchConflicts())

// loadConflicts are those between flags of a run.
var loadConflicts = [...]conflict{
	{"stage", "connections", "the stages say how many connections there are", ""},
	{"stage", "duration", "the stages say how long the run is", ""},
	{"stage", "z", "the stages say how long the run is", ""},
	{"stage", "done", "with --done, --connections is how many streams there may be at a time", ""},
	{"message", "message-file", "give the message once", ""},
	{"insecure", "cacert", "either anybody is trusted, or those authorities", ""},
	{"json", "format", "--json is --format json", ""},
	{"debug", "connections", "--debug opens one connection", ""},
	{"debug", "stage", "--debug opens one connection", ""},
	{"debug", "output", "--debug makes no report", ""},
	{"debug", "format", "--debug makes no report", ""},
	{"debug", "json", "--debug makes no report", ""},
	{"debug", "threshold", "--debug makes no report", ""},
	{"debug", "message", "--debug sends nothing on a schedule; --subscribe sends a message after connecting", ""},
	{"debug", "message-file", "--debug sends nothing on a schedule; --subscribe sends a message after connecting", ""},
	{"debug", "rate", "--debug sends nothing on a schedule; --subscribe sends a message after connecting", "publish"},
	{"debug", "chat", "--debug sends nothing on a schedule; --subscribe sends a message after connecting", ""},
	{"debug", "publishers", "--debug has one publisher", ""},
	{"debug", "strict", "--debug makes no report", ""},
	{"debug", "clock", "--debug times no deliveries", ""},
	{"publish", "clock", "what is published is timed by one clock", ""},
	{"chat", "clock", "what connections send is timed by one clock", ""},
	{"publish", "stamp", "what is published is timed by rtbench's own stamp; --token says where that is", ""},
	{"chat", "stamp", "what connections send is timed by rtbench's own stamp; --token says where that is", ""},
	{"publish", "chat", "either publishers publish, or the connections do", ""},
	{"publish", "message", "--publish-body is what is published", ""},
	{"publish", "message-file", "--publish-body @FILE is what is published", ""},
	{"publish", "done", "request streams have no events in common", ""},
	{"done", "reconnect", "a request stream isn't opened again", ""},
	{"done", "drop", "a request stream isn't opened again", ""},
	{"done", "churn", "a request stream isn't opened again", ""},
	{"done", "slow", "a request stream isn't read slowly", ""},
	{"debug", "slow", "--debug reads as fast as it can", ""},
	{"debug", "drop", "--debug breaks nothing off", ""},
	{"debug", "churn", "--debug breaks nothing off", ""},
	{"watch-deploy", "drop", "what the run breaks off itself tells nothing of a deploy", ""},
	{"watch-deploy", "churn", "what the run breaks off itself tells nothing of a deploy", ""},
	{"watch-deploy", "done", "a request stream isn't opened again", ""},
	{"watch-deploy", "debug", "--debug judges nothing", ""},
	{"debug", "stream", "--debug shows one connection, and no run", ""},
	{"debug", "metrics-addr", "--debug shows one connection, and no run", ""},
	{"no-resume", "last-event-id", "then nothing says where to start", ""},
	{"no-resume", "resume-horizon", "it searches for how far resuming goes back", ""},
	{"target-pid", "target-metrics", "which of them is the target?", ""},
	{"debug", "via-faults", "--debug makes no report", ""},
	{"source-ip", "via-faults", "connections to the proxy stay on this host", ""},
	{"watch-deploy", "via-faults", "the faults would be taken for the deploy's", ""},
	{"done", "seq", "request streams have no events in common", ""},
}

// check finds flags that don't go together, and values that make no sense.
func (f *loadFlags) check(hasURL bool) error {
	inForce := inForce(f.set)
	for _, c := range conflicts {
		if c.of(func(flag string) bool { return inForce[flag] }) {
			return usage(fmt.Errorf("%s and %s don't go together", f.spelled(c.a), f.spelled(c.b)), "%s", c.why)
		}
	}
	if err := f.checkEmpty(); err != nil {
		return err
	}
	switch {
	case f.cert != "" && f.key == "", f.key != "" && f.cert == "":
		return usage(errors.New("--cert and --key go together"), "one is the client's certificate, the other its key")
	case f.serve != "" && hasURL:
		return usage(errors.New("--serve is for the reference server, but there is a URL"), "leave out one of them")
	case f.given("watch-deploy") && f.watchDeploy <= 0:
		return usage(fmt.Errorf("--watch-deploy %s is not a time that an outage may take", f.watchDeploy), "such as 5s")
	case f.abort && len(f.thresholds.values) == 0 && !f.given("watch-deploy"):
		return usage(errors.New("--abort-on-fail without a --threshold"), "say what must hold")
	case f.set.Lookup("done") != nil && f.given("rate") && !f.given("done") && !f.given("publish"):
		return usage(errors.New("--rate says how often messages are published or request streams started, which needs --publish or --done"),
			"--publish URL, --done '[DONE]', --done event:NAME")
	case f.rateScope != "" && !slices.Contains(scopes[:], f.rateScope):
		return usage(fmt.Errorf("--rate-scope %q is neither total nor conn", f.rateScope), "is --rate of all connections together, or of each?")
	case f.given("rate") && f.rate == 0 && f.given("done"):
		return usage(errors.New("--rate 0 starts no stream"), "how many a second?")
	case f.given("rate") && f.rate == 0 && f.given("publish"):
		return usage(errors.New("--rate 0 publishes nothing"), "leave out --publish to receive only")
	case f.given("rate") && f.rate == 0 && f.given("chat"):
		return usage(errors.New("--rate 0 sends nothing"), "leave out --chat to receive only")
	case f.given("rate") && f.rate == 0:
		return usage(errors.New("--rate 0 sends nothing"), "leave it out to receive only")
	case f.connectRate == 0:
		return usage(errors.New("--connect-rate 0 opens nothing"), "how many connections a second?")
	case f.given("rate-scope") && !f.sends():
		return usage(fmt.Errorf("%s %s, but nothing is sent", f.spelled("rate-scope"), f.rateScope), "--message, --message-file, --chat or --rate says what is")
	case f.given("resume") && !f.given("id"):
		return usage(errors.New("--resume needs to know the id of a message"), "--id json:PATH says where it is")
	case f.maxAttempts < 0:
		return usage(fmt.Errorf("--reconnect-attempts %d is less than none", f.maxAttempts), "leave it out for no limit")
	}
	if err := f.checkSearches(); err != nil {
		return err
	}
	if err := f.checkPublishing(); err != nil {
		return err
	}
	if err := f.checkClock(); err != nil {
		return err
	}
	if err := f.checkDrops(); err != nil {
		return err
	}
	return f.checkTimes()
}

// checkDrops finds drops that would never come.
func (f *loadFlags) checkDrops() error {
	if len(f.stages) > 0 || f.given("events") && !f.given("duration") && !f.given("z") {
		return nil
	}
	for i, b := range f.drops.values {
		if b.At >= f.duration {
			return usage(fmt.Errorf("--drop %s comes when the %s of measuring are over", f.drops.texts[i], f.duration), "measure for longer with --duration")
		}
	}
	if slow := f.slow.value(); f.given("slow") && slow.at >= f.duration {
		return usage(fmt.Errorf("--slow %s begins when the %s of measuring are over", &f.slow, f.duration), "measure for longer with --duration")
	}
	return nil
}

// sends reports whether messages are to be sent or published.
func (f *loadFlags) sends() bool {
	return slices.ContainsFunc([]string{"message", "message-file", "chat", "rate", "publish"}, f.given)
}

// checkPublishing finds flags of publishing that say nothing.
func (f *loadFlags) checkPublishing() error {
	if f.given("publish") {
		if f.rateScope == "conn" {
			return usage(errors.New("--rate-scope conn is of connections that send, but --publish has publishers do that"), "--rate is of all publishers together")
		}
		return nil
	}
	for _, name := range [...]string{"publish-method", "publish-header", "publish-body", "publishers"} {
		if f.given(name) {
			return usage(fmt.Errorf("%s without --publish", f.spelled(name)), "--publish URL says where messages are posted")
		}
	}
	return nil
}

// checkEmpty finds flags that were given and say nothing, which is most often a shell's variable that isn't set.
func (f *loadFlags) checkEmpty() (err error) {
	f.set.Visit(func(flag *pflag.Flag) {
		empty := flag.Value.String() == ""
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			empty = len(list.GetSlice()) == 0 || slices.Contains(list.GetSlice(), "")
		}
		if err == nil && empty {
			err = usage(fmt.Errorf("--%s is empty", flag.Name), "is a shell variable unset? else leave the flag out")
		}
	})
	return err
}

// checkTimes finds durations that are none.
func (f *loadFlags) checkTimes() error {
	if f.duration <= 0 {
		return usage(fmt.Errorf("--duration %s is not a time to measure for", f.duration), "such as 10s or 5m")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"drain", f.drain}, {"reconnect-wait", f.wait}, {"reconnect-max-wait", f.maxWait}, {"timeout", f.timeout}, {"ping", f.ping}, {"idle-timeout", f.idle.value().after}} {
		if d.value < 0 || d.name == "timeout" && d.value == 0 {
			return usage(fmt.Errorf("--%s %s is not a time to wait for", d.name, d.value), "such as 10s")
		}
	}
	if f.wait > f.maxWait && f.given("reconnect-wait") && f.given("reconnect-max-wait") {
		return usage(fmt.Errorf("--reconnect-wait %s is longer than --reconnect-max-wait %s", f.wait, f.maxWait), "the first wait of a policy is its shortest")
	}
	if f.given("jitter") && len(f.reconnect.values) > 0 && !slices.ContainsFunc(f.reconnect.values, func(p client.Policy) bool { return p != client.NoReconnect }) {
		return usage(errors.New("--jitter and --reconnect none don't go together"), "there is no wait to spread")
	}
	if f.warmup < 0 && f.given("warmup") {
		return usage(fmt.Errorf("--warmup %s is not a time to leave out", f.warmup), "such as 5s")
	}
	return nil
}
