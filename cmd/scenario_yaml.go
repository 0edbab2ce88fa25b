package cmd

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What bounds a file that is meant to take all memory, or all day: the parser has no bounds of its own.
const (
	maxNesting = 100 // lists and mappings in each other
	maxKeys    = 1000
	maxAliases = 20      // how often one alias may stand for another
	maxAliased = 4 << 20 // bytes that aliases may stand for, all together
)

const quoteIt = "put it in quotes, if it is a text with a colon in it"

func parseScenarios(path, text string) (*scenarioFile, error) {
	text = lineEnds.Replace(strings.TrimPrefix(text, "\ufeff"))
	f := &scenarioFile{path: path, lines: strings.Split(text, "\n"), aliases: make(map[*ast.AliasNode]ast.Node), concealed: make(map[string]string)}
	if !utf8.ValidString(text) {
		return nil, usage(fmt.Errorf("%s is not UTF-8 text", path), "scenario files are YAML")
	}
	tokens := lexer.Tokenize(strings.Join(withoutEmpty(f.lines), "\n"))
	if err := f.checkShape(tokens); err != nil {
		return nil, err
	}
	tree, err := parser.Parse(tokens, 0)
	if e, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		hint := "scenario files are YAML"
		switch message := e.GetMessage(); {
		case strings.Contains(message, "'\t'"):
			return nil, f.fault(e.GetToken(), "YAML is indented with spaces", "a tab can't indent a line")
		case strings.HasPrefix(message, "mapping value is not allowed"):
			hint = quoteIt
		}
		return nil, f.fault(e.GetToken(), hint, "%s", e.GetMessage())
	}
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", path, err), "scenario files are YAML")
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		_, directive := doc.Body.(*ast.DirectiveNode)
		switch {
		case doc.Body == nil || directive:
		case body != nil:
			return nil, f.fault(doc.Body.GetToken(), "list them under `scenarios:`", "a second document")
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil, usage(fmt.Errorf("%s is empty", path), likeThis)
	}
	return f, f.read(body)
}

// lineEnds has all lines end as Unix's do.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// marker is a line that a document begins with.
var marker = regexp.MustCompile(`^---[ \t]*(#.*)?$`)

// withoutEmpty blanks the markers of documents that have nothing in them, with which the parser forgets the next one.
func withoutEmpty(lines []string) []string {
	lines = slices.Clone(lines)
	last := -1 // the marker that nothing has come behind
	for i, line := range lines {
		switch text := strings.TrimSpace(line); {
		case marker.MatchString(line):
			if last >= 0 {
				lines[last] = ""
			}
			last = i
		case text != "" && !strings.HasPrefix(text, "#"):
			last = -1
		}
	}
	return lines
}

// checkShape finds nesting and mappings that no scenario file has.
func (f *scenarioFile) checkShape(tokens token.Tokens) error {
	type level struct {
		column int // 0 within brackets
		braces bool
		keys   int
	}
	levels := []level{{column: -1}}
	for _, t := range tokens {
		top := &levels[len(levels)-1]
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			levels = append(levels, level{braces: t.Type == token.MappingStartType})
		case token.SequenceEndType, token.MappingEndType:
			if top.column == 0 {
				levels = levels[:len(levels)-1]
			}
		case token.CollectEntryType:
			if top.braces {
				top.keys++ // which may have no colon
			}
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			column := t.Position.Column
			if t.Type == token.MappingValueType && t.Prev != nil {
				column = t.Prev.Position.Column
			}
			for top.column > column {
				levels = levels[:len(levels)-1]
				top = &levels[len(levels)-1]
			}
			if top.column != 0 && top.column < column {
				levels = append(levels, level{column: column})
				top = &levels[len(levels)-1]
			}
			if t.Type != token.SequenceEntryType && !top.braces {
				top.keys++
			}
		}
		if top.keys > maxKeys {
			return f.fault(t, "no command has so many flags", "a mapping has more than %d keys", maxKeys)
		}
		if len(levels) > maxNesting {
			return f.fault(t, "a scenario has flags, and they have values or lists of them", "lists and mappings stand more than %d deep in each other", maxNesting)
		}
	}
	return nil
}

// findAliases collects what aliases stand for: the last anchor of their name that comes before them.
func (f *scenarioFile) findAliases(body ast.Node) {
	anchors := make(map[string]ast.Node)
	ast.Walk(visitor(func(n ast.Node) {
		switch v := n.(type) {
		case *ast.AnchorNode:
			anchors[v.Name.GetToken().Value] = v.Value
		case *ast.AliasNode:
			f.aliases[v] = anchors[v.Value.GetToken().Value]
		}
	}), body)
}

type visitor func(ast.Node)

// Visit implements ast.Visitor.
func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

// sizeOf is roughly how many bytes a node takes, with all that is in it.
func sizeOf(n ast.Node) (size int) {
	const each = 16
	ast.Walk(visitor(func(n ast.Node) {
		size += each
		if t := n.GetToken(); t != nil {
			size += len(t.Value)
		}
	}), n)
	return size
}

// tags are those that change nothing.
var tags = [...]string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map"}

// resolve gives the node that a value is, behind anchors, tags and aliases.
func (f *scenarioFile) resolve(n ast.Node) (ast.Node, error) {
	for aliases := 0; ; {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.TagNode:
			if !slices.Contains(tags[:], v.Start.Value) {
				return nil, f.fault(v.GetToken(), "leave it out", "the tag %s says nothing here", v.Start.Value)
			}
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			target := f.aliases[v]
			if aliases++; target == nil || aliases > maxAliases {
				return nil, f.fault(v.GetToken(), "`&"+name+"` before it names what it stands for", "the alias *%s stands for nothing", name)
			}
			if f.aliased += sizeOf(target); f.aliased > maxAliased {
				return nil, f.fault(v.GetToken(), "split the file", "the aliases stand for too much, %d bytes at most", maxAliased)
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
func (f *scenarioFile) mapping(n ast.Node, wanted string) (list []pair, err error) {
	seen := make(map[string]bool)
	err = f.merge(n, wanted, 0, func(p pair) {
		if !seen[p.key] {
			seen[p.key] = true
			list = append(list, p)
		}
	})
	return list, err
}

func (f *scenarioFile) merge(n ast.Node, wanted string, depth int, add func(pair)) (err error) {
	at := n.GetToken()
	if depth > maxAliases {
		return f.fault(at, "a mapping can't be merged into itself", "there are too many merges in each other")
	}
	if n, err = f.resolve(n); err != nil {
		return err
	}
	var values []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		return f.fault(at, wanted, "it is no mapping")
	}
	var bases []ast.Node
	for _, v := range values {
		if v.Key.IsMergeKey() {
			list, err := f.bases(v.Value)
			if err != nil {
				return err
			}
			bases = append(bases, list...)
			continue
		}
		key, err := f.scalar(v.Key)
		if err != nil {
			return err
		}
		add(pair{key, v.Value, v.Key.GetToken()})
	}
	for _, base := range bases {
		if err := f.merge(base, "`<<:` merges a mapping, or a list of them", depth+1, add); err != nil {
			return err
		}
	}
	return nil
}

// bases are what a mapping merges: one mapping, or a list of them.
func (f *scenarioFile) bases(n ast.Node) ([]ast.Node, error) {
	resolved, err := f.resolve(n)
	if list, ok := resolved.(*ast.SequenceNode); ok {
		return list.Values, err
	}
	return []ast.Node{n}, err
}

// scalar is the text of a value as it stands there.
func (f *scenarioFile) scalar(n ast.Node) (string, error) {
	at := n.GetToken()
	n, err := f.resolve(n)
	if err != nil {
		return "", err
	}
	hint := "a number, a word, or a text in quotes"
	switch v := n.(type) {
	case *ast.LiteralNode:
		return v.Value.Value, nil
	case *ast.StringNode:
		return v.Value, nil
	case *ast.NullNode:
		return "", f.fault(at, "write a value, or leave the line out", "it has no value")
	case ast.ScalarNode:
		return v.GetToken().Value, nil // as it was written: 0x10 and 1e3 are for the flag to read
	case *ast.MappingNode:
		if len(v.Values) == 1 && isText(v.Values[0]) {
			rest, err := f.scalar(v.Values[0].Value)
			return v.Values[0].Key.GetToken().Value + ":" + rest, err
		}
		hint = quoteIt
	}
	return "", f.fault(at, hint, "it is no single value")
}

// isText reports whether what the parser takes for a key and its value is a text: 1s:3 in a list in braces.
func isText(v *ast.MappingValueNode) bool {
	key, colon, rest := v.Key.GetToken(), v.GetToken(), v.Value.GetToken()
	plain := key.Type != token.SingleQuoteType && key.Type != token.DoubleQuoteType
	return plain && rest != nil && rest.Position.Line == colon.Position.Line && rest.Position.Column == colon.Position.Column+1
}

// text is a value with its variables.
func (f *scenarioFile) text(n ast.Node) (value, error) {
	s, err := f.scalar(n)
	if err != nil {
		return value{}, err
	}
	return f.expand(s, n.GetToken())
}

// texts gives the values of a flag: of one that is repeatable, all of a list.
func (f *scenarioFile) texts(n ast.Node, repeats bool) (list []value, err error) {
	resolved, err := f.resolve(n)
	if err != nil {
		return nil, err
	}
	sequence, ok := resolved.(*ast.SequenceNode)
	if !ok {
		v, err := f.text(n)
		return []value{v}, err
	}
	if !repeats {
		return nil, f.fault(n.GetToken(), "it can't be repeated", "it is a list, and there may be but one")
	}
	for _, item := range sequence.Values {
		v, err := f.text(item)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		return nil, f.fault(n.GetToken(), "write a value, or leave the line out", "the list is empty")
	}
	return list, nil
}
