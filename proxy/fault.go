package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind is what a fault does.
type Kind string

const (
	KindLatency   Kind = "latency"
	KindBandwidth Kind = "bandwidth"
	KindCut       Kind = "cut"
	KindStall     Kind = "stall"
	KindBlackhole Kind = "blackhole"
	KindReset     Kind = "reset"
	KindTruncate  Kind = "truncate"
	KindRefuse    Kind = "refuse"
)

// A form is how faults of a kind are written.
type form struct {
	kind      Kind
	separator string // between the name and what follows
	form      string // for people
	options   string // of rst, up, down and %, those that may follow
}

// kinds is the one table of them.
var kinds = [...]form{
	{KindLatency, "=", "latency=50ms, latency=20ms..80ms:up or latency=50ms:10%", "up down %"},
	{KindBandwidth, "=", "bandwidth=10KB/s, bandwidth=1MB/s:down or bandwidth=10KB/s:10%", "up down %"},
	{KindCut, "@", "cut@20, cut@4096b:rst or cut@5s:10%", "rst %"},
	{KindStall, "=", "stall=2s@5s, stall=2s@20 or stall=2s@4096b:10%", "%"},
	{KindBlackhole, "@", "blackhole@20, blackhole@5s or blackhole@4096b:10%", "%"},
	{KindReset, "@", "reset@5s, reset@20 or reset@4096b:10%", "%"},
	{KindTruncate, "@", "truncate@20, truncate@20:rst or truncate@20:10%", "rst %"},
	{KindRefuse, "@", "refuse@10%", ""},
}

// Kinds lists all kinds.
func Kinds() []Kind {
	list := make([]Kind, len(kinds))
	for i, k := range kinds {
		list[i] = k.kind
	}
	return list
}

// Ends reports whether a client can notice a fault of the kind as the end of its connection, at once or by its own limit
// for silence. Other kinds only make it slow.
func (k Kind) Ends() bool { return k != KindLatency && k != KindBandwidth }

// Bounds of a fault.
const (
	maxTime   = time.Hour
	minRate   = 1 // bytes a second
	maxRate   = 1e12
	maxScript = 1 << 20 // bytes of a script
	maxFaults = 1000
)

// A direction is one of the two ways through a proxy.
type direction uint8

const (
	bothWays direction = iota
	upward             // from client to target
	downward           // from target to client
)

// covers reports whether a fault that is for d is for one way.
func (d direction) covers(way direction) bool { return d == bothWays || d == way }

// A unit is what a place in a connection is counted in.
type unit uint8

const (
	noPlace  unit = iota
	inTime        // since the connection was accepted
	inBytes       // that the target has sent and the client was given, response heads and framing included
	inEvents      // likewise: events of an event stream, or messages of a WebSocket
)

// A place is where in a connection a fault strikes.
type place struct {
	unit  unit
	after time.Duration
	count uint64
}

// A Fault is one harm that is done to connections; see [ParseFault].
type Fault struct {
	kind      Kind
	low, high time.Duration // of a latency; in low the length of a stall
	rate      float64       // of a bandwidth, bytes a second
	at        place
	way       direction
	reset     bool    // end with RST
	percent   float64 // of the connections, above 0 and up to 100
}

// Kind says what f does.
func (f Fault) Kind() Kind { return f.kind }

// Lasts is how long f goes on before everything is as it was; 0 for ever.
func (f Fault) Lasts() time.Duration {
	if f.kind == KindStall {
		return f.low
	}
	return 0
}

// ByEvent reports whether f counts events, which can't be done in what is encrypted.
func (f Fault) ByEvent() bool { return f.at.unit == inEvents }

// ParseFault reads one fault:
//
//	latency=50ms              everything arrives so much later, in both directions
//	latency=20ms..80ms        or by a time that is drawn evenly from a range for each read; nothing overtakes
//	latency=50ms:down         only what the target sends; :up is what the client sends
//	bandwidth=10KB/s          no more than that a second, in each direction; B, KB and MB are 1, 1,000 and 1,000,000 bytes
//	cut@20                    both connections are closed after the 20th event
//	cut@20:rst                and are reset, which may take away what wasn't read
//	reset@20                  the same
//	stall=2s@20               nothing passes for 2 s, in either direction
//	blackhole@20              nothing passes any more, nobody is told, and both connections stay open
//	truncate@20               the 20th event is cut off in the middle, and both connections are closed
//	truncate@20:rst           or reset
//	refuse@10%                a share of the connections is reset as soon as the client has sent something
//
// Where a fault strikes is said in one of three ways, for all kinds with an @ but truncate and refuse:
//
//	cut@20, cut@20e           after the 20th event that the target sent on the connection
//	cut@4096b                 after the 4,096th byte that it sent
//	cut@5s                    5 s after the connection was accepted
//
// Behind everything else, :10% is a share of the connections, chosen by chance.
//
// Errors name the part that is wrong and show the form wanted.
func ParseFault(s string) (Fault, error) {
	f, wanted, err := parseFault(s)
	switch {
	case err == nil:
		return f, nil
	case wanted != "":
		return Fault{}, fmt.Errorf("fault %.80q: %w, as in %s", s, err, wanted)
	}
	return Fault{}, fmt.Errorf("fault %.80q: %w", s, err)
}

// parseFault gives the form wanted where it knows the kind.
func parseFault(s string) (f Fault, wanted string, err error) {
	name, rest := s, ""
	if i := strings.IndexAny(s, "=@"); i >= 0 {
		name, rest = s[:i], s[i:]
	}
	i := slices.IndexFunc(kinds[:], func(k form) bool { return string(k.kind) == name })
	if i < 0 {
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = string(k.kind)
		}
		return f, "", fmt.Errorf("unknown kind %.40q: want one of %s", name, strings.Join(names, ", "))
	}
	k := kinds[i]
	f.kind = k.kind
	arg, ok := strings.CutPrefix(rest, k.separator)
	if !ok {
		return f, k.form, fmt.Errorf("%s needs %q and a value", name, k.separator)
	}
	arg, options, optioned := strings.Cut(arg, ":")
	if err := f.parseValue(arg); err != nil {
		return f, k.form, err
	}
	if optioned {
		err = f.parseOptions(options, strings.Fields(k.options))
	}
	return f, k.form, err
}

// parseValue reads what stands before the options.
func (f *Fault) parseValue(arg string) (err error) {
	f.percent = 100
	switch f.kind {
	case KindLatency:
		return f.parseLatency(arg)
	case KindBandwidth:
		f.rate, err = parseRate(arg)
		return err
	case KindStall:
		length, at, ok := strings.Cut(arg, "@")
		if !ok {
			return errors.New("a stall needs the place where it begins")
		}
		if f.low, err = parseTime(length); err != nil {
			return err
		}
		if f.low == 0 {
			return errors.New("a stall of no length is none")
		}
		f.at, err = parsePlace(at)
		return err
	case KindRefuse:
		f.percent, err = parsePercent(arg)
		return err
	}
	f.at, err = parsePlace(arg)
	if err == nil && f.kind == KindTruncate && f.at.unit != inEvents {
		return errors.New("it is an event that is cut off in the middle: which one?")
	}
	return err
}

func (f *Fault) parseLatency(arg string) (err error) {
	low, high, ranged := strings.Cut(arg, "..")
	if f.low, err = parseTime(low); err != nil {
		return err
	}
	f.high = f.low
	if ranged {
		if f.high, err = parseTime(high); err != nil {
			return err
		}
	}
	switch {
	case f.high < f.low:
		return fmt.Errorf("the range %v..%v runs backwards", f.low, f.high)
	case f.high == 0:
		return errors.New("a latency of 0 is none")
	}
	return nil
}

// parseOptions reads options with colons between them, each of which may come once.
func (f *Fault) parseOptions(list string, allowed []string) (err error) {
	seen := make(map[string]bool)
	for option := range strings.SplitSeq(list, ":") {
		name := option
		if strings.HasSuffix(option, "%") {
			name = "%"
		}
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("unknown option %.40q", option)
		}
		if name == "up" || name == "down" {
			name = "way"
		}
		if seen[name] {
			return fmt.Errorf("the option %.40q is one too many", option)
		}
		seen[name] = true
		switch option {
		case "rst":
			f.reset = true
		case "up":
			f.way = upward
		case "down":
			f.way = downward
		default:
			if f.percent, err = parsePercent(option); err != nil {
				return err
			}
		}
	}
	return nil
}

func parsePlace(s string) (p place, err error) {
	digits, isBytes := strings.CutSuffix(s, "b")
	if isBytes && isDigits(digits) {
		p.unit = inBytes
		p.count, err = parseCount(digits)
		return p, err
	}
	if digits = strings.TrimSuffix(s, "e"); isDigits(digits) {
		p.unit = inEvents
		p.count, err = parseCount(digits)
		return p, err
	}
	p.unit = inTime
	if p.after, err = parseTime(s); err != nil {
		return p, fmt.Errorf("bad place %.40q: want an event such as 20, a byte such as 4096b or a time from 0s to 1h", s)
	}
	return p, nil
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func parseCount(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bad count %.40q: want 1 or more", s)
	}
	return n, nil
}

func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxTime {
		return 0, fmt.Errorf("bad duration %.40q: want 0s to 1h", s)
	}
	return d, nil
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

// rateUnits are those of a bandwidth, the largest first.
var rateUnits = [...]struct {
	suffix string
	bytes  float64
}{{"MB/s", 1e6}, {"KB/s", 1e3}, {"B/s", 1}}

func parseRate(s string) (float64, error) {
	for _, u := range rateUnits {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			n, err := strconv.ParseFloat(number, 64)
			if n *= u.bytes; err == nil && n >= minRate && n <= maxRate {
				return n, nil
			}
			break
		}
	}
	return 0, fmt.Errorf("bad bandwidth %.40q: want at least 1B/s, in B/s, KB/s or MB/s", s)
}

// ParseScript reads a script: one fault a line; blank lines, and what follows a # at the start of a line or behind white
// space, say nothing. Errors name the line.
func ParseScript(text string) (list []Fault, err error) {
	if len(text) > maxScript {
		return nil, fmt.Errorf("a script of more than %d bytes", maxScript)
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if i := strings.Index(line, "#"); i == 0 || i > 0 && strings.ContainsRune(" \t", rune(line[i-1])) {
			line = line[:i]
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		f, err := ParseFault(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, f)
	}
	if len(list) == 0 {
		return nil, errors.New("the script has no fault: write one a line")
	}
	return list, nil
}

// String gives f in the form that ParseFault reads.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.kind))
	share := strconv.FormatFloat(f.percent, 'g', -1, 64) + "%"
	switch f.kind {
	case "":
		return ""
	case KindLatency:
		fmt.Fprintf(&b, "=%v", f.low)
		if f.high != f.low {
			fmt.Fprintf(&b, "..%v", f.high)
		}
	case KindBandwidth:
		b.WriteString("=" + rateText(f.rate))
	case KindStall:
		fmt.Fprintf(&b, "=%v@%v", f.low, f.at)
	case KindRefuse:
		return b.String() + "@" + share
	default:
		fmt.Fprintf(&b, "@%v", f.at)
	}
	b.WriteString(map[direction]string{upward: ":up", downward: ":down"}[f.way])
	if f.reset {
		b.WriteString(":rst")
	}
	if f.percent != 100 {
		b.WriteString(":" + share)
	}
	return b.String()
}

// rateText writes a bandwidth in the largest unit in which it reads as the same.
func rateText(rate float64) string {
	for _, u := range rateUnits {
		number := strconv.FormatFloat(rate/u.bytes, 'f', -1, 64)
		if n, err := strconv.ParseFloat(number, 64); rate >= u.bytes && err == nil && n*u.bytes == rate {
			return number + u.suffix
		}
	}
	return strconv.FormatFloat(rate, 'f', -1, 64) + "B/s"
}

// String gives p as parsePlace reads it.
func (p place) String() string {
	switch p.unit {
	case inTime:
		return p.after.String()
	case inBytes:
		return strconv.FormatUint(p.count, 10) + "b"
	}
	return strconv.FormatUint(p.count, 10)
}

// delay draws a latency.
func (f Fault) delay(rng *rand.Rand) time.Duration {
	if span := f.high - f.low; span > 0 {
		return f.low + time.Duration(rng.Int64N(int64(span)+1))
	}
	return f.low
}

// check says why a list of faults makes no sense. Of latencies, bandwidths and refusals there is one, of the first two
// for each direction; the others can be several.
func check(faults []Fault) error {
	if len(faults) > maxFaults {
		return fmt.Errorf("more than %d faults", maxFaults)
	}
	for i, f := range faults {
		if f.kind == "" {
			return errors.New("empty fault: make faults with ParseFault")
		}
		if f.kind.Ends() && f.kind != KindRefuse {
			continue
		}
		for _, other := range faults[:i] {
			if other.kind == f.kind && (f.way == bothWays || other.way.covers(f.way)) {
				return fmt.Errorf("the faults %q and %q are of one kind: give one", other, f)
			}
		}
	}
	return nil
}
