package proxy_test

import (
	"fmt"

	"github.com/rtbench/rtbench/proxy"
)

// A fault is one line, and an error shows the form wanted.
func ExampleParseFault() {
	f, err := proxy.ParseFault("cut@20e:rst:100%")
	fmt.Println(f, f.Kind(), f.ByEvent(), err)
	_, err = proxy.ParseFault("stall=2s")
	fmt.Println(err)
	// Output:
	// cut@20:rst cut true <nil>
	// fault "stall=2s": a stall needs the place where it begins, as in stall=2s@5s, stall=2s@20 or stall=2s@4096b:10%
}
