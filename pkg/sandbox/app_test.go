package sandbox_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// jwt signs claims with any algorithm's name, to try wrong ones too.
func jwt(t *testing.T, key *rsa.PrivateKey, alg string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": alg, "typ": "JWT"}) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAppHub(t *testing.T, w *watch) (*hub, *rsa.PrivateKey) {
	t.Helper()
	h := newHub(t, func(o *sandbox.Options) { o.Clock = w.Now })
	key := newKey(t)
	if err := h.AddApp(sandbox.App{ID: 42, ClientID: "Iv23li", Slug: "versions", Key: &key.PublicKey}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateRepository("octo-org/second", sandbox.RepositoryOptions{Private: true}); err != nil {
		t.Fatal(err)
	}
	if err := h.Install(42, sandbox.Installation{ID: 7, Account: "octo-org"}); err != nil {
		t.Fatal(err)
	}
	return h, key
}

func TestAppJWT(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h, key := newAppHub(t, w)
	now := w.Now().Unix()
	good := map[string]any{"iss": 42, "iat": now - 60, "exp": now + 540}
	with := func(name string, value any) map[string]any {
		c := map[string]any{}
		for k, v := range good {
			c[k] = v
		}
		c[name] = value
		return c
	}
	const undecodable = "A JSON web token could not be decoded"
	tests := []struct {
		name, token string
		status      int
		message     string
	}{
		{"good", jwt(t, key, "RS256", good), 200, ""},
		{"client ID", jwt(t, key, "RS256", with("iss", "Iv23li")), 200, ""},
		{"ID as text", jwt(t, key, "RS256", with("iss", "42")), 200, ""},
		{"other key", jwt(t, newKey(t), "RS256", good), 401, undecodable},
		{"other algorithm", jwt(t, key, "none", good), 401, undecodable},
		{"unknown app", jwt(t, key, "RS256", with("iss", 43)), 404, "Integration not found"},
		{"expired", jwt(t, key, "RS256", with("exp", now-1)), 401, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"},
		{"lives too long", jwt(t, key, "RS256", with("exp", now+660)), 401, "'Expiration time' claim ('exp') is too far in the future"},
		{"fraction", jwt(t, key, "RS256", with("iat", float64(now)-0.5)), 401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"},
		{"issued in the future", jwt(t, key, "RS256", with("iat", now+120)), 401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"},
		{"a personal token", "sandbox", 401, undecodable},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := h.do("GET", "/installation", nil, "Authorization: Bearer "+tc.token)
			if r.status != tc.status || r.text("message") != tc.message {
				t.Errorf("%d %q, want %d %q", r.status, r.text("message"), tc.status, tc.message)
			}
		})
	}
	r := h.do("GET", "/branches/main", nil, "Authorization: Bearer "+jwt(t, key, "RS256", good))
	if r.status != 403 {
		t.Errorf("a JWT reads a branch: %d", r.status)
	}
}

func TestInstallationTokens(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h, key := newAppHub(t, w)
	now := w.Now().Unix()
	auth := "Authorization: Bearer " + jwt(t, key, "RS256", map[string]any{"iss": 42, "iat": now, "exp": now + 300})
	const path = "//app/installations/7/access_tokens"
	if id := h.must(200, h.do("GET", "/installation", nil, auth)).field("id"); id != 7.0 {
		t.Errorf("installation %v", id)
	}
	h.must(404, h.do("POST", "//app/installations/8/access_tokens", nil, auth))
	if slug := h.must(200, h.do("GET", "//app", nil, auth)).text("slug"); slug != "versions" {
		t.Errorf("app %q", slug)
	}

	whole := h.must(201, h.do("POST", path, "null\n", auth))
	token := whole.text("token")
	if !strings.HasPrefix(token, "ghs_42_eyJ") || len(token) < 200 || whole.text("expires_at") != "2026-11-22T11:00:00Z" {
		t.Errorf("token of %d characters until %s", len(token), whole.text("expires_at"))
	}
	h.must(200, h.do("GET", "//repos/octo-org/second/branches/main", nil, "Authorization: token "+token))

	narrow := h.must(201, h.do("POST", path, map[string]any{"repositories": []string{"infra"}, "permissions": map[string]string{"contents": "read"}}, auth))
	narrowed := "Authorization: Bearer " + narrow.text("token")
	h.must(404, h.do("GET", "//repos/octo-org/second/branches/main", nil, narrowed))
	if r := h.must(403, h.do("POST", "/git/blobs", map[string]string{"content": "x"}, narrowed)); r.text("message") != "Resource not accessible by integration" {
		t.Errorf("%s", r.body)
	}
	onlyInfra := "Authorization: Bearer " + h.must(201, h.do("POST", path, map[string]any{"repositories": []string{"infra"}}, auth)).text("token")
	h.must(422, h.do("POST", path, map[string]any{"permissions": map[string]string{"administration": "write"}}, auth))
	h.must(422, h.do("POST", path, map[string]any{"repositories": []string{"none"}}, auth))

	if err := h.Rename(repoName, "octo-org/platform"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Authorization: token " + token, onlyInfra} {
		h.must(201, h.do("POST", "//repos/octo-org/platform/git/blobs", map[string]string{"content": "x"}, line))
	}

	w.Add(time.Hour)
	if r := h.must(401, h.do("GET", "/branches/main", nil, "Authorization: token "+token)); r.text("message") != "Bad credentials" {
		t.Errorf("%s", r.body)
	}
}

// Tokens end before their time, and new ones are not known at once.
func TestInstallationTokensThatEnd(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h, key := newAppHub(t, w)
	now := w.Now().Unix()
	auth := "Authorization: Bearer " + jwt(t, key, "RS256", map[string]any{"iss": 42, "iat": now, "exp": now + 300})
	const own = "//app/installations/7"
	mint := func() string {
		t.Helper()
		return "Authorization: token " + h.must(201, h.do("POST", own+"/access_tokens", nil, auth)).text("token")
	}
	read := func(status int, token string) {
		t.Helper()
		h.must(status, h.do("GET", "/branches/main", nil, token))
	}
	token := mint()
	read(200, token)
	h.RevokeTokens(7)
	read(401, token)
	token = mint()
	if err := h.Suspend(7, true); err != nil {
		t.Fatal(err)
	}
	read(401, token)
	if r := h.must(403, h.do("POST", own+"/access_tokens", nil, auth)); r.text("message") != "This installation has been suspended" {
		t.Errorf("%s", r.body)
	}
	if at := h.must(200, h.do("GET", own, nil, auth)).text("suspended_at"); at == "" {
		t.Error("the installation is not told to be suspended")
	}
	if err := h.Suspend(7, false); err != nil {
		t.Fatal(err)
	}
	read(401, token)
	h.Configure(func(s *sandbox.Settings) { s.TokenLag = sandbox.Duration(time.Second) })
	token = mint()
	read(401, token)
	w.Add(time.Second)
	read(200, token)
	if !h.Uninstall(7) || h.Uninstall(7) {
		t.Error("the installation was not there once")
	}
	read(401, token)
	h.must(404, h.do("GET", own, nil, auth))
	h.must(404, h.do("GET", "/installation", nil, auth))
	if err := h.Suspend(7, true); !errors.Is(err, sandbox.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

func TestVerifiedCommits(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h, key := newAppHub(t, w)
	now := w.Now().Unix()
	auth := "Authorization: Bearer " + jwt(t, key, "RS256", map[string]any{"iss": 42, "iat": now, "exp": now + 300})
	token := "Authorization: Bearer " + h.must(201, h.do("POST", "//app/installations/7/access_tokens", nil, auth)).text("token")
	body := map[string]any{"message": "m", "tree": h.git("rev-parse", "main^{tree}"), "parents": []string{h.head()}}

	signed := h.must(201, h.do("POST", "/git/commits", body, token))
	if signed.field("verification", "verified") != true || signed.text("verification", "reason") != "valid" || signed.text("author", "name") != "versions[bot]" {
		t.Errorf("commit of an app: %s", signed.body)
	}
	raw := h.git("cat-file", "commit", signed.text("sha"))
	if !strings.Contains(raw, "\ngpgsig -----BEGIN PGP SIGNATURE-----\n ") {
		t.Errorf("the object holds no signature:\n%s", raw)
	}
	body["author"] = map[string]string{"name": "Mona", "email": "mona@example.com"}
	if r := h.must(201, h.do("POST", "/git/commits", body, token)); r.text("verification", "reason") != "unsigned" {
		t.Errorf("commit of an app with an author: %s", r.body)
	}
	h.fsck()
}

// A signature made by the caller is kept as git would keep it: gpg's own
// reading of the payload is the commit without the header.
func TestOwnSignature(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h := newHub(t, func(o *sandbox.Options) { o.Clock = w.Now })
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: w.Now}
	entity, err := openpgp.NewEntity("Mona", "", "mona@example.com", config)
	if err != nil {
		t.Fatal(err)
	}
	root := h.git("rev-parse", "main^{tree}")
	payload := fmt.Sprintf("tree %s\nparent %s\nauthor Mona <mona@example.com> %d +0000\ncommitter Mona <mona@example.com> %[3]d +0000\n\nsigned", root, h.head(), w.Now().Unix())
	var signature strings.Builder
	if err := openpgp.ArmoredDetachSign(&signature, entity, strings.NewReader(payload), config); err != nil {
		t.Fatal(err)
	}
	who := map[string]string{"name": "Mona", "email": "mona@example.com", "date": w.Now().Format(time.RFC3339)}
	body := map[string]any{"message": "signed", "tree": root, "parents": []string{h.head()}, "author": who, "signature": signature.String()}
	r := h.must(201, h.do("POST", "/git/commits", body))
	if diff := cmp.Diff(payload, r.text("verification", "payload")); diff != "" || r.text("verification", "reason") != "unknown_key" {
		t.Errorf("%s; payload (-want +got):\n%s", r.text("verification", "reason"), diff)
	}
	if err := h.AddSigningKey(publicKey(t, entity)); err != nil {
		t.Fatal(err)
	}
	r = h.must(200, h.do("GET", "/git/commits/"+r.text("sha"), nil))
	if r.field("verification", "verified") != true || r.text("verification", "reason") != "valid" {
		t.Errorf("with the key: %s", r.body)
	}
	body["message"] = "another"
	if r := h.must(201, h.do("POST", "/git/commits", body)); r.text("verification", "reason") != "invalid" {
		t.Errorf("signature of another commit: %s", r.text("verification", "reason"))
	}
	h.fsck()
}

func publicKey(t *testing.T, e *openpgp.Entity) string {
	t.Helper()
	var b strings.Builder
	out, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Serialize(out), out.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
