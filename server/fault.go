package server

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type faultKind uint8

const (
	faultDrop faultKind = iota + 1
	faultDuplicate
	faultReorder
	faultDelay
	faultStall
	faultHangup
	faultRefuse
	faultReject
	faultResume
)

// Bounds of a fault.
const (
	maxFaultTime = time.Hour // of its durations, drawn ones included
	maxSigma     = 10        // of a lognormal delay
)

// faultForms names every fault with the form it is written in.
var faultForms = [...]struct{ name, form string }{
	faultDrop:      {"drop", "drop=0.1%"},
	faultDuplicate: {"duplicate", "duplicate=0.05%"},
	faultReorder:   {"reorder", "reorder=0.5%"},
	faultDelay:     {"delay", "delay=20ms, delay=5ms..20ms@10% or delay=lognormal:2ms:0.8"},
	faultStall:     {"stall", "stall=2s@5s"},
	faultHangup:    {"hangup", "hangup@100 or hangup@100:rst"},
	faultRefuse:    {"refuse", "refuse=503, refuse=503@10% or refuse=503x3:retry-after=2"},
	faultReject:    {"reject", "reject=503, reject=503@10% or reject=503x3:retry-after=2"},
	faultResume:    {"resume", "resume=gap-head"},
}

// A Fault is one thing that the server does wrong on purpose; see [ParseFault].
type Fault struct {
	kind       faultKind
	percent    float64       // of deliveries or requests it befalls; 0 to 100
	low, high  time.Duration // delay between the two; median of a lognormal delay, length of a stall in low
	sigma      float64       // of the logarithm of a lognormal delay; 0 for a delay that isn't
	at         time.Duration // when a stall begins
	count      uint64        // hang up after, or refuse or reject the first, this many
	reset      bool          // hang up with RST
	status     int           // of a refusal or rejection
	retryAfter int           // seconds; -1 sends none
	resume     resumeFault
}

// ParseFault reads one fault:
//
//	drop=0.1%                 that share of deliveries isn't made
//	duplicate=0.05%           that share is made twice
//	reorder=0.5%              that share swaps places with the delivery after it
//	delay=20ms                no delivery sooner than that after its event was due; what is behind waits too
//	delay=5ms..20ms@10%       the same, evenly drawn from a range and for a share
//	delay=lognormal:2ms:0.8   or drawn from a lognormal distribution of that median and that sigma of its logarithm
//	stall=2s@5s               nothing is published for 2 s from 5 s after the start; then it is caught up
//	hangup@100                every connection is closed after its 100th delivery
//	hangup@100:rst            and is reset, which may lose what the client hasn't read
//	refuse=503                subscribers are refused; any status from 400 to 599, or 204
//	refuse=503@10%            or a share of them
//	refuse=503x3              or the first three
//	refuse=503:retry-after=2  with a Retry-After header, in seconds
//	reject=503@10%            as refuse, but of messages that are posted, which aren't published then; not 204
//	resume=gap-head           a subscriber that resumes doesn't get the first event that it missed
//	resume=gap-seam           nor the last
//	resume=dup-seam           or gets the last one twice
//	resume=overlap            or gets three that it has had, besides
//	resume=restart-from-zero  or all that are kept
//	resume=ignored            or none that it missed
//	resume=reordered          or gets the first two in the wrong order
//	resume=foreign-id         or gets one of another stream, besides
//
// A delay counts from when the event was published where that came before it was due, and holds back the answers of
// /time too, from when they were asked for.
//
// Errors name the part that is wrong and show the form wanted.
func ParseFault(s string) (Fault, error) {
	f, err := parseFault(s)
	if err == nil {
		return f, nil
	}
	if f.kind != 0 {
		return Fault{}, fmt.Errorf("fault %.80q: %w, as in %s", s, err, faultForms[f.kind].form)
	}
	return Fault{}, fmt.Errorf("fault %.80q: %w", s, err)
}

func parseFault(s string) (f Fault, err error) {
	name, rest := s, ""
	if i := strings.IndexAny(s, "=@"); i >= 0 {
		name, rest = s[:i], s[i:]
	}
	names := make([]string, 0, len(faultForms))
	for kind, form := range faultForms {
		if form.name == "" {
			continue
		}
		if form.name == name {
			f.kind = faultKind(kind)
		}
		names = append(names, form.name)
	}
	if f.kind == 0 {
		return f, fmt.Errorf("unknown kind %.40q: want one of %s", name, strings.Join(names, ", "))
	}
	separator := "="
	if f.kind == faultHangup {
		separator = "@"
	}
	arg, ok := strings.CutPrefix(rest, separator)
	if !ok {
		return f, fmt.Errorf("%s needs %q and a value", name, separator)
	}
	switch f.kind {
	case faultDelay:
		err = f.parseDelay(arg)
	case faultStall:
		err = f.parseStall(arg)
	case faultHangup:
		err = f.parseHangup(arg)
	case faultRefuse, faultReject:
		err = f.parseRefuse(arg)
	case faultResume:
		f.resume, err = parseResumeFault(arg)
	default:
		f.percent, err = parsePercent(arg)
	}
	return f, err
}

func (f *Fault) parseDelay(arg string) (err error) {
	span, share, shared := strings.Cut(arg, "@")
	f.percent = 100
	if shared {
		if f.percent, err = parsePercent(share); err != nil {
			return err
		}
	}
	if shape, ok := strings.CutPrefix(span, "lognormal:"); ok {
		return f.parseLognormal(shape)
	}
	low, high, ranged := strings.Cut(span, "..")
	if f.low, err = parseTime(low); err != nil {
		return err
	}
	f.high = f.low
	if ranged {
		if f.high, err = parseTime(high); err != nil {
			return err
		}
	}
	if f.high < f.low {
		return fmt.Errorf("the range %v..%v runs backwards", f.low, f.high)
	}
	return nil
}

func (f *Fault) parseLognormal(shape string) (err error) {
	median, sigma, ok := strings.Cut(shape, ":")
	if !ok {
		return errors.New("a lognormal delay needs a median and a sigma")
	}
	if f.low, err = parseTime(median); err != nil {
		return err
	}
	if f.low == 0 {
		return errors.New("the median of a lognormal delay is more than 0")
	}
	f.high = f.low
	f.sigma, err = strconv.ParseFloat(sigma, 64)
	if err != nil || !(f.sigma > 0 && f.sigma <= maxSigma) {
		return fmt.Errorf("bad sigma %.40q: want more than 0 and at most %d", sigma, maxSigma)
	}
	return nil
}

func (f *Fault) parseStall(arg string) (err error) {
	length, at, ok := strings.Cut(arg, "@")
	if !ok {
		return errors.New("a stall needs the time it begins at")
	}
	if f.low, err = parseTime(length); err != nil {
		return err
	}
	if f.low == 0 {
		return errors.New("a stall of no length is none")
	}
	f.at, err = parseTime(at)
	return err
}

func (f *Fault) parseHangup(arg string) (err error) {
	count, option, optioned := strings.Cut(arg, ":")
	if optioned {
		if option != "rst" {
			return fmt.Errorf("unknown option %.40q", option)
		}
		f.reset = true
	}
	f.count, err = parseCount(count)
	return err
}

func (f *Fault) parseRefuse(arg string) (err error) {
	f.percent, f.retryAfter = 100, -1
	arg, option, optioned := strings.Cut(arg, ":")
	if optioned {
		seconds, ok := strings.CutPrefix(option, "retry-after=")
		if !ok {
			return fmt.Errorf("unknown option %.40q", option)
		}
		n, err := strconv.ParseUint(seconds, 10, 32)
		if err != nil || n > uint64(maxFaultTime/time.Second) {
			return fmt.Errorf("bad number of seconds %.40q", seconds)
		}
		f.retryAfter = int(n)
	}
	status, count, counted := strings.Cut(arg, "x")
	status, share, shared := strings.Cut(status, "@")
	switch {
	case counted && shared:
		return errors.New("a share and a count don't go together")
	case counted:
		f.count, err = parseCount(count)
	case shared:
		f.percent, err = parsePercent(share)
	}
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(status)
	if err != nil || (n < 400 || n > 599) && (n != http.StatusNoContent || f.kind == faultReject) {
		allowed := "204 or 400 to 599"
		if f.kind == faultReject {
			allowed = "400 to 599"
		}
		return fmt.Errorf("bad status %.40q: want %s", status, allowed)
	}
	f.status = n
	return nil
}

func parsePercent(s string) (float64, error) {
	digits, ok := strings.CutSuffix(s, "%")
	if !ok {
		return 0, fmt.Errorf("%.40q needs a percent sign", s)
	}
	p, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(p > 0 && p <= 100) {
		return 0, fmt.Errorf("bad share %.40q: want more than 0%% and at most 100%%", s)
	}
	return p, nil
}

func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxFaultTime {
		return 0, fmt.Errorf("bad duration %.40q: want 0s to 1h", s)
	}
	return d, nil
}

func parseCount(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bad count %.40q: want 1 or more", s)
	}
	return n, nil
}

// String gives f in the form that ParseFault reads.
func (f Fault) String() string {
	if f.kind == 0 {
		return ""
	}
	percent := strconv.FormatFloat(f.percent, 'g', -1, 64) + "%"
	b := strings.Builder{}
	b.WriteString(faultForms[f.kind].name)
	switch f.kind {
	case faultDelay:
		if f.sigma > 0 {
			fmt.Fprintf(&b, "=lognormal:%v:%v", f.low, f.sigma)
		} else {
			fmt.Fprintf(&b, "=%v", f.low)
		}
		if f.high != f.low {
			fmt.Fprintf(&b, "..%v", f.high)
		}
		if f.percent != 100 {
			b.WriteString("@" + percent)
		}
	case faultStall:
		fmt.Fprintf(&b, "=%v@%v", f.low, f.at)
	case faultHangup:
		fmt.Fprintf(&b, "@%d", f.count)
		if f.reset {
			b.WriteString(":rst")
		}
	case faultResume:
		b.WriteString("=" + resumeFaults[f.resume])
	case faultRefuse, faultReject:
		fmt.Fprintf(&b, "=%d", f.status)
		if f.count > 0 {
			fmt.Fprintf(&b, "x%d", f.count)
		} else if f.percent != 100 {
			b.WriteString("@" + percent)
		}
		if f.retryAfter >= 0 {
			fmt.Fprintf(&b, ":retry-after=%d", f.retryAfter)
		}
	default:
		b.WriteString("=" + percent)
	}
	return b.String()
}

// wait draws how long a delay holds back. It takes one number from rng, or none if the delay is always the same.
func (f Fault) wait(rng *rand.Rand) time.Duration {
	switch span := f.high - f.low; {
	case f.sigma > 0:
		z := math.Sqrt2 * math.Erfinv(2*rng.Float64()-1)
		return time.Duration(min(float64(f.low)*math.Exp(f.sigma*z), float64(maxFaultTime)))
	case span > 0:
		return f.low + time.Duration(rng.Int64N(int64(span)+1))
	default:
		return f.low
	}
}

// answer refuses a request in the way of f.
func (f Fault) answer(w http.ResponseWriter) {
	if f.retryAfter >= 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	if f.status == http.StatusNoContent {
		w.WriteHeader(f.status)
	} else {
		http.Error(w, "refused on purpose", f.status)
	}
}

// checkFaults says why a list of faults makes no sense. Stalls, refusals and rejections can be several, the others
// only one of a kind.
func checkFaults(faults []Fault) error {
	seen := make(map[faultKind]Fault)
	for _, f := range faults {
		if f.kind == 0 {
			return errors.New("empty fault: make faults with ParseFault")
		}
		if other, ok := seen[f.kind]; ok && !slices.Contains([]faultKind{faultStall, faultRefuse, faultReject}, f.kind) {
			return fmt.Errorf("faults %q and %q are of one kind: give one", other, f)
		}
		seen[f.kind] = f
	}
	return nil
}
