//go:build !linux

package bench

func newExactTimer() exactTimer { return goTimer{} }
