package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/rtbench/rtbench/report"
)

// An output is a file that a report goes to.
type output struct {
	path   string
	format report.Format
}

// openOutputs checks before the run that every file can be written, without touching what is in it.
func (f *loadFlags) openOutputs() ([]output, error) {
	outputs := make([]output, 0, len(f.outputs))
	written := make(map[string]bool)
	for _, path := range f.outputs {
		format, ok := report.FormatForFile(path)
		if !ok {
			if !f.given("format") && !f.json {
				return nil, usage(fmt.Errorf("--output %s: its ending says no format", path), "end it in %s, or give --format", strings.Join(endings(report.Formats()), ", "))
			}
			format = f.reportFormat()
		}
		for path := range (output{path, format}).files(report.Run{}) {
			if path = filepath.Clean(path); written[path] {
				return nil, usage(fmt.Errorf("--output: two reports would go to %s", path), "name a file for each; the series of a.csv is in a.series.csv")
			}
			written[path] = true
		}
		if err := writable(path); err != nil {
			return nil, usage(fmt.Errorf("--output: %w", err), "name a file that can be written")
		}
		outputs = append(outputs, output{path, format})
	}
	return outputs, nil
}

// A writtenFile is a file that a flag has written.
type writtenFile struct{ flag, path string }

// filesOf are the files of outputs.
func filesOf(outputs []output) (list []writtenFile) {
	for _, o := range outputs {
		for _, path := range slices.Sorted(maps.Keys(o.files(report.Run{}))) {
			list = append(list, writtenFile{"output", path})
		}
	}
	return list
}

// canonical is one spelling of the paths that lead to a file, which needn't be there.
func canonical(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if directory, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(directory, filepath.Base(path))
	}
	return path
}

// writable finds out whether a file can be written, and leaves none behind that there wasn't.
func writable(path string) error {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 { // whose reader would take it for the end
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	fresh := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(path, os.O_WRONLY, 0o644)
	}
	if err != nil {
		return err
	}
	err = file.Close()
	if fresh {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// endings are those of files by which formats are known.
func endings(of []report.Format) (list []string) {
	for _, f := range of {
		list = append(list, f.Extension())
	}
	return list
}

// reportFormat is the format of what goes to stdout.
func (f *loadFlags) reportFormat() report.Format {
	if f.json {
		return report.JSON
	}
	return f.format.value()
}

// write writes every report there is to be. What can't be written goes to stderr, so that no result is lost.
func (f *loadFlags) write(std streams, outputs []output, run report.Run) error {
	return f.writeAll(std, outputs, func(out output) map[string]func(io.Writer) error { return out.files(run) },
		func(w io.Writer, format report.Format) error {
			return report.Write(w, format, run, f.textOptions(std.out))
		})
}

// writeAll writes what goes into the files of each output, and to stdout what goes there.
func (f *loadFlags) writeAll(std streams, outputs []output, files func(output) map[string]func(io.Writer) error, write func(io.Writer, report.Format) error) error {
	var failed []error
	rescue := func(err error, render func(io.Writer) error) {
		failed = append(failed, err)
		_ = render(std.err) // there is nowhere else to go
	}
	for _, out := range outputs {
		for path, render := range files(out) {
			var b bytes.Buffer
			err := render(&b)
			if err == nil {
				err = os.WriteFile(path, b.Bytes(), 0o644)
			}
			if err != nil {
				rescue(fmt.Errorf("writing the report: %w", err), render)
			}
		}
	}
	format := f.reportFormat()
	if f.quiet && format == report.Text {
		return together(failed...)
	}
	render := func(w io.Writer) error { return write(w, format) }
	if err := render(std.out); err != nil {
		rescue(fmt.Errorf("writing the report to stdout: %w", err), render)
	}
	return together(failed...)
}

// files gives the files of one output and what goes into each: CSV is one for the summary and one for the series.
func (o output) files(run report.Run) map[string]func(io.Writer) error {
	if o.format == report.CSV {
		ending := filepath.Ext(o.path)
		return map[string]func(io.Writer) error{
			o.path: func(w io.Writer) error { return report.CSVSummary(w, run) },
			strings.TrimSuffix(o.path, ending) + ".series" + ending: func(w io.Writer) error { return report.CSVSeries(w, run) },
		}
	}
	return map[string]func(io.Writer) error{
		o.path: func(w io.Writer) error { return report.Write(w, o.format, run, report.TextOptions{}) },
	}
}

// textOptions fits the text report to where it goes.
func (f *loadFlags) textOptions(w io.Writer) report.TextOptions {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return report.TextOptions{}
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		width = 0
	}
	return report.TextOptions{Color: !f.noColor && !noColor(), Width: width}
}

// noColor reports whether the user wants no colours.
func noColor() bool {
	_, is := os.LookupEnv("NO_COLOR")
	return is || os.Getenv("TERM") == "dumb"
}

// together is one error of several, which goes on one line; nil where all are.
func together(failed ...error) (err error) {
	for _, next := range failed {
		switch {
		case next == nil:
		case err == nil:
			err = next
		default:
			err = fmt.Errorf("%w; %w", err, next)
		}
	}
	return err
}
