package report

import (
	"testing"

	"github.com/rtbench/rtbench/bench"
)

func TestScale(t *testing.T) {
	for _, c := range []struct {
		value float64
		unit  bench.Unit
		want  string
	}{
		{0, bench.Nanoseconds, "0 ns"}, {7, bench.Nanoseconds, "7 ns"}, {999.4, bench.Nanoseconds, "999 ns"}, {999.6, bench.Nanoseconds, "1.00 µs"},
		{4_213_000, bench.Nanoseconds, "4.21 ms"}, {42_130_000, bench.Nanoseconds, "42.1 ms"}, {421_300_000, bench.Nanoseconds, "421 ms"},
		{9_994_000, bench.Nanoseconds, "9.99 ms"}, {9_996_000, bench.Nanoseconds, "10.0 ms"}, {999_499, bench.Nanoseconds, "999 µs"},
		{999_500, bench.Nanoseconds, "1.00 ms"}, {999.7e6, bench.Nanoseconds, "1.00 s"}, {119.4e9, bench.Nanoseconds, "119 s"},
		{120e9, bench.Nanoseconds, "2m00s"}, {200.4e9, bench.Nanoseconds, "3m20s"}, {3599.6e9, bench.Nanoseconds, "1h00m"},
		{3840e9, bench.Nanoseconds, "1h04m"}, {5000 * 3600e9, bench.Nanoseconds, "5,000h00m"}, {-4_213_000, bench.Nanoseconds, "-4.21 ms"},
		{1e300, bench.Nanoseconds, "1,281,023h53m"},

		{0, bench.ByteCount, "0 B"}, {999, bench.ByteCount, "999 B"}, {1000, bench.ByteCount, "1.00 kB"}, {13_100_000, bench.ByteCount, "13.1 MB"},
		{999_600_000, bench.ByteCount, "1.00 GB"}, {1.2345e19, bench.ByteCount, "12,345 PB"},

		{0, bench.Number, "0"}, {999, bench.Number, "999"}, {1000, bench.Number, "1,000"}, {1234567, bench.Number, "1,234,567"}, {.5, bench.Number, "0.50"},
		{4998.2, bench.PerSecond, "4,998/s"}, {2.368, bench.PerSecond, "2.37/s"}, {12.56, bench.PerSecond, "12.6/s"}, {10000, bench.PerSecond, "10,000/s"},

		{0, bench.Fraction, "0%"}, {1e-9, bench.Fraction, "<0.01%"}, {.00005, bench.Fraction, "0.01%"}, {.0118, bench.Fraction, "1.18%"},
		{.99983, bench.Fraction, "99.98%"}, {.999949, bench.Fraction, "99.99%"}, {.99996, bench.Fraction, "99.996%"},
		{.9999996, bench.Fraction, "99.99996%"}, {.9999999999, bench.Fraction, ">99.9999%"}, {1, bench.Fraction, "100%"}, {12.5, bench.Fraction, "1,250.00%"},
	} {
		if got := Scale(c.value, c.unit); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.value, c.unit, got, c.want)
		}
	}
}

func TestShortCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 999_999: "999,999", 1_000_000: "1.00M", 12_345_678: "12.3M", 999_600_000: "1.00G"} {
		if got := shortCount(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
