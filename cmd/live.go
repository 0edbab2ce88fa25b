package cmd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// registerLive declares the flags of what is told while a run goes on.
func (f *loadFlags) registerLive() {
	f.set.StringVar(&f.stream, "stream", "", "write a line of JSON a second to this `FILE` while the run goes on")
	f.set.StringVar(&f.metricsAddr, "metrics-addr", "", "serve /metrics there while the run goes on, `HOST:PORT`, as Prometheus reads it")
	heading(f.set, "live")
}

// streamPace is how often a line is written.
const streamPace = time.Second

// openLive begins to tell how a run goes, wherever it is to be told. stop ends that, and says what went wrong.
func (f *loadFlags) openLive(snapshot func() *bench.Snapshot) (stop func() error, err error) {
	ending, end := context.WithCancel(context.Background())
	var done []func() error
	stop = func() error {
		end()
		var failed []error
		for _, wait := range done {
			failed = append(failed, wait())
		}
		return together(failed...)
	}
	if f.stream != "" {
		file, err := os.Create(f.stream)
		if err != nil {
			return stop, usage(fmt.Errorf("--stream: %w", err), "name a file that can be written")
		}
		written := make(chan error, 1)
		go func() { written <- streamTo(ending, file, snapshot) }()
		done = append(done, func() error { return <-written })
	}
	if f.metricsAddr != "" {
		ln, err := f.listenForMetrics()
		if err != nil {
			return stop, together(err, stop())
		}
		server := &http.Server{Handler: metricsHandler(snapshot), ReadHeaderTimeout: 5 * time.Second}
		go func() { _ = server.Serve(ln) }()
		done = append(done, func() error { _ = server.Close(); return nil })
		f.metricsAt = ln.Addr().String()
	}
	return stop, nil
}

func (f *loadFlags) listenForMetrics() (net.Listener, error) {
	ln, err := net.Listen("tcp", f.metricsAddr)
	if err != nil {
		return nil, usage(fmt.Errorf("--metrics-addr: %w", err), "HOST:PORT, such as localhost:9464; port 0 picks a free one")
	}
	return ln, nil
}

// tryOut finds, before anything connects, what would go wrong only once it has: with what is told while the run goes on, with
// what tells of the target, and with the flags of the reference server.
func (f *loadFlags) tryOut(hasURL bool) error {
	if f.stream != "" {
		if err := writable(f.stream); err != nil {
			return usage(fmt.Errorf("--stream: %w", err), "name a file that can be written")
		}
	}
	if f.metricsAddr != "" {
		ln, err := f.listenForMetrics()
		if err != nil {
			return err
		}
		_ = ln.Close() // it was opened to see whether it can be
	}
	if _, err := f.probe(0); err != nil || hasURL {
		return err
	}
	return checkServe(f.serveFlags())
}

// streamTo writes a line a second, and a last one in the end.
func streamTo(ctx context.Context, file *os.File, snapshot func() *bench.Snapshot) (failed error) {
	ticker := time.NewTicker(streamPace)
	defer ticker.Stop()
	write := func() {
		s := snapshot()
		if s == nil || failed != nil {
			return
		}
		if _, err := bytes.NewReader(report.SnapshotLine(s)).WriteTo(file); err != nil {
			failed = fmt.Errorf("--stream: %w", err)
		}
	}
	for {
		select {
		case <-ticker.C:
			write()
		case <-ctx.Done():
			write()
			return together(failed, file.Close())
		}
	}
}

// metricsHandler answers /metrics.
func metricsHandler(snapshot func() *bench.Snapshot) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		open := strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")
		kind := "text/plain; version=0.0.4; charset=utf-8"
		if open {
			kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(report.SnapshotMetrics(snapshot(), open))
	})
	return mux
}
