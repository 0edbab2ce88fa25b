package bench

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// underRaceFewer is how many trials to make of what takes long under the race detector, and has few goroutines for it.
func underRaceFewer(trials, fewer int) int {
	if underRace {
		return fewer
	}
	return trials
}

// fewerUnderRace has a property test of whole runs draw a tenth of its worlds where each takes ten times as long, unless
// the command line says how many.
func fewerUnderRace(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if before := checks.Value.String(); underRace && before == checks.DefValue {
		if err := flag.Set("rapid.checks", "10"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set("rapid.checks", before) })
	}
}
