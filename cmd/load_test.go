package cmd

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// planOf parses a command line of a protocol, URL last, and gives its plan.
func planOf(t *testing.T, name, line string) (bench.Plan, *target, dialerMaker, error) {
	t.Helper()
	p := protocols[slices.IndexFunc(protocols, func(p *protocol) bool { return p.name == name })]
	f, set := &loadFlags{}, pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.register(set, p)
	if err := set.Parse(strings.Fields(line)); err != nil {
		t.Fatalf("%s %s: %v", name, line, err)
	}
	if err := f.check(true); err != nil {
		return bench.Plan{}, nil, nil, err
	}
	return f.plan(p, set.Arg(0))
}

// TestPlan holds what flags say against what is made of them, defaults first.
func TestPlan(t *testing.T) {
	for _, test := range []struct {
		name, line string
		get        func(bench.Plan) any
		want       any
	}{
		{"sse", "http://a", func(p bench.Plan) any { return p.Stages }, []bench.Stage{{Target: 100}}},
		{"sse", "http://a", func(p bench.Plan) any { return p.Duration }, 10 * time.Second},
		{"sse", "http://a", func(p bench.Plan) any { return p.Warmup }, time.Duration(-1)},
		{"sse", "http://a", func(p bench.Plan) any { return p.ConnectRate }, 1000.0},
		{"sse", "http://a", func(p bench.Plan) any { return p.Backoff }, client.Backoff{Policy: client.EventSource, Max: 30 * time.Second}},
		{"ws", "ws://a", func(p bench.Plan) any { return p.Backoff.Policy }, client.Exponential},
		{"ws", "ws://a", func(p bench.Plan) any { return p.Send.Rate }, 0.0},

		{"sse", "-c 5k -d 3m http://a", func(p bench.Plan) any { return fmt.Sprint(p.Stages, p.Duration) }, "[{0s 5000}] 3m0s"},
		{"sse", "-n 7 http://a", func(p bench.Plan) any { return fmt.Sprint(p.Events, p.Duration) }, "7 1h0m0s"},
		{"sse", "-n 7 -d 5s http://a", func(p bench.Plan) any { return fmt.Sprint(p.Events, p.Duration) }, "7 5s"},
		{"sse", "-n 7 -z 5s http://a", func(p bench.Plan) any { return fmt.Sprint(p.Events, p.Duration) }, "7 5s"},
		{"sse", "--stage 5s:10,5s:0 --stage 1s:3 http://a", func(p bench.Plan) any { return fmt.Sprint(p.Stages) }, "[{5s 10} {5s 0} {1s 3}]"},
		{"sse", "--warmup 2s --connect-rate 50/s http://a", func(p bench.Plan) any { return fmt.Sprint(p.Warmup, p.ConnectRate) }, "2s 50"},
		// of a Plan and of a Backoff 0 is the default, which isn't what a user means who writes 0
		{"sse", "--drain 0s http://a", func(p bench.Plan) any { return p.Drain }, time.Duration(1)},
		{"sse", "--reconnect fixed --reconnect-wait 0s --reconnect-max-wait 0s http://a", func(p bench.Plan) any { return p.Backoff },
			client.Backoff{Policy: client.Fixed, Base: 1, Max: 1}},
		{"sse", "--reconnect linear --reconnect-wait 2s --reconnect-attempts 4 --jitter full --seed 9 http://a", func(p bench.Plan) any { return p.Backoff },
			client.Backoff{Policy: client.Linear, Base: 2 * time.Second, Max: 30 * time.Second, Attempts: 4, Jitter: client.FullJitter}},
		{"ws", "--reconnect fixed --reconnect exponential --jitter none --jitter full ws://a", func(p bench.Plan) any { return fmt.Sprint(p.Backoff, p.Rivals) },
			"fixed [fixed, full jitter exponential exponential, full jitter]"},
		{"sse", "--drop all@3s:rst --churn 5%/s http://a", func(p bench.Plan) any { return fmt.Sprint(p.Breakages) }, "[{rst 1 3s false} {fin 0.05 0s true}]"},
		{"ws", "--ping 3s ws://a", func(p bench.Plan) any { return p.Ping }, 3 * time.Second},
		{"sse", "--seed 9 http://a", func(p bench.Plan) any { return p.Seed }, uint64(9)},
		{"sse", "--last-event-id 41 http://a", func(p bench.Plan) any { return string(p.From) }, "41"},
		{"sse", "--seq id http://a", func(p bench.Plan) any { return p.Sequence.ID }, true},
		{"ws", "--seq json:n --stamp json:t ws://a", func(p bench.Plan) any { return p.Sequence.Field.String() + " " + p.Stamp.String() }, "json:n json:t"},
		{"sse", "--threshold lost==0 --threshold p99(delivery)<1s --abort-on-fail http://a", func(p bench.Plan) any { return fmt.Sprint(len(p.Thresholds), p.Abort) }, "2 true"},

		{"sse", "--done [DONE] http://a", func(p bench.Plan) any { return fmt.Sprint(p.Streams, p.Send.Rate) }, "true 1"},
		{"sse", "--done event:end -r 30/m http://a", func(p bench.Plan) any { return fmt.Sprint(p.Streams, p.Send.Rate) }, "true 0.5"},
		{"ws", "-r 500/s ws://a", func(p bench.Plan) any { return fmt.Sprint(p.Send.Rate, p.Send.PerConnection, p.Send.Unstamped) }, "500 false false"},
		{"ws", "-r 5/s --rate-scope conn ws://a", func(p bench.Plan) any { return fmt.Sprint(p.Send.Rate, p.Send.PerConnection) }, "5 true"},
		{"ws", "-m hello ws://a", func(p bench.Plan) any { return fmt.Sprint(p.Send.Rate, p.Send.PerConnection, p.Send.Unstamped) }, "1 true true"},
		{"ws", "-m {{.Conn}}.{{.N}}.{{.Stamp}} ws://a", func(p bench.Plan) any {
			return string(p.Send.Message([]byte("> "), bench.Outgoing{Connection: 3, Number: 4, Stamp: []byte("S")}))
		}, "> 3.4.S"},
		{"ws", "-r 1 ws://a", func(p bench.Plan) any {
			return string(p.Send.Message(nil, bench.Outgoing{Stamp: []byte("S")}))
		}, `{"type":"rtbench","stamp":"S"}`},
	} {
		plan, _, _, err := planOf(t, test.name, test.line)
		if err != nil {
			t.Errorf("%s %s: %v", test.name, test.line, err)
			continue
		}
		if got := test.get(plan); fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s %s: %v, want %v", test.name, test.line, got, test.want)
		}
	}
}

// TestDialers holds the flags of a request against the request of each connection.
func TestDialers(t *testing.T) {
	_, target, dialers, err := planOf(t, "sse", "-H X-Conn:{{.Conn}} --bearer abc --data {} --max-event-size 2k --timeout 3s --idle-timeout 9s --connect-to 127.0.0.1:1 http://a/{{.Conn}}")
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := dialers(4)
	if err != nil {
		t.Fatal(err)
	}
	request, err := target.request(4)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%s %s %v %s", request.Method, request.URL, request.Header, request.Body),
		"POST http://a/4 map[Authorization:[Bearer abc] Content-Type:[application/json] X-Conn:[4]] {}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	n := dialer.(*client.SSE).Net
	if n.MaxEvent != 2048 || n.Timeout != 3*time.Second || n.Idle != 9*time.Second || n.ConnectTo != "127.0.0.1:1" {
		t.Errorf("%+v", n)
	}

	_, _, dialers, err = planOf(t, "ws", "--subprotocol a,b --subprotocol c --compression --binary --await ok --subscribe {{.LastID}}/{{.Conn}} --id json:id --resume query:q={{.LastID}} ws://a")
	if err != nil {
		t.Fatal(err)
	}
	if dialer, err = dialers(2); err != nil {
		t.Fatal(err)
	}
	ws := dialer.(*client.WebSocket)
	messages, err := ws.Subscribe(client.Cursor("7"))
	if fmt.Sprint(ws.Subprotocols) != "[a b c]" || !ws.Compression || !ws.Binary || string(ws.Await) != "ok" || ws.Resume.IsZero() || ws.ID.IsZero() ||
		err != nil || len(messages) != 1 || string(messages[0]) != "7/2" {
		t.Errorf("%+v, %q, %v", ws, messages, err)
	}
}

func TestChild(t *testing.T) {
	if got := withoutVariables([]string{"PATH=/bin", "RTBENCH_RATE=5", "RTBENCHX=1", "A=RTBENCH_B"}); strings.Join(got, " ") != "PATH=/bin RTBENCHX=1 A=RTBENCH_B" {
		t.Errorf("%q", got)
	}
	b := &bounded{left: 5}
	for _, s := range []string{"abc", "def", "ghi"} {
		if n, err := b.Write([]byte(s)); n != 3 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if b.String() != "abcde" {
		t.Errorf("%q", b.String())
	}
	killed := errors.New("signal: killed")
	if err := servingRole.failed("rtbench: no port\n", killed); exitOf(err) != exitFailed || err.Error() != "the reference server did not start: no port" {
		t.Error(err)
	}
	if err := servingRole.failed("", killed); err.Error() != "the reference server did not start: signal: killed" {
		t.Error(err)
	}
	usage := exec.Command("sh", "-c", "exit 2").Run()
	if _, ok := errors.AsType[*exec.ExitError](usage); !ok {
		t.Skip("there is no shell")
	}
	if err := servingRole.failed("rtbench: there is no flag --x (see)\n", usage); exitOf(err) != exitUsage || err.Error() != "--serve: there is no flag --x (see)" {
		t.Error(err)
	}
}
