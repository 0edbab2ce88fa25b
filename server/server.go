// Package server is rtbench's reference server: the default target of its clients, and the ground truth that its
// figures are checked against.
//
// One hub numbers events, whether they come from the schedule or from a publisher, and appends them to one log. The
// log is at once the queue of every subscriber, whatever its protocol, and what is replayed to one that resumes. A
// subscriber is a place in the log and a goroutine that writes from there until it is up to date. A shard has many of
// them: to those that wait for what is new it writes that itself, as far as the system takes it at once, and wakes the
// others.
//
//	schedule, /publish, /ws/chat → hub → log → shard ————————————————→ SSE or WebSocket
//	                                      └——→ subscriber (faults) ———↗
//	                                                     ↓
//	                                                  /truth: what was written to whom, and when
//
// The schedule is arithmetic: event n is due at n/rate after the start, and neither a stall nor a slow subscriber
// shifts that. Nothing is encoded or copied per subscriber. A subscriber that lags too far is cut and counted; it
// never delays another one and never makes the server remember more. Faults follow from a seed.
//
// The server's clock can be wrong on purpose. It is what stamps, /time, answers to posts and Date headers show;
// /truth keeps to the true clock, and says how far the other one is off.
//
// It is a test server. It refuses to keep anything across restarts, to authenticate anybody, and to hold unbounded
// memory for any client; it doesn't promise that a client it cut, or whose connection was reset, received what
// /truth says was written, nor says which system call carried what over HTTP/2, where streams share them.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
)

// A Server is the reference server. Its methods are safe for use by several goroutines.
type Server struct {
	hub      *hub
	refuser  *doorman
	rejecter *doorman
	holdback *holdback
	handler  http.Handler
	ran      atomic.Bool

	mu      sync.Mutex
	stopped bool
	serving sync.WaitGroup // handlers under way; not added to once stopped
}

// New makes a server. It fails when an option makes no sense, and says which. The server delivers nothing before Run
// or Serve.
func New(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	h, err := newHub(o)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s := &Server{
		hub:      h,
		refuser:  newDoorman(o, faultRefuse, drawRefuse),
		rejecter: newDoorman(o, faultReject, drawReject),
		holdback: newHoldback(o),
	}
	s.handler = h.clock.date(s.routes())
	return s, nil
}

const index = `rtbench reference server

GET  /sse           event stream; ?topic=a,b &client=NAME &from=ID (Last-Event-ID comes first)
GET  /ws            the same as a WebSocket; ?last_id=ID is ?from=ID, and with ?resume=message the first message
                    {"resume":"ID"} says where to resume
GET  /ws/chat       the same, and every message of the client becomes an event of its first topic, for itself too unless
                    ?echo=0; with ?resume=message its first message does not
GET  /ws/echo       WebSocket that sends every message back
POST /publish       makes an event of the body; ?topic=t
GET  /publish       WebSocket that makes an event of every message; ?topic=t
GET  /truth         what was published, and what was written to whom; ?events=N &subscribers=N &client=NAME
GET  /truth/writes  when each delivery was written; ?from=NS &until=NS (range of due) &client=NAME &topic=t
GET  /time          {"now":NS}: the server's clock when it was asked
GET  /healthz       "ok"
`

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, route := range map[string]struct {
		handle  http.HandlerFunc
		methods []string
	}{
		"/{$}":          {text(index), []string{http.MethodGet}},
		"/sse":          {s.serveSSE, []string{http.MethodGet}},
		"/ws":           {s.serveWS, []string{http.MethodGet}},
		"/ws/chat":      {s.serveChat, []string{http.MethodGet}},
		"/ws/echo":      {s.serveEcho, []string{http.MethodGet}},
		"/publish":      {s.servePublish, []string{http.MethodGet, http.MethodPost}},
		"/truth":        {s.serveTruth, []string{http.MethodGet}},
		"/truth/writes": {s.serveWrites, []string{http.MethodGet}},
		"/time":         {s.serveTime, []string{http.MethodGet}},
		"/healthz":      {text("ok\n"), []string{http.MethodGet}},
	} {
		mux.Handle(path, s.track(only(route.methods, route.handle)))
	}
	return mux
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, body) // a client that went away needs no answer
	}
}

// only lets these methods through.
func only(methods []string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	}
}

// track counts the handlers that Run must wait for, and lets none begin after that.
func (s *Server) track(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			http.Error(w, errStopped.Error(), http.StatusServiceUnavailable)
			return
		}
		s.serving.Add(1)
		s.mu.Unlock()
		defer s.serving.Done()
		next(w, r)
	}
}

// Handler gives the endpoints, for a server other than the one of Serve. Run must be running.
func (s *Server) Handler() http.Handler { return s.handler }

// Run runs the schedule and wakes subscribers until ctx is done. Then it ends all connections that its handlers
// serve, cleanly where the clients let it within Options.Grace, and returns when the last handler has. It can be
// called once.
func (s *Server) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return errors.New("server: Run was called before")
	}
	h := s.hub
	served, stop := context.WithCancel(context.Background())
	defer stop()
	var workers sync.WaitGroup
	for _, shard := range h.shards {
		workers.Go(func() { shard.run(served.Done()) })
	}
	h.start = time.Now()
	close(h.started)
	h.schedule(ctx)

	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	h.close()
	h.shutdown(false)
	workers.Go(func() {
		if sleep(served, h.opts.Grace) {
			h.shutdown(true)
		}
	})
	s.serving.Wait()
	stop()
	workers.Wait()
	return nil
}

// Serve runs the server on ln until ctx is done, and closes ln. Without a TLS configuration it speaks HTTP/1.1 and
// HTTP/2 with prior knowledge; with one it offers both over TLS. It returns nil after a stop through ctx, when
// everything it started has ended, and otherwise why it could not go on. It can be called once, and not with Run.
func (s *Server) Serve(ctx context.Context, ln net.Listener, config *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ln = laneListener{ln, s.hub.writes != nil}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           s.handler,
		TLSConfig:         config,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withLane,
		ErrorLog:          log.New(io.Discard, "", 0), // what clients do wrong isn't news
	}
	served := make(chan error, 1)
	go func() {
		defer cancel()
		if config != nil {
			served <- srv.ServeTLS(ln, "", "")
		} else {
			served <- srv.Serve(ln)
		}
	}()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		// A little longer than the handlers have, so that they end by themselves.
		grace, cancel := context.WithTimeout(context.Background(), s.hub.opts.Grace*5/4)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // connections that won't end are not an error
		}
	}()
	err := s.Run(ctx)
	cancel()
	<-stopped
	return errors.Join(err, ignoreClosed(<-served))
}

func ignoreClosed(err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("server: %w", err)
}

// A request is what a client asked to subscribe to.
type request struct {
	topics          []*topic
	client          string
	from            string // id to resume after
	remote          string
	resumeByMessage bool
	mute            bool // of what it publishes itself
}

// admit reads the request and counts the subscriber in. It has answered when it gives false.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*request, bool) {
	req, err := s.parseRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, false
	}
	if f, ok := s.refuser.refuse(); ok {
		s.hub.count.refused.Add(1)
		f.answer(w)
		return nil, false
	}
	if !s.hub.admit() {
		s.hub.count.refused.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many subscribers", http.StatusServiceUnavailable)
		return nil, false
	}
	return req, true
}

func (s *Server) parseRequest(r *http.Request) (*request, error) {
	q := r.URL.Query()
	req := &request{
		client:          q.Get("client"),
		from:            q.Get("from"),
		remote:          r.RemoteAddr,
		resumeByMessage: q.Get("resume") == "message",
		mute:            q.Get("echo") == "0",
	}
	if req.from == "" {
		req.from = q.Get("last_id")
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		req.from = id
	}
	if len(req.client) > maxName || !utf8.ValidString(req.client) {
		return nil, fmt.Errorf("client: want at most %d bytes of UTF-8", maxName)
	}
	if len(req.from) > maxName {
		return nil, fmt.Errorf("the id to resume from has more than %d bytes", maxName)
	}
	names := s.hub.opts.Topics
	if q.Get("topic") != "" {
		names = strings.Split(q.Get("topic"), ",")
	}
	var err error
	req.topics, err = s.hub.lookup(names)
	return req, err
}
