package report

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// writeHLog writes an HdrHistogram interval log, format 1.3: one line a timing, the metric's name as its tag. Values
// are in ns, so that the Interval_Max column, by its convention scaled by a million, is in ms. Each line's interval is
// the whole run, because connecting happens before the measured window and late events arrive after it; the window is
// in a comment.
func writeHLog(w io.Writer, run Run) error {
	if err := run.check(); err != nil {
		return err
	}
	r := run.Result
	var b bytes.Buffer
	log := hdrhistogram.NewHistogramLogWriter(&b)
	log.SetBaseTime(r.Start.UnixMilli())

	seconds := fmt.Sprintf("%d.%03d (seconds since epoch)", r.Start.Unix(), r.Start.Nanosecond()/int(time.Millisecond))
	comments := []string{
		Plain("[Logged with rtbench " + r.Environment.Version + ": " + run.Config.Command + " " + run.Config.Target + "]"),
		fmt.Sprintf("[Histogram log format version %s]", hdrhistogram.HISTOGRAM_LOG_FORMAT_VERSION),
		fmt.Sprintf("[Measured window: %.3f s to %.3f s]", r.Begin.Seconds(), r.End.Seconds()),
		// OutputStartTime and OutputBaseTime cut to whole seconds.
		fmt.Sprintf("[StartTime: %s, %s]", seconds, r.Start.UTC().Format(time.RFC3339)),
		fmt.Sprintf("[BaseTime: %s]", seconds),
	}
	if name := scenario(run.Config.Entries); name != "" {
		comments = append(comments, "[Scenario: "+Plain(name)+"]")
	}
	for _, comment := range comments {
		if err := log.OutputComment(comment); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	if err := log.OutputLegend(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, t := range timings(r) {
		h := t.histogram.Clone()
		h.SetTag(t.metric.String())
		h.SetStartTimeMs(r.Start.UnixMilli())
		h.SetEndTimeMs(r.Start.Add(r.Elapsed).UnixMilli())
		if err := log.OutputIntervalHistogram(h); err != nil {
			return fmt.Errorf("report: %s: %w", t.metric, err)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
