package update_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

var write = flag.Bool("update", false, "write the expected rows of the present version")

// rows returns the stored rows under testdata whose names begin with prefix. Those of
// a former version stay as they were written.
func rows(t *testing.T, version, prefix string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "stored", version, prefix+"*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no rows of %s: %v", version, err)
	}
	found := map[string][]byte{}
	for _, path := range paths {
		if found[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// checkRow compares what is written now with the row of the present version.
func checkRow(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "stored", "v1", name)
	if *write {
		if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestStoredRequests reads the requests of every version and writes them again.
func TestStoredRequests(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"unversioned", "v1"} {
		for name, row := range rows(t, version, "request") {
			r, err := update.DecodeRequest(row)
			if err != nil {
				t.Errorf("%s %s: %v", version, name, err)
				continue
			}
			checkRow(t, name, update.EncodeRequest(r))
		}
	}
}

// TestStoredResults reads the results of every version and writes them again.
func TestStoredResults(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"unversioned", "v1"} {
		for name, row := range rows(t, version, "result") {
			r, err := update.DecodeResult(row)
			if err != nil {
				t.Errorf("%s %s: %v", version, name, err)
				continue
			}
			checkRow(t, name, update.EncodeResult(r))
		}
	}
}

func TestRequestOutlastsTheProcess(t *testing.T) {
	t.Parallel()
	digest, err := image.ParseDigest("sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	present, err := image.ParsePattern("-alpine$")
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, "nginx", "1.2", "apps/**", "{a,b}.yaml")
	r.Images[0].Permits = []update.Permit{{Target: "production", Rule: "releases", RefuseDowngrade: true}, {Target: "staging", Watched: true, WouldDeny: []string{"why"}, Closest: "releases"}}
	r.OverrideReason = "the shop is down"
	r.Images[0].Digest, r.Present, r.Repo, r.Branch, r.Message = digest, present, target, "main", "Deploy\n\nIt is <better>."
	r.Mode = update.PullRequestMode
	r.Source = update.Source{Repository: "octo-org/nginx", Revision: "42a252d", URL: "https://example.com/?a=1&b=2"}
	got, err := update.DecodeRequest(update.EncodeRequest(r))
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Options{
		cmp.Comparer(func(a, b image.Repository) bool { return a.String() == b.String() && a.Equal(b) }),
		cmp.Comparer(func(a, b image.Tag) bool { return a == b }),
		cmp.Comparer(func(a, b image.Digest) bool { return a == b }),
		cmp.Comparer(func(a, b image.Pattern) bool { return a.String() == b.String() }),
		cmp.FilterPath(func(p cmp.Path) bool {
			return p.Last().String() == ".census" || p.Last().String() == ".proposal" || p.Last().String() == ".stored"
		}, cmp.Ignore()),
	}
	if diff := cmp.Diff(r, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.Scope() != got.Scope() {
		t.Error("the scope is another one")
	}
	several := set(t, "nginx:1", "octo-org/web:2")
	several.Images[1].Digest = digest
	if got, err = update.DecodeRequest(update.EncodeRequest(several)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(several, got, same); diff != "" {
		t.Errorf("several (-want +got):\n%s", diff)
	}
}

func TestResultOutlastsTheProcess(t *testing.T) {
	t.Parallel()
	r := update.Result{
		Place:  update.Place{Name: "production", Repo: target, Branch: "main"},
		Status: update.Committed,
		Commit: &github.Commit{SHA: "42a252d", URL: "https://example.com/42a252d", Message: "Update nginx to 2\n\nUpdate-Id: one"},
		Files: []update.File{{Path: "a.yaml", Changes: []update.Change{{
			Image:   "nginx",
			Change:  manifest.Change{Place: manifest.Place{Line: 3, Column: 8, Pointer: "/image"}, From: "1", To: "2", FromDigest: "sha256:0", ToDigest: "sha256:1"},
			NamedIn: update.NamedIn{Path: "values.yaml", Line: 2},
		}}}},
		MergedVersions: []string{"1", "1.1"},
		Pull:           &update.Pull{Number: 17, URL: "https://example.com/pull/17", Branch: "versions/a", State: "closed"},
		Standing:       true, Reason: update.PullRequestClosed, Refused: []string{"draft: no"}, MergeError: "no",
		Notes: []string{"not checked"}, WouldDeny: []update.Denial{{Image: "nginx", Rule: "releases", Reasons: []string{"a downgrade"}}},
		Skipped: []update.Skip{{Path: "b.yaml", Line: 7, Reason: manifest.TooLarge, NamedIn: update.NamedIn{Path: "values.yaml", Line: 2}}},
	}
	got, err := update.DecodeResult(update.EncodeResult(r))
	if err != nil {
		t.Fatal(err)
	}
	r.Commit = &github.Commit{SHA: "42a252d", URL: "https://example.com/42a252d", Message: "Update nginx to 2"}
	if diff := cmp.Diff(r, got, cmp.AllowUnexported(update.File{}, update.Result{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFailureOutlastsTheProcess stores an error of each kind that the table knows.
func TestFailureOutlastsTheProcess(t *testing.T) {
	t.Parallel()
	seen := map[update.Code]bool{}
	for _, tt := range failures {
		r := update.Result{Place: update.Place{Repo: target, Branch: "main"}, Err: tt.err}
		want, _ := r.Failure()
		again, err := update.DecodeResult(update.EncodeResult(r))
		if err != nil {
			t.Fatal(err)
		}
		if got, failed := again.Failure(); !failed || !cmp.Equal(got, want) {
			t.Errorf("%v: %+v, want %+v", tt.err, got, want)
		}
		seen[want.Code] = true
	}
	for _, code := range update.Codes() {
		if !seen[code] {
			t.Errorf("no error has the code %s", code)
		}
	}
}

// TestStoredResultIsNoLongerForASharedCommit has a commit name 5 and 500 updates.
func TestStoredResultIsNoLongerForASharedCommit(t *testing.T) {
	t.Parallel()
	size := func(updates int) int {
		message := fmt.Sprintf("Update %03d images\n\n", updates) + strings.Repeat("Update-Id: 01a21370-2182-7127-b016-513879377018\n", updates)
		return len(update.EncodeResult(update.Result{Status: update.Committed, Commit: &github.Commit{Message: message}}))
	}
	if few, many := size(5), size(500); few != many {
		t.Errorf("%d bytes for 5 updates, %d for 500", few, many)
	}
}

func TestRowsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		``:                                "there is none",
		`{`:                               "unexpected end",
		`{"v":2,"image":"nginx"}`:         "later version",
		`{"v":1,"image":"Nginx"}`:         "image: ",
		`{"v":1,"image":"nginx"}`:         "version: ",
		`{"image":"nginx","version":"."}`: "version: ",
		`{"image":"nginx","version":"1","repository":"x"}`: "repository: ",
	} {
		if _, err := update.DecodeRequest([]byte(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("request %s: %v, want %q", text, err, part)
		}
	}
	for text, part := range map[string]string{
		``:                   "there is none",
		`[]`:                 "cannot unmarshal",
		`{"v":7}`:            "later version",
		`{"repository":"x"}`: "repository: ",
	} {
		if _, err := update.DecodeResult([]byte(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("result %s: %v, want %q", text, err, part)
		}
	}
	if _, err := update.DecodeResult([]byte(`{"v":7}`)); !errors.Is(err, update.ErrStoredLater) {
		t.Errorf("%v", err)
	}
}

// failures are errors, and what they mean.
var failures = []struct {
	name    string
	err     error
	code    update.Code
	detail  string // a part of it
	absent  bool
	passing bool
}{
	{"frozen", &update.FrozenError{Target: "production", Frozen: policy.Frozen{Reason: "holidays", Until: time.Date(2027, 1, 4, 0, 0, 0, 0, time.UTC)}, Wait: time.Hour}, update.CodeTargetFrozen, "production is frozen until 2027-01-04T00:00:00Z: holidays", false, true},
	{"frozen without an end", &update.FrozenError{Target: "production", Frozen: policy.Frozen{Reason: "audit"}}, update.CodeTargetFrozen, "production is frozen: audit", false, true},
	{"a downgrade", &update.DeniedError{Image: "nginx", Target: "production", Rule: "releases", Reasons: []string{"a.yaml:8 has 2, of which 1 is a downgrade"}}, update.CodePolicyDenied, "the rule releases refuses it: a.yaml:8", false, false},
	{"no such version", &update.ImageNotFoundError{Image: "nginx", Version: "9", Registry: "docker.io"}, update.CodeImageNotFound, "docker.io has no nginx:9", false, true},
	{"another digest", &update.ImageNotFoundError{Image: "nginx", Version: "9", Registry: "docker.io", Digest: "sha256:1", Has: "sha256:2"}, update.CodeImageNotFound, "with the digest sha256:2, and not with sha256:1", false, true},
	{"no known digest", &update.DigestUnknownError{Image: "nginx", Version: "9", Target: "production", Path: "a.yaml", Line: 8}, update.CodeDigestUnknown, "production pins digests, and that of nginx:9 is not known, for a.yaml:8", false, false},
	{"a registry that is away", &update.RegistryError{Code: update.CodeUpstreamError, Detail: "the registry ghcr.io does not answer", Err: errors.New("secret")}, update.CodeUpstreamError, "ghcr.io does not answer; nothing was written", false, true},
	{"image not named", &update.NotReferencedError{Images: []string{"nginx"}, Repo: target, Branch: "main"}, update.CodeImageNotReferenced, "names the image nginx", true, false},
	{"image of no target", &update.NotTakenError{Images: []string{"nginx"}}, update.CodeImageNotReferenced, "no target takes", true, false},
	{"repository of no target", &update.NoTargetError{Repo: target}, update.CodeRepositoryNotFound, "not a target", true, false},
	{"branch of no target", &update.NoTargetError{Branch: "stage"}, update.CodeBranchNotFound, "branch stage is not", true, false},
	{"target that is gone", &update.NoTargetError{Target: "gone"}, update.CodeRepositoryNotFound, "gone is not", false, false},
	{"lost races", &update.MovedError{Target: "main", Attempts: 16}, update.CodeBranchMoved, "16 times", false, true},
	{"limit", &github.RateLimitError{RetryAfter: time.Minute}, update.CodeUpstreamRateLimited, "nothing was written", false, true},
	{"stopping", update.ErrStopping, update.CodeUnavailable, "is stopping", false, true},
	{"store away", fmt.Errorf("%w: %w", update.ErrLedger, errors.New("no route")), update.CodeUnavailable, "left alone", false, true},
	{"late", &update.TimeoutError{After: time.Minute, Err: context.DeadlineExceeded}, update.CodeTimeout, "within 1m0s", false, true},
	{"late by no known limit", context.DeadlineExceeded, update.CodeTimeout, "in time", false, true},
	{"caller gone", context.Canceled, update.CodeCanceled, "caller is gone", false, true},
	{"foreign commits", &update.PullChangedError{Branch: "versions/a", Number: 3}, update.CodePullRequestChanged, "the branch of pull request #3 (versions/a) has commits that are not this service's", false, false},
	{"full", &update.PullFullError{Branch: "versions/a"}, update.CodePullRequestChanged, "as many images as it has room for", false, false},
	{"not merged", &update.MergeFailedError{Number: 3, Words: "no"}, update.CodeBranchProtected, `GitHub says: no`, false, false},
	{"protected", &github.Error{Kind: github.ErrBranchProtected}, update.CodeBranchProtected, "refty-infra-test@main: branch protected", false, false},
	{"credential", &github.Error{Kind: github.ErrUnauthorized, Status: 401}, update.CodeUpstreamUnauthorized, "refused the credential", false, true},
	{"permission", &github.Error{Kind: github.ErrForbidden, Detail: "needs contents=write"}, update.CodeUpstreamForbidden, "needs contents=write", false, false},
	{"no repository", &github.Error{Kind: github.ErrRepositoryNotFound}, update.CodeRepositoryNotFound, "repository not found", false, false},
	{"no branch", &github.Error{Kind: github.ErrBranchNotFound}, update.CodeBranchNotFound, "branch not found", false, false},
	{"GitHub failed", &github.Error{Kind: github.ErrUpstream, Status: 502, Err: github.ErrForbidden}, update.CodeUpstreamError, "(status 502)", false, true},
	{"doubt", &github.Error{
		Kind: github.ErrUpstream, Detail: "see whether commit 42a252d is on the branch",
		Err: errors.Join(&github.UnknownOutcomeError{}, context.DeadlineExceeded),
	}, update.CodeUpstreamError, "see whether", false, true},
	{"a fault of ours", errors.New("password is hunter2"), update.CodeInternal, "its log has more", false, true},
	{"panic", &update.PanicError{Value: "hunter2"}, update.CodeInternal, "its log has more", false, true},
}

func TestFailureOf(t *testing.T) {
	t.Parallel()
	for _, tt := range failures {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := update.Result{Place: update.Place{Repo: target, Branch: "main"}, Err: tt.err}
			got, failed := r.Failure()
			if !failed || got.Code != tt.code || got.Absent != tt.absent || got.Code.Passing() != tt.passing || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("%+v", got)
			}
			if got.Code == update.CodeInternal && strings.Contains(got.Detail, "hunter2") {
				t.Errorf("it shows the inside: %s", got.Detail)
			}
		})
	}
	if _, failed := (update.Result{}).Failure(); failed {
		t.Error("what did not fail has a failure")
	}
}

// FuzzStored reads any text as a row: what is understood is written as it is read.
func FuzzStored(f *testing.F) {
	for _, path := range []string{"request-full.json", "result-many.json", "result-absent.json"} {
		row, err := os.ReadFile(filepath.Join("testdata", "stored", "unversioned", path))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		if r, err := update.DecodeRequest(row); err == nil {
			text := update.EncodeRequest(r)
			again, err := update.DecodeRequest(text)
			if err != nil || !bytes.Equal(update.EncodeRequest(again), text) || !json.Valid(text) {
				t.Errorf("%s: %v", text, err)
			}
		}
		if r, err := update.DecodeResult(row); err == nil {
			text := update.EncodeResult(r)
			again, err := update.DecodeResult(text)
			if err != nil || !bytes.Equal(update.EncodeResult(again), text) {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}
