package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// compressed is a histogram's data, which depends on the version of the compressor and so stands in no golden file.
var compressed = regexp.MustCompile(`HISTF[A-Za-z0-9+/=]+`)

// golden compares what was written with a file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = compressed.ReplaceAll(got, []byte("HISTF…"))
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew); got:\n%s", path, got)
	}
}

func write(t *testing.T, f Format, run Run, opts TextOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f, run, opts); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	for name, run := range samples() {
		for _, f := range Formats() {
			golden(t, name+f.Extension(), write(t, f, run, TextOptions{}))
		}
		var b bytes.Buffer
		if err := CSVSeries(&b, run); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".series.csv", b.Bytes())
	}
	golden(t, "rich-100.txt", write(t, Text, rich(), TextOptions{Width: 100}))
	golden(t, "rich-60.txt", write(t, Text, rich(), TextOptions{Width: 60}))
	golden(t, "rich-ascii.txt", write(t, Text, rich(), TextOptions{ASCII: true}))
	golden(t, "rich-colour.txt", write(t, Text, rich(), TextOptions{Color: true}))
}
