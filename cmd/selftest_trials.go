package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// A trial is one row of the self-test.
type trial struct {
	name  string
	scene func(long bool) scene
	judge func(*evidence) []figure
	note  func(*evidence) string // what there is to know besides; nil for nothing
	long  bool                   // it is made with --long only, or by name
	// run makes it, where that is something else than the scene's own way.
	run func(context.Context, scene) (*evidence, error)
}

// trials is the one place that knows which rows there are.
var trials = [...]trial{
	{name: "burst-sse", scene: burst, judge: judgeDelivery, note: lag},
	{name: "spread-ws", scene: spread, judge: judgeDelivery, note: lag},
	{name: "stall", scene: stall, judge: judgeStall},
	{name: "stopped", scene: stopped, judge: judgeStopped, note: verdict, run: runStopped},
	{name: "loss", scene: loss, judge: judgeLoss},
	{name: "reconnect-137ms", scene: func(bool) scene { return reconnect(137*time.Millisecond, 4*time.Second) }, judge: judgeReconnect},
	{name: "reconnect-3s", scene: func(bool) scene { return reconnect(3*time.Second, 4*time.Second) }, judge: judgeReconnect},
	{name: "resume", scene: resume, judge: judgeResume, run: runResume},
	{name: "clock", scene: wrongClock, judge: judgeClock, note: width},
	{name: "publish", scene: publish, judge: judgePublish},
	{name: "equal", scene: equals.scene, judge: equals.judge, run: equals.run, long: true},
	{name: "unequal", scene: unequals.scene, judge: unequals.judge, run: unequals.run, long: true},
}

func trialNames() string {
	list := make([]string, len(trials))
	for i, t := range trials {
		list[i] = t.name
	}
	return strings.Join(list, ", ")
}

// broad is how many connections the rows of many have: fewer where this process may not open as many files.
func broad() int {
	const wanted = 1000
	if files := openFiles(); files > 0 {
		return max(1, min(wanted, files-spareFiles))
	}
	return wanted
}

// settle is what the rows leave out at the start, once all are connected.
const settle = time.Second

// many is a scene of many connections that receive 10 events a second, all at once.
func many(what, path, flags string) scene {
	s := scene{path: path, connections: broad(), lead: settle, duration: 10 * time.Second, writes: true}
	s.what = fmt.Sprintf("%d connections get 10 events a second, %s", s.connections, what)
	s.server = fmt.Sprintf("--rate 10 --truth-writes %d %s", s.writesAt(10), flags)
	return s
}

// writesAt is how many deliveries there are at most at a rate of events a second, with what is sent around the window.
func (s scene) writesAt(rate int) int {
	return s.connections * rate * int((s.duration + 5*settle).Seconds())
}

func burst(bool) scene { return many("in bursts", "/sse", "") }

func spread(bool) scene {
	return many("each delayed by a lognormal time with a median of 2ms", "/ws", "--fault delay=lognormal:2ms:0.8")
}

// stall has its stall in the second half of the window, where no warm-up is looked for.
func stall(long bool) scene {
	const rate = 500
	s := scene{path: "/sse", connections: 10, lead: settle, duration: 12 * time.Second, stall: 400 * time.Millisecond, writes: true}
	if long {
		s.duration, s.stall = 60*time.Second, 2*time.Second
	}
	s.what = fmt.Sprintf("the server stalls for %s in %s, and then catches up", scaled(s.stall), scaled(s.duration))
	s.server = fmt.Sprintf("--rate %d --fault stall=%v@%v --truth-writes %d", rate, s.stall, settle+s.duration*2/3, s.writesAt(rate))
	return s
}

func stopped(long bool) scene {
	s := scene{path: "/sse", connections: 100, duration: 4 * time.Second, stop: 500 * time.Millisecond, server: "--rate 20"}
	if long {
		s.duration = 10 * time.Second
	}
	s.what = fmt.Sprintf("the tester itself is stopped for %s in %s", scaled(s.stop), scaled(s.duration))
	return s
}

// loss has the server publish nothing any more before the window ends, so that truth and run count the same events.
func loss(bool) scene {
	const published, quiet = 5 * time.Second, 1500 * time.Millisecond
	return scene{
		what: "the server drops 0.1% of the deliveries, makes 0.05% twice and swaps 0.5%",
		path: "/sse", connections: 200, duration: published + quiet,
		server: fmt.Sprintf("--rate 100 --fault drop=0.1%% --fault duplicate=0.05%% --fault reorder=0.5%% --fault stall=1m@%v", published),
	}
}

func reconnect(retry, duration time.Duration) scene {
	return scene{
		what: fmt.Sprintf("the server hangs up, and asks its clients to come back after %s", scaled(retry)),
		path: "/sse", connections: 5, pace: 50, duration: duration, hangups: true, retry: retry,
		server: fmt.Sprintf("--rate 100 --retry %v --fault hangup@50", retry),
	}
}

func wrongClock(bool) scene {
	s := scene{
		what: "the server's clock is 37ms ahead and 20 ppm too fast, and what it sends takes 20ms",
		path: "/sse", connections: 50, lead: settle, duration: 5 * time.Second, clock: true, writes: true,
	}
	s.server = fmt.Sprintf("--rate 100 --clock-offset 37ms --clock-drift 20 --fault delay=20ms --truth-writes %d", s.connections*100*10)
	return s
}

// publish opens its connections slowly, so that the last one, too, is there for long when the first message is due.
func publish(bool) scene {
	return scene{
		what: "the server rejects 5% of what is published, and drops 0.1% of the deliveries",
		path: "/sse", connections: 50, pace: 50, duration: 3 * time.Second, publish: 200,
		server: "--rate 0 --fault reject=503@5% --fault drop=0.1%",
	}
}

// A finding is what a row came to.
type finding struct {
	trial   *trial
	figures []figure
	note    string
	took    time.Duration
}

// make makes the row, and once more where it was refused, which it then says: what disturbs a host comes and goes.
func (t *trial) make(ctx context.Context, s scene) (finding, error) {
	found, err := t.once(ctx, s)
	if err != nil || worstOf(found.figures) != refused || t.long || found.figures[0].excused {
		return found, err
	}
	again, err := t.once(ctx, s)
	if err != nil {
		return found, nil
	}
	for _, f := range found.figures {
		if f.outcome == refused {
			again.note = strings.TrimSpace(fmt.Sprintf("made twice: at first %s was refused (%s). %s", f.name, f.reason, again.note))
			break
		}
	}
	again.took += found.took
	return again, nil
}

// once runs the row and judges it. It fails only where ctx has ended.
func (t *trial) once(ctx context.Context, s scene) (finding, error) {
	run := t.run
	if run == nil {
		run = func(ctx context.Context, s scene) (*evidence, error) { return s.run(ctx) }
	}
	began := time.Now()
	e, err := run(ctx, s)
	found := finding{trial: t, took: time.Since(began)}
	switch {
	case ctx.Err() != nil:
		return found, context.Cause(ctx)
	case err != nil:
		found.figures = []figure{t.failed(err)}
	default:
		if found.figures = t.judge(e); t.note != nil {
			found.note = t.note(e)
		}
	}
	return found, nil
}

// failed is the one figure of a row that gave none.
func (t *trial) failed(err error) figure {
	f := figure{name: "run", unit: bench.Number, injected: exactly(1), outcome: wrong, reason: oneLine(err.Error())}
	if err == errNotHere {
		f.excused = true
		f.refuse(bench.Warning{Text: err.Error()})
	}
	return f
}
