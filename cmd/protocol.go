package cmd

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/client"
)

// A protocol is one row of the table of what rtbench speaks.
type protocol struct {
	name     string   // of the command
	title    string   // for people
	opens    string   // what is said of an endpoint that speaks it
	schemes  []string // of its URLs; the first one is the default
	path     string   // of the reference server
	echo     string   // of the reference server, for what each connection sends for itself; "" for none
	chat     string   // of the reference server, for what connections send for all; "" for none
	policy   client.Policy
	examples string
	register func(*loadFlags)
	// dialers checks what is the protocol's own, and gives the maker of dialers.
	dialers func(*loadFlags, *target) (dialerMaker, error)
	// sending says what the connections send.
	sending func(*loadFlags, *target) (bench.Sending, error)
	// mistaken says what to try where the answer with a status, whose text is an error's, looks like another protocol's; ""
	// where it doesn't.
	mistaken func(status int, text string) string
}

// hint says what to try where an error is why nothing connected.
func (p *protocol) hint(e bench.ErrorGroup) string {
	if e.Class != client.ClassStatus {
		return e.Hint()
	}
	return cmp.Or(p.mistaken(e.Code, e.Text), e.Hint())
}

// scheme is that of its URLs, with TLS or without.
func (p *protocol) scheme(secure bool) string {
	if secure {
		return p.schemes[1]
	}
	return p.schemes[0]
}

// secured reports whether a scheme is one of TLS.
func secured(scheme string) bool {
	return slices.ContainsFunc(protocols, func(p *protocol) bool { return p.schemes[1] == scheme })
}

// failure is why a stream could not be opened, with what to try.
func (p *protocol) failure(err error) *failure {
	e := client.Classify(err)
	return &failure{exitFailed, e, p.hint(bench.ErrorGroup{Class: e.Class, Code: e.Code, Text: e.Error()})}
}

// looksLikeEvents is how an error quotes an answer that begins with a line of an event stream.
var looksLikeEvents = regexp.MustCompile(`"(data|id|event|retry)?: `)

// mistakenForWebSocket knows event streams, and pages.
func mistakenForWebSocket(status int, text string) string {
	switch {
	case status != http.StatusOK:
		return ""
	case looksLikeEvents.MatchString(text):
		return "this is an event stream, which `rtbench sse` measures"
	}
	return "this is no WebSocket; if it is an event stream, `rtbench sse` measures it"
}

// mistakenForEvents knows endpoints that want to be upgraded.
func mistakenForEvents(status int, text string) string {
	text = strings.ToLower(text)
	if status == http.StatusUpgradeRequired || status == http.StatusBadRequest && (strings.Contains(text, "upgrade") || strings.Contains(text, "websocket")) {
		return "this looks like a WebSocket, which `rtbench ws` measures"
	}
	return ""
}

// A dialerMaker gives the dialer of one connection.
type dialerMaker func(conn int) (client.Dialer, error)

// protocols is the one place that knows which protocols there are.
var protocols = []*protocol{
	{
		name: "sse", title: "Server-Sent Events", opens: "it answers with an event stream", schemes: []string{"http", "https"}, path: "/sse", policy: client.EventSource,
		examples: "rtbench sse http://localhost:8080/events -c 1000 -d 30s\n" +
			"# a stream that answers a POST, 5 new ones a second\n" +
			"rtbench sse https://api.example.com/v1/chat -X POST --data '{\"stream\":true}' --done '[DONE]' -r 5/s\n" +
			"# publish what they receive, and measure it on one clock\n" +
			"rtbench sse http://localhost:8080/events -c 1000 --publish /publish -r 10/s\n" +
			"# on a bad network: what became of every fault?\n" +
			"rtbench sse http://localhost:8080/events --via-faults latency=20ms..80ms --via-faults cut@100:rst:10%\n" +
			"# how long may a client be away before it loses something, and when is a silent connection cut?\n" +
			"rtbench sse http://localhost:8080/events --resume-horizon=60s\n" +
			"rtbench sse http://localhost:8080/events --find-idle-limit=5m",
		register: registerSSE, dialers: sseDialers, sending: sseSending, mistaken: mistakenForEvents,
	},
	{
		name: "ws", title: "WebSocket", opens: "it opens a WebSocket", schemes: []string{"ws", "wss", "http", "https"}, path: "/ws", echo: "/ws/echo", chat: "/ws/chat", policy: client.Exponential,
		examples: "rtbench ws ws://localhost:8080/feed -c 1000 -d 30s\n" +
			"# echo round trips: 5,000 messages a second over 500 connections\n" +
			"rtbench ws ws://localhost:8080/echo -c 500 -r 5000/s -m '{\"text\":\"hi\",\"t\":\"{{.Stamp}}\"}'\n" +
			"# a chat: every 10th connection sends, and all of them receive it\n" +
			"rtbench ws ws://localhost:8080/chat -c 500 --chat 10 -r 20/s\n" +
			"# on a bad network: what became of every fault?\n" +
			"rtbench ws ws://localhost:8080/feed --via-faults stall=5s@10s --via-faults truncate@100:10% --idle-timeout 3s\n" +
			"# how long may a client be away before it loses something, and when is a silent connection cut?\n" +
			"rtbench ws ws://localhost:8080/feed --resume-horizon=60s --id json:seq --resume 'query:after={{.LastID}}'\n" +
			"rtbench ws ws://localhost:8080/feed --find-idle-limit=5m",
		register: registerWS, dialers: wsDialers, sending: wsSending, mistaken: mistakenForWebSocket,
	},
}

func registerSSE(f *loadFlags) {
	f.set.Lookup("connections").Usage += "; with --done, streams at a time"
	f.set.StringVarP(&f.method, "method", "X", "", "HTTP `METHOD`")
	byDefault(f.set, "method", "GET, with --data POST")
	f.set.StringVar(&f.data, "data", "", "send this `BODY`, a template; @FILE reads it from a file")
	f.set.BoolVar(&f.noResume, "no-resume", false, "send no Last-Event-ID after a drop, as a client that doesn't know it")
	f.done = parsed[client.EndMarker]{kind: "match", parse: client.ParseEndMarker}
	f.set.Var(&f.done, "done", "every stream is a request that ends on this: data such as '[DONE]', or event:NAME")
	f.registerRate("with --done: streams started a second; with --publish: messages published", "1/s, with --publish 10/s")
}

func sseDialers(f *loadFlags, t *target) (dialerMaker, error) {
	body, err := textOrFile(f.data)
	if err != nil {
		return nil, in("--data", err)
	}
	if t.body, err = parseText(body, t.of(0)); err != nil {
		return nil, usage(fmt.Errorf("--data: %w", err), connectionFields)
	}
	if body != "" {
		t.method = cmp.Or(t.method, http.MethodPost)
		t.defaultType(body)
	}
	if t.method != "" && !client.IsToken(t.method) {
		return nil, usage(fmt.Errorf("--method %q is not an HTTP method", t.method), "such as POST")
	}
	return func(conn int) (client.Dialer, error) {
		request, err := t.request(conn)
		return &client.SSE{Net: t.netOf(conn), Request: request, Done: f.done.value(), Forgets: f.noResume}, err
	}, nil
}

func sseSending(f *loadFlags, _ *target) (bench.Sending, error) {
	if f.done.value().IsZero() {
		return bench.Sending{}, nil
	}
	return bench.Sending{Rate: cmp.Or(float64(f.rate), 1)}, nil
}

func registerWS(f *loadFlags) {
	f.set.StringVarP(&f.message, "message", "m", "", "send this `TEMPLATE` at --rate: {{.Stamp}}, {{.N}}, {{.Conn}}, {{.Vars.column}}")
	f.set.StringVar(&f.messageFile, "message-file", "", "`FILE` that holds it")
	f.set.Var(&f.chat, "chat", "every `K`-th connection sends, and all connections are to receive it, the sender too if the server does that")
	f.registerRate("messages sent a second", "with a message 1/s on each connection that sends, with --publish 10/s")
	f.set.StringVar(&f.rateScope, "rate-scope", "total", "`SCOPE` of --rate: total for all connections together, conn for each that sends")
	f.set.StringArrayVar(&f.subscribe, "subscribe", nil, "send this `TEMPLATE` after every connect: {{.LastID}}, {{.Conn}}, {{.Vars.column}} (repeatable)")
	f.set.StringVar(&f.await, "await", "", "wait for a message that contains `TEXT`: a greeting, or the answer to the first of these")
	f.set.StringArrayVar(&f.answers, "answer", nil, "`MESSAGE=ANSWER`: answer a message that is exactly this, as a protocol's own pings want, and take it for a heartbeat (repeatable)")
	f.set.DurationVar(&f.ping, "ping", 0, "send a ping so often on each connection, and drop it when nothing comes for twice that")
	byDefault(f.set, "ping", "never")
	f.set.BoolVar(&f.binary, "binary", false, "send binary messages")
	f.set.StringSliceVar(&f.subprotocols, "subprotocol", nil, "offer the subprotocol `NAME` (repeatable)")
	f.set.BoolVar(&f.compression, "compression", false, "offer permessage-deflate")
	f.resume = parsed[client.Resume]{kind: "template", parse: client.ParseResume}
	f.set.Var(&f.resume, "resume", "how to resume: query:NAME={{.LastID}}, 'header:NAME: {{.LastID}}' or message:TEXT with it")
	f.id = parsed[client.Field]{kind: "field", parse: client.ParseField}
	f.set.Var(&f.id, "id", "where a message has its id: `json:PATH`")
	heading(f.set, "messages")
}

func wsDialers(f *loadFlags, t *target) (dialerMaker, error) {
	var subscribe []text
	for _, s := range f.subscribe {
		parsed, err := parseText(s, subscribeScope{connectionScope: t.of(0)})
		if err != nil {
			return nil, usage(fmt.Errorf("--subscribe: %w", err), subscribeFields)
		}
		if err := checkUTF8("--subscribe", s); err != nil {
			return nil, err
		}
		subscribe = append(subscribe, parsed)
	}
	var answers []client.Answer
	for _, s := range f.answers {
		answer, err := client.ParseAnswer(s)
		if err != nil {
			return nil, usage(fmt.Errorf("--answer: %w", err), "such as 2=3, for the pings of Engine.IO")
		}
		if err := checkUTF8("--answer", s); err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	for _, s := range f.subprotocols {
		if !client.IsToken(s) {
			return nil, usage(fmt.Errorf("--subprotocol %q is not a name", redactSubprotocol(s)), "such as graphql-transport-ws")
		}
	}
	t.secrets.AddHeader("Sec-WebSocket-Protocol", strings.Join(f.subprotocols, ","))
	return func(conn int) (client.Dialer, error) {
		request, err := t.request(conn)
		d := &client.WebSocket{
			Net: t.netOf(conn), Request: request, Subprotocols: f.subprotocols, Compression: f.compression, Binary: f.binary,
			Await: []byte(f.await), Answers: answers, Resume: f.resume.value(), ID: f.id.value(),
		}
		if len(subscribe) > 0 {
			d.Resubscribes = slices.ContainsFunc(f.subscribe, func(s string) bool { return strings.Contains(s, ".LastID") })
			d.Subscribe = func(from client.Cursor) ([][]byte, error) {
				list, err := renderAll(subscribe, subscribeScope{t.of(conn), string(from)})
				for _, message := range list {
					t.secrets.AddBody(string(message))
				}
				return list, err
			}
		}
		return d, err
	}, nil
}

func renderAll(texts []text, s subscribeScope) ([][]byte, error) {
	list := make([][]byte, len(texts))
	for i, t := range texts {
		rendered, err := t.render(s)
		if err != nil {
			return nil, err
		}
		list[i] = []byte(rendered)
	}
	return list, nil
}

// defaultMessage is sent where nothing says what: JSON, which servers that aren't mere echoes can read.
const defaultMessage = `{"type":"rtbench","stamp":"{{.Stamp}}"}`

func wsSending(f *loadFlags, t *target) (bench.Sending, error) {
	flag, raw := "--message", f.message
	if f.messageFile != "" {
		flag = "--message-file"
		b, err := readInput(f.messageFile)
		if err != nil {
			return bench.Sending{}, usage(fmt.Errorf("--message-file: %w", err), "it holds the message to send")
		}
		raw = string(b)
	}
	sending := bench.Sending{Rate: float64(f.rate), PerConnection: f.rateScope == "conn", Every: int(f.chat)}
	if raw == "" && sending.Rate == 0 && sending.Every == 0 {
		return sending, nil
	}
	if sending.Rate == 0 {
		sending.Rate, sending.PerConnection = 1, true
	}
	if !f.binary {
		if err := checkUTF8(flag, raw); err != nil {
			return sending, err
		}
	}
	message, err := parseMessage(cmp.Or(raw, defaultMessage), t)
	if err != nil {
		return sending, in(flag, err)
	}
	if sending.Unstamped = !message.stamped; sending.Unstamped && sending.Every > 0 {
		return sending, unstamped(flag)
	}
	sending.Message = message.append
	return sending, nil
}

// checkUTF8 complains of what is sent as a text message, and can't be one (RFC 6455, 5.6): the server would rightly refuse it.
func checkUTF8(flag, raw string) error {
	if utf8.ValidString(raw) {
		return nil
	}
	valid := strings.ToValidUTF8(raw, "\x00")
	at := 0
	for at < len(valid) && raw[at] == valid[at] {
		at++
	}
	return usage(fmt.Errorf("%s is not valid UTF-8 from byte %d on, as a text message is", flag, at+1), "--binary sends a message as it is")
}
