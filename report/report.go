// Package report turns a finished run into something to read: a summary for people, JSON for programs, CSV for
// spreadsheets, and an HdrHistogram log for the tools that draw those. It also reads its own JSON back.
//
//	bench.Result + Config → Run → Write(text | json | csv | hlog | markdown | junit | html | gobench)
//	                         Run ← Read(json)
//
// Values stay in base units (ns, bytes, fractions) in every format that a program reads and are scaled only in text.
// A quantile is given only where there are enough samples for it (bench.SamplesFor), in every format. What was not
// measured is never written as 0: text says why, JSON and CSV leave the value out and give the reason beside it.
//
// Whatever a server may have written goes through Plain before it reaches a terminal, and a spreadsheet cannot take it
// for a formula. The package does not redact by itself: it gives RedactURL and RedactHeader to whoever fills Config, and
// Secrets to whoever quotes a server.
//
// It computes nothing of a run: every figure is in the Result or in its histograms. Of several it does: Contrasts compares
// two sides by paired trials. It draws no conclusions, and knows no protocol. All functions are safe for use by several goroutines at once as long as none changes the Run.
package report

import (
	"fmt"
	"io"
	"slices"

	"github.com/rtbench/rtbench/bench"
)

// A Run is a result together with the configuration that it was made with.
type Run struct {
	Result *bench.Result
	Config Config
}

// Config is the effective configuration of a run. It is written as it is: secrets must already be gone from it
// (RedactURL, RedactHeader).
type Config struct {
	Command string  // such as "rtbench sse"
	Target  string  // what was measured, usually a URL
	Entries []Entry // every setting in force, in the order in which they are best read; names may repeat
}

// An Entry is one setting.
type Entry struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Scenario is the setting that names the scenario which a run or a comparison is of.
const Scenario = "scenario"

// scenario is that name, "" where there is none.
func scenario(entries []Entry) string {
	if i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == Scenario }); i >= 0 {
		return entries[i].Value
	}
	return ""
}

// titled is a text behind the name of its scenario, where it has one.
func titled(name, text string) string {
	if name == "" {
		return text
	}
	return name + ": " + text
}

// Write writes the run in the given format; opts matter to Text alone, and CSV is the summary. It writes to w once
// the whole report is made, so that nothing is written where something is wrong with the run.
func Write(w io.Writer, f Format, run Run, opts TextOptions) error {
	switch f {
	case Text:
		return writeText(w, run, opts)
	case JSON:
		return writeJSON(w, run)
	case CSV:
		return CSVSummary(w, run)
	case HLog:
		return writeHLog(w, run)
	case Markdown:
		return writeMarkdown(w, run)
	case JUnit:
		return writeJUnit(w, run)
	case HTML:
		return writeHTML(w, run)
	case GoBench:
		return writeGoBench(w, run)
	}
	return fmt.Errorf("report: no such format: %d", f)
}
