//go:build race

package main

// underRace says that the race detector is on, which makes everything many times slower.
const underRace = true
