package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/rtbench/rtbench/server"
)

// A server with one fault: every connection ends after two events.
func Example() {
	hangup, err := server.ParseFault("hangup@2")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := server.New(server.Options{Topics: []string{"news"}, Replay: 100, Faults: []server.Fault{hangup}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error)
	go func() { ended <- srv.Serve(ctx, ln, nil) }()

	target := "http://" + ln.Addr().String()
	for _, text := range []string{"one", "two", "three"} {
		resp, err := http.Post(target+"/publish?topic=news", "text/plain", strings.NewReader(text))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	resp, err := http.Get(target + "/sse?from=1")
	if err != nil {
		fmt.Println(err)
		return
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		fmt.Println(lines.Text())
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	stop()
	fmt.Println(<-ended)
	// Output:
	// id: 2
	// data: two
	//
	// id: 3
	// data: three
	//
	// <nil>
}
