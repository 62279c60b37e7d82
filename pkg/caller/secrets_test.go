package caller_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	s, err := caller.ParseSecrets("ci=one, cd=two,ci=a=b,")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ci", "cd"}, s.Names()); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	for secret, want := range map[string]string{"one": "ci", "a=b": "ci", "two": "cd", "three": "", "": ""} {
		if name, ok := s.Holder(secret); name != want || ok != (want != "") {
			t.Errorf("Holder(%q) = %q, %t", secret, name, ok)
		}
	}
	var none *caller.Secrets
	if _, ok := none.Holder("one"); ok || none.Named() != nil || none.Shorter(99) != nil {
		t.Error("no secrets hold one")
	}
}

func FuzzParseSecrets(f *testing.F) {
	for _, seed := range []string{"ci=secret", "ci=a,ci=b", "a=b=c", "=x", "x=", ",", "a b=c", "ci=secret,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := caller.ParseSecrets(text)
		if err != nil {
			return
		}
		if name, ok := s.Holder(""); ok {
			t.Errorf("%q lets %s in without a secret", text, name)
		}
	})
}

func TestParseSecretsShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"secret", "=secret", "b ad=secret", "ok=fine,secret", strings.Repeat("n", 65) + "=secret", " , "} {
		if _, err := caller.ParseSecrets(text); err == nil || strings.Contains(strings.ReplaceAll(err.Error(), "name=secret", ""), "secret ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
