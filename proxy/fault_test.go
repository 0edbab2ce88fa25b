package proxy

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func faults(t testing.TB, texts ...string) (list []Fault) {
	t.Helper()
	for _, text := range texts {
		f, err := ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

func TestParseFault(t *testing.T) {
	for in, want := range map[string]string{
		"latency=50ms":              "",
		"latency=20ms..80ms":        "",
		"latency=0s..80ms":          "",
		"latency=20ms..20ms":        "latency=20ms",
		"latency=50ms:up":           "",
		"latency=50ms:down:10%":     "",
		"latency=50ms:10%:down":     "latency=50ms:down:10%",
		"bandwidth=10KB/s":          "",
		"bandwidth=10000B/s":        "bandwidth=10KB/s",
		"bandwidth=1.5MB/s:up":      "",
		"bandwidth=0.5KB/s":         "bandwidth=500B/s",
		"bandwidth=1B/s:50%":        "",
		"cut@20":                    "",
		"cut@20e":                   "cut@20",
		"cut@4096b":                 "",
		"cut@5s":                    "",
		"cut@0s":                    "",
		"cut@20:rst":                "",
		"cut@20:rst:10%":            "",
		"cut@20:10%:rst":            "cut@20:rst:10%",
		"cut@20:100%":               "cut@20",
		"stall=2s@5s":               "",
		"stall=2s@20e":              "stall=2s@20",
		"stall=2s@4096b:0.5%":       "",
		"blackhole@20":              "",
		"blackhole@5s":              "",
		"blackhole@5s:10%":          "",
		"reset@5s":                  "",
		"reset@5s:10%":              "",
		"truncate@20":               "",
		"truncate@20:rst:1%":        "",
		"refuse@10%":                "",
		"refuse@100%":               "",
		"cut@1h":                    "cut@1h0m0s",
		"cut@9223372036854775807b":  "",
		"latency=1.5ms..0.01s:down": "latency=1.5ms..10ms:down",
	} {
		if want == "" {
			want = in
		}
		f, err := ParseFault(in)
		if err != nil || f.String() != want {
			t.Errorf("%s: %v, %v", in, f, err)
		}
	}
	for in, want := range map[string]string{
		"":                          `unknown kind "": want one of latency, bandwidth, cut`,
		"cot@20":                    `unknown kind "cot"`,
		"cut":                       `cut needs "@" and a value, as in cut@20, cut@4096b:rst or cut@5s:10%`,
		"cut=20":                    `cut needs "@"`,
		"cut@":                      `bad place "": want an event such as 20, a byte such as 4096b or a time`,
		"cut@0":                     `bad count "0": want 1 or more`,
		"cut@0b":                    `bad count "0"`,
		"cut@-5s":                   `bad place "-5s"`,
		"cut@2h":                    `bad place "2h"`,
		"cut@20:fin":                `unknown option "fin"`,
		"cut@20:":                   `unknown option ""`,
		"cut@20:rst:rst":            `the option "rst" is one too many`,
		"cut@20:1%:2%":              `the option "2%" is one too many`,
		"cut@20:0%":                 `bad share "0%": want more than 0% and at most 100%`,
		"cut@20:101%":               `bad share "101%"`,
		"cut@20:NaN%":               `bad share "NaN%"`,
		"cut@10%":                   `bad place "10%"`,
		"latency=50":                `bad duration "50": want 0s to 1h, as in latency=50ms`,
		"latency=0s":                `a latency of 0 is none`,
		"latency=80ms..20ms":        `the range 80ms..20ms runs backwards`,
		"latency=20ms..":            `bad duration ""`,
		"latency=20ms:up:down":      `the option "down" is one too many`,
		"latency=20ms:rst":          `unknown option "rst"`,
		"latency@20ms":              `latency needs "="`,
		"bandwidth=10":              `bad bandwidth "10": want at least 1B/s, in B/s, KB/s or MB/s, as in bandwidth=10KB/s`,
		"bandwidth=0.5B/s":          `bad bandwidth`,
		"bandwidth=InfB/s":          `bad bandwidth`,
		"stall=2s":                  `a stall needs the place where it begins, as in stall=2s@5s`,
		"stall=0s@5s":               `a stall of no length is none`,
		"stall=2s@5s:rst":           `unknown option "rst"`,
		"truncate@5s":               `it is an event that is cut off in the middle: which one?`,
		"truncate@4096b":            `which one?`,
		"refuse@10":                 `"10" needs a percent sign, as in refuse@10%`,
		"refuse@10%:rst":            `unknown option "rst"`,
		"refuse=10%":                `refuse needs "@"`,
		"blackhole@20:rst":          `unknown option "rst"`,
		"reset@20:up":               `unknown option "up"`,
		"cut@99999999999999999999b": `bad count "99999999999999999999"`,
	} {
		if _, err := ParseFault(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, s := range []string{"latency=20ms..80ms:up:10%", "bandwidth=1.5MB/s", "cut@4096b:rst", "stall=2s@20e", "blackhole@5s:10%", "truncate@3",
		"refuse@1e-3%", "bandwidth=0.1KB/s:down", "reset@20"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fault, err := ParseFault(s)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 1500 {
				t.Errorf("error is no clear line: %q", err)
			}
			return
		}
		again, err := ParseFault(fault.String())
		if err != nil || again != fault {
			t.Errorf("%q reads as %q, and that as %q, %v", s, fault, again, err)
		}
		if err := check([]Fault{fault}); err != nil {
			t.Error(err)
		}
	})
}

func TestParseScript(t *testing.T) {
	list, err := ParseScript("# a comment\n\n  cut@20:rst   # another\r\n\tlatency=5ms\n")
	if err != nil || len(list) != 2 || list[0].String() != "cut@20:rst" || list[1].String() != "latency=5ms" {
		t.Errorf("%v, %v", list, err)
	}
	for in, want := range map[string]string{
		"":                                   "the script has no fault",
		"# nothing\n":                        "the script has no fault",
		"cut@20\n\ncut@x\n":                  `line 3: fault "cut@x": bad place "x"`,
		"cut@20#x":                           `line 1: fault "cut@20#x": bad place "20#x"`,
		strings.Repeat("#", maxScript) + "#": "a script of more than",
	} {
		if _, err := ParseScript(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %s", in, err, want)
		}
	}
}

func TestFaultsThatDontGoTogether(t *testing.T) {
	for _, list := range [][]string{
		{"latency=5ms", "latency=6ms"}, {"latency=5ms", "latency=6ms:up"}, {"latency=5ms:up", "latency=6ms"}, {"bandwidth=1KB/s:up", "bandwidth=2KB/s:up"},
		{"refuse@1%", "refuse@2%"},
	} {
		if err := check(faults(t, list...)); err == nil {
			t.Errorf("%v were accepted", list)
		}
	}
	if err := check([]Fault{{}}); err == nil {
		t.Error("an empty fault was accepted")
	}
	if err := check(faults(t, "latency=5ms:up", "latency=6ms:down", "bandwidth=1KB/s", "cut@1:10%", "cut@1:20%", "stall=1s@1s", "stall=1s@3s", "refuse@1%")); err != nil {
		t.Error(err)
	}
}

func TestDelayStaysInItsRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	f := faults(t, "latency=20ms..22ms")[0]
	for range 1000 {
		if d := f.delay(rng); d < 20*time.Millisecond || d > 22*time.Millisecond {
			t.Fatal(d)
		}
	}
}

// Every kind is in the table, with a form that reads as one of it.
func TestForms(t *testing.T) {
	for _, k := range kinds {
		for form := range strings.SplitSeq(strings.ReplaceAll(k.form, " or ", ", "), ", ") {
			f, err := ParseFault(form)
			if err != nil || f.Kind() != k.kind || f.String() != form {
				t.Errorf("%s: %s: %v, %v", k.kind, form, f, err)
			}
		}
	}
	if len(Kinds()) != len(kinds) {
		t.Error(Kinds())
	}
}
