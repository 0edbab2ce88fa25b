package client

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A scenario is what a server and a user do, when, and what a Session must make of it. The files under
// testdata/session are read line by line:
//
//	# a comment
//	over sse                     or ws; a ws scenario resumes by the query parameter "since", from the field json:id
//	backoff POLICY [attempts=N] [base=D] [max=D]
//	from ID                      where the session starts
//	idle D
//	done MARKER
//	at D finish | cancel | send TEXT    what the user does, counted from the start
//	dial                         a connection; the lines behind it are what the server does, one after the other:
//	  [+D] refuse                  it doesn't accept
//	  [+D] status N [SECONDS]      an answer that is no stream, with Retry-After
//	  [+D] page                    an HTML page
//	  [+D] open                    the stream
//	  [+D] send "…"                bytes of an event stream
//	  [+D] text …                  a WebSocket message
//	  [+D] close N                 a WebSocket Close frame
//	  [+D] end                     the clean end of an event stream
//	  [+D] wait                    until the client has finished or gone
//	                             and then it closes the connection
//	want
//	  …                          the log, word for word
type scenario struct {
	ws      bool
	session Session
	net     Net
	done    EndMarker
	user    []step
	dials   [][]step
	want    []string
}

type step struct {
	after time.Duration // since the step before; for the user, since the start
	verb  string
	arg   string
}

func readScenario(t *testing.T, path string) *scenario {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sc := &scenario{}
	section := ""
	for i, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		line = strings.TrimSpace(line)
		verb, arg, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case line == "want" || line == "dial":
			if section = line; line == "dial" {
				sc.dials = append(sc.dials, nil)
			}
		case section == "want":
			sc.want = append(sc.want, line)
		case section == "dial" && verb != "at":
			last := &sc.dials[len(sc.dials)-1]
			*last = append(*last, parseStep(t, line))
		default:
			if err := sc.set(t, verb, arg); err != nil {
				t.Fatalf("%s:%d: %v", path, i+1, err)
			}
		}
	}
	return sc
}

// parseStep reads "[+D] VERB ARG".
func parseStep(t *testing.T, line string) (s step) {
	t.Helper()
	if rest, ok := strings.CutPrefix(line, "+"); ok {
		var at string
		var err error
		at, line, _ = strings.Cut(rest, " ")
		if s.after, err = time.ParseDuration(at); err != nil {
			t.Fatal(err)
		}
	}
	s.verb, s.arg, _ = strings.Cut(line, " ")
	return s
}

func (sc *scenario) set(t *testing.T, key, value string) (err error) {
	switch key {
	case "over":
		sc.ws = value == "ws"
	case "from":
		sc.session.From = Cursor(value)
	case "idle":
		sc.net.Idle, err = time.ParseDuration(value)
	case "done":
		sc.done, err = ParseEndMarker(value)
	case "at":
		sc.user = append(sc.user, parseStep(t, "+"+value))
	case "backoff":
		words := strings.Fields(value)
		b := &sc.session.Backoff
		b.Policy, err = ParsePolicy(words[0])
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "attempts":
				b.Attempts, err = strconv.Atoi(value)
			case "base":
				b.Base, err = time.ParseDuration(value)
			case "max":
				b.Max, err = time.ParseDuration(value)
			}
		}
	default:
		err = fmt.Errorf("%q is not known", key)
	}
	return err
}

// A scenarioLog is the observer of a scenario, and its server's.
type scenarioLog struct {
	mu    sync.Mutex
	start time.Time
	lines []logLine
}

// Of what happens at one time, the user's doing is shown before the server's and that before the session's, since
// their goroutines race.
type logLine struct {
	at   time.Duration
	who  int
	what string
}

const (
	theUser = iota
	theServer
	theSession
)

func (l *scenarioLog) add(who int, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logLine{time.Since(l.start), who, fmt.Sprintf(format, args...)})
}

func (l *scenarioLog) text() (text []string) {
	slices.SortStableFunc(l.lines, func(a, b logLine) int { return cmp.Or(cmp.Compare(a.at, b.at), a.who-b.who) })
	for _, line := range l.lines {
		text = append(text, line.at.String()+" "+line.what)
	}
	return text
}

func (l *scenarioLog) Opened(o Opened) {
	l.add(theSession, "opened #%d from %q", o.Attempt, o.From)
}

func (l *scenarioLog) Received(ev *Event) { l.add(theSession, "%s", show(*ev)) }

func (l *scenarioLog) Closed(c Closed) {
	line := "failed: " + outcome(c.Err)
	if c.Opened {
		line = "closed: " + outcome(c.Err)
	}
	if c.Asked {
		line += ", asked"
	}
	if c.Final {
		line += ", final"
	} else {
		line += ", wait " + c.Wait.String()
	}
	if c.RetryHint >= 0 {
		line += ", retry " + c.RetryHint.String()
	}
	l.add(theSession, "%s", line)
}

func outcome(err error) string {
	if err == ErrDone {
		return "done"
	}
	return Classify(err).Key()
}

// play runs the scenario in fake time and gives the log.
func (sc *scenario) play(t *testing.T) []string {
	log := &scenarioLog{start: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	sc.net.DialTCP = func(context.Context, string, string) (net.Conn, error) {
		if len(sc.dials) == 0 {
			log.add(theSession, "a connection that the scenario doesn't know")
			cancel()
			return nil, context.Canceled
		}
		steps := sc.dials[0]
		sc.dials = sc.dials[1:]
		if steps[0].verb == "refuse" {
			<-time.After(steps[0].after)
			return nil, syscall.ECONNREFUSED
		}
		ours, theirs := duplex()
		all.Go(func() {
			defer theirs.Close()
			sc.serve(&peer{Conn: theirs, r: bufio.NewReader(theirs)}, steps, log)
		})
		return ours, nil
	}
	request := Request{URL: "http://127.0.0.1/"}
	if sc.ws {
		resume, _ := ParseResume("query:since={{.LastID}}")
		sc.session.Dialer = &WebSocket{Net: &sc.net, Request: request, Resume: resume, ID: field(t, "json:id")}
	} else {
		sc.session.Dialer = &SSE{Net: &sc.net, Request: request, Done: sc.done}
	}
	sc.session.Observer = log
	over := make(chan bool)
	for _, s := range sc.user {
		all.Go(func() {
			select {
			case <-time.After(s.after):
			case <-over:
				log.add(theUser, "it was over before %q", s.verb)
				return
			}
			synctest.Wait() // what happens at this time has happened
			switch s.verb {
			case "finish":
				log.add(theUser, "finish")
				sc.session.Finish()
			case "cancel":
				log.add(theUser, "cancel")
				cancel()
			case "send":
				log.add(theUser, "send: %v", sc.session.Send(ctx, []byte(s.arg)))
			}
		})
	}
	log.add(theSession, "returned: %s", outcome(sc.session.Run(ctx)))
	close(over)
	all.Wait()
	for range sc.dials {
		log.add(theSession, "a connection was expected")
	}
	return log.text()
}

// serve plays the server's end of one connection.
func (sc *scenario) serve(p *peer, steps []step, log *scenarioLog) {
	for _, s := range steps {
		<-time.After(s.after)
		switch s.verb {
		case "status":
			p.read()
			code, after, _ := strings.Cut(s.arg, " ")
			p.write("HTTP/1.1 " + code + " X\r\nRetry-After: " + after + "\r\nContent-Length: 0\r\n\r\n")
		case "page":
			p.read()
			p.write("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")
		case "open":
			if sc.ws {
				p.upgrade("")
				log.add(theServer, "asked for %q", p.request.URL.Query().Get("since"))
				continue
			}
			p.read()
			log.add(theServer, "asked for %q", p.request.Header.Get("Last-Event-Id"))
			p.write(streamHead)
		case "send":
			text, err := strconv.Unquote(s.arg)
			if err != nil {
				log.add(theServer, "send %s: %v", s.arg, err)
			}
			p.write(chunk(text))
		case "text":
			p.write(frame(wholeText, s.arg))
		case "close":
			code, _ := strconv.Atoi(s.arg)
			p.write(closing(uint16(code), ""))
			p.hear()
		case "end":
			p.write(lastChunk)
		case "wait":
			if sc.ws && p.request != nil {
				for {
					first, payload, err := p.readFrame()
					if err != nil {
						break
					}
					log.add(theServer, "heard %s", describe(first, payload))
					if first == fin|opClose {
						break
					}
				}
				continue
			}
			p.wait()
			log.add(theServer, "the client has finished")
		default:
			log.add(theServer, "the scenario says %q", s.verb)
		}
	}
}

func TestSessionScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/session/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sc := readScenario(t, path)
				if got := sc.play(t); !slices.Equal(got, sc.want) {
					t.Errorf("%s\ngot%s\nwant%s", path, lines(got), lines(sc.want))
				}
			})
		})
	}
}
