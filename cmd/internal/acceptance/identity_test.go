package acceptance_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	appID          = 4711
	installationID = 99
)

// appKey is one key for all tests: making it is slow.
var appKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// asApp makes the program a GitHub App that is installed on the repository's owner.
func asApp(permissions sandbox.Permissions) option {
	return func(w *world) {
		key, err := appKey()
		w.must(err)
		w.must(w.hub.AddApp(sandbox.App{ID: appID, Slug: "versions", Key: &key.PublicKey}))
		w.must(w.hub.Install(appID, sandbox.Installation{ID: installationID, Account: "refty-yapi", Permissions: permissions}))
		w.env["GITHUB_TOKEN"] = ""
		w.env["GITHUB_APP_ID"] = fmt.Sprint(appID)
		w.env["GITHUB_APP_PRIVATE_KEY"] = string(pem.EncodeToMemory(&pem.Block{
			Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key),
		}))
	}
}

// An App looks its installation up once, works with one token, and its commits are
// the App's own, signed by GitHub.
func TestGitHubApp(t *testing.T) {
	t.Parallel()
	seen := &recorder{}
	w := start(t, onMain, seen.between, asApp(sandbox.Permissions{
		"contents": sandbox.Write, "metadata": sandbox.Read, "pull_requests": sandbox.Write,
	}))
	w.repo.SetPrivate(true)
	for _, version := range []string{"first", "second", "third"} {
		wantCommitted(t, w.post(setTo(node, version)))
	}
	got := w.spentSince(0)
	if count(got, callInstallation) != 1 || count(got, callAppToken) != 1 || count(got, callUpdateRef) != 3 {
		t.Errorf("requests: %v, want one look-up and one token", got)
	}
	for _, c := range w.log()[:3] {
		if !strings.Contains(c.Author, "versions[bot]") || !strings.Contains(c.Signature, "BEGIN PGP SIGNATURE") {
			t.Errorf("the commit is %s's, signed %q", c.Author, c.Signature)
		}
	}
	if w.git("", "cat-file", "-t", "main") != "commit\n" {
		t.Error("no commit")
	}

	asked := seen.bodies(http.MethodPost, "/access_tokens")
	if diff := cmp.Diff([]string{`{"permissions":{"contents":"write"},"repositories":["refty-infra-test"]}`}, canonical(asked)); diff != "" {
		t.Errorf("the token was asked for (-want +got):\n%s", diff)
	}
	for _, body := range seen.bodies(http.MethodPost, "/git/commits") {
		var fields map[string]any
		w.must(json.Unmarshal([]byte(body), &fields))
		for _, field := range []string{"author", "committer", "signature"} {
			if _, there := fields[field]; there {
				t.Errorf("a commit was sent with its %s: GitHub does not sign it then", field)
			}
		}
	}
	if verified := seen.answers(http.MethodPost, "/git/commits"); len(verified) != 3 || !strings.Contains(verified[0], `"verified":true`) {
		t.Errorf("answers: %s", verified)
	}
	if long := seen.longestToken(); long < 200 {
		t.Errorf("the longest token has %d characters: the long form is not tried", long)
	}
}

// canonical sorts the keys of JSON objects.
func canonical(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			out[i] = err.Error()
			continue
		}
		sorted, _ := json.Marshal(value)
		out[i] = string(sorted)
	}
	return out
}

// The first requests of many callers share one look-up and one token.
func TestGitHubAppTokenIsShared(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, asApp(nil))
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			r, err := w.tryPost(`{"image": "` + node + `", "version": "1", "dry_run": true}`)
			if err != nil || r.status != http.StatusOK {
				t.Errorf("status %d %v: %s", r.status, err, r.body)
			}
		})
	}
	all.Wait()
	got := w.spentSince(0)
	if count(got, callInstallation) != 1 || count(got, callAppToken) != 1 {
		t.Errorf("requests: %v, want one look-up and one token", got)
	}
}

// pgpKey makes a key and its private and public halves in armour.
func pgpKey(t *testing.T) (private, public string) {
	t.Helper()
	entity, err := openpgp.NewEntity("Versions Service", "", "versions@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	armoured := func(kind string, write func(w *strings.Builder) error) string {
		var text strings.Builder
		if err := write(&text); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		return text.String()
	}
	private = armoured("private", func(text *strings.Builder) error {
		out, err := armor.Encode(text, openpgp.PrivateKeyType, nil)
		if err != nil {
			return err
		}
		if err := entity.SerializePrivate(out, nil); err != nil {
			return err
		}
		return out.Close()
	})
	public = armoured("public", func(text *strings.Builder) error {
		out, err := armor.Encode(text, openpgp.PublicKeyType, nil)
		if err != nil {
			return err
		}
		if err := entity.Serialize(out); err != nil {
			return err
		}
		return out.Close()
	})
	return private, public
}

// A commit with COMMIT_SIGNING_KEY is verified by GitHub, by OpenPGP, and, where
// gpg is there, by git itself.
func TestSigningKey(t *testing.T) {
	t.Parallel()
	private, public := pgpKey(t)
	seen := &recorder{}
	w := start(t, onMain, seen.between, withEnv("COMMIT_SIGNING_KEY", private))
	w.must(w.hub.AddSigningKey(public))
	wantCommitted(t, w.post(mission))

	made := w.log()[0]
	if want := "Versions Service <versions@example.com>"; made.Author != want || made.Committer != want {
		t.Errorf("author %s, committer %s, want %s", made.Author, made.Committer, want)
	}
	if got := seen.answers(http.MethodPost, "/git/commits"); len(got) != 1 || !strings.Contains(got[0], `"reason":"valid"`) {
		t.Errorf("GitHub's answer: %s", got)
	}
	w.wantSigned(public)
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Log("gpg is not there: git verify-commit was not asked")
		return
	}
	w.gpgVerifies(gpg, public)
}

// The key that signs may be replaced while the service runs.
func TestSigningKeyIsReplaced(t *testing.T) {
	t.Parallel()
	private, public := pgpKey(t)
	v := newVolume(t, map[string]string{"key": private})
	w := prepare(t, onMain, withEnv("COMMIT_SIGNING_KEY_FILE", v.path("key")))
	w.watchEvery = 5 * time.Millisecond
	w.run()
	wantCommitted(t, w.post(mission))
	w.wantSigned(public)

	private, public = pgpKey(t)
	v.swap(map[string]string{"key": private})
	w.reloads("applied", 1)
	wantCommitted(t, w.post(setTo(node, "next")))
	w.wantSigned(public)
}

// wantSigned checks the signature of the branch's head by OpenPGP.
func (w *world) wantSigned(public string) {
	w.t.Helper()
	signed, signature := splitSignature(w.git("", "cat-file", "commit", "main"))
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(public))
	w.must(err)
	if _, err := openpgp.CheckArmoredDetachedSignature(ring, strings.NewReader(signed), strings.NewReader(signature), nil); err != nil {
		w.t.Errorf("the signature does not hold: %v\n%s", err, signature)
	}
}

// splitSignature takes a commit object apart into what is signed and the signature.
func splitSignature(commit string) (signed, signature string) {
	var payload, armour strings.Builder
	inside, head := false, true
	for line := range strings.Lines(commit) {
		head = head && line != "\n"
		after, begins := strings.CutPrefix(line, "gpgsig ")
		switch inside = head && (begins || inside && strings.HasPrefix(line, " ")); {
		case inside && begins:
			armour.WriteString(after)
		case inside:
			armour.WriteString(line[1:])
		default:
			payload.WriteString(line)
		}
	}
	return payload.String(), armour.String()
}

// gpgVerifies runs git verify-commit with a key ring that holds the key alone.
func (w *world) gpgVerifies(gpg, public string) {
	w.t.Helper()
	home, err := os.MkdirTemp("", "gpg") // its socket's path must be short
	w.must(err)
	w.t.Cleanup(func() { _ = os.RemoveAll(home) })
	file := filepath.Join(home, "key.asc")
	w.must(os.WriteFile(file, []byte(public), 0o600))
	for _, args := range [][]string{
		{gpg, "--homedir", home, "--batch", "--quiet", "--import", file},
		{"git", "-C", w.repo.Dir(), "verify-commit", "main"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestCommitAuthor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, author, want string }{
		{"set", "Octo Org <octo@example.com>", "Octo Org <octo@example.com>"},
		{"the token's own", "", "octocat"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain, withEnv("COMMIT_AUTHOR", tt.author))
			wantCommitted(t, w.post(mission))
			made := w.log()[0]
			if !strings.Contains(made.Author, tt.want) || made.Committer != made.Author && tt.author == "" {
				t.Errorf("author %s, committer %s, want %s", made.Author, made.Committer, tt.want)
			}
		})
	}
}
