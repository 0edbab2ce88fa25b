package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// scriptedProbe gives one use after the other, the last again and again; at nil it fails.
type scriptedProbe struct {
	uses  []*Use
	asked int
}

func (p *scriptedProbe) String() string { return "a script" }

func (p *scriptedProbe) Use(context.Context) (Use, error) {
	use := p.uses[min(p.asked, len(p.uses)-1)]
	p.asked++
	if use == nil {
		return Use{}, errors.New("it is silent")
	}
	return *use, nil
}

// TestTargetUse: what a target uses is told of the window, and what it doesn't say isn't 0.
func TestTargetUse(t *testing.T) {
	for _, test := range []struct {
		name string
		uses []*Use
		want TargetUse
	}{
		{"steady", []*Use{{0, 100}, {second, 300}, {2 * second, 500}, {2 * second, 400}, {2 * second, 400}, {3 * second, 400}},
			TargetUse{CPU: 2 * second, Length: second, Before: 100, Most: 500}},
		{"silent", []*Use{nil}, TargetUse{Why: "it is silent"}},
		{"silent in the end", []*Use{{0, 100}, {second, 300}, {2 * second, 300}, nil}, TargetUse{CPU: second, Length: second / 4, Before: 100, Most: 300, Why: "it is silent"}},
		{"silent once", []*Use{{0, 100}, {second, 300}, nil, {2 * second, 300}}, TargetUse{CPU: second, Length: second, Before: 100, Most: 300}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var f *fakeServer
			f = newFakeServer(func(a attempt) (*fakeStream, error) {
				return &fakeStream{lines: since(a.at, ticker(100*millisecond, time.Minute, millisecond, f.stamped))}, nil
			})
			result := f.run(t, Plan{Stages: []Stage{{0, 2}}, Duration: second, Warmup: second, Target: &scriptedProbe{uses: test.uses}})
			got := *result.Target
			got.Length = got.Length.Truncate(millisecond)
			if test.want.Source = "a script"; got != test.want {
				t.Errorf("%s: %+v", test.name, got)
			}
			each, ok := got.PerEvent(result.Window, result.End-result.Begin)
			if want := test.want.CPU / 20; ok != (test.want.Why == "") || ok && each != want {
				t.Errorf("%s: %v an event, %v", test.name, each, ok)
			}
			if bytes, ok := got.PerConnection(2); ok != (test.want.Why == "") || ok && bytes != (test.want.Most-100)/2 {
				t.Errorf("%s: %d bytes a connection, %v", test.name, bytes, ok)
			}
		})
	}
}
