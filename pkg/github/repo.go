package github

import (
	"fmt"
	"regexp"
	"strings"
)

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

// ParseRepo parses owner/name. The error quotes the text that is not of this form.
func ParseRepo(s string) (Repo, error) {
	owner, name, ok := strings.Cut(s, "/")
	if !ok || !ownerPattern.MatchString(owner) || !namePattern.MatchString(name) || name == "." || name == ".." {
		return Repo{}, fmt.Errorf("%.120q is not a repository in the form owner/name", s)
	}
	return Repo{Owner: owner, Name: name}, nil
}

// String returns owner/name.
func (r Repo) String() string { return r.Owner + "/" + r.Name }

// Equal reports whether both names mean the same repository on GitHub.
func (r Repo) Equal(other Repo) bool {
	return strings.EqualFold(r.Owner, other.Owner) && strings.EqualFold(r.Name, other.Name)
}

// IsZero reports whether r names no repository.
func (r Repo) IsZero() bool { return r == Repo{} }
