package report

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"":                                                       "",
		"http://127.0.0.1:8080/sse":                              "http://127.0.0.1:8080/sse",
		"http://user:pass@h/p":                                   "http://user:REDACTED@h/p",
		"http://user:p@ss:word@h/p?x=1":                          "http://user:REDACTED@h/p?x=1",
		"http://ghp_abc@h/p":                                     "http://REDACTED@h/p",
		"http://user:@h/p":                                       "http://user:@h/p",
		"user:pass@h/p":                                          "user:REDACTED@h/p",
		"//user:pass@h/p":                                        "//user:REDACTED@h/p",
		"http://h/@user:pass@x":                                  "http://h/@user:pass@x",
		"http://h/p?next=http://a:b@c":                           "http://h/p?next=http://a:b@c",
		"localhost:8080/sse?token=abc":                           "localhost:8080/sse?token=REDACTED",
		"wss://h/ws?token=abc&room=1":                            "wss://h/ws?token=REDACTED&room=1",
		"wss://h/ws?room=1&access_token=a%20b#x":                 "wss://h/ws?room=1&access_token=REDACTED#x",
		"http://h/?Api_Key=1&apiKey=2&x-api-key=3":               "http://h/?Api_Key=REDACTED&apiKey=REDACTED&x-api-key=REDACTED",
		"http://h/?APIKEY=1;key=2;keyboard=3":                    "http://h/?APIKEY=REDACTED;key=REDACTED;keyboard=3",
		"http://h/?sig=1&sigma=2&design=3":                       "http://h/?sig=REDACTED&sigma=2&design=3",
		"http://h/?auth=1&author=2&authorization=3":              "http://h/?auth=REDACTED&author=2&authorization=REDACTED",
		"http://h/?code=1&zip_code=2&encode=3":                   "http://h/?code=REDACTED&zip_code=2&encode=3",
		"http://h/?jwt=1&sessionid=2&session=3":                  "http://h/?jwt=REDACTED&sessionid=REDACTED&session=REDACTED",
		"http://h/?password=1&passwd=2&pwd=3&pass=4&passage=5":   "http://h/?password=REDACTED&passwd=REDACTED&pwd=REDACTED&pass=REDACTED&passage=5",
		"http://h/?X-Amz-Signature=1&X-Amz-Date=2":               "http://h/?X-Amz-Signature=REDACTED&X-Amz-Date=2",
		"http://h/?secret":                                       "http://h/?secret",
		"http://h/?secret=&a==b&token=a=b":                       "http://h/?secret=&a==b&token=REDACTED",
		"http://h/?%74oken=abc&t%6fken=x":                        "http://h/?%74oken=REDACTED&t%6fken=REDACTED",
		"http://h/?%zztoken=abc":                                 "http://h/?%zztoken=REDACTED",
		"http://h/p#access_token=abc&state=1":                    "http://h/p#access_token=REDACTED&state=REDACTED",
		"http://h/p#/route?token=abc":                            "http://h/p#/route?token=REDACTED",
		"http://h/?state=1&estate=2&k=3&t=4&interstate=5":        "http://h/?state=REDACTED&estate=2&k=3&t=4&interstate=5",
		"http://h/?client_assertion=1&nonce=2&ticket=3":          "http://h/?client_assertion=REDACTED&nonce=REDACTED&ticket=REDACTED",
		"http://h/?otp=1&pin=2&passphrase=3&shipping=4&pinned=5": "http://h/?otp=REDACTED&pin=REDACTED&passphrase=REDACTED&shipping=4&pinned=5",
		"http://h/?last_id={{.LastID}}&n=1":                      "http://h/?last_id={{.LastID}}&n=1",
		"ws://{{.Vars.user}}:{{.Vars.pass}}@h/{{.Vars.room}}":    "ws://{{.Vars.user}}:REDACTED@h/{{.Vars.room}}",
		`ws://h/{{printf "%s?token=&#/" .Vars.a}}/x?token={{a}}`: `ws://h/{{printf "%s?token=&#/" .Vars.a}}/x?token=REDACTED`,
		`ws://h/?token={{printf "%s&b=c" .Vars.a}}&room=2`:       "ws://h/?token=REDACTED&room=2",
		"ws://h/?room={{.Vars.broken&token=abc":                  "ws://h/?room={{.Vars.broken&token=REDACTED",
		"%%% not a URL ?token=abc":                               "%%% not a URL ?token=REDACTED",
	} {
		if got := RedactURL(in); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestRedactHeader(t *testing.T) {
	for _, c := range [][3]string{
		{"Authorization", "Bearer abc.def", "Bearer REDACTED"}, {"authorization", "Basic dXNlcg==", "Basic REDACTED"},
		{"Authorization", "Digest username=a, nonce=b", "Digest REDACTED"}, {"Authorization", "abcdef", "REDACTED"},
		{"Authorization", "s3cr3t/x y", "REDACTED"}, {"Authorization", "", ""}, {"Proxy-Authorization", "Basic abc", "Basic REDACTED"},
		{" Authorization ", " Bearer abc", "Bearer REDACTED"},
		{"Cookie", "a=b; c=d", "REDACTED"}, {"Set-Cookie", "a=b", "REDACTED"}, {"X-Api-Key", "abc", "REDACTED"}, {"x-auth-user", "abc", "REDACTED"},
		{"X-CSRF-Token", "abc", "REDACTED"}, {"X-Session-Id", "abc", "REDACTED"}, {"X-My-Secret", "abc", "REDACTED"}, {"Db-Password", "abc", "REDACTED"},
		{"X-Passphrase", "abc", "REDACTED"}, {"X-OTP", "123", "REDACTED"}, {"X-Pin", "123", "REDACTED"}, {"Ticket", "abc", "REDACTED"}, {"DPoP", "abc", "REDACTED"}, {"X-Shipping", "abc", "abc"},
		{"Sec-WebSocket-Protocol", "chat, bearer.abc", "chat, bearer.REDACTED"}, {"Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.abc,v4", "base64url.bearer.REDACTED,v4"},
		{"Sec-WebSocket-Protocol", "Bearer.abc", "Bearer.REDACTED"}, {"Sec-WebSocket-Protocol", "graphql-transport-ws", "graphql-transport-ws"},
		{"Accept", "text/event-stream", "text/event-stream"}, {"Origin", "http://h", "http://h"}, {"X-Last", "{{.LastID}}", "{{.LastID}}"},
		{"Referer", "http://a:b@h/?token=1", "http://a:REDACTED@h/?token=REDACTED"}, {"Last-Event-ID", "42", "42"},
	} {
		if got := RedactHeader(c[0], c[1]); got != c[2] {
			t.Errorf("%s: %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// Nothing that may be a secret is in what is shown of a URL that can't be parsed.
func TestBareURL(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"http://[::1":                    "http://[::1",
		"http://[::1]:8080/p":            "http://[::1]:8080/p",
		"h:8080/p":                       "h:8080/p",
		"htp://u:pw@h:80/p?key=s#t":      "htp://h:80/p",
		"u:pw@h/p?key=s":                 "h/p",
		"http://u:p@w@h x/p":             "http://h x/p",
		"http://u:p/w@h/":                "http://h/",
		"http://u:p?w@h/":                "http://u:…",
		"http://u:p#w@h/":                "http://u:…",
		"http://h:x/?key=s@t":            "http://h:…",
		"http://h/%zz?next=a@b&key=s":    "http://h/%zz",
		"http://h/a:b":                   "http://h/a:b",
		"http://ghp_secret@h/?a=http://": "http://h/",
	} {
		if got := BareURL(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// A secret is gone wherever it stands, and nothing else changes.
func TestRedactURLProperties(t *testing.T) {
	const secret = "s3cr3tvalue"
	word := rapid.StringMatching(`[a-z0-9._~-]{0,8}`)
	name := rapid.SampledFrom([]string{"token", "Access_Token", "api-key", "KEY", "password", "sig", "x_session", "jwt", "code"})
	rapid.Check(t, func(t *rapid.T) {
		user, host, path, before, after := word.Draw(t, "user"), word.Draw(t, "host"), word.Draw(t, "path"), word.Draw(t, "before"), word.Draw(t, "after")
		format := rapid.SampledFrom([]string{"http://U:S@H/P?x=B&N=S&y=A", "wss://U:S@H?N=S#A", "H/P?x=B;N=S", "http://H/P{{.Vars.a}}?N={{.q}}S&y=A#N=S"}).Draw(t, "form")
		fill := func(value string) string {
			return strings.NewReplacer("U", user, "H", host, "P", path, "B", before, "N", name.Draw(t, "name"), "S", value, "A", after).Replace(format)
		}
		raw := fill(secret)
		got := RedactURL(raw)
		if strings.Contains(got, secret) {
			t.Fatalf("%s: %s", raw, got)
		}
		if want := strings.ReplaceAll(strings.ReplaceAll(raw, "{{.q}}"+secret, Redacted), secret, Redacted); got != want {
			t.Fatalf("%s:\n got %s\nwant %s", raw, got, want)
		}
		if RedactURL(got) != got {
			t.Fatalf("not stable: %s, then %s", got, RedactURL(got))
		}
	})
}

func FuzzRedactURL(f *testing.F) {
	for _, seed := range []string{"http://a:b@c/?token=d#e", "{{", "?token={{x", "//@", ":@", "?=&;#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := RedactURL(raw)
		if again := RedactURL(got); again != got {
			t.Fatalf("%q: not stable: %q, then %q", raw, got, again)
		}
		if u, err := url.Parse(raw); err == nil && u.User != nil && u.Host != "" && !strings.Contains(raw, "{{") {
			if p, set := u.User.Password(); set && len(p) > 0 {
				v, err := url.Parse(got)
				if err != nil || v.Host != u.Host || v.Path != u.Path {
					t.Fatalf("%q: %q is another URL: %v", raw, got, err)
				}
				if q, _ := v.User.Password(); q != Redacted {
					t.Fatalf("%q: password left: %q", raw, got)
				}
			}
		}
	})
}

func TestSecretHeader(t *testing.T) {
	for header, want := range map[string]bool{
		"Authorization: x": true, "X-Api-Key: x": true, "Accept: text/event-stream": false,
		"Sec-Websocket-Protocol: graphql-transport-ws": false, "Sec-Websocket-Protocol: v1, bearer.abcdef": true,
	} {
		name, value, _ := strings.Cut(header, ": ")
		if got := SecretHeader(name, value); got != want {
			t.Errorf("%s: %v", header, got)
		}
	}
}
