// Command rtbench tests and benchmarks Server-Sent-Events and WebSocket endpoints.
package main

import (
	"os"

	"github.com/rtbench/rtbench/cmd"
)

func main() { os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
