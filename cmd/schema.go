package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/pflag"

	"github.com/rtbench/rtbench/client"
	"github.com/rtbench/rtbench/report"
)

// object is a piece of a JSON Schema.
type object map[string]any

// fromVariable is a text that variables stand in.
var fromVariable = object{"type": "string", "pattern": `\$\{`}

// schemaOf is what a value of a flag is in a file.
func schemaOf(k *kind, f *pflag.Flag) object {
	const number = `^[0-9][0-9.,]*(e[0-9]+)?[kKmM]?`
	var list []object
	switch f.Value.Type() {
	case "bool":
		list = []object{{"type": "boolean"}, {"enum": []any{"true", "false", 1, 0, "1", "0"}}}
	case "int", "uint64":
		list = []object{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9][0-9a-fA-FxXoO_]*$"}}
	case "duration":
		list = []object{{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}, {"enum": []any{0, "0"}}}
	case "count":
		list = []object{{"type": "integer", "minimum": 1}, {"type": "string", "pattern": number + "$"}}
	case "rate":
		list = []object{{"type": "number", "minimum": 0}, {"type": "string", "pattern": number + "(/[smh])?$"}}
	case "size":
		list = []object{{"type": "integer", "minimum": 1}, {"type": "string", "pattern": `^[0-9.]+[kKmMgG]?[bB]?$`}}
	default:
		if values := choices(k.name, f.Name); values != nil {
			list = []object{{"enum": values}}
			break
		}
		return object{"type": []string{"string", "number", "boolean"}}
	}
	return object{"anyOf": append(list, fromVariable)}
}

// choices are the values of a flag that has but a few, nil of others.
func choices(command, flag string) []string {
	switch flag {
	case "reconnect":
		return names(client.Policies())
	case "jitter":
		return names(jitters[:])
	case "rate-scope":
		return scopes[:]
	case "workload":
		return workloadNames()
	case "format":
		if command == compareKind.name {
			return names(report.ComparisonFormats())
		}
		return names(report.Formats())
	}
	return nil
}

// described is the schema of a flag.
func described(k *kind, f *pflag.Flag) object {
	s := schemaOf(k, f)
	if bare(f) {
		s = object{"anyOf": []object{s, {"type": "null"}}}
	}
	if repeatable(f) {
		s = object{"anyOf": []object{s, {"type": "array", "items": s, "minItems": 1}}}
	}
	_, s["description"] = pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "0", "[]":
	default:
		s["description"] = fmt.Sprintf("%s (%s)", s["description"], f.DefValue)
	}
	return s
}

// properties are the flags that a file may set for some kinds.
func properties(of ...*kind) object {
	all := object{}
	for _, k := range of {
		k.sample().VisitAll(func(f *pflag.Flag) {
			if _, ok := all[f.Name]; !ok && k.flag(f.Name) != nil {
				all[f.Name] = described(k, f)
			}
		})
	}
	return all
}

// target is what stands behind the name of a command.
func (k *kind) target() object {
	if k.targets == 1 {
		return object{"type": []string{"string", "null"}, "description": "URL; none for the reference server"}
	}
	return object{
		"type": []string{"array", "null"}, "items": object{"type": "string"}, "minItems": k.targets, "maxItems": k.targets,
		"description": "a URL for each side; none for the reference server",
	}
}

// writeSchema writes the JSON Schema of scenario files, which is made of the flags.
func writeSchema(w io.Writer) error {
	name := object{
		"anyOf": []object{
			{"type": "string", "pattern": plainName.String(), "not": object{"pattern": "\n"}}, // for those whose $ is also before a line's end
			{"type": "number", "minimum": 0}, {"type": "boolean"}, fromVariable,
		},
		"description": "name of the scenario, in reports and files",
	}
	definitions := object{}
	var any []object
	for _, k := range kinds {
		all := properties(k)
		maps.Copy(all, object{k.name: k.target(), keyName: name})
		definitions[k.name] = object{"type": "object", "required": []string{k.name}, "properties": all, "additionalProperties": false}
		any = append(any, object{"$ref": "#/definitions/" + k.name})
	}
	// A comparison has flags with the names of the protocols.
	for _, k := range slices.DeleteFunc(slices.Clone(kinds), func(k *kind) bool { return k == compareKind }) {
		definitions[k.name].(object)["not"] = object{"required": []string{compareKind.name}}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(object{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "rtbench scenarios", "type": "object",
		"required": []string{keyScenarios}, "additionalProperties": false, "definitions": definitions,
		"patternProperties": object{"^" + ownKey: object{"description": "for anchors"}},
		"properties": object{
			keyName:      object{"type": []string{"string", "number", "boolean"}, "description": "of the file"},
			keyDefaults:  object{"type": "object", "properties": properties(kinds...), "additionalProperties": false, "description": "flags without their dashes, for all scenarios that have them"},
			keyScenarios: object{"type": "array", "minItems": 1, "maxItems": maxScenarios, "items": object{"oneOf": any}, "description": "run one after the other"},
		},
	})
	if err != nil {
		return &failure{exitFailed, fmt.Errorf("printing the schema: %w", err), ""}
	}
	return nil
}
