//go:build !linux

package client

// An abortWatch isn't needed where connections read as net does.
type abortWatch struct{}
