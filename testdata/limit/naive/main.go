// Command naive is the client that is written first: a goroutine for each stream, net/http and a bufio.Scanner for
// Server-Sent Events, coder/websocket for WebSocket. It only counts.
//
//	naive URL CONNECTIONS SECONDS
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "naive URL CONNECTIONS SECONDS")
		os.Exit(2)
	}
	url := os.Args[1]
	connections, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds*float64(time.Second)))
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: -1, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	read := events
	if strings.HasPrefix(url, "ws") {
		read = messages
	}
	var count atomic.Uint64
	pace := time.NewTicker(time.Second / 2000)
	defer pace.Stop()
	for range connections {
		<-pace.C
		go func() {
			if err := read(ctx, client, url, &count); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}()
	}
	<-ctx.Done()
	fmt.Println(count.Load())
}

func events(ctx context.Context, client *http.Client, url string, count *atomic.Uint64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			count.Add(1)
		}
	}
	return lines.Err()
}

func messages(ctx context.Context, client *http.Client, url string, count *atomic.Uint64) error {
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return err
		}
		count.Add(1)
	}
}
