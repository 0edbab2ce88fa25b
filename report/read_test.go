package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/rtbench/rtbench/bench"
)

// hdr is a histogram's data of another geometry than bench's.
func hdr(t *testing.T, lowest, highest int64, figures int) string {
	t.Helper()
	h := hdrhistogram.New(lowest, highest, figures)
	if err := h.RecordValue(lowest * 2); err != nil {
		t.Fatal(err)
	}
	d, err := encodeHistogram(h)
	if err != nil {
		t.Fatal(err)
	}
	return d.Data
}

func TestReadRefuses(t *testing.T) {
	good := string(write(t, JSON, rich(), TextOptions{}))
	swap := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the sample has no %s", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	histogram := func(figures, lowest, highest, data string) string {
		place := regexp.MustCompile(`"significant_figures": 3,\s*"lowest": 1000,\s*"highest": \d+,\s*"data": "[^"]*"`)
		at := place.FindStringIndex(good)
		return good[:at[0]] + `"significant_figures": ` + figures + `, "lowest": ` + lowest + `, "highest": ` + highest + `, "data": "` + data + `"` + good[at[1]:]
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", "empty"},
		"spaces":              {" \n", "empty"},
		"half of it":          {good[:len(good)/2], "is the file complete?"},
		"all but the end":     {good[:len(good)-3], "is the file complete?"},
		"twice":               {good + good, "something follows"},
		"a page":              {"<!doctype html>", "not JSON"},
		"binary":              {"\x00\x1b[2J", "not JSON"},
		"another document":    {`{"version":1}`, "not a result of rtbench"},
		"a list":              {"[]", "not a result of rtbench"},
		"a number":            {"1", "not a result of rtbench"},
		"another tool":        {`{"schema":"https://example.com/x.json","version":1}`, "not a result of rtbench"},
		"a comparison":        {`{"schema":"` + ComparisonSchema + `","version":1}`, "a comparison, not the result of one run"},
		"a later version":     {swap(`"version": 1,`, `"version": 2,`), "version 2 of the format; this rtbench reads version 1"},
		"a later schema":      {swap(`result.v1.json`, `result.v2.json`), "this rtbench reads version 1"},
		"a surplus key":       {swap(`"tool": {`, `"toool": 1, "tool": {`), `unknown field "toool"`},
		"a hostile key":       {swap(`"tool": {`, `"\u001b[2J": 1, "tool": {`), `unknown field`},
		"a wrong type":        {swap(`"elapsed_ns": 13204000000`, `"elapsed_ns": "long"`), "elapsed_ns"},
		"half a nanosecond":   {swap(`"elapsed_ns": 13204000000`, `"elapsed_ns": 1.5`), "elapsed_ns"},
		"a wrong time":        {swap(`2026-03-14T09:26:53`, `2026-03-14 09:26:53`), "time"},
		"a wrong year":        {swap(`2026-03-14T09:26:53.589793238Z`, `9999-12-31T23:59:59-23:59`), "year"},
		"an unknown stop":     {swap(`"stop": "duration"`, `"stop": "boredom"`), "boredom"},
		"an unknown verdict":  {swap(`"verdict": "BOUNDED"`, `"verdict": "SPLENDID"`), "SPLENDID"},
		"an unknown counter":  {swap(`"attempts": 1016`, `"attempts": 1016, "attampts": 1`), `"attampts"`},
		"a missing counter":   {swap(`"attempts": 1016,`, ``), `there is no counter "attempts"`},
		"a timing as counter": {swap(`"attempts": 1016`, `"attempts": 1016, "delivery": 1`), `counter "delivery"`},
		"an unknown metric":   {swap(`"fanout_spread": {`, `"fanout_spreed": {`), `metric "fanout_spreed"`},
		"a counter as metric": {swap(`"fanout_spread": {`, `"lost": {`), `metric "lost" is no timing`},
		"unknown unmeasured":  {swap(`"unmeasured": {`, `"unmeasured": {"luck": "none", `), `metric "luck"`},
		"an unknown class":    {swap(`"class": "reset"`, `"class": "rest"`), `error class "rest"`},
		"a wrong threshold":   {swap(`"text": "lost == 0"`, `"text": "losst == 0"`), `did you mean "lost"?`},
		"an unknown worth":    {swap(`"verdict": "CLIENT-SATURATED"`, `"verdict": "SPLENDID"`), "SPLENDID"},
		"no quantile":         {swap(`"p75": {`, `"p075": {`), `"p075" is no quantile`},
		"a third end":         {swap(`"within_run_ns": [`, `"within_run_ns": [ 1,`), "the interval of p"},
		"an unknown drift":    {swap(`"quantile": "p50"`, `"quantile": "P50"`), "drift"},
		"a lone null":         {swap(`"value": 120,`, `"value": null,`), `threshold "lost == 0"`},
		"another encoding":    {swap(`hdr-v2-compressed-base64`, `hdr-v9`), `encoding is "hdr-v9"`},
		"another count":       {swap(`"count": 1004`, `"count": 1005`), "the histogram holds 1004"},
		"no histogram":        {histogram("3", "1000", "3600000000000", ""), "histogram: EOF"},
		"a broken histogram":  {histogram("3", "1000", "3600000000000", "HISTFAAAAEV42pNpmSz"), "histogram: "},
		"no base64":           {histogram("3", "1000", "3600000000000", "%%%%"), "base64"},
		"five digits":         {histogram("5", "1", "3600000000000", hdr(t, 1, 3600000000000, 5)), "more than a timing needs"},
		"a vast range":        {histogram("3", "1", "4611686018427387904", hdr(t, 1, 1<<62, 3)), "more than a timing needs"},
		"a hidden geometry":   {histogram("3", "1000", "3600000000000", hdr(t, 1, 3600000000000, 5)), "the document says"},
	} {
		_, err := Read(strings.NewReader(c.text))
		if err == nil {
			t.Errorf("%s: read", name)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, c.want) || strings.ContainsAny(msg, "\n\x1b") || !strings.HasPrefix(msg, "read result: ") {
			t.Errorf("%s: %s", name, msg)
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"schema":"`), iotest.DataErrReader(repeat('x')))
	if _, err := Read(endless); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Error(err)
	}
	broken := errors.New("input/output error")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// repeat reads as one byte without end.
type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// The longest series there is must fit, with room to spare.
func TestTheLongestResultCanBeReadBack(t *testing.T) {
	run := rich()
	for len(run.Result.Series) < 3600 {
		run.Result.Series = append(run.Result.Series, run.Result.Series...)
	}
	h := lognormal(20_000, 1e6, 2)
	for _, m := range bench.Timings() {
		run.Result.Histograms[m] = h
	}
	out := write(t, JSON, run, TextOptions{})
	if len(out) > maxDocument/4 {
		t.Errorf("%d bytes", len(out))
	}
	if _, err := Read(bytes.NewReader(out)); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	for _, run := range []Run{empty(), unstamped()} { // small ones: large seeds make the fuzzer slow
		var b, compact bytes.Buffer
		if err := errors.Join(Write(&b, JSON, run, TextOptions{}), json.Compact(&compact, b.Bytes())); err != nil {
			f.Fatal(err)
		}
		f.Add(compact.Bytes())
	}
	f.Add([]byte(`{"schema":"` + schemaID + `","version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := Read(bytes.NewReader(data))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("%q", err)
			}
			return
		}
		first := write(t, JSON, run, TextOptions{})
		again, err := Read(bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		if second := write(t, JSON, again, TextOptions{}); !bytes.Equal(first, second) {
			t.Fatalf("not the same again:\n%s\n%s", first, second)
		}
		for _, format := range Formats() {
			write(t, format, run, TextOptions{})
		}
	})
}
