package update_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// holds are those of one test.
type holds []update.Hold

// Standing implements update.Holds.
func (h *holds) Standing(context.Context) []update.Hold { return slices.Clone(*h) }

func holdOn(id, image string) update.Hold {
	return update.Hold{ID: id, Image: "docker.io/octo-org/" + image, Target: "infra", Reason: "5xx", By: "ops"}
}

func holdService(b *branch, h *holds) *update.Service {
	return update.New(update.Options{
		Targets: []update.Target{{Name: "infra", Repo: target, Branch: "main", Repository: b}}, Share: true, Holds: h,
	})
}

// several is a request for several images of octo-org at one version.
func several(t *testing.T, version string, images ...string) update.Request {
	t.Helper()
	r := update.Request{Listed: true}
	for _, name := range images {
		r.Images = append(r.Images, request(t, "octo-org/"+name, version).Images...)
	}
	return r
}

func TestHeldImages(t *testing.T) {
	t.Parallel()
	passing := request(t, "octo-org/a", "2")
	passing.Passes, passing.HoldReason = []string{"h1"}, "back to 2"
	dry := request(t, "octo-org/a", "2")
	dry.DryRun = true
	tests := map[string]struct {
		request update.Request
		holds   holds
		status  update.Status
		met     []string
		changed []string
	}{
		"one image":            {request(t, "octo-org/a", "2"), holds{holdOn("h1", "a"), holdOn("h2", "a")}, update.Held, []string{"h1", "h2"}, nil},
		"another image":        {request(t, "octo-org/a", "2"), holds{holdOn("h1", "b")}, update.Committed, nil, []string{"a.yaml"}},
		"another target":       {request(t, "octo-org/a", "2"), holds{{ID: "h1", Image: "docker.io/octo-org/a", Target: "else"}}, update.Committed, nil, []string{"a.yaml"}},
		"one of two images":    {several(t, "2", "a", "b"), holds{holdOn("h1", "a")}, update.Committed, []string{"h1"}, []string{"b.yaml"}},
		"both":                 {several(t, "2", "a", "b"), holds{holdOn("h1", "a"), holdOn("h2", "b")}, update.Held, []string{"h1", "h2"}, nil},
		"the rest is in place": {several(t, "1", "a", "b"), holds{holdOn("h1", "a")}, update.Unchanged, []string{"h1"}, nil},
		"its own hold":         {passing, holds{holdOn("h1", "a")}, update.Committed, nil, []string{"a.yaml"}},
		"its own and another":  {passing, holds{holdOn("h1", "a"), holdOn("h2", "a")}, update.Held, []string{"h2"}, nil},
		"a dry run":            {dry, holds{holdOn("h1", "a")}, update.Planned, []string{"h1"}, []string{"a.yaml"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := twoImages()
			r := one(t.Context(), t, holdService(b, &test.holds), test.request)
			if r.Err != nil || r.Status != test.status {
				t.Errorf("status %q, error %v", r.Status, r.Err)
			}
			var met, changed []string
			for _, h := range r.Holds {
				met = append(met, h.ID)
			}
			for _, f := range r.Files {
				changed = append(changed, f.Path)
			}
			if d := cmp.Diff(test.met, met); d != "" {
				t.Errorf("holds (-want +got):\n%s", d)
			}
			if d := cmp.Diff(test.changed, changed); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			if committed := test.status == update.Committed; (len(b.commits) == 1) != committed {
				t.Errorf("%d commits", len(b.commits))
			}
			if len(r.Superseded) > 0 {
				t.Errorf("superseded: %v", r.Superseded)
			}
			back, err := update.DecodeResult(update.EncodeResult(r))
			if d := cmp.Diff(r.Holds, back.Holds); d != "" || err != nil {
				t.Errorf("stored (-want +got), error %v:\n%s", err, d)
			}
		})
	}
}

// A hold that is made while the commit is on its way stops it before the branch moves;
// what shares the commit goes on without the image.
func TestHoldBeforeTheBranchMoves(t *testing.T) {
	t.Parallel()
	b := twoImages()
	var h holds
	b.onCommit = func(_ context.Context, n int) error {
		if n == 1 {
			h = append(h, holdOn("h1", "a"))
		}
		return nil
	}
	results := holdService(b, &h).Apply(t.Context(), "infra", []update.Request{
		named("alone", request(t, "octo-org/a", "2")), named("other", several(t, "2", "b", "a")),
	})
	if results[0].Status != update.Held || len(results[0].Holds) != 1 || results[1].Status != update.Committed || len(results[1].Holds) != 1 {
		t.Errorf("results: %+v", results)
	}
	if len(b.commits) != 1 || b.files["a.yaml"] != "image: octo-org/a:1\n" || b.files["b.yaml"] != "image: octo-org/b:2\n" {
		t.Errorf("%d commits, files %q", len(b.commits), b.files)
	}
}

// What is held supersedes nothing, and the commit names the hold that it came with.
func TestHeldRequestBehindARollback(t *testing.T) {
	t.Parallel()
	b := twoImages()
	back := named("back", request(t, "octo-org/a", "0"))
	back.Passes, back.HoldReason = []string{"h1"}, "5xx"
	results := holdService(b, &holds{holdOn("h1", "a")}).Apply(t.Context(), "infra", []update.Request{
		back, named("newer", request(t, "octo-org/a", "2")),
	})
	if results[0].Status != update.Committed || results[1].Status != update.Held || b.files["a.yaml"] != "image: octo-org/a:0\n" {
		t.Errorf("results: %+v, files %q", results, b.files)
	}
	if want := "\nHold-Id: h1\nHold-Reason: 5xx\nUpdate-Id: back"; !strings.Contains(b.commits[0].Message, want) {
		t.Errorf("the message lacks %q:\n%s", want, b.commits[0].Message)
	}
}

// A comment that holds every reference holds the request, one that holds some does not.
func TestHeldByComments(t *testing.T) {
	t.Parallel()
	held := "image: octo-org/a:1 # versions-service: hold\n"
	for _, test := range []struct {
		files  map[string]string
		status update.Status
	}{
		{map[string]string{"a.yaml": held, "b.yaml": held}, update.Held},
		{map[string]string{"a.yaml": held, "b.yaml": "image: octo-org/a:2\n"}, update.Unchanged},
		{map[string]string{"a.yaml": held, "b.yaml": "image: octo-org/a:{{ .Tag }}\n"}, update.Unchanged},
		{map[string]string{"a.yaml": held, "b.yaml": "image: octo-org/a:1\n"}, update.Committed},
	} {
		r := one(t.Context(), t, holdService(&branch{files: test.files}, &holds{}), request(t, "octo-org/a", "2"))
		if r.Status != test.status || r.Err != nil {
			t.Errorf("%q: status %q, error %v", test.files, r.Status, r.Err)
		}
	}
}
