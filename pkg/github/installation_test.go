package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A token that GitHub does not take any more is replaced at once, wherever that
// shows.
func TestAppTokenIsReplaced(t *testing.T) {
	t.Parallel()
	const otherID = installID + 1
	installation := sandbox.Installation{ID: installID, Account: "octo-org"}
	for _, test := range []struct {
		name   string
		happen func(*world)
		spent  []string
	}{
		{"revoked", func(w *world) { w.sb.RevokeTokens(installID) }, []string{lookUpApp, mintToken}},
		{"suspended and back", func(w *world) {
			w.must(w.sb.Suspend(installID, true))
			w.must(w.sb.Suspend(installID, false))
		}, []string{lookUpApp, mintToken}},
		{"installed anew", func(w *world) {
			if !w.sb.Uninstall(installID) {
				w.t.Error("there was no installation")
			}
			again := installation
			again.ID = otherID
			w.must(w.sb.Install(appID, again))
		}, []string{lookUpApp, mintToken}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, at := range []struct{ method, endpoint string }{
				{http.MethodPost, "git/trees"}, {http.MethodPost, "git/commits"}, {http.MethodPatch, "git/refs"},
			} {
				w := newAppWorld(t, 0, nil)
				w.push(map[string]string{fileA: "image: a:1\n"})
				b := w.branch()
				w.snapshot(b)
				w.clock.advance(2 * settles)
				s := w.snapshot(b)
				w.spent()
				w.sb.Inject(sandbox.Call(func() { test.happen(w) }).On(at.method, at.endpoint).Once())
				w.sb.Inject(sandbox.BadCredentials().On(at.method, at.endpoint).Once()) // the hook comes after the credential was looked at
				made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
				w.must(err)
				want := append([]string{newTree, newCommit, updateRef}, test.spent...)
				w.wantSpent(append(want, at.method+" "+templateOf[at.endpoint])...)
				if w.head() != string(made.SHA) {
					t.Errorf("%s: the branch is at %s", at.endpoint, w.head())
				}
			}
		})
	}
}

// settles is longer than a fresh token may be refused.
const settles = 5 * time.Second

var templateOf = map[string]string{"git/trees": "git/trees", "git/commits": "git/commits", "git/refs": "git/refs/{ref}"}

// A fresh token is repeated until GitHub knows it everywhere.
func TestFreshAppTokenIsRepeated(t *testing.T) {
	t.Parallel()
	for _, lag := range []time.Duration{1500 * time.Millisecond, 4 * time.Second} {
		var told changes
		w := newAppWorld(t, 0, nil)
		w.sb.Configure(func(s *sandbox.Settings) { s.TokenLag = sandbox.Duration(lag) })
		client := w.another(told.listen)
		w.push(map[string]string{fileA: "image: a:1\n"})
		b := client.Branch(parse(t, repoName), "main")
		s := w.snapshot(b)
		_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
		w.must(err)
		spent := w.spent()
		if count(spent, mintToken) != 1 || count(spent, lookUpApp) != 1 || count(spent, readHead) > 7 {
			t.Errorf("lag %s: spent %v", lag, spent)
		}
		told.want(t, repoName+" ok", repoName+"@main ok") // never refused
	}
}

// So is a 403 of a fresh token, which a replica gives that knows the token but not
// yet what it may do. Later a 403 is an answer.
func TestForbiddenFreshAppToken(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, nil)
	w.push(map[string]string{fileA: "image: a:1\n"})
	refused := sandbox.Refuse(http.StatusForbidden, "Resource not accessible by integration").On(http.MethodGet, "branches")
	w.sb.Inject(refused.For(3))
	b := w.branch()
	w.snapshot(b)
	if got := count(w.spent(), readHead); got != 4 {
		t.Errorf("%d requests, want 4", got)
	}
	w.clock.advance(settles)
	w.sb.Inject(refused)
	_, err := b.Snapshot(t.Context())
	wantKind(t, err, github.ErrForbidden, http.StatusForbidden)
	w.wantSpent(readHead)
}

// A token that is never accepted costs little, and not a new one each time.
func TestAppTokenThatIsNeverAccepted(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, nil)
	w.push(map[string]string{fileA: "image: a:1\n"})
	w.sb.Inject(sandbox.BadCredentials().On(http.MethodGet, "branches"))
	b := w.branch()
	for range 3 {
		_, err := b.Snapshot(t.Context())
		wantKind(t, err, github.ErrUnauthorized, http.StatusUnauthorized)
	}
	spent := w.spent()
	if count(spent, mintToken) > 2 || count(spent, readHead) > 20 {
		t.Errorf("spent %v", spent)
	}
}

// An installation that is suspended is told with GitHub's words, and works again
// as soon as it is back.
func TestSuspendedApp(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, installID, nil)
	w.push(map[string]string{fileA: "image: a:1\n"})
	b := w.branch()
	w.snapshot(b)
	w.clock.advance(time.Minute)
	w.must(w.sb.Suspend(installID, true))
	_, err := b.Snapshot(t.Context())
	if e := wantKind(t, err, github.ErrUnauthorized, http.StatusForbidden); !strings.Contains(e.Detail, "This installation has been suspended") {
		t.Errorf("detail %q", e.Detail)
	}
	w.must(w.sb.Suspend(installID, false))
	w.snapshot(b)
}

// Workflow files become writable without a restart, and stop to be so.
func TestWorkflowsAreGrantedLater(t *testing.T) {
	t.Parallel()
	const workflow = ".github/workflows/build.yaml"
	for _, fixed := range []int64{0, installID} {
		contents := sandbox.Permissions{"contents": sandbox.Write, "metadata": sandbox.Read}
		all := sandbox.Permissions{"contents": sandbox.Write, "metadata": sandbox.Read, "workflows": sandbox.Write}
		w := newAppWorld(t, fixed, contents)
		w.push(map[string]string{workflow: "container: a:0\n", fileA: "image: a:0\n"})
		b := w.branch()
		commit := func(version string, leftOut int) {
			t.Helper()
			s := w.snapshot(b)
			made, err := b.Commit(t.Context(), s, change(s, map[string]string{workflow: "container: a:" + version + "\n", fileA: "image: a:" + version + "\n"}))
			w.must(err)
			if len(made.LeftOut) != leftOut {
				t.Errorf("installation %d, version %s: left out %v", fixed, version, made.LeftOut)
			}
		}
		grant := func(p sandbox.Permissions) {
			w.clock.advance(2 * time.Minute)
			w.must(w.sb.Install(appID, sandbox.Installation{ID: installID, Account: "octo-org", Permissions: p}))
		}
		commit("1", 1)
		w.spent()
		commit("2", 1)
		if got := w.spent(); count(got, lookUpApp)+count(got, ownInstallation)+count(got, mintToken) != 0 {
			t.Errorf("asked for permissions again within a minute: %v", got)
		}
		grant(all)
		commit("3", 0)
		commit("4", 0)
		w.spent()
		grant(contents)
		w.sb.RevokeTokens(installID)
		commit("5", 1)
		grant(all)
		commit("6", 0)
		w.wantFile(workflow, "container: a:6\n")
	}
}

const ownInstallation = "GET /app/installations/{installation_id}"

// An installation that is given and has Workflows from the start writes them, too.
func TestWorkflowsOfAGivenInstallation(t *testing.T) {
	t.Parallel()
	const workflow = ".github/workflows/build.yaml"
	w := newAppWorld(t, installID, sandbox.Permissions{"contents": sandbox.Write, "metadata": sandbox.Read, "workflows": sandbox.Write})
	w.push(map[string]string{workflow: "container: a:1\n"})
	b := w.branch()
	s := w.snapshot(b)
	w.spent()
	made, err := b.Commit(t.Context(), s, set(s, workflow, "container: a:2\n"))
	w.must(err)
	if len(made.LeftOut) != 0 {
		t.Errorf("left out %v", made.LeftOut)
	}
	w.wantSpent(newTree, ownInstallation, mintToken, newTree, newCommit, updateRef)
}

// A token and a key that were replaced are read again when they are refused.
func TestRereadCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{fileA: "image: a:1\n"})
	file, reads := "sandbox", 0
	client := w.another(func(o *github.Options) {
		o.Credential = github.RereadToken("sandbox", func() (string, error) { reads++; return file, nil })
	})
	b := client.Branch(parse(t, repoName), "main")
	s := w.snapshot(b)
	w.sb.AddToken("next", sandbox.Token{})
	w.sb.RemoveToken("sandbox")
	_, err := b.Snapshot(t.Context())
	wantKind(t, err, github.ErrUnauthorized, http.StatusUnauthorized)
	file = "next"
	_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	w.wantFile(fileA, "image: a:2\n")
	if reads != 2 {
		t.Errorf("the token was read %d times, want once for each refusal", reads)
	}
}

func TestRereadAppKey(t *testing.T) {
	t.Parallel()
	for _, fixed := range []int64{0, installID} {
		other, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(other)
		if err != nil {
			t.Fatal(err)
		}
		_, right := appKey()
		file := []byte("half a key")
		w := newAppWorld(t, 0, nil)
		w.push(map[string]string{fileA: "image: a:1\n"})
		client := w.another(func(o *github.Options) {
			o.Credential = github.App{
				ID: appID, InstallationID: fixed,
				PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
				Reread:     func() ([]byte, error) { return file, nil },
			}
		})
		b := client.Branch(parse(t, repoName), "main")
		_, err = b.Snapshot(t.Context())
		e := wantKind(t, err, github.ErrUnauthorized, http.StatusUnauthorized)
		for _, want := range []string{"private key", "A JSON web token could not be decoded"} {
			if !strings.Contains(e.Detail, want) {
				t.Errorf("detail %q lacks %q", e.Detail, want)
			}
		}
		file = right
		w.snapshot(b)
	}
}

// An App's own token is dated back, so that a clock which is ahead does no harm,
// and ends within what GitHub takes.
func TestAppProof(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t, 0, nil)
	var proof string
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, _ *http.Response) {
			if strings.HasSuffix(req.URL.Path, "/installation") {
				proof = strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
			}
		}}
	})
	w.snapshot(client.Branch(parse(t, repoName), "main"))
	parts := strings.Split(proof, ".")
	if len(parts) != 3 {
		t.Fatalf("the token is %q", proof)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	w.must(err)
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	w.must(json.Unmarshal(payload, &claims))
	now := w.clock.Now().Unix()
	if ago := now - claims.Iat; ago < 60 || ago > 90 || claims.Exp-now > 600 || claims.Exp-now < 300 || claims.Iss != "4711" {
		t.Errorf("claims %+v at %d", claims, now)
	}
}

// A clock that is a minute ahead of GitHub's is no hindrance, nor one that is
// some minutes behind.
func TestAppWithAnotherClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{59 * time.Second, -5 * time.Minute} {
		w := newAppWorld(t, 0, nil)
		client := w.another(func(o *github.Options) {
			o.Now = func() time.Time { return w.clock.Now().Add(ahead) }
		})
		if _, err := client.Branch(parse(t, repoName), "main").Snapshot(t.Context()); err != nil {
			t.Errorf("clock %s ahead: %v", ahead, err)
		}
	}
}

var errNoFile = errors.New("no such file")

// A file that cannot be read leaves the refusal as it is.
func TestRereadFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := w.another(func(o *github.Options) {
		o.Credential = github.RereadToken("gone", func() (string, error) { return "", errNoFile })
	})
	_, err := client.Branch(parse(t, repoName), "main").Snapshot(t.Context())
	wantKind(t, err, github.ErrUnauthorized, http.StatusUnauthorized)
	w.wantSpent(readHead)
}
