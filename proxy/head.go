package proxy

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// maxHead bounds the head of a request or response, in bytes.
const maxHead = 64 << 10

var (
	errNoHTTP  = errors.New("what is sent isn't HTTP/1.1")
	errBigHead = errors.New("a head is over 64 KB")
)

// A collector puts the head of an HTTP/1 message together, whatever pieces it comes in.
type collector struct{ buf []byte }

// stray reports whether p begins with a byte of a line end too many behind a body, which isn't of a head.
func (h *collector) stray(p []byte) bool { return len(h.buf) == 0 && (p[0] == '\r' || p[0] == '\n') }

// take takes what of p belongs to the head, which is complete where done.
func (h *collector) take(p []byte, begins func([]byte) bool) (n int, done bool, err error) {
	for n < len(p) {
		end := bytes.IndexByte(p[n:], '\n')
		if end < 0 {
			end = len(p) - n - 1
		}
		if len(h.buf)+end >= maxHead {
			return n, false, errBigHead
		}
		h.buf = append(h.buf, p[n:n+end+1]...)
		n += end + 1
		if !begins(h.buf) {
			return n, false, errNoHTTP
		}
		if bytes.HasSuffix(h.buf, []byte("\n\r\n")) || bytes.HasSuffix(h.buf, []byte("\n\n")) {
			return n, true, nil
		}
	}
	return n, false, nil
}

// A head is what a proxy has to know of the head of an HTTP/1 message.
type head struct {
	start    string // its first line
	length   int64  // of the body; -1 where it isn't said
	chunked  bool
	encoding string // "" for none
	media    string // without parameters, in lower case
	upgrade  string // in lower case
}

func parseHead(buf []byte) head {
	h := head{length: -1}
	start, rest, _ := bytes.Cut(buf, []byte("\n"))
	h.start = strings.TrimSuffix(string(start), "\r")
	for line := range bytes.Lines(rest) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		text := strings.ToLower(strings.TrimSpace(string(value)))
		switch strings.ToLower(string(name)) {
		case "content-length":
			if n, err := strconv.ParseInt(text, 10, 63); err == nil && n >= 0 {
				h.length = n
			}
		case "transfer-encoding":
			codings := strings.Split(text, ",")
			h.chunked = strings.TrimSpace(codings[len(codings)-1]) == "chunked"
		case "content-encoding":
			if text != "identity" && text != "none" {
				h.encoding = text
			}
		case "content-type":
			media, _, _ := strings.Cut(text, ";")
			h.media = strings.TrimSpace(media)
		case "upgrade":
			h.upgrade = text
		}
	}
	return h
}

// body gives the body that a message with the head has, where it has one; without is how it is where nothing says how
// long it is.
func (h *head) body(without bodyKind) body {
	switch {
	case h.chunked:
		return body{kind: bodyChunked}
	case h.length > 0:
		return body{kind: bodyLength, left: uint64(h.length)}
	case h.length == 0:
		return body{}
	}
	return body{kind: without}
}

// beginsRequest reports whether a head can begin so.
func beginsRequest(buf []byte) bool {
	line, _, whole := bytes.Cut(buf, []byte("\n"))
	method, rest, spaced := bytes.Cut(line, []byte(" "))
	for _, c := range method {
		if c < 'A' || c > 'Z' && c != '-' && c != '_' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return !whole || spaced && bytes.Contains(rest, []byte(" HTTP/1."))
}

// beginsResponse is the same of a response.
func beginsResponse(buf []byte) bool {
	const version = "HTTP/1."
	n := min(len(buf), len(version))
	return string(buf[:n]) == version[:n]
}

// status is that of a response's first line; 0 where it has none.
func (h *head) status() int {
	fields := strings.Fields(h.start)
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return n
}

// method is that of a request's first line.
func (h *head) method() string {
	method, _, _ := strings.Cut(h.start, " ")
	return method
}

// withHost gives a request's head with the value of its Host header replaced, and all else as it is.
func withHost(buf []byte, host string) []byte {
	out := make([]byte, 0, len(buf)+len(host))
	for line := range bytes.Lines(buf) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !strings.EqualFold(string(name), "host") {
			out = append(out, line...)
			continue
		}
		end := bytes.TrimLeft(value, " \t")
		lead := value[:len(value)-len(end)]
		out = append(append(append(out, name...), ':'), lead...)
		out = append(out, host...)
		out = append(out, value[len(bytes.TrimRight(value, "\r\n")):]...)
	}
	return slices.Clip(out)
}
