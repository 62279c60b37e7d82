package update_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// ledger is a Ledger of one test.
type ledger func(target, commit string, ids []string) (replaced map[string][]string, undecided bool, err error)

// Announce implements update.Ledger.
func (l ledger) Announce(_ context.Context, target, commit string, ids []string) (map[string][]string, bool, error) {
	return l(target, commit, ids)
}

// Replaced implements update.Ledger.
func (ledger) Replaced(context.Context, string, []string) (map[string][]string, error) {
	return nil, nil
}

func ledgerService(b *branch, l ledger) *update.Service {
	return update.New(update.Options{
		Targets: []update.Target{{Name: "infra", Repo: target, Branch: "main", Repository: b}}, Share: true, Ledger: l,
	})
}

func named(id string, r update.Request) update.Request {
	r.ID = id
	return r
}

func twoImages() *branch {
	return &branch{files: map[string]string{"a.yaml": "image: octo-org/a:1\n", "b.yaml": "image: octo-org/b:1\n"}}
}

// A request that a newer one replaced elsewhere ends as superseded, and what was
// to share its commit is committed without it.
func TestReplacedElsewhere(t *testing.T) {
	t.Parallel()
	b := twoImages()
	var asked [][]string
	s := ledgerService(b, func(target, commit string, ids []string) (map[string][]string, bool, error) {
		if target != "infra" || commit == "" {
			t.Errorf("announced %q for the target %q", commit, target)
		}
		asked = append(asked, ids)
		return map[string][]string{"old": {"docker.io/octo-org/a"}}, false, nil
	})
	results := s.Apply(t.Context(), "infra", []update.Request{
		named("old", request(t, "octo-org/a", "2")), named("new", request(t, "octo-org/b", "2")),
	})
	if results[0].Status != update.Superseded || results[0].Err != nil || results[1].Status != update.Committed {
		t.Errorf("results: %+v", results)
	}
	if d := cmp.Diff([][]string{{"old", "new"}, {"new"}}, asked); d != "" {
		t.Errorf("announced (-want +got):\n%s", d)
	}
	if len(b.commits) != 1 || b.files["a.yaml"] != "image: octo-org/a:1\n" || b.files["b.yaml"] != "image: octo-org/b:2\n" {
		t.Errorf("%d commits, files %q", len(b.commits), b.files)
	}
}

// While a newer request is on its way nothing reaches the branch; the plan is made
// again when that has ended.
func TestNewerOneOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := twoImages()
		asked := 0
		s := ledgerService(b, func(string, string, []string) (map[string][]string, bool, error) {
			if asked++; asked < 4 {
				return nil, true, nil
			}
			return map[string][]string{"old": {"docker.io/octo-org/a"}}, false, nil
		})
		r := one(t.Context(), t, s, named("old", request(t, "octo-org/a", "2")))
		if r.Status != update.Superseded || r.Err != nil || len(b.commits) != 0 || asked != 4 {
			t.Errorf("%+v after %d questions and %d commits", r, asked, len(b.commits))
		}
	})
}

// Without the ledger a stored request must wait: after a crash nobody would know
// of its commit. One that is answered at once does not need it.
func TestLedgerIsAway(t *testing.T) {
	t.Parallel()
	b := twoImages()
	away := errors.New("connection refused")
	s := ledgerService(b, func(string, string, []string) (map[string][]string, bool, error) { return nil, false, away })
	stored := s.Apply(t.Context(), "infra", []update.Request{named("stored", request(t, "octo-org/a", "2"))})[0]
	if !errors.Is(stored.Err, update.ErrLedger) || !errors.Is(stored.Err, away) || len(b.commits) != 0 {
		t.Errorf("stored: %+v after %d commits", stored, len(b.commits))
	}
	if r := one(t.Context(), t, s, named("now", request(t, "octo-org/b", "2"))); r.Status != update.Committed {
		t.Errorf("at once: %+v", r)
	}
}

// Requests for the same version share a place in the commit, and all of them are
// announced.
func TestAlikeAreAnnounced(t *testing.T) {
	t.Parallel()
	b := twoImages()
	var asked []string
	s := ledgerService(b, func(_, _ string, ids []string) (map[string][]string, bool, error) {
		asked = slices.Sorted(slices.Values(ids))
		return nil, false, nil
	})
	s.Apply(t.Context(), "infra", []update.Request{
		named("1", request(t, "octo-org/a", "2")), named("2", request(t, "octo-org/a", "2")),
	})
	if d := cmp.Diff([]string{"1", "2"}, asked); d != "" {
		t.Errorf("announced (-want +got):\n%s", d)
	}
}

// The commit that an earlier try announced is the request's end when it is on the
// branch, whatever the files say now, and nothing when it is not.
func TestCommitOfAnEarlierTry(t *testing.T) {
	t.Parallel()
	b := twoImages()
	b.landed = &github.Landing{Commit: github.Commit{SHA: "0a", URL: "https://example.com/0a"}, Repo: target, Branch: "main"}
	s := ledgerService(b, func(string, string, []string) (map[string][]string, bool, error) { return nil, false, nil })
	done, lost, fresh := named("1", request(t, "octo-org/a", "2")), named("2", request(t, "octo-org/b", "2")), named("3", request(t, "octo-org/a", "3"))
	done.Sent, lost.Sent = "0a", "0b"
	results := s.Apply(t.Context(), "infra", []update.Request{done, lost, fresh})
	if r := results[0]; r.Status != update.Committed || r.Commit.SHA != "0a" || r.Branch != "main" {
		t.Errorf("the one that landed: %+v", r)
	}
	for _, r := range results[1:] {
		if r.Status != update.Committed || r.Commit == nil || r.Commit.SHA == "0a" {
			t.Errorf("one that did not land: %+v", r)
		}
	}
	if len(b.commits) != 1 || b.files["a.yaml"] != "image: octo-org/a:3\n" {
		t.Errorf("%d commits, files %q", len(b.commits), b.files)
	}
}
