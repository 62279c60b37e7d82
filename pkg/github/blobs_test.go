package github_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A server that speaks less than GitHub is understood.
func TestServersThatSpeakLess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		set   func(*sandbox.Settings)
		files int
		want  []string
	}{
		{"base64 though raw was asked for", func(s *sandbox.Settings) { s.Base64Blobs = true }, 1, []string{readHead, readTree, readBlob}},
		{"a branch without its tree", func(s *sandbox.Settings) { s.BranchWithoutTree = true }, 1, []string{readHead, readCommit, readTree, readBlob}},
		{
			"no branches", func(s *sandbox.Settings) { s.NoBranches = true }, 1,
			[]string{readHead, "GET /repos/{owner}/{repo}", readRef, readCommit, readTree, readBlob},
		},
		{
			"no tarball", func(s *sandbox.Settings) { s.NoTarball = true }, 50,
			append(slices.Repeat([]string{readBlob}, 50), readHead, readTree, readTarball),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			files := many(test.files)
			w.push(files)
			w.sb.Configure(test.set)
			b := w.branch()
			s := w.snapshot(b)
			if diff := cmp.Diff(files, w.contents(b, s)); diff != "" {
				t.Errorf("contents (-want +got)\n%s", diff)
			}
			w.wantSpent(test.want...)
			_, err := b.Commit(t.Context(), s, set(s, "apps/team-0/app-0000.yaml", "image: x:2\n"))
			w.must(err)
			w.wantFile("apps/team-0/app-0000.yaml", "image: x:2\n")

			other := map[string]string{"theirs.txt": "x"}
			for path, content := range files {
				other[path] = "# " + content
			}
			w.push(other)
			w.spent()
			s = w.snapshot(b)
			if string(s.Commit) != w.head() {
				t.Error("a push is not seen")
			}
			w.contents(b, s)
			if got := w.spent(); slices.Contains(got, "GET /repos/{owner}/{repo}") || slices.Contains(got, readTarball) {
				t.Errorf("spent %v: what the server lacks is not remembered", got)
			}
		})
	}
}

func TestArchiveFallsBackToBlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := many(60)
	files[".gitattributes"] = "apps/team-1/** export-ignore\napps/team-2/** export-subst\n"
	ignored := 0
	for path := range files {
		if strings.HasPrefix(path, "apps/team-2/") {
			files[path] += "# $Format:%H$\n"
		}
		if strings.HasPrefix(path, "apps/team-1/") || strings.HasPrefix(path, "apps/team-2/") {
			ignored++
		}
	}
	w.push(files)
	delete(files, ".gitattributes")
	b := w.branch()
	if diff := cmp.Diff(files, w.contents(b, w.snapshot(b))); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	w.wantSpent(append(slices.Repeat([]string{readBlob}, ignored), readHead, readTree, readTarball)...)
}

// faulty answers archive downloads with what f makes of them.
type rewrite struct {
	next http.RoundTripper
	f    func(*http.Request, *http.Response)
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil {
		r.f(req, resp)
	}
	return resp, err
}

func TestArchiveThatBreaks(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*http.Response){
		"not found":   func(resp *http.Response) { resp.StatusCode = http.StatusNotFound },
		"no gzip":     func(resp *http.Response) { setBody(resp, "<html>") },
		"cut":         func(resp *http.Response) { cutBody(resp, 700) },
		"empty":       func(resp *http.Response) { setBody(resp, "") },
		"server gone": func(resp *http.Response) { cutBody(resp, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			files := many(60)
			w.push(files)
			downloads := 0
			client := w.another(func(o *github.Options) {
				o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
					if strings.Contains(req.URL.Path, "legacy.tar.gz") {
						downloads++
						f(resp)
					}
				}}
			})
			b := client.Branch(parse(t, repoName), "main")
			if diff := cmp.Diff(files, w.contents(b, w.snapshot(b))); diff != "" {
				t.Errorf("contents (-want +got)\n%s", diff)
			}
			if downloads != 2 {
				t.Errorf("%d downloads, want a second try", downloads)
			}
		})
	}
}

func TestBlobThatIsNotWhatItsNameSays(t *testing.T) {
	t.Parallel()
	w, _, _ := planned(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if strings.Contains(req.URL.Path, "/git/blobs/") {
				setBody(resp, "image: wrong:1\n")
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "main")
	_, err := readYAML(t.Context(), b, w.snapshot(b))
	wantKind(t, err, github.ErrUpstream, http.StatusOK)
}

func TestReadIsRepeatedWhileGitHubFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{"502": sandbox.BadGateway(), "lost": sandbox.Drop(), "cut": sandbox.Cut()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			files := many(5)
			w.push(files)
			w.sb.Inject(fault.On(http.MethodGet, "").For(3))
			b := w.branch()
			if diff := cmp.Diff(files, w.contents(b, w.snapshot(b))); diff != "" {
				t.Errorf("contents (-want +got)\n%s", diff)
			}
		})
	}
}

func TestReadReturnsTheVisitorsError(t *testing.T) {
	t.Parallel()
	for _, n := range []int{5, 60} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.push(many(n))
			b := w.branch()
			s := w.snapshot(b)
			enough := errors.New("enough")
			for range 2 { // from GitHub, then out of the cache
				visits := 0
				err := b.Read(t.Context(), s, s.Entries, func(int, []byte) error { visits++; return enough })
				if err != enough || visits != 1 { //nolint:errorlint // as it is
					t.Errorf("error %v after %d visits", err, visits)
				}
			}
		})
	}
}

func TestReadOfOneContentInSeveralFiles(t *testing.T) {
	t.Parallel()
	for _, extra := range []int{0, 60} {
		t.Run(fmt.Sprint(extra), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			files := many(extra)
			maps.Copy(files, map[string]string{"a.yaml": "same\n", "b.yaml": "same\n", "c.yaml": ""})
			w.push(files)
			b := w.branch()
			for range 2 {
				if diff := cmp.Diff(files, w.contents(b, w.snapshot(b))); diff != "" {
					t.Errorf("contents (-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestCacheKeepsItsBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *github.Options) { o.CacheBytes = 8800 }) // with the branch and its listing
	w.sb.Configure(func(s *sandbox.Settings) { s.NoTarball = true })
	files := map[string]string{}
	for i := range 10 {
		files[fmt.Sprintf("f%d.yaml", i)] = fmt.Sprintf("%d", i) + strings.Repeat("x", 500)
	}
	w.push(files)
	b := w.branch()
	s := w.snapshot(b)
	w.contents(b, s)
	w.spent()
	if diff := cmp.Diff(files, w.contents(b, s)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	if got := len(w.spent()); got < 6 || got > 10 {
		t.Errorf("%d of 10 blobs were read again, room is for 4", got)
	}
	none := w.another(func(o *github.Options) { o.CacheBytes = -1 }).Branch(parse(t, repoName), "main")
	if diff := cmp.Diff(files, w.contents(none, w.snapshot(none))); diff != "" {
		t.Errorf("contents without a cache (-want +got)\n%s", diff)
	}
}

// A file that the archive holds with other bytes, of the same number, is fetched
// by its name.
func TestArchiveWithOtherBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := many(60)
	w.push(files)
	var headers []*tar.Header
	for path, content := range files {
		headers = append(headers, &tar.Header{Typeflag: tar.TypeReg, Name: "octo-org-infra-0123456/" + path, Mode: 0o644, Size: int64(len(content))})
	}
	forged := string(gzipped(t, headers...))
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if strings.Contains(req.URL.Path, "legacy.tar.gz") {
				setBody(resp, forged)
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "main")
	if diff := cmp.Diff(files, w.contents(b, w.snapshot(b))); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *github.Options) { o.CacheBytes = 8192 }) // room for four, the branch and its listing
	files := map[string]string{}
	for _, name := range "abcde" {
		files[string(name)+".yaml"] = strings.Repeat(string(name), 500)
	}
	w.push(files)
	b := w.branch()
	s := w.snapshot(b)
	read := func(name string) int {
		t.Helper()
		w.spent()
		at := slices.IndexFunc(s.Entries, func(e github.Entry) bool { return e.Path == name+".yaml" })
		w.must(b.Read(t.Context(), s, s.Entries[at:at+1], func(int, []byte) error { return nil }))
		return len(w.spent())
	}
	for _, step := range []struct {
		name string
		want int
	}{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"a", 0}, {"e", 1}, {"a", 0}, {"b", 1}} {
		if got := read(step.name); got != step.want {
			t.Errorf("%s cost %d requests, want %d", step.name, got, step.want)
		}
	}
}
