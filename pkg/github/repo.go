package github

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrInvalidRepo is returned by ParseRepo for text that is not owner/name.
var ErrInvalidRepo = errors.New("not a repository in the form owner/name")

var (
	ownerPattern = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?$`)
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// Repo names a repository on GitHub. The zero value names none. It is
// comparable; GitHub compares names without regard to case, so use Equal.
type Repo struct {
	Owner string
	Name  string
}

// ParseRepo reads owner/name. The error wraps ErrInvalidRepo.
func ParseRepo(s string) (Repo, error) {
	owner, name, ok := strings.Cut(s, "/")
	if !ok || !ownerPattern.MatchString(owner) || !namePattern.MatchString(name) || name == "." || name == ".." {
		return Repo{}, fmt.Errorf("%.120q is %w", s, ErrInvalidRepo)
	}
	return Repo{Owner: owner, Name: name}, nil
}

// String returns owner/name.
func (r Repo) String() string { return r.Owner + "/" + r.Name }

// Equal reports whether GitHub would take both names for the same repository.
func (r Repo) Equal(other Repo) bool {
	return strings.EqualFold(r.Owner, other.Owner) && strings.EqualFold(r.Name, other.Name)
}

// IsZero reports whether r names no repository.
func (r Repo) IsZero() bool { return r == Repo{} }
