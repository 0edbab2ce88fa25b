package bench

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
