package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/rtbench/rtbench/client"
)

// A publishWorld is a server that hands on to every connection what a run publishes, and spoils some of that; its
// publishers, some of which say no; and a raw log of it all, from which the run is added up by hand.
type publishWorld struct {
	fanOut
	plan    Plan
	end     time.Duration // of the window
	retires []time.Duration
	start   time.Time
	server  *fakeServer

	mu       sync.Mutex
	places   []*place
	posted   map[uint64]*posted // by ordinal
	receipts []receipt          // in the order of time
}

// A fanOut says what goes wrong. The shares are in percent, of pairs or of publications.
type fanOut struct {
	seed                                      uint64
	lost, twice, delayed, late, tooLate       int
	refused, unreachable, parted, void, stuck int
	echoes                                    bool              // of a chat: a sender gets its own messages
	lives                                     [][]time.Duration // of each connection, how long its streams last; the last one doesn't end
	replays                                   [][]bool          // whether what each of these missed comes with the next one
}

// A place is one connection as the server sees it.
type place struct {
	opened  time.Duration // first; 0 for never
	stream  *fakeStream   // nil while there is none
	streams int
	end     time.Duration // of that; 0 for none
	missed  []line        // to be replayed
}

// posted is what became of one publication.
type posted struct {
	n        uint64
	source   int
	due      time.Duration
	begun    time.Duration // when it was handed to whoever publishes
	left     bool          // it was sent, by their word
	accepted time.Duration // 0 for never
	failed   bool          // they said so
	over     bool          // only because the run had ended
}

// A receipt is one event that the server's streams handed to one connection.
type receipt struct {
	at   time.Duration
	conn int
	n    uint64
}

const maxPublications = 240 // no arrival is ever too old for a Tracker, then

func drawPublishWorld(t *rapid.T, chat bool) *publishWorld {
	percent := func(name string, most int) int {
		return rapid.SampledFrom([]int{0, 0, 2, most}).Draw(t, name)
	}
	w := &publishWorld{
		fanOut: fanOut{
			seed: rapid.Uint64().Draw(t, "seed"),
			lost: percent("lost", 20), twice: percent("twice", 20), delayed: percent("delayed", 30),
			late: percent("late", 5), tooLate: percent("too late", 5),
			refused: percent("refused", 20), unreachable: percent("unreachable", 5), parted: percent("parted", 20),
			void: percent("void", 20), stuck: percent("stuck", 3),
			echoes: rapid.Bool().Draw(t, "echoes"),
		},
		posted: make(map[uint64]*posted),
	}
	connections := rapid.IntRange(2, 6).Draw(t, "connections")
	ramp := time.Duration(rapid.IntRange(10, 2500).Draw(t, "ramp")) * millisecond
	hold := time.Duration(rapid.IntRange(500, 3000).Draw(t, "hold"))*millisecond + 137*time.Microsecond // so that nothing is due when another thing is
	w.end = ramp + hold
	stages := []Stage{{ramp, connections}, {hold, connections}}
	w.retires = make([]time.Duration, connections)
	if leave := rapid.IntRange(0, connections-1).Draw(t, "leave"); !chat && leave > 0 {
		took := 500 * millisecond
		stages = append(stages, Stage{took, connections - leave}, Stage{300 * millisecond, connections - leave})
		for i := range leave {
			w.retires[connections-1-i] = w.end + took*time.Duration(i)/time.Duration(leave)
		}
		w.end += took + 300*millisecond
	}
	for i := range connections {
		drops := rapid.IntRange(0, 2).Draw(t, "drops")
		w.lives, w.replays = append(w.lives, nil), append(w.replays, nil)
		for range drops {
			w.lives[i] = append(w.lives[i], time.Duration(rapid.IntRange(1, 3000).Draw(t, "life"))*millisecond)
			w.replays[i] = append(w.replays[i], rapid.Bool().Draw(t, "replay"))
		}
		w.places = append(w.places, new(place))
	}
	most := int(maxPublications * time.Second / w.end)
	w.plan = Plan{
		Stages: stages, Drain: 2 * second, Backoff: client.Backoff{Base: 200 * millisecond},
		Send: Sending{Rate: float64(rapid.IntRange(5, min(most, 90)).Draw(t, "rate"))},
	}
	if chat {
		w.plan.Send.Every = rapid.IntRange(1, 4).Draw(t, "every")
		return w
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "publishers") {
		w.plan.Send.Publishers = append(w.plan.Send.Publishers, worldPublisher{w, i})
	}
	return w
}

// play makes the run.
func (w *publishWorld) play(ctx context.Context) (*Result, error) {
	w.server = newFakeServer(w.dial)
	w.start = w.server.start
	runner := &Runner{Plan: w.plan, fakable: true, Dialer: func(conn int) (client.Dialer, error) {
		return worldDialer{w, &fakeDialer{w.server, conn}}, nil
	}}
	return runner.Run(ctx)
}

func (w *publishWorld) now() time.Duration { return time.Since(w.start) }

// chance gives random numbers that depend on nothing but what they are for.
func (w *publishWorld) chance(n uint64, conn int) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, n<<16|uint64(conn)))
}

func upTo(random *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(d)) + 1)
}

// hits draws which of several faults occurs, by their shares; -1 for none.
func hits(random *rand.Rand, percents ...int) int {
	x := random.IntN(100)
	for i, percent := range percents {
		if x -= percent; x < 0 {
			return i
		}
	}
	return -1
}

// dial answers with a stream that lives as long as was drawn.
func (w *publishWorld) dial(a attempt) (*fakeStream, error) {
	s := &fakeStream{latency: upTo(w.chance(1<<40+uint64(a.n), a.conn), 30*millisecond)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := w.places[a.conn].streams; k < len(w.lives[a.conn]) {
		s.end = a.at + s.latency + w.lives[a.conn][k]
	}
	if w.plan.Send.Every > 0 {
		s.answer = func(p []byte, _ time.Duration) ([]line, error) { return nil, w.say(a.conn, p) }
	}
	return s, nil
}

type worldDialer struct {
	world *publishWorld
	inner *fakeDialer
}

func (d worldDialer) Dial(ctx context.Context, from client.Cursor) (client.Stream, error) {
	stream, err := d.inner.Dial(ctx, from)
	if err != nil {
		return nil, err
	}
	w, conn := d.world, d.inner.conn
	fake, sends := stream.(*fakeStream)
	if !sends {
		fake = stream.(sendingStream).fakeStream
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.places[conn]
	if p.opened == 0 {
		p.opened = w.now()
	}
	p.stream, p.end = fake, fake.end
	p.streams++
	missed := p.missed
	p.missed = nil
	for i, l := range missed {
		l.at = max(l.at, w.now()+time.Duration(i+1)*time.Microsecond)
		w.hand(conn, l)
	}
	return worldStream{w, fake}, nil
}

// A worldStream writes down what it hands out.
type worldStream struct {
	world *publishWorld
	*fakeStream
}

func (s worldStream) Send(ctx context.Context, p []byte) error {
	return sendingStream{s.fakeStream}.Send(ctx, p)
}

func (s worldStream) Events() iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) {
		for ev, err := range s.fakeStream.Events() {
			s.world.mu.Lock()
			if err == nil {
				n, _, _ := readToken(ev.Data)
				s.world.receipts = append(s.world.receipts, receipt{s.world.now(), s.conn, n})
			} else if p := s.world.places[s.conn]; p.stream == s.fakeStream {
				p.stream = nil
			}
			s.world.mu.Unlock()
			if !yield(ev, err) {
				return
			}
		}
	}
}

// readToken reads rtbench's stamp by hand.
func readToken(p []byte) (n uint64, source int, due int64) {
	hex := func(from, to int) uint64 {
		v, err := strconv.ParseUint(string(p[from:to]), 16, 64)
		if err != nil {
			panic(err)
		}
		return v
	}
	const mark = 1 << 47 // says that it is for all
	return hex(20, 32) &^ mark, int(hex(12, 20)), int64(hex(32, 48))
}

// hand gives an event to a connection when it is due there, or keeps it for the next stream. The lock must be held.
func (w *publishWorld) hand(conn int, l line) {
	p := w.places[conn]
	switch {
	case p.opened == 0:
	case p.stream != nil && (p.end == 0 || l.at < p.end):
		p.stream.inbox <- []line{l}
	case p.end > 0 && w.replays[conn][p.streams-1]:
		p.missed = append(p.missed, l)
	}
}

// spread hands an event to all connections, with the faults of each.
func (w *publishWorld) spread(n uint64, source int, message []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.places {
		if w.plan.Send.Every > 0 && conn == source && !w.echoes {
			continue
		}
		random := w.chance(n, conn)
		at := w.now() + upTo(random, 20*millisecond)
		switch hits(random, w.lost, w.delayed, w.late, w.tooLate) {
		case 0:
			continue
		case 1:
			at += upTo(random, 300*millisecond)
		case 2:
			at = max(at, w.end+upTo(random, 1500*millisecond))
		case 3:
			at += time.Hour
		}
		w.hand(conn, line{at, event(string(message))})
		if hits(random, w.twice) == 0 {
			w.hand(conn, line{at + upTo(random, 300*millisecond), event(string(message))})
		}
	}
}

// begins writes down that something is being published.
func (w *publishWorld) begins(message []byte) *posted {
	n, source, due := readToken(message)
	p := &posted{n: n, source: source, due: time.Duration(due - w.start.UnixNano()), begun: w.now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.posted[n] != nil {
		panic(fmt.Sprintf("%d is published twice", n))
	}
	w.posted[n] = p
	return p
}

var errRefused = errors.New("refused")

// say takes a message of a chat.
func (w *publishWorld) say(conn int, message []byte) error {
	p := w.begins(message)
	fault := hits(w.chance(p.n, 1000), w.refused, w.parted, w.void)
	if fault != 0 && fault != 2 {
		w.spread(p.n, conn, message)
	}
	p.failed = fault == 0 || fault == 1
	p.left = !p.failed
	if p.failed {
		return errRefused
	}
	return nil
}

type worldPublisher struct {
	world *publishWorld
	index int
}

// Publish implements Publisher.
func (p worldPublisher) Publish(ctx context.Context, message []byte) (sent time.Time, err error) {
	w := p.world
	entry := w.begins(message)
	random := w.chance(entry.n, 1000)
	fault := hits(random, w.refused, w.parted, w.void, w.stuck, w.stuck, w.unreachable)
	const refused, parted, void, stuck, stuckYetHeard, unreachable = 0, 1, 2, 3, 4, 5
	if !waits(ctx, upTo(random, 3*millisecond)) || fault == unreachable {
		entry.failed, entry.over = true, ctx.Err() != nil
		return time.Time{}, errRefused
	}
	sent, entry.left = time.Now(), true
	over := !waits(ctx, upTo(random, 40*millisecond))
	if fault != refused && fault != void && fault != stuck {
		w.spread(entry.n, p.index, message)
	}
	if fault == stuck || fault == stuckYetHeard {
		<-ctx.Done()
	}
	if over = over || !waits(ctx, upTo(random, 40*millisecond)); over || fault == refused || fault == parted {
		entry.failed, entry.over = true, over
		return sent, errRefused
	}
	entry.accepted = w.now()
	return sent, nil
}

// waits waits for a time; false where the context ended before.
func waits(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
