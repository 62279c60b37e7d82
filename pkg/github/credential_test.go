package github_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	appID      = 4711
	installID  = 99
	mintToken  = "POST /app/installations/{installation_id}/access_tokens"
	lookUpApp  = "GET installation"
	brokenKey  = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	signedText = "-----BEGIN PGP SIGNATURE-----"
)

// appKey is one key for all tests: making it is slow.
var appKey = sync.OnceValues(func() (*rsa.PrivateKey, []byte) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
})

// A personal token that is refused is not sent again.
func TestUnauthorizedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sb.Inject(sandbox.BadCredentials().On(http.MethodGet, "branches").Once())
	_, err := w.branch().Snapshot(t.Context())
	wantKind(t, err, github.ErrUnauthorized, http.StatusUnauthorized)
	w.wantSpent(readHead)
}

func TestSecretsHideThemselves(t *testing.T) {
	t.Parallel()
	_, text := appKey()
	for _, c := range []github.Credential{github.Token(secretToken), github.App{ID: 1, PrivateKey: text}, &github.App{ID: 1, PrivateKey: text}} {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "credential", c)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "credential", c)
		asJSON, err := json.Marshal(struct{ C github.Credential }{c})
		if err != nil {
			t.Error(err)
		}
		shown := fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c) + log.String() + string(asJSON)
		if strings.Contains(shown, secretToken) || strings.Contains(shown, string(text[40:60])) {
			t.Errorf("%T shows its secret: %s", c, shown)
		}
	}
}

func signingKey(t *testing.T) (*openpgp.Entity, string) {
	t.Helper()
	key, err := openpgp.NewEntity("Versions Service", "", "versions@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	armoured, err := armor.Encode(&text, openpgp.PrivateKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.SerializePrivate(armoured, nil); err != nil {
		t.Fatal(err)
	}
	if err := armoured.Close(); err != nil {
		t.Fatal(err)
	}
	return key, text.String()
}

func TestSignedCommit(t *testing.T) {
	t.Parallel()
	key, text := signingKey(t)
	w := newWorld(t, func(o *github.Options) { o.SigningKey = text })
	w.push(map[string]string{fileA: "image: a:1\n"})
	b := w.branch()
	s := w.snapshot(b)
	made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	log, err := w.repo.Log("main")
	w.must(err)
	got := log[0]
	if got.Author != "Versions Service <versions@example.com>" || got.Committer != got.Author {
		t.Errorf("author %q, committer %q", got.Author, got.Committer)
	}
	when := made.Time.Unix()
	signed := fmt.Sprintf("tree %s\nparent %s\nauthor %s %d +0000\ncommitter %s %d +0000\n\n%s",
		got.Tree, s.Commit, got.Author, when, got.Committer, when, got.Message)
	_, err = openpgp.CheckArmoredDetachedSignature(openpgp.EntityList{key}, strings.NewReader(signed), strings.NewReader(got.Signature), nil)
	if err != nil || !strings.HasPrefix(got.Signature, signedText) {
		t.Errorf("the signature does not hold: %v\n%s", err, got.Signature)
	}
}

func TestAuthorAndCommitter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *github.Options) {
		o.Author = &github.Signature{Name: "Octo Org", Email: "octo@example.com"}
		o.Committer = &github.Signature{Name: "Versions", Email: "versions@example.com"}
	})
	w.push(map[string]string{fileA: "image: a:1\n"})
	b := w.branch()
	s := w.snapshot(b)
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	log, err := w.repo.Log("main")
	w.must(err)
	if got := log[0].Author + ", " + log[0].Committer; got != "Octo Org <octo@example.com>, Versions <versions@example.com>" {
		t.Error(got)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	key, _ := signingKey(t)
	var public strings.Builder
	armoured, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Serialize(armoured); err != nil {
		t.Fatal(err)
	}
	if err := armoured.Close(); err != nil {
		t.Fatal(err)
	}
	token := github.Token(secretToken)
	for name, test := range map[string]struct {
		options github.Options
		says    string
	}{
		"no credential":     {github.Options{}, "credential"},
		"empty token":       {github.Options{Credential: github.Token("")}, "token is empty"},
		"no App ID":         {github.Options{Credential: github.App{PrivateKey: []byte(brokenKey)}}, "ID"},
		"broken App key":    {github.Options{Credential: github.App{ID: 1, PrivateKey: []byte(brokenKey)}}, "private key"},
		"URL without host":  {github.Options{Credential: token, BaseURL: "api.github.com"}, "URL"},
		"URL with a secret": {github.Options{Credential: token, BaseURL: "https://user:" + secretToken + "@example.com/"}, "URL"},
		"URL with a query":  {github.Options{Credential: token, BaseURL: "https://example.com/?a=b"}, "URL"},
		"no signing key":    {github.Options{Credential: token, SigningKey: "x"}, "signing key"},
		"public key":        {github.Options{Credential: token, SigningKey: public.String()}, "public"},
	} {
		_, err := github.NewClient(test.options)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), secretToken) {
			t.Errorf("%s: error %v, want one about %q", name, err, test.says)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		set    func(*world)
		repo   string
		kind   error
		status int
	}{
		{"may push", nil, repoName, nil, 0},
		{"may read", func(w *world) {
			w.sb.AddToken("sandbox", sandbox.Token{Permissions: sandbox.Permissions{"contents": sandbox.Read}})
		}, repoName, github.ErrForbidden, 0},
		{"archived", func(w *world) { w.repo.SetArchived(true) }, repoName, github.ErrForbidden, 0},
		{"not there", nil, "octo-org/other", github.ErrRepositoryNotFound, 404},
		{"bad credentials", func(w *world) { w.sb.RemoveToken("sandbox") }, repoName, github.ErrUnauthorized, 401},
		{"GitHub fails", func(w *world) { w.sb.Inject(sandbox.BadGateway()) }, repoName, github.ErrUpstream, 502},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.set != nil {
				test.set(w)
			}
			status, err := w.client.Check(t.Context(), parse(t, test.repo))
			if test.kind != nil {
				wantKind(t, err, test.kind, test.status)
				return
			}
			w.must(err)
			if status.Repo != parse(t, repoName) || status.DefaultBranch != "main" || status.RateLimit.Limit != 5000 || status.RateLimit.Remaining >= 5000 {
				t.Errorf("status %+v", status)
			}
			w.wantSpent("GET /repos/{owner}/{repo}")
		})
	}
}

func TestCheckTellsWhenTheTokenEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(_ *http.Request, resp *http.Response) {
			resp.Header.Set("GitHub-Authentication-Token-Expiration", "2027-01-31 12:30:00 UTC")
		}}
	})
	status, err := client.Check(t.Context(), parse(t, repoName))
	w.must(err)
	if want := time.Date(2027, 1, 31, 12, 30, 0, 0, time.UTC); !status.TokenExpires.Equal(want) {
		t.Errorf("the token ends at %s, want %s", status.TokenExpires, want)
	}
}

// An Enterprise Server has its API below a path.
func TestBaseURLWithAPath(t *testing.T) {
	t.Parallel()
	for _, slash := range []string{"", "/"} {
		for _, app := range []bool{false, true} {
			t.Run(fmt.Sprintf("app %v, ends in %q", app, slash), func(t *testing.T) {
				t.Parallel()
				var seen calls
				w := newAppWorld(t, 0, nil)
				w.push(many(50))
				w.must(w.sb.Rename(repoName, "octo-org/renamed"))
				client := w.another(func(o *github.Options) {
					o.BaseURL += "/api/v3" + slash
					o.Observe = seen.observe
					if !app {
						o.Credential = github.Token("sandbox")
					}
				})
				w.must(update(t.Context(), client.Branch(parse(t, repoName), "main")))
				for _, c := range seen.all {
					if strings.Contains(c.Endpoint, "other") {
						t.Errorf("a call is told as %s %s", c.Method, c.Endpoint)
					}
				}
			})
		}
	}
}
