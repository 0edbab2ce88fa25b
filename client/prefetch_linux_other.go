//go:build linux && !amd64 && !arm64

package client

// prefetch does nothing where there is no instruction for it.
func prefetch(uintptr, int) {}
