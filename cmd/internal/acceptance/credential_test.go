package acceptance_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A token whose file was replaced works without a restart.
func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(githubToken)
	w := start(t, withEnv("GITHUB_TOKEN", ""), withEnv("GITHUB_TOKEN_FILE", file))
	const next = "another-token-that-nobody-may-see"
	w.hub.RemoveToken(githubToken)
	if r := w.post(mission); r.status != 502 || r.problem.Code != "upstream_unauthorized" {
		t.Fatalf("with a revoked token: %d %s", r.status, r.body)
	}
	w.hub.AddToken(next, sandbox.Token{})
	write(next)
	if r := w.post(mission); r.status != 201 {
		t.Errorf("with the token replaced: %d %s", r.status, r.body)
	}
}

// So does an App's key.
func TestAppKeyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key.pem")
	write := func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return key
	}
	write() // a key that was deleted on GitHub's side
	w := start(t, withEnv("GITHUB_TOKEN", ""), withEnv("GITHUB_APP_ID", "7"), withEnv("GITHUB_APP_PRIVATE_KEY_FILE", file))
	if err := w.hub.AddApp(sandbox.App{ID: 7, Key: &write().PublicKey}); err != nil {
		t.Fatal(err)
	}
	if err := w.hub.Install(7, sandbox.Installation{ID: 8, Account: "refty-yapi"}); err != nil {
		t.Fatal(err)
	}
	if r := w.post(mission); r.status != 201 {
		t.Errorf("with the key replaced: %d %s", r.status, r.body)
	}
}
