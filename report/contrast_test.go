package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// trialOf is a trial whose deliveries are about a delay, with its own deviation from that.
func trialOf(delay time.Duration, deviation float64) *bench.Result {
	r := &bench.Result{Begin: time.Second, End: 3 * time.Second, Planned: 10, Peak: 10, Estimates: map[bench.Metric][]bench.Estimate{},
		Window: bench.Window{Received: 1000}, Environment: bench.Environment{WindowCPU: time.Duration(1e7 * math.Exp(deviation))},
		Target: &bench.TargetUse{CPU: time.Duration(2e7 * math.Exp(deviation)), Length: 2 * time.Second, Before: 1e6, Most: 1e6 + uint64(1e6*math.Exp(deviation))}}
	set := func(m bench.Metric, n uint64) { r.Counts[m-bench.Counts()[0]] = n }
	set(bench.Received, 1000)
	set(bench.Opened, 10)
	set(bench.WireIn, 201_000)
	set(bench.HandshakeIn, 1000)
	for _, m := range []bench.Metric{bench.Delivery, bench.Connect} {
		r.Histograms[m] = bench.NewHistogram()
		for i := range 400 {
			_ = r.Histograms[m].RecordValue(int64(float64(delay) * math.Exp(deviation) * (1 + float64(i)/4000)))
		}
	}
	return r
}

// trialsOf are two sides' trials, of which B's deliveries take some times as long, and whose pairs differ by a spread.
func trialsOf(pairs int, ratio, spread float64, seed uint64) (a, b []*bench.Result) {
	random := rand.New(rand.NewPCG(seed, 0))
	for range pairs {
		a = append(a, trialOf(20*time.Millisecond, spread*random.NormFloat64()))
		b = append(b, trialOf(time.Duration(ratio*float64(20*time.Millisecond)), spread*random.NormFloat64()))
	}
	return a, b
}

func contrastOf(t *testing.T, list []Contrast, name string) Contrast {
	t.Helper()
	for _, c := range list {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no %q", name)
	return Contrast{}
}

// TestContrastsFindDifferences: a tenth more is found, with an interval that holds it, and of two sides that are the same no more
// is said to differ than alpha allows, however many figures are looked at.
func TestContrastsFindDifferences(t *testing.T) {
	found, held, false_ := 0, 0, 0
	repeats := 200
	if underRace {
		repeats = 30
	}
	for seed := range uint64(repeats) {
		a, b := trialsOf(12, 1.1, .03, seed)
		if c := contrastOf(t, Contrasts(a, b, .05), "delivery p50"); c.Different() {
			found++
			if c.Low <= 1.1 && 1.1 <= c.High {
				held++
			}
		}
		a, b = trialsOf(12, 1, .03, seed+1000)
		for _, c := range Contrasts(a, b, .05) {
			if c.Different() {
				false_++
				break
			}
		}
	}
	if found < repeats*95/100 || held < found*90/100 || false_ > 1+repeats*9/100 {
		t.Errorf("of %d: %d found, of which the interval holds %d; %d found where there was nothing", repeats, found, held, false_)
	}
}

// TestContrastsAreAdjusted: one difference among several figures is told by a p-value that allows for that (Holm).
func TestContrastsAreAdjusted(t *testing.T) {
	list := []Contrast{{Tested: true, Paired: Paired{P: .01}}, {Tested: true, Paired: Paired{P: .04}}, {Tested: true, Paired: Paired{P: .03}}, {Tested: true, Unknown: "no"}, {Paired: Paired{P: .001}}}
	holm(list)
	for i, want := range []float64{.03, .06, .06} {
		if math.Abs(list[i].Adjusted-want) > 1e-12 {
			t.Errorf("%d: %v, want %v", i, list[i].Adjusted, want)
		}
	}
}

func TestContrastsKnowWhatTheyDont(t *testing.T) {
	a, b := trialsOf(FewestPairs-1, 1, .01, 1)
	if c := contrastOf(t, Contrasts(a, b, .05), "delivery p50"); c.Unknown == "" || c.Different() {
		t.Errorf("%+v", c)
	}
	a, b = trialsOf(8, 1, .01, 1)
	for _, r := range b {
		r.Target = nil
	}
	list := Contrasts(a, b, .05)
	if c := contrastOf(t, list, "server CPU an event"); !strings.Contains(c.Unknown, "--target-pid") {
		t.Errorf("%+v", c)
	}
	if c := contrastOf(t, list, "bytes in an event"); c.A != 200 || c.Ratio != 1 || c.Different() {
		t.Errorf("%+v", c)
	}
	if c := contrastOf(t, list, "bytes out an event"); c.Unknown != "" || c.Ratio != 1 {
		t.Errorf("%+v", c)
	}
	if slices.ContainsFunc(list, func(c Contrast) bool { return c.Name == "bytes for a message sent" }) {
		t.Error("nothing was sent, and it is told what that took")
	}
	for _, r := range a { // one side posts, the other one has frames
		r.Counts[bench.Sent-bench.Counts()[0]] = 10
		r.Counts[bench.PublishOut-bench.Counts()[0]] = 4000
		r.Counts[bench.PublishIn-bench.Counts()[0]] = 1000
	}
	for _, r := range b {
		r.Counts[bench.Sent-bench.Counts()[0]] = 10
		r.Counts[bench.WireOut-bench.Counts()[0]] += 2000
	}
	if c := contrastOf(t, Contrasts(a, b, .05), "bytes for a message sent"); c.A != 500 || c.B != 200 || len(c.Trials) != 8 || c.Trials[0] != [2]float64{500, 200} {
		t.Errorf("%+v", c)
	}
	for _, r := range b { // WebSocket has a frame of another size: it is known without a test
		r.Counts[bench.WireIn-bench.Counts()[0]] += 20_000
	}
	if c := contrastOf(t, Contrasts(a, b, .05), "bytes in an event"); !c.Different() || math.Abs(c.Ratio-1.1) > 1e-9 {
		t.Errorf("%+v", c)
	}
	if Contrasts(nil, b, .05) != nil {
		t.Error("nothing was compared with something")
	}
}

func TestUnfit(t *testing.T) {
	for says, change := range map[string]func(*bench.Result){
		"":                       func(*bench.Result) {},
		"nothing ever connected": func(r *bench.Result) { r.Failure = "nothing ever connected" },
		"NON-STATIONARY: delivery fell by 30 % over the trial": func(r *bench.Result) { r.Drift = &bench.Drift{Metric: bench.Delivery, Share: -.3} },
		"3 events were lost, which nothing explains":           func(r *bench.Result) { r.Counts[bench.Lost-bench.Counts()[0]] = 3 },
		"2 connections dropped":                                func(r *bench.Result) { r.Counts[bench.Drops-bench.Counts()[0]] = 2 },
		"only 9 of 10 connections were ever open":              func(r *bench.Result) { r.Peak = 9 },
	} {
		r := trialOf(time.Millisecond, 0)
		change(r)
		if got := Unfit(r); got != says {
			t.Errorf("%q, want %q", got, says)
		}
	}
	late := trialOf(time.Millisecond, 0)
	late.Verdict, late.Doubts = bench.NoVerdict, []bench.Warning{{Text: bench.SentLate + ": p50 1ms"}}
	if got := Unfit(late); got != "" {
		t.Error(got)
	}
	if late.Doubts = append(late.Doubts, bench.Warning{Text: "the clock stepped"}); Unfit(late) == "" {
		t.Error("another doubt is none")
	}
	r := trialOf(time.Millisecond, 0)
	r.Verdict = bench.Saturated
	if got := Unfit(r); !strings.HasPrefix(got, "CLIENT-SATURATED") || Failed(r) != "" {
		t.Errorf("%q, %q", got, Failed(r))
	}
}
