package cmd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/server"
)

// listening starts the line by which the reference server says where it is.
const listening = "listening on "

// serveFlags are the flags of `rtbench serve`.
type serveFlags struct {
	options server.Options
	listen  string
	rate    rateValue
	size    sizeValue
	faults  parsed[server.Fault]

	tls        bool
	cert, key  string
	caOut      string
	untilStdin bool
}

func newServeCommand(std streams) *cobra.Command {
	f := &serveFlags{rate: 10}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run the reference server: SSE and WebSocket from one hub, with faults on demand",
		Long: "serve runs the reference server: one hub publishes events on a schedule and to /publish, and feeds the same ones to\n" +
			"/sse and /ws. /ws/chat publishes what its subscribers send, /ws/echo echoes, /truth says what was sent to whom and\n" +
			"when, /time what the server takes the time to be, /healthz that it runs.",
		Example: "# 100 events a second, resumable, with a heartbeat\nrtbench serve --rate 100 --replay 1000 --heartbeat 15s\n" +
			"# lose one delivery in a thousand, and hang up after 500\nrtbench serve --rate 100 --fault drop=0.1% --fault hangup@500",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), std) },
	}
	f.register(command.Flags())
	groupedHelp(command)
	return command
}

func (f *serveFlags) register(set *pflag.FlagSet) {
	o := &f.options
	set.StringVarP(&f.listen, "listen", "l", "127.0.0.1:8080", "`HOST:PORT` to listen on; port 0 picks a free one")
	set.BoolVar(&f.tls, "tls", false, "serve https and wss, with a certificate made for this run")
	set.StringVar(&f.cert, "cert", "", "PEM `FILE` of the certificate to use instead")
	set.StringVar(&f.key, "key", "", "PEM `FILE` of its key")
	set.StringVar(&f.caOut, "ca-out", "", "with --tls: write the certificate to this `FILE`, for --cacert")
	set.BoolVar(&o.Compression, "compression", false, "accept permessage-deflate")
	heading(set, "listening")
	set.VarP(&f.rate, "rate", "r", "events published a second, on each topic; 0 for none but those posted")
	set.Var(&f.size, "size", "bytes of an event's payload")
	byDefault(set, "size", "as few as it takes")
	set.BoolVar(&o.Binary, "binary", false, "binary payloads: WebSocket binary messages, base64 over SSE")
	set.StringSliceVar(&o.Topics, "topic", nil, "`NAME` of a topic to publish on (repeatable)")
	byDefault(set, "topic", "one, named default")
	set.IntVar(&o.Replay, "replay", 1000, "events that a subscriber can resume from")
	heading(set, "events")
	set.DurationVar(&o.Retry, "retry", 0, "reconnection time to ask SSE clients for")
	byDefault(set, "retry", "none")
	set.DurationVar(&o.Heartbeat, "heartbeat", 15*time.Second, "interval of SSE comments and WebSocket pings; 0 for none")
	set.IntVar(&o.Limit, "limit", 0, "subscribers beyond which more are refused with 503")
	byDefault(set, "limit", "no limit")
	set.IntVar(&o.Queue, "queue", 0, "events a subscriber may lag before it is cut")
	byDefault(set, "queue", "16384")
	heading(set, "subscribers")
	set.IntVar(&o.TruthWrites, "truth-writes", 0, "deliveries whose system calls /truth/writes remembers")
	byDefault(set, "truth-writes", "none")
	heading(set, "truth")
	f.faults = parsed[server.Fault]{kind: "fault", parse: server.ParseFault, many: true}
	set.Var(&f.faults, "fault", "do this wrong: drop=1%, duplicate=1%, reorder=1%, delay=5ms..20ms@10%, delay=lognormal:2ms:0.8, stall=2s@5s, hangup@100[:rst], refuse=503@10%, reject=503@10%, resume=gap-head (repeatable)")
	set.Uint64Var(&o.Seed, "seed", 1, "seed of the faults and of binary payloads")
	set.DurationVar(&o.ClockOffset, "clock-offset", 0, "how far the server's clock is ahead, in stamps, /time and Date headers; may be negative")
	byDefault(set, "clock-offset", "none")
	set.Float64Var(&o.ClockDrift, "clock-drift", 0, "`PPM`, parts per million, by which the server's clock is too fast; may be negative")
	byDefault(set, "clock-drift", "none")
	heading(set, "faults")
	set.BoolVar(&f.untilStdin, "until-stdin-ends", false, "end when stdin does")
	_ = set.MarkHidden("until-stdin-ends")
}

// server makes the server that the flags describe, which doesn't serve yet.
func (f *serveFlags) server() (*server.Server, error) {
	f.options.Rate, f.options.Size, f.options.Faults = float64(f.rate), int(f.size), f.faults.values
	srv, err := server.New(f.options)
	if err != nil {
		return nil, usage(err, "`rtbench serve --help` lists the flags")
	}
	return srv, nil
}

// checkServe finds what is wrong with flags for the reference server.
func checkServe(flags string) error {
	f := &serveFlags{}
	command := subcommand("serve")
	f.register(command.Flags())
	err := command.ParseFlags(strings.Fields(flags))
	switch {
	case err != nil:
		err = flagError(command, err)
	case command.Flags().NArg() > 0:
		err = noArguments(command, command.Flags().Args())
	default:
		_, err = f.server()
	}
	if err != nil {
		return in("--serve", err)
	}
	return nil
}

func (f *serveFlags) run(ctx context.Context, std streams) error {
	f.options.Alarms = &client.Alarms{}
	defer f.options.Alarms.Close()
	srv, err := f.server()
	if err != nil {
		return err
	}
	config, err := f.certificate()
	if err != nil {
		return err
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
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return usage(fmt.Errorf("--listen %q is not HOST:PORT", f.listen), "such as 127.0.0.1:8080, or :8080 for every address")
	}
	ln, err := net.Listen("tcp", f.listen)
	if err != nil {
		return &failure{exitFailed, err, "name another address with --listen; port 0 picks a free one"}
	}
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	fmt.Fprintf(std.out, "%s%s://%s\n", listening, scheme, ln.Addr())
	if err := srv.Serve(ctx, ln, config); err != nil {
		return &failure{exitFailed, err, "the server could not go on"}
	}
	return nil
}

// certificate gives the TLS configuration, nil for none.
func (f *serveFlags) certificate() (*tls.Config, error) {
	if f.cert != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, usage(fmt.Errorf("--cert and --key: %w", err), "two PEM files that belong together")
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
	}
	if !f.tls {
		if f.caOut != "" {
			return nil, usage(fmt.Errorf("--ca-out without --tls"), "there is no certificate to write")
		}
		return nil, nil
	}
	pair, ca, err := server.SelfSigned()
	if err != nil {
		return nil, &failure{exitFailed, err, ""}
	}
	if f.caOut != "" {
		if err := os.WriteFile(f.caOut, ca, 0o644); err != nil {
			return nil, usage(fmt.Errorf("--ca-out: %w", err), "name a file that can be written")
		}
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
}
