package bench

import (
	"context"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A run is the state of one Runner.Run.
type run struct {
	runner *Runner
	plan   *Plan
	times  timetable
	start  time.Time
	wall   int64  // start in ns since the epoch: the only wall-clock reading, everything else counts from it
	id     uint32 // in the stamps of this run
	seed   maphash.Seed

	window   measured
	recorder *recorder
	errors   errorLog
	ctx      context.Context // of the sessions
	cancel   context.CancelFunc
	alarms   *client.Alarms  // nil for Go's timers
	slowCtx  context.Context // of those that read slowly
	endSlow  context.CancelFunc
	steering *steering     // what is done to the run by hand
	dialed   int           // connections that the plan has started, once it has all; then keepSize's
	quit     chan struct{} // closed when nothing more is to be started or sent
	enough   chan struct{} // closed when Plan.Events have arrived
	giveUp   chan struct{} // closed when nothing will ever connect
	pacers   sync.WaitGroup
	schedule sync.WaitGroup // of what is sent
	sessions sync.WaitGroup
	senders  sync.WaitGroup

	mu       sync.Mutex
	closed   bool          // the measured window has ended
	all      []*subscriber // every one there was
	active   []*subscriber // those that the plan wants open, oldest first
	idle     []*subscriber // request streams: places that are free
	feeds    map[feedKey]*feed
	openings openings
	resumes  resumeTally
	storms   storms
	endings  endings
	own      *feed   // of what the run sends for all; nil where it sends nothing such
	posts    []*post // the plan's publishers

	openNow, openPeak atomic.Int64
	slowOpen          atomic.Int64  // of those open
	subscribed        atomic.Int64  // connections that were open, and neither ended for good nor were ended by the plan
	lastOpened        atomic.Int64  // when a stream was opened last, ns after the start
	arrived           atomic.Uint64 // counted only where Plan.Events wants it
	everOpened        atomic.Bool
	blackout          atomic.Bool  // every connection was down at once, though the plan wanted some
	blindSince        atomic.Int64 // when that was last, ns after the start
	deaf              atomic.Int64 // open connections of which the run has made black holes
	refusals          atomic.Int64 // attempts that failed since a connection was last opened
	stamped           atomic.Bool  // an event carried its time
	exhausted         atomic.Bool  // a connection was tried as often as the plan allows, in vain
	broadcast         atomic.Bool  // a connection saw what another one of this run had sent
	alike             atomic.Bool  // an echo came that several messages without a stamp may have been the cause of
	crowded           atomic.Bool  // there are more sequences than are tracked
	failed            atomic.Int64 // connections whose first attempt failed for what waiting doesn't mend
	allStarted        atomic.Bool  // every connection of the plan was dialed
	elsewhere         atomic.Bool  // the server isn't on this host
	ahead             atomic.Int64 // by which the server's clock is guessed to be, where it isn't ours, ns; never before there is a guess
	segments          atomic.Bool  // the system has told what became of TCP segments
	posting           atomic.Int64 // messages that publishers have under way
	dialError         atomic.Pointer[client.Error]
	targetNow         atomic.Pointer[TargetUse] // what the target has used so far; nil where that isn't known

	// Below, only the goroutine of Run.
	tally                 tally
	series                series
	stepFrom              time.Duration
	nextAccount           time.Duration // no sooner
	accounted             int64         // when the last one was made
	phase                 Phase
	stop                  Stop
	stopText              string
	decisive              Judgement // which ended the run; zero where none did
	openAtEnd             int
	blind                 time.Duration // for so long nobody was there when the window ended; 0 where somebody was
	unseen                string        // why nobody can know what was published then, where that is long; else ""
	deafAtEnd             uint64        // black holes of the run's own that nobody had noticed when it ended
	past                  []moment      // of the snapshots of the last second
	watch                 watch
	detail                *Detail  // as made last, while somebody looks
	target                observed // until the senders have ended, only whoever observes it
	clocks                clocks
	shifted               bool                           // deliveries were recorded by a guess of the offset
	ends                  between                        // deliveries between two clocks
	lostBefore            struct{ pairs, echoes uint64 } // before the window
	drainedAt             int64                          // ns after the start
	cutoff                int64                          // what was due later hasn't had its time to arrive: the drain was cut short; 0 where it wasn't
	lostPairs, lostEchoes uint64                         // as accounted last
	inferred              pairs                          // of those, where nothing but what others saw says what was to come
	drops                 uint64                         // as gathered last
	dropMoments           int64                          // ticks in which connections dropped
	unsure                uint64                         // of those, how many may have come, too late to be told
	missing               uint64                         // events of which, as accounted last, it isn't known whether they are lost
	states                states                         // of the connections, as accounted last
	latest                int64                          // when anybody received an event last, as accounted last, ns after the start
	unjoined              []*subscriber                  // that may have to join a feed yet
	newest                int                            // of the subscribers, how many were looked at for that
	silence               time.Duration                  // nobody received anything for so long before the end; 0 where that is nothing unusual
	ownPeak               bool                           // the peak of the process's memory is none of an earlier run's
	cpu                   time.Duration                  // used before the run
	windowCPU             time.Duration                  // used before the window, and in it once it is over; 0 where that isn't known
}

// ranBefore is whether this process has made a run.
var ranBefore atomic.Bool

func newRun(runner *Runner) *run {
	plan := &runner.Plan
	r := &run{
		runner: runner, plan: plan, times: plan.timetable(),
		start: time.Now(), id: rand.Uint32(), seed: maphash.MakeSeed(),
		quit: make(chan struct{}), enough: make(chan struct{}), giveUp: make(chan struct{}), feeds: make(map[feedKey]*feed),
		series: series{step: seriesStep}, phase: PhaseRamp, cpu: processCPU(),
	}
	ranBefore := ranBefore.Swap(true)
	r.ownPeak = forgetPeakMemory() || !ranBefore
	r.wall = r.start.UnixNano()
	r.clocks.run = r
	r.steering = newSteering(r.times.sends)
	r.ahead.Store(never)
	r.tally.batches = newBatches(numBatchSlots, r.times.begin)
	r.window.begin = int64(r.times.begin)
	r.window.end.Store(int64(r.times.end))
	r.recorder = newRecorder(&r.window)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.slowCtx, r.endSlow = context.WithCancel(r.ctx)
	sample := sampleHost
	if runner.fakable {
		sample = unknownHost
	} else {
		r.alarms = &client.Alarms{}
	}
	r.watch = newWatch(r.start, r.times.begin, sample)
	if plan.Send.forAll() {
		key := feedKey{kind: byPublication}
		r.own = newFeed(key, plan.Peak(), newLedger())
		r.own.openings = &r.openings
		r.own.own.inTurn = plan.Send.Every > 0
		r.own.others.Store(plan.Send.Every > 0)
		r.feeds[key] = r.own
	}
	for i, publisher := range plan.Send.Publishers {
		r.posts = append(r.posts, &post{index: uint32(i), publisher: publisher, inbox: make(chan parcel)})
	}
	return r
}

// pacer makes one for a schedule. It is to be closed.
func (r *run) pacer() *pacer {
	p := &pacer{start: r.start, stop: r.quit, exact: goTimer{}}
	if !r.runner.fakable {
		p.exact = newExactTimer()
	}
	return p
}

func (r *run) now() int64           { return int64(time.Since(r.start)) }
func (r *run) at(t time.Time) int64 { return int64(t.Sub(r.start)) }
func (r *run) open() int            { return int(r.openNow.Load()) }

// arrival is when an event came: by the kernel's stamp where there is one, else when user space had it. The kernel
// stamps by the wall clock, whose steps are watched.
func (r *run) arrival(a *client.Arrival) arrival {
	if a.Kernel == 0 {
		at := r.at(a.User)
		return arrival{at: at, earliest: at}
	}
	return arrival{at: a.Kernel - r.wall, earliest: a.Earliest - r.wall, shared: a.Shared}
}

// nowOpen counts a connection that was opened, or closed, and gives how many are open.
func (r *run) nowOpen(change int64) int {
	n := r.openNow.Add(change)
	if change < 0 {
		return int(n)
	}
	r.everOpened.Store(true)
	r.refusals.Store(0)
	for peak := r.openPeak.Load(); n > peak && !r.openPeak.CompareAndSwap(peak, n); peak = r.openPeak.Load() {
	}
	return int(n)
}

// countdown ends the run when enough events have arrived.
func (r *run) countdown(at int64) {
	if r.plan.Events > 0 && r.arrived.Add(1) == r.plan.Events {
		r.window.end.Store(at + 1)
		close(r.enough)
	}
}

// startAll starts what keeps the schedules.
func (r *run) startAll() {
	if r.plan.Clock != nil {
		r.pacers.Go(func() { r.clocks.ask(r.plan.Clock) })
	}
	if r.plan.Target != nil {
		r.pacers.Go(r.observeTarget)
	}
	if r.plan.Streams {
		r.pacers.Go(r.startStreams)
		return
	}
	r.pacers.Go(r.openConnections)
	r.pacers.Go(r.closeConnections)
	r.pacers.Go(r.keepSize)
	r.slowDown()
	if r.plan.Ping > 0 {
		r.pacers.Go(r.ping)
	}
	for i, b := range r.plan.Breakages {
		r.pacers.Go(func() { r.breakOff(b, i) })
	}
	if r.times.sends != nil {
		r.schedule.Go(r.send)
	}
}

// openConnections starts every subscription when it is due.
func (r *run) openConnections() {
	pace := r.pacer()
	defer pace.close()
	for n := uint64(0); ; n++ {
		due, ok := r.times.opens.At(n)
		if !ok {
			r.dialed = int(n)
			r.allStarted.Store(true)
			return
		}
		if !pace.until(due) {
			return
		}
		r.openConnection(int(n))
	}
}

// openConnection starts a subscription.
func (r *run) openConnection(n int) {
	backoff, _ := r.plan.backoff(n)
	s := r.newSubscriber(n, backoff)
	if s == nil {
		return
	}
	r.mu.Lock()
	s.at = len(r.active)
	if r.times.sends != nil && len(r.posts) == 0 && s.sends() {
		s.outbox = &outbox{waiting: make(chan parcel, outboxSize)}
	}
	r.active = append(r.active, s)
	r.mu.Unlock()
	r.sessions.Add(1)
	ctx := r.ctx
	if s.slow {
		ctx = r.slowCtx
	}
	s.session.Start(ctx, s.unsubscribed)
}

// ping has every connection ask for a sign of life, one after the other, so that each does so in every interval.
func (r *run) ping() {
	pace := r.pacer()
	defer pace.close()
	for at, next := time.Duration(0), 0; ; next++ {
		r.mu.Lock()
		n := len(r.active)
		var s *subscriber
		if n > 0 {
			s = r.active[next%n]
		}
		r.mu.Unlock()
		at += r.plan.Ping / time.Duration(max(1, n))
		if !pace.until(at) {
			return
		}
		if s != nil {
			s.session.Ping()
		}
	}
}

// closeConnections ends subscriptions as the stages want it, the youngest first.
func (r *run) closeConnections() {
	pace := r.pacer()
	defer pace.close()
	for n := uint64(0); ; n++ {
		due, ok := r.times.closes.At(n)
		if !ok || !pace.until(due) {
			return
		}
		r.retireYoungest()
	}
}

// retireYoungest ends the subscription that was started last, if there is one.
func (r *run) retireYoungest() {
	r.mu.Lock()
	var s *subscriber
	if last := len(r.active) - 1; last >= 0 {
		s, r.active = r.active[last], r.active[:last]
	}
	r.mu.Unlock()
	if s != nil {
		s.shard.mu.Lock()
		s.retired = true
		s.leave()
		s.shard.mu.Unlock()
		r.sessions.Go(s.session.Finish) // which may have to wait for a peer that reads nothing
	}
}

// newSubscriber makes the subscription of one connection; nil where its dialer can't be made.
func (r *run) newSubscriber(index int, backoff client.Backoff) *subscriber {
	s := &subscriber{run: r, shard: r.recorder.shard(), index: index, opened: never, dropped: never, fresh: true, slow: r.plan.Slow.Is(index)}
	_, s.policy = r.plan.backoff(index)
	s.tracked = s.place[:0]
	dialer, err := r.runner.Dialer(index)
	if err != nil {
		e := client.Classify(err)
		r.errors.add(r.now(), e, "")
		r.noteFailed(s, e, true)
		return nil
	}
	s.session = client.Session{
		Dialer: dialer, Backoff: backoff, Observer: s, From: r.plan.From, Seed: r.plan.Seed + uint64(index),
		Alarms: r.alarms,
	}
	r.mu.Lock()
	r.all = append(r.all, s)
	r.mu.Unlock()
	return s
}

// unsubscribed is told that the session has ended, of whose why Closed was told.
func (s *subscriber) unsubscribed(error) {
	defer s.run.sessions.Done()
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	s.ended = true
	s.leave()
}

// startStreams starts a request stream at every arrival, in a place that is free.
func (r *run) startStreams() {
	places := r.plan.Peak()
	pace := r.pacer()
	defer pace.close()
	for n := uint64(0); ; n++ {
		due, ok := r.until(pace, n)
		if !ok {
			return
		}
		s := r.place(places)
		r.recorder.record(func(c *cell) {
			c.add(Due, 1)
			if s == nil {
				c.add(Unsent, 1)
				return
			}
			c.add(Sent, 1)
			c.add(StreamsStarted, 1)
			c.time(PublishLateness, r.now()-int64(due))
		})
		if s != nil {
			s.due = int64(due)
			r.sessions.Add(1)
			s.session.Start(r.ctx, func(error) { // Closed was told why
				defer r.sessions.Done()
				r.release(s)
			})
		}
	}
}

// place gives a stream a free place, up to so many; nil if all are taken.
func (r *run) place(places int) *subscriber {
	r.mu.Lock()
	index := len(r.all)
	var s *subscriber
	if last := len(r.idle) - 1; last >= 0 {
		s, r.idle = r.idle[last], r.idle[:last]
	}
	r.mu.Unlock()
	backoff := client.Backoff{Policy: client.NoReconnect}
	if s != nil {
		old := &s.session
		s.session = client.Session{Dialer: old.Dialer, Backoff: backoff, Observer: s, From: r.plan.From, Seed: old.Seed, Alarms: r.alarms}
		return s
	}
	if index >= places {
		return nil
	}
	return r.newSubscriber(index, backoff)
}

func (r *run) release(s *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, s)
}

// pick gives the connection whose turn it is to send; nil where the plan has none open.
func (r *run) pick(n uint64) *subscriber {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.active) == 0 {
		return nil
	}
	senders := r.plan.Send.senders(len(r.active))
	s := r.active[int(n%uint64(senders))*max(1, r.plan.Send.Every)]
	if s.outbox == nil { // others have gone, and it has moved to a sender's place
		return nil
	}
	return s
}

func (r *run) everybody() []*subscriber {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[:len(r.all):len(r.all)]
}

// noteFailed counts connections that never came up for a reason that waiting doesn't mend.
func (r *run) noteFailed(s *subscriber, e *client.Error, final bool) {
	overloaded := e.Class == client.ClassStatus && e.Temporary() && !final
	if s.opened == never && !s.gaveUp && !overloaded {
		s.gaveUp = true
		r.dialError.CompareAndSwap(nil, e)
		if n := r.failed.Add(1); n == int64(min(enoughFailures, r.plan.Peak())) && !r.everOpened.Load() {
			close(r.giveUp)
		}
	}
}

// enoughFailures is how many connections must fail, with none having come up, before a run is given up.
const enoughFailures = 10

// allEnded reports whether every connection of the plan has come and gone for good.
func (r *run) allEnded() bool {
	if r.plan.Streams || !r.allStarted.Load() {
		return false
	}
	r.mu.Lock()
	active := slices.Clone(r.active)
	r.mu.Unlock()
	for _, s := range active {
		s.shard.mu.Lock()
		ended := s.ended
		s.shard.mu.Unlock()
		if !ended {
			return false
		}
	}
	return len(active) > 0
}

// noteRemote remembers whether a server is on another host, whose clock is another one.
func (r *run) noteRemote(info client.Info) {
	remote := info.Remote.Addr()
	if remote.IsValid() && !remote.IsLoopback() && remote != info.Local.Addr() {
		r.elsewhere.Store(true)
	}
}

// noteDate takes the Date header that a stream was opened with as a reading of the server's clock, where no other is
// named: a proxy's Date is by the proxy's clock, and would contradict the one that is.
func (r *run) noteDate(o client.Opened) {
	if !r.twoClocks() || r.own != nil || r.plan.Clock != nil {
		return
	}
	if date, err := http.ParseTime(o.Info.Header.Get("Date")); err == nil {
		r.clocks.read(Reading{Sent: o.Info.Started, Received: o.At, Stamp: date.UnixNano(), Grain: int64(dateGrain)})
	}
}

// feedKind says by what a feed's events are known.
type feedKind uint8

const (
	byStamp       feedKind = iota // the sequence in a stamp
	byNumber                      // Plan.Sequence
	byOpaqueID                    // event ids of any kind
	byPublication                 // what the run itself sends for all
)

// forAllMark, in the sequence of a stamp, says that it counts what a run has sent for all, whoever sent it. Another run
// that receives it knows neither its order nor what of it failed, and can't tell loss by it.
const forAllMark = 1 << 47

// A feedKey names one feed.
type feedKey struct {
	kind   feedKind
	source uint64 // run and source of a stamp; 0 otherwise
}

// identify says which feed an event belongs to, and its ordinal there, except where the feed gives it one.
func (r *run) identify(ev *client.Event, stamp *client.Stamp, stamped bool) (key feedKey, ordinal uint64, ok bool) {
	switch sequence := r.plan.Sequence; {
	case stamped && stamp.Run == r.id && r.own != nil:
		n := stamp.Seq &^ forAllMark
		return r.own.key, n, n > 0
	case sequence.ID:
		n, ok := client.ParseUint(ev.ID)
		return feedKey{kind: byNumber}, n + 1, ok && ev.OwnID && n < math.MaxInt64
	case !sequence.Field.IsZero():
		n, ok := sequence.Field.Uint(ev.Data)
		return feedKey{kind: byNumber}, n + 1, ok && n < math.MaxInt64
	case stamped && stamp.Seq&forAllMark == 0:
		return feedKey{byStamp, uint64(stamp.Run)<<32 | uint64(stamp.Source)}, stamp.Seq, stamp.Seq > 0
	case ev.OwnID && len(ev.ID) > 0:
		return feedKey{kind: byOpaqueID}, 0, true
	}
	return feedKey{}, 0, false
}

// feed gives the feed of a key, made on first use; nil where there are too many.
func (r *run) feed(key feedKey) *feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.feeds[key]
	if f == nil && len(r.feeds) < maxFeeds {
		f = newFeed(key, r.plan.Peak(), nil)
		f.openings = &r.openings
		if r.closed {
			f.stop()
		}
		r.feeds[key] = f
	}
	return f
}

func (r *run) allFeeds() []*feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*feed, 0, len(r.feeds))
	for _, f := range r.feeds {
		list = append(list, f)
	}
	return list
}
