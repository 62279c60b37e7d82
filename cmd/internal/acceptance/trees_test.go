package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// versioned gives every one of the files the mission's image.
func versioned(files map[string]string) map[string]string {
	for path := range files {
		files[path] = deployment(node + ":10-10-ver")
	}
	return files
}

// atVersion counts the files on the branch that are at a version of the
// mission's image.
func (w *world) atVersion(version string) int {
	w.t.Helper()
	return strings.Count(w.git("", "grep", "-l", node+":"+version, "main"), "\n")
}

// A tree too large for one answer is walked folder by folder.
func TestTruncatedTree(t *testing.T) {
	t.Parallel()
	for _, entries := range []int{200, 30, 10} {
		t.Run(fmt.Sprintf("at most %d entries in an answer", entries), func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain, withFiles(versioned(manyFiles(160))))
			w.hub.Configure(func(s *sandbox.Settings) { s.TreeEntries = entries })
			before := w.head()
			wantCommitted(t, w.post(mission))
			if got := w.atVersion("05-06-42a252"); got != 162 {
				t.Errorf("%d files are at the version, want 162", got)
			}
			if n := w.commitsSince(before); n != 1 {
				t.Errorf("%d commits", n)
			}
			if got := count(w.spentSince(0), callTree); entries < 180 && got < 3 {
				t.Errorf("%d trees were read: the listing was not truncated", got)
			}
			mark := w.mark()
			wantCommitted(t, w.post(setTo(node, "next")))
			w.wantSpent(mark, writes()...)
		})
	}
}

// An edit that is too large for one request takes several and is one commit still,
// on a GitHub that gives up on any more.
func TestLargeEdit(t *testing.T) {
	t.Parallel()
	padding := strings.Repeat("# <nothing> & nobody\n", 5_000)
	files := map[string]string{}
	for i := range 24 {
		files[fmt.Sprintf("large/%02d.yaml", i)] = deployment(node+":10-10-ver") + padding
	}
	tests := []struct {
		name  string
		files map[string]string
		trees int // at least
	}{
		{"250 files", versioned(manyFiles(250)), 1},
		{"2.5 MB", files, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain, withFiles(tt.files))
			w.hub.Configure(func(s *sandbox.Settings) { s.NewTreeEntries, s.NewTreeBytes = 1000, 1<<20+4096 })
			before := w.head()
			wantCommitted(t, w.post(mission))
			got := w.spentSince(0)
			if trees := count(got, callNewTree); trees < tt.trees {
				t.Errorf("%d trees were made, want at least %d", trees, tt.trees)
			}
			if count(got, callNewCommit) != 1 || w.commitsSince(before) != 1 {
				t.Errorf("want one commit: %v", got)
			}
			for _, r := range w.calls() {
				if r.Status >= 400 {
					t.Errorf("%s was answered %d", r.Endpoint, r.Status)
				}
			}
			if got := w.atVersion("05-06-42a252"); got != len(tt.files)+2 {
				t.Errorf("%d files are at the version, want %d", got, len(tt.files)+2)
			}
			w.git("", "fsck", "--strict")
		})
	}
}

// A tree that GitHub takes too long over is built from smaller pieces.
func TestTreeThatTimesOut(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(versioned(manyFiles(60))))
	w.hub.Configure(func(s *sandbox.Settings) { s.NewTreeEntries = 20 })
	before := w.head()
	wantCommitted(t, w.post(mission))
	if w.atVersion("05-06-42a252") != 62 || w.commitsSince(before) != 1 {
		t.Errorf("want 62 files in one commit: %v", w.spentSince(0))
	}
}

// A file in another encoding is left alone and listed, and the rest is committed.
func TestFileThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	latin := "# f\xfcr alle\n" + deployment(node+":10-10-ver")
	w.push(map[string]string{"apps/latin.yaml": latin})
	r := w.post(mission)
	wantCommitted(t, r)
	want := []api.Skip{{Path: "apps/latin.yaml", Line: ptr(9), Reason: "not_utf8"}}
	if diff := cmp.Diff(want, r.update.Targets[0].Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if w.file("apps/latin.yaml") != latin {
		t.Error("the file was touched")
	}
}

func ptr[T any](v T) *T { return &v }

// The archive is a shortcut and not the truth: what it leaves out or rewrites is
// fetched blob by blob, and so is everything when there is none.
func TestArchiveIsNotTrusted(t *testing.T) {
	t.Parallel()
	attributes := "teams/03/** export-ignore\nteams/04/** export-subst\n"
	for _, tt := range []struct {
		name  string
		stage option
		blobs int
	}{
		{"export-ignore and export-subst", func(*world) {}, 20},
		{"no archives", func(w *world) { w.hub.Configure(func(s *sandbox.Settings) { s.NoTarball = true }) }, 202},
		{"forbidden", func(w *world) {
			w.hub.Inject(sandbox.Refuse(http.StatusUnauthorized, "Bad credentials").On(http.MethodGet, "tarball"))
		}, 202},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := manyFiles(200)
			for path, content := range files {
				files[path] = content + "# $Format:%H$ " + path + "\n"
			}
			files[".gitattributes"] = attributes
			w := start(t, onMain, withFiles(files), tt.stage)
			wantCommitted(t, w.post(setTo("octo-org/app-00003", "2")))
			wantCommitted(t, w.post(setTo("octo-org/app-00004", "2")))
			for i, path := range []string{"teams/03/app-00003.yaml", "teams/04/app-00004.yaml"} {
				want := deployment(fmt.Sprintf("octo-org/app-%05d:2", 3+i)) + "# $Format:%H$ " + path + "\n"
				if diff := cmp.Diff(want, w.file(path)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
			if got := count(w.spentSince(0), callBlob); got > tt.blobs+1 {
				t.Errorf("%d blobs were read one by one, want about %d", got, tt.blobs)
			}
		})
	}
}

// A content that is not what its name says is an error and never an edit.
func TestContentThatDoesNotHashIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	before := w.head()
	w.hub.Inject(sandbox.Refuse(http.StatusOK, "not the file").On(http.MethodGet, "git/blobs"))
	r := w.post(mission)
	if r.status != http.StatusBadGateway || r.problem.Code != api.ProblemCodeUpstreamError || !strings.Contains(r.problem.Detail, "hash") {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if w.head() != before {
		t.Error("the branch moved")
	}
}
