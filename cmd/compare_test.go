package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/bench"
)

// TestRedactFlags: whatever may be a secret in a command line is hidden, in each of the ways in which it can be given.
func TestRedactFlags(t *testing.T) {
	args := []string{"sse", "http://me:SECRET@host/events?token=SECRET&room=a", "-c", "10", "-H", "Authorization: Bearer SECRET", "-HCookie: a=SECRET", "--header=X-Api-Key: SECRET",
		"--bearer", "SECRET", "--bearer=SECRET", "--publish", "http://host/p?token=SECRET", "--clock=https://host/t?key=SECRET", "--publish-body", "{SECRET}", "-m", "SECRET", "-mSECRET",
		"-kH", "Cookie:SECRET", "-kHCookie:SECRET", "-kH=Cookie:SECRET", "-H=Cookie:SECRET", "-kkm", "SECRET", "-km=SECRET", "-m=", "--data=", "--bearer", "SECRET", "-phttp://me:SECRET@host/", "--nothing=http://me:SECRET@host/",
		"--subscribe", "{\"token\":\"SECRET\"}", "--resume", "header:Authorization: SECRET", "--target-metrics=http://me:SECRET@host/metrics", "--data=SECRET"}
	got := redactFlags(args)
	if text := strings.Join(got, " "); strings.Contains(text, "SECRET") {
		t.Errorf("%s", text)
	}
	for _, kept := range []string{"sse", "-c", "10", "--publish", "--subscribe"} {
		if !slices.Contains(got, kept) {
			t.Errorf("%s is gone: %s", kept, got)
		}
	}
	if got := redactFlags([]string{"--subprotocol", "chat,bearer.SECRET", "--subprotocol=base64url.bearer.SECRET"}); got[1] != "chat,bearer.REDACTED" || got[2] != "--subprotocol=base64url.bearer.REDACTED" {
		t.Errorf("%q", got)
	}
	if got := redactFlags([]string{"--resume", "query:after={{.LastID}}", "--publish-body", "@body.json"}); got[1] != "query:after={{.LastID}}" || got[3] != "@body.json" {
		t.Errorf("%s", got)
	}
}

// The short names that others may be joined to are known, and so are those of flags that may hold a secret.
func TestShortNames(t *testing.T) {
	for _, k := range kinds {
		k.sample().VisitAll(func(f *pflag.Flag) {
			if secret(f.Name) != nil && f.Shorthand != "" && shorts[f.Shorthand] != f.Name || f.NoOptDefVal != "" && !strings.Contains(switches, f.Shorthand) {
				t.Errorf("%s: -%s of --%s is unknown", k.name, f.Shorthand, f.Name)
			}
		})
	}
}

func TestWords(t *testing.T) {
	got, err := words("--both", `-H "Cookie: a=b c" --stamp json:ts -m 'x "y"'`)
	if err != nil || !slices.Equal(got, []string{"-H", "Cookie: a=b c", "--stamp", "json:ts", "-m", `x "y"`}) {
		t.Errorf("%q, %v", got, err)
	}
	for value, says := range map[string]string{`-m "a`: "a quote has no end", "a & b": `ends at "&"`, "a > b": `ends at ">"`} {
		if _, err := words("--both", value); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", value, err)
		}
	}
	if got := quoted([]string{"a", "b c", "it's", ""}); got != `a 'b c' 'it'\''s' ''` {
		t.Error(got)
	}
}

// TestWorkloads: each is one that the reference server can serve, with a payload of about the size that is said.
func TestWorkloads(t *testing.T) {
	for _, w := range workloads {
		const least = 128 // which an event of the reference server takes
		if !w.up && w.size < least {
			t.Errorf("%s: %d bytes", w.name, w.size)
		}
		if message := strings.Replace(w.message(), "{{.Stamp}}", strings.Repeat("x", 64), 1); w.up && len(message) != w.size {
			t.Errorf("%s: a message of %d bytes, not %d", w.name, len(message), w.size)
		}
		if parsed, err := parseWorkload(strings.ToUpper(w.name)); err != nil || parsed != w {
			t.Errorf("%s: %v", w.name, err)
		}
	}
}

// TestRecurringWarnings: what most trials of a side warn of is about the side, whatever figures it has in it.
func TestRecurringWarnings(t *testing.T) {
	trial := func(texts ...string) *bench.Result {
		r := new(bench.Result)
		for _, text := range texts {
			r.Warnings = append(r.Warnings, bench.Warning{Text: text, Advice: "advice on " + strings.TrimRight(text, " 0123456789")})
		}
		return r
	}
	got := recurring("A", []*bench.Result{trial("gap 1", "drift 5"), trial("gap 2"), trial("drift 6", "gap 3"), trial()})
	if want := []bench.Warning{{Text: "A, in 3 of 4 trials: gap 3", Advice: "advice on gap"}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
