package report

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Redacted stands where a secret was.
const Redacted = "REDACTED"

// secretParts make a name secret wherever they stand in it, secretWords where they are a word of it (api_key, apiKey,
// x-sig), secretNames where they are all of it. What is long is safe to look for anywhere; "key" would hide "keyboard".
var (
	secretParts = []string{"token", "secret", "password", "passwd", "passphrase", "credential", "signature", "apikey", "authorization", "authentic", "oauth", "session", "jwt", "bearer", "cookie"}
	secretWords = []string{"key", "keys", "auth", "sig", "hmac", "pwd", "pass", "sid", "csrf", "xsrf", "assertion", "nonce", "otp", "totp", "pin", "ticket"}
	secretNames = []string{"code", "pw", "state"}
	// secretHeaders make a header secret wherever they stand in its name: there are no headers about keyboards.
	secretHeaders = []string{"token", "secret", "key", "auth", "session", "password", "passwd", "passphrase", "pwd", "cookie", "credential", "signature", "jwt", "csrf", "xsrf", "ticket", "dpop"}
	// secretHeaderWords do where they are a word of it: "pin" would hide "X-Shipping".
	secretHeaderWords = []string{"otp", "totp", "pin", "pass", "assertion", "nonce"}
)

// RedactURL hides what is secret in a URL: the password of its user (or the user, where there is no password: it is
// then usually a token), and the value of every parameter in query or fragment whose name sounds like a secret.
// Everything else stays byte for byte, so it works on what is no valid URL too, and on templates: "{{…}}" counts as
// one opaque piece, and is hidden where it is the value of a secret.
func RedactURL(raw string) string {
	return redactURL(raw, func(string) string { return Redacted })
}

// redactURL replaces each secret of a URL by what hide gives for it.
func redactURL(raw string, hide func(string) string) string {
	authority := authorityStart(raw)
	path := authority + indexOutside(raw[authority:], "/?#")
	rest := path + indexOutside(raw[path:], "?#")

	var b strings.Builder
	b.WriteString(raw[:authority])
	b.WriteString(redactUser(raw[authority:path], hide))
	b.WriteString(raw[path:rest])
	for tail := raw[rest:]; tail != ""; {
		end := 1 + indexOutside(tail[1:], "&;#?")
		b.WriteString(tail[:1] + redactParameter(tail[1:end], hide))
		tail = tail[end:]
	}
	return b.String()
}

// BareURL is what may be shown of a URL that can't be parsed: nothing before its last "@", from "?" or "#" on, or of a port
// that is none, since a secret with one of those in it that isn't escaped is why many a URL can't be.
func BareURL(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if scheme += "://"; !ok {
		scheme, rest = "", raw
	}
	rest = rest[:indexAny(rest, "?#")]
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	host := rest[:indexAny(rest, "/")]
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') && strings.Trim(host[i+1:], "0123456789") != "" {
		return scheme + host[:i] + ":…"
	}
	return scheme + rest
}

// indexAny is where the first of chars stands in s, or len(s).
func indexAny(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

// authorityStart is where the user and host begin: after "//", or at the start where there is no scheme.
func authorityStart(raw string) int {
	if i := strings.Index(raw, "//"); i >= 0 && i == indexOutside(raw, "/?#") {
		return i + 2
	}
	return 0
}

func redactUser(authority string, hide func(string) string) string {
	at := strings.LastIndexByte(authority, '@')
	if at <= 0 {
		return authority
	}
	colon := indexOutside(authority[:at], ":")
	if colon == at {
		return hide(authority[:at]) + authority[at:]
	}
	if colon+1 == at {
		return authority
	}
	return authority[:colon+1] + hide(authority[colon+1:at]) + authority[at:]
}

func redactParameter(parameter string, hide func(string) string) string {
	name, value, ok := strings.Cut(parameter, "=")
	if !ok || value == "" || !secretParameter(name) {
		return parameter
	}
	return name + "=" + hide(value)
}

func secretParameter(name string) bool {
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	lower := strings.ToLower(name)
	if containsAny(lower, secretParts) || slices.Contains(secretNames, lower) {
		return true
	}
	return hasWord(name, secretWords)
}

// SecretHeader reports whether a header with that value is a secret, or holds one.
func SecretHeader(name, value string) bool {
	return secretHeader(name) || strings.EqualFold(name, "Sec-WebSocket-Protocol") && bearerProtocol.MatchString(value)
}

// secretHeader reports whether the value of a header is a secret, by its name.
func secretHeader(name string) bool {
	return containsAny(strings.ToLower(name), secretHeaders) || hasWord(name, secretHeaderWords)
}

// indexOutside is where the first of chars stands outside a template's braces, or len(s).
func indexOutside(s, chars string) int {
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], "{{") {
			if end := strings.Index(s[i:], "}}"); end >= 0 {
				i += end + 1
				continue
			}
		}
		if strings.IndexByte(chars, s[i]) >= 0 {
			return i
		}
	}
	return len(s)
}

// words splits a name at everything that is no letter or digit and where a capital follows a small letter, and gives
// the words in small letters.
func words(name string) []string {
	var b strings.Builder
	small := false
	for _, r := range name {
		if small && unicode.IsUpper(r) || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			b.WriteByte(' ')
		}
		small = unicode.IsLower(r)
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.Fields(b.String())
}

// RedactHeader hides the value of a header whose name sounds like a secret. Of Authorization and
// Proxy-Authorization the scheme stays: "Bearer REDACTED"; and of Sec-WebSocket-Protocol everything but a token that a
// browser's client puts there: "chat, bearer.REDACTED". In the value of any other header that is a URL, that URL's
// secrets are hidden.
func RedactHeader(name, value string) string {
	lower := strings.ToLower(strings.TrimSpace(name))
	trimmed := strings.TrimSpace(value)
	switch {
	case trimmed == "":
		return value
	case lower == "sec-websocket-protocol":
		return bearerProtocol.ReplaceAllString(value, "${1}"+Redacted)
	case lower == "authorization" || lower == "proxy-authorization":
		if scheme, _, ok := strings.Cut(trimmed, " "); ok && isToken(scheme) {
			return scheme + " " + Redacted
		}
		return Redacted
	case secretHeader(name):
		return Redacted
	case strings.Contains(value, "://"):
		return RedactURL(value)
	}
	return value
}

// bearerProtocol is a subprotocol that is no protocol but a token, as browsers can send no Authorization with a WebSocket.
var bearerProtocol = regexp.MustCompile(`(?i)((?:^|[\s,])(?:base64url\.)?bearer\.)([^\s,]+)`)

// isToken reports whether s can be the name of an authentication scheme: letters, digits and dashes.
func isToken(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return r != '-' && (r >= unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) < 0
}

// hasWord reports whether one of the words stands in a name as a word of its own.
func hasWord(name string, list []string) bool {
	return slices.ContainsFunc(words(name), func(word string) bool { return slices.Contains(list, word) })
}

func containsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
}
