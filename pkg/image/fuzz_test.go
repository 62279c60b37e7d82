package image_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// FuzzParseRepository checks that what is accepted reads back as itself and as one
// image by its normalised name, and that every refusal is a ParseError fit to be
// shown.
func FuzzParseRepository(f *testing.F) {
	for _, s := range []string{
		"", "redis", "redis:7", "x@y", "localhost:5000", "localhost:5000/x", "[::1]:5000/x", "index.docker.io/library/redis",
		"GHCR.io/x", "A/b", "x//y", "x/{{ y }}", "docker://x/y", "a..b/c", "a/b___c", "\xff", strings.Repeat("a/", 200),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		repo, err := image.ParseRepository(s)
		if err != nil {
			checkShown(t, err)
			return
		}
		if repo.String() != s {
			t.Fatalf("%q prints as %q", s, repo)
		}
		again, err := image.ParseRepository(repo.Name())
		if err != nil || !again.Equal(repo) {
			t.Fatalf("the normalised name %q reads as %q, %v", repo.Name(), again.Name(), err)
		}
		if !strings.HasSuffix(repo.String(), repo.Base()) {
			t.Fatalf("%q does not end in its base %q", repo, repo.Base())
		}
	})
}

// FuzzParseVersion checks that a tag or a digest that is accepted reads back as
// itself, and that every refusal is a ParseError fit to be shown.
func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"", "7", "1.2-alpine", ".1", "a b", "é", "sha256:" + hex64, "sha512:" + hex128, "md5:" + hex64} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := image.ParseTag(s)
		if err != nil {
			checkShown(t, err)
		} else if tag.String() != s {
			t.Fatalf("%q prints as %q", s, tag)
		}
		digest, err := image.ParseDigest(s)
		if err != nil {
			checkShown(t, err)
		} else if digest.String() != s {
			t.Fatalf("%q prints as %q", s, digest)
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
