//go:build !unix

package cmd

// openFiles is 0: no limit is known.
func openFiles() int { return 0 }

// localPorts is the range of RFC 6335.
func localPorts() int { return 65535 - 49152 + 1 }
