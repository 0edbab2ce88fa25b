package client

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"

	"github.com/tidwall/gjson"
)

// A Field names one value inside a payload. The zero Field names nothing and finds nothing.
type Field struct{ path string }

// ParseField reads "json:PATH", where PATH is a gjson path such as "payload.seq" or "items.0.id".
func ParseField(s string) (Field, error) {
	path, ok := strings.CutPrefix(s, "json:")
	if !ok || path == "" {
		return Field{}, fmt.Errorf("%q does not name a payload field: write json:PATH, such as json:data.id", s)
	}
	return Field{path: path}, nil
}

// IsZero reports whether the field names nothing.
func (f Field) IsZero() bool { return f.path == "" }

// String is the form that ParseField reads.
func (f Field) String() string {
	if f.IsZero() {
		return ""
	}
	return "json:" + f.path
}

// find looks the field up without copying data. The result is valid as long as data is.
func (f Field) find(data []byte) gjson.Result {
	if f.path == "" || len(data) == 0 {
		return gjson.Result{}
	}
	return gjson.Get(unsafe.String(unsafe.SliceData(data), len(data)), f.path)
}

// Text gives the field's value as text: a string's content, else the JSON as it stands. It is valid as long as data.
func (f Field) Text(data []byte) (text []byte, ok bool) {
	r := f.find(data)
	if !r.Exists() || r.Type == gjson.Null {
		return nil, false
	}
	s := r.Raw
	if r.Type == gjson.String {
		s = r.Str
	}
	return unsafe.Slice(unsafe.StringData(s), len(s)), true
}

// Uint gives the field's value as a whole number; a string of digits counts as one.
func (f Field) Uint(data []byte) (v uint64, ok bool) {
	text, ok := f.Text(data)
	if !ok {
		return 0, false
	}
	return ParseUint(text)
}

// ParseUint reads decimal digits and nothing else. It doesn't allocate.
func ParseUint(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// Time gives the field's value as ns since the Unix epoch. A number's unit is found by its magnitude: seconds below
// 10¹¹, then milliseconds, microseconds and nanoseconds, each a thousandfold; which covers the years 1973 to 2262, where
// an int64 of nanoseconds ends. A string may be such a number or an ISO 8601 time with its zone.
func (f Field) Time(data []byte) (ns int64, ok bool) {
	r := f.find(data)
	switch r.Type {
	case gjson.Number:
		return epochTime(r.Raw, r.Num)
	case gjson.String:
		if date := len("2006"); len(r.Str) > date && r.Str[date] == '-' { // what is no date costs an error
			if t, err := time.Parse(time.RFC3339Nano, r.Str); err == nil {
				return unixNano(t)
			}
			if t, err := time.Parse("2006-01-02T15:04:05.999999999Z0700", r.Str); err == nil {
				return unixNano(t)
			}
		}
		n := gjson.Parse(r.Str)
		if n.Type == gjson.Number {
			return epochTime(n.Raw, n.Num)
		}
	}
	return 0, false
}

// unixNano fails where the time is too far off for an int64.
func unixNano(t time.Time) (int64, bool) {
	ns := t.UnixNano()
	return ns, time.Unix(0, ns).Equal(t)
}

// epochTime scales an epoch number to ns. Whole numbers keep every digit, since a float64 can't hold 19 of them.
func epochTime(raw string, num float64) (int64, bool) {
	if !(num >= 1e8 && num < math.MaxInt64) {
		return 0, false // before 1973, or nothing a clock says
	}
	scale := int64(1)
	for limit := 1e17; num < limit && scale < 1e9; limit /= 1e3 {
		scale *= 1000
	}
	most := math.MaxInt64 / scale
	if whole, ok := ParseUint(unsafe.Slice(unsafe.StringData(raw), len(raw))); ok {
		return int64(whole) * scale, whole <= uint64(most)
	}
	// So do decimals, of which a float64 would make 1763660000.122999907 s, that is less cut off, of 1763660000.123 s.
	if whole, fraction, ok := decimals(raw, scale); ok {
		return int64(whole)*scale + fraction, whole < uint64(most)
	}
	units, fraction := math.Modf(num)
	return int64(units)*scale + int64(math.Round(fraction*float64(scale))), int64(units) < most
}

// decimals reads digits around a point: the whole part, and the fraction in units of 1/scale, cut to that.
func decimals(raw string, scale int64) (whole uint64, fraction int64, ok bool) {
	before, after, _ := strings.Cut(raw, ".")
	for _, c := range []byte(after) {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		scale /= 10
		fraction += int64(c-'0') * scale
	}
	whole, ok = ParseUint(unsafe.Slice(unsafe.StringData(before), len(before)))
	return whole, fraction, ok
}
