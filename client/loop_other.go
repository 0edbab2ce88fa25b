//go:build !linux

package client

// eventLoops are of no use where the system isn't Linux.
type eventLoops struct{}

// push reports that whoever reads the connection has to wait for it.
func (c *conn) push(*eventLoops, reader) bool { return false }

// pushed reports whether a loop reads the connection.
func (c *conn) pushed() bool { return false }

// room reports whether a few bytes can be written by whoever reads: who may wait.
func (c *conn) room() bool { return true }
