package cmd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"github.com/rtbench/rtbench/bench"
	"github.com/rtbench/rtbench/report"
)

// registerTarget declares the flags of what is known of the target besides what it sends.
func (f *loadFlags) registerTarget() {
	f.set.IntVar(&f.targetPID, "target-pid", 0, "tell what the process `PID` and its children use of processor and memory: a server on this host")
	byDefault(f.set, "target-pid", "the reference server")
	f.set.StringVar(&f.targetMetrics, "target-metrics", "", "the same by `URL`, as Prometheus reads it: process_cpu_seconds_total and process_resident_memory_bytes")
	heading(f.set, "target")
}

// probe gives what tells what the target uses; nil for nobody. child is the reference server's process, 0 where there is none.
func (f *loadFlags) probe(child int) (bench.Probe, error) {
	switch {
	case f.targetMetrics != "":
		request, err := http.NewRequest(http.MethodGet, f.targetMetrics, nil)
		if err != nil || request.URL.Host == "" {
			return nil, usage(fmt.Errorf("--target-metrics %q is not a URL", report.BareURL(f.targetMetrics)), "such as http://localhost:9090/metrics")
		}
		return &metricsProbe{request: request}, nil
	case f.given("target-pid"):
		probe, err := newProcessProbe(f.targetPID, fmt.Sprintf("the process %d and its children", f.targetPID))
		if err != nil {
			return nil, usage(fmt.Errorf("--target-pid %d: %w", f.targetPID, err), "`ps` lists the processes of this host")
		}
		return probe, nil
	case child > 0:
		if probe, err := newProcessProbe(child, "the reference server's process"); err == nil { // else nobody asked
			return probe, nil
		}
	}
	return nil, nil
}

// A processProbe reads what a process of this host uses, with its children.
type processProbe struct {
	root  *process.Process
	title string
	tree  []*process.Process
	found time.Time
	used  map[int32]time.Duration // processor time of each that was ever seen
}

// treeAge is how long a list of children is used: on most systems, finding them looks at every process of the host.
const treeAge = 2 * time.Second

func newProcessProbe(pid int, title string) (*processProbe, error) {
	if pid <= 0 || int(int32(pid)) != pid {
		return nil, errors.New("that is no process id")
	}
	root, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil, errors.New("there is no such process")
	}
	return &processProbe{root: root, title: title, used: make(map[int32]time.Duration)}, nil
}

func (p *processProbe) String() string { return p.title }

// Use implements bench.Probe. What children that have ended had used by the last time counts.
func (p *processProbe) Use(ctx context.Context) (use bench.Use, err error) {
	if time.Since(p.found) > treeAge {
		p.tree, p.found = descendants(ctx, p.root), time.Now()
	}
	for i, one := range p.tree {
		times, err := one.TimesWithContext(ctx)
		if err == nil {
			var memory *process.MemoryInfoStat
			if memory, err = one.MemoryInfoWithContext(ctx); err == nil {
				p.used[one.Pid] = time.Duration((times.User + times.System) * float64(time.Second))
				use.Memory += memory.RSS
			}
		}
		if err != nil && i == 0 {
			return use, fmt.Errorf("the process %d can't be read: it has ended, or is another user's", one.Pid)
		}
	}
	for _, cpu := range p.used {
		use.CPU += cpu
	}
	return use, nil
}

// maxTree bounds the processes that one probe reads.
const maxTree = 1000

// descendants lists a process, and its children and theirs.
func descendants(ctx context.Context, root *process.Process) []*process.Process {
	list := []*process.Process{root}
	for i := 0; i < len(list) && len(list) < maxTree; i++ {
		list = append(list, children(ctx, list[i])...)
	}
	return list
}

// children lists those of one process, in the order of their ids. Linux says who they are, by thread (proc_pid_task(5)),
// which takes a hundredth of what it takes to look at every process of a busy host.
func children(ctx context.Context, parent *process.Process) (list []*process.Process) {
	threads, err := filepath.Glob(fmt.Sprintf("%s/%d/task/*/children", cmp.Or(os.Getenv("HOST_PROC"), "/proc"), parent.Pid)) // as gopsutil has it
	if err != nil || len(threads) == 0 {
		list, _ = parent.ChildrenWithContext(ctx) // an error says that there are none
		return list
	}
	for _, thread := range threads {
		text, _ := os.ReadFile(thread) // one that has ended meanwhile has none
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.ParseInt(field, 10, 32); err == nil {
				list = append(list, &process.Process{Pid: int32(pid)})
			}
		}
	}
	slices.SortFunc(list, func(a, b *process.Process) int { return cmp.Compare(a.Pid, b.Pid) })
	return list
}

// A metricsProbe reads what a process tells of itself in the text format that Prometheus reads.
type metricsProbe struct{ request *http.Request }

func (p *metricsProbe) String() string { return "its metrics" }

// maxMetrics bounds the bytes of metrics that are read.
const maxMetrics = 16 << 20

// Use implements bench.Probe.
func (p *metricsProbe) Use(ctx context.Context) (use bench.Use, err error) {
	answer, err := http.DefaultClient.Do(p.request.Clone(ctx))
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // without the URL, which may hold a secret
	}
	if err != nil {
		return use, fmt.Errorf("its metrics can't be read: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return use, fmt.Errorf("its metrics can't be read: the answer is %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return parseUse(io.LimitReader(answer.Body, maxMetrics))
}

// parseUse finds a process's processor time and memory among metrics; of several processes the sum.
func parseUse(r io.Reader) (use bench.Use, err error) {
	cpu, memory := false, false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := metricLine(lines.Text())
		switch {
		case !ok:
		case name == "process_cpu_seconds_total" && value < mostSeconds:
			use.CPU += time.Duration(value * float64(time.Second))
			cpu = true
		case name == "process_resident_memory_bytes":
			use.Memory += uint64(value)
			memory = true
		}
	}
	switch {
	case lines.Err() != nil:
		return use, fmt.Errorf("its metrics can't be read: %w", lines.Err())
	case !cpu:
		return use, errors.New("its metrics have no process_cpu_seconds_total")
	case !memory:
		return use, errors.New("its metrics have no process_resident_memory_bytes")
	}
	return use, nil
}

// mostUse is beyond what a figure of a process can be: bytes; and mostSeconds, of processor time.
const (
	mostUse     = 1e15
	mostSeconds = 9e9
)

// metricLine reads a line of metrics: NAME VALUE or NAME{LABELS} VALUE, and maybe a time stamp.
func metricLine(line string) (name string, value float64, ok bool) {
	end := strings.IndexAny(line, "{ \t")
	if end <= 0 || line[0] == '#' {
		return "", 0, false
	}
	line, _, _ = strings.Cut(line, " # ") // what an exemplar says
	name, rest := line[:end], line[end:]
	if rest[0] == '{' {
		close := strings.LastIndexByte(rest, '}')
		if close < 0 {
			return "", 0, false
		}
		rest = rest[close+1:]
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "", 0, false
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	return name, value, err == nil && value >= 0 && value < mostUse
}
