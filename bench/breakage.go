package bench

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rtbench/rtbench/client"
)

// A Breakage is what a run does to its own connections: it breaks a share of those that are open off, at once or, with
// Churn, one after the other all the time.
type Breakage struct {
	How   client.Break
	Share float64       // of the connections that are open, up to 1; with Churn, of those that the plan wants open, a second
	At    time.Duration // after the start of the measured window; with Churn, when it begins
	Churn bool
}

// maxChurn bounds how many connections are broken off a second, as a share.
const maxChurn = 1000

func (b Breakage) validate() error {
	switch {
	case !slices.Contains(client.Breaks(), b.How):
		return fmt.Errorf("there is no way %q to break a connection off", b.How)
	case !(b.Share > 0 && (b.Share <= 1 || b.Churn && b.Share <= maxChurn)):
		return errors.New("the share of connections to break off must be above 0 and at most all")
	case b.At < 0:
		return errors.New("connections can't be broken off before the measured window")
	}
	return nil
}

// breakOff keeps the schedule of a breakage.
func (r *run) breakOff(b Breakage, index int) {
	pace := r.pacer()
	defer pace.close()
	random := rand.New(rand.NewPCG(r.plan.Seed, uint64(index)+1))
	from := r.times.begin + b.At
	if !b.Churn {
		if pace.until(from) {
			r.breakSome(b, random, int(math.Ceil(b.Share*float64(r.open()))))
		}
		return
	}
	every := float64(time.Second) / (b.Share * float64(r.plan.Peak()))
	for n := 1; ; n++ {
		after := float64(n) * every // which may be longer than a Duration can be
		if !(after < float64(r.times.end-from)) || !pace.until(from+time.Duration(after)) {
			return
		}
		r.breakSome(b, random, 1)
	}
}

// breakSome breaks so many connections off, chosen by chance from those that are open.
func (r *run) breakSome(b Breakage, random *rand.Rand, n int) {
	r.mu.Lock()
	all := slices.Clone(r.active)
	r.mu.Unlock()
	for i := range all { // as many steps of a shuffle as it takes
		if n == 0 {
			return
		}
		j := i + random.IntN(len(all)-i)
		all[i], all[j] = all[j], all[i]
		if all[i].breakOff(b) {
			n--
		}
	}
}

// breakOff breaks the stream off, and reports whether there was one.
func (s *subscriber) breakOff(b Breakage) bool {
	s.shard.mu.Lock()
	churned, deaf := s.churned, s.deaf
	s.churned = b.Churn // before its end is told
	s.deafen(deaf || b.How == client.BreakBlackhole && !s.slow)
	s.shard.mu.Unlock()
	broken := s.session.Break(b.How)
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if !broken {
		s.churned = churned // of a breakage that it has still to notice
		if !deaf {
			s.deafen(false)
		}
		return false
	}
	s.shard.cell.add(Broken, 1)
	if s.deaf {
		s.blind()
		s.run.noteBlackout(s.run.now(), true)
	}
	return true
}

// deafen notes whether the stream in use is a black hole of the run's own. The shard's mutex must be held.
func (s *subscriber) deafen(is bool) {
	switch {
	case is == s.deaf:
		return
	case is:
		s.run.deaf.Add(1)
	default:
		s.run.deaf.Add(-1)
	}
	s.deaf = is
}

// hearing is how many of the connections that are open, and are not read slowly, the server still reaches, as far as the
// run itself has broken none of them off.
func (r *run) hearing() int { return r.open() - int(r.slowOpen.Load()) - int(r.deaf.Load()) }

// noteBlackout notes, when a connection has gone, whether it was the last one. heard says that it had been there to see what
// was published.
func (r *run) noteBlackout(at int64, heard bool) {
	if r.hearing() > 0 || at >= r.window.end.Load() {
		return
	}
	r.blackout.Store(true)
	if heard {
		r.blindSince.Store(at)
	}
}
