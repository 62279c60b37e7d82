package image

import (
	"errors"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// MaxRepositoryLength is the longest normalised repository name in bytes, host
// included: the limit that the OCI distribution specification advises clients
// to keep.
const MaxRepositoryLength = 255

// maxReferenceLength bounds the text in which a tag or digest is looked for, for the
// error.
const maxReferenceLength = 1024

// Repository is the name of an image without tag and digest.
//
// Two values that were spelled differently are different under ==, even if
// they are one image: compare with Equal or by Name.
type Repository struct {
	text   string
	domain string
	path   string
}

// ParseRepository reads a repository name such as nginx, ghcr.io/x/y or
// localhost:5000/x. The error is a *ParseError with one of ErrEmpty,
// ErrTooLong, ErrHasTag, ErrHasDigest, ErrUpperCase and ErrInvalid.
func ParseRepository(s string) (Repository, error) {
	switch {
	case len(s) > maxReferenceLength:
		return Repository{}, tooLongName(len(s))
	case s == "":
		return Repository{}, refuse(ErrEmpty, "the image name is empty: give a repository such as ghcr.io/octo-org/app")
	case strings.ContainsRune(s, '@'):
		return Repository{}, refuse(ErrHasDigest, "the image name ", quote(s), " holds a digest: leave out everything from the @ on")
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return Repository{}, refuse(ErrInvalid, "the image name begins with the scheme ", quote(scheme+"://"), ": leave it out")
	}
	if name, tag, ok := cutTag(s); ok {
		if tag == "" {
			return Repository{}, refuse(ErrHasTag, "the image name ", quote(s), " ends in a colon: leave it out")
		}
		return Repository{}, refuse(ErrHasTag, "the image name holds the tag ", quote(tag), ": give ", quote(name), " alone and the tag as the version")
	}
	return parseName(s)
}

// parseName reads a repository that is known to hold neither tag nor digest.
func parseName(s string) (Repository, error) {
	if err := checkName(s); err != nil {
		return Repository{}, err
	}
	named, err := reference.ParseNormalizedNamed(s)
	if errors.Is(err, reference.ErrNameTooLong) {
		return Repository{}, tooLongName(len("docker.io/library/") + len(s))
	}
	if err != nil || !reference.IsNameOnly(named) {
		return Repository{}, refuse(ErrInvalid, "the image name ", quote(s), " is not a repository name: write host/path or path, in letters, digits and single separators between them")
	}
	repo := Repository{text: s, domain: reference.Domain(named), path: reference.Path(named)}
	if repo.domain == "" {
		return Repository{}, refuse(ErrInvalid, "the image name ", quote(s), " begins with ", quote(s[:strings.IndexByte(s, '/')]), ", which stands for a registry but is no host name")
	}
	if n := len(repo.domain) + 1 + len(repo.path); n > MaxRepositoryLength {
		return Repository{}, tooLongName(n)
	}
	return repo, nil
}

// checkName refuses with a precise reason what the library only calls invalid.
func checkName(s string) error {
	if len(s) > MaxRepositoryLength {
		return tooLongName(len(s))
	}
	upper := false
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune("._-/:[]", r):
		case 'A' <= r && r <= 'Z':
			upper = true
		default:
			return refuse(ErrInvalid, "the image name ", quote(s), " holds ", quoteRune(r), ", which no image name may hold")
		}
	}
	if upper {
		return refuse(ErrUpperCase, "the image name ", quote(s), " has upper-case letters: write ", quote(strings.ToLower(s)))
	}
	return nil
}

func tooLongName(n int) error {
	return refuse(ErrTooLong, "the image name is ", strconv.Itoa(n), " bytes long with its host: at most ", strconv.Itoa(MaxRepositoryLength), " are allowed")
}

// cutTag cuts a reference without digest at the colon of its tag, which is the
// one after the last slash; a colon before that belongs to the host's port.
func cutTag(s string) (name, tag string, ok bool) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon < strings.LastIndexByte(s, '/') {
		return s, "", false
	}
	return s[:colon], s[colon+1:], true
}

// String returns the name as it was spelled.
func (r Repository) String() string { return r.text }

// Name returns the normalised name, such as docker.io/library/nginx, or "" for
// the zero value.
func (r Repository) Name() string {
	if r.IsZero() {
		return ""
	}
	return r.domain + "/" + r.path
}

// Domain returns the registry's host with its port, normalised.
func (r Repository) Domain() string { return r.domain }

// Path returns the normalised name without its registry.
func (r Repository) Path() string { return r.path }

// Base returns the last part of the path, in which every spelling of a repository
// ends, even one that is split into a registry and a repository field.
func (r Repository) Base() string { return r.path[strings.LastIndexByte(r.path, '/')+1:] }

// Equal reports whether both are one image.
func (r Repository) Equal(other Repository) bool {
	return r.domain == other.domain && r.path == other.path
}

// IsZero reports whether the repository is the zero value.
func (r Repository) IsZero() bool { return r.path == "" }
