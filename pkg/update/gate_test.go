package update_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const (
	oldDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// gated is a branch with two images behind a gate.
func gated(gate update.Gate, now time.Time) (*update.Service, *branch) {
	b := &branch{files: map[string]string{
		"web.yaml": "image: octo-org/web:2.0.0\n", "old.yaml": "image: octo-org/web:1.0.0\n",
		"pinned.yaml": "image: octo-org/pinned:1.0.0@" + oldDigest + "\n", "main.yaml": "image: octo-org/main:main-1\n",
	}}
	return update.New(update.Options{
		Targets: []update.Target{{Name: "production", Repo: target, Branch: "main", Repository: b, Gate: gate}},
		Share:   true, Now: func() time.Time { return now },
	}), b
}

func versions(t *testing.T, within string) policy.Versions {
	t.Helper()
	v, err := policy.ParseRange(within)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantFailure(t *testing.T, r update.Result, code update.Code, says string) {
	t.Helper()
	failure, failed := r.Failure()
	if !failed || failure.Code != code || !strings.Contains(failure.Detail, says) {
		t.Errorf("%s %+v, want %s with %q", r.Status, failure, code, says)
	}
}

func TestFrozenTarget(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.December, 24, 12, 0, 0, 0, time.UTC)
	window, err := policy.NewWindow("0 0 24 12 *", 72*time.Hour, time.UTC, "holidays")
	if err != nil {
		t.Fatal(err)
	}
	s, b := gated(update.Gate{Freeze: policy.Freeze{Windows: []policy.Window{window}}}, now)
	r := request(t, "octo-org/web", "3.0.0")
	result := one(t.Context(), t, s, r)
	wantFailure(t, result, update.CodeTargetFrozen, "is frozen until 2026-12-27T00:00:00Z: holidays")
	if f, _ := result.Failure(); f.RetryAfter != 60*time.Hour || !f.NotBefore.Equal(now.Add(60*time.Hour)) {
		t.Errorf("%+v", f)
	}
	wantFailure(t, one(t.Context(), t, s, request(t, "octo-org/absent", "3.0.0")), update.CodeImageNotReferenced, "octo-org/absent")
	if result := one(t.Context(), t, s, request(t, "octo-org/main", "main-1")); result.Status != update.Unchanged {
		t.Errorf("nothing to write: %+v", result)
	}
	r.DryRun = true
	if result := one(t.Context(), t, s, r); result.Status != update.Planned || result.Denied != nil || len(result.Notes) != 1 || !strings.Contains(result.Notes[0], "holidays") {
		t.Errorf("a dry run: %+v", result)
	}
	if len(b.commits) > 0 {
		t.Fatalf("%d commits while it is frozen", len(b.commits))
	}
	r.DryRun, r.OverrideReason = false, "the shop is down"
	if result := one(t.Context(), t, s, r); result.Status != update.Committed || !strings.Contains(b.commits[0].Message, "\nOverride-Reason: the shop is down\n") &&
		!strings.HasSuffix(b.commits[0].Message, "\nOverride-Reason: the shop is down") {
		t.Errorf("an override: %+v\n%v", result, b.commits)
	}
}

func TestDowngrades(t *testing.T) {
	t.Parallel()
	permitted := func(r update.Request, p update.Permit) update.Request {
		p.Target = "production"
		r.Images[0].Permits = []update.Permit{p}
		return r
	}
	refuse := update.Gate{RefuseDowngrade: true}
	for name, test := range map[string]struct {
		gate    update.Gate
		request update.Request
		refused string // "" when it is committed
		watched bool
	}{
		"of one reference":                   {refuse, request(t, "octo-org/web", "1.5.0"), "the target refuses it: web.yaml:1 has 2.0.0, of which 1.5.0 is a downgrade", false},
		"upwards":                            {refuse, request(t, "octo-org/web", "2.0.1"), "", false},
		"a present one without order":        {refuse, request(t, "octo-org/main", "1.0.0"), "", false},
		"allowed":                            {update.Gate{}, request(t, "octo-org/web", "1.5.0"), "", false},
		"of a rule":                          {update.Gate{}, permitted(request(t, "octo-org/web", "1.5.0"), update.Permit{Rule: "releases", RefuseDowngrade: true}), "the rule releases refuses it", false},
		"of a rule that is watched":          {update.Gate{}, permitted(request(t, "octo-org/web", "1.5.0"), update.Permit{Rule: "releases", RefuseDowngrade: true, Watched: true}), "", true},
		"of the target, with a watched rule": {refuse, permitted(request(t, "octo-org/web", "1.5.0"), update.Permit{Rule: "releases", RefuseDowngrade: true, Watched: true}), "the target refuses it", false},
	} {
		s, b := gated(test.gate, time.Time{})
		dry := test.request
		dry.DryRun = true
		planned := one(t.Context(), t, s, dry)
		result := one(t.Context(), t, s, test.request)
		if planned.Status != update.Planned || (planned.Denied != nil) != (test.refused != "") || planned.Diff == "" {
			t.Errorf("%s: a dry run: %+v", name, planned)
		}
		switch {
		case test.refused != "":
			wantFailure(t, result, update.CodePolicyDenied, test.refused)
			if len(b.commits) > 0 {
				t.Errorf("%s: it was committed", name)
			}
		case result.Status != update.Committed || (len(result.WouldDeny) > 0) != test.watched:
			t.Errorf("%s: %+v", name, result)
		}
	}
}

// What a target does not take is refused before its branch is read, and also when it was
// stored before the target's keys changed.
func TestVersionsOfATarget(t *testing.T) {
	t.Parallel()
	for name, gate := range map[string]update.Gate{
		"a range": {Versions: versions(t, ">=1.0.0")}, "no order": {RefuseDowngrade: true},
	} {
		s, b := gated(gate, time.Time{})
		r := request(t, "octo-org/web", "main-2")
		var denied *update.DeniedError
		if _, err := s.Choose(r); !errors.As(err, &denied) || denied.ID != "production" {
			t.Errorf("%s: Choose: %v", name, err)
		}
		if _, err := s.Update(t.Context(), r); !errors.As(err, &denied) {
			t.Errorf("%s: Update: %v", name, err)
		}
		wantFailure(t, s.Apply(t.Context(), "production", []update.Request{r})[0], update.CodePolicyDenied, "main-2")
		if b.reads > 0 {
			t.Errorf("%s: %d files were read", name, b.reads)
		}
	}
}

// One request that is refused does not keep others of the same commit from it, and
// replaces no older one.
func TestRefusedOnesReplaceNobody(t *testing.T) {
	t.Parallel()
	s, b := gated(update.Gate{RefuseDowngrade: true}, time.Time{})
	results := s.Apply(t.Context(), "production", []update.Request{
		request(t, "octo-org/web", "3.0.0"), request(t, "octo-org/pinned", "2.0.0"), request(t, "octo-org/web", "1.0.0"),
	})
	if results[0].Status != update.Committed || results[1].Status != update.Committed || len(b.commits) != 2 {
		t.Errorf("%d commits, %+v, %+v", len(b.commits), results[0], results[1])
	}
	wantFailure(t, results[2], update.CodePolicyDenied, "web.yaml:1")
	if got := b.files["web.yaml"]; got != "image: octo-org/web:3.0.0\n" {
		t.Errorf("web.yaml is %q", got)
	}
}

// registry is an update.Registry with some versions.
type registry struct {
	mu    sync.Mutex
	has   map[string]string
	away  bool
	asked []string
}

func (r *registry) Digest(_ context.Context, repository image.Repository, version image.Tag) (image.Digest, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := repository.String() + ":" + version.String()
	r.asked = append(r.asked, name)
	if r.away {
		return image.Digest{}, false, &update.RegistryError{Code: update.CodeUpstreamError, Detail: "the registry is away"}
	}
	text, ok := r.has[name]
	if !ok {
		return image.Digest{}, false, nil
	}
	digest, err := image.ParseDigest(text)
	return digest, true, err
}

func TestRegistryIsAsked(t *testing.T) {
	t.Parallel()
	has := map[string]string{"octo-org/web:3.0.0": newDigest, "octo-org/pinned:2.0.0": newDigest, "octo-org/pinned:1.0.0": newDigest}
	withDigest := func(r update.Request, text string) update.Request {
		digest, err := image.ParseDigest(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Images[0].Digest = digest
		return r
	}
	for name, test := range map[string]struct {
		take, away, allow bool
		request           update.Request
		code              update.Code // "" when it is committed
		says              string
		asked             []string
		file, want        string
	}{
		"a tag that is there":        {request: request(t, "octo-org/web", "3.0.0"), asked: []string{"octo-org/web:3.0.0"}, file: "web.yaml", want: "image: octo-org/web:3.0.0\n"},
		"a tag that is not":          {request: request(t, "octo-org/web", "4.0.0"), code: update.CodeImageNotFound, says: "docker.io has no octo-org/web:4.0.0", asked: []string{"octo-org/web:4.0.0"}},
		"an image that is not named": {request: request(t, "octo-org/absent", "4.0.0"), code: update.CodeImageNotReferenced},
		"the registry's digest": {
			take: true, request: request(t, "octo-org/pinned", "2.0.0"), asked: []string{"octo-org/pinned:2.0.0"},
			file: "pinned.yaml", want: "image: octo-org/pinned:2.0.0@" + newDigest + "\n",
		},
		"a tag that moved": {
			take: true, request: request(t, "octo-org/pinned", "1.0.0"), asked: []string{"octo-org/pinned:1.0.0"},
			file: "pinned.yaml", want: "image: octo-org/pinned:1.0.0@" + newDigest + "\n",
		},
		"the request's digest": {
			take: true, request: withDigest(request(t, "octo-org/pinned", "2.0.0"), newDigest), asked: []string{"octo-org/pinned:2.0.0"},
			file: "pinned.yaml", want: "image: octo-org/pinned:2.0.0@" + newDigest + "\n",
		},
		"another digest than the registry's": {
			request: withDigest(request(t, "octo-org/pinned", "2.0.0"), oldDigest), asked: []string{"octo-org/pinned:2.0.0"},
			code: update.CodeImageNotFound, says: "and not with " + oldDigest,
		},
		"a registry that is away": {
			away: true, request: request(t, "octo-org/web", "3.0.0"), asked: []string{"octo-org/web:3.0.0"},
			code: update.CodeUpstreamError, says: "the registry is away; nothing was written",
		},
		"one that may be away": {
			away: true, allow: true, take: true, request: request(t, "octo-org/web", "3.0.0"), asked: []string{"octo-org/web:3.0.0"},
			file: "web.yaml", want: "image: octo-org/web:3.0.0\n",
		},
	} {
		asked := &registry{has: has, away: test.away}
		s, b := gated(update.Gate{Registry: update.RegistryCheck{Registry: asked, TakeDigest: test.take, AllowAway: test.allow}}, time.Time{})
		result := one(t.Context(), t, s, test.request)
		if !slices.Equal(asked.asked, test.asked) {
			t.Errorf("%s: asked for %v, want %v", name, asked.asked, test.asked)
		}
		if test.code != "" {
			wantFailure(t, result, test.code, test.says)
			continue
		}
		if result.Status != update.Committed || b.files[test.file] != test.want || (len(result.Notes) > 0) != test.away {
			t.Errorf("%s: %s %v %+v\n%s", name, result.Status, result.Err, result.Files, b.files[test.file])
		}
		if len(result.Superseded) > 0 {
			t.Errorf("%s: superseded %v", name, result.Superseded)
		}
	}
}

// A dry run tells what would be refused, and its plan has the registry's digest.
func TestRegistryInADryRun(t *testing.T) {
	t.Parallel()
	asked := &registry{has: map[string]string{"octo-org/pinned:2.0.0": newDigest}}
	s, _ := gated(update.Gate{Registry: update.RegistryCheck{Registry: asked, TakeDigest: true}}, time.Time{})
	r := request(t, "octo-org/pinned", "2.0.0")
	r.DryRun = true
	if result := one(t.Context(), t, s, r); result.Status != update.Planned || !strings.Contains(result.Diff, "+image: octo-org/pinned:2.0.0@"+newDigest) {
		t.Errorf("%+v", result)
	}
	r = request(t, "octo-org/pinned", "3.0.0")
	r.DryRun = true
	result := one(t.Context(), t, s, r)
	var absent *update.ImageNotFoundError
	if result.Status != update.Planned || !errors.As(result.Denied, &absent) {
		t.Errorf("%+v", result)
	}
}

// A target that pins digests takes no version of which nobody knows the digest, and
// otherwise writes it also where none stands.
func TestPinnedDigests(t *testing.T) {
	t.Parallel()
	withDigest := func(r update.Request, text string) update.Request {
		digest, err := image.ParseDigest(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Images[0].Digest = digest
		return r
	}
	asks := func(away, allow bool, has ...string) update.RegistryCheck {
		r := &registry{has: map[string]string{}, away: away}
		for _, name := range has {
			r.has[name] = newDigest
		}
		return update.RegistryCheck{Registry: r, TakeDigest: true, AllowAway: allow}
	}
	for name, test := range map[string]struct {
		check      update.RegistryCheck
		request    update.Request
		code       update.Code // "" when it is committed
		says       string
		file, want string
	}{
		"no digest":                        {request: request(t, "octo-org/web", "3.0.0"), code: update.CodeDigestUnknown, says: "production (refty-yapi/refty-infra-test@main) pins digests, and that of octo-org/web:3.0.0 is not known, for old.yaml:1"},
		"no digest of the present version": {request: request(t, "octo-org/main", "main-1"), code: update.CodeDigestUnknown, says: "octo-org/main:main-1"},
		"the request's digest":             {request: withDigest(request(t, "octo-org/web", "3.0.0"), newDigest), file: "web.yaml", want: "image: octo-org/web:3.0.0@" + newDigest + "\n"},
		"the request's digest of the present version": {
			request: withDigest(request(t, "octo-org/main", "main-1"), newDigest), file: "main.yaml", want: "image: octo-org/main:main-1@" + newDigest + "\n",
		},
		"the registry's digest": {
			check: asks(false, false, "octo-org/web:3.0.0"), request: request(t, "octo-org/web", "3.0.0"), file: "web.yaml", want: "image: octo-org/web:3.0.0@" + newDigest + "\n",
		},
		"no such version":               {check: asks(false, false), request: request(t, "octo-org/web", "3.0.0"), code: update.CodeImageNotFound, says: "docker.io has no octo-org/web:3.0.0"},
		"a registry that is away":       {check: asks(true, false), request: request(t, "octo-org/web", "3.0.0"), code: update.CodeUpstreamError, says: "the registry is away"},
		"a registry that may be away":   {check: asks(true, true), request: request(t, "octo-org/web", "3.0.0"), code: update.CodeUpstreamError, says: "the registry is away"},
		"it may be away, with a digest": {check: asks(true, true), request: withDigest(request(t, "octo-org/web", "3.0.0"), newDigest), file: "web.yaml", want: "image: octo-org/web:3.0.0@" + newDigest + "\n"},
		"an image that is not named":    {request: request(t, "octo-org/absent", "3.0.0"), code: update.CodeImageNotReferenced, says: "octo-org/absent"},
	} {
		b := &branch{files: map[string]string{
			"web.yaml": "image: octo-org/web:2.0.0\n", "old.yaml": "image: octo-org/web:1.0.0@" + oldDigest + "\n", "main.yaml": "image: octo-org/main:main-1\n",
		}}
		s := update.New(update.Options{Share: true, Targets: []update.Target{{
			Name: "production", Repo: target, Branch: "main", Repository: b, PinDigests: true, Gate: update.Gate{Registry: test.check},
		}}})
		dry := test.request
		dry.DryRun = true
		planned := one(t.Context(), t, s, dry)
		result := one(t.Context(), t, s, test.request)
		if test.code != "" {
			wantFailure(t, result, test.code, test.says)
			if len(b.commits) > 0 {
				t.Errorf("%s: it was committed", name)
			}
			if named := test.code != update.CodeImageNotReferenced; named && (planned.Status != update.Planned || planned.Denied == nil) {
				t.Errorf("%s: a dry run: %+v", name, planned)
			}
			continue
		}
		if result.Status != update.Committed || b.files[test.file] != test.want || planned.Status != update.Planned || planned.Denied != nil {
			t.Errorf("%s: %s %v %+v\n%s", name, result.Status, result.Err, result.Files, b.files[test.file])
		}
		if again := one(t.Context(), t, s, test.request); again.Status != update.Unchanged || len(b.commits) != 1 {
			t.Errorf("%s: once more: %s %v, %d commits", name, again.Status, again.Err, len(b.commits))
		}
	}
}

// One request of which the digest is not known does not keep others of the same commit
// from it, and replaces no older one.
func TestUnpinnedOnesReplaceNobody(t *testing.T) {
	t.Parallel()
	b := &branch{files: map[string]string{"web.yaml": "image: octo-org/web:1.0.0\n", "api.yaml": "image: octo-org/api:1.0.0\n"}}
	s := update.New(update.Options{Share: true, Targets: []update.Target{{Name: "production", Repo: target, Branch: "main", Repository: b, PinDigests: true}}})
	older, newer, other := request(t, "octo-org/web", "2.0.0"), request(t, "octo-org/web", "3.0.0"), request(t, "octo-org/api", "2.0.0")
	digest, err := image.ParseDigest(newDigest)
	if err != nil {
		t.Fatal(err)
	}
	older.Images[0].Digest, other.Images[0].Digest = digest, digest
	results := s.Apply(t.Context(), "production", []update.Request{older, newer, other})
	wantFailure(t, results[1], update.CodeDigestUnknown, "octo-org/web:3.0.0")
	if results[0].Status != update.Committed || results[2].Status != update.Committed {
		t.Errorf("%+v, %+v", results[0], results[2])
	}
	if got, want := b.files["web.yaml"]+b.files["api.yaml"], "image: octo-org/web:2.0.0@"+newDigest+"\nimage: octo-org/api:2.0.0@"+newDigest+"\n"; got != want {
		t.Errorf("the files are %q", got)
	}
}

// A rollback passes a target or a rule that refuses downgrades, whatever the version looks
// like, where the rule allows it; another request to that version does not.
func TestRollbacksBehindAGate(t *testing.T) {
	t.Parallel()
	rollback := func(permits ...update.Permit) update.Request {
		r := request(t, "octo-org/main", "main-0")
		r.Rollback, r.Images[0].Permits = true, permits
		return r
	}
	plain := rollback()
	plain.Rollback = false
	for name, test := range map[string]struct {
		request update.Request
		passes  bool
	}{
		"without rules":          {rollback(), true},
		"no rollback":            {plain, false},
		"a rule with rollback":   {rollback(update.Permit{Target: "production", Rule: "ops", Rollback: true}), true},
		"a rule without":         {rollback(update.Permit{Target: "production", Rule: "bots"}), false},
		"rules that are watched": {rollback(update.Permit{Target: "production", Watched: true}), true},
	} {
		s, b := gated(update.Gate{RefuseDowngrade: true}, time.Time{})
		results, err := s.Update(t.Context(), test.request)
		stored := s.Apply(t.Context(), "production", []update.Request{test.request})[0]
		if test.passes {
			if err != nil || results[0].Status != update.Committed || stored.Status != update.Unchanged || b.files["main.yaml"] != "image: octo-org/main:main-0\n" {
				t.Errorf("%s: %v %+v, %+v", name, err, results, stored)
			}
			continue
		}
		var denied *update.DeniedError
		if !errors.As(err, &denied) || !strings.Contains(denied.Error(), "main-0 is no MAJOR.MINOR.PATCH") || len(b.commits) > 0 {
			t.Errorf("%s: %v, %d commits", name, err, len(b.commits))
		}
		wantFailure(t, stored, update.CodePolicyDenied, "main-0")
	}
}
