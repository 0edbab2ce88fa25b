package report

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rtbench/rtbench/bench"
)

// Scale writes a value given in its base unit for people: three significant digits and a fitting unit for times, bytes
// and rates ("4.21 ms", "13.1 MB", "4,998/s"), thousands separators for counts, per cent for fractions. A share that
// isn't all is never rounded up to "100%", and one that isn't nothing never down to "0%".
func Scale(v float64, unit bench.Unit) string {
	if v < 0 {
		return "-" + Scale(-v, unit)
	}
	switch unit {
	case bench.Nanoseconds:
		return scaleTime(v)
	case bench.ByteCount:
		return step(v, []string{" B", " kB", " MB", " GB", " TB", " PB"})
	case bench.Fraction:
		return percent(v)
	case bench.PerSecond:
		return number(v) + "/s"
	}
	return number(v)
}

// scaleTime keeps to seconds up to two minutes, and gives longer times as 3m20s or 1h04m.
func scaleTime(ns float64) string {
	if ns < 120e9 {
		return step(ns, []string{" ns", " µs", " ms", " s"})
	}
	total := time.Duration(math.Min(ns, math.MaxInt64/2)).Round(time.Second)
	hours, minutes, seconds := int(total.Hours()), int(total.Minutes())%60, int(total.Seconds())%60
	if hours > 0 {
		return thousands(strconv.Itoa(hours)) + "h" + twoDigits(minutes) + "m"
	}
	return strconv.Itoa(minutes) + "m" + twoDigits(seconds) + "s"
}

func twoDigits(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// step divides by 1000 until three digits are enough, so that 999.7 µs is 1.00 ms. The smallest unit has no parts.
func step(v float64, units []string) string {
	if math.Round(v) < 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64) + units[0]
	}
	for _, unit := range units[1 : len(units)-1] {
		v /= 1000
		if digits := significant(v); len(strings.Replace(digits, ".", "", 1)) <= 3 {
			return digits + unit
		}
	}
	return thousands(significant(v/1000)) + units[len(units)-1]
}

// significant gives three significant digits, or the whole number where it has more.
func significant(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// number writes whole numbers in full and others with three significant digits.
func number(v float64) string {
	if v == math.Trunc(v) {
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return thousands(significant(v))
}

// count writes a counter, all of its digits.
func count(n uint64) string { return thousands(strconv.FormatUint(n, 10)) }

// shortCount is a count that fits seven columns: 999,999 and then 1.00M.
func shortCount(n int64) string {
	if n < 1e6 {
		return count(uint64(n))
	}
	return step(float64(n), []string{"", "k", "M", "G", "T", "P"})
}

// thousands puts a comma between every three digits before the point.
func thousands(digits string) string {
	whole, part, _ := strings.Cut(digits, ".")
	var b strings.Builder
	for i := range len(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(whole[i])
	}
	if part != "" {
		b.WriteString("." + part)
	}
	return b.String()
}

func percent(f float64) string {
	p := f * 100
	switch {
	case p == 0:
		return "0%"
	case p < .005:
		return "<0.01%"
	case f == 1:
		return "100%"
	case f < 1 && p >= 99.995:
		return nearlyAll(f)
	}
	return thousands(strconv.FormatFloat(p, 'f', 2, 64)) + "%"
}

// nearlyAll gives as many nines as it takes to end in another digit, six at most.
func nearlyAll(f float64) string {
	for digits := 3; digits <= 6; digits++ {
		if s := strconv.FormatFloat(f*100, 'f', digits, 64); !strings.HasPrefix(s, "100") {
			return s + "%"
		}
	}
	return ">99.9999%"
}
