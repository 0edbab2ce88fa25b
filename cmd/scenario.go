package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/rtbench/rtbench/report"
)

// A scenarioFile is what a file says is to be run, one scenario after the other.
type scenarioFile struct {
	path      string
	lines     []string
	anchors   map[string]ast.Node
	name      string
	defaults  []setting
	scenarios []scenario
}

// A scenario is one run.
type scenario struct {
	name     string
	kind     *kind
	args     []string // what stands behind the command: URLs
	settings []setting
	at       *token.Token
}

// A setting gives one flag its value, or its values.
type setting struct {
	flag   string
	values []string
	at     *token.Token
}

const (
	maxScenarioFile = 1 << 20 // bytes
	maxScenarios    = 1000
	// maxAliases bounds how often one alias may stand for another.
	maxAliases = 20
)

// The keys that aren't flags or commands.
const (
	keyName      = "name"
	keyDefaults  = "defaults"
	keyScenarios = "scenarios"
)

// readScenarios reads a file. What is wrong with it is told with its line.
func readScenarios(path string) (*scenarioFile, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, usage(err, "`rtbench run --help` shows what a scenario file is like")
	case info.IsDir():
		return nil, usage(fmt.Errorf("%s is a directory", path), "name a scenario file in it")
	case info.Size() > maxScenarioFile:
		return nil, usage(fmt.Errorf("%s has %d bytes, which is too much for a scenario file", path, info.Size()), "1 MiB at most")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage(err, "name a file that can be read")
	}
	return parseScenarios(path, string(text))
}

func parseScenarios(path, text string) (*scenarioFile, error) {
	f := &scenarioFile{path: path, lines: strings.Split(text, "\n"), anchors: make(map[string]ast.Node)}
	if !utf8.ValidString(text) {
		return nil, usage(fmt.Errorf("%s is not UTF-8 text", path), "scenario files are YAML")
	}
	tree, err := parser.ParseBytes([]byte(text), 0)
	if e, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		return nil, f.fault(e.GetToken(), "scenario files are YAML", "%s", e.GetMessage())
	}
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", path, err), "scenario files are YAML")
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			return nil, f.fault(doc.Body.GetToken(), "list them under `scenarios:`", "a second document")
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil, usage(fmt.Errorf("%s is empty", path), "`rtbench run --help` shows what a scenario file is like")
	}
	return f, f.read(body)
}

// fault is what is wrong at a place of the file, with the line itself.
func (f *scenarioFile) fault(at *token.Token, hint, format string, args ...any) error {
	where := f.path
	if at != nil && at.Position != nil {
		where = fmt.Sprintf("%s:%d", f.path, at.Position.Line)
		if line := f.line(at.Position.Line); line != "" {
			where += ": `" + line + "`"
		}
	}
	return &failure{exitUsage, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)), hint}
}

// A line's key, behind the dash of a list, with its value; and the URLs and flags in it.
var (
	flagInLine = regexp.MustCompile(`(^|[\s"'])-`)
	keyedLine  = regexp.MustCompile(`^((?:- +)?["']?([A-Za-z-]+)["']?:)\s*(.*)$`)
	urlInLine  = regexp.MustCompile(`[A-Za-z]+://[^\s"',\]}]+`)
)

// line is a line of the file for people, without what may be secret.
func (f *scenarioFile) line(number int) string {
	const most = 60
	if number < 1 || number > len(f.lines) {
		return ""
	}
	line := strings.TrimSpace(f.lines[number-1])
	if parts := keyedLine.FindStringSubmatch(line); parts != nil && parts[3] != "" && secret(parts[2]) != nil {
		if kindOf(parts[2]) == nil || flagInLine.MatchString(parts[3]) || !strings.Contains(parts[3], "://") {
			return parts[1] + " " + report.Redacted
		}
	}
	line = urlInLine.ReplaceAllStringFunc(line, report.RedactURL)
	if runes := []rune(line); len(runes) > most {
		line = string(runes[:most]) + "…"
	}
	return line
}

// read reads the whole file.
func (f *scenarioFile) read(body ast.Node) error {
	f.findAnchors(body)
	pairs, err := f.mapping(body, "a scenario file has `scenarios:`")
	if err != nil {
		return err
	}
	for _, p := range pairs {
		switch p.key {
		case keyName:
			f.name, err = f.text(p.value)
		case keyDefaults:
			f.defaults, err = f.readDefaults(p.value)
		case keyScenarios:
			err = f.readScenarios(p.value)
		default:
			err = f.fault(p.at, "it has name, defaults and scenarios", "a scenario file has no %q", p.key)
		}
		if err != nil {
			return err
		}
	}
	if len(f.scenarios) == 0 {
		return usage(fmt.Errorf("%s has no scenarios", f.path), "`scenarios:` lists them")
	}
	return nil
}

// findAnchors collects what aliases stand for.
func (f *scenarioFile) findAnchors(body ast.Node) {
	ast.Walk(visitor(func(n ast.Node) {
		if anchor, ok := n.(*ast.AnchorNode); ok {
			f.anchors[anchor.Name.GetToken().Value] = anchor.Value
		}
	}), body)
}

type visitor func(ast.Node)

// Visit implements ast.Visitor.
func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

// resolve gives the node that a value is, behind anchors, tags and aliases.
func (f *scenarioFile) resolve(n ast.Node) (ast.Node, error) {
	for aliases := 0; ; {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.TagNode:
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			target, ok := f.anchors[name]
			if aliases++; !ok || aliases > maxAliases {
				return nil, f.fault(v.GetToken(), "`&"+name+"` names what it stands for", "the alias *%s stands for nothing", name)
			}
			n = target
		default:
			return n, nil
		}
	}
}

// A pair is one line of a mapping.
type pair struct {
	key   string
	value ast.Node
	at    *token.Token
}

// mapping gives the pairs of a mapping, with those that are merged into it behind its own.
func (f *scenarioFile) mapping(n ast.Node, wanted string) ([]pair, error) {
	return f.merged(n, wanted, 0)
}

func (f *scenarioFile) merged(n ast.Node, wanted string, depth int) (list []pair, err error) {
	at := n.GetToken()
	if n, err = f.resolve(n); err != nil {
		return nil, err
	}
	var values []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		return nil, f.fault(at, wanted, "it is no mapping")
	}
	var bases []ast.Node
	for _, v := range values {
		if v.Key.IsMergeKey() {
			bases = append(bases, v.Value)
			continue
		}
		key, err := f.scalar(v.Key)
		if err != nil {
			return nil, err
		}
		list = append(list, pair{key, v.Value, v.Key.GetToken()})
	}
	for _, base := range bases {
		if depth > maxAliases {
			return nil, f.fault(at, "a mapping can't be merged into itself", "there are too many merges in each other")
		}
		more, err := f.merged(base, "`<<:` merges a mapping", depth+1)
		if err != nil {
			return nil, err
		}
		for _, p := range more {
			if !slices.ContainsFunc(list, func(own pair) bool { return own.key == p.key }) {
				list = append(list, p)
			}
		}
	}
	return list, nil
}

// scalar is the text of a value as it stands there.
func (f *scenarioFile) scalar(n ast.Node) (string, error) {
	at := n.GetToken()
	n, err := f.resolve(n)
	if err != nil {
		return "", err
	}
	switch v := n.(type) {
	case *ast.LiteralNode:
		return v.Value.Value, nil
	case *ast.StringNode:
		return v.Value, nil
	case *ast.NullNode:
		return "", f.fault(at, "write a value, or leave the line out", "it has no value")
	case ast.ScalarNode:
		return v.GetToken().Value, nil // as it was written: 0x10 and 1e3 are for the flag to read
	}
	return "", f.fault(at, "a number, a word, or a text in quotes", "it is no single value")
}

// text is a value with its variables.
func (f *scenarioFile) text(n ast.Node) (string, error) {
	s, err := f.scalar(n)
	if err != nil {
		return "", err
	}
	return f.expand(s, n.GetToken())
}

// variableInText finds ${NAME}, ${NAME:-what to take where it isn't set} and, to write the characters themselves, $${.
var variableInText = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)?(:-[^}]*)?\}`)

// expand puts the values of environment variables into a text.
func (f *scenarioFile) expand(s string, at *token.Token) (string, error) {
	var failed error
	s = variableInText.ReplaceAllStringFunc(s, func(found string) string {
		if strings.HasPrefix(found, "$$") {
			return found[1:]
		}
		parts := variableInText.FindStringSubmatch(found)
		value, ok := os.LookupEnv(parts[1])
		switch {
		case parts[1] == "":
			failed = f.fault(at, "such as ${TOKEN}; $${ is the characters themselves", "%s names no variable", found)
		case ok && value != "":
			return value
		case parts[2] != "":
			return parts[2][len(":-"):]
		case !ok && failed == nil:
			failed = f.fault(at, "${"+parts[1]+":-default} has a default; $${ is the characters themselves", "the variable %s is not set", parts[1])
		}
		return ""
	})
	return s, failed
}

// texts gives the values of a flag: of one that is repeatable, all of a list.
func (f *scenarioFile) texts(n ast.Node, repeats bool) (list []string, err error) {
	resolved, err := f.resolve(n)
	if err != nil {
		return nil, err
	}
	sequence, ok := resolved.(*ast.SequenceNode)
	if !ok {
		s, err := f.text(n)
		return []string{s}, err
	}
	if !repeats {
		return nil, f.fault(n.GetToken(), "it can't be repeated", "it is a list, and there may be but one")
	}
	for _, item := range sequence.Values {
		s, err := f.text(item)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, f.fault(n.GetToken(), "write a value, or leave the line out", "the list is empty")
	}
	return list, nil
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
		values, err := f.texts(p.value, repeatable(kinds[known].flag(p.key)))
		if err != nil {
			return nil, err
		}
		list = append(list, setting{p.key, values, p.at})
	}
	return list, nil
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
		if s.name == "" {
			s.name = fmt.Sprintf("%s-%d", s.kind.name, len(f.scenarios)+1)
		}
		if slices.ContainsFunc(f.scenarios, func(other scenario) bool { return other.name == s.name }) {
			return f.fault(s.at, "each has a name of its own", "there is another scenario %q", s.name)
		}
		f.scenarios = append(f.scenarios, s)
	}
	return nil
}

// plainName is a name that may be part of a file's.
var plainName = regexp.MustCompile(`^[\pL\pN][\pL\pN ._-]{0,63}$`)

func (f *scenarioFile) readScenario(n ast.Node) (s scenario, err error) {
	s.at = n.GetToken()
	pairs, err := f.mapping(n, "a scenario has `sse: URL`, `ws: URL` or `compare: [URL, URL]`, and flags without their dashes")
	if err != nil {
		return s, err
	}
	for _, p := range pairs { // what it is says which flags there are
		k := kindOf(p.key)
		switch {
		case k == nil || s.kind == compareKind: // which has flags of these names
		case s.kind != nil && k != compareKind:
			return s, f.fault(p.at, "write another scenario for it", "a scenario is either %s or %s", s.kind.name, p.key)
		default:
			s.kind = k
		}
	}
	if s.kind == nil {
		return s, f.fault(s.at, "`sse: URL`, `ws: URL` or `compare: [SSE_URL, WS_URL]`; without a URL it is the reference server", "the scenario doesn't say what it measures")
	}
	for _, p := range pairs {
		switch {
		case p.key == s.kind.name:
			s.at = p.at
			s.args, err = f.readTargets(s.kind, p)
		case p.key == keyName:
			if s.name, err = f.text(p.value); err == nil && !plainName.MatchString(s.name) {
				err = f.fault(p.at, "letters, digits, spaces and ._- , 64 at most, since it names files", "%q can't name a scenario", s.name)
			}
		case s.kind.flag(p.key) == nil:
			err = f.fault(p.at, near(flagNames(s.kind), p.key), "%s has no flag --%s", s.kind.name, p.key)
		default:
			var values []string
			values, err = f.texts(p.value, repeatable(s.kind.flag(p.key)))
			s.settings = append(s.settings, setting{p.key, values, p.at})
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// readTargets reads the URLs behind a command: none for the reference server.
func (f *scenarioFile) readTargets(k *kind, p pair) ([]string, error) {
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
