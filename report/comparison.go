package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// A Comparison is two sides, A and B, that were measured in turns.
type Comparison struct {
	Start       time.Time
	Elapsed     time.Duration
	Command     string
	Sides       [2]Side
	Workload    string        // in a sentence
	Trial       time.Duration // what each trial measures
	Order       string        // of the trials, such as ABBABAAB; "" where stored results are compared
	Results     [2]int        // how many of each side, then
	Margin      float64       // how much worse B may be then, as a share
	Repeated    []string      // why trials were made once more, each
	Contrasts   []Contrast
	Claims      []Claim
	Advice      []string // what to do with it, and what would change that; each in a sentence
	Doubts      []bench.Warning
	Warnings    []bench.Warning
	Interrupted bool
	Environment bench.Environment
	Entries     []Entry
}

// A Side is one of the two.
type Side struct {
	Name    string // such as SSE
	Command string // that measures it alone
}

// A ClaimVerdict says what measuring makes of a claim.
type ClaimVerdict string

const (
	Holds      ClaimVerdict = "holds here"
	HoldsNot   ClaimVerdict = "does not hold here"
	Untellable ClaimVerdict = "can't tell"
)

// A Claim is something that people say about the sides, held against what was measured.
type Claim struct {
	Name    string // short, such as framing
	Claim   string // in a sentence
	Figures string // what was measured
	Verdict ClaimVerdict
	Why     string // it can't be told; "" where it can
}

// WriteComparison writes a comparison as text, Markdown, JSON, JUnit or HTML.
func WriteComparison(w io.Writer, f Format, c *Comparison, opts TextOptions) error {
	switch f {
	case Text:
		s := &sheet{options: opts}
		s.comparison(c)
		_, err := io.WriteString(w, s.b.String())
		return err
	case Markdown:
		_, err := io.WriteString(w, markdownComparison(c))
		return err
	case JSON:
		return writeComparisonJSON(w, c)
	case JUnit:
		return c.junit(w)
	case HTML:
		return c.html(w)
	}
	return fmt.Errorf("report: a comparison can't be written as %s", f)
}

// ComparisonFormats lists the formats of a comparison.
func ComparisonFormats() []Format { return []Format{Text, JSON, Markdown, JUnit, HTML} }

func (s *sheet) comparison(c *Comparison) {
	a, b := Plain(c.Sides[0].Name), Plain(c.Sides[1].Name)
	s.paragraph(span{}, a+" against "+b, bold)
	s.paragraph(span{}, s.own(c.made(" · ")), dim)
	if c.Workload != "" {
		s.paragraph(span{}, Plain(c.Workload), dim)
	}
	s.remarks("What makes the figures doubtful", c.Doubts, red)
	s.contrasts(c)
	if len(c.Claims) > 0 {
		s.title("What people say, and what was measured here")
	}
	for i, claim := range c.Claims {
		st := map[ClaimVerdict]style{Holds: green, HoldsNot: yellow, Untellable: dim}[claim.Verdict]
		lead := strconv.Itoa(i+1) + "  "
		s.paragraph(span{"  " + lead, dim}, Plain(claim.Claim), normal)
		indent := strings.Repeat(" ", 2+len(lead))
		verdict := strings.ToUpper(string(claim.Verdict))
		if claim.Why != "" {
			verdict += ": " + Plain(claim.Why)
		}
		s.paragraph(span{text: indent}, verdict, st)
		if claim.Figures != "" {
			s.paragraph(span{text: indent}, s.own(Plain(claim.Figures)), dim)
		}
	}
	if len(c.Advice) > 0 {
		s.title("So")
		for _, sentence := range c.Advice {
			s.paragraph(span{text: "  "}, s.own(Plain(sentence)), normal)
		}
	}
	s.remarks("Warnings", c.Warnings, yellow)
	s.line()
	for _, side := range c.Sides {
		s.paragraph(span{pad(Plain(side.Name), widest(a, b)) + "  ", dim}, Plain(side.Command), dim)
	}
	s.environment(c.Environment, c.Entries)
}

// Brief is what the comparison comes to, in a few words: by the p99 of its latency, or else by its p50.
func (c *Comparison) Brief() string {
	if len(c.Doubts) > 0 {
		return "no verdict"
	}
	for i := min(2, len(c.Contrasts)) - 1; i >= 0; i-- { // which are the first two
		switch x := &c.Contrasts[i]; {
		case x.Unknown != "":
		case x.Different():
			return fmt.Sprintf("%s ÷ %s %s %s", c.Sides[1].Name, c.Sides[0].Name, x.Name, ratioText(x.Ratio))
		default:
			return "no difference in " + x.Name
		}
	}
	return "nothing can be said of the latency"
}

// made says how the comparison was made.
func (c *Comparison) made(separator string) string {
	var parts []string
	if c.Order == "" && c.Results != [2]int{} {
		parts = append(parts, fmt.Sprintf("%s against %s", plural(c.Results[0], "result"), plural(c.Results[1], "result")),
			"a regression is what is worse by more than "+shareText(c.Margin))
	} else {
		parts = append(parts, fmt.Sprintf("%s of trials, %s measured in each, in the order %s", plural(len(c.Order)/2, "pair"), Scale(float64(c.Trial), bench.Nanoseconds), c.Order))
	}
	if n := len(c.Repeated); n > 0 {
		parts = append(parts, plural(n, "trial")+" made once more")
	}
	if c.Elapsed > 0 {
		parts = append(parts, Scale(float64(c.Elapsed), bench.Nanoseconds)+" in all")
	}
	if c.Interrupted {
		parts = append(parts, "interrupted")
	}
	return strings.Join(parts, separator)
}

// gated reports whether any figure was held against a margin.
func (c *Comparison) gated() bool {
	return slices.ContainsFunc(c.Contrasts, func(x Contrast) bool { return x.Gate != "" })
}

// contrasts is the table of the figures.
func (s *sheet) contrasts(c *Comparison) {
	a, b := Plain(c.Sides[0].Name), Plain(c.Sides[1].Name)
	rows := [][]span{{{"Median", bold}, {a, bold}, {b, bold}, {b + " ÷ " + a, bold}, {"95 %", bold}, {"p", bold}}}
	if c.gated() {
		rows[0] = append(rows[0], span{"", bold})
	}
	unknown, spare := []Contrast{}, []string{"p", "95 %"}
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		if x.Unknown != "" {
			unknown = append(unknown, *x)
			continue
		}
		st := normal
		if x.Different() {
			st = yellow
		}
		textA, textB := x.texts()
		rows = append(rows, []span{{"  " + Plain(x.Name), normal}, {s.own(textA), normal}, {s.own(textB), normal},
			{ratioText(x.Ratio), st}, {s.own(x.interval()), dim}, {x.pText(), dim}})
		if c.gated() {
			last := len(rows) - 1
			rows[last] = append(rows[last], span{string(x.Gate), map[Gate]style{Pass: green, Regress: red, Inconclusive: yellow}[x.Gate]})
		}
	}
	if len(rows) > 1 {
		s.line()
		s.table(rows, spare)
		s.legend(rows)
		s.line()
		for i := range c.Contrasts {
			if x := &c.Contrasts[i]; x.Unknown == "" && x.Tested {
				s.paragraph(span{"  " + Plain(x.Name) + ": ", dim}, s.own(x.sentence(a, b)), normal)
			}
		}
	}
	for _, x := range unknown {
		s.paragraph(span{"  " + Plain(x.Name) + ": ", dim}, "can't be compared: "+Plain(x.Unknown), dim)
	}
}

// ratioText is a ratio with three digits.
func ratioText(r float64) string {
	switch {
	case math.IsNaN(r):
		return "–"
	case math.IsInf(r, 0) || r >= 1e6:
		return "∞"
	case r >= 100:
		return strconv.FormatFloat(r, 'f', 0, 64)
	case r >= 10:
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return strconv.FormatFloat(r, 'f', 2, 64)
}

// interval is between which ratios the figure's lies.
func (c *Contrast) interval() string { return ratioText(c.Low) + "–" + ratioText(c.High) }

func (c *Contrast) pText() string {
	switch {
	case !c.Tested || math.IsNaN(c.Adjusted):
		return ""
	case c.Adjusted < .001:
		return "<0.001"
	}
	return strconv.FormatFloat(c.Adjusted, 'f', 3, 64)
}

// sentence says what the figure comes to.
func (c *Contrast) sentence(a, b string) string {
	if c.Different() {
		more, than := b, a
		ratio, low, high := c.Ratio, c.Low, c.High
		if ratio < 1 {
			more, than, ratio, low, high = a, b, 1/ratio, 1/high, 1/low
		}
		return fmt.Sprintf("%s takes %s more than %s (%s to %s)", more, shareText(ratio-1), than, shareText(low-1), shareText(high-1))
	}
	if smallest, ok := c.Smallest(); ok && c.Low <= 1 && c.High >= 1 {
		return fmt.Sprintf("no significant difference; one of %s would have shown", shareText(smallest))
	}
	return "no significant difference"
}

// shareText is a share as per cent, or as a multiple where it is large.
func shareText(share float64) string {
	switch {
	case math.IsInf(share, 0) || math.IsNaN(share):
		return "any amount"
	case share >= 9:
		return ratioText(share+1) + " times"
	case share < .001 && share > -.001:
		return "0 %"
	case math.Abs(share) < .0995:
		return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*share, 'f', 0, 64) + " %"
}

// plural is a number with what it counts.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(uint64(n)) + " " + what + "s"
}

// markdownComparison is for a decision or a pull request.
func markdownComparison(c *Comparison) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	sideA, sideB := mark(c.Sides[0].Name), mark(c.Sides[1].Name)
	line("## %s against %s\n", titled(mark(scenario(c.Entries)), sideA), sideB)
	line("%s. %s\n", c.made("; "), mark(c.Workload))
	for _, d := range c.Doubts {
		line("> **Doubtful:** %s → %s\n", mark(d.Text), mark(d.Advice))
	}
	gate, rule := "", ""
	if c.gated() {
		gate, rule = "  |", "---|"
	}
	line("| median | %s | %s | %s ÷ %s | 95 %% | p |"+gate, sideA, sideB, sideB, sideA)
	line("|---|---:|---:|---:|---:|---:|" + rule)
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		if x.Unknown != "" {
			line("| %s | | | can't be compared: %s | | |"+gate, mark(x.Name), mark(x.Unknown))
			continue
		}
		ratio := ratioText(x.Ratio)
		if x.Different() {
			ratio = "**" + ratio + "**"
		}
		verdict := ""
		if c.gated() {
			verdict = " " + string(x.Gate) + " |"
		}
		textA, textB := x.texts()
		line("| %s | %s | %s | %s | %s | %s |%s", mark(x.Name), mark(textA), mark(textB), ratio, x.interval(), strings.ReplaceAll(x.pText(), "<", "&lt;"), verdict)
	}
	if len(c.Claims) > 0 {
		line("\n| | claim | measured here | verdict |\n|---:|---|---|---|")
	}
	for i, claim := range c.Claims {
		verdict := "**" + string(claim.Verdict) + "**"
		if claim.Why != "" {
			verdict += ": " + mark(claim.Why)
		}
		line("| %d | %s | %s | %s |", i+1, mark(claim.Claim), mark(claim.Figures), verdict)
	}
	line("")
	for _, sentence := range c.Advice {
		line("%s\n", mark(sentence))
	}
	for _, w := range c.Warnings {
		line("> %s → %s\n", mark(w.Text), mark(w.Advice))
	}
	for _, side := range c.Sides {
		line("* %s: %s", mark(side.Name), code(side.Command))
	}
	return b.String()
}

// marks are what Markdown, or the HTML in it, would take for its own.
var marks = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "[", `\[`, "]", `\]`, "#", `\#`, "\n", " ", "@", "&#64;", "~", `\~`)

// mark is a text that Markdown shows as it is.
func mark(text string) string { return marks.Replace(Plain(text)) }

// code is a text as Markdown's code.
func code(text string) string {
	text = strings.ReplaceAll(Plain(text), "\n", " ")
	longest, run := 0, 0
	for _, r := range text {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	if longest > 0 {
		text = " " + text + " "
	}
	return fence + text + fence
}

// A comparison as JSON has it.
type (
	docComparison struct {
		Schema      string        `json:"schema"`
		Version     int           `json:"version"`
		Tool        docTool       `json:"tool"`
		Start       time.Time     `json:"start"`
		ElapsedNS   time.Duration `json:"elapsed_ns"`
		Interrupted bool          `json:"interrupted"`
		Sides       []docSide     `json:"sides"`
		Workload    string        `json:"workload"`
		TrialNS     time.Duration `json:"trial_ns"`
		Order       string        `json:"order"`
		Results     []int         `json:"results"`
		Margin      float64       `json:"margin"`
		Repeated    []string      `json:"repeated"`
		Contrasts   []docContrast `json:"contrasts"`
		Claims      []docClaim    `json:"claims"`
		Advice      []string      `json:"advice"`
		Doubts      []docWarning  `json:"doubts"`
		Warnings    []docWarning  `json:"warnings"`
		Config      []Entry       `json:"config"`
	}
	docSide struct {
		Name    string `json:"name"`
		Command string `json:"command"`
	}
	docContrast struct {
		Name      string       `json:"name"`
		Unit      bench.Unit   `json:"unit"`
		A         *float64     `json:"a"`
		B         *float64     `json:"b"`
		Rough     [2]bool      `json:"indicative"`
		Pairs     int          `json:"pairs"`
		Trials    [][2]float64 `json:"trials"`
		Ratio     *float64     `json:"ratio"`
		Low       *float64     `json:"low"`
		High      *float64     `json:"high"`
		P         *float64     `json:"p"`
		Adjusted  *float64     `json:"p_adjusted"`
		Alpha     float64      `json:"alpha"`
		Different bool         `json:"different"`
		Smallest  *float64     `json:"smallest_detectable"`
		Unknown   string       `json:"unknown"`
		Gate      *Gate        `json:"gate"`
	}
	docClaim struct {
		Name    string       `json:"name"`
		Claim   string       `json:"claim"`
		Figures string       `json:"figures"`
		Verdict ClaimVerdict `json:"verdict"`
		Why     string       `json:"why"`
	}
)

// ComparisonSchema is the name of the comparison's document.
const ComparisonSchema = "https://github.com/rtbench/rtbench/blob/main/report/schema/comparison.v1.json"

func writeComparisonJSON(w io.Writer, c *Comparison) error {
	d := docComparison{Schema: ComparisonSchema, Version: 1, Tool: docTool{"rtbench", c.Environment.Version}, Start: c.Start.UTC(), ElapsedNS: c.Elapsed, Interrupted: c.Interrupted,
		Sides: []docSide{}, Workload: c.Workload, TrialNS: c.Trial, Order: c.Order, Results: c.Results[:], Margin: c.Margin, Repeated: append([]string{}, c.Repeated...), Contrasts: []docContrast{}, Claims: []docClaim{},
		Advice: append([]string{}, c.Advice...), Doubts: docWarnings(c.Doubts), Warnings: docWarnings(c.Warnings), Config: append([]Entry{}, c.Entries...)}
	for _, side := range c.Sides {
		d.Sides = append(d.Sides, docSide(side))
	}
	for i := range c.Contrasts {
		x := &c.Contrasts[i]
		ok := x.Unknown == ""
		smallest, told := x.Smallest()
		d.Contrasts = append(d.Contrasts, docContrast{x.Name, x.Unit, finite(x.A, ok), finite(x.B, ok), x.Rough, x.Pairs, append([][2]float64{}, x.Trials...), finite(x.Ratio, ok), finite(x.Low, ok), finite(x.High, ok),
			finite(x.P, ok && x.Tested), finite(x.Adjusted, ok && x.Tested), x.Alpha, x.Different(), finite(smallest, told), x.Unknown, known(x.Gate, x.Gate != "")})
	}
	for _, claim := range c.Claims {
		d.Claims = append(d.Claims, docClaim(claim))
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(d)
}

// finite is a number that JSON can have; null where it isn't known.
func finite(x float64, ok bool) *float64 {
	if !ok || math.IsInf(x, 0) || math.IsNaN(x) {
		return nil
	}
	return &x
}
