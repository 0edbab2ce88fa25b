package server

import (
	"fmt"
	"strings"
)

// A resumeFault is what the server does wrong for subscribers that resume.
type resumeFault uint8

const (
	resumeGapHead resumeFault = iota + 1
	resumeGapSeam
	resumeDupSeam
	resumeOverlap
	resumeRestart
	resumeIgnored
	resumeReordered
	resumeForeign
)

var resumeFaults = [...]string{
	resumeGapHead: "gap-head", resumeGapSeam: "gap-seam", resumeDupSeam: "dup-seam", resumeOverlap: "overlap",
	resumeRestart: "restart-from-zero", resumeIgnored: "ignored", resumeReordered: "reordered", resumeForeign: "foreign-id",
}

// overlapping is how many events too many resumeOverlap replays.
const overlapping = 3

func parseResumeFault(s string) (resumeFault, error) {
	for i, name := range resumeFaults {
		if i > 0 && name == s {
			return resumeFault(i), nil
		}
	}
	if s == "horizon" {
		return 0, fmt.Errorf("%s is what a short replay does: set that", s)
	}
	return 0, fmt.Errorf("unknown way %.40q: want one of %s", s, strings.Join(resumeFaults[1:], ", "))
}

// from moves the event after which a subscriber resumes.
func (f resumeFault) from(after uint64, log *eventLog) uint64 {
	oldest := log.first.Load() - 1
	switch f {
	case resumeOverlap:
		return max(oldest, after-min(after, overlapping))
	case resumeRestart:
		return oldest
	case resumeIgnored:
		return log.last.Load()
	}
	return after
}

// A replay spoils the events that a subscriber gets because it resumed.
type replay struct {
	fault   resumeFault
	until   uint64 // the last of them
	begun   bool
	held    []delivery
	foreign func(*event) *event // makes an event of another stream
}

// apply appends what becomes of d to out. It is over with the first event after the replay.
func (p *replay) apply(out []delivery, d delivery) (all []delivery, over bool) {
	live := d.ev.id > p.until
	first := !p.begun && !live
	p.begun = true
	switch held := p.held; {
	case live && p.fault == resumeGapSeam:
	case live && p.fault == resumeDupSeam && len(held) > 0:
		out = append(out, duplicate(held[0]))
	case live && p.fault == resumeReordered: // what was held comes after it
		return append(append(out, d), held...), true
	case live:
	case first && p.fault == resumeGapHead:
		return out, false
	case first && p.fault == resumeReordered:
		p.held = append(p.held, d)
		return out, false
	case p.fault == resumeReordered:
		p.held = nil
		return append(append(out, d), held...), false
	case p.fault == resumeGapSeam: // the last one is still held when the replay is over
		p.held = []delivery{d}
		return append(out, held...), false
	case p.fault == resumeDupSeam:
		p.held = []delivery{d}
	case first && p.fault == resumeForeign:
		out = append(out, delivery{ev: p.foreign(d.ev), alien: true})
	}
	return append(out, d), live
}
