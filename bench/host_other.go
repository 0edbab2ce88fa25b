//go:build !linux

package bench

// sampleHost knows nothing of other systems.
func sampleHost() hostSample { return hostSample{stolen: -1, ticks: -1, throttled: -1, waited: -1} }
