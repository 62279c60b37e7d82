package github_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// newAppWorld is a world whose client is a GitHub App. Its clock is the real one,
// which a token's lifetime is measured by.
func newAppWorld(t *testing.T, installation int64, permissions sandbox.Permissions) *world {
	t.Helper()
	key, text := appKey()
	w := newWorld(t, func(o *github.Options) {
		o.Credential = github.App{ID: appID, PrivateKey: text, InstallationID: installation}
	})
	w.must(w.sb.AddApp(sandbox.App{ID: appID, Slug: "versions", Key: &key.PublicKey}))
	w.must(w.sb.Install(appID, sandbox.Installation{ID: installID, Account: "octo-org", Permissions: permissions}))
	return w
}

func TestAppCommits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		installation int64
		start        []string
	}{
		{"installation looked up", 0, []string{lookUpApp, mintToken}},
		{"installation given", installID, []string{mintToken}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newAppWorld(t, test.installation, nil)
			w.push(map[string]string{fileA: "image: a:1\n", fileB: "image: b:1\n"})
			w.repo.SetPrivate(true)
			b := w.branch()
			s := w.snapshot(b)
			w.contents(b, s)
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			w.must(err)
			w.wantSpent(append(test.start, readHead, readTree, readBlob, readBlob, newTree, newCommit, updateRef)...)
			s, _ = b.Remembered()
			_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:3\n"))
			w.must(err)
			w.wantSpent(newTree, newCommit, updateRef)
			log, err := w.repo.Log("main")
			w.must(err)
			if !strings.Contains(log[0].Author, "versions[bot]") {
				t.Errorf("the author is %q, want the App's own", log[0].Author)
			}
		})
	}
}

// One token serves all that wait for it, and is asked for narrowed.
func TestAppTokenIsSharedAndNarrow(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, sandbox.Permissions{"contents": sandbox.Write, "metadata": sandbox.Read, "pull_requests": sandbox.Write})
	w.push(many(2))
	var asked []byte
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, _ *http.Response) {
			if strings.HasSuffix(req.URL.Path, "/access_tokens") {
				body, err := req.GetBody()
				w.must(err)
				var b bytes.Buffer
				_, err = b.ReadFrom(body)
				w.must(err)
				asked = b.Bytes()
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "main")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := b.Snapshot(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := w.spent()
	if count(got, mintToken) != 1 || count(got, lookUpApp) != 1 {
		t.Errorf("spent %v, want one look-up and one token", got)
	}
	var body struct {
		Repositories []string
		Permissions  map[string]string
	}
	w.must(json.Unmarshal(asked, &body))
	if fmt.Sprint(body) != "{[infra] map[contents:write]}" {
		t.Errorf("the token was asked for with %s", asked)
	}
}

// An App that may write workflow files does.
func TestAppWithWorkflows(t *testing.T) {
	t.Parallel()
	const workflow = ".github/workflows/build.yaml"
	for _, may := range []bool{true, false} {
		t.Run(fmt.Sprint(may), func(t *testing.T) {
			t.Parallel()
			permissions := sandbox.Permissions{"contents": sandbox.Write, "metadata": sandbox.Read}
			if may {
				permissions["workflows"] = sandbox.Write
			}
			w := newAppWorld(t, 0, permissions)
			w.push(map[string]string{workflow: "container: a:1\n", fileA: "image: a:1\n"})
			b := w.branch()
			s := w.snapshot(b)
			made, err := b.Commit(t.Context(), s, change(s, map[string]string{workflow: "container: a:2\n", fileA: "image: a:2\n"}))
			w.must(err)
			if may != (len(made.LeftOut) == 0) {
				t.Errorf("left out %v", made.LeftOut)
			}
		})
	}
}

func TestAppRefused(t *testing.T) {
	t.Parallel()
	_, text := appKey()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	otherText := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(other)})
	for _, test := range []struct {
		name string
		app  github.App
		set  func(*world)
		kind error
		says string
	}{
		{"wrong key", github.App{ID: appID, PrivateKey: otherText}, nil, github.ErrUnauthorized, "private key"},
		{"wrong key, installation given", github.App{ID: appID, PrivateKey: otherText, InstallationID: installID}, nil, github.ErrUnauthorized, "private key"},
		{"not installed", github.App{ID: appID, PrivateKey: text}, func(w *world) {
			w.must(w.sb.Install(appID, sandbox.Installation{ID: installID, Account: "somebody"}))
		}, github.ErrRepositoryNotFound, "not installed"},
		{"no such installation", github.App{ID: appID, PrivateKey: text, InstallationID: 5}, nil, github.ErrUnauthorized, "installation"},
		{"without Contents", github.App{ID: appID, PrivateKey: text}, func(w *world) {
			w.must(w.sb.Install(appID, sandbox.Installation{ID: installID, Account: "octo-org", Permissions: sandbox.Permissions{"contents": sandbox.Read}}))
		}, github.ErrForbidden, "Contents: write"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newAppWorld(t, 0, nil)
			if test.set != nil {
				test.set(w)
			}
			client := w.another(func(o *github.Options) { o.Credential = test.app })
			_, err := client.Branch(parse(t, repoName), "main").Snapshot(t.Context())
			var e *github.Error
			if !errors.As(err, &e) || !errors.Is(err, test.kind) || !strings.Contains(e.Detail, test.says) {
				t.Errorf("error %v, want %v that says %q", err, test.kind, test.says)
			}
			if _, err := client.Check(t.Context(), parse(t, repoName)); !errors.Is(err, test.kind) {
				t.Errorf("check: %v, want %v", err, test.kind)
			}
			if got := w.spent(); len(got) > 4 {
				t.Errorf("spent %v on a refusal", got)
			}
		})
	}
}

func TestAppOfARenamedRepository(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, nil)
	w.push(map[string]string{fileA: "image: a:1\n"})
	w.repo.SetPrivate(true)
	w.must(w.sb.Rename(repoName, "octo-org/renamed"))
	b := w.branch()
	s := w.snapshot(b)
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	w.wantFile(fileA, "image: a:2\n")
}

// An App that was taken away and installed anew has another installation.
func TestAppInstalledAnew(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, sandbox.Permissions{"contents": sandbox.Read})
	_, err := w.branch().Snapshot(t.Context())
	wantKind(t, err, github.ErrForbidden, http.StatusUnprocessableEntity)
	w.must(w.sb.Install(appID, sandbox.Installation{ID: installID, Account: "octo-org"}))
	w.snapshot(w.branch())
}

func TestAppOnSeveralRepositories(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, nil)
	_, err := w.sb.CreateRepository("octo-org/other", sandbox.RepositoryOptions{Private: true})
	w.must(err)
	var all sync.WaitGroup
	for _, name := range []string{repoName, "octo-org/other"} {
		for range 3 {
			all.Go(func() {
				if _, err := w.client.Branch(parse(t, name), "main").Snapshot(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if got := count(w.spent(), mintToken); got != 2 {
		t.Errorf("%d tokens for two repositories", got)
	}
}

// An installation that is no longer there is looked up again.
func TestAppOfAnotherInstallation(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, nil)
	gone := true
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if gone && strings.HasSuffix(req.URL.Path, "/installation") {
				setBody(resp, `{"id":5}`)
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "main")
	_, err := b.Snapshot(t.Context())
	wantKind(t, err, github.ErrUnauthorized, http.StatusNotFound)
	gone = false
	w.snapshot(b)
}

// A token that others may wait for is minted though the first to need it has left.
func TestAppTokenOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, installID, nil)
	ctx, cancel := context.WithCancel(t.Context())
	w.sb.Inject(sandbox.Call(cancel).On(http.MethodPost, "access_tokens").Once())
	if _, err := w.branch().Snapshot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was given up", err)
	}
	w.snapshot(w.branch())
	if got := w.sb.Counts()["POST /app/installations/{installation_id}/access_tokens"]; got != 1 {
		t.Errorf("%d tokens were minted", got)
	}
}
