package report

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rtbench/rtbench/client"
)

// Secrets are the secret values that were sent, for hiding them where a server repeats one, as in "bad token …". Safe for
// concurrent use; the zero value knows none, and nil never will.
type Secrets struct {
	mu    sync.RWMutex
	known map[string]bool
	forms map[string][]string // what a value can look like, by how that begins
	url   atomic.Value        // the string that was added as a URL last, which most connections have in common
}

// shortestSecret is how many bytes a value has at least that is hidden: hiding shorter ones would hide words.
const shortestSecret = 6

// Add adds a value, in each form in which a server may repeat it: as it is, or escaped as in a URL, in JSON or in HTML; and
// each of these in quotes, or with its white space folded, as what a server says is quoted.
func (s *Secrets) Add(value string) {
	if s == nil || len(value) < shortestSecret || value == Redacted {
		return
	}
	s.mu.RLock()
	known := s.known[value]
	s.mu.RUnlock()
	if known { // as for every connection after the first
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known, s.forms = make(map[string]bool), make(map[string][]string)
	}
	s.known[value] = true
	for form := range formsOf(value) {
		if len(form) >= shortestSecret {
			s.forms[form[:shortestSecret]] = append(s.forms[form[:shortestSecret]], form)
		}
	}
}

// percented are escaped bytes of a URL, in upper case as Go has them.
var percented = regexp.MustCompile(`%[0-9A-F]{2}`)

// formsOf are what a value can look like.
func formsOf(value string) map[string]bool {
	forms := make(map[string]bool)
	if url.QueryEscape(value) == value { // nothing in it is escaped anywhere
		forms[value] = true
		return forms
	}
	add := func(form string) {
		for _, form := range []string{form, strings.Join(strings.Fields(form), " ")} {
			quoted := strconv.Quote(form)
			forms[form], forms[quoted[1:len(quoted)-1]] = true, true
		}
	}
	add(value)
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), client.EscapeQuery(value)} {
		add(escaped)
		add(percented.ReplaceAllStringFunc(escaped, strings.ToLower))
	}
	if inJSON, err := json.Marshal(value); err == nil { // with <, > and & escaped
		text := string(inJSON[1 : len(inJSON)-1])
		add(text)
		add(strings.ReplaceAll(text, "/", `\/`))
		plain := strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(text)
		add(plain)
		add(strings.ReplaceAll(plain, "/", `\/`))
	}
	inHTML := html.EscapeString(value)
	add(inHTML)
	add(strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#x27;").Replace(inHTML))
	add(strings.NewReplacer("&#39;", "'", "&#34;", `"`).Replace(inHTML))
	return forms
}

// AddURL adds what RedactURL hides of a URL.
func (s *Secrets) AddURL(raw string) {
	if s == nil || s.url.Load() == any(raw) {
		return
	}
	defer s.url.Store(raw)
	redactURL(raw, func(secret string) string {
		s.addEscaped(secret)
		return secret
	})
	if u, err := url.Parse(raw); err == nil && u.User != nil {
		password, _ := u.User.Password()
		user := u.User.Username() + ":" + password
		s.Add(user)
		s.Add(base64.RawStdEncoding.EncodeToString([]byte(user))) // as an Authorization header has it
	}
}

func (s *Secrets) addEscaped(value string) {
	s.Add(value)
	for _, unescape := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape} {
		if plain, err := unescape(value); err == nil {
			s.Add(plain)
		}
	}
}

// AddHeader adds what RedactHeader hides of a header; of a cookie its value alone as well.
func (s *Secrets) AddHeader(name, value string) {
	switch lower := strings.ToLower(strings.TrimSpace(name)); {
	case lower == "sec-websocket-protocol":
		for _, token := range bearerProtocol.FindAllStringSubmatch(value, -1) {
			s.Add(token[2])
		}
	case lower == "cookie":
		for cookie := range strings.SplitSeq(value, ";") {
			_, secret, _ := strings.Cut(cookie, "=")
			s.Add(strings.Trim(secret, ` "`))
		}
	case secretHeader(name):
		s.addCredentials(value)
	case strings.Contains(value, "://"):
		s.AddURL(value)
	}
}

// schemes are of credentials that have their scheme in front of them.
var schemes = regexp.MustCompile(`(?i)^\s*(bearer|basic|digest|token|dpop|apikey|negotiate)\s+`)

// addCredentials adds a value without the scheme in front of it, and a password of Basic's by itself.
func (s *Secrets) addCredentials(value string) {
	value = strings.TrimSpace(schemes.ReplaceAllString(value, ""))
	s.Add(value)
	plain, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return
	}
	if _, password, ok := strings.Cut(string(plain), ":"); ok {
		s.Add(string(plain))
		s.Add(password)
	}
}

// AddNamed adds a value where its name sounds like a secret. What is still a template is none.
func (s *Secrets) AddNamed(name, value string) {
	if secretParameter(name) && !strings.Contains(value, "{{") {
		s.addCredentials(value)
	}
}

// member is a member of a JSON object whose value is a string.
var member = regexp.MustCompile(`("(?:[^"\\]|\\.)*")\s*:\s*("(?:[^"\\]|\\.)*")`)

// AddBody adds what sounds like a secret among the members of JSON, or the fields of a form.
func (s *Secrets) AddBody(body string) {
	members := member.FindAllStringSubmatch(body, -1)
	for _, m := range members {
		var name, value string
		if json.Unmarshal([]byte(m[1]), &name) == nil && json.Unmarshal([]byte(m[2]), &value) == nil {
			s.AddNamed(name, value)
		}
	}
	if members == nil {
		s.AddURL("?" + body)
	}
}

// Hide has Redacted stand in a text for every secret in it. Quotations are cut, so that the beginning of a secret goes as
// well where the text, or what is quoted in it, ends there.
func (s *Secrets) Hide(text string) string {
	if s == nil {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.forms) == 0 {
		return text
	}
	var b strings.Builder
	done := 0
	for i := 0; i+shortestSecret <= len(text); i++ {
		if n := s.at(text[i:]); n > 0 {
			b.WriteString(text[done:i] + Redacted)
			done = i + n
			i = done - 1
		}
	}
	return b.String() + text[done:]
}

// at is how much of a text that begins with a secret is of that, in bytes; 0 where it begins with none.
func (s *Secrets) at(text string) (length int) {
	for _, form := range s.forms[text[:shortestSecret]] {
		n := shortestSecret
		for n < min(len(form), len(text)) && form[n] == text[n] {
			n++
		}
		if n == len(form) || n == len(text) || text[n] == '"' || strings.HasPrefix(text[n:], "…") {
			length = max(length, n)
		}
	}
	return length
}
