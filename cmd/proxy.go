package cmd

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/rtbench/rtbench/proxy"
	"github.com/rtbench/rtbench/report"
)

// proxyFlags are the flags of `rtbench proxy`.
type proxyFlags struct {
	to         string
	listen     string
	keepHost   bool
	insecure   bool
	caCert     string
	faults     parsed[proxy.Fault]
	file       string
	seed       uint64
	log        string
	untilStdin bool
}

func newProxyCommand(std streams) *cobra.Command {
	f := &proxyFlags{}
	command := &cobra.Command{
		Use:   "proxy",
		Short: "Put faults between clients and any server, and log when each of them struck whom",
		Long: "proxy passes connections on to a server, and does harm to them on a script: latency, bandwidth, stalls, cuts, resets,\n" +
			"black holes, truncated events, refusals; at a time, a byte or an event. Without faults every byte passes as it is, but\n" +
			"for the Host header, which becomes the server's.\n" +
			"`rtbench sse` and `rtbench ws` take the same faults as --via-faults, and account for what the clients noticed of each.",
		Example: "# reset every connection after its 20th event\nrtbench proxy --to http://localhost:8080 --fault cut@20:rst --log faults.jsonl\n" +
			"# a bad mobile network, that now and then goes dead\nrtbench proxy --to https://example.com --fault latency=80ms..300ms --fault blackhole@30s:10%",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), std) },
	}
	set := command.Flags()
	set.StringVar(&f.to, "to", "", "`URL` whose host connections are passed on to: http, https, ws, wss, or tcp://HOST:PORT for bytes as they are")
	set.StringVarP(&f.listen, "listen", "l", "127.0.0.1:8081", "`HOST:PORT` to listen on; port 0 picks a free one")
	set.BoolVar(&f.keepHost, "keep-host", false, "leave the Host header of requests as it is")
	set.BoolVarP(&f.insecure, "insecure", "k", false, "accept any TLS certificate of the server")
	set.StringVar(&f.caCert, "cacert", "", "PEM `FILE` of the authorities to trust")
	heading(set, "passing on")
	f.faults = parsed[proxy.Fault]{kind: "fault", parse: proxy.ParseFault, many: true}
	set.Var(&f.faults, "fault", "do this harm: "+faultForms+" (repeatable)")
	set.StringVar(&f.file, "fault-file", "", "`FILE` with one such fault a line, and # comments")
	set.Uint64Var(&f.seed, "seed", 1, "seed of shares and latencies")
	set.StringVar(&f.log, "log", "", "write a line of JSON to this `FILE` whenever a fault strikes; - for stdout")
	heading(set, "faults")
	set.BoolVar(&f.untilStdin, "until-stdin-ends", false, "end when stdin does")
	_ = set.MarkHidden("until-stdin-ends")
	groupedHelp(command)
	return command
}

// faultForms are those of the faults in a flag's help.
const faultForms = "latency=50ms, latency=20ms..80ms[:up|:down], bandwidth=10KB/s[:up|:down], cut@20[:rst], reset@20, stall=2s@20, blackhole@20, " +
	"truncate@20[:rst], refuse@10%; @20 is after the 20th event, @4096b after a byte and @5s after a time; :10% behind it is a share of the connections"

func (f *proxyFlags) run(ctx context.Context, std streams) error {
	options, err := f.options()
	if err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return usage(fmt.Errorf("--listen %q is not HOST:PORT", f.listen), "such as 127.0.0.1:8081, or :8081 for every address")
	}
	record, err := f.openLog(std)
	if err != nil {
		return err
	}
	options.Injected, options.Failed = record.injected, (&complaints{w: std.err}).failed
	p, err := proxy.New(options)
	if err != nil {
		return usage(err, "`rtbench proxy --help` lists the faults")
	}
	if f.untilStdin {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() {
			_, _ = io.Copy(io.Discard, std.in) // it ends with the process that holds the other end
			cancel()
		}()
	}
	ln, err := net.Listen("tcp", f.listen)
	if err != nil {
		return &failure{exitFailed, err, "name another address with --listen; port 0 picks a free one"}
	}
	scheme := "http"
	if options.Raw {
		scheme = "tcp"
	}
	fmt.Fprintf(std.out, "%s%s://%s\n", listening, scheme, ln.Addr())
	err = p.Serve(ctx, ln)
	if logErr := record.close(); logErr != nil {
		return &failure{exitFailed, fmt.Errorf("--log: %w", logErr), "some faults aren't in it"}
	}
	if err != nil {
		return &failure{exitFailed, err, "the proxy could not go on"}
	}
	if f.log != "-" {
		record.sum(std.out)
	}
	return nil
}

// options reads the flags but for those of the log.
func (f *proxyFlags) options() (o proxy.Options, err error) {
	if f.to == "" {
		return o, usage(errors.New("--to is missing"), "--to URL says where connections are passed on to")
	}
	if err := checkURL(f.to, []string{"http", "https", "ws", "wss", "tcp"}); err != nil {
		return o, in("--to", err)
	}
	u, err := url.Parse(f.to)
	if err != nil {
		return o, in("--to", usage(err, "such as http://HOST:PORT"))
	}
	secure := u.Scheme == "https" || u.Scheme == "wss"
	o.Raw, o.Seed, o.Faults = u.Scheme == "tcp", f.seed, f.faults.values
	if o.Raw && u.Port() == "" {
		return o, usage(fmt.Errorf("--to %q names no port", report.BareURL(f.to)), "write tcp://HOST:PORT")
	}
	if !o.Raw && !f.keepHost {
		o.Host = u.Host
	}
	if f.file != "" {
		more, err := readScript(f.file)
		if err != nil {
			return o, in("--fault-file", err)
		}
		o.Faults = append(slices.Clone(o.Faults), more...)
	}
	config, err := tlsConfig(f.insecure, f.caCert)
	if err != nil {
		return o, err
	}
	if (f.insecure || f.caCert != "") && !secure {
		return o, usage(fmt.Errorf("--insecure and --cacert are for TLS, but --to is %s", f.to), "is it https://%s?", u.Host)
	}
	port := cmp.Or(u.Port(), map[bool]string{false: "80", true: "443"}[secure])
	o.Dial = dialer(net.JoinHostPort(u.Hostname(), port), u.Hostname(), secure, config)
	return o, nil
}

// dialer opens connections to an address, with TLS if it is to be secure.
func dialer(address, name string, secure bool, config *tls.Config) func(context.Context) (net.Conn, error) {
	plain := &net.Dialer{}
	if !secure {
		return func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "tcp", address) }
	}
	config.ServerName, config.NextProtos = name, []string{"http/1.1"}
	d := &tls.Dialer{NetDialer: plain, Config: config}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
}

// readScript reads the faults in a file.
func readScript(path string) ([]proxy.Fault, error) {
	text, err := readInput(path)
	if err != nil {
		return nil, usage(err, "a file with one fault a line")
	}
	list, err := proxy.ParseScript(string(text))
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", path, err), "`rtbench proxy --help` lists the faults")
	}
	return list, nil
}

// A faultLog writes what struck, and counts it. Safe for concurrent use.
type faultLog struct {
	mu     sync.Mutex
	w      io.Writer // nil for nobody
	file   *os.File  // nil where w is none that is to be closed
	failed error     // the first failure to write
	order  []string  // the faults that struck, in the order in which they first did
	counts map[string]uint64
}

func (f *proxyFlags) openLog(std streams) (*faultLog, error) {
	l := &faultLog{counts: make(map[string]uint64)}
	switch f.log {
	case "":
	case "-":
		l.w = std.out
	default:
		file, err := os.Create(f.log)
		if err != nil {
			return nil, usage(fmt.Errorf("--log: %w", err), "name a file that can be written")
		}
		l.w, l.file = file, file
	}
	return l, nil
}

// injected is for proxy.Options.Injected.
func (l *faultLog) injected(x proxy.Injected) {
	line, err := json.Marshal(x)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[x.Fault]++; l.counts[x.Fault] == 1 {
		l.order = append(l.order, x.Fault)
	}
	if l.w == nil {
		return
	}
	if err == nil {
		_, err = l.w.Write(append(line, '\n'))
	}
	l.failed = cmp.Or(l.failed, err)
}

// close closes the file, and says what went wrong with it first.
func (l *faultLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.failed = cmp.Or(l.failed, l.file.Close())
	}
	return l.failed
}

// sum says what has struck how often.
func (l *faultLog) sum(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := make([]string, len(l.order))
	for i, fault := range l.order {
		parts[i] = fmt.Sprintf("%s × %d", fault, l.counts[fault])
	}
	fmt.Fprintln(w, "struck:", cmp.Or(strings.Join(parts, ", "), "nothing"))
}

// maxDifferent bounds how many different things a proxy complains of.
const maxDifferent = 100

// Complaints says what went wrong with connections, each thing once. Safe for concurrent use.
type complaints struct {
	mu   sync.Mutex
	w    io.Writer
	said map[string]bool
}

// failed is for proxy.Options.Failed.
func (c *complaints) failed(connection uint64, _ net.Addr, err error) {
	text := oneLine(err.Error())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said[text] || len(c.said) >= maxDifferent {
		return
	}
	if c.said == nil {
		c.said = make(map[string]bool)
	}
	c.said[text] = true
	if connection > 0 {
		text = fmt.Sprintf("connection %d, and maybe more: %s", connection, text)
	}
	fmt.Fprintln(c.w, text)
}
