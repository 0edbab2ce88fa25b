//go:build linux

// Command epoll is the limit of the machine in Go: what limit.c does, statement by statement, without TLS. One goroutine on
// one epoll instance opens streams, counts what arrives, and does nothing else. What it takes more than the program in C is
// what Go's runtime takes.
//
//	epoll sse|ws HOST PORT PATH CONNECTIONS SECONDS
package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// A stream is where its parser stands: no bytes are kept.
type stream struct {
	fd   int
	open bool   // the head is over
	line bool   // the last byte was the end of a line
	have int    // bytes of a frame's head
	left uint64 // of the frame
	head [10]byte
}

var messages uint64

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "epoll sse|ws HOST PORT PATH CONNECTIONS SECONDS")
		os.Exit(2)
	}
	websocket := os.Args[1] == "ws"
	target := netip.MustParseAddrPort(os.Args[2] + ":" + os.Args[3])
	upgrade := "Accept: text/event-stream\r\n"
	if websocket {
		upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", os.Args[4], target, upgrade)
	connections, err := strconv.Atoi(os.Args[5])
	check("CONNECTIONS", err)
	seconds, err := strconv.ParseFloat(os.Args[6], 64)
	check("SECONDS", err)

	epoll, err := syscall.EpollCreate1(0)
	check("epoll_create", err)
	all := make([]stream, connections)
	buf := make([]byte, 256<<10)
	ready := make([]syscall.EpollEvent, 512)
	began := time.Now()
	for dialed := 0; time.Since(began).Seconds() < seconds; {
		for ; dialed < connections && float64(dialed) < time.Since(began).Seconds()*2000; dialed++ {
			all[dialed].fd = dial(target, request)
			event := syscall.EpollEvent{Events: syscall.EPOLLIN | 1<<31, Fd: int32(dialed)} // EPOLLET
			check("epoll_ctl", syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, all[dialed].fd, &event))
		}
		wait := 100
		if dialed < connections {
			wait = 1
		}
		n, err := syscall.EpollWait(epoll, ready, wait)
		if err == syscall.EINTR {
			continue
		}
		check("epoll_wait", err)
		for i := range ready[:n] {
			s := &all[ready[i].Fd]
			// It never waits: Go's scheduler needn't know.
			got, _, failed := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
			if failed == syscall.EAGAIN {
				continue
			}
			if failed != 0 || got == 0 {
				fmt.Fprintln(os.Stderr, "a stream ended")
				os.Exit(1)
			}
			s.take(buf[:got], websocket)
		}
	}
	fmt.Println(messages)
}

func dial(target netip.AddrPort, request []byte) int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check("socket", err)
	check("connect", syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()}))
	check("setsockopt", syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
	check("fcntl", syscall.SetNonblock(fd, true))
	_, err = syscall.Write(fd, request)
	check("write", err)
	return fd
}

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func (s *stream) take(p []byte, websocket bool) {
	if !s.open {
		_, rest, over := bytes.Cut(p, []byte("\r\n\r\n"))
		if !over {
			return
		}
		s.open, p = true, rest
	}
	if websocket {
		s.frames(p)
	} else {
		s.events(p)
	}
}

// events counts the empty lines that end events, past the framing of chunks, which has none.
func (s *stream) events(p []byte) {
	for {
		if s.line && len(p) > 0 && p[0] == '\n' {
			messages++
			p = p[1:]
		}
		s.line = false
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			return
		}
		p, s.line = p[end+1:], true
		if len(p) == 0 {
			return
		}
	}
}

// frames counts messages; servers don't mask.
func (s *stream) frames(p []byte) {
	for len(p) > 0 {
		if s.left > 0 {
			n := min(s.left, uint64(len(p)))
			p = p[n:]
			s.left -= n
		} else {
			s.head[s.have] = p[0]
			p = p[1:]
			if s.have++; s.have < s.headSize() {
				continue
			}
			if s.left = uint64(s.head[1] & 127); s.left > 125 {
				s.left = 0
				for _, b := range s.head[2:s.have] {
					s.left = s.left<<8 | uint64(b)
				}
			}
		}
		if s.left == 0 && s.have > 0 {
			if s.head[0]&15 < 3 && s.head[0]&128 != 0 {
				messages++
			}
			s.have = 0
		}
	}
}

// headSize is that of a frame's head, as far as is known.
func (s *stream) headSize() int {
	switch {
	case s.have < 2:
		return 2
	case s.head[1]&127 == 126:
		return 4
	case s.head[1]&127 == 127:
		return 10
	}
	return 2
}
