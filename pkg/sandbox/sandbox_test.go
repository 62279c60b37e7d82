package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const repoName = "octo-org/infra"

// hub is an embedded GitHub on a port of its own, with one repository.
type hub struct {
	*sandbox.Server
	t    *testing.T
	url  string
	repo *sandbox.Repository
}

func newHub(t *testing.T, change ...func(*sandbox.Options)) *hub {
	t.Helper()
	o := sandbox.Options{Dir: t.TempDir()}
	for _, f := range change {
		f(&o)
	}
	sb, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sb)
	archives := httptest.NewServer(sb.Archives())
	sb.SetURLs(server.URL, "", archives.URL)
	repo, err := sb.CreateRepository(repoName, sandbox.RepositoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		archives.Close()
		if err := sb.Close(); err != nil {
			t.Error(err)
		}
	})
	return &hub{sb, t, server.URL, repo}
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// field reads a value of the JSON body by keys.
func (r reply) field(keys ...string) any {
	var v any
	if json.Unmarshal(r.body, &v) != nil {
		return nil
	}
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func (r reply) text(keys ...string) string {
	s, _ := r.field(keys...).(string)
	return s
}

// do sends a request below /repos/octo-org/infra, or anywhere for a path that
// begins with two slashes. Headers come as "Name: value".
func (h *hub) do(method, path string, body any, headers ...string) reply {
	h.t.Helper()
	url := h.url + "/repos/" + repoName + path
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		url = h.url + "/" + rest
	}
	return h.send(method, url, body, headers...)
}

func (h *hub) send(method, url string, body any, headers ...string) reply {
	h.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, url, reader)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sandbox")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, b, err}
}

// must fails the test unless the answer has the status.
func (h *hub) must(status int, r reply) reply {
	h.t.Helper()
	if r.err != nil || r.status != status {
		h.t.Fatalf("status %d, want %d (error %v): %.300s", r.status, status, r.err, r.body)
	}
	return r
}

func (h *hub) commit(files sandbox.Files) string {
	h.t.Helper()
	sha, err := h.repo.Commit("main", files, "change")
	if err != nil {
		h.t.Fatal(err)
	}
	return sha
}

func (h *hub) head() string {
	h.t.Helper()
	sha, err := h.repo.Head("main")
	if err != nil {
		h.t.Fatal(err)
	}
	return sha
}

// git runs the command line in the bare repository.
func (h *hub) git(args ...string) string {
	h.t.Helper()
	return runGit(h.t, h.repo.Dir(), args...)
}

func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=Mona", "GIT_AUTHOR_EMAIL=mona@example.com",
		"GIT_COMMITTER_NAME=Mona", "GIT_COMMITTER_EMAIL=mona@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

func (h *hub) fsck() {
	h.t.Helper()
	if out := h.git("fsck", "--strict", "--full", "--no-dangling"); out != "" {
		h.t.Errorf("git fsck says:\n%s", out)
	}
}

func text(s string) sandbox.File { return sandbox.File{Content: []byte(s)} }
