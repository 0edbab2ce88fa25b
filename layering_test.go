package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/rtbench/rtbench"

// mayImport is the law of directions: what each package may import of the others.
var mayImport = map[string][]string{
	"client": {},
	"server": {"client"},
	"proxy":  {},
	"bench":  {"client"},
	"check":  {"client", "bench"},
	"report": {"client", "bench"},
	"tui":    {"client", "bench", "report"},
	"cmd":    {"client", "server", "bench", "check", "report", "tui", "proxy"},
	"":       {"cmd"},
}

// TestLayering holds the packages against the table, in every build for which files differ.
func TestLayering(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		list := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
		list.Env = append(list.Environ(), "GOOS="+goos)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for decoder := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
			var p struct {
				ImportPath string
				Imports    []string
			}
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			checkImports(t, goos, local(p.ImportPath), p.Imports)
		}
		if seen != len(mayImport) {
			t.Errorf("%s: there are %d packages, the table has %d", goos, seen, len(mayImport))
		}
	}
}

func checkImports(t *testing.T, goos, name string, imports []string) {
	allowed, known := mayImport[name]
	if !known {
		t.Errorf("%s: package %q is not in the table", goos, name)
	}
	for _, path := range imports {
		if !strings.HasPrefix(path, module) {
			continue
		}
		if imported := local(path); !slices.Contains(allowed, imported) {
			t.Errorf("%s: package %q imports %q, which the table forbids", goos, name, imported)
		}
	}
}

// local is a package's folder; "" for the root.
func local(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

// TestForbidden finds what no package below the screen may do: print, exit, sleep or start by itself.
func TestForbidden(t *testing.T) {
	for _, name := range []string{"client", "server", "proxy", "bench", "check"} {
		files, err := filepath.Glob(filepath.Join(name, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no Go files in %s: %v", name, err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"os.Exit(", "log.Fatal", "fmt.Print", "os.Stdout", "os.Stderr", "time.Sleep(", "func init("} {
				if !strings.HasSuffix(file, "_test.go") && strings.Contains(string(source), word) {
					t.Errorf("%s uses %s", file, word)
				}
			}
		}
	}
}
