package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Class says which kind of thing went wrong; it is what errors are counted by.
type Class uint8

// The classes, in the order a connection can meet them.
const (
	ClassNone Class = iota
	ClassDNS
	ClassRefused
	ClassUnreachable
	ClassLimit
	ClassTimeout
	ClassTLS
	ClassStatus
	ClassRedirect
	ClassContentType
	ClassHandshake
	ClassProtocol
	ClassTooBig
	ClassCloseCode
	ClassReset
	ClassEOF
	ClassIdle
	ClassOther
	numClasses
)

// classes is the one table of error classes: JSON key, what it means, what to try.
var classes = [numClasses]struct{ name, sentence, hint string }{
	ClassNone:        {"none", "no error", ""},
	ClassDNS:         {"dns", "the host name could not be resolved", "check the host name, or name an address with --connect-to"},
	ClassRefused:     {"refused", "nothing listens at that address", "is the server running, and is the port right?"},
	ClassUnreachable: {"unreachable", "no route to the host", "check the address and the network"},
	ClassLimit:       {"limit", "this host ran out of descriptors or ports", "use fewer connections, raise `ulimit -n`, or add addresses with --source-ip"},
	ClassTimeout:     {"timeout", "no answer in time", "is the server overloaded, or does it never answer? --timeout allows more"},
	ClassTLS:         {"tls", "the TLS handshake failed", "--cacert names the authority to trust, --insecure trusts anybody"},
	ClassStatus:      {"status", "the server answered with another HTTP status", "check the URL, the method and the headers"},
	ClassRedirect:    {"redirect", "redirects led nowhere", "give the final URL"},
	ClassContentType: {"content_type", "the answer is not an event stream", "is this the URL of the stream, and not of a page?"},
	ClassHandshake:   {"handshake", "the WebSocket handshake was not completed", "does this URL speak WebSocket, and are --origin and --subprotocol right?"},
	ClassProtocol:    {"protocol", "the server broke the protocol", "`--debug` shows what it sends"},
	ClassTooBig:      {"too_big", "an event was over the size limit", "--max-event-size allows more"},
	ClassCloseCode:   {"close_code", "the server closed the WebSocket with a code", "the code and reason are the server's own words"},
	ClassReset:       {"reset", "the connection was reset", "the server or a proxy aborted it: look in its log"},
	ClassEOF:         {"eof", "the stream ended", "the server or a proxy ended it; a time limit on responses is the usual cause"},
	ClassIdle:        {"idle", "nothing was received for the idle timeout", "does the server send heartbeats? --idle-timeout allows more"},
	ClassOther:       {"other", "another error", "`--debug` shows one connection in full"},
}

// Classes lists every class but ClassNone.
func Classes() []Class {
	all := make([]Class, 0, numClasses-1)
	for c := ClassNone + 1; c < numClasses; c++ {
		all = append(all, c)
	}
	return all
}

// String is the class's JSON key.
func (c Class) String() string { return classes[c].name }

// Sentence says what the class means.
func (c Class) Sentence() string { return classes[c].sentence }

// Hint says what to try; code is the HTTP status or close code, 0 if there is none.
func (c Class) Hint(code int) string {
	switch {
	case c == ClassCloseCode && code == statusNoCode:
		return "the server did not say why; some want the pings of their protocol answered (--answer)"
	case c == ClassCloseCode && code >= 4000:
		return "the code and reason are the server's own; some want each message acknowledged before the next (--await), or pings of their protocol answered (--answer)"
	case c != ClassStatus:
		return classes[c].hint
	}
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return "check the credentials (-H, --bearer) and --origin"
	case code == http.StatusNotFound, code == http.StatusGone:
		return "check the path"
	case code == http.StatusNoContent:
		return "with 204 a server tells clients to stop: is there a stream for them?"
	case code == http.StatusTooManyRequests, code >= 500:
		return "the server refuses or has trouble: fewer connections, a lower --connect-rate, or look in its log"
	}
	return classes[c].hint
}

// An Error is why a stream could not be opened, or ended.
type Error struct {
	Class      Class
	Code       int           // HTTP status or WebSocket close code; 0 if none
	Detail     string        // what exactly, on one line; may quote the server
	RetryAfter time.Duration // what the server asked for; 0 if nothing
	Err        error         // the cause, if any

	// Local is the local address of the connection on which a stream could not be opened; zero where there was none.
	Local netip.AddrPort

	redact func(string) string // hides secrets in its words; nil for none
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Class == ClassStatus && e.Code != 0:
		fmt.Fprintf(&b, "HTTP status %d", e.Code)
	case e.Class == ClassCloseCode && e.Code != 0:
		fmt.Fprintf(&b, "closed with code %d", e.Code)
	default:
		b.WriteString(e.Class.Sentence())
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil && !slices.Contains(told, e.Err) {
		b.WriteString(": " + e.Err.Error())
	}
	if e.redact != nil {
		return e.redact(b.String())
	}
	return b.String()
}

// told are causes that a class says by itself.
var told = []error{io.EOF, context.DeadlineExceeded, os.ErrDeadlineExceeded}

func (e *Error) Unwrap() error { return e.Err }

// Key is what errors are grouped by: the class, with the status or close code where there is one.
func (e *Error) Key() string {
	if e.Code != 0 {
		return e.Class.String() + " " + strconv.Itoa(e.Code)
	}
	return e.Class.String()
}

// Temporary reports whether dialing again may help. A missing page, a page that isn't a stream, a certificate that
// doesn't hold or a peer that doesn't speak the protocol stay so; an overloaded or restarting server doesn't.
func (e *Error) Temporary() bool {
	switch e.Class {
	case ClassStatus:
		switch e.Code {
		case 408, 425, 429, 500, 502, 503, 504:
			return true
		}
		return false
	case ClassTLS:
		return isAlert(e.Err, alertInternalError)
	case ClassRedirect, ClassContentType, ClassHandshake, ClassTooBig:
		return false
	case ClassCloseCode:
		// The peer says that this client, as it is, will never do (RFC 6455, 7.4.1).
		return !(e.Code >= 1002 && e.Code <= 1003 || e.Code >= 1007 && e.Code <= 1010)
	}
	return true
}

// Classify turns any error of this package or of the operating system into an *Error. It never gives nil for a
// non-nil err; io.EOF is ClassEOF.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Class: classOf(err), Err: err}
}

// redacted hides secrets in the words of an error that may quote the server.
func (n *Net) redacted(err error) error {
	if err == nil || n == nil || n.Redact == nil {
		return err
	}
	e := *Classify(err)
	e.redact = n.Redact
	return &e
}

// locate says on which connection opening a stream has failed.
func locate(err error, local netip.AddrPort) error {
	e := *Classify(err)
	if !e.Local.IsValid() {
		e.Local = local
	}
	return &e
}

func classOf(err error) Class {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return ClassDNS
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ClassRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ClassUnreachable
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return ClassLimit
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return ClassTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return ClassReset
	case isTLS(err):
		return ClassTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ClassEOF
	}
	return ClassOther
}

// alertInternalError is how a server of TLS says what status 500 says (RFC 8446, 6.2).
const alertInternalError tls.AlertError = 80

// isAlert reports whether the peer has sent an alert.
func isAlert(err error, alert tls.AlertError) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" && op.Err.Error() == alert.Error() // over TCP it has a type that isn't exported
}

// streamError is why a stream that was open has ended. Its TLS handshake hasn't failed: the server has broken the
// protocol of TLS, or aborted the connection, which is what its alerts are for.
func streamError(err error) error {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return &Error{Class: ClassProtocol, Err: err}
	}
	switch op, _ := errors.AsType[*net.OpError](err); {
	case op == nil:
	case op.Op == "local error":
		return &Error{Class: ClassProtocol, Err: err}
	case op.Op == "remote error":
		return &Error{Class: ClassReset, Err: err}
	}
	return err
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	// An alert over TCP has no type of its own.
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}
