package caller_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cost"
)

// FuzzCost repeats a fragment of a token, and of its header and its claims, a few times and
// four times as often, within the length that a token may have: memory and time are linear
// in it.
func FuzzCost(f *testing.F) {
	f.Add("", ".", "")
	f.Add("a.b.", "c", "")
	f.Add(`{"iss":"https://issuer.example.com",`, `"a":1,`, `"sub":"x"}`)
	f.Add(`{"iss":"https://issuer.example.com","aud":[`, `"a",`, `"b"]}`)
	f.Add(`{"alg":"RS256","crit":[`, `"a",`, `"b"]}`)
	f.Add(`{"x":`, `[`, `1`)
	f.Add(`{"x":`, `{"x":`, `1`)
	f.Add(`{"iss":"`, `\u0041`, `"}`)
	callers := must(caller.New(caller.Options{
		Named: []caller.Named{{Name: "bot", Secrets: []caller.Hash{caller.HashOf("s3cret-of-the-bot")}}},
		Federated: []caller.Federated{{
			Name: "ours", Issuer: "https://issuer.example.com", Audience: audience, Claims: map[string][]string{"sub": {"x"}},
		}},
		Transport: nobody{},
	}))
	encode := base64.RawURLEncoding.EncodeToString
	f.Fuzz(func(t *testing.T, head, fragment, tail string) {
		if fragment == "" || len(head)+len(tail) > caller.MaxToken/4 || len(fragment) > caller.MaxToken/64 {
			return
		}
		times := caller.MaxToken / 2 / 4 / len(fragment)
		for name, token := range map[string]func(text string) string{
			"token": func(text string) string { return text },
			"header": func(text string) string {
				return encode([]byte(text)) + "." + encode([]byte(`{"iss":"https://issuer.example.com"}`)) + ".c2ln"
			},
			"claims": func(text string) string {
				return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(text)) + ".c2ln"
			},
		} {
			of := func(times int) func() {
				text := token(head + strings.Repeat(fragment, times) + tail)
				return func() { _, _ = callers.Authenticate(t.Context(), text) }
			}
			cost.Linear(t, name+" of "+fragment, of(times), of(4*times))
		}
	})
}
