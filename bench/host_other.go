//go:build !linux

package bench

// sampleHost knows nothing of other systems.
func sampleHost() hostSample { return unknownHost() }
