package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// received reads what is there and says when the kernel received the last of it, in ns since the Unix epoch; 0 where
// it doesn't say.
func received(conn syscall.RawConn, buf []byte) (n int, at int64, err error) {
	var oob [64]byte
	oobn := 0
	waitErr := conn.Read(func(fd uintptr) bool {
		n, oobn, _, _, err = syscall.Recvmsg(int(fd), buf, oob[:], syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN
	})
	if waitErr != nil {
		return 0, 0, waitErr
	}
	if err != nil {
		return 0, 0, err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		if m.Header.Type == syscall.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(syscall.Timespec{})) {
			at = (*syscall.Timespec)(unsafe.Pointer(&m.Data[0])).Nano()
		}
	}
	return n, at, err
}

// The kernel received every event between the begin and the end of the write that carried it.
func TestKernelReceivesDuringTheWrite(t *testing.T) {
	const rounds = 200
	g := start(t, Options{TruthWrites: 2 * rounds})
	for client, head := range map[string]string{
		"sse": "GET /sse?client=sse HTTP/1.1\r\nHost: x\r\n\r\n",
		"ws": "GET /ws?client=ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
	} {
		conn := g.dial().(*net.TCPConn)
		defer conn.Close()
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var optErr error
		if err := raw.Control(func(fd uintptr) {
			optErr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
		}); err != nil || optErr != nil {
			t.Fatal(err, optErr)
		}
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64<<10)
		read := func(until string) (at int64) {
			for got := []byte(nil); !bytes.Contains(got, []byte(until)); {
				n, stamp, err := received(raw, buf)
				if err != nil || n == 0 {
					t.Fatal(n, err)
				}
				got, at = append(got, buf[:n]...), stamp
			}
			return at
		}
		read("\r\n\r\n")
		stamps := make(map[uint64]int64)
		for i := range rounds {
			body := fmt.Sprintf("<%s %s>", strings.Repeat("x", 10*i), client)
			p := g.publish("default", body)
			stamps[p.ID] = read(client + ">")
		}
		checked := 0
		for _, w := range g.writes("client=" + client) {
			at, ok := stamps[w.event]
			if !ok || at == 0 {
				continue // an event of the other client; or the kernel has only begun to stamp
			}
			checked++
			if at < w.before || at > w.after {
				t.Errorf("%s: event %d was received %d ns after its write began, and that took %d", client, w.event, at-w.before, w.after-w.before)
			}
		}
		if checked < rounds/2 {
			t.Errorf("%s: %d of %d events have stamps", client, checked, rounds)
		}
	}
}
