package image_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// FuzzParseReference checks that what is accepted reads back as itself, that
// its parts are accepted alone, and that every refusal is a ParseError fit to
// be shown.
func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"", "redis", "redis:7", "localhost:5000/x:1", "[::1]:5000/x", "index.docker.io/library/redis",
		"ghcr.io/x/y:1@sha256:" + hex64, "a@sha512:" + hex128, "GHCR.io/x", "x/{{ y }}:1", "docker://x/y:1",
		"a..b/c", "a/b___c:é", strings.Repeat("a/", 200),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := image.ParseReference(s)
		if err != nil {
			checkShown(t, err)
			return
		}
		if ref.String() != s {
			t.Fatalf("%q prints as %q", s, ref)
		}
		repo, err := image.ParseRepository(ref.Repository().String())
		if err != nil || repo != ref.Repository() {
			t.Fatalf("the repository of %q reads as %q, %v", s, repo, err)
		}
		again, err := image.ParseRepository(repo.Name())
		if err != nil || !again.Equal(repo) {
			t.Fatalf("the normalised name %q reads as %q, %v", repo.Name(), again.Name(), err)
		}
		if !strings.HasSuffix(repo.String(), repo.Base()) {
			t.Fatalf("%q does not end in its base %q", repo, repo.Base())
		}
		if tag := ref.Tag(); !tag.IsZero() {
			if got, err := image.ParseTag(tag.String()); err != nil || got != tag {
				t.Fatalf("the tag of %q: %v", s, err)
			}
		}
	})
}

// FuzzParseRepository checks that a repository and a reference without tag and
// digest are the same thing.
func FuzzParseRepository(f *testing.F) {
	for _, s := range []string{"redis", "redis:7", "x@y", "localhost:5000/x", "localhost:5000", "A/b", "x//y", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		repo, err := image.ParseRepository(s)
		if err != nil {
			checkShown(t, err)
		}
		ref, refErr := image.ParseReference(s)
		bare := refErr == nil && ref.Tag().IsZero() && ref.Digest().IsZero()
		if bare != (err == nil) || bare && ref.Repository() != repo {
			t.Fatalf("%q: as a repository %q, %v; as a reference %q, %v", s, repo, err, ref, refErr)
		}
	})
}

func checkShown(t *testing.T, err error) {
	t.Helper()
	var parseErr *image.ParseError
	if !errors.As(err, &parseErr) || parseErr.Kind == nil {
		t.Fatalf("not a ParseError with a kind: %v", err)
	}
	for _, r := range err.Error() {
		if r < ' ' {
			t.Fatalf("the text has a control character: %q", err)
		}
	}
	if len(err.Error()) > 2000 {
		t.Fatalf("the text is %d bytes long", len(err.Error()))
	}
}
