package caller_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func decode(t *testing.T, r io.Reader, v any) {
	t.Helper()
	if err := json.NewDecoder(r).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// No text is a caller but for the secrets, and none makes the service ask anybody.
func FuzzAuthenticate(f *testing.F) {
	for _, seed := range []string{"", "a.b.c", "e30.e30.e30", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLmNvbSJ9.", strings.Repeat(".", 9000)} {
		f.Add(seed)
	}
	callers := must(caller.New(caller.Options{
		Named: []caller.Named{{Name: "bot", Secrets: []caller.Hash{caller.HashOf("s3cret-of-the-bot")}}},
		Federated: []caller.Federated{{
			Name: "ours", Issuer: "https://issuer.example.com", Audience: audience, Claims: map[string][]string{"sub": {"x"}},
		}},
		Transport: nobody{},
	}))
	f.Fuzz(func(t *testing.T, token string) {
		p, err := callers.Authenticate(t.Context(), token)
		switch {
		case err == nil && token != "s3cret-of-the-bot":
			t.Errorf("%q is %s", token, p.Name())
		case err != nil && !errors.Is(err, caller.ErrUnavailable) && token != "" && len(token) > 8 && strings.Contains(err.Error(), token):
			t.Errorf("the error holds the token: %v", err)
		}
	})
}
