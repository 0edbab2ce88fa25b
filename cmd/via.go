package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/proxy"
	"github.com/rtbench/rtbench/report"
)

// registerVia declares the flag of what is done to the connections on their way.
func (f *loadFlags) registerVia() {
	f.via = parsed[[]proxy.Fault]{kind: "fault", parse: parseVia, many: true}
	f.set.Var(&f.via, "via-faults", "connect through a proxy that does harm: "+faultForms+"; @FILE has one a line (repeatable)")
	heading(f.set, "faults on the way")
}

// parseVia reads a fault, or the script in a file.
func parseVia(s string) ([]proxy.Fault, error) {
	if path, ok := strings.CutPrefix(s, "@"); ok {
		return readScript(path)
	}
	fault, err := proxy.ParseFault(s)
	return []proxy.Fault{fault}, err
}

// viaFaults are the faults that connections are to meet; none where they meet no proxy.
func (f *loadFlags) viaFaults() []proxy.Fault { return slices.Concat(f.via.values...) }

// checkVia finds faults that can't strike at connections to a URL, which may be a template.
func (f *loadFlags) checkVia(rawURL string) error {
	if len(f.via.values) == 0 {
		return nil
	}
	scheme, rest, _ := strings.Cut(rawURL, "://")
	if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "{{") && f.connectTo == "" {
		return usage(fmt.Errorf("--via-faults goes to one host, but that of %q is a template", report.RedactURL(rawURL)), "--connect-to HOST:PORT says which one")
	}
	if scheme != "https" && scheme != "wss" {
		return nil
	}
	for _, fault := range f.viaFaults() {
		if fault.ByEvent() {
			return usage(fmt.Errorf("--via-faults %s counts events, but those of %s:// are encrypted", fault, scheme),
				"say it in bytes or time, such as @4096b or @5s; or `rtbench proxy --to %s://…`, which talks TLS itself", scheme)
		}
	}
	return nil
}

// A detour is the fault proxy between the clients and their target, and what it has said. Safe for concurrent use.
type detour struct {
	*child
	mu       sync.Mutex
	injected []proxy.Injected
	more     uint64 // that aren't kept
}

// maxInjected bounds how many faults are kept.
const maxInjected = 1 << 20

// openDetour starts the fault proxy and has the connections of t go through it. What is published, and the clock, aren't
// the clients' and go where they went. nil where no fault is asked for.
func (f *loadFlags) openDetour(ctx context.Context, t *target, connections int) (*detour, error) {
	if len(f.via.values) == 0 {
		return nil, nil
	}
	raw, err := t.url.render(t.of(0))
	if err != nil {
		return nil, err
	}
	if err := f.checkVia(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	scheme, port := "http", "80"
	if u.Scheme == "https" || u.Scheme == "wss" {
		scheme, port = "tcp", "443" // TLS is between the clients and their target
	}
	address := cmp.Or(f.connectTo, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	flags := []string{"--to", scheme + "://" + address, "--keep-host", "--log", "-", "--seed", strconv.FormatUint(f.seed, 10)}
	for _, fault := range f.viaFaults() {
		flags = append(flags, "--fault", fault.String())
	}
	d := &detour{}
	if d.child, err = proxyRole.start(ctx, flags, d.take); err != nil {
		return nil, err
	}
	via, err := f.network()
	if err != nil {
		d.stop()
		return nil, err
	}
	_, via.ConnectTo, _ = strings.Cut(d.url, "://")
	via.OneHost = true
	t.guard(via)
	via.Sources = loopbacks("127.0.0.1", connections)
	t.net = via
	return d, nil
}

// take takes a line of the proxy's log.
func (d *detour) take(line []byte) {
	var x proxy.Injected
	if json.Unmarshal(line, &x) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.injected) >= maxInjected {
		d.more++
		return
	}
	d.injected = append(d.injected, x)
}

// account ends the proxy and says in a result what its faults did, and what went wrong besides. Nothing is done where d
// is nil.
func (d *detour) account(result *bench.Result, faults []proxy.Fault) {
	if d == nil {
		return
	}
	d.stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	if said := oneLine(d.complaint.String()); said != "" {
		result.Warnings = append(result.Warnings, bench.Warning{
			Text: "the fault proxy complained: " + said, Advice: "what it says went wrong is none of the faults that were asked for",
		})
		if result.Failure != "" {
			result.Failure += "; the fault proxy says: " + said
		}
	}
	result.Injected = account(faults, d.injected, result.Noted)
	unnoticed := uint64(0)
	for _, f := range result.Injected.Faults {
		if !f.Slows {
			unnoticed += f.Struck - f.Noticed
		}
	}
	if unnoticed > 0 {
		result.Warnings = append(result.Warnings, bench.Warning{
			Text:   fmt.Sprintf("%d connections that faults had struck had not noticed it when the run ended", unnoticed),
			Advice: "--idle-timeout says after what silence a client gives a connection up; what those missed is in lost, where others saw it",
		})
	}
	if more := d.more + result.NotNoted; more > 0 {
		result.Warnings = append(result.Warnings, bench.Warning{
			Text:   fmt.Sprintf("there were too many faults, or ends of connections: %d aren't in the account of the faults", more),
			Advice: "fewer connections, a shorter run or rarer faults",
		})
	}
}

// account joins faults that struck with the ends that clients noticed, by the client's address. A connection has one end,
// whose cause is the fault that struck it last before that and still went on. What only makes a connection slow is none.
func account(faults []proxy.Fault, injected []proxy.Injected, noted []bench.NotedEnd) *bench.Injected {
	x := &bench.Injected{}
	effects := make(map[string]*tallied)
	var order []*tallied
	for _, f := range faults {
		if name := f.String(); effects[name] == nil {
			effects[name] = &tallied{effect: bench.FaultEffect{Fault: name, Slows: !f.Kind().Ends()}, lasts: f.Lasts(), keys: make(map[string]int)}
			order = append(order, effects[name])
		}
	}
	strikes := make(map[netip.AddrPort][]proxy.Injected) // of each address, in the order in which they struck
	for _, i := range injected {
		t := effects[i.Fault]
		if t == nil {
			continue
		}
		t.effect.Struck++
		if i.Kind.Ends() {
			client := address(i.Client)
			strikes[client] = append(strikes[client], i)
		}
	}
	for _, list := range strikes {
		slices.SortStableFunc(list, func(a, b proxy.Injected) int { return cmp.Compare(a.At, b.At) })
	}
	unexplained := make(map[string]int)
	ended := make(map[uint64]bool) // connections, by their number
	noted = slices.Clone(noted)
	slices.SortStableFunc(noted, func(a, b bench.NotedEnd) int { return cmp.Compare(a.At, b.At) })
	for _, end := range noted {
		list := strikes[end.Local]
		after, _ := slices.BinarySearchFunc(list, end.At, func(i proxy.Injected, at int64) int { return cmp.Or(cmp.Compare(i.At, at), -1) })
		by := reason(list[:after], end.At, effects)
		if by == nil || ended[by.Connection] {
			unexplained[end.Key]++
			continue
		}
		ended[by.Connection] = true
		effects[by.Fault].notice(end.Key, time.Duration(end.At-by.At))
	}
	for _, t := range order {
		x.Faults = append(x.Faults, t.done())
	}
	x.Unexplained = causes(unexplained)
	return x
}

// reason gives the last fault that went on at a time, of those of the last connection in a list; nil for none.
func reason(list []proxy.Injected, at int64, effects map[string]*tallied) *proxy.Injected {
	for i := len(list) - 1; i >= 0 && list[i].Connection == list[len(list)-1].Connection; i-- {
		if lasts := effects[list[i].Fault].lasts; lasts == 0 || at-list[i].At <= int64(lasts) {
			return &list[i]
		}
	}
	return nil
}

// address reads IP:PORT as bench has it.
func address(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// A tallied is the effect of a fault in the making.
type tallied struct {
	effect bench.FaultEffect
	lasts  time.Duration // 0 for ever
	keys   map[string]int
	took   []time.Duration
}

func (t *tallied) notice(key string, took time.Duration) {
	t.effect.Noticed++
	t.keys[key]++
	t.took = append(t.took, took)
}

func (t *tallied) done() bench.FaultEffect {
	e := t.effect
	e.Keys, e.P50, e.Max = causes(t.keys), -1, -1
	slices.Sort(t.took)
	if n := len(t.took); n > 0 {
		e.Max = t.took[n-1]
		if int64(n) >= bench.SamplesFor(.5) {
			e.P50 = t.took[int(math.Ceil(.5*float64(n)))-1]
		}
	}
	return e
}

// causes lists counts, the largest first.
func causes(counts map[string]int) (list []bench.Cause) {
	for key, n := range counts {
		list = append(list, bench.Cause{Key: key, Count: n})
	}
	slices.SortFunc(list, func(a, b bench.Cause) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Key, b.Key)) })
	return list
}
