package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A scenarioFile is what a file says is to be run, one scenario after the other.
type scenarioFile struct {
	path      string
	lines     []string
	aliases   map[*ast.AliasNode]ast.Node // what they stand for
	aliased   int                         // bytes of what they have stood for
	concealed map[string]string           // what no message may show, and what it shows instead
	missing   error                       // the first variable that isn't set, of what is being read
	name      value
	defaults  []setting
	scenarios []scenario
}

// A scenario is one run.
type scenario struct {
	name     string
	label    value // its name as the file says it
	kind     *kind
	args     []value // what stands behind the command: URLs
	settings []setting
	at       *token.Token
	missing  error // a variable that it needs and that isn't set
}

// A setting gives one flag its value, or its values.
type setting struct {
	flag   string
	values []value
	at     *token.Token
}

const (
	maxScenarioFile = 1 << 20 // bytes
	maxScenarios    = 1000
	// stdinPath has the scenarios read from stdin.
	stdinPath = "-"
)

// The keys that aren't flags or commands. Those that begin with ownKey are the user's, for anchors.
const (
	keyName      = "name"
	keyDefaults  = "defaults"
	keyScenarios = "scenarios"
	ownKey       = "x-"
)

const likeThis = "`rtbench run --help` shows what a scenario file is like"

// readScenarios reads a file, or stdin. What is wrong with it is told with its line.
func readScenarios(ctx context.Context, stdin io.Reader, path string) (*scenarioFile, error) {
	if path != stdinPath {
		if info, err := os.Stat(path); err != nil {
			return nil, usage(err, likeThis)
		} else if info.IsDir() {
			return nil, usage(fmt.Errorf("%s is a directory", path), "name a scenario file in it")
		}
	}
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() { // which a pipe may hold up for ever
		text, err := readLimited(stdin, path)
		done <- read{text, err}
	}()
	select {
	case <-ctx.Done():
		stopped, _ := stoppedBy(ctx)
		return nil, &failure{code: exitOfSignal(stopped.signal)}
	case r := <-done:
		if path == stdinPath {
			path = "stdin"
		}
		switch {
		case r.err != nil:
			return nil, usage(r.err, "name a file that can be read")
		case len(r.text) > maxScenarioFile:
			return nil, usage(fmt.Errorf("%s is too long for a scenario file", path), "1 MiB at most")
		}
		return parseScenarios(path, string(r.text))
	}
}

// readLimited reads a byte more than a file may have, and no more.
func readLimited(stdin io.Reader, path string) ([]byte, error) {
	if path == stdinPath {
		return io.ReadAll(io.LimitReader(stdin, maxScenarioFile+1))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxScenarioFile+1))
}

// read reads the whole file.
func (f *scenarioFile) read(body ast.Node) error {
	f.findAliases(body)
	pairs, err := f.mapping(body, "a scenario file has `scenarios:`")
	if err != nil {
		return err
	}
	for _, p := range pairs {
		switch {
		case p.key == keyName:
			f.name, err = f.text(p.value)
		case p.key == keyDefaults:
			f.defaults, err = f.readDefaults(p.value)
		case p.key == keyScenarios:
			err = f.readScenarios(p.value)
		case !strings.HasPrefix(p.key, ownKey):
			err = f.fault(p.at, "it has name, defaults, scenarios, and x-… for anchors", "a scenario file has no %q", p.key)
		}
		if err := cmp.Or(err, f.missing); err != nil {
			return err
		}
	}
	if len(f.scenarios) == 0 {
		return usage(fmt.Errorf("%s has no scenarios", f.path), "`scenarios:` lists them")
	}
	return nil
}

// readDefaults reads what all scenarios have.
func (f *scenarioFile) readDefaults(n ast.Node) (list []setting, err error) {
	pairs, err := f.mapping(n, "`defaults:` holds flags without their dashes")
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		known := slices.IndexFunc(kinds, func(k *kind) bool { return k.flag(p.key) != nil })
		if known < 0 {
			return nil, f.fault(p.at, near(flagNames(kinds...), p.key), "there is no flag --%s", p.key)
		}
		x, err := f.setting(kinds[known], p)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}

// setting reads the values of a flag.
func (f *scenarioFile) setting(k *kind, p pair) (setting, error) {
	flag := k.flag(p.key)
	if node, err := f.resolve(p.value); err == nil && node != nil && node.Type() == ast.NullType && bare(flag) {
		return setting{p.key, []value{{text: flag.NoOptDefVal, written: flag.NoOptDefVal, at: p.at}}, p.at}, nil
	}
	values, err := f.texts(p.value, repeatable(flag))
	for _, v := range values {
		f.concealSetting(p.key, v.text)
	}
	return setting{p.key, values, p.at}, err
}

func (f *scenarioFile) readScenarios(n ast.Node) error {
	resolved, err := f.resolve(n)
	if err != nil {
		return err
	}
	sequence, ok := resolved.(*ast.SequenceNode)
	switch {
	case !ok:
		return f.fault(n.GetToken(), "each scenario begins with a dash", "`scenarios:` is no list")
	case len(sequence.Values) > maxScenarios:
		return f.fault(n.GetToken(), "split the file", "there are %d scenarios, of %d at most", len(sequence.Values), maxScenarios)
	}
	for _, item := range sequence.Values {
		s, err := f.readScenario(item)
		if err != nil {
			return err
		}
		if s.name = s.label.text; s.name != "" && f.has(s.name) {
			return f.fault(s.label.at, "each has a name of its own", "there is another scenario %q", s.name)
		}
		f.scenarios = append(f.scenarios, s)
	}
	for i := range f.scenarios {
		s := &f.scenarios[i]
		for n := i + 1; s.name == ""; n = max(n, len(f.scenarios)) + 1 {
			if name := fmt.Sprintf("%s-%d", s.kind.name, n); !f.has(name) {
				s.name, s.label = name, value{text: name, written: name, at: s.at}
			}
		}
	}
	return nil
}

// has reports whether a scenario has a name.
func (f *scenarioFile) has(name string) bool {
	return slices.ContainsFunc(f.scenarios, func(s scenario) bool { return s.name == name })
}

// plainName is a name that may be part of a file's. Its letters are nearly those of names in XML (W3C, Extensible Markup
// Language 1.0, 2.3), which are written as characters, and end where some languages begin to count one as two: the schema has
// the same expression, for all of them.
var plainName = regexp.MustCompile("^[" + letters + "][" + letters + " ._-]{0,63}$")

const letters = "0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc"

// readScenario reads one. A variable of it that isn't set is an error for those who run it.
func (f *scenarioFile) readScenario(n ast.Node) (s scenario, err error) {
	s.at = n.GetToken()
	pairs, err := f.mapping(n, "a scenario has `sse: URL`, `ws: URL` or `compare: [URL, URL]`, and flags without their dashes")
	if err != nil {
		return s, err
	}
	if slices.ContainsFunc(pairs, func(p pair) bool { return p.key == compareKind.name }) {
		s.kind = compareKind
	}
	for _, p := range pairs { // what it is says which flags there are
		k := kindOf(p.key)
		switch {
		case k == nil || s.kind == compareKind: // which has flags of these names
		case s.kind != nil:
			return s, f.fault(p.at, "write another scenario for it", "a scenario is either %s or %s", s.kind.name, p.key)
		default:
			s.kind = k
		}
	}
	if s.kind == nil {
		known := append(flagNames(kinds...), keyName)
		for _, p := range pairs {
			if !slices.Contains(known, p.key) {
				names := make([]string, len(kinds))
				for i, k := range kinds {
					names[i] = k.name
				}
				return s, f.fault(p.at, near(names, p.key), "a scenario has no %q, and this one doesn't say what it measures", p.key)
			}
		}
		return s, f.fault(s.at, "`sse: URL`, `ws: URL` or `compare: [SSE_URL, WS_URL]`; without a URL it is the reference server", "the scenario doesn't say what it measures")
	}
	for _, p := range pairs {
		switch {
		case p.key == s.kind.name:
			s.at = p.at
			s.args, err = f.readTargets(s.kind, p)
		case p.key == keyName:
			s.label, err = f.readName(p)
		case s.kind.flag(p.key) == nil:
			err = f.fault(p.at, near(flagNames(s.kind), p.key), "%s has no flag --%s", s.kind.name, p.key)
		default:
			var x setting
			x, err = f.setting(s.kind, p)
			s.settings = append(s.settings, x)
		}
		if err != nil {
			return s, err
		}
	}
	s.missing, f.missing = f.missing, nil
	return s, nil
}

// readName reads the name of a scenario, which says whether it is to be run: its variables must be set.
func (f *scenarioFile) readName(p pair) (value, error) {
	before := f.missing
	f.missing = nil
	v, err := f.text(p.value)
	switch v.at = p.at; {
	case err != nil:
		return v, err
	case f.missing != nil:
		return v, f.missing
	case !plainName.MatchString(v.text):
		return v, f.fault(p.at, "letters, digits, spaces and ._- , 64 at most, since it names files", "%q can't name a scenario", v.text)
	}
	f.missing = before
	return v, nil
}

// readTargets reads the URLs behind a command: none for the reference server.
func (f *scenarioFile) readTargets(k *kind, p pair) ([]value, error) {
	resolved, err := f.resolve(p.value)
	if err != nil {
		return nil, err
	}
	if _, ok := resolved.(*ast.NullNode); ok {
		return nil, nil
	}
	args, err := f.texts(p.value, k.targets > 1)
	if err != nil {
		return nil, err
	}
	for _, v := range args {
		f.conceal(v.text, redactedURL(v.text))
	}
	if len(args) != k.targets {
		return nil, f.fault(p.at, fmt.Sprintf("%d, or none for the reference server", k.targets), "%s has %d URLs", k.name, len(args))
	}
	return args, nil
}

// own is a file's name with the scenario's in it: a.html for "steady" is a.steady.html.
func (s *scenario) own(path string) string {
	ending := filepath.Ext(path)
	return strings.TrimSuffix(path, ending) + "." + strings.ReplaceAll(s.name, " ", "-") + ending
}
