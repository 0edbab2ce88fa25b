package client

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func field(t testing.TB, s string) Field {
	t.Helper()
	f, err := ParseField(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParseField(t *testing.T) {
	for _, s := range []string{"", "id", "json", "json:", "xml:a", "JSON:a"} {
		if f, err := ParseField(s); err == nil || !f.IsZero() || strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseField(%q) = %v, %v", s, f, err)
		}
	}
	if f := field(t, "json:data.id"); f.String() != "json:data.id" || f.IsZero() {
		t.Errorf("%q, zero: %v", f, f.IsZero())
	}
	var none Field
	if text, ok := none.Text([]byte(`{"a":1}`)); ok || none.String() != "" {
		t.Errorf("the zero field found %q", text)
	}
}

func TestFieldText(t *testing.T) {
	for _, test := range []struct {
		path, data, want string
		ok               bool
	}{
		{"id", `{"id":"a-1"}`, "a-1", true},
		{"id", `{"id":""}`, "", true},
		{"id", `{"id":42}`, "42", true},
		{"id", `{"id":-4.20e1}`, "-4.20e1", true},
		{"id", `{"id":true}`, "true", true},
		{"id", `{"id":{"a":[1]}}`, `{"a":[1]}`, true},
		{"id", `{"id":"\u00e9\n"}`, "é\n", true},
		{"id", `{"id":null}`, "", false},
		{"id", `{"ID":1}`, "", false},
		{"a.0.id", `{"a":[{"id":7}]}`, "7", true},
		{"a.1.id", `{"a":[{"id":7}]}`, "", false},
		{"id", ``, "", false},
		{"id", `null`, "", false},
		{"id", `[1,2]`, "", false},
		{"id", `plain text`, "", false},
		{"id", `{"id":`, "", false},
		{"id", "\xff\xfe", "", false},
	} {
		got, ok := field(t, "json:"+test.path).Text([]byte(test.data))
		if string(got) != test.want || ok != test.ok {
			t.Errorf("%s of %s = %q, %v; want %q, %v", test.path, test.data, got, ok, test.want, test.ok)
		}
	}
}

func TestFieldUint(t *testing.T) {
	for value, want := range map[string]uint64{
		`0`: 0, `1`: 1, `"12"`: 12, `9223372036854775807`: math.MaxInt64, `"007"`: 7, `9999999999999999999`: 9999999999999999999,
	} {
		if got, ok := field(t, "json:n").Uint([]byte(`{"n":` + value + `}`)); got != want || !ok {
			t.Errorf("%s = %d, %v; want %d", value, got, ok, want)
		}
	}
	for _, value := range []string{`-1`, `1.0`, `1e3`, `""`, `"x"`, `" 1"`, `null`, `true`, `[1]`, `10000000000000000000`, `"٣"`} {
		if got, ok := field(t, "json:n").Uint([]byte(`{"n":` + value + `}`)); ok {
			t.Errorf("%s = %d", value, got)
		}
	}
}

func TestFieldTime(t *testing.T) {
	const second = 1763660000
	at := time.Unix(second, 0)
	for _, test := range []struct {
		value string
		want  time.Time
		near  time.Duration // how far off a float64 may be
	}{
		{"1763660000", at, 0},
		{"1763660000123", at.Add(123 * time.Millisecond), 0},
		{"1763660000123456", at.Add(123456 * time.Microsecond), 0},
		{"1763660000123456789", at.Add(123456789), 0},
		{"1763660000.5", at.Add(500 * time.Millisecond), 0},
		{"1763660000.123456", at.Add(123456 * time.Microsecond), 0},
		{"1763660000.123", at.Add(123 * time.Millisecond), 0},
		{"1763660000.1234567899", at.Add(123456789), 0},
		{"1763660000123.456", at.Add(123456 * time.Microsecond), 0},
		{"1763660000123456789.9", at.Add(123456789), 0},
		{`"1763660000.123"`, at.Add(123 * time.Millisecond), 0},
		{"1.763660000123e9", at.Add(123 * time.Millisecond), 300},
		{"9223372036.5", time.Time{}, 0}, // 2262, just before int64 ns end
		{"1763660000123.25", at.Add(123250 * time.Microsecond), 0},
		{"1.763660e9", at, 0},
		{`"1763660000"`, at, 0},
		{`"1763660000123"`, at.Add(123 * time.Millisecond), 0},
		{`"1763660000.5"`, at.Add(500 * time.Millisecond), 0},
		{`"2025-11-20T17:33:20Z"`, at, 0},
		{`"2025-11-20T17:33:20.123456789Z"`, at.Add(123456789), 0},
		{`"2025-11-20T19:33:20.5+02:00"`, at.Add(500 * time.Millisecond), 0},
		{`"2025-11-20T19:33:20.5+0200"`, at.Add(500 * time.Millisecond), 0},
		{"100000000", time.Unix(1e8, 0), 0}, // 1973: the first
		{"99999999999", time.Time{}, 0},     // seconds in 5138: more than int64 ns hold
		{"9223372036", time.Unix(9223372036, 0), 0},
		{"100000000000", time.Unix(1e8, 0), 0}, // ms, as seconds it would be 5138
		{"100000000000000", time.Unix(1e8, 0), 0},
		{"100000000000000000", time.Unix(1e8, 0), 0},
		{"9223372036854774783", time.Unix(0, 9223372036854774783), 0},

		{"9223372037", time.Time{}, 0}, // 2262, beyond int64 ns
		{"9999999999999", time.Time{}, 0},
		{"9999999999999999", time.Time{}, 0},
		{"9300000000.5", time.Time{}, 0},
		{"9300000000000.5", time.Time{}, 0},
		{"9223372036854775808", time.Time{}, 0},
		{"1e300", time.Time{}, 0},
		{"99999999", time.Time{}, 0},
		{"0", time.Time{}, 0},
		{"-1763660000", time.Time{}, 0},
		{`"9999-12-31T23:59:59Z"`, time.Time{}, 0},
		{`"1600-01-01T00:00:00Z"`, time.Time{}, 0},
		{`"2025-11-20"`, time.Time{}, 0},
		{`"2025-11-20T17:33:20"`, time.Time{}, 0}, // without a zone it is no point in time
		{`"yesterday"`, time.Time{}, 0},
		{`""`, time.Time{}, 0},
		{`"NaN"`, time.Time{}, 0},
		{`"Infinity"`, time.Time{}, 0},
		{`true`, time.Time{}, 0},
		{`null`, time.Time{}, 0},
		{`[1763660000]`, time.Time{}, 0},
	} {
		got, ok := field(t, "json:t").Time([]byte(`{"t":` + test.value + `}`))
		if ok == test.want.IsZero() {
			t.Errorf("%s = %d, %v; want %v", test.value, got, ok, test.want)
			continue
		}
		if off := got - test.want.UnixNano(); ok && (off > int64(test.near) || -off > int64(test.near)) {
			t.Errorf("%s = %d, want %d", test.value, got, test.want.UnixNano())
		}
	}
}

// Whatever a clock of these centuries says, in any unit, comes back exactly.
func TestFieldTimeOfWholeNumbers(t *testing.T) {
	f := field(t, "json:t")
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]int64{1, 1e3, 1e6, 1e9}).Draw(t, "unit")
		n := rapid.Int64Range(1e17/unit, (math.MaxInt64-1024)/unit).Draw(t, "n")
		for _, form := range []string{`{"t":%d}`, `{"t":"%d"}`} {
			if got, ok := f.Time(fmt.Appendf(nil, form, n)); !ok || got != n*unit {
				t.Fatalf("%d of %d ns = %d, %v", n, unit, got, ok)
			}
		}
		at := time.Unix(0, n*unit).In(time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600))
		if got, ok := f.Time([]byte(`{"t":"` + at.Format(time.RFC3339Nano) + `"}`)); !ok || got != n*unit {
			t.Fatalf("%v = %d, %v", at, got, ok)
		}
	})
}

func TestFieldAllocatesNothing(t *testing.T) {
	data := []byte(`{"type":"chat","id":"a-17","seq":123456,"t":1763660000123,"iso":"2025-11-20T17:33:20.123Z","text":"hello"}`)
	id, seq, at, iso, none := field(t, "json:id"), field(t, "json:seq"), field(t, "json:t"), field(t, "json:iso"), field(t, "json:none.x")
	if n := testing.AllocsPerRun(100, func() {
		_, ok0 := id.Text(data)
		_, ok1 := seq.Uint(data)
		_, ok2 := at.Time(data)
		_, ok3 := iso.Time(data)
		_, ok4 := none.Text(data)
		if !ok0 || !ok1 || !ok2 || !ok3 || ok4 {
			t.Fatal(ok0, ok1, ok2, ok3, ok4)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Payloads come from the system under test: nothing in one may panic, or give a time that no int64 holds.
func FuzzField(f *testing.F) {
	f.Add("a.b", []byte(`{"a":{"b":"2025-11-20T17:33:20Z"}}`))
	f.Add("a.#.b", []byte(`{"a":[{"b":1763660000.5},{"b":2}]}`))
	f.Add("@reverse|0", []byte(strings.Repeat("[", 1000)))
	f.Add("a", []byte(`{"a":99999999999}`))
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		field, err := ParseField("json:" + path)
		if err != nil {
			return
		}
		before := string(data)
		field.Text(data)
		if n, ok := field.Uint(data); ok && n > 9999999999999999999 {
			t.Errorf("Uint = %d", n)
		}
		if at, ok := field.Time(data); ok && at < 0 && !strings.Contains(before, "-") {
			t.Errorf("Time = %d", at)
		}
		if string(data) != before {
			t.Error("the payload was changed")
		}
	})
}
