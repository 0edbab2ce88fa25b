//go:build amd64 || arm64

package client

// prefetch asks for so many lines of memory, from the one on that has an address. It waits for none, and none need be
// there; lines must be positive. Reading them instead would wait at the next system call at the latest.
//
//go:noescape
func prefetch(at uintptr, lines int)
