package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestClassify(t *testing.T) {
	deep := func(err error) error {
		return fmt.Errorf("outer: %w", &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)})
	}
	for _, test := range []struct {
		err  error
		want Class
	}{
		{&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, ClassDNS},
		{&net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}, ClassDNS},
		{deep(syscall.ECONNREFUSED), ClassRefused},
		{deep(syscall.EHOSTUNREACH), ClassUnreachable},
		{deep(syscall.ENETUNREACH), ClassUnreachable},
		{deep(syscall.EMFILE), ClassLimit},
		{deep(syscall.ENFILE), ClassLimit},
		{deep(syscall.EADDRNOTAVAIL), ClassLimit},
		{deep(syscall.ETIMEDOUT), ClassTimeout},
		{deep(os.ErrDeadlineExceeded), ClassTimeout},
		{context.DeadlineExceeded, ClassTimeout},
		{deep(syscall.ECONNRESET), ClassReset},
		{deep(syscall.EPIPE), ClassReset},
		{deep(syscall.ECONNABORTED), ClassReset},
		{x509.UnknownAuthorityError{}, ClassTLS},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}, ClassTLS},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, ClassTLS},
		{io.EOF, ClassEOF},
		{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), ClassEOF},
		{errors.New("anything"), ClassOther},
		{fmt.Errorf("x: %w", &Error{Class: ClassIdle}), ClassIdle},
	} {
		e := Classify(test.err)
		if e.Class != test.want {
			t.Errorf("%v is %v, want %v", test.err, e.Class, test.want)
		}
		if e.Unwrap() != nil && !errors.Is(e, test.err) {
			t.Errorf("%v isn't what caused %v", test.err, e)
		}
	}
	alert := &net.OpError{Op: "remote error", Err: errors.New("tls: internal error")}
	if e := Classify(streamError(alert)); e.Class != ClassReset || !e.Temporary() || e.Err != error(alert) {
		t.Errorf("an alert on an open stream is %v", e)
	}
	if Classify(nil) != nil {
		t.Error("no error has a class")
	}
}

// Every class has words for people and a key for machines, and no two share one.
func TestClassesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Classes() {
		for _, text := range []string{c.String(), c.Sentence(), c.Hint(0)} {
			if text == "" || seen[text] || strings.Contains(text, "\n") {
				t.Errorf("%d: %q", c, text)
			}
			seen[text] = true
		}
		if !regexp.MustCompile(`^[a-z_]+$`).MatchString(c.String()) {
			t.Errorf("%q is no key", c)
		}
	}
	if len(Classes()) != int(numClasses)-1 {
		t.Errorf("%d classes", len(Classes()))
	}
}

func TestErrorWords(t *testing.T) {
	for _, test := range []struct {
		err        Error
		key, words string
		temporary  bool
	}{
		{Error{Class: ClassStatus, Code: 404, Detail: "Not Found"}, "status 404", "HTTP status 404: Not Found", false},
		{Error{Class: ClassStatus, Code: 204}, "status 204", "HTTP status 204", false},
		{Error{Class: ClassStatus, Code: 401}, "status 401", "HTTP status 401", false},
		{Error{Class: ClassStatus, Code: 429}, "status 429", "HTTP status 429", true},
		{Error{Class: ClassStatus, Code: 503}, "status 503", "HTTP status 503", true},
		{Error{Class: ClassStatus, Code: 501}, "status 501", "HTTP status 501", false},
		{Error{Class: ClassCloseCode, Code: 1000, Err: io.EOF}, "close_code 1000", "closed with code 1000", true},
		{Error{Class: ClassCloseCode, Code: 1001}, "close_code 1001", "closed with code 1001", true},
		{Error{Class: ClassCloseCode, Code: 1002}, "close_code 1002", "closed with code 1002", false},
		{Error{Class: ClassCloseCode, Code: 1006}, "close_code 1006", "closed with code 1006", true},
		{Error{Class: ClassCloseCode, Code: 1008, Detail: "too many"}, "close_code 1008", "closed with code 1008: too many", false},
		{Error{Class: ClassCloseCode, Code: 1011}, "close_code 1011", "closed with code 1011", true},
		{Error{Class: ClassCloseCode, Code: 1012}, "close_code 1012", "closed with code 1012", true},
		{Error{Class: ClassCloseCode, Code: 4001}, "close_code 4001", "closed with code 4001", true},
		{Error{Class: ClassRefused, Err: syscall.ECONNREFUSED}, "refused", "nothing listens at that address: connection refused", true},
		{Error{Class: ClassRedirect, Code: 302}, "redirect 302", "redirects led nowhere", false},
		{Error{Class: ClassTLS}, "tls", "the TLS handshake failed", false},
		{Error{Class: ClassContentType}, "content_type", "the answer is not an event stream", false},
		{Error{Class: ClassHandshake}, "handshake", "the WebSocket handshake was not completed", false},
		{Error{Class: ClassTooBig}, "too_big", "an event was over the size limit", false},
		{Error{Class: ClassProtocol}, "protocol", "the server broke the protocol", true},
		{Error{Class: ClassReset}, "reset", "the connection was reset", true},
		{Error{Class: ClassEOF}, "eof", "the stream ended", true},
		{Error{Class: ClassIdle, Detail: "1s"}, "idle", "nothing was received for the idle timeout: 1s", true},
		{Error{Class: ClassTimeout}, "timeout", "no answer in time", true},
		{Error{Class: ClassDNS}, "dns", "the host name could not be resolved", true},
	} {
		e := &test.err
		if e.Key() != test.key || e.Error() != test.words || e.Temporary() != test.temporary {
			t.Errorf("%q, %q, temporary %v; want %q, %q, %v", e.Key(), e.Error(), e.Temporary(), test.key, test.words, test.temporary)
		}
	}
	if !errors.Is(ErrTooBig, ErrTooBig) || Classify(fmt.Errorf("x: %w", ErrTooBig)).Class != ClassTooBig {
		t.Error("ErrTooBig isn't what it says")
	}
}
