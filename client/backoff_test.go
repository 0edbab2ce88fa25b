package client

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// waits writes the waits before the attempts 0 to n-1; "end" where there is to be none.
func waits(b Backoff, hint time.Duration, n int) string {
	var s []string
	random := seeded(1)
	for i := range n {
		wait, ok := b.Wait(i, hint, random)
		if !ok {
			s = append(s, "end")
			break
		}
		s = append(s, wait.String())
	}
	return strings.Join(s, " ")
}

func TestBackoffWait(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		b    Backoff
		hint time.Duration
		want string
	}{
		// The zero value is what a browser does.
		{Backoff{}, none, "3s 3s 3s 3s 3s 3s"},
		{Backoff{}, 0, "0s 0s 0s 0s 0s 0s"},
		{Backoff{}, 250 * time.Millisecond, "250ms 250ms 250ms 250ms 250ms 250ms"},
		{Backoff{Policy: EventSource, Base: time.Second}, none, "1s 1s 1s 1s 1s 1s"},
		{Backoff{Policy: EventSource, Base: time.Second, Max: 2 * time.Second}, time.Minute, "1m0s 1m0s 1m0s 1m0s 1m0s 1m0s"},
		{Backoff{Policy: EventSource, Base: time.Hour, Max: time.Minute}, none, "1m0s 1m0s 1m0s 1m0s 1m0s 1m0s"},
		{Backoff{Policy: EventSource, Base: time.Hour}, none, "1h0m0s 1h0m0s 1h0m0s 1h0m0s 1h0m0s 1h0m0s"},
		{Backoff{Policy: EventSource, Attempts: 2}, none, "3s 3s end"},

		// A known chat client: 1000·2ⁿ ms, at most 30 s, five attempts. And a known EventSource wrapper: 1000·n ms, at most 10 s.
		{Backoff{Policy: Exponential, Attempts: 5}, none, "1s 2s 4s 8s 16s end"},
		{Backoff{Policy: Exponential}, none, "1s 2s 4s 8s 16s 30s"},
		{Backoff{Policy: Linear, Max: 5 * time.Second}, none, "1s 2s 3s 4s 5s 5s"},

		{Backoff{Policy: Exponential, Base: 100 * time.Millisecond, Max: time.Second}, none, "100ms 200ms 400ms 800ms 1s 1s"},
		{Backoff{Policy: Exponential, Base: time.Minute, Max: time.Second}, none, "1s 1s 1s 1s 1s 1s"},
		{Backoff{Policy: Exponential, Base: time.Minute}, none, "1m0s 1m0s 1m0s 1m0s 1m0s 1m0s"},
		{Backoff{Policy: Linear, Base: time.Minute, Max: time.Second}, none, "1s 1s 1s 1s 1s 1s"},
		{Backoff{Policy: Linear, Base: 7 * time.Second}, none, "7s 14s 21s 28s 30s 30s"},
		{Backoff{Policy: Fixed}, none, "1s 1s 1s 1s 1s 1s"},
		{Backoff{Policy: Fixed, Base: 5 * time.Second}, none, "5s 5s 5s 5s 5s 5s"},
		{Backoff{Policy: Fixed, Attempts: 1}, none, "1s end"},
		// Only a policy that is the browser's takes the server's word.
		{Backoff{Policy: Fixed}, time.Minute, "1s 1s 1s 1s 1s 1s"},
		{Backoff{Policy: Exponential}, 0, "1s 2s 4s 8s 16s 30s"},
		{Backoff{Policy: NoReconnect}, none, "end"},
		{Backoff{Policy: NoReconnect}, time.Second, "end"},
	} {
		if got := waits(test.b, test.hint, 6); got != test.want {
			t.Errorf("%+v with hint %v: %s, want %s", test.b, test.hint, got, test.want)
		}
	}
}

// The extremes of every argument give a wait that is never negative nor above its bound.
func TestBackoffIsBounded(t *testing.T) {
	duration := rapid.OneOf(
		rapid.Just(time.Duration(0)), rapid.Just(time.Duration(1)), rapid.Just(time.Duration(math.MaxInt64)), rapid.Just(time.Duration(-1)),
		rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "ns"))
		}),
		rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64().Draw(t, "any ns")) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Policy: rapid.SampledFrom(Policies()).Draw(t, "policy"),
			Base:   duration.Draw(t, "base"),
			Max:    duration.Draw(t, "max"),
			Jitter: rapid.SampledFrom([]Jitter{"", NoJitter, FullJitter, EqualJitter}).Draw(t, "jitter"),
		}
		n := rapid.OneOf(rapid.IntRange(0, 80), rapid.Just(math.MaxInt)).Draw(t, "n")
		hint := duration.Draw(t, "hint")
		seed := rapid.Uint64().Draw(t, "seed")
		wait, ok := b.Wait(n, hint, seeded(seed))
		if again, _ := b.Wait(n, hint, seeded(seed)); again != wait {
			t.Fatalf("%v, then %v with the same seed", wait, again)
		}
		if ok != (b.Policy != NoReconnect) {
			t.Fatalf("ok = %v", ok)
		}
		limit := b.Max
		if limit <= 0 {
			limit = max(DefaultMaxWait, b.Base)
		}
		if b.Policy == EventSource {
			limit = max(limit, hint)
		}
		if wait < 0 || wait > limit {
			t.Fatalf("wait %v, bound %v", wait, limit)
		}
		plain := b
		plain.Jitter = NoJitter
		whole, _ := plain.Wait(n, hint, seeded(seed))
		switch b.Jitter {
		case FullJitter:
			if wait > whole {
				t.Fatalf("full jitter of %v gave %v", whole, wait)
			}
		case EqualJitter:
			if wait < whole/2 || wait > whole {
				t.Fatalf("equal jitter of %v gave %v", whole, wait)
			}
		default:
			if wait != whole {
				t.Fatalf("%v without jitter, and %v", whole, wait)
			}
		}
	})
}

// Jitter reaches both ends of its range, and spreads evenly between them.
func TestJitterSpreads(t *testing.T) {
	const n, parts = 20000, 10
	for _, test := range []struct {
		jitter   Jitter
		from, to time.Duration
	}{
		{FullJitter, 0, 1000},
		{EqualJitter, 500, 1000},
	} {
		b := Backoff{Policy: Fixed, Base: 1000, Jitter: test.jitter}
		random := seeded(7)
		counts := make([]int, parts)
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range n {
			wait, _ := b.Wait(0, -1, random)
			least, most = min(least, wait), max(most, wait)
			counts[int(wait-test.from)*parts/int(test.to-test.from+1)]++
		}
		if least != test.from || most != test.to {
			t.Errorf("%s: from %d to %d, want %d to %d", test.jitter, least, most, test.from, test.to)
		}
		for _, count := range counts {
			if count < n/parts*8/10 || count > n/parts*12/10 {
				t.Errorf("%s: uneven: %v", test.jitter, counts)
				break
			}
		}
	}
	a, _ := Backoff{Jitter: FullJitter}.Wait(0, time.Hour, seeded(1))
	b, _ := Backoff{Jitter: FullJitter}.Wait(0, time.Hour, seeded(2))
	if a == b {
		t.Error("two seeds gave one wait")
	}
}

func TestParsePolicyAndJitter(t *testing.T) {
	for _, p := range Policies() {
		if got, err := ParsePolicy(string(p)); got != p || err != nil {
			t.Errorf("%q: %q, %v", p, got, err)
		}
	}
	_, err := ParsePolicy("exponentail")
	if want := `there is no reconnect policy "exponentail": there are eventsource, exponential, linear, fixed, none`; fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
	if j, err := ParseJitter("equal"); j != EqualJitter || err != nil {
		t.Errorf("%q, %v", j, err)
	}
	_, err = ParseJitter("")
	if want := `there is no jitter "": there are none, full, equal`; fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
