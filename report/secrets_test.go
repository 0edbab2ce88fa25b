package report

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestSecrets(t *testing.T) {
	var s Secrets
	s.AddURL("wss://me:pass%2Fword@h/ws?api_key=query%20secret&room=lobby-one")
	s.AddURL("https://ghp_asauser@h/")
	s.AddURL("http://h/?password=half (escaped)")
	s.AddHeader("Authorization", "Bearer abc.def.ghi")
	s.AddHeader("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("you:open sesame")))
	s.AddHeader("Cookie", `theme=lightblue; id="0123456789"`)
	s.AddHeader("X-Api-Key", `quo"ted key`)
	s.AddHeader("Referer", "http://h/?token=refererToken")
	s.AddHeader("Accept", "text/event-stream")
	s.AddHeader("X-Pin", "1234")
	s.AddHeader("Sec-WebSocket-Protocol", "graphql, base64url.bearer.protocolToken")
	s.AddBody(`{"type":"connection_init","payload":{"Authorization":"Bearer in\u0042ody","password":"{{.Vars.mine}}"}}`)
	s.AddBody("user=somebody&password=form+secret")
	s.AddNamed("token", "of-a-column")
	s.AddNamed("room", "another-column")
	for in, want := range map[string]string{
		"":                        "",
		"token":                   "token",
		"bad key query secret":    "bad key REDACTED",
		"query%20secret":          "REDACTED",
		"query+secret!":           "REDACTED!",
		"half%20(escaped)":        "REDACTED", // as the request has it
		"pass/word pass%2Fword":   "REDACTED REDACTED",
		"bWU6cGFzcy93b3Jk":        "REDACTED", // me:pass/word
		"me:pass/word":            "REDACTED",
		"ghp_asauser":             "REDACTED",
		"Bearer abc.def.ghi, key": "Bearer REDACTED, key",
		`401: "abc.def.gh"`:       `401: "REDACTED"`, // cut
		"401: abc.de":             "401: REDACTED",
		"401: abc.de…":            "401: REDACTED…",
		"abc.de is no secret":     "abc.de is no secret",
		"abc.d":                   "abc.d",
		"you:open sesame":         "REDACTED",
		"open sesame":             "REDACTED",
		"lightblue 0123456789":    "REDACTED REDACTED",
		`"quo\"ted key"`:          `"REDACTED"`,
		`quo"ted key`:             "REDACTED",
		"refererToken":            "REDACTED",
		"text/event-stream 1234":  "text/event-stream 1234", // the shortest would hide too much
		"protocolToken":           "REDACTED",
		"inBody":                  "REDACTED",
		"form secret, somebody":   "REDACTED, somebody",
		"of-a-column":             "REDACTED",
		"another-column {{.Vars":  "another-column {{.Vars",
		"lobby-one":               "lobby-one",
		"form secretform secret":  "REDACTEDREDACTED",
	} {
		if got := s.Hide(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if none := (*Secrets)(nil); none.Hide("text") != "text" || new(Secrets).Hide("text") != "text" {
		t.Error("something is hidden, though nothing is known")
	}
}

// TestSecretsEscaped: a secret is hidden however those escape it who are known to.
func TestSecretsEscaped(t *testing.T) {
	var s Secrets
	s.AddHeader("Authorization", `Bearer AbCd/EfGh+IjKl=MnOp&Qr<St'  "u`)
	for _, text := range []string{
		`AbCd/EfGh+IjKl=MnOp&Qr<St'  "u`, `AbCd/EfGh+IjKl=MnOp&Qr<St' "u`, // its white space folded
		`AbCd\/EfGh+IjKl=MnOp&Qr<St'  \"u`,          // PHP
		`AbCd/EfGh+IjKl=MnOp\u0026Qr\u003cSt'  \"u`, // Go
		`AbCd/EfGh+IjKl=MnOp&Qr<St'  \"u`,           // JavaScript
		`AbCd/EfGh+IjKl=MnOp&amp;Qr&lt;St&#39;  &#34;u`, `AbCd/EfGh+IjKl=MnOp&amp;Qr&lt;St&#x27; &quot;u`, `AbCd/EfGh+IjKl=MnOp&amp;Qr&lt;St'  "u`,
		`AbCd%2fEfGh%2bIjKl%3dMnOp%26Qr%3cSt%27++%22u`, `AbCd%2FEfGh+IjKl=MnOp&Qr%3CSt%27%20%20%22u`,
	} {
		for _, said := range []string{text, strconv.Quote(text)} {
			if got := strings.Trim(s.Hide(said), `"`); got != Redacted {
				t.Errorf("%s is %s", said, got)
			}
		}
	}
}

// A secret is hidden in each of its forms, and where it is cut.
func TestSecretsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab"/ +=ä]{6,12}`), 1, 5).Draw(t, "secrets")
		var s Secrets
		for _, secret := range secrets {
			s.Add(secret)
		}
		secret := rapid.SampledFrom(secrets).Draw(t, "secret")
		form := rapid.SampledFrom([]func(string) string{
			func(s string) string { return s }, url.QueryEscape, url.PathEscape,
			func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(strconv.Quote(s), `"`), `"`) },
		}).Draw(t, "form")(secret)
		text := "<" + form + ">"
		if got := s.Hide(text); got != "<"+Redacted+">" {
			t.Fatalf("%q in %q", secret, got)
		}
		cut := text[:rapid.IntRange(len("<")+shortestSecret, len(text)-1).Draw(t, "cut")]
		if got := s.Hide(cut); got != "<"+Redacted {
			t.Fatalf("%q in %q", secret, got)
		}
		if got := s.Hide("-"); got != "-" {
			t.Fatalf("%q", got)
		}
	})
}

// Connections are opened, and fail, on many goroutines at once.
func TestSecretsConcurrently(t *testing.T) {
	var s Secrets
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			secret := fmt.Sprintf("secret-%d.", i)
			s.AddHeader("Authorization", "Bearer "+secret)
			if got := s.Hide("no " + secret); got != "no "+Redacted {
				t.Errorf("%s", got)
			}
		})
	}
	all.Wait()
}
