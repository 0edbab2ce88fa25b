package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Reading ends as that of a net.TCPConn does, word for word.
func TestSocketEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(ours, theirs net.Conn)
		read int // bytes that are there to be read first
		is   error
	}{
		{"the peer closes", func(_, theirs net.Conn) { theirs.Close() }, 0, io.EOF},
		{"the peer writes and closes", func(_, theirs net.Conn) { io.WriteString(theirs, "a"); theirs.Close() }, 1, io.EOF},
		{"the peer resets", func(_, theirs net.Conn) { theirs.(*net.TCPConn).SetLinger(0); theirs.Close() }, 0, syscall.ECONNRESET},
		{"a deadline to come", func(ours, _ net.Conn) { ours.SetReadDeadline(time.Now().Add(time.Millisecond)) }, 0, os.ErrDeadlineExceeded},
		{"a deadline gone by", func(ours, theirs net.Conn) { io.WriteString(theirs, "a"); ours.SetReadDeadline(time.Unix(1, 0)) }, 0, os.ErrDeadlineExceeded},
		{"closed", func(ours, _ net.Conn) { ours.Close() }, 0, net.ErrClosed},
		{"closed for writing", func(ours, theirs net.Conn) {
			ours.(interface{ CloseWrite() error }).CloseWrite()
			io.Copy(theirs, theirs)
			theirs.Close()
		}, 0, io.EOF},
		{"an empty buffer", func(ours, theirs net.Conn) { ours.Read(nil); theirs.Close() }, 0, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			var words [2]string
			for i, stamped := range []bool{false, true} {
				tcp, theirs := tcpPair(t)
				ours := net.Conn(tcp)
				if stamped {
					var c *conn
					if c, theirs = socketPair(t); c.receipt == nil {
						t.Fatal("the kernel gives no stamps")
					}
					ours = &c.socket
				}
				test.end(ours, theirs)
				for range test.read {
					if n, err := ours.Read(make([]byte, 1)); n != 1 || err != nil {
						t.Errorf("read %d bytes, %v", n, err)
					}
				}
				n, err := ours.Read(make([]byte, 10))
				timeout, ok := err.(net.Error)
				_, op := err.(*net.OpError)
				if n != 0 || !errors.Is(err, test.is) {
					t.Errorf("read %d bytes, %v; want %v", n, err, test.is)
				}
				words[i] = fmt.Sprintf("%T %v, timeout %v, op %v", err, err, ok && timeout.Timeout(), op)
				words[i] = strings.NewReplacer(ours.LocalAddr().String(), "OURS", ours.RemoteAddr().String(), "THEIRS").Replace(words[i])
			}
			if words[0] != words[1] {
				t.Errorf("%s\nof a TCPConn, but with stamps\n%s", words[0], words[1])
			}
		})
	}
}

// Close and a deadline end a Read that waits.
func TestSocketUnblocks(t *testing.T) {
	for name, unblock := range map[string]func(net.Conn) error{
		"Close":           net.Conn.Close,
		"SetReadDeadline": func(c net.Conn) error { return c.SetReadDeadline(time.Unix(1, 0)) },
	} {
		c, _ := socketPair(t)
		ended := readWaiting(&c.socket)
		if err := unblock(&c.socket); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// readWaiting reads a few bytes from a socket that has none, and returns when that waits for them.
func readWaiting(s *socket) (ended chan error) {
	ended = make(chan error)
	go func() {
		_, err := s.Read(make([]byte, 10))
		ended <- err
	}()
	eventually(&s.mu, func() bool { return s.stirred != nil })
	return ended
}

// The queue is known to have been empty when the read before was seen, but only where there was nothing to read then.
func TestSocketDrained(t *testing.T) {
	c, theirs := socketPair(t)
	receipt := c.receipt
	receipt.drained = 1
	read := func(what string, drained int64) {
		c.socket.control(func(fd uintptr) { unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1) })
		if _, err := c.socket.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if receipt.drained != drained {
			t.Errorf("%s: the queue was empty at %d, want %d", what, receipt.drained, drained)
		}
	}
	io.WriteString(theirs, "a")
	read("the first", 1)
	receipt.stamp, receipt.seen = 2, 3
	io.WriteString(theirs, "b")
	read("there already", 2)
	receipt.stamp, receipt.seen = 4, 5
	ended := readWaiting(&c.socket)
	io.WriteString(theirs, "c")
	if err := <-ended; err != nil || receipt.drained != 5 {
		t.Errorf("waited for: the queue was empty at %d, want 5; %v", receipt.drained, err)
	}
	io.WriteString(theirs, strings.Repeat("d", 20))
	receipt.stamp, receipt.seen = 6, 7
	read("a full buffer", 6)
	read("the rest of it", 6)
}

// tcpPair gives both ends of a connection, closed at the end of the test.
func tcpPair(t testing.TB) (ours, theirs *net.TCPConn) {
	t.Helper()
	listener := listen(t)
	a, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a.(*net.TCPConn), accept(t, listener)
}

// socketPair is tcpPair with a socket of this package at our end.
func socketPair(t testing.TB) (ours *conn, theirs *net.TCPConn) {
	t.Helper()
	listener := listen(t)
	c, err := new(Net).dialSystem(t.Context(), netip.MustParseAddrPort(listener.Addr().String()), netip.Addr{}, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, accept(t, listener)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func accept(t testing.TB, listener net.Listener) *net.TCPConn {
	t.Helper()
	c, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func TestReceiptNext(t *testing.T) {
	before := receipt{stamp: 50, drained: 30, seen: 60}
	unseen, unstamped, left := before, before, before
	unseen.seen, unstamped.stamp, left.left = 0, 0, 1
	for _, test := range []struct {
		name    string
		before  receipt
		waited  bool
		drained int64
	}{
		{"the first", receipt{drained: 20}, false, 20},
		{"the first, waited for", receipt{drained: 20}, true, 20},
		{"at once", before, false, 50},
		{"waited for", before, true, 60},
		{"waited for, the one before not seen", unseen, true, 50},
		{"the one before not stamped", unstamped, false, 30},
		{"the one before not stamped, waited for", unstamped, true, 60},
		{"the rest of the one before", left, false, 30},
	} {
		want := receipt{stamp: 100, drained: test.drained}
		if got := test.before.next(100, test.waited, 0); got != want {
			t.Errorf("%s: %+v, want %+v", test.name, got, want)
		}
	}
	if got := (receipt{stamp: 40, drained: 50}).earliest(); got != 40 {
		t.Errorf("a stamp from before the queue was empty gives %d", got)
	}
}

// control is a control message as the kernel writes it.
func control(level, kind int32, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	size := unix.CmsgLen(len(data))
	if unix.SizeofCmsghdr == 16 {
		binary.NativeEndian.PutUint64(b, uint64(size))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(size))
	}
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-8:], uint32(level))
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-4:], uint32(kind))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func int32s(n ...uint32) (b []byte) {
	for _, n := range n {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return b
}

func int64s(n ...uint64) (b []byte) {
	for _, n := range n {
		b = binary.NativeEndian.AppendUint64(b, n)
	}
	return b
}

func TestParseStamp(t *testing.T) {
	stamp := control(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, int64s(1<<33, 7)...)
	other := control(unix.SOL_SOCKET, unix.SCM_RIGHTS, int32s(3)...)
	for _, test := range []struct {
		name string
		b    []byte
		want int64
	}{
		{"nothing", nil, 0},
		{"a stamp", stamp, 1<<33*1e9 + 7},
		{"behind another message", append(other[:len(other):len(other)], stamp...), 1<<33*1e9 + 7},
		{"another message", other, 0},
		{"the old form", control(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, int64s(5, 6)...), 5e9 + 6},
		{"of 32 bits", control(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, int32s(5, 6)...), 5e9 + 6},
		{"too short", control(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, 2, 3), 0},
		{"cut off", stamp[:len(stamp)-1], 0},
	} {
		if got := parseStamp(test.b); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func FuzzParseStamp(f *testing.F) {
	f.Add(control(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, int64s(1, 2)...))
	f.Fuzz(func(t *testing.T, b []byte) { parseStamp(b) })
}
