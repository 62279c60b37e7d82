package sandbox_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// member is what counts of an archive's entry.
type member struct {
	Name, Link, Content, User string
	Mode                      int64
	Time                      time.Time
	Comment                   string
}

func members(t *testing.T, r io.Reader) []member {
	t.Helper()
	var all []member
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		m := member{h.Name, h.Linkname, string(content), h.Uname, h.Mode, h.ModTime.UTC(), h.PAXRecords["comment"]}
		if h.Typeflag == tar.TypeXGlobalHeader {
			m = member{Name: h.Name, Comment: m.Comment}
		}
		all = append(all, m)
	}
}

func (h *hub) tarball(revision string) []member {
	h.t.Helper()
	hop := h.must(302, h.do("GET", "/tarball/"+revision, nil))
	if len(hop.body) != 0 {
		h.t.Errorf("302 with a body: %s", hop.body)
	}
	r := h.must(200, h.send("GET", hop.header.Get("Location"), nil, "Authorization: "))
	z, err := gzip.NewReader(bytes.NewReader(r.body))
	if err != nil {
		h.t.Fatal(err)
	}
	return members(h.t, z)
}

// git archive is the judge, also of the attributes.
func TestTarballEqualsGitArchive(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	long := strings.Repeat("long-folder-name/", 9) + "file.yaml"
	h.commit(sandbox.Files{
		".gitattributes":        text("secret.yaml export-ignore\n/docs export-ignore\n*.txt export-subst\n# comment\n"),
		"secret.yaml":           text("s\n"),
		"docs/a.md":             text("d\n"),
		"apps/docs/a.md":        text("kept\n"),
		"apps/secret.yaml":      text("s\n"),
		"apps/.gitattributes":   text("keep/secret.yaml -export-ignore\ngone export-ignore\n"),
		"apps/keep/secret.yaml": text("kept\n"),
		"apps/gone/x.yaml":      text("g\n"),
		"only/secret.yaml":      text("the folder goes too\n"),
		"version.txt":           text("$Format:%H %h %T %an <%ae> %ct %cI %s%n%%$ and $Format:plain$\n"),
		"run.sh":                {Content: []byte("#!/bin/sh\n"), Mode: "100755"},
		"link":                  {Content: []byte("apps"), Mode: "120000"},
		"ünï.yaml":              text("u\n"),
		long:                    text("l\n"),
	})
	head := h.head()
	got := h.tarball(head)
	cmd := exec.CommandContext(t.Context(), "git", "-c", "tar.umask=0002", "archive", "--format=tar", "--prefix=octo-org-infra-"+head[:7]+"/", head)
	cmd.Dir = h.repo.Dir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(members(t, bytes.NewReader(out)), got); diff != "" {
		t.Errorf("archive (-git +got):\n%s", diff)
	}
	if got[0].Comment != head {
		t.Errorf("comment %q, want the commit", got[0].Comment)
	}
}

func TestArchiveAddresses(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h := newHub(t, func(o *sandbox.Options) { o.Clock = w.Now })
	location := h.must(302, h.do("GET", "/tarball/main", nil)).header.Get("Location")
	if strings.HasPrefix(location, h.url) {
		t.Errorf("archive on the API's own host: %s", location)
	}
	h.must(400, h.send("GET", location, nil)) // the token came along
	h.must(200, h.send("GET", location, nil, "Authorization: "))
	h.must(404, h.send("GET", strings.Split(location, "?")[0], nil, "Authorization: "))
	w.Add(5*time.Minute + time.Second)
	h.must(404, h.send("GET", location, nil, "Authorization: "))
	var got []int
	for _, d := range h.Downloads() {
		got = append(got, d.Status)
		if d.Authorization != (d.Status == 400) {
			t.Errorf("download %+v", d)
		}
	}
	if diff := cmp.Diff([]int{400, 200, 404, 404}, got); diff != "" {
		t.Errorf("downloads (-want +got):\n%s", diff)
	}
	if got := h.Counts()["GET /repos/{owner}/{repo}/tarball/{ref}"]; got != 1 || len(h.Requests()) != 1 {
		t.Errorf("%d tarball requests of %d, want 1 of 1", got, len(h.Requests()))
	}
}
