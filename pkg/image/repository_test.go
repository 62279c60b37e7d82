package image_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

func TestParseRepository(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, name, domain, base string }{
		{"nginx", "docker.io/library/nginx", "docker.io", "nginx"},
		{"library/nginx", "docker.io/library/nginx", "docker.io", "nginx"},
		{"docker.io/nginx", "docker.io/library/nginx", "docker.io", "nginx"},
		{"docker.io/library/nginx", "docker.io/library/nginx", "docker.io", "nginx"},
		{"index.docker.io/library/nginx", "docker.io/library/nginx", "docker.io", "nginx"},
		{"octo-org/app", "docker.io/octo-org/app", "docker.io", "app"},
		{"ghcr.io/refty-yapi/refty-node/refty-node", "ghcr.io/refty-yapi/refty-node/refty-node", "ghcr.io", "refty-node"},
		{"localhost/x", "localhost/x", "localhost", "x"},
		{"localhost:5000/x", "localhost:5000/x", "localhost:5000", "x"},
		{"registry.example.com:5000/a/b.c__d--e", "registry.example.com:5000/a/b.c__d--e", "registry.example.com:5000", "b.c__d--e"},
		{"10.0.0.1:5000/x", "10.0.0.1:5000/x", "10.0.0.1:5000", "x"},
		{"[::1]:5000/x", "[::1]:5000/x", "[::1]:5000", "x"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			got, err := image.ParseRepository(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tt.in || got.Name() != tt.name || got.Domain() != tt.domain || got.Base() != tt.base {
				t.Errorf("got %q, name %q, domain %q, base %q", got, got.Name(), got.Domain(), got.Base())
			}
			if got.Domain()+"/"+got.Path() != got.Name() {
				t.Errorf("domain %q and path %q do not make the name %q", got.Domain(), got.Path(), got.Name())
			}
			again, err := image.ParseRepository(got.Name())
			if err != nil || !again.Equal(got) {
				t.Errorf("the normalised name reads back as %q, %v", again.Name(), err)
			}
		})
	}
}

func TestParseRepositoryRefuses(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("a", 64)
	tests := []struct {
		name, in string
		want     error
		says     string
	}{
		{"empty", "", image.ErrEmpty, "is empty"},
		{"tag", "nginx:1.27", image.ErrHasTag, `holds the tag "1.27"`},
		{"tag after a port", "localhost:5000/x:1", image.ErrHasTag, `give "localhost:5000/x" alone`},
		{"host and port alone", "localhost:5000", image.ErrHasTag, `"5000"`},
		{"colon at the end", "nginx:", image.ErrHasTag, "ends in a colon"},
		{"digest", "nginx@" + digest, image.ErrHasDigest, "from the @ on"},
		{"tag and digest", "nginx:1@" + digest, image.ErrHasDigest, "from the @ on"},
		{"scheme", "https://ghcr.io/x/y", image.ErrInvalid, `scheme "https://"`},
		{"upper case in the path", "ghcr.io/Octo-Org/app", image.ErrUpperCase, `write "ghcr.io/octo-org/app"`},
		{"upper case in the host", "GHCR.io/octo-org/app", image.ErrUpperCase, `write "ghcr.io/octo-org/app"`},
		{"blank", "ghcr.io/x/y z", image.ErrInvalid, "holds ' '"},
		{"newline", "ghcr.io/x/y\n", image.ErrInvalid, `'\n'`},
		{"not ASCII", "ghcr.io/x/é", image.ErrInvalid, `'\u00e9'`},
		{"not UTF-8", "ghcr.io/x/\xff", image.ErrInvalid, `'\ufffd'`},
		{"template", "{{ .Values.image }}", image.ErrInvalid, "'{'"},
		{"slash at the end", "ghcr.io/x/", image.ErrInvalid, "not a repository name"},
		{"double slash", "ghcr.io//x", image.ErrInvalid, "not a repository name"},
		{"separator at the end", "ghcr.io/x/y-", image.ErrInvalid, "not a repository name"},
		{"a host with an underscore", "my_host.example.com/x", image.ErrInvalid, `"my_host.example.com", which stands for a registry`},
		{"looks like an image id", strings.Repeat("a", 64), image.ErrInvalid, "not a repository name"},
		{"too long", "ghcr.io/" + strings.Repeat("a", 248), image.ErrTooLong, "is 256 bytes"},
		{"too long when normalised", strings.Repeat("a", 250), image.ErrTooLong, "at most 255"},
		{"very long", strings.Repeat("é", 1<<20), image.ErrTooLong, "at most 255"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := image.ParseRepository(tt.in)
			checkRefusal(t, err, tt.want, tt.says)
			if !got.IsZero() {
				t.Errorf("a refused name gave %q", got)
			}
		})
	}
}

// checkRefusal checks kind, text and size of an error.
func checkRefusal(t *testing.T, err, want error, says string) {
	t.Helper()
	var parseErr *image.ParseError
	if !errors.As(err, &parseErr) || !errors.Is(err, want) {
		t.Fatalf("got %v, want a ParseError of kind %v", err, want)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("the text %q does not say %q", err, says)
	}
	if len(err.Error()) > 600 {
		t.Errorf("the text is %d bytes long", len(err.Error()))
	}
}

func TestLongestRepository(t *testing.T) {
	t.Parallel()
	in := "ghcr.io/" + strings.Repeat("a", 247)
	if _, err := image.ParseRepository(in); err != nil {
		t.Errorf("%d bytes: %v", len(in), err)
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"redis", "index.docker.io/library/redis", true},
		{"x/y", "docker.io/x/y", true},
		{"x/y", "ghcr.io/x/y", false},
		{"ghcr.io/x/y", "ghcr.io/x/y-z", false},
		{"ghcr.io/x/y", "ghcr.io/x/y/z", false},
	}
	for _, tt := range tests {
		a, errA := image.ParseRepository(tt.a)
		b, errB := image.ParseRepository(tt.b)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if a.Equal(b) != tt.want || b.Equal(a) != tt.want || (a.Name() == b.Name()) != tt.want {
			t.Errorf("%s and %s: want equal = %t", a, b, tt.want)
		}
	}
}

func TestZeroValues(t *testing.T) {
	t.Parallel()
	var (
		repo   image.Repository
		tag    image.Tag
		digest image.Digest
	)
	if !repo.IsZero() || !tag.IsZero() || !digest.IsZero() {
		t.Error("a zero value does not say so")
	}
	if s := repo.String() + repo.Name() + repo.Base() + tag.String() + digest.String(); s != "" {
		t.Errorf("zero values print %q", s)
	}
}
