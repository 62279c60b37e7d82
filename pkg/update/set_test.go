package update_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// set is a request for several images, such as octo-org/a:2.
func set(t testing.TB, images ...string) update.Request {
	t.Helper()
	r := update.Request{Listed: true}
	for _, text := range images {
		name, version, _ := strings.Cut(text, ":")
		r.Images = append(r.Images, request(t, name, version).Images...)
	}
	return r
}

// tell is what a request came to: its status or a part of its error, the images that it
// left to others, and its changes.
func tell(r update.Result) string {
	if r.Err != nil {
		return "error: " + r.Err.Error()
	}
	text := string(r.Status)
	for _, m := range r.Superseded {
		if r.Status != update.Superseded {
			text += " -" + m.Repository.String()
		}
	}
	for _, f := range r.Files {
		for _, c := range f.Changes {
			text += fmt.Sprintf(" %s:%d %s %s→%s", f.Path, c.Line, c.Image, c.From, c.To)
		}
	}
	return text
}

// A set is one commit, in which each change tells its image.
func TestSet(t *testing.T) {
	t.Parallel()
	b := twoImages()
	b.files["both.yaml"] = "- image: octo-org/b:1\n- image: octo-org/a:0\n- image: octo-org/c:1\n"
	r := set(t, "octo-org/a:2", "octo-org/b:3")
	r.ID, r.Caller = "one", "ci"
	got := one(t.Context(), t, newService(b, true), r)
	want := "committed a.yaml:1 octo-org/a 1→2 b.yaml:1 octo-org/b 1→3 both.yaml:1 octo-org/b 1→3 both.yaml:2 octo-org/a 0→2"
	if tell(got) != want || len(b.commits) != 1 || got.MergedVersions != nil {
		t.Errorf("%s after %d commits, want %s", tell(got), len(b.commits), want)
	}
	message := "Update 2 images\n\n- Update octo-org/a to 2\n- Update octo-org/b to 3\n\n" +
		"Image: octo-org/a\nVersion: 2\nImage: octo-org/b\nVersion: 3\nRequested-By: ci\nUpdate-Id: one"
	if d := cmp.Diff(message, b.commits[0].Message); d != "" {
		t.Errorf("message (-want +got):\n%s", d)
	}
	if got := one(t.Context(), t, newService(b, true), r); tell(got) != "unchanged" {
		t.Errorf("once more: %s", tell(got))
	}
}

// The trailers stand in the order that is documented.
func TestTrailers(t *testing.T) {
	t.Parallel()
	b := twoImages()
	r := set(t, "octo-org/a:2")
	digest, err := image.ParseDigest("sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	r.ID, r.Caller, r.Message, r.OverrideReason, r.Passes = "one", "ours", "Deploy\n\nSigned-off-by: A <a@example.com>", "it burns", []string{"h1"}
	r.Images[0].Digest = digest
	r.Images[0].Permits = []update.Permit{{Target: "other", Rule: "no"}, {Target: "refty-yapi/refty-infra-test@main", Rule: "own-image"}}
	r.Source = update.Source{Repository: "octo-org/a", Revision: "42a252d", URL: "https://example.com/1"}
	one(t.Context(), t, newService(b, true), r)
	want := "Deploy\n\nSigned-off-by: A <a@example.com>\nImage: octo-org/a\nVersion: 2\nDigest: " + digest.String() +
		"\nRequested-By: ours\nRule: own-image\nSource-Repository: octo-org/a\nSource-Revision: 42a252d\nSource-URL: https://example.com/1" +
		"\nOverride-Reason: it burns\nHold-Id: h1\nUpdate-Id: one"
	if d := cmp.Diff(want, b.commits[0].Message); d != "" {
		t.Errorf("message (-want +got):\n%s", d)
	}
}

// infras is a service with targets on branches of their own.
func infras(branches map[string]*branch, images map[string][]string) *update.Service {
	var o update.Options
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range branches {
			if !yield(name) {
				return
			}
		}
	}) {
		o.Targets = append(o.Targets, update.Target{
			Name: name, Repo: github.Repo{Owner: "octo-org", Name: name}, Branch: "main", Repository: branches[name], Images: images[name],
		})
	}
	return update.New(o)
}

// Each target gets the images that it names, and an image that none names ends all of
// the request, on one target and on several, stored or not.
func TestSetOfWhichNobodyNamesOne(t *testing.T) {
	t.Parallel()
	files := func(names ...string) *branch {
		b := &branch{files: map[string]string{}}
		for _, name := range names {
			b.files[name+".yaml"] = "image: octo-org/" + name + ":1\n"
		}
		return b
	}
	tests := []struct {
		name    string
		targets map[string]*branch
		images  map[string][]string // that a target takes
		ask     []string
		want    []string
	}{
		{"one target", map[string]*branch{"x": files("a")}, nil, []string{"octo-org/a:2", "octo-org/b:2", "octo-org/c:2"}, []string{
			"error: no YAML file on refty-yapi/refty-infra-test@main names the images octo-org/b, octo-org/c; check their spelling, registries included; the other images were left alone",
		}},
		{"each its own", map[string]*branch{"x": files("a"), "y": files("b"), "z": files("c")}, nil, []string{"octo-org/a:2", "octo-org/b:2"}, []string{
			"committed a.yaml:1 octo-org/a 1→2", "committed b.yaml:1 octo-org/b 1→2",
		}},
		{"none of two", map[string]*branch{"x": files("a"), "y": files("b")}, nil, []string{"octo-org/a:2", "octo-org/b:2", "octo-org/c:2"}, []string{
			"error: no YAML file on refty-yapi/refty-infra-test@main names the image octo-org/c; check its spelling, registry included; the other images were left alone",
			"error: no YAML file on refty-yapi/refty-infra-test@main names the image octo-org/c; check its spelling, registry included; the other images were left alone",
		}},
		{"one that only another takes", map[string]*branch{"x": files("a"), "y": files("c")}, map[string][]string{"x": {"**/a"}, "y": {"**/b"}}, []string{"octo-org/a:2", "octo-org/b:2"}, []string{
			"error: no YAML file on refty-yapi/refty-infra-test@main names the image octo-org/b; check its spelling, registry included; the other images were left alone",
		}},
	}
	for _, tt := range tests {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stored %t", tt.name, stored), func(t *testing.T) {
				t.Parallel()
				targets := map[string]*branch{}
				for name, b := range tt.targets {
					targets[name] = &branch{files: map[string]string{}}
					for path, content := range b.files {
						targets[name].files[path] = content
					}
				}
				s := infras(targets, tt.images)
				r := set(t, tt.ask...)
				var results []update.Result
				var err error
				if !stored {
					results, err = s.Update(t.Context(), r)
				} else {
					choices, _ := s.Choose(r)
					for _, c := range choices {
						one := r
						one.Images, one.All = c.Images, r.Images
						if result := s.Apply(t.Context(), c.ID, []update.Request{one})[0]; !isAbsent(result) {
							results = append(results, result)
						}
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range results {
					got = append(got, tell(r))
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				for name, b := range targets {
					if refused := strings.HasPrefix(tt.want[0], "error"); refused && len(b.commits) > 0 {
						t.Errorf("%s has a commit", name)
					}
				}
				r.DryRun = true
				plans, err := s.Update(t.Context(), r)
				if err != nil || len(plans) != len(tt.want) || (plans[0].Err != nil) != strings.HasPrefix(tt.want[0], "error") {
					t.Errorf("dry run: %+v, %v", plans, err)
				}
			})
		}
	}
}

func isAbsent(r update.Result) bool {
	f, failed := r.Failure()
	return failed && f.Absent
}

// A target that cannot be read may be the one that names an image: the others wait.
func TestSetWaitsForATargetThatIsAway(t *testing.T) {
	t.Parallel()
	x, y := &branch{files: map[string]string{"a.yaml": "image: octo-org/a:1\n"}}, &branch{}
	away := &away{branch: y}
	s := update.New(update.Options{Targets: []update.Target{
		{Name: "x", Repo: target, Branch: "main", Repository: x}, {Name: "y", Repo: target, Branch: "other", Repository: away},
	}})
	results, err := s.Update(t.Context(), set(t, "octo-org/a:2", "octo-org/b:2"))
	if err != nil || len(results) != 2 {
		t.Fatal(results, err)
	}
	for _, r := range results {
		if f, _ := r.Failure(); f.Code != update.CodeUpstreamError {
			t.Errorf("%s: %+v", r.Name, r)
		}
	}
	if len(x.commits) > 0 {
		t.Errorf("commits: %+v", x.commits)
	}
}

// away is a branch that cannot be read.
type away struct{ *branch }

func (*away) Snapshot(context.Context) (*github.Snapshot, error) {
	return nil, &github.Error{Kind: github.ErrUpstream, Detail: "GitHub is away"}
}

// Sets and single requests meet while a commit is under way: the newest wins each image,
// and the rest of a set goes on.
func TestSetsMeet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		requests []update.Request
		want     []string
		commits  int
		b, c     string
	}{
		{
			"a newer one takes an image",
			[]update.Request{set(t, "octo-org/b:2", "octo-org/c:2"), request(t, "octo-org/b", "3")},
			[]string{"committed -octo-org/b c.yaml:1 octo-org/c 1→2", "committed b.yaml:1  1→3"},
			1, "3", "2",
		},
		{
			"a newer set takes all",
			[]update.Request{set(t, "octo-org/b:2", "octo-org/c:2"), set(t, "octo-org/c:3", "octo-org/b:3")},
			[]string{"superseded", "committed b.yaml:1 octo-org/b 1→3 c.yaml:1 octo-org/c 1→3"},
			1, "3", "3",
		},
		{
			"two take one each",
			[]update.Request{set(t, "octo-org/b:2", "octo-org/c:2"), request(t, "octo-org/b", "3"), request(t, "octo-org/c", "4")},
			[]string{"superseded", "committed b.yaml:1  1→3", "committed c.yaml:1  1→4"},
			1, "3", "4",
		},
		{
			"the same version is both's",
			[]update.Request{set(t, "octo-org/b:2", "octo-org/c:2"), request(t, "octo-org/b", "2")},
			[]string{"committed b.yaml:1 octo-org/b 1→2 c.yaml:1 octo-org/c 1→2", "committed b.yaml:1  1→2"},
			1, "2", "2",
		},
		{
			"a set that is refused does not hold up others",
			[]update.Request{set(t, "octo-org/b:2", "octo-org/none:2"), request(t, "octo-org/c", "2")},
			[]string{"error: no YAML file on refty-yapi/refty-infra-test@main names the image octo-org/none; check its spelling, registry included; the other images were left alone", "committed c.yaml:1  1→2"},
			1, "1", "2",
		},
		{
			"a set stays together beside other paths",
			[]update.Request{request(t, "octo-org/b", "3", "b.*"), set(t, "octo-org/b:2", "octo-org/c:2")},
			[]string{"committed b.yaml:1  1→3", "committed b.yaml:1 octo-org/b 3→2 c.yaml:1 octo-org/c 1→2"},
			2, "2", "2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				b := held(release)
				b.files["c.yaml"] = "image: octo-org/c:1\n"
				s := newService(b, true)
				running := later(t.Context(), t, s, request(t, "octo-org/a", "2"))
				var results []<-chan update.Result
				for _, r := range tt.requests {
					results = append(results, later(t.Context(), t, s, r))
				}
				close(release)
				<-running
				for i, c := range results {
					if got := tell(<-c); got != tt.want[i] {
						t.Errorf("request %d: %s, want %s", i, got, tt.want[i])
					}
				}
				if got := len(b.commits) - 1; got != tt.commits {
					t.Errorf("%d commits, want %d", got, tt.commits)
				}
				if !strings.Contains(b.files["b.yaml"], "octo-org/b:"+tt.b+"\n") || b.files["c.yaml"] != "image: octo-org/c:"+tt.c+"\n" {
					t.Errorf("files %q", b.files)
				}
			})
		})
	}
}

// What the store says is replaced is left out of a set, and the rest is committed.
func TestSetOfWhichOneIsReplacedElsewhere(t *testing.T) {
	t.Parallel()
	for _, replaced := range [][]string{{"docker.io/octo-org/a"}, {"docker.io/octo-org/a", "docker.io/octo-org/b"}} {
		b := twoImages()
		s := ledgerService(b, func(string, string, []string) (map[string][]string, bool, error) {
			return map[string][]string{"set": replaced}, false, nil
		})
		got := tell(s.Apply(t.Context(), "infra", []update.Request{named("set", set(t, "octo-org/a:2", "octo-org/b:2"))})[0])
		want := "committed -octo-org/a b.yaml:1 octo-org/b 1→2"
		if len(replaced) == 2 {
			want = "superseded"
		}
		if got != want || len(b.commits) != 2-len(replaced) {
			t.Errorf("%s after %d commits, want %s", got, len(b.commits), want)
		}
	}
}

// A refusal that may be one request's is not a part of a set's: it is all or nothing.
func TestSetIsNotParted(t *testing.T) {
	t.Parallel()
	b := twoImages()
	b.onCommit = func(context.Context, int) error { return github.ErrBranchProtected }
	r := one(t.Context(), t, newService(b, true), set(t, "octo-org/a:2", "octo-org/b:2"))
	if !errors.Is(r.Err, github.ErrBranchProtected) || b.tried != 1 {
		t.Errorf("%+v after %d tries", r, b.tried)
	}
}

// The images of a plan are bounded: more of them take another commit.
func TestManySets(t *testing.T) {
	t.Parallel()
	b := &branch{files: map[string]string{}}
	var requests []update.Request
	for i := range 25 {
		var images []string
		for n := range 50 {
			name := fmt.Sprintf("octo-org/i%d-%d", i, n)
			b.files[fmt.Sprintf("%d.yaml", i)] += "- image: " + name + ":1\n"
			images = append(images, name+":2")
		}
		requests = append(requests, set(t, images...))
	}
	for i, r := range newService(b, true).Apply(t.Context(), "refty-yapi/refty-infra-test@main", requests) {
		if r.Status != update.Committed || len(r.Files) != 1 || len(r.Files[0].Changes) != 50 {
			t.Errorf("request %d: %s, %v", i, r.Status, r.Err)
		}
	}
	if len(b.commits) != 2 || !strings.HasPrefix(b.commits[0].Message, "Update 1000 images\n") {
		t.Errorf("%d commits", len(b.commits))
	}
}
