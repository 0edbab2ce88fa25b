package client

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A Policy says how the wait between a drop and the next attempt grows.
type Policy string

const (
	// EventSource is what browsers do: the server's `retry:` time, 3 s where it gave none, before every attempt.
	EventSource Policy = "eventsource"
	// Exponential waits Base·2ⁿ, n counted from 0 since the last stream that opened.
	Exponential Policy = "exponential"
	// Linear waits Base·(n+1).
	Linear Policy = "linear"
	// Fixed waits Base.
	Fixed Policy = "fixed"
	// NoReconnect ends the subscription with its first drop.
	NoReconnect Policy = "none"
)

// Policies lists every policy.
func Policies() []Policy { return []Policy{EventSource, Exponential, Linear, Fixed, NoReconnect} }

// ParsePolicy reads a policy's name.
func ParsePolicy(s string) (Policy, error) {
	return parseName(s, "reconnect policy", Policies())
}

// A Jitter says how a wait is spread, so that many clients don't come back at once.
type Jitter string

const (
	NoJitter    Jitter = "none"
	FullJitter  Jitter = "full"  // uniform between 0 and the wait
	EqualJitter Jitter = "equal" // half the wait, and uniform over the other half
)

// ParseJitter reads a jitter's name.
func ParseJitter(s string) (Jitter, error) {
	return parseName(s, "jitter", []Jitter{NoJitter, FullJitter, EqualJitter})
}

func parseName[T ~string](s, what string, all []T) (T, error) {
	names := make([]string, len(all))
	for i, name := range all {
		if string(name) == s {
			return name, nil
		}
		names[i] = string(name)
	}
	return "", fmt.Errorf("there is no %s %q: there are %s", what, s, strings.Join(names, ", "))
}

// Backoff decides how long a Session waits before it dials again. It is pure arithmetic; the zero value is
// EventSource without jitter.
type Backoff struct {
	Policy   Policy        // "" for EventSource
	Base     time.Duration // 0 for DefaultBase; of EventSource, where the server asked for nothing, for DefaultRetry
	Max      time.Duration // cap of a wait; 0 for DefaultMaxWait, or Base where that is more
	Attempts int           // attempts in a row that may fail; 0 for no limit
	Jitter   Jitter        // "" for none
}

// String is the policy, with the jitter and the limit of attempts where there are such.
func (b Backoff) String() string {
	s := string(b.Policy)
	if s == "" {
		s = string(EventSource)
	}
	if b.Jitter != "" && b.Jitter != NoJitter {
		s += ", " + string(b.Jitter) + " jitter"
	}
	return s
}

const (
	DefaultBase    = time.Second
	DefaultRetry   = 3 * time.Second
	DefaultMaxWait = 30 * time.Second
)

// Wait gives the wait before attempt n, counted from 0 since the last stream that opened. hint is the reconnection
// time the server set, negative if none. ok is false where there is to be no further attempt.
func (b Backoff) Wait(n int, hint time.Duration, random *rand.Rand) (wait time.Duration, ok bool) {
	if b.Policy == NoReconnect || b.Attempts > 0 && n >= b.Attempts {
		return 0, false
	}
	base, limit := b.Base, b.Max
	if limit <= 0 {
		limit = max(DefaultMaxWait, base)
	}
	switch b.Policy {
	case EventSource, "":
		switch {
		case hint >= 0:
			base, limit = hint, max(limit, hint) // the server's word counts
		case base <= 0:
			base = DefaultRetry
		}
		wait = base
	default:
		if base <= 0 {
			base = DefaultBase
		}
		wait = b.grow(base, limit, n)
	}
	return b.jitter(min(wait, limit), random), true
}

func (b Backoff) grow(base, limit time.Duration, n int) time.Duration {
	switch b.Policy {
	case Exponential:
		for ; n > 0; n-- {
			if base > limit/2 {
				return limit
			}
			base *= 2
		}
	case Linear:
		if time.Duration(n) >= limit/base {
			return limit
		}
		base *= time.Duration(n) + 1
	}
	return base
}

func (b Backoff) jitter(wait time.Duration, random *rand.Rand) time.Duration {
	switch b.Jitter {
	case FullJitter:
		return time.Duration(random.Uint64N(uint64(wait) + 1))
	case EqualJitter:
		return wait/2 + time.Duration(random.Uint64N(uint64(wait/2)+1))
	}
	return wait
}
