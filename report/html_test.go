package report

import (
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/rtbench/rtbench/bench"
)

// A page needs nothing else, runs nothing, and shows what anybody wrote as text.
func TestPagesAreHarmless(t *testing.T) {
	pages := map[string]string{"comparison": string(writeCompared(t, HTML, compared(), TextOptions{})), "hostile comparison": string(writeCompared(t, HTML, hostileComparison(), TextOptions{}))}
	for name, run := range samples() {
		pages[name] = string(write(t, HTML, run, TextOptions{}))
	}
	for name, text := range pages {
		if len(text) > 2<<20 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		for _, evil := range []string{"<script", "javascript:", "\x1b", "onerror="} {
			if strings.Contains(strings.ToLower(text), evil) && !strings.Contains(text, "&lt;"+strings.TrimPrefix(evil, "<")) {
				t.Errorf("%s has %q", name, evil)
			}
		}
		if found := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindStringSubmatch(text); found == nil || found[1] != "data:," {
			t.Errorf("%s needs %q", name, found)
		}
	}
}

// Every picture is well-formed, has a text alternative, and no point that isn't a number.
func TestPicturesAreWhole(t *testing.T) {
	text := string(write(t, HTML, rich(), TextOptions{})) + string(writeCompared(t, HTML, compared(), TextOptions{}))
	pictures := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	if len(pictures) < 5 {
		t.Fatalf("%d pictures", len(pictures))
	}
	for _, picture := range pictures {
		decoder := xml.NewDecoder(strings.NewReader(picture))
		for {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%v: %.200s", err, picture)
				break
			}
		}
		if !strings.Contains(picture, `role="img" aria-label="`) || strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
			t.Errorf("%.300s", picture)
		}
	}
}

// TestAxes: there are a few ticks, all within the axis, however far it reaches.
func TestAxes(t *testing.T) {
	for _, span := range [][2]float64{{1e3, 1e3}, {1e3, 2e3}, {5e5, 4e6}, {1e3, 3.6e12}, {7e5, 7.1e5}} {
		a := logAxis(span[0], span[1])
		if len(a.ticks) < 2 || len(a.ticks) > 12 {
			t.Errorf("%v: %d ticks", span, len(a.ticks))
		}
		for _, x := range a.ticks {
			if p := a.part(x.at); p < 0 || p > 1 {
				t.Errorf("%v: %v is at %v", span, x.at, p)
			}
		}
	}
	for _, high := range []float64{0, 1, 7, 99, 100, 12345, 1e9} {
		if a := countAxis(high, func(v float64) string { return Scale(v, bench.Number) }); a.high < high || len(a.ticks) < 2 || len(a.ticks) > 8 {
			t.Errorf("%v: up to %v with %d ticks", high, a.high, len(a.ticks))
		}
	}
}
