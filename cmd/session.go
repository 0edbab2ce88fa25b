package cmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/report"
	"github.com/rtbench/rtbench/tui"
)

// A session is rtbench on a terminal without a command: runs that are put together, made, read, changed and compared.
type session struct {
	std    streams
	screen tui.Screen
	runs   []*made             // oldest first
	marked []*made             // the base, and the head
	drafts map[string][]string // what was written last into each form, by its title
}

// A made is a run of the session, with what it was made of.
type made struct {
	at       time.Time
	form     *sessionForm
	values   []string
	run      report.Run         // without a result where it is a comparison, or came to nothing
	compared *report.Comparison // nil where it is a run
	printed  bytes.Buffer       // of what makes no report, but prints
	code     exit
	said     string // what the command would have said, and its exit code
}

// interactive gives the session that a terminal can have; nil where there is none.
func interactive(std streams) *session {
	in, out, ok := (&loadFlags{}).terminal(std)
	if !ok {
		return nil
	}
	return &session{std: std, screen: tui.Screen{In: in, Out: out, NoColor: noColor(), Leaving: std.signals.leaving}, drafts: make(map[string][]string)}
}

// run shows the start page until it is left.
func (s *session) run(ctx context.Context) error {
	for ctx.Err() == nil {
		choice, err := tui.Home(ctx, s.screen, s.history(), s.marks())
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return &failure{exitFailed, err, "the commands do the same: `rtbench --help`"}
		}
		s.mark(choice.Marked)
		switch choice.Do {
		case tui.Leave:
			return nil
		case tui.Measure:
			err = s.ask(ctx, measureForm())
		case tui.Contend:
			err = s.ask(ctx, compareForm())
		case tui.Open:
			err = s.read(ctx, s.nth(choice.Runs[0]))
		case tui.Diff:
			err = s.diff(ctx, s.nth(choice.Runs[0]), s.nth(choice.Runs[1]))
		}
		if said, ok := errors.AsType[*failure](err); ok {
			return said
		}
		if err != nil {
			return &failure{exitFailed, err, "the commands do the same: `rtbench --help`"}
		}
	}
	if stopped, ok := stoppedBy(ctx); ok {
		return &failure{code: exitOfSignal(stopped.signal)}
	}
	return nil
}

// nth is a run of the history, which has the latest first.
func (s *session) nth(n int) *made { return s.runs[len(s.runs)-1-n] }

// marks are where in the history those stand that are marked.
func (s *session) marks() (list []int) {
	for _, m := range s.marked {
		list = append(list, len(s.runs)-1-slices.Index(s.runs, m))
	}
	return list
}

// mark takes which of the history are marked.
func (s *session) mark(places []int) {
	s.marked = nil
	for _, n := range places {
		s.marked = append(s.marked, s.nth(n))
	}
}

func (s *session) history() (list []tui.Past) {
	for i := range s.runs {
		m := s.nth(i)
		list = append(list, tui.Past{Came: m.came(), Of: m.form.brief(m.values), Whole: m.title()})
	}
	return list
}

// line is a run in a line.
func (m *made) line() string { return m.came() + "  " + m.title() }

// came is when it was made, and what came of it.
func (m *made) came() string {
	text := m.at.Format("15:04:05")
	if m.code != exitPassed && m.formats() != nil { // else it is in what is said
		text += fmt.Sprintf("  exit %d", m.code)
	}
	switch r := m.run.Result; {
	case r != nil:
		text += "  " + cmp.Or(report.Brief(r), "no timing has any samples")
	case m.compared != nil:
		text += "  " + m.compared.Brief()
	default:
		text += "  " + m.said
	}
	return text
}

func (m *made) title() string {
	args, err := m.form.args(m.values)
	if err != nil {
		return m.form.title
	}
	return quoted(redactFlags(args))
}

// ask has a form be filled in, from what was written last, and makes what it says.
func (s *session) ask(ctx context.Context, form *sessionForm) error {
	values, ok, err := form.ask(ctx, s.screen, s.drafts[form.title])
	s.drafts[form.title] = values
	if err != nil || !ok {
		return err
	}
	return s.make(ctx, form, values)
}

// make makes a run, and shows what came of it.
func (s *session) make(ctx context.Context, form *sessionForm, values []string) error {
	m := &made{at: time.Now(), form: form, values: values}
	s.std.signals.leaveTo(true)
	signals := newSignals() // of this run: what interrupts it doesn't end the session
	running, stop := signals.during(ctx)
	std := s.std
	std.signals = signals
	err := m.perform(running, std)
	stopped, ended := stoppedBy(running)
	stop()
	s.std.signals.leaveTo(false)
	m.code = exitOf(err)
	m.said = fmt.Sprintf("exit code %d", m.code)
	if why := complaint(err); why != "" {
		m.said += ": " + why
	}
	s.runs = append(s.runs, m)
	if ended && exitOfSignal(stopped.signal) != exitInterrupt {
		return &failure{code: exitOfSignal(stopped.signal)}
	}
	return s.read(ctx, m)
}

// perform makes the run, and gives what the command would have returned.
func (m *made) perform(ctx context.Context, std streams) error {
	job, args, err := m.form.job(m.values)
	if err != nil {
		return err
	}
	switch j := job.(type) {
	case *loadJob:
		if j.debug || j.searches() {
			std.out = io.MultiWriter(std.out, &m.printed)
		}
		run, outputs, err := j.perform(ctx, std, j.protocol, args)
		if err != nil || run.Result == nil {
			return err
		}
		m.run = run
		std.out = printing(ctx, std)
		return j.verdict(ctx, j.protocol, run, j.write(std, outputs, run))
	case *compareFlags:
		outputs, err := j.output.openComparisonOutputs()
		if err != nil {
			return err
		}
		result, failed := j.perform(ctx, std, args)
		if result == nil {
			return failed
		}
		m.compared = result
		std.out = printing(ctx, std)
		return j.verdict(ctx, result, failed, j.output.writeComparison(std, outputs, result))
	}
	return nil
}

// printing is where a report is printed: nowhere, as it is shown on the screen, unless a signal has ended the session.
func printing(ctx context.Context, std streams) io.Writer {
	if stopped, ok := stoppedBy(ctx); ok && exitOfSignal(stopped.signal) != exitInterrupt {
		return std.out
	}
	return io.Discard
}

// read shows what came of a run, and does what is wanted next.
func (s *session) read(ctx context.Context, m *made) error {
	reader := m.reader(m.title(), m.said)
	reader.Rerun = true
	next, err := reader.Read(ctx, s.screen)
	switch {
	case err != nil:
		return err
	case next == tui.Again:
		return s.make(ctx, m.form, m.values)
	case next == tui.Edit:
		s.drafts[m.form.title] = m.values
		return s.ask(ctx, m.form)
	}
	return nil
}

// reader has what came of a run be read, and written where there is a report.
func (m *made) reader(title string, said ...string) *tui.Reader {
	reader := &tui.Reader{Title: title, Said: said, Text: m.text, Name: m.at.Format("rtbench-20060102-150405.html")}
	if reader.Ends = endings(m.formats()); reader.Ends != nil {
		reader.Write = m.write
	}
	return reader
}

// formats are those that the report can be written in; none where there is no report.
func (m *made) formats() []report.Format {
	switch {
	case m.compared != nil:
		return report.ComparisonFormats()
	case m.run.Result != nil:
		return report.Formats()
	}
	return nil
}

// text is the report for people.
func (m *made) text(width int) string {
	var b bytes.Buffer
	if err := m.render(&b, report.Text, report.TextOptions{Width: width, Color: !noColor()}); err != nil {
		return report.Plain(err.Error())
	}
	return b.String()
}

func (m *made) render(b *bytes.Buffer, format report.Format, options report.TextOptions) error {
	switch {
	case m.run.Result != nil:
		return report.Write(b, format, m.run, options)
	case m.compared != nil:
		return report.WriteComparison(b, format, m.compared, options)
	}
	if b.Write(m.printed.Bytes()); m.printed.Len() == 0 {
		b.WriteString("\nThere is no report.\n")
	}
	return nil
}

// write writes the report to a file, whose ending says the format.
func (m *made) write(path string, over bool) (said string, err error) {
	format, ok := report.FormatForFile(path)
	if !ok || !slices.Contains(m.formats(), format) {
		return "", fmt.Errorf("%q has none of the endings %s", path, strings.Join(endings(m.formats()), ", "))
	}
	var b bytes.Buffer
	if err := m.render(&b, format, report.TextOptions{}); err != nil {
		return "", err
	}
	if err := writeFile(path, b.Bytes(), 0o644, over); err != nil {
		return "", err
	}
	return "written to " + path, nil
}

// writeFile writes a file; over one that is there only where over is true.
func writeFile(path string, content []byte, mode os.FileMode, over bool) error {
	how := os.O_EXCL
	if over {
		how = os.O_TRUNC
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|how, mode)
	if err != nil {
		return err
	}
	if over {
		err = file.Chmod(mode) // it may have been open to more people
	}
	if err == nil {
		_, err = file.Write(content)
	}
	return errors.Join(err, file.Close())
}

// diff shows how two runs differ: the head, held against the base.
func (s *session) diff(ctx context.Context, base, head *made) error {
	reader := diffReader(base, head)
	next, err := reader.Read(ctx, s.screen)
	if err == nil && next == tui.Swap {
		s.marked = []*made{head, base}
		return s.diff(ctx, head, base)
	}
	return err
}

func diffReader(base, head *made) *tui.Reader {
	m := &made{at: time.Now()}
	said := []string{"base " + base.line(), "head " + head.line()}
	if base.run.Result != nil && head.run.Result != nil {
		f := &diffFlags{}
		f.output.set = newFlagSet("diff")
		m.compared = f.compare([]string{base.title(), head.title()}, [2][]report.Run{{base.run}, {head.run}})
	} else {
		said = append(said, "only runs can be compared, and neither comparisons nor what came to nothing")
	}
	reader := m.reader("the head, held against the base", said...)
	reader.Swap = true
	return reader
}

// save writes a scenario file, for nobody else to read: what is secret stands in it.
func (form *sessionForm) save(path string, over bool, values []string) (said string, err error) {
	if ending := filepath.Ext(path); ending != ".yaml" && ending != ".yml" {
		return "", fmt.Errorf("%q ends neither in .yaml nor in .yml", path)
	}
	job, args, err := form.job(values)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	kind, _ := form.kind(values) // job has found it
	printTargets(&b, kind, literalTexts(args))
	job.flags().Visit(func(flag *pflag.Flag) { printSetting(&b, flag, literalTexts(given(flag)), "") })
	text := keyScenarios + ":\n  - " + strings.TrimPrefix(b.String(), "    ")
	if err := writeFile(path, []byte(text), 0o600, over); err != nil {
		return "", err
	}
	return fmt.Sprintf("saved as %s; `rtbench run %s` does the same", path, quoted([]string{path})), nil
}

// literalTexts have texts stand for themselves in a file, and for no variable.
func literalTexts(texts []string) (list []string) {
	for _, text := range texts {
		list = append(list, literally(text))
	}
	return list
}
