package client

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// show writes an event in one short line, for tables: the type or name, the data, the id ("id=" where it is the event's
// own, "@" where it is inherited) and the retry time.
func show(e Event) string {
	var b strings.Builder
	switch {
	case e.Type == Comment:
		b.WriteString("comment")
	case e.Type == Hint:
		b.WriteString("hint")
	case e.Binary:
		b.WriteString("binary")
	case e.Kind == "":
		b.WriteString("text")
	default:
		b.WriteString(e.Kind)
	}
	if e.Type != Hint {
		fmt.Fprintf(&b, " %q", e.Data)
	}
	switch {
	case e.OwnID:
		fmt.Fprintf(&b, " id=%q", e.ID)
	case len(e.ID) > 0:
		fmt.Fprintf(&b, " @%q", e.ID)
	}
	if e.Retry >= 0 {
		fmt.Fprintf(&b, " retry=%v", e.Retry)
	}
	return b.String()
}

// lines joins what is compared, so that a failure shows both sides one under the other.
func lines(s []string) string { return "\n\t" + strings.Join(s, "\n\t") }
